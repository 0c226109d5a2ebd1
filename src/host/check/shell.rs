//! Commands that only look as in a shell: words given one by one, what a shell changes about itself, `${name}`.

use super::tree::literal_text;
use super::walk::Walk;
use crate::host::explain::signature::CallAdvice;
use crate::host::source::text;
use crate::host::value;
use rhai::{Expr, Position};

impl Walk<'_> {
    /// `"…${port}…"` in double quotes, where `port` is a variable: the text would hold `${port}`.
    pub(super) fn text(&mut self, text: &str, position: Position) {
        if !text.contains("${") {
            return;
        }
        for part in text.split("${").skip(1) {
            let Some((inside, _)) = part.split_once('}') else { continue };
            let end = inside.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(inside.len());
            let name = &inside[..end];
            // Where it stands is asked last: that looks through all lines.
            if name.is_empty()
                || self.index_of(name).is_none()
                || self.is_of_the_shell(name, text)
                || !text::starts_with_quote(&self.file.name, position)
            {
                continue;
            }
            self.report(
                position,
                CallAdvice {
                    message: format!("`${{{name}}}` in double quotes is not replaced by the variable `{name}`"),
                    notes: Vec::new(),
                    hint: Some(format!(
                        "backticks instead of the quotes: `` `…${{{name}}}…` ``   (`${name}` if the shell's variable is meant)"
                    )),
                },
            );
            return;
        }
    }

    /// Whether the shell may well know the name: it is set in the text itself, or handed over in `env`.
    pub(super) fn is_of_the_shell(&self, name: &str, text: &str) -> bool {
        let set_in_text =
            [format!("{name}="), format!("for {name} "), format!("read {name}"), format!("read -r {name}")]
                .iter()
                .any(|setting| text.contains(setting.as_str()));
        set_in_text || self.project.shell.contains(name) || std::env::var_os(name).is_some()
    }
}

/// `run("curl", "-sf", url)`: a command whose words are given one by one.
pub(super) fn words_apart(name: &str, args: &[Expr]) -> Option<CallAdvice> {
    if !value::TAKES_COMMAND.contains(&name) || args.len() < 2 {
        return None;
    }
    let mut words = Vec::new();
    for arg in args {
        match arg {
            Expr::Array(items, _) => words.extend(items.iter().map(word)),
            other => words.push(word(other)),
        }
    }
    // One more may be a name before the command, or a time after it.
    let names_come_first = matches!(name, "spawn" | "start");
    let last = args.last()?;
    let is_word = match last {
        Expr::StringConstant(text, _) => value::duration(&text.clone().into(), name).is_err(),
        Expr::Array(..) => true,
        _ => args.len() > 3,
    };
    let first_is_text = literal_text(&args[0]).is_some();
    let map_inside = args.iter().any(|arg| matches!(arg, Expr::Map(..)));
    if !first_is_text || map_inside || !is_word || (names_come_first && args.len() == 2) {
        return None;
    }
    Some(CallAdvice {
        message: format!("{name}: a command is one string, or an array of words"),
        notes: Vec::new(),
        hint: Some(format!("`{name}([{}])`", words.join(", "))),
    })
}

/// A word of a command as it may stand in an array.
fn word(expr: &Expr) -> String {
    match expr {
        Expr::Variable(variable, _, _) => variable.1.to_string(),
        Expr::StringConstant(text, _) => format!("{:?}", text.as_str()),
        Expr::IntegerConstant(number, _) => number.to_string(),
        _ => "…".to_owned(),
    }
}

/// `run("cd sub")`: what a shell changes about itself ends with it.
pub(super) fn without_effect(name: &str, args: &[Expr]) -> Option<CallAdvice> {
    let text = literal_text(args.first()?).filter(|_| name == "run")?.trim();
    let (first, rest) = text.split_once(char::is_whitespace)?;
    let rest = rest.trim();
    if text.contains(['\n', ';', '&', '|', '$', '`', '(', '>']) {
        return None;
    }
    let (what, hint) = match first {
        "cd" => (
            "the directory",
            format!("`cd({rest:?})` for the script, `cwd: {rest:?}` as an option of one command"),
        ),
        "export" => {
            let (key, value) = rest.split_once('=')?;
            let value = value.trim_matches(['"', '\'']);
            let hint = format!(
                "`set_env({key:?}, {value:?})` for the script, `env: #{{{key}: {value:?}}}` for one command"
            );
            ("the environment", hint)
        }
        "source" | "." => (
            "the environment",
            format!("`load_env({rest:?})` if it holds lines NAME=value, else `run(\". {rest} && command\")`"),
        ),
        _ => return None,
    };
    Some(CallAdvice {
        message: format!("`{first}` here has no effect: it changes {what} of a shell that ends at once"),
        notes: Vec::new(),
        hint: Some(hint),
    })
}
