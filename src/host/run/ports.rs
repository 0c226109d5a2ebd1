//! The ports of a job that is to be started: which it has, what each is called, and their numbers in place of their names.
//! They are taken before the rest of its options is read, as that may name them.

use super::options::{JobOptions, OwnPort};
use super::owner;
use crate::host::value::address::{self, Scope};
use crate::host::value::error::{Fallible, ScriptError};
use crate::host::value::written::{Text, each_text, each_word};
use rhai::Dynamic;
use std::collections::BTreeMap;

/// A map has no order in which one of its ports would be the first: of several it is the first of these that there is.
const MAIN: [&str; 4] = ["main", "http", "https", "client"];

/// The ports of a job.
#[derive(Clone, Debug, Default)]
pub struct OwnPorts {
    /// What `PORT` is.
    pub main: Option<u16>,
    /// Those that have a name; the main one may have one, too.
    pub named: Vec<(String, u16)>,
}

impl OwnPorts {
    /// Those that the options of a job ask for; free ones are held from now on.
    pub fn take(function: &str, options: &JobOptions) -> Fallible<Self> {
        let main = main(function, options)?;
        let number = |port: OwnPort| match port {
            OwnPort::Free => owner::take(function),
            OwnPort::Number(number) => Ok(number),
        };
        let mut named: Vec<(String, u16)> = Vec::new();
        for (name, port) in asked(options) {
            let number = number(*port)?;
            if let Some((other, _)) = named.iter().find(|(_, taken)| *taken == number) {
                let wrong = format!("`{other}` and `{name}` are both {number}");
                return Err(ScriptError::of_option(function, "ports", wrong).into());
            }
            named.push((name.clone(), number));
        }
        let main = match (main, options.port) {
            (Some(name), _) => named.iter().find(|(own, _)| *own == name).map(|(_, number)| *number),
            (None, Some(port)) => Some(number(port)?),
            (None, None) => None,
        };
        Ok(Self { main, named })
    }

    /// All numbers.
    pub fn numbers(&self) -> Vec<u16> {
        let mut numbers: Vec<u16> = self.main.into_iter().collect();
        numbers.extend(self.named.iter().map(|(_, number)| *number).filter(|one| Some(*one) != self.main));
        numbers
    }

    /// As the variables that tell the job of them: `PORT`, `PORT_PEER`.
    pub fn variables(&self) -> BTreeMap<String, String> {
        let named = self.named.iter().map(|(name, number)| (variable(name), number.to_string()));
        let main = self.main.map(|number| ("PORT".to_owned(), number.to_string()));
        named.chain(main).collect()
    }
}

/// What the ports of a job are called, as its options say.
pub fn names(options: &JobOptions) -> Vec<String> {
    asked(options).iter().map(|(name, _)| name.clone()).collect()
}

fn asked(options: &JobOptions) -> &[(String, OwnPort)] {
    options.ports.as_ref().map_or(&[], |ports| &ports.0)
}

fn variable(name: &str) -> String {
    format!("PORT_{}", address::stem(name))
}

/// Which of the named ports is `PORT`; none where there are none, or the option `port` is beside them.
fn main(function: &str, options: &JobOptions) -> Fallible<Option<String>> {
    let wrong = |why: String| ScriptError::of_option(function, "ports", why);
    let asked = asked(options);
    for (at, (name, _)) in asked.iter().enumerate() {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(fits) {
            return Err(wrong(format!("{name:?} is not the name of a port"))
                .note("a name begins with a letter, and has letters, digits, `_` and `-`")
                .into());
        }
        if let Some((other, _)) = asked[..at].iter().find(|(other, _)| variable(other) == variable(name)) {
            let same = variable(name);
            return Err(wrong(format!("`{other}` and `{name}` are both `{same}`")).into());
        }
    }
    if options.port.is_some() {
        return Ok(None);
    }
    let has = |name: &&str| asked.iter().any(|(own, _)| own == name);
    if let Some(main) = MAIN.iter().find(|name| has(name)) {
        return Ok(Some((*main).to_owned()));
    }
    let [(first, port), rest @ ..] = asked else { return Ok(None) };
    if rest.is_empty() {
        return Ok(Some(first.clone()));
    }
    let shown = |port: &OwnPort| match port {
        OwnPort::Free => "\"free\"".to_owned(),
        OwnPort::Number(number) => number.to_string(),
    };
    let list: Vec<String> = asked.iter().map(|(name, _)| format!("`{name}`")).collect();
    let rest: Vec<String> = rest.iter().map(|(name, port)| format!("{name}: {}", shown(port))).collect();
    Err(wrong(format!("which is its `PORT`: {}?", list.join(", ")))
        .note("it is the one called `main`, `http`, `https` or `client`, or the option `port` beside `ports`")
        .hint(format!("port: {}, ports: #{{{}}}   (`{first}` is `PORT`)", shown(port), rest.join(", ")))
        .into())
}

/// Puts the numbers of a job's own ports where its command and its options name them. In what a shell reads they stay: it
/// finds them in its environment.
pub fn put(function: &str, ports: &OwnPorts, command: &mut Dynamic, options: &mut Dynamic) -> Fallible<()> {
    let values = ports.variables();
    if values.is_empty() {
        return Ok(());
    }
    let own: Vec<String> = values.keys().cloned().collect();
    let scope = Scope { service: "", needs: &[], services: &[], own: &own };
    let mut each = |Text { what, text, is_shell, .. }: Text<'_>| {
        let is_set = |name: &str| is_shell && address::is_set_in(name, text);
        if let Some(error) = scope.judge_ports(&format!("{function}: {what}"), text, is_shell, &is_set) {
            return Err(error.into());
        }
        if !is_shell {
            *text = address::replaced(text, &values).into();
        }
        Ok(())
    };
    each_word(command, &mut each)?;
    each_text(options, &mut each)
}
