//! Tells the bell about changes of files that somebody waits for: one inotify instance a run. Where there is none, or a
//! directory cannot be watched, waits poll.

use crate::jobs::wait::control::Control;
use crate::lock::lock;
use crate::sys::fd;
use crate::sys::watch::{self, Watch};
use std::collections::HashMap;
use std::ffi::OsString;
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
    /// The directories that are watched, and whether that could be had.
    directories: HashMap<PathBuf, bool>,
    wanted: Wanted,
}

/// How many wait for a file of this name, in whatever directory: one ring too many costs less than telling them apart.
type Wanted = Arc<Mutex<HashMap<OsString, usize>>>;

/// A log that is written all the time must not keep us busy all the time.
const BREATH: Duration = Duration::from_millis(1);

/// As long as it lives, changes of one file ring the bell.
pub struct Watching {
    name: OsString,
    wanted: Wanted,
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut wanted = lock(&self.wanted);
        if let Some(count) = wanted.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                wanted.remove(&self.name);
            }
        }
    }
}

impl Files {
    /// From now on changes of this file ring the bell, also its coming into being, until what is returned goes.
    pub fn watch(&self, file: &Path, control: &Arc<Control>) -> Option<Watching> {
        let (directory, name) = (file.parent()?, file.file_name()?.to_owned());
        let mut state = lock(&self.state);
        let state = state.get_or_insert_with(|| State::new(control));
        let watch = state.watch.as_ref()?;
        // One that was not there is asked for again.
        let watched = state.directories.entry(directory.to_owned()).or_insert(false);
        *watched = *watched || watch.directory(directory);
        if !*watched {
            return None;
        }
        let wanted = Arc::clone(&state.wanted);
        *lock(&wanted).entry(name.clone()).or_insert(0) += 1;
        Some(Watching { name, wanted })
    }
}

impl State {
    fn new(control: &Arc<Control>) -> Self {
        let wanted = Wanted::default();
        let watch = start(control, Arc::clone(&wanted));
        Self { watch, directories: HashMap::new(), wanted }
    }
}

fn start(control: &Arc<Control>, wanted: Wanted) -> Option<Arc<Watch>> {
    let watch = Arc::new(watch::create()?);
    let (theirs, control) = (Arc::clone(&watch), Arc::clone(control));
    let work = move || loop {
        fd::wait_readable(&[theirs.as_fd()], None);
        if theirs.changed(|name| lock(&wanted).contains_key(name)) {
            control.bell.ring();
        }
        std::thread::sleep(BREATH);
    };
    std::thread::Builder::new().name("files".into()).spawn(work).ok()?;
    Some(watch)
}
