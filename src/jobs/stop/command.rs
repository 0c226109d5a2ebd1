//! The command that is run instead of a job's stop signal (`stop_cmd`).
//!
//! It may start while the run is being stopped, until the sweep; [`crate::jobs::Jobs::stop`] waits for it and follows it up.
//! Only this process runs it: when the host has been killed, the guard sends signals.

use crate::event::Event;
use crate::jobs::all::Jobs;
use crate::jobs::job::{Job, JobId, Kind};
use crate::jobs::spec::{Output, SpawnError, Spec};
use crate::jobs::stop::step::Stage;
use crate::jobs::table::{Order, StopCommand, To};
use crate::lock::lock;
use crate::sys::signal;
use nix::libc::{SIGCONT, SIGKILL};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

impl Jobs {
    /// Starts what is due; without it the stop signal is sent at once.
    pub(crate) fn start_stop_command(&self, id: JobId) {
        let Some(job) = self.get(id) else { return };
        let Some(mut spec) = command_spec(&job) else { return };
        // As systemd calls it.
        if let Some(entry) = lock(&self.table).entry_mut(id) {
            spec.env.insert("MAINPID", entry.pid.to_string());
        }
        let number = self.next_id.fetch_add(1, SeqCst);
        let command = match self.launch(number, spec, Kind::StopCommand, true) {
            Ok((command, _)) => command,
            // The sweep has begun.
            Err(SpawnError::Stopping) => return,
            Err(error) => return self.signal_instead(id, Some(reason(&error))),
        };
        let mut table = lock(&self.table);
        match table.entry_mut(id) {
            Some(entry) if matches!(entry.stage, Stage::Asked { .. }) => {
                entry.stop_command = Some(StopCommand::Started(Arc::clone(&command)));
            }
            // It is gone or was killed meanwhile.
            _ => table.signal_tree(command.id, &[SIGKILL]),
        }
        drop(table);
        // Whoever waits for this stop as well does not know of the command yet.
        self.control.bell.ring();
    }

    /// Sends a job its stop signal after all. `failed`: what was wrong with the command, if anything was.
    pub(crate) fn signal_instead(&self, id: JobId, failed: Option<String>) {
        let mut table = lock(&self.table);
        let Some(entry) = table.entry_mut(id) else { return };
        // Somebody else who waits for this stop was faster.
        if entry.stop_command.take().is_none() {
            return;
        }
        let job = Arc::clone(&entry.job);
        let to = if entry.partly.is_some() { To::First } else { To::Tree };
        table.signal(&[Order { id, signals: vec![job.spec.stop_signal], to }, Order::tree(id, &[SIGCONT])]);
        drop(table);
        if let Some(why) = failed {
            let signal = signal::name(job.spec.stop_signal);
            self.bus.emit(Event::StopCommandFailed { job: job.spec.name.clone(), why, signal });
        }
    }
}

/// The command in its job's surroundings; what it prints goes to the job's log.
fn command_spec(job: &Job) -> Option<Spec> {
    let log = job.log.clone().filter(|_| job.file.is_some());
    let output = Output::Log(log.unwrap_or_else(|| PathBuf::from("/dev/null")));
    Some(Spec {
        name: job.spec.name.clone(),
        env: job.spec.env.clone(),
        user: job.spec.user.clone(),
        ..Spec::of_command(job.spec.stop_cmd.clone()?, job.spec.cwd.clone(), job.spec.grace, output)
    })
}

pub(crate) fn reason(error: &SpawnError) -> String {
    match error {
        SpawnError::NotFound { program, .. } => format!("`{program}` not found"),
        SpawnError::NoInterpreter { interpreter, .. } => format!("its interpreter `{interpreter}` not found"),
        SpawnError::NotExecutable { program, reason } => format!("`{program}` cannot be executed: {reason}"),
        SpawnError::Cwd { cwd, reason } => format!("{}: {reason}", cwd.display()),
        SpawnError::Log { path, reason } => format!("{}: {reason}", path.display()),
        SpawnError::User { reason, .. } | SpawnError::Os { reason, .. } => reason.clone(),
        SpawnError::Limit(_) | SpawnError::Nul { .. } | SpawnError::Stopping => {
            "it cannot be started".to_owned()
        }
    }
}
