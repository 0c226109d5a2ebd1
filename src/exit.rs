//! The exit codes, once.

/// The script ended and every test passed.
pub const OK: i32 = 0;
/// An assertion or a test failed, or the script threw.
pub const FAILED: i32 = 1;
/// Usage, script not found, syntax error.
pub const USAGE: i32 = 2;
/// A wait or the whole run passed its deadline.
pub const TIMEOUT: i32 = 124;
/// The scenario's surroundings failed: a job died, a port was taken, bgjobs itself failed, something leaked.
pub const INFRASTRUCTURE: i32 = 125;
/// A command could not be executed.
pub const NOT_EXECUTABLE: i32 = 126;
/// A command was not found.
pub const NOT_FOUND: i32 = 127;
/// Nobody reads our stdout any more: as if SIGPIPE had ended us.
pub const BROKEN_PIPE: i32 = 128 + 13;

/// Ended by a signal, as shells count it.
pub const fn signal(number: i32) -> i32 {
    128 + number
}
