//! The registry: which namespaces the language has, its limits, its reserved words.

use super::{
    assert, command, env, error, flow, fs, hints, http, import, job, mock, port, runtime, text, wait,
};
use crate::event::Event;
use rhai::Engine;
use std::path::PathBuf;

/// One namespace a line; each registers its functions from documented Rust functions.
fn register(engine: &mut Engine) {
    job::register(engine);
    command::register(engine);
    wait::register(engine);
    http::register(engine);
    mock::register(engine);
    assert::register(engine);
    port::register(engine);
    fs::register(engine);
    env::register(engine);
    flow::register(engine);
    text::register(engine);
    error::register(engine);
}

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
    register(&mut engine);
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
    engine.on_progress(|_| {
        let halted = runtime::running().is_some_and(|rt| rt.control().halted());
        halted.then(|| "stopped".into())
    });
    engine
}

/// The reference of all script functions, from their own documentation, as Markdown.
pub fn reference() -> String {
    let engine = engine(&[]);
    let mut functions: Vec<(String, String, String)> = engine.collect_fn_metadata(
        None,
        |info| {
            let name = info.metadata.name.to_string();
            let documented: Vec<String> = info.metadata.comments.iter().map(|line| strip(line)).collect();
            (!documented.is_empty()).then(|| (name, signature(info.metadata), documented.join("\n")))
        },
        false,
    );
    functions.sort();
    let mut text = String::from("# bgjobs script functions\n");
    let mut last = String::new();
    for (name, signature, doc) in functions {
        if name != last {
            text.push_str(&format!("\n## {}\n", name.trim_start_matches("get$")));
            last = name;
        }
        text.push_str(&format!("\n`{signature}`\n\n{}\n", doc.trim()));
    }
    text
}

fn strip(comment: &str) -> String {
    comment
        .lines()
        .map(|line| {
            line.trim_start_matches("///").strip_prefix(' ').unwrap_or(line.trim_start_matches("///"))
        })
        .collect::<Vec<_>>()
        .join("\n")
}

fn signature(metadata: &rhai::FuncMetadata) -> String {
    let params: Vec<String> = metadata.params_info.iter().map(|param| friendly(param)).collect();
    let result = friendly(&metadata.return_type);
    if let Some(property) = metadata.name.strip_prefix("get$") {
        return format!(".{property} -> {result}");
    }
    let arrow = if result.is_empty() || result == "()" { String::new() } else { format!(" -> {result}") };
    format!("{}({}){arrow}", metadata.name, params.join(", "))
}

/// Rust's type names as scripts know them.
fn friendly(text: &str) -> String {
    let mut text = text.replace("&mut ", "").replace("NativeCallContext", "");
    for (rust, script) in [
        ("Fallible<", ""),
        ("RhaiResultOf<", ""),
        ("Result<", ""),
        (", Box<EvalAltResult>>", ""),
        ("ImmutableString", "string"),
        ("&str", "string"),
        ("String", "string"),
        ("i64", "integer"),
        ("f64", "float"),
        ("Dynamic", "any"),
        ("FnPtr", "closure"),
        ("Array", "array"),
        ("Map", "map"),
    ] {
        text = text.replace(rust, script);
    }
    text.trim_end_matches('>').to_owned()
}
