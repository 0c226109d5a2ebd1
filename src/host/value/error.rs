//! What a script can catch: an object with `kind`, `message` and the nouns of its kind. Worded here, once.
//!
//! Catchable or fatal is decided here too: everything of this file but [`terminated`] can be caught.

use super::handle;
use crate::event::{Place, Tail};
use crate::exit;
use crate::jobs::{Job, text};
use rhai::{Dynamic, EvalAltResult, Map, NativeCallContext, Position};

/// What a script function throws.
pub type Thrown = Box<EvalAltResult>;

pub type Fallible<T> = Result<T, Thrown>;

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
    pub fn named(name: &str) -> Option<Self> {
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
            Self::PortTaken => "a port is held by somebody outside this run",
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
            Self::JobDied | Self::PortTaken => exit::INFRASTRUCTURE,
            Self::Usage => exit::USAGE,
            Self::CommandFailed | Self::Assertion | Self::Http | Self::Io | Self::Script => exit::FAILED,
        }
    }

    /// Whether a wait for a condition takes this error for "not yet".
    pub fn is_not_yet(self) -> bool {
        matches!(self, Self::CommandFailed | Self::Http | Self::Io | Self::Assertion)
    }
}

/// The error object; a property that an error does not have is `()`.
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
    /// The option whose value is to blame: where that stands in a file, its place is that of the error.
    pub option: Option<String>,
    /// Where it came from, when it was caught before and that was known: so that throwing it again tells.
    pub origin: Option<Box<Origin>>,
}

/// The first place of an error, and the path to it.
#[derive(Clone, Debug)]
pub struct Origin {
    pub place: Option<Place>,
    pub trail: Vec<String>,
}

/// What an error can have besides `kind` and `message`. One that it does not have is `()`.
pub const NOUNS: &[&str] = &[
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
            option: None,
            origin: None,
        }
    }

    /// A script that asks for something impossible.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// An option whose value cannot be taken. `function`: whose option.
    pub fn of_option(function: &str, key: &str, why: impl std::fmt::Display) -> Self {
        Self::usage(format!("{function}: option `{key}`: {why}")).about(key)
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

    /// The value of this option is to blame.
    #[must_use]
    pub fn about(mut self, key: &str) -> Self {
        self.option = Some(key.to_owned());
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
    let mut error = ScriptError::new(Kind::named(&noun("kind")?)?, noun("message")?);
    error.notes.extend(noun("note"));
    error.hint = noun("hint");
    if let Some(output) = noun("output") {
        let lines = text::last_lines_folded(output.as_bytes(), TAIL);
        error = error.tail(Tail { title: "output".to_owned(), lines, path: None });
    }
    if let Some(job) = map.get("job").and_then(|job| job.read_lock::<handle::Job>()) {
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

/// Changes the error object that was thrown, if it is one or a map that counts as one.
pub fn change(error: &mut EvalAltResult, change: impl FnOnce(&mut ScriptError)) {
    let mut inner = error;
    while let EvalAltResult::ErrorInFunctionCall(_, _, next, _) | EvalAltResult::ErrorInModule(_, next, _) =
        inner
    {
        inner = next;
    }
    if let EvalAltResult::ErrorRuntime(value, _) = inner
        && let Some(mut error) = thrown(value)
    {
        change(&mut error);
        *value = Dynamic::from(error);
    }
}

/// An error about what was given for this option. Of one within another the outer one is said last, and stays.
pub fn about(mut error: Thrown, key: &str) -> Thrown {
    change(&mut error, |error| error.option = Some(key.to_owned()));
    error
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
pub const TAIL: usize = 20;

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

/// Where a script was when it was stopped: in this function, called here.
#[derive(Clone, Debug)]
pub struct StoppedIn {
    pub function: &'static str,
    pub source: String,
    pub position: Position,
}

/// Notes in an error that stops the script where that was; the innermost call comes first, and stays. The error's own
/// position is of no use: Rhai sets it anew at each call that it leaves.
pub fn stopped_in(
    mut error: Box<EvalAltResult>,
    function: &'static str,
    ctx: &NativeCallContext,
) -> Box<EvalAltResult> {
    if let EvalAltResult::ErrorTerminated(token, _) = &mut *error
        && !token.is::<StoppedIn>()
    {
        let source = ctx.call_source().unwrap_or_default().to_owned();
        *token = Dynamic::from(StoppedIn { function, source, position: ctx.call_position() });
    }
    error
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

/// Whether an error is that of a command which a module has run for its own purposes, and which could be run.
pub fn is_of_helper(error: &EvalAltResult) -> bool {
    let EvalAltResult::ErrorRuntime(value, _) = error else { return false };
    thrown(value).is_some_and(|error| {
        let could_run = !matches!(error.exit, exit::INFRASTRUCTURE | exit::NOT_EXECUTABLE | exit::NOT_FOUND);
        error.kind == Kind::CommandFailed && !error.of_run && could_run
    })
}
