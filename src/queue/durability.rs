//! How firmly a message is stored, and what can go wrong.

use std::io;
use std::path::PathBuf;

use crate::config::options::{DeliveryMode, SuperSafe};

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

impl Durability {
    /// Tells what a commit must do under an option SuperSafe and a delivery mode.
    pub fn of(safe: SuperSafe, mode: DeliveryMode) -> Self {
        match (safe, mode) {
            (SuperSafe::True | SuperSafe::PostMilter, _) => Durability::Synced,
            (SuperSafe::Interactive, DeliveryMode::Interactive) => Durability::Memory,
            (SuperSafe::Interactive, _) => Durability::Synced,
            (SuperSafe::False, DeliveryMode::QueueOnly | DeliveryMode::Deferred) => {
                Durability::Written
            }
            (SuperSafe::False, DeliveryMode::Interactive | DeliveryMode::Background) => {
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

pub(super) fn failure(step: &'static str, path: PathBuf, source: io::Error) -> CommitError {
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
    pub(super) durability: Durability,
}

impl Committed {
    /// Tells what the commit did.
    pub fn durability(&self) -> Durability {
        self.durability
    }
}
