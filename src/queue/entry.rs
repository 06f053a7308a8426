//! Queue entries: from a new message to files that survive a crash, and away again.
//!
//! This file is the only one that creates, renames or removes queue files (the
//! damaged and the lost are moved by `take` through [`LockedEntry`] as well).
//!
//! # Order of a commit
//!
//! 1. `df`, created exclusively, written, fdatasync;
//! 2. `tf`, created exclusively, locked, written, fdatasync;
//! 3. rename `tf` to `qf`: the commit point;
//! 4. fsync of the folders, shared between threads.
//!
//! Only then is [`Committed`] made, without which no acceptance can be worded. A
//! step that fails removes what was made; after a failed sync the same file is
//! never tried again, because the kernel may have dropped its pages. Removal goes
//! the other way: `qf` first, because a body without control file is garbage while
//! a control file without body is an error.
//!
//! Source: SECURITY section 2, crash points 1 to 20.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::directory::{FileKind, QueueDirectory};
use crate::envelope::{Envelope, QueueId};
use crate::message::Body;
use crate::sys::file::Directory;
use crate::sys::lock::{FileLock, LockError};

/// Bodies up to this many bytes stay in memory until the commit.
const MEMORY_BODY_BYTES: usize = 65_536;

/// The value of the option SuperSafe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SuperSafe {
    /// Everything is on disk and synced before it is accepted.
    #[default]
    True,
    /// Interactive deliveries go to disk only if something is left over.
    Interactive,
    /// As `True`, after the filters have spoken.
    PostMilter,
    /// Nothing is synced; files are written only when needed.
    False,
}

/// When the message is delivered, seen from the commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryTime {
    /// Before the caller gets its answer (DeliveryMode `i`).
    BeforeAnswer,
    /// After the answer, by this program (DeliveryMode `b`).
    AfterAnswer,
    /// By a queue run (DeliveryModes `q` and `d`).
    QueueRun,
}

/// How much of the message survives a crash once it is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Files, synced.
    Synced,
    /// Files, left to the kernel to write.
    Written,
    /// Memory only, until something is left over.
    Memory,
}

impl SuperSafe {
    /// Tells what a commit must do for a message that is delivered at `time`.
    pub fn durability(self, time: DeliveryTime) -> Durability {
        match (self, time) {
            (SuperSafe::True | SuperSafe::PostMilter, _) => Durability::Synced,
            (SuperSafe::Interactive, DeliveryTime::BeforeAnswer) => Durability::Memory,
            (SuperSafe::Interactive, _) => Durability::Synced,
            (SuperSafe::False, DeliveryTime::QueueRun) => Durability::Written,
            (SuperSafe::False, DeliveryTime::BeforeAnswer | DeliveryTime::AfterAnswer) => {
                Durability::Memory
            }
        }
    }
}

/// What kind of trouble the queue disk is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueFault {
    /// No space, quota or size limit: 452 4.3.1.
    Full,
    /// Anything else: 451 4.3.0.
    Other,
}

impl QueueFault {
    /// Classifies an error of the system.
    pub fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => QueueFault::Full,
            _ => QueueFault::Other,
        }
    }
}

/// Why a message could not be made durable; nothing of it is left.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} {}: {source}", path.display())]
pub struct CommitError {
    /// What was being done, such as `create` or `sync`.
    pub step: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

fn failure(step: &'static str, path: PathBuf, source: io::Error) -> CommitError {
    CommitError { step, path, source }
}

impl CommitError {
    /// Tells which reply the client gets.
    pub fn fault(&self) -> QueueFault {
        QueueFault::of(&self.source)
    }
}

/// Proof that a message was committed, and how firmly.
#[derive(Debug)]
pub struct Committed {
    durability: Durability,
}

impl Committed {
    /// Tells what the commit did.
    pub fn durability(&self) -> Durability {
        self.durability
    }
}

/// Names an entry in the queue: where it lies and what it is called.
#[derive(Clone, Debug)]
pub struct EntryName {
    /// Its directory.
    pub directory: Arc<QueueDirectory>,
    /// Its identifier.
    pub id: QueueId,
    /// `Control`, or `Quarantined` or `Lost`.
    pub kind: FileKind,
}

/// A message in hand together with its entry: holding it is holding the lock.
#[derive(Debug)]
pub struct LockedEnvelope {
    /// The message.
    pub envelope: Envelope,
    /// Its entry.
    pub entry: LockedEntry,
}

/// A message that is being received; nothing of it survives unless it is committed.
#[derive(Debug)]
pub struct NewEntry {
    directory: Arc<QueueDirectory>,
    id: QueueId,
    body: PendingBody,
}

/// Where the body collects.
#[derive(Debug)]
enum PendingBody {
    Memory(Vec<u8>),
    File {
        writer: BufWriter<File>,
        made: MadeFile,
        length: u64,
    },
}

impl NewEntry {
    /// Begins an entry named `id` in a directory; touches no disk yet.
    pub fn create(directory: &Arc<QueueDirectory>, id: QueueId) -> Self {
        Self {
            directory: Arc::clone(directory),
            id,
            body: PendingBody::Memory(Vec::new()),
        }
    }

    /// Gives the identifier.
    pub fn id(&self) -> &QueueId {
        &self.id
    }

    /// Adds bytes to the body (lines ended by LF), going to disk when they become many.
    ///
    /// # Errors
    /// When the body file cannot be made or written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), CommitError> {
        if let PendingBody::Memory(memory) = &mut self.body {
            if memory.len() + bytes.len() <= MEMORY_BODY_BYTES {
                memory.extend_from_slice(bytes);
                return Ok(());
            }
            let so_far = std::mem::take(memory);
            self.body = self.begin_file(&so_far)?;
        }
        if let PendingBody::File {
            writer,
            made,
            length,
        } = &mut self.body
        {
            writer
                .write_all(bytes)
                .map_err(|source| made.failed("write", source))?;
            *length += bytes.len() as u64;
        }
        Ok(())
    }

    /// Counts the bytes of the body so far.
    pub fn body_length(&self) -> u64 {
        match &self.body {
            PendingBody::Memory(memory) => memory.len() as u64,
            PendingBody::File { length, .. } => *length,
        }
    }

    /// Gives the body as written so far, to be looked at before the commit.
    ///
    /// # Errors
    /// When the bytes written so far cannot be read back.
    pub fn body(&mut self) -> Result<Body, CommitError> {
        match &mut self.body {
            PendingBody::Memory(memory) => Ok(Body::Memory(memory.clone())),
            PendingBody::File { writer, made, .. } => {
                writer
                    .flush()
                    .map_err(|source| made.failed("write", source))?;
                Body::from_file(made.another_handle()?)
                    .map_err(|source| made.failed("read", source))
            }
        }
    }

    /// Replaces the body, as a filter may demand.
    ///
    /// # Errors
    /// When the new body cannot be written.
    pub fn replace_body(&mut self, bytes: &[u8]) -> Result<(), CommitError> {
        self.body = PendingBody::Memory(Vec::new());
        self.write(bytes)
    }

    /// Makes the message durable; see the order above.
    ///
    /// The caller sets the envelope's body to [`LockedEntry::body`] afterwards, or
    /// uses [`NewEntry::commit_envelope`].
    ///
    /// # Errors
    /// The step that failed; the files made so far are gone.
    pub fn commit(
        self,
        envelope: &Envelope,
        durability: Durability,
    ) -> Result<(LockedEntry, Committed), CommitError> {
        let Self {
            directory,
            id,
            body,
        } = self;
        if durability == Durability::Memory {
            let stored = Stored::Memory(match body {
                PendingBody::Memory(memory) => MemoryBody::Bytes(memory),
                PendingBody::File { writer, made, .. } => MemoryBody::File(finish(writer, made)?),
            });
            let kind = FileKind::Control;
            let entry = LockedEntry {
                directory,
                id,
                kind,
                stored,
            };
            return Ok((entry, Committed { durability }));
        }
        let made = match body {
            PendingBody::Memory(memory) => {
                let made = MadeFile::create(&directory, FileKind::Body, &id)?;
                made.write(&memory)?;
                made
            }
            PendingBody::File { writer, made, .. } => finish(writer, made)?,
        };
        if durability == Durability::Synced {
            made.sync()?;
        }
        let kind = FileKind::Control;
        let lock = store_control(&directory, &id, kind, envelope, durability)?;
        made.keep();
        let stored = Stored::Files {
            lock,
            foreign_body: None,
        };
        Ok((
            LockedEntry {
                directory,
                id,
                kind,
                stored,
            },
            Committed { durability },
        ))
    }

    /// Makes the message durable and gives it back, body and identifier filled in, with its entry.
    ///
    /// # Errors
    /// As [`NewEntry::commit`]; the envelope comes back unchanged.
    pub fn commit_envelope(
        self,
        mut envelope: Envelope,
        durability: Durability,
    ) -> Result<(LockedEnvelope, Committed), (Box<Envelope>, CommitError)> {
        envelope.id = Some(self.id.clone());
        let committed = self
            .commit(&envelope, durability)
            .and_then(|(entry, committed)| Ok((entry.body()?, entry, committed)));
        match committed {
            Ok((body, entry, committed)) => {
                envelope.body = body;
                Ok((LockedEnvelope { envelope, entry }, committed))
            }
            Err(error) => Err((Box::new(envelope), error)),
        }
    }

    fn begin_file(&self, so_far: &[u8]) -> Result<PendingBody, CommitError> {
        let made = MadeFile::create(&self.directory, FileKind::Body, &self.id)?;
        let mut writer = BufWriter::with_capacity(MEMORY_BODY_BYTES, made.another_handle()?);
        writer
            .write_all(so_far)
            .map_err(|source| made.failed("write", source))?;
        Ok(PendingBody::File {
            writer,
            made,
            length: so_far.len() as u64,
        })
    }
}

/// Empties the buffer of a body file.
fn finish(writer: BufWriter<File>, made: MadeFile) -> Result<MadeFile, CommitError> {
    match writer.into_inner() {
        Ok(_) => Ok(made),
        Err(error) => Err(made.failed("write", error.into_error())),
    }
}

/// Writes a new control file and makes its name, and that of the body, durable.
fn store_control(
    directory: &Arc<QueueDirectory>,
    id: &QueueId,
    kind: FileKind,
    envelope: &Envelope,
    durability: Durability,
) -> Result<FileLock, CommitError> {
    let lock = replace_control(directory, id, kind, envelope, durability)?;
    if durability == Durability::Synced {
        if let Err(source) = directory.sync_names() {
            // The name may not survive: the client is told to send again, so ours must go.
            let _ = directory.remove(kind, id);
            return Err(failure("sync", directory.path().to_path_buf(), source));
        }
    }
    Ok(lock)
}

/// Writes `tf`, locked, and renames it to the control file's name; folders are not synced.
///
/// The lock is taken before the rename: between rename and lock another runner could
/// open the file and deliver the message a second time.
fn replace_control(
    directory: &Arc<QueueDirectory>,
    id: &QueueId,
    kind: FileKind,
    envelope: &Envelope,
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
    made.write(&directory.format().write(envelope, body))?;
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
struct MadeFile {
    directory: Arc<QueueDirectory>,
    kind: FileKind,
    id: QueueId,
    file: File,
    kept: bool,
}

impl MadeFile {
    fn create(
        directory: &Arc<QueueDirectory>,
        kind: FileKind,
        id: &QueueId,
    ) -> Result<Self, CommitError> {
        match directory.create(kind, id) {
            Ok(file) => Ok(Self::owning(directory, kind, id, file)),
            Err(source) => Err(failure("create", directory.path_of(kind, id), source)),
        }
    }

    fn owning(directory: &Arc<QueueDirectory>, kind: FileKind, id: &QueueId, file: File) -> Self {
        Self {
            directory: Arc::clone(directory),
            kind,
            id: id.clone(),
            file,
            kept: false,
        }
    }

    fn write(&self, bytes: &[u8]) -> Result<(), CommitError> {
        (&self.file)
            .write_all(bytes)
            .map_err(|source| self.failed("write", source))
    }

    fn sync(&self) -> Result<(), CommitError> {
        self.file
            .sync_data()
            .map_err(|source| self.failed("sync", source))
    }

    fn another_handle(&self) -> Result<File, CommitError> {
        self.file
            .try_clone()
            .map_err(|source| self.failed("open", source))
    }

    fn failed(&self, step: &'static str, source: io::Error) -> CommitError {
        failure(step, self.directory.path_of(self.kind, &self.id), source)
    }

    fn keep(mut self) {
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
enum Stored {
    /// Not in files (SuperSafe `interactive` or `False`).
    Memory(MemoryBody),
    /// A locked control file and a body file; `foreign_body` is where the body lies if not in
    /// our own directory (`d` line).
    Files {
        lock: FileLock,
        foreign_body: Option<PathBuf>,
    },
}

/// The body of an entry without control file.
#[derive(Debug)]
enum MemoryBody {
    Bytes(Vec<u8>),
    /// Too large for memory; the file goes with the entry.
    File(MadeFile),
}

impl LockedEntry {
    /// Puts an entry together whose control file was opened and locked.
    pub(super) fn from_taken(
        name: EntryName,
        lock: FileLock,
        foreign_body: Option<PathBuf>,
    ) -> Self {
        let EntryName {
            directory,
            id,
            kind,
        } = name;
        Self {
            directory,
            id,
            kind,
            stored: Stored::Files { lock, foreign_body },
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

    /// Opens the body.
    ///
    /// # Errors
    /// When the body file cannot be opened.
    pub fn body(&self) -> Result<Body, CommitError> {
        let opened = match &self.stored {
            Stored::Memory(MemoryBody::Bytes(bytes)) => return Ok(Body::Memory(bytes.clone())),
            Stored::Memory(MemoryBody::File(made)) => made.file.try_clone(),
            Stored::Files {
                foreign_body: Some(path),
                ..
            } => open_foreign(path),
            Stored::Files {
                foreign_body: None, ..
            } => self.directory.open_file(FileKind::Body, &self.id),
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
        let kind = match envelope.quarantine {
            Some(_) => FileKind::Quarantined,
            None => FileKind::Control,
        };
        if let Stored::Memory(_) = self.stored {
            return self.become_files(envelope, kind);
        }
        // We hold the entry: a tf of this name is what a crash left.
        if let Err(source) = self.directory.remove(FileKind::Temporary, &self.id) {
            if source.kind() != io::ErrorKind::NotFound {
                return Err(self.failed("remove", FileKind::Temporary, source));
            }
        }
        if kind != self.kind {
            // The old file takes the new name first, so that there is never a second entry.
            self.directory
                .rename(self.kind, kind, &self.id)
                .map_err(|source| self.failed("rename to", kind, source))?;
            self.kind = kind;
        }
        let durability = Durability::Synced;
        let new_lock = replace_control(&self.directory, &self.id, kind, envelope, durability)?;
        if let Stored::Files { lock, .. } = &mut self.stored {
            *lock = new_lock;
        }
        Ok(())
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
            foreign_body: None,
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
        let kind = match envelope.quarantine {
            Some(_) => FileKind::Quarantined,
            None => FileKind::Control,
        };
        let lock = store_control(directory, &id, kind, envelope, Durability::Synced)?;
        made.keep();
        let stored = Stored::Files {
            lock,
            foreign_body: None,
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
            foreign_body: None, ..
        } = &self.stored
        {
            if self.directory.link_body(&self.id, directory, id).is_ok() {
                let path = || directory.path_of(FileKind::Body, id);
                let file = directory
                    .open_file(FileKind::Body, id)
                    .map_err(|source| failure("open", path(), source))?;
                return Ok(MadeFile::owning(directory, FileKind::Body, id, file));
            }
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
        let Stored::Files { foreign_body, .. } = &self.stored else {
            return Ok(());
        };
        self.directory
            .remove(self.kind, &self.id)
            .map_err(|source| self.failed("remove", self.kind, source))?;
        // An orphan body or transcript is garbage that the next start removes.
        let _ = match foreign_body {
            Some(path) => std::fs::remove_file(path),
            None => self.directory.remove(FileKind::Body, &self.id),
        };
        let _ = self.directory.remove(FileKind::Transcript, &self.id);
        Ok(())
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

/// Opens a body in another queue directory, as a `d` line names it.
fn open_foreign(path: &Path) -> io::Result<File> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    Directory::open(folder)?.open_file(name.as_encoded_bytes())
}
