//! What every kill case works with: a process of its own, a run of bgjobs with victims, a moment, and a look at
//! who is still alive that does not ask bgjobs.
//!
//! A case runs in a process of its own, because it is a *subreaper*: whatever bgjobs leaves behind becomes its
//! child, so that `waitpid` says ECHILD exactly when nothing is left. And every process of a run carries a token
//! in its environment or its arguments, which is looked for in all of /proc.
//!
//! ```text
//! BGJOBS_ROUNDS=n   how often each case is repeated (2)
//! BGJOBS_SEED=n     the seed of all that is random; a failure prints the one to repeat it with
//! ```

use crate::clock::Moment;
use crate::support::{self, Random};
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fmt::Write;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

pub const CASE: &str = "BGJOBS_KILL_CASE";
/// How long anything that must happen may take on a busy machine before the test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A test that runs in a process of its own, so that it can be a subreaper.
macro_rules! case {
    ($(#[$meta:meta])* $name:ident, $body:expr) => {
        #[test]
        $(#[$meta])*
        fn $name() {
            $crate::kill::harness::in_own_process(concat!("kill::", stringify!($name)), $body);
        }
    };
}
pub(crate) use case;

static PYTHON: OnceLock<String> = OnceLock::new();

pub fn in_own_process(name: &str, body: fn(&mut Case)) {
    let number = |variable: &str| std::env::var(variable).ok().and_then(|text| text.parse::<u64>().ok());
    if std::env::var(CASE).is_ok_and(|case| case == name) {
        nix::sys::prctl::set_child_subreaper(true).expect("subreaper");
        let seed = number("BGJOBS_SEED").expect("the outer process has chosen one");
        let mut case = Case::new(name, seed);
        body(&mut case);
        case.tell();
        return;
    }
    let nanos = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.subsec_nanos());
    let seed = number("BGJOBS_SEED").unwrap_or_else(|| u64::from(nanos) ^ u64::from(std::process::id()));
    let test = std::env::current_exe().expect("the test binary");
    let words = own_world().iter().map(OsStr::new).chain([test.as_os_str()]).collect::<Vec<_>>();
    let output = Command::new(words[0])
        .args(&words[1..])
        .args([name, "--exact", "--nocapture", "--test-threads=2"])
        .env(CASE, name)
        .env("BGJOBS_KILL_PYTHON", PYTHON.get_or_init(python))
        .env("BGJOBS_SEED", seed.to_string())
        .output()
        .expect("the test binary starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    for line in out.lines().filter(|line| line.starts_with("kill case")) {
        println!("{line}");
    }
    for why in err.lines().filter_map(|line| line.strip_prefix(&format!("skipped: {name}: "))) {
        support::skip_in_ci_too(why);
    }
    assert!(
        output.status.success() && out.contains("1 passed"),
        "repeat it with BGJOBS_SEED={seed}\n{out}\n{err}"
    );
}

/// What a case is started by. It has signals as they are by default, also when the tests run in the background of a
/// shell, which ignores some (a case tells when it wants that). And, where that is allowed, a PID namespace of its own:
/// it sees no processes but its own, so that the look at all of /proc is short and cases do not hold up each other,
/// and whatever a failed case leaves behind ends with it. Orphans go to the case itself, its pid 1, as they would go to
/// a subreaper.
pub fn own_world() -> &'static [&'static str] {
    const SIGNALS: &[&str] = &["env", "--default-signal=HUP,INT,QUIT"];
    const UNSHARED: &[&str] =
        &[SIGNALS[0], SIGNALS[1], "unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    static ALLOWED: OnceLock<bool> = OnceLock::new();
    let allowed = || {
        let trial = Command::new(UNSHARED[0]).args(&UNSHARED[1..]).arg("true").output();
        trial.is_ok_and(|output| output.status.success())
    };
    if *ALLOWED.get_or_init(allowed) { UNSHARED } else { SIGNALS }
}

/// One case: its chance, and what it has measured.
pub struct Case {
    name: String,
    random: Random,
    rounds: usize,
    /// How long it took until all victims were ready, as of the last time.
    ready_after: Duration,
    runs: usize,
    slowest: Duration,
}

impl Case {
    fn new(name: &str, seed: u64) -> Self {
        // Each case has a sequence of its own.
        let random = name.bytes().fold(seed ^ 0x9e37_79b9_7f4a_7c15, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let rounds = std::env::var("BGJOBS_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(2);
        Self {
            name: name.to_owned(),
            random: Random::new(random),
            rounds,
            ready_after: Duration::from_millis(100),
            runs: 0,
            slowest: Duration::ZERO,
        }
    }

    pub fn random(&mut self, below: u64) -> u64 {
        self.random.below(below)
    }

    pub fn random_time(&mut self, below: Duration) -> Duration {
        self.random.time(below)
    }

    /// Repeats the body, each time with another victim and another moment.
    pub fn rounds(&mut self, mut body: impl FnMut(&mut Self)) {
        for _ in 0..self.rounds {
            body(self);
        }
    }

    /// Waits for a moment of the run that chance has chosen: every third time one of the first moments, when
    /// bgjobs and its victims are only just starting; else a while after all victims are ready.
    pub fn random_moment(&mut self, run: &Run) {
        if self.random(3) == 0 {
            self.early_moment(run);
        } else {
            self.moment_after_ready(run);
        }
    }

    pub fn early_moment(&mut self, run: &Run) {
        let moment = self.random_time(self.ready_after * 5 / 4);
        while run.started.elapsed() < moment {
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    pub fn moment_after_ready(&mut self, run: &Run) {
        run.wait_ready();
        self.ready_after = run.started.elapsed();
        std::thread::sleep(self.random_time(Duration::from_millis(20)));
    }

    pub fn measured(&mut self, took: Duration) {
        self.runs += 1;
        self.slowest = self.slowest.max(took);
    }

    fn tell(&self) {
        println!(
            "kill case {}: {} runs, slowest teardown {} ms",
            self.name,
            self.runs,
            self.slowest.as_millis()
        );
    }
}

/// Where the files of a case are: in memory where that can be had. A busy disk holds up whoever writes for seconds,
/// even a process that has been killed, and that is not what is measured.
pub fn in_memory() -> &'static str {
    if nix::unistd::access("/dev/shm", nix::unistd::AccessFlags::W_OK).is_ok() { "/dev/shm" } else { "/tmp" }
}

/// What is to be run.
#[must_use]
pub struct Plan {
    victims: Vec<(String, String)>,
    options: Vec<String>,
    env: Vec<(String, String)>,
    after: String,
    wrapper: Vec<String>,
    stdin: Option<Stdio>,
    stdout: Option<Stdio>,
    user: &'static User,
}

/// Who runs bgjobs: the wrapper that becomes them, and where they find the program, the victims and a Python.
pub struct User {
    wrapper: Vec<String>,
    bgjobs: PathBuf,
    fixture: PathBuf,
    python: String,
}

impl User {
    pub fn ourselves() -> &'static Self {
        static OURSELVES: OnceLock<User> = OnceLock::new();
        OURSELVES.get_or_init(|| Self {
            wrapper: Vec::new(),
            bgjobs: support::bgjobs(),
            fixture: support::repo("tests/fixture"),
            python: python(),
        })
    }

    /// An ordinary user, where we are root and there is a Python for everybody. What they need is copied: the
    /// folders of this repository may be closed to others.
    pub fn ordinary(copies: &Path) -> Option<Self> {
        const EVERYBODYS_PYTHON: &str = "/usr/bin/python3";
        if !nix::unistd::geteuid().is_root() || !Path::new(EVERYBODYS_PYTHON).exists() {
            return None;
        }
        let open =
            |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
        open(copies);
        for file in [
            support::bgjobs(),
            support::repo("tests/fixture/victim.sh"),
            support::repo("tests/fixture/victim.py"),
        ] {
            let copy = copies.join(file.file_name().expect("a name"));
            fs::copy(&file, &copy).expect("a copy");
            open(&copy);
        }
        let words = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
        Some(Self {
            wrapper: words.map(str::to_owned).into(),
            bgjobs: copies.join("bgjobs"),
            fixture: copies.to_owned(),
            python: EVERYBODYS_PYTHON.to_owned(),
        })
    }
}

impl Plan {
    /// Victims as in tests/fixture/victim.sh, `kind` or `kind:seconds`.
    pub fn victims(kinds: &[&str]) -> Self {
        let split = |kind: &&str| {
            let (kind, seconds) = kind.split_once(':').unwrap_or((kind, "0"));
            (kind.to_owned(), seconds.to_owned())
        };
        Self {
            victims: kinds.iter().map(split).collect(),
            options: Vec::new(),
            env: Vec::new(),
            after: "loop { sleep(0.003); }".to_owned(),
            wrapper: Vec::new(),
            stdin: None,
            stdout: None,
            user: User::ourselves(),
        }
    }

    pub fn by(mut self, user: &'static User) -> Self {
        self.user = user;
        self
    }

    pub fn grace(self, grace: &str) -> Self {
        self.option("--grace").option(grace)
    }

    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Script code after the victims have been started, instead of an endless loop. `{plain}` is the command of one
    /// more plain victim, `{bgjobs}` the program, `{dir}` and `{token}` are the run's.
    pub fn then(mut self, code: &str) -> Self {
        code.clone_into(&mut self.after);
        self
    }

    /// What bgjobs is started by, such as `timeout 1`. `$@` in a shell text is bgjobs with its arguments.
    pub fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    pub fn stdin(mut self, stdin: Stdio) -> Self {
        self.stdin = Some(stdin);
        self
    }

    pub fn stdout(mut self, stdout: Stdio) -> Self {
        self.stdout = Some(stdout);
        self
    }

    fn script(&self, token: &str, dir: &Path) -> String {
        const IN_PYTHON: &[&str] = &["headless", "hopper", "swarm", "mover", "titled", "bomb"];
        let User { fixture, python, bgjobs, .. } = self.user;
        let words = |kind: &str, seconds: &str| {
            let (program, file) = match IN_PYTHON.contains(&kind) {
                true => (python.as_str(), "victim.py"),
                false => ("/bin/sh", "victim.sh"),
            };
            format!("[{program:?}, {:?}, {kind:?}, {token:?}, {dir:?}, {seconds:?}]", fixture.join(file))
        };
        let mut script = String::new();
        for (kind, seconds) in &self.victims {
            let words = words(kind, seconds);
            let _ = match kind.as_str() {
                // What a command leaves running.
                "holder" => writeln!(script, "run({words}, #{{echo: false}});"),
                "crowd" => writeln!(
                    script,
                    "for i in 0..300 {{ spawn({}); }} write_file(\"{}/ready.crowd\", \"\");",
                    words.replace("crowd", "stubborn"),
                    dir.display()
                ),
                _ => writeln!(script, "spawn({words});"),
            };
        }
        let plain = words("plain", "0");
        let dir = dir.to_string_lossy();
        script
            + &self
                .after
                .replace("{plain}", &plain)
                .replace("{bgjobs}", &format!("{bgjobs:?}"))
                .replace("{dir}", &dir)
                .replace("{token}", token)
    }

    /// Starts it, in a process group of its own.
    pub fn start(self) -> Run {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let dir = tempfile::Builder::new().prefix("bk").tempdir_in(in_memory()).expect("a directory");
        let number = NUMBER.fetch_add(1, SeqCst);
        // The directory's name is random: the token is unique among all runs on this machine.
        let token = format!("token-{number}-{}", dir.path().file_name().expect("name").to_string_lossy());
        let temp = dir.path().join("t");
        fs::create_dir(&temp).expect("a directory");
        for directory in [dir.path(), &temp] {
            fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).expect("a mode");
        }
        let script = self.script(&token, dir.path());
        let mut words = self.wrapper.clone();
        words.extend(self.user.wrapper.iter().cloned());
        words.push(self.user.bgjobs.to_string_lossy().into_owned());
        words.push("script".to_owned());
        words.extend(self.options);
        words.extend(["-e".to_owned(), script]);
        let file = |name: &str| File::create(dir.path().join(name)).expect("a file");
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env("KILL_TOKEN", &token).env("TMPDIR", &temp).process_group(0);
        command.envs(
            self.env
                .iter()
                .map(|(name, value)| (name.as_str(), value.replace("{dir}", &dir.path().to_string_lossy()))),
        );
        command.env_remove(CASE).stdin(self.stdin.unwrap_or_else(Stdio::null)).stderr(file("stderr"));
        command.stdout(self.stdout.unwrap_or_else(|| file("stdout").into()));
        let started = Moment::now();
        let child = command.spawn().expect("bgjobs starts");
        let kinds = self.victims.into_iter().map(|(kind, _)| kind).collect();
        let wrapped = !self.wrapper.is_empty() || !self.user.wrapper.is_empty();
        Run { dir, token, child, kinds, started, ended: None, wrapped }
    }
}

/// A run of bgjobs.
pub struct Run {
    dir: tempfile::TempDir,
    pub token: String,
    child: Child,
    kinds: Vec<String>,
    pub started: Moment,
    ended: Option<Moment>,
    wrapped: bool,
}

/// Something that carries the token.
#[derive(Debug)]
pub struct Found {
    pub pid: i32,
    pub what: String,
}

impl Run {
    /// The process that was started: the guard, or what wraps it.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn stderr(&self) -> String {
        fs::read_to_string(self.file("stderr")).unwrap_or_default()
    }

    pub fn marker(&self) -> bool {
        self.file("marker").exists()
    }

    /// Waits until every victim is what its name says.
    pub fn wait_ready(&self) {
        let what = || format!("victims are ready; stderr:\n{}", self.stderr());
        eventually(what, || self.kinds.iter().all(|kind| self.file(&format!("ready.{kind}")).exists()));
        // Only the run's own processes are looked at: to read all of /proc over and over while processes end can keep
        // a kernel busy for seconds (a reaper waits, spinning, for whoever reads the directory of the dead).
        let stopped = || {
            let number = fs::read_to_string(self.file("ready.stopped")).ok()?.trim().parse().ok()?;
            descendants(self.pid()).into_iter().find(|pid| own_number(*pid) == Some(number))
        };
        if self.kinds.iter().any(|kind| kind == "stopped") {
            eventually(
                || "a victim is stopped".to_owned(),
                || stopped().is_some_and(|pid| state(pid) == Some('T')),
            );
        }
    }

    /// The guard: the first bgjobs on the way down from what was started. None before it is there.
    pub fn guard(&self) -> Option<i32> {
        if !self.wrapped {
            return Some(self.pid());
        }
        let is_bgjobs =
            |pid: &i32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.ends_with("bgjobs"));
        std::iter::once(self.pid()).chain(descendants(self.pid())).find(is_bgjobs)
    }

    /// The host: the guard's child.
    pub fn host(&self) -> Option<i32> {
        children(self.guard()?).into_iter().next()
    }

    /// Waits for the host to be there; `None` when the run is over before.
    pub fn await_host(&mut self) -> Option<i32> {
        loop {
            if let Some(host) = self.host() {
                return Some(host);
            }
            if !matches!(state(self.pid()), Some(state) if state != 'Z') {
                return None;
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    pub fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.pid()), signal);
    }

    pub fn signal_group(&self, signal: Signal) {
        let _ = killpg(Pid::from_raw(self.pid()), signal);
    }

    /// Stops the host and waits until it stands still. Not in its first microseconds, before it could ask to be woken
    /// when its guard dies: it has done so when it has a session of its own.
    pub fn freeze_host(&mut self) {
        let Some(host) = self.await_host() else { return };
        let session = || nix::unistd::getsid(Some(Pid::from_raw(host))).map(Pid::as_raw);
        eventually(
            || "the host has a session".to_owned(),
            || session().is_ok_and(|own| own == host) || session().is_err(),
        );
        let _ = kill(Pid::from_raw(host), Signal::SIGSTOP);
        eventually(|| "the host stands still".to_owned(), || !matches!(state(host), Some('R' | 'S' | 'D')));
    }

    /// Waits until what was started has ended.
    pub fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE * 2;
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                self.ended = Some(Moment::now());
                return status;
            }
            assert!(
                Instant::now() < until,
                "bgjobs does not return:\n{}\n{}",
                self.stderr(),
                self.describe()
            );
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// How long it took from then until what was started had ended. The look at /proc does not count.
    pub fn took(&self, since: Moment) -> Duration {
        self.ended.unwrap_or_else(Moment::now).since(since)
    }

    /// It ended within this time from then.
    #[track_caller]
    pub fn assert_took(&self, since: Moment, bound: Duration) {
        let took = self.took(since);
        let at = since.since(self.started);
        assert!(took <= bound, "it took {took:?}, from {at:?} after its start\n{}", self.stderr());
    }

    /// Everyone who carries the token.
    pub fn carriers(&self) -> Vec<Found> {
        carriers(&self.token)
    }

    fn describe(&self) -> String {
        let mut text = String::new();
        for found in self.carriers() {
            let _ = writeln!(text, "  {} {:?} {}", found.pid, state(found.pid), found.what);
        }
        for pid in children(std::process::id().cast_signed()) {
            let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let _ = writeln!(text, "  child {pid} {:?} {}", state(pid), command.replace('\0', " "));
        }
        text
    }

    /// bgjobs has just returned: nobody may be left, now.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        // First the kernel's word, which is exact; a zombie counts as left.
        let waited = waitpid(None, Some(WaitPidFlag::WNOHANG));
        assert_eq!(waited, Err(Errno::ECHILD), "left:\n{}\nstderr:\n{}", self.describe(), self.stderr());
        let found = self.carriers();
        assert!(found.is_empty(), "left: {found:?}\nstderr:\n{}", self.stderr());
    }

    /// bgjobs was killed: everybody must be gone within this time from now. How long it took.
    #[track_caller]
    pub fn assert_gone_within(&self, bound: Duration, since: Moment) -> Duration {
        loop {
            let waited = loop {
                match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                    Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => {
                        break waitpid(None, Some(WaitPidFlag::WNOHANG));
                    }
                    _ => {}
                }
            };
            let took = since.elapsed();
            if waited == Err(Errno::ECHILD) {
                let found = self.carriers();
                assert!(found.is_empty(), "no child is left, but: {found:?}\nstderr:\n{}", self.stderr());
                assert!(took <= bound, "it took {took:?} until all were gone\nstderr:\n{}", self.stderr());
                return took;
            }
            assert!(took <= bound, "left after {took:?}:\n{}\nstderr:\n{}", self.describe(), self.stderr());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The run directory is gone.
    #[track_caller]
    pub fn assert_no_directory(&self) {
        let left: Vec<_> =
            fs::read_dir(self.file("t")).expect("a directory").flatten().map(|e| e.path()).collect();
        assert!(left.is_empty(), "left: {left:?}\nstderr:\n{}", self.stderr());
    }

    /// Ends whoever is left, for the negative controls. Kills only what carries the token or became our child.
    pub fn clean_up(&mut self) {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            end(descendants(std::process::id().cast_signed()));
            // All that have ended, before anything slow: chains that go on would soon have every process number.
            let waited = loop {
                match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                    Ok(status) if status.pid().is_some() => {}
                    waited => break waited,
                }
            };
            if waited == Err(Errno::ECHILD) {
                let found = self.carriers();
                if found.is_empty() {
                    return;
                }
                end(found.into_iter().map(|found| found.pid));
            }
            std::thread::yield_now();
        }
    }
}

fn end(pids: impl IntoIterator<Item = i32>) {
    for pid in pids {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() || waitpid(None, Some(WaitPidFlag::WNOHANG)) != Err(Errno::ECHILD) {
            self.clean_up();
        }
    }
}

/// Waits for a condition, as long as a busy machine may need.
#[track_caller]
pub fn eventually(what: impl Fn() -> String, holds: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "it never came that {}", what());
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// The Python behind `python3`, which may be a slow wrapper. Looked up once for all cases.
pub fn python() -> String {
    const PYTHON: &str = "BGJOBS_KILL_PYTHON";
    std::env::var(PYTHON).unwrap_or_else(|_| {
        let output = Command::new("python3").args(["-SEc", "import sys; print(sys.executable)"]).output();
        String::from_utf8(output.expect("python3 starts").stdout).expect("a path").trim().to_owned()
    })
}

/// The state letter of a process.
pub fn state(pid: i32) -> Option<char> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text[text.rfind(')')? + 1..].trim_start().chars().next()
}

/// The number by which a process knows itself, which may be that of a PID namespace.
fn own_number(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_whitespace().last()?.parse().ok()
}

/// All threads' children of a process.
pub fn children(pid: i32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| text.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<i32>>())
        .collect()
}

pub fn descendants(pid: i32) -> Vec<i32> {
    let mut list = children(pid);
    let mut next = 0;
    while next < list.len() {
        list.extend(children(list[next]));
        next += 1;
    }
    list
}

/// Every process with this token in the environment or the arguments of any of its threads: the main thread
/// may be gone while others live, and then the process itself has neither.
fn carriers(token: &str) -> Vec<Found> {
    let has = |path: PathBuf| {
        let bytes = fs::read(path).ok()?;
        let found = bytes.windows(token.len()).any(|window| window == token.as_bytes());
        found.then(|| String::from_utf8_lossy(&bytes).replace('\0', " "))
    };
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
        tasks
            .flat_map(|task| [task.path().join("cmdline"), task.path().join("environ")])
            .find_map(has)
            .map(|what| Found { pid, what: what.chars().take(200).collect() })
    })
    .collect()
}

/// How a status reads.
pub fn signal_of(status: ExitStatus) -> Option<Signal> {
    status.signal().and_then(|number| Signal::try_from(number).ok())
}

/// A pipe end for a child's stdout.
pub fn pipe() -> (OwnedFd, Stdio) {
    let (read, write) =
        nix::unistd::pipe2(nix::fcntl::OFlag::from_bits_truncate(libc::O_CLOEXEC)).expect("a pipe");
    (read, write.into())
}

/// A terminal: our end, and the other as a stdin.
pub fn terminal() -> (File, Stdio) {
    let pty = nix::pty::openpty(None, None).expect("a terminal");
    // Else the child would hold our end, and the terminal would never go away.
    nix::fcntl::fcntl(&pty.master, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))
        .expect("a flag");
    (File::from(pty.master), pty.slave.into())
}
