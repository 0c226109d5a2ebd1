//! What is asked and what is answered, as plain data.

use super::trust::Trust;
use super::url::Url;
use base64::prelude::{BASE64_STANDARD, Engine};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Method};

/// How long a request takes at most when nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How many redirects a request follows when nothing else is said.
const REDIRECTS: u32 = 5;

/// Encodes one name or value of a form (application/x-www-form-urlencoded).
pub fn encode_form(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The value of an Authorization header for a user and a password.
pub fn basic(user_and_password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(user_and_password))
}

/// What to send.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<Vec<u8>>,
    /// For everything: connecting, redirects, the whole body.
    pub timeout: Duration,
    /// How many to follow; 0 gives the redirect itself.
    pub redirects: u32,
    pub trust: Trust,
    /// Connect to this socket, whatever the URL's host.
    pub unix_socket: Option<PathBuf>,
}

impl Request {
    /// A plain GET.
    pub fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: None,
            timeout: TIMEOUT,
            redirects: REDIRECTS,
            trust: Trust::default(),
            unix_socket: None,
        }
    }

    /// Adds a header.
    ///
    /// # Errors
    /// What is wrong with the name or the value.
    pub fn header(&mut self, name: &str, value: &str) -> Result<(), String> {
        let name: HeaderName =
            name.trim().parse().map_err(|_| format!("{name:?} is not the name of a header"))?;
        let value = HeaderValue::from_bytes(value.trim().as_bytes())
            .map_err(|_| format!("{value:?} is not a header value (line breaks?)"))?;
        self.headers.insert(name, value);
        Ok(())
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub ms: u64,
    /// Where the answer came from, after redirects.
    pub url: Url,
}

/// The path of a Unix socket, when it can be connected to at all.
pub fn socket_path(path: &Path) -> Result<PathBuf, String> {
    const LONGEST: usize = 107;
    let length = path.as_os_str().len();
    if length > LONGEST {
        return Err(format!("the path of a Unix socket has at most {LONGEST} bytes, not {length}"));
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::http::decode;

    #[test]
    fn passwords_are_encoded_as_the_rfc_has_it() {
        assert_eq!(basic("Aladdin:open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(basic("a:b"), "Basic YTpi");
        assert_eq!(basic(""), "Basic ");
        assert_eq!(encode_form("a b&c=ä"), "a+b%26c%3D%C3%A4");
        assert_eq!(decode("%41%zz%"), "A%zz%");
    }
}
