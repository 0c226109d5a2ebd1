//! Which requests are answered what: `GET /users/:id` and its answers.

use super::answer::{Answer, Content};
use super::record::{Request, fields};
use super::when::When;
use crate::probe::http::decode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::cmp::Reverse;

/// One route. Of its answers the first one is given whose conditions hold and that is not used up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// As the script wrote it: `GET /users/:id?page=*`.
    pub key: String,
    /// None: any.
    method: Option<String>,
    path: Vec<Part>,
    /// Only the query of the key.
    when: When,
    pub answers: Vec<Answer>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Part {
    Literal(String),
    /// `:name`: one segment.
    Param(String),
    /// `*` at the end: whatever is left.
    Rest,
}

impl Route {
    /// Reads `GET /users/:id`, `/any-method`, `/files/*` or `GET /search?q=rust`. Of the answers without a condition and
    /// without `times`, each is given once, and the last one for ever.
    ///
    /// # Errors
    /// What is wrong with the key.
    pub fn new(key: &str, mut answers: Vec<Answer>) -> Result<Self, String> {
        let mut words = key.split_ascii_whitespace();
        let (method, target) = match (words.next(), words.next(), words.next()) {
            (Some(path), None, _) => (None, path),
            (Some(method), Some(path), None) => (Some(method.to_ascii_uppercase()), path),
            _ => return Err("a route is \"METHOD /path\" or \"/path\"".to_owned()),
        };
        if let Some(method) = &method
            && (!method.chars().all(|c| c.is_ascii_alphabetic() || c == '-') || method.is_empty())
        {
            return Err(format!("{method:?} is no HTTP method"));
        }
        if target.contains('#') {
            return Err("a request has no fragment: `#` and what follows stay with the client".to_owned());
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let Some(segments) = path.strip_prefix('/') else {
            return Err(format!("the path {path:?} does not begin with `/`"));
        };
        let segments: Vec<&str> = segments.split('/').collect();
        let last = segments.len() - 1;
        let part = |(i, segment): (usize, &&str)| match *segment {
            "*" if i == last => Ok(Part::Rest),
            "*" => Err("`*` stands only at the end of a path".to_owned()),
            ":" => Err("a `:` without a name".to_owned()),
            segment => Ok(match segment.strip_prefix(':') {
                Some(name) => Part::Param(name.to_owned()),
                None => Part::Literal(decode(segment)),
            }),
        };
        let path = segments.iter().enumerate().map(part).collect::<Result<_, _>>()?;
        let wanted = fields(query).into_iter().flat_map(|(name, value)| {
            let values = match value {
                Value::Array(values) => values,
                one => vec![one],
            };
            let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
            values.into_iter().map(move |value| (name.clone(), text(value)))
        });
        let when = When { query: wanted.collect(), ..When::default() };
        let last = answers.iter().rposition(|answer| answer.when.is_empty());
        for (i, answer) in answers.iter_mut().enumerate().filter(|(_, answer)| answer.when.is_empty()) {
            if Some(i) != last {
                answer.times = answer.times.or(Some(1));
            }
        }
        let opens = |answer: &Answer| matches!(answer.content, Content::WebSocket(_));
        if method.as_deref().is_some_and(|method| method != "GET") && answers.iter().any(opens) {
            return Err("a WebSocket is opened with GET".to_owned());
        }
        Ok(Self { key: key.to_owned(), method, path, when, answers })
    }

    /// The parameters when this path matches.
    pub fn params(&self, path: &str) -> Option<Map<String, Value>> {
        let mut params = Map::new();
        let mut segments = path.strip_prefix('/')?.split('/');
        for part in &self.path {
            if *part == Part::Rest {
                return Some(params);
            }
            let segment = decode(segments.next()?);
            match part {
                Part::Literal(literal) if *literal == segment => {}
                Part::Param(name) if !segment.is_empty() => drop(params.insert(name.clone(), segment.into())),
                _ => return None,
            }
        }
        segments.next().is_none().then_some(params)
    }

    /// None: any.
    pub fn method(&self) -> Option<&str> {
        self.method.as_deref()
    }

    fn takes(&self, method: &str) -> bool {
        match self.method.as_deref() {
            None => true,
            Some("GET") => matches!(method, "GET" | "HEAD"),
            Some(own) => own == method,
        }
    }

    /// Whether a request is for it, whatever its answers are for.
    pub fn is_for(&self, request: &Request) -> bool {
        self.takes(&request.method)
            && self.params(&request.path).is_some()
            && self.when.misfit(request).is_none()
    }

    /// Of several routes that match, the one with the smallest rank is meant: the most particular.
    pub fn rank(&self) -> impl Ord + use<> {
        let count = |wanted: fn(&Part) -> bool| self.path.iter().filter(|part| wanted(part)).count();
        let rest = count(|part| *part == Part::Rest) > 0;
        let params = count(|part| matches!(part, Part::Param(_)));
        (rest, params, self.method.is_none(), Reverse(self.when.query.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(key: &str) -> Route {
        Route::new(key, Vec::new()).expect(key)
    }

    #[test]
    fn parameters_have_names_and_are_decoded() {
        let params = route("/a/:x/b/:y").params("/a/1%202/b/3").expect("match");
        assert_eq!(Value::Object(params), serde_json::json!({ "x": "1 2", "y": "3" }));
        assert_eq!(route("/a/:x").params("/a/"), None);
        assert!(route("/a/*").params("/a/b/c").is_some());
        assert_eq!(route("/a/*").params("/b"), None);
    }

    #[test]
    fn a_bad_key_is_told() {
        for key in ["", "health", "GET", "GET health", "GET /a /b", "/a#b", "/a/*/b", "/a/:", "G€T /", "?a=1"]
        {
            assert!(Route::new(key, Vec::new()).is_err(), "{key}");
        }
    }

    #[test]
    fn all_but_the_last_answer_are_given_once() {
        let times = |answer: Answer, times| Answer { times: Some(times), ..answer };
        let of_one =
            Answer { when: When { contains: Some("x".into()), ..When::default() }, ..Answer::new(400) };
        let answers = vec![Answer::new(503), times(Answer::new(500), 3), of_one, Answer::new(200)];
        let route = Route::new("/", answers).expect("route");
        let given: Vec<_> = route.answers.iter().map(|answer| answer.times).collect();
        assert_eq!(given, [Some(1), Some(3), None, None]);
    }
}
