//! Shared memory that does not end with its processes: System V segments (proc(5), shmctl(2)), and files in /dev/shm
//! (shm_overview(7)).

use super::kernel;
use nix::errno::Errno;
use nix::libc;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Where POSIX shared memory lies.
pub const DIRECTORY: &str = "/dev/shm";

/// A System V segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub id: i32,
    pub size: u64,
    /// The process that made it, by the number that it has, or had, in our PID namespace.
    pub creator: i32,
    pub attached: u64,
    pub owner: u32,
    /// When it was made, or given to somebody, in seconds since 1970.
    pub changed: u64,
}

/// A file in /dev/shm.
#[derive(Clone, Debug)]
pub struct Shared {
    pub path: PathBuf,
    pub inode: u64,
    pub size: u64,
    pub owner: u32,
    pub changed: u64,
}

/// Those of this IPC namespace.
pub fn segments() -> Vec<Segment> {
    let text = kernel::text("/proc/sysvipc/shm").unwrap_or_default();
    text.lines().skip(1).filter_map(parse).collect()
}

/// key, shmid, perms, size, cpid, lpid, nattch, uid, gid, cuid, cgid, atime, dtime, ctime.
fn parse(line: &str) -> Option<Segment> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Segment {
        id: fields.get(1)?.parse().ok()?,
        size: number(3)?,
        creator: fields.get(4)?.parse().ok()?,
        attached: number(6)?,
        owner: u32::try_from(number(9)?).ok()?,
        changed: number(13)?,
    })
}

/// # Errors
/// EPERM when it is somebody else's.
pub fn remove(segment: Segment) -> nix::Result<()> {
    // SAFETY: IPC_RMID takes no argument but the number.
    Errno::result(unsafe { libc::shmctl(segment.id, libc::IPC_RMID, std::ptr::null_mut()) }).map(drop)
}

pub fn files() -> Vec<Shared> {
    let seen = |entry: fs::DirEntry| {
        let meta = fs::symlink_metadata(entry.path()).ok().filter(fs::Metadata::is_file)?;
        Some(Shared {
            path: entry.path(),
            inode: meta.ino(),
            size: meta.len(),
            owner: meta.uid(),
            changed: u64::try_from(meta.ctime()).unwrap_or(0),
        })
    };
    fs::read_dir(DIRECTORY).into_iter().flatten().flatten().filter_map(seen).collect()
}

/// The files in /dev/shm that a process has mapped or open, by inode.
pub fn used_by(pid: i32) -> Vec<u64> {
    let maps = kernel::read(format!("/proc/{pid}/maps")).unwrap_or_default();
    let maps = String::from_utf8_lossy(&maps);
    // Address, permissions, offset, device, inode, path.
    let lines = maps.lines().filter(|line| line.contains(" /dev/shm/"));
    let mapped = lines.filter_map(|line| line.split_ascii_whitespace().nth(4)?.parse().ok());
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten().filter_map(|entry| {
        fs::read_link(entry.path()).ok().filter(|file| file.starts_with(DIRECTORY))?;
        fs::metadata(entry.path()).ok().map(|meta| meta.ino())
    });
    mapped.chain(open).collect()
}

/// Which IPC namespace this process lives in.
pub fn namespace() -> u64 {
    fs::metadata("/proc/self/ns/ipc").map_or(0, |meta| meta.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_segment_and_what_is_no_line_is_none() {
        let line = "   5432028         3   600                    56  4711  4712      6   109   117   109   117 1764251000 0 1764250999 4096 0";
        let found = parse(line).expect("a segment");
        assert_eq!((found.id, found.size, found.creator, found.attached), (3, 56, 4711, 6));
        assert_eq!((found.owner, found.changed), (109, 1_764_250_999));
        for line in ["", "key shmid", "1 2 3 4 5 6 7 8 9 10 11 12 13", "a b c d e f g h i j k l m n"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
