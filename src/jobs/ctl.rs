//! The socket by which the processes of a run can ask it for something: who may, how much, how many at once. What is
//! asked for, and what comes of it, is for whoever answers.
//!
//! 1. It is made with the first process, which finds its path in `BGJOBS_CTL`. Nobody but the owner of the run gets at it:
//!    it lies in a directory of mode 0700, and has mode 0600.
//! 2. The reaper, which waits for descriptors anyway, watches it. At the first connection it hands it over to a thread.
//! 3. That thread accepts, and gives each connection a thread of its own: what is asked for may take long. So many at
//!    once, the others wait to be accepted.
//! 4. A connection is one line each way. Whoever is slow to ask, or asks for too much, is told so; whoever is another
//!    user, and not root, as well.

use crate::jobs::spec::Spec;
use crate::lock::lock;
use crate::sys::{clock, local, proc};
use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

/// The variable that names the socket.
pub const VARIABLE: &str = "BGJOBS_CTL";
/// What it is called in the run directory.
pub const SOCKET: &str = "ctl";

/// How long a request may be.
const LONGEST: usize = 8 << 10;
/// How long it may take to arrive, and its answer to be read.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many are answered at the same time.
const AT_ONCE: usize = 32;

/// Who asks.
#[derive(Clone, Debug)]
pub struct Asker {
    /// What has called the program that asks, which is known: such as `pytest`.
    pub program: Option<String>,
    pub pid: Option<i32>,
}

/// What has come over a connection.
pub enum Heard<'a> {
    Request(&'a [u8], Asker),
    /// This user has no business here.
    Stranger(u32),
    TooLong,
    TooSlow,
}

/// Words the answer: a line.
pub type Answer = fn(Heard) -> Vec<u8>;

#[derive(Default)]
pub struct Ctl {
    /// Who answers, and how large the stack is that this takes.
    answer: OnceLock<(Answer, usize)>,
    /// Once something has been started. None where there can be none: the run does not depend on it.
    socket: OnceLock<Option<Socket>>,
}

struct Socket {
    path: PathBuf,
    listener: UnixListener,
}

impl Ctl {
    /// To be called before anything is started.
    pub fn answered_by(&self, answer: Answer, stack: usize) {
        let _ = self.answer.set((answer, stack));
    }

    /// Tells a process that is to be started where it can ask. One of another user could not.
    pub(super) fn tell(&self, run_dir: &Path, spec: &mut Spec, is_own: bool) {
        let make = || {
            let path = run_dir.join(SOCKET);
            let listener = self.answer.get().and_then(|_| local::listen(&path).ok())?;
            Some(Socket { path, listener })
        };
        match self.socket.get_or_init(make).as_ref().filter(|_| is_own) {
            Some(socket) => spec.env.insert(VARIABLE, socket.path.clone()),
            // That of a run around this one would be another run's.
            None => spec.env.remove(OsStr::new(VARIABLE)),
        }
    }

    pub(super) fn listener(&self) -> Option<&UnixListener> {
        self.socket.get()?.as_ref().map(|socket| &socket.listener)
    }

    /// Somebody connects for the first time: from now on a thread accepts. Whether it does.
    pub(super) fn serve(&self) -> bool {
        let (Some((answer, stack)), Some(listener)) = (self.answer.get().copied(), self.listener()) else {
            return false;
        };
        let started = listener.try_clone().and_then(|ours| {
            thread::Builder::new().name("ctl".into()).spawn(move || accept(&ours, answer, stack))
        });
        if started.is_err() {
            // Who gets no answer has one, too; and it will be tried again.
            drop(listener.accept());
        }
        started.is_ok()
    }

    /// Nobody finds it any more.
    pub fn close(&self) {
        if let Some(Some(socket)) = self.socket.get() {
            let _ = std::fs::remove_file(&socket.path);
        }
    }
}

/// How many more can be answered now.
struct Free {
    count: Mutex<usize>,
    changed: Condvar,
}

/// One of them; free again when it goes, also in a panic.
struct Place(Arc<Free>);

impl Place {
    fn take(free: &Arc<Free>) -> Self {
        let mut count = lock(&free.count);
        while *count == 0 {
            count = free.changed.wait(count).unwrap_or_else(PoisonError::into_inner);
        }
        *count -= 1;
        Self(Arc::clone(free))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *lock(&self.0.count) += 1;
        self.0.changed.notify_one();
    }
}

fn accept(listener: &UnixListener, answer: Answer, stack: usize) {
    const REST: Duration = Duration::from_millis(50);
    let free = Arc::new(Free { count: Mutex::new(AT_ONCE), changed: Condvar::new() });
    loop {
        let place = Place::take(&free);
        let Ok((stream, _)) = listener.accept() else {
            // No descriptor is left; or whoever wanted something has gone.
            thread::sleep(REST);
            continue;
        };
        let start = |stack| thread::Builder::new().name("ctl".into()).stack_size(stack);
        let stream = Arc::new(stream);
        let work = move |stream: Arc<UnixStream>, place: Place| {
            move || {
                let _place = place;
                converse(&stream, answer);
            }
        };
        // An address space limit (ulimit -v) may not have that much room.
        if start(stack).spawn(work(Arc::clone(&stream), place)).is_err() {
            let _ = start(stack / 16).spawn(work(stream, Place::take(&free)));
        }
    }
}

fn converse(stream: &UnixStream, answer: Answer) {
    let Ok(peer) = local::peer(stream) else { return };
    let me = nix::unistd::geteuid().as_raw();
    let mut line = Vec::new();
    let heard = if peer.uid != me && peer.uid != 0 {
        Heard::Stranger(peer.uid)
    } else {
        match read_line(stream, &mut line) {
            Arrived::Whole => Heard::Request(&line, asker(peer.pid)),
            Arrived::TooLong => Heard::TooLong,
            Arrived::TooSlow => Heard::TooSlow,
            Arrived::Nothing => return,
        }
    };
    write_within(stream, &answer(heard));
}

/// The peer is bgjobs itself: what has called that says more.
fn asker(peer: i32) -> Asker {
    let parent = proc::stat(peer).map(|stat| stat.ppid).filter(|pid| *pid > 0);
    Asker { program: parent.and_then(proc::name), pid: parent }
}

enum Arrived {
    Whole,
    TooLong,
    TooSlow,
    Nothing,
}

/// Up to the end of a line, or of what is sent.
fn read_line(mut stream: &UnixStream, line: &mut Vec<u8>) -> Arrived {
    let until = clock::now() + PATIENCE;
    let mut piece = [0; 1024];
    loop {
        let left = until.saturating_sub(clock::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return Arrived::TooSlow;
        }
        match stream.read(&mut piece) {
            Ok(0) if line.is_empty() => return Arrived::Nothing,
            Ok(0) => return Arrived::Whole,
            Ok(length) => line.extend_from_slice(&piece[..length]),
            Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => continue,
            Err(_) => return Arrived::Nothing,
        }
        if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            line.truncate(end);
            return Arrived::Whole;
        }
        if line.len() > LONGEST {
            return Arrived::TooLong;
        }
    }
}

fn write_within(mut stream: &UnixStream, mut bytes: &[u8]) {
    let until = clock::now() + PATIENCE;
    while !bytes.is_empty() {
        let left = until.saturating_sub(clock::now());
        if left.is_zero() || stream.set_write_timeout(Some(left)).is_err() {
            return;
        }
        match stream.write(bytes) {
            Ok(length) if length > 0 => bytes = &bytes[length..],
            Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
            Ok(_) | Err(_) => return,
        }
    }
}
