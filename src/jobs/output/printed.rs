//! What the script itself prints. Where it would only be written as it is, as soon as there is room for it, the thread that
//! prints does so: to wake another one for it takes longer than the write.

use crate::event::Bus;
use crate::sys::fd::Written;
use crate::sys::stream;
use bytes::Bytes;
use std::os::fd::AsFd;

/// Prints to stdout; what does not go there at once is emitted, when there is room for it or `give_up` says so.
pub fn print(bus: &Bus, bytes: Bytes, give_up: impl Fn() -> bool) {
    let write = |bytes: &[u8]| match stream::write_at_once(std::io::stdout().as_fd(), bytes) {
        Some(Written::Bytes(written)) => written,
        // Who is gone, or why nothing can be written, the thread that writes has to find.
        _ => 0,
    };
    bus.print(bytes, write, give_up);
}
