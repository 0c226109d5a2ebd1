//! The script's surroundings: variables, directories, arguments.
//!
//! The process itself never changes its environment or its directory: both are the run's, and what is started
//! from now on gets them.

use super::dotenv;
use super::error::{Fallible, ScriptError};
use super::runtime::rt;
use super::value::{self, Opts};
use crate::jobs::control::lock;
use crate::jobs::{self, spec};
use crate::manual::{Param, usage};
use crate::secret;
use rhai::plugin::*;
use rhai::{AST, ASTNode, Array, Dynamic, Engine, Expr, FnCallExpr, Map, Stmt};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::sync::OnceLock;

pub fn register(engine: &mut Engine) {
    engine.register_global_module(rhai::exported_module!(functions).into());
}

#[export_module]
mod functions {
    /// A variable of the environment, as a string; `()` when it is not set.
    ///
    /// ```rhai
    /// if env("CI") != () { log("in CI"); }
    /// ```
    #[rhai_fn(name = "env", return_raw)]
    pub fn env(name: &str) -> Fallible<Dynamic> {
        super::variable(name, &Dynamic::UNIT)
    }

    /// A variable of the environment, or `default` when it is not set. It takes the type of the default: with a
    /// number or a boolean as default, any other text is an error.
    ///
    /// ```rhai
    /// let port = env("APP_PORT", 8080);
    /// assert_eq(port, 8080);
    /// ```
    #[rhai_fn(name = "env", return_raw)]
    pub fn env_or(name: &str, default: Dynamic) -> Fallible<Dynamic> {
        super::variable(name, &default)
    }

    /// Sets a variable for `env` and for what is started from now on. Numbers and booleans become text; `()`
    /// removes the variable.
    ///
    /// ```rhai
    /// set_env("APP_MODE", "test");
    /// assert_eq(output("echo $APP_MODE"), "test");
    /// set_env("APP_MODE", ());
    /// ```
    #[rhai_fn(name = "set_env", return_raw)]
    pub fn set_env(name: &str, value: Dynamic) -> Fallible<()> {
        super::set_variable(name, &value)
    }

    /// Sets the variables of a `.env` file for `env` and for what is started from now on. A variable that the
    /// environment has already keeps its value, so that `LOG_LEVEL=debug bgjobs script …` works; see
    /// `load_env(path, opts)`. Returns a map of the file's variables with the values that they have now.
    ///
    /// A line is `NAME=value` or `export NAME=value`. `# …` after white space is a comment. A value in single quotes
    /// is taken as it is, also over several lines; in double quotes `\n`, `\t`, `\r`, `\"`, `\\` and `\$` are what they
    /// are in a shell. Elsewhere than in single quotes `$NAME`, `${NAME}` and `${NAME:-default}` are replaced. Of a
    /// name that is given twice, the last counts.
    ///
    /// Throws `io` for a file that cannot be read, and with line and column for a line that is none of these, or
    /// names a variable that is not set. Nothing is set then.
    ///
    /// ```rhai
    /// let file = temp_dir() + "/.env";
    /// write_file(file, "APP_DB_HOST=127.0.0.1  # local\nAPP_DB_URL=\"postgres://$APP_DB_HOST/shop\"\n");
    /// load_env(file);
    /// assert_eq(env("APP_DB_URL"), "postgres://127.0.0.1/shop");
    /// ```
    #[rhai_fn(name = "load_env", return_raw)]
    pub fn load_env(path: &str) -> Fallible<Map> {
        super::load(path, &Dynamic::UNIT)
    }

    /// As `load_env(path)`; with `#{override: true}` the file counts more than the environment. With `#{set: false}`
    /// nothing is set: the map that it returns is for the option `env` of one job.
    ///
    /// ```rhai
    /// let file = temp_dir() + "/.env";
    /// write_file(file, "APP_MODE=test");
    /// set_env("APP_MODE", "live");
    /// assert_eq(load_env(file).APP_MODE, "live");
    /// assert_eq(load_env(file, #{override: true}).APP_MODE, "test");
    /// ```
    #[rhai_fn(name = "load_env", return_raw)]
    pub fn load_env_with(path: &str, opts: Dynamic) -> Fallible<Map> {
        super::load(path, &opts)
    }

    /// The directory that relative paths start from and that commands run in: at first the one that bgjobs was
    /// called in.
    ///
    /// ```rhai
    /// log(`running in ${cwd()}`);
    /// ```
    #[rhai_fn(name = "cwd")]
    pub fn cwd() -> String {
        rt().cwd().display().to_string()
    }

    /// Changes `cwd()` for the whole run. A relative path starts from the current one. An error of kind `io` when
    /// there is no such directory.
    ///
    /// ```rhai
    /// cd(temp_dir());
    /// ```
    #[rhai_fn(name = "cd", return_raw)]
    pub fn cd(path: &str) -> Fallible<()> {
        super::change_dir(path)
    }

    /// The directory of the main script; `cwd()` at the start when it is no file.
    ///
    /// ```rhai
    /// let fixtures = script_dir() + "/fixtures";
    /// ```
    #[rhai_fn(name = "script_dir")]
    pub fn script_dir() -> String {
        lock(&rt().script_dir).display().to_string()
    }

    /// Where a program would be found: its path, or `()`. Uses the run's `PATH` and `cwd()`.
    ///
    /// ```rhai
    /// if which("no-such-program") == () { log("not installed"); }
    /// ```
    #[rhai_fn(name = "which")]
    pub fn which(program: &str) -> Dynamic {
        let env = rt().env();
        let path = env.get(OsStr::new("PATH")).map(OsString::as_os_str);
        match spec::find_program(program, &rt().cwd(), path) {
            // Without `.` components: `./run` is found as `/dir/./run`.
            Some(file) => file.components().collect::<std::path::PathBuf>().display().to_string().into(),
            None => Dynamic::UNIT,
        }
    }

    /// Returns its argument, which from now on is shown as `***` in everything that bgjobs prints (events, reports, the
    /// ends of logs, what `run` streams and `print` says) and in the logs that it keeps. The script's own values stay
    /// as they are, also `.output` and `.stdout`, and so does what is written with `write_file`.
    ///
    /// It is found as it is and as a shell, `to_debug` and JSON quote it, and line by line when it has several; not in
    /// other encodings such as base64. Text that is shorter than 4 characters throws `usage`, except an empty one,
    /// which has nothing to hide.
    ///
    /// ```rhai
    /// let token = secret(env("API_TOKEN", "not-so-secret"));
    /// run(`echo ${token}`);
    /// ```
    #[rhai_fn(name = "secret", return_raw)]
    pub fn secret(value: Dynamic) -> Fallible<Dynamic> {
        super::hide(&value)?;
        Ok(value)
    }

    /// The arguments after the script's name, as strings.
    ///
    /// ```rhai
    /// for arg in args() { log(arg); }
    /// ```
    #[rhai_fn(name = "args")]
    pub fn arguments() -> Array {
        rt().options.args.iter().map(|arg| arg.clone().into()).collect()
    }

    /// An argument that must be given: `--name value` or `--name=value` is a string, a bare `--name` is true.
    ///
    /// `bgjobs script FILE --help` shows the comment at the top of a script and its parameters, as they stand in
    /// its text, without running it; a script that calls `param("help")` or `args()` reads `--help` itself. When a
    /// script reads its arguments by `param` alone, any other argument is an error.
    ///
    /// ```rhai
    /// if args().contains("--region") { log(param("region")); }
    /// ```
    #[rhai_fn(name = "param", return_raw)]
    pub fn param(name: &str) -> Fallible<Dynamic> {
        super::parameter(name, None)
    }

    /// An argument, or `default` when it is not given: `--name value` or `--name=value`; a bare `--name` is true.
    /// The value takes the type of the default: string, integer, float or boolean. Given twice, the last counts;
    /// with an array as default it is an array of all values, as strings.
    ///
    /// In place of the default a map: `help` (what the parameter is for), `default` (without it the parameter must be
    /// given and is a string), `required` (it must be given although it has a default, which tells its type), `matches` (a regex that a value must match), `form` (what a value looks like, for
    /// `--help` and the error: `"NAME=COMMAND"`) and `kind`, for values that are looked at before anything starts:
    /// `"command"` (not empty), `"count"` (a whole number of at least 1), `"duration"` (a bare number is of seconds),
    /// `"port"`, `"signal"`, `"regex"`, `"file"`, `"dir"` and `"path"` (a file or directory; all three must be there). The
    /// default itself is not looked at.
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
    #[rhai_fn(name = "param", return_raw)]
    pub fn param_or(name: &str, default: Dynamic) -> Fallible<Dynamic> {
        super::described_parameter(name, default)
    }

    /// As `param(name, default)`, with what `--help` says about it.
    ///
    /// ```rhai
    /// let url = param("url", "http://localhost:8080", "the URL that must answer");
    /// ```
    #[rhai_fn(name = "param", return_raw)]
    pub fn param_with_help(name: &str, default: Dynamic, help: &str) -> Fallible<Dynamic> {
        let _ = help; // It is read from the text of the script.
        super::parameter(name, Some(&default))
    }
}

fn hide(value: &Dynamic) -> Fallible<()> {
    rt().checkpoint()?;
    if value.is_unit() {
        return Err(ScriptError::usage("secret: there is no value: it is `()`")
            .note("a variable that is not set is `()`; env(\"NAME\", \"\") is an empty text then")
            .into());
    }
    let text = value::word(value, "secret")?;
    let length = text.trim().chars().count();
    if (1..secret::SHORTEST).contains(&length) {
        return Err(ScriptError::usage(format!(
            "secret: {length} characters are too short to be masked: at least {}",
            secret::SHORTEST
        ))
        .note("what is so short occurs everywhere, and masking it would tell where")
        .into());
    }
    if length == 0 {
        return Ok(());
    }
    secret::register(&text).map_err(|secret::Full| {
        ScriptError::usage(format!("secret: more than {} KiB of secrets", secret::MOST >> 10)).into()
    })
}

fn check_variable_name(function: &str, name: &str) -> Fallible<()> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(
            ScriptError::usage(format!("{function}: {name:?} cannot be the name of a variable")).into()
        );
    }
    Ok(())
}

fn variable(name: &str, default: &Dynamic) -> Fallible<Dynamic> {
    check_variable_name("env", name)?;
    let Some(value) = lock(&rt().env).get(OsStr::new(name)).cloned() else {
        return Ok(default.clone());
    };
    let text = value.into_string().map_err(|_| {
        ScriptError::io(format!("env: the value of `{name}` is not UTF-8")).fact("name", name.to_owned())
    })?;
    typed(&format!("env: `{name}`"), text, default)
}

fn set_variable(name: &str, value: &Dynamic) -> Fallible<()> {
    rt().checkpoint()?;
    check_variable_name("set_env", name)?;
    if value.is_unit() {
        lock(&rt().env).remove(OsStr::new(name));
        return Ok(());
    }
    let text = value::word(value, &format!("set_env: the value of `{name}`"))?;
    if text.contains('\0') {
        return Err(ScriptError::usage(format!("set_env: the value of `{name}` contains a NUL byte")).into());
    }
    lock(&rt().env).insert(name.into(), text.into());
    Ok(())
}

/// What `load_env` takes.
pub const LOAD_OPTIONS: &[&str] = &["override", "set"];

fn load(path: &str, opts: &Dynamic) -> Fallible<Map> {
    rt().checkpoint()?;
    let opts = Opts::new("load_env", opts, LOAD_OPTIONS)?;
    let file_wins = opts.bool("override")?.unwrap_or(false);
    let set = opts.bool("set")?.unwrap_or(true);
    let text = super::fs::read("load_env", path)?;
    let mut env = lock(&rt().env);
    let read = dotenv::read(&text, file_wins, |name| {
        env.get(OsStr::new(name)).map(|value| value.to_string_lossy().into_owned())
    });
    // Not the line itself: it may hold a password.
    let variables = read.map_err(|wrong| {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let place = format!("{path}:{}:{}", wrong.line, wrong.column);
        let error = ScriptError::io(format!("load_env: {place}: {}", wrong.reason))
            .fact("path", path.to_owned())
            .fact("line", number(wrong.line))
            .fact("column", number(wrong.column));
        match wrong.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    })?;
    for (name, value) in variables.iter().filter(|_| set) {
        env.insert(name.into(), value.into());
    }
    Ok(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
}

fn change_dir(path: &str) -> Fallible<()> {
    rt().checkpoint()?;
    if path.is_empty() {
        return Err(ScriptError::usage("cd: the path is empty").into());
    }
    let failed = |e: std::io::Error| super::fs::failed("cd: cannot enter", path, &e);
    let dir = std::fs::canonicalize(rt().path(path)).map_err(failed)?;
    if !dir.is_dir() {
        let wrong = ScriptError::io(format!("cd: cannot enter `{path}`: it is not a directory"));
        return Err(wrong.fact("path", path.to_owned()).into());
    }
    // Only who may enter it sees what is in it.
    std::fs::metadata(dir.join(".")).map_err(failed)?;
    *lock(&rt().cwd) = dir;
    Ok(())
}

/// A text as a value of the default's type.
fn typed(what: &str, text: String, default: &Dynamic) -> Fallible<Dynamic> {
    let wrong = |wanted: &str| -> Box<EvalAltResult> {
        ScriptError::usage(format!("{what} is {text:?}, not {wanted}"))
            .note(format!("its default is {}, and its value has the same type", value::show(default)))
            .into()
    };
    let trimmed = text.trim();
    if default.is_int() {
        return trimmed.parse::<i64>().map(Into::into).map_err(|_| wrong("a whole number"));
    }
    if default.is_float() {
        let number = trimmed.parse::<f64>().ok().filter(|number| number.is_finite());
        return number.map(Into::into).ok_or_else(|| wrong("a number"));
    }
    if default.is_bool() {
        return match trimmed.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true.into()),
            "false" | "0" | "no" | "off" => Ok(false.into()),
            _ => Err(wrong("true or false")),
        };
    }
    Ok(text.into())
}

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
                self.add(described(name.trim_start_matches("--"), &call.args[1..]));
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
fn described(name: &str, rest: &[Expr]) -> Param {
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

/// Options of bgjobs itself, which must come before the script.
const OWN_OPTIONS: &[&str] = &["timeout", "grace", "quiet", "verbose", "keep-logs", "color"];

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
        let near = value::nearest(unknown, known.iter().map(|param| param.name.as_str()));
        return Err(Box::new(if OWN_OPTIONS.contains(&unknown) {
            error.hint(format!("put `--{unknown}` before the script: bgjobs script --{unknown} … FILE"))
        } else if let Some(near) = near {
            error.hint(format!("--{near}   (did you mean `--{near}`?)"))
        } else {
            error
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
    let error = told(ScriptError::usage(format!("unexpected argument `{word}`: nothing asks for it")));
    // `--cmd npm start`: most likely one value.
    let before = index.checked_sub(2).and_then(|index| options(args).find(|(at, ..)| *at == index));
    Err(Box::new(match before {
        Some((at, name, None)) if taken.contains(&(at + 1)) => error.hint(format!(
            "--{name} {:?}   (in quotes, if it is one value)",
            format!("{} {word}", args[at + 1])
        )),
        _ => error,
    }))
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

pub const PARAM_OPTIONS: &[&str] = &["help", "default", "form", "matches", "required", "kind"];

/// What a value of a parameter stands for, where that can be looked at beforehand.
#[derive(Clone, Copy)]
enum Kind {
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

    fn fits(self, text: &str) -> bool {
        let path = || rt().path(text);
        match self {
            Self::Command => !text.trim().is_empty(),
            Self::Count => text.parse::<u32>().is_ok_and(|count| count > 0),
            Self::Duration => value::duration(&text.into(), "param").is_ok(),
            Self::Port => value::port(&text.into(), "param").is_ok(),
            Self::Signal => jobs::signal_number(text).is_some(),
            Self::Regex => super::wait::regex("param", text).is_ok(),
            // Not only a plain file: `<(command)` of a shell is a pipe.
            Self::File => path().exists() && !path().is_dir(),
            Self::Dir => path().is_dir(),
            Self::Path => path().exists(),
        }
    }
}

/// `param(name, default)`, where a map may stand in place of the default.
fn described_parameter(name: &str, default: Dynamic) -> Fallible<Dynamic> {
    if !default.is_map() {
        return parameter(name, Some(&default));
    }
    let opts = Opts::new("param", &default, PARAM_OPTIONS)?;
    opts.string("help")?;
    let form = opts.string("form")?;
    let pattern =
        opts.string("matches")?.map(|pattern| super::wait::regex("param: option `matches`", &pattern));
    let pattern = pattern.transpose()?;
    let kind = opts.string("kind")?.map(|name| {
        let names: Vec<&str> = Kind::ALL.iter().map(|(name, _)| *name).collect();
        Kind::of(&name).ok_or_else(|| {
            ScriptError::usage(format!("param: option `kind`: {name:?} is no kind of parameter"))
                .note(format!("there are: {}", names.join(", ")))
        })
    });
    let kind = kind.transpose()?;
    // Also when it is `()`.
    let default = default.read_lock::<Map>().and_then(|map| map.get("default").cloned());
    let shown = name.trim_start_matches("--");
    let given = options(&rt().options.args).any(|(_, given, _)| given == shown);
    if opts.bool("required")? == Some(true) && !given {
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
        if let Some(kind) = kind.filter(|kind| !kind.fits(text)) {
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
        let engine = super::super::engine::engine(&[]);
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
