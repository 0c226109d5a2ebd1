//! Faults and hostile surroundings: for each a clear error or normal work, nothing lost, nothing left, the right exit
//! code.
//!
//! Every run here has a token in its environment, which all of /proc is searched for afterwards, and a TMPDIR of its
//! own, which must be empty after a success.

use crate::support::bgjobs;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// How long anything that must happen may take on a busy machine before the test gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// A script that starts a job which ignores TERM and a daemon in a session of its own, and goes on for ever.
const ENDLESS: &str = "spawn(\"trap '' TERM; sleep 600; :\"); run(\"setsid sleep 600 >/dev/null 2>&1 &\"); print(\"up\"); loop { sleep(0.01); }";

/// A place to run in: a directory, with a TMPDIR below it, and a token.
struct Place {
    dir: tempfile::TempDir,
    token: String,
}

impl Place {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let dir = tempfile::Builder::new().prefix("bs").tempdir_in("/tmp").expect("a directory");
        let name = dir.path().file_name().expect("a name").to_string_lossy().into_owned();
        fs::create_dir(dir.path().join("t")).expect("a directory");
        Self { token: format!("surroundings-{}-{name}", NUMBER.fetch_add(1, SeqCst)), dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A command that carries the token, with this place's TMPDIR, its output in files.
    fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        let file = |name: &str| File::create(self.path(name)).expect("a file");
        command.env("SURROUNDINGS", &self.token).env("TMPDIR", self.path("t")).stdin(Stdio::null());
        command.current_dir(self.dir.path());
        command.stdout(file("stdout")).stderr(file("stderr"));
        command
    }

    /// `bgjobs script`, with this code.
    fn script(&self, code: &str, options: &[&str]) -> Command {
        let mut command = self.command(bgjobs());
        command.arg("script").args(options).args(["-e", code]);
        command
    }

    fn start(&self, command: &mut Command) -> Run<'_> {
        Run { place: self, child: command.spawn().expect("it starts"), started: Instant::now() }
    }

    fn run(&self, command: &mut Command) -> Ran<'_> {
        self.start(command).wait()
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(name)).unwrap_or_default()).into_owned()
    }

    /// Everyone who carries the token: pid and command line.
    fn carriers(&self) -> Vec<(i32, String)> {
        let carries = |pid: i32| {
            let environ = fs::read(format!("/proc/{pid}/environ")).ok()?;
            let found = environ.windows(self.token.len()).any(|window| window == self.token.as_bytes());
            let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            found.then(|| (pid, command.replace('\0', " ")))
        };
        let processes = fs::read_dir("/proc").expect("/proc").flatten();
        processes.filter_map(|entry| carries(entry.file_name().to_str()?.parse().ok()?)).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for (pid, _) in self.carriers() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

struct Run<'a> {
    place: &'a Place,
    child: Child,
    started: Instant,
}

/// What came of it.
struct Ran<'a> {
    place: &'a Place,
    status: ExitStatus,
    took: Duration,
}

impl<'a> Run<'a> {
    fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), signal);
    }

    /// The child of the process that was started: the host, when that was bgjobs.
    fn host(&self) -> Option<i32> {
        let pid = self.child.id();
        let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        list.split_whitespace().next()?.parse().ok()
    }

    #[track_caller]
    fn eventually(&self, what: &str, holds: impl Fn() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds() {
            assert!(
                Instant::now() < until,
                "it never came that {what}; stderr:\n{}",
                self.place.read("stderr")
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[track_caller]
    fn wait(mut self) -> Ran<'a> {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                break status;
            }
            if Instant::now() > until {
                let _ = self.child.kill();
                panic!("it does not return; stderr:\n{}", self.place.read("stderr"));
            }
            std::thread::sleep(Duration::from_micros(500));
        };
        Ran { place: self.place, status, took: self.started.elapsed() }
    }
}

impl Ran<'_> {
    #[track_caller]
    fn code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{:?}\n{}", self.status, self.output());
        self
    }

    #[track_caller]
    fn died_of(self, signal: Signal) -> Self {
        assert_eq!(self.status.signal(), Some(signal as i32), "{:?}\n{}", self.status, self.output());
        self
    }

    #[track_caller]
    fn stderr_has(self, text: &str) -> Self {
        assert!(self.place.read("stderr").contains(text), "no {text:?} in\n{}", self.output());
        self
    }

    #[track_caller]
    fn stdout(self, text: &str) -> Self {
        assert_eq!(self.place.read("stdout"), text, "{}", self.output());
        self
    }

    /// Nobody may be left, now.
    #[track_caller]
    fn nothing_left(self) -> Self {
        let left = self.place.carriers();
        assert!(left.is_empty(), "left: {left:?}\n{}", self.output());
        self
    }

    /// Not even a directory.
    #[track_caller]
    fn no_directory(self) -> Self {
        let left: Vec<_> =
            fs::read_dir(self.place.path("t")).expect("TMPDIR").flatten().map(|e| e.path()).collect();
        assert!(left.is_empty(), "left: {left:?}\n{}", self.output());
        self
    }

    #[track_caller]
    fn within(self, bound: Duration) -> Self {
        assert!(self.took <= bound, "it took {:?}\n{}", self.took, self.output());
        self
    }

    fn output(&self) -> String {
        format!("stdout:\n{}\nstderr:\n{}", self.place.read("stdout"), self.place.read("stderr"))
    }
}

// ---- bgjobs itself hangs (see src/sys/testing.rs) --------------------------------------------------------------

/// A run of a script that hangs at a place, once it has come there.
fn hang<'a>(place: &'a Place, at: &str, code: &str) -> Run<'a> {
    let file = place.path("hang");
    fs::write(&file, "").expect("a file");
    let run = place.start(
        place.script(code, &["--grace", "300ms"]).env("BGJOBS_TEST_HANG", format!("{at}:{}", file.display())),
    );
    run.eventually("it hangs", || place.path("hang.reached").exists());
    run
}

/// What the guard gives a host that has said that its stop has begun: the grace period and four seconds.
const GUARDS_PATIENCE: Duration = Duration::from_millis(4300);
/// How late it may be on a busy machine.
const LATE: Duration = Duration::from_secs(4);

#[test]
fn a_deadlock_in_the_teardown_is_ended_by_the_guard() {
    let place = Place::new();
    let code = ENDLESS.replace("loop { sleep(0.01); }", "");
    let run = hang(&place, "teardown", &code);
    let ran = run.wait().code(125).nothing_left().within(GUARDS_PATIENCE + LATE);
    let _ =
        ran.stderr_has("error: the host process did not stop in time and was killed").stderr_has("0 leaked");
}

#[test]
fn a_signal_during_the_teardown_changes_nothing_but_how_bgjobs_ends() {
    let place = Place::new();
    let run = hang(&place, "verdict", "spawn(\"sleep 600\");");
    run.signal(Signal::SIGTERM);
    fs::remove_file(place.path("hang")).expect("a file");
    let ran = run.wait().code(0).nothing_left().no_directory();
    let _ = ran.stderr_has("1 job stopped, 0 leaked");
}

#[test]
fn a_script_that_spins_in_a_native_call_is_left_behind_by_the_teardown() {
    let place = Place::new();
    let file = place.path("hang");
    let code = ENDLESS.replace("loop {", &format!("write_file({:?}, \"\"); loop {{", file));
    let mut command = place.script(&code, &["--grace", "300ms"]);
    let run = place.start(command.env("BGJOBS_TEST_HANG", format!("script:{}", file.display())));
    run.eventually("it spins", || place.path("hang.reached").exists());
    let since = Instant::now();
    run.signal(Signal::SIGTERM);
    let ran = run.wait().died_of(Signal::SIGTERM).nothing_left();
    assert!(since.elapsed() < Duration::from_secs(2) + LATE, "{:?}\n{}", since.elapsed(), ran.output());
    let _ = ran.stderr_has("interrupted by SIGTERM").stderr_has("0 leaked");
}

#[test]
fn a_signal_before_the_script_runs_ends_the_run_by_it_and_starts_nothing() {
    for at in ["guard", "start"] {
        let place = Place::new();
        let run = hang(&place, at, "write_file(\"started\", \"\"); spawn(\"sleep 600\"); sleep(60);");
        run.signal(Signal::SIGTERM);
        fs::remove_file(place.path("hang")).expect("a file");
        let ran = run.wait().died_of(Signal::SIGTERM).nothing_left().no_directory();
        let ran = ran.stderr_has("interrupted by SIGTERM (exit 143)").stderr_has("0 leaked");
        assert!(!ran.place.path("started").exists(), "{}", ran.output());
    }
}

#[test]
fn a_host_that_is_killed_while_it_starts_a_job_leaves_nothing() {
    let place = Place::new();
    let run = hang(&place, "spawn", "spawn(\"sleep 600\"); sleep(60);");
    let host = run.host().expect("a host");
    let _ = kill(Pid::from_raw(host), Signal::SIGKILL);
    // The child has its signals blocked: it does not even hear the one that the kernel sends it.
    let ran = run.wait().code(125).nothing_left();
    let _ = ran.stderr_has("error: host killed by SIGKILL").stderr_has("0 leaked");
}

#[test]
fn a_guard_that_is_killed_while_a_job_is_being_started_leaves_nothing() {
    let place = Place::new();
    let run = hang(&place, "spawn", "spawn(\"sleep 600\"); sleep(60);");
    run.signal(Signal::SIGKILL);
    fs::remove_file(place.path("hang")).expect("a file");
    let ran = run.wait().died_of(Signal::SIGKILL);
    let until = Instant::now() + PATIENCE;
    while !place.carriers().is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = ran.nothing_left();
}

#[test]
fn a_job_that_never_comes_to_its_exec_does_not_keep_the_guard() {
    let place = Place::new();
    let run = hang(&place, "spawn", "spawn(\"sleep 600\"); sleep(60);");
    let since = Instant::now();
    run.signal(Signal::SIGQUIT);
    let ran = run.wait().nothing_left();
    assert!(since.elapsed() < Duration::from_secs(4) + LATE, "{:?}\n{}", since.elapsed(), ran.output());
    let _ = ran.died_of(Signal::SIGQUIT).stderr_has("0 leaked");
}

// ---- What the caller gives us ----------------------------------------------------------------------------------

/// A job that becomes ready, a command with output, an end: all that a run needs.
const USUAL: &str = "let job = start(\"echo up; exec sleep 600\", #{name: \"job\", ready: #{log: \"up\"}});
    assert_eq(output(\"echo out; echo err >&2\"), \"out\");
    run(\"cat; echo done\");";

/// The usual script under a shell that first does this; `"$@"` is bgjobs.
fn under(place: &Place, shell: &str, code: &str) -> Command {
    let mut command = place.command("/bin/sh");
    command.args(["-c", shell, "sh"]).arg(bgjobs()).args(["script", "--grace", "1s", "-e", code]);
    command
}

#[test]
fn closed_standard_descriptors_are_no_hindrance() {
    for (shell, stdout, verdict) in [
        ("exec \"$@\" <&-", "done\n", true),
        ("exec \"$@\" >&-", "", true),
        ("exec \"$@\" 2>&-", "done\n", false),
        ("exec \"$@\" <&- >&- 2>&-", "", false),
    ] {
        let place = Place::new();
        let ran = place.run(&mut under(&place, shell, USUAL)).code(0).nothing_left().no_directory();
        let ran = ran.stdout(stdout);
        assert_eq!(
            place.read("stderr").contains("1 job stopped, 0 leaked"),
            verdict,
            "{shell}\n{}",
            ran.output()
        );
    }
}

// ---- The proof -------------------------------------------------------------------------------------------------

/// A process that is no descendant of the run, ended with the test.
struct Stranger(Child);

impl Stranger {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts"))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn python(code: &str, args: &[&Path]) -> Command {
    let mut command = Command::new("python3");
    command.args(["-SEc", code]).args(args);
    command
}

/// Takes the listening socket that is sent to it over a Unix socket, and keeps it.
const TAKES: &str = "import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()
c = s.accept()[0]; taken = socket.recv_fds(c, 1, 1); c.sendall(b'x'); time.sleep(600)";
/// Listens, and hands the socket to somebody else as well.
const GIVES: &str = "import socket, sys, time
l = socket.create_server(('127.0.0.1', int(sys.argv[1])), reuse_port=True)
if len(sys.argv) > 2:
    c = socket.socket(socket.AF_UNIX); c.connect(sys.argv[2]); socket.send_fds(c, [b'x'], [l.fileno()]); c.recv(1)
print('up', flush=True); time.sleep(600)";

/// A script with a job that listens, and hands its socket on when there is somebody to take it.
fn listening(place: &Place, then: &str) -> String {
    let give =
        if place.path("take").exists() { format!(", {:?}", place.path("take")) } else { String::new() };
    let ready = "#{name: \"server\", ready: #{log: \"up\"}}";
    format!(
        "let port = free_port(); write_file({:?}, port);
        start([\"python3\", \"-SEc\", {GIVES:?}, `${{port}}`{give}], {ready}); {then}",
        place.path("port")
    )
}

fn taker(place: &Place) -> Stranger {
    let stranger = Stranger::start(&mut python(TAKES, &[&place.path("take")]));
    let until = Instant::now() + PATIENCE;
    while !place.path("take").exists() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
    stranger
}

#[test]
fn a_socket_of_a_job_that_somebody_else_took_over_is_named_as_leaked() {
    let place = Place::new();
    let stranger = taker(&place);
    let ran = place.run(&mut place.script(&listening(&place, ""), &[])).code(125).nothing_left();
    let (port, pid) = (place.read("port"), stranger.pid());
    let ran = ran.stderr_has(&format!(
        "leaked: port {port}, which a job opened, is still listened on by pid {pid} (user "
    ));
    let _ = ran.stderr_has("bgjobs: failed (exit 125)").stderr_has("1 job stopped, 1 leaked");
}

#[test]
fn the_guard_names_such_a_socket_when_the_host_is_killed_and_jobs_that_ignored_their_signal() {
    let place = Place::new();
    let stranger = taker(&place);
    let code = listening(
        &place,
        "wait_port(port); spawn(\"deaf\", \"trap '' TERM; touch deaf; sleep 600; :\"); sleep(60);",
    );
    let run = place.start(&mut place.script(&code, &["--grace", "300ms"]));
    run.eventually("all is up", || place.path("deaf").exists());
    let _ = kill(Pid::from_raw(run.host().expect("a host")), Signal::SIGKILL);
    let ran = run.wait().code(125).nothing_left();
    let (port, pid) = (place.read("port"), stranger.pid());
    let ran = ran.stderr_has(&format!(
        "leaked: port {port}, which a job opened, is still listened on by pid {pid} (user "
    ));
    let _ =
        ran.stderr_has("  = deaf ignored TERM, killed after 300 ms\n").stderr_has("2 jobs stopped, 1 leaked");
}

#[test]
fn somebody_elses_server_on_the_port_of_a_job_is_no_leak() {
    let place = Place::new();
    // It comes while the job listens, and stays.
    let then = "write_file(\"listens\", \"\"); wait_file(\"taken\");";
    let run = place.start(&mut place.script(&listening(&place, then), &[]));
    run.eventually("the job listens", || place.path("listens").exists());
    let port = place.read("port");
    let stranger = Stranger::start(&mut python(GIVES, &[Path::new(&port)]));
    let open = |count| {
        let table = fs::read_to_string("/proc/net/tcp").expect("a table");
        let port: u16 = port.parse().expect("a port");
        table.lines().filter(|line| line.contains(&format!(":{port:04X} 00000000:0000 0A"))).count() == count
    };
    run.eventually("both listen", || open(2));
    fs::write(place.path("taken"), "").expect("a file");
    let _ = run.wait().code(0).nothing_left().no_directory().stderr_has("1 job stopped, 0 leaked");
    assert!(open(1), "the stranger {} goes on", stranger.pid());
}

#[test]
fn a_process_with_the_mark_of_the_run_is_named_as_leaked_whoever_its_parent_is() {
    let place = Place::new();
    let code = "run(\"echo $BGJOBS_RUN >mark.new; mv mark.new mark\"); wait_file(\"go\");";
    let run = place.start(&mut place.script(code, &[]));
    run.eventually("the mark is known", || place.path("mark").exists());
    // As `at` does it: the environment of a job, started by somebody else.
    let stranger =
        Stranger::start(Command::new("sleep").arg("600").env("BGJOBS_RUN", place.read("mark").trim()));
    fs::write(place.path("go"), "").expect("a file");
    let ran = run.wait().code(125);
    let ran =
        ran.stderr_has(&format!("leaked: pid {} (user ", stranger.pid())).stderr_has("state S): sleep 600\n");
    let _ = ran.stderr_has("0 jobs stopped, 1 leaked");
}

#[test]
fn a_leak_changes_no_other_exit_code() {
    let place = Place::new();
    let _stranger = taker(&place);
    let ran = place.run(&mut place.script(&listening(&place, "exit(7);"), &[])).code(7);
    let _ = ran.stderr_has("bgjobs: failed (exit 7)").stderr_has("1 leaked");
}

/// The negative control: what the sweep does not end, the look at the end must see.
#[test]
fn what_the_sweep_leaves_is_named() {
    let place = Place::new();
    // Nothing says whose it is, so that it is only the sweep that ends it.
    let code = "spawn(\"(setsid env -i sh -c 'echo $$ >new; mv new pid; exec sleep 600' <&- >&- 2>&- &); sleep 600; :\");
        wait_file(\"pid\");
        let pid = read_file(\"pid\").trim();
        wait_until(|| read_file(`/proc/${pid}/comm`) == \"sleep\\n\");";
    let mut command = place.script(code, &["--grace", "100ms"]);
    let ran = place.run(command.env("BGJOBS_TEST_OFF", "sweep"));
    let pid = place.read("pid").trim().parse().expect("a pid");
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    let ran = ran.code(125).stderr_has("1 job stopped, 1 leaked");
    let _ = ran.stderr_has(&format!("leaked: pid {pid} (user ")).stderr_has("state S): sleep 600\n");
}

#[test]
fn a_job_that_was_killed_is_mentioned_even_when_quiet() {
    let place = Place::new();
    let code =
        "start(\"api\", \"trap '' TERM; echo up; while :; do sleep 600; done\", #{ready: #{log: \"up\"}});";
    let ran = place.run(&mut place.script(code, &["-q", "--grace", "300ms"])).code(0).nothing_left();
    let text = place.read("stderr");
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines.len() == 2 && lines[0].ends_with("s api ignored TERM, killed after 300 ms"),
        "{}",
        ran.output()
    );
    assert!(lines[1].ends_with("1 job stopped, 0 leaked"), "{}", ran.output());
}
