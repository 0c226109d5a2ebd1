//! The threads of a process, and how long each has waited for a processor.

use super::stat::parse_stat;
use crate::sys::kernel;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The threads of a process that run or wait for a processor, each with how long it has run, in nanoseconds. None where
/// the kernel does not count that.
pub fn runnable(pid: i32) -> Vec<(i32, u64)> {
    let of = |path: PathBuf| {
        let stat = parse_stat(&String::from_utf8_lossy(&kernel::read(path.join("stat")).ok()?))?;
        let [has_run, _] = schedstat(&path)?;
        (stat.state == 'R').then_some((stat.pid, has_run))
    };
    tasks(pid).filter_map(of).collect()
}

/// How long each thread of a process has waited for a processor although it could have run, in nanoseconds.
pub fn delays(pid: i32) -> HashMap<i32, u64> {
    let of = |path: PathBuf| {
        let [_, has_waited] = schedstat(&path)?;
        Some((path.file_name()?.to_str()?.parse().ok()?, has_waited))
    };
    tasks(pid).filter_map(of).collect()
}

pub fn tasks(pid: i32) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten().map(|task| task.path())
}

/// The first two numbers of /proc/PID/task/TID/schedstat (Documentation/scheduler/sched-stats.rst).
fn schedstat(task: &Path) -> Option<[u64; 2]> {
    let text = kernel::text(task.join("schedstat")).ok()?;
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    Some([numbers.next()?.ok()?, numbers.next()?.ok()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_sleeps_is_not_runnable() {
        let (send, receive) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let sleeper = std::thread::spawn(move || {
            send.send(nix::unistd::gettid().as_raw()).expect("somebody waits");
            let _ = ended.recv();
        });
        let (me, them) = (nix::unistd::gettid().as_raw(), receive.recv().expect("a number"));
        let pid = std::process::id().cast_signed();
        loop {
            let runnable = runnable(pid);
            assert!(runnable.iter().any(|(thread, _)| *thread == me), "{runnable:?}");
            // It may still be on its way to sleep.
            if !runnable.iter().any(|(thread, _)| *thread == them) {
                break;
            }
        }
        drop(end);
        sleeper.join().expect("no panic");
    }
}
