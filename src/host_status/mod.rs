//! What is known of remote hosts.
//!
//! - [`record`]: what is kept of one host, and its text form;
//! - [`directory`]: the files under `HostStatusDirectory`, shared by all processes;
//! - [`memory`]: what one queue run learned.

pub mod directory;
pub mod memory;
pub mod record;

pub use directory::{HostLock, HostStatusDirectory, Listed};
pub use memory::HostMemory;
pub use record::HostRecord;
