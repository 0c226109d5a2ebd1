//! The reference: every function, method and property with what the description says of it, as Markdown.

use super::engine::{self, NAMESPACES};
use crate::api::{self, Form, Function, Opt, Options, Property, Type, modules};
use crate::event::Failure;
use crate::exit;
use crate::words;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Types that are not rhai's own, and what a value of them is called in the reference.
const INTRODUCTION: &str = "\
# bgjobs script functions

Types: string, integer, float, bool, array, map, closure, `any` for what the text says; `Job`, `Response` and
the like are objects with the properties and methods listed under them. Durations are strings (`\"500ms\"`,
`\"2s\"`, `\"1m30s\"`) or numbers of seconds. Option maps come last: `#{timeout: \"5s\"}`.
";

/// A function, method or property, with the title that it stands under.
pub struct Item {
    pub group: &'static str,
    /// The type that it belongs to.
    pub of: Option<&'static str>,
    /// What stands behind the point.
    pub name: &'static str,
    what: What,
}

/// Forms, each with its function: several functions may have one name.
type Forms = Vec<(&'static Function, &'static Form)>;

enum What {
    /// The forms of functions of this name, the shorter ones first.
    Calls(Forms),
    Property(&'static Property),
}

/// Every item, in the order of the reference. What is always an error, and says what to use instead, is none.
pub fn items() -> Vec<Item> {
    engine::install();
    NAMESPACES.iter().flat_map(|namespace| group(namespace.0)).collect()
}

/// Functions by their names; then the objects by theirs, each with its properties and its methods.
fn group(title: &'static str) -> Vec<Item> {
    let mut calls: BTreeMap<(Option<&str>, &str), Forms> = BTreeMap::new();
    for (_, function) in api::functions().iter().filter(|(group, _)| *group == title) {
        if api::text_of(function.doc).contains("Always an error") {
            continue;
        }
        for form in function.forms {
            calls.entry((object(form), function.name)).or_default().push((function, form));
        }
    }
    let item = |of, name, what| Item { group: title, of, name, what };
    let mut items: Vec<Item> = Vec::new();
    for ((of, name), mut forms) in calls {
        forms.sort_by_key(|(function, form)| (form.params.len(), call(function, form)));
        items.push(item(of, name, What::Calls(forms)));
    }
    let properties = api::properties().iter().filter(|(group, _)| *group == title);
    items.extend(
        properties.map(|(_, property)| item(Some(property.of), property.name, What::Property(property))),
    );
    items.sort_by_key(|item| (item.of, !item.is_property(), item.name == "[]", item.name));
    items
}

/// The type whose method a form is.
fn object(form: &Form) -> Option<&'static str> {
    match form.params.first()?.kind {
        Type::Object(name) => Some(name),
        _ => None,
    }
}

/// `job.wait_log(regex: string, opts: duration | map) -> any`: a call with its result.
fn call(function: &Function, form: &Form) -> String {
    let of = object(form);
    let mut params: Vec<String> = parameters(form).map(|(name, kind)| format!("{name}: {kind}")).collect();
    if let Some(kind) = options_kind(form) {
        params.push(format!("opts: {kind}"));
    }
    let receiver = of.map_or_else(String::new, |of| of.to_lowercase() + ".");
    let result = match function.returns {
        Type::Unit => String::new(),
        kind => format!(" -> {}", kind.name()),
    };
    format!("{receiver}{}({}){result}", function.name, params.join(", "))
}

/// The names and types of parameters, without the object that it is a method of.
fn parameters(form: &Form) -> impl Iterator<Item = (&'static str, String)> {
    let receiver = usize::from(object(form).is_some());
    form.params.iter().skip(receiver).map(|param| (param.name, param.kind.name()))
}

/// `duration | map`: what the options may be.
fn options_kind(form: &Form) -> Option<String> {
    let options = form.options?;
    Some(match options.bare.and_then(|key| options.get(key)) {
        Some(bare) => format!("{} | map", bare.kind.name()),
        None => "map".to_owned(),
    })
}

/// One form as the short reference shows it.
pub struct Call {
    /// With the receiver: `job.wait_log`.
    pub name: String,
    pub params: Vec<(&'static str, String)>,
    pub options: bool,
    /// Empty for none.
    pub result: String,
}

impl Item {
    /// `spawn`, `Job.wait_log`.
    pub fn full_name(&self) -> String {
        self.of.map_or_else(|| self.name.to_owned(), |of| format!("{of}.{}", self.name))
    }

    /// Whether it is read without a call.
    pub fn is_property(&self) -> bool {
        matches!(self.what, What::Property(_))
    }

    fn forms(&self) -> &[(&'static Function, &'static Form)] {
        match &self.what {
            What::Calls(forms) => forms,
            What::Property(_) => &[],
        }
    }

    /// Its calls, without what they do.
    pub fn shown(&self) -> Vec<String> {
        match &self.what {
            What::Calls(forms) => forms.iter().map(|(function, form)| call(function, form)).collect(),
            What::Property(property) => {
                let name = match property.name {
                    "[]" => "[name: string]".to_owned(),
                    name => format!(".{name}"),
                };
                vec![format!("{}{name} -> {}", property.of.to_lowercase(), property.kind.name())]
            }
        }
    }

    pub fn calls(&self) -> Vec<Call> {
        let receiver = self.of.map_or_else(String::new, |of| of.to_lowercase() + ".");
        let one = |(function, form): &(&'static Function, &'static Form)| Call {
            name: format!("{receiver}{}", self.name),
            params: parameters(form).collect(),
            options: form.options.is_some(),
            result: if matches!(function.returns, Type::Unit) {
                String::new()
            } else {
                function.returns.name()
            },
        };
        self.forms().iter().map(one).collect()
    }

    /// What is said about it first.
    fn doc(&self) -> String {
        match &self.what {
            What::Calls(forms) => {
                forms.first().map(|(function, form)| doc(function, form)).unwrap_or_default()
            }
            What::Property(property) => api::text_of(property.doc),
        }
    }

    /// The first sentence of that.
    pub fn sentence(&self) -> String {
        let doc = self.doc();
        let paragraph =
            doc.split("\n\n").next().unwrap_or_default().split("\n```").next().unwrap_or_default();
        let paragraph = paragraph.replace('\n', " ");
        let end = paragraph.find(". ").map_or(paragraph.len(), |at| at + 1);
        paragraph[..end].split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The functions that it is, each once.
    fn functions(&self) -> Vec<&'static Function> {
        let mut functions: Vec<&'static Function> = Vec::new();
        for (function, _) in self.forms() {
            if !functions.iter().any(|other| std::ptr::eq(*other, *function)) {
                functions.push(function);
            }
        }
        functions
    }

    /// The sets of options that it takes, in its options and in the maps that are its arguments.
    pub fn options(&self) -> Vec<Vec<&'static Opt>> {
        self.functions().into_iter().flat_map(sets).map(|set| set.options).collect()
    }

    /// As Markdown; in full, or with one example, and with many options in few words.
    pub fn text(&self, lists: &mut dyn Lists) -> String {
        let mut text = String::new();
        let forms = match &self.what {
            What::Property(_) => {
                let doc = lists.doc(&self.doc()).replace('\n', "\n  ").replace("\n  \n", "\n\n");
                return format!("* `{}`: {doc}\n", self.shown().concat());
            }
            What::Calls(forms) => forms,
        };
        let _ = writeln!(text, "### {}\n\n```text", self.full_name());
        for shown in self.shown() {
            let _ = writeln!(text, "{shown}");
        }
        let _ = writeln!(text, "```");
        let mut said: Vec<String> = Vec::new();
        for (function, form) in forms {
            let doc = doc(function, form);
            if said.contains(&doc) {
                continue;
            }
            if !said.is_empty() {
                let mut params: Vec<&str> = parameters(form).map(|(name, _)| name).collect();
                // It differs from the one before only in its options.
                if form.options.is_some() && forms[0].1.params.len() == form.params.len() {
                    params.push("opts");
                }
                let _ = writeln!(text, "\n`{}({})`:", self.name, params.join(", "));
            }
            let _ = writeln!(text, "\n{}", lists.doc(&doc));
            said.push(doc);
        }
        for function in self.functions() {
            for set in sets(function) {
                let list = lists.list(&self.full_name(), &set.options);
                let _ = writeln!(text, "\n{}:\n\n{}", set.title, list.trim_end());
                if let Some(bare) = set.bare {
                    let _ = writeln!(text, "\nA bare `{bare}` may take the place of the options.");
                }
            }
            if !function.throws.is_empty() {
                let _ = writeln!(text, "\nThrows `{}`.", function.throws.join("`, `"));
            }
        }
        while text.contains("\n\n\n") {
            text = text.replace("\n\n\n", "\n\n");
        }
        text
    }
}

fn doc(function: &Function, form: &Form) -> String {
    api::text_of(if form.doc.is_empty() { function.doc } else { form.doc })
}

/// Options of a function, and what they are called in front of their list.
struct Set {
    title: String,
    options: Vec<&'static Opt>,
    bare: Option<&'static str>,
}

/// Its options, and what a map that is not an option map may hold: answers of a mock, services.
fn sets(function: &'static Function) -> Vec<Set> {
    let mut sets: Vec<Set> = Vec::new();
    let own: Option<&'static Options> = function.options();
    if let Some(options) = own {
        // Those of a list of maps are of each of them.
        let of_each = function.forms.iter().find(|form| form.options.is_none()).and_then(|form| {
            form.params.iter().find(|param| param.kind.items().is_some_and(|item| item.options().is_some()))
        });
        let of_each = of_each.map_or_else(String::new, |param| format!(" of each map in `{}`", param.name));
        sets.push(Set {
            title: format!("Options{of_each}"),
            options: options.all().collect(),
            bare: options.bare,
        });
    }
    let mut listed: Vec<&str> = Vec::new();
    for param in function.forms.iter().flat_map(|form| form.params) {
        let inner = param.kind.values().or_else(|| param.kind.items()).copied().and_then(Type::options);
        if let Some(options) = inner
            && !listed.contains(&param.name)
        {
            listed.push(param.name);
            let new = options.all().filter(|opt| own.is_none_or(|own| own.get(opt.name).is_none()));
            let options: Vec<&Opt> = new.collect();
            if !options.is_empty() {
                let besides = if own.is_some() { " these options, and" } else { "" };
                sets.push(Set {
                    title: format!("A map in `{}` can have{besides}", param.name),
                    options,
                    bare: None,
                });
            }
        }
    }
    sets
}

/// How much is shown of an item.
pub trait Lists {
    /// What is said, with its examples.
    fn doc(&mut self, doc: &str) -> String {
        doc.to_owned()
    }

    /// The options of an item.
    fn list(&mut self, _name: &str, options: &[&'static Opt]) -> String {
        options.iter().map(|opt| option(opt)).collect()
    }
}

/// All of it.
pub struct InFull;

impl Lists for InFull {}

/// An option, with those in it.
pub fn option(opt: &Opt) -> String {
    let default = match opt.default {
        "" => String::new(),
        default => format!(", default {default}"),
    };
    let doc = api::text_of(opt.doc).replace('\n', " ");
    let mut text = format!("* `{}`: {}{default}. {doc}\n", opt.name, opt.kind.name());
    for line in opt.kind.options().into_iter().flat_map(Options::all).flat_map(|inner| {
        let inner = option(inner);
        inner.lines().map(str::to_owned).collect::<Vec<_>>()
    }) {
        let _ = writeln!(text, "  {line}");
    }
    text
}

/// The whole reference.
pub fn reference() -> String {
    let mut text = String::from(INTRODUCTION);
    let items = items();
    text.push('\n');
    for (title, ..) in NAMESPACES {
        let functions = items.iter().filter(|item| item.group == *title && item.of.is_none());
        let names: Vec<&str> = functions.map(|item| item.name).collect();
        if !names.is_empty() {
            let _ = writeln!(text, "* {title}: `{}`", names.join("`, `"));
        }
    }
    let mut last: Option<&Item> = None;
    for item in &items {
        if last.is_none_or(|last| last.group != item.group) {
            let _ = writeln!(text, "\n## {}", item.group);
        }
        match (item.of, last) {
            (Some(of), Some(last)) if item.is_property() && last.is_property() && last.of == Some(of) => {}
            (Some(of), _) if item.is_property() => {
                let _ = writeln!(text, "\n### Properties of {of}\n");
            }
            _ => text.push('\n'),
        }
        text.push_str(&item.text(&mut InFull));
        last = Some(item);
    }
    text.push_str("\n## Standard library\n\nWhat each module has: `bgjobs api std/NAME`.\n\n");
    for module in modules::all() {
        let sentence = module.about.split("\n\n").next().unwrap_or_default().replace('\n', " ");
        let _ = writeln!(text, "- `{}`: {sentence}", module.name);
    }
    text
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
        let _ = write!(text, "\n{}", module_function(module, function));
    }
    Ok(text)
}

/// What a module says of one of its functions.
pub fn module_function(module: &modules::Module, function: &modules::Function) -> String {
    format!("## {}::{}\n\n{}\n", module.short_name(), function.call, function.doc)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rhai::Engine;

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
    fn nothing_is_registered_without_a_description() {
        engine::install();
        let mut missing = Vec::new();
        for namespace in NAMESPACES {
            let mut engine = Engine::new_raw();
            namespace.1.iter().for_each(|register| register(&mut engine));
            for name in engine.collect_fn_metadata(None, |info| Some(info.metadata.name.to_string()), false) {
                // Operators, how values are printed, and what only says what to use instead.
                let silent = matches!(name.as_str(), "to_string" | "to_debug" | "elapsed" | "get$duration");
                if rhai::is_valid_identifier(name.trim_start_matches("get$"))
                    && !silent
                    && api::named(&name).next().is_none()
                {
                    missing.push(format!("{}: {name}", namespace.0));
                }
            }
        }
        assert!(missing.is_empty(), "{missing:#?}");
    }
}
