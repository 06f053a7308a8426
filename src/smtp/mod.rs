//! The words of RFC 5321, used by server and client alike.
//!
//! Nothing here touches a socket or the configuration: these are the types
//! that replies, commands, parameters and lines are parsed into and written
//! from. In reading order:
//!
//! - [`exit`]: the sysexits a mailer or a rule may name, and what they mean in SMTP.
//! - [`status`]: enhanced status codes (RFC 3463).
//! - [`reply`]: reply codes and whole replies, one line or several.
//! - [`verdict`]: what a ruleset hook said about a client, sender or recipient.
//! - [`command`]: one command line, split into verb and argument.
//! - [`xtext`]: the encoding of parameter values (RFC 3461).
//! - [`parameter`]: the parameters of MAIL and RCPT.
//! - [`utf8_address`]: addresses beyond ASCII in parameter values.
//! - [`extension`]: the keywords of an EHLO reply.
//! - [`line`]: command lines out of a stream of octets, with a length limit.
//! - [`dot`]: the end of DATA and dot-stuffing, both ways.

pub mod command;
pub mod dot;
pub mod exit;
pub mod extension;
pub mod line;
pub mod parameter;
pub mod reply;
pub mod status;
pub mod utf8_address;
pub mod verdict;
pub mod xtext;

pub use command::{Command, Verb};
pub use exit::ExitStatus;
pub use extension::Extensions;
pub use reply::{Reply, ReplyCode, shows_address, without_codes};
pub use status::EnhancedStatus;
pub use verdict::Verdict;
