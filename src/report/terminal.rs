//! Events as lines on stderr: one short line each, prefixed by the time since the start.

use super::failure::failure as report;
use super::status::Status;
use super::style::Style;
use super::words::{duration, ignored, shorten, size};
use crate::cli::Verbosity;
use crate::event::{Event, Outcome, Tested, Waiting};
use crate::pending::Board;
use std::sync::Arc;
use std::time::Duration;

pub struct Terminal {
    started: Duration,
    /// That of the run.
    timeout: Option<Duration>,
    verbosity: Verbosity,
    style: Style,
}

impl Terminal {
    pub fn new(started: Duration, timeout: Option<Duration>, verbosity: Verbosity, style: Style) -> Self {
        Self { started, timeout, verbosity, style }
    }

    /// What shows that the run goes on while it waits.
    pub fn status(&self, board: Arc<Board>) -> Status {
        Status::new(board, self.started, self.timeout, self.verbosity, self.style)
    }

    /// The line of an event that was emitted at this time, with its newline; none when it is not worth one.
    pub fn line(&self, at: Duration, event: &Event) -> Option<String> {
        let style = self.style;
        let least = match event {
            Event::Text(text) | Event::Verdict(text) => return Some(text.clone()),
            Event::Test(Tested { outcome: Outcome::Failed(_), .. }) => Verbosity::Quiet,
            Event::Test(Tested { outcome: Outcome::Deselected(_), .. }) => Verbosity::Verbose,
            Event::PortFreed { .. } | Event::LogDropped { .. } | Event::DiskFull { .. } => Verbosity::Quiet,
            Event::Warning(_) | Event::Log(_) | Event::Interrupted(_) => Verbosity::Quiet,
            Event::JobEnded { expected: false, .. }
            | Event::JobComesBack { .. }
            | Event::LeftRunning { .. } => Verbosity::Quiet,
            Event::JobFailed { .. } | Event::StopCommandFailed { .. } => Verbosity::Quiet,
            Event::JobStopped { killed: Some(_), .. } | Event::StopWaits { .. } => Verbosity::Quiet,
            Event::CommandStarted { .. } | Event::CommandEnded { quiet: true, .. } => Verbosity::Verbose,
            _ => Verbosity::Normal,
        };
        if (self.verbosity as u8) < (least as u8) {
            return None;
        }
        let text = match event {
            Event::JobStarted { job, command, pid, log } => {
                let log = log.as_ref().filter(|_| self.verbosity == Verbosity::Verbose);
                let log = log.map_or_else(String::new, |log| format!(", log {}", log.display()));
                format!("{job} started: {} (pid {pid}{log})", shorten(command))
            }
            Event::JobAgain { job, next, tries } => {
                format!("{job} was not ready yet: it is started again ({next} of {tries})")
            }
            Event::JobComesBack { job, number, most, pause } => {
                let pause = duration(*pause);
                style.note(&format!("{job} is started again in {pause} ({number} of {most}, restart)"))
            }
            Event::JobReady { job, what, after } => format!("{job} ready: {what} ({})", duration(*after)),
            Event::JobEnded { job, status, expected: true } => format!("{job} ended ({status})"),
            Event::JobEnded { job, status, expected: false } => style.bad(&format!("{job} died ({status})")),
            Event::Asked { job, what, program, pid } => {
                let pid = pid.map_or_else(String::new, |pid| format!(", pid {pid}"));
                let who = program.as_deref().map(|program| format!(" (asked for by {program}{pid})"));
                format!("ctl: {what} {job}{}", who.unwrap_or_default())
            }
            Event::JobFailed { job, line } => {
                style.bad(&format!("{job} failed: {} (fail_on)", shorten(line)))
            }
            Event::JobDaemonised { job, left } => {
                format!("{job} went to the background: its first process ended, {left} still run")
            }
            Event::JobStopped { job, after, status: None, killed: None } => {
                format!("{job} stopped ({})", duration(*after))
            }
            Event::JobStopped { job, after, status: Some(status), killed: None } => {
                style.note(&format!("{job} stopped ({status}, {})", duration(*after)))
            }
            Event::JobStopped { job, killed: Some(killed), .. } => style.note(&ignored(job, killed)),
            Event::StopWaits { waiting, again } => style.note(&stop_waits(waiting, *again)),
            Event::StopCommandFailed { job, why, signal } => {
                style.note(&format!("warning: {job}: its stop_cmd failed ({why}): {signal} instead"))
            }
            Event::CommandStarted { command } => format!("run: {}", shorten(command)),
            Event::CommandEnded { command, status, ok, after, .. } => {
                let line = format!("run: {} ({status}, {})", shorten(command), duration(*after));
                if *ok { line } else { style.note(&line) }
            }
            Event::LeftRunning { command, processes } => style.note(&format!(
                "run: {} left running: {}; stopped at the end of the run",
                shorten(command),
                shorten(&processes.join(", "))
            )),
            Event::PortFreed { port, pid, command, killed } => {
                let how = if *killed { "killed" } else { "stopped" };
                style.note(&format!("port {port}: {how} {} (pid {pid})", shorten(command)))
            }
            Event::LogDropped { job, limit } => style.note(&format!(
                "warning: {job} has printed more than {}: the beginning of its log is dropped from now on (max_log)",
                size(*limit)
            )),
            Event::DiskFull { path } => style.note(&format!(
                "warning: the file system of {} is full: what the jobs print gets lost (TMPDIR moves it)",
                path.display()
            )),
            Event::Test(tested) => self.tested(tested),
            Event::TestAgain { name, next, tries, failure, .. } => {
                let (failed, name) = (style.bad("FAILED"), shorten(name));
                format!("{failed} {name}: try {next} of {tries} follows\n{}", report(failure, style))
            }
            Event::Log(text) => text.clone(),
            Event::Warning(text) => style.note(&format!("warning: {text}")),
            Event::Staying { jobs, urls } => staying(*jobs, urls),
            Event::Interrupted(text) => style.note(text),
            Event::JobsToShow(_) | Event::JobOutput { .. } => return None,
            Event::Waited { .. }
            | Event::Requested { .. }
            | Event::Asserted { .. }
            | Event::Usage(_)
            | Event::Over(_) => return None,
            Event::Stdout(_) | Event::Stderr(_) | Event::Lines { .. } | Event::OutputEnd | Event::Text(_) | Event::Verdict(_) => {
                return None;
            }
        };
        Some(self.stamped(at, &text))
    }

    /// A line about the run, with its newline.
    pub fn stamped(&self, at: Duration, text: &str) -> String {
        let elapsed = at.saturating_sub(self.started);
        let time = self.style.dim(&format!("+{:.2}s", elapsed.as_secs_f64()));
        format!("{time} {}\n", text.trim_end_matches('\n'))
    }

    /// One line; the whole failure below it.
    fn tested(&self, tested: &Tested) -> String {
        let (style, name, after) = (self.style, shorten(&tested.name), duration(tested.after));
        match &tested.outcome {
            Outcome::Passed if tested.is_flaky() => {
                format!("{} {name} (passed at try {}, {after})", style.note("flaky"), tested.tries)
            }
            Outcome::Passed => format!("{} {name} ({after})", style.good("ok")),
            Outcome::Failed(failure) => {
                format!("{} {name} ({after})\n{}", style.bad("FAILED"), report(failure, style))
            }
            Outcome::Skipped(reason) | Outcome::Deselected(reason) => {
                format!("{} {name}: {}", style.note("skipped"), shorten(reason))
            }
        }
    }
}

/// `staying: 2 jobs run (api http://127.0.0.1:8080); Ctrl-C stops them`.
fn staying(jobs: usize, urls: &[(String, String)]) -> String {
    let urls: Vec<String> = urls.iter().map(|(name, url)| format!("{name} {url}")).collect();
    let urls = if urls.is_empty() { String::new() } else { format!(" ({})", urls.join(", ")) };
    match jobs {
        0 => "staying: Ctrl-C ends the run".to_owned(),
        1 => format!("staying: 1 job runs{urls}; Ctrl-C stops it"),
        _ => format!("staying: {jobs} jobs run{urls}; Ctrl-C stops them"),
    }
}

/// `stopping api (ignores TERM, SIGKILL in 3 s; Ctrl-C again kills now)`.
fn stop_waits(waiting: &[Waiting], again: Option<bool>) -> String {
    const MOST: usize = 3;
    let mut names: Vec<String> = waiting.iter().take(MOST).map(|one| shorten(&one.job)).collect();
    if waiting.len() > MOST {
        names.push(format!("{} more", waiting.len() - MOST));
    }
    let mut signals: Vec<&str> = waiting.iter().map(|one| one.signal.as_str()).collect();
    signals.dedup();
    let signal = if let [signal] = signals[..] { signal } else { "the stop signal" };
    let deaf = waiting.iter().all(|one| one.ignored);
    let what = match (deaf, waiting.len()) {
        (true, 1) => format!("ignores {signal}"),
        (true, _) => format!("ignore {signal}"),
        (false, _) => format!("not gone yet after {signal}"),
    };
    // Rounded as people count down.
    let left = waiting.iter().map(|one| one.left).max().unwrap_or_default();
    let left = Duration::from_millis(u64::try_from(left.as_millis()).unwrap_or(u64::MAX).div_ceil(100) * 100);
    let again = match again {
        None => "",
        Some(true) => "; Ctrl-C again kills now",
        Some(false) => "; a second signal kills now",
    };
    format!("stopping {} ({what}, SIGKILL in {}{again})", listed(&names), duration(left))
}

/// `a`, `a and b`, `a, b and c`.
fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
