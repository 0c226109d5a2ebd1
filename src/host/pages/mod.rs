//! `bgjobs api …`: what somebody wants to know of the language, found in the reference and cut out of it.
//!
//! The reference is a list of items, and a question is answered with those that it may mean. Nothing is described here.
//!
//! ```text
//! brief        the whole language in few words
//! short        what is shown where not every word is asked for
//! rhai         what is built into Rhai
//! ```

mod brief;
mod rhai;
mod short;

pub use brief::brief;

use crate::api::{Opt, Options, modules};
use crate::event::Failure;
use crate::exit;
use crate::host::engine::NAMESPACES;
use crate::host::explain::signature;
use crate::host::reference::{self, InFull, Item, items};
use crate::host::value::error::Kind;
use crate::words::{filled, nearest};
use serde_json::{Value, json};
use short::Short;
use std::collections::BTreeSet;
use std::fmt::Write;

/// The overview: all names, and how to go on.
pub fn overview() -> String {
    let all = items();
    let mut text = String::from("What scripts can call (bgjobs api NAME explains one):\n\n");
    for (title, ..) in NAMESPACES {
        let of_group = || all.iter().filter(|item| item.group == *title);
        let mut names: Vec<String> =
            of_group().filter(|item| item.of.is_none()).map(|item| item.name.to_owned()).collect();
        let objects: BTreeSet<&str> = of_group().filter_map(|item| item.of).collect();
        names.extend(objects.into_iter().map(str::to_owned));
        if !names.is_empty() {
            listed(&mut text, title, &names);
        }
    }
    let modules: Vec<String> = modules::names().map(str::to_owned).collect();
    listed(&mut text, "Standard library", &modules);
    text.push_str(
        "
  bgjobs api spawn wait_http      functions: forms, options, errors, an example
  bgjobs api Job Job.wait_log     an object; a method, or .wait_log of any
  bgjobs api spawn.fail_on        one option
  bgjobs api std/postgres         a module; postgres::start one of its functions
  bgjobs api errors rhai          kinds of errors; what is built into Rhai
  bgjobs api --search WORD        where a word occurs
  bgjobs api --brief              all of it, briefly; --all: every word
",
    );
    text
}

/// A title, and names behind it in lines of at most 80 columns.
fn listed(text: &mut String, title: &str, names: &[String]) {
    let width = 80 - 2;
    let words = names.join(", ");
    let lines = filled(std::iter::once(format!("{title}:").as_str()).chain(words.split(' ')), width);
    let _ = writeln!(text, "{}", lines.join("\n  "));
}

/// The pages of these names, one after the other; in full, with every option and example, or such as can be read at once.
pub fn pages(names: &[String], full: bool) -> Result<String, Failure> {
    let all = items();
    let pages: Result<Vec<String>, Failure> = names.iter().map(|name| page(&all, name, full)).collect();
    let text = pages?.join("\n");
    Ok(if full { text } else { once(&text) })
}

/// Without repeating a long paragraph, such as the options that several functions have.
fn once(text: &str) -> String {
    const LONG: usize = 120;
    let mut said = BTreeSet::new();
    let paragraphs =
        text.split("\n\n").map(|paragraph| match paragraph.len() >= LONG && !said.insert(paragraph) {
            true => "(As above.)",
            false => paragraph,
        });
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

fn page(all: &[Item], asked: &str, full: bool) -> Result<String, Failure> {
    // As it may stand in a script: `spawn()`, `job.wait_log`.
    let name = asked.trim().trim_end_matches("()");
    match name {
        "errors" | "error" => return Ok(errors(all)),
        "rhai" => return Ok(rhai::page()),
        _ => {}
    }
    if name.starts_with("std/") || name.ends_with(".rhai") || is_module(name) && !is_item(all, name) {
        return reference::module_reference(name);
    }
    if let Some((module, function)) = name.split_once("::") {
        return function_of_module(module, function);
    }
    if let Some((of, member)) = name.split_once('.') {
        return self::member(all, asked, of, member, full);
    }
    let object: Vec<&Item> = all.iter().filter(|item| item.of == Some(name)).collect();
    if !object.is_empty() {
        let (properties, methods): (Vec<&Item>, Vec<&Item>) =
            object.iter().partition(|item| item.is_property());
        if methods.is_empty() || full {
            return Ok(shown(&format!("# {name}\n"), &object, full));
        }
        let first = |item: &Item| {
            let text = text(item, false);
            format!("{}\n", text.split("\n\n").next().unwrap_or_default().trim_end())
        };
        let properties: String = properties.into_iter().map(first).collect();
        let methods = summary(&methods);
        return Ok(format!("# {name}\n\n{properties}\n## Methods (bgjobs api {name}.METHOD)\n\n{methods}"));
    }
    let exact: Vec<&Item> =
        all.iter().filter(|item| item.name == name && (!item.is_property() || item.of.is_none())).collect();
    // Methods of the same name say the same.
    let (methods, plain): (Vec<&Item>, Vec<&Item>) = exact.iter().partition(|item| item.of.is_some());
    if !plain.is_empty() && !full {
        let mut text = shown("", &plain, full);
        for method in methods {
            let _ = writeln!(
                text,
                "\nAlso a method: `{}`; see `bgjobs api {}`.",
                method.shown().pop().unwrap_or_default(),
                method.full_name()
            );
        }
        return Ok(text);
    }
    if !exact.is_empty() {
        return Ok(shown("", &exact, full));
    }
    let group: Vec<&Item> = all.iter().filter(|item| is_title(item.group, name)).collect();
    if !group.is_empty() {
        return Ok(summary(&group));
    }
    let property: Vec<&Item> = all.iter().filter(|item| item.name == name).collect();
    if !property.is_empty() {
        return Ok(shown("", &property, full));
    }
    if let Some(found) = options(all.iter(), name) {
        return Ok(found);
    }
    let built_in: Vec<String> = rhai::forms(name);
    if !built_in.is_empty() {
        return Ok(format!("Built into Rhai:\n\n{}\n", built_in.join("\n")));
    }
    Err(not_found(all, asked, name))
}

/// `postgres::start`.
fn function_of_module(module: &str, function: &str) -> Result<String, Failure> {
    let Some(found) = modules::module(module) else { return reference::module_reference(module) };
    let named = found.functions.iter().filter(|known| known.name == function);
    let parts: Vec<String> = named.map(|known| reference::module_function(found, known)).collect();
    if !parts.is_empty() {
        return Ok(parts.join("\n"));
    }
    let near = nearest(function, found.names());
    let hint = near.map(|near| format!("bgjobs api {module}::{near}"));
    let mut failure = unknown(format!("`{module}` has no function `{function}`"), hint);
    failure.notes.push(format!("it has: {}", found.names().join(", ")));
    Err(failure)
}

/// `Job.wait_log`, `.wait_log`, `job.wait_log`, `spawn.fail_on`.
fn member(all: &[Item], asked: &str, of: &str, member: &str, full: bool) -> Result<String, Failure> {
    let mine = |item: &&Item| {
        let belongs = of.is_empty() || item.of.is_some_and(|object| object.eq_ignore_ascii_case(of));
        item.of.is_some() && belongs && item.name == member
    };
    let found: Vec<&Item> = all.iter().filter(mine).collect();
    if !found.is_empty() {
        return Ok(shown("", &found, full));
    }
    // A string has them too: `text.lines()`.
    let plain: Vec<&Item> =
        all.iter().filter(|item| item.of.is_none() && item.name == member && of.is_empty()).collect();
    if !plain.is_empty() {
        return Ok(shown("", &plain, full));
    }
    let functions: Vec<&Item> = all.iter().filter(|item| item.name == of && !item.is_property()).collect();
    let found = options(functions.iter().copied(), member);
    // `ready.status`: an option in an option, whoever takes it.
    if let Some(found) = found.or_else(|| options(all.iter(), &format!("{of}.{member}"))) {
        return Ok(found);
    }
    if let Some(function) = functions.first() {
        let near = nearest(member, option_names(function));
        let hint = near.map_or_else(|| format!("bgjobs api {of}"), |near| format!("bgjobs api {of}.{near}"));
        return Err(unknown(format!("`{of}` has no option `{member}`"), Some(hint)));
    }
    let built_in = rhai::forms(member);
    if !built_in.is_empty() && of.is_empty() {
        return Ok(format!("Built into Rhai:\n\n{}\n", built_in.join("\n")));
    }
    let of_object = |item: &&Item| item.of.is_some_and(|one| one.eq_ignore_ascii_case(of));
    let object = all.iter().find(of_object).and_then(|item| item.of).filter(|_| !of.is_empty());
    if let Some(object) = object {
        let members: BTreeSet<&str> = all.iter().filter(of_object).map(|item| item.name).collect();
        let near = nearest(member, members.iter().copied());
        let hint =
            near.map_or_else(|| format!("bgjobs api {object}"), |near| format!("bgjobs api {object}.{near}"));
        return Err(unknown(
            format!("`{object}` has neither a method nor a property `{member}`"),
            Some(hint),
        ));
    }
    Err(not_found(all, asked, member))
}

fn is_item(all: &[Item], name: &str) -> bool {
    all.iter().any(|item| item.name == name && !item.is_property())
}

fn is_module(name: &str) -> bool {
    modules::names().any(|module| module.strip_prefix("std/") == Some(name))
}

/// Whether a word names a chapter: `waiting`, `files`, `environment`.
fn is_title(title: &str, word: &str) -> bool {
    title.eq_ignore_ascii_case(word)
        || title.split([' ', ',']).next().is_some_and(|first| first.eq_ignore_ascii_case(word))
}

fn unknown(message: String, hint: Option<String>) -> Failure {
    Failure { code: exit::USAGE, message, hint, ..Failure::default() }
}

fn not_found(all: &[Item], asked: &str, name: &str) -> Failure {
    let mut known: BTreeSet<String> = all.iter().map(|item| item.name.to_owned()).collect();
    known.extend(all.iter().filter_map(|item| item.of).map(str::to_owned));
    known.extend(modules::names().map(|module| module.trim_start_matches("std/").to_owned()));
    known.extend(all.iter().flat_map(option_names).map(str::to_owned));
    known.extend(["errors", "rhai"].map(str::to_owned));
    let meant = signature::meant(name);
    let near = meant.or_else(|| nearest(name, known.iter().map(String::as_str)));
    let hint =
        near.map_or_else(|| format!("bgjobs api --search {name}"), |near| format!("bgjobs api {near}"));
    unknown(format!("nothing in the language is called `{asked}`"), Some(hint))
}

fn text(item: &Item, full: bool) -> String {
    if full { item.text(&mut InFull) } else { item.text(&mut Short::default()) }
}

/// Items as the reference has them, or in few words.
fn shown(before: &str, items: &[&Item], full: bool) -> String {
    let mut text = before.to_owned();
    let mut last_property = false;
    for item in items {
        if !(text.is_empty() || item.is_property() && last_property) {
            text.push('\n');
        }
        text.push_str(&self::text(item, full));
        last_property = item.is_property();
    }
    text
}

/// Calls and first sentences.
fn summary(items: &[&Item]) -> String {
    let mut text = String::new();
    for item in items {
        for call in item.shown() {
            let _ = writeln!(text, "{call}");
        }
        for line in filled(item.sentence().split(' '), 76) {
            let _ = writeln!(text, "    {line}");
        }
    }
    text
}

/// The options that it takes and those in them, each before what is in it.
fn all_options(item: &Item) -> Vec<&'static Opt> {
    fn deep(opt: &'static Opt, found: &mut Vec<&'static Opt>) {
        found.push(opt);
        opt.kind.options().into_iter().flat_map(Options::all).for_each(|inner| deep(inner, found));
    }
    let mut found = Vec::new();
    item.options().into_iter().flatten().for_each(|opt| deep(opt, &mut found));
    found
}

fn option_names(item: &Item) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for opt in all_options(item) {
        if !names.contains(&opt.name) {
            names.push(opt.name);
        }
    }
    names
}

/// What items say about one of their options, each thing once.
fn options<'a>(items: impl Iterator<Item = &'a Item>, path: &str) -> Option<String> {
    let mut found: Vec<(Vec<String>, String)> = Vec::new();
    for item in items {
        let Some(opt) = option(item, path) else { continue };
        let said = reference::option(opt).trim_start_matches("* ").to_owned();
        match found.iter_mut().find(|(_, other)| *other == said) {
            Some((names, _)) => names.push(item.full_name()),
            None => found.push((vec![item.full_name()], said)),
        }
    }
    let text: String = found.iter().map(|(names, said)| format!("{}: {said}", names.join(", "))).collect();
    (!text.is_empty()).then_some(text)
}

/// One of an item's options; `ready.status` is one in an option.
fn option(item: &Item, path: &str) -> Option<&'static Opt> {
    let mut known = all_options(item);
    let mut found = None;
    for name in path.split('.') {
        let opt = known.into_iter().find(|opt| opt.name == name)?;
        known = opt.kind.options().into_iter().flat_map(Options::all).collect();
        found = Some(opt);
    }
    found
}

/// Entries for programs: those of these names, or all.
pub fn entries_as_json(names: &[String]) -> Result<Value, Failure> {
    let all = items();
    // For the error of what is called otherwise.
    for name in names {
        page(&all, name, true)?;
    }
    let asked = |item: &&Item| {
        let is = |name: &String| {
            let name = name.trim_end_matches("()");
            let last = name.strip_prefix('.').unwrap_or(name);
            item.full_name() == name
                || item.name == last
                || item.of == Some(name)
                || is_title(item.group, name)
        };
        names.is_empty() || names.iter().any(is)
    };
    let object = |item: &Item| {
        json!({
            "name": item.full_name(), "group": item.group, "property": item.is_property(),
            "calls": item.shown(), "sentence": item.sentence(), "options": option_names(item),
            "text": text(item, true),
        })
    };
    Ok(all.iter().filter(asked).map(object).collect())
}

/// Lines of the reference that have a word, each with what it belongs to.
pub fn search(word: &str) -> Result<String, Failure> {
    let all = items();
    let wanted = word.to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&wanted);
    let mut found: Vec<(bool, String, String)> = Vec::new();
    for item in &all {
        let name = item.full_name();
        let text = text(item, true);
        let shown = if item.is_property() { name.clone() } else { format!("{name}()") };
        if has(&name) {
            found.push((false, shown, item.sentence()));
        } else if let Some(line) = text.lines().filter(|line| !line.starts_with("###")).find(|line| has(line))
        {
            found.push((true, shown, line.trim().to_owned()));
        }
    }
    for module in modules::all() {
        let said = module.about.lines().next().unwrap_or_default();
        if has(module.name) || has(said) {
            found.push((false, module.name.to_owned(), said.to_owned()));
        }
        for function in &module.functions {
            let name = format!("{}::{}()", module.short_name(), function.name);
            if has(&name) {
                found.push((false, name, function.doc.lines().next().unwrap_or_default().to_owned()));
            } else if let Some(line) = function.doc.lines().find(|line| has(line)) {
                found.push((true, name, line.trim().to_owned()));
            }
        }
    }
    if found.is_empty() {
        return Err(not_found(&all, word, word));
    }
    // Names first.
    found.sort_by_key(|(in_text, ..)| *in_text);
    let mut text = String::new();
    for (_, name, said) in found {
        let said: String = said.chars().take(100).collect();
        let _ = writeln!(text, "{name}: {said}");
    }
    Ok(text)
}

/// The kinds of errors: what each means, the exit code of a run that it ends, and what throws it.
fn errors(all: &[Item]) -> String {
    let mut text = String::from(
        "# Errors\n\nWhat `catch (e)` gives, and what ends the run when nobody catches it. `e.kind` is one of these:\n\n",
    );
    for kind in Kind::ALL {
        let quoted = format!("`{}`", kind.name());
        let throws = |item: &&Item| {
            let text = self::text(item, true).replace('\n', " ");
            !item.is_property()
                && text
                    .split("Throws `")
                    .skip(1)
                    .any(|rest| rest.split('.').next().is_some_and(|it| it.contains(&quoted[1..])))
        };
        let thrown: BTreeSet<String> = all.iter().filter(throws).map(Item::full_name).collect();
        let _ = writeln!(text, "* {quoted}: {}. Exit code {}.", kind.meaning(), kind.code_in_words());
        if !thrown.is_empty() {
            let names: Vec<String> = thrown.into_iter().collect();
            for line in filled(format!("thrown by: {}", names.join(", ")).split(' '), 76) {
                let _ = writeln!(text, "  {line}");
            }
        }
    }
    let of_error: Vec<&Item> = all.iter().filter(|item| item.of == Some("Error")).collect();
    text.push_str(&shown("\n## Properties of an error\n", &of_error, true));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_has_calls_and_a_sentence() {
        for item in items() {
            assert!(!item.shown().is_empty(), "{}", item.name);
            assert!(item.sentence().len() > 5, "{}: {}", item.name, item.sentence());
        }
    }

    #[test]
    fn every_name_has_a_page() {
        let all = items();
        for item in all.iter().filter(|item| item.name != "[]") {
            let name = if item.of.is_some() { format!(".{}", item.name) } else { item.name.to_owned() };
            let text = page(&all, &name, false).map_err(|failure| failure.message).expect(&name);
            assert!(text.contains(item.name), "{name}: {text}");
        }
    }

    #[test]
    fn every_option_has_a_page() {
        let all = items();
        for item in all.iter().filter(|item| !item.is_property()) {
            for name in option_names(item) {
                let asked = format!("{}.{name}", item.name);
                assert!(page(&all, &asked, false).is_ok(), "{asked}");
            }
        }
    }
}
