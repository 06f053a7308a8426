//! What one queue run learned about hosts.
//!
//! A host that could not be reached for one message is not tried for the next
//! one of the same run. The memory belongs to one thread and is emptied before
//! each run: a host that was down an hour ago deserves a new attempt.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::client::Outcome;
use crate::smtp::ExitStatus;

/// Most hosts remembered.
const MAX_HOSTS: usize = 10_000;

/// The last failure of each host.
#[derive(Debug, Default)]
pub struct HostMemory {
    /// The status files of hosts are passed by: somebody asked for these messages.
    pub passes_files_by: bool,
    hosts: HashMap<(Vec<u8>, Vec<u8>), (Instant, Outcome)>,
}

impl HostMemory {
    /// Notes the outcome at a host; success clears it.
    pub fn note(&mut self, mailer: &[u8], host: &[u8], outcome: &Outcome) {
        let key = key(mailer, host);
        if outcome.exit == ExitStatus::Ok {
            self.hosts.remove(&key);
            return;
        }
        if self.hosts.len() >= MAX_HOSTS {
            self.hosts.clear();
        }
        self.hosts.insert(key, (Instant::now(), outcome.clone()));
    }

    /// Finds a failure younger than `limit`.
    pub fn recent_failure(&self, mailer: &[u8], host: &[u8], limit: Duration) -> Option<&Outcome> {
        let (when, outcome) = self.hosts.get(&key(mailer, host))?;
        (when.elapsed() < limit).then_some(outcome)
    }

    /// Says whether no failure is known.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Forgets everything, before the next run.
    pub fn forget(&mut self) {
        self.hosts.clear();
    }
}

fn key(mailer: &[u8], host: &[u8]) -> (Vec<u8>, Vec<u8>) {
    (mailer.to_ascii_lowercase(), host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_remembered_until_something_works() {
        let limit = Duration::from_secs(60);
        let mut memory = HostMemory::default();
        let refused = Outcome::not_connected(b"Connection refused by a.test.", b"a.test.");
        memory.note(b"esmtp", b"a.test.", &refused);
        assert_eq!(
            memory.recent_failure(b"ESMTP", b"A.test.", limit),
            Some(&refused)
        );
        assert_eq!(
            memory.recent_failure(b"esmtp", b"a.test.", Duration::ZERO),
            None
        );
        let sent = Outcome::new(ExitStatus::Ok, refused.logged);
        memory.note(b"esmtp", b"a.test.", &sent);
        assert_eq!(memory.recent_failure(b"esmtp", b"a.test.", limit), None);
    }
}
