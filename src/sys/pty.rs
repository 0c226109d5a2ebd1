//! Pseudo terminals (pty(7)).

use super::tty::Window;
use nix::errno::Errno;
use nix::libc;
use nix::sys::termios::{InputFlags, OutputFlags, SetArg, tcgetattr, tcsetattr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// End of file, as it is typed (VEOF, Ctrl-D).
pub const END_OF_FILE: u8 = 4;

/// How many reads take all that can be in a terminal: the kernel holds some 64 KiB, and hands out at most 4 KiB.
pub const READS: usize = 32;

pub struct Pair {
    /// Our side, non-blocking.
    pub master: OwnedFd,
    /// The side of the programs.
    pub slave: OwnedFd,
}

/// A new terminal. Both ends are close-on-exec from their birth, since another thread may fork at any time, and
/// neither becomes our own controlling terminal.
///
/// What comes out has the line ends that the program has written, if it goes into a file; `on_screen`: those that a terminal
/// needs.
pub fn open((rows, columns): Window, on_screen: bool) -> nix::Result<Pair> {
    const FLAGS: libc::c_int = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: plain system calls; what they return is a new descriptor that nobody else has. TIOCGPTPEER (Linux 4.13)
    // opens the other end by what we have, not by a path that may be another one in our mount namespace.
    let (master, slave) = unsafe {
        let master = libc::open(c"/dev/ptmx".as_ptr(), FLAGS | libc::O_NONBLOCK);
        let master = OwnedFd::from_raw_fd(Errno::result(master)?);
        let unlocked: libc::c_int = 0;
        Errno::result(libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked))?;
        let slave = libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, FLAGS);
        (master, OwnedFd::from_raw_fd(Errno::result(slave)?))
    };
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel only reads the size.
    Errno::result(unsafe { libc::ioctl(slave.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) })?;
    let mut modes = tcgetattr(&slave)?;
    modes.output_flags.set(OutputFlags::ONLCR, on_screen);
    modes.input_flags.insert(InputFlags::IUTF8);
    tcsetattr(&slave, SetArg::TCSANOW, &modes)?;
    Ok(Pair { master, slave })
}
