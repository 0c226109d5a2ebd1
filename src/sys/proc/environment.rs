//! What a process was started with: its command line and its environment.

use super::files::views;
use super::memory;
use super::tree::pids;
use crate::sys::{kernel, pidfd};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::fs;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// The command line, or the name in brackets when there is none.
pub fn command(pid: i32) -> String {
    let bytes = memory::read(pid, format!("/proc/{pid}/cmdline").into()).unwrap_or_default();
    let words: Vec<String> = bytes
        .split(|b| *b == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    if words.is_empty() { format!("[{}]", name(pid).unwrap_or_default()) } else { words.join(" ") }
}

/// The short name (`comm`, at most 15 bytes).
pub fn name(pid: i32) -> Option<String> {
    Some(kernel::text(format!("/proc/{pid}/comm")).ok()?.trim_end().to_owned())
}

/// The name of the file that a process executes; its short name where that may not be seen.
pub fn program(pid: i32) -> Option<String> {
    let file = fs::read_link(format!("/proc/{pid}/exe")).ok();
    let base = file.and_then(|file| Some(file.file_name()?.to_string_lossy().into_owned()));
    base.map(|base| base.trim_end_matches(" (deleted)").to_owned()).or_else(|| name(pid))
}

/// A variable of the environment that the process was started with; none also when it may not be read.
pub fn variable(pid: i32, name: &str) -> Option<String> {
    value_of(&environment(pid, |file| memory::read(pid, file)), name)
}

/// As [`variable`], of one look at the environment, by the caller itself: for whoever holds a lock, and must not wait for
/// another thread to get a processor. Somebody has to look after the caller, should the process not answer.
pub fn variables<const N: usize>(pid: i32, names: [&str; N]) -> [Option<String>; N] {
    let environment = environment(pid, |file| kernel::read(file).ok());
    names.map(|name| value_of(&environment, name))
}

fn environment(pid: i32, read: impl Fn(PathBuf) -> Option<Vec<u8>>) -> Vec<u8> {
    let files = views(pid).map(|path| path.join("environ"));
    files.filter_map(read).find(|bytes| !bytes.is_empty()).unwrap_or_default()
}

fn value_of(environment: &[u8], name: &str) -> Option<String> {
    environment.split(|b| *b == 0).find_map(|entry| {
        let entry = String::from_utf8_lossy(entry);
        entry.strip_prefix(name)?.strip_prefix('=').map(str::to_owned)
    })
}

/// A moment in the life of this machine, told by what it has started until then.
#[derive(Clone, Copy, Debug)]
pub struct Births {
    /// The number that was given out last, in this PID namespace.
    last: i32,
    /// All processes and threads since boot.
    count: u64,
}

/// None when it cannot be told.
pub fn births() -> Option<Births> {
    let last = kernel::text("/proc/loadavg").ok()?.split_ascii_whitespace().nth(4)?.parse().ok()?;
    let stat = kernel::read("/proc/stat").ok()?;
    let line = stat.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"processes "))?;
    Some(Births { last, count: std::str::from_utf8(line).ok()?.trim().parse().ok()? })
}

/// Whether a number may have been given out between two moments. Numbers ascend and start again after the highest
/// (alloc_pid in kernel/pid.c); if so many were given out that they may have met, any may be new.
pub fn is_new(pid: i32, from: Births, to: Births, highest: u64) -> bool {
    if to.count.saturating_sub(from.count) > highest / 2 {
        return true;
    }
    if from.last <= to.last { from.last < pid && pid <= to.last } else { from.last < pid || pid <= to.last }
}

/// So many numbers are asked for one by one: to list all processes costs more than that on most machines.
const FEW: i32 = 2000;

/// The numbers that were given out between two moments, if they are few.
fn numbers_between(from: Births, to: Births, highest: u64) -> Option<RangeInclusive<i32>> {
    let few = from.last <= to.last && to.last - from.last <= FEW;
    let started = to.count.saturating_sub(from.count);
    (few && started <= highest / 2).then(|| from.last + 1..=to.last)
}

/// Whether this is the number of a process, living or not reaped yet. A thread has a number, too, of which no pidfd is to
/// be had.
fn is_process(pid: i32) -> bool {
    let there = kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH);
    there && !matches!(pidfd::open(pid), Err(Errno::ESRCH | Errno::EINVAL | Errno::ENOENT))
}

/// The processes that were started with this entry (`NAME=value`) in their environment, as far as it may be read, and
/// those that do not answer or could not be asked within `bound`. Those that were there before `since` are not asked: that
/// would be most of a machine, 30 µs each.
pub fn carriers(entry: &str, since: Option<Births>, bound: Duration) -> (Vec<i32>, Vec<i32>) {
    let highest = kernel::text("/proc/sys/kernel/pid_max").ok().and_then(|text| text.trim().parse().ok());
    let window = since.zip(births()).zip(highest);
    let asked: VecDeque<i32> = match window {
        Some(((from, to), highest)) => match numbers_between(from, to, highest) {
            Some(numbers) => numbers.filter(|pid| is_process(*pid)).collect(),
            None => pids().filter(|pid| is_new(*pid, from, to, highest)).collect(),
        },
        None => pids().collect(),
    };
    let entry = entry.as_bytes().to_vec();
    let carries = move |pid| {
        let environment = kernel::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|b| *b == 0).any(|variable| variable == entry)
    };
    let (answers, missed) = memory::each(asked, bound, carries);
    (answers.into_iter().filter(|(_, carries)| *carries).map(|(pid, _)| pid).collect(), missed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_new_when_they_were_given_out_between_two_moments() {
        let at = |last, count| Births { last, count };
        for (pid, from, to, new) in [
            (11, at(10, 0), at(20, 10), true),
            (10, at(10, 0), at(20, 10), false),
            (21, at(10, 0), at(20, 10), false),
            (10, at(10, 0), at(10, 0), false),
            // Past the highest number.
            (990, at(980, 0), at(305, 30), true),
            (305, at(980, 0), at(305, 30), true),
            (306, at(980, 0), at(305, 30), false),
            (980, at(980, 0), at(305, 30), false),
            // Perhaps all the way round.
            (10, at(10, 0), at(20, 600), true),
        ] {
            assert_eq!(is_new(pid, from, to, 1000), new, "{pid} from {from:?} to {to:?}");
        }
    }

    #[test]
    fn few_numbers_are_asked_for_one_by_one() {
        let at = |last, count| Births { last, count };
        assert_eq!(numbers_between(at(10, 0), at(12, 2), 30_000), Some(11..=12));
        assert!(numbers_between(at(10, 0), at(10, 0), 30_000).is_some_and(|numbers| numbers.is_empty()));
        assert_eq!(numbers_between(at(10, 0), at(2011, 2001), 30_000), None, "they are many");
        assert_eq!(numbers_between(at(12, 0), at(10, 9), 30_000), None, "past the highest");
        assert_eq!(numbers_between(at(10, 0), at(12, 20_000), 30_000), None, "perhaps all the way round");
    }

    #[test]
    fn the_number_of_a_thread_is_not_that_of_a_process() {
        let me = std::process::id().cast_signed();
        assert!(is_process(me));
        let (send, receive) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let sleeper = std::thread::spawn(move || {
            send.send(nix::unistd::gettid().as_raw()).expect("somebody waits");
            let _ = ended.recv();
        });
        assert!(!is_process(receive.recv().expect("a number")));
        drop(end);
        sleeper.join().expect("no panic");
    }

    #[test]
    fn a_process_is_found_by_an_entry_of_its_environment_and_by_no_other() {
        let births = births().expect("/proc/loadavg and /proc/stat");
        assert!(births.last > 0 && births.count > 0, "{births:?}");
        let path = format!("PATH={}", std::env::var("PATH").expect("a PATH"));
        let me = std::process::id().cast_signed();
        let plenty = Duration::from_secs(100);
        assert!(carriers(&path, None, plenty).0.contains(&me));
        assert!(!carriers(&path[..path.len() - 1], None, plenty).0.contains(&me));
        assert!(!carriers(&path, Some(births), plenty).0.contains(&me), "it was there before");
        let (found, missed) = carriers(&path, None, Duration::ZERO);
        assert!(found.is_empty() && missed.contains(&std::process::id().cast_signed()));
    }
}
