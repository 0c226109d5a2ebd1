//! An attempt that may block, on a thread of its own: the wait goes on hearing the bell. A thread that is still
//! blocked when its wait is over is left to its own timeout.

use crate::jobs::control::Control;
use crate::lock::lock;
use std::sync::{Arc, Mutex};

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

    /// Starts `work` unless it is under way; its result once it is there.
    pub fn poll(&mut self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        if self.under_way() {
            return self.take();
        }
        let result = Arc::new(Mutex::new(None));
        let (theirs, control) = (Arc::clone(&result), Arc::clone(&self.control));
        let thread = std::thread::Builder::new().name("probe".into()).spawn(move || {
            let value = work();
            *lock(&theirs) = Some(value);
            control.bell.ring();
        });
        // Without a thread nothing is under way, and the next poll tries again.
        self.result = thread.is_ok().then_some(result);
        None
    }
}
