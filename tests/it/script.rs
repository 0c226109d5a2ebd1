//! Scripts that assert for themselves: see tests/script.
