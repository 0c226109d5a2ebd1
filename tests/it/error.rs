//! Whole error messages: see tests/error.
