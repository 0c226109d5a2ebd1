//! Errors of scenario scripts that are built in: they are told of what the caller has typed, not of a source that is
//! not the caller's.

use crate::builtin;
use crate::event::{Failure, Place};
use crate::host::value::arguments;
use std::path::Path;
use std::sync::OnceLock;

/// How the script of this run was called, and its arguments.
static CALLED: OnceLock<(String, Vec<String>)> = OnceLock::new();

pub fn remember(source: &str, args: &[String]) {
    CALLED.get_or_init(|| (source.to_owned(), args.to_vec()));
}

/// The script of this run with its arguments, when it is one that is built in.
pub(super) fn built_in() -> Option<(&'static str, &'static str, &'static [String])> {
    let (name, args) = CALLED.get()?;
    let is_file = Path::new(name).exists() && !Path::new(name).is_dir();
    let text = builtin::script(name).filter(|_| !is_file)?;
    Some((name, text, args))
}

/// Puts the option that an error comes from in the place of the line of a built-in script.
pub fn point_at_option(failure: &mut Failure) {
    let Some((name, text, args)) = built_in() else { return };
    let own = format!("{name}:");
    failure.trail.retain(|frame| !frame.contains(&own) && !frame.contains("std/"));
    without_function(&mut failure.message);
    let Some(place) = failure.place.take_if(|place| place.file == name) else { return };
    let given = arguments::given(args);
    let found = option_of(failure, &place.text, text, &given);
    failure.place = found.map(|(name, value)| Place {
        file: typed(name, value),
        line: 0,
        column: 0,
        text: String::new(),
        width: 0,
    });
}

/// Takes the function of the script away from the beginning of a message: who calls a scenario script does not call
/// `start`.
fn without_function(message: &mut String) {
    const FUNCTIONS: &[&str] = &[
        "start",
        "spawn",
        "restart",
        "run",
        "try_run",
        "wait_http",
        "wait_port",
        "wait_cmd",
        "wait_listening",
        "wait_ready",
        "read_file",
        "read_json",
        "kill_port",
        "cd",
    ];
    let Some((function, rest)) = message.split_once(": ") else { return };
    let of_module = |name: &str| {
        let plain =
            |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        name.split_once("::").is_some_and(|(module, function)| plain(module) && plain(function))
    };
    if FUNCTIONS.contains(&function) || of_module(function) {
        *message = rest.to_owned();
    }
}

/// As it was typed: `--cmd "npm start"`.
fn typed(name: &str, value: &str) -> String {
    const MOST: usize = 80;
    let mut short: String = value.chars().take(MOST).collect();
    if short.len() < value.len() {
        short.push('…');
    }
    let plain = |c: char| c.is_alphanumeric() || "_./:=@%+,-".contains(c);
    let quoted = if !short.is_empty() && short.chars().all(plain) { short } else { format!("{short:?}") };
    format!("--{name} {quoted}")
}

type Given = (String, String);

/// Which of the options that were given an error is about: the one that it names, one whose value it has, or the first
/// that the failing line uses.
fn option_of<'g>(
    failure: &Failure,
    line: &str,
    script: &str,
    given: &'g [Given],
) -> Option<(&'g str, &'g str)> {
    let message = failure.message.as_str();
    let pair = |one: &'g Given| (one.0.as_str(), one.1.as_str());
    if let Some(at) = message.find("--") {
        let name: String =
            message[at + 2..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        if !name.is_empty() {
            let named = || given.iter().filter(|(given, _)| *given == name);
            let exact = named().find(|(_, value)| !value.is_empty() && message.contains(value.as_str()));
            return exact.or_else(|| named().next()).map(pair);
        }
    }
    // `api` in `waiting for `api` to be ready` is a job.
    let job = message.split_once('`').and_then(|(_, rest)| Some(rest.split_once('`')?.0));
    let of_job = |(_, value): &&Given| {
        job.is_some_and(|job| value.split_once('=').is_some_and(|(name, _)| name == job))
    };
    let shows = |(name, _): &&Given| matches!(name.as_str(), "ready" | "url" | "base");
    let is_meant = |one: &&Given| shows(one) && (of_job(one) || !one.1.contains('='));
    if message.contains(" to be ready (")
        && let Some(found) = given.iter().find(is_meant)
    {
        return Some(pair(found));
    }
    if let Some(found) = given.iter().find(|one| of_job(one) && !shows(one)) {
        return Some(pair(found));
    }
    if let Some(found) = given.iter().find(|(_, value)| {
        let port = format!("port {value}");
        value.parse::<u16>().is_ok()
            && message.split([',', ';', '(']).any(|part| part.trim().ends_with(&port))
    }) {
        return Some(pair(found));
    }
    // Of a command of several words only the first one is told.
    if let Some(program) = message.strip_prefix("program `").and_then(|rest| rest.split('`').next())
        && let Some(found) = given.iter().find(|(_, value)| {
            let command = value.split_once('=').map_or("", |(_, behind)| behind);
            [value.as_str(), command].iter().any(|text| text.split_whitespace().next() == Some(program))
        })
    {
        return Some(pair(found));
    }
    let telling = |value: &str| value.len() > 1 && value.contains(|c: char| c.is_alphabetic());
    let in_text = |text: &str| {
        let has = |(_, value): &&Given| {
            // `NAME=COMMAND`
            let behind = value.split_once('=').map_or("", |(_, behind)| behind);
            telling(value) && text.contains(value.as_str()) || telling(behind) && text.contains(behind)
        };
        given.iter().filter(has).max_by_key(|(_, value)| value.len())
    };
    if let Some(found) = in_text(message).or_else(|| failure.notes.iter().find_map(|note| in_text(note))) {
        return Some(pair(found));
    }
    let used = |(name, _): &&Given| position_of_word(line, variable(script, name)?);
    given
        .iter()
        .filter_map(|one| Some((used(&one)?, one)))
        .min_by_key(|(at, _)| *at)
        .map(|(_, one)| pair(one))
}

/// Whether a script has this parameter.
pub(super) fn has_param(script: &str, name: &str) -> bool {
    variable(script, name).is_some()
}

/// The variable that holds a parameter.
fn variable<'s>(script: &'s str, name: &str) -> Option<&'s str> {
    let call = format!(" = param(\"{name}\"");
    let line = script.lines().find(|line| line.contains(&call))?;
    line.split(&call).next()?.strip_prefix("let ")
}

fn position_of_word(line: &str, word: &str) -> Option<usize> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '"';
    line.match_indices(word)
        .map(|(at, _)| at)
        .find(|at| !line[..*at].ends_with(is_part) && !line[at + word.len()..].starts_with(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_of_the_option_that_it_comes_from() {
        let given = [("cmd", "npm strat"), ("url", "http://localhost:3000/health"), ("test", "npm tets")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let script = builtin::script("serve-and-test").expect("is there");
        let line = "let server = start(\"server\", cmd, #{port: if free { \"free\" }, ready: url});";
        let of = |message: &str, note: &str, line: &str| {
            let failure =
                Failure { message: message.to_owned(), notes: vec![note.to_owned()], ..Failure::default() };
            option_of(&failure, line, script, &given).map(|(name, _)| name.to_owned())
        };
        assert_eq!(of("job `server` died (exit 1)", "command: npm strat", line).as_deref(), Some("cmd"));
        assert_eq!(of("start: program `npm` not found", "", line).as_deref(), Some("cmd"));
        assert_eq!(
            of("timed out waiting for http://localhost:3000/health", "", line).as_deref(),
            Some("url")
        );
        assert_eq!(
            of("run: `npm tets` failed", "", "run(test, #{env: #{URL: base}});").as_deref(),
            Some("test")
        );
        assert_eq!(of("run: cut…", "", "run(test, #{env: #{URL: base}});").as_deref(), Some("test"));
        assert_eq!(of("--url is \"x\", not URL|/PATH", "", "").as_deref(), Some("url"));
        assert_eq!(of("missing --sql", "", line), None);
        assert_eq!(typed("cmd", "npm start"), "--cmd \"npm start\"");
        assert_eq!(typed("url", "/health"), "--url /health");
    }
}
