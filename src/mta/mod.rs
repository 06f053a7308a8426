//! The shared handles made from one configuration.
//!
//! [`Mta`] is what a thread needs to do any work: the configuration and what was
//! opened because of it. It is made anew at each reload; what lives as long as the
//! process is in [`Lifetime`], made once. [`Workspace`] belongs to one thread and
//! is never shared.

mod memory;

use std::sync::Arc;

use crate::alias::database::AliasDatabase;
use crate::config::Config;
use crate::dns::Resolver;
use crate::logging::debug::DebugFlags;
use crate::logging::narrator::{Narrator, Silent};
use crate::logging::record::MailLog;
use crate::logging::traffic::TrafficLog;
use crate::map::MapSet;
use crate::queue::{DirectorySync, Queue, QueueIdSource};
use crate::sys::clock::Clock;
use crate::sys::identity::UserDatabase;
use crate::sys::privilege::Privileged;

pub use memory::Memory;

/// What is made once and lives as long as the process.
pub struct Lifetime {
    /// Draws queue identifiers.
    pub queue_ids: Arc<QueueIdSource>,
    /// Shares the syncs of queue folders between threads.
    pub directory_sync: Arc<DirectorySync>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The accounts of the system.
    pub users: Arc<dyn UserDatabase>,
    /// Root's rights, where there are any.
    pub privileged: Arc<dyn Privileged>,
}

/// One configuration and all that was opened because of it.
pub struct Mta {
    /// What the configuration file says.
    pub config: Arc<Config>,
    /// Maps of the K lines.
    pub maps: MapSet,
    /// The alias databases.
    pub aliases: AliasDatabase,
    /// The queue; tools that need none are made without it.
    pub queue: Arc<Queue>,
    /// Host names and addresses.
    pub resolver: Arc<dyn Resolver>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The accounts of the system.
    pub users: Arc<dyn UserDatabase>,
    /// Root's rights, where there are any.
    pub privileged: Arc<dyn Privileged>,
    /// What outlives this configuration.
    pub lifetime: Arc<Lifetime>,
    /// The mail log, with the configuration's LogLevel.
    pub log: MailLog,
    /// The `-d` flags.
    pub debug: Arc<DebugFlags>,
    /// The traffic log of `-X`.
    pub traffic: Arc<TrafficLog>,
}

/// What one thread keeps to itself while it works.
pub struct Workspace {
    /// Whom progress is told to (`-v`).
    pub narrator: Box<dyn Narrator>,
}

impl Default for Workspace {
    fn default() -> Self {
        Workspace {
            narrator: Box::new(Silent),
        }
    }
}
