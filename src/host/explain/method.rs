//! What is said when a map does not have the method that is called, or has it with other parameters: modules return maps of closures, which
//! are called like methods.
//!
//! Rhai reports such a call by the types of its values alone. What is in the map is seen only while the call is made;
//! so that is looked at there, and told when the error comes to the report.

use super::signature::{self, CallAdvice};
use crate::host::source::captured;
use crate::lock::lock;
use crate::words::nearest;
use rhai::{Engine, FnPtr, Map};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// The last failed call of each name, by the name that the error has.
static CALLS: Mutex<BTreeMap<String, Call>> = Mutex::new(BTreeMap::new());

/// A call of a method of a map.
struct Call {
    methods: Vec<Method>,
    /// Keys of what is not a closure.
    values: Vec<String>,
    /// How many values the function was given, with those that the closure has captured.
    given: usize,
}

/// A closure in a map.
struct Method {
    key: String,
    function: String,
    captured: usize,
}

/// Looks at the maps of all method calls that fail.
#[expect(deprecated, reason = "rhai marks what it considers volatile as deprecated; there is no other way")]
pub fn watch(engine: &mut Engine) {
    engine.on_missing_function(|name, args, is_method, _| {
        if is_method
            && let Some((receiver, given)) = args.split_first()
            && let Some(map) = receiver.read_lock::<Map>()
        {
            lock(&CALLS).insert(name.to_owned(), Call::of(&map, given.len()));
        }
        Ok(None)
    });
}

/// What is better said about a call than its types: rhai's report of it is `name (map, type, type)`.
pub fn advice_on(call: &str) -> Option<CallAdvice> {
    let (name, types) = call.split_once(" (")?;
    let on_map = types.split([',', ')']).next() == Some("map");
    lock(&CALLS).get(name).filter(|_| on_map)?.advice(name)
}

impl Call {
    fn of(map: &Map, given: usize) -> Self {
        let mut call = Self { methods: Vec::new(), values: Vec::new(), given };
        for (key, value) in map {
            let key = key.to_string();
            match value.read_lock::<FnPtr>() {
                Some(closure) => call.methods.push(Method {
                    key,
                    function: closure.fn_name().to_owned(),
                    captured: closure.curry().len(),
                }),
                None => call.values.push(key),
            }
        }
        call
    }

    fn advice(&self, name: &str) -> Option<CallAdvice> {
        let advice =
            |message: String, hint: String| CallAdvice { message, notes: Vec::new(), hint: Some(hint) };
        // In the place of the key, the error has the name of the closure.
        if let Some(method) = self.methods.iter().find(|method| method.function == name) {
            let params = method.params()?;
            let given = match self.given.saturating_sub(method.captured) {
                0 => "none".to_owned(),
                given => given.to_string(),
            };
            let takes = match params.len() {
                0 => "no argument".to_owned(),
                1 => "1 argument".to_owned(),
                n => format!("{n} arguments"),
            };
            return Some(advice(
                format!("`{}` takes {takes}, got {given}", method.key),
                format!("`.{}`", form(&method.key, &params)),
            ));
        }
        if self.values.iter().any(|key| key == name) {
            return Some(advice(
                format!("`{name}` is a value of this map, not a method"),
                format!("`.{name}`   (without parentheses)"),
            ));
        }
        if signature::known().has(name) {
            return None;
        }
        let shown = |method: &Method| form(&method.key, &method.params().unwrap_or_default());
        let methods = || self.methods.iter().map(|method| method.key.as_str());
        let near = nearest(name, methods().chain(self.values.iter().map(String::as_str)));
        let message = format!("there is no method `{name}`");
        if let Some(near) = near {
            let method = self.methods.iter().find(|method| method.key == near);
            let hint = match method {
                Some(method) => format!("`.{}`", shown(method)),
                None => format!("`.{near}`   (a value, without parentheses)"),
            };
            return Some(advice(message, hint));
        }
        if self.methods.is_empty() {
            return None;
        }
        let list: Vec<String> = self.methods.iter().map(shown).collect();
        Some(CallAdvice { message, notes: vec![format!("this map has: {}", list.join(", "))], hint: None })
    }
}

impl Method {
    /// The names of what it is called with.
    fn params(&self) -> Option<Vec<String>> {
        captured::named_parameters(&self.function, self.captured)
    }
}

/// `query(sql)`: how a method is called.
pub fn form(name: &str, params: &[String]) -> String {
    format!("{name}({})", params.join(", "))
}
