//! The texts of scripts, and what is written in them.
//!
//! ```text
//! captured     what closures share, when they run at the same time
//! functions    the functions that scripts define, by name
//! import       where modules come from
//! named        which names a script can use
//! params       what the text of a script says about its parameters
//! text         the texts of scripts, and places in them
//! ```

pub mod captured;
pub mod functions;
pub mod import;
pub mod named;
pub mod params;
pub mod text;
