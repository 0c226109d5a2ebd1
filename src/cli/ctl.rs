//! The words of `bgjobs ctl`.

use super::time::duration;
use crate::ask::Request;
use clap::{Args, Subcommand};
use std::time::Duration;

/// What to ask a run that goes on.
#[derive(Clone, Debug)]
pub struct Ctl {
    /// Which one, as it was called.
    pub run: Option<String>,
    pub json: bool,
    pub request: Request,
}

#[derive(Args)]
pub struct Words {
    /// The run, as `bgjobs ps` names it, or its directory
    #[arg(long, value_name = "RUN", global = true)]
    run: Option<String>,
    /// Print JSON, an error as well
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Stop a job if it runs, start it again, and wait until it is ready
    Restart { name: String },
    /// Stop a job; return when nothing of it is left
    Stop { name: String },
    /// Suspend all processes of a job (SIGSTOP)
    Pause { name: String },
    /// Continue what `pause` has suspended
    Resume { name: String },
    /// Kill all processes of a job (SIGKILL); return when nothing of it is left
    Kill { name: String },
    /// Wait until a job is ready
    Wait {
        name: String,
        /// How long at most; without it as its `ready` says, or 30 s
        #[arg(long, value_parser = duration, value_name = "TIME")]
        timeout: Option<Duration>,
    },
    /// Print the port of a job
    Port { name: String },
    /// Print the URL of a job
    Url { name: String },
    /// Print the end of a job's log
    Logs {
        name: String,
        /// How many lines at most
        #[arg(short = 'n', long, value_name = "N", default_value = "20")]
        lines: usize,
    },
    /// Print the addresses of all jobs, as a shell reads variables: NAME_URL=…, NAME_PORT=…, NAME_HOST=…
    Env,
    /// Print a table of the jobs
    Jobs,
}

impl From<Words> for Ctl {
    fn from(Words { run, json, what }: Words) -> Self {
        let request = match what {
            What::Restart { name } => Request::Restart { job: name },
            What::Stop { name } => Request::Stop { job: name },
            What::Pause { name } => Request::Pause { job: name },
            What::Resume { name } => Request::Resume { job: name },
            What::Kill { name } => Request::Kill { job: name },
            What::Wait { name, timeout } => {
                let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                Request::Wait { job: name, timeout_ms: timeout.map(ms) }
            }
            What::Port { name } => Request::Port { job: name },
            What::Url { name } => Request::Url { job: name },
            What::Logs { name, lines } => Request::Logs { job: name, lines },
            What::Env => Request::Env,
            What::Jobs => Request::Jobs,
        };
        Self { run, json, request }
    }
}
