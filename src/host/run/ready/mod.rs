//! What can be waited for, and waiting for it.
//!
//! ```text
//! prober       what can be waited for, and one attempt after the other
//! readiness    when a job is ready, and waiting until it is
//! ```

pub mod prober;
pub mod readiness;
