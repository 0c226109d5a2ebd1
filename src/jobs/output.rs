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
    /// Bytes that were dropped between head and tail, of stdout and of stderr.
    dropped: [usize; 2],
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
            let Some((stream, chunk)) = self.tail.pop_front() else { break };
            self.tail_bytes -= chunk.len();
            self.dropped[stream as usize] += chunk.len();
        }
    }

    /// The text of one stream, or of both in the order in which it came.
    pub fn text(&self, only: Option<Stream>) -> String {
        let mut bytes = Vec::new();
        let wanted = |stream: &Stream| only.is_none_or(|only| only == *stream);
        for (_, chunk) in self.head.iter().filter(|(stream, _)| wanted(stream)) {
            bytes.extend_from_slice(chunk);
        }
        let dropped = only.map_or(self.dropped(), |only| self.dropped[only as usize]);
        if dropped > 0 {
            bytes.extend_from_slice(left_out(dropped).as_bytes());
        }
        for (_, chunk) in self.tail.iter().filter(|(stream, _)| wanted(stream)) {
            bytes.extend_from_slice(chunk);
        }
        fit(&bytes)
    }

    /// How many bytes were dropped.
    pub fn dropped(&self) -> usize {
        self.dropped.iter().sum()
    }
}

fn left_out(bytes: usize) -> String {
    format!("\n… {bytes} bytes left out …\n")
}

/// Bytes as text that a script can hold: its strings end at [`CAPTURE_LIMIT`], and what is no UTF-8 grows.
fn fit(bytes: &[u8]) -> String {
    const MOST: usize = CAPTURE_LIMIT - 1024;
    let text = String::from_utf8_lossy(bytes);
    if text.len() <= MOST {
        return text.into_owned();
    }
    let head = text.floor_char_boundary(MOST / 2);
    let tail = text.ceil_char_boundary(text.len() - MOST / 2);
    format!("{}{}{}", &text[..head], left_out(tail - head), &text[tail..])
}

/// Our ends of a command's pipes, before anybody reads them.
pub struct Capture {
    stdout: OwnedFd,
    stderr: OwnedFd,
}

#[derive(Default)]
struct State {
    captured: Captured,
    /// What was in the pipes when the command ended has been read.
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
                // The other end of `wake` is closed when the command has ended, or nobody asks any more.
                let flush = fd::wait_readable(&wait, None).last() == Some(&true) && !finished;
                // One read a round takes all that a pipe can hold (64 KiB, pipe(7)), and lets no stream starve
                // the other.
                pipes.retain(|(stream, pipe)| match fd::read_some(pipe, &mut buffer) {
                    ReadFd::Bytes(_) if finished => true, // A stranger's output now.
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
                        true
                    }
                    ReadFd::Nothing => true,
                    ReadFd::End => false,
                });
                if flush {
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

/// What came into a log since the last look, without colour codes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Lines that are complete.
    pub lines: Vec<String>,
    /// The beginning of a line, if more of it has come.
    pub partial: Option<String>,
    /// There is more to read at once.
    pub more: bool,
}

impl LogReader {
    pub fn from_offset(path: &Path, offset: u64) -> Self {
        Self { path: path.to_owned(), offset, truncated: false, partial: Vec::new() }
    }

    /// Reads what is new, but not more than a piece that takes no noticeable time.
    pub fn news(&mut self) -> News {
        const PIECE: u64 = 1 << 20;
        let Ok(mut file) = File::open(&self.path) else { return News::default() };
        let size = file.metadata().map_or(0, |meta| meta.size());
        if size < self.offset {
            self.offset = 0;
            self.truncated = true;
            self.partial.clear();
        }
        if size == self.offset || file.seek(SeekFrom::Start(self.offset)).is_err() {
            return News::default();
        }
        let mut bytes = std::mem::take(&mut self.partial);
        let wanted = (size - self.offset).min(PIECE);
        self.offset += file.take(wanted).read_to_end(&mut bytes).unwrap_or(0) as u64;
        // A line that is longer than a piece is taken for several.
        let end = match bytes.iter().rposition(|b| *b == b'\n') {
            Some(last) => last + 1,
            None if bytes.len() as u64 >= PIECE => bytes.len(),
            None => 0,
        };
        self.partial = bytes.split_off(end);
        let whole = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        News {
            lines: if end == 0 { Vec::new() } else { whole.split(|b| *b == b'\n').map(plain).collect() },
            partial: (!self.partial.is_empty()).then(|| plain(&self.partial)),
            more: size > self.offset,
        }
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

/// The whole log; of a very large one the first and the last part.
pub fn read_log(path: &Path) -> String {
    let Ok(mut file) = File::open(path) else { return String::new() };
    let size = size(path);
    let half = CAPTURE_LIMIT as u64 / 2;
    let mut bytes = Vec::new();
    if size <= 2 * half {
        let _ = file.take(2 * half).read_to_end(&mut bytes);
        return fit(&bytes);
    }
    let _ = file.by_ref().take(half).read_to_end(&mut bytes);
    bytes.extend_from_slice(left_out(usize::try_from(size - 2 * half).unwrap_or(usize::MAX)).as_bytes());
    if file.seek(SeekFrom::Start(size - half)).is_ok() {
        let _ = file.take(half).read_to_end(&mut bytes);
    }
    fit(&bytes)
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
        let news = |lines: &[&str], partial: Option<&str>| News {
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            partial: partial.map(str::to_owned),
            more: false,
        };
        let mut file = tempfile::NamedTempFile::new().expect("file");
        let mut reader = LogReader::from_offset(file.path(), 0);
        assert_eq!(reader.news(), news(&[], None));
        file.write_all(b"one\n\x1b[32mtw").expect("write");
        assert_eq!(reader.news(), news(&["one"], Some("tw")));
        assert_eq!(reader.news(), news(&[], None), "nothing has come");
        file.write_all(b"o\x1b[0m\r\nthree\n").expect("write");
        assert_eq!(reader.news(), news(&["two", "three"], None));
        file.as_file().set_len(0).expect("truncate");
        file.rewind().expect("rewind");
        file.write_all(b"x\n").expect("write");
        assert_eq!(reader.news(), news(&["x"], None));
        assert!(reader.truncated);
    }

    #[test]
    fn a_large_log_is_read_in_pieces_and_loses_nothing() {
        let mut file = tempfile::NamedTempFile::new().expect("file");
        file.write_all("a line of some length\n".repeat(200_000).as_bytes()).expect("write");
        file.write_all(&vec![b'x'; 3 << 20]).expect("write");
        let mut reader = LogReader::from_offset(file.path(), 0);
        let (mut lines, mut rounds) = (0, 0);
        loop {
            let news = reader.news();
            lines += news.lines.iter().filter(|line| *line == "a line of some length").count();
            rounds += 1;
            if !news.more {
                break;
            }
        }
        assert!(lines == 200_000 && rounds >= 7, "{lines} lines in {rounds} rounds");
    }

    #[test]
    fn what_is_too_much_keeps_its_head_and_tail() {
        let mut captured = Captured::default();
        let chunk = vec![b'a'; 1 << 20];
        for _ in 0..70 {
            captured.push(Stream::Stdout, &chunk);
        }
        captured.push(Stream::Stderr, b"end");
        assert!(captured.dropped() >= 6 << 20);
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
