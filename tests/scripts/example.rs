//! The example at the top of each module of `stdlib` runs as it is.

use crate::assertion::LONGEST;
use crate::support::{Script, search_path, skip};
use std::path::Path;

/// Modules whose example needs more than a server: a container engine with images, files of a project.
const NOT_ALONE: &[&str] = &[
    "cargo.rhai",
    "compose.rhai",
    "docker.rhai",
    "node.rhai",
    "procfile.rhai",
    "python.rhai",
    "services.rhai",
];

/// The first ```` ```rhai ```` block of a module's header, as a script.
fn example(module: &str) -> String {
    let header = module.lines().map_while(|line| line.strip_prefix("//!"));
    let block = header.skip_while(|line| line.trim() != "```rhai").skip(1);
    let lines: Vec<&str> = block.take_while(|line| line.trim() != "```").collect();
    lines.join("\n")
}

pub fn runs(module: &Path) -> datatest_stable::Result<()> {
    if NOT_ALONE.iter().any(|name| module.ends_with(name)) {
        return Ok(());
    }
    let code = example(&std::fs::read_to_string(module)?);
    if code.is_empty() {
        return Err("it has none".into());
    }
    let ran = Script::code(&code).option("--timeout").option(LONGEST).env("PATH", &search_path()).run();
    let missing = ran.stderr.contains("installed") && std::env::var_os("CI").is_none();
    if missing && ran.code != Some(0) {
        skip(&format!("the example of {}: {}", module.display(), ran.stderr));
        return Ok(());
    }
    if ran.code == Some(0) { Ok(()) } else { Err(ran.stderr.into()) }
}
