//! An answer that comes piece by piece: server-sent events, or a body in chunks; and how it ends.

use super::template::{self, Context};
use super::wire::Connection;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io;
use std::time::Duration;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    pub pieces: Vec<Piece>,
    pub then: Then,
}

/// What is sent at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Piece {
    /// Behind the piece before.
    pub after: Duration,
    pub sent: Sent,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Sent {
    Event(Event),
    /// As it is.
    Chunk(String),
}

/// A server-sent event. One without anything is only a pause.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub event: Option<String>,
    /// A text is sent as it is, everything else as JSON.
    pub data: Option<Value>,
    pub id: Option<String>,
    pub retry: Option<Duration>,
    pub comment: Option<String>,
}

/// What follows the last piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Then {
    /// The answer is complete.
    #[default]
    End,
    /// Nothing, until the client goes.
    Stay,
    /// The connection closes, and the client can see that the answer is not complete.
    Cut,
    /// The connection is reset.
    Reset,
}

impl Stream {
    /// # Errors
    /// What no event can be.
    pub fn check(&self, is_template: bool) -> Result<(), String> {
        for piece in &self.pieces {
            let texts = match &piece.sent {
                Sent::Chunk(text) => [Some(text), None, None],
                Sent::Event(event) => {
                    let line = |name: &str, text: &Option<String>| match text {
                        Some(text) if text.contains(['\r', '\n']) => {
                            Err(format!("the `{name}` of an event is one line"))
                        }
                        _ => Ok(()),
                    };
                    line("event", &event.event)?;
                    line("id", &event.id)?;
                    if is_template && let Some(data) = &event.data {
                        template::check_json(data)?;
                    }
                    [event.event.as_ref(), event.id.as_ref(), event.comment.as_ref()]
                }
            };
            if is_template {
                texts.into_iter().flatten().try_for_each(|text| template::check(text))?;
            }
        }
        Ok(())
    }

    /// Sends it behind its head. None when the connection is not to be used any more. `chunked`: as the head has said;
    /// else the answer ends with the connection. `context`: what templates are filled with.
    pub fn send(
        &self,
        mut connection: Connection,
        chunked: bool,
        context: Option<&Context>,
    ) -> Option<Connection> {
        for piece in &self.pieces {
            std::thread::sleep(piece.after);
            let text = piece.sent.text(context);
            // An empty chunk would be the end.
            if !text.is_empty() {
                write(&mut connection, chunked, text.as_bytes()).ok()?;
            }
        }
        match self.then {
            Then::End if chunked => {
                write(&mut connection, chunked, b"").ok()?;
                return Some(connection);
            }
            Then::End | Then::Cut => {}
            Then::Stay => connection.outlast(),
            Then::Reset => connection.reset(),
        }
        None
    }
}

fn write(connection: &mut Connection, chunked: bool, bytes: &[u8]) -> io::Result<()> {
    if !chunked {
        return connection.write(bytes);
    }
    let size = format!("{:x}\r\n", bytes.len());
    connection.write(&[size.as_bytes(), bytes, b"\r\n"].concat())
}

impl Sent {
    fn text(&self, context: Option<&Context>) -> String {
        let fill = |text: &str| context.map_or_else(|| text.to_owned(), |context| context.fill(text));
        let event = match self {
            Self::Chunk(text) => return fill(text),
            Self::Event(event) => event,
        };
        let mut lines = String::new();
        // What a template has put in may have line breaks: each line of data is one of the event, and other fields have one.
        let mut put = |name: &str, text: &str| {
            for line in text.replace("\r\n", "\n").split(['\r', '\n']) {
                lines.push_str(&format!("{name}: {line}\n"));
            }
        };
        let one_line = |text: &String| fill(text).replace(['\r', '\n'], " ");
        if let Some(comment) = &event.comment {
            put("", &fill(comment));
        }
        if let Some(event) = &event.event {
            put("event", &one_line(event));
        }
        if let Some(id) = &event.id {
            put("id", &one_line(id));
        }
        if let Some(retry) = event.retry {
            put("retry", &retry.as_millis().to_string());
        }
        match &event.data {
            None => {}
            Some(Value::String(text)) => put("data", &fill(text)),
            Some(json) => {
                put("data", &context.map_or_else(|| json.clone(), |c| c.fill_json(json)).to_string())
            }
        }
        if !lines.is_empty() {
            lines.push('\n');
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Request;
    use super::*;
    use serde_json::json;

    #[test]
    fn each_line_of_data_is_a_line_of_the_event() {
        let text = |event: Event| Sent::Event(event).text(None);
        let data = |data: Value| Event { data: Some(data), ..Event::default() };
        assert_eq!(text(data("a\nb\r\nc".into())), "data: a\ndata: b\ndata: c\n\n");
        assert_eq!(text(data(json!({ "n": [1, null] }))), "data: {\"n\":[1,null]}\n\n");
        assert_eq!(text(Event::default()), "");
        let all = Event {
            event: Some("tick".into()),
            id: Some("7".into()),
            retry: Some(Duration::from_secs(2)),
            comment: Some("alive".into()),
            ..data("".into())
        };
        assert_eq!(text(all), ": alive\nevent: tick\nid: 7\nretry: 2000\ndata: \n\n");
    }

    #[test]
    fn a_template_cannot_end_an_event() {
        let request = Request { body: "x\n\ndata: y".into(), ..Request::default() };
        let context = Context::new(&request, 1);
        let event = Event { id: Some("{{body}}".into()), data: Some("{{body}}".into()), ..Event::default() };
        let text = Sent::Event(event).text(Some(&context));
        assert_eq!(text, "id: x  data: y\ndata: x\ndata: \ndata: data: y\n\n");
    }
}
