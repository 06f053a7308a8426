//! Reports to senders: failures, delays, receipts, and what to do when nobody can be told.
//!
//! This room decides who is told what, writes the report and queues it; it never
//! sends. Delivery calls it when a message has been worked on: first
//! [`expire`], then [`send_notices`]; only after that it strikes recipients.
//!
//! In reading order:
//! - `expire`: recipients that waited too long, and warnings that are due;
//! - `notify`: who is owed what: [`Notice`];
//! - `wording`: the lines about one recipient, in both parts of a report;
//! - `report`: the body of a report (RFC 3464);
//! - `returned`: the addresses of the header in it;
//! - `from_quoter`: `From ` at the start of its lines;
//! - `compose`: the envelope and header around it;
//! - `post`: resolve whom it goes to, queue it, fall back to the postmaster;
//! - `last_resort`: the file `dead.letter`.

mod compose;
mod expire;
mod from_quoter;
mod last_resort;
mod notify;
mod post;
mod report;
mod returned;
mod wording;

pub use expire::{Expiry, QueueTimes, expire, expire_deadline};
pub use last_resort::{DeadLetter, drop_letter, save_dead_letter};
pub use notify::{Notice, NoticeKind, NoticeRules, notices_for, postmaster_copy};
pub use post::{Fate, NOWHERE, Posted, look_for_sender, send_copy, send_notices};
