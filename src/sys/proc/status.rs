//! What /proc/PID/status says: users, rights, signals, namespaces.

use crate::sys::kernel;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// Which PID namespace this process lives in: a process has another number in each.
pub fn pid_namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid").map_or(0, |meta| meta.ino())
}

/// Whether a process does not hear this signal: it ignores or blocks it.
pub fn ignores(pid: i32, signal: i32) -> bool {
    let status = status(pid);
    let has = |name: &str| {
        let set = values(&status, name).next().and_then(|set| u64::from_str_radix(set, 16).ok());
        set.is_some_and(|set| set >> (signal - 1) & 1 == 1)
    };
    has("SigIgn") || has("SigBlk")
}

/// The user that owns a process.
pub fn uid(pid: i32) -> Option<u32> {
    Some(fs::metadata(format!("/proc/{pid}")).ok()?.uid())
}

/// What /proc/PID/status says (proc_pid_status(5)); empty when there is no such process.
fn status(pid: i32) -> String {
    let bytes = kernel::read(format!("/proc/{pid}/status")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The values in the line of this name.
fn values<'a>(status: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_default().split_ascii_whitespace()
}

/// Whether the limit of address space (`ulimit -v`) leaves this process so much, even at the moment when it has had most:
/// what was refused for want of room may have found it free again by the time that it asks why.
pub fn has_room(bytes: u64) -> bool {
    use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
    let Ok((limit, _)) = getrlimit(Resource::RLIMIT_AS) else { return true };
    let status = status(std::process::id().cast_signed());
    let kib = values(&status, "VmPeak").next().and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
    limit == RLIM_INFINITY || kib.saturating_mul(1024).saturating_add(bytes) <= limit
}

/// The user who has started a process, also when a set-id program has made it somebody else's.
pub fn real_uid(pid: i32) -> Option<u32> {
    values(&status(pid), "Uid").next()?.parse().ok()
}

/// Whether the kernel still sends a process that was started as this user the signal for the death of its parent. It
/// forgets about it when the process gets other rights, by a set-id program or one with capabilities, or because it
/// changes its user itself (prctl(2), PR_SET_PDEATHSIG). Told by its ids and capabilities.
pub fn keeps_death_signal(pid: i32, uid: u32) -> bool {
    let status = status(pid);
    let same_user = values(&status, "Uid").all(|id| id == uid.to_string());
    let group = values(&status, "Gid").next();
    let same_group = values(&status, "Gid").all(|id| Some(id) == group);
    let no_capability = || values(&status, "CapPrm").all(|set| set.bytes().all(|digit| digit == b'0'));
    same_user && same_group && (uid == 0 || no_capability())
}

/// The number that a process has in the innermost PID namespace that it lives in.
pub fn inner_pid(pid: i32) -> Option<i32> {
    values(&status(pid), "NSpid").last()?.parse().ok()
}

/// Whether /proc is mounted and shows this process under the number that it knows itself by. In a PID namespace
/// that kept the /proc of the outer one, every number there is somebody else's.
pub fn available() -> bool {
    fs::read_link("/proc/self").is_ok_and(|link| link.as_os_str() == std::process::id().to_string().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_has_become_another_user_is_not_told_of_its_parents_death() {
        let me = std::process::id().cast_signed();
        let uid = nix::unistd::geteuid().as_raw();
        assert!(keeps_death_signal(me, uid));
        assert!(!keeps_death_signal(me, uid + 1));
    }
}
