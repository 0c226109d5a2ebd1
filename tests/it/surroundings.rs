//! Faults and hostile surroundings: for each a clear error or normal work, nothing lost, nothing left, the right exit
//! code.
//!
//! Every run here has a token in its environment, which all of /proc is searched for afterwards, and a TMPDIR of its
//! own, which must be empty after a success.

use crate::clock::Moment;
use crate::support::{Script, bgjobs, skip};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// How long anything that must happen may take on a busy machine before the test gives up.
const PATIENCE: Duration = Duration::from_secs(120);
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
        command.env("INFRASTRUCTURE", &self.token).env("TMPDIR", self.path("t")).stdin(Stdio::null());
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
        Run { place: self, child: command.spawn().expect("it starts"), started: Moment::now() }
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
    started: Moment,
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

/// What the guard gives a host that has said that its stop has begun: twice the grace period and four seconds.
const GUARDS_PATIENCE: Duration = Duration::from_millis(4600);
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
    let since = Moment::now();
    run.signal(Signal::SIGTERM);
    let ran = run.wait().died_of(Signal::SIGTERM).nothing_left();
    assert!(since.elapsed() < Duration::from_secs(2) + LATE, "{:?}\n{}", since.elapsed(), ran.output());
    let _ = ran.stderr_has("interrupted by SIGTERM").stderr_has("0 leaked");
}

#[test]
fn a_signal_before_the_script_runs_ends_the_run_by_it() {
    for at in ["guard", "start"] {
        let place = Place::new();
        let run = hang(&place, at, "spawn(\"sleep 600\"); sleep(60);");
        run.signal(Signal::SIGTERM);
        fs::remove_file(place.path("hang")).expect("a file");
        let ran = run.wait().died_of(Signal::SIGTERM).nothing_left();
        let _ = ran.stderr_has("interrupted by SIGTERM (exit 143)").stderr_has("0 leaked");
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
    let since = Moment::now();
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
    let ran = ran.stderr_has(&format!("leaked: pid {} (user ", stranger.pid())).stderr_has("): sleep 600\n");
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
    // Nothing says whose of two jobs it is, so that it is only the sweep that ends it.
    let code = "spawn(\"sleep 600\"); spawn(\"(setsid env -i sh -c 'echo $$ >new; mv new pid; exec sleep 600' <&- >&- 2>&- &); sleep 600; :\");
        wait_file(\"pid\");
        let pid = read_file(\"pid\").trim();
        wait_until(|| read_file(`/proc/${pid}/comm`) == \"sleep\\n\");";
    let mut command = place.script(code, &["--grace", "100ms"]);
    let ran = place.run(command.env("BGJOBS_TEST_OFF", "sweep"));
    let pid = place.read("pid").trim().parse().expect("a pid");
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    let ran = ran.code(125).stderr_has("2 jobs stopped, 1 leaked");
    let _ = ran.stderr_has(&format!("leaked: pid {pid} (user "));
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

#[test]
fn what_the_caller_ignores_a_job_does_not() {
    let place = Place::new();
    let code = "print(output(\"grep SigIgn /proc/self/status\")); run(\"yes | head -n 1\");";
    let ran = place.run(&mut under(&place, "trap '' PIPE INT HUP TERM XFSZ USR1; exec \"$@\"", code)).code(0);
    let text = place.read("stdout");
    let mask = text.split_whitespace().nth(1).and_then(|mask| u64::from_str_radix(mask, 16).ok());
    // 32 and 33 belong to the C library, which lets nobody touch them.
    assert_eq!(mask.map(|mask| mask & !(3 << 31)), Some(0), "{}", ran.output());
    assert!(text.ends_with("\ny\n"), "{}", ran.output());
    let _ = ran.nothing_left().no_directory();
}

#[test]
fn without_a_home_or_any_environment_a_run_works() {
    for clean in [
        "env -u HOME \"$@\"",
        "TMPDIR=$TMPDIR; exec env -i TMPDIR=\"$TMPDIR\" INFRASTRUCTURE=$INFRASTRUCTURE \"$@\"",
    ] {
        let place = Place::new();
        let ran = place.run(&mut under(&place, clean, USUAL));
        let _ = ran.code(0).stdout("done\n").nothing_left().no_directory();
    }
}

#[test]
fn an_environment_or_argument_that_is_too_large_is_a_clear_error() {
    for code in [
        "let s = \"x\"; s.pad(140000, 'x'); set_env(\"BIG\", s); run(\"true\");",
        "let s = \"x\"; s.pad(120000, 'x'); for i in 0..60 { set_env(`V${i}`, s); } spawn(\"sleep 600\");",
        "let s = \"x\"; s.pad(140000, 'x'); run([\"echo\", s]);",
    ] {
        let place = Place::new();
        let ran = place.run(&mut place.script(code, &[])).code(126).nothing_left();
        let _ = ran
            .stderr_has("cannot be executed: arguments and environment are too large (one may have 128 KiB");
    }
    // What the caller could pass, our jobs get.
    let place = Place::new();
    let large = "x".repeat(100_000);
    let mut command = place.script("assert_eq(output(\"echo ${#V9}\"), \"100000\");", &[]);
    command.envs((0..10).map(|i| (format!("V{i}"), &large)));
    let _ = place.run(&mut command).code(0).nothing_left().no_directory();
}

#[test]
fn what_is_not_utf8_is_passed_on_or_refused_but_never_changed() {
    use std::os::unix::ffi::OsStrExt;
    let odd = std::ffi::OsStr::from_bytes(b"a\xffb");
    let place = Place::new();
    let code = "run(\"printf %s \\\"$ODD\\\" | od -An -c; pwd | od -An -c | tail -c 13; touch here\"); print(exists(\"here\"));";
    fs::create_dir(place.dir.path().join(odd)).expect("a directory");
    let mut command = place.script(code, &[]);
    command.env("LANG", "C").env("ODD", odd).current_dir(place.dir.path().join(odd));
    let ran = place.run(&mut command).code(0).nothing_left().no_directory();
    let text = place.read("stdout");
    assert!(text.matches("377").count() == 2 && text.ends_with("true\n"), "{}", ran.output());

    let ran = place.run(place.script("print(env(\"ODD\"));", &[]).env("ODD", odd)).code(1);
    let _ = ran.stderr_has("error: env: the value of `ODD` is not UTF-8");
    let ran = place.run(place.script("print(args());", &[]).arg(odd)).code(2).stdout("");
    let _ = ran.stderr_has("error: invalid UTF-8 was detected in one or more arguments");
    // A script could not name a temporary directory there.
    let mut command =
        place.script("let dir = temp_dir(); run(\"ls -d \" + quote(dir)); assert(exists(dir));", &[]);
    let _ = place.run(command.env("TMPDIR", place.dir.path().join(odd))).code(0);
}

// ---- The current directory, TMPDIR, /proc ------------------------------------------------------------------------

#[test]
fn a_current_directory_that_was_removed_is_refused() {
    let place = Place::new();
    let ran =
        place.run(&mut under(&place, "mkdir gone; cd gone; rmdir ../gone; exec \"$@\"", USUAL)).code(125);
    let ran = ran.stderr_has(
        "error: cannot tell the current directory (was it removed? change to another): No such file",
    );
    let _ = ran.stdout("").no_directory();
}

#[test]
fn a_current_directory_that_may_not_be_entered_is_an_error_of_the_first_job() {
    let Some(user) = Ordinary::new() else { return };
    let place = Place::new();
    let ran = place.run(&mut user.script(&place, "mkdir -m 700 mine; cd mine; exec \"$@\"", USUAL)).code(1);
    let _ = ran.stderr_has("mine` (cwd) cannot be entered: Permission denied").nothing_left().no_directory();
}

#[test]
fn a_temporary_directory_that_cannot_be_used_is_refused_with_the_way_out() {
    let place = Place::new();
    for (shell, reason) in [
        (
            "export TMPDIR=/nonexistent; exec \"$@\"",
            "/nonexistent (set TMPDIR to a writable one): No such file",
        ),
        (
            "export TMPDIR=/etc/passwd; exec \"$@\"",
            "/etc/passwd (set TMPDIR to a writable one): Not a directory",
        ),
    ] {
        let ran = place.run(&mut under(&place, shell, USUAL)).code(125).stdout("");
        let _ = ran.stderr_has(&format!("error: cannot create a directory in {reason}"));
    }
    if may_unshare() {
        let shell = "exec unshare -m sh -c 'mount -t tmpfs -o ro none \"$TMPDIR\"; exec \"$@\"' sh \"$@\"";
        let ran = place.run(&mut under(&place, shell, USUAL)).code(125).stdout("");
        let _ = ran.stderr_has("(set TMPDIR to a writable one): Read-only file system");
    }
}

#[test]
fn a_temporary_directory_may_have_any_name() {
    let place = Place::new();
    let name = "a b 'c\"$d";
    fs::create_dir(place.path(name)).expect("a directory");
    let code = format!(
        "{USUAL} let dir = temp_dir(); write_file(`${{dir}}/x`, \"\"); run(\"ls \" + quote(dir)); run([\"ls\", dir]);"
    );
    let ran = place.run(place.script(&code, &[]).env("TMPDIR", place.path(name))).code(0).nothing_left();
    let ran = ran.stdout("done\nx\nx\n");
    assert!(fs::read_dir(place.path(name)).expect("a directory").next().is_none(), "{}", ran.output());
}

#[test]
fn without_proc_bgjobs_refuses_and_says_why() {
    if !may_unshare() {
        return;
    }
    for shell in [
        "exec unshare -m sh -c 'mount -t tmpfs none /proc; exec \"$@\"' sh \"$@\"",
        // The /proc of another PID namespace: every number there is somebody else's.
        "exec unshare --pid --fork \"$@\"",
    ] {
        let place = Place::new();
        let ran = place.run(&mut under(&place, shell, USUAL)).code(125).stdout("").no_directory();
        let _ = ran.stderr_has(
            "error: /proc is not mounted here or belongs to another PID namespace, and without it no",
        );
    }
}

const HIDDEN: &str = "exec unshare --mount --pid --fork --kill-child sh -c 'mount -t proc -o hidepid=2 proc /proc; exec \"$@\"' sh";

#[test]
fn a_proc_that_hides_other_users_is_enough() {
    let Some(user) = Ordinary::new() else { return };
    let place = Place::new();
    let code = format!(
        "{USUAL} run(\"setsid sleep 600 >/dev/null 2>&1 &\");
        {} wait_port(port); assert(port_owner(port).ours);",
        listening(&place, "")
    );
    let ran = place.run(&mut user.script(&place, &format!("{HIDDEN} \"$@\""), &code)).code(0);
    let _ = ran.nothing_left().no_directory().stderr_has("2 jobs stopped, 0 leaked");
}

/// A job that has become another user cannot be killed, and such a /proc does not even show it.
#[test]
fn a_job_that_proc_hides_is_named_all_the_same() {
    let Some(user) = Ordinary::new() else { return };
    let place = Place::new();
    let which = Command::new("python3").args(["-SEc", "import sys; print(sys.executable)"]).output();
    let interpreter = String::from_utf8(which.expect("python3").stdout).expect("a path");
    let copy = place.path("root-python");
    copy_program(Path::new(interpreter.trim()), &copy);
    set_mode(&copy, 0o4755);
    let become_root = "import os, time; os.setuid(0); open('root', 'w').close(); time.sleep(600)";
    let code = format!("spawn([{copy:?}, \"-SEc\", {become_root:?}]); wait_file(\"root\");");
    let ran = place.run(&mut user.script(&place, &format!("{HIDDEN} \"$@\""), &code)).code(125);
    let _ = ran.stderr_has("(user ?, state ?): ? (/proc hides it)").stderr_has("1 leaked");
}

// ---- Limits ------------------------------------------------------------------------------------------------------

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

/// By a process of its own: while we had the copy open for writing, another test might fork, and with its child
/// alive the copy could not be executed (ETXTBSY).
fn copy_program(from: &Path, to: &Path) {
    let copied = Command::new("cp").args([from, to]).status();
    assert!(copied.is_ok_and(|status| status.success()), "{from:?} to {to:?}");
}

/// Whether namespaces can be made here, as root.
fn may_unshare() -> bool {
    let tried = Command::new("unshare").args(["--mount", "--pid", "--fork", "--mount-proc", "true"]).output();
    let allowed = tried.is_ok_and(|output| output.status.success());
    or_skip(allowed, "namespaces cannot be made here")
}

fn or_skip(allowed: bool, why: &str) -> bool {
    if !allowed {
        skip(why);
    }
    allowed
}

/// A user that nobody else is, so that limits of its processes count only ours.
struct Ordinary(u32);

impl Ordinary {
    fn new() -> Option<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = u32::try_from(NEXT.fetch_add(1, SeqCst)).expect("few");
        let allowed = nix::unistd::geteuid().is_root() && may_unshare();
        or_skip(allowed, "only root can become another user")
            .then_some(Self(200_000 + std::process::id() % 100_000 * 10 + number))
    }

    /// The script as this user, under a shell (as root) that first does this.
    fn script(&self, place: &Place, shell: &str, code: &str) -> Command {
        // The built binary may lie where this user may not go.
        let program = place.path("bgjobs");
        copy_program(&bgjobs(), &program);
        for (path, mode) in [(place.dir.path(), 0o777), (&place.path("t"), 0o777), (&program, 0o755)] {
            set_mode(path, mode);
        }
        let id = self.0.to_string();
        let mut command = place.command("/bin/sh");
        command.args(["-c", shell, "sh", "setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"]);
        command.arg(program).args(["script", "--grace", "1s", "-e", code]);
        command
    }
}

#[test]
fn few_descriptors_are_enough_or_a_clear_error() {
    let place = Place::new();
    // It needs 31 as a rule, and some more for a moment where several threads look at processes at once.
    for limit in ["ulimit -n 40", "ulimit -S -n 40"] {
        let ran = place.run(&mut under(&place, &format!("{limit}; exec \"$@\""), USUAL));
        let _ = ran.code(0).stdout("done\n").nothing_left().no_directory();
    }
    for limit in (4..40).step_by(2) {
        let ran =
            place.run(&mut under(&place, &format!("ulimit -n {limit}; exec \"$@\""), USUAL)).nothing_left();
        if ran.status.code() == Some(0) {
            let _ = ran.stdout("done\n").no_directory();
            continue;
        }
        let ran = ran.code(125).stderr_has("the limit of open files is reached (`ulimit -n`)");
        if !place.read("stderr").contains("logs: ") {
            let _ = ran.no_directory();
        }
        fs::remove_dir_all(place.path("t")).and_then(|()| fs::create_dir(place.path("t"))).expect("TMPDIR");
    }
    // A pipe to each: it ends in the middle of the script, and the teardown must still see everybody.
    let code = "for i in 0..60 { spawn(\"trap '' TERM; sleep 600; :\", #{stdin: \"pipe\"}); }";
    let ran = place.run(&mut under(&place, "ulimit -n 32; exec \"$@\"", code)).code(125).nothing_left();
    let _ = ran.stderr_has("the limit of open files is reached (`ulimit -n`)").stderr_has("0 leaked");
}

#[test]
fn few_processes_are_a_clear_error() {
    let Some(user) = Ordinary::new() else { return };
    let place = Place::new();
    let run = |limit: u32, code: &str| {
        let shell = format!(
            "shift; exec setpriv \"$1\" \"$2\" \"$3\" \"$4\" \"$5\" prlimit --nproc={limit} \"$6\" \"$7\" \"$8\" \"$9\" \"${{10}}\" \"${{11}}\""
        );
        place.run(&mut user.script(&place, &shell, code)).nothing_left()
    };
    for limit in 1..8 {
        let _ = run(limit, USUAL).code(125).stderr_has("the limit of processes is reached (`ulimit -u`");
    }
    let ran = run(14, "for i in 0..60 { spawn(\"trap '' TERM; sleep 600; :\"); }").code(125);
    let ran =
        ran.stderr_has("error: spawn: cannot make a process: the limit of processes is reached (`ulimit -u`");
    let _ = ran.stderr_has("0 leaked");
    let code = "let n = 0; try { for i in 0..60 { spawn(\"sleep 600\"); n += 1; } } catch (e) { print(e.kind); } assert(n > 1); kill_all(); spawn(\"sleep 600\");";
    let _ = run(14, code).code(0).stdout("io\n").stderr_has("0 leaked");
}

#[test]
fn little_memory_is_enough_or_a_clear_error() {
    let place = Place::new();
    // Below that the debug build is hardly in memory: the kernel, or the first allocation, ends it.
    for kib in [46_000, 50_000, 60_000, 80_000, 300_000, 600_000] {
        let ran =
            place.run(&mut under(&place, &format!("ulimit -v {kib}; exec \"$@\""), USUAL)).nothing_left();
        match ran.status.code() {
            Some(0) => drop(ran.stdout("done\n")),
            // The dynamic linker, and our own two processes.
            Some(127) => drop(ran.stderr_has("error while loading shared libraries")),
            _ => drop(ran.code(125).stderr_has("error: ")),
        }
    }
    let code = "spawn(\"trap '' TERM; sleep 600; :\"); let all = []; loop { let s = \"x\"; s.pad(1000000, 'x'); all.push(s); }";
    let ran = place.run(&mut under(&place, "ulimit -v 600000; exec \"$@\"", code)).nothing_left();
    assert!(matches!(ran.status.code(), Some(1 | 125)), "{}", ran.output());
    let _ = ran.stderr_has("0 leaked");
}

#[test]
fn an_endless_recursion_is_an_error_of_the_script() {
    let place = Place::new();
    let code = "spawn(\"sleep 600\"); fn f(n) { f(n + 1) } f(0)";
    let ran = place.run(&mut place.script(code, &[])).code(1).nothing_left();
    let _ = ran.stderr_has("error: more than 1000 nested calls").stderr_has("0 leaked");
}

#[test]
fn a_limit_of_file_sizes_ends_what_writes_too_much_and_not_bgjobs() {
    let place = Place::new();
    let limited = |blocks: u32, code: &str| {
        place.run(&mut under(&place, &format!("ulimit -f {blocks}; exec \"$@\""), code)).nothing_left()
    };
    let text = "let s = \"x\"; s.pad(100000, 'x');";
    let ran = limited(8, "spawn(\"yes\"); sleep(\"20s\");").code(125);
    let _ = ran.stderr_has("job `yes` was killed by SIGXFSZ").stderr_has("0 leaked");
    let ran = limited(8, &format!("{text} spawn(\"sleep 600\"); write_file(\"big\", s);")).code(1);
    let _ = ran.stderr_has("cannot write `big`: file too large").stderr_has("1 job stopped, 0 leaked");
    let ran = limited(8, &format!("{text} spawn(\"cat; sleep 600\", #{{stdin: #{{text: s}}}});")).code(125);
    let _ = ran.stderr_has("cannot make a temporary file: the limit of file sizes is reached (`ulimit -f`)");
    // Our own stdout is such a file: what does not fit is lost, as on a full disk, which is said.
    let ran = limited(8, &format!("{text} spawn(\"sleep 600\"); print(s); assert_eq(1, 1);")).code(125);
    let ran = ran.stderr_has(
        "stdout cannot be written: the limit of file sizes is reached (`ulimit -f`) (95905 bytes lost)",
    );
    assert_eq!(place.read("stdout").len(), 8 * 512, "{}", ran.output());
    let ran = limited(0, "spawn(\"sleep 600\"); print(1);").code(125).stdout("");
    assert_eq!(place.read("stderr"), "", "{}", ran.output());
}

// ---- Neighbours ----------------------------------------------------------------------------------------------------

#[test]
fn two_runs_of_one_script_in_one_directory_do_not_meet() {
    let place = Place::new();
    fs::write(place.path("go"), "").expect("a file");
    let code = "let job = start(\"job\", `echo ${param(\"word\")}; exec sleep 600`, #{ready: #{log: \".\"}});
        write_file(\"up-\" + param(\"word\"), \"\"); wait_file(\"go-on\"); assert_contains(job.output, param(\"word\"));
        assert_eq(param(\"word\"), \"one\");";
    let other = Place::new();
    let start = |place: &'_ Place, word: &str, cwd: &Path| {
        let mut command = place.script(code, &[]);
        command.args(["--word", word]).current_dir(cwd);
        command
    };
    let cwd = place.dir.path();
    let one = place.start(&mut start(&place, "one", cwd));
    let two = other.start(start(&other, "two", cwd).env("TMPDIR", place.path("t")));
    one.eventually("both are up", || place.path("up-one").exists() && place.path("up-two").exists());
    fs::write(place.path("go-on"), "").expect("a file");
    let _ = two.wait().code(1).nothing_left().stderr_has("`actual` is \"two\", expected \"one\"");
    let _ = one.wait().code(0).nothing_left();
    // The log of the one that failed is kept, and is its own.
    let kept: Vec<_> =
        fs::read_dir(place.path("t")).expect("TMPDIR").flatten().map(|entry| entry.path()).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(fs::read_to_string(kept[0].join("logs/job.log")).expect("a log"), "two\n");
}

#[test]
fn a_hundred_runs_at_once_share_no_port_and_leave_nothing() {
    const RUNS: usize = 100;
    let place = Place::new();
    let code = "let ports = free_ports(2); let me = param(\"me\");
        spawn(\"exec sleep 600\"); run(\"true\");
        write_file(`ports-${me}`, `${ports[0]} ${ports[1]} .`); wait_file(\"go\", \"200s\");
        for port in ports { assert(!port_in_use(port)); }";
    let places: Vec<Place> = (0..RUNS).map(|_| Place::new()).collect();
    let started = Moment::now();
    let runs: Vec<Run> = places
        .iter()
        .enumerate()
        .map(|(me, own)| {
            let mut command = own.script(code, &["-q"]);
            command.args(["--me", &me.to_string()]).current_dir(place.dir.path());
            own.start(command.env("TMPDIR", place.path("t")))
        })
        .collect();
    let name = |me: usize| place.path(&format!("ports-{me}"));
    runs[0].eventually("all are up", || {
        (0..RUNS).all(|me| fs::read(name(me)).is_ok_and(|text| text.ends_with(b" .")))
    });
    let ports: std::collections::BTreeSet<u16> = (0..RUNS)
        .flat_map(|me| {
            let text = fs::read_to_string(name(me)).expect("ports");
            text.split_whitespace().filter_map(|port| port.parse().ok()).collect::<Vec<u16>>()
        })
        .collect();
    assert_eq!(ports.len(), 2 * RUNS, "{ports:?}");
    fs::write(place.path("go"), "").expect("a file");
    for run in runs {
        let _ = run.wait().code(0).stderr_has("1 job stopped, 0 leaked");
    }
    let left: Vec<_> = places.iter().flat_map(Place::carriers).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(fs::read_dir(place.path("t")).expect("TMPDIR").next().is_none());
    assert!(started.elapsed() < PATIENCE * 2, "{:?}", started.elapsed());
}

/// A run within a run, in which a job and a daemon of the inner one ignore TERM.
fn nested(place: &Place) -> Run<'_> {
    let inner = "spawn(\"trap '' TERM; sleep 600; :\");
        spawn(\"(trap '' TERM HUP; setsid sh -c 'touch daemon; sleep 600; :' >/dev/null 2>&1 &); sleep 600; :\");
        wait_file(\"daemon\"); write_file(\"up\", \"\"); sleep(600);";
    let inner = inner.replace("sleep(600)", "sleep(\"600s\")");
    let code = format!("run([{:?}, \"script\", \"--grace\", \"300ms\", \"-e\", {inner:?}]);", bgjobs());
    let run = place.start(&mut place.script(&code, &["--grace", "2s"]));
    run.eventually("the inner run is up", || place.path("up").exists());
    run
}

#[test]
fn a_run_within_a_run_dies_with_the_guard_of_the_outer() {
    let place = Place::new();
    let run = nested(&place);
    run.signal(Signal::SIGKILL);
    let ran = run.wait().died_of(Signal::SIGKILL);
    let since = Moment::now();
    while !place.carriers().is_empty() && since.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(since.elapsed() < Duration::from_secs(3) + LATE, "{:?}\n{}", since.elapsed(), ran.output());
}

#[test]
fn a_run_within_a_run_dies_with_the_host_of_the_outer() {
    let place = Place::new();
    let run = nested(&place);
    let since = Moment::now();
    let _ = kill(Pid::from_raw(run.host().expect("a host")), Signal::SIGKILL);
    let ran = run.wait().code(125).nothing_left().stderr_has("0 leaked");
    assert!(since.elapsed() < Duration::from_secs(3) + LATE, "{:?}\n{}", since.elapsed(), ran.output());
}

#[test]
fn as_pid_1_it_reaps_the_orphans_of_strangers_and_kills_only_its_own() {
    if !may_unshare() {
        return;
    }
    let place = Place::new();
    let code = "spawn(\"trap '' TERM; sleep 600; :\"); write_file(\"up\", \"\"); wait_file(\"strangers\");
        kill_all(); write_file(\"killed\", \"\"); sleep(\"600s\");";
    let shell = "exec unshare --pid --fork --mount-proc --kill-child \"$@\"";
    let run = place.start(&mut under(&place, shell, code));
    run.eventually("it is up", || place.path("up").exists());
    let first = run.host().expect("pid 1");
    // Two orphans that no job has started: one ends at once, one goes on.
    let enter = ["--target", &first.to_string(), "--pid", "sh", "-c", "sleep 0.01 & sleep 654 & exit 0"];
    let entered = Command::new("nsenter")
        .args(enter)
        .env("INFRASTRUCTURE", &place.token)
        .stdout(Stdio::null())
        .status();
    assert!(entered.is_ok_and(|status| status.success()));
    let children = || {
        let list = fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap_or_default();
        let commands = list.split_whitespace().map(|pid| fs::read_to_string(format!("/proc/{pid}/cmdline")));
        commands.map(|command| command.unwrap_or_default().replace('\0', " ")).collect::<Vec<String>>()
    };
    let stranger = |all: &[String]| all.iter().filter(|command| *command == "sleep 654 ").count() == 1;
    run.eventually("the one that ended is reaped", || children().len() == 2 && stranger(&children()));
    fs::write(place.path("strangers"), "").expect("a file");
    run.eventually("the jobs are killed", || place.path("killed").exists());
    assert!(stranger(&children()), "{:?}", children());
    let _ = kill(Pid::from_raw(first), Signal::SIGTERM);
    let _ = run.wait().code(143).nothing_left().stderr_has("1 job stopped, 0 leaked");
}

#[test]
fn a_binary_that_is_replaced_or_deleted_while_it_runs_goes_on() {
    for replace in [true, false] {
        let place = Place::new();
        let program = place.path("bgjobs");
        copy_program(&bgjobs(), &program);
        let code = "spawn(\"sleep 600\"); write_file(\"up\", \"\"); wait_file(\"go\");
            let api = mock(\"api\", #{\"GET /\": 204}); assert_eq(http_get(`${api.url}/`).status, 204);";
        let mut command = place.command(&program);
        let run = place.start(command.args(["script", "-e", code]));
        run.eventually("it is up", || place.path("up").exists());
        fs::remove_file(&program).expect("the copy");
        if replace {
            fs::write(&program, "#!/bin/sh\nexit 1\n").expect("a file");
            set_mode(&program, 0o755);
        }
        fs::write(place.path("go"), "").expect("a file");
        let _ = run.wait().code(0).nothing_left().no_directory().stderr_has("2 jobs stopped, 0 leaked");
    }
}

/// A thread whose stack finds no room is refused with the same number as one too many.
#[test]
fn a_limit_of_address_space_is_not_taken_for_one_of_processes() {
    for code in [
        "parallel(0..200, |i| sleep(\"20ms\"), #{at_once: 200})",
        "parallel([|| timeout(\"1s\", || parallel(0..200, |i| sleep(\"20ms\"), #{at_once: 200}))])",
    ] {
        let command = Script::code(code).command();
        let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let ran = std::process::Command::new("sh")
            .args(["-c", "ulimit -v 1000000; exec \"$@\"", "sh"])
            .arg(bgjobs())
            .args(args)
            .output()
            .expect("sh starts");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(125), "{said}");
        assert!(said.contains("`ulimit -v` leaves no room for another thread"), "{said}");
        assert!(!said.contains("ulimit -u"), "{said}");
    }
}
