//! The front door of users: a message on standard input becomes a queue entry.
//!
//! Reading order:
//! - [`arguments`]: what the command line says;
//! - [`submitter`]: who asks, and his full name;
//! - [`sender`]: the sender and what follows from him;
//! - [`input`]: reading the message;
//! - [`message`]: one submission from flags to committed entries;
//! - `telling`: what whoever runs the program is told of it;
//! - `header`: what the header says and lacks;
//! - `checks`: rulesets about the header;
//! - `broken`: addresses in it that cannot be read as they stand;
//! - `commit`: into the queue;
//! - [`warnings`]: what is said of a submitter who claims more than his name;
//! - [`verify`]: verify mode.

pub mod arguments;
mod broken;
mod checks;
mod commit;
mod header;
pub mod input;
pub mod message;
pub mod sender;
pub mod submitter;
mod telling;
pub mod verify;
pub mod warnings;

pub use arguments::SubmitArguments;
pub use message::{Next, Submission, submit_message};
pub use verify::{verify_addresses, verify_header};
