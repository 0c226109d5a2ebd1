//! One HTTP request.
//!
//! A small layer over `ureq` that says in words what went wrong and that a wait can rely on:
//!
//! * every request has a connection of its own ([`KeptOpen`] apart): no pool hands out one that the server has just
//!   closed;
//! * everything is bounded: the time of the whole request with its redirects and its body, and the body's size;
//! * `localhost` means 127.0.0.1 and ::1, whatever the resolver says, and loopback never goes through a proxy;
//! * a status is an answer, never an error.
//!
//! ```text
//! url        where a request goes
//! message    what is asked and what is answered
//! error      why there is no answer, as data
//! explain    why there is no answer, in words
//! flight     a request under way, seen from another thread
//! transport  how a connection is made
//! trust      whose certificates are believed, and which one is shown
//! exchange   sends a request and reads the answer
//! ```

mod error;
mod exchange;
mod explain;
mod flight;
mod message;
mod transport;
mod trust;
mod url;

pub use error::{Error, Reason};
pub use exchange::{KeptOpen, send};
pub(super) use exchange::{Watched, exchange, read_body};
pub(super) use explain::words;
pub use flight::Flight;
pub use message::{Request, Response, basic, encode_form, socket_path};
pub use trust::{Authorities, Identity, Trust};
pub use url::{Url, decode};
