//! Which requests an answer is for: conditions on what came, and why a request does not meet them.

use super::record::{Request, fields};
use crate::probe::target::subset;
use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// All of these must hold. In the texts of `query`, `headers` and `form`, `*` stands for anything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct When {
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub form: Vec<(String, String)>,
    /// A subset of the body.
    pub json: Option<Value>,
    pub contains: Option<String>,
    /// A regular expression that compiles.
    pub matches: Option<String>,
}

impl When {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Why a request is not meant, in words.
    pub fn misfit(&self, request: &Request) -> Option<String> {
        if let Some(why) = self.query.iter().find_map(|wanted| differs("query", wanted, &request.query)) {
            return Some(why);
        }
        if let Some(why) = self.headers.iter().find_map(|(name, wanted)| {
            differs("header", &(name.to_ascii_lowercase(), wanted.clone()), &request.headers)
        }) {
            return Some(why);
        }
        if !self.form.is_empty() {
            let form = fields(&request.body);
            if let Some(why) = self.form.iter().find_map(|wanted| differs("form field", wanted, &form)) {
                return Some(why);
            }
        }
        if let Some(wanted) = &self.json {
            let Some(json) = request.json() else { return Some("the body is not JSON".to_owned()) };
            if let Err(why) = subset(wanted, &json, "") {
                return Some(why);
            }
        }
        if let Some(part) = self.contains.as_ref().filter(|part| !request.body.contains(*part)) {
            return Some(format!("the body does not contain {part:?}"));
        }
        let matches = |pattern: &str| Regex::new(pattern).is_ok_and(|regex| regex.is_match(&request.body));
        if let Some(pattern) = self.matches.as_ref().filter(|pattern| !matches(pattern)) {
            return Some(format!("the body does not match `{pattern}`"));
        }
        None
    }
}

/// Why a field is not as wanted. Of one that came several times any may be.
fn differs(kind: &str, (name, wanted): &(String, String), got: &Map<String, Value>) -> Option<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match got.get(name) {
        None => Some(format!("there is no {kind} `{name}`")),
        Some(Value::Array(values)) if values.iter().any(|value| fits(wanted, &text(value))) => None,
        Some(value) if fits(wanted, &text(value)) => None,
        Some(value) => Some(format!("the {kind} `{name}` is {value}, not {wanted:?}")),
    }
}

/// Whether a text is this one, in which `*` stands for anything.
pub fn fits(wanted: &str, text: &str) -> bool {
    let Some((start, rest)) = wanted.split_once('*') else { return wanted == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, after)) = text.split_once(part) else { return false };
        text = after;
    }
    text.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_star_stands_for_anything() {
        for (wanted, text, is) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("Bearer *", "Bearer x", true),
            ("Bearer *", "Basic x", false),
            ("*json*", "application/json; charset=utf-8", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(fits(wanted, text), is, "{wanted} {text}");
        }
    }

    #[test]
    fn a_misfit_says_what_is_different() {
        let request = Request {
            query: fields("q=rust&tag=a&tag=b"),
            headers: fields("authorization=Basic+x"),
            body: json!({ "amount": 5, "to": "Ada" }).to_string(),
            ..Request::default()
        };
        let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        let why = |when: When| when.misfit(&request);
        assert_eq!(why(When { query: pair("tag", "b"), ..When::default() }), None);
        assert_eq!(why(When { json: Some(json!({ "amount": 5 })), ..When::default() }), None);
        for (when, said) in [
            (When { query: pair("q", "go"), ..When::default() }, "the query `q` is \"rust\", not \"go\""),
            (When { query: pair("page", "*"), ..When::default() }, "there is no query `page`"),
            (
                When { headers: pair("Authorization", "Bearer *"), ..When::default() },
                "the header `authorization` is \"Basic x\", not \"Bearer *\"",
            ),
            (When { json: Some(json!({ "amount": 7 })), ..When::default() }, "`amount` is 5, not 7"),
            (When { contains: Some("Bob".into()), ..When::default() }, "the body does not contain \"Bob\""),
            (When { matches: Some("^x".into()), ..When::default() }, "the body does not match `^x`"),
        ] {
            assert_eq!(why(when).as_deref(), Some(said));
        }
    }
}
