//! An attempt that may block, on a thread of its own: the wait goes on hearing the bell. A thread that is still
//! blocked when its wait is over is left to its own timeout.
//!
//! One thread that has nothing more to do stays for the next attempt: to start one, and to take it down, takes longer than
//! most servers of this machine take to answer.

use crate::jobs::control::Control;
use crate::lock::lock;
use std::sync::{Arc, Mutex, mpsc};

/// Says whose bell tells that it is done.
type Work = Box<dyn FnOnce() -> Option<Arc<Control>> + Send>;

/// The thread that waits for an attempt.
static IDLE: Mutex<Option<mpsc::Sender<Work>>> = Mutex::new(None);

/// Has a thread wait for the next attempt, which may have to be made at any time.
pub fn prepare() {
    if lock(&IDLE).is_none() {
        start(Box::new(|| None));
    }
}

/// How much memory a request and its answer take, at most.
const ATTEMPT: usize = 96 << 10;

/// On the thread that waits, or on a new one; false: there is none to be had.
fn work(work: Work) -> bool {
    let idle = lock(&IDLE).take();
    let sent = match idle {
        Some(idle) => idle.send(work),
        None => Err(mpsc::SendError(work)),
    };
    sent.map_or_else(|mpsc::SendError(work)| start(work), |()| true)
}

fn start(first: Work) -> bool {
    let (sender, more) = mpsc::channel::<Work>();
    let serve = move || {
        let mut work = first;
        loop {
            let control = work();
            let stays = {
                let mut idle = lock(&IDLE);
                let stays = idle.is_none();
                idle.get_or_insert_with(|| sender.clone());
                stays
            };
            // Who hears it finds a thread that waits, and starts no other one.
            control.inspect(|control| control.bell.ring());
            if !stays {
                return;
            }
            // To get it from the kernel takes half as long as to ask a server; the allocator keeps what it gets back.
            drop(std::hint::black_box(vec![1u8; ATTEMPT]));
            let Ok(next) = more.recv() else { return };
            work = next;
        }
    };
    std::thread::Builder::new().name("probe".into()).spawn(serve).is_ok()
}

pub struct Background<T> {
    result: Option<Arc<Mutex<Option<T>>>>,
    control: Arc<Control>,
}

impl<T: Send + 'static> Background<T> {
    pub fn new(control: Arc<Control>) -> Self {
        Self { result: None, control }
    }

    pub fn under_way(&self) -> bool {
        self.result.is_some()
    }

    /// The result of what is under way, once it is there.
    pub fn take(&mut self) -> Option<T> {
        let done = lock(self.result.as_ref()?).take();
        if done.is_some() {
            self.result = None;
        }
        done
    }

    /// Starts `attempt` unless it is under way; its result once it is there.
    pub fn poll(&mut self, attempt: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        if self.under_way() {
            return self.take();
        }
        let result = Arc::new(Mutex::new(None));
        let (theirs, control) = (Arc::clone(&result), Arc::clone(&self.control));
        let started = work(Box::new(move || {
            let value = attempt();
            *lock(&theirs) = Some(value);
            Some(control)
        }));
        // Without a thread nothing is under way, and the next poll tries again.
        self.result = started.then_some(result);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::ThreadId;

    /// What an attempt came to, waiting for it as whoever hears the bell does.
    fn made<T: Send + 'static>(
        background: &mut Background<T>,
        attempt: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let control = Arc::clone(&background.control);
        let mut attempt = Some(attempt);
        loop {
            let rings = control.bell.rings();
            let found = match attempt.take() {
                Some(attempt) => background.poll(attempt),
                None => background.take(),
            };
            match found {
                Some(found) => return found,
                None => control.bell.wait(rings, None),
            }
        }
    }

    #[test]
    fn an_attempt_that_blocks_keeps_no_other_one_waiting() {
        let control: Arc<Control> = Arc::default();
        let new = || Background::<Option<ThreadId>>::new(Arc::clone(&control));
        let (mut blocked, mut other) = (new(), new());
        let (go_on, wait) = mpsc::channel::<()>();
        prepare();
        let stuck = move || {
            let _ = wait.recv();
            None
        };
        assert!(blocked.poll(stuck).is_none() && blocked.under_way());
        for _ in 0..3 {
            let thread = made(&mut other, || Some(std::thread::current().id()));
            assert!(thread.is_some_and(|thread| thread != std::thread::current().id()));
        }
        assert!(blocked.take().is_none() && blocked.under_way());
        drop(go_on);
        assert!(made(&mut blocked, || None).is_none() && !blocked.under_way());
    }
}
