//! Each script of this repository is a test of its own, named after its path: those that assert for themselves, those
//! whose whole error message stands beside them, and the examples of the modules.

#![allow(clippy::disallowed_methods, reason = "no reaper runs in the tests' own process")]

mod assertion;
mod example;
mod message;
#[path = "../it/support.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod support;

datatest_stable::harness! {
    { test = assertion::passes, root = "tests/script", pattern = r"^[^/]+/[^/]+\.rhai$" },
    { test = message::is_whole, root = "tests/error", pattern = r"^[^/]*\.rhai$" },
    { test = example::runs, root = "stdlib", pattern = r"\.rhai$" },
}
