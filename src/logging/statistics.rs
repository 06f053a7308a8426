//! The statistics file: messages and kilobytes by mailer, connections.
//!
//! A file of 1448 bytes in the machine's byte order: magic number and version (4
//! bytes each), the time it was begun (8), its size (2, padded to 8), three counters
//! of connections, then seven tables of 25 counters by mailer number: messages from,
//! kilobytes from, messages to, kilobytes to, rejected, discarded, quarantined. An
//! empty file is a fresh one; a file that does not exist is not made.
//!
//! [`super::counting`] collects what is counted and adds it here, mailstats reads.
//!
//! A file that is something else is refused and left alone; the reference overwrites
//! it, which is hard on an administrator whose StatusFile names the wrong file.
//!
//! Source: guide 1.3.13 and mailstats(8); layout observed: 8.17.1.9 on x86-64.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::sys::clock::Timestamp;
use crate::sys::file::{Directory, FileFacts, FileKind};
use crate::sys::lock::{FileLock, LockError};

/// First four bytes.
const MAGIC: i32 = 0x1_B1DE;
/// Version of the layout.
const VERSION: i32 = 4;
/// Mailers that have counters.
pub const MAILERS: usize = 25;
/// Counters behind the head.
const COUNTERS: usize = 3 + 7 * MAILERS;
/// Bytes of magic number, version, time and size.
const HEAD: usize = 24;
/// Bytes of the whole file.
const FILE_SIZE: usize = HEAD + 8 * COUNTERS;

/// What is counted for one mailer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MailerCounters {
    /// Messages that came from senders of this mailer.
    pub messages_from: i64,
    /// Their size, each rounded up.
    pub kilobytes_from: i64,
    /// Messages handed to it, one for each call, however many recipients it had.
    pub messages_to: i64,
    /// Their size, each rounded up.
    pub kilobytes_to: i64,
    /// Rejected.
    pub rejected: i64,
    /// Discarded.
    pub discarded: i64,
    /// Quarantined.
    pub quarantined: i64,
}

/// All counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// When counting began.
    pub since: Timestamp,
    /// Connections accepted.
    pub connections_from: i64,
    /// Connections made.
    pub connections_to: i64,
    /// Connections rejected.
    pub connections_rejected: i64,
    /// By mailer number.
    pub mailers: [MailerCounters; MAILERS],
}

/// Why a statistics file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StatisticsFault {
    /// The system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("incorrect magic number")]
    Magic,
    /// It was written by another version.
    #[error("version {0}")]
    Version(i32),
    /// Somebody else is writing it at this moment.
    #[error("locked")]
    Locked,
    /// It has another size than it says.
    #[error("file size changed.")]
    Size,
}

impl Statistics {
    /// Makes counters that begin now.
    pub fn new(since: Timestamp) -> Self {
        Statistics {
            since,
            connections_from: 0,
            connections_to: 0,
            connections_rejected: 0,
            mailers: [MailerCounters::default(); MAILERS],
        }
    }

    /// Reads the content of a statistics file; an empty one began at `now`.
    ///
    /// # Errors
    /// When it is not a statistics file of this version.
    pub fn parse(content: &[u8], now: Timestamp) -> Result<Self, StatisticsFault> {
        if content.is_empty() {
            return Ok(Self::new(now));
        }
        let Some(head) = content.get(..HEAD) else {
            return Err(StatisticsFault::Magic);
        };
        let small = |at: usize| {
            let bytes = head.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, i32::from_ne_bytes)
        };
        if small(0) != MAGIC {
            return Err(StatisticsFault::Magic);
        }
        if small(4) != VERSION {
            return Err(StatisticsFault::Version(small(4)));
        }
        if head.get(16..18) != Some(&size_field()[..]) || content.len() < FILE_SIZE {
            return Err(StatisticsFault::Size);
        }
        let mut numbers = content
            .get(8..FILE_SIZE)
            .unwrap_or_default()
            .chunks_exact(8);
        let mut next = || {
            let bytes = numbers.next().and_then(|chunk| chunk.try_into().ok());
            bytes.map_or(0, i64::from_ne_bytes)
        };
        let mut statistics = Self::new(Timestamp::from_seconds(next()));
        next();
        for counter in statistics.counters() {
            *counter = next();
        }
        Ok(statistics)
    }

    /// Writes the content of a statistics file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut content = Vec::with_capacity(FILE_SIZE);
        content.extend_from_slice(&MAGIC.to_ne_bytes());
        content.extend_from_slice(&VERSION.to_ne_bytes());
        content.extend_from_slice(&self.since.seconds().to_ne_bytes());
        content.extend_from_slice(&size_field());
        content.resize(HEAD, 0);
        for counter in self.clone().counters() {
            content.extend_from_slice(&counter.to_ne_bytes());
        }
        content
    }

    /// Gives all counters in the order of the file.
    fn counters(&mut self) -> Vec<&mut i64> {
        let mut tables: [Vec<&mut i64>; 7] = Default::default();
        for mailer in &mut self.mailers {
            let row = [
                &mut mailer.messages_from,
                &mut mailer.kilobytes_from,
                &mut mailer.messages_to,
                &mut mailer.kilobytes_to,
                &mut mailer.rejected,
                &mut mailer.discarded,
                &mut mailer.quarantined,
            ];
            for (table, counter) in tables.iter_mut().zip(row) {
                table.push(counter);
            }
        }
        let mut all = vec![
            &mut self.connections_from,
            &mut self.connections_to,
            &mut self.connections_rejected,
        ];
        all.extend(tables.into_iter().flatten());
        all
    }

    /// Adds all counters of another one.
    pub fn add(&mut self, more: &Statistics) {
        let mut more = more.clone();
        for (counter, more) in self.counters().into_iter().zip(more.counters()) {
            *counter = counter.saturating_add(*more);
        }
    }

    /// Counts a connection that was told no, and whose message it was about, if about one.
    pub fn rejection(&mut self, mailer: Option<usize>) {
        self.connections_rejected += 1;
        if let Some(mailer) = mailer.and_then(|mailer| self.mailers.get_mut(mailer)) {
            mailer.rejected += 1;
        }
    }

    /// Counts a connection whose message is thrown away without a word.
    pub fn discard(&mut self, mailer: Option<usize>) {
        self.connections_rejected += 1;
        if let Some(mailer) = mailer.and_then(|mailer| self.mailers.get_mut(mailer)) {
            mailer.discarded += 1;
        }
    }

    /// Counts a message that is kept in quarantine.
    pub fn quarantine(&mut self, mailer: usize) {
        if let Some(mailer) = self.mailers.get_mut(mailer) {
            mailer.quarantined += 1;
        }
    }

    /// Counts a message that came in; mailers past the table are not counted.
    pub fn message_from(&mut self, mailer: usize, bytes: u64) {
        if let Some(mailer) = self.mailers.get_mut(mailer) {
            mailer.messages_from += 1;
            mailer.kilobytes_from += kilobytes(bytes);
        }
    }

    /// Counts a message that went out, once for all recipients of one call of the mailer.
    pub fn message_to(&mut self, mailer: usize, bytes: u64) {
        if let Some(mailer) = self.mailers.get_mut(mailer) {
            mailer.messages_to += 1;
            mailer.kilobytes_to += kilobytes(bytes);
        }
    }
}

/// The field that says how large the file is.
fn size_field() -> [u8; 2] {
    i16::try_from(FILE_SIZE).unwrap_or(0).to_ne_bytes()
}

/// Rounds up to kilobytes, which are a thousand bytes here. Observed: 8.17.1.9.
fn kilobytes(bytes: u64) -> i64 {
    i64::try_from(bytes.div_ceil(1_000)).unwrap_or(i64::MAX)
}

/// Reads a statistics file.
///
/// # Errors
/// When it cannot be read or is none.
pub fn read(path: &Path, now: Timestamp) -> Result<Statistics, StatisticsFault> {
    let mut content = Vec::new();
    File::open(path)?
        .take(2 * FILE_SIZE as u64)
        .read_to_end(&mut content)?;
    Statistics::parse(&content, now)
}

/// Empties a statistics file, so that counting begins anew.
///
/// # Errors
/// What the system says.
pub fn clear(path: &Path) -> io::Result<()> {
    File::options().write(true).open(path)?.set_len(0)
}

/// Changes the counters of a statistics file under its lock; one that does not exist is left so.
///
/// Links are not followed, and a file with a second name is not written.
///
/// # Errors
/// [`StatisticsFault::Locked`] at once when somebody has the lock; what the system says,
/// or that the file is no statistics file. Nothing is written then.
pub fn update(
    path: &Path,
    now: Timestamp,
    change: impl FnOnce(&mut Statistics),
) -> Result<(), StatisticsFault> {
    let file = match open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let mut lock = FileLock::try_exclusive(file).map_err(|(_, error)| match error {
        LockError::Busy => StatisticsFault::Locked,
        LockError::Io(error) => error.into(),
    })?;
    let mut content = Vec::new();
    let file = lock.file_mut();
    (&*file)
        .take(2 * FILE_SIZE as u64)
        .read_to_end(&mut content)?;
    let mut statistics = Statistics::parse(&content, now)?;
    change(&mut statistics);
    file.rewind()?;
    file.write_all(&statistics.to_bytes())?;
    Ok(())
}

fn open(path: &Path) -> io::Result<File> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let name = path.file_name().unwrap_or_default().as_bytes();
    let file = Directory::open(folder)?.open_writable(name)?;
    let facts = FileFacts::of(&file)?;
    if facts.kind != FileKind::Regular || facts.links > 1 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_observed_layout() {
        let mut statistics = Statistics::new(Timestamp::from_seconds(1_795_333_114));
        statistics.connections_rejected = 1;
        statistics.message_from(3, 1);
        statistics.message_from(3, 2_000);
        statistics.message_to(5, 5_000);
        let bytes = statistics.to_bytes();
        assert_eq!(bytes.len(), 1_448);
        assert_eq!(bytes[..8], [0xde, 0xb1, 1, 0, 4, 0, 0, 0]);
        assert_eq!(bytes[16..18], [0xa8, 5]);
        assert_eq!((bytes[40], bytes[72], bytes[272]), (1, 2, 3));
        assert_eq!((bytes[48 + 8 * 55], bytes[48 + 8 * 80]), (1, 5));
        let again = Statistics::parse(&bytes, Timestamp::from_seconds(0)).unwrap();
        assert_eq!(again, statistics);
    }

    #[test]
    fn only_an_existing_file_is_counted_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("st");
        let now = Timestamp::from_seconds(7);
        update(&path, now, |statistics| statistics.message_from(0, 1)).unwrap();
        assert!(!path.exists());
        std::fs::write(&path, "").unwrap();
        for _ in 0..2 {
            update(&path, now, |statistics| statistics.message_from(0, 1)).unwrap();
        }
        assert_eq!(read(&path, now).unwrap().mailers[0].messages_from, 2);
        clear(&path).unwrap();
        assert_eq!(read(&path, now).unwrap(), Statistics::new(now));
    }

    #[test]
    fn links_are_not_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        std::fs::write(&target, "").unwrap();
        let (soft, hard) = (folder.path().join("soft"), folder.path().join("hard"));
        std::os::unix::fs::symlink(&target, &soft).unwrap();
        std::fs::hard_link(&target, &hard).unwrap();
        let now = Timestamp::from_seconds(7);
        for path in [&soft, &hard, &target] {
            let refused = update(path, now, |statistics| statistics.message_from(0, 1));
            assert!(refused.is_err(), "{}", path.display());
        }
        assert_eq!(std::fs::read(&target).unwrap(), b"");
    }

    #[test]
    fn other_files_are_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("st");
        std::fs::write(&path, [0; 1_448]).unwrap();
        let now = Timestamp::from_seconds(7);
        let refused = update(&path, now, |statistics| statistics.message_from(0, 1));
        assert!(matches!(refused, Err(StatisticsFault::Magic)));
        assert_eq!(std::fs::read(&path).unwrap(), [0; 1_448]);
    }
}
