//! What `bgjobs ps` and `bgjobs sweep` say.

use super::print::{hint, print, print_error, print_json, print_warning};
use super::style::Style;
use super::table::{row, table};
use super::verdict::not_removed;
use super::words::{duration, shorten};
use crate::cli::Color;
use crate::event::Failure;
use crate::exit;
use crate::sys::tree::Stays;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// A live run.
pub struct RunLine {
    pub name: String,
    pub path: PathBuf,
    pub user: String,
    /// None when its record cannot be read: it was started by another version, or on a full disk.
    pub record: Option<Record>,
    pub jobs: Vec<JobLine>,
}

pub struct Record {
    pub script: String,
    /// Where it was started.
    pub directory: PathBuf,
    pub started: SystemTime,
    pub up: Duration,
    pub guard: i32,
    pub host: i32,
    pub stopping: bool,
    /// By Ctrl-Z or SIGSTOP: nothing of it goes on before SIGCONT but its jobs.
    pub suspended: bool,
}

/// A job of a live run.
pub struct JobLine {
    pub name: String,
    pub pid: i32,
    /// The letter of /proc/PID/stat.
    pub state: char,
    pub up: Duration,
}

/// The live runs on stdout.
pub fn ps(runs: &[RunLine], as_json: bool) -> i32 {
    if as_json {
        let list: Vec<Value> = runs.iter().map(object).collect();
        return print_json(&Value::from(list));
    }
    if runs.is_empty() {
        print_error("no run is live\n");
        return exit::OK;
    }
    let users = runs.iter().any(|run| run.user != runs[0].user);
    let mut rows = vec![row(["RUN", "SCRIPT", "UP", "GUARD", "HOST", if users { "USER" } else { "" }])];
    for run in runs {
        let user = if users { run.user.clone() } else { String::new() };
        rows.push(match &run.record {
            Some(it) => {
                let (up, guard, host) = (duration(it.up), it.guard.to_string(), it.host.to_string());
                let up = match it {
                    Record { suspended: true, .. } => format!("{up}, suspended"),
                    Record { stopping: true, .. } => format!("{up}, stopping"),
                    _ => up,
                };
                vec![run.name.clone(), it.script.clone(), up, guard, host, user]
            }
            None => vec![run.name.clone(), "?".into(), "?".into(), "?".into(), "?".into(), user],
        });
    }
    let lines = table(&rows);
    let mut lines = lines.lines();
    let mut text = format!("{}\n", lines.next().unwrap_or_default());
    for (run, line) in runs.iter().zip(lines) {
        text.push_str(line);
        text.push('\n');
        let mut jobs = vec![row(["  JOB", "PID", "STATE", "UP"])];
        jobs.extend(run.jobs.iter().map(|job| {
            let name = format!("  {}", job.name);
            vec![name, job.pid.to_string(), state(job.state).to_owned(), duration(job.up)]
        }));
        if jobs.len() > 1 {
            text.push_str(&table(&jobs));
        }
    }
    print(&text)
}

/// What a state means for whoever started the job.
fn state(letter: char) -> &'static str {
    match letter {
        'T' | 't' => "stopped",
        // Its number is kept as long as it has left something running.
        'Z' | 'X' => "background",
        _ => "running",
    }
}

fn object(run: &RunLine) -> Value {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let jobs: Vec<Value> = run
        .jobs
        .iter()
        .map(|job| json!({"name": job.name, "pid": job.pid, "state": state(job.state), "uptime_ms": ms(job.up)}))
        .collect();
    let mut object = json!({"run": run.name, "dir": run.path, "user": run.user, "jobs": jobs});
    if let Some(it) = &run.record {
        let started = humantime::format_rfc3339_millis(it.started).to_string();
        let facts = json!({
            "script": it.script, "cwd": it.directory.to_string_lossy(), "started": started, "uptime_ms": ms(it.up), "guard": it.guard, "host": it.host,
            "stopping": it.stopping, "suspended": it.suspended,
        });
        if let (Value::Object(object), Value::Object(facts)) = (&mut object, facts) {
            object.extend(facts);
        }
    }
    object
}

/// A process that a dead run has left.
pub struct LeftLine {
    pub run: String,
    pub pid: i32,
    pub user: String,
    pub state: char,
    pub why: Why,
    pub command: String,
}

/// The evidence against it.
pub enum Why {
    Job(String),
    File(PathBuf),
    Cgroup,
    Mark,
    Descendant(i32),
    Guard(String),
}

/// A run of which nobody can tell what it has left.
pub struct UnreadLine {
    pub path: PathBuf,
    pub why: Unread,
    /// The number and the command of those who carry its mark or write to its files.
    pub suspects: Vec<(i32, String)>,
}

/// Why its record cannot be read.
pub enum Unread {
    Older,
    OtherVersion,
    Empty,
    Damaged,
}

/// What a sweep has done.
pub struct Swept<'a> {
    pub ended: usize,
    /// Of these with SIGKILL.
    pub killed: usize,
    pub removed: &'a [PathBuf],
    pub stays: &'a [Stays],
    pub left: &'a [LeftLine],
}

/// What there is to sweep on stdout; on stderr what can be done about it, unless that is being done. The exit code, but
/// for what is found.
pub fn leftovers(found: &[LeftLine], unread: &[UnreadLine], ending: bool) -> i32 {
    unread.iter().for_each(warn_of_unread);
    if found.is_empty() {
        let of_whom = if unread.is_empty() { "no run" } else { "no other run" };
        print_error(&format!("nothing to sweep: {of_whom} has left a process\n"));
        return exit::OK;
    }
    let mut rows = vec![row(["RUN", "PID", "USER", "WHY", "COMMAND"])];
    rows.extend(found.iter().map(|one| {
        let command = shorten(&one.command);
        vec![one.run.clone(), one.pid.to_string(), one.user.clone(), why(&one.why), command]
    }));
    let code = print(&table(&rows));
    if !ending {
        let count = processes(found.len());
        print_error(&format!("{count} left by runs that were killed; bgjobs sweep --yes stops them\n"));
    }
    code
}

fn warn_of_unread(one: &UnreadLine) {
    const MOST: usize = 5;
    let path = one.path.display();
    let (why, version) = match one.why {
        Unread::Older => ("a version up to 0.2 has written it", true),
        Unread::OtherVersion => ("another version has written it", true),
        Unread::Empty => ("it is empty, as on a full disk", false),
        Unread::Damaged => ("it is damaged", false),
    };
    let mut notes: Vec<String> = one
        .suspects
        .iter()
        .take(MOST)
        .map(|(pid, command)| {
            format!("pid {pid} has its BGJOBS_RUN, or writes to its files: {}", shorten(command))
        })
        .collect();
    match one.suspects.len() {
        0 => notes.push("nobody has its BGJOBS_RUN or writes to its files".to_owned()),
        count if count > MOST => notes.push(format!("and {} more", count - MOST)),
        _ => {}
    }
    let hint = match (version, one.suspects.is_empty()) {
        (_, true) => format!("rm -r {path}"),
        (true, false) => "bgjobs sweep   (of that version)".to_owned(),
        (false, false) => format!("kill those that are its, then rm -r {path}"),
    };
    let message = format!("{path} is not swept: its record cannot be read ({why})");
    let warning = Failure { message, notes, hint: Some(hint), ..Failure::default() };
    print_warning(&warning, Style::choose(Color::Auto));
}

fn why(why: &Why) -> String {
    match why {
        Why::Job(job) => format!("first process of job {job}"),
        Why::File(path) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            format!("writes {}", name.trim_end_matches(" (deleted)"))
        }
        Why::Cgroup => "in the cgroup of the run".to_owned(),
        Why::Mark => "BGJOBS_RUN in its environment".to_owned(),
        Why::Descendant(parent) => format!("child of {parent}"),
        Why::Guard(run) => format!("guard of {run}, which it ends"),
    }
}

/// What became of it. The exit code: 125 when something is still there.
pub fn swept(swept: &Swept) -> i32 {
    let mut text = String::new();
    for one in swept.left {
        let command = &one.command;
        let _ = writeln!(text, "left: pid {} (user {}, state {}): {command}", one.pid, one.user, one.state);
    }
    not_removed(&mut text, swept.stays);
    for path in swept.removed {
        let _ = writeln!(text, "removed: {}", path.display());
    }
    let ended = processes(swept.ended);
    let killed = match swept.killed {
        0 => String::new(),
        some => format!(" ({some} of them with SIGKILL)"),
    };
    let _ = writeln!(text, "swept: {ended} ended{killed}, {} left", swept.left.len());
    print_error(&text);
    if swept.left.is_empty() { exit::OK } else { exit::INFRASTRUCTURE }
}

fn processes(count: usize) -> String {
    if count == 1 { "1 process".to_owned() } else { format!("{count} processes") }
}

/// The word of the next run about what earlier ones have left. Lost when nobody reads at this moment: no run waits
/// for that.
pub fn left_behind(count: usize) {
    let count = processes(count);
    hint(&format!("note: a run that was killed left {count}: bgjobs sweep shows them\n"));
}
