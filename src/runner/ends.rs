//! What comes of each run of a script, and of all. How it is said is told in `report`.

use crate::cli::Verbosity;
use crate::exit;
use crate::report::{self, ScriptEnd, TryEnd, views};
use crate::runner::turns::{All, StoppedBy, Turn};
use crate::sys::wait::ExitStatus;
use crate::sys::{clock, fork, signal};
use anyhow::Context;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::time::Duration;

impl All<'_> {
    /// A run of a script is over.
    pub fn over(
        &mut self,
        mut turn: Turn,
        mut said: File,
        status: ExitStatus,
        after: Duration,
    ) -> anyhow::Result<()> {
        turn.tries += 1;
        said.rewind().context("cannot read what a script has said")?;
        // A guard dies of what has stopped it.
        let was_stopped =
            (self.signals.first().is_some() || self.stopped_by.is_some()) && status.code() >= 128;
        let (has_selected, only) = self
            .recorder
            .as_ref()
            .map_or((true, false), |recorder| self.seen.of(&recorder.file, &turn.name, turn.tries));
        let only = only && turn.failed_with.is_none();
        let of = self.options.retries + 1;
        let end = match () {
            () if status.success() && !has_selected && !self.options.options.select.is_all() => {
                ScriptEnd::Unselected
            }
            () if status.success() => ScriptEnd::Passed { at: turn.tries },
            () if was_stopped => ScriptEnd::Stopped,
            () if turn.tries < of && self.stopped_by.is_none() => {
                ScriptEnd::Again { next: turn.tries + 1, of }
            }
            () => ScriptEnd::Failed,
        };
        if let Some(recorder) = &mut self.recorder {
            recorder.script_ended(&TryEnd {
                name: &turn.name,
                number: turn.tries,
                outcome: match end {
                    ScriptEnd::Passed { .. } | ScriptEnd::Unselected => "passed",
                    ScriptEnd::Failed | ScriptEnd::Again { .. } => "failed",
                    ScriptEnd::Stopped => "stopped",
                },
                again: matches!(end, ScriptEnd::Again { .. }),
                code: status.code(),
                status: report::described(status),
                after,
                said: Some(&said),
            });
        }
        self.teller.ended(&turn.name, status, after, end);
        let how = report::described(status);
        if only {
            self.tally.only += 1;
            self.bad.push(self.teller.only(&turn.name));
        }
        match end {
            ScriptEnd::Unselected => self.tally.skipped += 1,
            ScriptEnd::Passed { at } => {
                self.tally.passed += 1;
                if let Some(first) = turn.failed_with {
                    self.tally.flaky += 1;
                    self.bad.push(self.teller.flaky(&turn.name, &report::described(first), at));
                }
                if self.options.options.verbosity == Verbosity::Verbose {
                    self.teller.said(&said);
                }
            }
            ScriptEnd::Failed | ScriptEnd::Again { .. } => {
                let how = if of > 1 { format!("try {} of {of}: {how}", turn.tries) } else { how.clone() };
                self.keep(&turn.name, &how, said)?;
            }
            ScriptEnd::Stopped => {
                self.tally.stopped += 1;
                self.bad.push(self.teller.stopped(&turn.name));
                self.keep(&turn.name, "stopped", said)?;
            }
        }
        if let ScriptEnd::Again { .. } = end {
            turn.failed_with.get_or_insert(status);
            self.turns.push_front(turn);
            return Ok(());
        }
        if end == ScriptEnd::Failed {
            self.tally.failed += 1;
            self.worst = self.worst.max(status.code());
            self.bad.push(self.teller.bad(&turn.name, &how));
        }
        Ok(())
    }

    /// What a run has said, for the end.
    pub fn keep(&mut self, name: &str, how: &str, mut said: File) -> anyhow::Result<()> {
        let mut copy = || {
            self.failures.write_all(self.teller.heading(name, how).as_bytes())?;
            let length = std::io::copy(&mut said, &mut self.failures)?;
            let mut last = [b'\n'];
            if length > 0 {
                said.seek(std::io::SeekFrom::End(-1))?;
                said.read_exact(&mut last)?;
            }
            if last != [b'\n'] {
                self.failures.write_all(b"\n")?;
            }
            Ok::<(), std::io::Error>(())
        };
        copy().context("cannot keep what scripts say in the directory for temporary files")
    }

    /// Records the end, writes what was asked for, and says what could not be written; whether all was.
    fn write_reports(&mut self, code: i32, cause: Option<&str>) -> bool {
        let Some(recorder) = &mut self.recorder else { return true };
        recorder.ended(code, cause, &self.tally);
        let name = self.options.events.as_deref().map_or_else(String::new, |path| path.display().to_string());
        let mut made = self.outputs.write(&recorder.file, &name);
        made.errors.extend(recorder.error());
        self.teller.made(&made);
        made.errors.is_empty()
    }

    /// When all is over: the reports, the verdict, the exit code.
    pub fn conclude(mut self) -> i32 {
        self.tally.not_run = self.turns.len();
        let stopped_by = self.stopped_by.or(self.signals.look().then_some(StoppedBy::Signal));
        let first = self.signals.first().filter(|_| stopped_by == Some(StoppedBy::Signal));
        let (code, cause) = match (stopped_by, first) {
            (_, Some(signal)) => (exit::signal(signal as i32), Some(format!("interrupted by {signal}"))),
            (Some(StoppedBy::Deadline), _) => {
                let time = report::duration(self.options.timeout_all.unwrap_or_default());
                (self.worst.max(exit::TIMEOUT), Some(format!("timed out after {time}")))
            }
            _ => (self.worst, None),
        };
        let select = &self.options.options.select;
        let wrong = self.seen.wrong(select).filter(|_| code == exit::OK);
        let code = wrong.as_ref().map_or(code, |wrong| wrong.code);
        let code = match self.write_reports(code, cause.as_deref()) {
            true => code,
            false => code.max(exit::INFRASTRUCTURE),
        };
        // Nothing to do about it when it cannot be read: the lines have said who has failed.
        if self.failures.rewind().is_ok() {
            self.teller.said(&self.failures);
        }
        if let Some(wrong) = &wrong {
            report::print_failure(wrong, self.teller.style);
        }
        let elapsed = clock::now().saturating_sub(self.started);
        let verdict = self.teller.verdict(code, cause.as_deref(), elapsed, &self.tally, &self.bad);
        let mut code = code;
        if self.options.json
            && let Some(recorder) = &self.recorder
        {
            let told = views::summary(&recorder.file, code, cause.as_deref(), &verdict, &self.tally);
            let printed = report::print_json(&told);
            // Who has not got it must not take that for success.
            code = if code == exit::OK { printed } else { code };
        }
        if let Some(signal) = first {
            fork::no_core_dump();
            signal::die_of(signal);
        }
        code
    }
}
