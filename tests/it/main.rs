//! One integration binary: every test drives the built `bgjobs` as a user would.

mod error;
mod kill;
mod script;
mod support;
