//! Which signals the guard handles.

use crate::sys::signal;
use nix::sys::signal::Signal;

/// What ends a run gracefully.
pub(super) const STOPPING: [Signal; 3] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM];

/// HUP, INT, QUIT and TSTP that were ignored when we started stay ignored (nohup, `&` in a shell).
pub(super) fn handled_signals() -> Vec<Signal> {
    let mut list = vec![Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGCONT];
    let kept = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTSTP];
    list.extend(kept.into_iter().filter(|signal| !signal::is_ignored(*signal)));
    list
}
