//! Mocks: stand-in servers as ordinary jobs, started by executing this program again.
//!
//! ```text
//! started   starts one
//! matching  which requests are meant, in option maps
//! routes    `mock(routes)`
//! requests  what it got: `.requests()`, `.assert_called(…)`
//! ```

mod matching;
mod requests;
mod routes;
mod started;

use crate::host::value::described::Entry;

pub const FUNCTIONS: &[Entry] = &[routes::MOCK, requests::REQUESTS, requests::ASSERT_CALLED];
