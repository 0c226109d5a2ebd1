//! Frees a TCP port: ends those who listen on it, and nobody else.
//!
//! 1. The listening sockets are noted. Only who holds one of *these* is ended: whoever comes later is left alone.
//! 2. A holder is taken hold of (pidfd) before it is looked at, and then must still have the socket: a number that
//!    was used again names nobody who does.
//! 3. If one of them may not be ended, none is.
//! 4. A job of this run is stopped as a job; the others get TERM, have their grace, and then SIGKILL.

use crate::jobs::all::Jobs;
use crate::jobs::job::JobId;
use crate::jobs::port::{self, Owner};
use crate::jobs::stop::step::{AFTER_KILL, Ask};
use crate::lock::lock;
use crate::sys::names::user_name;
use crate::sys::{clock, pidfd, proc, socket};
use nix::libc::{SIGCONT, SIGKILL, SIGTERM};
use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

/// Between two looks at the port: whether somebody listens costs little, who does costs more.
const POLL: Duration = Duration::from_millis(2);
const LOOK: Duration = Duration::from_millis(50);
/// So many looks in a row must find nobody: a process that ends cannot be seen either.
const UNSEEN: usize = 5;

/// Why a port was not freed.
#[derive(Debug)]
pub enum Held {
    /// By one of those above us, or by ourselves.
    ByAncestor(Owner),
    ByOtherUser(Owner),
    /// By one who forwards it into a container.
    ByForwarder(Owner),
    /// By somebody whom we may not see; the user of the socket.
    Unseen(String),
    /// By somebody who came when it had been freed.
    Again(Option<Owner>),
    /// SIGKILL did not help.
    Stuck(Owner),
}

/// One that was ended so that a port is free.
#[derive(Clone, Debug)]
pub struct Evicted {
    pub owner: Owner,
    /// It did not obey, or had no grace.
    pub killed: bool,
}

/// A process that holds a listening socket, and cannot be confused with its successor.
struct Holder {
    pid: i32,
    handle: OwnedFd,
    /// It is of this run, and perhaps of a job.
    ours: Option<Option<JobId>>,
}

impl Jobs {
    /// Frees a port; who was ended for it, besides jobs of this run. `give_up` ends it early.
    pub fn free(
        &self,
        port: u16,
        grace: Duration,
        give_up: &dyn Fn() -> bool,
    ) -> (Vec<Evicted>, Result<(), Held>) {
        let mut evicted = Vec::new();
        let result = self.evict(port, grace, give_up, &mut evicted);
        (evicted, result)
    }

    fn evict(
        &self,
        port: u16,
        grace: Duration,
        give_up: &dyn Fn() -> bool,
        evicted: &mut Vec<Evicted>,
    ) -> Result<(), Held> {
        let noted: HashSet<u64> = sockets(port).into_iter().map(|(inode, _)| inode).collect();
        let start = clock::now();
        let mut next_look = start;
        let mut unseen = 0;
        let mut stopped = HashSet::new();
        let mut killed = None;
        while !give_up() {
            let rings = self.control.bell.rings();
            let now = clock::now();
            let current = sockets(port);
            if current.is_empty() {
                return Ok(());
            }
            let (left, newer): (Vec<_>, Vec<_>) =
                current.into_iter().partition(|(inode, _)| noted.contains(inode));
            if left.is_empty() {
                let inodes: Vec<u64> = newer.iter().map(|(inode, _)| *inode).collect();
                let pid = proc::socket_owners(&inodes).0.into_values().flatten().min();
                return Err(Held::Again(pid.map(port::owner)));
            }
            if now >= next_look {
                next_look = now + LOOK;
                let killing = now >= start + grace;
                let holders = match self.holders(&left) {
                    Err(Held::Unseen(_)) if unseen < UNSEEN => {
                        unseen += 1;
                        Vec::new()
                    }
                    result => result?,
                };
                if !holders.is_empty() {
                    unseen = 0;
                }
                let jobs: HashSet<JobId> =
                    holders.iter().filter_map(|holder| holder.ours.flatten()).collect();
                // Once: what is left of one then is ended as anybody else.
                let fresh: Vec<JobId> = jobs.into_iter().filter(|job| stopped.insert(*job)).collect();
                if !fresh.is_empty() {
                    self.stop(&fresh, Ask::default(), give_up);
                    next_look = clock::now();
                    continue;
                }
                if let Some(holder) = holders.first()
                    && killed.is_some_and(|at| now >= at + AFTER_KILL)
                {
                    return Err(Held::Stuck(port::owner(holder.pid)));
                }
                for holder in &holders {
                    end(holder, killing, evicted);
                }
                // On a busy machine the looks may be far apart: time counts from the signal, not from when it was due.
                if killing && !holders.is_empty() {
                    killed.get_or_insert_with(clock::now);
                }
            }
            self.control.bell.wait(rings, Some(now + POLL));
        }
        Ok(())
    }

    /// Who holds these sockets; an error when one of them may not be ended.
    fn holders(&self, sockets: &[(u64, u32)]) -> Result<Vec<Holder>, Held> {
        let inodes: Vec<u64> = sockets.iter().map(|(inode, _)| *inode).collect();
        let (owners, complete) = proc::socket_owners(&inodes);
        if let Some((_, user)) = sockets.iter().find(|(inode, _)| !owners.contains_key(inode) && !complete) {
            return Err(Held::Unseen(user_name(*user)));
        }
        let jobs = lock(&self.table).owners_now();
        let above = ancestors();
        let me = nix::unistd::geteuid().as_raw();
        let pids: HashSet<i32> = owners.into_values().flatten().collect();
        let mut holders = Vec::new();
        for pid in pids {
            let Some(handle) = hold(pid, &inodes) else { continue };
            let ours = jobs.get(&pid).copied();
            if above.contains(&pid) {
                return Err(Held::ByAncestor(port::owner(pid)));
            }
            if ours.is_none() && proc::uid(pid).is_some_and(|uid| uid != me) {
                return Err(Held::ByOtherUser(port::owner(pid)));
            }
            if ours.is_none() && port::forwards(&port::owner(pid)) {
                return Err(Held::ByForwarder(port::owner(pid)));
            }
            holders.push(Holder { pid, handle, ours });
        }
        Ok(holders)
    }
}

/// The listening sockets of a port, with their user.
fn sockets(port: u16) -> Vec<(u64, u32)> {
    let listeners = socket::listeners().into_iter().filter(|listener| listener.address.port() == port);
    listeners.map(|listener| (listener.inode, listener.uid)).collect()
}

/// Takes hold of a process, if it has one of these sockets. In this order: the number may have got another owner
/// since it was read, but what has the socket now is what the handle means, or the handle means nobody any more.
fn hold(pid: i32, inodes: &[u64]) -> Option<OwnedFd> {
    let handle = pidfd::open(pid).ok()?;
    let files = proc::open_files(pid)?;
    let has = |inode: &u64| files.contains(&PathBuf::from(format!("socket:[{inode}]")));
    inodes.iter().any(has).then_some(handle)
}

/// This process, and all above it.
fn ancestors() -> HashSet<i32> {
    let mut found = HashSet::from([1]);
    let mut pid = std::process::id().cast_signed();
    while pid > 0 && found.insert(pid) {
        pid = proc::stat(pid).map_or(0, |stat| stat.ppid);
    }
    found
}

/// Asks a holder to end, once; or kills it.
fn end(holder: &Holder, killing: bool, evicted: &mut Vec<Evicted>) {
    let known = evicted.iter_mut().find(|one| one.owner.pid == Some(holder.pid));
    match known {
        Some(one) if killing => one.killed = true,
        Some(_) => return,
        None => evicted.push(Evicted { owner: port::owner(holder.pid), killed: killing }),
    }
    if killing {
        let _ = pidfd::send(&holder.handle, SIGKILL);
    } else {
        // CONT, since a stopped process would only see the signal after it.
        let _ = pidfd::send(&holder.handle, SIGTERM);
        let _ = pidfd::send(&holder.handle, SIGCONT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn only_a_process_that_still_has_the_socket_is_taken_hold_of() {
        let me = std::process::id().cast_signed();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let inodes: Vec<u64> = sockets(listener.local_addr().expect("bound").port())
            .into_iter()
            .map(|(inode, _)| inode)
            .collect();
        assert_eq!(inodes.len(), 1);
        assert!(hold(me, &inodes).is_some());
        // As if the number had been read while it was that of another process.
        assert!(hold(1, &inodes).is_none());
        drop(listener);
        assert!(hold(me, &inodes).is_none());
    }

    #[test]
    fn this_process_and_those_above_it_are_ancestors() {
        let found = ancestors();
        assert!(found.contains(&std::process::id().cast_signed()));
        assert!(found.contains(&nix::unistd::getppid().as_raw()));
        assert!(found.contains(&1) && !found.contains(&0));
    }
}
