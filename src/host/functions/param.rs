//! The script's parameters: what its text says about them, and what its arguments give for them.

use super::env::typed;
use crate::api::Type;
use crate::cli;
use crate::host::run::runtime::rt;
use crate::host::value::describe::{function, options};
use crate::host::value::described::{Entry, FromOpts};
use crate::host::value::error::{Fallible, ScriptError};
use crate::host::value::kinds::{FromValue, Typed};
use crate::host::value::{self, Opts};
use crate::jobs;
use crate::jobs::control::lock;
use crate::manual::{Param, usage};
use crate::words::{self, quote};
use regex::Regex;
use rhai::{AST, ASTNode, Array, Dynamic, Expr, FnCallExpr, Map, NativeCallContext, Stmt};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The parameters that the main script asks for by literal names: for the usage line.
static DECLARED: OnceLock<Vec<Param>> = OnceLock::new();

/// What a script's text says about its arguments.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// In the order in which they are asked for.
    pub params: Vec<Param>,
    /// Whether these are all: nothing reads the arguments in a way that cannot be told beforehand.
    pub complete: bool,
    /// Whether the script reads `--help` itself.
    pub own_help: bool,
}

/// Reads the literal `param("…")` calls of a script.
pub fn declared(ast: &AST) -> Declared {
    let mut found = Declared { complete: true, ..Declared::default() };
    ast.walk(&mut |path| {
        match path.last() {
            Some(ASTNode::Expr(Expr::FnCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _))) => {
                found.call(call, false);
            }
            Some(ASTNode::Expr(Expr::MethodCall(call, _))) => found.call(call, true),
            // What a module asks for is only known once it is loaded; the built-in ones ask for nothing.
            Some(ASTNode::Stmt(Stmt::Import(import, _))) => {
                let built_in = matches!(&import.0, Expr::StringConstant(path, _) if path.starts_with("std/"));
                found.complete &= built_in;
            }
            // The walk does not see what a `break` returns.
            Some(ASTNode::Stmt(Stmt::BreakLoop(Some(_), ..))) => found.complete = false,
            _ => {}
        }
        true
    });
    found.own_help |= found.params.iter().any(|param| param.name == "help");
    found
}

impl Declared {
    fn call(&mut self, call: &FnCallExpr, is_method: bool) {
        if !call.namespace.is_empty() {
            return;
        }
        match (call.name.as_str(), call.args.first()) {
            ("param", Some(Expr::StringConstant(name, _))) if !is_method => {
                self.add(written(name.trim_start_matches("--"), &call.args[1..]));
            }
            ("param", _) => self.complete = false,
            ("args" | "eval" | "Fn", _) => {
                self.complete = false;
                self.own_help = true;
            }
            _ => {}
        }
    }

    fn add(&mut self, new: Param) {
        let Some(known) = self.params.iter_mut().find(|param| param.name == new.name) else {
            return self.params.push(new);
        };
        known.required |= new.required;
        known.default = known.default.take().or(new.default);
        if known.help.is_empty() {
            known.help = new.help;
        }
        if known.form.is_empty() {
            known.form = new.form;
        }
    }
}

/// The parameter of one call, from what is written out after its name.
fn written(name: &str, rest: &[Expr]) -> Param {
    let text = |expr: &Expr| match expr {
        Expr::StringConstant(text, _) => text.to_string(),
        _ => String::new(),
    };
    // `()` is the default of what may be missing.
    let literal = |expr: &Expr| {
        let value = expr.get_literal_value(None).filter(|value| !value.is_unit())?;
        rhai::serde::from_dynamic(&value).ok()
    };
    let mut param = Param {
        name: name.to_owned(),
        help: String::new(),
        form: String::new(),
        required: rest.is_empty(),
        default: None,
    };
    match rest {
        [Expr::Map(map, _)] => {
            let option =
                |key: &str| map.0.iter().find(|(ident, _)| ident.name == key).map(|(_, value)| value);
            param.help = option("help").map(text).unwrap_or_default();
            let kind = option("kind").map(text).and_then(|kind| Kind::of(&kind));
            let form = kind.map_or_else(String::new, |kind| kind.form().to_owned());
            param.form = option("form").map_or(form, text);
            param.required = option("default").is_none()
                || matches!(option("required"), Some(Expr::BoolConstant(true, _)));
            param.default = option("default").and_then(literal);
        }
        [default, more @ ..] => {
            param.default = literal(default);
            param.help = more.first().map(text).unwrap_or_default();
        }
        [] => {}
    }
    param
}

/// Remembers what the script asks for, and finds arguments that it does not ask for.
///
/// # Errors
/// The first argument that no `param` asks for.
pub fn declare(declared: Declared, args: &[String]) -> Result<(), Box<ScriptError>> {
    let Declared { params, complete, .. } = declared;
    let params = DECLARED.get_or_init(|| params);
    if complete { check_params(params, args) } else { Ok(()) }
}

/// Finds the first argument that nothing asks for.
pub fn check_params(known: &[Param], args: &[String]) -> Result<(), Box<ScriptError>> {
    let found = |name: &str| known.iter().find(|param| param.name == name);
    let told = |error: ScriptError| match known {
        [] => error.note("the script takes no arguments"),
        known => error.note(format!("usage: {}", usage(known))),
    };
    if let Some((_, unknown, _)) = options(args).find(|(_, name, _)| found(name).is_none()) {
        let error = told(ScriptError::usage(format!(
            "unknown argument `--{unknown}`: no param(\"{unknown}\") asks for it"
        )));
        let near = words::nearest(unknown, known.iter().map(|param| param.name.as_str()));
        let of_bgjobs = cli::nearest_option(unknown).filter(|option| option == unknown || near.is_none());
        return Err(Box::new(match (of_bgjobs, near) {
            (Some(option), _) if option == unknown => options_first(error, known, args),
            (Some(option), _) => error.hint(format!(
                "--{option}   (did you mean `--{option}`? as an option of bgjobs it stands before the script)"
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
        Some(line) => error.hint(format!("{line}   (the options of bgjobs stand before the script)")),
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

/// The parameters that are given, each with its value.
pub fn given(args: &[String]) -> Vec<(String, String)> {
    let value = |index: usize, inline: Option<&str>| {
        inline.or_else(|| value_after(args, index, false)).unwrap_or_default().to_owned()
    };
    options(args).map(|(index, name, inline)| (name.to_owned(), value(index, inline))).collect()
}

/// The `--name` words with their positions and, for `--name=value`, their values. After `--` there are none.
fn options(args: &[String]) -> impl Iterator<Item = (usize, &str, Option<&str>)> {
    args.iter().take_while(|arg| *arg != "--").enumerate().filter_map(|(index, arg)| {
        let word = arg.strip_prefix("--")?;
        Some(match word.split_once('=') {
            Some((name, value)) => (index, name, Some(value)),
            None => (index, word, None),
        })
    })
}

/// The value that stands behind a `--name`. After a flag comes one only if it is true or false: `--verbose file`
/// has a positional argument.
fn value_after(args: &[String], index: usize, is_flag: bool) -> Option<&str> {
    let word = args.get(index + 1).filter(|word| !word.starts_with("--"))?;
    (!is_flag || matches!(word.as_str(), "true" | "false")).then_some(word)
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
        /// `"dir"` or `"path"` (a file or directory; all three must be there).
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
enum Default {
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

/// What a value of a parameter stands for, where that can be looked at beforehand.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Command,
    Count,
    Duration,
    Port,
    Signal,
    Regex,
    File,
    Dir,
    Path,
}

impl Kind {
    const ALL: &[(&str, Self)] = &[
        ("command", Self::Command),
        ("count", Self::Count),
        ("duration", Self::Duration),
        ("port", Self::Port),
        ("signal", Self::Signal),
        ("regex", Self::Regex),
        ("file", Self::File),
        ("dir", Self::Dir),
        ("path", Self::Path),
    ];

    fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    /// What stands for a value in `--help`.
    fn form(self) -> &'static str {
        match self {
            Self::Command => "COMMAND",
            Self::Count => "NUMBER",
            Self::Duration => "TIME",
            Self::Port => "PORT",
            Self::Signal => "SIGNAL",
            Self::Regex => "REGEX",
            Self::File => "FILE",
            Self::Dir => "DIR",
            Self::Path => "FILE|DIR",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Command => "a command",
            Self::Count => "a whole number of at least 1",
            Self::Duration => "a time such as 500ms, 30s or 1m30s",
            Self::Port => "a port (1 to 65535)",
            Self::Signal => "a signal such as TERM or KILL",
            Self::Regex => "a regular expression",
            Self::File => "a file that is there",
            Self::Dir => "a directory that is there",
            Self::Path => "a file or directory that is there",
        }
    }

    /// Whether a text fits. `path`: the text as a path of the script.
    pub fn fits(self, text: &str, path: impl Fn() -> PathBuf) -> bool {
        match self {
            Self::Command => !text.trim().is_empty(),
            Self::Count => text.parse::<u32>().is_ok_and(|count| count > 0),
            Self::Duration => value::duration(&text.into(), "param").is_ok(),
            Self::Port => value::port(&text.into(), "param").is_ok(),
            Self::Signal => jobs::signal_number(text).is_some(),
            Self::Regex => crate::host::value::kinds::regex("param", text).is_ok(),
            // Not only a plain file: `<(command)` of a shell is a pipe.
            Self::File => path().exists() && !path().is_dir(),
            Self::Dir => path().is_dir(),
            Self::Path => path().exists(),
        }
    }
}

impl Typed for Kind {
    const TYPE: Type =
        Type::OneOf(&["command", "count", "duration", "port", "signal", "regex", "file", "dir", "path"]);
}

impl FromValue for Kind {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        kind(&String::from_value(value, what)?)
    }
}

/// The kind of a name; also for the check.
pub fn kind(name: &str) -> Fallible<Kind> {
    let names: Vec<&str> = Kind::ALL.iter().map(|(name, _)| *name).collect();
    Kind::of(name).ok_or_else(|| {
        let wrong = ScriptError::usage(format!("param: option `kind`: {name:?} is no kind of parameter"))
            .note(format!("there are: {}", names.join(", ")));
        // What is a type elsewhere is that of the default here.
        let hint = match name.to_lowercase().as_str() {
            "number" | "int" | "integer" => {
                "kind: \"count\" from 1 on, or `default: 0` without a kind for any integer".to_owned()
            }
            "float" => "`default: 0.0` without a kind: a value takes the type of the default".to_owned(),
            "string" | "str" | "text" => {
                "leave out `kind`: a value is a string unless its default is none".to_owned()
            }
            "bool" | "boolean" | "flag" => "`default: false` without a kind".to_owned(),
            "array" | "list" => "`default: []` without a kind".to_owned(),
            "url" => "form: \"URL\", matches: \"^https?://.\"".to_owned(),
            "time" | "seconds" | "timeout" => "kind: \"duration\"".to_owned(),
            "directory" | "folder" => "kind: \"dir\"".to_owned(),
            other => match words::nearest(other, names.iter().copied()) {
                Some(near) => format!("kind: {near:?}"),
                None => return wrong.into(),
            },
        };
        wrong.hint(hint).into()
    })
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
            let form = form.unwrap_or_else(|| format!("a text that matches /{pattern}/"));
            return Err(wrong(text, &form).into());
        }
        if let Some(kind) = kind.filter(|kind| !kind.fits(text, || rt().path(text))) {
            return Err(wrong(text, kind.words()).into());
        }
    }
    Ok(value)
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

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn of(script: &str) -> Declared {
        let engine = crate::host::engine::engine(&[]);
        declared(&engine.compile(script).expect("compiles"))
    }

    #[test]
    fn literal_parameters_are_found_everywhere() {
        let found = of(
            r#"let p = param("port", 80); fn f() { if false { `${param("--name")}` } } let c = || param("x");"#,
        );
        let mut names: Vec<_> = found.params.iter().map(|p| (p.name.as_str(), p.required)).collect();
        names.sort_unstable();
        assert_eq!(names, [("name", true), ("port", false), ("x", true)]);
        assert!(found.complete);
    }

    #[test]
    fn a_script_that_reads_its_arguments_otherwise_is_not_judged() {
        for script in ["args()", "let n = \"x\"; param(n)", "import \"./m\" as m;", "eval(\"param(`x`)\")"] {
            assert!(!of(script).complete, "{script}");
        }
        assert!(of("import \"std/docker\" as d;").complete);
    }

    #[test]
    fn what_a_parameter_is_for_is_found_without_running() {
        let found = of(r#"param("cmd", #{help: "the command"}); param("url", "/", "the URL"); param("n", 3);
            param("list", #{default: ["a"], form: "X"}); param("v", #{default: true, help: "verbose"}); param("x", 1 + 1, "sum");"#);
        let param = |name: &str, help: &str, required, default: Option<serde_json::Value>| Param {
            name: name.to_owned(),
            help: help.to_owned(),
            form: String::new(),
            required,
            default,
        };
        let expected = [
            param("cmd", "the command", true, None),
            param("url", "the URL", false, Some("/".into())),
            param("n", "", false, Some(3.into())),
            Param { form: "X".to_owned(), ..param("list", "", false, Some(vec!["a"].into())) },
            param("v", "verbose", false, Some(true.into())),
            param("x", "sum", false, None),
        ];
        assert_eq!(found.params, expected);
    }

    #[test]
    fn a_script_may_read_help_itself() {
        assert!(of("param(\"help\", false)").own_help && of("if \"-h\" in args() {}").own_help);
        assert!(!of("import \"./m\" as m; param(\"x\")").own_help);
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
