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
//! A message that was accepted is never lost and never cut by a crash at any of these
//! steps; one that was delivered may be delivered again.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::sync::Arc;

use super::directory::{FileKind, QueueDirectory};
use super::durability::{CommitError, Committed, Durability, failure};
use super::locked::{LockedEntry, MemoryBody, Stored, StoredBody};
use super::store::{MadeFile, store_control};
use crate::envelope::{Envelope, QueueId};
use crate::message::Body;

/// Bodies up to this many bytes stay in memory until the commit.
const MEMORY_BODY_BYTES: usize = 65_536;

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

impl LockedEnvelope {
    /// Makes an entry for a part of the message, which has its own identifier, with the same body.
    ///
    /// # Errors
    /// The step that failed, or that the part has no identifier; this message is untouched.
    pub fn split_off(
        &self,
        directory: &Arc<QueueDirectory>,
        mut part: Envelope,
    ) -> Result<LockedEnvelope, CommitError> {
        let Some(id) = part.id.clone() else {
            let source = io::ErrorKind::InvalidInput.into();
            return Err(failure("name", directory.path().to_path_buf(), source));
        };
        let entry = self.entry.split(directory, id, &part)?;
        part.body = entry.body()?;
        Ok(LockedEnvelope {
            envelope: part,
            entry,
        })
    }
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

    /// Puts the message into another directory, when its queue group is known at last.
    ///
    /// # Errors
    /// When a body that is on disk cannot be copied; the message then stays where it was.
    pub fn move_to(&mut self, directory: &Arc<QueueDirectory>) -> Result<(), CommitError> {
        if self.directory.path() == directory.path() {
            return Ok(());
        }
        if let PendingBody::File { .. } = self.body {
            let body = self.body()?;
            let mut moved = NewEntry::create(directory, self.id.clone());
            let mut reader = body.reader();
            let mut block = vec![0; MEMORY_BODY_BYTES];
            loop {
                let count = reader.read(&mut block).map_err(|source| {
                    failure(
                        "read",
                        self.directory.path_of(FileKind::Body, &self.id),
                        source,
                    )
                })?;
                if count == 0 {
                    break;
                }
                moved.write(block.get(..count).unwrap_or_default())?;
            }
            // The old file goes with what it is replaced in.
            self.body = moved.body;
        }
        self.directory = Arc::clone(directory);
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
        let kind = FileKind::of(envelope);
        if durability == Durability::Memory {
            let stored = Stored::Memory(match body {
                PendingBody::Memory(memory) => MemoryBody::Bytes(memory),
                PendingBody::File { writer, made, .. } => MemoryBody::File(finish(writer, made)?),
            });
            let name = EntryName {
                directory,
                id,
                kind,
            };
            return Ok((LockedEntry::new(name, stored), Committed { durability }));
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
        let lock = store_control(&directory, &id, kind, envelope, durability)?;
        made.keep();
        let stored = Stored::Files {
            lock,
            body: StoredBody::default(),
        };
        let name = EntryName {
            directory,
            id,
            kind,
        };
        Ok((LockedEntry::new(name, stored), Committed { durability }))
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
