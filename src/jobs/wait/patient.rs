//! Files whose other end may keep one waiting: FIFOs, terminals, devices. To read or write one can be ended, as any wait
//! can, and lets other closures have their turn. (Where the server of a filesystem does not answer, it is the kernel
//! that waits, and nothing ends that.)

use crate::jobs::wait::control::Control;
use crate::jobs::wait::strand;
use crate::sys::{clock, fd};
use nix::libc::{ENXIO, O_NOCTTY, O_NONBLOCK};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Result, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

/// To open a FIFO waits for its other end, unless one says not to wait.
const FLAGS: i32 = O_NONBLOCK | O_NOCTTY;
/// How long a wait for bytes may not notice that it has been ended.
const LOOK: Duration = Duration::from_millis(50);
/// How much is read at once.
const PIECE: u64 = 256 << 10;
/// How often the other end of a FIFO is looked for.
const KNOCK: Duration = Duration::from_millis(10);

/// Reads a file to its end, or more than `most` bytes of it. A FIFO waits for whoever writes to it.
///
/// # Errors
/// `Interrupted` when the script was stopped meanwhile.
pub fn read(path: &Path, most: u64, control: Option<&Control>) -> Result<Vec<u8>> {
    strand::aside(|| {
        let mut file = File::options().read(true).custom_flags(FLAGS).open(path)?;
        let mut bytes = Vec::new();
        // To make room for more than a file has takes longer than to read a script.
        let length = file.metadata().ok().filter(fs::Metadata::is_file).map_or(PIECE, |meta| meta.len());
        let mut buffer = vec![0; usize::try_from(length.clamp(4096, PIECE)).unwrap_or_default()];
        loop {
            may_go_on(control)?;
            // Asked first: a FIFO that nobody has written to yet would seem to be at its end.
            if !fd::wait_readable(&[file.as_fd()], Some(LOOK))[0] {
                continue;
            }
            match file.read(&mut buffer) {
                Ok(0) => return Ok(bytes),
                Ok(n) => bytes.extend_from_slice(&buffer[..n]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(e) => return Err(e),
            }
            if bytes.len() as u64 > most {
                return Ok(bytes);
            }
        }
    })
}

/// Writes a file that is opened in this way. A FIFO waits for whoever reads it.
///
/// # Errors
/// `Interrupted` when the script was stopped meanwhile.
pub fn write(path: &Path, how: &OpenOptions, mut bytes: &[u8], control: &Control) -> Result<()> {
    strand::aside(|| {
        let mut file = open_to_write(path, how, control)?;
        while !bytes.is_empty() {
            may_go_on(Some(control))?;
            if !fd::wait_writable(&[file.as_fd()], LOOK) {
                continue;
            }
            match file.write(bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    })
}

fn open_to_write(path: &Path, how: &OpenOptions, control: &Control) -> Result<File> {
    let mut how = how.clone();
    how.custom_flags(FLAGS);
    loop {
        let rings = control.bell.rings();
        match how.open(path) {
            // Nobody reads it yet.
            Err(e) if e.raw_os_error() == Some(ENXIO) && is_fifo(path) => {
                may_go_on(Some(control))?;
                control.bell.wait(rings, Some(clock::now() + KNOCK));
            }
            opened => return opened,
        }
    }
}

fn is_fifo(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.file_type().is_fifo())
}

fn may_go_on(control: Option<&Control>) -> Result<()> {
    if control.is_some_and(Control::halted) { Err(ErrorKind::Interrupted.into()) } else { Ok(()) }
}
