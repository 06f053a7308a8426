//! Sessions kept open for the next message to the same host.
//!
//! One cache belongs to one thread. A new connection makes room by closing the
//! one used least recently; the cache is emptied at the end of a queue run or
//! of a delivery on the spot, by [`ConnectionCache::close_all`].
//!
//! A place also remembers a connection that had to be closed early: its end is
//! told at the same moment as that of the others (observed: 8.17.1.9 with `-v`).
//!
//! Source: guide 4.6 (ConnectionCacheSize, ConnectionCacheTimeout), 5.4 (m=).

use std::time::{Duration, Instant};

use crate::client::session::Ready;
use crate::client::witness::Witness;

/// Most sessions kept, whatever the configuration says.
const MAX_SIZE: usize = 64;

/// One place of the cache.
struct Place {
    mailer: Vec<u8>,
    host: Vec<u8>,
    /// Empty while the session is in use, and after it ended early.
    session: Option<Ready>,
    last_use: Instant,
}

/// Open sessions by mailer and host.
pub struct ConnectionCache {
    places: Vec<Place>,
    size: usize,
    idle_limit: Duration,
}

impl ConnectionCache {
    /// Makes an empty cache; with size 0 nothing is kept beyond its message.
    pub fn new(size: u32, idle_limit: Duration) -> Self {
        ConnectionCache {
            places: Vec::new(),
            size: usize::try_from(size).unwrap_or(MAX_SIZE).min(MAX_SIZE),
            idle_limit,
        }
    }

    /// Takes a session out that the server still holds open.
    ///
    /// `most` is the number of messages one session may carry (m=), 0 for any.
    pub fn take(
        &mut self,
        mailer: &[u8],
        host: &[u8],
        most: u32,
        witness: &mut dyn Witness,
    ) -> Option<Ready> {
        let at = self.find(mailer, host)?;
        let place = self.places.get_mut(at)?;
        let is_stale = place.last_use.elapsed() >= self.idle_limit;
        let session = place.session.take()?;
        if is_stale || (most > 0 && session.messages() >= most) {
            place.session = Some(session);
            self.close(at, witness);
            return None;
        }
        place.last_use = Instant::now();
        session.revive_later(witness)
    }

    /// Makes room for a new connection and reserves its place.
    pub fn reserve(&mut self, mailer: &[u8], host: &[u8], witness: &mut dyn Witness) {
        if let Some(at) = self.find(mailer, host) {
            self.places.remove(at);
        }
        while self.places.len() >= self.size.max(1) {
            let Some(oldest) = self.least_recently_used() else {
                break;
            };
            self.close(oldest, witness);
        }
        self.places.push(Place {
            mailer: mailer.to_vec(),
            host: host.to_vec(),
            session: None,
            last_use: Instant::now(),
        });
    }

    /// Gives a session back after its message, or the news that it ended.
    pub fn put_back(
        &mut self,
        mailer: &[u8],
        host: &[u8],
        session: Option<Ready>,
        witness: &mut dyn Witness,
    ) {
        let Some(at) = self.find(mailer, host) else {
            if let Some(session) = session {
                session.quit(witness);
            }
            return;
        };
        if let Some(place) = self.places.get_mut(at) {
            place.session = session;
            place.last_use = Instant::now();
        }
        if self.size == 0 {
            self.close(at, witness);
        }
    }

    /// Says goodbye to all servers, the latest first.
    pub fn close_all(&mut self, witness: &mut dyn Witness) {
        while let Some(last) = self.places.len().checked_sub(1) {
            self.close(last, witness);
        }
    }

    /// Says goodbye to servers that were not used for the idle limit.
    pub fn close_idle(&mut self, witness: &mut dyn Witness) {
        let limit = self.idle_limit;
        while let Some(at) = self
            .places
            .iter()
            .position(|place| place.last_use.elapsed() >= limit)
        {
            self.close(at, witness);
        }
    }

    /// How many places are taken.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Says whether no place is taken.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn find(&self, mailer: &[u8], host: &[u8]) -> Option<usize> {
        self.places.iter().position(|place| {
            place.mailer.eq_ignore_ascii_case(mailer) && place.host.eq_ignore_ascii_case(host)
        })
    }

    /// Uses within one second count as simultaneous; then the latest goes (observed: 8.17.1.9).
    fn least_recently_used(&self) -> Option<usize> {
        let age = |place: &Place| place.last_use.elapsed().as_secs();
        let oldest = self.places.iter().map(age).max()?;
        self.places.iter().rposition(|place| age(place) == oldest)
    }

    fn close(&mut self, at: usize, witness: &mut dyn Witness) {
        if at >= self.places.len() {
            return;
        }
        let place = self.places.remove(at);
        witness.message(&[b"Closing connection to ", place.host.as_slice()].concat());
        if let Some(session) = place.session {
            session.quit(witness);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::witness::tests::Notebook;

    #[test]
    fn a_new_connection_closes_an_old_one() {
        let mut cache = ConnectionCache::new(2, Duration::from_secs(60));
        let mut notebook = Notebook::default();
        for host in ["a.test.", "b.test.", "c.test."] {
            cache.reserve(b"esmtp", host.as_bytes(), &mut notebook);
            cache.put_back(b"esmtp", host.as_bytes(), None, &mut notebook);
        }
        assert_eq!(notebook.said, ["... Closing connection to b.test."]);
        cache.close_all(&mut notebook);
        assert_eq!(
            notebook.said[1..],
            [
                "... Closing connection to c.test.",
                "... Closing connection to a.test."
            ]
        );
        assert!(cache.is_empty());
    }

    #[test]
    fn nothing_is_kept_with_size_zero() {
        let mut cache = ConnectionCache::new(0, Duration::from_secs(60));
        let mut notebook = Notebook::default();
        cache.reserve(b"esmtp", b"a.test.", &mut notebook);
        cache.put_back(b"esmtp", b"a.test.", None, &mut notebook);
        assert_eq!(cache.len(), 0);
        assert!(cache.take(b"esmtp", b"a.test.", 0, &mut notebook).is_none());
    }
}
