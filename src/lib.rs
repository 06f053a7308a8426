//! A drop-in sendmail 8: the rooms of the house, in reading order.
//!
//! Bytes come in (SMTP or standard input), become an [`envelope`], are made
//! durable in the [`queue`], and leave through a [`mailer`]. A room may use the
//! rooms above it in this list, never one below; `tests/layering.rs` holds it to that.

pub mod logging;
pub mod sys;
pub mod text;

pub mod macros;
pub mod message;
pub mod smtp;
pub mod token;

pub mod dns;
pub mod mailer;
pub mod map;
pub mod safefile;

pub mod rewrite;

pub mod config;

pub mod envelope;

pub mod alias;
pub mod client;
pub mod host_status;
pub mod mta;
pub mod queue;

pub mod bounce;
pub mod delivery;

pub mod server;
pub mod submit;

pub mod cli;
pub mod daemon;
pub mod test_mode;
pub mod tools;
