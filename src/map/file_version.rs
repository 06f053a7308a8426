//! Which state of a map file was read, and when it may be kept in memory.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use crate::sys::file::path_of;

/// Largest file that is kept in memory once it is asked often (octets).
pub(super) const MAX_RESIDENT_BYTES: u64 = 1_048_576;
/// After so many lookups a file is asked often. A message asks a map a few times.
pub(super) const RESIDENT_AFTER: u32 = 16;
/// How old the last change of a file must be before its octets are kept: within the grain of
/// its time a second change would go unseen.
pub(super) const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// The state of a file that its name had when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileVersion {
    device: u64,
    inode: u64,
    bytes: u64,
    /// When its octets changed, in seconds and nanoseconds; programs may set it to any time.
    modified: (i64, i64),
    /// When anything of it changed, in seconds and nanoseconds; nobody sets it.
    changed: (i64, i64),
}

impl FileVersion {
    /// Takes the facts of an open file.
    pub(super) fn of(facts: &Metadata) -> FileVersion {
        FileVersion {
            device: facts.dev(),
            inode: facts.ino(),
            bytes: facts.size(),
            modified: (facts.mtime(), facts.mtime_nsec()),
            changed: (facts.ctime(), facts.ctime_nsec()),
        }
    }

    /// Returns the state of the file that has a name now, `None` if there is none.
    pub(super) fn on_disk(path: &[u8]) -> Option<FileVersion> {
        let facts = std::fs::metadata(path_of(path)).ok()?;
        Some(FileVersion::of(&facts))
    }

    /// Returns its size in octets.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the time its octets changed, in whole seconds since 1970.
    pub(super) fn modified_seconds(&self) -> i64 {
        self.modified.0
    }

    /// Says whether the octets may be kept in memory for as long as this is the state on disk.
    pub(super) fn may_be_kept(&self, settled_after: Duration) -> bool {
        self.bytes <= MAX_RESIDENT_BYTES && self.is_settled(settled_after)
    }

    /// Says whether another change would show in the times of the file, which is so when the last
    /// one is `age` old.
    fn is_settled(&self, age: Duration) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let since = Duration::new(
            u64::try_from(seconds).unwrap_or(0),
            u32::try_from(nanoseconds).unwrap_or(0),
        );
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH + since)
            .is_ok_and(|passed| passed >= age)
    }
}
