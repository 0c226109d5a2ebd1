//! What is shown where not every word is asked for: one example, and options in few words.

use crate::api::{Opt, Options};
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

/// `timeout: dur = 30s`, each with what an option map in it has.
pub fn in_few_words(options: &[&'static Opt]) -> Vec<String> {
    options.iter().map(|opt| few_words(opt)).collect()
}

fn few_words(opt: &Opt) -> String {
    let kind = brief_type(&opt.kind.name());
    // Of an option map, what is in it is what there is to say.
    let kind = kind.replace(" | map | array of port | str | closure | map", " | array of these");
    let kind = kind.replace("word", "str");
    // One in words is told by `bgjobs api`.
    let default = match opt.default {
        default if default.is_empty() || default.len() > 12 => String::new(),
        default => format!(" = {default}"),
    };
    let inner: Vec<String> = opt.kind.options().into_iter().flat_map(Options::all).map(few_words).collect();
    let inner = if inner.is_empty() { String::new() } else { format!(" #{{{}}}", inner.join(", ")) };
    format!("{}: {kind}{default}{inner}", opt.name)
}

pub fn brief_type(kind: &str) -> String {
    // What is in it is listed with the options.
    let kind = if kind.starts_with("map of ") { "map" } else { kind };
    kind.replace("string", "str").replace("integer", "int").replace("duration", "dur")
}
