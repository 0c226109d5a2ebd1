//! `bgjobs api …`: what somebody wants to know of the language, found in the reference and cut out of it.
//!
//! The reference is one text, here a list of entries, and a question is answered with those that it may mean. Nothing is
//! described here.
//!
//! ```text
//! brief        the whole language in few words
//! entry        the reference, in entries, and what is cut out of them
//! rhai         what is built into Rhai
//! ```

mod brief;
mod entry;
mod rhai;

pub use brief::brief;

use crate::builtin::MODULES;
use crate::event::Failure;
use crate::exit;
use crate::host::engine::NAMESPACES;
use crate::host::explain::signature;
use crate::host::reference;
use crate::host::value::error::Kind;
use crate::words::{filled, nearest};
use entry::{Entry, entries, module_functions, sections};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;

/// The overview: all names, and how to go on.
pub fn overview() -> String {
    let all = entries(&reference::reference());
    let mut text = String::from("What scripts can call (bgjobs api NAME explains one):\n\n");
    for (title, ..) in NAMESPACES {
        let of_group = || all.iter().filter(|entry| entry.group == *title);
        let mut names: Vec<String> =
            of_group().filter(|entry| entry.of().is_none()).map(|entry| entry.name.clone()).collect();
        let objects: BTreeSet<&str> = of_group().filter_map(Entry::of).filter(|one| is_object(one)).collect();
        names.extend(objects.into_iter().map(str::to_owned));
        if !names.is_empty() {
            listed(&mut text, title, &names);
        }
    }
    let modules: Vec<String> = MODULES.iter().map(|(name, _)| (*name).to_owned()).collect();
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

/// Types of our own begin with a capital letter; `string` and the like are Rhai's.
fn is_object(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
}

/// The pages of these names, one after the other; in full, with every option and example, or such as can be read at once.
pub fn pages(names: &[String], full: bool) -> Result<String, Failure> {
    let mut all = entries(&reference::reference());
    if !full {
        all.iter_mut().for_each(|entry| entry.short = Some(entry.page()));
    }
    let pages: Result<Vec<String>, Failure> = names.iter().map(|name| page(&all, name)).collect();
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

fn page(all: &[Entry], asked: &str) -> Result<String, Failure> {
    // As it may stand in a script: `spawn()`, `job.wait_log`.
    let name = asked.trim().trim_end_matches("()");
    match name {
        "errors" | "error" => return Ok(errors(all)),
        "rhai" => return Ok(rhai::page()),
        _ => {}
    }
    if name.starts_with("std/") || name.ends_with(".rhai") || is_module(name) && !is_entry(all, name) {
        return reference::module_reference(name);
    }
    if let Some((module, function)) = name.split_once("::") {
        let text = reference::module_reference(module)?;
        let heading = format!("## {}::{function}(", module.trim_start_matches("std/"));
        let found: Vec<&str> =
            sections(&text).into_iter().filter(|part| part.starts_with(&heading)).collect();
        if found.is_empty() {
            let known = module_functions(&text);
            let near = nearest(function, known.iter().map(String::as_str));
            let hint = near.map(|near| format!("bgjobs api {module}::{near}"));
            let mut failure = unknown(format!("`{module}` has no function `{function}`"), hint);
            failure.notes.push(format!("it has: {}", known.join(", ")));
            return Err(failure);
        }
        return Ok(found.join("\n"));
    }
    if let Some((of, member)) = name.split_once('.') {
        return self::member(all, asked, of, member);
    }
    let object: Vec<&Entry> = all.iter().filter(|entry| entry.of() == Some(name)).collect();
    if !object.is_empty() {
        let (properties, methods): (Vec<&Entry>, Vec<&Entry>) =
            object.iter().partition(|entry| entry.property);
        if methods.is_empty() || object.iter().all(|entry| entry.short.is_none()) {
            return Ok(shown(&format!("# {name}\n"), &object));
        }
        let first =
            |entry: &Entry| entry.text.split("\n\n").next().map(|text| format!("{}\n", text.trim_end()));
        let properties: String = properties.into_iter().filter_map(first).collect();
        let methods = summary(&methods);
        return Ok(format!("# {name}\n\n{properties}\n## Methods (bgjobs api {name}.METHOD)\n\n{methods}"));
    }
    let exact: Vec<&Entry> = all
        .iter()
        .filter(|entry| entry.last() == name && (!entry.property || entry.of().is_none()))
        .collect();
    // Methods of the same name say the same.
    let (methods, plain): (Vec<&Entry>, Vec<&Entry>) = exact.iter().partition(|entry| entry.of().is_some());
    if !plain.is_empty() && plain.iter().all(|entry| entry.short.is_some()) {
        let mut text = shown("", &plain);
        for method in methods {
            let _ = writeln!(
                text,
                "\nAlso a method: `{}`; see `bgjobs api {}`.",
                method.calls().last().unwrap_or(&""),
                method.name
            );
        }
        return Ok(text);
    }
    if !exact.is_empty() {
        return Ok(shown("", &exact));
    }
    let group: Vec<&Entry> = all.iter().filter(|entry| is_title(&entry.group, name)).collect();
    if !group.is_empty() {
        return Ok(summary(&group));
    }
    let property: Vec<&Entry> = all.iter().filter(|entry| entry.last() == name).collect();
    if !property.is_empty() {
        return Ok(shown("", &property));
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

/// `Job.wait_log`, `.wait_log`, `job.wait_log`, `spawn.fail_on`.
fn member(all: &[Entry], asked: &str, of: &str, member: &str) -> Result<String, Failure> {
    let mine = |entry: &&Entry| {
        let belongs = of.is_empty() || entry.of().is_some_and(|object| object.eq_ignore_ascii_case(of));
        entry.of().is_some() && belongs && entry.last() == member
    };
    let found: Vec<&Entry> = all.iter().filter(mine).collect();
    if !found.is_empty() {
        return Ok(shown("", &found));
    }
    // A string has them too: `text.lines()`.
    let plain: Vec<&Entry> =
        all.iter().filter(|entry| entry.of().is_none() && entry.name == member && of.is_empty()).collect();
    if !plain.is_empty() {
        return Ok(shown("", &plain));
    }
    let functions: Vec<&Entry> = all.iter().filter(|entry| entry.last() == of && !entry.property).collect();
    let found = options(functions.iter().copied(), member);
    // `ready.status`: an option in an option, whoever takes it.
    if let Some(found) = found.or_else(|| options(all.iter(), &format!("{of}.{member}"))) {
        return Ok(found);
    }
    if let Some(function) = functions.first() {
        let known = function.option_names();
        let near = nearest(member, known.iter().map(String::as_str));
        let hint = near.map_or_else(|| format!("bgjobs api {of}"), |near| format!("bgjobs api {of}.{near}"));
        return Err(unknown(format!("`{of}` has no option `{member}`"), Some(hint)));
    }
    let built_in = rhai::forms(member);
    if !built_in.is_empty() && of.is_empty() {
        return Ok(format!("Built into Rhai:\n\n{}\n", built_in.join("\n")));
    }
    let of_object = |entry: &&Entry| entry.of().is_some_and(|one| one.eq_ignore_ascii_case(of));
    let object = all.iter().find(of_object).and_then(Entry::of).filter(|_| !of.is_empty());
    if let Some(object) = object {
        let members: BTreeSet<&str> = all.iter().filter(of_object).map(Entry::last).collect();
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

fn is_entry(all: &[Entry], name: &str) -> bool {
    all.iter().any(|entry| entry.last() == name && !entry.property)
}

fn is_module(name: &str) -> bool {
    MODULES.iter().any(|(module, _)| module.strip_prefix("std/") == Some(name))
}

/// Whether a word names a chapter: `waiting`, `files`, `environment`.
fn is_title(title: &str, word: &str) -> bool {
    title.eq_ignore_ascii_case(word)
        || title.split([' ', ',']).next().is_some_and(|first| first.eq_ignore_ascii_case(word))
}

fn unknown(message: String, hint: Option<String>) -> Failure {
    Failure { code: exit::USAGE, message, hint, ..Failure::default() }
}

fn not_found(all: &[Entry], asked: &str, name: &str) -> Failure {
    let mut known: BTreeSet<String> = all.iter().map(|entry| entry.last().to_owned()).collect();
    known.extend(all.iter().filter_map(Entry::of).map(str::to_owned));
    known.extend(MODULES.iter().map(|(module, _)| module.trim_start_matches("std/").to_owned()));
    known.extend(all.iter().flat_map(Entry::option_names));
    known.extend(["errors", "rhai"].map(str::to_owned));
    let meant = signature::meant(name);
    let near = meant.or_else(|| nearest(name, known.iter().map(String::as_str)));
    let hint =
        near.map_or_else(|| format!("bgjobs api --search {name}"), |near| format!("bgjobs api {near}"));
    unknown(format!("nothing in the language is called `{asked}`"), Some(hint))
}

/// Entries as the reference has them.
fn shown(before: &str, entries: &[&Entry]) -> String {
    let mut text = before.to_owned();
    let mut last_property = false;
    for entry in entries {
        if !(text.is_empty() || entry.property && last_property) {
            text.push('\n');
        }
        text.push_str(entry.short.as_deref().unwrap_or(&entry.text));
        last_property = entry.property;
    }
    text
}

/// Calls and first sentences.
fn summary(entries: &[&Entry]) -> String {
    let mut text = String::new();
    for entry in entries {
        for call in entry.calls() {
            let _ = writeln!(text, "{call}");
        }
        for line in filled(entry.sentence().split(' '), 76) {
            let _ = writeln!(text, "    {line}");
        }
    }
    text
}

/// What entries say about one of their options, each thing once.
fn options<'a>(entries: impl Iterator<Item = &'a Entry>, path: &str) -> Option<String> {
    let mut found: Vec<(Vec<&str>, String)> = Vec::new();
    for entry in entries {
        let Some(said) = option(entry, path) else { continue };
        match found.iter_mut().find(|(_, other)| *other == said) {
            Some((names, _)) => names.push(&entry.name),
            None => found.push((vec![&entry.name], said)),
        }
    }
    let text: String = found.iter().map(|(names, said)| format!("{}: {said}\n", names.join(", "))).collect();
    (!text.is_empty()).then_some(text)
}

/// What an entry says about one of its options, and about what is in that; `ready.status` is one in an option.
fn option(entry: &Entry, path: &str) -> Option<String> {
    let known = entry.option_names();
    if entry.property || path.split('.').any(|name| !known.iter().any(|known| known == name)) {
        return None;
    }
    let depth = |line: &str| line.len() - line.trim_start().len();
    let mut lines: Vec<&str> = entry.text.lines().collect();
    for name in path.split('.') {
        let bullet = format!("* `{name}`: ");
        let at = lines.iter().position(|line| line.trim_start().starts_with(&bullet));
        let inner =
            |at: usize| lines[at + 1..].iter().take_while(|line| depth(line) > depth(lines[at])).count();
        lines = at.map_or_else(Vec::new, |at| lines[at..=at + inner(at)].to_vec());
    }
    if let Some((first, inner)) = lines.split_first() {
        let mut text = first.trim_start().trim_start_matches("* ").to_owned();
        let indent = depth(first);
        text.extend(inner.iter().map(|line| format!("\n{}", &line[indent..])));
        return Some(text);
    }
    if path.contains('.') {
        return None;
    }
    // In a sentence: with what stands in parentheses behind it, and up to the next option.
    let quoted = format!("`{path}`");
    let prose = entry.text.replace('\n', " ");
    let Some(at) = prose.find(&quoted) else {
        return Some(format!("{quoted}: as of the others that take it; see bgjobs api {path}"));
    };
    let rest = &prose[at..];
    let mut depth = 0;
    let end = rest.char_indices().find(|(at, c)| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        *at >= quoted.len() && depth <= 0 && (*c == ',' || *c == ')' || rest[*at..].starts_with(". "))
    });
    let end = end.map_or(rest.len(), |(at, c)| if c == ')' { at + 1 } else { at });
    if end <= quoted.len() {
        return Some(format!("{quoted}: see bgjobs api {}", entry.name));
    }
    Some(rest[..end].to_owned())
}

/// Entries for programs: those of these names, or all.
pub fn entries_as_json(names: &[String]) -> Result<Value, Failure> {
    let all = entries(&reference::reference());
    // For the error of what is called otherwise.
    for name in names {
        page(&all, name)?;
    }
    let asked = |entry: &&Entry| {
        let is = |name: &String| {
            let name = name.trim_end_matches("()");
            let last = name.strip_prefix('.').unwrap_or(name);
            entry.name == name
                || entry.last() == last
                || entry.of() == Some(name)
                || is_title(&entry.group, name)
        };
        names.is_empty() || names.iter().any(is)
    };
    let object = |entry: &Entry| {
        json!({
            "name": entry.name, "group": entry.group, "property": entry.property, "calls": entry.calls(),
            "sentence": entry.sentence(), "options": entry.option_names(), "text": entry.text,
        })
    };
    Ok(all.iter().filter(asked).map(object).collect())
}

/// Lines of the reference that have a word, each with what it belongs to.
pub fn search(word: &str) -> Result<String, Failure> {
    let all = entries(&reference::reference());
    let wanted = word.to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&wanted);
    let mut found: Vec<(bool, String, String)> = Vec::new();
    for entry in &all {
        let shown = if entry.property { entry.name.clone() } else { format!("{}()", entry.name) };
        if has(&entry.name) {
            found.push((false, shown, entry.sentence()));
        } else if has(&entry.text) {
            let line = entry.text.lines().filter(|line| !line.starts_with("###")).find(|line| has(line));
            found.push((true, shown, line.unwrap_or_default().trim().to_owned()));
        }
    }
    for (module, source) in MODULES {
        let page = reference::module_reference(module)?;
        if has(module) || has(source.lines().next().unwrap_or_default()) {
            let said = source.lines().next().unwrap_or_default().trim_start_matches("//! ");
            found.push((false, (*module).to_owned(), said.to_owned()));
        }
        for part in sections(&page) {
            let title = part.lines().next().unwrap_or_default().trim_start_matches("## ");
            let name = title.split('(').next().unwrap_or_default().to_owned() + "()";
            if has(&name) {
                found.push((false, name, part.lines().nth(2).unwrap_or_default().to_owned()));
            } else if let Some(line) = part.lines().skip(1).find(|line| has(line)) {
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
fn errors(all: &[Entry]) -> String {
    let mut text = String::from(
        "# Errors\n\nWhat `catch (e)` gives, and what ends the run when nobody catches it. `e.kind` is one of these:\n\n",
    );
    for kind in Kind::ALL {
        let quoted = format!("`{}`", kind.name());
        let throws = |entry: &&Entry| {
            let text = entry.text.replace('\n', " ");
            !entry.property
                && (text.contains(&format!("Throws {quoted}"))
                    || text
                        .split("Throws `")
                        .skip(1)
                        .any(|rest| rest.split('.').next().is_some_and(|it| it.contains(&quoted[1..]))))
        };
        let thrown: BTreeSet<&str> = all.iter().filter(throws).map(|entry| entry.name.as_str()).collect();
        let _ = writeln!(text, "* {quoted}: {}. Exit code {}.", kind.meaning(), kind.code_in_words());
        if !thrown.is_empty() {
            let names: Vec<&str> = thrown.into_iter().collect();
            for line in filled(format!("thrown by: {}", names.join(", ")).split(' '), 76) {
                let _ = writeln!(text, "  {line}");
            }
        }
    }
    let of_error: Vec<&Entry> = all.iter().filter(|entry| entry.of() == Some("Error")).collect();
    text.push_str(&shown("\n## Properties of an error\n", &of_error));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_has_calls_and_a_sentence() {
        for entry in entries(&reference::reference()) {
            assert!(!entry.calls().is_empty(), "{}", entry.name);
            assert!(entry.sentence().len() > 5, "{}: {}", entry.name, entry.sentence());
        }
    }

    #[test]
    fn every_name_has_a_page() {
        let all = entries(&reference::reference());
        for entry in &all {
            let name = if entry.of().is_some() { format!(".{}", entry.last()) } else { entry.name.clone() };
            if entry.last() != "[]" {
                let text = page(&all, &name).map_err(|failure| failure.message).expect(&name);
                assert!(text.contains(entry.last()), "{name}: {text}");
            }
        }
    }

    #[test]
    fn every_option_of_the_check_has_a_page() {
        let all = entries(&reference::reference());
        for entry in all.iter().filter(|entry| !entry.property) {
            for name in entry.option_names() {
                let asked = format!("{}.{name}", entry.last());
                assert!(page(&all, &asked).is_ok(), "{asked}");
            }
        }
    }
}
