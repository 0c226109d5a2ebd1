//! What can be waited for as one text, as `ready: "tcp://localhost:5432"` and `--url log:listening` have it. What only a
//! job has, such as its port, is filled in by who knows the job.

use super::kinds;
use crate::probe::http::Url;
use regex::Regex;

/// The forms, as a sentence has them.
pub const FORMS: &str =
    "URL, /PATH, PORT, PORT/PATH, tcp://HOST:PORT, unix:PATH, log:REGEX, cmd:COMMAND or listening";

/// What a text means.
#[derive(Debug)]
pub enum Worded<'t> {
    /// A path on the job's own port.
    Own {
        tls: bool,
        path: &'t str,
    },
    Url(String),
    /// A port of this machine.
    Port(u16),
    Tcp {
        host: String,
        port: u16,
    },
    /// A Unix socket.
    Socket(&'t str),
    Log(Regex),
    /// For the shell.
    Cmd(&'t str),
    /// Any port of the job.
    Listening,
}

/// Why a text means nothing, and what would be one where that is clear.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    pub message: String,
    pub hint: Option<String>,
    /// Said behind the hint.
    pub remark: Option<&'static str>,
    /// It is like none of the forms, so that they are worth a line.
    pub is_like_none: bool,
}

impl Wrong {
    fn new(message: String) -> Self {
        Self { message, hint: None, remark: None, is_like_none: false }
    }

    fn or(self, hint: impl Into<Option<String>>) -> Self {
        Self { hint: hint.into(), ..self }
    }
}

/// # Errors
/// Anything else than the forms.
pub fn read(text: &str) -> Result<Worded<'_>, Wrong> {
    let wrong = |why: &str| Wrong::new(format!("{text:?} {why}"));
    if let Some(pattern) = text.strip_prefix("log:") {
        return regex(pattern).map(Worded::Log);
    }
    if let Some(command) = text.strip_prefix("cmd:") {
        return match command.trim() {
            "" => Err(wrong("has no command")),
            _ => Ok(Worded::Cmd(command)),
        };
    }
    if text.contains("$PORT") || text.contains("${PORT}") {
        let path = text.split_once("://").map_or(text, |(_, rest)| rest);
        let path = path.find('/').map_or("/", |start| &path[start..]);
        let scheme = if text.starts_with("https:") { "https:" } else { "" };
        let remark = Some("a path alone is one on the job's own port");
        let hint = Some(format!("{scheme}{path}"));
        return Err(Wrong {
            remark,
            hint,
            ..Wrong::new(format!("{text:?}: only a shell would replace PORT"))
        });
    }
    if let Some(rest) = text.strip_prefix("tcp:") {
        return tcp(rest).ok_or_else(|| wrong("is not tcp://HOST:PORT"));
    }
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(path);
        return if path.is_empty() { Err(wrong("has no path")) } else { Ok(Worded::Socket(path)) };
    }
    if let Some((tls, path)) = own_path(text) {
        return Ok(Worded::Own { tls, path });
    }
    if text == "listening" {
        return Ok(Worded::Listening);
    }
    let number = text.trim().trim_start_matches(':');
    if !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()) {
        let port = number.parse::<u16>().ok().filter(|port| *port != 0);
        return port.map(Worded::Port).ok_or_else(|| wrong("is not a port (1 to 65535)"));
    }
    if let Some((port, path)) = number.split_once('/')
        && !port.is_empty()
        && port.chars().all(|c| c.is_ascii_digit())
    {
        let url = format!("http://localhost:{port}/{path}");
        return if Url::parse(&url).is_ok() {
            Ok(Worded::Url(url))
        } else {
            Err(wrong("is not a port (1 to 65535)"))
        };
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        let wrong = wrong("is not a port, URL or path");
        return Err(match text.split_once(':') {
            Some((host, port)) if !host.is_empty() && port.starts_with(|c: char| c.is_ascii_digit()) => {
                wrong.or(format!("http://{text}"))
            }
            Some(_) => Wrong { is_like_none: true, ..wrong },
            None if text.starts_with("localhost") || text.contains('.') && !text.contains(' ') => {
                wrong.or(format!("http://{text}"))
            }
            None if text.trim().is_empty() => wrong,
            None => Wrong { remark: Some("a line of the job's log"), ..wrong.or(format!("log:{text}")) },
        });
    };
    if !matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https")
        && let Some(Worded::Tcp { host, port }) = tcp(rest.split(['/', '?']).next().unwrap_or_default())
    {
        // `redis://localhost:6379/0`
        let place = match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        return Err(wrong(&format!(
            "cannot be asked: of the schemes http and https can (`{scheme}` is none)"
        ))
        .or(format!("tcp://{place}")));
    }
    match Url::parse(text) {
        Ok(_) => Ok(Worded::Url(text.to_owned())),
        Err(bad) => {
            let hint = bad.hint.map(|hint| hint.trim_matches('"').to_owned());
            Err(Wrong::new(bad.message).or(hint))
        }
    }
}

fn regex(pattern: &str) -> Result<Regex, Wrong> {
    if pattern.is_empty() {
        return Err(Wrong::new("\"log:\" has no regular expression".to_owned()));
    }
    kinds::pattern(pattern).map_err(Wrong::new)
}

/// `//localhost:5432`, or the same without the slashes; the last `@` ends a login, which is not needed to connect.
fn tcp(text: &str) -> Option<Worded<'static>> {
    let place = text.trim_start_matches("//").trim_end_matches('/');
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    let (host, port) = place.rsplit_once(':')?;
    let port = port.parse::<u16>().ok().filter(|port| *port != 0)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = if host.is_empty() { "localhost" } else { host };
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    host.chars().all(good).then(|| Worded::Tcp { host: host.to_owned(), port })
}

/// The path of what is meant for the job's own port, and whether it is asked by TLS: `/health`, `https:/health`.
pub fn own_path(text: &str) -> Option<(bool, &str)> {
    let (tls, path) = match text.split_once(':') {
        Some((scheme @ ("http" | "https"), path)) => (scheme == "https", path),
        _ => (false, text),
    };
    (path.starts_with('/') && !path.starts_with("//")).then_some((tls, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(text: &str) -> String {
        match read(text) {
            Ok(worded) => format!("{worded:?}"),
            Err(wrong) => wrong.hint.unwrap_or(wrong.message),
        }
    }

    #[test]
    fn a_text_says_what_is_waited_for() {
        for (text, meaning) in [
            ("/health", "Own { tls: false, path: \"/health\" }"),
            ("https:/health", "Own { tls: true, path: \"/health\" }"),
            ("http://h:1/x", "Url(\"http://h:1/x\")"),
            ("8545", "Port(8545)"),
            (":8545", "Port(8545)"),
            ("8545/health", "Url(\"http://localhost:8545/health\")"),
            ("tcp://localhost:5432", "Tcp { host: \"localhost\", port: 5432 }"),
            ("tcp://:5432", "Tcp { host: \"localhost\", port: 5432 }"),
            ("tcp://[::1]:5432/", "Tcp { host: \"::1\", port: 5432 }"),
            ("unix:/run/x.sock", "Socket(\"/run/x.sock\")"),
            ("unix:///run/x.sock", "Socket(\"/run/x.sock\")"),
            ("unix:x.sock", "Socket(\"x.sock\")"),
            ("log:up (\\d+)", "Log(Regex(\"up (\\\\d+)\"))"),
            ("cmd:pg_isready -p $PORT", "Cmd(\"pg_isready -p $PORT\")"),
            ("listening", "Listening"),
        ] {
            assert_eq!(meant(text), meaning, "{text}");
        }
    }

    #[test]
    fn a_text_that_means_nothing_is_told_with_what_does() {
        for (text, better) in [
            ("localhost:80", "http://localhost:80"),
            ("localhost:80/x", "http://localhost:80/x"),
            ("redis://u:p@localhost:6379/0", "tcp://localhost:6379"),
            ("ftp://[::1]:21", "tcp://[::1]:21"),
            ("started", "log:started"),
            ("localhost/x", "http://localhost/x"),
            ("example.com", "http://example.com"),
            ("http://localhost:$PORT/x", "/x"),
            ("http://:80/x", "http://localhost:80/x"),
            ("tcp://localhost", "\"tcp://localhost\" is not tcp://HOST:PORT"),
            ("tcp://localhost:99999", "\"tcp://localhost:99999\" is not tcp://HOST:PORT"),
            ("70000", "\"70000\" is not a port (1 to 65535)"),
            ("0/x", "\"0/x\" is not a port (1 to 65535)"),
            ("unix:", "\"unix:\" has no path"),
            ("log:", "\"log:\" has no regular expression"),
            ("log:(", "\"(\" is not a regular expression: unclosed group"),
            ("cmd: ", "\"cmd: \" has no command"),
            ("a: b", "\"a: b\" is not a port, URL or path"),
            ("", "\"\" is not a port, URL or path"),
        ] {
            assert_eq!(meant(text), better, "{text}");
        }
    }
}
