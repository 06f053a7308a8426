//! Drawing queue identifiers that no thread and no other process draws.
//!
//! All threads share the process id, so uniqueness among them comes from the
//! sequence number: 3600 identifiers a second for one process. Past that the
//! caller waits for the next second; an identifier is never used twice. What a
//! dead process with the same id left behind is found by O_EXCL.

use std::sync::Mutex;
use std::time::Duration;

use crate::envelope::QueueId;
use crate::sys::calendar::Calendar;
use crate::sys::clock::{Clock, Timestamp};

/// Sequence numbers that fit in two digits of base 60.
const IDS_PER_SECOND: u16 = 3_600;

/// How long to wait before looking at the clock again when a second is used up.
const FULL_SECOND_PAUSE: Duration = Duration::from_millis(5);

/// Draws queue identifiers; one for the whole process.
#[derive(Debug, Default)]
pub struct QueueIdSource {
    /// Guards the place in the current second; held for a few instructions.
    state: Mutex<Place>,
}

/// How far the current second is used.
#[derive(Debug, Default, Clone, Copy)]
struct Place {
    second: i64,
    used: u16,
    sequence: u16,
}

impl QueueIdSource {
    /// Makes a source whose sequence starts at `start` (any number), so that restarts differ.
    pub fn new(start: u32) -> Self {
        let sequence = u16::try_from(start % u32::from(IDS_PER_SECOND)).unwrap_or(0);
        let place = Place {
            second: i64::MIN,
            used: 0,
            sequence,
        };
        Self {
            state: Mutex::new(place),
        }
    }

    /// Draws the next identifier, waiting for the next second if this one is used up.
    pub fn next(&self, clock: &dyn Clock) -> QueueId {
        loop {
            let second = clock.now().seconds();
            if let Some((second, sequence)) = self.draw(second) {
                let moment = Calendar::utc(Timestamp::from_seconds(second));
                return QueueId::compose(moment, sequence, std::process::id());
            }
            std::thread::sleep(FULL_SECOND_PAUSE);
        }
    }

    /// Takes a place in `second`, or in the latest second seen if the clock went back.
    fn draw(&self, second: i64) -> Option<(i64, u16)> {
        let mut place = self
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if second > place.second {
            place.second = second;
            place.used = 0;
        }
        if place.used >= IDS_PER_SECOND {
            return None;
        }
        place.used += 1;
        place.sequence = (place.sequence + 1) % IDS_PER_SECOND;
        Some((place.second, place.sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_second_gives_3600_places_and_no_more() {
        let source = QueueIdSource::new(17);
        let mut seen = HashSet::new();
        while let Some(place) = source.draw(100) {
            assert!(seen.insert(place));
        }
        assert_eq!(seen.len(), 3_600);
        assert!(source.draw(101).is_some());
    }

    #[test]
    fn a_clock_that_goes_back_repeats_nothing() {
        let source = QueueIdSource::new(0);
        let first = source.draw(100);
        let second = source.draw(50);
        assert_ne!(first, second);
        assert_eq!(second.map(|place| place.0), Some(100));
    }

    #[test]
    fn threads_draw_different_places() {
        let source = QueueIdSource::new(0);
        let all: Vec<_> = std::thread::scope(|scope| {
            let draw = || (0..200).filter_map(|_| source.draw(7)).collect::<Vec<_>>();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(draw)).collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect()
        });
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 800);
    }
}
