//! Texts on stdout and stderr where no thread writes for us: before a run, beside it, after it.

use super::failure::{failure, failure_headed};
use super::out::UNREAD;
use super::said::{is_order, said};
use super::status;
use super::style::Style;
use super::words::unwritable;
use crate::event::Failure;
use crate::exit;
use crate::jobs;
use crate::sys::fd::{self, Written};
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// An error of bgjobs itself, before there is a run.
pub fn plain_error(error: &anyhow::Error) {
    let mut parts: Vec<String> = error.chain().map(ToString::to_string).collect();
    let cause = error.root_cause();
    let of_system = cause.downcast_ref::<nix::errno::Errno>().map(|errno| *errno as i32);
    let of_library = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
    if let (Some(last), Some(number)) = (parts.last_mut(), of_system.or(of_library)) {
        *last = jobs::why(std::io::Error::from_raw_os_error(number));
    }
    print_error(&format!("error: {}\n", parts.join(": ")));
}

/// A failure outside of a run.
pub fn print_failure(what: &Failure, style: Style) {
    print_error(&failure(what, style));
}

/// What is not wrong, but is better done otherwise.
pub fn print_warning(what: &Failure, style: Style) {
    print_error(&failure_headed(&style.warning("warning:"), what, style));
}

/// Findings of a check for programs, on stdout.
#[must_use]
pub fn findings(all: &[Failure]) -> i32 {
    let object = |it: &Failure| {
        let place = it.place.as_ref();
        serde_json::json!({
            "path": place.map(|place| &place.file), "line": place.map(|place| place.line),
            "column": place.map(|place| place.column),
            "severity": if it.code == exit::OK { "warning" } else { "error" },
            "message": it.message, "notes": it.notes, "hint": it.hint,
        })
    };
    print_json(&all.iter().map(object).collect())
}

/// What a command was asked for, on stdout, as long as somebody reads it. The exit code: as if SIGPIPE had ended us when
/// nobody does.
#[must_use]
pub fn print(text: &str) -> i32 {
    print_as_it_is(&said(text))
}

/// The same for a text of ours alone, with its own colours.
#[must_use]
pub fn print_as_it_is(text: &str) -> i32 {
    match write_to(std::io::stdout().as_fd(), text.as_bytes(), &|| false) {
        Ok(()) | Err(Written::Stalled | Written::Bytes(_)) => exit::OK,
        Err(Written::Gone) => exit::BROKEN_PIPE,
        Err(Written::Failed(errno)) => {
            print_error(&format!("error: {}\n", unwritable("stdout", errno as i32)));
            exit::INFRASTRUCTURE
        }
    }
}

/// As [`print()`], for machines: what would order a terminal about is written as JSON can write it.
#[must_use]
pub fn print_json(value: &serde_json::Value) -> i32 {
    let escaped = |c: char| if is_order(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    print(&format!("{value:#}\n").chars().map(escaped).collect::<String>())
}

/// Whole lines on stderr.
pub(super) fn print_error(text: &str) {
    print_error_unless(text, &|| false);
}

/// The same for a process that signals do not end: given up once somebody wants that.
pub(super) fn print_error_unless(text: &str, hurry: &dyn Fn() -> bool) {
    // Who has no stderr cannot be told so.
    let _ = write_to(std::io::stderr().as_fd(), said(text).as_bytes(), hurry);
}

/// What a run has said already, as it stands there, on stderr.
pub(super) fn repeat_unless(mut said: &File, hurry: &dyn Fn() -> bool) {
    let mut piece = vec![0; 1 << 16];
    let mut last = b'\n';
    // Neither who cannot be read nor who does not read is anybody's who waits for the verdict.
    while let Ok(length @ 1..) = said.read(&mut piece) {
        last = piece[length - 1];
        if write_to(std::io::stderr().as_fd(), &piece[..length], hurry).is_err() {
            return;
        }
    }
    if last != b'\n' {
        let _ = write_to(std::io::stderr().as_fd(), b"\n", hurry);
    }
}

/// Takes away what is left of the line that says what is waited for: whoever has drawn it does not do so any more. It stands
/// behind the cursor, as nothing else does.
pub fn erase_status() {
    if status::is_capable(std::io::stderr().is_terminal()) {
        fd::write_some(std::io::stderr().as_fd(), status::ERASE, Duration::ZERO);
    }
}

/// Lines on stderr that nobody needs to wait for: lost when the reader does not take them now.
pub fn hint(text: &str) {
    fd::write_some(std::io::stderr().as_fd(), said(text).as_bytes(), Duration::ZERO);
}

/// A short text on stderr, if whoever reads that takes it at once; whether that is so. Otherwise nothing is written.
#[must_use]
pub fn said_at_once(text: &str) -> bool {
    let text = said(text);
    match fd::write_some(std::io::stderr().as_fd(), text.as_bytes(), Duration::ZERO) {
        Written::Bytes(n) => write_to(std::io::stderr().as_fd(), &text.as_bytes()[n..], &|| false).is_ok(),
        Written::Stalled | Written::Gone | Written::Failed(_) => false,
    }
}

/// Writes as long as somebody reads; in a `hurry` gives up on a reader that takes nothing for [`UNREAD`].
fn write_to(target: BorrowedFd, mut bytes: &[u8], hurry: &dyn Fn() -> bool) -> Result<(), Written> {
    const LOOK: Duration = Duration::from_millis(50);
    let mut unread = Duration::ZERO;
    while !bytes.is_empty() {
        match fd::write_some(target, bytes, LOOK) {
            Written::Bytes(n) => (bytes, unread) = (&bytes[n..], Duration::ZERO),
            Written::Stalled if unread >= UNREAD => return Err(Written::Stalled),
            Written::Stalled => unread += if hurry() { LOOK } else { Duration::ZERO },
            lost @ (Written::Gone | Written::Failed(_)) => return Err(lost),
        }
    }
    Ok(())
}
