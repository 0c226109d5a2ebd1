//! What `bgjobs test --watch` says between its rounds.

use super::print::print_error;
use super::style::Style;
use std::fmt::Write;

/// What is waited for, and which keys there are.
pub fn watching(scripts: usize, failed: usize, style: Style) {
    let mut keys = "a all".to_owned();
    if failed > 0 {
        let _ = write!(keys, ", f failed ({failed})");
    }
    let line = format!("watching {}: {keys}, Enter again, q quit", counted(scripts));
    print_error(&format!("{}\n", style.note(&line)));
}

/// What has changed, and how many scripts run because of it.
pub fn changed(names: &[String], scripts: usize, style: Style) {
    const MOST: usize = 3;
    let mut what = names.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > MOST {
        let _ = write!(what, " and {} more", names.len() - MOST);
    }
    let line = format!("changed: {what}: running {}", counted(scripts));
    print_error(&format!("{}\n", style.note(&line)));
}

/// A changed file of defaults has a mistake, which was told.
pub fn old_defaults(path: &str, style: Style) {
    print_error(&format!("{}\n", style.note(&format!("{path}: what it said before goes on to hold"))));
}

pub fn nothing_failed(style: Style) {
    print_error(&format!("{}\n", style.note("no script has failed")));
}

fn counted(scripts: usize) -> String {
    if scripts == 1 { "1 script".to_owned() } else { format!("{scripts} scripts") }
}
