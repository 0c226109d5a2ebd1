//! The stand-in servers that scripts start as jobs: processes of their own, so that they are stopped, killed and
//! paused like the services that they stand for.
//!
//! A server reads what it is to do as JSON on stdin, says on stdout when it listens, and then prints one line of JSON
//! for each request: its log is its record. A request is on record before it is answered, so that whoever has the
//! answer can read the record. Both ends of that conversation are here, as plain data. It knows no jobs and no scripts.
//!
//! ```text
//! record    what came, line by line
//! when      which requests an answer is for
//! template  `{{params.id}}` in what is answered
//! answer    what is answered
//! route     which requests are answered what
//! stream    an answer piece by piece: server-sent events, chunks
//! wire      HTTP/1.1 on a connection, with all that a client may get to see
//! websocket what is said on a WebSocket
//! server    finds the answer for each request, and gives it
//! token     tokens, signed and checked
//! oidc      a stand-in for an OpenID provider: what it answers
//! smtp      a mail server that keeps what it gets
//! ```

mod answer;
mod oidc;
mod record;
mod route;
mod server;
mod smtp;
mod stream;
mod template;
mod token;
mod websocket;
mod when;
mod wire;

pub use answer::{Answer, Content, Fault, content_type};
pub use oidc::{Oidc, User};
pub use record::{MESSAGE, Request, requests};
pub use route::Route;
pub use smtp::{Mail, Smtp, mails};
pub use stream::{Event, Piece, Sent, Stream, Then};
pub use token::Algorithm;
pub use websocket::{Reply, Said, Talk, What};
pub use when::When;

use crate::exit;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};

/// What a server is to be.
#[derive(Serialize, Deserialize)]
pub enum Service {
    Http(Vec<Route>),
    /// With routes that are asked first.
    Oidc(Oidc, Vec<Route>),
    Smtp(Smtp),
}

impl Service {
    /// As the server reads it from stdin.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The scheme of its address.
    pub fn scheme(&self) -> &'static str {
        match self {
            Self::Http(_) | Self::Oidc(..) => "http",
            Self::Smtp(_) => "smtp",
        }
    }

    /// The line that says that it listens; also a pattern for it.
    pub fn listening(&self, port: u16) -> String {
        format!("listening on {}://127.0.0.1:{port}", self.scheme())
    }
}

/// What `ps`, `ss` and `port_owner` call its process; at most 15 bytes (prctl(2)).
const NAME: &std::ffi::CStr = c"bgjobs-mock";

/// Serves until it is killed. Returns the exit code when it cannot.
pub fn serve(port: u16) -> i32 {
    // It was executed as /proc/self/exe, so that `ps` and `ss` call it `exe`. Its threads have the name from it.
    let _ = nix::sys::prctl::set_name(NAME);
    let failed = |message: String| {
        let _ = writeln!(std::io::stderr(), "mock: {message}");
        exit::INFRASTRUCTURE
    };
    let mut text = String::new();
    if let Err(e) = std::io::stdin().lock().read_to_string(&mut text) {
        return failed(format!("cannot read the routes: {e}"));
    }
    let Ok(service) = serde_json::from_str::<Service>(&text) else {
        return failed(
            "standard input has no routes; `mock(routes)` in a script starts this server".to_owned(),
        );
    };
    let listening = service.listening(port);
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(listener) => listener,
        Err(e) => return failed(format!("cannot listen on port {port}: {e}")),
    };
    // A machine without IPv6 has only the other.
    let also = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).ok();
    record::now_ms();
    record::say(&listening);
    match service {
        Service::Http(routes) => {
            let mock = server::Mock::new(routes, None);
            accept(&listener, also.as_ref(), &|stream| mock.converse(stream));
        }
        Service::Oidc(oidc, routes) => {
            let Some(provider) = oidc::Provider::new(oidc) else {
                return failed("its key is not one".to_owned());
            };
            let mock = server::Mock::new(routes, Some(provider));
            accept(&listener, also.as_ref(), &|stream| mock.converse(stream));
        }
        Service::Smtp(smtp) => accept(&listener, also.as_ref(), &|stream| smtp.converse(&stream)),
    }
    exit::OK
}

/// Gives every connection to a thread of its own. What a machine has no room for is closed, and comes again.
fn accept(listener: &TcpListener, also: Option<&TcpListener>, each: &(dyn Fn(TcpStream) + Sync)) {
    std::thread::scope(|scope| {
        let accept = |listener: &TcpListener| {
            for stream in listener.incoming().flatten() {
                let _ = std::thread::Builder::new().spawn_scoped(scope, move || each(stream));
            }
        };
        if let Some(also) = also {
            let _ = std::thread::Builder::new().spawn_scoped(scope, move || accept(also));
        }
        accept(listener);
    });
}
