//! Mailer definitions: the M lines.
//!
//! Reading order:
//!
//! - [`definition`]: one M line with all its fields, and their defaults.
//! - [`table`]: all mailers of a configuration, in the order they were defined.
//! - [`triple`]: mailer, host and user, what ruleset 0 resolves an address to.

pub mod definition;
pub mod table;
pub mod triple;

pub use crate::message::FlagLetters as MailerFlags;
pub use definition::{Invocation, Mailer, MailerIdentity, RewritePair};
pub use table::{MailerId, MailerTable};
pub use triple::MailerTriple;
