//! Counting for the statistics file: kept in memory, added to the file now and then.
//!
//! Whoever counts touches no disk. [`Counting::post`] adds what has gathered to the
//! file; it is called where the reference ends a process: when a session is over, when a
//! message has been delivered or taken in, at the end. Nothing that has to do with
//! statistics ever holds up or fails mail.
//!
//! Source: guide 1.3.13; what is counted, observed: 8.17.1.9.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::statistics::{Statistics, StatisticsFault, update};
use crate::sys::clock::Timestamp;

/// How often a file that another process has locked is tried.
const LOCK_TRIES: u32 = 20;
/// The pause between two tries; a process holds the lock for some microseconds.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// What has been counted under one configuration and is not in the file yet.
#[derive(Debug, Default)]
pub struct Counting {
    /// StatusFile; nothing is counted without one.
    path: Option<PathBuf>,
    /// Written by whoever counts, emptied by whoever posts; held for additions only.
    pending: Mutex<Option<Box<Statistics>>>,
}

impl Counting {
    /// Makes the counters of a configuration with this StatusFile.
    pub fn new(path: Option<PathBuf>) -> Self {
        Counting {
            path,
            pending: Mutex::new(None),
        }
    }

    /// Counts something.
    pub fn count(&self, change: impl FnOnce(&mut Statistics)) {
        if self.path.is_none() {
            return;
        }
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let nothing = || Box::new(Statistics::new(Timestamp::from_seconds(0)));
        change(pending.get_or_insert_with(nothing));
    }

    /// Adds what has gathered to the file; a file that is not there is not made.
    ///
    /// What cannot be added because the file stays locked waits for the next time;
    /// where the file cannot be used at all it is forgotten.
    pub fn post(&self, now: Timestamp) {
        let Some(path) = &self.path else {
            return;
        };
        let taken = self.take();
        let Some(more) = taken else {
            return;
        };
        for _ in 0..LOCK_TRIES {
            match update(path, now, |statistics| statistics.add(&more)) {
                Err(StatisticsFault::Locked) => thread::sleep(LOCK_PAUSE),
                Ok(()) => return,
                Err(fault) => {
                    log::debug!("nothing counted in {}: {fault}", path.display());
                    return;
                }
            }
        }
        self.count(|pending| pending.add(&more));
    }

    fn take(&self) -> Option<Box<Statistics>> {
        self.pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

#[cfg(test)]
mod tests {
    use super::super::statistics::read;
    use super::*;
    use crate::sys::lock::FileLock;

    #[test]
    fn many_threads_and_two_processes_count_everything() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("st");
        std::fs::write(&path, "").unwrap();
        let now = Timestamp::from_seconds(7);
        let books = [(); 2].map(|()| Counting::new(Some(path.clone())));
        thread::scope(|scope| {
            for book in &books {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..50 {
                            book.count(|statistics| statistics.message_from(3, 1));
                            book.post(now);
                        }
                    });
                }
            }
        });
        books.iter().for_each(|book| book.post(now));
        let counted = read(&path, now).unwrap();
        assert_eq!(counted.mailers[3].messages_from, 400);
        assert_eq!(counted.since, now);
    }

    #[test]
    fn a_locked_file_is_counted_in_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("st");
        std::fs::write(&path, "").unwrap();
        let now = Timestamp::from_seconds(7);
        let lock = FileLock::try_exclusive(std::fs::File::open(&path).unwrap()).unwrap();
        let book = Counting::new(Some(path.clone()));
        book.count(|statistics| statistics.connections_to += 1);
        book.post(now);
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        drop(lock);
        book.post(now);
        assert_eq!(read(&path, now).unwrap().connections_to, 1);
    }

    #[test]
    fn without_a_file_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("st");
        let book = Counting::new(Some(path.clone()));
        book.count(|statistics| statistics.connections_to += 1);
        book.post(Timestamp::from_seconds(7));
        assert!(!path.exists());
    }
}
