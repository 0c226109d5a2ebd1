//! `bgjobs api --brief`: the whole language, each thing once, without examples; and options in few words.

use super::rhai;
use super::short::{brief_type, in_few_words};
use crate::api::modules;
use crate::host::engine::NAMESPACES;
use crate::host::reference::{Item, items};
use crate::host::value::error::Kind;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The whole language, each thing once, without examples.
pub fn brief() -> String {
    let all = items();
    let mut text = String::from(BRIEF);
    for (title, ..) in NAMESPACES {
        let functions: Vec<&Item> =
            all.iter().filter(|item| item.group == *title && !item.is_property()).collect();
        if functions.is_empty() {
            continue;
        }
        let calls: Vec<String> = functions.iter().map(|item| brief_calls(item)).collect();
        let _ = writeln!(text, "\n## {title}\n{}", calls.join("\n"));
    }
    text.push_str("\n## Options (all optional)\n");
    text.push_str(&brief_options(&all));
    text.push_str("\n## Properties\n");
    let mut objects: BTreeMap<&str, Vec<&Item>> = BTreeMap::new();
    for item in all.iter().filter(|item| item.is_property()) {
        objects.entry(item.of.unwrap_or_default()).or_default().push(item);
    }
    for (object, properties) in objects {
        let shown: Vec<&str> = properties.iter().map(|item| item.name).filter(|name| *name != "[]").collect();
        if !shown.is_empty() {
            let _ = writeln!(text, "{object}: {}", shown.join(", "));
        }
    }
    text.push_str("\n## Errors: e.kind, and the exit code when nobody catches it\n");
    for kind in Kind::ALL {
        let _ = writeln!(text, "{} ({}): {}", kind.name(), kind.code_in_words(), kind.meaning());
    }
    text.push_str("\n## Standard library: import \"std/NAME\" as NAME; bgjobs api std/NAME\n");
    for module in modules::all() {
        let _ = writeln!(text, "{}: {}", module.short_name(), module.names().join(", "));
    }
    text.push_str("\n## Built into Rhai\n");
    // Nobody asks a range or a closure for anything.
    for (group, functions) in
        rhai::functions().into_iter().filter(|(of, _)| !matches!(*of, "closures" | "ranges"))
    {
        // What is a property can be called as well.
        let names: BTreeSet<&str> = functions.keys().map(|name| name.trim_start_matches('.')).collect();
        let names: Vec<&str> = names.into_iter().filter(|name| !is_rare(name)).collect();
        let _ = writeln!(text, "{group}: {}", names.join(", "));
    }
    text
}

/// Functions of numbers, bits and the language itself that a test hardly needs.
fn is_rare(name: &str) -> bool {
    const RARE: &[&str] = &[
        "acos",
        "acosh",
        "asin",
        "asinh",
        "atan",
        "atanh",
        "cos",
        "cosh",
        "sin",
        "sinh",
        "tan",
        "tanh",
        "hypot",
        "bits",
        "get_bit",
        "get_bits",
        "set_bit",
        "set_bits",
        "blob",
        "to_blob",
        "to_degrees",
        "to_radians",
        "is_anonymous",
        "get_fn_metadata_list",
        "reduce_rev",
        "is_exclusive",
        "is_inclusive",
        "fill_with",
        "exp",
        "ln",
        "is_infinite",
        "is_finite",
        "is_nan",
        "fraction",
        "to_binary",
        "to_octal",
        "to_chars",
        "split_rev",
        "chop",
        "is_even",
        "is_odd",
        "is_zero",
        "sign",
        "to_hex",
        "splice",
        "crop",
        "get",
        "set",
    ];
    RARE.contains(&name)
}

const BRIEF: &str = "\
# bgjobs: the whole language, briefly (bgjobs api NAME explains one, bgjobs api rhai the syntax)
Durations: \"500ms\", \"2s\", \"1m30s\", or seconds. A command: a string is run by /bin/sh -c, an array directly.
A bare duration may stand for #{timeout: …}. Exit codes: 0 passed, 1 assertion or throw, 2 usage, 124 deadline,
125 job died or leak, 126/127 not executable/found, 128+n signal n; an uncaught run() failure: its own code.
";

/// All calls of an item in one line; one that only has more at its end than the one before is shown with it.
fn brief_calls(item: &Item) -> String {
    // Name, parameters that there must be, those that there may be, result.
    let mut calls: Vec<(String, Vec<String>, Vec<String>, String)> = Vec::new();
    for call in item.calls() {
        let least: Vec<String> = call.params.iter().map(|(name, kind)| brief_param(name, kind)).collect();
        // The options are always optional.
        let more = if call.options { vec!["opts".to_owned()] } else { Vec::new() };
        let result = brief_type(&call.result).replace("any", "");
        if let Some((_, known, further, before)) = calls.last_mut()
            && *before == result
            && let Some(rest) = least.strip_prefix(&[&known[..], &further[..]].concat()[..])
        {
            further.extend(rest.iter().chain(&more).cloned());
            continue;
        }
        calls.push((call.name, least, more, result));
    }
    // What all of them return is said behind the last.
    let last = calls.last().map(|(.., result)| result.clone()).unwrap_or_default();
    let is_same = calls.iter().all(|(.., result)| *result == last);
    let end = calls.len().saturating_sub(1);
    let shown = calls.iter().enumerate().map(|(at, (name, least, more, result))| {
        let mut params = least.join(", ");
        for param in more {
            let comma = if params.is_empty() { "" } else { ", " };
            let _ = write!(params, "[{comma}{param}]");
        }
        let arrow =
            if result.is_empty() || (is_same && at < end) { String::new() } else { format!(" -> {result}") };
        format!("{name}({params}){arrow}")
    });
    shown.collect::<Vec<_>>().join(" | ")
}

/// A parameter without the type that its name tells.
fn brief_param(name: &str, kind: &str) -> String {
    if kind == "any" || kind == name { name.to_owned() } else { format!("{name}: {}", brief_type(kind)) }
}

/// Every set of options once, with the functions that take it; one that has all of another's says only what it has besides.
fn brief_options(all: &[Item]) -> String {
    let mut sets: Vec<(Vec<String>, Vec<&str>)> = Vec::new();
    for item in all.iter().filter(|item| !item.is_property()) {
        let shown: Vec<String> = item.options().iter().flat_map(|set| in_few_words(set)).collect();
        if shown.is_empty() {
            continue;
        }
        match sets.iter_mut().find(|(known, _)| *known == shown) {
            Some((_, functions)) if functions.contains(&item.name) => {}
            Some((_, functions)) => functions.push(item.name),
            None => sets.push((shown, vec![item.name])),
        }
    }
    let mut text = String::new();
    for (options, functions) in &sets {
        let within = |other: &&(Vec<String>, Vec<&str>)| {
            other.0.len() > 1
                && other.0.len() < options.len()
                && other.0.iter().all(|one| options.contains(one))
        };
        let base = sets.iter().filter(within).max_by_key(|(known, _)| known.len());
        let own: Vec<&str> = options
            .iter()
            .filter(|one| base.is_none_or(|(known, _)| !known.contains(one)))
            .map(String::as_str)
            .collect();
        let base = base.map_or_else(String::new, |(_, names)| format!("as {}, and ", names[0]));
        let _ = writeln!(text, "{}: {base}{}", functions.join(", "), own.join(", "));
    }
    text
}
