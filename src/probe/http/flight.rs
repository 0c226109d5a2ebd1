//! A request under way, seen and ended from another thread.

use super::error::Error;
use super::explain::words;
use crate::lock::lock;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;
use ureq::Agent;

/// How long a wait tries to connect before it tries anew: an answer may take its time, a connection does not.
pub(super) const CONNECT: Duration = Duration::from_secs(5);

/// A request under way, seen from another thread.
#[derive(Debug, Default)]
pub struct Flight {
    state: Mutex<Leg>,
    agent: Mutex<Option<Agent>>,
    given_up: AtomicBool,
}

/// How far a request has come.
#[derive(Clone, Debug, Default)]
pub(super) enum Leg {
    /// The connection is not ours to see.
    #[default]
    Unseen,
    Connecting,
    Accepted,
    /// This has come.
    Arrived(String),
}

impl Flight {
    /// Ends it: nobody is interested in its answer any more.
    pub fn give_up(&self) {
        self.given_up.store(true, SeqCst);
        if let Some(agent) = lock(&self.agent).take() {
            agent.shutdown();
        }
    }

    /// From now on it can be ended.
    pub(super) fn takes_off(&self, agent: &Agent, leg: Leg) -> Result<(), Error> {
        *lock(&self.agent) = Some(agent.clone());
        self.reaches(leg);
        if self.given_up.load(SeqCst) { Err(Error::other("given up")) } else { Ok(()) }
    }

    pub(super) fn reaches(&self, leg: Leg) {
        *lock(&self.state) = leg;
    }

    pub(in crate::probe) fn has_arrived(&self, what: String) {
        self.reaches(Leg::Arrived(what));
    }

    /// What it has come to after that time.
    pub fn describe(&self, time: Duration) -> String {
        match &*lock(&self.state) {
            Leg::Unseen => format!("no answer in {}", words(time)),
            Leg::Connecting => format!("no connection in {}", words(time.min(CONNECT))),
            Leg::Accepted => format!("accepted the connection, no answer in {}", words(time)),
            Leg::Arrived(what) => what.clone(),
        }
    }
}
