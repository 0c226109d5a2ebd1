//! What is written to stdout and stderr: all of it, in order, whoever reads it and however slowly; and what is said when
//! that is not possible.

use crate::support::{Script, bgjobs, skip};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long anything that must happen may take on a busy machine before a test gives up.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a reader does not read: longer than whoever is in a hurry is waited for.
const PAUSE: Duration = Duration::from_millis(1500);

/// A run whose stdout is a pipe that nobody reads before the test does.
struct Run {
    child: Child,
    stdout: File,
    /// The other end, to see when it is full.
    write: Option<OwnedFd>,
}

impl Run {
    /// `together`: stderr is the same pipe.
    fn start(script: &Script, together: bool) -> Self {
        let (read, write) = pipe();
        let mut command = script.command();
        let end = || Stdio::from(write.try_clone().expect("a descriptor"));
        command.stdout(end()).stderr(if together { end() } else { Stdio::piped() });
        Self { child: command.spawn().expect("bgjobs starts"), stdout: read.into(), write: Some(write) }
    }

    /// Whether the pipe takes nothing more.
    fn is_full(&self) -> bool {
        let mut fds = [PollFd::new(self.write.as_ref().expect("not yet read").as_fd(), PollFlags::POLLOUT)];
        poll(&mut fds, PollTimeout::ZERO) == Ok(0)
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("it runs");
    }

    /// Reads until this text has come.
    fn read_up_to(&mut self, text: &str) -> String {
        self.write = None;
        let (mut seen, mut byte) = (Vec::new(), [0]);
        while !seen.ends_with(text.as_bytes()) && self.stdout.read(&mut byte).is_ok_and(|n| n > 0) {
            seen.push(byte[0]);
        }
        String::from_utf8_lossy(&seen).into_owned()
    }

    /// Everything that is left of stdout, and of stderr, and how it ended.
    fn rest(mut self) -> (String, String, ExitStatus) {
        self.write = None;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        self.stdout.read_to_end(&mut out).expect("readable");
        self.child.stderr.take().map(|mut pipe| pipe.read_to_end(&mut err).expect("readable"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&out), text(&err), self.child.wait().expect("it ends"))
    }
}

fn pipe() -> (OwnedFd, OwnedFd) {
    nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).expect("a pipe")
}

fn numbers(last: u32) -> String {
    (1..=last).map(|i| format!("{i}\n")).collect()
}

#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "it never came that {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_reader_that_begins_late_gets_everything() {
    let run = Run::start(&Script::code("run(\"seq 100000\"); print(\"end\")"), false);
    std::thread::sleep(PAUSE);
    let (out, err, status) = run.rest();
    assert!(out == numbers(100_000) + "end\n", "{} bytes", out.len());
    assert!(status.success() && err.ends_with(" leaked\n") && !err.contains("dropped"), "{err}");
}

#[test]
fn a_reader_that_always_lags_behind_gets_everything() {
    let mut run = Run::start(&Script::code("for i in 1..=3000 { print(i); } run(\"seq 60000\")"), false);
    let mut start = vec![0; 1000];
    for byte in &mut start {
        run.stdout.read_exact(std::slice::from_mut(byte)).expect("readable");
        std::thread::yield_now();
    }
    std::thread::sleep(PAUSE);
    let (out, _, status) = run.rest();
    let all = String::from_utf8(start).expect("text") + &out;
    assert!(all == numbers(3000) + &numbers(60_000) && status.success(), "{} bytes", all.len());
}

#[test]
fn much_output_gets_through_whole_by_whatever_way_and_the_flags_of_the_caller_stay() {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    const LAST: u32 = 1_500_000;
    let expected = numbers(LAST);
    let all =
        [("", false), ("", true), ("tee", false), ("tee", true), ("tee,nowait", false), ("tee,nowait", true)];
    for (off, nonblocking) in all {
        let (read, write) = pipe();
        if nonblocking {
            fcntl(&write, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("ours");
        }
        let flags = || fcntl(&write, FcntlArg::F_GETFL).expect("ours");
        let before = flags();
        let script = Script::code(&format!("run(\"seq {LAST}\")")).env("BGJOBS_TEST_OFF", off);
        let mut command = script.command();
        command.stdout(Stdio::from(write.try_clone().expect("a descriptor"))).stderr(Stdio::null());
        let mut child = command.spawn().expect("bgjobs starts");
        drop(command);
        let mut read = File::from(read);
        let mut all = vec![0; 1 << 20];
        read.read_exact(&mut all).expect("readable");
        assert_eq!(flags(), before, "while it writes");
        drop(write);
        read.read_to_end(&mut all).expect("readable");
        assert!(child.wait().expect("it ends").success());
        assert!(all == expected.as_bytes(), "{off} {nonblocking}: {} bytes", all.len());
    }
}

#[test]
fn what_is_kept_of_much_output_is_what_was_shown_to_a_reader_who_stops_now_and_then() {
    const LAST: u32 = 1_500_000;
    let dir = tempfile::tempdir().expect("a directory");
    let kept = dir.path().join("kept");
    let code = format!(
        "print(\"before\"); let all = run(\"seq {LAST}; echo last >&2\"); print(\"after\");
        write_file({kept:?}, all.stdout); assert_eq(all.stderr, \"last\\n\");"
    );
    for off in ["", "tee"] {
        let mut run = Run::start(&Script::code(&code).env("BGJOBS_TEST_OFF", off), false);
        run.write = None;
        let mut start = vec![0; 2_000_000];
        // Longer than whoever shows it waits, and less than that.
        for (piece, pause) in start.chunks_mut(200_000).zip([300, 5, 0, 60, 0].into_iter().cycle()) {
            std::thread::sleep(Duration::from_millis(pause));
            run.stdout.read_exact(piece).expect("readable");
        }
        let (out, err, status) = run.rest();
        let all = String::from_utf8(start).expect("text") + &out;
        assert!(status.success() && err.starts_with("last\n"), "{off}: {err}");
        assert!(all == format!("before\n{}after\n", numbers(LAST)), "{off}: {} bytes", all.len());
        let kept = std::fs::read_to_string(&kept).expect("written");
        assert!(kept == numbers(LAST), "{off}: {} bytes kept", kept.len());
    }
}

#[test]
fn a_secret_is_masked_in_much_output_also_when_it_is_told_meanwhile() {
    const LAST: u32 = 1_500_000;
    let masked = |out: &str| out.lines().filter(|line| line.contains("***")).count();
    // Of itself, and within longer numbers.
    let code = format!("secret(\"23456\"); run(\"seq {LAST}\");");
    let ran = Script::code(&code).run().code(0);
    assert!(!ran.stdout.contains("23456") && masked(&ran.stdout) > 10, "{}", masked(&ran.stdout));
    let code = format!(
        "run(\"seq {LAST}\"); secret(\"23456\"); run(\"seq {LAST}\"); run(\"seq {LAST}\", #{{echo: false}});"
    );
    let ran = Script::code(&code).run().code(0);
    let (first, second) = ran.stdout.split_at(numbers(LAST).len());
    assert!(first == numbers(LAST) && !second.contains("23456"));
    assert_eq!(second.lines().count(), LAST as usize);
}

#[test]
fn what_is_kept_of_much_output_is_its_beginning_and_its_end() {
    let code = "let all = run(\"seq 12000000; echo end >&2\", #{echo: false});
        assert(all.stdout.starts_with(\"1\\n2\\n\") && all.stdout.ends_with(\"\\n12000000\\n\"));
        assert_contains(all.stdout, \"bytes left out\"); assert_eq(all.stderr, \"end\\n\");
        assert(all.output.ends_with(\"\\nend\\n\") && all.output.len() < 67200000);
        print(output(\"grep VmHWM /proc/$PPID/status\").split(\":\")[1]);";
    let ran = Script::code(code).run().code(0);
    let kb: u64 = ran.stdout.split_whitespace().next().and_then(|kb| kb.parse().ok()).expect("a number");
    // What is kept, and as text; and all the rest, as a debug build has it.
    assert!(kb < 450 << 10, "{kb} kB");
}

#[test]
fn the_verdict_is_the_last_line_of_a_pipe_that_is_read_late() {
    let run = Run::start(&Script::code("run(\"seq 1 20000; exit 7\");"), true);
    std::thread::sleep(PAUSE);
    let (out, _, status) = run.rest();
    assert_eq!(status.code(), Some(7));
    let (numbers_shown, rest) = out.split_once("20000\n").expect("all of them");
    assert!(format!("{numbers_shown}20000\n").ends_with(&numbers(20_000)), "{out}");
    assert!(rest.contains("error: run: `seq 1 20000; exit 7` failed (exit 7)"), "{rest}");
    assert!(out.lines().last().is_some_and(|line| line.starts_with("bgjobs: failed (exit 7)")), "{rest}");
}

#[test]
fn a_signal_ends_a_run_whose_reader_does_not_read_and_the_loss_is_counted() {
    for (signal, code) in [(Signal::SIGTERM, "script"), (Signal::SIGINT, "writing")] {
        // A script that still prints; or one that is over, of which only the writing is left.
        let text = match code {
            "script" => "let x = \"\"; x.pad(1000000, 'x'); print(x); print(x); loop { print(x); }",
            _ => "let x = \"\"; x.pad(1000000, 'x'); print(x);",
        };
        let dir = tempfile::tempdir().expect("a directory");
        let text = format!("on_exit(|| write_file(\"over\", \"\")); write_file(\"begun\", \"\"); {text}");
        let mut run = Run::start(&Script::code(&text).cwd(dir.path()), false);
        let file = if code == "script" { "begun" } else { "over" };
        eventually("the script is there", || dir.path().join(file).exists());
        eventually("the pipe is full", || run.is_full());
        run.signal(signal);
        let status = run.child.wait().expect("it ends");
        assert_eq!(status.signal(), Some(signal as i32), "{code}");
        let (out, err, _) = run.rest();
        let count = err
            .split_once("warning: ")
            .and_then(|(_, rest)| rest.split_once(" bytes of output were dropped"));
        let count: usize = count.and_then(|(count, _)| count.parse().ok()).unwrap_or_else(|| panic!("{err}"));
        if code == "writing" {
            assert_eq!(out.len() + count, 1_000_001, "{err}");
        } else {
            assert!(
                out.len() == 65_536 && (out.len() + count).is_multiple_of(1_000_001),
                "{} {count}",
                out.len()
            );
        }
        assert!(
            err.lines().last().is_some_and(|line| line.starts_with("bgjobs: interrupted by SIG")),
            "{err}"
        );
    }
}

#[test]
fn a_deadline_drops_what_nobody_reads_and_says_so() {
    let script = Script::code("let x = \"\"; x.pad(200000, 'x'); print(x);").option("--timeout").option("3s");
    let mut run = Run::start(&script, false);
    let status = run.child.wait().expect("it ends");
    let (out, err, _) = run.rest();
    assert_eq!(status.code(), Some(125), "{err}");
    let lost = format!("warning: {} bytes of output were dropped", 200_001 - out.len());
    assert!(err.contains(&lost) && err.contains("bgjobs: failed (exit 125)"), "{lost}: {err}");
}

#[test]
fn a_summary_that_a_command_prints_when_it_is_stopped_is_shown() {
    let code =
        "run(\"trap 'seq 1000; echo summary; exit 3' INT TERM; echo up; while :; do sleep 0.02; done\")";
    for signal in [Some(Signal::SIGINT), Some(Signal::SIGTERM), None] {
        let script = match signal {
            Some(_) => Script::code(code),
            None => Script::code(code).option("--timeout").option("2s"),
        };
        let mut run = Run::start(&script, false);
        assert_eq!(run.read_up_to("up\n"), "up\n");
        if let Some(signal) = signal {
            run.signal(signal);
        }
        let (out, err, _) = run.rest();
        assert!(out == numbers(1000) + "summary\n", "{signal:?}: {out}\n{err}");
    }
}

#[test]
fn what_cannot_be_written_is_an_error() {
    let full = || File::options().write(true).open("/dev/full").expect("/dev/full");
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("s.rhai"), "//! Says it.\nprint(param(\"x\", 1));").expect("written");
    for args in [
        &["script", "-e", "print(1)"][..],
        &["script", "-e", "run(\"echo 1\")"],
        &["script", "s.rhai", "--help"],
        &["scripts"],
        &["scripts", "--json"],
        &["scripts", "serve-and-test"],
        &["api", "--all"],
        &["api"],
        &["api", "std/postgres"],
        &["ps", "--json"],
        &["test", "s.rhai", "--list"],
        &["doctor"],
        &["doctor", "--json"],
        &["completions", "bash"],
        &["man"],
        &["--help"],
        &["script", "--help"],
        &["--version"],
    ] {
        let mut command = Command::new(bgjobs());
        command.args(args).current_dir(dir.path()).stdin(Stdio::null());
        let output = command.stdout(full()).output().expect("bgjobs starts");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{args:?}: {err}");
        let said = "error: stdout cannot be written: No space left on device";
        assert!(err.contains(said) && err.matches("error").count() == 1, "{args:?}: {err}");
        assert!(!err.contains("passed"), "{args:?}: {err}");
        // A reader that is gone is not worth a word.
        let (read, write) = pipe();
        drop(read);
        let output = command.stdout(write).output().expect("bgjobs starts");
        let err = String::from_utf8_lossy(&output.stderr);
        let quiet = err.lines().all(|line| line.starts_with('+'));
        assert!(output.status.code() == Some(141) && quiet, "{args:?}: {:?} {err}", output.status);
    }
    // A script that goes on is stopped; one that had failed, or is over, keeps its own code.
    let stopped = Script::code("print(1); run(\"sleep 600\")")
        .command()
        .stdout(full())
        .output()
        .expect("bgjobs starts");
    assert_eq!(stopped.status.code(), Some(125));
    let both =
        Script::code("print(1)").command().stdout(full()).stderr(full()).status().expect("bgjobs starts");
    assert_eq!(both.code(), Some(125));
    let read_only = File::open("/dev/null").expect("/dev/null");
    let output = Script::code("print(1)").command().stdout(read_only).output().expect("bgjobs starts");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(125) && err.contains("error: stdout cannot be written: "), "{err}");
}

#[test]
fn a_full_disk_keeps_what_it_takes_and_the_rest_is_counted() {
    if !nix::unistd::geteuid().is_root() {
        return skip("only root can mount a small disk");
    }
    let place = tempfile::tempdir().expect("a directory");
    let (disk, said) = (place.path().join("disk"), place.path().join("said"));
    std::fs::create_dir(&disk).expect("a directory");
    let shell = format!(
        "mount -t tmpfs -o size=64k tmpfs {disk} || exit 99; {bgjobs} script -e 'let x = \"\"; x.pad(99999, \"x\"); print(x)' \
         >{disk}/out 2>{said}; code=$?; wc -c <{disk}/out; exit $code",
        disk = disk.display(),
        said = said.display(),
        bgjobs = bgjobs().display(),
    );
    let output = Command::new("unshare").args(["-m", "sh", "-c", &shell]).output().expect("unshare");
    if output.status.code() == Some(99) || !said.exists() {
        return skip("nothing can be mounted here");
    }
    let taken: usize = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number");
    let err = std::fs::read_to_string(said).expect("text");
    assert_eq!(output.status.code(), Some(125), "{err}");
    assert!(
        err.contains(&format!("No space left on device ({} bytes lost)", 100_000 - taken)),
        "{taken}: {err}"
    );
}

#[test]
fn a_flood_of_events_that_nobody_reads_is_held_up() {
    let dir = tempfile::tempdir().expect("a directory");
    let code = "let x = \"\"; x.pad(100000, 'x'); let n = 0; loop { log(x); warn(x); n += 1; write_file(\"n\", `${n}`); }";
    let mut command = Script::code(code).cwd(dir.path()).command();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("bgjobs starts");
    let count = || std::fs::read_to_string(dir.path().join("n")).ok()?.parse::<u64>().ok();
    let (mut last, mut since) = (None, Instant::now());
    eventually("the script is held up", || {
        let now = count();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        last.is_some() && since.elapsed() > Duration::from_secs(1)
    });
    // A MiB waits, and what the pipe holds.
    assert!(last.is_some_and(|last| last < 50), "{last:?}");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).expect("it runs");
    assert_eq!(child.wait().expect("it ends").signal(), Some(15));
}

#[test]
fn a_stopped_terminal_loses_nothing() {
    let pty = nix::pty::openpty(None, None).expect("a terminal");
    let mut master = File::from(pty.master);
    let end = |fd: &OwnedFd| fd.try_clone().expect("a descriptor");
    // Ctrl-S, Ctrl-Q: before anything is printed, so that all of it waits.
    master.write_all(b"\x13").expect("typed");
    let mut command = Script::code("run(\"seq 30000\")").command();
    command.stdin(Stdio::from(end(&pty.slave))).stdout(end(&pty.slave)).stderr(pty.slave);
    let mut child = command.spawn().expect("bgjobs starts");
    drop(command);
    std::thread::sleep(PAUSE);
    assert!(child.try_wait().expect("our child").is_none(), "it has not written anything yet");
    master.write_all(b"\x11").expect("typed");
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    // At its end a terminal is an I/O error.
    while let Ok(n @ 1..) = master.read(&mut buffer) {
        all.extend_from_slice(&buffer[..n]);
    }
    let text = String::from_utf8_lossy(&all).replace('\r', "");
    assert!(text.contains(&numbers(30_000)), "{} bytes", text.len());
    assert!(text.lines().last().is_some_and(|line| line.starts_with("bgjobs: ")), "{}", text.len());
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn the_time_of_a_line_is_that_of_its_event() {
    let run = Run::start(&Script::code("run(\"seq 20000\"); log(`mark ${elapsed_ms()}`)"), true);
    std::thread::sleep(PAUSE * 2);
    let (out, _, _) = run.rest();
    let line = out.lines().find(|line| line.contains(" mark ")).expect("the line");
    let (time, said) = line.trim_start_matches('+').split_once("s mark ").expect("a time");
    let (time, said): (f64, f64) = (time.parse().expect("seconds"), said.parse().expect("milliseconds"));
    assert!(time * 1000.0 - said < 1500.0, "{line}");
}

#[test]
fn no_event_is_shown_before_its_cause() {
    let code = "for i in 0..40 { spawn(`j${i}`, [\"false\"], #{expect_exit: 1}); } wait_until(|| jobs().all(|job| !job.running));";
    let ran = Script::code(code).run().code(0);
    let line = |text: &str| ran.stderr.lines().position(|line| line.contains(text));
    for i in 0..40 {
        let (started, ended) = (line(&format!(" j{i} started")), line(&format!(" j{i} ended")));
        assert!(started.is_some() && started < ended, "j{i}: {started:?} {ended:?}\n{}", ran.stderr);
    }
    let ran = Script::code("for i in 0..20 { run(`echo out${i} >&2`) }").option("-v").run().code(0);
    for i in 0..20 {
        let (run, out) = (format!("run: echo out{i}"), format!("\nout{i}\n"));
        assert!(ran.stderr.find(&run) < ran.stderr.find(&out), "{i}:\n{}", ran.stderr);
    }
}
