//! An entry of the queue in hand: written anew, split, removed, lost.
//!
//! Removal goes the other way round than the commit: `qf` first, because a body
//! without control file is garbage while a control file without body is an error.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::control_file::BodyPlace;
use super::directory::{FileKind, QueueDirectory};
use super::durability::{CommitError, Durability, failure};
use super::entry::EntryName;
use super::store::{MadeFile, remove_stale, replace_control, store_control};
use super::take::inode_record;
use crate::envelope::{Envelope, QueueId, TranscriptPlace};
use crate::message::Body;
use crate::sys::file::Directory;
use crate::sys::lock::FileLock;

/// An entry of the queue held by us.
///
/// Dropping it unlocks: the message then waits for a queue run.
#[derive(Debug)]
pub struct LockedEntry {
    directory: Arc<QueueDirectory>,
    id: QueueId,
    kind: FileKind,
    stored: Stored,
}

/// Where the entry is.
#[derive(Debug)]
pub(super) enum Stored {
    /// Not in files (SuperSafe `interactive` or `False`).
    Memory(MemoryBody),
    /// A locked control file and a body file.
    Files { lock: FileLock, body: StoredBody },
}

/// The body file of an entry with control file.
#[derive(Debug, Default)]
pub(super) struct StoredBody {
    /// The folder the body lies in, if it is not that of the entry's directory (`d` line).
    pub(super) folder: Option<PathBuf>,
    /// Device and inode, for entries that were read from the queue (`I` line).
    pub(super) inode: Option<(u64, u64, u64)>,
}

impl StoredBody {
    /// Opens the body of the entry `id` of `directory`.
    pub(super) fn open(&self, directory: &QueueDirectory, id: &QueueId) -> io::Result<File> {
        match &self.folder {
            None => directory.open_file(FileKind::Body, id),
            Some(folder) => {
                Directory::open(folder)?.open_file(FileKind::Body.file_name(id).as_bytes())
            }
        }
    }

    fn place(&self) -> BodyPlace<'_> {
        BodyPlace {
            inode: self.inode,
            folder: self.folder.as_deref(),
        }
    }
}

/// The body of an entry without control file.
#[derive(Debug)]
pub(super) enum MemoryBody {
    Bytes(Vec<u8>),
    /// Too large for memory; the file goes with the entry.
    File(MadeFile),
}

impl LockedEntry {
    /// Tells whether there are no files yet: dropping the entry would lose the message.
    pub fn is_in_memory(&self) -> bool {
        matches!(self.stored, Stored::Memory(_))
    }

    /// Puts an entry together.
    pub(super) fn new(name: EntryName, stored: Stored) -> Self {
        let EntryName {
            directory,
            id,
            kind,
        } = name;
        Self {
            directory,
            id,
            kind,
            stored,
        }
    }

    /// Gives the identifier.
    pub fn id(&self) -> &QueueId {
        &self.id
    }

    /// Gives the directory it lies in.
    pub fn directory(&self) -> &Arc<QueueDirectory> {
        &self.directory
    }

    /// Gives the name under which it can be taken again.
    pub fn name(&self) -> EntryName {
        EntryName {
            directory: Arc::clone(&self.directory),
            id: self.id.clone(),
            kind: self.kind,
        }
    }

    /// Gives the name of its control file as log lines have it, such as `./qfID`.
    pub fn place(&self) -> String {
        self.directory.place_of(self.kind, &self.id)
    }

    /// Opens the body.
    ///
    /// # Errors
    /// When the body file cannot be opened.
    pub fn body(&self) -> Result<Body, CommitError> {
        let opened = match &self.stored {
            Stored::Memory(MemoryBody::Bytes(bytes)) => return Ok(Body::Memory(bytes.clone())),
            Stored::Memory(MemoryBody::File(made)) => made.file.try_clone(),
            Stored::Files { body, .. } => body.open(&self.directory, &self.id),
        };
        opened
            .and_then(Body::from_file)
            .map_err(|source| self.failed("open", FileKind::Body, source))
    }

    /// Writes the entry anew: the recipients that are left and what changed.
    ///
    /// An entry that lived in memory gets its files now. An envelope with a
    /// quarantine reason becomes an `hf` file, one without becomes a `qf` file.
    ///
    /// # Errors
    /// The step that failed; the old control file, if any, is still there and locked.
    pub fn rewrite(&mut self, envelope: &Envelope) -> Result<(), CommitError> {
        let kind = FileKind::of(envelope);
        if let Stored::Memory(_) = self.stored {
            return self.become_files(envelope, kind);
        }
        // We hold the entry: a tf of this name is what a crash left.
        remove_stale(&self.directory, &self.id)?;
        if kind != self.kind {
            // The old file takes the new name first, so that there is never a second entry.
            self.directory
                .rename(self.kind, kind, &self.id)
                .map_err(|source| self.failed("rename to", kind, source))?;
            self.kind = kind;
        }
        if let Stored::Files { lock, body } = &mut self.stored {
            if body.inode.is_none() && envelope.is_response() {
                // Observed: reports record it from their first attempt on.
                let file = body.open(&self.directory, &self.id);
                body.inode = file.ok().as_ref().and_then(inode_record);
            }
            let durability = Durability::Synced;
            let place = body.place();
            *lock = replace_control(&self.directory, &self.id, kind, envelope, place, durability)?;
        }
        Ok(())
    }

    /// Makes files of an entry that is in memory only, because it waits for a queue run after all.
    ///
    /// # Errors
    /// When the files cannot be made; the message is then nowhere but here.
    pub fn keep(&mut self, envelope: &Envelope) -> Result<(), CommitError> {
        match self.stored {
            Stored::Memory(_) => self.become_files(envelope, FileKind::of(envelope)),
            Stored::Files { .. } => Ok(()),
        }
    }

    fn become_files(&mut self, envelope: &Envelope, kind: FileKind) -> Result<(), CommitError> {
        if let Stored::Memory(MemoryBody::Bytes(bytes)) = &mut self.stored {
            let made = MadeFile::create(&self.directory, FileKind::Body, &self.id)?;
            made.write(bytes)?;
            self.stored = Stored::Memory(MemoryBody::File(made));
        }
        // From here on the body is in a file; if a later step fails it stays there as ours.
        if let Stored::Memory(MemoryBody::File(made)) = &self.stored {
            made.sync()?;
        }
        let lock = store_control(
            &self.directory,
            &self.id,
            kind,
            envelope,
            Durability::Synced,
        )?;
        self.kind = kind;
        let stored = Stored::Files {
            lock,
            body: StoredBody::default(),
        };
        if let Stored::Memory(MemoryBody::File(made)) = std::mem::replace(&mut self.stored, stored)
        {
            made.keep();
        }
        Ok(())
    }

    /// Makes a second entry in `directory` with the same body and its own envelope.
    ///
    /// # Errors
    /// The step that failed; the first entry is untouched.
    pub fn split(
        &self,
        directory: &Arc<QueueDirectory>,
        id: QueueId,
        envelope: &Envelope,
    ) -> Result<LockedEntry, CommitError> {
        let made = self.share_body(directory, &id)?;
        let kind = FileKind::of(envelope);
        let lock = store_control(directory, &id, kind, envelope, Durability::Synced)?;
        made.keep();
        let stored = Stored::Files {
            lock,
            body: StoredBody::default(),
        };
        Ok(LockedEntry {
            directory: Arc::clone(directory),
            id,
            kind,
            stored,
        })
    }

    /// Links our body under another identifier, or copies it where that cannot be.
    fn share_body(
        &self,
        directory: &Arc<QueueDirectory>,
        id: &QueueId,
    ) -> Result<MadeFile, CommitError> {
        if let Stored::Files {
            body: StoredBody { folder: None, .. },
            ..
        } = &self.stored
            && self.directory.link_body(&self.id, directory, id).is_ok()
        {
            let path = || directory.path_of(FileKind::Body, id);
            let file = directory
                .open_file(FileKind::Body, id)
                .map_err(|source| failure("open", path(), source))?;
            return Ok(MadeFile::owning(directory, FileKind::Body, id, file));
        }
        let body = self.body()?;
        let made = MadeFile::create(directory, FileKind::Body, id)?;
        io::copy(&mut body.reader(), &mut &made.file)
            .map_err(|source| made.failed("write", source))?;
        made.sync()?;
        Ok(made)
    }

    /// Removes the entry: everybody has the message or a report.
    ///
    /// # Errors
    /// When the control file cannot be removed; the entry is then still in the queue.
    pub fn remove(self) -> Result<(), CommitError> {
        let Stored::Files { body, .. } = &self.stored else {
            return Ok(());
        };
        self.directory
            .remove(self.kind, &self.id)
            .map_err(|source| self.failed("remove", self.kind, source))?;
        // An orphan body or transcript is garbage that the next start removes.
        let _ = match &body.folder {
            Some(folder) => std::fs::remove_file(folder.join(FileKind::Body.file_name(&self.id))),
            None => self.directory.remove(FileKind::Body, &self.id),
        };
        self.remove_transcript();
        Ok(())
    }

    /// Removes the transcript of an attempt that is over, or one that a crash has left.
    pub fn remove_transcript(&self) {
        // One that cannot be removed is garbage that the next attempt removes.
        let _ = self.directory.remove(FileKind::Transcript, &self.id);
    }

    /// Gives the place for a long transcript of this entry.
    pub fn transcript_place(&self) -> Arc<dyn TranscriptPlace> {
        Arc::new(Place {
            directory: Arc::clone(&self.directory),
            id: self.id.clone(),
        })
    }

    /// Moves the entry out of the way as `Qf`, for the operator.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn lose(self) -> Result<(), CommitError> {
        if let Stored::Memory(_) = self.stored {
            return Ok(());
        }
        self.directory
            .rename(self.kind, FileKind::Lost, &self.id)
            .map_err(|source| self.failed("rename to", FileKind::Lost, source))
    }

    /// Lets go of the entry without unlocking it, because a forked child has it now.
    pub fn hand_to_child(self) {
        match self.stored {
            Stored::Files { lock, .. } => drop(lock.hand_to_child()),
            Stored::Memory(MemoryBody::File(made)) => made.keep(),
            Stored::Memory(MemoryBody::Bytes(_)) => {}
        }
    }

    fn failed(&self, step: &'static str, kind: FileKind, source: io::Error) -> CommitError {
        failure(step, self.directory.path_of(kind, &self.id), source)
    }
}

/// The `xf` file of an entry; only who holds the entry makes it.
struct Place {
    directory: Arc<QueueDirectory>,
    id: QueueId,
}

impl TranscriptPlace for Place {
    fn create(&self) -> io::Result<File> {
        match self.directory.remove(FileKind::Transcript, &self.id) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.directory.create(FileKind::Transcript, &self.id),
        }
    }
}
