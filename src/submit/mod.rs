//! The front door of users: a message on standard input becomes a queue entry.
//!
//! Reading order:
//! - [`arguments`]: what the command line says;
//! - [`submitter`]: who asks, and his full name;
//! - [`input`]: reading the message.

pub mod arguments;
pub mod input;
pub mod submitter;

pub use arguments::SubmitArguments;
