//! The texts of scripts, and what is written in them.
//!
//! ```text
//! captured     what closures share, when they run at the same time
//! functions    the functions that scripts define, by name
//! import       where modules come from
//! ```

pub mod captured;
pub mod functions;
pub mod import;
