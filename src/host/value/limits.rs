//! How large a script and what it holds may become.

pub const MOST_CALLS: usize = 1000;
pub const LARGEST_STRING: usize = 64 << 20;
/// Of an array or a map.
pub const MOST_ITEMS: usize = 1_000_000;
