//! The SMTP server.
//!
//! A session is a machine without sockets: octets in, replies out, and calls of
//! the rooms below for real work. In reading order:
//!
//! - [`connection`]: where a connection comes from and who is at its other end.
//! - [`proxy_header`]: what a proxy tells in front of a connection.
//! - [`session`]: [`session::Session::step`], input and output of the machine.
//! - [`help_file`]: what HELP tells.
//! - `ident`: who runs the program at the other end.
//! - `state`: where a session is, and facts of the transaction.
//! - `access`: connect, greeting, and the beginning and end of envelopes.
//! - `wrappers`: whom `/etc/hosts.allow` and `/etc/hosts.deny` let in.
//! - [`features`]: what one client is offered.
//! - [`guard`]: limits on useless commands.
//! - `haste`: commands of clients that may not send several at once.
//! - `verb`: one file per verb family.
//! - `addressing`: the arguments of MAIL and RCPT.
//! - `rules`: hooks and addresses asked of the rulesets.
//! - `existence`: whether a recipient exists, and who is behind it.
//! - `collect`: the text of a message as it arrives.
//! - `secure`: TLS between the client and the session.
//! - `filters`: when mail filters are asked, and what their answers mean.
//! - `desk`: what filters change in the message at hand.
//! - `accept`: the end of DATA.
//! - `reply`: saying and noting.
//! - [`wording`]: how replies are worded.
//! - [`standard`]: a session on standard input and output.

mod accept;
mod access;
mod addressing;
mod collect;
pub mod connection;
mod desk;
mod existence;
pub mod features;
mod filters;
pub mod guard;
mod haste;
pub mod help_file;
mod ident;
pub mod proxy_header;
mod reply;
mod rules;
mod secure;
pub mod session;
pub mod standard;
mod state;
#[cfg(test)]
mod tests;
mod verb;
pub mod wording;
mod wrappers;

pub use connection::{Connection, ConnectionKind, Rates};
pub use session::{Input, Interest, Outlet, Session, Step};
