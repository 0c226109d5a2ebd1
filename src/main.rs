//! bgjobs: runs Rhai scripts that start background processes, wait until they are ready, test them, and
//! leave nothing behind.
//!
//! # Layout
//!
//! ```text
//! main     this map
//! cli      arguments → one plain `Command`; the only room that knows the argument parser
//! isolate  `--isolate`: the trial whether it is allowed, and why not
//! guard    the outer process: forks the host, forwards signals, waits, sweeps, ends as the host did
//! recorded  `bgjobs report`: reports of what was recorded, shards put together
//! runner/  `bgjobs test`: many scripts, each as a run of its own
//! run      the host process: its threads, and the order of shutdown, told once
//! logs     `bgjobs logs`: what the jobs of a run have printed
//! sweep    `bgjobs ps` and `bgjobs sweep`
//! up       `bgjobs up`: which file is to be started
//! ctl      `bgjobs ctl`: asks a run that goes on
//! ask      what it asks, and what the run answers, as plain data
//! envfile  the file that `bgjobs up --env-file` writes
//! doctor   `bgjobs doctor`: what this machine offers
//! starter  `bgjobs new` and `bgjobs skill`: what users begin with
//! runs     the runs of this machine, and what those left that lost both their processes
//! end      what becomes of the logs, the directory and the cgroup of a run that is over, told once
//! rundir   the directory of one run: logs, temporary directories, the lock, the record
//! mock/    the stand-in servers that `mock(routes)` and the like start as jobs
//! issuer   the certificates of a run: an authority, and what it signs
//! secret   values that must not be shown, and how they are masked
//! exit     the exit codes
//! api      what scripts can call, as plain data
//! builtin  the modules and scenario scripts that are built in, as text
//! event    what happened, as plain data
//! pending  what is being waited for at this moment, as plain data
//! select   which tests of scripts are asked for
//! handed   what a `_setup.rhai` hands on, as plain data
//! snapshot the file of the snapshots of a script
//! suite    the tests of the script, and how they ended
//! lock     taking a lock, even after a panic elsewhere
//! spans    which trace a run belongs to, and the spans in it: ids that are handed on
//! words    words for people and for shells: the nearest of several, quoted
//! manual   what a script says about itself: its header and its parameters, as plain data
//! fuzz     random input, for the tests
//! report/  all words about a run for people; the only writers of stdout and stderr
//! host/    the script functions; the only folder that imports rhai
//! probe/   "is it ready?": each probe is one attempt, the waiting loop is written once
//! jobs/    what runs and who stops it
//! sys/     system calls; the only folder with `unsafe`
//! ```
//!
//! Imports point downward only; which room may import which stands in one table, `MAY_IMPORT` in tests/it/tidy.rs, by
//! which a test checks it.

#[cfg(not(target_os = "linux"))]
compile_error!("bgjobs needs Linux 5.4 or newer: it relies on pidfds, subreapers and parent-death signals");

mod api;
mod ask;
mod builtin;
mod cli;
mod ctl;
mod doctor;
mod end;
mod envfile;
mod event;
mod exit;
#[cfg(test)]
mod fuzz;
mod guard;
mod handed;
mod host;
mod isolate;
mod issuer;
mod jobs;
mod lock;
mod logs;
mod manual;
mod mock;
mod pending;
mod probe;
mod recorded;
mod report;
mod run;
mod rundir;
mod runner;
mod runs;
mod secret;
mod select;
mod snapshot;
mod spans;
mod starter;
mod suite;
mod sweep;
mod sys;
mod up;
mod words;

use std::process::ExitCode;

fn main() -> ExitCode {
    sys::heap::grow_in_large_steps();
    let code = match cli::parse() {
        Ok(cli::Command::Script(options)) => {
            run::help(&options).or_else(|| run::plan(&options)).unwrap_or_else(|| guard::run(&options))
        }
        Ok(cli::Command::Test(options)) => runner::run(&options),
        Ok(cli::Command::Refused { failure, json }) => {
            report::not_begun(&failure, json, report::ReportStyle::choose(cli::Color::Auto))
        }
        Ok(cli::Command::Up(up)) => up::prepare(up).map_or_else(|code| code, |options| guard::run(&options)),
        Ok(cli::Command::Check(all)) => run::check(&all),
        Ok(cli::Command::Scripts(options)) => run::scripts(&options),
        Ok(cli::Command::Ps(options)) => sweep::ps(&options),
        Ok(cli::Command::Logs(options)) => logs::logs(&options),
        Ok(cli::Command::Ctl(options)) => ctl::ctl(&options),
        Ok(cli::Command::Sweep(options)) => sweep::sweep(&options),
        Ok(cli::Command::Doctor(options)) => doctor::doctor(&options),
        Ok(cli::Command::Api(options)) => run::api(&options),
        Ok(cli::Command::New(options)) => match starter::from(&options) {
            Some(run) => run.map_or_else(|code| code, |options| guard::run(&options)),
            None => starter::new(&options),
        },
        Ok(cli::Command::Report(what)) => recorded::run(&what),
        Ok(cli::Command::Skill(options)) => starter::skill(&options),
        Ok(cli::Command::Help(text)) => report::print_as_it_is(&text),
        Ok(cli::Command::Text(text)) => report::print(&text),
        Ok(cli::Command::Params(source)) => run::params(&source),
        Ok(cli::Command::Names(options)) => ctl::names(&options),
        Ok(cli::Command::Mock { port }) => mock::serve(port),
        Err(code) => code,
    };
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}
