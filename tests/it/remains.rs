//! What stays of a run that is over: logs, and what cannot be removed.

use crate::support::{Script, bgjobs, skip};
use nix::sys::signal::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory for runs, apart from those of others; other users may pass through it.
pub fn base() -> tempfile::TempDir {
    let base = tempfile::Builder::new().prefix("br").tempdir_in("/tmp").expect("a directory");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    fs::set_permissions(base.path(), mode).expect("a mode");
    base
}

fn script(base: &Path, code: &str) -> Script {
    Script::code(code).env("TMPDIR", &base.to_string_lossy())
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The directory of the only run there is.
fn run_dir(base: &Path) -> PathBuf {
    let names = names(base);
    assert_eq!(names.len(), 1, "{names:?}");
    base.join(&names[0])
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A job that has logged something, data that nobody needs any more, and a socket.
const MESS: &str = "
    let dir = temp_dir();
    mkdir(dir + `/data/deep`);
    write_file(dir + `/data/deep/file`, `x`);
    run(`ln -s / ${dir}/link && chmod 555 ${dir}/data/deep && chmod 000 ${dir}/data`);
    start(`server`, [`python3`, `-c`, `import socket, time; s = socket.socket(socket.AF_UNIX); s.bind(\"${dir}/sock\"); print(1); time.sleep(60)`], #{ready: #{log: `1`}});
";

#[test]
fn of_a_failed_run_the_logs_stay_and_nothing_else() {
    let own = if is_root() { "write_file(temp_dir(#{user: `nobody`}) + `/data`, `x`);" } else { "" };
    for end in ["throw 1", "exit(3)", "assert(false)", "run(`kill -TERM $PPID; sleep 9`)"] {
        let base = base();
        let ran = script(base.path(), &format!("{MESS} {own} {end};")).run();
        assert_ne!(ran.code, Some(0), "{end}: {}", ran.stderr);
        let run = run_dir(base.path());
        assert_eq!(names(&run.join("logs")), ["server.log"], "{end}");
        let rest: Vec<String> = names(&run)
            .into_iter()
            .filter(|name| !["cgroup", "lock", "page"].contains(&name.as_str()))
            .collect();
        assert_eq!(rest, ["logs"], "{end}");
        assert!(ran.stderr.contains(&format!("logs: {}\n", run.join("logs").display())), "{}", ran.stderr);
        assert!(!ran.stderr.contains("not removed"), "{}", ran.stderr);
    }
}

#[test]
fn a_failed_run_without_logs_leaves_nothing() {
    let base = base();
    let ran = script(base.path(), "write_file(temp_dir() + `/data`, `x`); exit(3)").run();
    assert_eq!((ran.code, names(base.path())), (Some(3), Vec::new()), "{}", ran.stderr);
}

#[test]
fn of_a_run_whose_host_was_killed_the_logs_stay_and_nothing_else() {
    let base = base();
    let ran = script(base.path(), &format!("{MESS} run(`kill -KILL $PPID; sleep 9`)")).run().code(125);
    let run = run_dir(base.path());
    assert_eq!(names(&run.join("logs")), ["server.log"]);
    assert!(names(&run).iter().all(|name| ["cgroup", "lock", "logs", "page"].contains(&name.as_str())));
    assert!(ran.stderr.contains(&format!("logs: {}\n", run.join("logs").display())), "{}", ran.stderr);
}

#[test]
fn everything_is_kept_when_that_is_asked_for() {
    for (end, code) in [("", 0), ("exit(3)", 3)] {
        let base = base();
        let code_text = format!("write_file(temp_dir() + `/data`, `x`); spawn(`true`).wait(); {end}");
        let ran = script(base.path(), &code_text).option("--keep").run().code(code);
        let run = run_dir(base.path());
        assert_eq!(fs::read_to_string(run.join("t1/data")).expect("kept"), "x");
        assert!(run.join("logs/true.log").exists());
        assert!(ran.stderr.contains(&format!("kept: {}\n", run.display())), "{}", ran.stderr);
        // The next run leaves it alone.
        let _ = script(base.path(), "1").run().code(0);
        assert!(run.join("t1/data").exists());
    }
    let base = base();
    let _ = script(base.path(), "write_file(temp_dir() + `/data`, `x`); spawn(`true`).wait()")
        .option("--keep-logs")
        .run()
        .code(0);
    assert!(!run_dir(base.path()).join("t1").exists(), "the logs alone");
}

/// Runs it in a mount namespace of its own: what it mounts is gone with it.
fn behind_mounts(base: &Path, code: &str) -> Option<Output> {
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation", "private"]).arg(bgjobs()).args(["script", "-e", code]);
    let output = unshare.env("TMPDIR", base).output().expect("unshare starts");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if stderr.starts_with("unshare:") || stderr.contains("mount: ") {
        skip(&format!("nothing can be mounted here: {stderr}"));
        return None;
    }
    Some(output)
}

#[test]
fn what_is_mounted_is_named_and_left_alone_and_a_later_run_tries_again() {
    let (base, outside) = (base(), base());
    fs::write(outside.path().join("precious"), "x").expect("written");
    let code = format!(
        "let dir = temp_dir(); mkdir(dir + `/a/mnt`); write_file(dir + `/a/file`, `x`);
         run(`mount --bind {} ${{dir}}/a/mnt`);",
        outside.path().display()
    );
    let Some(output) = behind_mounts(base.path(), &code) else { return };
    let run = run_dir(base.path());
    let stderr = String::from_utf8_lossy(&output.stderr);
    let line = format!("not removed: {}/t1/a/mnt (user ", run.display());
    assert!(stderr.contains(&line) && stderr.contains("): something is mounted there\n"), "{stderr}");
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(outside.path().join("precious").exists(), "a bind mount is not emptied");
    assert_eq!(names(&run.join("t1/a")), ["mnt"], "what lies beside it goes");
    // It is not mounted any more.
    let _ = script(base.path(), "1").run().code(0);
    assert_eq!(names(base.path()), Vec::<String>::new());
}

#[test]
fn an_interrupted_run_keeps_its_logs_alone() {
    let base = base();
    let code = format!("{MESS} run(`kill -INT ${{env(\"GUARD\")}}; sleep 9`)");
    let mut shell = Command::new("sh");
    shell.args(["-c", "GUARD=$$ exec \"$0\" script -e \"$1\""]).arg(bgjobs()).arg(code);
    let status =
        shell.env("TMPDIR", base.path()).stderr(std::process::Stdio::null()).status().expect("sh starts");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(Signal::SIGINT as i32));
    let run = run_dir(base.path());
    assert!(names(&run).iter().all(|name| ["cgroup", "lock", "logs", "page"].contains(&name.as_str())));
}
