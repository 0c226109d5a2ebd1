//! What a script can catch: an object with `kind`, `message` and the nouns of its kind. Worded here, once.
//!
//! Catchable or fatal is decided here too: everything of this file but [`terminated`] can be caught.

use crate::event::{Place, Tail};
use crate::exit;
use crate::host::functions::job;
use crate::host::run::program;
use crate::jobs::fail::{Death, FailLine};
use crate::jobs::spec::{self, Expect};
use crate::jobs::{self, ExitStatus, Job, text};
use crate::words;
use rhai::plugin::*;
use rhai::{Dynamic, EvalAltResult, Map, Position};
use std::sync::atomic::Ordering::SeqCst;

pub type Fallible<T> = Result<T, Box<EvalAltResult>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Timeout,
    JobDied,
    CommandFailed,
    Assertion,
    PortTaken,
    Http,
    Io,
    Usage,
    /// Not ours: the script's own mistake, or what it threw, as `attempt` returns it.
    Script,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::JobDied => "job_died",
            Self::CommandFailed => "command_failed",
            Self::Assertion => "assertion",
            Self::PortTaken => "port_taken",
            Self::Http => "http",
            Self::Io => "io",
            Self::Usage => "usage",
            Self::Script => "script",
        }
    }

    pub const ALL: &[Self] = &[
        Self::Timeout,
        Self::JobDied,
        Self::CommandFailed,
        Self::Assertion,
        Self::PortTaken,
        Self::Http,
        Self::Io,
        Self::Usage,
        Self::Script,
    ];

    /// The kind of this name, of those that a script may throw by itself.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name && *kind != Self::Script)
    }

    /// What has happened, for the reference.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Timeout => "a wait, `timeout` or a command's own timeout has passed its deadline",
            Self::JobDied => "a job ended, or printed what `fail_on` matches, that should have lived",
            Self::CommandFailed => {
                "a command ended with another code than 0, by a signal, or could not be executed"
            }
            Self::Assertion => "an assertion or `fail` failed",
            Self::PortTaken => "a port is held by somebody outside of this run",
            Self::Http => "a request got no complete answer, or one that `assert_status` refuses",
            Self::Io => "a file, a directory or the system failed",
            Self::Usage => "a function was called with something that it cannot take",
            Self::Script => {
                "a mistake of the script, such as a division by zero, or a value of its own that it threw"
            }
        }
    }

    /// The exit code of a run that such an error ends, for the reference.
    pub fn code_in_words(self) -> String {
        match self {
            Self::CommandFailed => {
                "the command's own, 128+n after signal n, 127 not found, 126 not executable".to_owned()
            }
            kind => kind.code().to_string(),
        }
    }

    /// The exit code of a run that such an error ended.
    fn code(self) -> i32 {
        match self {
            Self::Timeout => exit::TIMEOUT,
            Self::JobDied | Self::PortTaken => exit::SURROUNDINGS,
            Self::Usage => exit::USAGE,
            Self::CommandFailed | Self::Assertion | Self::Http | Self::Io | Self::Script => exit::FAILED,
        }
    }

    /// Whether a wait for a condition takes this error for "not yet".
    pub fn is_not_yet(self) -> bool {
        matches!(self, Self::CommandFailed | Self::Http | Self::Io | Self::Assertion)
    }
}

/// The error object; a noun that an error has not is `()`.
#[derive(Clone, Debug)]
pub struct ScriptError {
    pub kind: Kind,
    pub message: String,
    /// The exit code when nobody catches it.
    pub exit: i32,
    /// Whether `run` has thrown it: a command that the user wants to be run, wherever that is done.
    pub of_run: bool,
    /// What `e.NAME` gives besides `kind` and `message`.
    pub facts: Map,
    pub notes: Vec<String>,
    pub tails: Vec<Tail>,
    pub hint: Option<String>,
    /// Where it came from, when it was caught before and that was known: so that throwing it again tells.
    pub origin: Option<Box<Origin>>,
}

/// The first place of an error, and the path to it.
#[derive(Clone, Debug)]
pub struct Origin {
    pub place: Option<Place>,
    pub trail: Vec<String>,
}

/// What an error can have besides `kind` and `message`. One that an error has not is `()`.
const NOUNS: &[&str] = &[
    "job",
    "code",
    "signal",
    "output",
    "stdout",
    "stderr",
    "command",
    "port",
    "pid",
    "url",
    "method",
    "status",
    "body",
    "path",
    "name",
    "missing",
    "expected",
    "actual",
    "waited_ms",
    "value",
    "line",
    "pattern",
    "column",
    "position",
    "source",
];

impl ScriptError {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            exit: kind.code(),
            of_run: false,
            facts: Map::new(),
            notes: Vec::new(),
            tails: Vec::new(),
            hint: None,
            origin: None,
        }
    }

    /// A script that asks for something impossible.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// A file, a descriptor, a system call.
    pub fn io(message: impl Into<String>) -> Self {
        Self::new(Kind::Io, message)
    }

    #[must_use]
    pub fn exit(mut self, code: i32) -> Self {
        self.exit = code;
        self
    }

    #[must_use]
    pub fn fact(mut self, name: &str, value: impl Into<Dynamic>) -> Self {
        self.facts.insert(name.into(), value.into());
        self
    }

    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn tail(mut self, tail: Tail) -> Self {
        self.tails.push(tail);
        self
    }

    /// Shows the end of a job's log.
    #[must_use]
    pub fn log_of(self, job: &Job) -> Self {
        match log_tail(job) {
            Some(tail) => self.tail(tail),
            None => self,
        }
    }
}

/// What a script threw, as an error: an object of ours that it threw again, or a map with one of our kinds and a
/// `message`, as the modules of the standard library throw it. Of such a map `code` is the exit code
/// (`command_failed`), `note` and `hint` are shown, and so are the ends of `output` and of the log of `job`.
pub fn thrown(value: &Dynamic) -> Option<ScriptError> {
    if let Some(error) = value.read_lock::<ScriptError>() {
        return Some(error.clone());
    }
    let map = value.read_lock::<Map>()?;
    let noun = |key: &str| map.get(key).filter(|value| !value.is_unit()).map(ToString::to_string);
    let mut error = ScriptError::new(Kind::of(&noun("kind")?)?, noun("message")?);
    error.notes.extend(noun("note"));
    error.hint = noun("hint");
    if let Some(output) = noun("output") {
        let lines = text::last_lines_folded(output.as_bytes(), TAIL);
        error = error.tail(Tail { title: "output".to_owned(), lines, path: None });
    }
    if let Some(job) = map.get("job").and_then(|job| job.read_lock::<job::Job>()) {
        error = error.log_of(&job.0);
    }
    if error.kind == Kind::CommandFailed
        && let Some(code) = map.get("code").and_then(|code| code.as_int().ok())
        && let Ok(code @ 1..) = u8::try_from(code)
    {
        error.exit = code.into();
    }
    error.facts.clone_from(&map);
    Some(error)
}

/// What `.kind` and `.message` of a caught value give: of an error object, or of a map that was thrown.
pub fn kind_and_message(caught: &Dynamic) -> (String, String) {
    if let Some(error) = caught.read_lock::<ScriptError>() {
        return (error.kind.name().to_owned(), error.message.clone());
    }
    let noun = |key: &str| {
        caught.read_lock::<Map>().and_then(|map| map.get(key).map(Dynamic::to_string)).unwrap_or_default()
    };
    (noun("kind"), noun("message"))
}

impl From<ScriptError> for Box<EvalAltResult> {
    fn from(error: ScriptError) -> Self {
        Self::new(EvalAltResult::ErrorRuntime(Dynamic::from(error), Position::NONE))
    }
}

impl std::fmt::Display for ScriptError {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// How many lines of a log an error carries; the report shows fewer when there are several logs.
const TAIL: usize = 20;

/// The end of a job's log, and what has become of that, if it is not what it was.
pub fn log_tail(job: &Job) -> Option<Tail> {
    let path = job.log.as_ref()?.display().to_string();
    Some(Tail {
        title: format!("last lines of {}", job.spec.name),
        lines: job.log_tail_folded(TAIL),
        path: Some(match job.log_fate().describe() {
            Some(fate) => format!("{path}, which {fate}"),
            None => path,
        }),
    })
}

/// The script was stopped from outside: cannot be caught.
pub fn terminated() -> Box<EvalAltResult> {
    Box::new(EvalAltResult::ErrorTerminated("stopped".into(), Position::NONE))
}

/// A job counts as dead. `waiting_for`: what was being waited for.
pub fn death(job: &Job, death: &Death, waiting_for: Option<&str>) -> ScriptError {
    match death {
        Death::Ended(status) => {
            let error = ended(job, *status, waiting_for);
            match expected(&job.spec.expect, *status) {
                Some(note) => error.note(note),
                None => error,
            }
        }
        Death::Line(found) => fail_line(job, found, waiting_for),
    }
}

/// Why an end that looks like a good one is none.
fn expected(expect: &Expect, status: ExitStatus) -> Option<String> {
    match (expect, status) {
        (Expect::Codes(codes), ExitStatus::Code(_)) => {
            let codes: Vec<String> = codes.iter().map(i32::to_string).collect();
            Some(format!("expected was exit {} (`expect_exit`)", codes.join(" or ")))
        }
        (_, ExitStatus::Code(0)) => Some(match expect {
            Expect::NoEnd => "no end of it is expected (`expect_exit: false`)".to_owned(),
            _ => "it was a server, by its `ready`: it is to run until it is stopped; if it may end, say so before: job.expect_exit(), or the option `expect_exit: 0`".to_owned(),
        }),
        _ => None,
    }
}

/// A job has printed a line that means failure.
pub fn fail_line(job: &Job, found: &FailLine, waiting_for: Option<&str>) -> ScriptError {
    const MOST: usize = 200;
    let name = &job.spec.name;
    let mut line: String = found.line.trim().chars().take(MOST).collect();
    if line.len() < found.line.trim().len() {
        line.push('…');
    }
    let during = waiting_for.map_or_else(String::new, |what| format!(" while waiting for {what}"));
    let mut error = ScriptError::new(Kind::JobDied, format!("job `{name}` failed{during}: {line}"))
        .fact("job", name.clone())
        .fact("line", found.line.clone())
        .fact("pattern", found.pattern.clone())
        .note(format!("its log has a line that matches /{}/ (`fail_on`)", found.pattern))
        .note(format!("command: {}", job.spec.command.display()))
        .log_of(job);
    if job.log.is_some() {
        error = error.fact("output", job.log_tail(TAIL).join("\n"));
    }
    error
}

/// An error that says that a job died, after what the statement that was waiting says of itself (`message`).
pub fn while_waiting(mut error: Box<EvalAltResult>, message: Option<&str>) -> Box<EvalAltResult> {
    if let Some(message) = message
        && is_death(&error)
    {
        put_before(&mut error, message);
    }
    error
}

fn put_before(error: &mut EvalAltResult, message: &str) {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _) | EvalAltResult::ErrorInModule(_, inner, _) => {
            put_before(inner, message);
        }
        EvalAltResult::ErrorRuntime(value, _) => {
            if let Some(mut death) = thrown(value) {
                death.message = format!("{message}: {}", death.message);
                *value = Dynamic::from(death);
            }
        }
        _ => {}
    }
}

/// Whether an error that nobody has caught says that a job died.
pub fn is_death(error: &EvalAltResult) -> bool {
    let EvalAltResult::ErrorRuntime(value, _) = error.unwrap_inner() else { return false };
    thrown(value).is_some_and(|error| error.kind == Kind::JobDied)
}

/// Whether an error that nobody has caught is the script's own judgement, of which the logs may tell the cause: a failed
/// assertion, a request without an answer, or what it throws itself.
pub fn is_judgement(error: &EvalAltResult) -> bool {
    let EvalAltResult::ErrorRuntime(value, _) = error.unwrap_inner() else { return false };
    thrown(value).is_none_or(|error| matches!(error.kind, Kind::Assertion | Kind::Http))
}

/// A job has ended that was waited for. `waiting_for`: for what of it.
pub fn job_died(job: &Job, status: ExitStatus, waiting_for: Option<&str>) -> ScriptError {
    let error = ended(job, status, waiting_for);
    if status.success() {
        error.note("a server that ends at once may want an open stdin: `stdin: \"pipe\"`")
    } else {
        error
    }
}

fn ended(job: &Job, status: ExitStatus, waiting_for: Option<&str>) -> ScriptError {
    let name = &job.spec.name;
    if job.too_chatty.load(SeqCst) {
        return too_chatty(job, status);
    }
    let how = match status {
        ExitStatus::Code(_) => format!("died ({})", job.describe(status)),
        ExitStatus::Signal(_) => format!("was {}", job.describe(status)),
    };
    let how = if status.success() { "ended (exit 0)".to_owned() } else { how };
    let during = waiting_for.map_or_else(String::new, |what| format!(" while waiting for {what}"));
    let mut error = ScriptError::new(Kind::JobDied, format!("job `{name}` {how}{during}"))
        .fact("job", name.clone())
        .fact("code", i64::from(status.code()))
        .note(format!("command: {}", job.spec.command.display()))
        .log_of(job);
    if let ExitStatus::Signal(number) = status {
        error = error.fact("signal", jobs::signal_name(number));
        if !job.out_of_memory() {
            error = error.note(
                "if the script caused this on purpose, say so before: job.expect_exit(), or the option `expect_exit: true`",
            );
        }
    }
    if let Some((times, most)) = job.out_of_procs() {
        error =
            error.note(format!("{times} times it could not start a process or thread (max_procs {most})"));
    }
    if job.log.is_some() {
        let end = job.log_tail(TAIL).join("\n");
        let missing = if status.code() == exit::NOT_FOUND { program::missing_in(&end) } else { None };
        error = missing.and_then(program::instead).into_iter().fold(error, ScriptError::hint);
        error = error.fact("output", end);
    }
    error
}

/// A job that had to be stopped because its log could not be kept within its limit.
fn too_chatty(job: &Job, status: ExitStatus) -> ScriptError {
    let (name, limit) = (&job.spec.name, spec::show_size(job.spec.max_log));
    ScriptError::new(
        Kind::JobDied,
        format!("job `{name}` was stopped: its log has passed {limit} (`max_log`)"),
    )
    .fact("job", name.clone())
    .fact("code", i64::from(status.code()))
    .note("this file system has no holes, so that the beginning of a log cannot be dropped there")
    .note(format!("command: {}", job.spec.command.display()))
    .log_of(job)
    .hint("max_log: \"1GB\", or another file system for the logs: TMPDIR, or the option `log`")
}

/// Whether an error is that of a command which a module has run for its own purposes, and which could be run.
pub fn is_of_helper(error: &EvalAltResult) -> bool {
    let EvalAltResult::ErrorRuntime(value, _) = error else { return false };
    thrown(value).is_some_and(|error| {
        let could_run = !matches!(error.exit, exit::SURROUNDINGS | exit::NOT_EXECUTABLE | exit::NOT_FOUND);
        error.kind == Kind::CommandFailed && !error.of_run && could_run
    })
}

/// A name that no error has: a typing mistake, or a habit.
fn no_noun(error: &ScriptError, name: &str) -> ScriptError {
    let synonym = match name {
        "exit_code" | "exitCode" | "exitcode" | "errno" => Some("code"),
        "msg" | "error" | "text" | "reason" | "description" => Some("message"),
        "type" | "error_kind" => Some("kind"),
        "log" | "tail" => Some("output"),
        "cmd" => Some("command"),
        _ => None,
    };
    let all = || NOUNS.iter().copied().chain(["kind", "message"]);
    let has = ["kind", "message"].into_iter().chain(error.facts.keys().map(rhai::Identifier::as_str));
    let has = has.collect::<Vec<_>>().join(", ");
    let wrong = ScriptError::usage(format!("an error has no `{name}`"))
        .note(format!("this one, of kind `{}`, has: {has}", error.kind.name()));
    match synonym.or_else(|| words::nearest(name, all())) {
        Some(near) => wrong.hint(format!("`.{near}`")),
        None => wrong,
    }
}

/// `e.kind`, `e.message`, and the nouns of its kind; also in strings.
pub fn register(engine: &mut rhai::Engine) {
    engine
        .register_type_with_name::<ScriptError>("Error")
        .register_global_module(rhai::exported_module!(properties).into())
        .register_fn("to_string", |e: &mut ScriptError| e.message.clone())
        .register_fn("to_debug", |e: &mut ScriptError| format!("{}: {}", e.kind.name(), e.message))
        .register_fn("+", |text: &str, e: ScriptError| format!("{text}{e}"))
        .register_fn("+", |e: ScriptError, text: &str| format!("{e}{text}"));
}

#[export_module]
mod properties {
    /// What kind of error it is: `"timeout"`, `"job_died"`, `"command_failed"`, `"assertion"`, `"port_taken"`, `"http"`,
    /// `"io"`, `"usage"`, or `"script"` for a mistake of the script itself, such as a division by zero.
    ///
    /// ```rhai
    /// try { read_file("/no/such/file") } catch (e) { assert_eq(e.kind, "io"); }
    /// ```
    #[rhai_fn(get = "kind", pure)]
    pub fn kind(error: &mut ScriptError) -> String {
        error.kind.name().to_owned()
    }

    /// What went wrong, in one line; also what the error is in a string.
    ///
    /// ```rhai
    /// try { fail("no luck") } catch (e) { assert_eq(e.message, `${e}`); }
    /// ```
    #[rhai_fn(get = "message", pure)]
    pub fn message(error: &mut ScriptError) -> String {
        error.message.clone()
    }

    /// What else is known, also as `e.code`: `job`, `code`, `signal`, `output`, `stdout`, `stderr`, `command`, `port`,
    /// `pid`, `url`, `method`, `status`, `body`, `path`, `line`, `column`, `name`, `missing`, `expected`, `actual`,
    /// `waited_ms`, `value` … `()` when this error has none of it; a name that no error has throws `usage`.
    ///
    /// ```rhai
    /// try { run("exit 3", #{echo: false}) } catch (e) { assert_eq([e.code, e["url"]], [3, ()]); }
    /// ```
    #[rhai_fn(index_get, pure, return_raw)]
    pub fn noun(error: &mut ScriptError, name: &str) -> Fallible<Dynamic> {
        match error.facts.get(name) {
            Some(fact) => Ok(fact.clone()),
            None if NOUNS.contains(&name) => Ok(Dynamic::UNIT),
            None => Err(no_noun(error, name).into()),
        }
    }
}
