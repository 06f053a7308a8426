//! An existing entry back into hand, or out of the way when it is damaged.
//!
//! The control file is opened, locked without waiting, and compared with the name
//! it was opened by: another runner may have replaced it meanwhile. What cannot be
//! believed becomes `Qf` and is told; it is never dropped.
//!
//! Observed: 8.17.1.9 leaves empty and incomplete files alone (another program may be
//! writing them), and delivers a message whose body is missing with a note in its
//! place.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};

use super::control_file::{ControlFileFault, ParsedControlFile};
use super::directory::FileKind;
use super::entry::{EntryName, LockedEnvelope};
use super::locked::{LockedEntry, Stored, StoredBody};
use crate::message::Body;
use crate::smtp::ExitStatus;
use crate::sys::file::{FileFacts, FileKind as SystemFileKind};
use crate::sys::lock::{FileLock, LockError};

/// Longest control file read; a message with a million recipients is shorter.
const MAX_CONTROL_FILE_BYTES: u64 = 134_217_728;

/// What is delivered in place of a body that is gone.
const MISSING_BODY: &[u8] = b"<<< No Message Collected >>>\n";

/// A line for the log about an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Complaint {
    /// An internal error about no message in particular: `NOQUEUE: SYSERR(user): text`.
    General(String),
    /// An internal error about the entry: `id: SYSERR(user): text`.
    Entry(String),
    /// The same, where the text ends with what the system said.
    System(String),
    /// Something the operator must see: `id: text`, severity alert.
    Alert(String),
}

impl Complaint {
    /// Returns what a queue run in the foreground ends with, none if it is no error.
    ///
    /// Observed: 8.17.1.9.
    pub fn exit(&self) -> Option<ExitStatus> {
        match self {
            Complaint::General(_) | Complaint::Entry(_) => Some(ExitStatus::Software),
            Complaint::System(_) => Some(ExitStatus::OsError),
            Complaint::Alert(_) => None,
        }
    }
}

/// Why an entry could not be taken.
#[derive(Debug)]
pub enum TakeError {
    /// Another process or thread has it; not a fault.
    Busy,
    /// It is gone, or was replaced while we looked; not a fault.
    Gone,
    /// It is empty or cut, or its body cannot be read now; it stays where it is.
    Left(Vec<Complaint>),
    /// It is damaged and was moved to `Qf`, or should have been.
    Lost(Vec<Complaint>),
    /// The system refused.
    Io(io::Error),
}

impl fmt::Display for TakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TakeError::Busy => f.write_str("locked"),
            TakeError::Gone => f.write_str("no longer there"),
            TakeError::Left(_) => f.write_str("incomplete"),
            TakeError::Lost(_) => f.write_str("damaged"),
            TakeError::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for TakeError {}

/// An entry that was taken, and what is to be logged about it.
#[derive(Debug)]
pub struct Taken {
    /// The message and its entry.
    pub message: LockedEnvelope,
    /// Usually nothing; a missing body is told.
    pub complaints: Vec<Complaint>,
}

impl EntryName {
    /// Locks and reads the entry.
    ///
    /// # Errors
    /// See [`TakeError`]; a damaged entry has been moved out of the way.
    pub fn take(&self) -> Result<Taken, TakeError> {
        let (lock, facts) = self.lock()?;
        if !self.is_trustworthy(&facts) {
            let mode = 0o100_000 | facts.mode;
            let (uid, gid) = (facts.uid, facts.gid);
            let bogus = format!("bogus queue file, uid={uid}, gid={gid}, mode={mode:o}");
            return Err(self.lose(
                vec![Complaint::Alert(bogus)],
                "bogus file uid/gid in mqueue",
            ));
        }
        let text = read_control(lock.file()).map_err(TakeError::Io)?;
        let parsed = match self.directory.format().parse(&text) {
            Ok(parsed) => parsed,
            Err(fault) => return Err(self.refuse(&fault)),
        };
        self.with_body(parsed, lock)
    }

    /// Locks the entry without waiting; what it was opened by must still be its name then.
    pub(super) fn lock(&self) -> Result<(FileLock, FileFacts), TakeError> {
        let file = match self.directory.open_file(self.kind, &self.id) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(TakeError::Gone),
            Err(error) => return Err(TakeError::Io(error)),
        };
        let lock = match FileLock::try_exclusive(file) {
            Ok(lock) => lock,
            Err((_, LockError::Busy)) => return Err(TakeError::Busy),
            Err((_, LockError::Io(error))) => return Err(TakeError::Io(error)),
        };
        let facts = FileFacts::of(lock.file()).map_err(TakeError::Io)?;
        match self.directory.facts(self.kind, &self.id) {
            Ok(named) if named.is_same_file(&facts) => {}
            _ => return Err(TakeError::Gone),
        }
        Ok((lock, facts))
    }

    /// Tells whether only we can have written a control file with these facts.
    pub(super) fn is_trustworthy(&self, facts: &FileFacts) -> bool {
        let group_may_write = self.directory.file_mode() & 0o020 != 0;
        facts.kind == SystemFileKind::Regular
            && facts.links == 1
            && !facts.is_world_writable()
            && (group_may_write || !facts.is_group_writable())
    }

    fn with_body(&self, parsed: ParsedControlFile, lock: FileLock) -> Result<Taken, TakeError> {
        let ParsedControlFile {
            mut envelope,
            body_folder,
            complaints,
        } = parsed;
        if body_folder
            .as_deref()
            .is_some_and(|folder| !self.directory.knows_folder(folder))
        {
            return Err(self.lose(Vec::new(), "bogus queue file directory"));
        }
        let mut body = StoredBody {
            folder: body_folder,
            inode: None,
        };
        let mut complaints: Vec<_> = complaints.into_iter().map(Complaint::Entry).collect();
        match body.open(&self.directory, &self.id) {
            Ok(file) => {
                body.inode = inode_record(&file);
                envelope.body = Body::from_file(file).map_err(TakeError::Io)?;
            }
            Err(error) => {
                let place = self.place(FileKind::Body);
                let reason = system_text(&error);
                let told = format!("readqf: cannot open {place}: {reason}");
                complaints.push(Complaint::System(told));
                // What is there but cannot be read now is no reason to send the rest without it.
                if error.kind() != io::ErrorKind::NotFound {
                    return Err(TakeError::Left(complaints));
                }
                envelope.body = Body::Memory(MISSING_BODY.to_vec());
            }
        }
        if self.kind == FileKind::Control && envelope.quarantine.is_some() {
            // Observed: a reason in an ordinary control file counts; it is not delivered.
            let renamed = self
                .directory
                .rename(self.kind, FileKind::Quarantined, &self.id);
            return Err(renamed.map_or_else(TakeError::Io, |()| TakeError::Left(Vec::new())));
        }
        envelope.id = Some(self.id.clone());
        envelope.size = envelope.size.saturating_add(envelope.body.len());
        let entry = LockedEntry::new(self.clone(), Stored::Files { lock, body });
        Ok(Taken {
            message: LockedEnvelope { envelope, entry },
            complaints,
        })
    }

    fn refuse(&self, fault: &ControlFileFault) -> TakeError {
        let place = self.place(self.kind);
        let text = match fault {
            ControlFileFault::Empty => return TakeError::Left(Vec::new()),
            ControlFileFault::Incomplete | ControlFileFault::BadLine { .. } => {
                format!("readqf: {place}: {fault}")
            }
            ControlFileFault::Bogus { .. } | ControlFileFault::Version(_) => fault.to_string(),
        };
        let complaints = vec![Complaint::Entry(text)];
        match fault.loss_reason() {
            None => TakeError::Left(complaints),
            Some(reason) => self.lose(complaints, reason),
        }
    }

    /// Moves the entry to `Qf`; the lock of the caller keeps others away meanwhile.
    fn lose(&self, mut complaints: Vec<Complaint>, reason: &str) -> TakeError {
        let place = self.place(self.kind);
        match self.directory.rename(self.kind, FileKind::Lost, &self.id) {
            Ok(()) => complaints.push(Complaint::Alert(format!("Losing {place}: {reason}"))),
            Err(error) => {
                let text = format!("cannot rename({place}, Qf): {}", system_text(&error));
                complaints.push(Complaint::System(text));
            }
        }
        TakeError::Lost(complaints)
    }

    /// Gives the name of one of its files as log lines have it, such as `./qfID` or `q1/qfID`.
    pub fn place(&self, kind: FileKind) -> String {
        self.directory.place_of(kind, &self.id)
    }
}

impl LockedEnvelope {
    /// Gives up a message that can go nowhere: it stays for the operator as `Qf`.
    ///
    /// # Errors
    /// When the control file cannot be renamed.
    pub fn lose(self, reason: &str) -> Result<Complaint, super::CommitError> {
        let name = self.entry.name();
        self.entry.lose()?;
        Ok(Complaint::Alert(format!(
            "Losing {}: {reason}",
            name.place(name.kind)
        )))
    }
}

/// Words an error as the C library does, without our number behind it.
pub(super) fn system_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(end) => text.get(..end).unwrap_or(&text).to_owned(),
        None => text,
    }
}

/// Gives device and inode of a body file, as the `I` line has them.
pub(super) fn inode_record(file: &File) -> Option<(u64, u64, u64)> {
    let facts = FileFacts::of(file).ok()?;
    let (major, minor) = facts.device_numbers();
    Some((major, minor, facts.inode))
}

/// Reads a control file, up to a limit that no honest one reaches.
pub(super) fn read_control(file: &File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut reader = file.take(MAX_CONTROL_FILE_BYTES);
    reader.read_to_end(&mut text)?;
    Ok(text)
}
