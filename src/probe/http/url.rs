//! Where a request goes: checked and completed by people's habits before the standard's rules apply, with a hint where it is
//! clear what was meant. Relative references and escapes are left to the crates that know the standards.

use crate::probe::tcp;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use std::net::{IpAddr, SocketAddr};
use ureq::http::Uri;

/// Where a request goes: checked, encoded, without fragment and without a password in its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    pub(super) tls: bool,
    /// As the Host header has it.
    authority: String,
    pub(super) host: String,
    port: u16,
    /// With the query; never empty.
    path: String,
    /// `user:password`, decoded.
    pub(super) userinfo: Option<String>,
}

/// Why a text is not a URL, and what would be one where that is clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadUrl {
    pub message: String,
    pub hint: Option<String>,
}

impl Url {
    /// # Errors
    /// Anything but `http://` or `https://`, a host and a port from 1 to 65535.
    pub fn parse(text: &str) -> Result<Self, BadUrl> {
        let bad = |message: String, hint: Option<String>| Err(BadUrl { message, hint });
        let text = text.trim();
        let shown = without_password(text);
        let Some((scheme, rest)) = text.split_once("://") else {
            return bad(format!("{shown:?} is not a URL: it has no `http://`"), with_scheme(&shown));
        };
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            // `localhost:80/go?to=http://…` has no scheme of its own.
            other if !other.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')) => {
                return bad(format!("{shown:?} is not a URL: it has no `http://`"), with_scheme(&shown));
            }
            other => {
                return bad(format!("{shown:?}: unsupported scheme `{other}` (http and https are)"), None);
            }
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (userinfo, authority) = match authority.rsplit_once('@') {
            Some((userinfo, authority)) => (Some(decode(userinfo)), authority),
            None => (None, authority),
        };
        let (host, port) = split_port(authority);
        let port = match port {
            None if tls => 443,
            None => 80,
            Some("") => {
                let message = format!("{shown:?}: no port after the colon (a variable without a value?)");
                return bad(message, None);
            }
            Some(digits) => match digits.parse::<u16>().ok().filter(|port| *port != 0) {
                Some(port) => port,
                None if shown != text && userinfo.is_none() => {
                    let message =
                        format!("{shown:?}: in a password `/`, `?` and `#` are `%2F`, `%3F` and `%23`");
                    return bad(message, None);
                }
                None => return bad(format!("{shown:?}: bad port `{digits}` (1 to 65535)"), None),
            },
        };
        if host.is_empty() {
            let hint = format!("\"{scheme}://localhost{authority}{path}\"");
            return bad(format!("{shown:?} is not a URL: it has no host"), Some(hint));
        }
        let path = encode(path.split('#').next().unwrap_or_default());
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let url = Self { tls, authority: authority.to_owned(), host, port, path, userinfo };
        match url.to_string().parse::<Uri>() {
            Ok(_) => Ok(url),
            Err(e) => bad(format!("{shown:?} is not a URL: {e}"), None),
        }
    }

    /// The port, when the host is this machine's loopback.
    pub fn local_port(&self) -> Option<u16> {
        let local = self.host == "localhost"
            || self.host.ends_with(".localhost")
            || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified());
        local.then_some(self.port)
    }

    /// Where a `Location` header of this URL's answer leads.
    pub(super) fn join(&self, location: &str) -> Result<Self, BadUrl> {
        let bad = |e: url::ParseError| BadUrl {
            message: format!("{:?} is not a URL: {e}", without_password(location)),
            hint: None,
        };
        let base = url::Url::parse(&self.to_string()).map_err(bad)?;
        Self::parse(base.join(location).map_err(bad)?.as_str())
    }

    /// The addresses to ask one after the other, when the host is this machine: whoever listens on one of them is meant.
    pub fn addresses(&self) -> Option<Vec<SocketAddr>> {
        let name = if self.host.ends_with(".localhost") { "localhost" } else { &self.host };
        tcp::local(name, self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same on another port.
    pub fn on_port(&self, port: u16) -> Self {
        let authority = format!("{}:{port}", split_port(&self.authority).0);
        Self { authority, port, ..self.clone() }
    }

    /// Without path and query.
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.authority)
    }

    /// The same by TLS; none when it is that already.
    pub fn with_tls(&self) -> Option<Self> {
        (!self.tls).then(|| Self { tls: true, ..self.clone() })
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// For people: with the address that has answered in the place of the name of this machine.
    pub fn answered_by(&self, ip: Option<IpAddr>) -> String {
        match ip {
            Some(ip) if self.host == "localhost" => {
                let scheme = if self.tls { "https" } else { "http" };
                format!("{scheme}://{}{}", SocketAddr::new(ip, self.port), self.path)
            }
            _ => self.to_string(),
        }
    }

    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// With this `user:password` when it has none of its own.
    pub(super) fn or_userinfo(self, userinfo: Option<String>) -> Self {
        Self { userinfo: self.userinfo.or(userinfo), ..self }
    }

    pub(super) fn same_origin(&self, other: &Self) -> bool {
        (self.tls, &self.host, self.port) == (other.tls, &other.host, other.port)
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}://{}{}", if self.tls { "https" } else { "http" }, self.authority, self.path)
    }
}

/// A URL for people: with `…` in the place of `user:password`, however wrong the rest of it is.
pub(super) fn without_password(text: &str) -> String {
    let start = text.find("://").map_or(0, |at| at + 3);
    let rest = &text[start..];
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    // What looks like a port and is none may be the first half of a password.
    let halved = || {
        let (_, port) = authority.split_once(':')?;
        if port.chars().all(|c| c.is_ascii_digit()) { None } else { rest.rfind('@') }
    };
    match authority.rfind('@').or_else(halved) {
        Some(at) => format!("{}…{}", &text[..start], &rest[at..]),
        None => text.to_owned(),
    }
}

/// What a URL without scheme was probably meant to be.
fn with_scheme(text: &str) -> Option<String> {
    let text = text.trim_start_matches("http:").trim_start_matches("https:").trim_start_matches('/');
    let (host, port) = split_port(text.split('/').next().unwrap_or_default());
    if text.chars().all(|c| c.is_ascii_digit()) {
        return (!text.is_empty()).then(|| format!("\"http://localhost:{text}\""));
    }
    if host.is_empty() && port.is_some() {
        return Some(format!("\"http://localhost{text}\""));
    }
    let is_host = port.is_some() || host == "localhost" || host.contains('.');
    is_host.then(|| format!("\"http://{text}\""))
}

/// `host:port`, with IPv6 addresses in brackets.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rfind(':') {
        Some(at) if !authority[at..].contains(']') => (&authority[..at], Some(&authority[at + 1..])),
        _ => (authority, None),
    }
}

/// What may not stand in a path or query; `%` may, which is taken for an escape.
const FORBIDDEN: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

fn encode(text: &str) -> String {
    utf8_percent_encode(text, FORBIDDEN).to_string()
}

/// `%41` → `A`; what is not an escape stays.
pub fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect(text)
    }

    fn bad(text: &str) -> (String, Option<String>) {
        let bad = Url::parse(text).expect_err(text);
        (bad.message, bad.hint)
    }

    #[test]
    fn urls_are_completed_and_encoded() {
        assert_eq!(url("http://localhost:80").to_string(), "http://localhost:80/");
        assert_eq!(url("http://h?q=a b").to_string(), "http://h/?q=a%20b");
        assert_eq!(url("HTTPS://h/ä#x").to_string(), "https://h/%C3%A4");
        assert_eq!(url("http://u:p%40@h/").userinfo.as_deref(), Some("u:p@"));
        assert_eq!(url("http://u:p@h/").to_string(), "http://h/");
    }

    #[test]
    fn the_port_of_this_machine_is_known() {
        for (text, port) in [
            ("http://localhost:8080/x", Some(8080)),
            ("http://LOCALHOST", Some(80)),
            ("https://127.0.0.2", Some(443)),
            ("http://[::1]:3000", Some(3000)),
            ("http://0.0.0.0:1", Some(1)),
            ("http://api.localhost:1", Some(1)),
            ("http://example.com", None),
            ("http://10.0.0.1:80", None),
        ] {
            assert_eq!(url(text).local_port(), port, "{text}");
        }
    }

    #[test]
    fn a_bad_url_says_what_would_be_one() {
        let hint = |text: &str| bad(text).1.unwrap_or_default();
        assert_eq!(hint("localhost:8080"), "\"http://localhost:8080\"");
        assert_eq!(hint("127.0.0.1:8080/x"), "\"http://127.0.0.1:8080/x\"");
        assert_eq!(hint("8080"), "\"http://localhost:8080\"");
        assert_eq!(hint(":8080/x"), "\"http://localhost:8080/x\"");
        assert_eq!(hint("http:localhost:1"), "\"http://localhost:1\"");
        assert_eq!(hint("http://:8080/x"), "\"http://localhost:8080/x\"");
        assert_eq!(hint("localhost:80/go?to=http://x"), "\"http://localhost:80/go?to=http://x\"");
        assert_eq!(bad("/health").1, None);
        assert_eq!(bad("").1, None);
        assert!(bad("ftp://x").0.contains("unsupported scheme `ftp`"));
        for port in ["0", "65536", "x", "-1", "80 "] {
            assert!(bad(&format!("http://localhost:{port}/x")).0.contains("bad port"), "{port}");
        }
        assert!(Url::parse("http://a b/").is_err());
    }

    #[test]
    fn the_port_is_told_apart_from_the_rest() {
        assert_eq!(url("http://localhost:80/x?y").on_port(81).to_string(), "http://localhost:81/x?y");
        assert_eq!(url("https://[::1]/x").on_port(81).to_string(), "https://[::1]:81/x");
        assert_eq!(url("https://[::1]:8/x").origin(), "https://[::1]:8");
    }

    #[test]
    fn redirects_lead_where_a_browser_would_go() {
        let base = url("http://h:1/a/b?q=1");
        for (location, target) in [
            ("/x?y", "http://h:1/x?y"),
            ("c", "http://h:1/a/c"),
            ("../c/./d", "http://h:1/c/d"),
            ("?z", "http://h:1/a/b?z"),
            ("//other/x", "http://other/x"),
            ("https://other/x", "https://other/x"),
            ("/login?next=http://h", "http://h:1/login?next=http://h"),
        ] {
            assert_eq!(base.join(location).map(|url| url.to_string()), Ok(target.to_owned()), "{location}");
        }
    }
}
