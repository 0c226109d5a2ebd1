//! Strands: parts of the script that can be ended by themselves, and that may run at the same time. A closure of
//! `timeout` is one, and all closures of one `parallel` together are one.
//!
//! Closures that run at the same time take turns: rhai guards a captured variable by a lock that it gives up on, or
//! panics over, when it does not get it within 50 ms, so two must never be within one operation on it. Whoever
//! waits for anything (every wait is one on the bell) lets the others have their turn meanwhile; so their waits and
//! commands run at the same time, only what the script computes does not.

use crate::lock::lock;
use crate::sys::clock;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, Thread, ThreadId};
use std::time::Duration;

thread_local! {
    /// What the calling thread works on.
    static CURRENT: RefCell<Option<Arc<Strand>>> = const { RefCell::new(None) };
    /// Since when the calling thread has its turn.
    static TURN_SINCE: Cell<Option<Duration>> = const { Cell::new(None) };
    /// The threads that go on only when the calling thread has ended.
    static CALLERS: RefCell<Vec<ThreadId>> = const { RefCell::new(Vec::new()) };
    /// How many operations ago it has looked up a variable.
    static OPERATIONS: Cell<u32> = const { Cell::new(0) };
}

/// An operation on a captured variable, during which rhai holds its lock, begins with looking it up and is over after
/// so many operations.
const LONGEST_OPERATION: u32 = 100;

/// How long a closure that only computes may go on while others want to.
const SLICE: Duration = Duration::from_millis(20);

#[derive(Debug, Default)]
pub struct Strand {
    ended: AtomicBool,
    outer: Option<Arc<Strand>>,
}

impl Strand {
    /// A strand within the one that the calling thread works on: it ends with that.
    pub fn inside() -> Arc<Self> {
        Arc::new(Self { ended: AtomicBool::new(false), outer: CURRENT.with_borrow(Option::clone) })
    }

    /// Ends whatever works on it. The caller rings the bell.
    pub fn end(&self) {
        self.ended.store(true, SeqCst);
    }

    fn has_ended(&self) -> bool {
        self.ended.load(SeqCst) || self.outer.as_ref().is_some_and(|outer| outer.has_ended())
    }

    /// Has the calling thread work on it, until the guard goes.
    pub fn enter(self: &Arc<Self>) -> Entered {
        Entered(CURRENT.replace(Some(Arc::clone(self))))
    }
}

/// Sets back what the thread worked on before.
pub struct Entered(Option<Arc<Strand>>);

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// Whether what the calling thread works on has been ended.
pub fn ended() -> bool {
    CURRENT.with_borrow(|current| current.as_ref().is_some_and(|strand| strand.has_ended()))
}

/// The calling thread, and those that go on only when it has ended.
pub fn lineage() -> Vec<ThreadId> {
    let mut lineage = CALLERS.with_borrow(Vec::clone);
    lineage.push(thread::current().id());
    lineage
}

/// For a new thread: what [`lineage`] was in the one that waits for it.
pub fn called_by(callers: Vec<ThreadId>) {
    CALLERS.set(callers);
}

/// Whose turn it is: who has asked first is next, and only that thread is woken.
struct Queue {
    taken: bool,
    asking: VecDeque<Arc<Asker>>,
}

struct Asker {
    thread: Thread,
    turn: AtomicBool,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue { taken: false, asking: VecDeque::new() });
static WAITING: AtomicUsize = AtomicUsize::new(0);

fn begin() {
    let asker = {
        let mut queue = lock(&QUEUE);
        if queue.taken {
            let asker = Arc::new(Asker { thread: thread::current(), turn: AtomicBool::new(false) });
            queue.asking.push_back(Arc::clone(&asker));
            WAITING.fetch_add(1, SeqCst);
            Some(asker)
        } else {
            queue.taken = true;
            None
        }
    };
    if let Some(asker) = asker {
        // It may wake for no reason.
        while !asker.turn.load(SeqCst) {
            thread::park();
        }
    }
    TURN_SINCE.set(Some(clock::now()));
}

/// Passes the turn on, so that nobody who comes later gets it first.
fn end() {
    TURN_SINCE.set(None);
    let mut queue = lock(&QUEUE);
    match queue.asking.pop_front() {
        Some(next) => {
            WAITING.fetch_sub(1, SeqCst);
            next.turn.store(true, SeqCst);
            next.thread.unpark();
        }
        None => queue.taken = false,
    }
}

/// The turn of a thread that runs a closure beside others; given up when it goes, also in a panic.
pub struct Turn(());

impl Turn {
    pub fn take() -> Self {
        begin();
        Self(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        end();
    }
}

/// Whether the calling thread runs beside others.
pub fn beside_others() -> bool {
    TURN_SINCE.get().is_some()
}

/// Lets the others have their turn while the calling thread waits. It must hold no lock of ours outside of `wait`.
pub fn aside<T>(wait: impl FnOnce() -> T) -> T {
    /// Takes the turn again, also in a panic: whoever holds a [`Turn`] gives it up once.
    struct Again;
    impl Drop for Again {
        fn drop(&mut self) {
            begin();
        }
    }
    if !beside_others() {
        return wait();
    }
    end();
    let _again = Again;
    wait()
}

/// A variable is looked up: rhai holds no lock yet.
pub fn at_variable() {
    OPERATIONS.set(0);
    give_way();
}

/// At any operation.
pub fn at_operation() {
    if beside_others() {
        OPERATIONS.set(OPERATIONS.get() + 1);
        if OPERATIONS.get() >= LONGEST_OPERATION {
            OPERATIONS.set(0);
            give_way();
        }
    }
}

/// For a thread that only computes: lets the others have their turn when its own has been long.
fn give_way() {
    if WAITING.load(SeqCst) > 0 && TURN_SINCE.get().is_some_and(|since| clock::now() >= since + SLICE) {
        end();
        begin();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strand_ends_with_the_one_around_it() {
        let outer = Strand::inside();
        let entered = outer.enter();
        let inner = Strand::inside();
        let within = inner.enter();
        assert!(!ended());
        outer.end();
        assert!(ended());
        drop(within);
        assert!(ended());
        drop(entered);
        assert!(!ended());
    }

    #[test]
    fn only_one_has_its_turn_and_everybody_gets_one() {
        let counter = Mutex::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let _turn = Turn::take();
                    for _ in 0..100 {
                        // Fails where two are in here.
                        let mut counter = counter.try_lock().expect("nobody else has a turn");
                        *counter += 1;
                        drop(counter);
                        aside(std::thread::yield_now);
                    }
                });
            }
        });
        assert_eq!(*lock(&counter), 400);
        assert!(!beside_others());
    }
}
