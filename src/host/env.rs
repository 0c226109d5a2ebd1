//! The script's surroundings: variables, directories, arguments.
//!
//! The process itself never changes its environment or its directory: both are the run's, and what is started
//! from now on gets them.

use super::error::{Fallible, ScriptError};
use super::runtime::rt;
use super::value;
use crate::jobs::control::lock;
use crate::jobs::spec;
use crate::secret;
use rhai::plugin::*;
use rhai::{AST, ASTNode, Array, Dynamic, Engine, Expr, FnCallExpr, Stmt};
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
    /// ```rhai
    /// if args().contains("--region") { log(param("region")); }
    /// ```
    #[rhai_fn(name = "param", return_raw)]
    pub fn param(name: &str) -> Fallible<Dynamic> {
        super::parameter(name, None)
    }

    /// An argument, or `default` when it is not given: `--name value` or `--name=value`; a bare `--name` is true.
    /// The value takes the type of the default: string, integer, float or boolean. Given twice, the last counts.
    ///
    /// ```rhai
    /// let port = param("port", 8080);
    /// let verbose = param("verbose", false);
    /// ```
    #[rhai_fn(name = "param", return_raw)]
    pub fn param_or(name: &str, default: Dynamic) -> Fallible<Dynamic> {
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

/// A parameter that the script asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    pub name: String,
    pub required: bool,
    /// Its default is true or false: it needs no value.
    pub flag: bool,
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
}

/// Reads the literal `param("…")` calls of a script.
pub fn declared(ast: &AST) -> Declared {
    let mut found = Declared { params: Vec::new(), complete: true };
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
    found
}

impl Declared {
    fn call(&mut self, call: &FnCallExpr, is_method: bool) {
        if !call.namespace.is_empty() {
            return;
        }
        match (call.name.as_str(), call.args.first()) {
            ("param", Some(Expr::StringConstant(name, _))) if !is_method => {
                let name = name.trim_start_matches("--").to_owned();
                let required = call.args.len() == 1;
                let flag = matches!(call.args.get(1), Some(Expr::BoolConstant(..)));
                match self.params.iter_mut().find(|param| param.name == name) {
                    Some(param) => param.required |= required,
                    None => self.params.push(Param { name, required, flag }),
                }
            }
            ("param" | "args" | "eval" | "Fn", _) => self.complete = false,
            _ => {}
        }
    }
}

/// Remembers what the script asks for, and finds arguments that it does not ask for.
///
/// # Errors
/// The first `--name` that no `param` asks for.
pub fn declare(declared: Declared, args: &[String]) -> Result<(), Box<ScriptError>> {
    let known: Vec<String> = declared.params.iter().map(|param| param.name.clone()).collect();
    let _ = DECLARED.set(declared.params);
    if declared.complete { check_params(&known, args) } else { Ok(()) }
}

/// Options of bgjobs itself, which must come before the script.
const OWN_OPTIONS: &[&str] = &["timeout", "grace", "quiet", "verbose", "keep-logs", "color"];

/// Finds the first `--name` that is not known.
pub fn check_params(known: &[String], args: &[String]) -> Result<(), Box<ScriptError>> {
    let names = options(args).map(|(_, name, _)| name);
    let Some(unknown) = names.into_iter().find(|name| !known.iter().any(|known| known == name)) else {
        return Ok(());
    };
    let error =
        ScriptError::usage(format!("unknown argument `--{unknown}`: no param(\"{unknown}\") asks for it"));
    let error = match DECLARED.get().filter(|params| !params.is_empty()) {
        Some(params) => error.note(usage(params)),
        None => error.note("the script takes no arguments"),
    };
    let near = value::nearest(unknown, known.iter().map(String::as_str));
    Err(Box::new(if OWN_OPTIONS.contains(&unknown) {
        error.hint(format!("put `--{unknown}` before the script: bgjobs script --{unknown} … FILE"))
    } else if let Some(near) = near {
        error.hint(format!("--{near}   (did you mean `--{near}`?)"))
    } else {
        error
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

fn usage(params: &[Param]) -> String {
    let words = params.iter().map(|param| match param {
        Param { name, required: true, .. } => format!("--{name} VALUE"),
        Param { name, flag: true, .. } => format!("[--{name}]"),
        Param { name, .. } => format!("[--{name} VALUE]"),
    });
    format!("usage: {}", words.collect::<Vec<_>>().join(" "))
}

fn parameter(name: &str, default: Option<&Dynamic>) -> Fallible<Dynamic> {
    let name = name.trim_start_matches("--");
    if name.is_empty() || name.contains(|c: char| c == '=' || c.is_whitespace()) {
        return Err(ScriptError::usage(format!("param: {name:?} cannot be the name of a parameter")).into());
    }
    if let Some(value) = default
        && !(value.is_string() || value.is_int() || value.is_float() || value.is_bool() || value.is_unit())
    {
        return Err(ScriptError::usage(format!("param: the default of `{name}` is {}", value::show(value)))
            .note("a default is a string, a number, a boolean or ()")
            .into());
    }
    lock(&rt().asked).insert(name.to_owned());
    let args = &rt().options.args;
    let Some((index, _, inline)) = options(args).filter(|(_, given, _)| *given == name).last() else {
        return default.cloned().ok_or_else(|| missing(name).into());
    };
    let default = default.unwrap_or(&Dynamic::UNIT);
    let next = args.get(index + 1).filter(|word| !word.starts_with("--")).map(String::as_str);
    let is_flag = default.is_bool();
    // After a flag comes a value only if it is one: `--verbose file` has a positional argument.
    let next = next.filter(|word| !is_flag || matches!(*word, "true" | "false"));
    match inline.or(next) {
        Some(text) => typed(&format!("param: --{name}"), text.to_owned(), default),
        None if is_flag || default.is_unit() => Ok(true.into()),
        None => Err(ScriptError::usage(format!("param: --{name} has no value"))
            .note(format!("its default is {}", value::show(default)))
            .hint(format!("--{name} VALUE"))
            .into()),
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
    let error = ScriptError::usage(format!("missing {list}")).fact("missing", list);
    if declared.is_empty() { error } else { error.note(usage(declared)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn of(script: &str) -> Declared {
        let mut engine = Engine::new();
        // As in a run: the optimiser removes what is never reached.
        engine.set_optimization_level(rhai::OptimizationLevel::None);
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
    fn an_unknown_argument_is_an_error_and_a_positional_one_is_not() {
        let known = words("port name");
        assert!(check_params(&known, &words("--port 80 file --name=x")).is_ok());
        assert!(check_params(&known, &words("--port -5 -x")).is_ok());
        assert!(check_params(&known, &words("-- --other")).is_ok());
        let error = check_params(&known, &words("--prot 80")).expect_err("unknown");
        assert!(error.hint.is_some_and(|hint| hint.starts_with("--port")));
        assert!(check_params(&[], &words("--x")).is_err());
    }
}
