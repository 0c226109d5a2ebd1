//! `bgjobs test`: many scripts, each as a run of its own.
//!
//! It starts nothing but runs, and these keep their promise by themselves. What is added here is that they are told when
//! this process ends, however it does. It has one thread, so that a run can be forked off without starting the program
//! anew.
//!
//! ```text
//! find     what was asked for → the scripts
//! rerun    what has failed before
//! shard    which part of them is to run here
//! selected  what was asked for, found before, and of this part
//! attempt  one run of one script, in a process of its own
//! setups   what the scripts of a directory share, as a run of its own
//! seen     the tests that the scripts have had
//! watch    rounds of all of that, when a file changes or a key is typed
//! uses     which files a script is made of
//! signals  what this process was sent, passed on to the runs
//! turns    which script runs when
//! sharing  what of that is because of the setups above them
//! ends     what comes of each, and of all
//! ```

mod attempt;
mod ends;
mod find;
mod rerun;
mod seen;
mod selected;
mod setups;
mod shard;
mod sharing;
mod signals;
mod turns;
mod uses;
mod watch;

use crate::cli::Test;

/// Runs the scripts, once or with each change; the exit code, unless it dies of the signal that has ended them.
pub fn run(options: &Test) -> i32 {
    if options.watch { watch::watch(options, turns::run) } else { turns::run(options) }
}
