//! `--isolate`: what of the machine a run can have for itself, the trial whether it may, and what stands in the
//! way where it may not. The words for people are in `report`, the steps themselves in [`crate::sys::namespace`].
//!
//! Whether it is allowed is found by doing it. Only then, to explain a refusal, are settings looked at.

pub use crate::sys::namespace::{Isolation, Obstacle, Step};

use crate::sys::namespace;
use nix::errno::Errno;
use std::fs;

/// Takes every step in a process that is thrown away. The caller must have one thread only.
///
/// # Errors
/// The step that this machine refuses.
pub fn trial(what: Isolation) -> Result<(), Obstacle> {
    namespace::attempt(what)
}

/// What a refusal most likely comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Ubuntu lets an unconfined program make a user namespace, and then takes all rights in it away.
    AppArmor,
    /// A filter on system calls: a container engine's, a sandbox's.
    Seccomp,
    /// Parts of /proc are hidden under other mounts, which a fresh one would show.
    MaskedProc,
    /// A limit on the number of namespaces, perhaps 0.
    Limit,
    /// The kernel was built without them.
    Kernel,
    /// The root directory is not a mount point.
    Chroot,
    /// There is no /proc to write the ids' maps to, or to mount over.
    NoProc,
    /// User namespaces are for root only; or we are in a chroot.
    Forbidden,
    /// Some other security module's policy.
    Policy,
    Unknown,
}

/// What can be seen of the surroundings, to explain a refusal.
#[derive(Clone, Copy, Debug, Default)]
struct Surroundings {
    apparmor: bool,
    seccomp: bool,
}

pub fn cause(obstacle: Obstacle) -> Cause {
    let restricted = fs::read_to_string("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let filtered = |line: &str| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2");
    let here = Surroundings {
        apparmor: restricted.is_ok_and(|text| text.trim() != "0"),
        seccomp: status.lines().any(filtered),
    };
    likely(obstacle, here)
}

fn likely(Obstacle { step, errno }: Obstacle, here: Surroundings) -> Cause {
    let making = matches!(step, Step::User | Step::Namespaces);
    match errno {
        Errno::ENOSYS | Errno::EPERM if making && here.seccomp => Cause::Seccomp,
        Errno::EPERM | Errno::EACCES if here.apparmor => Cause::AppArmor,
        Errno::EPERM if step == Step::Proc => Cause::MaskedProc,
        Errno::ENOSPC | Errno::EUSERS if making => Cause::Limit,
        Errno::EINVAL | Errno::ENOSYS if making => Cause::Kernel,
        Errno::EINVAL if step == Step::Private => Cause::Chroot,
        Errno::ENOENT | Errno::ENOTDIR => Cause::NoProc,
        Errno::EPERM if making => Cause::Forbidden,
        Errno::EACCES => Cause::Policy,
        _ => Cause::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_refusal_has_its_cause() {
        let plain = Surroundings::default();
        let ubuntu = Surroundings { apparmor: true, ..plain };
        let docker = Surroundings { seccomp: true, ..plain };
        let both = Surroundings { seccomp: true, apparmor: true };
        let table = [
            (Step::User, Errno::EPERM, docker, Cause::Seccomp),
            (Step::User, Errno::ENOSYS, docker, Cause::Seccomp),
            (Step::Namespaces, Errno::EPERM, both, Cause::Seccomp),
            (Step::User, Errno::EACCES, ubuntu, Cause::AppArmor),
            (Step::Setgroups, Errno::EACCES, ubuntu, Cause::AppArmor),
            (Step::UidMap, Errno::EPERM, ubuntu, Cause::AppArmor),
            (Step::Private, Errno::EACCES, both, Cause::AppArmor),
            (Step::Proc, Errno::EPERM, plain, Cause::MaskedProc),
            (Step::Proc, Errno::EPERM, docker, Cause::MaskedProc),
            (Step::User, Errno::ENOSPC, docker, Cause::Limit),
            (Step::Namespaces, Errno::ENOSPC, plain, Cause::Limit),
            (Step::User, Errno::EINVAL, plain, Cause::Kernel),
            (Step::Private, Errno::EINVAL, plain, Cause::Chroot),
            (Step::Setgroups, Errno::ENOENT, plain, Cause::NoProc),
            (Step::Proc, Errno::ENOENT, plain, Cause::NoProc),
            (Step::User, Errno::EPERM, plain, Cause::Forbidden),
            (Step::Private, Errno::EACCES, docker, Cause::Policy),
            (Step::Loopback, Errno::EPERM, plain, Cause::Unknown),
            (Step::Fork, Errno::EAGAIN, docker, Cause::Unknown),
        ];
        for (step, errno, here, cause) in table {
            assert_eq!(likely(Obstacle { step, errno }, here), cause, "{step:?} {errno:?} {here:?}");
        }
    }
}
