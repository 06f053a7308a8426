//! May this file be trusted?
//!
//! Reading order:
//!
//! - [`policy`]: the words of `DontBlameSendmail`.
//! - [`check`]: rules for each purpose, and opening under them.

pub mod check;
pub mod policy;

pub use check::{Purpose, open, read, rules};
pub use policy::DontBlameSendmail;
