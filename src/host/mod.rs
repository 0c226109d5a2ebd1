//! The script functions: convert → call below → convert. The only folder that imports rhai.
//!
//! ```text
//! value       what a script holds → Rust, and back
//! source      the texts of scripts, and what is written in them
//! explain     an error → what is said about it
//! check       what is said before anything runs
//! run         doing something in a run: the runtime, starting, waiting
//! functions   one namespace a file
//! engine      the registry: which namespaces there are, limits, reserved words
//! pages       a page of the reference for each function
//! ctl         what `bgjobs ctl` asks for, done in the run
//! reference   the documentation of all functions
//! script      load, check, run, `on_exit`
//! ```
//!
//! Imports point one way: `value ← source ← explain ← { check, run } ← functions ← engine ← { reference, ctl } ← pages ←
//! script`.
//!
//! A function that can block checks [`run::runtime::Runtime::checkpoint`] and waits on the bell, never on a plain
//! sleep, so that an interrupt gets through.

mod check;
mod ctl;
mod engine;
mod explain;
mod functions;
mod pages;
mod reference;
mod run;
mod script;
mod source;
mod value;

pub use ctl::answer;
pub use functions::parallel::STACK;
pub use pages::brief;
pub use pages::entries_as_json;
pub use pages::overview;
pub use pages::pages;
pub use pages::search;
pub use reference::reference;
pub use run::death::other_deaths;
pub use run::death::unnoticed_death;
pub use run::death::unnoticed_stop;
pub use run::runtime::Options;
pub use run::runtime::Session;
pub use script::Script;
pub use script::built_in;
pub use script::built_in_text;
pub use script::check;
pub use script::findings;
pub use script::manual;
pub use script::plan;
pub use script::runs_alone;
pub use script::scripts_of;
