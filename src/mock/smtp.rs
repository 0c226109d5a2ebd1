//! A mail server that delivers nothing: every mail is taken, put on record and forgotten.
//!
//! It speaks what clients of tests speak: EHLO, AUTH PLAIN and LOGIN with any password, MAIL, RCPT, DATA, RSET, NOOP, VRFY,
//! QUIT, pipelined or not. It offers no STARTTLS.

use super::record;
use super::when::fits;
use mail_parser::{MessageParser, MimeHeaders};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// How large a mail may be.
const LARGEST: usize = 10 << 20;

/// What it is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Smtp {
    /// Recipients that it refuses; `*` stands for anything.
    pub refuse: Vec<String>,
    /// Whether a client must log in.
    pub auth: bool,
}

/// A mail on record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mail {
    /// Of the envelope, as the client has said it.
    pub from: String,
    pub to: Vec<String>,
    pub subject: String,
    pub text: String,
    /// None: there is no such part.
    pub html: Option<String>,
    /// Names in small letters; of several the last.
    pub headers: Map<String, Value>,
    pub attachments: Vec<Value>,
    /// Who has logged in.
    pub user: Option<String>,
    /// Since it listens.
    pub at_ms: u64,
    /// As it came.
    pub raw: String,
}

/// The mails on record.
pub fn mails(log: &str) -> Vec<Mail> {
    record::entries(log)
}

/// A mail that is being sent.
#[derive(Default)]
struct Envelope {
    from: Option<String>,
    to: Vec<String>,
}

impl Smtp {
    /// Serves one client until it goes.
    pub fn converse(&self, stream: &TcpStream) {
        // Whether a client goes in the middle is its own affair.
        let _ = self.talk(stream);
    }

    fn talk(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        let say = |text: &str| (&mut &*stream).write_all(format!("{text}\r\n").as_bytes());
        say("220 bgjobs-mock ESMTP")?;
        let (mut envelope, mut user) = (Envelope::default(), None);
        while let Some(line) = line(&mut reader)? {
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" => {
                    let size = format!("250-SIZE {LARGEST}");
                    for line in ["250-bgjobs-mock", &size, "250-8BITMIME", "250-SMTPUTF8", "250-PIPELINING"] {
                        say(line)?;
                    }
                    say("250 AUTH PLAIN LOGIN")?;
                    envelope = Envelope::default();
                }
                "HELO" => say("250 bgjobs-mock")?,
                "AUTH" => {
                    let (kind, first) = rest.split_once(' ').unwrap_or((rest, ""));
                    let mut ask = |prompt: &str| -> io::Result<String> {
                        say(&format!("334 {prompt}"))?;
                        line_or_nothing(&mut reader)
                    };
                    let name = match kind.to_ascii_uppercase().as_str() {
                        "PLAIN" => {
                            let all = if first.is_empty() { ask("")? } else { first.to_owned() };
                            decoded(&all).map(|all| all.split('\0').nth(1).unwrap_or_default().to_owned())
                        }
                        "LOGIN" => {
                            // "Username:" and "Password:", as clients know them.
                            let name = if first.is_empty() { ask("VXNlcm5hbWU6")? } else { first.to_owned() };
                            ask("UGFzc3dvcmQ6")?;
                            decoded(&name)
                        }
                        _ => None,
                    };
                    match name {
                        Some(name) => {
                            user = Some(name);
                            say("235 2.7.0 welcome")?;
                        }
                        None => say("504 5.5.4 PLAIN or LOGIN, in base64")?,
                    }
                }
                "MAIL" if self.auth && user.is_none() => say("530 5.7.0 log in first")?,
                "MAIL" => match address(rest, "FROM:") {
                    Some(from) => {
                        envelope = Envelope { from: Some(from), to: Vec::new() };
                        say("250 2.1.0 ok")?;
                    }
                    None => say("501 5.5.4 MAIL FROM:<address>")?,
                },
                "RCPT" => match address(rest, "TO:") {
                    _ if envelope.from.is_none() => say("503 5.5.1 MAIL first")?,
                    Some(to) if self.refuse.iter().any(|refused| fits(refused, &to)) => {
                        say("550 5.1.1 no such user here")?;
                    }
                    Some(to) => {
                        envelope.to.push(to);
                        say("250 2.1.5 ok")?;
                    }
                    None => say("501 5.5.4 RCPT TO:<address>")?,
                },
                "DATA" if envelope.to.is_empty() => say("503 5.5.1 RCPT first")?,
                "DATA" => {
                    say("354 end with a dot in a line of its own")?;
                    match data(&mut reader)? {
                        Some(raw) => {
                            record::put(&mail(std::mem::take(&mut envelope), user.clone(), &raw));
                            say("250 2.0.0 taken")?;
                        }
                        None => say("552 5.3.4 too large")?,
                    }
                }
                "RSET" => {
                    envelope = Envelope::default();
                    say("250 2.0.0 ok")?;
                }
                "NOOP" => say("250 2.0.0 ok")?,
                "VRFY" => say("252 2.1.5 perhaps")?,
                "QUIT" => return say("221 2.0.0 bye"),
                _ => say("502 5.5.1 unknown command")?,
            }
        }
        Ok(())
    }
}

/// A line without its end; None when the client has gone.
fn line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    const LONGEST: u64 = 16 << 10;
    let mut line = Vec::new();
    let length = reader.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
    Ok((length > 0).then(|| String::from_utf8_lossy(&line).trim_end().to_owned()))
}

fn line_or_nothing(reader: &mut impl BufRead) -> io::Result<String> {
    line(reader).map(Option::unwrap_or_default)
}

/// A mail up to its dot, which is taken from lines that begin with one; None when it is too large.
fn data(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut raw = Vec::new();
    let mut is_too_large = false;
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if matches!(&line[..], b".\r\n" | b".\n") {
            return Ok((!is_too_large).then_some(raw));
        }
        is_too_large |= raw.len() + line.len() > LARGEST;
        if !is_too_large {
            raw.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }
}

/// `<ada@example.org>` behind `FROM:` or `TO:`.
fn address(rest: &str, before: &str) -> Option<String> {
    let start = rest.get(..before.len())?;
    let rest = rest[before.len()..].trim_start();
    if !start.eq_ignore_ascii_case(before) {
        return None;
    }
    let inside = rest.strip_prefix('<').and_then(|rest| rest.split_once('>')).map(|(inside, _)| inside);
    inside.or_else(|| rest.split_ascii_whitespace().next()).map(str::to_owned)
}

fn decoded(text: &str) -> Option<String> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text.trim()).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn mail(envelope: Envelope, user: Option<String>, raw: &[u8]) -> Mail {
    let mut mail = Mail {
        from: envelope.from.unwrap_or_default(),
        to: envelope.to,
        user,
        at_ms: record::now_ms(),
        raw: String::from_utf8_lossy(raw).into_owned(),
        ..Mail::default()
    };
    // What has not even a header is on record as it came.
    let Some(message) = MessageParser::default().parse(raw) else { return mail };
    for (name, value) in message.headers_raw() {
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        mail.headers.insert(name.to_ascii_lowercase(), value.into());
    }
    // The subject is decoded: it often comes as `=?utf-8?q?…?=`.
    if let Some(subject) = message.subject() {
        mail.subject = subject.to_owned();
        mail.headers.insert("subject".to_owned(), subject.into());
    }
    mail.text = message.body_text(0).unwrap_or_default().into_owned();
    let has_html = message.html_bodies().any(|part| part.is_text_html());
    mail.html = message.body_html(0).filter(|_| has_html).map(std::borrow::Cow::into_owned);
    let attachments = message.attachments().map(|part| {
        let kind = part.content_type().map(|kind| match kind.subtype() {
            Some(subtype) => format!("{}/{subtype}", kind.ctype()),
            None => kind.ctype().to_owned(),
        });
        json!({ "name": part.attachment_name(), "type": kind, "size": part.contents().len() })
    });
    mail.attachments = attachments.collect();
    mail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_what_stands_in_brackets() {
        for (rest, is) in [
            ("FROM:<a@b.c>", Some("a@b.c")),
            ("from: <a@b.c> SIZE=10", Some("a@b.c")),
            ("FROM:a@b.c", Some("a@b.c")),
            ("FROM:<>", Some("")),
            ("TO:<a@b.c>", None),
            ("", None),
        ] {
            assert_eq!(address(rest, "FROM:").as_deref(), is, "{rest}");
        }
    }

    #[test]
    fn a_dot_at_the_start_of_a_line_is_the_clients() {
        let mut sent = io::Cursor::new(b"a\r\n..b\r\n.\r\nQUIT\r\n");
        assert_eq!(data(&mut sent).expect("read").as_deref(), Some(&b"a\r\n.b\r\n"[..]));
        assert_eq!(line(&mut sent).expect("read").as_deref(), Some("QUIT"));
    }
}
