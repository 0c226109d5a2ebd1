//! What to start and how: plain data, and its translation into something that can be executed.

use crate::jobs::cgroup::{Limits, Refused};
use crate::jobs::env::Env;
use crate::jobs::log::limit;
pub use crate::jobs::plain::is_name_char;
use crate::jobs::plain::{self, simple_command};
use crate::sys::fork::{Credentials, Exec, Join};
use crate::sys::names;
use crate::sys::wait::ExitStatus;
pub use crate::words::quote;
use nix::libc::SIGTERM;
use regex::Regex;
use std::ffi::{CString, OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The variable that marks every process of a run; its value is the name of the run directory.
pub const MARK: &str = "BGJOBS_RUN";

/// Identifies a job.
pub type JobId = usize;

/// A command as the script wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run as by `/bin/sh -c`; without one where that makes no difference.
    Shell(String),
    /// Executed directly.
    Argv(Vec<String>),
    /// This program itself, with these arguments.
    Own(Vec<String>),
}

const SHELL: &str = "/bin/sh";
/// What executes this program again, also after its file was replaced.
const OWN_PROGRAM: &str = "/proc/self/exe";

impl Command {
    /// As people read it: the shell text, or the words with quotes where a shell would need them.
    pub fn display(&self) -> String {
        match self {
            Self::Shell(text) => text.trim().to_owned(),
            Self::Argv(words) => words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" "),
            Self::Own(words) => words.first().cloned().unwrap_or_default(),
        }
    }

    /// The program's name, for a job that was given none.
    pub fn program_name(&self) -> String {
        let word = match self {
            Self::Argv(words) | Self::Own(words) => words.first().cloned().unwrap_or_default(),
            Self::Shell(text) => {
                let mut words = text.split_ascii_whitespace();
                words.find(|word| !is_assignment(word) && *word != "exec").unwrap_or("sh").to_owned()
            }
        };
        let base = word.rsplit('/').next().unwrap_or_default();
        let name: String = base.chars().filter(|c| is_name_char(*c)).collect();
        if name.is_empty() { "job".to_owned() } else { name }
    }

    /// The word that will be executed, when that can be told without a shell: the first word of an array, or
    /// of a string that is one simple command.
    pub fn first_word(&self) -> Option<&str> {
        match self {
            Self::Argv(words) => words.first().map(String::as_str),
            Self::Shell(text) => simple_command(text),
            Self::Own(_) => None,
        }
    }

    fn argv(&self) -> Vec<String> {
        match self {
            Self::Argv(words) => words.clone(),
            Self::Own(words) => std::iter::once("bgjobs".to_owned()).chain(words.iter().cloned()).collect(),
            // `exec` replaces the shell: else its death would hide that of the real program.
            Self::Shell(text) => {
                let exec = if simple_command(text).is_some() { "exec " } else { "" };
                vec!["sh".to_owned(), "-c".to_owned(), format!("{exec}{text}")]
            }
        }
    }
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
    })
}

/// `64 MB`, or `64 MiB` where that is the rounder number.
pub fn show_size(bytes: u64) -> String {
    let size = bytesize::ByteSize(bytes).display();
    let text = if bytes.is_multiple_of(1 << 20) { size.iec() } else { size.si() };
    text.to_string().replace(".0 ", " ")
}

/// What a job reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stdin {
    Null,
    Pipe,
    Text(String),
    /// What the user types at our own terminal, for a command with a terminal: see `jobs/output/foreground`.
    Keyboard,
}

/// Which end of a job is not a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Expect {
    /// Nothing was said: one with 0, as long as it has not shown itself to be a server.
    #[default]
    Success,
    NoEnd,
    AnyEnd,
    Codes(Vec<i32>),
}

/// Which end of a job is followed by another start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    Failed,
    Any,
}

/// How a job is started again that ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    pub when: Ends,
    /// How often at most.
    pub most: usize,
    /// How long it rests before.
    pub pause: Duration,
}

impl Restart {
    /// Whether a job that has ended is started again. `unexpected`: so its end was.
    pub fn is_due(self, so_far: usize, status: ExitStatus, unexpected: bool) -> bool {
        so_far < self.most
            && match self.when {
                Ends::Failed => unexpected && !status.success(),
                Ends::Any => true,
            }
    }
}

/// Who gets the stop signal of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KillMode {
    /// The whole tree.
    #[default]
    Group,
    /// Its first process alone, which tells the others; when it has ended, what is left gets SIGKILL (systemd.kill(5)).
    Mixed,
}

/// Where a process's output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A job: directly into its log file.
    Log(PathBuf),
    /// A command: two pipes that we read.
    Captured,
}

/// Everything about a job that is known before it starts.
#[derive(Clone, Debug)]
pub struct Spec {
    pub name: String,
    pub command: Command,
    pub cwd: PathBuf,
    /// The whole environment, already merged.
    pub env: Env,
    pub user: Option<String>,
    /// What it finds in `PORT`.
    pub port: Option<u16>,
    /// Those of its ports that have a name.
    pub ports: Vec<(String, u16)>,
    pub stdin: Stdin,
    /// It has a terminal, which is its stdin, stdout and stderr. What it is to read is typed.
    pub pty: bool,
    pub output: Output,
    pub stop_signal: i32,
    pub kill_mode: KillMode,
    /// What a command gets when it is interrupted, whatever interrupts it; its stop signal follows.
    pub interrupt: Option<i32>,
    /// The jobs that it needs: they outlive it.
    pub needs: Vec<JobId>,
    /// Run instead of the stop signal.
    pub stop_cmd: Option<Command>,
    pub grace: Duration,
    pub expect: Expect,
    /// What it may end with when it is asked to stop; with nothing else, when there is any.
    pub expect_stop: Vec<i32>,
    pub restart: Option<Restart>,
    /// A line of its log that matches any of these means that it has failed.
    pub fail_on: Vec<Regex>,
    /// What comes into its log is shown.
    pub echo: bool,
    /// How long its log may become, in bytes.
    pub max_log: u64,
    pub limits: Limits,
}

impl Spec {
    /// A command as nothing else is said of it: without ports and a terminal, ended by TERM, and free to end in any way.
    pub fn of_command(command: Command, cwd: PathBuf, grace: Duration, output: Output) -> Self {
        Self {
            name: command.program_name(),
            command,
            cwd,
            env: Env::default(),
            user: None,
            port: None,
            ports: Vec::new(),
            stdin: Stdin::Null,
            pty: false,
            output,
            stop_signal: SIGTERM,
            kill_mode: KillMode::Group,
            interrupt: None,
            needs: Vec::new(),
            stop_cmd: None,
            grace,
            expect: Expect::AnyEnd,
            expect_stop: Vec::new(),
            restart: None,
            fail_on: Vec::new(),
            echo: false,
            max_log: limit::DEFAULT,
            limits: Limits::default(),
        }
    }
}

/// Why a job could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpawnError {
    /// The program was not found; where it was looked for, when that was PATH.
    NotFound {
        program: String,
        path: Option<String>,
    },
    /// The file is there but its `#!` interpreter is not.
    NoInterpreter {
        program: String,
        interpreter: String,
    },
    NotExecutable {
        program: String,
        reason: String,
    },
    /// The working directory cannot be entered.
    Cwd {
        cwd: PathBuf,
        reason: String,
    },
    User {
        user: String,
        reason: String,
        /// There is such a user, whom we may not become.
        denied: bool,
    },
    /// The log file cannot be written.
    Log {
        path: PathBuf,
        reason: String,
    },
    /// A text with a NUL byte cannot be passed to a program.
    Nul {
        what: String,
    },
    /// A limit cannot be enforced.
    Limit(Refused),
    Os {
        what: &'static str,
        reason: String,
    },
    /// The run is being stopped: nothing new may start.
    Stopping,
}

/// A user as the system's database has it.
pub struct Account {
    pub credentials: Credentials,
    pub name: String,
    pub home: PathBuf,
}

/// A static program does not know all of them.
const NO_SUCH_USER: &str = match names::ONLY_FILES_AND_DNS {
    true => {
        "there is no such user in /etc/passwd (of LDAP and the like only a bgjobs that is linked dynamically knows: BGJOBS_LINK=dynamic cargo install ...)"
    }
    false => "there is no such user",
};

/// Looks a user up by name or number.
pub fn account(user: &str) -> Result<Account, SpawnError> {
    let error =
        |reason: &str| SpawnError::User { user: user.to_owned(), reason: reason.to_owned(), denied: false };
    let found = match user.parse::<u32>() {
        Ok(uid) => names::user_of(uid),
        Err(_) => names::user(user),
    };
    let found = found.map_err(|e| error(e.desc()))?.ok_or_else(|| error(NO_SUCH_USER))?;
    let name = CString::new(found.name.clone()).map_err(|_| error("its name has a NUL byte"))?;
    let groups = names::groups(&name, found.gid).map_err(|e| error(e.desc()))?;
    Ok(Account {
        credentials: Credentials {
            uid: found.uid.as_raw(),
            gid: found.gid.as_raw(),
            groups: groups.into_iter().map(nix::unistd::Gid::as_raw).collect(),
        },
        name: found.name,
        home: found.dir,
    })
}

/// Where a program would be found: a path as it is (relative to the job's own directory), a bare name along
/// the job's own PATH. Only files that may be executed count, as in execvp(3).
pub fn find_program(program: &str, cwd: &Path, path: Option<&OsStr>) -> Option<PathBuf> {
    find(program, cwd, path).map(|(_, file)| file)
}

/// The same, with its place among the candidates.
fn find(program: &str, cwd: &Path, path: Option<&OsStr>) -> Option<(usize, PathBuf)> {
    let executable =
        |file: &Path| file.is_file() && nix::unistd::access(file, nix::unistd::AccessFlags::X_OK).is_ok();
    candidates(program, cwd, path).into_iter().enumerate().find(|(_, file)| executable(file))
}

fn candidates(program: &str, cwd: &Path, path: Option<&OsStr>) -> Vec<PathBuf> {
    if program.is_empty() {
        return Vec::new();
    }
    if program.contains('/') {
        return vec![cwd.join(program)];
    }
    let path = path.unwrap_or(OsStr::new("/usr/local/bin:/usr/bin:/bin"));
    std::env::split_paths(path).map(|dir| cwd.join(dir).join(program)).collect()
}

/// The three descriptors of a new process.
pub struct Descriptors {
    pub stdin: Arc<OwnedFd>,
    pub stdout: Arc<OwnedFd>,
    pub stderr: Arc<OwnedFd>,
}

impl Spec {
    /// Whether it was given this port.
    pub fn has_port(&self, number: u16) -> bool {
        self.port == Some(number) || self.ports.iter().any(|(_, port)| *port == number)
    }

    /// An error when it can be told beforehand that it could not be started. Else how many of the places where its program
    /// could be were looked at in vain.
    pub fn check(&self) -> Result<usize, SpawnError> {
        if !self.cwd.is_dir() {
            let reason = if self.cwd.exists() { "it is not a directory" } else { "it does not exist" };
            return Err(SpawnError::Cwd { cwd: self.cwd.clone(), reason: reason.to_owned() });
        }
        let path = self.env.get(OsStr::new("PATH")).map(OsString::as_os_str);
        self.command.first_word().map_or(Ok(0), |word| self.check_program(word, path))
    }

    /// The job's own PATH.
    fn path(&self) -> Option<&OsStr> {
        self.env.get(OsStr::new("PATH")).map(OsString::as_os_str)
    }

    /// The words of a text that needs no shell, if it is one. With the rights of another user things may look different, and
    /// a shell that is given no PATH has one of its own.
    fn without_shell(&self) -> Option<Vec<String>> {
        self.path().filter(|_| self.user.is_none())?;
        let Command::Shell(text) = &self.command else { return None };
        plain::words(text, &self.env)
    }

    /// What to execute, but for so many places where its program is known not to be.
    pub fn prepare(
        &self,
        passed: usize,
        fds: Descriptors,
        account: Option<Account>,
        cgroup: Option<Join>,
    ) -> Result<Exec, SpawnError> {
        let path = self.path();
        let usual = self.command.argv();
        let direct = self.without_shell();
        let directory =
            direct.is_some().then(|| plain::directory(&self.cwd, self.env.get(OsStr::new("PWD"))));
        let skipped = direct.is_some() || matches!(self.command, Command::Argv(_));
        let (programs, argv, otherwise) = match (&self.command, direct) {
            (Command::Shell(_), Some(words)) => {
                let first = words.first().map_or("", String::as_str);
                (plain::programs(first, path.unwrap_or_default()), words, usual)
            }
            (Command::Shell(_), None) => {
                // The shell could be executed, which says nothing of what it is to execute.
                self.check()?;
                (vec![PathBuf::from(SHELL)], usual, Vec::new())
            }
            (Command::Own(_), _) => (vec![PathBuf::from(OWN_PROGRAM)], usual, Vec::new()),
            (Command::Argv(_), _) => {
                let first = usual.first().map_or("", String::as_str);
                (candidates(first, &self.cwd, path), usual, Vec::new())
            }
        };
        let mut env = self.env.clone();
        directory.into_iter().for_each(|directory| env.insert("PWD", directory));
        let entries = env.entries();
        let text = |what: &str, bytes: &[u8]| {
            CString::new(bytes).map_err(|_| SpawnError::Nul { what: what.to_owned() })
        };
        let texts = |words: &[String]| -> Result<Vec<CString>, SpawnError> {
            words.iter().map(|word| text("the command", word.as_bytes())).collect()
        };
        Ok(Exec {
            programs: programs
                .iter()
                .skip(if skipped { passed } else { 0 })
                .map(|p| text("the program", p.as_os_str().as_bytes()))
                .collect::<Result<_, _>>()?,
            argv: texts(&argv)?,
            otherwise: texts(&otherwise)?,
            envp: entries
                .map_err(|name| SpawnError::Nul { what: format!("the variable `{}`", name.display()) })?,
            cwd: text("the directory", self.cwd.as_os_str().as_bytes())?,
            stdin: fds.stdin,
            stdout: fds.stdout,
            stderr: fds.stderr,
            terminal: self.pty,
            credentials: account.map(|account| account.credentials),
            cgroup,
            death_signal: self.stop_signal,
        })
    }

    fn check_program(&self, word: &str, path: Option<&OsStr>) -> Result<usize, SpawnError> {
        if let Some((passed, file)) = find(word, &self.cwd, path) {
            return match missing_interpreter(&file) {
                Some(interpreter) => Err(SpawnError::NoInterpreter { program: word.to_owned(), interpreter }),
                None => Ok(passed),
            };
        }
        let found = candidates(word, &self.cwd, path).into_iter().find(|file| file.exists());
        match found {
            Some(file) if file.is_dir() => Err(SpawnError::NotExecutable {
                program: word.to_owned(),
                reason: "it is a directory".to_owned(),
            }),
            Some(_) => Err(SpawnError::NotExecutable {
                program: word.to_owned(),
                reason: "permission denied (missing `chmod +x`?)".to_owned(),
            }),
            None => Err(SpawnError::NotFound {
                program: word.to_owned(),
                path: (!word.contains('/')).then(|| path.unwrap_or_default().to_string_lossy().into_owned()),
            }),
        }
    }
}

/// The interpreter that a script names in its first line, if that does not exist.
fn missing_interpreter(file: &Path) -> Option<String> {
    use std::io::Read;
    let mut start = [0u8; 256];
    let n = std::fs::File::open(file).ok()?.read(&mut start).ok()?;
    let line = start[..n].strip_prefix(b"#!")?;
    let line = String::from_utf8_lossy(line.split(|b| *b == b'\n').next()?).into_owned();
    let interpreter = line.split_ascii_whitespace().next()?.to_owned();
    (!Path::new(&interpreter).exists()).then_some(interpreter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_failed_is_started_again_unless_it_is_to_be_always() {
        let of = |when| Restart { when, most: 2, pause: Duration::ZERO };
        let (ok, failed, killed) = (ExitStatus::Code(0), ExitStatus::Code(3), ExitStatus::Signal(9));
        let table = [
            (Ends::Failed, 0, failed, true, true),
            (Ends::Failed, 1, killed, true, true),
            (Ends::Failed, 2, failed, true, false),
            (Ends::Failed, 0, failed, false, false),
            // A server that has ended well.
            (Ends::Failed, 0, ok, true, false),
            (Ends::Any, 0, ok, false, true),
            (Ends::Any, 1, failed, true, true),
            (Ends::Any, 2, ok, true, false),
        ];
        for (when, so_far, status, unexpected, due) in table {
            assert_eq!(of(when).is_due(so_far, status, unexpected), due, "{when:?} {so_far} {status:?}");
        }
    }

    #[test]
    fn names_come_from_the_program() {
        let shell = |text: &str| Command::Shell(text.to_owned()).program_name();
        assert_eq!(shell("PORT=1 /usr/bin/python3.11 app.py"), "python3.11");
        assert_eq!(shell("exec sleep 3"), "sleep");
        assert_eq!(shell("$(x)"), "x");
        assert_eq!(Command::Argv(vec!["./my server".into()]).program_name(), "myserver");
        assert_eq!(Command::Argv(vec![]).program_name(), "job");
    }

    #[test]
    fn quoted_words_survive_a_shell() {
        assert_eq!(quote("a-b_c.d/e"), "a-b_c.d/e");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
    }
}
