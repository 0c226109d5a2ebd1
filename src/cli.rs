//! Arguments → one plain [`Command`]. The only room that knows the argument parser.
//!
//! The commands as they are typed are in `cli/args.rs` and, those that run scripts, in `cli/run_args.rs`; what comes of them for
//! the other rooms is in `cli/options.rs`.

mod after_help;
mod args;
mod complete;
mod config;
mod ctl;
mod defaults;
mod meant;
mod options;
mod report;
mod run_args;
mod select;
mod shard;
mod time;

pub use args::{Api, Doctor, Kind, Logs, Names, New, Ps, Scripts, Skill, Sweep};

pub use ctl::Ctl;
pub use defaults::{defaults_of_test, test_again};
pub use options::{
    Check, Color, Follow, Options, Recording, Source, Staying, Stream, Task, Test, Up, Verbosity,
};
pub use report::{Report, ReportKind, Wanted, on_github};
pub use shard::Shard;

use crate::event::Failure;
use crate::exit;
use crate::words::{columns, folded, is_order};
use args::{Cli, Sub, WIDEST};
use clap::{Args, CommandFactory, FromArgMatches};
use run_args::{CheckArgs, ScriptArgs, source};
use std::ffi::OsString;

/// What to do, without a trace of how it was said.
pub enum Command {
    Script(Options),
    Test(Box<Test>),
    /// Something is wrong with a file that belongs to the command line.
    Refused {
        failure: Failure,
        json: bool,
    },
    Up(Up),
    Check(Check),
    Scripts(Scripts),
    Ps(Ps),
    Logs(Logs),
    Ctl(Ctl),
    Sweep(Sweep),
    Doctor(Doctor),
    Api(Api),
    New(New),
    Skill(Skill),
    Report(Report),
    /// The help or the version, with its colours.
    Help(String),
    /// Something to print that only the argument parser knows.
    Text(String),
    /// What completes the parameters of a script.
    Params(Source),
    /// What completes the names of runs, or of the jobs of one.
    Names(Names),
    Mock {
        port: u16,
    },
}

/// Reads the command line. `Err` is the exit code after a usage error has been printed.
pub fn parse() -> Result<Command, i32> {
    if let Some(command) = plain(std::env::args_os().skip(1)) {
        return Ok(command);
    }
    let whole = || {
        fitting(Cli::command())
            .try_get_matches()
            .and_then(|found| Ok((Cli::from_arg_matches(&found)?, found)))
    };
    let parsed = alone().map_or_else(whole, |command| Ok((Cli { command }, clap::ArgMatches::default())));
    if let Err(asked) = &parsed
        && !asked.use_stderr()
    {
        return Ok(Command::Help(help(asked)));
    }
    let (cli, found) = parsed.map_err(|e| {
        use clap::error::ErrorKind::{InvalidSubcommand, UnknownArgument};
        let advice = match e.kind() {
            InvalidSubcommand | UnknownArgument => {
                report::instead(&words()).or_else(|| meant::instead(&words(), &Cli::command()))
            }
            _ => None,
        };
        match advice {
            Some(advice) => tell(&advice),
            None => say(&e),
        }
        exit::USAGE
    })?;
    Ok(match cli.command {
        Sub::Script(args) => {
            // What stands there in its place is looked at only then.
            if args.code.is_none()
                && args.rest.first().is_some_and(|first| first.starts_with('-'))
                && let Some(advice) = meant::before_the_script(&words()[1..], &script_command())
            {
                tell(&advice);
                return Err(exit::USAGE);
            }
            let reports = args.recorded.wanted().map_err(refuse)?;
            Command::Script(Options { reports, ..args.into() })
        }
        Sub::Test(args) => {
            let json = args.json;
            match defaults::with_defaults(args, &found) {
                Ok((args, config)) => {
                    if let Some(advice) = args.shards.incomplete() {
                        return Err(refuse(advice));
                    }
                    let reports = args.recorded.wanted().map_err(refuse)?;
                    Command::Test(Box::new(Test { reports, config, ..args.into() }))
                }
                Err(failure) => Command::Refused { failure, json },
            }
        }
        Sub::Up(args) => Command::Up(args.into()),
        Sub::Check(CheckArgs { files, code, include, json }) => {
            let sources = code.map(Source::Code).into_iter().chain(files.into_iter().map(source));
            Command::Check(Check { sources: sources.collect(), include, json })
        }
        Sub::Scripts(options) => Command::Scripts(options),
        Sub::Ps(options) => Command::Ps(options),
        Sub::Logs(options) => Command::Logs(options),
        Sub::Ctl(words) => Command::Ctl(words.into()),
        Sub::Sweep(options) => Command::Sweep(options),
        Sub::Doctor(options) => Command::Doctor(options),
        Sub::Api(options) => Command::Api(options),
        Sub::Report { what } => Command::Report(what.read().map_err(refuse)?),
        Sub::New(options) => Command::New(options),
        Sub::Skill(options) => Command::Skill(options),
        Sub::Completions { shell } => Command::Text(complete::text(shell, &Cli::command())),
        Sub::Man { command } => Command::Text(manual_page(command.as_deref())?),
        Sub::Params { script } => Command::Params(source(script.into())),
        Sub::Names(names) => Command::Names(names),
        Sub::Mock { port } => Command::Mock { port },
    })
}

/// A script with hardly an option, as most are run and checked: to describe even one command takes longer than an empty script.
fn plain(mut words: impl Iterator<Item = OsString>) -> Option<Command> {
    let command = words.next()?;
    let rest: Vec<String> = words.map(OsString::into_string).collect::<Result<_, _>>().ok()?;
    let (quiet, rest) = match &rest[..] {
        [first, others @ ..] if first == "-q" => (true, others),
        all => (false, all),
    };
    let source = match rest {
        // Whatever begins like an option is left to the parser.
        [file] if !file.is_empty() && !file.starts_with('-') => Source::File(file.into()),
        [option, code] if option == "-e" && !code.starts_with('-') => Source::Code(code.clone()),
        _ => return None,
    };
    match command.to_str()? {
        "script" => {
            let reports = report::Recorded::default().wanted().ok()?;
            let verbosity = if quiet { Verbosity::Quiet } else { Verbosity::Normal };
            Some(Command::Script(Options { reports, verbosity, ..Options::of(source) }))
        }
        "check" if !quiet => {
            Some(Command::Check(Check { sources: vec![source], include: Vec::new(), json: false }))
        }
        _ => None,
    }
}

/// One of the commands that are to start quickly, when nothing about it is wrong or wants to be told: to describe all the
/// others takes longer than to read its words.
fn alone() -> Option<Sub> {
    match std::env::args_os().nth(1)?.to_str()? {
        "script" => read::<ScriptArgs>("script").map(Sub::Script),
        "check" => read::<CheckArgs>("check").map(Sub::Check),
        _ => None,
    }
}

fn read<T: Args>(name: &'static str) -> Option<T> {
    let command = T::augment_args(clap::Command::new(name)).no_binary_name(true);
    let mut found = command.try_get_matches_from(std::env::args_os().skip(2)).ok()?;
    T::from_arg_matches_mut(&mut found).ok()
}

/// The help or the version that was asked for, with colours where stdout is to have them.
fn help(asked: &clap::Error) -> String {
    match anstream::AutoStream::choice(&std::io::stdout()) {
        anstream::ColorChoice::Never => asked.render().to_string(),
        _ => asked.render().ansi().to_string(),
    }
}

/// The page of a command, in roff.
fn manual_page(command: Option<&str>) -> Result<String, i32> {
    let mut cli = Cli::command();
    cli.build();
    let page = match command {
        None => cli.clone(),
        Some(name) => match cli.find_subcommand(name).filter(|found| !found.is_hide_set()) {
            Some(found) => found.clone().display_name(format!("bgjobs-{name}")),
            None => {
                tell(&meant::no_page(name, &cli));
                return Err(exit::USAGE);
            }
        },
    };
    let mut text = Vec::new();
    // Into memory: it does not fail.
    let _ =
        clap_mangen::Man::new(page).source(concat!("bgjobs ", env!("CARGO_PKG_VERSION"))).render(&mut text);
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// With a help that the reader's terminal has room for.
fn fitting(cli: clap::Command) -> clap::Command {
    let Some(width) = columns() else { return cli };
    let folded_end = |command: clap::Command| match command.get_after_help().map(ToString::to_string) {
        Some(text) => command.after_help(folded(&text, width)),
        None => command,
    };
    cli.term_width(width.min(WIDEST)).mut_subcommands(move |it| folded_end(it).term_width(width.min(WIDEST)))
}

/// The words of this command line, without the program.
fn words() -> Vec<String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect()
}

/// `bgjobs script` with its options; without what its help says besides.
fn script_command() -> clap::Command {
    let mut script = ScriptArgs::augment_args(clap::Command::new("script"));
    script.build();
    script
}

/// A mistake in the command line, with the way out, as the report shows errors.
fn tell(advice: &meant::Advice) {
    let note = advice.note.as_ref().map_or_else(String::new, |note| format!("\n  = {note}"));
    let text = format!("{}{note}\ntry: {}\n", advice.message, advice.hint);
    say(&clap::Error::raw(clap::error::ErrorKind::InvalidValue, text));
}

/// The same; the exit code.
fn refuse(advice: meant::Advice) -> i32 {
    tell(&advice);
    exit::USAGE
}

/// Prints an error; without colours when it repeats what would order the terminal about, which it then does not.
fn say(error: &clap::Error) {
    let text = error.render().to_string();
    let _ = if text.chars().any(is_order) {
        let shown: String = text.chars().map(|c| if is_order(c) { '\u{fffd}' } else { c }).collect();
        clap::Error::raw(error.kind(), shown.strip_prefix("error: ").unwrap_or(&shown)).print()
    } else {
        error.print()
    };
}

/// The command line of this run as it must be when options of bgjobs stand behind the script; none when none does.
/// `is_param`: the script asks for an argument of that name itself.
pub fn options_first(args: &[String], is_param: impl Fn(&str) -> bool) -> Option<String> {
    let (own, others) = meant::misplaced(args, &script_command(), is_param);
    if own.is_empty() {
        return None;
    }
    let words = words();
    // `script` and what stands before the script, and the script.
    let before = words.get(1..words.len().saturating_sub(args.len()))?;
    let before = before.strip_suffix(&["--".to_owned()]).unwrap_or(before);
    // What stands behind the script was typed last.
    let script = script_command();
    let (first, last) = meant::leading(before, &script);
    let own = meant::without_repeats(&own, &script);
    let mut line = meant::without_repeats(&[first, &own[..]].concat(), &script);
    line.rotate_right(own.len());
    line.extend_from_slice(&[last, &others[..]].concat());
    Some(format!("bgjobs script {}", crate::words::command_line(line)))
}

/// The long option of `bgjobs script` that is nearest to a name.
pub fn nearest_option(name: &str) -> Option<String> {
    let script = script_command();
    let names = script.get_arguments().filter_map(clap::Arg::get_long).filter(|name| *name != "help");
    crate::words::nearest(name, names).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// What the parser makes of the same words.
    #[test]
    fn a_script_with_hardly_an_option_is_read_as_the_parser_reads_it() {
        let parsed = |words: &[&str]| {
            let line = std::iter::once(&"bgjobs").chain(words);
            match Cli::try_parse_from(line).expect("is right").command {
                Sub::Script(args) => format!("{:?}", Options::from(args)),
                Sub::Check(CheckArgs { files, code, include, json }) => {
                    let sources = code.map(Source::Code).into_iter().chain(files.into_iter().map(source));
                    format!("{:?}", (sources.collect::<Vec<_>>(), include, json))
                }
                _ => unreachable!("one of the two"),
            }
        };
        for words in [
            &["script", "a.rhai"][..],
            &["script", "help"],
            &["script", "-e", "run(`a`)"],
            &["script", "-q", "-e", ""],
            &["script", "-q", "a"],
            &["check", "a b"],
            &["check", "-e", "x"],
        ] {
            let read = match plain(words.iter().map(OsString::from)).expect("is plain") {
                Command::Script(options) => format!("{:?}", Options { reports: Vec::new(), ..options }),
                Command::Check(check) => format!("{:?}", (check.sources, check.include, check.json)),
                _ => unreachable!("one of the two"),
            };
            assert_eq!(read, parsed(words));
        }
        for words in [
            &["script"][..],
            &["script", ""],
            &["script", "-"],
            &["script", "--help"],
            &["script", "a", "b"],
            &["script", "-e", "-1"],
            &["script", "-n", "a"],
            &["check", "a", "b"],
            &["check", "-q", "a"],
            &["script", "-q"],
            &["script", "-q", "-q", "a"],
            &["test", "a"],
            &[],
        ] {
            assert!(plain(words.iter().map(OsString::from)).is_none(), "{words:?}");
        }
    }

    #[test]
    fn a_command_read_by_itself_has_the_options_that_it_has_among_all() {
        let mut whole = Cli::command();
        whole.build();
        let mut check = CheckArgs::augment_args(clap::Command::new("check"));
        check.build();
        for alone in [script_command(), check] {
            let among = whole.find_subcommand(alone.get_name()).expect("is there");
            let of = |command: &clap::Command| command.get_arguments().cloned().collect::<Vec<_>>();
            assert_eq!(format!("{:?}", of(&alone)), format!("{:?}", of(among)));
        }
    }
}
