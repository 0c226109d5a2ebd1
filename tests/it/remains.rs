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
        let rest: Vec<String> = names(&run).into_iter().filter(|name| name != "lock").collect();
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
    assert!(names(&run).iter().all(|name| ["lock", "logs"].contains(&name.as_str())));
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
    assert!(names(&run).iter().all(|name| ["lock", "logs"].contains(&name.as_str())));
}

// ---- shared memory ------------------------------------------------------------------------------------------

/// Makes a System V segment and a file in /dev/shm, says `ready` and sleeps. The first argument is the name of the file.
const SHARER: &str = "import ctypes, mmap, os, sys, time
id = ctypes.CDLL(None).shmget(0, 4096, 0o1600)
fd = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR, 0o600)
os.ftruncate(fd, 4096)
memory = mmap.mmap(fd, 4096)
os.close(fd)
print(f'ready {id}\\n', end='', flush=True)
time.sleep(60)
";

/// One at a time on this machine: what a killed maker has left for a moment may be, to another run, what that one has left.
fn alone() -> nix::fcntl::Flock<fs::File> {
    let path = std::env::temp_dir().join("bgjobs-tests-of-shared-memory.lock");
    let file = fs::OpenOptions::new().create(true).append(true).open(path).expect("a file to lock");
    nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive).expect("nobody refuses a lock")
}

fn segments() -> Vec<i32> {
    let text = fs::read_to_string("/proc/sysvipc/shm").expect("/proc");
    text.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)?.parse().ok()).collect()
}

fn sharer(base: &Path, end: &str) -> (String, String) {
    let program = base.join("sharer.py");
    fs::write(&program, SHARER).expect("written");
    let file = format!("/dev/shm/{}", base.file_name().expect("a name").to_string_lossy());
    let code = format!(
        "let job = start(`sharer`, [`python3`, {program:?}, `{file}`], #{{ready: #{{log: `ready`}}}});
         let id = job.output.split(` `)[1].trim(); print(id); write_file({id:?}, id); assert(exists(`{file}`)); {end}",
        id = base.join("id"),
    );
    (code, file)
}

#[test]
fn shared_memory_of_a_killed_job_goes_with_the_run() {
    let _alone = alone();
    let ends = [
        ("", 0),
        ("job.kill();", 0),
        ("job.expect_exit(); run(`kill -9 ${job.pid}`);", 0),
        ("run(`kill -KILL $PPID; sleep 9`);", 125),
    ];
    for (end, code) in ends {
        let base = base();
        let (text, file) = sharer(base.path(), end);
        let ran = script(base.path(), &text).option("--grace=0.1").run().code(code);
        let said = format!("{end}: {}{}", ran.stdout, ran.stderr);
        let id = fs::read_to_string(base.path().join("id")).expect(&said);
        let id: i32 = id.parse().unwrap_or_else(|_| panic!("{id:?} is not a number: {said}"));
        assert!(!segments().contains(&id), "{said}");
        assert!(!Path::new(&file).exists(), "{said}");
        assert!(!ran.stderr.contains("shared memory"), "{said}");
    }
}

#[test]
fn shared_memory_of_others_stays() {
    let _alone = alone();
    let base = base();
    let (_, file) = sharer(base.path(), "");
    let mut other = Command::new("python3")
        .arg(base.path().join("sharer.py"))
        .arg(&file)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let mut line = String::new();
    let mut out = std::io::BufReader::new(other.stdout.take().expect("piped"));
    std::io::BufRead::read_line(&mut out, &mut line).expect("a line");
    let id: i32 = line.trim().strip_prefix("ready ").expect("a number").parse().expect("a number");
    let ran = script(base.path(), &format!("start(`x`, `echo ready; exec sleep 60`, #{{ready: #{{log: `ready`}}}}); sleep(`200ms`); run(`kill -9 {}`);", other.id())).run().code(0);
    other.wait().expect("our child");
    assert!(segments().contains(&id) && Path::new(&file).exists(), "{}", ran.stderr);
    let removed = Command::new("ipcrm").args(["-m", &id.to_string()]).status().expect("ipcrm starts");
    assert!(removed.success());
    fs::remove_file(&file).expect("removed");
}

#[test]
fn nothing_is_read_of_shared_memory_when_nothing_was_started() {
    if crate::support::lacks(&["strace"]) {
        return;
    }
    let base = base();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-e", "trace=openat", "-o"]).arg(base.path().join("trace")).arg(bgjobs());
    let status = strace
        .args(["script", "-e", "elapsed_ms()"])
        .env("TMPDIR", base.path())
        .status()
        .expect("strace starts");
    assert!(status.success());
    let trace = fs::read_to_string(base.path().join("trace")).expect("a trace");
    assert!(trace.contains("openat") && !trace.contains("sysvipc") && !trace.contains("/dev/shm"), "{trace}");
}

#[test]
fn a_killed_postgres_leaves_no_shared_memory() {
    let _alone = alone();
    let installed =
        fs::read_dir("/usr/lib/postgresql").is_ok() || crate::support::which("postgres").is_some();
    if !installed {
        return skip("`postgres` is not installed");
    }
    let before = segments();
    for end in ["p.job.kill();", "exit(3);"] {
        let base = base();
        let code =
            format!("import `std/postgres` as postgres; let p = postgres::start(); print(p.job.pid); {end}");
        let ran = script(base.path(), &code).run();
        let pid = ran.stdout.trim().to_owned();
        let text = fs::read_to_string("/proc/sysvipc/shm").expect("/proc");
        let made = |line: &str| line.split_whitespace().nth(4) == Some(pid.as_str());
        assert!(!text.lines().any(made), "{end}: {text}{}; before: {before:?}", ran.stderr);
        assert!(!pid.is_empty() && !ran.stderr.contains("shared memory"), "{end}: {}", ran.stderr);
    }
}

#[test]
fn with_an_ipc_namespace_of_its_own_nothing_is_shared_with_anybody() {
    let _alone = alone();
    let base = base();
    let probe = script(base.path(), "0").option("--isolate=ipc").run();
    if probe.code != Some(0) {
        return skip(&probe.stderr);
    }
    for wall in ["--isolate=ipc", "--isolate=pid,net,ipc"] {
        let (text, file) = sharer(base.path(), "print(glob(`/dev/shm/*`).len()); exit(3)");
        let ran = script(base.path(), &text).option(wall).run().code(3);
        assert!(!Path::new(&file).exists(), "{wall}: {}", ran.stderr);
        assert_eq!(ran.stdout.lines().nth(1), Some("1"), "{wall}: a /dev/shm of its own");
        assert!(
            ran.stderr.ends_with("0 leaked\n") && !ran.stderr.contains("shared memory"),
            "{}",
            ran.stderr
        );
    }
}

// ---- TMPDIR -------------------------------------------------------------------------------------------------

#[test]
fn an_empty_tmpdir_is_none_and_a_relative_one_is_meant_from_where_we_are() {
    let base = base();
    let code =
        "print(temp_dir()); cd(`/`); print(run(`cat`, #{stdin: #{text: `typed`}, echo: false}).stdout)";
    for (tmpdir, prefix) in
        [("", "/tmp/bgjobs-".to_owned()), (".", format!("{}/bgjobs-", base.path().display()))]
    {
        let ran = Script::code(code).env("TMPDIR", tmpdir).cwd(base.path()).run().code(0);
        let lines: Vec<&str> = ran.stdout.lines().collect();
        assert!(lines[0].starts_with(&prefix), "{tmpdir:?}: {lines:?}");
        assert_eq!(lines[1], "typed");
        assert_eq!(names(base.path()), Vec::<String>::new(), "{tmpdir:?}");
    }
}

#[test]
fn a_tmpdir_that_cannot_serve_is_passed_over_with_a_word() {
    let base = base();
    let long = base.path().join("a".repeat(60));
    fs::create_dir(&long).expect("made");
    let ran = Script::code("print(temp_dir())").env("TMPDIR", &long.to_string_lossy()).run().code(0);
    assert!(ran.stdout.starts_with("/tmp/bgjobs-"), "{}", ran.stdout);
    let length = long.to_string_lossy().len();
    let note = format!(
        "note: a path of {length} bytes leaves no room for Unix sockets, whose paths end at 107 (at most 50 do): using /tmp \
         instead of TMPDIR {}\n",
        long.display()
    );
    assert_eq!(ran.stderr.matches(&note).count(), 1, "{}", ran.stderr);
}
