//! Commands: `run`, `try_run`, `output`, and the `Result` that they give.

use crate::api::Type;
use crate::event::{Event, Tail};
use crate::exit;
use crate::host::run::launch::Launch;
use crate::host::run::logs::{grown, logs};
use crate::host::run::options::Process;
use crate::host::run::runtime::rt;
use crate::host::run::spawn_error::spawn_error;
use crate::host::run::{beside, death, program};
use crate::host::value;
use crate::host::value::Opts;
use crate::host::value::describe::{function, options, properties};
use crate::host::value::described::{Entry, FromOpts, Property};
use crate::host::value::error::{self, Fallible, Kind as ErrorKind, ScriptError};
use crate::host::value::kinds::{self, FromValue, Signal, Typed};
use crate::host::value::outcome::{Outcome, Printed, signal_of};
use crate::jobs::output::{Captured, Foreground};
use crate::jobs::spec::{Command, SpawnError, Stdin};
use crate::jobs::{self, Ask, ExitStatus, Job as Inner, Kind, output as capture, strand, text};
use crate::pending::Doing;
use crate::probe::{Attempt, Failed, Wait};
use rhai::plugin::*;
use rhai::{Dynamic, Engine, Map};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

pub const PROPERTIES: &[&[Property]] = &[OF_OUTCOME];

pub const FUNCTIONS: &[Entry] = &[RUN, TRY_RUN, OUTPUT];

options! {
    /// What a command can be told.
    struct Run or timeout: Process as process {
        /// How long it may take; then it is ended, with code 124.
        timeout: Option<Duration>, default "none", also max_time deadline;
        /// What its lines begin with when others run beside it (`parallel`).
        name: Option<String>, default "the item of `parallel`, or its program";
        /// What it gets when it has to end before its time.
        stop_signal: Option<Signal>, default "the signal that ended the run, or `\"INT\"`", also kill_signal signal;
        /// Shows what it prints: true, false, or `"on_fail"`.
        echo: Option<Echo>, default "true; false for `output`", also silent quiet;
        /// With false, `run` never throws for anything that the command did.
        check: bool = true;
    }
}

function! {
    /// Runs a command in the foreground, streams its output, and returns its `Result`. Throws
    /// `command_failed` when it ends with another code than 0 or by a signal.
    ///
    /// A string is run by `/bin/sh -c`, an array is executed directly. It returns when the command itself
    /// ends; what it leaves running is named and stopped at the end of the run. When it fails and nobody catches
    /// that, the report shows the ends of the logs that grew meanwhile. With `pty` its stderr is part of stdout, and what
    /// it reads has to be typed: `stdin: #{text}`.
    ///
    /// A command that has to end before its time gets the signal that ended the run, or INT: after its `timeout`, after
    /// `--timeout`, when a job has died, when another closure of `parallel` has failed; or always its `stop_signal`. That
    /// goes to the program alone, as its own Ctrl-C would, or to the whole group where it is a shell (or make). After half
    /// of its `grace`, or when those have ended and left others, all get TERM; SIGKILL at the end of it. What it
    /// prints until then, such as the summary of a test runner, is shown. The jobs that it talks to live until then.
    ///
    /// ```rhai
    /// run("echo hello");
    /// run(["ls", "-l", cwd()]);
    /// ```
    ///
    /// ```rhai
    /// run("cat", #{stdin: #{text: "hello\n"}, timeout: "10s"});
    /// ```
    RUN = "run" -> Outcome, throws command_failed timeout job_died {
        (cmd: Command; Run) => run;
    }
}

function! {
    /// Runs a command as `run` does, but never throws for anything that the command did. A job that dies unexpectedly
    /// meanwhile ends it all the same, with `job_died`: that is not the command's doing.
    ///
    /// ```rhai
    /// if !try_run("test -e /etc/passwd").ok { fail("no users here"); }
    /// ```
    ///
    /// ```rhai
    /// let result = try_run("exit 3", #{echo: false});
    /// assert_eq(result.code, 3);
    /// ```
    TRY_RUN = "try_run" -> Outcome, throws job_died {
        (cmd: Command; Run) => try_run;
    }
}

function! {
    /// Runs a command silently and returns its stdout without its trailing newlines, as `$(…)` of a shell does. Throws
    /// `command_failed` when it fails, and `io` when it prints more than 64 MiB.
    ///
    /// ```rhai
    /// let user = output("id -un");
    /// ```
    ///
    /// ```rhai
    /// assert_eq(output("pwd", #{cwd: "/"}), "/");
    /// ```
    OUTPUT = "output" -> String, throws command_failed timeout job_died io {
        (cmd: Command; Run) => output;
    }
}

pub fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Outcome>("Result");
    engine.register_global_module(rhai::exported_module!(functions).into());
}

properties! {
    OF_OUTCOME of Outcome {
        /// Its exit code: 128 + n after signal n, 127 when it was not found, 124 after its timeout.
        code: i64 => |result| Ok(result.code);
        /// The same as `.code`.
        exit_code: i64 => |result| Ok(result.code);
        /// Whether it ended with 0.
        ok: bool => |result| Ok(result.code == 0);
        /// The same as `.ok`.
        success: bool => |result| Ok(result.code == 0);
        /// The signal that ended it, such as `"KILL"`, or `()`.
        signal: Dynamic => |result| Ok(result.signal.clone().map_or(Dynamic::UNIT, Dynamic::from));
        /// Whether it was ended because of its `timeout`.
        timed_out: bool => |result| Ok(result.timed_out);
        /// What it wrote to stdout.
        stdout: String => |result| Ok(result.printed.stdout());
        /// What it wrote to stderr.
        stderr: String => |result| Ok(result.printed.stderr());
        /// What it wrote to stdout and stderr, in the order in which it came.
        output: String => |result| Ok(result.printed.both());
        /// How long it ran, in milliseconds.
        ms: i64 => |result| Ok(result.ms);
    }
}

#[export_module]
mod functions {
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn to_string(result: &mut Outcome) -> String {
        format!("Result(code: {}, {} ms)", result.code, result.ms)
    }
}

/// A finished command, with what an error about it needs.
struct Done {
    outcome: Outcome,
    /// In words, how it ended.
    how: String,
    command: String,
    echoed: bool,
    check: bool,
    dropped: usize,
    /// The logs of the jobs as they were when it started.
    logs: Vec<(Arc<Inner>, u64)>,
}

fn run(_: &NativeCallContext, cmd: Command, opts: Run) -> Fallible<Outcome> {
    ran(execute("run", cmd, opts, false)?)
}

/// What `bgjobs up --exec` runs, with these variables. `at_terminal`: it gets what the user types.
pub fn run_exec(command: String, env: Map, at_terminal: bool) -> Fallible<()> {
    let given = Map::from([("env".into(), env.into()), ("pty".into(), at_terminal.into())]);
    let opts = Run::read(&Opts::described("run", &given.into(), Run::OPTIONS)?)?;
    ran(execute("run", Command::Shell(command), opts, at_terminal)?).map(drop)
}

fn ran(done: Done) -> Fallible<Outcome> {
    if done.check && done.outcome.code != 0 {
        return Err(failed("run", &done).into());
    }
    Ok(done.outcome)
}

fn try_run(_: &NativeCallContext, cmd: Command, opts: Run) -> Fallible<Outcome> {
    execute("try_run", cmd, opts, false).map(|done| done.outcome)
}

fn output(_: &NativeCallContext, cmd: Command, opts: Run) -> Fallible<String> {
    let done = execute("output", cmd, opts, false)?;
    if done.outcome.code != 0 {
        return Err(failed("output", &done).into());
    }
    if done.dropped > 0 {
        let limit = capture::CAPTURE_LIMIT >> 20;
        return Err(
            ScriptError::io(format!("output: `{}` printed more than {limit} MiB", done.command)).into()
        );
    }
    let mut text = done.outcome.printed.stdout();
    while text.ends_with('\n') {
        text.pop();
        // With `pty` a terminal has made two of each.
        text.truncate(text.strip_suffix('\r').unwrap_or(&text).len());
    }
    Ok(text)
}

/// The error of a command that failed.
fn failed(function: &str, done: &Done) -> ScriptError {
    let outcome = &done.outcome;
    let how = match &outcome.signal {
        _ if outcome.timed_out => done.how.clone(),
        Some(_) => format!("was {}", done.how),
        None => format!("failed (exit {})", outcome.code),
    };
    let kind = if outcome.timed_out { ErrorKind::Timeout } else { ErrorKind::CommandFailed };
    let mut error = ScriptError::new(kind, format!("{function}: `{}` {how}", one_line(&done.command)))
        .exit(i32::try_from(outcome.code).unwrap_or(exit::FAILED))
        .fact("code", outcome.code)
        .fact("stdout", outcome.printed.stdout())
        .fact("stderr", outcome.printed.stderr())
        .fact("output", outcome.printed.both())
        .fact("command", done.command.clone());
    error.of_run = function == "run";
    if outcome.code == i64::from(exit::NOT_FOUND) && outcome.signal.is_none() {
        error = error.note("exit 127 is the shell's way to say that a command was not found");
        if let Some(near) = program::missing_in(&outcome.printed.both()).and_then(program::instead) {
            error = error.hint(near);
        }
    }
    for mut tail in grown(&done.logs) {
        let shown = if tail.of_living { OF_HEALTHY } else { tail.tail.lines.len() };
        tail.tail.lines.drain(..tail.tail.lines.len().saturating_sub(shown));
        error = error.tail(tail.tail);
    }
    // Last, since a test runner ends with its summary. What has been streamed is only said again when something has
    // come between.
    let end = outcome.printed.end();
    let (title, most) = match done.echoed {
        false => ("output", 20),
        true if error.tails.is_empty() || end.is_empty() => return error,
        true => ("last lines", AGAIN),
    };
    let lines = text::last_lines_folded(&end, most);
    error.tail(Tail { title: format!("{title} of `{}`", one_line(&done.command)), lines, path: None })
}

/// How many lines of the log of a server that lives a failed command shows: it was most likely not the cause.
const OF_HEALTHY: usize = 5;
/// How many lines of what it has streamed itself.
const AGAIN: usize = 8;

/// The first line of a command, for a message.
fn one_line(command: &str) -> String {
    const MOST: usize = 80;
    let line = command.lines().next().unwrap_or_default();
    let cut = line.chars().count() > MOST || command.lines().count() > 1;
    if cut { line.chars().take(MOST).collect::<String>() + "…" } else { line.to_owned() }
}

/// Whether what a command prints is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Echo {
    Yes,
    No,
    OnFail,
}

impl Typed for Echo {
    const TYPE: Type = Type::Either(&[Type::Bool, Type::OneOf(&["on_fail"])]);
}

impl FromValue for Echo {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        kinds::literal(Self::TYPE, value, what)?;
        Ok(match value.as_bool() {
            Ok(true) => Self::Yes,
            Ok(false) => Self::No,
            Err(_) => Self::OnFail,
        })
    }
}

/// Runs a command to its end, or to that of the run. `at_terminal`: until then the user's terminal is its own.
fn execute(function: &str, command: Command, opts: Run, at_terminal: bool) -> Fallible<Done> {
    let rt = rt();
    rt.checkpoint()?;
    let Run { process, timeout, name, stop_signal, echo, check } = opts;
    let echo = echo.unwrap_or(if function == "output" { Echo::No } else { Echo::Yes });
    let text = command.display();
    let mut spec = Launch::new(function, command, process)?.command_spec(stop_signal.map(|signal| signal.0));
    if at_terminal {
        spec.stdin = Stdin::Keyboard;
    }
    // A death that nobody was told of yet ends this before it begins.
    if !rt.control().closing()
        && let Some((dead, death)) = rt.jobs.death_by_now()
    {
        rt.jobs.mark_reported(dead.id);
        return Err(death::death(&dead, &death, Some(&format!("`{}` to start", one_line(&text)))).into());
    }
    let logs = logs();
    let started = jobs::now();
    // Beside others, whose lines are whose must be told.
    let prefix = strand::beside_others().then(|| name.unwrap_or_else(|| beside::prefix(&spec.name)));
    let shown = match (&prefix, echo) {
        (_, Echo::No | Echo::OnFail) => capture::Echo::Nothing,
        (None, Echo::Yes) => capture::Echo::AsItIs,
        (Some(name), Echo::Yes) => capture::Echo::Prefixed(name.clone()),
    };
    let (job, attended) = match start(spec, shown, &text) {
        Ok(started) => started,
        Err(SpawnError::Stopping) => return Err(error::terminated()),
        Err(
            e @ (SpawnError::NotFound { .. }
            | SpawnError::NoInterpreter { .. }
            | SpawnError::NotExecutable { .. }),
        ) if function == "try_run" || !check => {
            return Ok(not_started(&e, text));
        }
        Err(e) => return Err(spawn_error(function, &e, None)),
    };
    let foreground = at_terminal.then(|| Foreground::of(&rt.jobs, &job)).and_then(|lent| {
        lent.inspect_err(|e| {
            rt.emit(Event::Warning(format!("`{}` gets no key that is typed: {e}", one_line(&text))))
        })
        .ok()
    });

    let _pending = rt.pending(Doing::Running, one_line(&text), timeout);
    let mut wait = Wait::new(&rt.jobs);
    wait.attended = Some(&attended);
    wait.timeout = timeout;
    wait.interval = Some(Duration::from_secs(1));
    wait.eager = true;
    let ended = || match rt.jobs.view(job.id).and_then(|view| view.leader) {
        Some(status) => Attempt::Ready(status),
        None => Attempt::NotYet(String::new()),
    };
    let mut timed_out = false;
    let status = match wait.run::<ExitStatus, ()>(ended) {
        Ok(status) => status,
        Err(Failed::Timeout { .. }) => {
            timed_out = true;
            attended.leave();
            interrupt(&job).unwrap_or(ExitStatus::Signal(9))
        }
        Err(failed) => {
            // It ends in its own way, whatever has ended the script: the jobs that it talks to live until then.
            attended.leave();
            let status = interrupt(&job);
            let captured = collect(&attended);
            if echo == Echo::OnFail {
                show(captured.text(None), prefix.as_deref());
            }
            if let Some(status) = status {
                let after = jobs::now().saturating_sub(started);
                let status = format!("interrupted: {}", job.describe(status));
                rt.emit(Event::CommandEnded {
                    command: text.clone(),
                    status,
                    ok: false,
                    after,
                    quiet: rt.within_condition(),
                });
            }
            let Failed::Died(dead, death) = failed else { return Err(error::terminated()) };
            let mut error = death::death(&dead, &death, Some(&format!("`{}` to end", one_line(&text))));
            if echo == Echo::No {
                let lines = text::last_lines_folded(&captured.end(), 20);
                error =
                    error.tail(Tail { title: format!("output of `{}`", one_line(&text)), lines, path: None });
            }
            return Err(error.into());
        }
    };
    drop(foreground);
    let after = jobs::now().saturating_sub(started);
    let captured = Arc::new(collect(&attended));
    let outcome = outcome(status, timed_out, Arc::clone(&captured), after);
    let ok = outcome.code == 0;
    if echo == Echo::OnFail && !ok {
        show(captured.text(None), prefix.as_deref());
    }
    let (how, status) = match timeout.filter(|_| timed_out) {
        Some(time) => {
            let how = format!("timed out after {}", value::show_duration(time));
            (how.clone(), format!("{how}: {}", job.describe(status)))
        }
        None => (job.describe(status), job.describe(status)),
    };
    let quiet = echo == Echo::No || rt.within_condition();
    rt.emit(Event::CommandEnded { command: text.clone(), status, ok, after, quiet });
    name_left_running(&job, &text);
    rt.checkpoint()?;
    let echoed = echo == Echo::Yes || (echo == Echo::OnFail && !ok);
    Ok(Done { outcome, how, command: text, echoed, check, dropped: captured.dropped(), logs })
}

fn start(
    spec: jobs::spec::Spec,
    echo: capture::Echo,
    text: &str,
) -> Result<(Arc<Inner>, capture::Attended<'static>), SpawnError> {
    let rt = rt();
    let os = |reason: String| SpawnError::Os { what: "a pipe", reason };
    let (job, pipes) = rt.jobs.spawn(spec, Kind::Command)?;
    let pipes = pipes.ok_or_else(|| os("no output".to_owned()))?;
    // Before anything that it prints is passed on.
    rt.emit(Event::CommandStarted { command: text.to_owned() });
    match rt.jobs.attend(job.id, pipes, echo) {
        Ok(attended) => Ok((job, attended)),
        Err(e) => {
            rt.jobs.stop(&[job.id], Ask { grace: Some(Duration::ZERO), ..Ask::default() }, &in_a_hurry);
            Err(os(jobs::why(e)))
        }
    }
}

/// Ends a command before its time: as Ctrl-C does, or by the signal that has ended the run, and with its grace period; how
/// it has ended, unless nobody has the time for that.
fn interrupt(job: &Arc<Inner>) -> Option<ExitStatus> {
    let rt = rt();
    if in_a_hurry() {
        rt.jobs.ask(&[job.id], Ask::default());
    } else {
        rt.jobs.stop(&[job.id], Ask::interrupt(rt.control().interruption()), &in_a_hurry);
    }
    rt.jobs.view(job.id).and_then(|view| view.leader)
}

/// Whether everything has to end at once.
fn in_a_hurry() -> bool {
    rt().control().killing() || rt().control().guard_gone()
}

/// What a command has printed, after it has failed.
fn show(output: String, prefix: Option<&str>) {
    let text = output.into_bytes();
    let text = match prefix {
        Some(name) => capture::prefixed(name, &text),
        None => text,
    };
    rt().emit(Event::Stdout(text.into()));
}

/// What a command has printed, once that has been passed on; when the script is to end, what there is after a moment: the
/// rest is passed on without it.
fn collect(attended: &capture::Attended) -> Captured {
    const A_MOMENT: Duration = Duration::from_millis(500);
    let until = Cell::new(None);
    attended.finish(&|| {
        if rt().control().halted() && until.get().is_none() {
            until.set(Some(jobs::now() + A_MOMENT));
        }
        in_a_hurry() || until.get().is_some_and(|until| jobs::now() >= until)
    })
}

fn outcome(status: ExitStatus, timed_out: bool, captured: Arc<Captured>, after: Duration) -> Outcome {
    Outcome {
        code: i64::from(if timed_out { exit::TIMEOUT } else { status.code() }),
        signal: signal_of(status),
        timed_out,
        printed: Printed::Captured(captured),
        ms: i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
    }
}

/// The result of a command that could not even be started.
fn not_started(error: &SpawnError, command: String) -> Done {
    let (code, message) = match error {
        SpawnError::NotExecutable { program, reason } => {
            (exit::NOT_EXECUTABLE, format!("{program}: cannot be executed: {reason}"))
        }
        SpawnError::NoInterpreter { program, interpreter } => {
            (exit::NOT_FOUND, format!("{program}: interpreter {interpreter} not found"))
        }
        SpawnError::NotFound { program, .. } => (exit::NOT_FOUND, format!("{program}: not found")),
        _ => (exit::INFRASTRUCTURE, "could not be started".to_owned()),
    };
    let outcome = Outcome {
        code: i64::from(code),
        signal: None,
        timed_out: false,
        printed: Printed::Refusal(message.into()),
        ms: 0,
    };
    let logs = Vec::new();
    Done { outcome, how: String::new(), command, echoed: false, check: false, dropped: 0, logs }
}

/// What a command left running belongs to the run: said in one line.
fn name_left_running(job: &Inner, command: &str) {
    // The look that has seen its end has looked for them, too.
    if rt().jobs.is_over(job.id) {
        return;
    }
    let processes: Vec<String> = rt()
        .jobs
        .processes(job.id)
        .iter()
        .map(|stat| format!("{} (pid {})", jobs::process_name(stat.pid), stat.pid))
        .collect();
    if !processes.is_empty() {
        rt().emit(Event::LeftRunning { command: command.to_owned(), processes });
    }
}
