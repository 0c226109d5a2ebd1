//! What processes print: a job's log file, which it writes itself, and a command's two pipes, which we read.
//!
//! A pipe is never read to its end before a result is given: a process that the command left behind may hold
//! it open for ever. When the command has ended, what is in the pipe then belongs to it; the rest is drained
//! until the run ends, since closing the pipe would kill the one that still holds it.

use super::control::{Control, lock};
use crate::event::{Bus, Event};
use crate::sys::fd::{self, Read as ReadFd};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How much of one command's output is kept; beyond it, the first and the last half.
pub const CAPTURE_LIMIT: usize = 64 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// Output in the order in which it came.
#[derive(Default)]
pub struct Captured {
    head: Vec<(Stream, Vec<u8>)>,
    tail: VecDeque<(Stream, Vec<u8>)>,
    head_bytes: usize,
    tail_bytes: usize,
    /// Bytes that were dropped between head and tail.
    pub dropped: usize,
}

impl Captured {
    fn push(&mut self, stream: Stream, bytes: &[u8]) {
        if self.head_bytes < CAPTURE_LIMIT / 2 {
            self.head_bytes += bytes.len();
            match self.head.last_mut() {
                Some((last, chunk)) if *last == stream => chunk.extend_from_slice(bytes),
                _ => self.head.push((stream, bytes.to_vec())),
            }
            return;
        }
        self.tail_bytes += bytes.len();
        self.tail.push_back((stream, bytes.to_vec()));
        while self.tail_bytes > CAPTURE_LIMIT / 2 {
            let Some((_, chunk)) = self.tail.pop_front() else { break };
            self.tail_bytes -= chunk.len();
            self.dropped += chunk.len();
        }
    }

    /// The text of one stream, or of both in the order in which it came.
    pub fn text(&self, only: Option<Stream>) -> String {
        let mut bytes = Vec::new();
        let wanted = |stream: &Stream| only.is_none_or(|only| only == *stream);
        for (_, chunk) in self.head.iter().filter(|(stream, _)| wanted(stream)) {
            bytes.extend_from_slice(chunk);
        }
        if self.dropped > 0 {
            bytes.extend_from_slice(format!("\n… {} bytes left out …\n", self.dropped).as_bytes());
        }
        for (_, chunk) in self.tail.iter().filter(|(stream, _)| wanted(stream)) {
            bytes.extend_from_slice(chunk);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Our ends of a command's pipes, before anybody reads them.
pub struct Capture {
    stdout: OwnedFd,
    stderr: OwnedFd,
}

#[derive(Default)]
struct State {
    captured: Captured,
    /// The command has ended: read what is there, then say so.
    flush: bool,
    flushed: bool,
}

/// Reads a command's pipes on a thread of its own.
pub struct Pump {
    shared: Arc<(Mutex<State>, Condvar)>,
    wake: OwnedFd,
}

impl Capture {
    pub fn new(stdout: OwnedFd, stderr: OwnedFd) -> nix::Result<Self> {
        fd::set_nonblocking(&stdout)?;
        fd::set_nonblocking(&stderr)?;
        Ok(Self { stdout, stderr })
    }

    /// Starts reading; `echo` also passes everything on to the event stream.
    pub fn pump(self, echo: bool, bus: Arc<Bus>, control: Arc<Control>) -> std::io::Result<Pump> {
        let (wake_read, wake) = fd::pipe()?;
        let shared: Arc<(Mutex<State>, Condvar)> = Arc::default();
        let theirs = Arc::clone(&shared);
        let name = "output".to_owned();
        std::thread::Builder::new().name(name).spawn(move || {
            let mut pipes = vec![(Stream::Stdout, self.stdout), (Stream::Stderr, self.stderr)];
            let mut buffer = vec![0u8; 64 << 10];
            let mut finished = false;
            while !pipes.is_empty() || !finished {
                let mut wait: Vec<_> = pipes.iter().map(|(_, pipe)| pipe.as_fd()).collect();
                if !finished {
                    wait.push(wake_read.as_fd());
                }
                fd::wait_readable(&wait, None);
                let flush = lock(&theirs.0).flush;
                pipes.retain(|(stream, pipe)| {
                    loop {
                        match fd::read_some(pipe, &mut buffer) {
                            ReadFd::Bytes(_) if finished => {} // A stranger's output now.
                            ReadFd::Bytes(n) => {
                                lock(&theirs.0).captured.push(*stream, &buffer[..n]);
                                if echo {
                                    let bytes = buffer[..n].to_vec();
                                    let event = match stream {
                                        Stream::Stdout => Event::Stdout(bytes),
                                        Stream::Stderr => Event::Stderr(bytes),
                                    };
                                    bus.output(event, || control.halted());
                                }
                            }
                            ReadFd::Nothing => return true,
                            ReadFd::End => return false,
                        }
                    }
                });
                if flush && !finished {
                    finished = true;
                    lock(&theirs.0).flushed = true;
                    theirs.1.notify_all();
                }
            }
        })?;
        Ok(Pump { shared, wake })
    }
}

impl Pump {
    /// What the command has printed, once it has ended; `give_up` ends the wait for a stalled echo.
    pub fn finish(self, give_up: &dyn Fn() -> bool) -> Captured {
        lock(&self.shared.0).flush = true;
        drop(self.wake);
        let mut state = lock(&self.shared.0);
        while !state.flushed && !give_up() {
            let patience = Duration::from_millis(50);
            state = self.shared.1.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::take(&mut state.captured)
    }
}

/// Reads a log while others write it.
///
/// A log can be truncated under us (`echo x >/dev/stderr` in a shell does it): when the file is shorter than
/// what was read, reading goes on from its beginning.
pub struct LogReader {
    path: PathBuf,
    offset: u64,
    pub truncated: bool,
    partial: Vec<u8>,
}

impl LogReader {
    pub fn from_start(path: &Path) -> Self {
        Self { path: path.to_owned(), offset: 0, truncated: false, partial: Vec::new() }
    }

    pub fn from_offset(path: &Path, offset: u64) -> Self {
        Self { offset, ..Self::from_start(path) }
    }

    /// The lines that came since the last call, without colour codes. The last one may still be incomplete;
    /// it comes again, longer, next time.
    pub fn new_lines(&mut self) -> Vec<String> {
        let Ok(mut file) = File::open(&self.path) else { return Vec::new() };
        let size = file.metadata().map_or(0, |meta| meta.size());
        if size < self.offset {
            self.offset = 0;
            self.truncated = true;
            self.partial.clear();
        }
        let mut bytes = std::mem::take(&mut self.partial);
        if size > self.offset && file.seek(SeekFrom::Start(self.offset)).is_ok() {
            self.offset += file.take(size - self.offset).read_to_end(&mut bytes).unwrap_or(0) as u64;
        }
        let mut lines: Vec<String> = Vec::new();
        let mut pieces = bytes.split(|b| *b == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            if pieces.peek().is_none() {
                self.partial = piece.to_vec();
                if piece.is_empty() {
                    break;
                }
            }
            lines.push(plain(piece));
        }
        lines
    }
}

/// A line as text without colour codes and carriage returns.
pub fn plain(bytes: &[u8]) -> String {
    let stripped = anstream::adapter::strip_bytes(bytes).into_vec();
    String::from_utf8_lossy(&stripped).trim_end_matches('\r').to_owned()
}

/// How long a log is now.
pub fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.size())
}

/// The whole log.
pub fn read_log(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last `count` lines of a file, without colour codes; reads only its end.
pub fn tail(path: &Path, count: usize) -> Vec<String> {
    const MOST: u64 = 256 << 10;
    let Ok(mut file) = File::open(path) else { return Vec::new() };
    let size = file.metadata().map_or(0, |meta| meta.size());
    let start = size.saturating_sub(MOST);
    let mut bytes = Vec::new();
    if file.seek(SeekFrom::Start(start)).is_err() || file.take(MOST).read_to_end(&mut bytes).is_err() {
        return Vec::new();
    }
    last_lines(&bytes, count)
}

/// The last `count` lines of a text.
pub fn last_lines(bytes: &[u8], count: usize) -> Vec<String> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    let lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
    lines[lines.len().saturating_sub(count)..].iter().map(|line| plain(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_log_is_read_line_by_line_as_it_grows_and_after_truncation() {
        let mut file = tempfile::NamedTempFile::new().expect("file");
        let mut reader = LogReader::from_start(file.path());
        assert_eq!(reader.new_lines(), Vec::<String>::new());
        file.write_all(b"one\n\x1b[32mtw").expect("write");
        assert_eq!(reader.new_lines(), ["one", "tw"]);
        file.write_all(b"o\x1b[0m\r\nthree\n").expect("write");
        assert_eq!(reader.new_lines(), ["two", "three"]);
        assert_eq!(reader.new_lines(), Vec::<String>::new());
        file.as_file().set_len(0).expect("truncate");
        file.rewind().expect("rewind");
        file.write_all(b"x\n").expect("write");
        assert_eq!(reader.new_lines(), ["x"]);
        assert!(reader.truncated);
    }

    #[test]
    fn what_is_too_much_keeps_its_head_and_tail() {
        let mut captured = Captured::default();
        let chunk = vec![b'a'; 1 << 20];
        for _ in 0..70 {
            captured.push(Stream::Stdout, &chunk);
        }
        captured.push(Stream::Stderr, b"end");
        assert!(captured.dropped >= 6 << 20);
        let text = captured.text(None);
        assert!(text.len() < CAPTURE_LIMIT + 200 && text.ends_with("end") && text.contains("bytes left out"));
    }

    #[test]
    fn tails_are_lines() {
        assert_eq!(last_lines(b"", 3), Vec::<String>::new());
        assert_eq!(last_lines(b"a\nb\nc\n", 2), ["b", "c"]);
        assert_eq!(last_lines(b"a", 2), ["a"]);
    }
}
