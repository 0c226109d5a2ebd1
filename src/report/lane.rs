//! What waits for one descriptor to take it, in the pieces in which it came: shared with whoever printed them, not copied.
//! Only small ones are put together, since each write costs.
//!
//! A write never waits for a reader: how much can be written at once depends on what the descriptor is.

use crate::sys::fd::{self, Written};
use crate::sys::stream;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// A piece that is shorter is copied behind others.
const SMALL: usize = 16 << 10;
/// So much is put together, and written to a file at once.
const LARGE: usize = 256 << 10;

/// How to write without waiting for a reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Way {
    /// A file, `/dev/null`: nobody reads it, and only a slow disk makes us wait.
    Through,
    /// A pipe, a socket: as much as it takes at once.
    AtOnce,
    /// A terminal, or an old kernel: little, and only when there is room for it.
    #[default]
    LittleByLittle,
}

#[derive(Default)]
pub(super) struct Lane {
    /// None of them is empty.
    pieces: VecDeque<Bytes>,
    /// What comes behind them.
    small: BytesMut,
    length: usize,
    way: Way,
    /// The last write has filled it: there is nothing to try before somebody has read.
    full: bool,
    /// It has been full, and somebody has read.
    is_read: bool,
    /// It takes nothing more.
    pub(super) closed: bool,
    /// Nobody waits for it any more.
    pub(super) given_up: bool,
    /// The last byte that it took was no newline.
    pub(super) within_line: bool,
}

impl Lane {
    pub(super) fn to(fd: BorrowedFd) -> Self {
        let way = match fd {
            _ if fd::keeps_nobody(fd) => Way::Through,
            _ if fd::is_pipe(fd) => Way::AtOnce,
            _ => Way::LittleByLittle,
        };
        Self { way, ..Self::default() }
    }

    /// Whether nobody reads it.
    pub(super) fn is_file(&self) -> bool {
        self.way == Way::Through
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn add(&mut self, bytes: Bytes) {
        self.length += bytes.len();
        if bytes.len() >= SMALL || self.small.len() >= LARGE {
            self.close_small();
        }
        if bytes.len() >= SMALL {
            self.pieces.push_back(bytes);
        } else {
            self.small.extend_from_slice(&bytes);
        }
    }

    pub(super) fn clear(&mut self) {
        self.pieces.clear();
        self.small.clear();
        self.length = 0;
    }

    /// Whether trying again is of use before somebody has read.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// Somebody may have read.
    pub(super) fn may_have_room(&mut self) {
        self.is_read |= self.full;
        self.full = false;
    }

    /// Writes what the descriptor takes at once of the first piece.
    pub(super) fn write(&mut self, fd: BorrowedFd) -> Written {
        if self.pieces.is_empty() {
            self.close_small();
        }
        let Some(first) = self.pieces.front_mut() else { return Written::Bytes(0) };
        let written = match self.way {
            Way::Through => stream::write_through(fd, &first[..first.len().min(LARGE)]),
            Way::AtOnce => stream::write_at_once(fd, first).unwrap_or_else(|| {
                self.way = Way::LittleByLittle;
                Written::Stalled
            }),
            Way::LittleByLittle => fd::write_some(fd, first, Duration::ZERO),
        };
        if let Written::Bytes(n) = written {
            self.full = self.way == Way::AtOnce && n < first.len();
            if self.full && self.is_read && self.length >= LARGE {
                stream::grow_once(fd, stream::LARGE_PIPE);
            }
            let taken = first.split_to(n);
            self.within_line = taken.last().map_or(self.within_line, |byte| *byte != b'\n');
            self.length -= n;
            if first.is_empty() {
                self.pieces.pop_front();
            }
        }
        written
    }

    fn close_small(&mut self) {
        if !self.small.is_empty() {
            self.pieces.push_back(self.small.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    /// What a lane writes of these to a pipe that is read as soon as it is full.
    fn through_a_pipe(mut lane: Lane, pieces: &[Bytes]) -> (Vec<u8>, Lane) {
        let (read, write) = fd::pipe().expect("a pipe");
        fd::set_nonblocking(&read).expect("ours");
        let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
        let mut drain = |all: &mut Vec<u8>| {
            while let fd::Read::Bytes(n) = fd::read_some(&read, &mut buffer) {
                all.extend_from_slice(&buffer[..n]);
            }
        };
        pieces.iter().for_each(|piece| lane.add(piece.clone()));
        while !lane.is_empty() {
            if lane.is_full() {
                drain(&mut all);
                lane.may_have_room();
            }
            match lane.write(write.as_fd()) {
                Written::Bytes(_) => {}
                Written::Stalled => drain(&mut all),
                other => panic!("{other:?}"),
            }
        }
        drain(&mut all);
        (all, lane)
    }

    #[test]
    fn all_is_written_in_order_whatever_the_pieces_and_whatever_the_way() {
        let text = |length: usize, byte: u8| Bytes::from(vec![byte; length]);
        let pieces =
            [text(1, b'a'), text(2, b'b'), text(300_000, b'c'), text(SMALL - 1, b'd'), text(SMALL, b'\n')];
        let expected = pieces.concat();
        for way in [Way::AtOnce, Way::LittleByLittle] {
            let lane = Lane { way, within_line: true, ..Lane::default() };
            let (all, lane) = through_a_pipe(lane, &pieces);
            assert!(all == expected && lane.is_empty() && !lane.within_line, "{way:?}: {} bytes", all.len());
        }
        let many: Vec<Bytes> = (0..200_000u32).map(|i| Bytes::from(format!("{i}\n"))).collect();
        let (all, _) = through_a_pipe(Lane { way: Way::AtOnce, ..Lane::default() }, &many);
        assert!(all == many.concat(), "{} bytes", all.len());
    }

    #[test]
    fn a_full_pipe_is_not_tried_again_and_a_file_takes_everything() {
        let (_read, write) = fd::pipe().expect("a pipe");
        let mut lane = Lane::to(write.as_fd());
        lane.add(Bytes::from(vec![b'x'; 200_000]));
        while !lane.is_full() && lane.write(write.as_fd()) != Written::Stalled {}
        assert_eq!((lane.len(), lane.is_file(), lane.within_line), (200_000 - stream::PIPE, false, true));
        lane.clear();
        assert!(lane.is_empty());
        let null = std::fs::OpenOptions::new().write(true).open("/dev/null").expect("/dev/null");
        let file = tempfile::tempfile().expect("a file");
        for file in [null, file] {
            let mut lane = Lane::to(file.as_fd());
            lane.add(Bytes::from(vec![b'x'; LARGE + 5]));
            assert_eq!(lane.write(file.as_fd()), Written::Bytes(LARGE));
            assert_eq!(lane.write(file.as_fd()), Written::Bytes(5));
            assert!(lane.is_empty() && lane.is_file());
        }
    }
}
