//! Sessions kept open for the next message to the same host.
//!
//! One cache belongs to one thread. A new connection makes room by closing the
//! one used least recently or over already; the cache is emptied at the end of a queue run or
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

/// Something to do when a session ends, such as writing down what its host said last.
pub type Farewell = Box<dyn FnOnce() + Send>;

/// One session, or the memory of one.
struct Kept {
    mailer: Vec<u8>,
    host: Vec<u8>,
    /// Empty while the session is in use, and after it ended early.
    session: Option<Ready>,
    /// A transaction is using the session now.
    is_in_use: bool,
    last_use: Instant,
    farewell: Option<Farewell>,
}

impl Kept {
    fn is_over(&self) -> bool {
        self.session.is_none() && !self.is_in_use
    }
}

/// Open sessions by mailer and host.
pub struct ConnectionCache {
    /// The places are filled from the last to the first, and emptied from the first to the last.
    places: Vec<Option<Kept>>,
    /// Nothing is kept beyond its message.
    keeps_nothing: bool,
    idle_limit: Duration,
}

impl ConnectionCache {
    /// Makes an empty cache; with size 0 nothing is kept beyond its message.
    pub fn new(size: u32, idle_limit: Duration) -> Self {
        let places = usize::try_from(size).unwrap_or(MAX_SIZE).clamp(1, MAX_SIZE);
        ConnectionCache {
            places: (0..places).map(|_| None).collect(),
            keeps_nothing: size == 0,
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
        let kept = self.places.get_mut(at)?.as_mut()?;
        let is_stale = kept.last_use.elapsed() >= self.idle_limit;
        let session = kept.session.take()?;
        if is_stale || (most > 0 && session.messages() >= most) {
            kept.session = Some(session);
            self.close(at, witness);
            return None;
        }
        kept.last_use = Instant::now();
        let revived = session.revive_later(witness);
        kept.is_in_use = revived.is_some();
        revived
    }

    /// Makes room for a new connection and reserves its place.
    pub fn reserve(&mut self, mailer: &[u8], host: &[u8], witness: &mut dyn Witness) {
        let at = match self.find(mailer, host) {
            Some(at) => at,
            None => {
                let at = self.place_for_new();
                self.close(at, witness);
                at
            }
        };
        if let Some(place) = self.places.get_mut(at) {
            *place = Some(Kept {
                mailer: mailer.to_vec(),
                host: host.to_vec(),
                session: None,
                is_in_use: true,
                last_use: Instant::now(),
                farewell: None,
            });
        }
    }

    /// Gives a session back after its message, or the news that it ended.
    ///
    /// The farewell is said when the session ends, in place of the one left with it before.
    pub fn put_back(
        &mut self,
        mailer: &[u8],
        host: &[u8],
        session: Option<Ready>,
        farewell: Option<Farewell>,
        witness: &mut dyn Witness,
    ) {
        let Some(at) = self.find(mailer, host) else {
            if let Some(session) = session {
                session.quit(witness);
            }
            if let Some(farewell) = farewell {
                farewell();
            }
            return;
        };
        if let Some(Some(kept)) = self.places.get_mut(at) {
            kept.session = session;
            kept.is_in_use = false;
            kept.last_use = Instant::now();
            kept.farewell = farewell;
            if kept.session.is_none()
                && let Some(farewell) = kept.farewell.take()
            {
                farewell();
            }
        }
        if self.keeps_nothing {
            self.close(at, witness);
        }
    }

    /// Says goodbye to all servers.
    pub fn close_all(&mut self, witness: &mut dyn Witness) {
        for at in 0..self.places.len() {
            self.close(at, witness);
        }
    }

    /// Says goodbye to servers that were not used for the idle limit.
    pub fn close_idle(&mut self, witness: &mut dyn Witness) {
        for at in 0..self.places.len() {
            let kept = self.places.get(at).and_then(Option::as_ref);
            if kept.is_some_and(|kept| kept.last_use.elapsed() >= self.idle_limit) {
                self.close(at, witness);
            }
        }
    }

    /// Lets others have the places that unused sessions hold at their hosts.
    pub fn give_places_back(&mut self) {
        for kept in self.places.iter_mut().flatten() {
            if let Some(session) = &mut kept.session {
                session.give_place_back();
            }
        }
    }

    /// How many places are taken.
    pub fn len(&self) -> usize {
        self.places.iter().flatten().count()
    }

    /// Says whether no place is taken.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn find(&self, mailer: &[u8], host: &[u8]) -> Option<usize> {
        self.places.iter().position(|place| {
            place.as_ref().is_some_and(|kept| {
                kept.mailer.eq_ignore_ascii_case(mailer) && kept.host.eq_ignore_ascii_case(host)
            })
        })
    }

    /// The last place that is free or whose session is over, else the one used least recently.
    ///
    /// Uses within one second count as simultaneous (observed: 8.17.1.9).
    fn place_for_new(&self) -> usize {
        let mut best = 0;
        for (at, place) in self.places.iter().enumerate() {
            let known = self.places.get(best).and_then(Option::as_ref);
            let is_better = match (place, known) {
                (None, _) => true,
                (Some(kept), _) if kept.is_over() => true,
                (Some(kept), Some(known)) => {
                    kept.last_use.elapsed().as_secs() > known.last_use.elapsed().as_secs()
                        && !known.is_over()
                }
                (Some(_), None) => false,
            };
            if is_better {
                best = at;
            }
        }
        best
    }

    fn close(&mut self, at: usize, witness: &mut dyn Witness) {
        let Some(kept) = self.places.get_mut(at).and_then(Option::take) else {
            return;
        };
        witness.message(&[b"Closing connection to ", kept.host.as_slice()].concat());
        if let Some(session) = kept.session {
            session.quit(witness);
        }
        if let Some(farewell) = kept.farewell {
            farewell();
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
    fn a_session_that_is_over_makes_room_first_and_its_farewell_is_said_at_once() {
        let mut cache = ConnectionCache::new(2, Duration::from_secs(60));
        let mut notebook = Notebook::default();
        let (tell, told) = std::sync::mpsc::channel();
        cache.reserve(b"esmtp", b"a.test.", &mut notebook);
        let farewell: Farewell = Box::new(move || tell.send("a").unwrap());
        cache.put_back(b"esmtp", b"a.test.", None, Some(farewell), &mut notebook);
        assert_eq!(told.try_recv(), Ok("a"));
        cache.reserve(b"esmtp", b"b.test.", &mut notebook);
        assert_eq!(notebook.said, ["... Closing connection to a.test."]);
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn nothing_is_kept_with_size_zero() {
        let mut cache = ConnectionCache::new(0, Duration::from_secs(60));
        let mut notebook = Notebook::default();
        cache.reserve(b"esmtp", b"a.test.", &mut notebook);
        cache.put_back(b"esmtp", b"a.test.", None, None, &mut notebook);
        assert_eq!(cache.len(), 0);
        assert!(cache.take(b"esmtp", b"a.test.", 0, &mut notebook).is_none());
    }
}
