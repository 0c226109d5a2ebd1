//! WebSockets (RFC 6455) on a connection whose handshake came as a request: what is said when it opens, what is answered to
//! the messages of the client, and how it ends. `tungstenite` has the frames.
//!
//! Every message of a client is on record like a request, with the method `WS` and the message as its body, so that what is
//! asked and asserted of requests is asked and asserted of messages.

use super::record::{self, MESSAGE, Request};
use super::template::{self, Context};
use super::when::When;
use super::wire::{self, Connection};
use base64::{Engine, prelude::BASE64_STANDARD};
use ring::digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::TcpStream;
use std::time::Duration;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Message, Role, WebSocket};

/// What is said on a connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Talk {
    /// When it opens.
    pub opening: Vec<Said>,
    pub replies: Vec<Reply>,
    /// A message without a reply comes back.
    pub echo: bool,
    /// The subprotocols that it knows, of which a client is given the first that it asks for.
    pub protocols: Vec<String>,
}

/// What is answered to some messages. Of several replies the first is given whose condition holds and that is not used up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    pub when: When,
    /// How often on a connection.
    pub times: Option<usize>,
    pub said: Vec<Said>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// Behind the step before.
    pub after: Duration,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum What {
    Text(String),
    Json(Value),
    Binary(Vec<u8>),
    Close {
        code: u16,
        reason: String,
    },
    /// The connection closes without a word.
    Cut,
    /// It is reset.
    Reset,
}

impl Talk {
    fn steps(&self) -> impl Iterator<Item = &Said> {
        self.opening.iter().chain(self.replies.iter().flat_map(|reply| &reply.said))
    }

    /// # Errors
    /// What no WebSocket can say.
    pub fn check(&self, is_template: bool) -> Result<(), String> {
        for step in self.steps() {
            match &step.what {
                What::Text(text) if is_template => template::check(text)?,
                What::Json(value) if is_template => template::check_json(value)?,
                What::Close { code, .. } if !CloseCode::from(*code).is_allowed() => {
                    return Err(format!("{code} is not a code that a WebSocket can be closed with"));
                }
                // A control frame has at most 125 bytes, two of which are the code.
                What::Close { reason, .. } if reason.len() > 123 => {
                    return Err("the reason of a close has at most 123 bytes".to_owned());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The headers that open a WebSocket. An error says what is missing in the request.
    pub fn accept(&self, request: &Request) -> Result<Vec<(String, String)>, String> {
        let header = |name: &str| request.headers.get(name).and_then(Value::as_str).unwrap_or_default();
        let has =
            |name: &str, word: &str| header(name).split(',').any(|one| one.trim().eq_ignore_ascii_case(word));
        if request.method != "GET" || !has("upgrade", "websocket") || !has("connection", "upgrade") {
            return Err("this route is a WebSocket: connect to it with `ws://`".to_owned());
        }
        if header("sec-websocket-version") != "13" {
            return Err("the `sec-websocket-version` must be 13".to_owned());
        }
        let key = header("sec-websocket-key");
        if key.is_empty() {
            return Err("there is no `sec-websocket-key`".to_owned());
        }
        let mut headers = vec![
            ("upgrade".to_owned(), "websocket".to_owned()),
            ("connection".to_owned(), "Upgrade".to_owned()),
            ("sec-websocket-accept".to_owned(), accept_key(key)),
        ];
        let asked = header("sec-websocket-protocol").split(',').map(str::trim);
        if let Some(protocol) = asked.into_iter().find(|asked| self.protocols.iter().any(|own| own == asked))
        {
            headers.push(("sec-websocket-protocol".to_owned(), protocol.to_owned()));
        }
        Ok(headers)
    }

    /// Talks until one of the two goes. `opened`: the request that has opened it; `is_template`: whether `{{…}}` is replaced.
    pub fn converse(&self, connection: Connection, opened: &Request, is_template: bool) {
        let (stream, ahead) = connection.into_parts();
        let mut open = Open {
            socket: WebSocket::from_partially_read(stream, ahead, Role::Server, None),
            due: Vec::new(),
        };
        open.plan(&self.opening, &Context::new(opened, 1), is_template);
        let mut given = vec![0; self.replies.len()];
        let mut count = 0;
        while let Some(message) = open.next() {
            count += 1;
            let request = Request {
                method: MESSAGE.to_owned(),
                at_ms: record::now_ms(),
                body: kept(&message),
                status: None,
                headers: serde_json::Map::new(),
                ..opened.clone()
            };
            record::put(&request);
            let fits = |(reply, given): &(&Reply, &mut usize)| {
                reply.when.misfit(&request).is_none() && reply.times.is_none_or(|times| **given < times)
            };
            if let Some((reply, given)) = self.replies.iter().zip(&mut given).find(fits) {
                *given += 1;
                open.plan(&reply.said, &Context::new(&request, count), is_template);
            } else if self.echo && open.socket.send(message).is_err() {
                return;
            }
        }
    }
}

/// The text of a message for the record.
fn kept(message: &Message) -> String {
    let mut text = String::from_utf8_lossy(&message.clone().into_data()).into_owned();
    text.truncate(text.floor_char_boundary(wire::KEPT_BODY));
    text
}

fn accept_key(key: &str) -> String {
    // The key and a name that only who knows the protocol puts behind it (section 1.3).
    let both = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64_STANDARD.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, both.as_bytes()))
}

/// A connection, and what is still to be said on it.
struct Open {
    socket: WebSocket<TcpStream>,
    /// Each with its time on the clock of the record, in no order.
    due: Vec<(u64, What)>,
}

impl Open {
    fn plan(&mut self, steps: &[Said], context: &Context, is_template: bool) {
        let mut at = record::now_ms();
        for step in steps {
            at += u64::try_from(step.after.as_millis()).unwrap_or(u64::MAX >> 1);
            let what = match &step.what {
                What::Text(text) if is_template => What::Text(context.fill(text)),
                What::Json(value) if is_template => What::Json(context.fill_json(value)),
                other => other.clone(),
            };
            self.due.push((at, what));
        }
    }

    /// The next message; what is due meanwhile is said. None at the end.
    fn next(&mut self) -> Option<Message> {
        loop {
            // Of several that are due at the same time the first that was planned.
            let first =
                self.due.iter().enumerate().min_by_key(|(_, (at, _))| *at).map(|(i, (at, _))| (i, *at));
            let wait = match first.map(|(i, at)| (i, at.saturating_sub(record::now_ms()))) {
                Some((i, 0)) => {
                    self.say(i)?;
                    continue;
                }
                Some((_, left)) => Some(Duration::from_millis(left)),
                None => None,
            };
            self.socket.get_ref().set_read_timeout(wait).ok()?;
            match self.socket.read() {
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => return Some(message),
                // The client goes: nothing more is said, and its close is answered by the next read.
                Ok(Message::Close(_)) => self.due.clear(),
                Ok(_) => {}
                Err(tungstenite::Error::Io(e)) if is_timeout(&e) => {}
                Err(_) => return None,
            }
        }
    }

    fn say(&mut self, i: usize) -> Option<()> {
        let message = match self.due.remove(i).1 {
            What::Text(text) => Message::text(text),
            What::Json(value) => Message::text(value.to_string()),
            What::Binary(bytes) => Message::binary(bytes),
            What::Close { code, reason } => {
                self.due.clear();
                let frame = CloseFrame { code: code.into(), reason: reason.into() };
                // The client's answer to it is waited for in `next`.
                self.socket.close(Some(frame)).ok()?;
                return Some(());
            }
            What::Cut => return None,
            What::Reset => {
                wire::reset(self.socket.get_ref());
                return None;
            }
        };
        self.socket.send(message).ok()
    }
}

fn is_timeout(e: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_answered_as_in_the_standard() {
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn only_codes_that_can_be_sent_close_it() {
        let closed = |code| Talk {
            opening: vec![Said { after: Duration::ZERO, what: What::Close { code, reason: String::new() } }],
            ..Talk::default()
        };
        for code in [1000, 1001, 1011, 3000, 4999] {
            assert_eq!(closed(code).check(true), Ok(()), "{code}");
        }
        for code in [0, 999, 1005, 1006, 1015, 5000] {
            assert!(closed(code).check(true).is_err(), "{code}");
        }
    }
}
