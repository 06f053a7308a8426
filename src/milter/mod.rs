//! Mail filters: our side of the milter protocol, version 6.
//!
//! A session asks the filters of its port about each step of the dialogue, in their order;
//! the first that does not say "go on" decides. In reading order:
//!
//! - [`packet`]: commands and answers as octets.
//! - [`negotiation`]: what both sides can do.
//! - [`link`]: the connection to one filter, and its patience.
//! - [`symbols`]: which macros are told at which step.
//! - [`filter`]: one filter in a session: its state, and one question.
//! - [`chain`]: the filters of a session in their order.
//! - [`message`]: the questions about a whole message.
//! - [`edits`]: what filters change in a header.
//!
//! Source: guide 5.11; libmilter 1.0.1; order, texts and answers observed: 8.17.1.9.

pub mod chain;
pub mod edits;
pub mod filter;
pub mod link;
pub mod message;
pub mod negotiation;
pub mod packet;
pub mod symbols;

pub use chain::{Asking, Chain, Decision, Opening, Peer};
pub use edits::HeaderSheet;
pub use message::{Letter, Outcome};
pub use packet::Edit;
