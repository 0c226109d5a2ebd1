//! What can be waited for, and waiting for it.
//!
//! ```text
//! condition    what can be waited for
//! prober       one attempt after the other at what is waited for
//! readiness    when a job is ready, as its options say
//! starting     waiting until jobs are ready
//! ```

pub mod condition;
pub mod prober;
pub mod readiness;
pub mod starting;
