//! Which state of a map file was read, and when it may be kept in memory.

use std::fs::Metadata;
use std::time::{Duration, SystemTime};

use crate::sys::file::{FileFacts, path_of};

/// Largest file that is kept in memory once it is asked often (octets).
pub(super) const MAX_RESIDENT_BYTES: u64 = 1_048_576;
/// After so many lookups a file is asked often. A message asks a map a few times.
pub(super) const RESIDENT_AFTER: u32 = 16;
/// How old the last change of a file must be before its octets are kept: within the grain of
/// its time a second change would go unseen.
pub(super) const SETTLED_AFTER: Duration = Duration::from_secs(3);

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
    pub(super) fn may_be_kept(&self, settled_after: Duration) -> bool {
        self.bytes() <= MAX_RESIDENT_BYTES && self.is_settled(settled_after)
    }

    /// Says whether another change would show in the times of the file, which is so when the last
    /// one is `age` old.
    fn is_settled(&self, age: Duration) -> bool {
        // Programs may set the other time to anything; nobody sets this one.
        let changed = self.0.changed;
        let since = Duration::new(
            u64::try_from(changed.seconds()).unwrap_or(0),
            changed.nanoseconds(),
        );
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH + since)
            .is_ok_and(|passed| passed >= age)
    }
}
