//! What modules are made of: options with defaults, and programs that have to be there.
//!
//! The standard library is written with these; so are the modules of a project.

use crate::api::{Type, modules, usage};
use crate::exit;
use crate::host::run::runtime::rt;
use crate::host::source::{import, text};
use crate::host::value::describe::function;
use crate::host::value::described::Entry;
use crate::host::value::error::{Fallible, Kind, ScriptError};
use crate::host::value::{self, kinds, show, type_name};
use crate::jobs::spec;
use rhai::{Array, Dynamic, Map};
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// Where Debian and others put servers, although few people have it on their PATH.
const FOR_SERVERS: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin"];

pub const FUNCTIONS: &[Entry] = &[OPTIONS, ARGUMENTS, NEED];

function! {
    /// The options of a function that takes a map: `defaults` with `given` laid over it; `()` stands for no options. A key
    /// that `defaults` has not throws `usage` with the nearest one; so does a value that is not a boolean, array
    /// or map where the default is one. `what` is the name of the function in those errors.
    ///
    /// ```rhai
    /// fn serve(opts) {
    ///     let opts = options(opts, #{name: "web", args: [], timeout: "30s"}, "serve");
    ///     opts.name
    /// }
    /// assert_eq(serve(#{timeout: "5s"}), "web");
    /// ```
    OPTIONS = "options" -> Map {
        (given: Dynamic, defaults: Map, what: String) => |ctx| {
            // A module of somebody's own may be called as one of ours.
            let own = ctx.call_source().is_some_and(|source| !import::is_built_in(source));
            merged(&given, defaults, &what, own)
        };
    }
}

function! {
    /// Throws `usage` when an argument of a function of a module is not what its parameter is, as `options` does for the
    /// options. `given` are the arguments, in their order. For a module of one's own the comment of the function says
    /// what they are, as it does for options: `script: string` in backticks.
    ///
    /// ```rhai
    /// import "std/node" as node;
    /// let wrong = attempt(|| node::npm(parse_json("3000")));
    /// assert_eq(wrong.error.message, "node::npm: `script`: 3000 (integer) is not a string");
    /// ```
    ARGUMENTS = "arguments" -> (), throws usage {
        (what: String, given: Array) => |ctx| {
            let own = ctx.call_source().filter(|source| !import::is_built_in(source));
            let params = match own {
                Some(source) => of_own(source, &what, given.len()),
                None => usage::first_params(&what, given.len()),
            };
            match params.iter().zip(&given).find(|((_, kind), value)| !kinds::may_be(*kind, value)) {
                Some(((name, kind), value)) => Err(value::not_argument(&what, name, &show(value), *kind).into()),
                None => Ok(()),
            }
        };
    }
}

/// What the comment of a function in somebody's own module says of its parameters.
fn of_own(source: &str, function: &str, count: usize) -> Vec<(&'static str, Type)> {
    let name = function.rsplit("::").next().unwrap_or(function);
    modules::of_file(source, &text::text_of(source)).first_params(name, count)
}

function! {
    /// The path of a program, which has to be there: the first one of an array that is. It is looked for where
    /// `which` does, then in /usr/local/sbin, /usr/sbin and /sbin, where servers live. When there is none, it throws
    /// `command_failed` (exit code 127), which names the Debian package to install.
    ///
    /// ```rhai
    /// let sh = need(["dash", "sh"], "dash");
    /// run([sh, "-c", "exit 0"]);
    /// ```
    NEED = "need" -> String {
        (program: Dynamic, package: String) => |_| installed(&program, &package);
    }
}

fn merged(given: &Dynamic, mut defaults: Map, what: &str, own: bool) -> Fallible<Map> {
    if given.is_unit() {
        return Ok(defaults);
    }
    let known: Vec<String> = defaults.keys().map(ToString::to_string).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let Some(given) = given.read_lock::<Map>() else {
        return Err(match own {
            true => value::not_options_of_own(what, &show(given), &known),
            false => value::not_options(what, &show(given), &known),
        }
        .into());
    };
    for (key, value) in given.iter() {
        let Some(default) = defaults.get(key) else {
            return Err(match own {
                true => value::unknown_option_of_own(what, key, &known),
                false => value::unknown_option(what, key, &known),
            }
            .into());
        };
        if !own
            && let Some(described) = modules::option(what, key)
            && !value.is_unit()
        {
            kinds::literal(described.kind, value, &format!("{what}: option `{key}`"))?;
        }
        let strict = default.is_bool() || default.is_array() || default.is_map();
        if strict && type_name(default) != type_name(value) {
            let wanted = match type_name(default) {
                "bool" => "true or false",
                "array" => "an array `[…]`",
                _ => "a map `#{…}`",
            };
            let wrong = format!("{what}: option `{key}`: {} is not {wanted}", show(value));
            return Err(ScriptError::usage(wrong).into());
        }
    }
    defaults.extend(given.iter().map(|(key, value)| (key.clone(), value.clone())));
    Ok(defaults)
}

fn installed(program: &Dynamic, package: &str) -> Fallible<String> {
    rt().checkpoint()?;
    let names: Vec<String> = match program.read_lock::<Array>() {
        Some(names) => names.iter().map(|name| value::word(name, "need")).collect::<Fallible<_>>()?,
        None => vec![value::word(program, "need")?],
    };
    let env = rt().env();
    let path = env.get(OsStr::new("PATH")).map(OsString::as_os_str);
    let servers = OsString::from(FOR_SERVERS.join(":"));
    let cwd = rt().cwd();
    for name in &names {
        let found = spec::find_program(name, &cwd, path)
            .or_else(|| spec::find_program(name, Path::new("/"), Some(&servers)));
        if let Some(file) = found {
            return Ok(file.components().collect::<std::path::PathBuf>().display().to_string());
        }
    }
    let shown: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let missing = match shown.as_slice() {
        [] => return Err(ScriptError::usage("need: no program is named").into()),
        [one] => format!("{one} is not installed"),
        several => format!("none of {} is installed", several.join(", ")),
    };
    let path = path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    Err(ScriptError::new(Kind::CommandFailed, missing)
        .exit(exit::NOT_FOUND)
        .fact("code", i64::from(exit::NOT_FOUND))
        .fact("name", names[0].clone())
        .note(format!("looked for in {path} and {}", FOR_SERVERS.join(", ")))
        .hint(format!("apt-get install {package}   (the package of Debian and Ubuntu)"))
        .into())
}
