//! The reference of all script functions and modules, as Markdown, from their own documentation.

use super::engine::{NAMESPACES, Namespace};
use crate::api::{self, Function, Opt, Options, modules};
use crate::event::Failure;
use crate::exit;
use crate::host::explain::signature::{Known, Signature};
use crate::words;
use rhai::Engine;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Types that are not rhai's own, and what a value of them is called in the reference.
const INTRODUCTION: &str = "\
# bgjobs script functions

Types: string, integer, float, bool, array, map, closure, `any` for what the text says; `Job`, `Response` and
the like are objects with the properties and methods listed under them. Durations are strings (`\"500ms\"`,
`\"2s\"`, `\"1m30s\"`) or numbers of seconds. Option maps come last: `#{timeout: \"5s\"}`.
";

/// The whole reference.
pub fn reference() -> String {
    let mut text = String::from(INTRODUCTION);
    let groups: Vec<(&str, Known)> =
        NAMESPACES.iter().map(|namespace| (namespace.0, known_of(namespace))).collect();
    text.push('\n');
    for (title, known) in &groups {
        let names: Vec<&str> =
            known.all().filter(|(_, forms)| is_function(forms)).map(|(name, _)| name).collect();
        if !names.is_empty() {
            let _ = writeln!(text, "* {title}: `{}`", names.join("`, `"));
        }
    }
    for (title, known) in &groups {
        group(&mut text, title, known);
    }
    text.push_str("\n## Standard library\n\nWhat each module has: `bgjobs api std/NAME`.\n\n");
    for module in modules::all() {
        let sentence = module.about.split("\n\n").next().unwrap_or_default().replace('\n', " ");
        let _ = writeln!(text, "- `{}`: {sentence}", module.name);
    }
    text
}

/// What one namespace has.
fn known_of((_, register, described): &Namespace) -> Known {
    let mut engine = Engine::new_raw();
    register.iter().for_each(|register| register(&mut engine));
    Known::of(&engine, false, described.iter().copied().flatten().map(|entry| entry.about))
}

/// The page of one module of the standard library, from its own comments.
pub fn module_reference(name: &str) -> Result<String, Failure> {
    let Some(module) = modules::module(name) else {
        let wanted = name.trim_end_matches(".rhai");
        let names: Vec<&str> = modules::names().collect();
        let near = words::nearest(wanted, names.iter().copied())
            .or_else(|| words::nearest(&format!("std/{wanted}"), names.iter().copied()));
        return Err(Failure {
            code: exit::USAGE,
            message: format!("there is no module `{wanted}` in the standard library"),
            notes: vec![format!("there are: {}", names.join(", "))],
            hint: near.map(|near| format!("bgjobs api {near}")),
            ..Failure::default()
        });
    };
    let mut text = format!("# {}\n\n{}\n", module.name, module.about);
    for function in &module.functions {
        let _ = writeln!(text, "\n## {}::{}\n\n{}", module.short_name(), function.call, function.doc);
    }
    Ok(text)
}

fn is_documented(form: &&Signature) -> bool {
    !form.doc.is_empty()
}

/// Documented, and called without a receiver.
fn is_function(forms: &[Signature]) -> bool {
    forms.iter().any(|form| is_documented(&form) && form.object().is_none() && !form.name.contains('$'))
}

/// A name and its forms.
type Entry<'a> = (&'a str, Vec<&'a Signature>);

fn group(text: &mut String, title: &str, known: &Known) {
    if !known.all().any(|(_, forms)| forms.iter().any(|form| is_documented(&form))) {
        return;
    }
    let _ = writeln!(text, "\n## {title}");
    let mut objects: BTreeMap<&str, [Vec<Entry>; 2]> = BTreeMap::new();
    for (name, forms) in known.all() {
        let plain: Vec<&Signature> =
            forms.iter().filter(is_documented).filter(|form| form.object().is_none()).collect();
        entry(text, name, &plain, "");
        let mut of_objects: BTreeMap<&str, Vec<&Signature>> = BTreeMap::new();
        for form in forms.iter().filter(is_documented) {
            if let Some(object) = form.object() {
                of_objects.entry(object).or_default().push(form);
            }
        }
        for (object, forms) in of_objects {
            // Getters and indexers; a setter says nothing that its getter does not.
            let kind = usize::from(!name.contains('$'));
            if name.contains("set$") {
                continue;
            }
            objects.entry(object).or_default()[kind].push((name, forms));
        }
    }
    for (object, [properties, methods]) in objects {
        let receiver = format!("{object}.");
        if !properties.is_empty() {
            let _ = writeln!(text, "\n### Properties of {object}\n");
        }
        for form in properties.iter().flat_map(|(_, forms)| forms) {
            let doc = form.doc.replace("\n", "\n  ").replace("\n  \n", "\n\n");
            let shown = format!("{}{}", receiver.to_lowercase(), form.shown()).replace(".[", "[");
            let _ = writeln!(text, "* `{shown}`: {doc}");
        }
        for (name, forms) in &methods {
            entry(text, name, forms, &receiver);
        }
    }
}

/// All forms of one name, then what each says.
fn entry(text: &mut String, name: &str, forms: &[&Signature], receiver: &str) {
    if forms.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n### {receiver}{}\n\n```text", name.trim_start_matches("get$"));
    for form in forms.iter().filter(|form| !form.is_shown_with_options()) {
        let _ = writeln!(text, "{}{}", receiver.to_lowercase(), form.shown());
    }
    let _ = writeln!(text, "```");
    let mut said: Vec<&str> = Vec::new();
    for form in forms {
        if said.contains(&form.doc.as_str()) {
            continue;
        }
        said.push(&form.doc);
        if forms.len() > 1 && said.len() > 1 {
            let params: Vec<&str> = form.params.iter().filter_map(|param| param.name.as_deref()).collect();
            let params = if receiver.is_empty() { &params[..] } else { &params[1.min(params.len())..] };
            let _ = writeln!(text, "\n`{}({})`:", form.name, params.join(", "));
        }
        let _ = writeln!(text, "\n{}", form.doc);
    }
    let mut told: Vec<&Function> = Vec::new();
    for (about, _) in forms.iter().filter_map(|form| form.about) {
        if !told.iter().any(|other| std::ptr::eq(*other, about)) {
            told.push(about);
            facts(text, about);
        }
    }
}

/// The options and the errors of a described function.
fn facts(text: &mut String, about: &Function) {
    if let Some(options) = about.options() {
        // Those of a list of maps are of each of them.
        let of_each = about.forms.iter().find(|form| form.options.is_none()).and_then(|form| {
            form.params.iter().find(|param| param.kind.items().is_some_and(|item| item.options().is_some()))
        });
        let of_each = of_each.map_or_else(String::new, |param| format!(" of each map in `{}`", param.name));
        let _ = writeln!(text, "\nOptions{of_each}:\n");
        list(text, options, "");
        if let Some(bare) = options.bare {
            let _ = writeln!(text, "\nA bare `{bare}` may take the place of the options.");
        }
    }
    // What a map that is not an option map may hold: answers of a mock, services.
    let mut told: Vec<&str> = Vec::new();
    for param in about.forms.iter().flat_map(|form| form.params) {
        let inner = param.kind.values().or_else(|| param.kind.items()).copied().and_then(api::Type::options);
        if let Some(options) = inner
            && !told.contains(&param.name)
        {
            told.push(param.name);
            let own = about.options();
            let new: Vec<&Opt> =
                options.all().filter(|opt| own.is_none_or(|own| own.get(opt.name).is_none())).collect();
            if !new.is_empty() {
                let besides = if own.is_some() { " these options, and" } else { "" };
                let _ = writeln!(text, "\nA map in `{}` can have{besides}:\n", param.name);
                new.into_iter().for_each(|opt| item(text, opt, ""));
            }
        }
    }
    if !about.throws.is_empty() {
        let _ = writeln!(text, "\nThrows `{}`.", about.throws.join("`, `"));
    }
}

fn list(text: &mut String, options: &Options, indent: &str) {
    options.all().for_each(|opt| item(text, opt, indent));
}

fn item(text: &mut String, opt: &Opt, indent: &str) {
    let default = match opt.default {
        "" => String::new(),
        default => format!(", default {default}"),
    };
    let doc = api::text_of(opt.doc).replace('\n', " ");
    let _ = writeln!(text, "{indent}* `{}`: {}{default}. {doc}", opt.name, opt.kind.name());
    if let Some(nested) = opt.kind.options() {
        list(text, nested, &format!("{indent}  "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_shows_functions_as_scripts_call_them() {
        let text = reference();
        assert!(
            text.contains("### spawn\n\n```text\nspawn(cmd: command, opts: duration | map) -> Job\n"),
            "{text}"
        );
        assert!(text.contains("* `job.name -> string`: "), "{text}");
        for rust in ["Dynamic", "ImmutableString", "i64", "Fallible", "NativeCallContext", "get$", "&mut"] {
            assert!(!text.contains(rust), "{rust} in the reference");
        }
    }

    #[test]
    fn nothing_is_registered_without_documentation() {
        let mut missing = Vec::new();
        for namespace in NAMESPACES {
            let title = namespace.0;
            for (name, forms) in known_of(namespace).all() {
                let bare = name.trim_start_matches("get$");
                // Operators, and how values are printed.
                let silent = !rhai::is_valid_identifier(bare) || matches!(bare, "to_string" | "to_debug");
                if !silent && !forms.iter().any(|form| is_documented(&form)) {
                    missing.push(format!("{title}: {name}"));
                }
            }
        }
        assert!(missing.is_empty(), "{missing:#?}");
    }
}
