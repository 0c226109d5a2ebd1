//! What is built into Rhai: its syntax on a page, and its functions that scripts can use.

use crate::host::explain::signature::{self, Signature};
use rhai::Engine;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Rhai's own functions, by the type of what they are called on, without operators and ours.
pub fn functions() -> BTreeMap<&'static str, BTreeMap<String, Vec<Signature>>> {
    let engine = Engine::new();
    let known = signature::Known::of(&engine, false);
    let mut groups: BTreeMap<&'static str, BTreeMap<String, Vec<Signature>>> = BTreeMap::new();
    for (name, forms) in known.all() {
        let bare = name.strip_prefix("get$").unwrap_or(name);
        if !rhai::is_valid_identifier(bare) || matches!(bare, "to_debug" | "print" | "debug") {
            continue;
        }
        for form in forms {
            let Some(group) = group(form) else { continue };
            let shown = if name == bare { bare.to_owned() } else { format!(".{bare}") };
            groups.entry(group).or_default().entry(shown).or_default().push(form.clone());
        }
    }
    groups
}

/// The chapter of one of Rhai's functions; none for types that scripts hardly meet.
fn group(form: &Signature) -> Option<&'static str> {
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

pub fn page() -> String {
    let mut text = SYNTAX.to_owned();
    for (group, functions) in functions() {
        let _ = writeln!(text, "\n## {} of Rhai\n", capital(group));
        for (name, forms) in functions {
            let mut calls: Vec<String> = forms.iter().map(call).collect();
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
fn call(form: &Signature) -> String {
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
pub fn forms(name: &str) -> Vec<String> {
    let mut lines = BTreeSet::new();
    for (group, functions) in functions() {
        for form in functions.get(name).into_iter().flatten() {
            lines.insert(format!("* {group}: `{}`: {}", call(form), first_sentence(&form.doc)));
        }
    }
    lines.into_iter().collect()
}

fn first_sentence(doc: &str) -> String {
    let paragraph = doc.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    let end = paragraph.find(". ").map_or(paragraph.len(), |at| at + 1);
    paragraph[..end].to_owned()
}
