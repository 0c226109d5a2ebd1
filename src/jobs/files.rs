//! Tells the bell about changes in directories: one inotify instance a run. Where there is none, or a
//! directory cannot be watched, waits poll.

use super::control::{Control, lock};
use crate::sys::fd;
use crate::sys::watch::{self, Watch};
use std::collections::HashSet;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Default)]
pub struct Files {
    /// None before the first use.
    state: Mutex<Option<State>>,
}

struct State {
    watch: Option<Arc<Watch>>,
    watched: HashSet<PathBuf>,
}

/// A log that is written all the time must not keep us busy all the time.
const BREATH: Duration = Duration::from_millis(1);

impl Files {
    /// From now on, changes in this directory ring the bell.
    pub fn watch(&self, directory: &Path, control: &Arc<Control>) {
        let mut state = lock(&self.state);
        let state = state.get_or_insert_with(|| State { watch: start(control), watched: HashSet::new() });
        if let Some(watch) = &state.watch
            && !state.watched.contains(directory)
            && watch.directory(directory)
        {
            state.watched.insert(directory.to_owned());
        }
    }
}

fn start(control: &Arc<Control>) -> Option<Arc<Watch>> {
    let watch = Arc::new(watch::create()?);
    let (theirs, control) = (Arc::clone(&watch), Arc::clone(control));
    let work = move || loop {
        fd::wait_readable(&[theirs.as_fd()], None);
        theirs.drain();
        control.bell.ring();
        std::thread::sleep(BREATH);
    };
    std::thread::Builder::new().name("files".into()).spawn(work).ok()?;
    Some(watch)
}
