//! What a script says about itself: `bgjobs script FILE --help` and `bgjobs scripts`.

use super::text::{print, print_json};
use crate::manual::{Manual, Param, usage};
use serde_json::{Value, json};
use std::fmt::Write;

/// How wide the descriptions of parameters are, with what stands before them.
const WIDTH: usize = 100;

/// The help of one script.
pub fn manual(it: &Manual) -> i32 {
    let mut text = String::new();
    if !it.about.is_empty() {
        let _ = writeln!(text, "{}\n", it.about);
    }
    let _ = writeln!(text, "{}", format!("Usage: bgjobs script {} {}", it.name, arguments(it)).trim_end());
    if !it.params.is_empty() {
        text.push_str("\nParameters:\n");
        let typed = |param: &Param| format!("  {}", param.typed());
        let column = it.params.iter().map(|param| typed(param).chars().count()).max().unwrap_or(0) + 2;
        for param in &it.params {
            let words = description(param);
            let mut lines = wrapped(&words, WIDTH.saturating_sub(column).max(30)).into_iter();
            let first = lines.next().unwrap_or_default();
            let _ = writeln!(text, "{}", format!("{:column$}{first}", typed(param)).trim_end());
            for line in lines {
                let _ = writeln!(text, "{:column$}{line}", "");
            }
        }
    }
    print(&text)
}

fn arguments(it: &Manual) -> String {
    let mut words = usage(&it.params);
    if !it.complete {
        words.push_str(" [ARGS]...");
    }
    words.trim().to_owned()
}

fn description(param: &Param) -> String {
    let mut words = param.help.clone();
    let mut facts = Vec::new();
    if param.required {
        facts.push("required".to_owned());
    }
    if param.is_list() {
        facts.push("may be given several times".to_owned());
    }
    match &param.default {
        Some(Value::String(text)) if !text.is_empty() => facts.push(format!("default: {text}")),
        Some(value @ Value::Number(_)) => facts.push(format!("default: {value}")),
        Some(Value::Bool(true)) => facts.push("default: true".to_owned()),
        _ => {}
    }
    if !facts.is_empty() {
        let _ = write!(words, " ({})", facts.join("; "));
    }
    words.trim().to_owned()
}

/// Words in lines of at most this many characters, longer words alone.
fn wrapped(words: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The list of the scripts that are built in.
pub fn scripts(all: &[Manual], as_json: bool) -> i32 {
    if as_json {
        let list: Vec<Value> = all.iter().map(object).collect();
        return print_json(&Value::from(list));
    }
    let mut text = String::new();
    for it in all {
        let _ = writeln!(text, "{}: {}", it.name, it.sentence());
        for line in wrapped(&arguments(it), WIDTH - 4) {
            let _ = writeln!(text, "    {line}");
        }
    }
    text.push_str("\nbgjobs script NAME --help explains one, bgjobs scripts NAME prints its text.\n");
    print(&text)
}

fn object(it: &Manual) -> Value {
    let kind = |param: &Param| match &param.default {
        Some(Value::Bool(_)) => "bool",
        Some(Value::Number(_)) => "number",
        Some(Value::Array(_)) => "list",
        _ => "text",
    };
    let param = |param: &Param| {
        json!({
            "name": param.name, "help": param.help, "form": param.form, "type": kind(param), "required": param.required,
            "default": param.default,
        })
    };
    let params: Vec<Value> = it.params.iter().map(param).collect();
    json!({"name": it.name, "sentence": it.sentence(), "about": it.about, "params": params})
}
