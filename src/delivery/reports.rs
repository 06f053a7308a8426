//! Reports about a message, made durable before anything is struck from it.

use crate::bounce::{self, Expiry, Fate, QueueTimes};
use crate::envelope::Envelope;
use crate::mta::{Mta, Workspace};
use crate::queue::{CommitError, LockedEnvelope};

/// Reports that were committed.
#[derive(Debug, Default)]
pub struct Written {
    /// Each with its lock held.
    pub made: Vec<LockedEnvelope>,
    /// The message is a report that nobody can be told about: it is kept for the operator.
    pub is_lost: bool,
}

/// Gives up what waited too long and writes the reports a message owes.
///
/// # Errors
/// When a report cannot be made durable; nothing may be struck then.
pub fn write_reports(
    mta: &Mta,
    workspace: &mut Workspace,
    envelope: &mut Envelope,
) -> Result<Written, CommitError> {
    super::dead_letter::tell_user(mta, workspace, envelope);
    let times = QueueTimes::of(envelope, &mta.config.options.timeouts);
    let expiry = bounce::expire(envelope, &times, mta.clock.now());
    match &expiry {
        Expiry::Returned { told } | Expiry::Warned { told } => {
            workspace.narrator.say(told.as_bytes());
        }
        Expiry::Nothing => {}
    }
    let posted = bounce::send_notices(mta, workspace, envelope, &expiry)?;
    Ok(Written {
        made: posted.messages,
        is_lost: posted.fate == Fate::Hopeless,
    })
}

/// Gives a message up whose sender wants it back by now; tells whether it did.
pub fn is_past_deadline(mta: &Mta, workspace: &mut Workspace, envelope: &mut Envelope) -> bool {
    let told = bounce::expire_deadline(envelope, mta.clock.now());
    if let Some(told) = told.as_ref().filter(|told| !told.is_empty()) {
        workspace.narrator.say(told.as_bytes());
    }
    told.is_some()
}

/// Tells whether a message goes back without even one attempt.
pub fn returns_at_once(mta: &Mta, envelope: &Envelope) -> bool {
    QueueTimes::of(envelope, &mta.config.options.timeouts).returns_at_once()
}
