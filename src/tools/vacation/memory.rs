//! What vacation remembers: whom it answered when, and whom it never answers.
//!
//! A Berkeley hash: addresses (or `@domain`) lead to a time of eight octets in the order
//! of the machine, zero for those that are never answered; one more key holds how many
//! seconds must pass before the next answer, zero for ever. The file is locked from
//! reading to writing, so that two messages at a time get one answer.
//!
//! Format observed: 8.17.1.9.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::map::MapClass;
use crate::map::berkeley::{Database, Layout, Repeated};
use crate::map::build::{NewDatabase, Owner};
use crate::sys::clock::Timestamp;
use crate::sys::file::{FileFacts, path_buf_of, real_user_may};
use crate::sys::host::error_text;
use crate::sys::lock::FileLock;
use crate::tools::database_tool::{Settings, check_target, each_pair, file_of};

/// The key of the interval, with the NUL that ends it.
const INTERVAL_KEY: &[u8] = b"__VACATION__INTERVAL__TIMER__\0";
/// How long a sender waits for a second answer when no interval was set.
const DEFAULT_INTERVAL: i64 = 7 * 86_400;
/// The time that stands for ever.
const FOR_EVER: i64 = 0;
/// Said of a file that is no such database.
const UNKNOWN: &str = "Unknown database type";
/// Write permission, as access(2) counts it.
const MAY_WRITE: i32 = 2;
/// How often the file may be replaced by others before we give up.
const MAX_ROUNDS: usize = 20;

/// The memory, locked.
pub struct Memory {
    pairs: NewDatabase,
    lock: Option<FileLock>,
}

/// One line of a listing.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// An address or `@domain`.
    pub address: Vec<u8>,
    /// When it was answered last.
    pub answered: Answered,
}

/// When somebody was answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Answered {
    /// At this time.
    At(Timestamp),
    /// Never, on purpose.
    Excluded,
    /// What is stored is no time.
    Unreadable,
}

impl Memory {
    /// Opens the memory; one that is not there is empty.
    ///
    /// # Errors
    /// What is wrong with the file, in words.
    pub fn open(name: &[u8]) -> Result<Memory, String> {
        let lock = locked_file(name)?;
        let mut pairs = empty(name)?;
        if let Some(lock) = &lock {
            let file = lock
                .file()
                .try_clone()
                .map_err(|error| error_text(&error))?;
            let database = Database::open(file).map_err(|_| UNKNOWN.to_owned())?;
            if database.layout() != Layout::Hash {
                return Err(UNKNOWN.to_owned());
            }
            database
                .scan(&mut |key, value| {
                    pairs.insert(key.to_vec(), value, Repeated::Replace);
                    true
                })
                .map_err(|_| UNKNOWN.to_owned())?;
        }
        Ok(Memory { pairs, lock })
    }

    /// Begins anew, whatever was there.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn forget_all(name: &[u8]) -> Result<Memory, String> {
        let lock = locked_file(name)?;
        let pairs = empty(name)?;
        Ok(Memory { pairs, lock })
    }

    /// Writes what changed; the lock ends.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn store(mut self) -> Result<(), String> {
        let path = path_buf_of(self.pairs.path().to_vec());
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        if real_user_may(folder.unwrap_or(Path::new(".")), MAY_WRITE).is_err() {
            // The file will be written in place, under a lock of its own.
            self.lock = None;
        }
        let done = self.pairs.commit(Owner::AsBefore);
        done.map_err(|fault| fault.to_string())
    }

    /// Sets how long a sender waits for a second answer; `None` is for ever.
    pub fn set_interval(&mut self, interval: Option<Duration>) {
        let seconds = interval.map(|interval| i64::try_from(interval.as_secs()));
        let seconds = seconds.map_or(FOR_EVER, |seconds| seconds.unwrap_or(i64::MAX));
        self.set(INTERVAL_KEY, seconds);
    }

    /// Tells whether an address is not to be answered now.
    pub fn is_silent_for(&mut self, address: &[u8], now: Timestamp) -> bool {
        let interval = match self.get(INTERVAL_KEY) {
            Some(Some(seconds)) => seconds,
            Some(None) | None => DEFAULT_INTERVAL,
        };
        let domain = address.iter().rposition(|&octet| octet == b'@');
        let domain = domain.and_then(|at| address.get(at..)).unwrap_or(b"@");
        let folded = domain.to_ascii_lowercase();
        [address, domain, &folded]
            .iter()
            .any(|key| match self.get(key) {
                None => false,
                // Better no answer than one too many.
                Some(None) => true,
                Some(Some(FOR_EVER)) => true,
                Some(Some(_)) if interval == FOR_EVER => true,
                Some(Some(then)) => then.saturating_add(interval) > now.seconds(),
            })
    }

    /// Notes that an address is answered now.
    pub fn note(&mut self, address: &[u8], now: Timestamp) {
        self.set(address, now.seconds());
    }

    /// Notes that an address or a `@domain` is never answered.
    pub fn exclude(&mut self, address: &[u8]) {
        self.set(address, FOR_EVER);
    }

    fn set(&mut self, key: &[u8], number: i64) {
        let value = number.to_ne_bytes().to_vec();
        self.pairs.insert(key.to_vec(), value, Repeated::Replace);
    }

    /// Gives the number of a key: none without the key, `Some(None)` if it is no number.
    fn get(&mut self, key: &[u8]) -> Option<Option<i64>> {
        self.pairs.table().get(key).map(number)
    }
}

/// Lists all addresses of a memory, in the order of the file.
///
/// # Errors
/// As for [`Memory::open`].
pub fn entries(name: &[u8]) -> Result<Vec<Entry>, String> {
    // Locked while others write it, and looked at as closely as for writing.
    if locked_file(name)?.is_none() {
        return Ok(Vec::new());
    }
    let mut entries = Vec::new();
    each_pair(MapClass::Hash, name, &mut |key, value| {
        if key != INTERVAL_KEY {
            entries.push(Entry {
                address: key.to_vec(),
                answered: match number(value) {
                    None => Answered::Unreadable,
                    Some(FOR_EVER) => Answered::Excluded,
                    Some(seconds) => Answered::At(Timestamp::from_seconds(seconds)),
                },
            });
        }
        true
    })
    .map_err(|_| UNKNOWN.to_owned())?;
    Ok(entries)
}

fn number(value: &[u8]) -> Option<i64> {
    value.try_into().ok().map(i64::from_ne_bytes)
}

fn empty(name: &[u8]) -> Result<NewDatabase, String> {
    NewDatabase::new(MapClass::Hash, name, false).ok_or("Invalid argument".to_owned())
}

/// Opens and locks the file that has the name once it is locked; `None` without one.
fn locked_file(name: &[u8]) -> Result<Option<FileLock>, String> {
    let path: PathBuf = path_buf_of(file_of(MapClass::Hash, name));
    for _ in 0..MAX_ROUNDS {
        check_target(MapClass::Hash, name, &Settings::default())?;
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error_text(&error)),
        };
        let lock = FileLock::exclusive(file).map_err(|(_, error)| error.to_string())?;
        let ours = FileFacts::of(lock.file()).map_err(|error| error_text(&error))?;
        let named = FileFacts::at_link(&path);
        if named.is_ok_and(|named| named.is_same_file(&ours)) {
            return Ok(Some(lock));
        }
    }
    Err("Lock unavailable".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const DAY: i64 = 86_400;

    fn name(place: &tempfile::TempDir) -> Vec<u8> {
        let path = place.path().join(".vacation");
        path.as_os_str().as_encoded_bytes().to_vec()
    }

    /// Silence for: somebody new, answered 3 days ago, answered long ago, excluded.
    fn silences(interval: Option<Option<u64>>) -> [bool; 4] {
        let place = tempfile::tempdir().unwrap();
        let mut memory = Memory::open(&name(&place)).unwrap();
        if let Some(days) = interval {
            let days = days.map(|days| Duration::from_secs(days * 86_400));
            memory.set_interval(days);
        }
        memory.note(b"rec@x", Timestamp::from_seconds(NOW.seconds() - 3 * DAY));
        memory.note(b"old@x", Timestamp::from_seconds(NOW.seconds() - 99 * DAY));
        memory.exclude(b"no@x");
        memory.store().unwrap();
        let mut memory = Memory::open(&name(&place)).unwrap();
        [&b"new@x"[..], b"rec@x", b"old@x", b"no@x"]
            .map(|address| memory.is_silent_for(address, NOW))
    }

    #[test]
    fn nobody_is_answered_twice_in_an_interval() {
        assert_eq!(silences(None), [false, true, false, true]);
        assert_eq!(silences(Some(Some(2))), [false, false, false, true]);
        assert_eq!(silences(Some(Some(5))), [false, true, false, true]);
        assert_eq!(silences(Some(None)), [false, true, true, true]);
    }

    #[test]
    fn whole_domains_can_be_left_out() {
        let place = tempfile::tempdir().unwrap();
        let mut memory = Memory::open(&name(&place)).unwrap();
        memory.exclude(b"@dom.test");
        for (address, wanted) in [
            ("a@dom.test", true),
            ("a@DOM.test", true),
            ("a@sub.dom.test", false),
            ("dom.test", false),
        ] {
            let silent = memory.is_silent_for(address.as_bytes(), NOW);
            assert_eq!(silent, wanted, "{address}");
        }
    }

    #[test]
    fn the_memory_lasts_and_can_be_listed() {
        let place = tempfile::tempdir().unwrap();
        let name = name(&place);
        let mut memory = Memory::open(&name).unwrap();
        memory.set_interval(None);
        memory.note(b"a@x", NOW);
        memory.exclude(b"@y");
        memory.store().unwrap();
        let mut entries = super::entries(&name).unwrap();
        entries.sort_by(|one, other| one.address.cmp(&other.address));
        let entry = |address: &[u8], answered| Entry {
            address: address.to_vec(),
            answered,
        };
        assert_eq!(
            entries,
            [
                entry(b"@y", Answered::Excluded),
                entry(b"a@x", Answered::At(NOW))
            ]
        );
        Memory::forget_all(&name).unwrap().store().unwrap();
        assert_eq!(super::entries(&name).unwrap(), []);
    }

    #[test]
    fn what_is_no_memory_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let name = name(&place);
        let path = place.path().join(".vacation.db");
        std::fs::write(&path, "junk").unwrap();
        let said = Memory::open(&name).err();
        assert_eq!(said.as_deref(), Some("Unknown database type"));
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(place.path().join("other"), &path).unwrap();
        assert!(Memory::open(&name).is_err());
        assert!(!place.path().join("other").exists());
    }
}
