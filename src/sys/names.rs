//! Names of users, groups and hosts, as the system's databases have them.
//!
//! A static program has what reads files and asks DNS within itself. What else nsswitch.conf(5) names (systemd, mdns4, sss) glibc
//! loads from the machine all the same, when a name is not in the files: with a second C library, of which a thread of ours
//! knows nothing (glibc 2.36: it dies of SIGSEGV). So a static program is told never to do that.

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use std::ffi::CStr;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

/// Whether names are found in files and by DNS only.
pub const ONLY_FILES_AND_DNS: bool = cfg!(static_libc);

/// None: there is no such user.
pub fn user(name: &str) -> nix::Result<Option<User>> {
    prepare();
    User::from_name(name)
}

/// None: nobody is called so.
pub fn user_of(uid: u32) -> nix::Result<Option<User>> {
    prepare();
    User::from_uid(Uid::from_raw(uid))
}

/// The name of a user id, or the number.
pub fn user_name(uid: u32) -> String {
    user_of(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

/// The name of a group id, or the number.
pub fn group_name(gid: u32) -> String {
    prepare();
    Group::from_gid(gid.into()).ok().flatten().map_or_else(|| gid.to_string(), |group| group.name)
}

/// The groups that a user is in, with this one.
pub fn groups(user: &CStr, gid: Gid) -> nix::Result<Vec<Gid>> {
    prepare();
    getgrouplist(user, gid)
}

/// Where a host is.
pub fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    prepare();
    (host, port).to_socket_addrs().map(Iterator::collect)
}

/// Before whatever looks names up elsewhere, such as a library.
pub fn prepare() {
    #[cfg(static_libc)]
    only_files_and_dns();
}

#[cfg(static_libc)]
fn only_files_and_dns() {
    use nix::libc::{c_char, c_int};
    use std::sync::Once;
    unsafe extern "C" {
        /// Of glibc's nss.h: which services are asked, whatever nsswitch.conf(5) says.
        fn __nss_configure_lookup(database: *const c_char, services: *const c_char) -> c_int;
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for database in [c"passwd", c"group", c"initgroups"] {
            // SAFETY: both are texts that end with NUL; glibc copies them under its own lock.
            unsafe { __nss_configure_lookup(database.as_ptr(), c"files".as_ptr()) };
        }
        // SAFETY: as above.
        unsafe { __nss_configure_lookup(c"hosts".as_ptr(), c"files dns".as_ptr()) };
    });
}
