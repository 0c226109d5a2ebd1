//! What `bgjobs doctor` says.

use super::print::{print, print_json};
use super::table::{row, table};
use crate::words::{columns, folded};
use serde_json::json;
use std::path::Path;

/// One thing that was tried. A detail is only there when it says more than that it works, or why it does not.
pub struct Check {
    pub name: &'static str,
    pub result: Result<String, String>,
}

/// What follows from the checks.
#[derive(Clone, Copy)]
pub struct Diagnosis {
    pub holds: bool,
    pub isolate_pid: bool,
}

/// The exit code, but for what is found.
pub fn doctor(checks: &[Check], diagnosis: Diagnosis, as_json: bool) -> i32 {
    if as_json {
        let list: Vec<_> = checks
            .iter()
            .map(|check| json!({"name": check.name, "ok": check.result.is_ok(), "detail": detail(check)}))
            .collect();
        let covers: Vec<_> =
            covers(diagnosis).iter().map(|(end, covered)| json!({"end": end, "covered": covered})).collect();
        let object = json!({"holds": diagnosis.holds, "checks": list, "covers": covers});
        return print_json(&object);
    }
    let mut rows = vec![row(["CHECK", "", "WHAT IT IS FOR"])];
    rows.extend(checks.iter().map(|check| {
        let mark = if check.result.is_ok() { "yes" } else { "no" };
        vec![check.name.to_owned(), mark.to_owned(), detail(check)]
    }));
    let mut text = table(&rows);
    let fitting = |words: &str| columns().map_or_else(|| words.to_owned(), |width| folded(words, width));
    text.push('\n');
    text.push_str(&fitting("What the promise covers here: nothing that a run has started is left after\n"));
    let covers: Vec<Vec<String>> = covers(diagnosis)
        .iter()
        .map(|(end, covered)| vec![format!("  {end}"), (*covered).to_owned()])
        .collect();
    text.push_str(&table(&covers));
    text.push_str(&fitting(
        "Not seen or not ours to end, so it is named where it can be: processes of other users (sudo, set-id\n\
         programs), processes in uninterruptible sleep, work handed to another daemon (docker, systemd-run, at).\n",
    ));
    print(&text)
}

fn covers(it: Diagnosis) -> Vec<(&'static str, &'static str)> {
    let basic = if it.holds { "covered" } else { "NOT covered: see the first `no` above" };
    let both = match it.isolate_pid {
        true => "covered with --isolate pid; without, `bgjobs sweep` shows what is left",
        false => "NOT covered: `bgjobs sweep` shows what is left (--isolate pid is not possible here)",
    };
    vec![
        ("the end of the script, an error, exit(), --timeout", basic),
        ("INT, TERM, HUP, QUIT, a closed terminal, a reader that is gone", basic),
        ("SIGKILL of bgjobs (the guard), of its host, or of its process group", basic),
        ("SIGKILL of guard and host at the same instant", both),
    ]
}

/// What it is for, or what is lost without it.
fn detail(check: &Check) -> String {
    let (with, without) = match check.name {
        "kernel" => ("", "bgjobs is written for Linux 5.4 and newer"),
        "pidfd" => {
            ("no reused pid is ever signalled", "Linux 5.3 or newer is needed, and no filter against it")
        }
        "subreaper" => ("daemons come back to bgjobs when they double-fork", "daemons would get away"),
        "parent-death signal" => ("jobs are told when bgjobs is killed", "jobs would not notice"),
        "/proc" => {
            ("processes can be found and named", "it is not mounted, or that of another PID namespace")
        }
        "cgroup" => ("one write ends everything in it", ""),
        "--isolate pid" => ("the kernel itself ends everything with the run", ""),
        "--isolate net" => ("a loopback of its own: two runs can use one port", ""),
        "--isolate ipc" => ("shared memory of its own, which ends with the run", ""),
        "max_memory" | "max_procs" => ("jobs can be limited", ""),
        "other users" => (
            "their processes can be seen, and who owns a port be named",
            "hidden (hidepid): who owns a port of theirs cannot be named",
        ),
        "loopback" => ("servers can be reached", "no server can be reached here: a sandbox?"),
        "inotify" => ("waits wake at the first byte of a log", "no instance or watch is left: waits poll"),
        _ => ("", ""),
    };
    let (general, special) = match &check.result {
        Ok(special) => (with, special),
        Err(special) => (without, special),
    };
    // An obstacle has its cause and its way out on lines of their own.
    let special = special.lines().map(str::trim).collect::<Vec<_>>().join("; ");
    match (general.is_empty(), special.is_empty()) {
        (_, true) => general.to_owned(),
        (true, false) => special,
        (false, false) => format!("{special}: {general}"),
    }
}

/// Where runs have their directories, and how much room there is.
pub fn run_directory(base: &Path, free: u64, record: bool) -> String {
    let record = if record { "" } else { "; no memory can be shared by a file there: ps and sweep see less" };
    format!("{}, {} free{record}", base.display(), bytes(free))
}

pub fn descriptors(before: u64, after: u64) -> String {
    if before == after {
        format!("{before}")
    } else {
        format!("{before}, raised to {after} by bgjobs for itself")
    }
}

fn bytes(count: u64) -> String {
    match count {
        0..1_000_000 => format!("{} KB", count / 1_000),
        1_000_000..1_000_000_000 => format!("{} MB", count / 1_000_000),
        _ => format!("{} GB", count / 1_000_000_000),
    }
}
