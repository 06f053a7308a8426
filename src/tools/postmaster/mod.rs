//! `sendmail --queue`: what a postmaster does to the queue by hand.
//!
//! In reading order:
//! - [`request`]: what is asked for: an action and which entries;
//! - [`selection`]: the entries that are meant, found and looked at again under the lock;
//! - [`act`]: each action, and what became of it;
//! - [`json`]: an entry as one object, for `mailq --json` and the others;
//! - [`show`]: entries listed and shown;
//! - [`watch`]: `mailq --watch`.
//!
//! An action locks its entry as a queue runner does, so both programs may run the queue
//! meanwhile: what is being delivered is told to be busy and left alone. Held is what
//! `-Q` makes it: an `hf` file with a reason, which `mailq -qQ` of either program shows.

pub mod act;
pub mod json;
pub mod request;
pub mod selection;
pub mod show;
pub mod watch;

pub use act::run;
pub use request::{Action, Request};
