//! What fails inside a module of the standard library is told of the function that was called: nobody has to know which
//! others that is written with.

use crate::api::{self, modules, usage};
use crate::event::Failure;
use crate::exit;

/// What modules read the files with that their callers name.
const READERS: &[&str] = &[
    "read_file",
    "read_json",
    "read_yaml",
    "read_toml",
    "parse_json",
    "parse_yaml",
    "parse_toml",
    "load_env",
];

/// Whether a function of ours refuses what the caller of the module has said. An option of it may be the module's.
fn is_handed_on(inner: &str, rest: &str) -> bool {
    api::named(inner).next().is_some() && !rest.starts_with("option `")
}

/// `services::start`, of a documented function of a module that errors call `std/services`.
pub(super) fn named(module: &str, function: &str) -> Option<String> {
    let module = modules::module(module)?;
    module.names().contains(&function).then(|| format!("{}::{function}", module.short_name()))
}

/// `is_of_type`: a value was of another type than what the module does with it.
pub(super) fn tell(failure: &mut Failure, called: &str, is_of_type: bool) {
    if let Some((inner, rest)) = failure.message.split_once(": ")
        && (READERS.contains(&inner) || failure.code == exit::USAGE && is_handed_on(inner, rest))
    {
        failure.message = format!("{called}: {rest}");
    }
    if is_of_type && let Some(call) = usage::example(called) {
        failure.hint = Some(call.to_owned());
    }
}
