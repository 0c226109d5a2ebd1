//! The reference as a list of entries, each with the heading that it stands under; and what is cut out of it: the
//! sections of a module's page, and options in few words.

use crate::api;
use crate::words::filled;

/// Longer lists of options, in characters, are shown in few words.
const IN_FULL: usize = 700;
const WIDTH: usize = 110;

/// A function, method or property, as the reference has it.
pub struct Entry {
    pub group: String,
    /// `spawn`, `Job.wait_log`.
    pub name: String,
    /// Whether it is read without a call.
    pub property: bool,
    pub text: String,
    /// What is shown instead, where not every word is asked for.
    pub short: Option<String>,
}

impl Entry {
    /// What stands behind the point.
    pub fn last(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }

    /// The type that it belongs to.
    pub fn of(&self) -> Option<&str> {
        self.name.split_once('.').map(|(object, _)| object)
    }

    /// Its calls, without what they do.
    pub fn calls(&self) -> Vec<&str> {
        if self.property {
            let shown = self.text.split('`').nth(1).unwrap_or_default();
            return vec![shown];
        }
        let block = self.text.split("```").nth(1).unwrap_or_default();
        block.lines().filter(|line| line.contains('(')).collect()
    }

    /// The first sentence of what it says.
    pub fn sentence(&self) -> String {
        let text = match self.property {
            true => self.text.split_once("`: ").map_or("", |(_, text)| text),
            false => self.text.split("```").nth(2).unwrap_or_default().trim_start(),
        };
        let paragraph = text.split("\n\n").next().unwrap_or_default().replace('\n', " ");
        let end = paragraph.find(". ").map_or(paragraph.len(), |at| at + 1);
        paragraph[..end].split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// What it says, with one example, and with many options in few words.
    pub fn page(&self) -> String {
        let mut text = String::new();
        let mut options: Vec<&str> = Vec::new();
        let mut before: Vec<String> = Vec::new();
        let mut examples = 0;
        let mut code = false;
        // An end of its own, so that a list that stands last is ended, too.
        for line in self.text.lines().chain([""]) {
            if line == "```rhai" {
                examples += 1;
            }
            let example = code || line == "```rhai";
            code = example && line != "```";
            if !self.property && line.trim_start().starts_with("* `") && line.contains("`: ") {
                options.push(line);
                continue;
            }
            if !options.is_empty() {
                text.push_str(&self.listed(&std::mem::take(&mut options), &mut before));
            }
            if !(example && examples > 1) {
                text.push_str(line);
                text.push('\n');
            }
        }
        while text.contains("\n\n\n") {
            text = text.replace("\n\n\n", "\n\n");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        text
    }

    /// Options: in full as long as they are few, else in few words, and without those of the list before.
    fn listed(&self, lines: &[&str], before: &mut Vec<String>) -> String {
        let full = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        if full.len() < IN_FULL {
            return full;
        }
        let (all, _) = in_few_words(lines.iter().copied());
        let more: Vec<String> = match before.iter().all(|one| all.contains(one)) && !before.is_empty() {
            true => std::iter::once("those above".to_owned())
                .chain(all.iter().filter(|one| !before.contains(one)).cloned())
                .collect(),
            false => all.clone(),
        };
        *before = all;
        let text = filled(more.join(", ").split(' '), WIDTH).join("\n");
        format!(
            "{text}\n\n(`bgjobs api {0}.OPTION` explains one, `bgjobs api --all {0}` all of them.)\n",
            self.name
        )
    }

    /// The options that it has: those that it lists, and those that its prose names and the check knows.
    pub fn option_names(&self) -> Vec<String> {
        if self.property {
            return Vec::new();
        }
        let listed = self.text.lines().filter_map(|line| line.trim_start().strip_prefix("* `"));
        let listed = listed.filter_map(|rest| rest.split_once("`: ").map(|(name, _)| name));
        let known = api::option_names(self.last()).map(str::to_owned);
        let mut names: Vec<String> = Vec::new();
        for name in listed.map(str::to_owned).chain(known) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// Every entry of the reference, in its order.
pub fn entries(text: &str) -> Vec<Entry> {
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
                entries.push(Entry {
                    group: group.clone(),
                    name: title.to_owned(),
                    property: false,
                    text,
                    short: None,
                });
            }
        } else if let (Some(object), Some(rest)) = (&object, line.strip_prefix("* `")) {
            let end = rest.find([' ', '`', '[', ':']).unwrap_or(rest.len());
            let name = rest[..end].split_once('.').map_or("[]", |(_, name)| name);
            let name = format!("{object}.{name}");
            entries.push(Entry {
                group: group.clone(),
                name,
                property: true,
                text: format!("{line}\n"),
                short: None,
            });
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

/// The options that are listed in these lines of the reference, and their names.
pub fn in_few_words<'a>(lines: impl Iterator<Item = &'a str>) -> (Vec<String>, Vec<&'a str>) {
    let mut shown: Vec<String> = Vec::new();
    let mut named: Vec<&str> = Vec::new();
    // How deep the line before stood.
    let mut depth = 0;
    for line in lines {
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
    (shown, named)
}

pub fn brief_type(kind: &str) -> String {
    // What is in it is listed with the options.
    let kind = if kind.starts_with("map of ") { "map" } else { kind };
    kind.replace("string", "str").replace("integer", "int").replace("duration", "dur")
}

/// The names of a module's functions, from its page.
pub fn module_functions(page: &str) -> Vec<String> {
    let titles = sections(page).into_iter().filter_map(|part| part.split_once("::")?.1.split('(').next());
    let mut names: Vec<String> = titles.map(str::to_owned).collect();
    names.dedup();
    names
}

/// The `## ` sections of a module's page.
pub fn sections(page: &str) -> Vec<&str> {
    let mut starts: Vec<usize> = page.match_indices("\n## ").map(|(at, _)| at + 1).collect();
    starts.push(page.len());
    starts.windows(2).map(|pair| &page[pair[0]..pair[1]]).collect()
}

/// Closes the option maps that the last option has open.
fn close(shown: &mut [String], depth: usize) {
    if let Some(last) = shown.last_mut() {
        last.push_str(&"}".repeat(depth));
    }
}
