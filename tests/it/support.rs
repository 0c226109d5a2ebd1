//! Runs a script with the built binary and gives back all that a user would see.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The built binary.
pub fn bgjobs() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_bgjobs"))
}

/// A file of this repository.
pub fn repo(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Where programs are looked for: PATH, and where Debian hides PostgreSQL and system servers.
pub fn search_path() -> String {
    let mut dirs =
        vec![std::env::var("PATH").unwrap_or_default(), "/usr/sbin".into(), "/usr/local/sbin".into()];
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    dirs.extend(versions.map(|version| version.path().join("bin").display().to_string()));
    dirs.join(":")
}

/// Where a program is, if it is installed.
pub fn which(program: &str) -> Option<PathBuf> {
    search_path().split(':').map(|dir| Path::new(dir).join(program)).find(|path| path.is_file())
}

/// Says that a test is skipped, and why. In CI that is a failure: everything that it needs is there.
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    skip_in_ci_too(why);
}

/// As [`skip`], for what few machines have.
pub fn skip_in_ci_too(why: &str) {
    let thread = std::thread::current();
    let line = format!("skipped: {}: {}\n", thread.name().unwrap_or("a test"), why.trim_end());
    // Past the test harness, which only shows what failed tests print.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Whether one of these programs is not installed; then the test is skipped.
pub fn lacks(needs: &[&str]) -> bool {
    let Some(missing) = needs.iter().find(|program| which(program).is_none()) else { return false };
    skip(&format!("`{missing}` is not installed"));
    true
}

/// A run to be made.
#[must_use]
pub struct Script {
    args: Vec<OsString>,
    tail: Vec<OsString>,
    env: Vec<(String, String)>,
    cwd: PathBuf,
}

/// What came of it.
#[derive(Debug)]
pub struct Ran {
    pub stdout: String,
    pub stderr: String,
    pub code: Option<i32>,
    pub signal: Option<i32>,
}

impl Script {
    /// Code, as with `-e`.
    pub fn code(code: &str) -> Self {
        Self::with(vec!["-e".into(), code.into()])
    }

    pub fn file(path: impl AsRef<Path>) -> Self {
        Self::with(vec![path.as_ref().into()])
    }

    fn with(tail: Vec<OsString>) -> Self {
        Self { args: Vec::new(), tail, env: Vec::new(), cwd: repo("") }
    }

    /// An option of `bgjobs script`.
    pub fn option(mut self, option: &str) -> Self {
        self.args.push(option.into());
        self
    }

    /// An argument of the script.
    pub fn arg(mut self, arg: &str) -> Self {
        self.tail.push(arg.into());
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    pub fn cwd(mut self, cwd: impl AsRef<Path>) -> Self {
        self.cwd = cwd.as_ref().to_owned();
        self
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(bgjobs());
        command.arg("script").args(&self.args).args(&self.tail).current_dir(&self.cwd);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.env_remove("NO_COLOR").env_remove("FORCE_COLOR").env_remove("GITHUB_ACTIONS");
        command.stdin(Stdio::null());
        command
    }

    pub fn run(self) -> Ran {
        let Output { status, stdout, stderr } = self.command().output().expect("bgjobs starts");
        Ran {
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
            code: status.code(),
            signal: std::os::unix::process::ExitStatusExt::signal(&status),
        }
    }
}

impl Ran {
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "exit code; stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn stdout(self, text: &str) -> Self {
        assert_eq!(self.stdout, text, "stdout; stderr:\n{}", self.stderr);
        self
    }

    #[track_caller]
    pub fn stderr_has(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no {text:?} in stderr:\n{}", self.stderr);
        self
    }
}

/// Chance that can be repeated.
pub struct Random(fastrand::Rng);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// A number from 0 to below `end`; 0 where there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0.u64(..end.max(1))
    }

    pub fn time(&mut self, below: Duration) -> Duration {
        Duration::from_micros(self.below(u64::try_from(below.as_micros()).unwrap_or(u64::MAX)))
    }

    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[usize::try_from(self.below(list.len() as u64)).expect("small")]
    }
}

/// Whether a process is there, and more than a zombie.
pub fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Waits until none of these is there.
#[track_caller]
pub fn gone(pids: &[String]) {
    let until = Instant::now() + Duration::from_secs(60);
    while let Some(pid) = pids.iter().find(|pid| lives(pid)) {
        assert!(Instant::now() < until, "{pid} is still there");
        std::thread::sleep(Duration::from_millis(2));
    }
}
