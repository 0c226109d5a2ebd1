//! What a wait is woken by, and who goes on meanwhile.
//!
//! ```text
//! control   what wakes a wait, and whether the script may go on
//! strand    parts of the script that end by themselves, and take turns
//! files     files whose changes ring the bell
//! patient   files whose other end may keep one waiting
//! ```

pub mod control;
pub(super) mod files;
pub mod patient;
pub mod strand;
