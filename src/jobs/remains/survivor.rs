//! Processes that are still there: who they are, and whether SIGKILL reaches them.

use crate::sys::names::user_name;
use crate::sys::proc::{self, Stat};
use crate::sys::{signal, wait};

/// A process that is still there.
#[derive(Clone, Debug)]
pub struct Survivor {
    pub pid: i32,
    pub user: String,
    pub state: char,
    pub command: String,
    /// SIGKILL does not get through to it: another user's, or in uninterruptible sleep.
    pub beyond_reach: bool,
}

/// Every living descendant of this process; none where /proc speaks of others (the guard of a run with a PID namespace
/// needs none of its own).
pub fn survivors() -> Vec<Survivor> {
    // Who descends from us descends from a child of ours, or is one, since orphans become ours.
    if matches!(wait::peek_any(), wait::Peek::NoChild) || !proc::available() {
        return Vec::new();
    }
    let me = nix::unistd::getpid().as_raw();
    let tree = proc::descendants(me);
    // One of another user cannot be seen where /proc hides it (hidepid), but it is still our child.
    let hidden = proc::children(me).into_iter().filter(|pid| {
        !tree.iter().any(|stat| stat.pid == *pid) && matches!(wait::peek(*pid), wait::Peek::Living)
    });
    let hidden: Vec<Survivor> = hidden.map(unseen).collect();
    tree.into_iter().filter(Stat::alive).map(described).chain(hidden).collect()
}

fn unseen(pid: i32) -> Survivor {
    let (user, command) = ("?".to_owned(), "? (/proc hides it)".to_owned());
    Survivor { pid, user, state: '?', command, beyond_reach: is_forbidden(pid) }
}

/// A living process, with what names it.
pub(crate) fn survivor(pid: i32) -> Option<Survivor> {
    proc::stat(pid).filter(Stat::alive).map(described)
}

fn described(stat: Stat) -> Survivor {
    Survivor {
        pid: stat.pid,
        user: proc::uid(stat.pid).map_or_else(|| "?".to_owned(), user_name),
        state: stat.state,
        command: proc::command(stat.pid),
        beyond_reach: beyond_reach(&stat),
    }
}

/// The short name of a process.
pub fn process_name(pid: i32) -> String {
    proc::name(pid).unwrap_or_else(|| "?".to_owned())
}

/// SIGKILL does not get through to it: another user's, or in uninterruptible sleep. On its way out it may sleep so, too,
/// for locks of the kernel's whose holder gets no processor.
pub(crate) fn beyond_reach(stat: &Stat) -> bool {
    stat.state == 'D' && !stat.exiting || is_forbidden(stat.pid)
}

/// Another user's: we may not signal it.
pub(crate) fn is_forbidden(pid: i32) -> bool {
    signal::kill(pid, 0) == Err(nix::errno::Errno::EPERM)
}
