//! Making queue files: each removed again unless the step after it succeeds.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use super::control_file::BodyPlace;
use super::directory::{FileKind, QueueDirectory};
use super::durability::{CommitError, Durability, failure};
use crate::envelope::{Envelope, QueueId};
use crate::sys::lock::{FileLock, LockError};

/// Writes a new control file and makes its name, and that of the body, durable.
pub(super) fn store_control(
    directory: &Arc<QueueDirectory>,
    id: &QueueId,
    kind: FileKind,
    envelope: &Envelope,
    durability: Durability,
) -> Result<FileLock, CommitError> {
    let lock = replace_control(
        directory,
        id,
        kind,
        envelope,
        BodyPlace::default(),
        durability,
    )?;
    if durability == Durability::Synced
        && let Err(source) = directory.sync_names()
    {
        // The name may not survive: the client is told to send again, so ours must go.
        let _ = directory.remove(kind, id);
        return Err(failure("sync", directory.path().to_path_buf(), source));
    }
    Ok(lock)
}

/// Writes `tf`, locked, and renames it to the control file's name; folders are not synced.
///
/// The lock is taken before the rename: between rename and lock another runner could
/// open the file and deliver the message a second time.
pub(super) fn replace_control(
    directory: &Arc<QueueDirectory>,
    id: &QueueId,
    kind: FileKind,
    envelope: &Envelope,
    body: BodyPlace<'_>,
    durability: Durability,
) -> Result<FileLock, CommitError> {
    let text = directory.format().write(envelope, body);
    rename_into_place(directory, id, kind, &text, durability)
}

/// Replaces the text of an entry's control file; a `tf` of its name is what a crash left.
pub(super) fn replace_with_text(
    directory: &Arc<QueueDirectory>,
    id: &QueueId,
    kind: FileKind,
    text: &[u8],
) -> Result<FileLock, CommitError> {
    remove_stale(directory, id)?;
    rename_into_place(directory, id, kind, text, Durability::Synced)
}

/// Removes a temporary file; only for who holds the entry.
pub(super) fn remove_stale(
    directory: &Arc<QueueDirectory>,
    id: &QueueId,
) -> Result<(), CommitError> {
    match directory.remove(FileKind::Temporary, id) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(failure(
            "remove",
            directory.path_of(FileKind::Temporary, id),
            source,
        )),
        _ => Ok(()),
    }
}

pub(super) fn rename_into_place(
    directory: &Arc<QueueDirectory>,
    id: &QueueId,
    kind: FileKind,
    text: &[u8],
    durability: Durability,
) -> Result<FileLock, CommitError> {
    let made = MadeFile::create(directory, FileKind::Temporary, id)?;
    let lock = FileLock::try_exclusive(made.another_handle()?).map_err(|(_, error)| {
        let source = match error {
            LockError::Busy => io::Error::from(io::ErrorKind::WouldBlock),
            LockError::Io(source) => source,
        };
        made.failed("lock", source)
    })?;
    made.write(text)?;
    if durability == Durability::Synced {
        made.sync()?;
    }
    directory
        .rename(FileKind::Temporary, kind, id)
        .map_err(|source| failure("rename to", directory.path_of(kind, id), source))?;
    made.keep();
    Ok(lock)
}

/// A file we created; removed again unless it is kept.
#[derive(Debug)]
pub(super) struct MadeFile {
    directory: Arc<QueueDirectory>,
    kind: FileKind,
    id: QueueId,
    pub(super) file: File,
    kept: bool,
}

impl MadeFile {
    pub(super) fn create(
        directory: &Arc<QueueDirectory>,
        kind: FileKind,
        id: &QueueId,
    ) -> Result<Self, CommitError> {
        match directory.create(kind, id) {
            Ok(file) => Ok(Self::owning(directory, kind, id, file)),
            Err(source) => Err(failure("create", directory.path_of(kind, id), source)),
        }
    }

    pub(super) fn owning(
        directory: &Arc<QueueDirectory>,
        kind: FileKind,
        id: &QueueId,
        file: File,
    ) -> Self {
        Self {
            directory: Arc::clone(directory),
            kind,
            id: id.clone(),
            file,
            kept: false,
        }
    }

    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), CommitError> {
        (&self.file)
            .write_all(bytes)
            .map_err(|source| self.failed("write", source))
    }

    pub(super) fn sync(&self) -> Result<(), CommitError> {
        self.file
            .sync_data()
            .map_err(|source| self.failed("sync", source))
    }

    pub(super) fn another_handle(&self) -> Result<File, CommitError> {
        self.file
            .try_clone()
            .map_err(|source| self.failed("open", source))
    }

    pub(super) fn failed(&self, step: &'static str, source: io::Error) -> CommitError {
        failure(step, self.directory.path_of(self.kind, &self.id), source)
    }

    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for MadeFile {
    fn drop(&mut self) {
        if !self.kept {
            // Failing to clean up leaves garbage that the next start removes.
            let _ = self.directory.remove(self.kind, &self.id);
        }
    }
}
