//! The HTTP server: finds the answer for each request, puts the request on record, and gives the answer.

use super::answer::{Answer, Content, Fault};
use super::oidc::{self, Provider};
use super::record::{self, Request};
use super::route::Route;
use super::template::Context;
use super::wire::{self, Connection, Received, Unread};
use serde_json::{Map, Value, json};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

pub struct Mock {
    /// The most particular first.
    routes: Vec<Served>,
    /// What answers where no route does.
    provider: Option<Provider>,
}

/// A route, and how often each of its answers was given.
struct Served {
    route: Route,
    given: Vec<AtomicUsize>,
}

impl Served {
    /// The first answer that is for this request and not used up, and how many were given before.
    fn choose(&self, request: &Request) -> Result<(&Answer, usize), Vec<String>> {
        let mut misfits = Vec::new();
        for (answer, given) in self.route.answers.iter().zip(&self.given) {
            if let Some(why) = answer.when.misfit(request) {
                misfits.push(why);
                continue;
            }
            let is_left = |given: usize| answer.times.is_none_or(|times| given < times);
            let before: usize = self.given.iter().map(|given| given.load(Relaxed)).sum();
            if given.fetch_update(Relaxed, Relaxed, |given| is_left(given).then_some(given + 1)).is_ok() {
                return Ok((answer, before));
            }
        }
        Err(misfits)
    }
}

impl Mock {
    pub fn new(mut routes: Vec<Route>, provider: Option<Provider>) -> Self {
        routes.sort_by_key(Route::rank);
        let served = |route: Route| Served {
            given: route.answers.iter().map(|_| AtomicUsize::new(0)).collect(),
            route,
        };
        Self { routes: routes.into_iter().map(served).collect(), provider }
    }

    /// Serves one client until it goes.
    pub fn converse(&self, stream: TcpStream) {
        let mut connection = Connection::new(stream);
        loop {
            match connection.receive() {
                Ok(received) => match self.answer(connection, &received) {
                    Some(open) if received.keeps_open => connection = open,
                    _ => return,
                },
                Err(Unread::Closed) => return,
                Err(Unread::Bad(what)) => {
                    let body = format!("{what}\n");
                    let text = [("content-type".to_owned(), "text/plain; charset=utf-8".to_owned())];
                    let _ = connection.write(&wire::head(400, &text, Some(body.len())));
                    let _ = connection.write(body.as_bytes());
                    return;
                }
            }
        }
    }

    /// Answers one request. None when the connection is not to be used any more.
    fn answer(&self, mut connection: Connection, received: &Received) -> Option<Connection> {
        let mut request = request(received);
        let (answer, count) = self.find(&mut request);
        let context = Context::new(&request, count);
        let opening = match &answer.content {
            Content::WebSocket(talk) => Some((talk, talk.accept(&request))),
            _ => None,
        };
        let (status, body) = match &opening {
            Some((_, Ok(_))) => (101, Vec::new()),
            Some((_, Err(why))) => (426, format!("{why}\n").into_bytes()),
            None => content(&answer, &context),
        };
        request.status = answer.answers().then_some(status);
        record::put(&request);
        std::thread::sleep(answer.delay);
        match answer.fault {
            None | Some(Fault::Cut) => {}
            Some(Fault::Close) => return None,
            Some(Fault::Reset) => {
                connection.reset();
                return None;
            }
            Some(Fault::Garbage) => {
                let _ = connection.write(b"\x00\xffnot HTTP at all\r\n\r\n");
                return None;
            }
            Some(Fault::Hang) => {
                connection.outlast();
                return None;
            }
        }
        let fill = |(name, value): &(String, String)| {
            (name.clone(), if answer.template { context.fill(value) } else { value.clone() })
        };
        let mut headers: Vec<_> = answer.headers.iter().map(fill).collect();
        if let Some((talk, opened)) = opening {
            let is_open = opened.is_ok();
            headers.extend(opened.unwrap_or_else(|_| vec![("upgrade".to_owned(), "websocket".to_owned())]));
            if is_open {
                connection.write(&wire::head(status, &headers, None)).ok()?;
                talk.converse(connection, &request, answer.template);
                return None;
            }
        }
        let closes = headers.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case("connection") && value.to_ascii_lowercase().contains("close")
        });
        if let Content::Stream(stream) = &answer.content {
            let chunked = received.knows_chunks;
            if chunked {
                headers.push(("transfer-encoding".to_owned(), "chunked".to_owned()));
            }
            connection.write(&wire::head(status, &headers, None)).ok()?;
            if request.method == "HEAD" {
                return (!closes && chunked).then_some(connection);
            }
            return stream.send(connection, chunked, answer.template.then_some(&context)).filter(|_| !closes);
        }
        let is_cut = answer.fault == Some(Fault::Cut);
        // What has no body has no half of it: one byte more is told than there is.
        let length = body.len() + usize::from(is_cut && body.is_empty());
        let head = wire::head(status, &headers, (status != 204 && status != 304).then_some(length));
        if request.method == "HEAD" {
            connection.write(&head).ok()?;
        } else if is_cut {
            connection.write(&[&head[..], &body[..body.len() / 2]].concat()).ok()?;
        } else if answer.trickle.is_zero() {
            connection.write(&[head, body].concat()).ok()?;
        } else {
            connection.write(&head).ok()?;
            connection.trickle(&body, answer.trickle).ok()?;
        }
        (!closes && !is_cut).then_some(connection)
    }

    /// The answer for a request, and the how-many-th of its route it is; the request learns its route.
    fn find(&self, request: &mut Request) -> (Answer, usize) {
        let mut why: Vec<String> = Vec::new();
        let mut meant = None;
        for served in self.routes.iter().filter(|served| served.route.is_for(request)) {
            match served.choose(request) {
                Ok((answer, before)) => {
                    request.route = Some(served.route.key.clone());
                    request.params = served.route.params(&request.path).unwrap_or_default();
                    return (answer.clone(), before + 1);
                }
                Err(misfits) => {
                    meant = meant.or(Some(&served.route));
                    why.extend(misfits);
                }
            }
        }
        if let Some((route, answer)) = self.provider.as_ref().and_then(|provider| provider.answer(request)) {
            request.route = Some(route.to_owned());
            return (answer, 1);
        }
        (self.unknown(request, meant, &why), 1)
    }

    /// What a request is told for which there is no answer.
    fn unknown(&self, request: &Request, meant: Option<&Route>, why: &[String]) -> Answer {
        let mut keys: Vec<&str> = self.routes.iter().map(|served| served.route.key.as_str()).collect();
        keys.extend(self.provider.iter().flat_map(|_| oidc::ROUTES));
        let known = self.routes.iter().any(|served| served.route.params(&request.path).is_some());
        let mut body = json!({ "routes": keys });
        body["error"] = match meant {
            None => format!("no route for {} {}", request.method, request.path),
            Some(route) => format!("no answer of the route {} is for this request", route.key),
        }
        .into();
        if meant.is_some() {
            body["why"] = if why.is_empty() { json!(["its answers are used up"]) } else { json!(why) };
        }
        let status = if known && meant.is_none() { 405 } else { 404 };
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Answer { headers, content: Content::Text(body.to_string()), template: false, ..Answer::new(status) }
    }
}

/// What came, for the record.
fn request(received: &Received) -> Request {
    // A proxy is asked with the whole URL.
    let target = match received.target.split_once("://") {
        Some((_, rest)) if !received.target.starts_with('/') => &rest[rest.find('/').unwrap_or(rest.len())..],
        _ => &received.target,
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = Map::new();
    for (name, value) in &received.headers {
        match headers.get_mut(name) {
            Some(Value::String(others)) => others.push_str(&format!(", {value}")),
            _ => drop(headers.insert(name.clone(), value.clone().into())),
        }
    }
    Request {
        method: received.method.clone(),
        path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
        at_ms: record::now_ms(),
        query: record::fields(query),
        body: String::from_utf8_lossy(&received.body).into_owned(),
        headers,
        ..Request::default()
    }
}

/// The status and body of an answer; a file that has gone is the server's failure.
fn content(answer: &Answer, context: &Context) -> (u16, Vec<u8>) {
    let body = match &answer.content {
        Content::None | Content::Stream(_) | Content::WebSocket(_) => Vec::new(),
        Content::Text(text) if answer.template => context.fill(text).into_bytes(),
        Content::Text(text) => text.clone().into_bytes(),
        Content::Json(value) if answer.template => context.fill_json(value).to_string().into_bytes(),
        Content::Json(value) => value.to_string().into_bytes(),
        Content::File(path) => match std::fs::read(path) {
            Ok(bytes) if answer.template => context.fill(&String::from_utf8_lossy(&bytes)).into_bytes(),
            Ok(bytes) => bytes,
            Err(e) => return (500, format!("mock: cannot read {}: {e}\n", path.display()).into_bytes()),
        },
    };
    (answer.status, body)
}

#[cfg(test)]
mod tests {
    use super::super::when::When;
    use super::*;

    fn request(method: &str, path: &str, body: &str) -> Request {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let query = record::fields(query);
        Request { method: method.into(), path: path.into(), query, body: body.into(), ..Request::default() }
    }

    #[test]
    fn the_most_particular_route_is_meant() {
        let keys = [
            "/*",
            "/users/:id",
            "GET /users/:id",
            "/users/me",
            "POST /users",
            "/users/:id?as=*",
            "/users/:id?as=a",
        ];
        let route = |key: &str| Route::new(key, vec![Answer::new(200)]).expect(key);
        let mock = Mock::new(keys.map(route).to_vec(), None);
        for (method, path, key) in [
            ("GET", "/users/me", "/users/me"),
            ("GET", "/users/7", "GET /users/:id"),
            ("HEAD", "/users/7", "GET /users/:id"),
            ("PUT", "/users/7", "/users/:id"),
            ("PUT", "/users/7?as=b", "/users/:id?as=*"),
            ("POST", "/users", "POST /users"),
            ("GET", "/users", "/*"),
            ("GET", "/", "/*"),
            ("GET", "/users/7/x", "/*"),
            ("GET", "/users/m%65", "/users/me"),
        ] {
            let mut request = request(method, path, "");
            mock.find(&mut request);
            assert_eq!(request.route.as_deref(), Some(key), "{method} {path}");
        }
    }

    #[test]
    fn the_first_answer_that_fits_and_is_left_is_given() {
        let when = |part: &str| When { contains: Some(part.to_owned()), ..When::default() };
        let answers = vec![
            Answer { when: when("bad"), ..Answer::new(400) },
            Answer { times: Some(2), ..Answer::new(503) },
            Answer { times: Some(1), ..Answer::new(200) },
        ];
        let mock = Mock::new(vec![Route::new("/a", answers).expect("route")], None);
        let mut status = |body: &str| mock.find(&mut request("GET", "/a", body)).0.status;
        assert_eq!(["bad", "", "", "bad", "", ""].map(&mut status), [400, 503, 503, 400, 200, 404]);
        let told = mock.find(&mut request("GET", "/a", "")).0;
        let Content::Text(text) = told.content else { panic!("a text") };
        assert_eq!(
            text,
            json!({
                "error": "no answer of the route /a is for this request",
                "routes": ["/a"],
                "why": ["the body does not contain \"bad\""],
            })
            .to_string()
        );
    }
}
