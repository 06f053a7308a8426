//! AutoRebuildAliases: databases older than their texts are made anew when they are used.
//!
//! The tutorial describes it; the reference dropped it in 8.12, because a text that was
//! only half edited could get into use, and a rebuild that anybody's mail can start was
//! hard to make safe. Here the old database answers until the new one is complete and
//! takes its place by a rename, only root rebuilds, and only by the rules newaliases
//! keeps.
//!
//! Whoever finds a text newer than its database takes the text's lock, as newaliases
//! does, and then looks again: somebody else may have done the work meanwhile. A lock
//! that stays taken (an editor may hold it) does not hold mail up: after a while the old
//! database is used. A text is tried once for each time it was changed, so one that
//! cannot be built, or one whose time lies in the future, costs no work with each look-up.

use std::fs::File;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::rebuild::{Rebuild, RebuildHost};
use crate::map::MapDefinition;
use crate::map::build::NewDatabase;
use crate::sys::file::path_of;
use crate::sys::lock::{FileLock, LockError};
use crate::sys::safe_open::{OpenRequest, Purpose};

/// How long a look-up waits for whoever is rebuilding.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// The pause between two tries to lock.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The texts this process has tried to rebuild from, with their times.
///
/// Written by the thread that holds the lock of the text in question.
#[derive(Debug, Default)]
pub struct TriedTexts(Mutex<Vec<(Vec<u8>, SystemTime)>>);

impl TriedTexts {
    fn has(&self, file: &[u8], changed: SystemTime) -> bool {
        let tried = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tried.iter().any(|one| *one == (file.to_vec(), changed))
    }

    fn add(&self, file: &[u8], changed: SystemTime) {
        let mut tried = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tried.retain(|(other, _)| other != file);
        tried.push((file.to_vec(), changed));
    }
}

impl Rebuild<'_> {
    /// Rebuilds the databases that are older than their texts.
    pub fn stale(&self, tried: &TriedTexts, host: &mut dyn RebuildHost) {
        for definition in self.built() {
            if stale_since(definition, tried).is_some()
                && let Some(mut lock) = self.lock_text(definition)
                && let Some(changed) = stale_since(definition, tried)
            {
                self.one_locked(definition, &mut lock, host);
                // Not sooner: whoever comes meanwhile must see a stale database and wait.
                tried.add(&definition.file, changed);
            }
        }
    }

    /// Locks the text of a database; `None` if it is not to be had.
    fn lock_text(&self, definition: &MapDefinition) -> Option<FileLock> {
        let request = OpenRequest::read(path_of(&definition.file))
            .purpose(Purpose::Read)
            .rules(self.services.alias_file_rules);
        let mut file: File = self.services.privileged.open_as(&request).ok()?.file;
        let deadline = Instant::now() + LOCK_WAIT;
        loop {
            file = match FileLock::try_exclusive(file) {
                Ok(lock) => return Some(lock),
                Err((file, LockError::Busy)) if Instant::now() < deadline => file,
                Err(_) => return None,
            };
            thread::sleep(LOCK_PAUSE);
        }
    }
}

/// Tells when a text was changed that is newer than its database and was not tried yet.
///
/// A database that is not there is none of our business: newaliases makes the first one.
fn stale_since(definition: &MapDefinition, tried: &TriedTexts) -> Option<SystemTime> {
    let changed = |path: &[u8]| {
        let facts = std::fs::metadata(path_of(path));
        facts.and_then(|facts| facts.modified()).ok()
    };
    let database = NewDatabase::new(definition.class, &definition.file, false)?;
    let text = changed(&definition.file)?;
    let is_stale = text > changed(database.path())? && !tried.has(&definition.file, text);
    is_stale.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::super::database::AliasDatabase;
    use super::super::rebuild::tests::{Heard, services};
    use super::*;
    use crate::map::{MapServices, NoHost};

    fn rebuild(services: &MapServices) -> Rebuild<'_> {
        Rebuild {
            services,
            checks_values: false,
            trusted_user: None,
            by: b"root".to_vec(),
        }
    }

    /// Sets the time of a file to so many seconds from now.
    fn set_age(path: &std::path::Path, seconds: u64, is_future: bool) {
        let shift = Duration::from_secs(seconds);
        let now = SystemTime::now();
        let time = if is_future { now + shift } else { now - shift };
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(time).unwrap();
    }

    #[test]
    fn a_newer_text_is_built_once_by_however_many_need_it() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("aliases");
        std::fs::write(&file, "a: bob\n").unwrap();
        set_age(&file, 100, false);
        let services = services(&file);
        let tried = TriedTexts::default();
        let mut heard = Heard::default();
        rebuild(&services).stale(&tried, &mut heard);
        assert!(
            heard.0.is_empty(),
            "the first database is made by newaliases"
        );
        rebuild(&services).all(&mut heard);
        heard.0.clear();
        let aliases = AliasDatabase::new(services.clone());
        let found = || aliases.lookup(b"a", &mut NoHost).unwrap();
        rebuild(&services).stale(&tried, &mut heard);
        assert_eq!((found(), heard.0.len()), (Some(b"bob".to_vec()), 0));
        // The time of the new text stays ahead of the database's.
        std::fs::write(&file, "a: cid\n").unwrap();
        set_age(&file, 100, true);
        let said = Mutex::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut heard = Heard::default();
                    rebuild(&services).stale(&tried, &mut heard);
                    assert_eq!(
                        found(),
                        Some(b"cid".to_vec()),
                        "nobody goes on before it is done"
                    );
                    *said.lock().unwrap() += heard.0.len();
                });
            }
        });
        assert_eq!(*said.lock().unwrap(), 1, "one rebuild, one summary");
        assert_eq!(found(), Some(b"cid".to_vec()));
    }
}
