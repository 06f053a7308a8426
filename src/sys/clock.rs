//! Time: points on the calendar, and clocks that can be set by hand in tests.

use std::ops::{Add, Sub};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point in time: seconds and nanoseconds since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    seconds: i64,
    nanoseconds: u32,
}

impl Timestamp {
    /// Makes a timestamp of whole seconds since 1970.
    pub const fn from_seconds(seconds: i64) -> Self {
        Timestamp {
            seconds,
            nanoseconds: 0,
        }
    }

    /// Makes a timestamp; nanoseconds beyond a second are cut off.
    pub const fn new(seconds: i64, nanoseconds: u32) -> Self {
        let nanoseconds = if nanoseconds > 999_999_999 {
            999_999_999
        } else {
            nanoseconds
        };
        Timestamp {
            seconds,
            nanoseconds,
        }
    }

    /// Returns the whole seconds since 1970.
    pub const fn seconds(self) -> i64 {
        self.seconds
    }

    /// Returns the nanoseconds within the second.
    pub const fn nanoseconds(self) -> u32 {
        self.nanoseconds
    }

    /// Returns how long ago `earlier` was, or zero if it is in the future.
    pub fn since(self, earlier: Timestamp) -> Duration {
        let seconds = i128::from(self.seconds) - i128::from(earlier.seconds);
        let nanoseconds = seconds * 1_000_000_000 + i128::from(self.nanoseconds)
            - i128::from(earlier.nanoseconds);
        match u128::try_from(nanoseconds) {
            Err(_) => Duration::ZERO,
            Ok(nanoseconds) => Duration::new(
                u64::try_from(nanoseconds / 1_000_000_000).unwrap_or(u64::MAX),
                u32::try_from(nanoseconds % 1_000_000_000).unwrap_or(0),
            ),
        }
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;

    fn add(self, interval: Duration) -> Timestamp {
        let nanoseconds = self.nanoseconds + interval.subsec_nanos();
        let carry = i64::from(nanoseconds / 1_000_000_000);
        let whole = i64::try_from(interval.as_secs()).unwrap_or(i64::MAX);
        Timestamp {
            seconds: self.seconds.saturating_add(whole).saturating_add(carry),
            nanoseconds: nanoseconds % 1_000_000_000,
        }
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Timestamp;

    fn sub(self, interval: Duration) -> Timestamp {
        let borrow = self.nanoseconds < interval.subsec_nanos();
        let whole = i64::try_from(interval.as_secs()).unwrap_or(i64::MAX);
        Timestamp {
            seconds: self
                .seconds
                .saturating_sub(whole)
                .saturating_sub(i64::from(borrow)),
            nanoseconds: (self.nanoseconds + if borrow { 1_000_000_000 } else { 0 })
                - interval.subsec_nanos(),
        }
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Timestamp::default() + after,
            Err(before) => Timestamp::default() - before.duration(),
        }
    }
}

/// A source of time.
pub trait Clock: Send + Sync {
    /// Returns the time of day.
    fn now(&self) -> Timestamp;

    /// Returns a point that never goes back, for deadlines.
    fn monotonic(&self) -> Instant;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }

    fn monotonic(&self) -> Instant {
        Instant::now()
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct ManualClock {
    start: Instant,
    /// Time of day and how far it was moved; written by the test only.
    state: Mutex<(Timestamp, Duration)>,
}

impl ManualClock {
    /// Makes a clock that stands at `now`.
    pub fn new(now: Timestamp) -> Self {
        ManualClock {
            start: Instant::now(),
            state: Mutex::new((now, Duration::ZERO)),
        }
    }

    /// Moves both clocks forward.
    pub fn advance(&self, interval: Duration) {
        let mut state = self
            .state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        state.0 = state.0 + interval;
        state.1 += interval;
    }

    /// Sets the time of day; the monotonic clock stays.
    pub fn set(&self, now: Timestamp) {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .0 = now;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .0
    }

    fn monotonic(&self) -> Instant {
        self.start
            + self
                .state
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_and_subtracting_carry_nanoseconds() {
        let time = Timestamp::new(10, 900_000_000) + Duration::from_millis(200);
        assert_eq!(time, Timestamp::new(11, 100_000_000));
        assert_eq!(
            time - Duration::from_millis(200),
            Timestamp::new(10, 900_000_000)
        );
    }

    #[test]
    fn the_past_is_never_negative() {
        let (early, late) = (Timestamp::from_seconds(5), Timestamp::new(7, 1));
        assert_eq!(late.since(early), Duration::new(2, 1));
        assert_eq!(early.since(late), Duration::ZERO);
    }

    #[test]
    fn a_manual_clock_moves_both_ways_of_telling_time() {
        let clock = ManualClock::new(Timestamp::from_seconds(100));
        let before = clock.monotonic();
        clock.advance(Duration::from_secs(60));
        assert_eq!(clock.now().seconds(), 160);
        assert_eq!(clock.monotonic() - before, Duration::from_secs(60));
    }
}
