//! Terminal modes, saved at the start and restored at the end: a job may have changed them; how large a terminal is; and
//! whether it is ours to hand on.

use nix::libc;
use nix::sys::termios::{
    LocalFlags, SetArg, SpecialCharacterIndices, Termios, cfmakeraw, tcgetattr, tcsetattr,
};
use nix::unistd::{getpgrp, tcgetpgrp};
use std::io::IsTerminal;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

pub struct Modes(Option<Termios>);

/// How many rows and columns a terminal has.
pub type Window = (u16, u16);

/// The terminal does nothing to what is written: see [`Modes::make_raw`].
static RAW: AtomicBool = AtomicBool::new(false);

/// How many columns a terminal has; none of anything else.
pub fn columns(terminal: BorrowedFd) -> Option<usize> {
    window(terminal).map(|(_, columns)| columns.into())
}

/// The size of a terminal that knows it; none of anything else.
pub fn window(terminal: BorrowedFd) -> Option<Window> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the descriptor is open, and `size` is what this request fills (ioctl_tty(2)).
    let done = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    (done == 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// Tells a terminal its size, and by that (SIGWINCH) whoever is in its foreground.
pub fn resize(terminal: BorrowedFd, (rows, columns): Window) {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the descriptor is open, and the kernel only reads the size.
    unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
}

/// Whether a user sits there: stdin and stdout are terminals, and we are in the foreground of the first, so that what is
/// typed is meant for us. In a session of its own, as the host has one, it is not known any more.
pub fn is_ours() -> bool {
    let (stdin, stdout) = (std::io::stdin(), std::io::stdout());
    stdin.is_terminal() && stdout.is_terminal() && tcgetpgrp(&stdin) == Ok(getpgrp())
}

/// Whether lines that we write have to end with a carriage return as well.
pub fn is_raw() -> bool {
    RAW.load(SeqCst)
}

pub fn save() -> Modes {
    let stdin = std::io::stdin();
    Modes(if stdin.is_terminal() { tcgetattr(stdin.as_fd()).ok() } else { None })
}

impl Modes {
    /// Hands each key on as it is typed, Ctrl-C included, and shows what is written as it is, until [`Modes::restore`].
    pub fn make_raw(&self) {
        let Some(mut modes) = self.0.clone() else { return };
        cfmakeraw(&mut modes);
        if tcsetattr(std::io::stdin().as_fd(), SetArg::TCSANOW, &modes).is_ok() {
            RAW.store(true, SeqCst);
        }
    }

    /// Hands each key on as it is typed, and does not show it; Ctrl-C and the like stay what they are.
    pub fn hand_on_keys(&self) {
        let Some(mut modes) = self.0.clone() else { return };
        modes.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
        modes.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        modes.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        let _ = tcsetattr(std::io::stdin().as_fd(), SetArg::TCSANOW, &modes);
    }

    /// Puts the modes back if they differ. Needs TTOU ignored: we may be in the background by now.
    pub fn restore(&self) {
        RAW.store(false, SeqCst);
        let stdin = std::io::stdin();
        if let (Some(saved), Ok(now)) = (&self.0, tcgetattr(stdin.as_fd()))
            && *saved != now
        {
            let _ = tcsetattr(stdin.as_fd(), SetArg::TCSANOW, saved);
        }
    }
}
