//! The script's parameters: what its text says about them, and what its arguments give for them.

use crate::api::Type;
use crate::cli;
use crate::host::explain::caller::caller;
use crate::host::run::runtime::rt;
use crate::host::source::params::Declared;
use crate::host::value::arguments::{options, value_after};
use crate::host::value::describe::{function, options};
use crate::host::value::described::{Entry, FromOpts};
use crate::host::value::error::{Fallible, ScriptError};
use crate::host::value::kinds::{FromValue, Typed};
use crate::host::value::parameter::Kind;
use crate::host::value::typed::typed;
use crate::host::value::worded;
use crate::host::value::{self, Opts};
use crate::lock::lock;
use crate::manual::{Param, usage};
use crate::words::{self, quote};
use regex::Regex;
use rhai::{Array, Dynamic, Map, NativeCallContext};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

/// The parameters that the main script asks for by literal names: for the usage line.
static DECLARED: OnceLock<Vec<Param>> = OnceLock::new();

/// Remembers what the script asks for, and finds arguments that it does not ask for.
///
/// # Errors
/// The first argument that no `param` asks for.
pub fn declare(declared: Declared, args: &[String]) -> Result<(), Box<ScriptError>> {
    let Declared { params, complete, .. } = declared;
    let params = DECLARED.get_or_init(|| params);
    if complete { check_params(params, args) } else { Ok(()) }
}

/// The parameter that may be meant: the nearest, or one that has the name as a part of its own, as `ready-timeout` has
/// `timeout`.
fn own_near<'a>(unknown: &str, known: &'a [Param]) -> Option<&'a str> {
    let names = || known.iter().map(|param| param.name.as_str());
    let has_part = |name: &&str| name.split(['-', '_']).any(|part| part == unknown);
    words::nearest(unknown, names()).or_else(|| names().find(has_part))
}

/// Finds the first argument that nothing asks for.
pub fn check_params(known: &[Param], args: &[String]) -> Result<(), Box<ScriptError>> {
    let found = |name: &str| known.iter().find(|param| param.name == name);
    let told = |error: ScriptError| match known {
        [] => error.note("the script takes no arguments"),
        known => error.note(format!("usage: {}", usage(known))),
    };
    if let Some((_, unknown, _)) = options(args).find(|(_, name, _)| found(name).is_none()) {
        let error = told(ScriptError::usage(match caller() {
            Some(_) => format!("there is no option `--{unknown}`"),
            None => format!("unknown argument `--{unknown}`: no param(\"{unknown}\") asks for it"),
        }));
        let near = own_near(unknown, known);
        return Err(Box::new(match (cli::nearest_option(unknown), near) {
            (Some(option), near) if option == unknown => match near {
                Some(near) => {
                    options_first(error.note(format!("the script itself has `--{near}`")), known, args)
                }
                None => options_first(error, known, args),
            },
            (Some(option), Some(near)) => error
                .note(format!("bgjobs itself has `--{option}`, which comes before the script"))
                .hint(format!("--{near}   (did you mean `--{near}`?)")),
            (Some(option), None) => error.hint(format!(
                "--{option}   (did you mean `--{option}`? as an option of bgjobs it comes before the script)"
            )),
            (None, Some(near)) => error.hint(format!("--{near}   (did you mean `--{near}`?)")),
            (None, None) => error,
        }));
    }
    // Words that are nobody's value.
    let mut taken = BTreeSet::new();
    for (index, name, inline) in options(args) {
        taken.insert(index);
        let is_flag = found(name).is_some_and(Param::is_flag);
        if inline.is_none() && value_after(args, index, is_flag).is_some() {
            taken.insert(index + 1);
        }
    }
    let stray = args.iter().enumerate().find(|(index, word)| !taken.contains(index) && *word != "--");
    let Some((index, word)) = stray else { return Ok(()) };
    if is_script(word) {
        let several: Vec<&str> = args.iter().filter(|word| is_script(word)).map(String::as_str).collect();
        return Err(Box::new(
            ScriptError::usage(format!("`{word}` is another script, and each needs a run of its own"))
                .hint(one_after_the_other(&several)),
        ));
    }
    let error = told(ScriptError::usage(format!("unexpected argument `{word}`: nothing asks for it")));
    // `--cmd npm start`: most likely one value.
    let before = index.checked_sub(2).and_then(|index| options(args).find(|(at, ..)| *at == index));
    Err(Box::new(match before {
        Some((at, name, None)) if taken.contains(&(at + 1)) => error.hint(format!(
            "--{name} {:?}   (in quotes, if it is one value)",
            format!("{} {word}", args[at + 1])
        )),
        _ => options_first(error, known, args),
    }))
}

/// With the whole command line, when options of bgjobs stand behind the script.
fn options_first(error: ScriptError, known: &[Param], args: &[String]) -> ScriptError {
    match cli::options_first(args, |name| known.iter().any(|param| param.name == name)) {
        Some(line) => error.hint(format!("{line}   (the options of bgjobs come before the script)")),
        None => error,
    }
}

/// A word that is no value of anything, but a file such as this script.
fn is_script(word: &str) -> bool {
    word.ends_with(".rhai") && Path::new(word).is_file()
}

/// What runs this script and those, one after the other.
fn one_after_the_other(others: &[&str]) -> String {
    const MOST: usize = 4;
    let first = rt().options.source.as_str();
    let all: Vec<&str> = std::iter::once(first).chain(others.iter().copied()).collect();
    let dir = |path: &str| path.rsplit_once('/').map(|(dir, _)| dir.to_owned());
    if all.len() > MOST && all.iter().all(|path| dir(path) == dir(first)) {
        let dir = dir(first).map_or_else(String::new, |dir| quote(&dir) + "/");
        return format!("printf '%s\\n' {dir}*.rhai | xargs -n 1 bgjobs script");
    }
    let runs = all.iter().map(|path| format!("bgjobs script {}", quote(path)));
    runs.collect::<Vec<_>>().join(" && ")
}

pub const FUNCTIONS: &[Entry] = &[PARAM];

options! {
    /// What a parameter can be told.
    pub struct Asked {
        /// What the parameter is for, as `--help` says it.
        help: Option<String>, also description about;
        /// Its value when it is not given, whose type its value has. It is not looked at as a given value is.
        default: Option<Dynamic>, default "none: it must be given, and is a string";
        /// What a value looks like, for `--help` and the error: `"NAME=COMMAND"`.
        form: Option<String>, also metavar;
        /// Must match in a value.
        matches: Option<Regex>, also pattern regex;
        /// It must be given although it has a default, which tells its type.
        required: bool = false;
        /// What a value stands for, which is looked at before anything starts: `"command"` (not empty), `"count"` (a whole
        /// number of at least 1), `"duration"` (a bare number is of seconds), `"port"`, `"signal"`, `"regex"`, `"file"`,
        /// `"dir"` or `"path"` (a file or directory; all three must be there), `"ready"` (a text as the option `ready` of
        /// `start` takes it; behind `NAME=` where `form` begins so, and there also `false`).
        kind: Option<Kind>, also type;
    }
}

function! {
    /// An argument that must be given: `--name value` or `--name=value` is a string, a bare `--name` is true.
    ///
    /// `bgjobs script FILE --help` shows the comment at the top of a script and its parameters, as they stand in
    /// its text, without running it; a script that calls `param("help")` or `args()` reads `--help` itself. When a
    /// script reads its arguments by `param` alone, any other argument is an error.
    ///
    /// ```rhai
    /// if args().contains("--region") { log(param("region")); }
    /// ```
    PARAM = "param" -> Dynamic {
        (name: String) => required;
        /// An argument, or `default` when it is not given: `--name value` or `--name=value`; a bare `--name` is true.
        /// The value takes the type of the default: string, integer, float or boolean. Given twice, the last counts;
        /// with an array as default it is an array of all values, as strings.
        ///
        /// In place of the default stands a map when more is to be said.
        ///
        /// ```rhai
        /// let port = param("port", 8080);
        /// let verbose = param("verbose", false);
        /// for url in param("url", []) { wait_http(url); }
        ///
        /// let patience = param("patience", #{default: "30s", kind: "duration", help: "how long it may take"});
        ///
        /// fn region() { param("region", #{help: "where the servers are", form: "us|eu", matches: "^(us|eu)$"}) }
        /// ```
        (name: String, default: Default) => with_default;
        /// As `param(name, default)`, with what `--help` says about it.
        ///
        /// ```rhai
        /// let url = param("url", "http://localhost:8080", "the URL that must answer");
        /// ```
        (name: String, default: Dynamic, help: String) => with_help;
    }
}

/// What stands behind the name of a parameter: its default, or a map that says more.
pub enum Default {
    Value(Dynamic),
    Described(Box<Asked>),
}

impl Typed for Default {
    const TYPE: Type = Type::Either(&[Type::Any, Type::Options(Asked::OPTIONS)]);
}

impl FromValue for Default {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        let Some(map) = value.read_lock::<Map>() else { return Ok(Self::Value(value.clone())) };
        let mut asked = Asked::read(&Opts::described(what, value, Asked::OPTIONS)?)?;
        // Also when it is `()`.
        asked.default = map.get("default").cloned();
        Ok(Self::Described(Box::new(asked)))
    }
}

fn required(_: &NativeCallContext, name: String) -> Fallible<Dynamic> {
    parameter(&name, None)
}

fn with_help(_: &NativeCallContext, name: String, default: Dynamic, help: String) -> Fallible<Dynamic> {
    drop(help); // It is read from the text of the script.
    parameter(&name, Some(&default))
}

fn with_default(_: &NativeCallContext, name: String, default: Default) -> Fallible<Dynamic> {
    match default {
        Default::Value(default) => parameter(&name, Some(&default)),
        Default::Described(asked) => asked_for(&name, *asked),
    }
}

fn asked_for(name: &str, asked: Asked) -> Fallible<Dynamic> {
    let Asked { help, default, form, matches: pattern, required, kind } = asked;
    drop(help); // It is read from the text of the script.
    let shown = name.trim_start_matches("--");
    let given = options(&rt().options.args).any(|(_, given, _)| given == shown);
    if required && !given {
        return Err(missing(shown).into());
    }
    let mut value = parameter(name, default.as_ref())?;
    // Whoever may be true is a flag, and has a default.
    if default.is_none() && value.is_bool() {
        return Err(no_value(shown).into());
    }
    if !given || default.as_ref().is_some_and(|default| default.to_string() == value.to_string()) {
        return Ok(value);
    }
    // As after `bgjobs script --timeout`.
    if matches!(kind, Some(Kind::Duration)) && value.to_string().parse::<f64>().is_ok() {
        value = format!("{value}s").into();
    }
    let texts: Vec<String> = match value.read_lock::<Array>() {
        Some(values) => values.iter().map(ToString::to_string).collect(),
        None => vec![value.to_string()],
    };
    let wrong = |text: &str, wanted: &str| ScriptError::usage(format!("--{shown} is {text:?}, not {wanted}"));
    for text in &texts {
        if let Some(pattern) = pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
            let given = form.as_deref().unwrap_or_default();
            let better = worded::read(text).err().and_then(|wrong| wrong.hint);
            if let Some(url) = better.filter(|better| given.starts_with("URL") && better.contains("://")) {
                return Err(wrong(text, given).hint(format!("--{shown} {}", quote(&url))).into());
            }
            let form = form.clone().unwrap_or_else(|| format!("a text that matches /{pattern}/"));
            return Err(wrong(text, &form).into());
        }
        if matches!(kind, Some(Kind::Ready)) {
            may_be_waited_for(shown, text, form.as_deref())?;
            continue;
        }
        if let Some(kind) = kind.filter(|kind| !kind.fits(text, || rt().path(text))) {
            return Err(wrong(text, kind.words()).into());
        }
    }
    Ok(value)
}

/// Whether `ready` could have this text; behind `NAME=` where the parameter is of several jobs.
fn may_be_waited_for(name: &str, text: &str, form: Option<&str>) -> Fallible<()> {
    let of_jobs = form.is_some_and(|form| form.starts_with("NAME="));
    let (job, condition) = if of_jobs { text.split_once('=').unwrap_or(("", text)) } else { ("", text) };
    let Err(wrong) = worded::read(condition) else { return Ok(()) };
    if of_jobs && condition == "false" {
        return Ok(());
    }
    let front = if of_jobs { format!("{job}=") } else { String::new() };
    let given = if of_jobs { format!(" {text}") } else { String::new() };
    let error = ScriptError::usage(format!("--{name}{given}: {}", wrong.message));
    let remark = wrong.remark.map_or_else(String::new, |remark| format!("   ({remark})"));
    Err(match wrong.hint {
        Some(better) => error.hint(format!("--{name} {}{remark}", quote(&format!("{front}{better}")))),
        None if wrong.is_like_none => error.note(format!("there are: {}", worded::FORMS)),
        None => error,
    }
    .into())
}

fn no_value(name: &str) -> ScriptError {
    let name = name.trim_start_matches("--");
    ScriptError::usage(format!("--{name} has no value")).hint(format!("--{name} VALUE"))
}

fn parameter(name: &str, default: Option<&Dynamic>) -> Fallible<Dynamic> {
    let name = name.trim_start_matches("--");
    if name.is_empty() || name.contains(|c: char| c == '=' || c.is_whitespace()) {
        return Err(ScriptError::usage(format!("param: {name:?} cannot be the name of a parameter")).into());
    }
    let is_list = default.is_some_and(Dynamic::is_array);
    if let Some(value) = default
        && !(value.is_string()
            || value.is_int()
            || value.is_float()
            || value.is_bool()
            || value.is_unit()
            || is_list)
    {
        return Err(ScriptError::usage(format!("param: the default of `{name}` is {}", value::show(value)))
            .note("a default is a string, a number, a boolean, an array or ()")
            .into());
    }
    lock(&rt().asked).insert(name.to_owned());
    let args = &rt().options.args;
    let given = options(args).filter(|(_, given, _)| *given == name);
    if is_list {
        let mut values = Array::new();
        for (index, _, inline) in given {
            let value = inline.or_else(|| value_after(args, index, false)).ok_or_else(|| no_value(name))?;
            values.push(value.to_owned().into());
        }
        let default = default.filter(|_| values.is_empty()).cloned();
        return Ok(default.unwrap_or_else(|| values.into()));
    }
    let Some((index, _, inline)) = given.last() else {
        return default.cloned().ok_or_else(|| missing(name).into());
    };
    let default = default.unwrap_or(&Dynamic::UNIT);
    let is_flag = default.is_bool();
    match inline.or_else(|| value_after(args, index, is_flag)) {
        Some(text) => typed(&format!("--{name}"), text.to_owned(), default),
        None if is_flag || default.is_unit() => Ok(true.into()),
        None => Err(no_value(name).note(format!("its default is {}", value::show(default))).into()),
    }
}

/// What is missing: everything that is, not only what was asked for first.
fn missing(name: &str) -> ScriptError {
    let declared = DECLARED.get().map_or(&[][..], Vec::as_slice);
    let given: Vec<&str> = options(&rt().options.args).map(|(_, name, _)| name).collect();
    let mut missing: Vec<&str> = declared
        .iter()
        .filter(|param| param.required && !given.contains(&param.name.as_str()))
        .map(|param| param.name.as_str())
        .collect();
    if !missing.contains(&name) {
        missing.insert(0, name);
    }
    let list = missing.iter().map(|name| format!("--{name}")).collect::<Vec<_>>().join(", ");
    let mut error = ScriptError::usage(format!("missing {list}")).fact("missing", list);
    if !declared.is_empty() {
        error = error.note(format!("usage: {}", usage(declared)));
    }
    if declared.iter().any(|param| !param.help.is_empty()) {
        error = error.hint("--help   (says what each is for)");
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::source::params::declared;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn of(script: &str) -> Declared {
        let engine = crate::host::engine::engine(&[]);
        declared(&engine.compile(script).expect("compiles"))
    }

    #[test]
    fn the_option_explains_every_kind() {
        let kind = Asked::OPTIONS.get("kind").expect("an option");
        let Type::OneOf(names) = kind.kind else { panic!("words") };
        for name in names {
            assert!(kind.doc.concat().contains(&format!("`\"{name}\"`")), "{name}");
        }
    }

    #[test]
    fn an_option_that_bgjobs_and_the_script_may_mean_names_both() {
        let known = of("param(\"ready-timeout\", \"30s\"); param(\"timeuot\", 1); param(\"cmd\");").params;
        let told = |text: &str| {
            let error = check_params(&known, &words(text)).expect_err("not asked for");
            (error.notes.join("\n"), error.hint.unwrap_or_default())
        };
        let (notes, _) = told("--timeout 5s");
        assert!(notes.contains("the script itself has `--timeuot`"), "{notes}");
        let (notes, hint) = told("--timeot 5s");
        assert!(notes.contains("bgjobs itself has `--timeout`, which comes before the script"), "{notes}");
        assert_eq!(hint, "--timeuot   (did you mean `--timeuot`?)");
        let known = &known[..1];
        let error = check_params(known, &words("--timeout 5s")).expect_err("not asked for");
        assert!(
            error.notes.contains(&"the script itself has `--ready-timeout`".to_owned()),
            "{:?}",
            error.notes
        );
    }

    #[test]
    fn an_argument_that_nothing_asks_for_is_an_error() {
        let known = of("param(\"port\", 80); param(\"name\"); param(\"flag\", false);").params;
        let check = |text: &str| check_params(&known, &words(text));
        for good in ["--port 80 --name=x", "--port -5", "--flag --port 80", "--flag true --name x", "--"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for stray in ["file", "--name a b", "--flag file", "--name=a b", "-x", "--port 80 -- file"] {
            let error = check(stray).expect_err(stray);
            assert!(error.message.starts_with("unexpected argument"), "{}", error.message);
        }
        let error = check("--prot 80").expect_err("unknown");
        assert!(error.hint.is_some_and(|hint| hint.starts_with("--port")));
        let error = check("--name npm start").expect_err("two words");
        assert!(error.hint.is_some_and(|hint| hint.starts_with("--name \"npm start\"")));
        assert!(check_params(&[], &words("--x")).is_err());
    }
}
