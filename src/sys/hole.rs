//! Holes in files: drops the beginning of one that others write to, and finds what is left (fallocate(2),
//! FALLOC_FL_PUNCH_HOLE; lseek(2), SEEK_DATA and SEEK_HOLE). All of it moves the position of the open file: use one
//! that nobody else reads or writes through.

use super::testing;
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::unistd::{Whence, lseek};
use std::fs::File;
use std::os::unix::fs::MetadataExt;

/// Drops what a file has before `end`. Its size stays, and with it every offset. Whole blocks only: the rest of a
/// block would be overwritten with zeros.
///
/// # Errors
/// EOPNOTSUPP where the file system cannot do it, or does it without giving the room back.
pub fn punch(file: &File, end: u64) -> nix::Result<()> {
    const PAGE: u64 = 4096;
    if testing::off("punch_hole") {
        return Err(Errno::EOPNOTSUPP);
    }
    let block = file.metadata().map_or(PAGE, |meta| meta.blksize()).max(PAGE);
    let block = if end < block { PAGE } else { block };
    let end = end - end % block;
    if end == 0 {
        return Ok(());
    }
    let mode = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    fallocate(file, mode, 0, offset(end))?;
    // A file system without holes answers that all is data.
    match data_from(file, end - block) {
        Some(data) if data < end => Err(Errno::EOPNOTSUPP),
        _ => Ok(()),
    }
}

/// Where the first data at or behind an offset begins; none when there is only a hole, or nothing.
pub fn data_from(file: &File, from: u64) -> Option<u64> {
    match lseek(file, offset(from), Whence::SeekData) {
        Ok(at) => u64::try_from(at).ok(),
        Err(Errno::ENXIO) => None,
        Err(_) => Some(from), // It has no holes.
    }
}

/// Where the data at an offset ends: at a hole, or at the end of the file.
pub fn hole_from(file: &File, from: u64) -> u64 {
    let end = lseek(file, offset(from), Whence::SeekHole).ok().and_then(|at| u64::try_from(at).ok());
    end.unwrap_or_else(|| file.metadata().map_or(from, |meta| meta.size()))
}

fn offset(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[allow(clippy::print_stdout, reason = "a skipped test says so")]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_beginning_of_a_file_is_dropped_and_its_size_stays() {
        let mut file = tempfile::tempfile().expect("file");
        file.write_all(&vec![b'x'; 100_000]).expect("written");
        assert_eq!(data_from(&file, 0), Some(0));
        match punch(&file, 50_000) {
            Err(Errno::EOPNOTSUPP) => return println!("skipped: this file system has no holes"),
            result => result.expect("punched"),
        }
        let start = data_from(&file, 0).expect("data");
        assert!(start > 0 && start <= 50_000, "{start}");
        assert_eq!(file.metadata().expect("there").len(), 100_000);
        assert_eq!(hole_from(&file, start), 100_000);
        assert_eq!(data_from(&file, 100_000), None);
    }
}
