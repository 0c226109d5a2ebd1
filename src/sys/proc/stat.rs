//! One line of /proc/PID/stat (proc_pid_stat(5)): who a process is, how it is, and what it uses.

use crate::sys::{clock, kernel};
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// One line of /proc/PID/stat (proc_pid_stat(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    pub pid: i32,
    pub ppid: i32,
    pub pgrp: i32,
    pub session: i32,
    /// Its controlling terminal; 0 when it has none.
    pub terminal: i32,
    pub state: char,
    /// It is on its way out (PF_EXITING): whatever it still waits for, SIGKILL has reached it.
    pub exiting: bool,
    /// It ends, or has SIGKILL ahead of it: no signal that is sent to it now changes how it ends.
    pub doomed: bool,
    pub threads: i64,
    /// Clock ticks after boot: with the pid it names one process for ever.
    pub start: u64,
}

impl Stat {
    /// Whether any thread still runs. A process whose leading thread has exited while others live reads as
    /// state Z with more than one thread.
    pub fn alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x') || self.threads > 1
    }
}

impl Stat {
    /// How long ago it was started.
    pub fn age(&self) -> Duration {
        clock::since_boot().saturating_sub(ticks(self.start))
    }
}

/// A number of clock ticks as time.
fn ticks(number: u64) -> Duration {
    Duration::from_millis(number.saturating_mul(1000) / ticks_per_second())
}

fn ticks_per_second() -> u64 {
    // SAFETY: sysconf only asks.
    let per_second = unsafe { nix::libc::sysconf(nix::libc::_SC_CLK_TCK) };
    u64::try_from(per_second).unwrap_or(100).max(1)
}

/// The start time, as in [`Stat`], of a process that was started between these two moments ([`clock::since_boot`]): the
/// kernel takes it from the same clock, and counts whole ticks. None when a tick has passed meanwhile: then /proc has it, to
/// read which takes a hundred times as long.
pub fn start_between(before: Duration, after: Duration) -> Option<u64> {
    /// The kernel's clock and what a program reads of it may differ by how they are rounded.
    const MARGIN: Duration = Duration::from_micros(1);
    let per_second = u128::from(ticks_per_second());
    let tick = |moment: Duration| u64::try_from(moment.as_nanos() * per_second / 1_000_000_000).ok();
    let (first, last) = (tick(before.saturating_sub(MARGIN))?, tick(after + MARGIN)?);
    (first == last).then_some(first)
}

/// What processes use of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Memory that is resident, in bytes; what processes share counts in each.
    pub rss: u64,
    /// Processor time, user and system, children that were waited for included; in clock ticks, of which there are
    /// usually a hundred a second.
    pub cpu: Duration,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.rss += other.rss;
        self.cpu += other.cpu;
    }
}

/// What a process uses; of one that has ended and was not waited for yet, what it has used.
pub fn usage(pid: i32) -> Option<Usage> {
    let bytes = kernel::line(format!("/proc/{pid}/stat")).ok()?;
    parse_usage(&String::from_utf8_lossy(&bytes))
}

/// In bytes: 4096 on most machines, up to 64 KiB on some with aarch64.
fn page_size() -> u64 {
    // SAFETY: sysconf only asks.
    u64::try_from(unsafe { nix::libc::sysconf(nix::libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

fn parse_usage(text: &str) -> Option<Usage> {
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let page = page_size();
    // utime, stime, cutime, cstime.
    let cpu = [11, 12, 13, 14].into_iter().map(number).sum::<Option<u64>>()?;
    Some(Usage { rss: number(21)?.saturating_mul(page), cpu: ticks(cpu) })
}

pub fn stat(pid: i32) -> Option<Stat> {
    stat_of(pid).ok().flatten()
}

/// Whether this is the controlling terminal of a process, and others are in its foreground.
pub fn in_background(pid: i32, terminal: BorrowedFd) -> bool {
    let Ok(meta) = nix::sys::stat::fstat(terminal) else { return false };
    let (major, minor) = (nix::sys::stat::major(meta.st_rdev), nix::sys::stat::minor(meta.st_rdev));
    // As the kernel writes it (tty_nr in proc_pid_stat(5)).
    let number = (minor & 0xff) | (major << 8) | ((minor & 0xfff00) << 12);
    kernel::read(format!("/proc/{pid}/stat"))
        .is_ok_and(|bytes| parse_in_background(&String::from_utf8_lossy(&bytes), number))
}

/// Its group (field 5), its terminal, and the group in the foreground of that.
fn parse_in_background(text: &str, terminal: u64) -> bool {
    let fields = text.rfind(')').map_or("", |end| &text[end + 1..]);
    let fields: Vec<i32> = fields.split_ascii_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
    let number = |at: usize| fields.get(at).copied().unwrap_or(0);
    u64::try_from(number(4)) == Ok(terminal) && number(5) > 0 && number(2) != number(5)
}

/// No descriptor was left to read with: what is not seen may be there all the same.
pub(super) struct Blind;

pub(super) fn blind(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(nix::libc::EMFILE | nix::libc::ENFILE))
}

pub(super) fn stat_of(pid: i32) -> Result<Option<Stat>, Blind> {
    match kernel::line(format!("/proc/{pid}/stat")) {
        // The kernel cuts the name after 15 bytes, through a character if need be.
        Ok(bytes) => Ok(parse_stat(&String::from_utf8_lossy(&bytes))),
        Err(error) if blind(&error) => Err(Blind),
        Err(_) => Ok(None),
    }
}

const KILL: u64 = 1 << (nix::libc::SIGKILL - 1);

/// The command name may hold spaces and parentheses, so the fields are counted after the *last* `)`.
pub(super) fn parse_stat(text: &str) -> Option<Stat> {
    let pid = text.split(' ').next()?.parse().ok()?;
    let rest = &text[text.rfind(')')? + 1..];
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let exiting = fields.get(6)?.parse::<u32>().ok()? & nix::libc::PF_EXITING.cast_unsigned() != 0;
    let threads: i64 = fields.get(17)?.parse().ok()?;
    // SIGKILL is pending in each thread (field 31). The first thread alone may end while others go on.
    let pending: u64 = fields.get(28).and_then(|field| field.parse().ok()).unwrap_or(0);
    Some(Stat {
        pid,
        state: fields.first()?.chars().next()?,
        ppid: fields.get(1)?.parse().ok()?,
        pgrp: fields.get(2)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        terminal: fields.get(4)?.parse().ok()?,
        exiting,
        doomed: exiting && threads <= 1 || pending & KILL != 0,
        threads,
        start: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_with_parentheses_does_not_shift_the_fields() {
        let text = "77 (a) b (c)) S 5 6 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 3 0 9876 1 2 3";
        let stat = parse_stat(text).expect("parses");
        assert_eq!((stat.pid, stat.ppid, stat.pgrp, stat.session), (77, 5, 6, 7));
        assert_eq!((stat.state, stat.threads, stat.start, stat.exiting), ('S', 3, 9876, false));
        assert!(!stat.doomed);
        let killed = text.replace(" 9876 1 2 3", " 9876 1 2 3 0 0 0 0 0 256 0");
        assert!(parse_stat(&killed).expect("parses").doomed, "SIGKILL is pending");
        let text = text.replace("4194560", "4194564");
        let stat = parse_stat(&text).expect("parses");
        assert!(stat.exiting && !stat.doomed, "other threads go on");
        let alone = parse_stat(&text.replace(" 20 0 3 0 9876", " 20 0 1 0 9876")).expect("parses");
        assert!(alone.doomed);
    }

    #[test]
    fn who_is_in_the_background_has_a_terminal_that_others_have() {
        for (text, background) in [
            ("77 (a) S 5 6 7 34816 6 0", false),
            ("77 (a) S 5 6 7 34816 8 0", true),
            ("77 (a) S 5 6 7 34816 -1 0", false),
            ("77 (a) S 5 6 7 34817 8 0", false),
            ("77 (a) S 5 6 7 0 -1 0", false),
            ("77 (a", false),
        ] {
            assert_eq!(parse_in_background(text, 34816), background, "{text}");
        }
    }

    #[test]
    fn a_truncated_line_is_no_process() {
        for text in ["", "77", "77 (x", "77 (x) S 1", "x (y) S 1 2 3"] {
            assert_eq!(parse_stat(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_process_with_a_dead_leading_thread_is_alive() {
        let mut stat = parse_stat("1 (x) Z 1 1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 1 0 5 0").expect("parses");
        assert!(!stat.alive());
        stat.threads = 2;
        assert!(stat.alive());
    }

    #[test]
    fn no_line_makes_the_reader_of_processes_panic() {
        let lines = [
            "77 (a) b (c)) S 5 6 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 3 0 9876 1 2 3",
            "1 (x) Z 1 1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 1 0 5 0",
        ];
        crate::fuzz::for_a_while("proc", |random| {
            let mut line = random.pick(&lines).as_bytes().to_vec();
            random.mutate(&mut line);
            let _ = parse_stat(&String::from_utf8_lossy(&line));
            let _ = parse_stat(&random.text(60));
        });
    }
}
