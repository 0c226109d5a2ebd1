//! Files that the kernel writes while they are read, in /proc and /sys. They have no size, so `std::fs` asks for it in
//! vain and then reads 32 bytes, 32, 64 …: eight system calls for what takes four here.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// More than most of them have.
const PIECE: usize = 4096;

/// The bytes of such a file. A short read is no end: the kernel gives whole lines.
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = vec![0; PIECE];
    let mut filled = 0;
    loop {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if filled == bytes.len() {
            bytes.resize(filled * 2, 0);
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// The bytes of a file whose content the kernel gives whole to whoever has the room, as it does of /proc/PID/stat: with one
/// read. It is read of every process that is looked at, and to ask for what comes after it is another system call.
pub fn line(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = vec![0; PIECE];
    let count = loop {
        match file.read(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => break result?,
        }
    };
    bytes.truncate(count);
    Ok(bytes)
}

/// The bytes of such a file that is kept open, from its beginning. None when they cannot be had whole at once: another
/// thread that reads it, too, or a change would put together what does not belong together.
pub fn again(file: &File) -> Option<Vec<u8>> {
    let mut bytes = vec![0; PIECE];
    let count = loop {
        match file.read_at(&mut bytes, 0) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => break result.ok()?,
        }
    };
    // The kernel goes on as long as there is room for one more line.
    (count <= PIECE / 2).then(|| {
        bytes.truncate(count);
        bytes
    })
}

/// The same as [`read`], as text.
pub fn text(path: impl AsRef<Path>) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_file_is_read_whatever_its_size() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        for size in [0, 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE] {
            let content: Vec<u8> = (0..size).map(|at| b'a' + u8::try_from(at % 26).unwrap_or(0)).collect();
            std::fs::write(&path, &content).expect("written");
            assert_eq!(read(&path).expect("read"), content, "{size}");
        }
        std::fs::write(&path, [0xff]).expect("written");
        assert_eq!(text(&path).map_err(|error| error.kind()), Err(ErrorKind::InvalidData));
        assert_eq!(read(dir.path().join("none")).map_err(|error| error.kind()), Err(ErrorKind::NotFound));
    }

    #[test]
    fn what_the_kernel_writes_is_read_to_its_end() {
        let mine = text("/proc/self/status").expect("read");
        assert!(mine.starts_with("Name:") && mine.contains("\nnonvoluntary_ctxt_switches:"), "{mine}");
        let stat = String::from_utf8(line("/proc/self/stat").expect("read")).expect("text");
        assert!(stat.ends_with('\n') && stat.lines().count() == 1, "{stat}");
    }
}
