//! The registry: which namespaces the language has, its limits, its reserved words.

use super::{
    assert, command, env, error, failure, flow, fs, hints, http, import, job, mock, module, port, runtime,
    text, wait,
};
use crate::event::Event;
use rhai::{Dynamic, Engine, Map};
use std::path::PathBuf;

/// What registers the functions of a namespace.
type Register = fn(&mut Engine);

/// One namespace a line, in the order of the reference; each registers its functions from documented Rust
/// functions.
pub const NAMESPACES: &[(&str, Register)] = &[
    ("Jobs", job::register),
    ("Commands", command::register),
    ("Waiting", wait::register),
    ("HTTP", http::register),
    ("Mocks", mock::register),
    ("Assertions", assert::register),
    ("Ports", port::register),
    ("Files", fs::register),
    ("Environment and parameters", env::register),
    ("Flow", flow::register),
    ("Writing modules", module::register),
    ("Text and lists", text::register),
    ("Errors", error::register),
];

pub const MOST_CALLS: usize = 1000;
pub const LARGEST_STRING: usize = 64 << 20;
/// Of an array or a map.
pub const MOST_ITEMS: usize = 1_000_000;

/// An engine with every script function. Limits are set explicitly: rhai's own differ between debug and
/// release builds.
pub fn engine(include: &[PathBuf]) -> Engine {
    let mut engine = Engine::new();
    engine
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
    for (_, register) in NAMESPACES {
        register(&mut engine);
    }
    engine.set_module_resolver(import::Resolver::new(include));
    engine.on_print(|text| {
        if let Some(rt) = runtime::running() {
            let event = Event::Stdout(format!("{text}\n").into_bytes());
            rt.bus.output(event, || rt.control().halted());
        }
    });
    engine.on_debug(|text, source, position| {
        if let Some(rt) = runtime::running() {
            let place = source.map_or_else(String::new, |source| format!("{source}:"));
            let line = format!("{place}{}: {text}\n", position.line().unwrap_or(0));
            rt.bus.output(Event::Stderr(line.into_bytes()), || rt.control().halted());
        }
    });
    catch_error_objects(&mut engine);
    engine.on_progress(|_| {
        let halted = runtime::running().is_some_and(|rt| rt.control().halted());
        halted.then(|| "stopped".into())
    });
    engine
}

/// What `catch (e)` gives for an error of the evaluation itself, such as a division by zero, is a map of rhai's,
/// without a `kind`. There is no hook for `catch`, but one for reading a variable: there the map becomes the
/// error object that everything else throws.
#[expect(deprecated, reason = "rhai marks what it considers volatile as deprecated; there is no other way")]
fn catch_error_objects(engine: &mut Engine) {
    engine.on_var(|name, _, mut context| {
        if !context.scope().get(name).is_some_and(failure::is_evaluation_error) {
            return Ok(None);
        }
        if let Some(value) = context.scope_mut().get_mut(name) {
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
        Ok(None)
    });
}
