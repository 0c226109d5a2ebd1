//! The texts of what is said of a job, in which an address may stand, and who reads each. The check walks expressions, a run
//! walks values, both by this one function: what the one judges is what the other replaces.

use super::address;
use super::error::{Fallible, about};
use rhai::{Array, Dynamic, ImmutableString, Map, Position};

/// A text of a job.
pub struct Text<'a> {
    /// Of what it is: `option `env`: `API``.
    pub what: &'a str,
    /// What is written into it stays only in a value.
    pub text: &'a mut ImmutableString,
    /// A shell reads it, and finds the addresses in its environment.
    pub is_shell: bool,
    pub at: Position,
}

/// What something is that is written out, with its parts.
pub enum Shape<'a, W> {
    Text(&'a mut ImmutableString, Position),
    Map(Vec<(&'a str, &'a mut W)>),
    List(Vec<&'a mut W>),
    /// A number, a closure, or what is computed.
    Other,
}

/// Values of a script, and expressions.
pub trait Written: Sized {
    /// Shows what it is, once.
    fn open(&mut self, see: &mut dyn FnMut(Shape<'_, Self>) -> Fallible<()>) -> Fallible<()>;
}

impl Written for Dynamic {
    fn open(&mut self, see: &mut dyn FnMut(Shape<'_, Self>) -> Fallible<()>) -> Fallible<()> {
        // A closure may hold it, too: what is written here is not for others.
        if self.is_shared() {
            *self = self.flatten_clone();
        }
        if let Some(mut text) = self.write_lock::<ImmutableString>() {
            return see(Shape::Text(&mut text, Position::NONE));
        }
        if let Some(mut map) = self.write_lock::<Map>() {
            return see(Shape::Map(map.iter_mut().map(|(key, value)| (key.as_str(), value)).collect()));
        }
        match self.write_lock::<Array>() {
            Some(mut list) => see(Shape::List(list.iter_mut().collect())),
            None => see(Shape::Other),
        }
    }
}

type Each<'a> = &'a mut dyn FnMut(Text<'_>) -> Fallible<()>;

/// Every text of an option map of a job; a service has its command there, too.
pub fn each_text<W: Written>(options: &mut W, each: Each<'_>) -> Fallible<()> {
    options.open(&mut |shape| {
        let Shape::Map(entries) = shape else { return Ok(()) };
        entries.into_iter().try_for_each(|(key, value)| {
            let told = match key {
                "name" | "needs" | "port" | "ports" | "count" => Ok(()),
                "cmd" => texts_of(value, "`cmd`", true, each),
                key => texts_of(value, &format!("option `{key}`"), key == "stop_cmd", each),
            };
            told.map_err(|error| about(error, key))
        })
    })
}

/// Every text of a command.
pub fn each_word<W: Written>(command: &mut W, each: Each<'_>) -> Fallible<()> {
    texts_of(command, "`cmd`", true, each)
}

fn texts_of<W: Written>(value: &mut W, what: &str, is_command: bool, each: Each<'_>) -> Fallible<()> {
    value.open(&mut |shape| match shape {
        Shape::Text(text, at) => {
            let is_shell = is_command || what.ends_with("`ready`") && text.starts_with("cmd:");
            each(Text { what, text, is_shell, at })
        }
        Shape::Map(entries) => entries.into_iter().try_for_each(|(key, value)| {
            let is_command = key == "cmd" && what.ends_with("`ready`");
            texts_of(value, &format!("{what}: `{key}`"), is_command, each)
        }),
        Shape::List(mut items) => {
            let words: Vec<Option<String>> = items.iter_mut().map(|item| text(*item)).collect();
            let words: Vec<Option<&str>> = words.iter().map(Option::as_deref).collect();
            let shell = is_command.then(|| address::shell_word(&words)).flatten();
            let mut items = items.into_iter().zip(0..);
            items.try_for_each(|(item, at)| texts_of(item, what, shell == Some(at), each))
        }
        Shape::Other => Ok(()),
    })
}

/// The text of what is one.
pub fn text<W: Written>(value: &mut W) -> Option<String> {
    let mut found = None;
    let seen = value.open(&mut |shape| {
        if let Shape::Text(text, _) = shape {
            found = Some(text.to_string());
        }
        Ok(())
    });
    seen.ok().and(found)
}
