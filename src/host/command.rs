//! Commands: `run`, `try_run`, `output`.

use rhai::Engine;

pub fn register(_engine: &mut Engine) {}
