//! The proof: what is left of a run, looked for once more when everything has been stopped.
//!
//! Three looks, because each sees what the others cannot: *descendants*, which is exact while guard or host live;
//! the run's *mark* in the environment, which finds what another daemon has started for a job (`at`); and the
//! *sockets* that jobs were seen to listen on, which finds who took one over. A socket is known by its inode, so
//! somebody else's server that has taken the port in the meantime is not blamed.

use crate::jobs::port::Listeners;
use crate::jobs::remains::shared::{self, Memory};
use crate::jobs::remains::survivor::{Survivor, survivor, survivors};
use crate::jobs::spec::MARK;
use crate::sys::proc::{self, Births};
use crate::sys::wait::{self, Peek};
use crate::sys::{clock, page, socket};
use std::time::Duration;

/// A socket may outlive its process for a moment (io_uring closes its files later).
const SETTLE: Duration = Duration::from_millis(200);

/// How long the look for the mark may take at most. It takes milliseconds, but on an overloaded machine it has little of
/// a processor.
const LOOK: Duration = Duration::from_secs(10);

/// What is left of a run.
#[derive(Clone, Debug, Default)]
pub struct Left {
    /// Nothing could end them.
    pub descendants: Vec<Survivor>,
    /// They carry the run's mark; somebody else is their parent.
    pub marked: Vec<Survivor>,
    pub ports: Vec<OpenPort>,
    /// They could not be looked at for the mark: they do not answer, or there was no time.
    pub missed: Vec<i32>,
    /// Memory: not counted, since it runs nothing.
    pub shared: Vec<Memory>,
}

/// The very socket that a job has opened, still listened on.
#[derive(Clone, Debug)]
pub struct OpenPort {
    pub port: u16,
    /// None when it cannot be seen who has it.
    pub holder: Option<Survivor>,
}

impl Left {
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    pub fn count(&self) -> usize {
        self.descendants.len() + self.marked.len() + self.ports.len()
    }
}

/// Notes what this process's descendants listen on and share, so that it can be missed when all has been stopped.
pub fn note_ports() {
    // Who has no child has no descendant: then nobody is there to be asked.
    if matches!(wait::peek_any(), Peek::NoChild) {
        return;
    }
    shared::note();
    // Mostly what listens was noted when its job was ready: then nobody's files need be read.
    let listeners = Listeners::now();
    if listeners.are_noted() {
        return;
    }
    let tree = proc::descendants(nix::unistd::getpid().as_raw());
    listeners.of(&tree.iter().map(|stat| stat.pid).collect::<Vec<_>>());
}

/// What is left of the run of this name, of which the first process was started after `since`.
pub fn look(run: &str, since: Option<Births>) -> Left {
    let until = clock::now() + SETTLE;
    loop {
        let left = look_once(run, since);
        let strangers = left.marked.len() + left.ports.len();
        if strangers == 0 || clock::now() >= until {
            return Left { shared: shared::remove_left(), ..left };
        }
        std::thread::sleep(SETTLE / 20);
    }
}

fn look_once(run: &str, since: Option<Births>) -> Left {
    let descendants = survivors();
    let is_known = |pid: i32| descendants.iter().any(|survivor| survivor.pid == pid);
    let me = nix::unistd::getpid().as_raw();
    let (marked, mut missed) = proc::carriers(&format!("{MARK}={run}"), since, LOOK);
    let marked: Vec<Survivor> =
        marked.into_iter().filter(|pid| *pid != me && !is_known(*pid)).filter_map(survivor).collect();
    let mut ports = open_ports();
    // Who is named already needs no second line.
    ports.retain(|open| {
        let pid = open.holder.as_ref().map(|holder| holder.pid);
        pid.is_none_or(|pid| !is_known(pid) && !marked.iter().any(|one| one.pid == pid))
    });
    // Nothing is to be said of who is named already, or has ended.
    missed.retain(|pid| !is_known(*pid) && proc::stat(*pid).is_some_and(|stat| stat.alive()));
    Left { descendants, marked, ports, missed, shared: Vec::new() }
}

fn open_ports() -> Vec<OpenPort> {
    let noted = page::get().map(page::Page::sockets).unwrap_or_default();
    if noted.is_empty() {
        return Vec::new();
    }
    let open: Vec<_> = socket::listeners().into_iter().filter(|l| noted.contains(&l.inode)).collect();
    if open.is_empty() {
        return Vec::new();
    }
    let inodes: Vec<u64> = open.iter().map(|listener| listener.inode).collect();
    let (owners, _) = proc::socket_owners(&inodes);
    let holder = |inode| owners.get(&inode)?.iter().find_map(|pid| survivor(*pid));
    open.iter().map(|l| OpenPort { port: l.address.port(), holder: holder(l.inode) }).collect()
}
