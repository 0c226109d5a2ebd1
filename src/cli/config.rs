//! `bgjobs.toml`: defaults of `bgjobs test` for the scripts of a directory and below, as words that stand before those of the
//! command line, which wins. Finds the file, reads it, and says where in it a mistake is; runs nothing.

use super::report::wanted;
use crate::event::{Failure, Place};
use crate::exit;
use crate::words::nearest;
use clap::error::{ContextKind, ContextValue};
use std::error::Error;
use std::ffi::OsString;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

const NAME: &str = "bgjobs.toml";
/// Its one table.
const TABLE: &str = "test";

/// What a key takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Flag,
    Number,
    Time,
    /// Texts, or one.
    Texts,
    /// Paths, or one: those that are relative are so to the directory of the file.
    Paths,
    Path,
    /// KIND=FILE, or several.
    Reports,
}

/// A key: its name, which is that of an option; the argument that this is to the parser; and how it may be set.
struct Key {
    name: &'static str,
    id: &'static str,
    takes: Takes,
    example: &'static str,
}

const fn key(name: &'static str, id: &'static str, takes: Takes, example: &'static str) -> Key {
    Key { name, id, takes, example }
}

const KEYS: &[Key] = &[
    key("paths", "paths", Takes::Paths, "[\"e2e\"]"),
    key("jobs", "jobs", Takes::Number, "4"),
    key("retries", "retries", Takes::Number, "1"),
    key("timeout", "timeout", Takes::Time, "\"5m\""),
    key("timeout-all", "timeout_all", Takes::Time, "\"30m\""),
    key("grace", "grace", Takes::Time, "\"5s\""),
    key("fail-fast", "fail_fast", Takes::Flag, "true"),
    key("tag", "tags", Takes::Texts, "[\"quick\"]"),
    key("report", "reports", Takes::Reports, "[\"junit=junit.xml\"]"),
    key("events", "events", Takes::Path, "\"events.jsonl\""),
    key("shard-by", "shard_by", Takes::Paths, "[\"all.jsonl\"]"),
    key("keep-logs", "keep_logs", Takes::Flag, "true"),
    key("include", "include", Takes::Paths, "[\"lib\"]"),
    key("isolate", "isolate", Takes::Texts, "[\"pid\"]"),
];

/// What others call them.
const HABITS: &[(&[&str], &str)] = &[
    (&["path", "dir", "dirs", "testdir", "test-dir", "testpaths", "include-paths"], "paths"),
    (&["workers", "threads", "parallel", "concurrency", "test-threads", "n"], "jobs"),
    (&["retry", "reruns"], "retries"),
    (&["bail", "failfast", "maxfail"], "fail-fast"),
    (&["reporter", "reporters"], "report"),
];

/// What came from a file.
#[derive(Clone, Debug)]
pub struct Config {
    /// As it is called from here.
    pub path: String,
    /// `jobs = 4`, of what the command line does not say itself.
    pub taken: Vec<String>,
    /// Where the paths of the scripts stand, when they are from there.
    pub paths: Option<Place>,
}

/// Which file is read.
pub enum Asked<'a> {
    /// The nearest, from the working directory upwards.
    Nearest,
    This(&'a Path),
}

/// The defaults that the command line leaves: as words for `bgjobs test`, and what is to be said of them. `is_given`: whether
/// the command line has an argument of the parser itself.
pub fn defaults(
    asked: &Asked,
    cli: &clap::Command,
    is_given: &dyn Fn(&str) -> bool,
) -> Result<Option<(Vec<OsString>, Config)>, Failure> {
    let path = match asked {
        Asked::This(path) => (*path).to_owned(),
        Asked::Nearest => match find() {
            Some(path) => path,
            None => return Ok(None),
        },
    };
    let text = std::fs::read_to_string(&path).map_err(|error| Failure {
        code: exit::USAGE,
        message: format!("`{}` cannot be read: {error}", path.display()),
        hint: Some("bgjobs test --no-config   (without the defaults of a file)".to_owned()),
        ..Failure::default()
    })?;
    let file =
        File { dir: path.parent().unwrap_or(Path::new("")), name: path.display().to_string(), text: &text };
    file.defaults(cli, is_given).map(Some)
}

/// The nearest file, as it is called from here. The root of a repository is the last place, and above here a directory in which
/// everybody may write, such as /tmp, is none: what stands there decides what is run.
pub(super) fn find() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    let mut up = PathBuf::new();
    for (steps, dir) in here.ancestors().enumerate() {
        let mode = dir.metadata().map_or(0, |it| it.permissions().mode());
        if steps > 0 && mode & 0o002 != 0 {
            return None;
        }
        if dir.join(NAME).is_file() {
            return Some(up.join(NAME));
        }
        if dir.join(".git").exists() {
            return None;
        }
        up.push("..");
    }
    None
}

struct File<'a> {
    dir: &'a Path,
    name: String,
    text: &'a str,
}

impl File<'_> {
    fn defaults(
        &self,
        cli: &clap::Command,
        is_given: &dyn Fn(&str) -> bool,
    ) -> Result<(Vec<OsString>, Config), Failure> {
        let root = DeTable::parse(self.text).map_err(|error| {
            let message = format!("this is not TOML: {}", error.message().lines().next().unwrap_or_default());
            self.wrong(error.span().unwrap_or_default(), message)
        })?;
        let mut config = Config { path: self.name.clone(), taken: Vec::new(), paths: None };
        let (mut words, mut paths) = (Vec::new(), Vec::new());
        for (name, value) in root.get_ref() {
            let Some(table) = value.get_ref().as_table().filter(|_| name.get_ref() == TABLE) else {
                return Err(self.not_the_table(name.get_ref(), name.span(), value.get_ref()));
            };
            // As they stand there, and not by their names.
            let mut table: Vec<_> = table.iter().collect();
            table.sort_by_key(|(name, _)| name.span().start);
            for (name, value) in table {
                let key = self.key(name.get_ref(), name.span(), cli)?;
                let said = self.text.get(value.span()).unwrap_or_default();
                let said: Vec<&str> = said.split_whitespace().collect();
                let said = format!("{} = {}", key.name, said.join(" "));
                let mut mine = Vec::new();
                for (text, span) in self.texts(key, value.get_ref(), value.span())? {
                    mine.extend(self.words(key, &text, &span, cli)?);
                }
                // What was divided by other times, or has failed elsewhere, is not asked for.
                let is_meant = match key.name {
                    "shard-by" => is_given("shard"),
                    "paths" => !is_given("rerun_failed"),
                    _ => true,
                };
                if mine.is_empty() || !is_meant || is_given(key.id) {
                    continue;
                }
                config.taken.push(said);
                if key.name == "paths" {
                    config.paths = Some(self.place(name.span()));
                    paths = mine;
                } else {
                    words.extend(mine);
                }
            }
        }
        words.extend(paths);
        Ok((words, config))
    }

    /// Where something stands.
    fn place(&self, span: Range<usize>) -> Place {
        let start = span.start.min(self.text.len());
        let before = self.text.get(..start).unwrap_or_default();
        let from = before.rfind('\n').map_or(0, |end| end + 1);
        let line = self.text[from..].lines().next().unwrap_or_default();
        let width =
            self.text.get(span).unwrap_or_default().lines().next().unwrap_or_default().chars().count();
        Place {
            file: self.name.clone(),
            line: before.matches('\n').count() + 1,
            column: before[from..].chars().count() + 1,
            text: line.to_owned(),
            width: width.max(1),
        }
    }

    fn wrong(&self, span: Range<usize>, message: String) -> Failure {
        Failure { code: exit::USAGE, message, place: Some(self.place(span)), ..Failure::default() }
    }

    /// What stands beside the one table that there is.
    fn not_the_table(&self, name: &str, span: Range<usize>, value: &DeValue) -> Failure {
        if name == TABLE {
            let message = format!("`{TABLE}` is a table, not {}", a(value));
            return Failure { hint: Some(format!("[{TABLE}]")), ..self.wrong(span, message) };
        }
        if KEYS.iter().any(|key| key.name == name) {
            let message = format!("`{name}` belongs into the table [{TABLE}]");
            let hint = Some(format!("[{TABLE}]   (a line above it)"));
            return Failure { hint, ..self.wrong(span, message) };
        }
        let what = if value.is_table() { "table" } else { "key" };
        let message = format!("there is no {what} `{name}` here");
        let notes = vec![format!("the one table is [{TABLE}]: defaults of `bgjobs test`")];
        let hint = value.is_table().then(|| format!("[{TABLE}]"));
        Failure { notes, hint, ..self.wrong(span, message) }
    }

    fn key(&self, name: &str, span: Range<usize>, cli: &clap::Command) -> Result<&'static Key, Failure> {
        let named = |name: &str| KEYS.iter().find(|key| key.name == name);
        if let Some(key) = named(name) {
            return Ok(key);
        }
        let habit = HABITS.iter().find(|(words, _)| words.contains(&name.to_lowercase().as_str()));
        let near = habit.map(|(_, name)| *name);
        let near = near.or_else(|| nearest(name, KEYS.iter().map(|key| key.name)));
        let options = cli.find_subcommand("test").into_iter().flat_map(clap::Command::get_arguments);
        let is_option = options.filter_map(clap::Arg::get_long).any(|option| option == name);
        let names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
        let mut failure = self.wrong(span, format!("there is no key `{name}` in [{TABLE}]"));
        failure.notes.push(format!("keys are: {}", names.join(", ")));
        failure.hint = match near.and_then(named) {
            _ if is_option => Some(format!("bgjobs test --{name}   (only on the command line)")),
            near => near.map(|key| format!("{} = {}", key.name, key.example)),
        };
        Err(failure)
    }

    /// The values of a key as texts, as they would be typed.
    fn texts(
        &self,
        key: &Key,
        value: &DeValue,
        span: Range<usize>,
    ) -> Result<Vec<(String, Range<usize>)>, Failure> {
        let one = |value: &DeValue| match (key.takes, value) {
            (Takes::Flag, DeValue::Boolean(yes)) => Some(yes.to_string()),
            (Takes::Number | Takes::Time, DeValue::Integer(number)) => {
                Some(number.as_str().replace('_', "")).filter(|_| number.radix() == 10)
            }
            (Takes::Time, DeValue::Float(number)) => Some(number.as_str().replace('_', "")),
            (Takes::Flag | Takes::Number, _) => None,
            (_, DeValue::String(text)) => Some(text.clone().into_owned()),
            _ => None,
        };
        let several = matches!(key.takes, Takes::Texts | Takes::Paths | Takes::Reports);
        let wrong = |value: &DeValue, span: Range<usize>| {
            let what = match key.takes {
                Takes::Flag => "true or false",
                Takes::Number => "a number",
                Takes::Time => "a time, such as \"90s\"",
                Takes::Path => "a path",
                Takes::Texts => "a text, or a list of texts",
                Takes::Paths => "a path, or a list of paths",
                Takes::Reports => "\"KIND=FILE\", or a list of these",
            };
            let message = format!("`{}` is {what}, not {}", key.name, a(value));
            Failure { hint: Some(format!("{} = {}", key.name, key.example)), ..self.wrong(span, message) }
        };
        match value {
            DeValue::Array(items) if several => items
                .iter()
                .map(|item| match one(item.get_ref()) {
                    Some(text) => Ok((text, item.span())),
                    None => Err(wrong(item.get_ref(), item.span())),
                })
                .collect(),
            value => one(value).map(|text| vec![(text, span.clone())]).ok_or_else(|| wrong(value, span)),
        }
    }

    /// The words that mean a value on the command line, or what is wrong with it.
    fn words(
        &self,
        key: &Key,
        text: &str,
        span: &Range<usize>,
        cli: &clap::Command,
    ) -> Result<Vec<OsString>, Failure> {
        let from_here = |text: &str| self.dir.join(text).into_os_string();
        let option = |value: OsString| {
            let mut word = OsString::from(format!("--{}=", key.name));
            word.push(value);
            vec![word]
        };
        let words = match key.takes {
            Takes::Flag if text == "true" => vec![format!("--{}", key.name).into()],
            Takes::Flag => Vec::new(),
            Takes::Number | Takes::Time | Takes::Texts => option(text.into()),
            _ if text.is_empty() => {
                let message = format!("`{}`: a path is expected, and this is empty", key.name);
                return Err(self.wrong(span.clone(), message));
            }
            // It must not look like an option.
            Takes::Paths if key.name == "paths" => {
                match self.dir.as_os_str().is_empty() && text.starts_with('-') {
                    true => vec![Path::new(".").join(text).into_os_string()],
                    false => vec![from_here(text)],
                }
            }
            Takes::Paths if key.name == "include" => vec!["-I".into(), from_here(text)],
            Takes::Paths | Takes::Path => option(from_here(text)),
            Takes::Reports => {
                let failure = |advice: super::meant::Advice| Failure {
                    notes: advice.note.into_iter().collect(),
                    hint: advice.hint.strip_prefix("--report ").map(|it| format!("report = [\"{it}\"]")),
                    ..self.wrong(span.clone(), advice.message.replacen("--report ", "report = ", 1))
                };
                wanted(text).map_err(failure)?;
                let (kind, file) =
                    text.split_once('=').map_or((text, None), |(kind, file)| (kind, Some(file)));
                let mut value = OsString::from(kind);
                if let Some(file) = file {
                    value.push("=");
                    value.push(from_here(file));
                }
                option(value)
            }
        };
        // The parser of the command line says what is wrong with a value.
        let mut line: Vec<OsString> = vec!["bgjobs".into(), "test".into()];
        line.extend(words.iter().filter(|_| !matches!(key.takes, Takes::Paths)).cloned());
        match cli.clone().try_get_matches_from(line) {
            Ok(_) => Ok(words),
            Err(error) => {
                let possible = match error.get(ContextKind::ValidValue) {
                    Some(ContextValue::Strings(all)) => format!("expected one of {}", all.join(", ")),
                    _ => format!("`{text}` cannot be read"),
                };
                let why = error.source().map_or(possible, ToString::to_string);
                let hint = Some(format!("{} = {}", key.name, key.example));
                Err(Failure { hint, ..self.wrong(span.clone(), format!("`{}`: {why}", key.name)) })
            }
        }
    }
}

/// `a text`, of a value that is not what it should be.
fn a(value: &DeValue) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
