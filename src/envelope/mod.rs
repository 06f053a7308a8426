//! The message in hand: envelope, sender, recipients and what became of them.
//!
//! In reading order:
//! - `id`: [`QueueId`], the name of a message in logs and in the queue;
//! - `outcome`: [`DeliveryStatus`], what became of one recipient;
//! - `dsn`: [`Notify`], [`Return`], [`EnvelopeDsn`], the parameters of RFC 3461;
//! - `recipient`: [`Recipient`], [`RecipientState`], [`ControllingUser`];
//! - `flags`: [`EnvelopeFlags`], the letters of the `F` line of a queue file;
//! - `transcript`: [`Transcript`], what a failure report quotes of the sessions;
//! - [`receipt`]: which receipt a delivery owes;
//! - `message`: [`Envelope`] and [`Sender`];
//! - `process`: macros of the process and of earlier attempts;
//! - `priority`: initial priority, class and ageing;
//! - `prepare`: default header fields, class, priority, the `from=` line;
//! - `split`: one envelope into several, by owner, queue group or recipient limit.

mod dsn;
mod flags;
mod id;
mod message;
mod outcome;
pub mod prepare;
pub mod priority;
mod process;
pub mod receipt;
mod recipient;
pub mod split;
mod transcript;

pub use dsn::{EnvelopeDsn, Notify, NotifyWhen, OriginalRecipient, Return};
pub use flags::EnvelopeFlags;
pub use id::QueueId;
pub use message::{Envelope, Sender};
pub use outcome::DeliveryStatus;
pub use priority::{PriorityFactors, after_attempt, initial_priority, should_queue};
pub use process::set_process_macros;
pub use recipient::{ControllingUser, Recipient, RecipientState};
pub use transcript::{Transcript, TranscriptPlace};
