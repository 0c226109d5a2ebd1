//! `bgjobs doctor`: what this machine offers, and what the promise covers here. Everything is found by doing it, in
//! processes that are thrown away; settings are no evidence.

use crate::cli;
use crate::end;
use crate::exit;
use crate::isolate::{self, Isolation};
use crate::jobs::cgroup::{self, Limits};
use crate::jobs::port::{self, NoLoopback};
use crate::report::{self, Check, Diagnosis};
use crate::rundir;
use crate::sys::fork::{self, Forked};
use crate::sys::page;
use crate::sys::wait::{self, ExitStatus, Peek};
use crate::sys::{clock, fd, pidfd, proc, watch};
use nix::libc::{SIGKILL, SIGTERM};
use nix::sys::signal::Signal;
use std::os::fd::AsFd;
use std::time::Duration;

/// How long anything that must happen in a trial may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Tries everything, shows it, and says by its exit code whether the basic promise holds.
pub fn doctor(options: &cli::Doctor) -> i32 {
    let kernel = nix::sys::utsname::uname()
        .map(|name| name.release().to_string_lossy().into_owned())
        .unwrap_or_default();
    let isolated =
        |walls: Isolation| isolate::trial(walls).map_err(|obstacle| report::obstacle(walls, obstacle));
    let mut basic = vec![
        check("kernel", new_enough(&kernel).then_some(kernel.clone()).ok_or(kernel)),
        check("pidfd", trial(handles_work)),
        check("subreaper", trial(|| orphan_of_a_trial(false) == Some(ExitStatus::Code(ADOPTED)))),
        check("parent-death signal", trial(|| orphan_of_a_trial(true) == Some(ExitStatus::Signal(SIGTERM)))),
        check("/proc", proc::available().then(String::new).ok_or_else(String::new)),
        check("run directory", run_directory()),
    ];
    let holds = basic.iter().all(|check| check.result.is_ok());
    let pid = isolated(Isolation { pid: true, ..Isolation::default() });
    let others = vec![
        check("--isolate pid", pid.clone().map(|()| String::new())),
        check(
            "--isolate net",
            isolated(Isolation { net: true, ..Isolation::default() }).map(|()| String::new()),
        ),
        check(
            "--isolate ipc",
            isolated(Isolation { ipc: true, ..Isolation::default() }).map(|()| String::new()),
        ),
    ];
    let diagnosis = Diagnosis { holds, isolate_pid: pid.is_ok() };
    basic.extend(others);
    basic.extend(walls());
    basic.extend([
        check("loopback", loopback()),
        check("other users", proc::stat(1).map(|_| String::new()).ok_or_else(String::new)),
        check("inotify", inotify()),
        check("descriptors", Ok(descriptors())),
    ]);
    match report::doctor(&basic, diagnosis, options.json) {
        exit::OK if !holds => exit::FAILED,
        shown => shown,
    }
}

fn check(name: &'static str, result: Result<String, String>) -> Check {
    Check { name, result }
}

/// Runs it in a process that is thrown away.
fn trial(what: impl FnOnce() -> bool) -> Result<String, String> {
    match fork::trial(what) {
        Ok(true) => Ok(String::new()),
        Ok(false) => Err(String::new()),
        Err(errno) => Err(format!("cannot fork: {}", errno.desc())),
    }
}

/// The oldest that the project is written for; with an unreadable version the trials decide.
fn new_enough(release: &str) -> bool {
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => (major, minor) >= (5, 4),
        _ => true,
    }
}

/// A child is held by a pidfd, signalled by it and its end awaited by it.
fn handles_work() -> bool {
    let Ok(Forked::Parent(child)) = fork::fork_single_threaded().map(stay) else { return false };
    pidfd::open(child).is_ok_and(|handle| {
        let sent = pidfd::send(&handle, SIGKILL).is_ok();
        sent && fd::wait_readable(&[handle.as_fd()], Some(PATIENCE))[0]
    })
}

/// In the child: stays for a while, then ends. In the parent: nothing.
fn stay(forked: Forked) -> Forked {
    if let Forked::Child = forked {
        std::thread::sleep(PATIENCE);
        fork::leave(0);
    }
    forked
}

/// The exit code of an orphan that has seen its new parent.
const ADOPTED: i32 = 7;

/// How the grandchild of this process ends whose parent ends before it, as seen by this process, which a subreaper
/// sees. `bound` to its parent: it has asked for a signal at the parent's death.
fn orphan_of_a_trial(bound: bool) -> Option<ExitStatus> {
    fork::become_subreaper().ok()?;
    let (ready, say_ready) = fd::pipe().ok()?;
    let me = std::process::id().cast_signed();
    let parent = match fork::fork_single_threaded().ok()? {
        Forked::Parent(parent) => parent,
        Forked::Child => {
            if let Ok(Forked::Child) = fork::fork_single_threaded() {
                if bound && fork::on_parent_death(Signal::SIGTERM).is_err() {
                    fork::leave(1);
                }
                let _ = nix::unistd::write(&say_ready, b".");
                let until = clock::now() + PATIENCE;
                while clock::now() < until {
                    if !bound && nix::unistd::getppid().as_raw() == me {
                        fork::leave(ADOPTED);
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                fork::leave(0);
            }
            // Not before its child is as it should be.
            fd::wait_readable(&[ready.as_fd()], Some(PATIENCE));
            fork::leave(0);
        }
    };
    let until = clock::now() + PATIENCE * 2;
    while clock::now() < until {
        match wait::reap_any() {
            Peek::Ended(pid, status) if pid != parent => return Some(status),
            Peek::Ended(..) => {}
            Peek::Living => std::thread::sleep(Duration::from_millis(1)),
            Peek::NoChild => return None,
        }
    }
    None
}

/// Makes one, with the memory that guard and host share, and removes it.
fn run_directory() -> Result<String, String> {
    let page = page::create().map_err(|errno| format!("cannot map shared memory: {errno}"))?;
    let made = rundir::create(page, false).map_err(|error| format!("{error:#}"))?;
    let base = rundir::base();
    let free = nix::sys::statvfs::statvfs(&base)
        .map(|fs| fs.blocks_available().saturating_mul(fs.fragment_size()))
        .unwrap_or(0);
    end::undo(&made, None);
    Ok(report::run_directory(&base, free, page.is_shown()))
}

/// The walls of cgroups: one of its own for a run, and the limits in it.
fn walls() -> Vec<Check> {
    let name = format!("{}doctor-{}", rundir::PREFIX, std::process::id());
    match cgroup::create(&name, vec![std::process::id().cast_signed()]) {
        Err(why) => vec![check("cgroup", Err(why))],
        Ok(cgroup) => {
            let limit =
                |limits| cgroup.limited(limits).map(|_| String::new()).map_err(|refused| refused.reason);
            let memory = limit(Limits { memory: Some(64 << 20), procs: None });
            let procs = limit(Limits { memory: None, procs: Some(64) });
            let path = cgroup.path().parent().unwrap_or(cgroup.path()).display().to_string();
            cgroup.remove(false);
            vec![check("cgroup", Ok(path)), check("max_memory", memory), check("max_procs", procs)]
        }
    }
}

/// Whether servers can be reached at all.
fn loopback() -> Result<String, String> {
    port::loopback().map(|()| String::new()).map_err(|obstacle| match obstacle {
        NoLoopback::Forbidden(reason) => format!("no port may be opened or connected to ({reason})"),
        NoLoopback::Down => "the interface `lo` is down (`ip link set lo up`)".to_owned(),
    })
}

fn inotify() -> Result<String, String> {
    let watches = watch::create().is_some_and(|watch| watch.directory(&rundir::base()));
    watches.then(String::new).ok_or_else(String::new)
}

fn descriptors() -> String {
    use nix::sys::resource::{Resource, getrlimit};
    let (before, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((0, 0));
    fd::raise_limit();
    let (after, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((0, 0));
    report::descriptors(before, after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_kernels() {
        for release in ["5.4.0", "5.10-rc1", "6.18.44-fc-v669", "11.0", "strange"] {
            assert!(new_enough(release), "{release}");
        }
        for release in ["5.3.18-default", "4.19", "3.10.0-1160.el7.x86_64"] {
            assert!(!new_enough(release), "{release}");
        }
    }
}
