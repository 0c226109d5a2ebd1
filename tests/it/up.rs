//! What stays until it is interrupted: `stay()` in a script, and `bgjobs up`, with real servers.

use crate::support::{Script, bgjobs, gone, lacks, lives};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
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

fn place(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = dir();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        fs::write(path, text).expect("written");
    }
    dir
}

impl Live {
    fn script(code: &str) -> Self {
        Self::start(dir(), Script::code(code).command())
    }

    /// `bgjobs up ARGS` in a directory with these files.
    fn up(files: &[(&str, &str)], args: &[&str]) -> Self {
        let dir = place(files);
        let mut command = Command::new(bgjobs());
        command.arg("up").args(args).env_remove("NO_COLOR").env_remove("FORCE_COLOR");
        Self::start(dir, command)
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

    fn ended(self) -> Ended {
        self.ended_with(|| ()).0
    }

    /// What came of it, and what is to be seen in its directory then.
    fn ended_with<T>(mut self, look: impl FnOnce() -> T) -> (Ended, T) {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                break status;
            }
            if Instant::now() >= until {
                // Such as when INT is ignored, as in the background of a shell: then bgjobs ignores it, too.
                self.signal(Signal::SIGTERM);
                panic!("it does not end:\n{}\n{}", self.read("stdout"), self.read("stderr"));
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let ended = Ended {
            stdout: self.read("stdout"),
            stderr: self.read("stderr"),
            code: status.code(),
            signal: status.signal().and_then(|number| Signal::try_from(number).ok()),
        };
        (ended, look())
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
    fn stdout_has(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "no {text:?} in stdout:\n{}\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    fn says_no(self, text: &str) -> Self {
        assert!(!self.stderr.contains(text), "{text:?} in:\n{}", self.stderr);
        self
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

/// With -q as well; a name that none has is an error before anything starts: who stays would see nothing, and not know why.
#[test]
fn only_what_these_services_print_is_shown() {
    let file = ("Procfile", "api: echo api is up; exec sleep 300\ndb: echo db is up; exec sleep 300\n");
    let wait = "for job in api db; do\n\
                while ! grep -q up $(dirname $BGJOBS_CTL)/logs/$job.log; do sleep 0.02; done; done";
    let up = |options: &[&str]| {
        Live::up(&[file], &[&["Procfile", "--exec", wait], options].concat()).ended().code(0)
    };
    let all = [
        (&["--follow=db"][..], [false, true]),
        (&["-q", "--follow=api,db"], [true, true]),
        (&["-q", "-f"], [true, true]),
        (&["-q"], [false, false]),
    ];
    for (options, shows) in all {
        let ended = up(options);
        let shown = [" | api is up\n", " | db is up\n"].map(|line| ended.stderr.contains(line));
        assert_eq!(shown, shows, "{options:?}\n{}", ended.stderr);
    }
    let ended = Live::up(&[file], &["Procfile", "--follow=dbb"]).ended().code(2);
    let _ = ended.says("error: there is no service `dbb` in Procfile").says_no("started");
}

/// Three real servers, of which each writes its pid; the last one is told where the others are.
const PROCFILE: &str = "\
web: echo $$ > web.pid; exec python3 -m http.server $PORT --bind 127.0.0.1
cache: echo $$ > cache.pid; exec redis-server --port $PORT --bind 127.0.0.1 --save ''
worker: echo $$ > worker.pid; exec node -e \"console.log('for ' + process.env.WEB_URL); setInterval(() => {}, 1000)\" $WEB_URL $CACHE_URL
";
const SERVERS: [&str; 3] = ["web", "cache", "worker"];

fn lacks_servers() -> bool {
    lacks(&["python3", "redis-server", "node"])
}

fn pids(live: &Live) -> Vec<String> {
    SERVERS.map(|name| live.read(&format!("{name}.pid"))).to_vec()
}

#[test]
fn services_are_shown_live_and_stopped_by_an_interrupt() {
    if lacks_servers() {
        return;
    }
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut live = Live::up(&[("Procfile", PROCFILE), ("compose.yaml", "")], &[]);
        live.until_said("staying: 3 jobs run (web http://127.0.0.1:");
        let pids = pids(&live);
        assert!(pids.iter().all(|pid| lives(pid)), "{pids:?}");
        let said = live.read("stderr");
        let port = said.split("staying: 3 jobs run (web http://127.0.0.1:").nth(1).expect("a URL");
        let port: u16 = port.split([',', ')']).next().and_then(|port| port.parse().ok()).expect("a port");
        let mut client = std::net::TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        std::io::Write::write_all(&mut client, b"GET /?live HTTP/1.0\r\n\r\n").expect("sent");
        live.until("its log is shown", |live| live.read("stdout").contains("web    | 127.0.0.1 - - "));
        live.until("aligned", |live| live.read("stdout").contains("worker | for http://127.0.0.1:"));
        live.signal(signal);
        let ended = live.ended();
        assert_eq!(ended.signal, Some(signal), "{}", ended.stderr);
        assert!(!pids.iter().any(|pid| lives(pid)), "{pids:?}");
        // Of what it prints while it is stopped nothing is lost.
        let ended = ended.stdout_has("cache  | ").stdout_has("GET /?live").stdout_has("bye bye");
        assert!(!ended.stdout.contains('\u{1b}'), "{}", ended.stdout);
        let ended = ended.says("found Procfile (and not compose.yaml)\n").says("3 jobs stopped, 0 leaked");
        let _ = ended
            .says(&format!("bgjobs: stopped by {signal} (exit {})", 128 + signal as i32))
            .says_no("logs:");
    }
}

#[test]
fn nothing_is_left_of_services_when_all_is_killed_or_one_dies() {
    if lacks_servers() {
        return;
    }
    let mut live = Live::up(&[("Procfile", PROCFILE)], &["Procfile"]);
    live.until_said("staying: 3 jobs run");
    let left = pids(&live);
    live.signal(Signal::SIGKILL);
    assert_eq!(live.ended().signal, Some(Signal::SIGKILL));
    gone(&left);

    let mut live = Live::up(&[("Procfile", PROCFILE)], &["Procfile", "-q"]);
    live.until("all run", |live| pids(live).iter().all(|pid| lives(pid)));
    let left = pids(&live);
    // Who ends by itself, if only with 0, ends all.
    kill(Pid::from_raw(left[0].trim().parse().expect("a pid")), Signal::SIGKILL).expect("it lives");
    let ended = live.ended().code(125);
    gone(&left);
    assert_eq!(ended.stdout, "");
    let ended = ended.says("error: job `web` was killed by SIGKILL").says("\nlogs: ").says("0 leaked");
    // No place in a script that the user has not written.
    let _ = ended.says_no("  --> ").says_no("found Procfile").says_no("staying");
}

#[test]
fn a_second_interrupt_kills_at_once() {
    let text = "services:\n  deaf: {command: \"echo $$$$ > deaf.pid; trap '' INT TERM; echo up; while :; do sleep 1; done\", \
                ready: {log: up}, stop_grace_period: 5m}\n";
    let mut live = Live::up(&[("services.yaml", text)], &[]);
    live.until_said("staying: 1 job runs; Ctrl-C stops it");
    let pid = live.read("deaf.pid");
    live.signal(Signal::SIGINT);
    live.until_said("; Ctrl-C again kills now)");
    let since = Instant::now();
    while since.elapsed() < Duration::from_millis(600) {
        std::thread::sleep(Duration::from_millis(10));
    }
    live.signal(Signal::SIGINT);
    let ended = live.ended();
    assert_eq!(ended.signal, Some(Signal::SIGINT));
    gone(&[pid]);
    let _ = ended.says("SIGINT: killing everything now");
}

const WEB: &str = "web: echo $$ > web.pid; exec python3 -m http.server $PORT --bind 127.0.0.1\n";

#[test]
fn a_command_in_the_place_of_staying_ends_it_with_its_code() {
    if lacks(&["python3", "curl"]) {
        return;
    }
    for (command, code) in
        [("curl -s -o /dev/null -w '%{http_code}\\n' $WEB_URL", 0), ("exit 7", 7), ("no-such-program", 127)]
    {
        let live = Live::up(&[("Procfile", WEB)], &["--exec", command]);
        let path = live.path("web.pid");
        let (ended, pid) = live.ended_with(|| fs::read_to_string(&path).unwrap_or_default());
        let ended = ended.code(code);
        gone(&[pid]);
        // stdout is the command's.
        assert_eq!(ended.stdout, if code == 0 { "200\n" } else { "" }, "{}", ended.stderr);
        let _ = ended.says("0 leaked").says_no("  --> ").says_no("staying");
    }
    // A death is one while it runs, too.
    let live = Live::up(&[("Procfile", WEB)], &["--exec", "kill $(cat web.pid); sleep 300"]);
    let _ = live.ended().code(125).says("error: job `web` was killed by SIGTERM");
}

/// `bgjobs up ARGS` in the foreground of a terminal, and our end of that.
struct AtTerminal {
    run: Live,
    master: File,
    slave: std::os::fd::OwnedFd,
}

impl AtTerminal {
    /// `setsid` makes the terminal the controlling one, and becomes bgjobs.
    fn up(files: &[(&str, &str)], args: &[&str]) -> Self {
        let pty = nix::pty::openpty(Some(&Self::size(30, 90)), None).expect("a terminal");
        let end = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(bgjobs()).arg("up").args(args).env("NO_COLOR", "1");
        let dir = place(files);
        command.current_dir(dir.path()).stdin(end()).stdout(end()).stderr(end());
        let run = Live { child: command.spawn().expect("bgjobs starts"), dir };
        let master = File::from(pty.master);
        let mut screen = File::create(run.path("stdout")).expect("created");
        let mut reader = master.try_clone().expect("a descriptor");
        // Until nobody has the other end, which is an error of the read.
        std::thread::spawn(move || std::io::copy(&mut reader, &mut screen));
        Self { run, master, slave: pty.slave }
    }

    fn size(rows: u16, columns: u16) -> nix::pty::Winsize {
        nix::pty::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
    }

    fn types(&mut self, keys: &[u8]) {
        std::io::Write::write_all(&mut self.master, keys).expect("typed");
    }

    fn modes(&self) -> nix::sys::termios::Termios {
        nix::sys::termios::tcgetattr(&self.slave).expect("the modes")
    }
}

#[test]
fn at_a_terminal_the_command_has_what_is_typed() {
    if lacks(&["setsid", "stty"]) {
        return;
    }
    // Lines of ours and of a service come while the terminal does nothing to them.
    let service = "late: while ! test -e go; do sleep 0.05; done; echo said later; exec sleep 600\n";
    let command = "echo size $(stty size) > /dev/tty; touch go; read -r line; echo \"got $line\"; \
                   while [ \"$(stty size)\" != '50 120' ]; do sleep 0.05; done; echo resized; \
                   trap 'echo caught; exit 4' INT; echo waiting; while :; do sleep 0.05; done";
    let mut at = AtTerminal::up(&[("Procfile", service)], &["--exec", command]);
    let before = at.modes();
    at.run.until_said("size 30 90\r\n");
    at.run.until_said("late | said later\r\n");
    at.types(b"hello\r");
    at.run.until_said("got hello\r\n");
    let screen = std::process::Command::new("stty")
        .args(["rows", "50", "cols", "120"])
        .stdin(at.slave.try_clone().expect("a descriptor"))
        .status();
    assert!(screen.expect("stty runs").success());
    at.run.until_said("resized\r\n");
    at.run.until_said("waiting\r\n");
    assert!(before != at.modes(), "the terminal is handed on");
    at.types(b"\x03");
    at.run.until_said("caught\r\n");
    at.run.until_said("0 leaked");
    assert!(before == at.modes(), "the terminal is as it was");
    assert!(!at.run.read("stdout").contains("SIGINT"), "the run is not interrupted");
    let _ = at.run.ended().code(4);
}

#[test]
fn addresses_are_written_for_others_and_removed_at_the_end() {
    use std::os::unix::fs::PermissionsExt;
    if lacks(&["python3", "curl"]) {
        return;
    }
    let mut live = Live::up(&[("Procfile", WEB), (".env", "KEY=1\n")], &["--env-file", ".addresses"]);
    live.until("they are there", |live| live.path(".addresses").exists());
    let file = live.path(".addresses");
    assert_eq!(file.metadata().expect("there").permissions().mode() & 0o777, 0o600);
    let text = live.read(".addresses");
    assert!(
        text.contains("\nWEB_URL=http://127.0.0.1:") && text.contains("\nWEB_HOST=127.0.0.1\n"),
        "{text}"
    );
    // As its second line says.
    let line = text.lines().nth(1).and_then(|line| line.strip_prefix("# ")).expect("a line");
    let line = format!("{line}; exec curl -sf -o /dev/null $WEB_URL");
    let answered =
        Command::new("sh").args(["-c", &line]).current_dir(live.dir.path()).status().expect("sh runs");
    assert!(answered.success());
    live.signal(Signal::SIGTERM);
    let dir = live.dir.path().to_owned();
    let (_, there) = live.ended_with(|| dir.join(".addresses").exists());
    assert!(!there);

    // What others mean by this option: nothing of the user's is overwritten.
    let live = Live::up(&[("Procfile", WEB), (".env", "KEY=1\n")], &["--env-file", ".env"]);
    let env = live.path(".env");
    let (ended, text) = live.ended_with(|| fs::read_to_string(&env).expect("it stays"));
    assert_eq!(text, "KEY=1\n");
    let said = "found Procfile\nerror: --env-file .env: it already exists, and `bgjobs up` has not written it\n\
                try: --env-file OUT   (a file that is not there yet: it is written, not read)\n";
    assert_eq!(ended.code(2).stderr, said);
}

#[test]
fn a_script_starts_what_is_to_run() {
    let script = r#"
        let word = param("word", "nothing");
        spawn("says", `echo says ${word}; exec sleep 300`);
        start("up", "echo here; exec sleep 300", #{ready: #{log: "here"}});
    "#;
    let mut live = Live::up(&[("stack.rhai", script)], &["stack.rhai", "--", "--word", "much"]);
    live.until_said("staying: 2 jobs run; Ctrl-C stops them");
    live.until_said("says | says much\n");
    live.signal(Signal::SIGINT);
    assert_eq!(live.ended().signal, Some(Signal::SIGINT));
    // One that fails is told as ever, and one that has done its work is not waited for.
    let failing = Live::up(&[("stack.rhai", "spawn(\"sleep 300\");\nfail(\"no\");")], &["stack.rhai"]);
    let _ = failing.ended().code(1).says("  --> stack.rhai:2:1").says("1 job stopped, 0 leaked");
    let done = Live::up(&[("stack.rhai", "run(\"echo done\");")], &["stack.rhai"]).ended().code(0);
    let _ = done.stdout_has("done\n").says("nothing was started that could be stayed for");
    let tasks = Live::up(&[("stack.rhai", "spawn(\"echo hello\");")], &["stack.rhai"]).ended().code(0);
    let _ = tasks.stdout_has("echo | hello\n").says("all has ended that was started");
}

#[test]
fn the_process_of_a_file_that_ends_all_gives_its_code() {
    let text = "processes:\n  api: {command: 'echo api is up; exec sleep 300', ready_log_line: is up}\n  \
                tests: {command: 'echo testing; exit 3', depends_on: {api: {condition: process_log_ready}}, \
                availability: {exit_on_end: true}}\n";
    let ended = Live::up(&[("process-compose.yaml", text)], &[]).ended().code(3);
    let _ = ended.stdout_has("api | api is up\n").stdout_has("testing\n").says("1 job stopped, 0 leaked");
}

#[test]
fn some_services_of_a_file_can_be_chosen() {
    let text = "services:\n  a: {command: 'echo a; exec sleep 300', ready: {log: a}}\n  \
                b: {command: 'echo b; exec sleep 300', ready: {log: b}, depends_on: [a]}\n  \
                c: {command: 'echo c; exec sleep 300', ready: {log: c}}\n";
    let mut live = Live::up(&[("services.yaml", text)], &["services.yaml", "b", "--color", "always"]);
    live.until_said("2 jobs run");
    // The place of a name, not the moment, decides its colour.
    live.until_said("\u{1b}[36ma |\u{1b}[0m a\n");
    live.until_said("\u{1b}[33mb |\u{1b}[0m b\n");
    live.signal(Signal::SIGINT);
    assert_eq!(live.ended().signal, Some(Signal::SIGINT));
    let wrong = Live::up(&[("services.yaml", text)], &["services.yaml", "bb"]).ended().code(2);
    assert_eq!(wrong.stderr, "error: there is no service `bb` in services.yaml\n  = known: a, b, c\n");
}

#[test]
fn a_task_that_is_taken_for_a_server_is_told_how_its_file_says_so() {
    let yaml = "services:\n  setup:\n    command: exec true\n    ready: {log: never}\n";
    let process_compose = "processes:\n  setup:\n    command: exec true\n    ready_log_line: never\n";
    let lines = "bgjobs script services-file --file Procfile --task setup --test COMMAND";
    let depends = |kind: &str| format!("depends_on: {{setup: {{condition: {kind}_completed_successfully}}}}");
    for (name, text, hint) in [
        ("Procfile", "web: exec sleep 60\nsetup: exec true\n", lines.to_owned()),
        ("services.yaml", yaml, depends("service")),
        ("process-compose.yaml", process_compose, depends("process")),
    ] {
        let ended = Live::up(&[(name, text)], &["--exec", "true"]).ended().code(125);
        ended
            .says(&format!("try: {hint}   (if it is to end"))
            .says("open stdin: `tail -f /dev/null | COMMAND`");
    }
}

#[test]
fn what_cannot_be_started_is_told_what_to_do() {
    let usual = "services.yaml, services.yml, services.toml, services.json, services.conf, process-compose.yaml, \
                 process-compose.yml, Procfile.dev, Procfile";
    /// Files, arguments, and all that is said.
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], String);
    let cases: &[Case] = &[
        (
            &[],
            &[],
            format!(
                "error: there is nothing to start in this directory\n  = looked for {usual}, compose.yaml, compose.yml, \
                 docker-compose.yaml, docker-compose.yml, package.json\ntry: bgjobs up FILE   (or `bgjobs new --kind \
                 services`, for a script to begin with)\n"
            ),
        ),
        (
            &[("Procfile", WEB)],
            &["Procfil"],
            "error: there is no file `Procfil`\ntry: bgjobs up Procfile\n".to_owned(),
        ),
        (
            &[("main.go", "")],
            &["main.go"],
            format!(
                "error: `main.go` is neither a file of services nor a script\n  = these are: {usual}, *.procfile, *.conf, \
                 *.rhai\n"
            ),
        ),
        (
            &[("hosts", "127.0.0.1 localhost\n")],
            &["hosts"],
            format!(
                "error: `hosts` is neither a file of services nor a script\n  = these are: {usual}, *.procfile, *.conf, \
                 *.rhai\n"
            ),
        ),
        (
            &[("a.rhai", "")],
            &["a.rhai", "web"],
            "error: `web`: a script is not a file of services, of which some could be chosen\n\
             try: bgjobs up a.rhai -- web\n"
                .to_owned(),
        ),
        (
            &[("compose.yaml", "services:\n  db:\n    image: postgres\n")],
            &["-q"],
            "error: service `db`: `image` needs a container engine: `bgjobs script compose` runs such a file\n  \
             --> compose.yaml:3:5\n3 |     image: postgres\n  |     ^^^^^\n\
             try: bgjobs script -e 'import \"std/compose\" as compose; compose::up(#{file: \"compose.yaml\"}); stay()'\n"
                .to_owned(),
        ),
    ];
    for (files, args, said) in cases {
        let ended = Live::up(files, args).ended().code(2);
        assert_eq!(&ended.stderr, said, "{args:?}");
        assert_eq!(ended.stdout, "", "{args:?}");
    }
    let package =
        r#"{"scripts": {"dev": "concurrently \"npm:api\" \"npm:web\"", "api": "node a.js", "web": "vite"}}"#;
    let ended = Live::up(&[("sub/package.json", package)], &["sub"]).ended().code(2);
    let _ = ended
        .says("found sub/package.json\nerror: this is a package, not a list of services; ")
        .says("try: bgjobs script multi-service --service \"api=npm run api\" ");
}

#[test]
fn a_job_can_be_shown_live_in_a_script() {
    let code = r#"
        let job = spawn("talks", "printf 'one\ntwo'; sleep 0.05; echo ' halves'; printf end", #{echo: true});
        spawn("quiet", "echo nothing");
        wait_exit(jobs());
    "#;
    let ran = Script::code(code).run().code(0).stdout("");
    let lines: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("talks |")).collect();
    assert_eq!(lines, ["talks | one", "talks | two halves", "talks | end"], "{}", ran.stderr);
    assert!(!ran.stderr.contains("quiet |"), "{}", ran.stderr);
}

#[test]
fn what_a_job_prints_is_shown_whole_however_much_and_however_late() {
    let code = r#"
        let job = spawn("many", "i=0; while [ $i -lt 30000 ]; do echo line $i; i=$((i+1)); done; exec sleep 300", #{echo: true});
        job.wait_log("^line 29999$");
    "#;
    let ran = Script::code(code).run().code(0);
    let lines: Vec<&str> = ran.stderr.lines().filter_map(|line| line.strip_prefix("many | line ")).collect();
    assert_eq!(lines.len(), 30_000);
    assert!(lines.iter().enumerate().all(|(number, line)| line.parse() == Ok(number)));
}

#[test]
fn the_command_has_its_help_and_is_completed() {
    let said = |args: &[&str]| {
        let ran = Command::new(bgjobs()).args(args).output().expect("bgjobs starts");
        String::from_utf8_lossy(&ran.stdout).into_owned()
    };
    for args in [&["up", "--help"][..], &["man", "up"], &["completions", "bash"], &["completions", "fish"]] {
        let text = said(args).replace("\\-", "-");
        assert!(text.contains("env-file") && text.contains("exec"), "{args:?}: {text}");
    }
}
