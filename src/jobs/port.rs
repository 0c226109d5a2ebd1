//! TCP ports: free ones, and who listens.

use crate::jobs::refused::why;
use crate::lock::lock;
use crate::sys::names::user_name;
use crate::sys::{clock, fd, page, proc, socket};
use std::collections::{BTreeSet, HashMap};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};

/// A process that listens on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// None when the process may not be seen: another user's, or the kernel's.
    pub pid: Option<i32>,
    pub user: String,
    /// The short name of the program; `?` when it may not be seen.
    pub name: String,
    pub command: String,
}

/// Who answers on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listening {
    Nobody,
    /// Known processes; the first of each socket.
    Known(Vec<Owner>),
    /// Somebody whom we may not see, named by user where the socket tells.
    Unknown(Owner),
}

/// Who listens on a local TCP port, on whatever address.
pub fn listening(port: u16) -> Listening {
    let sockets: Vec<_> = socket::listeners().into_iter().filter(|l| l.address.port() == port).collect();
    if sockets.is_empty() {
        return Listening::Nobody;
    }
    let inodes: Vec<u64> = sockets.iter().map(|listener| listener.inode).collect();
    let (owners, _) = proc::socket_owners(&inodes);
    let mut known: Vec<Owner> = Vec::new();
    for pids in owners.values() {
        for &pid in pids {
            if !known.iter().any(|owner| owner.pid == Some(pid)) {
                known.push(owner(pid));
            }
        }
    }
    known.sort_by_key(|owner| owner.pid);
    if known.is_empty() {
        let user = user_name(sockets[0].uid);
        return Listening::Unknown(Owner { pid: None, user, name: "?".to_owned(), command: "?".to_owned() });
    }
    Listening::Known(known)
}

/// Processes that stand in for one that cannot be seen from here: a container's published port.
const FORWARDERS: &[&str] =
    &["docker-proxy", "rootlessport", "rootlesskit", "slirp4netns", "pasta", "gvproxy", "conmon"];

/// Whether it only forwards what comes to its port into a container.
pub fn forwards(owner: &Owner) -> bool {
    FORWARDERS.iter().any(|name| owner.command.contains(name))
}

pub(super) fn owner(pid: i32) -> Owner {
    let user = proc::uid(pid).map_or_else(|| "?".to_owned(), user_name);
    let name = proc::name(pid).unwrap_or_else(|| "?".to_owned());
    Owner { pid: Some(pid), user, name, command: proc::command(pid) }
}

/// The listening sockets of this machine at one moment: port by socket inode.
pub struct Listeners(HashMap<PathBuf, (u64, u16)>);

impl Listeners {
    pub fn now() -> Self {
        let link = |inode: u64| PathBuf::from(format!("socket:[{inode}]"));
        Self(socket::listeners().iter().map(|l| (link(l.inode), (l.inode, l.address.port()))).collect())
    }

    /// Whether each of them has been noted already, or nobody listens at all.
    pub fn are_noted(&self) -> bool {
        let noted = page::get().map(page::Page::sockets).unwrap_or_default();
        self.0.values().all(|(inode, _)| noted.contains(inode))
    }

    /// The ports that these processes of ours listen on, ascending. Their sockets are noted: none of them may be
    /// listened on when the run is over.
    pub fn of(&self, pids: &[i32]) -> Vec<u16> {
        let open = pids.iter().filter_map(|pid| proc::open_files(*pid)).flatten();
        let sockets: BTreeSet<(u64, u16)> = open.filter_map(|file| self.0.get(&file).copied()).collect();
        if let Some(page) = page::get() {
            sockets.iter().for_each(|(inode, port)| page.note_socket(*inode, *port));
        }
        let ports: BTreeSet<u16> = sockets.into_iter().map(|(_, port)| port).collect();
        ports.into_iter().collect()
    }
}

/// Why no server of this machine can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoLoopback {
    /// We may not: for this reason.
    Forbidden(String),
    /// The interface is down, as it is in a new network namespace.
    Down,
}

/// Whether a server can be had and reached on one of this machine's own addresses, found by doing it.
pub fn loopback() -> Result<(), NoLoopback> {
    let trial = |ip: IpAddr| {
        let server = TcpListener::bind((ip, 0))?;
        TcpStream::connect_timeout(&server.local_addr()?, std::time::Duration::from_secs(1)).map(drop)
    };
    let Err(error) = trial(Ipv4Addr::LOCALHOST.into()) else { return Ok(()) };
    if trial(Ipv6Addr::LOCALHOST.into()).is_ok() {
        return Ok(());
    }
    match error.kind() {
        ErrorKind::PermissionDenied => Err(NoLoopback::Forbidden(why(error))),
        ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable => Err(NoLoopback::Down),
        // No ports or descriptors are left, say: that is for others to tell.
        _ => Ok(()),
    }
}

/// Whether somebody listens on this port.
pub fn in_use(port: u16) -> bool {
    socket::listeners().iter().any(|listener| listener.address.port() == port)
}

/// Whether nobody listens at any of these addresses of this machine: connecting there would be of no use, unless the
/// kernel forwards the port to somebody.
pub fn all_closed(addresses: &[SocketAddr]) -> bool {
    socket::listens(addresses) == Some(false)
}

/// On which of this machine's two addresses a port is to be asked: on 127.0.0.1, unless somebody listens on ::1 alone.
pub fn address(port: u16) -> IpAddr {
    let listeners = socket::listeners();
    let mut all = listeners.iter().map(|one| one.address).filter(|one| one.port() == port).peekable();
    let v6_alone = all.peek().is_some() && all.all(|one| one.ip() == IpAddr::V6(Ipv6Addr::LOCALHOST));
    if v6_alone { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() }
}

/// Free ports, each held for this run against every other run on the machine until the run ends.
#[derive(Default)]
pub struct FreePorts {
    held: Mutex<Vec<(u16, OwnedFd)>>,
    /// How many numbers have been tried: those are taken, by us or by somebody else.
    tried: AtomicU32,
    /// Where the numbers begin.
    seed: OnceLock<u32>,
    /// Somebody holds every name of a lock.
    crowded: AtomicBool,
}

/// The locks that processes of this user hold: port and inode.
fn own_locks() -> Vec<(u16, u64)> {
    let mut locks = socket::port_locks();
    let inodes: Vec<u64> = locks.iter().map(|(_, inode)| *inode).collect();
    let (owners, _) = proc::socket_owners(&inodes);
    let me = nix::unistd::geteuid().as_raw();
    let is_ours = |pid: &i32| proc::uid(*pid) == Some(me);
    locks.retain(|(_, inode)| owners.get(inode).is_some_and(|pids| pids.iter().any(is_ours)));
    locks
}

/// The lowest number that is given out.
const FIRST: u16 = 10_000;

impl FreePorts {
    /// A port that nobody listens on and that no other run was given. It lies below the ephemeral range: else
    /// the kernel might give it to an outgoing connection before the server binds it.
    pub fn take(&self) -> Option<u16> {
        let end = match socket::ephemeral_start() {
            start if start > FIRST + 1000 => start,
            _ => 32768,
        };
        let span = u32::from(end - FIRST);
        // Different runs start at different places, so that they seldom try the same number: by their pid, which
        // in a PID namespace is always 1, and by the time at which they were first asked.
        let pid = nix::unistd::getpid().as_raw().unsigned_abs();
        let seed = *self.seed.get_or_init(|| (pid ^ clock::raw().subsec_nanos()).wrapping_mul(2_654_435_761));
        let next = || {
            let step = self.tried.fetch_add(1, Relaxed);
            u16::try_from(seed.wrapping_add(step) % span).map_or(FIRST, |offset| FIRST + offset)
        };
        let give = |port, held| {
            lock(&self.held).push((port, held));
            Some(port)
        };
        if !self.crowded.load(Relaxed) {
            for _ in 0..span {
                let port = next();
                if let Some(held) = socket::lock_port(port)
                    && socket::bindable(port)
                {
                    return give(port, held);
                }
            }
        }
        // A stranger may hold all the names, but speaks for nobody: from here on only the locks of our own user count,
        // which the kernel tells from those of others.
        self.crowded.store(true, Relaxed);
        let known = own_locks();
        for _ in 0..span {
            let port = next();
            if known.iter().any(|(locked, _)| *locked == port) || !socket::bindable(port) {
                continue;
            }
            let held = socket::lock_port_beside(port)?;
            let mine = fd::inode(&held);
            // Two who take the same number at the same time see each other, and both look for another one.
            if own_locks().iter().all(|(locked, inode)| *locked != port || Some(*inode) == mine) {
                return give(port, held);
            }
        }
        None
    }

    /// Whether this run was given that port.
    pub fn gave(&self, port: u16) -> bool {
        lock(&self.held).iter().any(|(held, _)| *held == port)
    }
}
