//! Why a run cannot have what `--isolate` asks for.

use crate::isolate::{self, Cause, Isolation, Obstacle, Step};
use std::fmt::Write;

/// Why the run cannot have what `--isolate` asks for: the step, its errno, what that most likely comes from, and
/// the way out.
pub fn obstacle(wanted: Isolation, obstacle: Obstacle) -> String {
    let walls = [(wanted.pid, "pid"), (wanted.net, "net"), (wanted.ipc, "ipc")];
    let what: Vec<&str> = walls.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
    let what = what.join(",");
    let Obstacle { step, errno } = obstacle;
    let mut text = format!(
        "--isolate {what} is not possible here: cannot {}: {} ({errno:?})",
        step_in_words(step),
        errno.desc()
    );
    if let Some((why, way_out)) = cause_in_words(isolate::cause(obstacle)) {
        let _ = write!(text, "\n  = {why}\ntry: {way_out}");
    }
    text
}

/// As in "cannot …".
fn step_in_words(step: Step) -> &'static str {
    match step {
        Step::Fork => "start a process (fork)",
        Step::User => "make a user namespace (unshare)",
        Step::Setgroups => "give up setgroups (/proc/self/setgroups)",
        Step::UidMap => "map the user id to itself (/proc/self/uid_map)",
        Step::GidMap => "map the group id to itself (/proc/self/gid_map)",
        Step::Namespaces => "make the namespaces (unshare)",
        Step::Private => "make mounts private (mount)",
        Step::Shm => "mount a /dev/shm of its own (mount)",
        Step::Loopback => "bring up the loopback interface (ioctl)",
        Step::Proc => "mount a /proc of its own (mount)",
    }
}

/// What it most likely comes from, and the way out.
fn cause_in_words(cause: Cause) -> Option<(&'static str, &'static str)> {
    Some(match cause {
        Cause::AppArmor => (
            "AppArmor takes the rights in a user namespace from programs without a profile \
             (kernel.apparmor_restrict_unprivileged_userns)",
            "an AppArmor profile for bgjobs that has `userns,`, or run it as root",
        ),
        Cause::Seccomp => (
            "a seccomp filter forbids new namespaces, as container engines and sandboxes have it",
            "in Docker: --security-opt seccomp=unconfined --security-opt systempaths=unconfined, or --privileged",
        ),
        Cause::MaskedProc => (
            "parts of /proc are masked here, as in a container, and a new one would show them",
            "in Docker: --security-opt systempaths=unconfined; in Podman: --security-opt unmask=ALL",
        ),
        Cause::Limit => (
            "the limit on namespaces is reached, or is 0 (user.max_user_namespaces and the like)",
            "raise the limit: sysctl user.max_user_namespaces=10000, or run bgjobs as root",
        ),
        Cause::Kernel => ("this kernel was built without such namespaces", "omit --isolate"),
        Cause::Chroot => (
            "the root directory is not a mount point, as in a chroot",
            "mount --bind DIR DIR before the chroot, or omit --isolate pid",
        ),
        Cause::NoProc => ("there is no /proc here", "mount it: mount -t proc proc /proc"),
        Cause::Forbidden => (
            "user namespaces are for root only here (kernel.unprivileged_userns_clone), or this is a chroot",
            "sysctl kernel.unprivileged_userns_clone=1, or run bgjobs as root",
        ),
        Cause::Policy => (
            "the policy of a security module forbids it (AppArmor or SELinux, as for a container)",
            "in Docker: --security-opt apparmor=unconfined, or label=disable for SELinux",
        ),
        Cause::Unknown => return None,
    })
}
