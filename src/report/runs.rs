//! What `bgjobs ps` says.

use super::table::{row, table};
use super::text::{duration, print, print_error, sanitize};
use crate::exit;
use serde_json::{Value, json};
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
    pub started: SystemTime,
    pub up: Duration,
    pub guard: i32,
    pub host: i32,
    pub stopping: bool,
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
        print(&format!("{:#}\n", Value::from(list)));
        return exit::OK;
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
                let up = if it.stopping { format!("{up}, stopping") } else { up };
                vec![run.name.clone(), sanitize(&it.script), up, guard, host, user]
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
            let name = format!("  {}", sanitize(&job.name));
            vec![name, job.pid.to_string(), state(job.state).to_owned(), duration(job.up)]
        }));
        if jobs.len() > 1 {
            text.push_str(&table(&jobs));
        }
    }
    print(&text);
    exit::OK
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
            "script": it.script, "started": started, "uptime_ms": ms(it.up), "guard": it.guard, "host": it.host,
            "stopping": it.stopping,
        });
        if let (Value::Object(object), Value::Object(facts)) = (&mut object, facts) {
            object.extend(facts);
        }
    }
    object
}
