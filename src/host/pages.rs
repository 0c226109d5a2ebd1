//! `bgjobs api …`: what somebody wants to know of the language, found in the reference and cut out of it.
//!
//! The reference is one text. Here it is a list of entries, each with the heading that it stands under, and a question is
//! answered with the entries that it may mean. Nothing is described here.

use super::engine::NAMESPACES;
use super::reference;
use crate::api;
use crate::builtin::MODULES;
use crate::event::Failure;
use crate::exit;
use crate::host::explain::signature::{self, Signature};
use crate::host::value::error::Kind;
use crate::words::{filled, nearest};
use rhai::Engine;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// A function, method or property, as the reference has it.
struct Entry {
    group: String,
    /// `spawn`, `Job.wait_log`.
    name: String,
    /// Whether it is read without a call.
    property: bool,
    text: String,
}

impl Entry {
    /// What stands behind the point.
    fn last(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }

    /// The type that it belongs to.
    fn of(&self) -> Option<&str> {
        self.name.split_once('.').map(|(object, _)| object)
    }

    /// Its calls, without what they do.
    fn calls(&self) -> Vec<&str> {
        if self.property {
            let shown = self.text.split('`').nth(1).unwrap_or_default();
            return vec![shown];
        }
        let block = self.text.split("```").nth(1).unwrap_or_default();
        block.lines().filter(|line| line.contains('(')).collect()
    }

    /// The first sentence of what it says.
    fn sentence(&self) -> String {
        let text = match self.property {
            true => self.text.split_once("`: ").map_or("", |(_, text)| text),
            false => self.text.split("```").nth(2).unwrap_or_default().trim_start(),
        };
        let paragraph = text.split("\n\n").next().unwrap_or_default().replace('\n', " ");
        let end = paragraph.find(". ").map_or(paragraph.len(), |at| at + 1);
        paragraph[..end].split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// Every entry of the reference, in its order.
fn entries(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let (mut group, mut object) = (String::new(), None);
    let mut inside = false;
    let mut code = false;
    for line in text.lines() {
        code ^= line.trim_start().starts_with("```");
        if let Some(title) = line.strip_prefix("## ").filter(|_| !code) {
            (group, object, inside) = (title.to_owned(), None, false);
        } else if let Some(title) = line.strip_prefix("### ").filter(|_| !code) {
            object = title.strip_prefix("Properties of ").map(str::to_owned);
            inside = object.is_none();
            if inside {
                let text = format!("### {title}\n");
                entries.push(Entry { group: group.clone(), name: title.to_owned(), property: false, text });
            }
        } else if let (Some(object), Some(rest)) = (&object, line.strip_prefix("* `")) {
            let end = rest.find([' ', '`', '[', ':']).unwrap_or(rest.len());
            let name = rest[..end].split_once('.').map_or("[]", |(_, name)| name);
            let name = format!("{object}.{name}");
            entries.push(Entry { group: group.clone(), name, property: true, text: format!("{line}\n") });
            inside = true;
        } else if inside && let Some(entry) = entries.last_mut() {
            entry.text.push_str(line);
            entry.text.push('\n');
        }
    }
    for entry in &mut entries {
        entry.text.truncate(entry.text.trim_end().len());
        entry.text.push('\n');
    }
    // How a value is printed is nothing to call.
    let silent = |entry: &Entry| matches!(entry.last(), "to_debug" | "to_string");
    entries.retain(|entry| entry.group != "Standard library" && !(entry.of().is_some() && silent(entry)));
    entries.retain(|entry| !entry.text.contains("Always an error"));
    entries
}

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

/// The pages of these names, one after the other.
pub fn pages(names: &[String]) -> Result<String, Failure> {
    let all = entries(&reference::reference());
    let pages: Result<Vec<String>, Failure> = names.iter().map(|name| page(&all, name)).collect();
    Ok(pages?.join("\n"))
}

fn page(all: &[Entry], asked: &str) -> Result<String, Failure> {
    // As it may stand in a script: `spawn()`, `job.wait_log`.
    let name = asked.trim().trim_end_matches("()");
    match name {
        "errors" | "error" => return Ok(errors(all)),
        "rhai" => return Ok(rhai_page()),
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
        return Ok(shown(&format!("# {name}\n"), &object));
    }
    let exact: Vec<&Entry> = all
        .iter()
        .filter(|entry| entry.last() == name && (!entry.property || entry.of().is_none()))
        .collect();
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
    let options: Vec<String> = all.iter().filter_map(|entry| option(entry, name)).collect();
    if !options.is_empty() {
        return Ok(options.concat());
    }
    let built_in: Vec<String> = rhai_forms(name);
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
    let options: Vec<String> = functions.iter().filter_map(|entry| option(entry, member)).collect();
    if !options.is_empty() {
        return Ok(options.concat());
    }
    if let Some(function) = functions.first() {
        let known = option_names(function);
        let near = nearest(member, known.iter().map(String::as_str));
        let hint = near.map_or_else(|| format!("bgjobs api {of}"), |near| format!("bgjobs api {of}.{near}"));
        return Err(unknown(format!("`{of}` has no option `{member}`"), Some(hint)));
    }
    let built_in = rhai_forms(member);
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
    known.extend(all.iter().flat_map(option_names));
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
        text.push_str(&entry.text);
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

/// What an entry says about one of its options.
fn option(entry: &Entry, name: &str) -> Option<String> {
    if entry.property || !option_names(entry).iter().any(|known| known == name) {
        return None;
    }
    let bullet = format!("* `{name}`: ");
    if let Some(line) = entry.text.lines().find(|line| line.trim_start().starts_with(&bullet)) {
        return Some(format!("{}: {}\n", entry.name, line.trim_start().trim_start_matches("* ")));
    }
    // In a sentence: with what stands in parentheses behind it, and up to the next option.
    let quoted = format!("`{name}`");
    let prose = entry.text.replace('\n', " ");
    let Some(at) = prose.find(&quoted) else {
        return Some(format!(
            "{}: {quoted}: as of the others that take it; see bgjobs api {name}\n",
            entry.name
        ));
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
        return Some(format!("{}: {quoted}: see bgjobs api {}\n", entry.name, entry.name));
    }
    Some(format!("{}: {}\n", entry.name, &rest[..end]))
}

/// The options that an entry has: those that it lists, and those that its prose names and the check knows.
fn option_names(entry: &Entry) -> Vec<String> {
    if entry.property {
        return Vec::new();
    }
    let listed = entry.text.lines().filter_map(|line| line.trim_start().strip_prefix("* `"));
    let listed = listed.filter_map(|rest| rest.split_once("`: ").map(|(name, _)| name));
    let known = api::option_names(entry.last()).map(str::to_owned);
    let mut names: Vec<String> = Vec::new();
    for name in listed.map(str::to_owned).chain(known) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
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
            "sentence": entry.sentence(), "options": option_names(entry), "text": entry.text,
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

/// The `## ` sections of a module's page.
fn sections(page: &str) -> Vec<&str> {
    let mut starts: Vec<usize> = page.match_indices("\n## ").map(|(at, _)| at + 1).collect();
    starts.push(page.len());
    starts.windows(2).map(|pair| &page[pair[0]..pair[1]]).collect()
}

/// The names of a module's functions, from its page.
fn module_functions(page: &str) -> Vec<String> {
    let titles = sections(page).into_iter().filter_map(|part| part.split_once("::")?.1.split('(').next());
    let mut names: Vec<String> = titles.map(str::to_owned).collect();
    names.dedup();
    names
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

/// Rhai's own functions, by the type of what they are called on, without operators and ours.
fn rhai_functions() -> BTreeMap<&'static str, BTreeMap<String, Vec<Signature>>> {
    let engine = Engine::new();
    let known = signature::Known::of(&engine, true, std::iter::empty());
    let mut groups: BTreeMap<&'static str, BTreeMap<String, Vec<Signature>>> = BTreeMap::new();
    for (name, forms) in known.all() {
        let bare = name.strip_prefix("get$").unwrap_or(name);
        if !rhai::is_valid_identifier(bare) || matches!(bare, "to_debug" | "print" | "debug") {
            continue;
        }
        for form in forms {
            let Some(group) = rhai_group(form) else { continue };
            let shown = if name == bare { bare.to_owned() } else { format!(".{bare}") };
            groups.entry(group).or_default().entry(shown).or_default().push(form.clone());
        }
    }
    groups
}

/// The chapter of one of Rhai's functions; none for types that scripts hardly meet.
fn rhai_group(form: &Signature) -> Option<&'static str> {
    let first = form.params.first().map_or("", |param| param.kind.as_str());
    Some(match first {
        "string" | "char" => "strings",
        "array" => "arrays",
        "map" => "maps",
        "integer" | "float" => "numbers",
        "range" => "ranges",
        "closure" => "closures",
        _ => return None,
    })
}

const SYNTAX: &str = "\
# Rhai, as scripts of bgjobs have it

let x = 1; const N = 2;                 variables are declared; every statement ends with `;`
\"text\\n\" `name: ${x}` \"C:\\\\dir\"       \"…\" has escapes and no ${}; `…` has ${} and may span lines
[1, 2][0] #{a: 1, \"b-c\": 2}.a           arrays, maps; a key that is missing gives ()
fn add(a, b) { a + b }                  functions see no variables outside; the last value is the result
|a, b| a + b   || f()                   closures capture variables; call with f.call(1, 2)
if a { } else if b { } else { }         also an expression: let y = if a { 1 } else { 2 };
switch x { 1 | 2 => \"few\", 3..=9 => \"some\", _ => \"many\" }
for x in list { } for (x, i) in list { } for n in 0..5 { } for n in 1..=5 { }
while a { } loop { break; } do { } while a; continue; return 1;
try { f() } catch (e) { e.kind }        throw \"text\"; throw #{kind: \"usage\", message: \"…\"};
import \"std/redis\" as redis;            redis::start(); import \"lib/own\" as own; for a file
a ?? b   a?.b   a?[0]                   instead of (); `x is ()` is `x == ()`
a in list   !a && b || c   x ** 2   7 % 3   \"a\" + 1
";

fn rhai_page() -> String {
    let mut text = SYNTAX.to_owned();
    for (group, functions) in rhai_functions() {
        let _ = writeln!(text, "\n## {} of Rhai\n", capital(group));
        for (name, forms) in functions {
            let mut calls: Vec<String> = forms.iter().map(rhai_call).collect();
            calls.sort_by_key(String::len);
            calls.dedup();
            // One form tells of all, where they differ only in types.
            let shown = calls.iter().take(2).cloned().collect::<Vec<_>>().join(", ");
            let said = forms.iter().map(|form| first_sentence(&form.doc)).find(|said| !said.is_empty());
            let said = said.map_or_else(String::new, |said| format!(": {said}"));
            let _ = writeln!(text, "* `{}`{said}", if shown.is_empty() { name } else { shown });
        }
    }
    text
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + chars.as_str())
}

/// `sub_string(start, len)`: as it is called on a value.
fn rhai_call(form: &Signature) -> String {
    if let Some(property) = form.name.strip_prefix("get$") {
        return format!(".{property}");
    }
    let params: Vec<String> = form
        .params
        .iter()
        .skip(1)
        .map(|param| param.name.clone().unwrap_or_else(|| param.kind.clone()))
        .collect();
    format!("{}({})", form.name, params.join(", "))
}

/// The calls of one of Rhai's functions, each with what it says.
fn rhai_forms(name: &str) -> Vec<String> {
    let mut lines = BTreeSet::new();
    for (group, functions) in rhai_functions() {
        for form in functions.get(name).into_iter().flatten() {
            lines.insert(format!("* {group}: `{}`: {}", rhai_call(form), first_sentence(&form.doc)));
        }
    }
    lines.into_iter().collect()
}

fn first_sentence(doc: &str) -> String {
    let paragraph = doc.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    let end = paragraph.find(". ").map_or(paragraph.len(), |at| at + 1);
    paragraph[..end].to_owned()
}

/// The whole language, each thing once, without examples.
pub fn brief() -> String {
    let all = entries(&reference::reference());
    let mut text = String::from(BRIEF);
    for (title, ..) in NAMESPACES {
        let functions: Vec<&Entry> =
            all.iter().filter(|entry| entry.group == *title && !entry.property).collect();
        if functions.is_empty() {
            continue;
        }
        let calls: Vec<String> = functions.iter().map(|entry| brief_calls(entry)).collect();
        let _ = writeln!(text, "\n## {title}\n{}", calls.join("\n"));
    }
    text.push_str("\n## Options (all optional)\n");
    text.push_str(&brief_options(&all));
    text.push_str("\n## Properties\n");
    let mut objects: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in all.iter().filter(|entry| entry.property) {
        objects.entry(entry.of().unwrap_or_default()).or_default().push(entry);
    }
    for (object, properties) in objects {
        let shown: Vec<&str> =
            properties.iter().map(|entry| entry.last()).filter(|name| *name != "[]").collect();
        let _ = writeln!(text, "{object}: {}", shown.join(", "));
    }
    text.push_str("\n## Errors: e.kind, and the exit code when nobody catches it\n");
    for kind in Kind::ALL {
        let _ = writeln!(text, "{} ({}): {}", kind.name(), kind.code_in_words(), kind.meaning());
    }
    text.push_str("\n## Standard library: import \"std/NAME\" as NAME; bgjobs api std/NAME\n");
    for (module, _) in MODULES {
        let page = reference::module_reference(module).unwrap_or_default();
        let name = module.trim_start_matches("std/");
        let _ = writeln!(text, "{name}: {}", module_functions(&page).join(", "));
    }
    text.push_str("\n## Built into Rhai\n");
    for (group, functions) in rhai_functions() {
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
    ];
    RARE.contains(&name)
}

const BRIEF: &str = "\
# bgjobs: the whole language, briefly (bgjobs api NAME explains one, bgjobs api rhai the syntax)
Durations: \"500ms\", \"2s\", \"1m30s\", or seconds. A command: a string is run by /bin/sh -c, an array directly.
A bare duration may stand for #{timeout: …}. Exit codes: 0 passed, 1 assertion or throw, 2 usage, 124 deadline,
125 job died or leak, 126/127 not executable/found, 128+n signal n; an uncaught run() failure: its own code.
";

/// All calls of an entry in one line; one that only has more at its end than the one before is shown with it.
fn brief_calls(entry: &Entry) -> String {
    // Name, parameters that there must be, those that there may be, result.
    let mut calls: Vec<(String, Vec<String>, Vec<String>, String)> = Vec::new();
    for call in entry.calls() {
        let (head, result) = call.split_once(" -> ").unwrap_or((call, ""));
        let (name, params) = head.trim_end_matches(')').split_once('(').unwrap_or((head, ""));
        let params: Vec<String> =
            params.split(", ").filter(|param| !param.is_empty()).map(brief_param).collect();
        let result = brief_type(result).replace("any", "");
        if let Some((_, least, more, before)) = calls.last_mut()
            && *before == result
            && let Some(rest) = params.strip_prefix(&[&least[..], &more[..]].concat()[..])
        {
            more.extend(rest.iter().cloned());
            continue;
        }
        // The options are always optional.
        let (least, more) = match params.split_last() {
            Some((last, least)) if last == "opts" => (least.to_vec(), vec![last.clone()]),
            _ => (params, Vec::new()),
        };
        calls.push((name.to_owned(), least, more, result));
    }
    let shown = calls.iter().map(|(name, least, more, result)| {
        let mut params = least.join(", ");
        for param in more {
            let comma = if params.is_empty() { "" } else { ", " };
            let _ = write!(params, "[{comma}{param}]");
        }
        let arrow = if result.is_empty() { String::new() } else { format!(" -> {result}") };
        format!("{name}({params}){arrow}")
    });
    shown.collect::<Vec<_>>().join(" | ")
}

/// A parameter without the type that its name tells.
fn brief_param(param: &str) -> String {
    match param.split_once(": ") {
        Some((name, kind)) if kind == "any" || kind == name || name == "opts" => name.to_owned(),
        Some((name, kind)) => format!("{name}: {}", brief_type(kind)),
        None => param.to_owned(),
    }
}

fn brief_type(kind: &str) -> String {
    // What is in it is listed with the options.
    let kind = if kind.starts_with("map of ") { "map" } else { kind };
    kind.replace("string", "str").replace("integer", "int").replace("duration", "dur")
}

/// Every set of options once, with the functions that take it; one that has all of another's says only what it has besides.
fn brief_options(all: &[Entry]) -> String {
    let mut sets: Vec<(Vec<String>, Vec<&str>)> = Vec::new();
    for entry in all.iter().filter(|entry| !entry.property) {
        let shown = brief_option_list(entry);
        if shown.is_empty() {
            continue;
        }
        match sets.iter_mut().find(|(known, _)| *known == shown) {
            Some((_, functions)) if functions.contains(&entry.last()) => {}
            Some((_, functions)) => functions.push(entry.last()),
            None => sets.push((shown, vec![entry.last()])),
        }
    }
    let mut text = String::new();
    for (index, (options, functions)) in sets.iter().enumerate() {
        let within = |other: &&(Vec<String>, Vec<&str>)| {
            other.0.len() > 1
                && other.0.len() < options.len()
                && other.0.iter().all(|one| options.contains(one))
        };
        let base = sets[..index].iter().filter(within).max_by_key(|(known, _)| known.len());
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

/// `timeout: dur = 30s`, where that is described, with what an option map in it has; else the name.
fn brief_option_list(entry: &Entry) -> Vec<String> {
    let mut shown: Vec<String> = Vec::new();
    let mut named: Vec<&str> = Vec::new();
    // How deep the line before stood.
    let mut depth = 0;
    for line in entry.text.lines() {
        let rest = line.trim_start();
        let Some((name, said)) = rest.strip_prefix("* `").and_then(|rest| rest.split_once("`: ")) else {
            continue;
        };
        let indent = (line.len() - rest.len()) / 2;
        let kind = brief_type(said.split(['.', ',']).next().unwrap_or_default());
        // Of an option map, what is in it is what there is to say.
        let kind = kind.replace(" | map | array of port | str | closure | map", " | array of these");
        let kind = kind.replace("word", "str");
        let default =
            said.split_once(", default ").map(|(_, rest)| rest.split(". ").next().unwrap_or_default());
        // One in words is told by `bgjobs api`.
        let default = default.filter(|it| it.len() <= 12).map_or_else(String::new, |it| format!(" = {it}"));
        let one = format!("{name}: {kind}{default}");
        match shown.last_mut() {
            Some(last) if indent > 0 => {
                last.push_str(match indent.cmp(&depth) {
                    std::cmp::Ordering::Greater => " #{",
                    std::cmp::Ordering::Equal => ", ",
                    std::cmp::Ordering::Less => "}, ",
                });
                last.push_str(&one);
            }
            _ => {
                close(&mut shown, depth);
                shown.push(one);
                named.push(name);
            }
        }
        depth = indent;
    }
    close(&mut shown, depth);
    let more = api::option_names(entry.last()).filter(|name| !named.contains(name));
    if !entry.property {
        shown.extend(more.map(str::to_owned));
    }
    shown.dedup();
    shown
}

/// Closes the option maps that the last option has open.
fn close(shown: &mut [String], depth: usize) {
    if let Some(last) = shown.last_mut() {
        last.push_str(&"}".repeat(depth));
    }
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
            for name in option_names(entry) {
                let asked = format!("{}.{name}", entry.last());
                assert!(page(&all, &asked).is_ok(), "{asked}");
            }
        }
    }
}
