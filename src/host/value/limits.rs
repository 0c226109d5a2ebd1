//! How large a script and what it holds may become.

/// How many short texts of a script are kept once for all places, as Rhai does by itself.
pub const MOST_INTERNED: usize = 256;
pub const MOST_CALLS: usize = 1000;
pub const LARGEST_STRING: usize = 64 << 20;
/// Of an array or a map.
pub const MOST_ITEMS: usize = 1_000_000;
