//! What a run that waits shows meanwhile: on a terminal one line, which is gone afterwards; elsewhere a line now and then.
//! And what jobs print, as it comes.

use crate::support::{Script, bgjobs};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(100);

/// A run on a terminal of this many columns, in a directory of its own.
struct OnTerminal {
    dir: tempfile::TempDir,
    child: Child,
    columns: usize,
    written: Arc<Mutex<Vec<u8>>>,
    reader: std::thread::JoinHandle<()>,
}

impl OnTerminal {
    fn start(columns: u16, script: Script) -> Self {
        let size = nix::pty::Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = nix::pty::openpty(Some(&size), None).expect("a terminal");
        let dir = tempfile::Builder::new().prefix("bl").tempdir_in("/tmp").expect("a directory");
        let end = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
        // What is left of other runs is not to be told here.
        let script = script.cwd(dir.path()).env("TMPDIR", &dir.path().to_string_lossy());
        let mut command = script.command();
        if command.get_envs().all(|(name, _)| name != "TERM") {
            command.env("TERM", "xterm-256color");
        }
        command.stdin(end()).stdout(end()).stderr(end());
        let child = command.spawn().expect("bgjobs starts");
        drop((command, pty.slave));
        let written: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (mut master, all) = (File::from(pty.master), Arc::clone(&written));
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // At its end a terminal is an I/O error.
            while let Ok(n @ 1..) = master.read(&mut buffer) {
                all.lock().expect("no panic").extend_from_slice(&buffer[..n]);
            }
        });
        Self { dir, child, columns: columns.into(), written, reader }
    }

    fn written(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().expect("no panic")).into_owned()
    }

    /// Waits until this has been written, from this offset on; how much there is by then.
    #[track_caller]
    fn until(&self, from: usize, text: &str) -> usize {
        let until = Instant::now() + PATIENCE;
        loop {
            let written = self.written();
            if written.get(from..).is_some_and(|written| written.contains(text)) {
                return written.len();
            }
            assert!(Instant::now() < until, "no {text:?} in {written:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn make(&self, name: &str) {
        fs::write(self.dir.path().join(name), "").expect("written");
    }

    /// All that was written, and what of it is to be seen in the end.
    fn ended(mut self) -> (String, Vec<String>, ExitStatus) {
        let status = self.child.wait().expect("it ends");
        self.reader.join().expect("no panic");
        let written = String::from_utf8_lossy(&self.written.lock().expect("no panic")).into_owned();
        let screen = screen(&written, self.columns);
        (written, screen, status)
    }
}

/// What a terminal shows in the end of what was written to it, without colours; as much of one as is needed.
#[track_caller]
fn screen(written: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let mut column = 0;
    let mut rest = written.chars().peekable();
    while let Some(c) = rest.next() {
        let line = lines.last_mut().expect("a line");
        match c {
            '\r' => column = 0,
            '\n' => lines.push(Vec::new()),
            '\x1b' => {
                assert_eq!(rest.next(), Some('['), "{written:?}");
                let code: String =
                    std::iter::from_fn(|| rest.next_if(|c| !c.is_ascii_alphabetic())).collect();
                match rest.next() {
                    Some('K') if code.is_empty() => line.truncate(column),
                    Some('m') => {}
                    other => panic!("{code}{other:?}: {written:?}"),
                }
            }
            _ => {
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
                assert!(column <= columns, "it does not fit {columns} columns: {written:?}");
            }
        }
    }
    let lines = lines.into_iter().map(|line| line.into_iter().collect::<String>().trim_end().to_owned());
    let mut lines: Vec<String> = lines.collect();
    assert_eq!(lines.pop().as_deref(), Some(""), "the last line ends: {written:?}");
    lines
}

#[track_caller]
fn verdict(line: &str) {
    assert!(line.starts_with("bgjobs: passed in "), "{line}");
}

#[test]
fn on_a_terminal_what_is_waited_for_stands_in_one_line_that_goes_without_a_trace() {
    for columns in [80, 50] {
        let code = r#"print("before"); wait_file("go", "100s"); print("after")"#;
        let run = OnTerminal::start(columns, Script::code(code));
        let drawn = run.until(0, "waiting for the file ");
        // It is drawn anew while it lasts.
        run.until(drawn, " s of 1 min 40 s");
        run.make("go");
        let (written, screen, status) = run.ended();
        assert!(status.success(), "{written:?}");
        assert_eq!(screen.len(), 3, "{screen:?}");
        assert_eq!(screen[..2], ["before", "after"]);
        verdict(&screen[2]);
        assert_eq!(written.contains("  no such file"), columns == 80, "{written:?}");
        assert!(written.contains("\x1b[2mwaiting for "), "{written:?}");
    }
}

#[test]
fn the_line_gives_way_to_what_is_printed_and_comes_back() {
    let code = r#"spawn("api", "while ! test -e go; do sleep 0.05; done; echo said; exec sleep 600");
        wait_file("done", "100s")"#;
    let run = OnTerminal::start(200, Script::code(code).option("-f").option("--color=never"));
    run.until(0, "waiting for the file ");
    run.make("go");
    let said = run.until(0, "api | said\r\n");
    run.until(said, "waiting for the file ");
    run.make("done");
    let (written, screen, status) = run.ended();
    assert!(status.success() && !written.contains("\x1b[2m"), "{written:?}");
    assert_eq!(screen.iter().filter(|line| *line == "api | said").count(), 1, "{screen:?}");
    assert!(!screen.iter().any(|line| line.contains("waiting for")), "{screen:?}");
    verdict(screen.last().expect("a line"));
}

#[test]
fn of_several_waits_the_oldest_is_shown() {
    let code = r#"parallel(["a", "b", "c"], |name| wait_file(name, "100s"))"#;
    let run = OnTerminal::start(80, Script::code(code));
    run.until(0, "  +2 more");
    for name in ["a", "b", "c"] {
        run.make(name);
    }
    let (written, screen, status) = run.ended();
    assert!(status.success() && screen.len() == 1, "{written:?}");
    // Of services that start each is one.
    let service = |name: &str| {
        format!(
            r#"#{{name: "{name}", cmd: "while ! test -e go; do sleep 0.05; done; echo up; exec sleep 600", ready: #{{log: "up"}}}}"#
        )
    };
    let code = format!("start([{}, {}])", service("db"), service("cache"));
    let run = OnTerminal::start(200, Script::code(&code));
    run.until(0, "waiting for db: a log line matching /up/  ");
    run.until(0, "  +1 more");
    run.make("go");
    let (written, screen, status) = run.ended();
    assert!(status.success() && !screen.iter().any(|line| line.contains("waiting")), "{written:?}");
}

#[test]
fn a_long_command_and_a_slow_stop_are_shown() {
    let code = r#"run("while ! test -e go; do sleep 0.05; done");
        let deaf = spawn("deaf", "trap '' TERM; echo up; while ! test -e on; do sleep 0.05; done", #{grace: "100s"});
        deaf.wait_log("up");
        deaf.stop()"#;
    let run = OnTerminal::start(200, Script::code(code));
    run.until(0, "running while ! test -e go; do sleep 0.05; done  ");
    run.make("go");
    run.until(0, "stopping deaf  ");
    run.until(0, " s of 1 min 40 s");
    run.make("on");
    let (written, screen, status) = run.ended();
    assert!(status.success(), "{written:?}");
    assert!(
        !screen.iter().any(|line| line.starts_with("running") || line.starts_with("stopping")),
        "{screen:?}"
    );
}

/// Answers once there is a file `go`.
const SLOW_SERVER: &str = r#"
import http.server, os, time
class Slow(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.do_GET()
    def do_GET(self):
        while not os.path.exists("go"): time.sleep(0.02)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Slow).serve_forever()
"#;

#[test]
fn a_request_whose_answer_takes_long_is_shown() {
    let code = r#"wait_file("server", "100s");
        let slow = start("slow", ["python3", "slow.py"], #{port: "free", ready: #{listening: true}});
        http_get(slow.url + "/cart", "100s")"#;
    let run = OnTerminal::start(200, Script::code(code));
    fs::write(run.dir.path().join("slow.py"), SLOW_SERVER).expect("written");
    run.make("server");
    run.until(0, "waiting for the answer to GET http://127.0.0.1:");
    run.until(0, "/cart  ");
    run.until(0, " s of 1 min 40 s");
    run.make("go");
    let (written, screen, status) = run.ended();
    assert!(status.success() && !screen.iter().any(|line| line.contains("waiting")), "{written:?}");
}

#[test]
fn nothing_is_drawn_where_it_is_not_wanted_or_would_disturb() {
    let wait = r#"wait_file("go", "100s")"#;
    let code = format!("spawn(\"go\", \"sleep 1; : >go; exec sleep 600\"); {wait}");
    for script in [
        Script::code(&code).option("-q"),
        Script::code(&code).env("TERM", "dumb"),
        // What stands in the line is not ours to erase.
        Script::code("run(\"printf partly; sleep 1; echo\")"),
    ] {
        let (written, _, status) = OnTerminal::start(200, script).ended();
        assert!(
            status.success() && !written.contains("waiting") && !written.contains("\x1b[K"),
            "{written:?}"
        );
    }
}

#[test]
fn when_the_host_is_killed_the_guard_takes_the_line_away() {
    let run = OnTerminal::start(200, Script::code(r#"wait_file("go", "100s")"#));
    run.until(0, "waiting for the file ");
    let ps = Command::new(bgjobs()).args(["ps", "--json"]).env("TMPDIR", run.dir.path()).output();
    let list: serde_json::Value = serde_json::from_slice(&ps.expect("bgjobs starts").stdout).expect("JSON");
    let host = list[0]["host"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a pid");
    kill(Pid::from_raw(host), Signal::SIGKILL).expect("it lives");
    let (written, screen, status) = run.ended();
    assert_eq!(status.code(), Some(125), "{written:?}");
    assert!(screen[0].starts_with("error: host killed by SIGKILL"), "{screen:?}");
    assert!(!screen.iter().any(|line| line.contains("waiting")), "{screen:?}");
}

/// A run whose stderr is a file.
fn in_file(dir: &tempfile::TempDir, script: Script) -> (Child, PathBuf) {
    let path = dir.path().join("stderr");
    let mut command = script.cwd(dir.path()).command();
    command.stdout(Stdio::null()).stderr(File::create(&path).expect("created"));
    (command.spawn().expect("bgjobs starts"), path)
}

#[test]
fn elsewhere_a_request_is_told_after_ten_seconds_and_when_half_of_the_time_is_gone() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("slow.py"), SLOW_SERVER).expect("written");
    let code = r#"
        let slow = start("slow", ["python3", "slow.py"], #{port: "free", ready: #{listening: true}});
        http_post(slow.url + "/cart", "{}", "100s")"#;
    let (mut child, path) = in_file(&dir, Script::code(code).option("--timeout").option("26s"));
    let until = Instant::now() + PATIENCE;
    let said = || fs::read_to_string(&path).expect("there");
    while !said().contains("half of --timeout is gone: ") {
        assert!(Instant::now() < until, "{}", said());
        std::thread::sleep(Duration::from_millis(10));
    }
    fs::write(dir.path().join("go"), "").expect("written");
    // Where the machine was too slow for that, the run's time was over.
    assert!(matches!(child.wait().expect("it ends").code(), Some(0 | 124)), "{}", said());
    let still = r"still waiting for the answer to POST http://127\.0\.0\.1:\d+/cart \(1\d s of 1 min 40 s\)$";
    for line in ["", "half of --timeout is gone: 13 s of 26 s; "] {
        let pattern = regex::Regex::new(&format!(r"(?m)^\+1\d\.\d\ds {line}{still}")).expect("a pattern");
        assert_eq!(pattern.find_iter(&said()).count(), 1, "{}", said());
    }
}

#[test]
fn elsewhere_a_wait_is_told_after_ten_seconds() {
    let dir = tempfile::tempdir().expect("a directory");
    let script = Script::code(r#"wait_file("go", "100s")"#).option("--timeout").option("21s");
    let (mut child, path) = in_file(&dir, script);
    let until = Instant::now() + PATIENCE;
    let said = || fs::read_to_string(&path).expect("there");
    while !said().contains("half of --timeout is gone: 10.5 s of 21 s") {
        assert!(Instant::now() < until, "{}", said());
        std::thread::sleep(Duration::from_millis(10));
    }
    let pattern =
        r"(?m)^\+\d+\.\d\ds still waiting for the file \S+/go \(1\d s of 1 min 40 s; last: no such file\)$";
    assert!(regex::Regex::new(pattern).expect("a pattern").is_match(&said()), "{}", said());
    fs::write(dir.path().join("go"), "").expect("written");
    let status = child.wait().expect("it ends");
    let said = said();
    assert!(!said.contains('\r') && !said.contains('\x1b'), "{said:?}");
    // Where the machine was too slow for that, the run's time was over.
    assert!(matches!(status.code(), Some(0 | 124)), "{said}");
}

#[test]
fn what_jobs_print_is_shown_as_it_comes() {
    let code = r#"spawn("api", "echo hello; exec sleep 600").wait_log("hello");
        spawn("worker", "echo hi; exec sleep 600").wait_log("hi");"#;
    let ran = Script::code(code).option("-f").run().code(0).stdout("");
    let ran = ran.stderr_has("api | hello\n").stderr_has("worker | hi\n");
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    let ran = Script::code(code).option("--follow=worker,wroker").run().code(0);
    let ran = ran
        .stderr_has("worker | hi\n")
        .stderr_has(" warning: --follow=wroker: no job of this run has that name; did you mean `worker`?\n");
    assert!(!ran.stderr.contains("api | ") && !ran.stderr.contains("--follow=worker:"), "{}", ran.stderr);
    let ran = Script::code(code).option("--follow=xyz").run().code(0);
    let _ = ran.stderr_has("--follow=xyz: no job of this run has that name; there are api, worker\n");
    // A later namesake, and what else is silent.
    let code = r#"for i in 0..2 { spawn("api", `echo hello ${i}; exec sleep 600`).wait_log("hello") }"#;
    let ran = Script::code(code).option("-q").option("--follow=api").run().code(0);
    let _ = ran.stderr_has("api | hello 0\n").stderr_has("api-2 | hello 1\n");
}

#[test]
fn a_started_job_names_its_log_where_all_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let code = r#"let job = spawn("api", "exec sleep 600", #{log: "own.log"}); print(job.pid)"#;
    let ran = Script::code(code).option("-v").cwd(dir.path()).run().code(0);
    let line = format!(" (pid {}, log {})\n", ran.stdout.trim(), dir.path().join("own.log").display());
    let _ = ran.stderr_has(&line);
    let ran = Script::code(code).cwd(dir.path()).run().code(0);
    assert!(!ran.stderr.contains("own.log"), "{}", ran.stderr);
}

#[test]
fn a_slow_start_is_told_before_the_verdict() {
    let dir = tempfile::tempdir().expect("a directory");
    let code = r#"start([
            #{name: "db", cmd: "sleep 2.1; echo up; exec sleep 600", ready: #{log: "up"}},
            #{name: "api", cmd: "sleep 0.5; echo up; exec sleep 600", ready: #{log: "up"}, needs: "db"},
        ])"#;
    let ran = Script::code(code).option("--events").option("out.jsonl").cwd(dir.path()).run().code(0);
    let lines: Vec<&str> = ran.stderr.lines().collect();
    let pattern = regex::Regex::new(r"^slow start: db \d+\.\d s → api \d+\.\d s$").expect("a pattern");
    assert!(pattern.is_match(lines[lines.len() - 2]), "{}", ran.stderr);
    let events = fs::read_to_string(dir.path().join("out.jsonl")).expect("there");
    let last: serde_json::Value = serde_json::from_str(events.lines().last().expect("a line")).expect("JSON");
    let jobs: Vec<&str> =
        last["slow_start"].as_array().expect("a list").iter().filter_map(|one| one["job"].as_str()).collect();
    assert_eq!(jobs, ["db", "api"], "{last}");
    assert!(last["slow_start"][0]["took_ms"].as_f64().is_some_and(|ms| ms >= 2000.0), "{last}");
    let ran = Script::code(code).option("-q").run().code(0);
    assert!(!ran.stderr.contains("slow start"), "{}", ran.stderr);
}
