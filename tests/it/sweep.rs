//! `bgjobs ps` and `bgjobs sweep`: what lives, and what is not one's own.

use crate::cgroup::recorded_cgroup;
use crate::support::{Script, bgjobs, skip};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
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
        // In a group of its own, as a shell starts it: the kernel suspends nobody in an orphaned group (setpgid(2)), which
        // ours is in CI.
        let child = script.command().process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
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

/// As after Ctrl-Z.
#[test]
fn ps_shows_a_suspended_run_as_such() {
    let base = base();
    let run = Live::start(base.path(), "shop.rhai", "spawn(\"db\", \"exec sleep 60\")");
    let suspended = || ps(base.path()).first()?.get("suspended")?.as_bool();
    assert_eq!(suspended(), Some(false));
    let guard = Pid::from_raw(run.0.id().cast_signed());
    kill(guard, Signal::SIGTSTP).expect("sent");
    eventually("it is suspended", || suspended().filter(|is| *is));
    let table = text(&bgjobs_in(base.path(), &["ps"]).stdout);
    assert!(table.lines().nth(1).is_some_and(|line| line.contains(", suspended ")), "{table}");
    kill(guard, Signal::SIGCONT).expect("sent");
    eventually("it goes on", || suspended().filter(|is| !*is));
    let table = text(&bgjobs_in(base.path(), &["ps"]).stdout);
    assert!(!table.contains("suspended"), "{table}");
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
    std::fs::copy(real.join("lock"), at("bgjobs-open/lock")).expect("copied");
    nix::unistd::mkfifo(&at("bgjobs-fifo/lock"), nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
    symlink(real.join("lock"), at("bgjobs-in/lock")).expect("a link");
    let list = ps(base.path());
    assert_eq!(list.len(), 1, "{list:?}");
    assert_eq!(list[0]["dir"].as_str(), real.to_str());
}

#[test]
fn a_live_run_without_a_readable_record_is_listed_all_the_same() {
    let base = base();
    let _run = Live::start(base.path(), "odd.rhai", "spawn(\"exec sleep 60\")");
    let record = run_dirs(base.path())[0].join("lock");
    for bytes in [Vec::new(), b"garbage".to_vec(), vec![0xff; 100_000]] {
        std::fs::write(&record, bytes).expect("written");
        let list = ps(base.path());
        assert_eq!((list.len(), list[0].get("script")), (1, None), "{list:?}");
        let table = text(&bgjobs_in(base.path(), &["ps"]).stdout);
        assert_eq!(table.lines().count(), 2, "{table}");
    }
}

// ---- bgjobs sweep -------------------------------------------------------------------------------------------

/// A shell, and its child, that ignore TERM; `what` tells one from another. Can stand between single quotes. Ends by
/// itself in case a test fails to end it.
fn stubborn(what: &str) -> String {
    format!("trap \"\" TERM HUP; sleep 60; : {what}")
}

/// Who has this text in its arguments: their pids.
fn with_argument(text: &str) -> Vec<i32> {
    let pids = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let has = |pid: &i32| {
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        arguments.windows(text.len()).any(|window| window == text.as_bytes())
    };
    pids.filter(has).collect()
}

fn alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}

/// A set of signals of a process, as a mask.
fn signals(pid: i32, which: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(which)?.strip_prefix(':'));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// A run whose guard and host were killed at the same instant.
struct Lost {
    base: tempfile::TempDir,
    /// In the arguments of everything that it has started.
    token: String,
}

impl Lost {
    /// `TOKEN` in the code is a word that only this run has. `stays` are the names of what ignores TERM and outlives
    /// it, each of which ends the arguments of a process: `TOKEN-name`.
    fn of(code: &str, options: &[&str], stays: &[&str]) -> Self {
        // As on a machine without cgroups, whose evidence would stand for every other.
        Self::with(code, options, stays, "cgroup")
    }

    /// As [`Lost::of`], without these parts of the containment.
    fn with(code: &str, options: &[&str], stays: &[&str], off: &str) -> Self {
        let base = base();
        let token = format!("lost-{}", base.path().file_name().expect("a name").to_string_lossy());
        let lost = Self { base, token };
        lost.lose(&code.replace("TOKEN", &lost.token), options, stays, off);
        // What the kernel has told the leaders to stop may take a moment.
        let known: Vec<i32> = stays.iter().map(|name| lost.pid_of(name).expect(name)).collect();
        eventually("all others are gone", || {
            lost.processes().iter().all(|pid| known.contains(pid)).then_some(())
        });
        lost
    }

    fn lose(&self, code: &str, options: &[&str], stays: &[&str], off: &str) {
        let ready = self.base.path().join("ready");
        let code = format!("{code}; write_file({ready:?}, \"\"); loop {{ sleep(0.01); }}");
        let script = Script::code(&code).env("TMPDIR", &self.base.path().to_string_lossy());
        let mut script = script.env("BGJOBS_TEST_OFF", off);
        for option in options {
            script = script.option(option);
        }
        let mut guard =
            script.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("bgjobs starts");
        eventually("the script is running", || ready.exists().then_some(()));
        for name in stays {
            let stays = |pid| signals(pid, "SigIgn") & 1 << (Signal::SIGTERM as u64 - 1) != 0;
            eventually(&format!("{name} ignores TERM"), || self.pid_of(name).filter(|pid| stays(*pid)));
        }
        let pid = guard.id().cast_signed();
        let list = ps(self.base.path());
        let it = list.iter().find(|run| run["guard"] == pid).unwrap_or_else(|| panic!("{list:?}"));
        let host = i32::try_from(it["host"].as_i64().expect("a host")).expect("a pid");
        // The host first: its guard's death would wake it.
        for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
            for pid in [host, pid] {
                kill(Pid::from_raw(pid), signal).expect("alive");
            }
        }
        guard.wait().expect("our child");
        // All of its threads: the last one lets go of the lock.
        let is_live = || ps(self.base.path()).iter().any(|run| run["guard"] == pid);
        eventually("the run is dead", || (!is_live()).then_some(()));
    }

    fn pid_of(&self, name: &str) -> Option<i32> {
        with_argument(&format!("{}-{name}\0", self.token)).into_iter().find(|pid| alive(*pid))
    }

    /// Everything that lives of it.
    fn processes(&self) -> Vec<i32> {
        with_argument(&self.token).into_iter().filter(|pid| alive(*pid)).collect()
    }

    fn sweep(&self, options: &[&str]) -> (i32, String, String) {
        let output = bgjobs_in(self.base.path(), &[&["sweep"], options].concat());
        (output.status.code().expect("a code"), text(&output.stdout), text(&output.stderr))
    }

    /// The pids that `bgjobs sweep` shows, with why.
    fn shown(&self) -> Vec<(i32, String)> {
        let (_, table, _) = self.sweep(&[]);
        let mut lines = table.lines();
        let Some(head) = lines.next() else { return Vec::new() };
        let (why, command) = (head.find("WHY").expect("a column"), head.find("COMMAND").expect("a column"));
        lines
            .map(|line| {
                let pid = line.split_whitespace().nth(1).expect("a pid").parse().expect("a pid");
                (pid, line[why..command].trim().to_owned())
            })
            .collect()
    }

    fn dirs(&self) -> Vec<PathBuf> {
        run_dirs(self.base.path())
    }
}

impl Drop for Lost {
    fn drop(&mut self) {
        for pid in self.processes() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// A process that is nobody's leftover; ends when this is dropped.
struct Bystander(Child);

impl Bystander {
    fn start(command: &str, mark: Option<&str>) -> Self {
        let mut sh = Command::new("sh");
        sh.args(["-c", command]).env_remove("BGJOBS_RUN").stdin(Stdio::null());
        sh.envs(mark.map(|run| ("BGJOBS_RUN", run)));
        Self(sh.spawn().expect("sh starts"))
    }

    fn pid(&self) -> i32 {
        self.0.id().cast_signed()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn sweep_shows_what_a_lost_run_has_left_and_ends_it_when_told() {
    let daemon = format!("(setsid sh -c '{}' &)", stubborn("TOKEN-daemon"));
    let code = format!(
        "spawn(\"stubborn\", {:?}); spawn(\"daemon\", {daemon:?}); spawn(\"plain\", \"exec sleep 60\");",
        stubborn("TOKEN-stubborn")
    );
    let lost = Lost::of(&code, &["--grace=300ms"], &["stubborn", "daemon"]);
    let bystander = Bystander::start(&stubborn("bystander"), None);
    let (stubborn, daemon) = (lost.pid_of("stubborn").expect("alive"), lost.pid_of("daemon").expect("alive"));

    assert!(ps(lost.base.path()).is_empty(), "it is no live run");
    let (code, table, hint) = lost.sweep(&[]);
    assert_eq!(code, 1, "{table}{hint}");
    assert!(hint.ends_with("left by runs that were killed; bgjobs sweep --yes stops them\n"), "{hint}");
    let shown = lost.shown();
    let why = |pid| shown.iter().find(|(one, _)| *one == pid).map(|(_, why)| why.as_str());
    assert_eq!(why(stubborn), Some("first process of job stubborn"), "{table}");
    assert_eq!(why(daemon), Some("BGJOBS_RUN in its environment"), "{table}");
    assert_eq!(shown.len(), 4, "the two and the `sleep` of each: {table}");
    assert!(alive(stubborn) && alive(daemon), "nothing was done");

    let dir = lost.dirs().remove(0);
    let (code, _, said) = lost.sweep(&["--yes"]);
    assert_eq!(code, 0, "{said}");
    assert!(lost.processes().is_empty(), "{:?}", lost.processes());
    assert!(said.starts_with(&format!("removed: {}\nswept: ", dir.display())), "{said}");
    assert!(said.contains("with SIGKILL") && said.ends_with(", 0 left\n"), "{said}");
    assert!(alive(bystander.pid()));
    assert!(lost.dirs().is_empty());
    let (code, table, said) = lost.sweep(&["--yes"]);
    assert_eq!(
        (code, table.as_str(), said.as_str()),
        (0, "", "nothing to sweep: no run has left a process\n")
    );
}

#[test]
fn every_kind_of_evidence_is_enough() {
    // Each of them has only one: the record, the log that it writes, its parent.
    let hidden = |what: &str| format!("exec env -i PATH=$PATH sh -c '{}'", stubborn(what));
    let unseen = |what: &str| format!("{} >/dev/null 2>&1", hidden(what));
    let parent = format!("trap '' TERM HUP; {} & wait; : TOKEN-parent", unseen("TOKEN-child"));
    let code = format!(
        "spawn(\"recorded\", {:?}); spawn(\"logger\", {:?}); spawn(\"parent\", {parent:?});",
        unseen("TOKEN-recorded"),
        format!("({} &)", hidden("TOKEN-writer")),
    );
    let lost = Lost::of(&code, &["--grace=100ms"], &["recorded", "writer", "parent", "child"]);
    let shown = lost.shown();
    let pid = |name| lost.pid_of(name).expect("alive");
    let why = |pid| shown.iter().find(|(one, _)| *one == pid).map_or("not shown", |(_, why)| why.as_str());
    assert_eq!(why(pid("recorded")), "first process of job recorded", "{shown:?}");
    assert_eq!(why(pid("writer")), "writes logger.log", "{shown:?}");
    assert_eq!(why(pid("parent")), "first process of job parent", "{shown:?}");
    assert_eq!(why(pid("child")), format!("child of {}", pid("parent")), "{shown:?}");
    assert_eq!(lost.sweep(&["--yes"]).0, 0);
    assert!(lost.processes().is_empty());
}

#[test]
fn the_cgroup_of_a_lost_run_holds_who_hides_in_every_other_way() {
    let hidden =
        format!("exec env -i PATH=$PATH setsid sh -c '{}' >/dev/null 2>&1", stubborn("TOKEN-hidden"));
    let code = format!("spawn(\"hider\", {:?});", format!("({hidden} &)"));
    let lost = Lost::with(&code, &["--grace=100ms"], &["hidden"], "");
    let hidden = lost.pid_of("hidden").expect("alive");
    let Some(cgroup) = recorded_cgroup(&lost.dirs()[0]) else {
        skip("there is no cgroup to be had here");
        return;
    };
    // A record that names another cgroup is worth nothing.
    let record = lost.dirs()[0].join("lock");
    let whole = std::fs::read(&record).expect("a record");
    let at =
        whole.windows(cgroup.len()).position(|window| window == cgroup.as_bytes()).expect("it is in there");
    for other in ["/", "/sys/fs/cgroup", "", "../x", &format!("{cgroup}/jobs")] {
        let mut forged = whole.clone();
        forged[at..at + cgroup.len()].fill(0);
        forged[at..at + other.len()].copy_from_slice(other.as_bytes());
        std::fs::write(&record, forged).expect("written");
        assert_eq!(lost.shown(), [], "{other}");
    }
    std::fs::write(&record, &whole).expect("written");
    let shown = lost.shown();
    assert!(shown.contains(&(hidden, "in the cgroup of the run".to_owned())), "{shown:?}");
    assert_eq!(lost.sweep(&["--yes"]).0, 0);
    assert!(!alive(hidden));
    assert!(!Path::new(&cgroup).exists(), "{cgroup}");
}

/// None of its processes lives long enough to be found by reading all of /proc.
#[test]
fn a_chain_of_processes_is_held_by_the_cgroup_of_its_lost_run() {
    let dir = tempfile::tempdir().expect("a directory");
    let up = dir.path().join("up");
    let chain = "import os, sys
up = sys.argv[1]
while True:
    if os.fork(): os._exit(0)
    os.setsid()
    if up: open(up, 'w').close()
    up = None";
    let code = format!("spawn([\"python3\", \"-SEc\", `{chain}`, {up:?}]); wait_file({up:?});");
    let lost = Lost::with(&code, &["--grace=100ms"], &[], "");
    let Some(cgroup) = recorded_cgroup(&lost.dirs()[0]) else {
        skip("there is no cgroup to be had here");
        return;
    };
    // Once both its processes have let go of the cgroup.
    eventually("the chain is shown", || {
        lost.shown().iter().any(|(_, why)| why == "in the cgroup of the run").then_some(())
    });
    let (code, _, stderr) = lost.sweep(&["--yes"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("0 left"), "{stderr}");
    assert!(!Path::new(&cgroup).exists(), "{cgroup}");
}

#[test]
fn ps_shows_the_jobs_in_a_pid_namespace_by_the_numbers_that_they_have_outside() {
    let base = base();
    let probe = Script::code("").option("--isolate=pid").run();
    if probe.code != Some(0) {
        skip(&format!("no PID namespace to be had here: {}", probe.stderr));
        return;
    }
    let file = base.path().join("inside.rhai");
    std::fs::write(&file, "spawn(\"job\", [\"sleep\", \"61\"]); loop { sleep(0.01); }").expect("written");
    let script = Script::file(&file).option("--isolate=pid").env("TMPDIR", &base.path().to_string_lossy());
    let _run = Live(script.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts"));
    let pid = eventually("its job is listed", || ps(base.path()).first()?["jobs"][0]["pid"].as_i64());
    assert_eq!(std::fs::read_to_string(format!("/proc/{pid}/cmdline")).expect("alive"), "sleep\x0061\0");
    let output = bgjobs_in(base.path(), &["sweep", "--yes"]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), ""), "{output:?}");
}

#[test]
fn sweep_gives_the_grace_period_of_the_job_and_its_stop_signal() {
    let base = base();
    let (go, marker) = (base.path().join("go"), base.path().join("marker"));
    // The kernel's signal at the death of the host is the stop signal as well: it must not obey that one.
    let graceful = format!(
        "trap '' TERM; trap '[ -e {} ] && {{ trap \"\" USR1; sleep 0.4; : > {}; exit; }}' USR1; while :; do sleep 0.05; done; : TOKEN-graceful",
        go.display(),
        marker.display()
    );
    let code = format!("spawn(\"graceful\", {graceful:?}, #{{stop_signal: \"USR1\", grace: \"20s\"}});");
    let lost = Lost::of(&code, &["--grace=100ms"], &["graceful"]);
    std::fs::write(go, "").expect("written");
    let (code, _, said) = lost.sweep(&["--yes"]);
    assert_eq!(code, 0, "{said}");
    assert!(marker.exists() && !said.contains("SIGKILL"), "{said}");
}

/// One that is killed soon, and one that needs longer than SIGKILL is waited for.
#[test]
fn sweep_gives_a_job_its_grace_period_although_another_has_had_its_own() {
    let base = base();
    let (go, marker) = (base.path().join("go"), base.path().join("marker"));
    let graceful = format!(
        "trap '' TERM; trap '[ -e {} ] && {{ trap \"\" USR1; sleep 2.5; : > {}; exit; }}' USR1; while :; do sleep 0.05; done; : TOKEN-graceful",
        go.display(),
        marker.display()
    );
    let code = format!(
        "spawn(\"graceful\", {graceful:?}, #{{stop_signal: \"USR1\", grace: \"60s\"}}); spawn(\"hasty\", {:?});",
        stubborn("TOKEN-hasty")
    );
    let lost = Lost::of(&code, &["--grace=100ms"], &["graceful", "hasty"]);
    std::fs::write(go, "").expect("written");
    let (code, _, said) = lost.sweep(&["--yes"]);
    assert_eq!(code, 0, "{said}");
    assert!(marker.exists() && said.contains("0 left"), "{said}");
}

#[test]
fn whoever_interrupts_a_sweep_ends_its_grace_periods() {
    let code = format!("spawn(\"deaf\", {:?}, #{{grace: \"600s\"}});", stubborn("TOKEN-deaf"));
    let lost = Lost::of(&code, &[], &["deaf"]);
    let mut sweep = Command::new(bgjobs());
    sweep.args(["sweep", "--yes"]).env("TMPDIR", lost.base.path());
    let sweep = sweep.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("bgjobs starts");
    let pid = sweep.id().cast_signed();
    // From then on it hears of it.
    let caught = 1 << (Signal::SIGINT as u64 - 1);
    eventually("it catches INT", || (signals(pid, "SigCgt") & caught != 0).then_some(()));
    kill(Pid::from_raw(pid), Signal::SIGINT).expect("alive");
    let output = sweep.wait_with_output().expect("our child");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("SIGKILL") && said.contains("0 left"), "{said}");
    assert_eq!(lost.processes(), Vec::<i32>::new());
}

#[test]
fn a_live_run_and_what_it_has_started_is_never_swept() {
    let base = base();
    let _run = Live::start(base.path(), "live.rhai", &format!("spawn(\"job\", {:?})", stubborn("job")));
    let name = ps(base.path())[0]["run"].as_str().expect("a name").to_owned();
    // Inherits the mark, as from a shell that a job has opened.
    let inherits = Bystander::start(&stubborn("inherits"), Some(&name));
    let output = bgjobs_in(base.path(), &["sweep", "--yes"]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), ""), "{output:?}");
    assert!(alive(inherits.pid()));
    assert_eq!(ps(base.path())[0]["jobs"].as_array().map(Vec::len), Some(1));
}

#[test]
fn what_has_the_mark_of_a_live_run_is_not_swept_whatever_it_has_of_a_lost_one() {
    let code = format!("spawn(\"stubborn\", {:?});", stubborn("TOKEN-stubborn"));
    let lost = Lost::of(&code, &["--grace=100ms"], &["stubborn"]);
    let log = lost.dirs()[0].join("logs/other.log");
    let _run = Live::start(lost.base.path(), "live.rhai", "");
    let name = ps(lost.base.path())[0]["run"].as_str().expect("a name").to_owned();
    let writes = format!("exec >>{}; {}", log.display(), stubborn("writes"));
    let (live, none) = (Bystander::start(&writes, Some(&name)), Bystander::start(&writes, None));
    let is_open = |pid: i32| std::fs::read_link(format!("/proc/{pid}/fd/1")).is_ok_and(|file| file == log);
    eventually("both write", || (is_open(live.pid()) && is_open(none.pid())).then_some(()));
    let shown = lost.shown();
    assert!(shown.contains(&(none.pid(), "writes other.log".to_owned())), "{shown:?}");
    assert!(!shown.iter().any(|(pid, _)| *pid == live.pid()), "{shown:?}");
    let _ = lost.sweep(&["--yes"]);
    assert!(alive(live.pid()) && !alive(none.pid()));
}

#[test]
fn a_process_with_the_number_of_a_recorded_one_is_not_swept() {
    let code = format!("spawn(\"stubborn\", {:?});", stubborn("TOKEN-stubborn"));
    let lost = Lost::of(&code, &["--grace=100ms"], &["stubborn"]);
    let pid = lost.pid_of("stubborn").expect("alive");
    let bystander = Bystander::start(&stubborn("bystander"), None);
    // Rewrites the record: the number is now the bystander's, the start time is not.
    let page = lost.dirs()[0].join("lock");
    let mut bytes = std::fs::read(&page).expect("a record");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("alive");
    let start: u64 =
        stat.rsplit(") ").next().expect("fields").split(' ').nth(19).expect("a time").parse().expect("ticks");
    // Between them: it was not asked to stop yet.
    let recorded = [&start.to_ne_bytes()[..], &[0; 8], &pid.to_ne_bytes()].concat();
    let at = bytes.windows(recorded.len()).position(|window| window == recorded).expect("it is recorded");
    bytes[at + 16..at + 20].copy_from_slice(&bystander.pid().to_ne_bytes());
    std::fs::write(&page, &bytes).expect("written");
    let (code, _, said) = lost.sweep(&["--yes"]);
    assert_eq!(code, 0, "{said}");
    assert!(!alive(pid), "it still carried the mark");
    assert!(alive(bystander.pid()));
}

#[test]
fn sweep_survives_any_record_and_ends_nobody_for_one_that_it_cannot_read() {
    let code = format!("spawn(\"stubborn\", {:?});", stubborn("TOKEN-stubborn"));
    let lost = Lost::of(&code, &["--grace=100ms"], &["stubborn"]);
    let pid = lost.pid_of("stubborn").expect("alive");
    let page = lost.dirs()[0].join("lock");
    let whole = std::fs::read(&page).expect("a record");
    let mut noise = vec![0xa5; whole.len()];
    noise[..8].copy_from_slice(&whole[..8]);
    let mut newer = whole.clone();
    newer[7] += 1;
    let records =
        [Vec::new(), b"x".to_vec(), whole[..whole.len() / 2].to_vec(), noise, newer, vec![0; 1 << 20]];
    for bytes in records {
        std::fs::write(&page, &bytes).expect("written");
        // The run may be over, and the mark somebody else's: a version before this one has written it.
        let (code, shown, said) = lost.sweep(&["--yes"]);
        assert_eq!((code, shown.as_str()), (0, ""), "{} bytes: {said}", bytes.len());
        assert!(alive(pid));
        let dir = lost.dirs().remove(0);
        let unread = said
            .strip_prefix(&format!("warning: {} is not swept: its record cannot be read (", dir.display()));
        match unread {
            Some(rest) => {
                assert!(
                    rest.contains(&format!("\n  = pid {pid} has its BGJOBS_RUN, or writes to its files: ")),
                    "{said}"
                );
                assert!(said.ends_with("\nnothing to sweep: no other run has left a process\n"), "{said}");
            }
            // By its first bytes it is a record.
            None => assert_eq!(bytes[..8], whole[..8], "{said}"),
        }
    }
    std::fs::write(&page, &whole).expect("written");
    assert_eq!(lost.sweep(&["--yes"]).0, 0);
    assert!(!alive(pid) && lost.dirs().is_empty());
}

#[test]
fn a_planted_directory_sweeps_nobody() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let code = format!("spawn(\"stubborn\", {:?});", stubborn("TOKEN-stubborn"));
    let lost = Lost::of(&code, &[], &["stubborn"]);
    let dir = lost.dirs().remove(0);
    let elsewhere = lost.base.path().join("elsewhere");
    std::fs::rename(&dir, &elsewhere).expect("moved");
    symlink(&elsewhere, &dir).expect("a link");
    assert_eq!(lost.sweep(&["--yes"]).0, 0, "a link is no run directory");
    std::fs::remove_file(&dir).expect("removed");
    std::fs::rename(&elsewhere, &dir).expect("moved back");
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    assert_eq!(lost.sweep(&["--yes"]).0, 0, "one that others can enter is none");
    assert!(lost.pid_of("stubborn").is_some());
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700)).expect("a mode");
    assert_eq!(lost.sweep(&[]).0, 1);
}

#[test]
fn sweep_spares_the_shell_that_it_was_called_from() {
    let code = format!("spawn(\"stubborn\", {:?});", stubborn("TOKEN-stubborn"));
    let lost = Lost::of(&code, &["--grace=100ms"], &["stubborn"]);
    let name = lost.dirs()[0].file_name().expect("a name").to_string_lossy().into_owned();
    // As from a terminal that a job of that run has opened.
    let output = Command::new("sh")
        .args(["-c", "\"$0\" sweep --yes; echo still here: $?"])
        .arg(bgjobs())
        .env("TMPDIR", lost.base.path())
        .env("BGJOBS_RUN", &name)
        .output()
        .expect("sh starts");
    assert!(text(&output.stdout).ends_with("still here: 0\n"), "{output:?}");
    assert!(lost.processes().is_empty());
}

#[test]
fn the_next_run_mentions_what_a_lost_one_has_left() {
    let code = format!("spawn(\"stubborn\", {:?});", stubborn("TOKEN-stubborn"));
    let lost = Lost::of(&code, &["--grace=100ms"], &["stubborn"]);
    let run = |option: &str| {
        let script = Script::code("sleep(0.05)").env("TMPDIR", &lost.base.path().to_string_lossy());
        script.option(option).run().code(0)
    };
    let note =
        regex::Regex::new(r"(?m)^note: a run that was killed left \d process(es)?: bgjobs sweep shows them$");
    let note = note.expect("a pattern");
    let ran = run("--color=never");
    assert!(note.is_match(&ran.stderr), "{}", ran.stderr);
    let ran = run("--quiet");
    assert!(!ran.stderr.contains("note:"), "{}", ran.stderr);
    assert_eq!(lost.sweep(&["--yes"]).0, 0);
    let ran = run("--color=never");
    assert!(!ran.stderr.contains("note:"), "{}", ran.stderr);
}

#[test]
fn a_lost_run_that_left_nothing_is_looked_at_once() {
    let lost = Lost::of("spawn(\"plain\", \"exec sleep 60\");", &[], &[]);
    let page = lost.dirs()[0].join("lock");
    let before = std::fs::read(&page).expect("a record");
    eventually("nobody of it is left", || (lost.sweep(&[]).0 == 0).then_some(()));
    let script = Script::code("sleep(0.05)").env("TMPDIR", &lost.base.path().to_string_lossy());
    let ran = script.run().code(0);
    assert!(!ran.stderr.contains("note:"), "{}", ran.stderr);
    assert_ne!(std::fs::read(&page).expect("a record"), before, "the record says now that it is over");
    assert_eq!(lost.dirs().len(), 1, "its logs are kept as those of any failed run");
}

/// As versions up to 0.2 have left it: what it ran stood in files of other names.
#[test]
fn failed_runs_do_not_push_out_one_of_another_version_that_may_have_left_something() {
    let base = base();
    let dir = base.path().join("bgjobs-older1");
    let make = |path: &Path| std::fs::DirBuilder::new().mode(0o700).create(path).expect("a directory");
    make(&dir);
    make(&dir.join("logs"));
    for file in ["lock", "page", "cgroup", "logs/db.log"] {
        std::fs::write(dir.join(file), "").expect("written");
    }
    let left = Bystander::start("exec sleep 60", Some("bgjobs-older1"));
    let fail = |times: usize| {
        for _ in 0..times {
            let script = Script::code("spawn(\"true\").wait(); throw 1");
            let _ = script.env("TMPDIR", &base.path().to_string_lossy()).run().code(1);
        }
    };
    fail(11);
    assert!(dir.join("page").exists(), "somebody has its mark");
    let output = bgjobs_in(base.path(), &["sweep", "--yes"]);
    assert_eq!((output.status.code(), alive(left.pid())), (Some(0), true), "the mark may be somebody else's");
    let path = dir.canonicalize().expect("there").display().to_string();
    let said = |who: &str, way_out: &str| {
        format!(
            "warning: {path} is not swept: its record cannot be read (a version up to 0.2 has written it)\n  = {who}\n\
             try: {way_out}\nnothing to sweep: no other run has left a process\n"
        )
    };
    let who = format!("pid {} has its BGJOBS_RUN, or writes to its files: sleep 60", left.pid());
    assert_eq!(text(&output.stderr), said(&who, "bgjobs sweep   (of that version)"));
    drop(left);
    let output = bgjobs_in(base.path(), &["sweep"]);
    let nobody = "nobody has its BGJOBS_RUN or writes to its files";
    assert_eq!(
        (output.status.code(), text(&output.stderr)),
        (Some(0), said(nobody, &format!("rm -r {path}")))
    );
    fail(1);
    assert!(!dir.exists(), "nobody has");
}

#[test]
fn a_live_run_of_another_version_is_listed_by_its_lock() {
    let base = base();
    let dir = base.path().join("bgjobs-older2");
    std::fs::DirBuilder::new().mode(0o700).create(&dir).expect("a directory");
    std::fs::write(dir.join("lock"), "").expect("written");
    let lock = std::fs::File::open(dir.join("lock")).expect("there");
    lock.lock().expect("locked");
    let list = ps(base.path());
    assert_eq!((list.len(), list[0].get("script")), (1, None), "{list:?}");
    drop(lock);
    assert_eq!(ps(base.path()), [] as [Value; 0]);
}

#[test]
fn failed_runs_do_not_push_out_one_that_has_left_something() {
    let code = format!("spawn(\"stubborn\", {:?});", stubborn("TOKEN-stubborn"));
    let lost = Lost::of(&code, &["--grace=100ms"], &["stubborn"]);
    let dir = lost.dirs().remove(0);
    for _ in 0..12 {
        let script = Script::code("spawn(\"true\").wait(); throw 1");
        let _ = script.env("TMPDIR", &lost.base.path().to_string_lossy()).run().code(1);
    }
    assert!(dir.exists());
    assert_eq!(lost.dirs().len(), 11, "the ten newest of the others and it: {:?}", lost.dirs());
    assert_eq!(lost.sweep(&["--yes"]).0, 0);
    assert!(!dir.exists());
}

#[test]
fn a_live_run_within_a_lost_one_is_asked_to_end_and_ends_its_own() {
    let base = base();
    let (marker, ready, file) =
        (base.path().join("marker"), base.path().join("ready"), base.path().join("in.rhai"));
    let job = format!("trap 'sleep 0.3; : > {}; exit' TERM; while :; do sleep 0.05; done", marker.display());
    std::fs::write(
        &file,
        format!("spawn(\"in\", {job:?}); write_file({ready:?}, \"\"); loop {{ sleep(0.01); }}"),
    )
    .expect("written");
    // A shell is its parent, so that it does not learn of the death of the outer host.
    let inner = format!("{} script -q --timeout 60s {}", bgjobs().display(), file.display());
    let nested = format!("trap '' TERM; {inner}; : TOKEN-shell");
    let code = format!("spawn(\"nested\", {nested:?}); wait_file({ready:?})");
    let lost = Lost::of(&code, &["--grace=100ms"], &["shell"]);
    let live = ps(lost.base.path());
    assert_eq!(live.len(), 1, "the inner run lives: {live:?}");
    let shown = lost.shown();
    let guard = live[0]["guard"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a guard");
    let why = format!("guard of {}, which it ends", live[0]["run"].as_str().expect("a name"));
    let shell = (lost.pid_of("shell").expect("alive"), "first process of job nested".to_owned());
    assert_eq!(shown.len(), 2, "neither the inner host nor its job: {shown:?}");
    assert!(shown.contains(&shell) && shown.contains(&(guard, why)), "{shown:?}");
    let (code, _, said) = lost.sweep(&["--yes"]);
    assert_eq!(code, 0, "{said}");
    assert!(marker.exists(), "the inner job had the time that it needs");
    assert!(lost.processes().is_empty() && ps(lost.base.path()).is_empty());
}

/// Whether we are root, who alone can be several users.
fn root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skip("needs root, to be two users");
    }
    root
}

fn as_nobody(base: &Path, program: &Path, args: &[&str]) -> Output {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program).args(args);
    command.env("TMPDIR", base).current_dir("/").output().expect("setpriv starts")
}

#[test]
fn runs_of_other_users_are_not_swept_not_even_by_root() {
    use std::os::unix::fs::PermissionsExt;
    if !root() {
        return;
    }
    let code = format!("spawn(\"stubborn\", {:?});", stubborn("TOKEN-stubborn"));
    let lost = Lost::of(&code, &["--grace=100ms"], &["stubborn"]);
    let base = lost.base.path();
    std::fs::set_permissions(base, std::fs::Permissions::from_mode(0o1777)).expect("a mode");
    // Where an ordinary user can execute it.
    let program = base.join("program");
    std::fs::copy(bgjobs(), &program).expect("copied");
    let output = as_nobody(base, &program, &["sweep", "--yes"]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), ""), "{output:?}");
    assert!(lost.pid_of("stubborn").is_some());
    // Now the run is the other user's, and so is the process that carries its mark.
    let dir = lost.dirs().remove(0);
    for path in [dir.clone(), dir.join("lock")] {
        std::os::unix::fs::chown(path, Some(65534), Some(65534)).expect("a new owner");
    }
    assert_eq!(lost.sweep(&["--yes"]).0, 0, "it belongs to another user");
    assert!(lost.pid_of("stubborn").is_some());
    // And its owner may not end what is root's, whatever the record says.
    let output = as_nobody(base, &program, &["sweep", "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(lost.pid_of("stubborn").is_some());
}

#[test]
fn root_sweeps_what_its_own_run_has_started_as_another_user_but_nobody_who_only_says_so() {
    if !root() {
        return;
    }
    let code = format!("spawn(\"other\", {:?}, #{{user: \"nobody\"}});", stubborn("TOKEN-other"));
    let lost = Lost::of(&code, &["--grace=100ms"], &["other"]);
    let name = lost.dirs()[0].file_name().expect("a name").to_string_lossy().into_owned();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c"]).arg(stubborn("says so"));
    let pretender =
        Bystander(command.env("BGJOBS_RUN", &name).stdin(Stdio::null()).spawn().expect("setpriv"));
    assert_eq!(lost.sweep(&["--yes"]).0, 0);
    assert!(lost.processes().is_empty());
    assert!(alive(pretender.pid()));
}

/// The lines that the documentation shows after a command, without what differs from run to run.
fn shown_in_the_readme(command: &str) -> Vec<String> {
    let readme = std::fs::read_to_string(crate::support::repo("docs/operations.md")).expect("a page");
    let block = readme.split(&format!("```text\n$ {command}\n")).nth(1).expect("it is shown");
    block.split("```").next().map(normal).expect("its end")
}

/// Names of runs, users, times and numbers differ; columns are as wide as what is in them.
fn normal(text: &str) -> Vec<String> {
    let rules = [
        (r"bgjobs-\w{6}", "RUN"),
        (r"\d+ min \d+ s|\d+(\.\d+)? (ms|s)\b", "T"),
        (r"(?m)^(RUN +\d+ +)\S+", "${1}USER"),
        (r"in the cgroup of the run|BGJOBS_RUN in its environment", "WHY"),
        (r": lost-\w+-", ": "),
        (r"/\S*/dev", "dev"),
        (r"\d{2,}", "N"),
        (r" +", " "),
    ];
    let replaced = rules.iter().fold(text.to_owned(), |text, (pattern, with)| {
        regex::Regex::new(pattern).expect("a pattern").replace_all(&text, *with).into_owned()
    });
    replaced.lines().map(str::to_owned).collect()
}

#[test]
fn the_readme_shows_ps_and_sweep_as_they_are() {
    let base = base();
    let _run = Live::start(
        base.path(),
        "dev.rhai",
        "spawn(\"db\", \"exec sleep 60\"); spawn(\"api\", \"exec sleep 60\")",
    );
    let output = bgjobs_in(base.path(), &["ps"]);
    assert_eq!(normal(&text(&output.stdout)), shown_in_the_readme("bgjobs ps"));

    let lost = Lost::of(&format!("spawn(\"db\", {:?});", stubborn("TOKEN-db")), &["--grace=100ms"], &["db"]);
    let (_, table, hint) = lost.sweep(&[]);
    assert_eq!(normal(&(table + &hint)), shown_in_the_readme("bgjobs sweep"));
}

#[test]
fn who_only_looks_at_a_kept_log_or_has_the_mark_of_a_run_that_is_over_is_spared() {
    let base = base();
    let failed =
        Script::code("spawn(\"true\").wait(); throw 1").env("TMPDIR", &base.path().to_string_lossy()).run();
    assert_eq!(failed.code, Some(1));
    let run = run_dirs(base.path()).remove(0);
    let name = run.file_name().expect("a name").to_string_lossy().into_owned();
    let editor = Bystander::start(&format!("exec sleep 60 >> {}", run.join("logs/true.log").display()), None);
    let marked = Bystander::start("exec sleep 60", Some(&name));
    // Without a record it cannot be told that the run is over.
    for record in ["whole", "empty"] {
        if record == "empty" {
            std::fs::write(run.join("lock"), "").expect("written");
        }
        let output = bgjobs_in(base.path(), &["sweep", "--yes"]);
        assert_eq!(
            (output.status.code(), text(&output.stdout).as_str()),
            (Some(0), ""),
            "{record}: {output:?}"
        );
        assert!(alive(editor.pid()) && alive(marked.pid()), "{record}");
    }
}

#[test]
fn an_editor_on_a_terminal_is_spared_also_when_the_run_was_lost() {
    let lost = Lost::of("spawn(\"true\").wait();", &[], &[]);
    let log = lost.dirs()[0].join("logs/true.log");
    // `script` gives it a terminal of its own.
    let command = format!("exec script -qec 'sleep 61 >> {}' /dev/null", log.display());
    if crate::support::lacks(&["script"]) {
        return;
    }
    let terminal = Bystander::start(&command, None);
    let without = Bystander::start(&format!("exec sleep 62 >> {}", log.display()), None);
    let shown = eventually("the other one is seen", || Some(lost.shown()).filter(|shown| !shown.is_empty()));
    let pids: Vec<i32> = shown.iter().map(|(pid, _)| *pid).collect();
    assert_eq!(pids, [without.pid()], "{shown:?}");
    drop(terminal);
}

#[test]
fn only_the_runs_that_were_started_in_a_directory_are_swept() {
    let lost = Lost::of(&format!("spawn(\"here\", {:?});", stubborn("TOKEN-here")), &[], &["here"]);
    // Where it was started: the repository.
    let here = crate::support::repo("");
    let elsewhere = base();
    let (code, shown, _) = lost.sweep(&["--under", &elsewhere.path().to_string_lossy()]);
    assert_eq!((code, shown.as_str()), (0, ""));
    let (code, _, _) = lost.sweep(&["--yes", "--under", &elsewhere.path().to_string_lossy()]);
    assert_eq!((code, !lost.processes().is_empty()), (0, true));
    let (code, _, stderr) = lost.sweep(&["--under", "/no/such/directory"]);
    assert_eq!(
        (code, stderr.as_str()),
        (2, "error: --under /no/such/directory: No such file or directory\n")
    );
    let (code, shown, _) = lost.sweep(&["--under", &here.to_string_lossy()]);
    assert!(code == 1 && shown.contains("first process of job here"), "{shown}");
    let (code, _, stderr) = lost.sweep(&["--yes", "--under", &here.join("..").to_string_lossy()]);
    assert_eq!((code, lost.processes()), (0, Vec::new()), "{stderr}");
}

#[test]
fn ps_says_where_a_run_was_started() {
    let base = base();
    let _run = Live::start(base.path(), "where.rhai", "1");
    let here = std::fs::canonicalize(crate::support::repo("")).expect("there");
    assert_eq!(ps(base.path())[0]["cwd"].as_str(), here.to_str());
}

#[test]
fn the_record_of_another_user_spares_nobody() {
    use std::os::unix::fs::{PermissionsExt, chown};
    if !nix::unistd::geteuid().is_root() {
        return crate::support::skip("only root can be another user");
    }
    let lost = Lost::of(&format!("spawn(\"kept\", {:?});", stubborn("TOKEN-kept")), &[], &["kept"]);
    let pid = lost.pid_of("kept").expect("alive");
    // A live run of somebody else's that says that this process is its guard.
    let forged = lost.base.path().join("bgjobs-forged");
    std::fs::create_dir(&forged).expect("made");
    let mut page =
        std::fs::read(lost.dirs().iter().find(|dir| dir.join("lock").exists()).expect("a run").join("lock"))
            .expect("a record");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("alive");
    let start: u64 = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.split(' ').nth(19))
        .expect("a field")
        .parse()
        .expect("a number");
    let guard = page.windows(16).position(|window| {
        let word = |at: usize| u64::from_ne_bytes(window[at..at + 8].try_into().expect("eight bytes"));
        word(0) > 1 && word(0) < 1 << 22 && word(8) > 1 && word(8) <= start
    });
    let at = guard.expect("the guard's number and start");
    for place in [at, at + 16] {
        page[place..place + 8].copy_from_slice(&u64::try_from(pid).expect("a number").to_ne_bytes());
        page[place + 8..place + 16].copy_from_slice(&start.to_ne_bytes());
    }
    std::fs::write(forged.join("lock"), page).expect("written");
    for path in [forged.clone(), forged.join("lock")] {
        chown(&path, Some(65534), Some(65534)).expect("given");
    }
    std::fs::set_permissions(&forged, std::fs::Permissions::from_mode(0o700)).expect("a mode");
    let lock = std::fs::File::open(forged.join("lock")).expect("there");
    lock.lock().expect("locked");
    let shown = lost.shown();
    assert!(shown.iter().any(|(shown, why)| *shown == pid && why.starts_with("first process")), "{shown:?}");
}
