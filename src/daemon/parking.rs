//! Talks that wait: registered with the poll, found by token or by deadline.
//!
//! Each stay has a token of its own that never comes again, so an event or a
//! deadline of an earlier stay finds nothing and is harmless.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::os::fd::AsRawFd;
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use super::talk::{Conversation, Talk, Wait, WaitFor};

/// Heap entries of stays that are over are swept out when there are this many
/// more of them than of stays.
const MAX_STALE: usize = 4_096;

/// The waiting talks.
#[derive(Debug)]
pub struct Parking<C> {
    stays: HashMap<usize, (Talk<C>, WaitFor)>,
    deadlines: BinaryHeap<Reverse<(Instant, usize)>>,
    next_token: usize,
}

impl<C: Conversation> Parking<C> {
    /// Makes an empty parking whose tokens start at `first_token`.
    pub fn new(first_token: usize) -> Self {
        Parking {
            stays: HashMap::new(),
            deadlines: BinaryHeap::new(),
            next_token: first_token,
        }
    }

    /// Returns how many talks wait.
    pub fn len(&self) -> usize {
        self.stays.len()
    }

    /// Says whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.stays.is_empty()
    }

    /// Takes a talk in.
    ///
    /// # Errors
    /// The poll refused the socket; the talk comes back.
    pub fn park(
        &mut self,
        registry: &Registry,
        talk: Talk<C>,
        wait: Wait,
    ) -> Result<(), (Talk<C>, io::Error)> {
        let token = self.next_token;
        self.next_token = self.next_token.wrapping_add(1);
        let interest = match wait.what {
            WaitFor::Read => Some(Interest::READABLE),
            WaitFor::Write => Some(Interest::WRITABLE),
            WaitFor::Time => None,
        };
        if let Some(interest) = interest {
            let fd = talk.stream().as_raw_fd();
            if let Err(error) = registry.register(&mut SourceFd(&fd), Token(token), interest) {
                return Err((talk, error));
            }
        }
        self.stays.insert(token, (talk, wait.what));
        self.deadlines.push(Reverse((wait.deadline, token)));
        if self.deadlines.len() > 2 * self.stays.len() + MAX_STALE {
            let stays = &self.stays;
            self.deadlines
                .retain(|Reverse((_, token))| stays.contains_key(token));
        }
        Ok(())
    }

    /// Takes the talk out that an event is about; `None` if its stay is over.
    pub fn take(&mut self, registry: &Registry, token: Token) -> Option<Talk<C>> {
        let (talk, what) = self.stays.remove(&token.0)?;
        if what != WaitFor::Time {
            // Before the talk is handed over: the worker may close the socket.
            let _ = registry.deregister(&mut SourceFd(&talk.stream().as_raw_fd()));
        }
        Some(talk)
    }

    /// Takes one talk out whose deadline has passed.
    pub fn take_overdue(&mut self, registry: &Registry, now: Instant) -> Option<Talk<C>> {
        while let Some(Reverse((deadline, token))) = self.deadlines.peek().copied() {
            if self.stays.contains_key(&token) {
                if deadline > now {
                    return None;
                }
                self.deadlines.pop();
                return self.take(registry, Token(token));
            }
            self.deadlines.pop();
        }
        None
    }

    /// Returns the next deadline.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        while let Some(Reverse((deadline, token))) = self.deadlines.peek().copied() {
            if self.stays.contains_key(&token) {
                return Some(deadline);
            }
            self.deadlines.pop();
        }
        None
    }

    /// Takes everybody out (shutdown).
    pub fn clear(&mut self, registry: &Registry) -> Vec<Talk<C>> {
        let tokens: Vec<usize> = self.stays.keys().copied().collect();
        tokens
            .into_iter()
            .filter_map(|token| self.take(registry, Token(token)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::talk::tests::connected;
    use super::*;
    use std::io::Write;
    use std::time::Duration;

    fn wait(what: WaitFor, milliseconds: u64) -> Wait {
        Wait {
            what,
            deadline: Instant::now() + Duration::from_millis(milliseconds),
        }
    }

    #[test]
    fn an_event_finds_its_talk_once() {
        let mut poll = mio::Poll::new().unwrap();
        let mut parking = Parking::new(10);
        let (talk, mut client) = connected();
        parking
            .park(poll.registry(), talk, wait(WaitFor::Read, 60_000))
            .unwrap();
        client.write_all(b"x").unwrap();
        let mut events = mio::Events::with_capacity(8);
        poll.poll(&mut events, None).unwrap();
        let token = events.iter().next().unwrap().token();
        assert!(parking.take(poll.registry(), token).is_some());
        assert!(parking.take(poll.registry(), token).is_none());
        assert_eq!(
            parking.next_deadline(),
            None,
            "the deadline went with the talk"
        );
    }

    #[test]
    fn input_that_came_before_the_stay_is_an_event_too() {
        let mut poll = mio::Poll::new().unwrap();
        let mut parking = Parking::new(10);
        let (talk, mut client) = connected();
        client.write_all(b"x").unwrap();
        parking
            .park(poll.registry(), talk, wait(WaitFor::Read, 60_000))
            .unwrap();
        let mut events = mio::Events::with_capacity(8);
        poll.poll(&mut events, Some(Duration::from_secs(5)))
            .unwrap();
        assert_eq!(events.iter().count(), 1);
    }

    #[test]
    fn deadlines_come_in_order_and_only_when_they_are_over() {
        let poll = mio::Poll::new().unwrap();
        let mut parking = Parking::new(10);
        let (late, _client) = connected();
        let (soon, _other) = connected();
        let (soon_wait, late_wait) = (wait(WaitFor::Time, 1_000), wait(WaitFor::Read, 2_000));
        parking.park(poll.registry(), late, late_wait).unwrap();
        parking.park(poll.registry(), soon, soon_wait).unwrap();
        assert_eq!(parking.next_deadline(), Some(soon_wait.deadline));
        assert!(
            parking
                .take_overdue(poll.registry(), Instant::now())
                .is_none()
        );
        assert!(
            parking
                .take_overdue(poll.registry(), soon_wait.deadline)
                .is_some()
        );
        assert!(
            parking
                .take_overdue(poll.registry(), soon_wait.deadline)
                .is_none()
        );
        assert_eq!(parking.clear(poll.registry()).len(), 1);
        assert!(parking.is_empty());
    }
}
