//! What of the turns is because of the setups above the scripts: when one starts and ends, and what fails with it.

use crate::cli::{Recording, Verbosity};
use crate::exit;
use crate::report::{self, TryEnd};
use crate::runner::setups::{Ended, Phase};
use crate::runner::turns::{All, Turn};
use anyhow::Context;
use std::io::Seek;
use std::sync::Arc;
use std::time::Duration;

impl All<'_> {
    pub fn start_setup(&mut self, index: usize) -> anyhow::Result<()> {
        let script = self.setups.get(index).name.clone();
        let events = self.recorder.as_mut().map(|recorder| {
            recorder.script_started(&script, &script, 1, true);
            let file = Arc::clone(&recorder.file);
            Recording::Part { file, started: self.started, script, number: 1 }
        });
        let wanted = (self.teller.style.has_color(), events);
        self.setups.start(index, &self.options.options, wanted, self.signals)
    }

    /// Those that no script needs any more, which runs or is to run.
    pub fn end_setups(&mut self) {
        self.setups.stop_late(self.options.options.timeout, self.signals);
        let to_come = self.turns.iter().filter(|_| self.may_start());
        let users: Vec<Option<usize>> =
            to_come.chain(self.running.iter().map(|(turn, _)| turn)).map(|turn| turn.setup).collect();
        self.setups.end_all_but(&users, self.signals);
    }

    /// Those that have come up, and those that have ended.
    pub fn look_at_setups(&mut self) -> anyhow::Result<()> {
        for (index, after) in self.setups.come_up() {
            self.teller.setup_up(&self.setups.get(index).name, after);
        }
        let ended = self.setups.ended(self.signals);
        ended.into_iter().try_for_each(|ended| self.setup_over(ended))
    }

    fn setup_over(&mut self, ended: Ended) -> anyhow::Result<()> {
        let Ended { index, status, after, mut said, phase } = ended;
        said.rewind().context("cannot read what a script has said")?;
        let name = self.setups.get(index).name.clone();
        let is_stopped =
            (self.signals.first().is_some() || self.stopped_by.is_some()) && status.code() >= 128;
        let is_late = self.setups.get(index).late;
        let outcome = match self.setups.phase(index) {
            _ if is_stopped && !is_late => "stopped",
            Phase::Over => "passed",
            _ => "failed",
        };
        let (code, how) = match (is_late, phase) {
            (true, _) => {
                let time = self.options.options.timeout.unwrap_or_default();
                (exit::TIMEOUT, format!("not up after {}", report::duration(time)))
            }
            // It should have stayed.
            (_, Phase::Starting | Phase::Up) if status.success() => {
                (exit::INFRASTRUCTURE, "it has ended by itself".to_owned())
            }
            _ => (status.code(), report::described(status)),
        };
        self.setups.note_code(index, code);
        if let Some(recorder) = &mut self.recorder {
            recorder.script_ended(&TryEnd {
                name: &name,
                number: 1,
                outcome,
                again: false,
                code: if outcome == "passed" { exit::OK } else { code },
                status: how.clone(),
                after,
                said: Some(&said),
            });
        }
        match outcome {
            "failed" => {
                self.tally.setups += 1;
                self.worst = self.worst.max(code);
                self.teller.setup_failed(&name, &how, after);
                self.bad.push(self.teller.bad(&name, &how));
                self.keep(&name, &how, said)
            }
            _ => {
                if self.options.options.verbosity == Verbosity::Verbose {
                    self.teller.setup_over(&name, after);
                    self.teller.said(&said);
                }
                Ok(())
            }
        }
    }

    /// A script that cannot run, since what it needs is not there. Why is told with that.
    pub fn fails_with(&mut self, turn: Turn, index: usize) {
        let (name, code) = (self.setups.get(index).name.clone(), self.setups.get(index).code);
        let how = report::failed_above(&name);
        if let Some(recorder) = &mut self.recorder {
            let number = turn.tries + 1;
            recorder.script_started(&turn.name, &turn.script.display().to_string(), number, false);
            let (outcome, again, after) = ("failed", false, Duration::ZERO);
            let (name, status, said) = (&turn.name, how.clone(), None);
            recorder.script_ended(&TryEnd { name, number, outcome, again, code, status, after, said });
        }
        self.tally.failed += 1;
        let line = self.teller.bad(&turn.name, &how);
        self.teller.line(&line);
        self.bad.push(line);
    }
}
