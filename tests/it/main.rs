//! One integration binary: every test drives the built `bgjobs` as a user would.

#![allow(clippy::disallowed_methods, reason = "no reaper runs in the tests' own process")]

mod error;
mod kill;
mod script;
mod support;
