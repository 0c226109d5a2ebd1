//! Terminal modes, saved at the start and restored at the end: a job may have changed them; and how wide a terminal is.

use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use std::io::IsTerminal;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

pub struct Modes(Option<Termios>);

/// How many columns a terminal has; none of anything else.
pub fn columns(terminal: BorrowedFd) -> Option<usize> {
    let mut size = nix::libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the descriptor is open, and `size` is what this request fills (ioctl_tty(2)).
    let done = unsafe { nix::libc::ioctl(terminal.as_raw_fd(), nix::libc::TIOCGWINSZ, &raw mut size) };
    (done == 0 && size.ws_col > 0).then_some(size.ws_col.into())
}

pub fn save() -> Modes {
    let stdin = std::io::stdin();
    Modes(if stdin.is_terminal() { tcgetattr(stdin.as_fd()).ok() } else { None })
}

impl Modes {
    /// Puts the modes back if they differ. Needs TTOU ignored: we may be in the background by now.
    pub fn restore(&self) {
        let stdin = std::io::stdin();
        if let (Some(saved), Ok(now)) = (&self.0, tcgetattr(stdin.as_fd()))
            && *saved != now
        {
            let _ = tcsetattr(stdin.as_fd(), SetArg::TCSANOW, saved);
        }
    }
}
