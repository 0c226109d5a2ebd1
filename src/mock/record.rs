//! What came to a mock, as one line of JSON each: written here by the server, read here for the script. The clock of
//! the record is here as well.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::sync::OnceLock;
use std::time::Instant;

/// The method of what is a message of a client on a WebSocket.
pub const MESSAGE: &str = "WS";

/// A request on record. The fields are in the order in which people read them in the log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// None: it got no answer, on purpose.
    pub status: Option<u16>,
    /// The key of its route, when it has one.
    pub route: Option<String>,
    /// Since the mock listens.
    pub at_ms: u64,
    pub query: Map<String, Value>,
    /// What `:name` in the path of the route stands for.
    pub params: Map<String, Value>,
    /// At most 1 MiB of it.
    pub body: String,
    /// Names in small letters; what came several times is joined with commas.
    pub headers: Map<String, Value>,
}

impl Request {
    /// The body, when it is JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }

    /// The fields of the body, when it is a form.
    pub fn form(&self) -> Option<Map<String, Value>> {
        let kind = self.headers.get("content-type")?.as_str()?;
        kind.starts_with("application/x-www-form-urlencoded").then(|| fields(&self.body))
    }

    /// Whether it is a message on a WebSocket.
    pub fn is_message(&self) -> bool {
        self.method == MESSAGE
    }

    /// As it is told in errors: `POST /charge?dry=yes`, `WS /chat "hello"`.
    pub fn shown(&self) -> String {
        let one = |name: &str, value: &Value| match value {
            Value::String(text) if text.is_empty() => name.to_owned(),
            Value::String(text) => format!("{name}={text}"),
            other => format!("{name}={other}"),
        };
        let pairs: Vec<String> = self.query.iter().map(|(name, value)| one(name, value)).collect();
        let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
        let message = if self.is_message() { format!(" {:?}", shortened(&self.body)) } else { String::new() };
        format!("{} {}{query}{message}", self.method, self.path)
    }
}

fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() > MOST {
        text.chars().take(MOST).collect::<String>() + "…"
    } else {
        text.to_owned()
    }
}

/// The fields of a query or a form; a name that comes several times has an array.
pub fn fields(text: &str) -> Map<String, Value> {
    let mut fields = Map::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        let value: Value = value.into_owned().into();
        match fields.get_mut(name.as_ref()) {
            None => drop(fields.insert(name.into_owned(), value)),
            Some(Value::Array(values)) => values.push(value),
            Some(one) => *one = json!([one.take(), value]),
        }
    }
    fields
}

/// Milliseconds since it was first asked.
pub fn now_ms() -> u64 {
    static STARTED: OnceLock<Instant> = OnceLock::new();
    u64::try_from(STARTED.get_or_init(Instant::now).elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// A line of the log, written at once and whole, also when several come at the same time. When nobody can have it, the
/// server goes on.
pub fn say(line: &str) {
    let _ = std::io::stdout().lock().write_all(format!("{line}\n").as_bytes());
}

/// Puts something on record.
pub fn put(entry: &impl Serialize) {
    say(&serde_json::to_string(entry).unwrap_or_default());
}

/// What is on record in a log of this kind, in the order in which it came. Other lines are none.
pub fn entries<T: for<'a> Deserialize<'a>>(log: &str) -> Vec<T> {
    log.lines()
        .filter(|line| line.starts_with('{'))
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// The requests on record.
pub fn requests(log: &str) -> Vec<Request> {
    entries(log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_decoded_names_and_values() {
        let fields = Value::Object(fields("a=1&b=x+y%21&a=2&c&a=3"));
        assert_eq!(fields, json!({ "a": ["1", "2", "3"], "b": "x y!", "c": "" }));
    }

    #[test]
    fn lines_that_are_no_requests_are_not_on_record() {
        let request = Request { method: "GET".into(), path: "/".into(), ..Request::default() };
        let line = serde_json::to_string(&request).expect("JSON");
        let log = format!("listening on x\n{line}\n{{}}\n[1]\ntext\n{{\"method\":\"PUT\",\"path\":\"/a\"");
        assert_eq!(requests(&log), [request]);
    }
}
