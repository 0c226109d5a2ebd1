//! `{{params.id}}` in what is answered: a part of the request in its place.
//!
//! Braces that name nothing of a request stay as they are: pages and templates of others may be answered as well.

use super::record::Request;
use crate::words::nearest;
use serde_json::{Map, Value};

/// What braces may name. `count`: the how-many-th request of its route it is.
const NAMES: &[&str] =
    &["method", "path", "query", "params", "headers", "body", "json", "form", "count", "message"];

/// What the names stand for.
pub struct Context(Map<String, Value>);

impl Context {
    pub fn new(request: &Request, count: usize) -> Self {
        let mut names = Map::new();
        let mut put = |name: &str, value: Value| drop(names.insert(name.to_owned(), value));
        put("method", request.method.clone().into());
        put("path", request.path.clone().into());
        put("query", request.query.clone().into());
        put("params", request.params.clone().into());
        put("headers", request.headers.clone().into());
        put("body", request.body.clone().into());
        // What a body is called on a WebSocket.
        put("message", request.body.clone().into());
        put("json", request.json().unwrap_or_default());
        put("form", request.form().unwrap_or_default().into());
        put("count", count.into());
        Self(names)
    }

    /// What `json.users[0].name` stands for; null where there is nothing.
    fn get(&self, name: &str) -> Value {
        let steps = name.replace('[', ".").replace(']', "");
        let mut steps = steps.split('.').map(str::trim);
        let root = steps.next().and_then(|root| self.0.get(root));
        let step = |value: Option<&Value>, step: &str| -> Option<Value> {
            match value? {
                Value::Array(items) => items.get(step.parse::<usize>().ok()?).cloned(),
                Value::Object(fields) => fields.get(step).cloned(),
                _ => None,
            }
        };
        steps.fold(root.cloned(), |value, name| step(value.as_ref(), name)).unwrap_or_default()
    }

    pub fn fill(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Name(name) => match self.get(name) {
                    Value::Null => {}
                    Value::String(text) => filled.push_str(&text),
                    other => filled.push_str(&other.to_string()),
                },
            }
        }
        filled
    }

    /// In every text of it; a text that is nothing but one name becomes the value itself, be it a number.
    pub fn fill_json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => match pieces(text)[..] {
                [Piece::Name(name)] => self.get(name),
                _ => self.fill(text).into(),
            },
            Value::Array(items) => items.iter().map(|item| self.fill_json(item)).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), self.fill_json(value))).collect()
            }
            other => other.clone(),
        }
    }
}

enum Piece<'a> {
    Text(&'a str),
    Name(&'a str),
}

fn root(name: &str) -> &str {
    name.split(['.', '[']).next().unwrap_or_default()
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut from, mut at) = (0, 0);
    while let Some(start) = text[at..].find("{{").map(|found| at + found) {
        let Some(end) = text[start..].find("}}").map(|found| start + found) else { break };
        let name = text[start + 2..end].trim();
        at = start + 2;
        if NAMES.contains(&root(name)) {
            if from < start {
                pieces.push(Piece::Text(&text[from..start]));
            }
            pieces.push(Piece::Name(name));
            (from, at) = (end + 2, end + 2);
        }
    }
    if from < text.len() {
        pieces.push(Piece::Text(&text[from..]));
    }
    pieces
}

/// # Errors
/// A name that is none, but nearly.
pub fn check(text: &str) -> Result<(), String> {
    let names = text.split("{{").skip(1).filter_map(|rest| Some(rest.split_once("}}")?.0.trim()));
    let is_path = |name: &&str| name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-[]".contains(c));
    for name in names.filter(is_path).filter(|name| name.contains('.')) {
        let root = root(name);
        if let Some(near) = nearest(root, NAMES.iter().copied()).filter(|near| *near != root) {
            return Err(format!("`{{{{{name}}}}}`: a request has no `{root}`; did you mean `{near}`?"));
        }
    }
    Ok(())
}

/// [`check`] of every text in it.
///
/// # Errors
/// As there.
pub fn check_json(value: &Value) -> Result<(), String> {
    match value {
        Value::String(text) => check(text),
        Value::Array(items) => items.iter().try_for_each(check_json),
        Value::Object(fields) => fields.values().try_for_each(check_json),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::fields;
    use super::*;
    use serde_json::json;

    fn context() -> Context {
        let request = Request {
            method: "PUT".into(),
            path: "/users/7".into(),
            query: fields("q=a&q=b"),
            params: fields("id=7"),
            body: r#"{"n": 5, "users": [{"name": "Ada"}]}"#.into(),
            ..Request::default()
        };
        Context::new(&request, 3)
    }

    #[test]
    fn names_are_replaced_and_other_braces_stay() {
        for (text, filled) in [
            ("{{method}} {{ path }}", "PUT /users/7"),
            ("id {{params.id}}, {{json.users[0].name}}, {{query.q[1]}}", "id 7, Ada, b"),
            ("<{{json.none.at.all}}>", "<>"),
            ("{{user}} {{#if x}} {{ {{count}} {{", "{{user}} {{#if x}} {{ 3 {{"),
            ("ä{{count}}ä", "ä3ä"),
        ] {
            assert_eq!(context().fill(text), filled);
        }
    }

    #[test]
    fn a_whole_text_becomes_the_value() {
        let value = json!({ "n": "{{json.n}}", "text": "n={{json.n}}", "all": ["{{json.users}}"], "no": "{{json.x}}" });
        let filled = json!({ "n": 5, "text": "n=5", "all": [[{ "name": "Ada" }]], "no": null });
        assert_eq!(context().fill_json(&value), filled);
    }

    #[test]
    fn a_near_miss_is_told() {
        let error = check("{{param.id}}").expect_err("near");
        assert_eq!(error, "`{{param.id}}`: a request has no `param`; did you mean `params`?");
        assert_eq!(check("{{user}} {{site.title}} {{ x }} {{json.a}}"), Ok(()));
    }
}
