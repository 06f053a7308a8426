//! How many sessions this process has with one host at a time.
//!
//! Threads of the daemon deliver side by side, and a host that answers slowly
//! would soon have all of them at its door: servers have limits of their own
//! (Dovecot takes a hundred LMTP clients) and turn away who comes beyond. A
//! session therefore holds a [`Place`], and who finds none waits a while for one
//! to become free. The reference has no such bound, but neither as many processes.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

/// Most sessions with one host.
///
/// A fifth of what Dovecot and Postfix take by default, so that other clients find room.
pub const MAX_SESSIONS: usize = 20;

/// Counts open sessions by host.
#[derive(Debug, Default)]
pub struct Crowd {
    /// Open sessions of each host that has any; every delivery thread writes.
    open: Mutex<HashMap<Vec<u8>, usize>>,
    freed: Condvar,
}

/// The right to one session; given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    crowd: Arc<Crowd>,
    host: Vec<u8>,
}

impl Crowd {
    /// Takes a place at a host; `None` when all of them are taken.
    pub fn try_enter(self: &Arc<Self>, host: &[u8]) -> Option<Place> {
        self.enter(host, Instant::now())
    }

    /// Takes a place at a host, waiting for one until the deadline.
    pub fn enter(self: &Arc<Self>, host: &[u8], deadline: Instant) -> Option<Place> {
        let host = host.to_ascii_lowercase();
        let mut open = self.lock();
        loop {
            let count = open.get(&host).copied().unwrap_or(0);
            if count < MAX_SESSIONS {
                open.insert(host.clone(), count + 1);
                let crowd = Arc::clone(self);
                return Some(Place { crowd, host });
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            if left.is_zero() {
                return None;
            }
            open = match self.freed.wait_timeout(open, left) {
                Ok((open, _)) => open,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<u8>, usize>> {
        self.open
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.crowd.lock();
        if let Some(count) = open.get_mut(&self.host) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.host);
            }
        }
        drop(open);
        // All of them: the next in line may wait for another host.
        self.crowd.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_full_host_takes_nobody_and_others_do() {
        let crowd = Arc::new(Crowd::default());
        let mut places: Vec<Place> = (0..MAX_SESSIONS)
            .map(|_| crowd.try_enter(b"mx.test.").unwrap())
            .collect();
        assert!(crowd.try_enter(b"MX.test.").is_none());
        assert!(crowd.try_enter(b"other.test.").is_some());
        places.pop();
        assert!(crowd.try_enter(b"mx.test.").is_some());
        drop(places);
        assert!(crowd.lock().is_empty(), "no host is remembered for nothing");
    }

    #[test]
    fn who_waits_gets_the_place_that_becomes_free() {
        let crowd = Arc::new(Crowd::default());
        let mut places: Vec<Place> = (0..MAX_SESSIONS)
            .map(|_| crowd.try_enter(b"mx.test.").unwrap())
            .collect();
        let waiting = {
            let crowd = Arc::clone(&crowd);
            let deadline = Instant::now() + Duration::from_secs(20);
            std::thread::spawn(move || crowd.enter(b"mx.test.", deadline).is_some())
        };
        places.pop();
        assert!(waiting.join().unwrap());
    }
}
