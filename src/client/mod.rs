//! The SMTP and LMTP client.
//!
//! - [`witness`]: who is told what happens: log, transcript, `-v`;
//! - [`outcome`]: what each reply means for a recipient;
//! - [`session`]: from the greeting to a session that waits for MAIL;
//! - [`secure`]: STARTTLS between two EHLO; [`rules`]: what the configuration says about it;
//! - [`authenticate`]: AUTH behind them;
//! - [`mail_command`]: MAIL for one server, or why the message is not for it;
//! - [`transaction`]: one message through a session; `transfer`: the message itself;
//! - `chunks`: the message itself in chunks;
//! - [`dialogue`]: commands out, replies in; [`answer`]: one reply; [`stream`]: the octets;
//! - [`connect`]: addresses of a host and connections to them;
//! - [`crowd`]: how many sessions with one host at a time;
//! - [`connections`]: sessions kept for the next message.

pub mod answer;
pub mod authenticate;
mod chunks;
pub mod connect;
pub mod connections;
pub mod crowd;
pub mod dialogue;
pub mod mail_command;
pub mod outcome;
pub mod rules;
pub mod secure;
pub mod session;
pub mod stream;
pub mod transaction;
mod transfer;
pub mod witness;

#[cfg(test)]
pub(crate) mod scripted_server;

pub use authenticate::{Login, LoginAnswer, LoginEvent, Logins};
pub use connections::{ConnectionCache, Farewell};
pub use crowd::{Crowd, Place};
pub use mail_command::{BeyondAscii, BodyRequest, Conversion, MailCommand, SevenBitServer};
pub use outcome::{Lost, Outcome, Phase};
pub use rules::{Rules, Security, Server};
pub use secure::TlsUse;
pub use session::{Esmtp, Manners, Protocol, Ready, Refusal};
pub use stream::{Stream, Transport};
pub use transaction::{Finished, MessageWriter, RcptCommand, Transaction};
pub use witness::Witness;
