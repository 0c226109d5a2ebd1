//! The script's surroundings: variables, directories, arguments (`param` reads those).
//!
//! The process itself never changes its environment or its directory: both are the run's, and what is started
//! from now on gets them.

use crate::host::run::runtime::rt;
use crate::host::value::describe::{function, options};
use crate::host::value::described::Entry;
use crate::host::value::error::{Fallible, ScriptError};
use crate::host::value::typed::typed;
use crate::host::value::{self, dotenv};
use crate::jobs::spec;
use crate::lock::lock;
use crate::secret;
use crate::spans;
use rhai::{Array, Dynamic, Map, NativeCallContext};
use std::ffi::{OsStr, OsString};

pub const FUNCTIONS: &[Entry] = &[LOAD_ENV, ENV, SET_ENV, CWD, CD, SCRIPT_DIR, WHICH, SECRET, ARGS];

options! {
    /// How a `.env` file is loaded.
    struct Loading {
        /// The file counts more than the environment.
        r#override: bool = false, also overwrite;
        /// Sets the variables. With false nothing is set: the map that it returns is for the option `env` of one job.
        set: bool = true;
        /// `$NAME` stays as it is where nothing has that name, as foreman leaves it, instead of an error.
        keep_unset: bool = false;
    }
}

function! {
    /// Sets the variables of a `.env` file for `env` and for what is started from now on. A variable that the
    /// environment has already keeps its value, so that `LOG_LEVEL=debug bgjobs script …` works. Returns a map of the
    /// file's variables with the values that they have now.
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
    ///
    /// ```rhai
    /// let file = temp_dir() + "/.env";
    /// write_file(file, "APP_MODE=test");
    /// set_env("APP_MODE", "live");
    /// assert_eq(load_env(file).APP_MODE, "live");
    /// assert_eq(load_env(file, #{override: true}).APP_MODE, "test");
    /// ```
    LOAD_ENV = "load_env" -> Map, throws io {
        (path: String; Loading) => load_env;
    }
}

function! {
    /// A variable of the environment, as a string; `()` when it is not set.
    ///
    /// ```rhai
    /// if env("CI") != () { log("in CI"); }
    /// ```
    ENV = "env" -> Dynamic {
        (name: String) => |_| variable(&name, &Dynamic::UNIT);
        /// A variable of the environment, or `default` when it is not set. It takes the type of the default: with a
        /// number or a boolean as default, any other text is an error.
        ///
        /// ```rhai
        /// let port = env("APP_PORT", 8080);
        /// assert_eq(port, 8080);
        /// ```
        (name: String, default: Dynamic) => |_| variable(&name, &default);
    }
}

function! {
    /// Sets a variable for `env` and for what is started from now on. Numbers and booleans become text; `()`
    /// removes the variable.
    ///
    /// ```rhai
    /// set_env("APP_MODE", "test");
    /// assert_eq(output("echo $APP_MODE"), "test");
    /// set_env("APP_MODE", ());
    /// ```
    SET_ENV = "set_env" -> () {
        (name: String, value: Dynamic) => |_| set_variable(&name, &value);
    }
}

function! {
    /// The directory that relative paths start from and that commands run in: at first the one that bgjobs was
    /// called in.
    ///
    /// ```rhai
    /// log(`running in ${cwd()}`);
    /// ```
    CWD = "cwd" -> String {
        () => |_| Ok(rt().cwd().display().to_string());
    }
}

function! {
    /// Changes `cwd()` for the whole run. A relative path starts from the current one. An error of kind `io` when
    /// there is no such directory.
    ///
    /// ```rhai
    /// cd(temp_dir());
    /// ```
    CD = "cd" -> () {
        (path: String) => |_| change_dir(&path);
    }
}

function! {
    /// The directory of the main script; `cwd()` at the start when it is not a file.
    ///
    /// ```rhai
    /// let fixtures = script_dir() + "/fixtures";
    /// ```
    SCRIPT_DIR = "script_dir" -> String {
        () => |_| Ok(lock(&rt().script_dir).display().to_string());
    }
}

function! {
    /// Where a program would be found: its path, or `()`. Uses the run's `PATH` and `cwd()`.
    ///
    /// ```rhai
    /// if which("no-such-program") == () { log("not installed"); }
    /// ```
    WHICH = "which" -> Dynamic {
        (program: String) => which;
    }
}

function! {
    /// Returns its argument, which from now on is shown as `***` in everything that bgjobs prints (events, reports, the
    /// ends of logs, what `run` streams and `print` says) and in the logs that it keeps. The script's own values stay
    /// as they are, also `.output` and `.stdout`, and so does what is written with `write_file`.
    ///
    /// It is found as it is, as a shell, `to_debug` and JSON quote it, percent-encoded as in a URL or a form, in base64 as in
    /// a login, line by line when it has several, and also when the end of a line or of an output cuts it short. Text that is shorter than 4 characters throws `usage`, except an empty one,
    /// which has nothing to hide.
    ///
    /// ```rhai
    /// let token = secret(env("API_TOKEN", "not-so-secret"));
    /// run(`echo ${token}`);
    /// ```
    SECRET = "secret" -> Dynamic {
        (value: Dynamic) => secret;
    }
}

function! {
    /// The arguments after the script's name, as strings.
    ///
    /// ```rhai
    /// for arg in args() { log(arg); }
    /// ```
    ARGS = "args" -> Array {
        () => |_| Ok(rt().options.args.iter().map(|arg| arg.clone().into()).collect());
    }
}

fn which(_: &NativeCallContext, program: String) -> Fallible<Dynamic> {
    let env = rt().env();
    let path = env.get(OsStr::new("PATH")).map(OsString::as_os_str);
    Ok(match spec::find_program(&program, &rt().cwd(), path) {
        // Without `.` components: `./run` is found as `/dir/./run`.
        Some(file) => file.components().collect::<std::path::PathBuf>().display().to_string().into(),
        None => Dynamic::UNIT,
    })
}

fn secret(_: &NativeCallContext, value: Dynamic) -> Fallible<Dynamic> {
    hide(&value)?;
    Ok(value)
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
            "secret: {length} characters are too few to be masked: at least {}",
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
    let traced = (name == spans::PARENT).then(|| rt().traceparent()).flatten().map(OsString::from);
    let Some(value) = traced.or_else(|| lock(&rt().env).get(OsStr::new(name)).cloned()) else {
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
    lock(&rt().env).insert(name, text);
    Ok(())
}

fn load_env(_: &NativeCallContext, path: String, opts: Loading) -> Fallible<Map> {
    rt().checkpoint()?;
    let text = crate::host::run::files::read("load_env", &path)?;
    let mut env = lock(&rt().env);
    let read = dotenv::read(&text, opts.r#override, opts.keep_unset, |name| {
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
    for (name, value) in variables.iter().filter(|_| opts.set) {
        env.insert(name, value);
    }
    Ok(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
}

fn change_dir(path: &str) -> Fallible<()> {
    rt().checkpoint()?;
    if path.is_empty() {
        return Err(ScriptError::usage("cd: the path is empty").into());
    }
    let failed = |e: std::io::Error| crate::host::run::files::failed("cd: cannot enter", path, &e);
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
