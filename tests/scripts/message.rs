//! Whole error messages: every `tests/error/NAME.rhai` is run, and all that bgjobs says about it must be what
//! stands in `NAME.stderr`. `BGJOBS_UPDATE=1` rewrites those files; read the difference before you commit it.
//!
//! Comments at the top of a script say how to run it: `//@ exit: 2` (the expected code), `//@ option: -I lib`.

use crate::support::{Ran, Script, repo};
use std::fs;
use std::path::Path;

pub fn is_whole(script: &Path) -> datatest_stable::Result<()> {
    let ran = run(script);
    let said = redact(&ran.stderr);
    let golden = script.with_extension("stderr");
    if std::env::var_os("BGJOBS_UPDATE").is_some() {
        fs::write(&golden, &said)?;
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    let code: i32 = header(script, "exit").first().and_then(|code| code.parse().ok()).unwrap_or(1);
    if said != expected {
        let difference = similar::TextDiff::from_lines(&expected, &said);
        let difference = difference.unified_diff().context_radius(50).header("expected", "said").to_string();
        return Err(format!("another message (BGJOBS_UPDATE=1 rewrites it)\n{difference}").into());
    }
    if ran.code != Some(code) {
        return Err(format!("exit code {:?}, expected {code}\n{said}", ran.code).into());
    }
    Ok(())
}

fn run(script: &Path) -> Ran {
    let name = script.file_name().expect("a file");
    let mut run = Script::file(name).cwd(repo("tests/error"));
    for option in header(script, "option") {
        run = run.option(&option);
    }
    run.run()
}

/// The words after `//@ key:` in a script.
fn header(script: &Path, key: &str) -> Vec<String> {
    let text = fs::read_to_string(script).expect("script is text");
    let start = format!("//@ {key}:");
    let line = text.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// Replaces what differs from run to run and from machine to machine: times, process ids, the run directory, the
/// number of directories in PATH.
fn redact(text: &str) -> String {
    let mut result = String::new();
    // On a busy machine every start is slow.
    for line in text.lines().filter(|line| !line.starts_with("slow start: ")) {
        let words: Vec<&str> = line.split(' ').collect();
        let next = |index: usize| words.get(index + 1).copied().unwrap_or_default();
        let words: Vec<String> =
            words.iter().enumerate().map(|(index, word)| redact_word(word, next(index))).collect();
        let mut line = words.join(" ");
        if line.starts_with("logs: ") {
            "logs: RUN".clone_into(&mut line);
        }
        result.push_str(&line);
        result.push('\n');
    }
    let result = redact_after(&result, "pid ", "PID");
    let mut result = redact_after(&result, "none of the ", "N");
    let root = repo("").display().to_string();
    result = result.replace(root.trim_end_matches('/'), "ROOT");
    result
}

fn redact_word(word: &str, next: &str) -> String {
    let is_time = |text: &str| {
        text.strip_suffix('s').is_some_and(|number| number.contains('.') && number.parse::<f64>().is_ok())
    };
    if word.strip_prefix('+').is_some_and(is_time) {
        return "+TIME".to_owned();
    }
    if word.strip_suffix(':').is_some_and(is_time) {
        return "TIME:".to_owned();
    }
    let is_unit = matches!(next, "ms)" | "s)" | "µs)");
    if is_unit && word.strip_prefix('(').is_some_and(|number| number.parse::<f64>().is_ok()) {
        return "(TIME".to_owned();
    }
    word.to_owned()
}

fn redact_after(text: &str, before: &str, shown: &str) -> String {
    let mut parts = text.split(before);
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        result.push_str(before);
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        if rest.len() < part.len() {
            result.push_str(shown);
        }
        result.push_str(rest);
    }
    result
}
