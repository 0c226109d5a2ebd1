//! Brings logs that are kept into their final form: without holes, and without secrets.

use crate::jobs::log::held::FileId;
use crate::jobs::log::piece::piece;
use crate::jobs::log::whole;
use crate::lock::lock;
use crate::secret;
use crate::sys::{hole, open, page, vault};
use nix::fcntl::OFlag;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;

/// Brings the logs in a directory, which are kept, into their final form.
pub fn finish_all(directory: &Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let _ = finish(&entry.path());
    }
}

/// Notes a log that lies where the script wants it, for the guard, should the host be killed.
pub fn note(path: &Path, id: FileId) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = lock(&ONE_AT_A_TIME);
    let path = path.as_os_str().as_bytes();
    let entry = [&id.device.to_ne_bytes(), &id.inode.to_ne_bytes(), path].concat();
    if let Some(logs) = vault::logs() {
        logs.add(&entry);
    }
}

/// Brings the logs that were noted into their final form.
pub fn finish_noted() {
    for entry in vault::logs().map(|logs| logs.entries()).unwrap_or_default() {
        if let Some((device, rest)) = entry.split_first_chunk()
            && let Some((inode, path)) = rest.split_first_chunk()
        {
            let (device, inode) = (u64::from_ne_bytes(*device), u64::from_ne_bytes(*inode));
            let _ = finish_own(Path::new(OsStr::from_bytes(path)), FileId { device, inode });
        }
    }
}

/// Brings a log into its final form once nobody writes it: without holes, and without secrets. In place, so that it
/// keeps its owner and needs no room: what is written is never longer than what was read.
///
/// # Errors
/// When it cannot be written. Then it is as before, or empty if it held a secret.
fn finish(path: &Path) -> std::io::Result<()> {
    finish_file(&open_to_change(path)?)
}

/// As [`finish`], of the very file that the job's log was; what has come in its place since is not ours to change.
pub fn finish_own(path: &Path, id: FileId) -> std::io::Result<()> {
    match open_to_change(path) {
        Ok(file) if FileId::of(&file.metadata()?) == id => finish_file(&file),
        _ => Ok(()),
    }
}

fn open_to_change(path: &Path) -> std::io::Result<File> {
    open::with(path, OFlag::O_RDWR | OFlag::O_NONBLOCK, 0)
}

fn finish_file(file: &File) -> std::io::Result<()> {
    let meta = file.metadata()?;
    let begin = hole::data_from(file, 0).unwrap_or(0);
    if !meta.is_file() {
        return Ok(());
    }
    let hidden = copy(file, &mut |_, _| Ok(()))?.1;
    if begin == 0 && !hidden {
        return Ok(());
    }
    let result =
        copy(file, &mut |bytes, at| file.write_all_at(bytes, at)).and_then(|(end, _)| file.set_len(end));
    if result.is_err() {
        let undone = if hidden { file.set_len(0) } else { hole::punch(file, begin).map_err(Into::into) };
        return undone.and(result);
    }
    result
}

/// Passes a log on, without its holes and masked; how long that is, and whether anything was masked.
fn copy(
    file: &File,
    write: &mut dyn FnMut(&[u8], u64) -> std::io::Result<()>,
) -> std::io::Result<(u64, bool)> {
    const PIECE: u64 = 1 << 20;
    let mut mask = secret::Stream::default();
    let (mut from, mut to) = (0, 0);
    let mut put = |bytes: &[u8]| {
        write(bytes, to)?;
        to += bytes.len() as u64;
        std::io::Result::Ok(())
    };
    loop {
        // A large log on a slow disk takes longer than the guard waits for a host that does nothing.
        page::ask_for_patience();
        let piece = piece(file, from, PIECE)?;
        if piece.end <= from {
            break;
        }
        let dropped = (from == 0 && piece.cut).then_some(());
        from = piece.end;
        let piece = piece.without_cut_line();
        if dropped.is_some() {
            put(whole::dropped(piece.start).as_bytes())?;
        }
        put(&mask.pass(piece.bytes))?;
    }
    put(&mask.rest())?;
    Ok((to, mask.hit))
}
