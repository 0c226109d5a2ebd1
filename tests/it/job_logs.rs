//! `bgjobs logs`: what the jobs of a live run, or of one that is over, have printed.

use crate::support::{Script, bgjobs};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(100);

/// A directory for runs, apart from those of others.
fn base() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("bo").tempdir_in("/tmp").expect("a directory")
}

fn command(base: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(bgjobs());
    command.arg("logs").args(args).env("TMPDIR", base).env_remove("FORCE_COLOR").stdin(Stdio::null());
    command
}

fn logs(base: &Path, args: &[&str]) -> (String, String, Option<i32>) {
    let Output { stdout, stderr, status } = command(base, args).output().expect("bgjobs starts");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(stdout), text(stderr), status.code())
}

#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "it never came that {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A run that lasts until this is dropped.
struct Live(Child);

impl Live {
    /// Returns when `code` has been evaluated; then the run waits until there is `NAME.end`.
    fn start(base: &Path, name: &str, code: &str) -> Self {
        let (file, ready, end) =
            (base.join(name), base.join(format!("{name}.ready")), base.join(format!("{name}.end")));
        let code = format!("{code}; write_file({ready:?}, \"\"); wait_file({end:?}, \"1000s\")");
        fs::write(&file, code).expect("written");
        let script = Script::file(&file).env("TMPDIR", &base.to_string_lossy()).cwd(base);
        let child = script.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let live = Self(child.expect("bgjobs starts"));
        eventually("the script is running", || ready.exists());
        live
    }

    fn id(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

/// The name of the only run there.
fn only_run(base: &Path) -> String {
    let names = fs::read_dir(base).expect("there").flatten().map(|entry| entry.file_name());
    let mut runs =
        names.filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with("bgjobs-"));
    let run = runs.next().expect("a run");
    assert_eq!(runs.next(), None);
    run
}

const TWO: &str = r#"
    spawn("db", "echo one; echo two; echo three; exec sleep 600").wait_log("three");
    spawn("worker", "printf '\\033[31mred\\033[0m\\n'; exec sleep 600").wait_log("red")"#;

#[test]
fn the_logs_of_the_only_live_run_are_shown() {
    let base = base();
    let run = Live::start(base.path(), "shop.rhai", TWO);
    let name = only_run(base.path());
    let all = "db     | one\ndb     | two\ndb     | three\nworker | red\n";
    let script = base.path().join("shop.rhai");
    let said = format!("{name}: {}, live, guard {}\n", script.display(), run.id());
    assert_eq!(logs(base.path(), &[]), (all.to_owned(), said.clone(), Some(0)));
    let directory = base.path().join(&name);
    for word in [&name, &run.id(), &name["bgjobs-".len()..], &directory.to_string_lossy()] {
        assert_eq!(logs(base.path(), &[word]), (all.to_owned(), String::new(), Some(0)), "{word}");
    }
    assert_eq!(logs(base.path(), &["db"]), ("one\ntwo\nthree\n".to_owned(), said.clone(), Some(0)));
    assert_eq!(logs(base.path(), &["-n", "1", "db"]), ("three\n".to_owned(), said, Some(0)));
    assert_eq!(logs(base.path(), &[&name, "db", "worker", "-n1"]).0, "db     | three\nworker | red\n");
    assert_eq!(logs(base.path(), &[&name, "worker", "--color=always"]).0, "\x1b[31mred\x1b[0m\n");

    let (stdout, stderr, code) = logs(base.path(), &[&name, "wroker"]);
    let said = format!(
        "error: no job `wroker` has a log in {name}\n  = there are: db, worker\ntry: bgjobs logs {name} worker\n"
    );
    assert_eq!((stdout.as_str(), stderr.as_str(), code), ("", said.as_str(), Some(2)));
    let (_, stderr, code) = logs(base.path(), &["bgjobs-none"]);
    assert!(stderr.starts_with("error: there is no run `bgjobs-none`\n  = ") && code == Some(2), "{stderr}");
    let (_, stderr, code) = logs(base.path(), &["--since", "5m"]);
    assert!(
        stderr.starts_with("error: --since 5m: lines of logs carry no times\n") && code == Some(2),
        "{stderr}"
    );

    let other = Live::start(base.path(), "other.rhai", "1");
    let (_, stderr, code) = logs(base.path(), &[]);
    assert!(stderr.starts_with("error: 2 runs are live: which one?\n  = ") && code == Some(2), "{stderr}");
    let (guard, place) = (other.id(), fs::canonicalize(base.path()).expect("there"));
    let said = format!("other.rhai, live, guard {guard}, in {}\n", place.display());
    assert!(stderr.contains(&said), "{stderr}");
    assert_eq!(logs(base.path(), &[&run.id(), "db", "-n", "1"]).0, "three\n");
}

#[test]
fn the_logs_of_a_run_that_has_failed_are_shown_when_none_is_live() {
    let base = base();
    let (_, stderr, code) = logs(base.path(), &[]);
    assert!(
        stderr.starts_with("error: no run of yours is live, and no logs were kept\n") && code == Some(2),
        "{stderr}"
    );
    let code = r#"let key = secret("hunter22"); spawn("db", "echo key hunter22; exec sleep 600").wait_log("key"); exit(1)"#;
    let ran = Script::code(code).env("TMPDIR", &base.path().to_string_lossy()).run().code(1);
    let name = only_run(base.path());
    let (stdout, stderr, code) = logs(base.path(), &[]);
    assert_eq!((stdout.as_str(), stderr, code), ("key ***\n", format!("{name}: -e, over\n"), Some(0)));
    // As the end of the run has named it.
    let place = ran.stderr.lines().find_map(|line| line.strip_prefix("logs: ")).expect("a place");
    assert_eq!(logs(base.path(), &[place, "-f"]), (stdout, String::new(), Some(0)));
}

#[test]
fn what_comes_is_shown_until_the_run_has_ended() {
    let base = base();
    let own = base.path().join("own.log");
    let code = format!(
        r#"spawn("db", "echo one; while ! test -e go; do sleep 0.05; done; echo two; exec sleep 600").wait_log("one");
        spawn("own", "echo mine; while ! test -e go; do sleep 0.05; done; printf later; exec sleep 600", #{{log: {own:?}}}).wait_log("mine")"#
    );
    let mut run = Live::start(base.path(), "shop.rhai", &code);
    let out = |name: &str| base.path().join(name);
    let follow = |name: &str, args: &[&str]| {
        let mut command = command(base.path(), args);
        let file = |end: &str| File::create(out(&format!("{name}{end}"))).expect("created");
        command.stdout(file("")).stderr(file(".err")).spawn().expect("bgjobs starts")
    };
    let read = |name: &str| fs::read_to_string(out(name)).unwrap_or_default();
    let mut all = follow("all", &["-f"]);
    let mut new = follow("new", &["--follow", "-n", "0", "db"]);
    eventually("what there is is shown", || {
        read("all").contains("db  | one\n") && read("all").contains("own | mine\n")
    });
    eventually("the other has begun", || read("new.err").contains("live, guard"));
    fs::write(base.path().join("go"), "").expect("written");
    eventually("what comes is shown", || read("all").contains("db  | two\n"));
    eventually("the other has written", || read("own.log").ends_with("later"));
    fs::write(base.path().join("shop.rhai.end"), "").expect("written");
    assert!(run.0.wait().expect("it ends").success());
    for child in [&mut all, &mut new] {
        assert_eq!(child.wait().expect("it ends").code(), Some(0));
    }
    assert!(read("all").lines().any(|line| line == "own | later"), "{}", read("all"));
    assert_eq!(read("all").lines().filter(|line| line.starts_with("db  | ")).count(), 2, "{}", read("all"));
    assert!(read("all.err").ends_with(" has ended\n"), "{}", read("all.err"));
    // It may have begun when the second line was there already.
    assert!(["two\n", ""].contains(&read("new").as_str()), "{}", read("new"));
}

#[test]
fn that_a_job_is_started_again_is_said_while_its_log_goes_on() {
    let base = base();
    let code = r#"let db = start("db", "echo up; exec sleep 600", #{ready: #{log: "up"}});
        write_file("shop.rhai.begun", ""); wait_file("go", "1000s");
        for i in 0..5 { run("sleep 0.05"); } db.restart()"#;
    let mut follower = None;
    let live = std::thread::scope(|scope| {
        let live = scope.spawn(|| Live::start(base.path(), "shop.rhai", code));
        eventually("the job is up", || base.path().join("shop.rhai.begun").exists());
        let file = |name: &str| File::create(base.path().join(name)).expect("created");
        let mut command = command(base.path(), &["-f"]);
        follower = Some(command.stdout(file("out")).stderr(file("err")).spawn().expect("bgjobs starts"));
        let read = |name: &str| fs::read_to_string(base.path().join(name)).unwrap_or_default();
        eventually("its log is shown", || read("out") == "db | up\n");
        fs::write(base.path().join("go"), "").expect("written");
        eventually("it is said", || read("err").contains("db was started again (pid "));
        eventually("its log goes on", || read("out") == "db | up\ndb | up\n");
        // Of commands nothing is said, though one of the same name follows the other.
        assert_eq!(read("err").matches("was started again").count(), 1, "{}", read("err"));
        live.join().expect("no panic")
    });
    drop(live);
    assert_eq!(follower.expect("started").wait().expect("it ends").code(), Some(0));
}
