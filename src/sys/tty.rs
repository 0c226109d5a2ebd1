//! Terminal modes, saved at the start and restored at the end: a job may have changed them.

use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use std::io::IsTerminal;
use std::os::fd::AsFd;

pub struct Modes(Option<Termios>);

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
