//! What stays until it is interrupted: `stay()` in a script.

use crate::support::Script;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything that must happen may take on a busy machine before the test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A run that goes on, in a directory of its own, and all that it has said so far.
struct Live {
    dir: tempfile::TempDir,
    child: Child,
}

/// What came of it.
#[derive(Debug)]
struct Ended {
    stdout: String,
    stderr: String,
    code: Option<i32>,
    signal: Option<Signal>,
}

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

impl Live {
    fn script(code: &str) -> Self {
        Self::start(dir(), Script::code(code).command())
    }

    fn start(dir: tempfile::TempDir, mut command: Command) -> Self {
        let file = |name: &str| File::create(dir.path().join(name)).expect("created");
        let (out, err) = (file("stdout"), file("stderr"));
        command.current_dir(dir.path()).stdin(Stdio::null()).stdout(out).stderr(err);
        Self { child: command.spawn().expect("bgjobs starts"), dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Waits until something holds; shows what was said when it does not.
    #[track_caller]
    fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds(self) {
            let ended = self.child.try_wait().expect("it can be waited for").is_some();
            let late = Instant::now() >= until || ended && !holds(self);
            assert!(!late, "{what}:\n{}\n{}", self.read("stdout"), self.read("stderr"));
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[track_caller]
    fn until_said(&mut self, text: &str) {
        self.until(text, |live| live.read("stdout").contains(text) || live.read("stderr").contains(text));
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("it lives");
    }

    fn ended(mut self) -> Ended {
        let status = self.child.wait().expect("it ends");
        Ended {
            stdout: self.read("stdout"),
            stderr: self.read("stderr"),
            code: status.code(),
            signal: status.signal().and_then(|number| Signal::try_from(number).ok()),
        }
    }
}

impl Ended {
    #[track_caller]
    fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no {text:?} in:\n{}", self.stderr);
        self
    }

    #[track_caller]
    fn says_no(self, text: &str) -> Self {
        assert!(!self.stderr.contains(text), "{text:?} in:\n{}", self.stderr);
        self
    }
}

/// Whether a process is there, and more than a zombie.
fn lives(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Waits until none of these is there.
#[track_caller]
fn gone(pids: &[String]) {
    let until = Instant::now() + PATIENCE;
    while let Some(pid) = pids.iter().find(|pid| lives(pid)) {
        assert!(Instant::now() < until, "{pid} is still there");
        std::thread::sleep(Duration::from_millis(2));
    }
}

const STAYS: &str = r#"
    let job = start("a", "echo $$ > a.pid; echo here; exec sleep 300", #{ready: #{log: "here"}});
    stay();
    print("went on");
"#;

#[test]
fn an_interrupt_is_the_usual_end_of_a_script_that_stays() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut live = Live::script(STAYS);
        live.until_said("s staying: 1 job runs; Ctrl-C stops it\n");
        let pid = live.read("a.pid");
        assert!(lives(&pid));
        live.signal(signal);
        let ended = live.ended();
        // The caller learns which signal it was, as from any program: nobody may take it for the end of a test.
        assert_eq!(ended.signal, Some(signal), "{}", ended.stderr);
        assert!(!lives(&pid) && ended.stdout.is_empty(), "{ended:?}");
        let said = format!("bgjobs: stopped by {signal} (exit {}) in ", 128 + signal as i32);
        let _ =
            ended.says(&said).says("1 job stopped, 0 leaked").says_no("logs:").says_no("the script was at");
    }
}

#[test]
fn a_death_ends_a_script_that_stays() {
    let mut live = Live::script(STAYS);
    live.until_said("s staying: 1 job runs; Ctrl-C stops it\n");
    let pid = live.read("a.pid").trim().parse().expect("a pid");
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it lives");
    let ended = live.ended().code(125);
    assert_eq!(ended.stdout, "");
    let _ = ended.says("error: job `a` was killed by SIGKILL\n").says("\nlogs: ");
}

#[test]
fn nothing_is_left_of_a_script_that_stays_and_is_killed() {
    let mut live = Live::script(STAYS);
    live.until_said("s staying: 1 job runs; Ctrl-C stops it\n");
    let pid = live.read("a.pid");
    live.signal(Signal::SIGKILL);
    assert_eq!(live.ended().signal, Some(Signal::SIGKILL));
    gone(&[pid]);
}

#[test]
fn the_deadline_of_the_run_is_one_for_a_script_that_stays() {
    let dir = dir();
    let script = Script::code(STAYS).option("--timeout").option("3s");
    let ended = Live::start(dir, script.command()).ended().code(124);
    let _ = ended.says("the run timed out after 3 s (--timeout); the script was here");
}
