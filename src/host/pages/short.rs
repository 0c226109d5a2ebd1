//! What is shown where not every word is asked for: one example, and options in few words.

use crate::api::{Opt, Type};
use crate::host::reference::{Lists, option};
use crate::words::filled;

/// Longer lists of options, in characters, are shown in few words.
const IN_FULL: usize = 700;
const WIDTH: usize = 110;

/// A page that can be read at once.
#[derive(Default)]
pub struct Short {
    /// Whether an example was shown.
    example: bool,
    /// The options of the list before.
    before: Vec<String>,
}

impl Lists for Short {
    fn doc(&mut self, doc: &str) -> String {
        let mut parts = doc.split("```rhai\n");
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (example, rest) = part.split_once("```").unwrap_or((part, ""));
            if !self.example {
                text.push_str(&format!("```rhai\n{example}```"));
            }
            self.example = true;
            text.push_str(rest);
        }
        text.trim_end().to_owned()
    }

    /// In full as long as they are few, else in few words, and without those of the list before.
    fn list(&mut self, name: &str, options: &[&'static Opt]) -> String {
        let full: String = options.iter().map(|opt| option(opt)).collect();
        if full.len() < IN_FULL {
            return full;
        }
        let all = in_few_words(options);
        let more: Vec<String> =
            match self.before.iter().all(|one| all.contains(one)) && !self.before.is_empty() {
                true => std::iter::once("those above".to_owned())
                    .chain(all.iter().filter(|one| !self.before.contains(one)).cloned())
                    .collect(),
                false => all.clone(),
            };
        self.before = all;
        let text = filled(more.join(", ").split(' '), WIDTH).join("\n");
        format!(
            "{text}\n\n(`bgjobs api {name}.OPTION` explains one, `bgjobs api --all {name}` all of them.)\n"
        )
    }
}

/// `timeout: dur = 30s`, each with what an option map in it has; of those that are in this one in turn only what they are
/// called, as where all are strings. That a flag is off, a delay or a number none, unless it is told, goes without saying.
pub fn in_few_words(options: &[&'static Opt]) -> Vec<String> {
    options.iter().map(|opt| few_words(opt, true)).collect()
}

fn few_words(opt: &Opt, outer: bool) -> String {
    let inner = opt.kind.options().map(|options| {
        let is_string = |opt: &'static Opt| opt.kind.name() == "string" && opt.default.is_empty();
        let outer = outer && !options.all().all(is_string);
        let inner: Vec<String> = options
            .all()
            .map(|opt| if outer { few_words(opt, false) } else { opt.name.to_owned() })
            .collect();
        format!("#{{{}}}", inner.join(", "))
    });
    let mut kinds = Vec::new();
    parts(opt.kind, &mut kinds);
    let kinds = kinds.iter().map(|kind| match &inner {
        Some(inner) if kind == "map" => inner.as_str(),
        _ => kind,
    });
    // One in words is told by `bgjobs api`.
    let default = match opt.default {
        "" | "false" | "0" | "\"0s\"" => String::new(),
        default if default.len() > 12 => String::new(),
        default => format!(" = {default}"),
    };
    format!("{}: {}{default}", opt.name, kinds.collect::<Vec<_>>().join(" | "))
}

/// What a value can be, each once and without what is in a list or a map.
fn parts(kind: Type, into: &mut Vec<String>) {
    match kind {
        Type::Either(types) => types.iter().for_each(|one| parts(*one, into)),
        Type::Secret(of) => parts(*of, into),
        Type::OneOrMore(of) => [*of, Type::Array].iter().for_each(|one| parts(*one, into)),
        Type::List(_) => parts(Type::Array, into),
        other => {
            let name = brief_type(&other.name()).replace("word", "str");
            if !into.contains(&name) {
                into.push(name);
            }
        }
    }
}

pub fn brief_type(kind: &str) -> String {
    // What is in it is listed with the options.
    let kind = if kind.starts_with("map of ") { "map" } else { kind };
    kind.replace("string", "str").replace("integer", "int").replace("duration", "dur")
}
