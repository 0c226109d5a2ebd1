//! A piece of the script with an end of its own: when its time is up, its strand is ended, and with it all that is done
//! there. What is said about that is left to the caller.

use super::runtime::rt;
use crate::exit;
use crate::host::source::text;
use crate::host::value::error::{ScriptError, StoppedIn};
use crate::jobs;
use crate::jobs::strand::Strand;
use rhai::EvalAltResult;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

/// What ends a strand when its time is up, unless it is done before.
struct Alarm<'a> {
    strand: &'a Strand,
    /// Either the time was up or the work done: whoever comes first.
    over: AtomicBool,
}

impl Alarm<'_> {
    /// Whether this came first.
    fn claim(&self) -> bool {
        !self.over.swap(true, SeqCst)
    }

    fn watch(&self, deadline: Duration) {
        let control = rt().control();
        loop {
            let rings = control.bell.rings();
            if self.over.load(SeqCst) {
                return;
            }
            if jobs::now() >= deadline {
                if self.claim() {
                    self.strand.end();
                    control.bell.ring();
                }
                return;
            }
            control.bell.wait(rings, Some(deadline));
        }
    }
}

/// Lets the watcher go, also when the work panics.
struct Done<'a>(&'a Alarm<'a>, bool);

impl Done<'_> {
    /// Whether the work was done in time.
    fn in_time(&mut self) -> bool {
        let in_time = self.0.claim();
        self.1 = true;
        rt().control().bell.ring();
        in_time
    }
}

impl Drop for Done<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.in_time();
        }
    }
}

/// Works on a strand, for at most this time; what came of it, and whether it was done in time. The error: there is no
/// thread to watch it, and nothing was done.
pub fn within<T>(
    strand: &Arc<Strand>,
    time: Option<Duration>,
    work: impl FnOnce() -> T,
) -> Result<(T, bool), std::io::Error> {
    let Some(time) = time else {
        let _strand = strand.enter();
        return Ok((work(), true));
    };
    let alarm = Alarm { strand, over: AtomicBool::new(false) };
    let deadline = jobs::now() + time;
    thread::scope(|scope| {
        let watch = || alarm.watch(deadline);
        thread::Builder::new().name("timeout".into()).spawn_scoped(scope, watch)?;
        let mut done = Done(&alarm, false);
        let result = {
            let _strand = strand.enter();
            work()
        };
        Ok((result, done.in_time()))
    })
}

/// What a piece was doing when its time was up, by the error that has ended it. `outer`: the function that has set the time, which is
/// what Rhai tells of when none of ours was under way in it.
pub fn doing(error: Option<&EvalAltResult>, outer: &str) -> String {
    let stopped = error.and_then(|error| match error.unwrap_inner() {
        EvalAltResult::ErrorTerminated(token, _) => token.read_lock::<StoppedIn>().map(|it| it.clone()),
        _ => None,
    });
    let at = stopped.filter(|it| it.function != outer).and_then(|it| {
        let place = text::at(&it.source, text::as_written(&it.source, it.position))?;
        Some(format!("it was in `{}` then, called at {place}", it.function))
    });
    at.unwrap_or_else(|| "it was computing then: no wait, command or request was under way".to_owned())
}

/// What is thrown when there is no thread. `function`: what wanted one.
pub fn no_thread(function: &str, error: std::io::Error) -> ScriptError {
    let why = jobs::why(error);
    ScriptError::io(format!("{function}: cannot start a thread: {why}")).exit(exit::INFRASTRUCTURE)
}
