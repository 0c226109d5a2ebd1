//! What is being waited for at this moment, as plain data: noted by whoever waits, shown by the report.
//!
//! A wait that is soon over costs two short locks, and no system call: the report sleeps meanwhile. It is woken by whoever
//! waits, who is awake now and then anyway, once that has taken so long that it is worth showing; from then on it looks by
//! itself for as long as there is something to see.

use crate::lock::lock;
use crate::sys::clock;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What kind of wait it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// For something to become true.
    Waiting,
    /// For a command to end.
    Running,
    /// For jobs to be gone.
    Stopping,
    /// For time to pass.
    Sleeping,
}

/// One wait.
#[derive(Clone, Debug)]
pub struct Item {
    pub id: u64,
    pub doing: Doing,
    /// As it stands behind what is being done: `http://localhost:8080/`, `npm test`.
    pub what: String,
    pub since: Duration,
    /// Its own deadline, if it has one.
    pub until: Option<Duration>,
    /// What the last attempt has seen; empty when there was none, or it says nothing.
    pub seen: String,
}

/// All waits, the oldest first.
pub struct Board {
    items: Mutex<Items>,
    /// After how long a wait is worth showing, in nanoseconds; [`NEVER`] when nobody looks.
    worth: AtomicU64,
    /// When the report is to be woken, on the run's clock, in nanoseconds; [`NEVER`] when it is awake, or there is nothing.
    due: AtomicU64,
}

#[derive(Default)]
struct Items {
    last: u64,
    all: Vec<Item>,
}

const NEVER: u64 = u64::MAX;

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(NEVER)
}

impl Default for Board {
    fn default() -> Self {
        Self { items: Mutex::default(), worth: AtomicU64::new(NEVER), due: AtomicU64::new(NEVER) }
    }
}

impl Board {
    /// From now on waits are shown that have taken so long.
    pub fn show_after(&self, time: Duration) {
        self.worth.store(nanos(time), SeqCst);
    }

    /// Notes a wait, for as long as what is returned lives.
    pub fn begin(self: &Arc<Self>, doing: Doing, what: String, timeout: Option<Duration>) -> Pending {
        let worth = self.worth.load(SeqCst);
        if worth == NEVER {
            return Pending::default();
        }
        let since = clock::now();
        let until = timeout.map(|time| since.saturating_add(time));
        let mut items = lock(&self.items);
        items.last += 1;
        let id = items.last;
        items.all.push(Item { id, doing, what, since, until, seen: String::new() });
        self.due.fetch_min(nanos(since).saturating_add(worth), SeqCst);
        drop(items);
        Pending(Some((Arc::clone(self), id)))
    }

    /// When whoever waits is to wake the report.
    pub fn due(&self) -> Option<Duration> {
        Some(self.due.load(SeqCst)).filter(|due| *due != NEVER).map(Duration::from_nanos)
    }

    /// Whether it is to be woken now; then nobody else needs to.
    pub fn is_due(&self, now: Duration) -> bool {
        let due = self.due.load(SeqCst);
        nanos(now) >= due && self.due.compare_exchange(due, NEVER, SeqCst, SeqCst).is_ok()
    }

    /// What is being waited for, for whoever shows it.
    pub fn read<T>(&self, look: impl FnOnce(&[Item]) -> T) -> T {
        look(&lock(&self.items).all)
    }

    fn change(&self, id: u64, change: impl FnOnce(&mut Item)) {
        if let Some(item) = lock(&self.items).all.iter_mut().find(|item| item.id == id) {
            change(item);
        }
    }

    fn end(&self, id: u64) {
        let mut items = lock(&self.items);
        items.all.retain(|item| item.id != id);
        if items.all.is_empty() {
            self.due.store(NEVER, SeqCst);
        }
    }
}

/// A wait that is noted, until this goes. The default is one that is not.
#[derive(Default)]
pub struct Pending(Option<(Arc<Board>, u64)>);

impl Pending {
    /// What the last attempt has seen.
    pub fn saw(&self, what: &str) {
        if let Some((board, id)) = &self.0 {
            board.change(*id, |item| {
                if item.seen != what {
                    item.seen.replace_range(.., what);
                }
            });
        }
    }

    /// What is waited for by now.
    pub fn about(&self, what: impl FnOnce() -> String) {
        if let Some((board, id)) = &self.0 {
            let what = what();
            board.change(*id, |item| item.what = what);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some((board, id)) = self.0.take() {
            board.end(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whats(board: &Board) -> Vec<String> {
        board.read(|items| items.iter().map(|item| format!("{} {}", item.what, item.seen)).collect())
    }

    #[test]
    fn a_wait_is_there_as_long_as_it_lasts() {
        let board = Arc::new(Board::default());
        let unseen = board.begin(Doing::Waiting, "a".to_owned(), None);
        unseen.saw("503");
        assert_eq!((whats(&board), board.due()), (Vec::new(), None), "nobody looks");
        board.show_after(Duration::ZERO);
        let first = board.begin(Doing::Waiting, "b".to_owned(), None);
        let second = board.begin(Doing::Running, "c".to_owned(), None);
        first.saw("503");
        second.about(|| "d".to_owned());
        assert_eq!(whats(&board), ["b 503", "d "]);
        assert!(board.is_due(clock::now()) && !board.is_due(clock::now()), "it is told once");
        drop(first);
        assert_eq!(whats(&board), ["d "]);
        board.show_after(Duration::from_secs(3600));
        let third = board.begin(Doing::Sleeping, "e".to_owned(), None);
        assert!(board.due().is_some() && !board.is_due(clock::now()), "not for an hour");
        drop((second, third));
        assert_eq!((whats(&board), board.due()), (Vec::new(), None));
    }
}
