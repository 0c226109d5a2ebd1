//! What processes print: a job's log file, which it writes itself, and a command's two pipes, which we read.
//!
//! A pipe is never read to its end before a result is given: a process that the command left behind may hold
//! it open for ever. When the command has ended, what is in the pipe then belongs to it; the rest is drained
//! until the run ends, since closing the pipe would kill the one that still holds it.

use super::held::FileId;
use super::{strand, text};
use crate::event::{Bus, Event};
use crate::lock::lock;
use crate::secret;
use crate::sys::fd::{self, Read as ReadFd};
use crate::sys::hole;
use crate::sys::open;
use crate::sys::page;
use crate::sys::pty::READS;
use crate::sys::vault;
use nix::fcntl::OFlag;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
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
        let wanted = |stream: &Stream| only.is_none_or(|only| only == *stream);
        let mut bytes = joined(self.head.iter().filter(|(stream, _)| wanted(stream)));
        let dropped = only.map_or(self.dropped(), |only| self.dropped[only as usize]);
        if dropped > 0 {
            bytes.truncate(text::whole_characters(&bytes).len());
            bytes.extend_from_slice(left_out(dropped).as_bytes());
        }
        let tail = joined(self.tail.iter().filter(|(stream, _)| wanted(stream)));
        bytes.extend_from_slice(if dropped > 0 { text::from_character(&tail) } else { &tail });
        fit(&bytes)
    }

    /// How many bytes were dropped.
    pub fn dropped(&self) -> usize {
        self.dropped.iter().sum()
    }
}

/// Chunks of two streams, one after the other. Where one of them was cut within a character, the rest of that comes
/// with the stream's next chunk: not behind what the other stream has between them.
fn joined<'a>(chunks: impl Iterator<Item = &'a (Stream, Vec<u8>)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut cut: [Vec<u8>; 2] = Default::default();
    for (stream, chunk) in chunks {
        let cut = &mut cut[*stream as usize];
        cut.extend_from_slice(chunk);
        bytes.extend(cut.drain(..text::whole_characters(cut).len()));
    }
    cut.into_iter().for_each(|rest| bytes.extend(rest));
    bytes
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

/// What is shown of a command's output while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Echo {
    Nothing,
    AsItIs,
    /// Whole lines, each after this word: several commands run at the same time.
    Prefixed(String),
}

/// Cuts what comes into lines, and puts a word before each.
struct Prefixer {
    word: String,
    /// The beginning of a line, of stdout and of stderr.
    partial: [Vec<u8>; 2],
}

/// A line that is longer is shown in pieces.
const LONGEST_LINE: usize = 64 << 10;

impl Prefixer {
    fn new(word: &str) -> Self {
        Self { word: word.to_owned(), partial: Default::default() }
    }

    fn pass(&mut self, stream: Stream, bytes: &[u8]) -> Vec<u8> {
        let partial = &mut self.partial[stream as usize];
        partial.extend_from_slice(bytes);
        let end = partial.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let end = if end == 0 && partial.len() >= LONGEST_LINE {
            text::whole_characters(partial).len()
        } else {
            end
        };
        let whole: Vec<u8> = partial.drain(..end).collect();
        prefixed(&self.word, &whole)
    }

    /// What was no whole line when the command ended.
    fn rest(&mut self, stream: Stream) -> Vec<u8> {
        prefixed(&self.word, &std::mem::take(&mut self.partial[stream as usize]))
    }
}

/// Each line after a word: `curl | hello`. So is what a carriage return begins: it would be written over the word.
pub fn prefixed(word: &str, bytes: &[u8]) -> Vec<u8> {
    let prefix = format!("{word} | ");
    let again = format!("\r{prefix}");
    let mut text = String::new();
    for line in String::from_utf8_lossy(bytes).split_inclusive('\n') {
        let states = line.trim_end_matches(['\r', '\n']);
        text.extend([
            &prefix,
            &*states.replace('\r', &again),
            line[states.len()..].trim_end_matches('\n'),
            "\n",
        ]);
    }
    text.into_bytes()
}

/// Our ends of a command's pipes, or of its terminal, before anybody reads them.
pub struct Capture {
    pipes: Vec<(Stream, OwnedFd)>,
    /// How many reads take all that can be in one of them.
    reads: usize,
}

/// Reads a command's pipes on a thread of its own, which goes on also when nobody asks for the result any more: a command
/// that is being stopped may have its summary to print.
#[derive(Clone)]
pub struct Pump(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Closed when the command has ended.
    wake: Mutex<Option<OwnedFd>>,
}

#[derive(Default)]
struct State {
    captured: Captured,
    /// What was in the pipes when the command ended has been read and passed on.
    flushed: bool,
}

impl Capture {
    pub fn new(stdout: OwnedFd, stderr: OwnedFd) -> nix::Result<Self> {
        fd::set_nonblocking(&stdout)?;
        fd::set_nonblocking(&stderr)?;
        let pipes = vec![(Stream::Stdout, stdout), (Stream::Stderr, stderr)];
        // A pipe holds 64 KiB (pipe(7)).
        Ok(Self { pipes, reads: 1 })
    }

    /// Of a terminal there is one stream only.
    pub fn of_terminal(master: OwnedFd) -> Self {
        Self { pipes: vec![(Stream::Stdout, master)], reads: READS }
    }

    /// Starts reading, and passes on to the event stream what `echo` says, as fast as that is written.
    pub fn pump(self, echo: Echo, bus: Arc<Bus>) -> std::io::Result<Pump> {
        let (wake_read, wake) = fd::pipe()?;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            wake: Mutex::new(Some(wake)),
        });
        let theirs = Arc::clone(&shared);
        let name = "output".to_owned();
        std::thread::Builder::new().name(name).spawn(move || {
            let Self { mut pipes, reads } = self;
            let mut buffer = vec![0u8; 64 << 10];
            let mut finished = false;
            let mut prefixer = match &echo {
                Echo::Prefixed(word) => Some(Prefixer::new(word)),
                Echo::AsItIs | Echo::Nothing => None,
            };
            let show = |stream: Stream, bytes: Vec<u8>| {
                let event = match stream {
                    _ if bytes.is_empty() => return,
                    Stream::Stdout => Event::Stdout(bytes),
                    Stream::Stderr => Event::Stderr(bytes),
                };
                bus.output(event, || false);
            };
            while !pipes.is_empty() {
                let mut wait: Vec<_> = pipes.iter().map(|(_, pipe)| pipe.as_fd()).collect();
                if !finished {
                    wait.push(wake_read.as_fd());
                }
                // The other end of `wake` is closed when the command has ended, or nobody asks any more.
                let flush = fd::wait_readable(&wait, None).last() == Some(&true) && !finished;
                let mut take = |stream: Stream, bytes: &[u8]| {
                    if finished {
                        return; // A stranger's output now.
                    }
                    lock(&theirs.state).captured.push(stream, bytes);
                    match &mut prefixer {
                        Some(prefixer) => show(stream, prefixer.pass(stream, bytes)),
                        None if echo == Echo::AsItIs => show(stream, bytes.to_vec()),
                        None => {}
                    }
                };
                // What can be in it, and no more: no stream starves the other, and nobody who goes on writing keeps
                // us from the end.
                pipes.retain(|(stream, pipe)| {
                    for _ in 0..reads {
                        match fd::read_some(pipe, &mut buffer) {
                            ReadFd::Bytes(n) => take(*stream, &buffer[..n]),
                            ReadFd::Nothing => return true,
                            ReadFd::End => return false,
                        }
                    }
                    true
                });
                // Without a pipe nothing more can come.
                if !finished && (flush || pipes.is_empty()) {
                    finished = true;
                    if let Some(prefixer) = &mut prefixer {
                        for stream in [Stream::Stdout, Stream::Stderr] {
                            show(stream, prefixer.rest(stream));
                        }
                    }
                    bus.emit(Event::OutputEnd);
                    lock(&theirs.state).flushed = true;
                    theirs.changed.notify_all();
                }
            }
        })?;
        Ok(Pump(shared))
    }
}

impl Pump {
    /// What the command has printed, once it has ended; `give_up` ends the wait for a stalled echo.
    pub fn finish(self, give_up: &dyn Fn() -> bool) -> Captured {
        strand::aside(|| self.finish_now(give_up))
    }

    fn finish_now(self, give_up: &dyn Fn() -> bool) -> Captured {
        self.flush();
        while !self.wait_flushed(Duration::from_millis(50)) && !give_up() {}
        std::mem::take(&mut lock(&self.0.state).captured)
    }

    /// What is in the pipes now belongs to the command, and nothing more.
    pub fn flush(&self) {
        drop(lock(&self.0.wake).take());
    }

    pub fn is_flushed(&self) -> bool {
        lock(&self.0.state).flushed
    }

    /// Waits at most this long until what was in the pipes has been read and passed on; whether it has.
    pub fn wait_flushed(&self, patience: Duration) -> bool {
        let state = lock(&self.0.state);
        let waited = self.0.changed.wait_timeout_while(state, patience, |state| !state.flushed);
        waited.unwrap_or_else(PoisonError::into_inner).0.flushed
    }
}

/// What a log holds in one stretch, without the hole before it.
struct Piece {
    /// Where the bytes begin; behind where reading was to begin, if the log's beginning was dropped.
    start: u64,
    bytes: Vec<u8>,
    /// What follows begins here, or behind a hole that begins here.
    end: u64,
    /// The first line is not whole: what came before was dropped.
    cut: bool,
}

/// Reads a log from an offset on: at most `most` bytes, and not beyond the next hole (see [`super::limit`]; an
/// offset writer makes one, too, when somebody truncates the file under it).
fn piece(file: &File, from: u64, most: u64) -> std::io::Result<Piece> {
    let size = file.metadata()?.size();
    let start = hole::data_from(file, from).unwrap_or(size);
    let end = hole::hole_from(file, start).min(start.saturating_add(most));
    let mut bytes = Vec::new();
    let mut reader = file;
    reader.seek(SeekFrom::Start(start))?;
    reader.take(end.saturating_sub(start)).read_to_end(&mut bytes)?;
    let end = start + bytes.len() as u64;
    // What was dropped while it was read reads as zeros.
    let mut piece = Piece { start, bytes, end, cut: false };
    piece.skip_to(hole::data_from(file, start).unwrap_or(end));
    if piece.start > from {
        // Data begins and ends with a block, which may be zeros to where the writer began, and from where it ended.
        let zeros = piece.bytes.iter().take_while(|byte| **byte == 0).count();
        piece.cut = zeros == 0;
        piece.skip_to(piece.start + zeros as u64);
    }
    if file.metadata().is_ok_and(|meta| meta.size() > end) && hole::hole_from(file, start) == end {
        while piece.bytes.last() == Some(&0) {
            piece.bytes.pop();
        }
    }
    Ok(piece)
}

impl Piece {
    fn skip_to(&mut self, offset: u64) {
        let skipped = offset.clamp(self.start, self.end) - self.start;
        self.bytes.drain(..usize::try_from(skipped).unwrap_or(usize::MAX).min(self.bytes.len()));
        self.start += skipped;
    }

    /// Drops the rest of a line that is not whole.
    fn without_cut_line(mut self) -> Self {
        if std::mem::take(&mut self.cut) {
            let end = self.bytes.iter().position(|byte| *byte == b'\n');
            let skipped = end.map_or(self.bytes.len(), |at| at + 1) as u64;
            self.skip_to(self.start + skipped);
        }
        self
    }
}

/// All that a log holds from an offset on.
struct Stretch {
    start: u64,
    /// What came before was dropped.
    cut: bool,
    bytes: Vec<u8>,
}

/// What a log holds between two offsets, without its holes.
fn stretch(file: &File, from: u64, to: u64) -> Stretch {
    let mut first = None;
    let mut bytes = Vec::new();
    let mut at = from;
    while at < to
        && let Ok(piece) = piece(file, at, to - at)
        && piece.end > at
    {
        at = piece.end;
        let cut = piece.cut;
        let piece = piece.without_cut_line();
        first.get_or_insert((piece.start, cut));
        bytes.extend_from_slice(&piece.bytes);
    }
    let (start, cut) = first.unwrap_or((from, false));
    Stretch { start, cut, bytes }
}

/// Reads a log while others write it.
///
/// A log can be truncated under us (`echo x >/dev/stderr` in a shell does it): when the file is shorter than
/// what was read, reading goes on from its beginning.
pub struct LogReader {
    path: PathBuf,
    file: Option<File>,
    next: Option<Box<LogReader>>,
    offset: u64,
    pub truncated: bool,
    /// Lines were dropped before they were read: the log is longer than its limit.
    pub missed: bool,
    partial: Vec<u8>,
}

/// What came into a log since the last look, as text.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Lines that are complete, with what each has shown before it was started over.
    pub lines: Vec<String>,
    /// The beginning of a line, if more of it has come.
    pub partial: Option<String>,
    /// There is more to read at once.
    pub more: bool,
}

impl LogReader {
    /// Reads this file if it is known, until nothing more is in it and another one lies under the path.
    pub fn of(path: &Path, file: Option<File>, offset: u64) -> Self {
        let (path, partial) = (path.to_owned(), Vec::new());
        Self { path, file, next: None, offset, truncated: false, missed: false, partial }
    }

    #[cfg(test)]
    pub fn from_offset(path: &Path, offset: u64) -> Self {
        Self::of(path, None, offset)
    }

    /// How much of the log has been read.
    pub fn offset(&self) -> u64 {
        self.offset + self.next.as_ref().map_or(0, |next| next.offset())
    }

    /// How long the log is now.
    pub fn size(&self) -> u64 {
        let size = |file: &File| file.metadata().map_or(0, |meta| meta.size());
        let own = self.file.as_ref().map_or_else(|| self::size(&self.path), size);
        own + self.next.as_ref().map_or(0, |next| next.size())
    }

    /// What is new in the file that lies under the path by now, if that is another one. Whoever writes may have opened
    /// that, or go on in this one.
    fn news_of_next(&mut self) -> News {
        let id = |file: &File| file.metadata().ok().filter(Metadata::is_file).map(|meta| FileId::of(&meta));
        if self.next.is_none() {
            let other = open::read(&self.path)
                .ok()
                .filter(|file| id(file).is_some() && id(file) != self.file.as_ref().and_then(id));
            self.next = other.map(|file| Box::new(Self::of(&self.path, Some(file), 0)));
        }
        let Some(next) = &mut self.next else { return News::default() };
        let news = next.news();
        self.missed |= next.missed;
        self.truncated |= next.truncated;
        news
    }

    /// Reads what is new, but not more than a piece that takes no noticeable time.
    pub fn news(&mut self) -> News {
        const PIECE: u64 = 1 << 20;
        if self.file.is_none() {
            self.file = open::read(&self.path).ok();
        }
        let Some(file) = &self.file else { return News::default() };
        let size = file.metadata().map_or(0, |meta| meta.size());
        if size < self.offset {
            self.offset = 0;
            self.truncated = true;
            self.partial.clear();
        }
        if size == self.offset {
            return self.news_of_next();
        }
        let Ok(piece) = piece(file, self.offset, PIECE) else { return News::default() };
        if piece.start > self.offset {
            self.missed |= piece.cut;
            self.partial.clear();
        }
        self.offset = piece.end;
        let mut bytes = std::mem::take(&mut self.partial);
        bytes.extend_from_slice(&piece.without_cut_line().bytes);
        // What follows a carriage return has started the line over. One at the end may belong to the line's end.
        let begun = |pair: &[u8]| pair[0] == b'\n' || (pair[0] == b'\r' && !matches!(pair[1], b'\r' | b'\n'));
        let end = match bytes.windows(2).rposition(begun) {
            _ if bytes.ends_with(b"\n") => bytes.len(),
            Some(last) => last + 1,
            // A line that is longer than a piece is taken for several.
            None if bytes.len() as u64 >= PIECE => text::whole_characters(&bytes).len(),
            None => 0,
        };
        self.partial = bytes.split_off(end);
        let whole = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let partial = text::whole_characters(&self.partial);
        News {
            lines: if end == 0 {
                Vec::new()
            } else {
                whole.split(|b| *b == b'\n').flat_map(text::states).collect()
            },
            partial: (!partial.is_empty()).then(|| text::line(partial)),
            more: size > self.offset,
        }
    }
}

/// How long a log is now.
pub fn size(path: &Path) -> u64 {
    open::read(path).and_then(|file| file.metadata()).map_or(0, |meta| meta.size())
}

/// The whole log; of a very large one the first and the last part. What was dropped of its beginning is replaced
/// by a line that says so.
pub fn read_log(file: &File) -> String {
    const HALF: u64 = CAPTURE_LIMIT as u64 / 2;
    let mut text = Vec::new();
    for _ in 0..TRIES {
        let size = file.metadata().map_or(0, |meta| meta.size());
        let begin = hole::data_from(file, 0).unwrap_or(0);
        let large = size.saturating_sub(begin) > 2 * HALF;
        let head = stretch(file, 0, if large { begin + HALF } else { size });
        if head.cut {
            text.extend_from_slice(dropped(head.start).as_bytes());
        }
        if large {
            let skipped = usize::try_from(size - begin - 2 * HALF).unwrap_or(usize::MAX);
            text.extend_from_slice(text::whole_characters(&head.bytes));
            text.extend_from_slice(left_out(skipped).as_bytes());
            text.extend_from_slice(text::from_character(&stretch(file, size - HALF, size).bytes));
        } else {
            text.extend_from_slice(&head.bytes);
        }
        if !head.bytes.is_empty() || size == 0 {
            break;
        }
        text.clear();
    }
    fit(&text)
}

/// How often a log is read again of which nothing was left by the time it was read.
const TRIES: usize = 10;

/// What a log begins with when its real beginning was dropped.
fn dropped(bytes: u64) -> String {
    format!("… the first {bytes} bytes were dropped (max_log) …\n")
}

/// The end of a log: as much as last lines are looked for in.
pub fn end_of(file: &File) -> Vec<u8> {
    const MOST: u64 = 256 << 10;
    let mut bytes = Vec::new();
    for _ in 0..TRIES {
        let size = file.metadata().map_or(0, |meta| meta.size());
        let from = size.saturating_sub(MOST);
        bytes = stretch(file, from, size).bytes;
        if from > 0 {
            bytes.drain(..bytes.len() - text::from_character(&bytes).len());
        }
        if !bytes.is_empty() || size == 0 {
            break;
        }
    }
    bytes
}

/// Brings the logs in a directory, which are kept, into their final form.
pub fn finish_all(directory: &Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let _ = finish(&entry.path());
    }
}

/// Notes a log that lies where the script wants it, for the guard, should the host be killed.
pub fn note(path: &Path, id: FileId) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = lock(&ONE_AT_A_TIME);
    let path = path.as_os_str().as_bytes();
    let entry = [&id.device.to_ne_bytes(), &id.inode.to_ne_bytes(), path].concat();
    if let Some(logs) = vault::logs() {
        logs.add(&entry);
    }
}

/// Brings the logs that were noted into their final form.
pub fn finish_noted() {
    for entry in vault::logs().map(|logs| logs.entries()).unwrap_or_default() {
        if let Some((device, rest)) = entry.split_first_chunk()
            && let Some((inode, path)) = rest.split_first_chunk()
        {
            let (device, inode) = (u64::from_ne_bytes(*device), u64::from_ne_bytes(*inode));
            let _ = finish_own(Path::new(OsStr::from_bytes(path)), FileId { device, inode });
        }
    }
}

/// Brings a log into its final form once nobody writes it: without holes, and without secrets. In place, so that it
/// keeps its owner and needs no room: what is written is never longer than what was read.
///
/// # Errors
/// When it cannot be written. Then it is as before, or empty if it held a secret.
fn finish(path: &Path) -> std::io::Result<()> {
    finish_file(&open_to_change(path)?)
}

/// As [`finish`], of the very file that the job's log was; what has come in its place since is not ours to change.
pub fn finish_own(path: &Path, id: FileId) -> std::io::Result<()> {
    match open_to_change(path) {
        Ok(file) if FileId::of(&file.metadata()?) == id => finish_file(&file),
        _ => Ok(()),
    }
}

fn open_to_change(path: &Path) -> std::io::Result<File> {
    open::with(path, OFlag::O_RDWR | OFlag::O_NONBLOCK, 0)
}

fn finish_file(file: &File) -> std::io::Result<()> {
    let meta = file.metadata()?;
    let begin = hole::data_from(file, 0).unwrap_or(0);
    if !meta.is_file() {
        return Ok(());
    }
    let hidden = copy(file, &mut |_, _| Ok(()))?.1;
    if begin == 0 && !hidden {
        return Ok(());
    }
    let result =
        copy(file, &mut |bytes, at| file.write_all_at(bytes, at)).and_then(|(end, _)| file.set_len(end));
    if result.is_err() {
        let undone = if hidden { file.set_len(0) } else { hole::punch(file, begin).map_err(Into::into) };
        return undone.and(result);
    }
    result
}

/// Passes a log on, without its holes and masked; how long that is, and whether anything was masked.
fn copy(
    file: &File,
    write: &mut dyn FnMut(&[u8], u64) -> std::io::Result<()>,
) -> std::io::Result<(u64, bool)> {
    const PIECE: u64 = 1 << 20;
    let mut mask = secret::Stream::default();
    let (mut from, mut to) = (0, 0);
    let mut put = |bytes: &[u8]| {
        write(bytes, to)?;
        to += bytes.len() as u64;
        std::io::Result::Ok(())
    };
    loop {
        // A large log on a slow disk takes longer than the guard waits for a host that does nothing.
        page::ask_for_patience();
        let piece = piece(file, from, PIECE)?;
        if piece.end <= from {
            break;
        }
        let dropped = (from == 0 && piece.cut).then_some(());
        from = piece.end;
        let piece = piece.without_cut_line();
        if dropped.is_some() {
            put(self::dropped(piece.start).as_bytes())?;
        }
        put(&mask.pass(piece.bytes))?;
    }
    put(&mask.rest())?;
    Ok((to, mask.hit))
}

#[cfg(test)]
#[allow(clippy::print_stdout, reason = "a skipped test says so")]
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
        file.write_all(b"10 %\r5").expect("write");
        assert_eq!(reader.news(), news(&["10 %"], Some("5")));
        file.write_all(b"0 %\r").expect("write");
        assert_eq!(reader.news(), news(&[], Some("50 %")));
        file.write_all(b"\nf\xfcr \xc3").expect("write");
        assert_eq!(reader.news(), news(&["50 %"], Some("f\u{fffd}r ")));
        file.write_all(b"\xbc\n").expect("write");
        assert_eq!(reader.news(), news(&["f\u{fffd}r ü"], None));
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

    /// A log whose beginning was dropped: 100,000 bytes of lines, of which at most the first 50,000 are gone.
    fn with_hole() -> Option<tempfile::NamedTempFile> {
        let mut file = tempfile::NamedTempFile::new().expect("file");
        for number in 0..10_000 {
            writeln!(file, "line {number:04}").expect("written");
        }
        let punched = hole::punch(file.as_file(), 50_000);
        if punched.is_err() {
            println!("skipped: this file system has no holes");
        }
        punched.ok().map(|()| file)
    }

    fn tail(file: &File, count: usize) -> Vec<String> {
        text::last_lines(&end_of(file), count)
    }

    #[test]
    fn a_log_without_its_beginning_says_so_and_shows_no_zeros() {
        let Some(file) = with_hole() else { return };
        let text = read_log(file.as_file());
        let mut lines = text.lines();
        let first = lines.next().expect("a line");
        assert!(
            first.starts_with("… the first ") && first.ends_with(" bytes were dropped (max_log) …"),
            "{first}"
        );
        assert!(lines.all(|line| line.len() == 9 && line.starts_with("line ")), "{text}");
        assert!(text.ends_with("line 9999\n") && !text.contains("line 0000"));
        assert_eq!(tail(file.as_file(), 2), ["line 9998", "line 9999"]);
        let all = tail(file.as_file(), 20_000);
        assert!(all.len() < 6000 && all.iter().all(|line| line.len() == 9), "{}", all.len());
    }

    #[test]
    fn a_reader_goes_on_behind_what_was_dropped() {
        let Some(mut file) = with_hole() else { return };
        let mut late = LogReader::from_offset(file.path(), 15);
        let news = late.news();
        assert!(late.missed && !late.truncated);
        assert!(news.lines.iter().all(|line| line.len() == 9), "{:?}", news.lines.first());
        assert_eq!(news.lines.last().map(String::as_str), Some("line 9999"));
        let mut early = LogReader::from_offset(file.path(), 99_990);
        assert_eq!(early.news().lines, ["line 9999"]);
        file.seek(SeekFrom::End(0)).expect("sought");
        writeln!(file, "more").expect("written");
        assert_eq!(early.news().lines, ["more"]);
        assert_eq!(late.news().lines, ["more"]);
        assert!(!early.missed);
    }

    #[test]
    fn one_who_writes_at_an_offset_leaves_no_zeros_either() {
        let mut file = tempfile::NamedTempFile::new().expect("file");
        file.write_all(b"before\n").expect("written");
        file.as_file().set_len(0).expect("truncated");
        file.seek(SeekFrom::Start(1_000_003)).expect("sought");
        file.write_all(b"after\n").expect("written");
        if hole::data_from(file.as_file(), 0) == Some(0) {
            return println!("skipped: this file system has no holes");
        }
        assert_eq!(read_log(file.as_file()), "after\n");
        assert_eq!(LogReader::from_offset(file.path(), 0).news().lines, ["after"]);
    }

    #[test]
    fn a_character_that_came_in_pieces_is_whole() {
        let mut captured = Captured::default();
        let smile = "😀".as_bytes();
        for (stream, bytes) in [
            (Stream::Stdout, &b"f\xc3"[..]),
            (Stream::Stderr, &smile[..1]),
            (Stream::Stdout, &b"\xbcr f\xfcr"[..]),
            (Stream::Stderr, &smile[1..2]),
            (Stream::Stdout, b" \xc3"),
            (Stream::Stderr, &smile[2..]),
        ] {
            captured.push(stream, bytes);
        }
        assert_eq!(captured.text(Some(Stream::Stdout)), "für f\u{fffd}r \u{fffd}");
        assert_eq!(captured.text(Some(Stream::Stderr)), "😀");
        assert_eq!(captured.text(None), "für f\u{fffd}r 😀\u{fffd}");
    }

    #[test]
    fn a_word_stands_before_each_line_and_each_state_of_it() {
        let text = |bytes: &[u8]| String::from_utf8(prefixed("a", bytes)).expect("text");
        assert_eq!(text(b"one\r\n\ntwo"), "a | one\r\na | \na | two\n");
        assert_eq!(text(b"10 %\r20 %\nf\xfcr\n"), "a | 10 %\ra | 20 %\na | f\u{fffd}r\n");
        let mut prefixer = Prefixer::new("a");
        let piece = [b"x".repeat(LONGEST_LINE - 1), b"\xc3".to_vec()].concat();
        let first = prefixer.pass(Stream::Stdout, &piece);
        assert_eq!(first.len(), LONGEST_LINE - 1 + "a | \n".len());
        assert_eq!(prefixer.pass(Stream::Stdout, b"\xbc\n"), "a | ü\n".as_bytes());
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
}
