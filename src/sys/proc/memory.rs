//! What the kernel reads out of a process's own memory: its arguments and its environment, as /proc shows them.
//!
//! Whoever reads them takes a lock of that process (`mmap_lock`), and there are processes that hold it for ever: in
//! uninterruptible sleep, because of a filesystem or a device that does not answer. Those are the ones that SIGKILL does
//! not end and that must be named. So a thread of its own reads, and is given up when it does not answer: the kernel
//! lets go of it when this process ends (`access_remote_vm` waits killably).

use super::stat::stat;
use super::threads::runnable;
use crate::sys::clock;
use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

/// How long a process may take to show its memory, while few have been slow. A read takes microseconds, but on an
/// overloaded machine the reader may wait for its turn.
const PATIENCE: Duration = Duration::from_secs(1);
/// And when there are many of them.
const IMPATIENCE: Duration = Duration::from_millis(20);
const FEW: usize = 3;
/// How many times as long while the reader is kept from reading by nothing but the lack of a processor.
const STARVED: usize = 10;
/// It only calls the kernel.
const STACK: usize = 128 << 10;

type Work = Box<dyn FnOnce() + Send>;

struct Reader {
    /// None before the first question, and when one was given up.
    thread: Option<Thread>,
    /// Who did not answer, with its start time: it is not asked again.
    silent: Vec<(i32, u64)>,
}

static READER: Mutex<Reader> = Mutex::new(Reader { thread: None, silent: Vec::new() });

/// A file of /proc that shows the memory of process `pid`; none when it may not be read or does not answer.
pub fn read(pid: i32, file: PathBuf) -> Option<Vec<u8>> {
    let mut reader = reader();
    if reader.is_silent(pid) {
        return None;
    }
    let patience = if reader.silent.len() < FEW { PATIENCE } else { IMPATIENCE };
    let answer = reader.ask(patience, move || fs::read(file));
    if answer.is_none() {
        reader.silent.extend(start(pid).map(|start| (pid, start)));
    }
    answer?.ok()
}

/// What a look at the memory of each of these processes gives, and whom it has not come to: who has not answered, and
/// the rest when `bound` has passed. The thread goes from one to the next without coming back to us: on a busy machine
/// each way would wait for a processor.
pub fn each<T: Send + 'static>(
    mut pids: VecDeque<i32>,
    bound: Duration,
    look: impl Fn(i32) -> T + Clone + Send + 'static,
) -> (Vec<(i32, T)>, Vec<i32>) {
    let mut reader = reader();
    let until = clock::raw() + bound;
    let (mut found, mut missed) = (Vec::new(), Vec::new());
    pids.retain(|pid| {
        let silent = reader.is_silent(*pid);
        missed.extend(silent.then_some(*pid));
        !silent
    });
    while !pids.is_empty() {
        let (reply, answers) = mpsc::channel();
        let (todo, look) = (pids.clone(), look.clone());
        reader.hand(Box::new(move || {
            let _ = todo.into_iter().try_for_each(|pid| reply.send((pid, look(pid))));
        }));
        while let Some(next) = pids.front().copied() {
            if clock::raw() >= until {
                reader.thread = None;
                missed.extend(pids);
                return (found, missed);
            }
            match reader.wait_for(&answers, PATIENCE) {
                Some(answer) => {
                    pids.pop_front();
                    found.push(answer);
                }
                None => {
                    reader.thread = None;
                    reader.silent.extend(start(next).map(|start| (next, start)));
                    missed.extend(pids.pop_front());
                    break;
                }
            }
        }
    }
    (found, missed)
}

fn reader() -> MutexGuard<'static, Reader> {
    READER.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start(pid: i32) -> Option<u64> {
    stat(pid).map(|stat| stat.start)
}

impl Reader {
    /// Gives this to the thread.
    fn hand(&mut self, work: Work) {
        if self.thread.is_none() {
            self.thread = Thread::start();
        }
        match &self.thread {
            Some(thread) => drop(thread.work.send(work)),
            // There can be no more threads: to know nothing of anybody would be worse than to wait for one.
            None => work(),
        }
    }

    fn is_silent(&self, pid: i32) -> bool {
        self.silent.iter().any(|one| one.0 == pid && Some(one.1) == start(pid))
    }

    fn ask<T: Send + 'static>(
        &mut self,
        bound: Duration,
        question: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (reply, answers) = mpsc::channel();
        self.hand(Box::new(move || drop(reply.send(question()))));
        let answer = self.wait_for(&answers, bound);
        if answer.is_none() {
            self.thread = None;
        }
        answer
    }

    /// The next answer; none when there is none within `patience` although the thread has had a processor.
    fn wait_for<T>(&self, answers: &mpsc::Receiver<T>, patience: Duration) -> Option<T> {
        for _ in 0..STARVED {
            match answers.recv_timeout(patience) {
                Ok(answer) => return Some(answer),
                Err(_) if self.thread.as_ref().is_some_and(Thread::is_runnable) => {}
                Err(_) => return None,
            }
        }
        None
    }
}

struct Thread {
    work: mpsc::Sender<Work>,
    /// Its number; 0 before it runs.
    id: Arc<AtomicI32>,
}

impl Thread {
    /// It ends when nobody can ask it any more.
    fn start() -> Option<Self> {
        let (work, questions) = mpsc::channel::<Work>();
        let id = Arc::new(AtomicI32::new(0));
        let own = Arc::clone(&id);
        let serve = move || {
            own.store(nix::unistd::gettid().as_raw(), SeqCst);
            questions.into_iter().for_each(|work| work());
        };
        let thread = std::thread::Builder::new().name("memory".into()).stack_size(STACK).spawn(serve);
        thread.ok().map(|_| Self { work, id })
    }

    /// It does not wait for whom it reads, but for a processor.
    fn is_runnable(&self) -> bool {
        let id = self.id.load(SeqCst);
        id == 0 || runnable(std::process::id().cast_signed()).iter().any(|(thread, _)| *thread == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::Mode;

    #[test]
    fn who_does_not_answer_is_given_up_once_and_others_are_read_all_the_same() {
        let dir = tempfile::tempdir().expect("a directory");
        let fifo = dir.path().join("nobody writes to it");
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).expect("a FIFO");
        let environ = |pid: i32| PathBuf::from(format!("/proc/{pid}/environ"));
        let (me, parent) = (std::process::id().cast_signed(), nix::unistd::getppid().as_raw());
        assert!(read(me, environ(me)).is_some_and(|bytes| !bytes.is_empty()));
        assert_eq!(read(parent, fifo), None);
        assert_eq!(read(parent, environ(parent)), None, "it was silent before");
        assert!(read(me, environ(me)).is_some_and(|bytes| !bytes.is_empty()));
        assert_eq!(
            each([me, parent].into(), Duration::from_secs(100), |pid| pid),
            (vec![(me, me)], vec![parent])
        );
    }

    #[test]
    fn who_does_not_answer_keeps_nobody_else_from_being_looked_at() {
        let dir = tempfile::tempdir().expect("a directory");
        let fifo = dir.path().join("nobody writes to it");
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).expect("a FIFO");
        let (me, other) = (std::process::id().cast_signed(), 1);
        let look = move |pid| {
            if pid == other {
                let _ = fs::read(&fifo);
            }
            pid
        };
        let in_time = Duration::from_secs(100);
        assert_eq!(
            each([me, other, me].into(), in_time, look.clone()),
            (vec![(me, me), (me, me)], vec![other])
        );
        assert_eq!(each([me, me].into(), in_time, look.clone()), (vec![(me, me), (me, me)], vec![]));
        assert_eq!(each([me, me].into(), Duration::ZERO, look), (vec![], vec![me, me]));
    }
}
