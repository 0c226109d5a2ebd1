//! Long texts on a terminal: shown by the user's pager.

use super::print::print;
use crate::exit;
use std::io::{IsTerminal, Write};
use std::process::{Command, Stdio};

/// As [`print()`], on a terminal by `$PAGER`, or `less`, when it is longer than the screen. `PAGER=cat` or an empty one prints
/// it as it is.
#[expect(clippy::disallowed_methods, reason = "no run is under way: there is neither a table nor a reaper")]
pub fn page(text: &str) -> i32 {
    let rows = std::env::var("LINES").ok().and_then(|rows| rows.parse().ok()).unwrap_or(24);
    if !std::io::stdout().is_terminal() || text.lines().count() < rows {
        return print(text);
    }
    let pager = std::env::var("PAGER").unwrap_or_else(|_| "less".to_owned());
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &pager]).stdin(Stdio::piped());
    if std::env::var_os("LESS").is_none() {
        // It ends at once when all fits, and leaves the text on the screen.
        command.env("LESS", "FRX");
    }
    let shown = command.spawn().and_then(|mut child| {
        if let Some(mut stdin) = child.stdin.take() {
            // Whoever quits early does not want the rest.
            let _ = stdin.write_all(text.as_bytes());
        }
        child.wait()
    });
    match shown {
        // 127: there is no such program.
        Ok(status) if status.code() != Some(127) && !pager.trim().is_empty() => exit::OK,
        _ => print(text),
    }
}
