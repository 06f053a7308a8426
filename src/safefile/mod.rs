//! May this file be trusted?
//!
//! Reading order:
//!
//! - [`policy`]: the words of `DontBlameSendmail`.

pub mod policy;

pub use policy::DontBlameSendmail;
