//! What a thread remembers from one delivery to the next.
//!
//! Open sessions outlive a message; what is known of failed hosts lasts for one
//! run only and is emptied before the next by [`HostMemory::forget`].

use crate::client::ConnectionCache;
use crate::config::options::Options;
use crate::host_status::HostMemory;

/// Sessions and hosts one thread knows.
pub struct Memory {
    /// Open sessions.
    pub connections: ConnectionCache,
    /// Hosts that failed in this run.
    pub hosts: HostMemory,
}

impl Memory {
    /// Makes an empty memory with the sizes the options want.
    pub fn new(options: &Options) -> Self {
        let delivering = &options.delivering;
        Memory {
            connections: ConnectionCache::new(
                delivering.connection_cache_size,
                delivering.connection_cache_timeout,
            ),
            hosts: HostMemory::default(),
        }
    }

    /// Says whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty() && self.hosts.is_empty()
    }
}
