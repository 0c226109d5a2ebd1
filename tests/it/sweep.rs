//! `bgjobs ps` and `bgjobs sweep`: what lives, and what is not one's own.

use crate::support::{Script, bgjobs};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A directory for runs, apart from those of others.
fn base() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("bp").tempdir_in("/tmp").expect("a directory")
}

fn bgjobs_in(base: &Path, args: &[&str]) -> Output {
    Command::new(bgjobs()).args(args).env("TMPDIR", base).output().expect("bgjobs starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What `bgjobs ps --json` lists.
fn ps(base: &Path) -> Vec<Value> {
    let output = bgjobs_in(base, &["ps", "--json"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    match serde_json::from_slice(&output.stdout) {
        Ok(Value::Array(list)) => list,
        other => panic!("no array: {other:?}"),
    }
}

/// Waits for a condition, as long as a busy machine may need.
#[track_caller]
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "it never came that {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A run that lasts until this is dropped.
struct Live(Child);

impl Live {
    /// Returns when all that `code` starts has been started.
    fn start(base: &Path, name: &str, code: &str) -> Self {
        let (file, ready) = (base.join(name), base.join(format!("{name}.ready")));
        let code = format!("{code}; write_file({ready:?}, \"\"); loop {{ sleep(0.01); }}");
        std::fs::write(&file, code).expect("written");
        let script = Script::file(&file).env("TMPDIR", &base.to_string_lossy());
        let child = script.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let live = Self(child.expect("bgjobs starts"));
        eventually("the script is running", || ready.exists().then_some(()));
        live
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

fn run_dirs(base: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(base).expect("a directory").flatten();
    let is_run =
        |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("bgjobs-"));
    entries.map(|entry| entry.path()).filter(is_run).collect()
}

#[test]
fn ps_lists_the_live_runs_with_their_jobs() {
    let base = base();
    let run = Live::start(
        base.path(),
        "shop.rhai",
        "spawn(\"db\", \"exec sleep 60\"); let api = spawn(\"api\", [\"sleep\", \"60\"]); api.pause();
         spawn(\"gone\", \"true\").wait()",
    );
    let list = eventually("the paused job is stopped", || {
        let list = ps(base.path());
        (list[0]["jobs"][1]["state"] == "stopped").then_some(list)
    });
    assert_eq!(list.len(), 1, "{list:?}");
    let it = &list[0];
    assert_eq!(it["guard"], run.0.id());
    assert_eq!(it["stopping"], false);
    assert!(it["script"].as_str().expect("a script").ends_with("/shop.rhai"), "{it}");
    assert_eq!(it["dir"].as_str(), run_dirs(base.path())[0].to_str());
    let jobs: Vec<(&str, &str)> = it["jobs"]
        .as_array()
        .expect("jobs")
        .iter()
        .map(|job| (job["name"].as_str().expect("a name"), job["state"].as_str().expect("a state")))
        .collect();
    assert_eq!(jobs, [("db", "running"), ("api", "stopped")], "one that has ended is none");
    let pid = it["jobs"][0]["pid"].as_i64().expect("a pid");
    assert_eq!(std::fs::read_to_string(format!("/proc/{pid}/cmdline")).expect("alive"), "sleep\x0060\0");

    let table = text(&bgjobs_in(base.path(), &["ps"]).stdout);
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["RUN", "SCRIPT", "UP", "GUARD", "HOST"]);
    assert_eq!(lines[1][0], it["run"]);
    assert_eq!(lines[2], ["JOB", "PID", "STATE", "UP"]);
    assert_eq!(lines[3][..3], ["db", &pid.to_string(), "running"]);
    assert_eq!(lines.len(), 5, "{table}");
}

#[test]
fn ps_says_so_when_nothing_runs() {
    let base = base();
    // A failed run keeps its directory, but does not run.
    let _ =
        Script::code("spawn(\"true\").wait(); throw 1").env("TMPDIR", &base.path().to_string_lossy()).run();
    assert_eq!(run_dirs(base.path()).len(), 1);
    let output = bgjobs_in(base.path(), &["ps"]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), ""));
    assert_eq!(text(&output.stderr), "no run is live\n");
    assert!(ps(base.path()).is_empty());
}

#[test]
fn a_code_on_the_command_line_is_not_shown() {
    let base = base();
    let script = Script::code("let token = \"hunter2\"; loop { sleep(0.01); }");
    let script = script.env("TMPDIR", &base.path().to_string_lossy());
    let run = Live(script.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts"));
    let script = eventually("it has described itself", || ps(base.path()).first()?.get("script").cloned());
    assert_eq!(script, "-e");
    drop(run);
}

#[test]
fn what_is_no_run_is_not_taken_for_one() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let base = base();
    let _run = Live::start(base.path(), "real.rhai", "spawn(\"exec sleep 60\")");
    let real = run_dirs(base.path()).remove(0);
    let at = |name: &str| base.path().join(name);
    let chmod = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
    };
    // A link to a run, a file, and directories: open to others, empty, with a FIFO, with links inside.
    symlink(&real, at("bgjobs-link")).expect("a link");
    std::fs::write(at("bgjobs-file"), "").expect("written");
    for (name, mode) in
        [("bgjobs-open", 0o755), ("bgjobs-empty", 0o700), ("bgjobs-fifo", 0o700), ("bgjobs-in", 0o700)]
    {
        std::fs::create_dir(at(name)).expect("a directory");
        chmod(&at(name), mode);
    }
    std::fs::copy(real.join("page"), at("bgjobs-open/page")).expect("copied");
    std::fs::write(at("bgjobs-open/lock"), "").expect("written");
    nix::unistd::mkfifo(&at("bgjobs-fifo/lock"), nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
    symlink(real.join("lock"), at("bgjobs-in/lock")).expect("a link");
    symlink(real.join("page"), at("bgjobs-in/page")).expect("a link");
    let list = ps(base.path());
    assert_eq!(list.len(), 1, "{list:?}");
    assert_eq!(list[0]["dir"].as_str(), real.to_str());
}

#[test]
fn a_live_run_without_a_readable_record_is_listed_all_the_same() {
    let base = base();
    let _run = Live::start(base.path(), "odd.rhai", "spawn(\"exec sleep 60\")");
    let page = run_dirs(base.path())[0].join("page");
    for bytes in [Vec::new(), b"garbage".to_vec(), vec![0xff; 100_000]] {
        // In the place of the old file, which stays mapped.
        std::fs::remove_file(&page).expect("removed");
        std::fs::write(&page, bytes).expect("written");
        let list = ps(base.path());
        assert_eq!((list.len(), list[0].get("script")), (1, None), "{list:?}");
        let table = text(&bgjobs_in(base.path(), &["ps"]).stdout);
        assert_eq!(table.lines().count(), 2, "{table}");
    }
}
