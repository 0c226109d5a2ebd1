//! Signals: masks, dispositions, a signalfd, names.

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{self, SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Blocks these signals in the calling thread, and in every thread that it starts from now on.
pub fn block(signals: &[Signal]) -> nix::Result<()> {
    signal::sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set(signals)), None)
}

/// Unblocks these signals in the calling thread.
fn unblock(signals: &[Signal]) -> nix::Result<()> {
    signal::sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&set(signals)), None)
}

/// Empties the mask of the calling thread.
pub fn unblock_all() -> nix::Result<()> {
    signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

/// Blocks these signals and no others in the calling thread.
pub fn block_only(signals: &[Signal]) -> nix::Result<()> {
    signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&set(signals)), None)
}

/// A descriptor that reads these (blocked) signals; non-blocking, close-on-exec.
pub fn descriptor(signals: &[Signal]) -> nix::Result<SignalFd> {
    SignalFd::with_flags(&set(signals), SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

fn set(signals: &[Signal]) -> SigSet {
    signals.iter().copied().collect()
}

pub fn default(signal: Signal) {
    act(signal, SigHandler::SigDfl);
}

pub fn ignore(signal: Signal) {
    act(signal, SigHandler::SigIgn);
}

/// Those whose disposition was not the default one when a child was first prepared, or has been set since.
static CHANGED: AtomicU64 = AtomicU64::new(0);

/// The signals of which a child must reset what it inherits of us, a bit each. The kernel is asked once, and not by each
/// child for each of 64: what is set later is set here.
pub(super) fn changed() -> u64 {
    static ASKED: Once = Once::new();
    ASKED.call_once(|| (1..=64).filter(|number| !is_default(*number)).for_each(note_change));
    CHANGED.load(SeqCst)
}

fn note_change(number: i32) {
    CHANGED.fetch_or(1 << (number - 1), SeqCst);
}

/// libc refuses to tell of its two internal signals, 32 and 33, as it refuses to touch them; nobody else sets them either.
fn is_default(number: i32) -> bool {
    // SAFETY: with a null new action sigaction only reads; the struct is plain data.
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        libc::sigaction(number, std::ptr::null(), &raw mut old) != 0 || old.sa_sigaction == libc::SIG_DFL
    }
}

fn act(signal: Signal, handler: SigHandler) {
    note_change(signal as i32);
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: neither SIG_DFL nor SIG_IGN runs any code of ours.
    let _ = unsafe { signal::sigaction(signal, &action) };
}

/// Whether this process was started with the signal ignored (nohup, or `&` in a shell without job control).
pub fn is_ignored(signal: Signal) -> bool {
    // SAFETY: with a null new action sigaction only reads; the struct is plain data.
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal as i32, std::ptr::null(), &raw mut old) == 0
            && old.sa_sigaction == libc::SIG_IGN
    }
}

/// Whether this signal, which the calling thread blocks, has come and nobody has taken it yet.
pub fn is_pending(signal: Signal) -> bool {
    // SAFETY: sigset_t is plain data for which all-zero bytes are valid, and sigpending only fills it.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigpending(&raw mut set) == 0 && libc::sigismember(&raw const set, signal as i32) == 1
    }
}

/// kill(2). A `signal` may be 0 (existence) or a real-time signal, which nix's enum has no name for.
pub fn kill(pid: i32, signal: i32) -> nix::Result<()> {
    // SAFETY: a plain system call.
    Errno::result(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Ends this process by `signal`, as if it had never been caught. Returns only when the signal does not
/// end it: pid 1 survives its own signals. Other pending signals stay blocked, or one of them would win.
pub fn die_of(signal: Signal) {
    default(signal);
    let _ = signal::kill(Pid::this(), signal);
    let _ = unblock(&[signal]);
}

/// Stops this process as a terminal does, with its default action: in an orphaned process group, which nobody
/// could continue, the kernel ignores it (setpgid(2)). Returns after the SIGCONT, with SIGTSTP blocked again.
pub fn stop_myself() {
    default(Signal::SIGTSTP);
    let _ = signal::kill(Pid::this(), Signal::SIGTSTP);
    let _ = unblock(&[Signal::SIGTSTP]);
    let _ = block(&[Signal::SIGTSTP]);
}

/// `TERM` for 15; real-time signals as `RTMIN+n`; the number for what has no name.
pub fn name(number: i32) -> String {
    match Signal::try_from(number) {
        Ok(signal) => signal.as_str().trim_start_matches("SIG").to_owned(),
        Err(_) if (34..=64).contains(&number) => format!("RTMIN+{}", number - 34),
        Err(_) => number.to_string(),
    }
}

/// The number of `TERM`, `sigterm`, `SIGTERM`, `15` or `RTMIN+1`.
pub fn number(name: &str) -> Option<i32> {
    let name = name.trim().to_ascii_uppercase();
    if let Ok(number) = name.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let bare = name.strip_prefix("SIG").unwrap_or(&name);
    if let Some(offset) = bare.strip_prefix("RTMIN+").and_then(|n| n.parse::<i32>().ok()) {
        return (0..=30).contains(&offset).then_some(34 + offset);
    }
    format!("SIG{bare}").parse::<Signal>().ok().map(|signal| signal as i32)
}

/// The names a user may write, for "did you mean".
pub fn names() -> Vec<String> {
    Signal::iterator().map(|signal| signal.as_str().trim_start_matches("SIG").to_owned()).collect()
}
