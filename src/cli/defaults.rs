//! What `bgjobs test` was called with, with the defaults that a file has; `--watch` reads both again: the command line is what
//! it was, and the file may be another.

use super::args::{Cli, Sub};
use super::config::{self, Config};
use super::meant::Advice;
use super::options::Test;
use super::run_args::TestArgs;
use crate::event::Failure;
use crate::exit;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use std::path::PathBuf;

/// What `bgjobs test` was given, with what `bgjobs.toml` says where the command line does not.
pub fn with_defaults(args: TestArgs, found: &ArgMatches) -> Result<(TestArgs, Option<Config>), Failure> {
    use clap::parser::ValueSource::CommandLine;
    let asked = match &args.config {
        _ if args.no_config => return Ok((args, None)),
        Some(path) => config::Asked::This(path),
        None => config::Asked::Nearest,
    };
    let given = found.subcommand_matches("test");
    let is_given = |id: &str| given.is_some_and(|given| given.value_source(id) == Some(CommandLine));
    let Some((words, config)) = config::defaults(&asked, &Cli::command(), &is_given)? else {
        return Ok((args, None));
    };
    let line = ["bgjobs".into(), "test".into()].into_iter().chain(words).chain(std::env::args_os().skip(2));
    // Each was tried by itself.
    let both = Cli::command().try_get_matches_from(line).and_then(|both| Cli::from_arg_matches(&both));
    match both.map(|both| both.command) {
        Ok(Sub::Test(both)) => Ok((both, Some(config))),
        Ok(_) => Ok((args, None)),
        Err(error) => Err(Failure {
            code: exit::USAGE,
            message: format!("{} and the command line do not go together", config.path),
            notes: error.to_string().lines().take(1).map(str::to_owned).collect(),
            hint: Some("bgjobs test --no-config   (without the defaults of a file)".to_owned()),
            ..Failure::default()
        }),
    }
}

/// The words of the command line. It was understood before; if not, nothing is said of it here.
fn words() -> Option<(TestArgs, ArgMatches)> {
    let found = Cli::command().try_get_matches().ok()?;
    match Cli::from_arg_matches(&found).ok()?.command {
        Sub::Test(args) => Some((args, found)),
        _ => None,
    }
}

/// The file that there is now for defaults.
pub fn defaults_of_test() -> Option<PathBuf> {
    let (args, _) = words()?;
    match args.config {
        _ if args.no_config => None,
        Some(path) => Some(path),
        None => config::find(),
    }
}

/// What is to be done by the command line and the defaults that there are now; what is wrong with these.
pub fn test_again() -> Result<Option<Test>, Failure> {
    let Some((args, found)) = words() else { return Ok(None) };
    let (args, config) = with_defaults(args, &found)?;
    let advised = |Advice { message, note, hint }: Advice| Failure {
        code: exit::USAGE,
        message,
        notes: note.into_iter().collect(),
        hint: Some(hint),
        ..Failure::default()
    };
    if let Some(advice) = args.shards.incomplete() {
        return Err(advised(advice));
    }
    let reports = args.recorded.wanted().map_err(advised)?;
    Ok(Some(Test { reports, config, ..args.into() }))
}
