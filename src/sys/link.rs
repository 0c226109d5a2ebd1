//! Messages between guard and host, over a pair of sockets: unlike signals they are not lost while the
//! host starts, and they say why.

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// From the guard: what the host must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Stop gracefully because of this signal.
    Stop(i32),
    /// SIGKILL everything now, because of this signal.
    Kill(i32),
}

/// From the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// The script is over and the stop has begun; it will take this many milliseconds at most.
    Stopping(i32),
    /// Everything is over: the exit code, whether the run directory is to be kept, and whether processes are left
    /// that nothing could end and that the host has named.
    Outcome { code: i32, keep: bool, left: bool },
    /// As `Outcome`, for a run that a signal ended.
    Signalled { signal: i32, keep: bool, left: bool },
}

/// One end. SOCK_SEQPACKET: a message arrives whole or not at all, and the other end's death reads as end.
pub struct Link(OwnedFd);

/// What came, if anything has.
pub enum Received<T> {
    Message(T),
    Nothing,
    /// The other end is gone.
    End,
}

pub fn pair() -> nix::Result<(Link, Link)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (a, b) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    Ok((Link(a), Link(b)))
}

fn flags(keep: bool, left: bool) -> i32 {
    i32::from(keep) | i32::from(left) << 1
}

impl Link {
    pub fn order(&self, order: Order) {
        match order {
            Order::Stop(signal) => self.send([1, signal, 0]),
            Order::Kill(signal) => self.send([2, signal, 0]),
        }
    }

    pub fn next_order(&self) -> Received<Order> {
        self.receive(|[kind, signal, _]| match kind {
            2 => Order::Kill(signal),
            _ => Order::Stop(signal),
        })
    }

    pub fn report(&self, report: Report) {
        match report {
            Report::Stopping(ms) => self.send([1, ms, 0]),
            Report::Outcome { code, keep, left } => self.send([2, code, flags(keep, left)]),
            Report::Signalled { signal, keep, left } => self.send([3, signal, flags(keep, left)]),
        }
    }

    pub fn next_report(&self) -> Received<Report> {
        self.receive(|[kind, value, flags]| {
            let (keep, left) = (flags & 1 != 0, flags & 2 != 0);
            match kind {
                1 => Report::Stopping(value),
                3 => Report::Signalled { signal: value, keep, left },
                _ => Report::Outcome { code: value, keep, left },
            }
        })
    }

    fn send(&self, words: [i32; 3]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        // A failure means that the other side is gone, which its pidfd or SIGCHLD tells as well.
        let _ = send(self.0.as_raw_fd(), &bytes, MsgFlags::MSG_NOSIGNAL);
    }

    fn receive<T>(&self, read: impl Fn([i32; 3]) -> T) -> Received<T> {
        let mut bytes = [0u8; 12];
        match recv(self.0.as_raw_fd(), &mut bytes, MsgFlags::empty()) {
            Ok(12) => {
                let word =
                    |i: usize| i32::from_ne_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
                Received::Message(read([word(0), word(4), word(8)]))
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Received::Nothing,
            _ => Received::End,
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
