//! What a script says about itself: `bgjobs script FILE --help` and `bgjobs scripts`.

use super::print::{print, print_json};
use crate::manual::{Manual, Param, Step};
use crate::words::{columns, filled, folded, padded, width_of};
use serde_json::{Value, json};
use std::fmt::Write;

/// How wide the descriptions of parameters are, with what stands before them.
const WIDTH: usize = 100;

/// The help of one script.
pub fn manual(it: &Manual) -> i32 {
    let mut text = String::new();
    if !it.about.is_empty() {
        let about = match columns() {
            Some(width) => folded(&it.about, width),
            None => format!("{}\n", it.about),
        };
        let _ = writeln!(text, "{about}");
    }
    let usage = format!("Usage: bgjobs script {}", it.name);
    let room = columns().map_or(usize::MAX, |width| width - 4);
    let words = std::iter::once(usage).chain(arguments(it, room)).collect::<Vec<_>>();
    let lines = filled(words.iter().map(String::as_str), room);
    let _ = writeln!(text, "{}", lines.join("\n    "));
    if !it.params.is_empty() {
        text.push_str("\nParameters:\n");
        let typed = |param: &Param| format!("  {}", param.typed());
        let column = it.params.iter().map(|param| width_of(&typed(param))).max().unwrap_or(0) + 2;
        // In a narrow terminal what it is for stands below it.
        let beside = column + 24 <= width();
        let column = if beside { column } else { 6 };
        for param in &it.params {
            let words = description(param);
            let mut lines =
                filled(words.split_whitespace(), width().saturating_sub(column).max(20)).into_iter();
            let first = if beside { lines.next().unwrap_or_default() } else { String::new() };
            let _ = writeln!(text, "{}", format!("{}{first}", padded(&typed(param), column)).trim_end());
            for line in lines {
                let _ = writeln!(text, "{:column$}{line}", "");
            }
        }
    }
    print(&text)
}

/// The parameters for a shell that completes them: the name, a tab, and what it is for.
pub fn params(it: &Manual) -> i32 {
    let mut text = String::new();
    for param in &it.params {
        let _ = writeln!(text, "--{}\t{}", param.name, param.help.replace(['\t', '\n'], " "));
    }
    text.push_str("--help\twhat it does and what each parameter is for\n");
    print(&text)
}

/// What may be typed behind its name, each with its value where there is room for both.
fn arguments(it: &Manual, room: usize) -> Vec<String> {
    let more = (!it.complete).then(|| "[ARGS]...".to_owned());
    let all = it.params.iter().map(Param::in_usage).chain(more);
    let parts = |one: String| match width_of(&one) <= room {
        true => vec![one],
        false => one.split_whitespace().map(str::to_owned).collect(),
    };
    all.flat_map(parts).collect()
}

fn width() -> usize {
    columns().unwrap_or(WIDTH).min(WIDTH)
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

/// The list of the scripts that are built in.
pub fn scripts(all: &[Manual], as_json: bool) -> i32 {
    if as_json {
        let list: Vec<Value> = all.iter().map(object).collect();
        return print_json(&Value::from(list));
    }
    let mut text = String::new();
    for it in all {
        let sentence = format!("{}: {}", it.name, it.sentence());
        let lines = filled(sentence.split_whitespace(), columns().map_or(usize::MAX, |width| width - 2));
        let _ = writeln!(text, "{}", lines.join("\n  "));
        let words = arguments(it, width() - 4);
        for line in filled(words.iter().map(String::as_str), width() - 4) {
            let _ = writeln!(text, "    {line}");
        }
    }
    let end = "bgjobs script NAME --help explains one, bgjobs scripts NAME prints its text.";
    let _ = write!(text, "\n{}", folded(end, width()));
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

/// `bgjobs script -n FILE`.
pub fn plan(name: &str, steps: &[Step]) -> i32 {
    let mut text = format!("{name} would do, from top to bottom:\n");
    for Step { line, call, what, facts } in steps {
        let facts = if facts.is_empty() { String::new() } else { format!("   ({})", facts.join("; ")) };
        let step = format!("{line:>4}  {call:<11} {what}{facts}");
        text += &format!("{}\n", step.trim_end());
    }
    print(&text)
}
