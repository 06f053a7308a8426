//! What is done to an entry by hand: hold, release, delete, move.
//!
//! The operator's hand closes around the entry first: [`EntryName::grip`] locks it as a
//! queue runner does, so that nothing is done to a message that is being delivered, and
//! reads its text under the lock. Nothing is parsed that need not be: what is damaged can
//! be deleted or held as well. All else of the text stays as it is.
//!
//! Orders of steps are such that a crash between two of them leaves the message in the
//! queue, at worst twice (a move) and never nowhere.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::directory::{FileKind, QueueDirectory};
use super::durability::{CommitError, Durability, failure};
use super::entry::EntryName;
use super::quarantine::rewrite_reason;
use super::record::Record;
use super::store::{MadeFile, remove_stale, rename_into_place};
use super::summary::lines;
use super::take::{TakeError, read_control};
use crate::sys::file::path_of;
use crate::sys::lock::FileLock;

/// An entry in the operator's hand; letting go unlocks it.
#[derive(Debug)]
pub struct Grip {
    name: EntryName,
    /// Held until this value goes.
    _lock: FileLock,
    text: Vec<u8>,
    record: Record,
    is_trustworthy: bool,
}

/// Why something could not be done to an entry.
#[derive(Debug, thiserror::Error)]
pub enum AmendError {
    /// The control file may have been written by others: it is not made one of ours.
    #[error("its control file may be written by others")]
    Untrustworthy,
    /// There is no sender in it, so there is no message.
    #[error("its control file is damaged")]
    Damaged,
    /// There is an entry of its name already where it is to go.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// The system refused; the entry is as it was.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl EntryName {
    /// Locks the entry without waiting and reads its text.
    ///
    /// # Errors
    /// [`TakeError::Busy`] while somebody works on it, [`TakeError::Gone`] when it is no
    /// longer there; never [`TakeError::Lost`]: nothing is moved.
    pub fn grip(&self) -> Result<Grip, TakeError> {
        let (lock, facts) = self.lock()?;
        let text = read_control(lock.file()).map_err(TakeError::Io)?;
        Ok(Grip {
            name: self.clone(),
            record: Record::from_text(&text),
            is_trustworthy: self.is_trustworthy(&facts),
            _lock: lock,
            text,
        })
    }
}

impl Grip {
    /// Gives what the control file says.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Makes sure that it may live on: ours, and a message.
    fn is_sound(&self) -> Result<(), AmendError> {
        if !self.is_trustworthy {
            return Err(AmendError::Untrustworthy);
        }
        match self.record.sender {
            Some(_) => Ok(()),
            None => Err(AmendError::Damaged),
        }
    }

    /// Puts it into quarantine for a reason (the `hf` file of `-Q`), or gives it a new reason.
    ///
    /// # Errors
    /// It is damaged or not ours, or the system refused.
    pub fn hold(self, reason: &[u8]) -> Result<(), AmendError> {
        self.is_sound()?;
        rewrite_reason(&self.name, &self.text, Some(reason))?;
        Ok(())
    }

    /// Lets it go from quarantine, or gives a lost entry back to the queue.
    ///
    /// # Errors
    /// It is damaged or not ours, or the system refused.
    pub fn release(self) -> Result<(), AmendError> {
        self.is_sound()?;
        rewrite_reason(&self.name, &self.text, None)?;
        Ok(())
    }

    /// Removes it without a word to anybody: control file first, then body and transcript.
    ///
    /// # Errors
    /// When the control file cannot be removed; the entry is then still there.
    pub fn delete(self) -> Result<(), AmendError> {
        let Grip { name, record, .. } = &self;
        let remove = |kind| name.directory.remove(kind, &name.id);
        remove(name.kind).map_err(|source| self.failed("remove", name.kind, source))?;
        // What is left of it is garbage that the next start removes.
        let _ = match record.body_folder.as_deref().map(path_of) {
            None => remove(FileKind::Body),
            Some(folder) if name.directory.knows_folder(folder) => {
                std::fs::remove_file(folder.join(FileKind::Body.file_name(&name.id)))
            }
            Some(_) => remove(FileKind::Body),
        };
        let _ = remove(FileKind::Transcript);
        let _ = remove(FileKind::Temporary);
        Ok(())
    }

    /// Moves it into another directory under the same identifier; a lost entry stays lost.
    ///
    /// The new entry is locked until the old one is gone, so no runner delivers it twice.
    ///
    /// # Errors
    /// There is one of its name, it is damaged or not ours, or the system refused; the entry
    /// is then still where it was.
    pub fn move_to(self, target: &Arc<QueueDirectory>) -> Result<(), AmendError> {
        self.is_sound()?;
        let EntryName { id, kind, .. } = &self.name;
        for kind in [FileKind::Control, FileKind::Quarantined, FileKind::Lost] {
            if target.facts(kind, id).is_ok() {
                return Err(AmendError::Exists(target.path_of(kind, id)));
            }
        }
        let body = self.body_in(target)?;
        remove_stale(target, id)?;
        let text = without_place_of_body(&self.text);
        let lock = rename_into_place(target, id, *kind, &text, Durability::Synced)?;
        if let Err(source) = target.sync_names() {
            let _ = target.remove(*kind, id);
            return Err(failure("sync", target.path().to_path_buf(), source).into());
        }
        let kind = *kind;
        let id = id.clone();
        if let Err(error) = self.delete() {
            let _ = target.remove(kind, &id);
            return Err(error);
        }
        if let Some(body) = body {
            body.keep();
        }
        drop(lock);
        Ok(())
    }

    /// Gives the body a name in another directory, or copies it; `None` when there is none.
    fn body_in(&self, target: &Arc<QueueDirectory>) -> Result<Option<MadeFile>, AmendError> {
        let EntryName { directory, id, .. } = &self.name;
        if self.record.body_folder.is_none() && directory.link_body(id, target, id).is_ok() {
            let opened = target.open_file(FileKind::Body, id);
            let file = opened.map_err(|source| self.failed("open", FileKind::Body, source))?;
            return Ok(Some(MadeFile::owning(target, FileKind::Body, id, file)));
        }
        let made = MadeFile::create(target, FileKind::Body, id)?;
        match self.name.read_body(&self.record, &mut &made.file) {
            Ok(_) => made.sync()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.failed("copy", FileKind::Body, source).into()),
        }
        Ok(Some(made))
    }

    fn failed(&self, step: &'static str, kind: FileKind, source: io::Error) -> CommitError {
        let path = self.name.directory.path_of(kind, &self.name.id);
        failure(step, path, source)
    }
}

/// Leaves out the records that say where the body lies: `d` and `I`.
fn without_place_of_body(text: &[u8]) -> Vec<u8> {
    let kept = lines(text).filter(|line| !matches!(line.first(), Some(b'd' | b'I')));
    kept.collect::<Vec<_>>().join(&b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::QueueId;
    use crate::queue::{ControlFileFormat, DirectorySync};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    const TEXT: &str = "V8\nT5\nK0\nN0\nP30\nI8/1/2\nSann\nRPFD:bob\nH??Subject: q\n.\n";

    fn directory(folder: &Path) -> Arc<QueueDirectory> {
        let format = Arc::new(ControlFileFormat::default());
        let opened = QueueDirectory::open(folder, 0o600, format, &DirectorySync::new());
        Arc::new(opened.unwrap())
    }

    fn entry(folder: &Path, file: &str, text: &str) -> EntryName {
        std::fs::write(folder.join(file), text).unwrap();
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(folder.join(file), mode).unwrap();
        std::fs::write(
            folder
                .join("df")
                .with_file_name(format!("df{}", &file[2..])),
            "body\n",
        )
        .unwrap();
        let (kind, id) = FileKind::split_name(file.as_bytes()).unwrap();
        EntryName {
            directory: directory(folder),
            id,
            kind,
        }
    }

    fn files(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn held_and_released_it_is_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let name = entry(folder.path(), "qfa1", TEXT);
        name.grip().unwrap().hold(b"look at it").unwrap();
        assert_eq!(files(folder.path()), ["dfa1", "hfa1"]);
        let held = EntryName {
            kind: FileKind::Quarantined,
            ..name.clone()
        };
        let grip = held.grip().unwrap();
        let reason = grip.record().quarantine.clone();
        assert_eq!(reason.as_deref(), Some(&b"look at it"[..]));
        grip.release().unwrap();
        let text = std::fs::read_to_string(folder.path().join("qfa1")).unwrap();
        assert_eq!(text, TEXT);
    }

    #[test]
    fn deleted_it_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("xfa1"), "talk\n").unwrap();
        entry(folder.path(), "qfa1", "damaged")
            .grip()
            .unwrap()
            .delete()
            .unwrap();
        assert!(files(folder.path()).is_empty());
    }

    #[test]
    fn moved_it_keeps_its_name_and_body_and_forgets_their_old_place() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let name = entry(from.path(), "hfa1", TEXT);
        let target = directory(to.path());
        name.grip().unwrap().move_to(&target).unwrap();
        assert!(files(from.path()).is_empty());
        assert_eq!(files(to.path()), ["dfa1", "hfa1"]);
        let text = std::fs::read_to_string(to.path().join("hfa1")).unwrap();
        assert_eq!(text, TEXT.replace("I8/1/2\n", ""));
        let again = entry(from.path(), "qfa1", TEXT);
        let refused = again.grip().unwrap().move_to(&target);
        assert!(matches!(refused, Err(AmendError::Exists(_))), "{refused:?}");
        assert_eq!(files(from.path()), ["dfa1", "qfa1"]);
    }

    #[test]
    fn what_others_may_write_is_only_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let name = entry(folder.path(), "qfa1", TEXT);
        let mode = std::fs::Permissions::from_mode(0o666);
        std::fs::set_permissions(folder.path().join("qfa1"), mode).unwrap();
        let refused = name.grip().unwrap().hold(b"x");
        assert!(
            matches!(refused, Err(AmendError::Untrustworthy)),
            "{refused:?}"
        );
        name.grip().unwrap().delete().unwrap();
        let gone = EntryName {
            id: QueueId::parse(b"a2").unwrap(),
            ..name
        };
        assert!(matches!(gone.grip(), Err(TakeError::Gone)));
    }

    #[test]
    fn a_busy_entry_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let name = entry(folder.path(), "qfa1", TEXT);
        let other = name.grip().unwrap();
        assert!(matches!(name.grip(), Err(TakeError::Busy)));
        drop(other);
        assert!(name.grip().is_ok());
    }
}
