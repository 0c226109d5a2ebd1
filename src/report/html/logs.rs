//! The logs that a run has kept, for a page about it: as text that a terminal would show, of long ones the
//! beginning and the end. Reads only `NAME.log` of the jobs of the run, in the directories that its end names.

use crate::jobs::text;
use crate::sys::open;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Of one log so much is shown of its beginning and its end; a page with all of a large one opens slowly.
const HEAD: u64 = 64 << 10;
const TAIL: u64 = 960 << 10;

/// How much all logs of a page may be together.
pub const MOST_OF_ALL: u64 = 48 << 20;

pub struct Log {
    pub job: String,
    pub path: String,
    pub text: String,
    /// Of the file.
    pub size: u64,
    /// What is shown of its beginning and its end, and what is left out between them.
    pub head: u64,
    pub tail: u64,
    pub left_out: u64,
}

pub struct Read {
    pub logs: Vec<Log>,
    /// Why those that are missing are not there.
    pub note: String,
}

/// The logs of these jobs that can be read in these directories, as long as there is room.
pub fn of(jobs: &[&str], kept: &[String], room: &mut u64) -> Read {
    let mut note = match kept {
        [] => "the run kept no logs (a run that passes keeps them with --keep-logs)".to_owned(),
        [dir, ..] => format!("it was not in {dir} when this page was made"),
    };
    let mut logs = Vec::new();
    for job in jobs {
        let Some((path, file, size)) = kept.iter().find_map(|dir| find(dir, job)) else { continue };
        if *room < size.min(HEAD + TAIL) {
            note = format!("all logs together are more than the {} MiB that a page shows", MOST_OF_ALL >> 20);
            continue;
        }
        let Some(log) = read(job, &path, &file, size) else { continue };
        *room -= size.min(HEAD + TAIL);
        logs.push(log);
    }
    Read { logs, note }
}

/// The log of a job in a directory of logs, or in the directory of a whole run.
fn find(dir: &str, job: &str) -> Option<(PathBuf, File, u64)> {
    // No name of a job has it; a file of events may come from anywhere.
    if job.contains('/') {
        return None;
    }
    let name = format!("{job}.log");
    let dir = Path::new(dir);
    [dir.join(&name), dir.join("logs").join(&name)].into_iter().find_map(|path| {
        // Of a pipe the end would have to be waited for.
        let meta = path.symlink_metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some((path.clone(), open::read(&path).ok()?, meta.len()))
    })
}

fn read(job: &str, path: &Path, file: &File, size: u64) -> Option<Log> {
    let part = |from: u64, to: u64| {
        let mut bytes = vec![0; usize::try_from(to - from).ok()?];
        file.read_exact_at(&mut bytes, from).ok().map(|()| bytes)
    };
    let shown = |bytes: &[u8]| text::lines(bytes).collect::<Vec<_>>().join("\n");
    let log = |text: String, head: usize, tail: usize| {
        let (head, tail) = (head as u64, tail as u64);
        let left_out = size - head - tail;
        let path = path.display().to_string();
        Log { job: job.to_owned(), path, text, size, head, tail, left_out }
    };
    if size <= HEAD + TAIL {
        let bytes = part(0, size)?;
        return Some(log(shown(&bytes), bytes.len(), 0));
    }
    // Whole lines, unless one is longer than all that is shown.
    let mut head = part(0, HEAD)?;
    if let Some(end) = head.iter().rposition(|byte| *byte == b'\n') {
        head.truncate(end + 1);
    }
    let mut tail = part(size - TAIL, size)?;
    if let Some(end) = tail.iter().position(|byte| *byte == b'\n').filter(|end| end + 1 < tail.len()) {
        tail.drain(..=end);
    }
    let left_out = size - (head.len() + tail.len()) as u64;
    let text = format!("{}\n… {left_out} bytes are left out …\n{}", shown(&head), shown(&tail));
    Some(log(text, head.len(), tail.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir() -> tempfile::TempDir {
        tempfile::tempdir().expect("a directory")
    }

    #[test]
    fn of_a_long_log_the_beginning_and_the_end_are_shown() {
        let dir = dir();
        let lines: String = (0..400_000).map(|number| format!("line {number}\n")).collect();
        std::fs::write(dir.path().join("api.log"), &lines).expect("written");
        let mut room = MOST_OF_ALL;
        let read = of(&["api"], &[dir.path().display().to_string()], &mut room);
        let log = &read.logs[0];
        assert!(log.text.starts_with("line 0\nline 1\n") && log.text.ends_with("\nline 399999"));
        assert!(log.text.contains(&format!("\n… {} bytes are left out …\nline ", log.left_out)));
        assert_eq!((log.size, log.head + log.tail + log.left_out), (lines.len() as u64, lines.len() as u64));
        assert_eq!(room, MOST_OF_ALL - HEAD - TAIL);
    }

    #[test]
    fn colours_are_left_out_and_a_full_page_says_so() {
        let dir = dir();
        std::fs::create_dir(dir.path().join("logs")).expect("created");
        std::fs::write(dir.path().join("logs/a.log"), "\x1b[31mred\x1b[0m\nprogress 1\rprogress 2\n")
            .expect("written");
        let kept = dir.path().display().to_string();
        let mut room = MOST_OF_ALL;
        assert_eq!(of(&["a", "b"], std::slice::from_ref(&kept), &mut room).logs[0].text, "red\nprogress 2");
        let read = of(&["a"], std::slice::from_ref(&kept), &mut 3);
        assert!(read.logs.is_empty());
        assert_eq!(read.note, "all logs together are more than the 48 MiB that a page shows");
    }

    #[test]
    fn what_is_not_the_log_of_a_job_is_not_read() {
        let dir = dir();
        std::fs::create_dir_all(dir.path().join("logs")).expect("created");
        std::fs::write(dir.path().join("secret.log"), "x").expect("written");
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("logs/link.log")).expect("linked");
        let kept = dir.path().join("logs").display().to_string();
        let read = of(&["../secret", "link", "gone"], std::slice::from_ref(&kept), &mut 1000);
        assert!(read.logs.is_empty());
        assert_eq!(read.note, format!("it was not in {kept} when this page was made"));
    }
}
