//! Mocks: stand-in servers as ordinary jobs, started by executing this program again.
//!
//! ```text
//! started   starts one
//! matching  which requests are meant, in option maps
//! routes    `mock(routes)`
//! stream    the option `stream` of an answer
//! websocket the option `ws` of an answer
//! requests  what it got: `.requests()`, `.assert_called(…)`
//! oidc      `mock_oidc()`, `.token()`
//! smtp      `mock_smtp()`, `.mails()`
//! ```

mod matching;
mod oidc;
mod requests;
mod routes;
mod smtp;
mod started;
mod stream;
mod websocket;

use crate::host::value::described::Entry;

pub const FUNCTIONS: &[Entry] = &[
    routes::MOCK,
    requests::REQUESTS,
    requests::ASSERT_CALLED,
    smtp::MOCK_SMTP,
    smtp::MAILS,
    oidc::MOCK_OIDC,
    oidc::TOKEN,
];
