//! The registry: which namespaces the language has, its limits, its reserved words.

use crate::api::{self, Language};
use crate::event::Event;
use crate::host::explain::{failure, hints, method, signature};
#[cfg(test)]
use crate::host::functions::sample;
use crate::host::functions::{
    assert, command, data, env, error, flow, fs, http, job, load, mock, module, number, parallel, param,
    port, position, stay, test, text, tls, wait,
};
use crate::host::run::runtime;
use crate::host::source::import;
use crate::host::source::named::Named;
use crate::host::value::described::{self, Entry, Property};
use crate::host::value::error::Fallible;
use crate::host::value::limits::{LARGEST_STRING, MOST_CALLS, MOST_INTERNED, MOST_ITEMS};
use crate::jobs::{self, strand};
use rhai::packages::{Package, StandardPackage};
use rhai::{Dynamic, Engine, EvalAltResult, Map, Scope};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What registers the functions of a namespace.
type Register = fn(&mut Engine);

/// The title in the reference, what registers functions that are not described or described elsewhere, the described
/// functions, and the properties.
pub type Namespace = (
    &'static str,
    &'static [Register],
    &'static [&'static [Entry]],
    &'static [&'static [&'static [Property]]],
);

/// One namespace a line, in the order of the reference.
pub const NAMESPACES: &[Namespace] = &[
    ("Jobs", &[job::register], &[job::FUNCTIONS], &[job::PROPERTIES]),
    ("Commands", &[command::register], &[command::FUNCTIONS], &[command::PROPERTIES]),
    ("Waiting", &[], &[wait::FUNCTIONS, stay::FUNCTIONS], &[]),
    ("HTTP", &[http::register], &[http::FUNCTIONS, load::FUNCTIONS], &[http::PROPERTIES]),
    ("Mocks", &[], &[mock::FUNCTIONS], &[]),
    ("Assertions", &[], &[assert::FUNCTIONS], &[]),
    ("Tests", &[], &[test::FUNCTIONS, test::GROUPS], &[]),
    ("Ports", &[], &[port::FUNCTIONS], &[]),
    ("Files", &[], &[fs::FUNCTIONS], &[]),
    ("JSON, YAML, TOML", &[data::register], &[data::FUNCTIONS], &[]),
    ("Environment and parameters", &[], &[env::FUNCTIONS, param::FUNCTIONS], &[]),
    ("Flow", &[flow::register], &[flow::FUNCTIONS, parallel::FUNCTIONS], &[]),
    ("Writing modules", &[], &[module::FUNCTIONS, tls::FUNCTIONS, position::FUNCTIONS], &[]),
    ("Text and lists", &[text::register], &[text::FUNCTIONS], &[]),
    ("Numbers", &[], &[number::FUNCTIONS], &[]),
    ("Errors", &[error::register], &[], &[error::PROPERTIES]),
    #[cfg(test)]
    ("Samples", &[], &[sample::FUNCTIONS], &[sample::PROPERTIES]),
];

/// An engine with every script function.
pub fn engine(include: &[PathBuf]) -> Engine {
    engine_for(include, &Named::All)
}

/// An engine for a text that uses no other names.
pub fn engine_for(include: &[PathBuf], named: &Named) -> Engine {
    let mut engine = bare(include);
    add(&mut engine, named);
    engine
}

/// An engine to which the described functions are yet to be added. Limits are set explicitly: rhai's own differ between
/// debug and release builds.
pub fn bare(include: &[PathBuf]) -> Engine {
    let mut engine = Engine::new_raw();
    // What Rhai brings is looked up when it is called: to register all of it took a quarter of what a small script cost.
    engine.register_global_module(StandardPackage::new_lazy().as_shared_module());
    engine
        .set_max_strings_interned(MOST_INTERNED)
        .set_strict_variables(true)
        .set_max_call_levels(MOST_CALLS)
        .set_max_expr_depths(512, 512)
        .set_max_string_size(LARGEST_STRING)
        .set_max_array_size(MOST_ITEMS)
        .set_max_map_size(MOST_ITEMS)
        // Otherwise rhai joins `()` to a string as nothing, without asking anybody.
        .set_fast_operators(false)
        // Rhai's optimiser has removed statements with side effects before (1.26); scripts are short.
        .set_optimization_level(rhai::OptimizationLevel::None);
    hints::install(&mut engine);
    install();
    NAMESPACES.iter().flat_map(|namespace| namespace.1).for_each(|register| register(&mut engine));
    engine.set_module_resolver(import::Resolver::new(
        include,
        runtime::running().map(|rt| Arc::clone(&rt.jobs.control)),
    ));
    engine.on_print(|text| {
        if let Some(rt) = runtime::running() {
            rt.emit(Event::Stdout(format!("{text}\n").into()));
        }
    });
    engine.on_debug(|text, source, position| {
        if let Some(rt) = runtime::running() {
            let place = source.map_or_else(String::new, |source| format!("{source}:"));
            let line = format!("{place}{}: {text}\n", position.line().unwrap_or(0));
            rt.emit(Event::Stderr(line.into()));
        }
    });
    watch_variables(&mut engine);
    method::watch(&mut engine);
    engine.on_progress(|_| {
        strand::at_operation();
        let halted = runtime::running().is_some_and(|rt| rt.control().halted());
        halted.then(|| "stopped".into())
    });
    engine
}

/// Adds the described functions and properties of these names. The rest of them costs more than all else in a short script,
/// and what is said of a mistake comes from the description.
pub fn add(engine: &mut Engine, named: &Named) {
    text::register_in_place(engine, named);
    let functions_named = functions().filter(|entry| named.has(entry.about.name));
    // What stands in brackets has no name.
    let is_named = |property: &&Property| property.about.name == "[]" || named.has(property.about.name);
    let properties = NAMESPACES.iter().flat_map(properties).filter(is_named);
    described::register(engine, functions_named, properties, |name| {
        functions().filter(|entry| entry.about.name == name).collect()
    });
}

/// Puts the description of all functions where everything below finds it.
pub fn install() {
    api::install(|| {
        let mut language = Language::default();
        for namespace in NAMESPACES {
            let functions = namespace.2.iter().copied().flatten().map(|entry| (namespace.0, entry.about));
            language.functions.extend(functions);
            language.properties.extend(properties(namespace).map(|property| (namespace.0, property.about)));
        }
        language
    });
    signature::install(|| engine(&[]));
}

fn functions() -> impl Iterator<Item = &'static Entry> {
    NAMESPACES.iter().flat_map(|namespace| namespace.2).copied().flatten()
}

/// The properties that a namespace describes.
fn properties(namespace: &Namespace) -> impl Iterator<Item = &'static Property> + use<> {
    namespace.3.iter().copied().flatten().copied().flatten()
}

/// There is one hook for reading a variable, and two uses for it.
#[expect(deprecated, reason = "rhai marks what it considers volatile as deprecated; there is no other way")]
fn watch_variables(engine: &mut Engine) {
    engine.on_var(|name, _, mut context| {
        if strand::beside_others()
            && let Some(rt) = runtime::running()
        {
            strand::at_variable();
            if let Some(shared) = context.scope().get(name).filter(|value| value.is_shared()) {
                wait_for_lock(rt, name, shared)?;
            }
        }
        catch_error_objects(name, context.scope_mut());
        Ok(None)
    });
}

/// How long a closure waits for what another one of the same `parallel` uses.
const LONGEST_USE: Duration = Duration::from_secs(5);

/// A captured variable that another closure uses right now, by a method that takes its time: rhai itself would give
/// up on it, or panic, after 50 ms.
fn wait_for_lock(rt: &runtime::Runtime, name: &str, shared: &Dynamic) -> Fallible<()> {
    let control = rt.control();
    let until = jobs::now() + LONGEST_USE;
    while shared.is_locked() {
        rt.checkpoint()?;
        let now = jobs::now();
        if now >= until {
            return Err(EvalAltResult::ErrorDataRace(name.to_owned(), rhai::Position::NONE).into());
        }
        control.bell.wait(control.bell.rings(), Some(now + Duration::from_millis(5)));
    }
    Ok(())
}

/// What `catch (e)` gives for an error of the evaluation itself, such as a division by zero, is a map of rhai's,
/// without a `kind`. There is no hook for `catch`, but one for reading a variable: there the map becomes the
/// error object that everything else throws.
fn catch_error_objects(name: &str, scope: &mut Scope) {
    if !scope.get(name).is_some_and(failure::is_evaluation_error) {
        return;
    }
    let Some(value) = scope.get_mut(name) else { return };
    let error = value.read_lock::<Map>().map(|map| failure::from_evaluation(&map));
    match (error, value.is_shared()) {
        (Some(error), false) => *value = Dynamic::from(error),
        (Some(error), true) => {
            if let Some(mut shared) = value.write_lock::<Dynamic>() {
                *shared = Dynamic::from(error);
            }
        }
        (None, _) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::source::import::without_shebang;
    use rhai::{ASTNode, Expr, Stmt};
    use std::path::Path;

    /// Whatever the scripts of this project call or read can be found in an engine that has only what they name: what the
    /// parser has taken for a name is a word of the text.
    #[test]
    fn what_a_script_names_is_added() {
        let whole = engine(&[]);
        let is_ours = |name: &str| {
            functions().any(|entry| entry.about.name == name)
                || NAMESPACES.iter().flat_map(properties).any(|property| property.about.name == name)
        };
        let (mut scripts, mut names) = (0, 0);
        for file in ["tests", "stdlib", "scripts"].iter().flat_map(|dir| files(Path::new(dir))) {
            let Ok(text) = std::fs::read_to_string(&file) else { continue };
            let Ok(ast) = whole.compile(without_shebang(&text)) else { continue };
            let named = Named::in_text(&text);
            scripts += 1;
            let mut look = |path: &[ASTNode]| {
                let name = match path.last() {
                    Some(ASTNode::Expr(Expr::FnCall(call, _) | Expr::MethodCall(call, _))) => {
                        call.name.as_str()
                    }
                    Some(ASTNode::Stmt(Stmt::FnCall(call, _))) => call.name.as_str(),
                    Some(ASTNode::Expr(Expr::Property(property, _))) => property.2.as_str(),
                    _ => return true,
                };
                names += usize::from(is_ours(name));
                assert!(!is_ours(name) || named.has(name), "{name} in {}", file.display());
                true
            };
            ast.walk(&mut look);
        }
        assert!(scripts > 300 && names > 2000, "only {scripts} scripts with {names} names");
    }

    /// The scripts below a directory.
    fn files(dir: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
        let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
        entries.flat_map(below).filter(|path| path.extension().is_some_and(|end| end == "rhai")).collect()
    }

    /// A call finds a function with exactly its types first: where Rhai has such a one, ours needs them, too.
    #[test]
    fn no_function_of_rhai_hides_a_described_one() {
        let all = |engine: &Engine| {
            engine.collect_fn_metadata(
                None,
                |info| Some((info.metadata.name.to_string(), info.metadata.param_types.to_vec())),
                true,
            )
        };
        let (of_rhai, with_ours) = (all(&Engine::new()), all(&engine(&[])));
        for function in functions().map(|entry| entry.about) {
            for form in function.forms {
                let form = (function.name.to_owned(), described::types(form));
                let count = |all: &[_]| all.iter().filter(|other| **other == form).count();
                assert!(count(&of_rhai) == 0 || count(&with_ours) > count(&of_rhai), "{}", form.0);
            }
        }
    }
}
