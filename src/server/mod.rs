//! The SMTP server.
//!
//! A session is a machine without sockets: octets in, replies out, and calls of
//! the rooms below for real work. In reading order:
//!
//! - [`connection`]: where a connection comes from and who is at its other end.
//! - [`features`]: what one client is offered.
//! - [`guard`]: limits on useless commands.
//! - [`wording`]: how replies are worded.

pub mod connection;
pub mod features;
pub mod guard;
pub mod wording;
