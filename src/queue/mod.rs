//! The queue on disk: what is accepted is here until it is delivered or returned.
//!
//! Nobody outside this room opens, names or removes a queue file, and nothing
//! outside may assume that an entry in hand has files behind it.
//!
//! In reading order:
//! - `id`: [`QueueIdSource`], unique names over all threads;
//! - `directory`: [`QueueDirectory`] (`qf/ df/ xf/` layouts) and [`DirectorySync`];
//! - `control_file`: the `qf` text; `record` holds its smaller pieces;
//! - `entry`: [`NewEntry`] to [`LockedEntry`]; the only renamer of queue files;
//! - `take`: an existing entry back into hand, or out of the way when damaged;
//! - `group`: [`QueueGroup`] and [`Queue`], all groups of one configuration;
//! - `scan`: list, select and order for a queue run;
//! - `listing`: what mailq prints;
//! - `record`: all that a control file says, for who only looks;
//! - `quarantine`: `-Q`; `amend`: held, released, deleted and moved by hand;
//! - `cleaning`: leftovers of a crash;
//! - `space`: room on its disk;
//! - `durability`, `store`, `summary`: what these have in common.

mod amend;
pub mod cleaning;
pub mod control_file;
mod directory;
mod durability;
mod entry;
mod group;
mod header_record;
mod id;
pub mod listing;
mod locked;
mod quarantine;
mod record;
mod scan;
mod space;
mod store;
mod summary;
mod take;

pub use amend::{AmendError, Grip};
pub use control_file::{BodyPlace, ControlFileFault, ControlFileFormat, ParsedControlFile};
pub use directory::{DirectorySync, FileKind, QueueDirectory};
pub use durability::{CommitError, Committed, Durability, QueueFault};
pub use entry::{EntryName, LockedEnvelope, NewEntry};
pub use group::{Queue, QueueGroup, QueueOpenError, refuse_relative, starred_directories};
pub use header_record::stored_size;
pub use id::QueueIdSource;
pub use locked::LockedEntry;
pub use quarantine::{QuarantineChange, set_quarantine};
pub use record::{FieldRecord, Observed, RecipientRecord, Record};
pub use scan::{Candidate, Match, MatchField, Rank, Scan, ScanLimits, Selection};
pub use space::LowOnSpace;
pub use summary::Summary;
pub use take::{Complaint, TakeError, Taken};

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
