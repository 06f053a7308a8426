//! Reports about a message, made durable before anything is struck from it.

use crate::envelope::Envelope;
use crate::mta::{Mta, Workspace};
use crate::queue::{CommitError, LockedEnvelope};

/// Reports that were committed.
#[derive(Debug, Default)]
pub struct Written {
    /// Each with its lock held.
    pub made: Vec<LockedEnvelope>,
}

/// Writes the reports a message owes.
pub fn write_reports(
    _mta: &Mta,
    _workspace: &mut Workspace,
    _envelope: &mut Envelope,
) -> Result<Written, CommitError> {
    unimplemented!("delivery: reports")
}

/// Tells whether nobody could be told about a failure.
pub fn is_lost(_envelope: &Envelope) -> bool {
    false
}
