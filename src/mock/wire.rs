//! HTTP/1.1 on one connection: requests are read, and whatever a client may get to see is written, also what no
//! decent server sends. That is why no library serves here; `httparse` reads what comes.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How much of a request's body is kept; the rest is read and forgotten.
pub const KEPT_BODY: usize = 1 << 20;
const LONGEST_HEAD: usize = 256 << 10;
const MOST_HEADERS: usize = 200;

pub struct Connection {
    stream: TcpStream,
    /// What has come and is not read yet.
    ahead: Vec<u8>,
}

/// A request as it came.
#[derive(Debug, Default, PartialEq)]
pub struct Received {
    pub method: String,
    pub target: String,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The connection stays open behind the answer.
    pub keeps_open: bool,
    /// The client knows answers in chunks: not in HTTP/1.0.
    pub knows_chunks: bool,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// Why no request could be read.
#[derive(Debug)]
pub enum Unread {
    /// The client has gone.
    Closed,
    /// It sent what is not HTTP, with what is wrong.
    Bad(String),
}

impl From<io::Error> for Unread {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

fn bad(what: impl std::fmt::Display) -> Unread {
    Unread::Bad(what.to_string())
}

impl Connection {
    pub fn new(stream: TcpStream) -> Self {
        // An answer in pieces is seen in pieces.
        let _ = stream.set_nodelay(true);
        Self { stream, ahead: Vec::new() }
    }

    /// Reads what comes next; false at its end.
    fn fill(&mut self) -> io::Result<bool> {
        let mut piece = [0; 16 << 10];
        let length = self.stream.read(&mut piece)?;
        self.ahead.extend_from_slice(&piece[..length]);
        Ok(length > 0)
    }

    fn more(&mut self) -> Result<(), Unread> {
        if self.fill()? { Ok(()) } else { Err(Unread::Closed) }
    }

    /// Reads one request, with its body.
    pub fn receive(&mut self) -> Result<Received, Unread> {
        let (mut received, version) = loop {
            if let Some(head) = self.head()? {
                break head;
            }
            if self.ahead.len() > LONGEST_HEAD {
                return Err(bad("the head of the request has no end"));
            }
            self.more()?;
        };
        let says = |name: &str, word: &str| {
            received.header(name).is_some_and(|value| value.to_ascii_lowercase().contains(word))
        };
        let is_chunked = says("transfer-encoding", "chunked");
        let keeps_open =
            if version == 0 { says("connection", "keep-alive") } else { !says("connection", "close") };
        if says("expect", "100-continue") && version > 0 {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        received.keeps_open = keeps_open;
        received.knows_chunks = version > 0;
        received.body = if is_chunked {
            self.chunks()?
        } else {
            let length = received.header("content-length").map_or(Ok(0), str::parse::<u64>);
            let length = length.map_err(|_| bad("the `content-length` is not a number"))?;
            let mut body = Vec::new();
            self.take(length, &mut body)?;
            body
        };
        Ok(received)
    }

    /// The head of a request and its minor version, when all of it is there.
    fn head(&mut self) -> Result<Option<(Received, u8)>, Unread> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(length) = request.parse(&self.ahead).map_err(bad)? else {
            return Ok(None);
        };
        let text = |header: &httparse::Header| {
            (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned())
        };
        let received = Received {
            method: request.method.unwrap_or_default().to_owned(),
            target: request.path.unwrap_or_default().to_owned(),
            headers: request.headers.iter().map(text).collect(),
            ..Received::default()
        };
        let version = request.version.unwrap_or(1);
        self.ahead.drain(..length);
        Ok(Some((received, version)))
    }

    /// Takes so many bytes, and keeps what may be kept.
    fn take(&mut self, mut length: u64, into: &mut Vec<u8>) -> Result<(), Unread> {
        while length > 0 {
            if self.ahead.is_empty() {
                self.more()?;
            }
            let here = usize::try_from(length).unwrap_or(usize::MAX).min(self.ahead.len());
            into.extend(self.ahead.drain(..here).take(KEPT_BODY.saturating_sub(into.len())));
            length -= here as u64;
        }
        Ok(())
    }

    /// A body in chunks, and the trailers behind it.
    fn chunks(&mut self) -> Result<Vec<u8>, Unread> {
        let mut body = Vec::new();
        loop {
            let size = match httparse::parse_chunk_size(&self.ahead).map_err(|_| bad("invalid chunk size"))? {
                httparse::Status::Partial => {
                    self.more()?;
                    continue;
                }
                httparse::Status::Complete((line, size)) => {
                    self.ahead.drain(..line);
                    size
                }
            };
            if size == 0 {
                while !self.line()?.is_empty() {}
                return Ok(body);
            }
            self.take(size, &mut body)?;
            self.line()?;
        }
    }

    /// A line without its end.
    fn line(&mut self) -> Result<Vec<u8>, Unread> {
        loop {
            if let Some(end) = self.ahead.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.ahead.drain(..=end).collect();
                line.truncate(line.trim_ascii_end().len());
                return Ok(line);
            }
            if self.ahead.len() > LONGEST_HEAD {
                return Err(bad("a line has no end"));
            }
            self.more()?;
        }
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Writes in pieces, the last of them when this time has passed.
    pub fn trickle(&mut self, bytes: &[u8], over: Duration) -> io::Result<()> {
        /// About as often as anybody looks.
        const PIECE: Duration = Duration::from_millis(20);
        let pieces = u32::try_from(over.as_millis() / PIECE.as_millis()).unwrap_or(u32::MAX).max(1);
        let pieces = pieces.min(u32::try_from(bytes.len()).unwrap_or(u32::MAX)).max(1);
        let size = bytes.len().div_ceil(pieces as usize).max(1);
        let pause = over / u32::try_from(bytes.len().div_ceil(size)).unwrap_or(1).max(1);
        bytes.chunks(size).try_for_each(|piece| {
            std::thread::sleep(pause);
            self.write(piece)
        })
    }

    /// Waits until the client has gone.
    pub fn outlast(&mut self) {
        while self.fill().unwrap_or(false) {
            self.ahead.clear();
        }
    }

    /// Closes it in such a way that the client sees a reset.
    pub fn reset(self) {
        reset(&self.stream);
    }

    /// For another protocol: with what has come and is not read yet.
    pub fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.ahead)
    }
}

/// The client sees a reset when this connection closes.
pub fn reset(stream: &TcpStream) {
    let now = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    let _ = nix::sys::socket::setsockopt(stream, nix::sys::socket::sockopt::Linger, &now);
}

/// The head of an answer. `length`: of its body; None where a body has no length of its own.
pub fn head(status: u16, headers: &[(String, String)], length: Option<usize>) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} {}\r\n", reason(status));
    for (name, value) in headers {
        // What a template has put in may have line breaks.
        let value = value.replace(['\r', '\n'], " ");
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(length) = length {
        head.push_str(&format!("content-length: {length}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

fn reason(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        418 => "I'm a teapot",
        422 => "Unprocessable Content",
        423 => "Locked",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        // The reason is for people, and may be missing.
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Shutdown, TcpListener};

    /// What is read of this, until it ends.
    fn read(sent: &[u8]) -> (Vec<Received>, Unread) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut client = TcpStream::connect(listener.local_addr().expect("an address")).expect("connected");
        client.write_all(sent).expect("sent");
        client.shutdown(Shutdown::Write).expect("ended");
        let mut connection = Connection::new(listener.accept().expect("a client").0);
        let mut all = Vec::new();
        loop {
            match connection.receive() {
                Ok(received) => all.push(received),
                Err(end) => return (all, end),
            }
        }
    }

    #[test]
    fn several_requests_come_on_one_connection() {
        let (all, end) = read(
            b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc\
            PUT /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nx: y\r\n\r\n\
            GET /c HTTP/1.1\r\nConnection: close\r\n\r\nGET /d HTTP/1.0\r\n\r\n",
        );
        let seen: Vec<_> = all
            .iter()
            .map(|one| {
                let body = String::from_utf8_lossy(&one.body).into_owned();
                (one.method.as_str(), one.target.as_str(), body, one.keeps_open)
            })
            .collect();
        let body = str::to_owned;
        assert_eq!(
            seen,
            [
                ("POST", "/a", body("abc"), true),
                ("PUT", "/b", body("abcde"), true),
                ("GET", "/c", body(""), false),
                ("GET", "/d", body(""), false),
            ]
        );
        assert!(matches!(end, Unread::Closed), "{end:?}");
    }

    #[test]
    fn what_is_not_http_is_told() {
        for sent in [
            &b"\x16\x03\x01\x02\x00\x01"[..],
            b"GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
            b"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        ] {
            let (all, end) = read(sent);
            assert!(all.is_empty() && matches!(end, Unread::Bad(_)), "{end:?}");
        }
    }

    #[test]
    fn a_body_that_is_too_large_is_read_and_not_kept() {
        let mut sent = format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n", KEPT_BODY + 10).into_bytes();
        sent.resize(sent.len() + KEPT_BODY + 10, b'x');
        sent.extend(b"GET /next HTTP/1.1\r\n\r\n");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let client = std::thread::spawn(move || {
            let mut client = TcpStream::connect(address).expect("connected");
            client.write_all(&sent).expect("sent");
        });
        let mut connection = Connection::new(listener.accept().expect("a client").0);
        assert_eq!(connection.receive().expect("a request").body.len(), KEPT_BODY);
        assert_eq!(connection.receive().expect("another").target, "/next");
        client.join().expect("the client");
    }
}
