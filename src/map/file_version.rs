//! Which state of a map file was read, and when it may be kept in memory.

use std::fs::Metadata;
use std::time::{Duration, SystemTime};

use crate::sys::clock::Timestamp;
use crate::sys::file::{FileFacts, path_of};

/// Largest file that is kept in memory once it is asked often (octets).
pub(super) const MAX_RESIDENT_BYTES: u64 = 1_048_576;
/// After so many lookups a file is asked often. A message asks a map a few times.
pub(super) const RESIDENT_AFTER: u32 = 16;

/// How old the last change of a file must be before its octets are kept: within the grain of
/// its time a second change would go unseen.
#[derive(Debug, Clone, Copy)]
pub(super) struct SettledAfter {
    /// For a time in whole seconds: the file system may know no others.
    whole: Duration,
    /// For a time with a fraction, which moves with each tick of the kernel.
    fraction: Duration,
}

impl SettledAfter {
    /// Two seconds are the coarsest grain in use, ten milliseconds the longest tick.
    pub(super) const USUAL: SettledAfter = SettledAfter {
        whole: Duration::from_secs(3),
        fraction: Duration::from_millis(100),
    };

    /// Waits for the same time whatever the grain.
    #[cfg(test)]
    pub(super) fn always(age: Duration) -> SettledAfter {
        SettledAfter {
            whole: age,
            fraction: age,
        }
    }

    fn for_time(self, changed: Timestamp) -> Duration {
        match changed.nanoseconds() {
            0 => self.whole,
            _ => self.fraction,
        }
    }
}

/// The state of a file that its name had when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileVersion(FileFacts);

impl FileVersion {
    /// Takes the facts of an open file.
    pub(super) fn of(facts: &Metadata) -> FileVersion {
        FileVersion(FileFacts::from(facts))
    }

    /// Returns the state of the file that has a name now, `None` if there is none.
    pub(super) fn on_disk(path: &[u8]) -> Option<FileVersion> {
        FileFacts::at(path_of(path)).ok().map(FileVersion)
    }

    /// Returns its size in octets.
    pub(super) fn bytes(&self) -> u64 {
        self.0.size
    }

    /// Returns the time its octets changed, in whole seconds since 1970.
    pub(super) fn modified_seconds(&self) -> i64 {
        self.0.modified.seconds()
    }

    /// Says whether the octets may be kept in memory for as long as this is the state on disk.
    pub(super) fn may_be_kept(&self, settled_after: SettledAfter) -> bool {
        self.bytes() <= MAX_RESIDENT_BYTES && self.is_settled(settled_after)
    }

    /// Says whether another change would show in the times of the file, which is so when the last
    /// one is old enough.
    fn is_settled(&self, settled_after: SettledAfter) -> bool {
        // Programs may set the other time to anything; nobody sets this one.
        let changed = self.0.changed;
        let since = Duration::new(
            u64::try_from(changed.seconds()).unwrap_or(0),
            changed.nanoseconds(),
        );
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH + since)
            .is_ok_and(|passed| passed >= settled_after.for_time(changed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_with_a_fraction_settles_sooner_than_one_of_whole_seconds() {
        let whole = SettledAfter::USUAL.for_time(Timestamp::new(1_700_000_000, 0));
        let fraction = SettledAfter::USUAL.for_time(Timestamp::new(1_700_000_000, 4_000_000));
        assert_eq!(whole, Duration::from_secs(3));
        assert_eq!(fraction, Duration::from_millis(100));
    }
}
