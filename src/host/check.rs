//! What is checked before anything runs.

use crate::event::Failure;
use rhai::{AST, Engine};

/// Checks a compiled script.
pub fn check(_engine: &Engine, _ast: &AST, _source: &str) -> Result<(), Failure> {
    Ok(())
}
