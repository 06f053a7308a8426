//! Outcomes written back: what stays in the queue, what is reported, what is gone.
//!
//! Reports about failed, delayed and delivered recipients are committed to the
//! queue before the recipients they tell of are struck from the message, so a
//! crash can double a report but never lose one. Only then the entry is rewritten
//! or removed.
//!
//! Source: guide 4.3 and 4.4.

use crate::bounce::{self, NOWHERE};
use crate::envelope::{Envelope, EnvelopeFlags, Recipient, RecipientState};
use crate::logging::record::Severity;
use crate::mta::{Mta, Workspace};
use crate::queue::{CommitError, LockedEntry, LockedEnvelope};
use crate::smtp::ExitStatus;
use crate::sys::clock::Timestamp;
use crate::text::interval::format_interval;

use super::ledger::first_failure;
use super::{reports, run};

/// What finishing one message came to.
#[derive(Debug, Default)]
pub struct Finish {
    /// Status of the first failure.
    pub exit: Option<ExitStatus>,
    /// Recipients that stay in the queue.
    pub waiting: usize,
    /// Reports, committed and locked, to be delivered next.
    pub reports: Vec<LockedEnvelope>,
    /// The messages that are over, to be said so when their reports have been delivered.
    pub done: Vec<Done>,
}

/// A message that left the queue.
#[derive(Debug)]
pub struct Done {
    id: Vec<u8>,
    created: Timestamp,
    attempts: u32,
}

impl Done {
    /// Writes the line that ends the history of a message.
    pub fn log(&self, mta: &Mta) {
        let delay = format_interval(mta.clock.now().since(self.created));
        mta.log.syslog(
            10,
            Severity::Info,
            Some(&self.id),
            format_args!("done; delay={delay}, ntries={}", self.attempts),
        );
    }
}

impl Finish {
    /// Adds what another part of the same message came to.
    pub fn add(&mut self, exit: Option<ExitStatus>, part: Finish) {
        self.exit = first_failure(first_failure(self.exit, exit), part.exit);
        self.waiting += part.waiting;
        self.reports.extend(part.reports);
        self.done.extend(part.done);
    }
}

/// Reports what is owed, then rewrites or removes the entry.
pub fn finish(mta: &Mta, workspace: &mut Workspace, message: LockedEnvelope) -> Finish {
    let LockedEnvelope {
        mut envelope,
        mut entry,
    } = message;
    let mut finish = Finish::default();
    match reports::write_reports(mta, workspace, &mut envelope) {
        Ok(written) => {
            let mut is_lost = written.is_lost;
            if envelope.is_response() && !written.made.is_empty() {
                let is_out = try_last_reports(mta, workspace, written.made, &mut finish);
                if !is_out && let Err(error) = entry.rewrite(&untried(&envelope)) {
                    complain(mta, &envelope, &error);
                }
                is_lost |= !is_out;
            } else {
                finish.reports = written.made;
            }
            if is_lost && !bounce::drop_letter(mta, workspace, &envelope) {
                lose(mta, workspace, &envelope, entry);
                return finish;
            }
        }
        Err(error) => return stuck(mta, envelope, entry, &error),
    }
    match write_copy(mta, workspace, &mut envelope, &mut finish) {
        Ok(()) => {}
        Err(error) => return stuck(mta, envelope, entry, &error),
    }
    record(mta, LockedEnvelope { envelope, entry }, &mut finish);
    finish
}

/// Makes the postmaster's copy of what failed, when the report itself has been delivered.
///
/// Observed: 8.17.1.9.
fn write_copy(
    mta: &Mta,
    workspace: &mut Workspace,
    envelope: &mut Envelope,
    finish: &mut Finish,
) -> Result<(), CommitError> {
    if mta.config.options.delivering.postmaster_copy.is_none() || envelope.is_response() {
        return Ok(());
    }
    run::deliver_reports(mta, workspace, std::mem::take(finish));
    let copy = bounce::send_copy(mta, workspace, envelope)?;
    finish.reports.extend(copy);
    Ok(())
}

/// Delivers reports about a report at once, while that is still there to be kept; says whether
/// anybody got one or may still get it.
///
/// Nobody hears of those that fail: there would be no end to it. Observed: 8.17.1.9.
fn try_last_reports(
    mta: &Mta,
    workspace: &mut Workspace,
    reports: Vec<LockedEnvelope>,
    finish: &mut Finish,
) -> bool {
    let mut is_any_out = false;
    for report in reports {
        let mut report = run::attempt_once(mta, workspace, report);
        let failed = |one: &Recipient| matches!(one.state, RecipientState::Failed(_));
        let is_out =
            report.envelope.recipients.iter().any(|one| {
                one.state.is_open() || matches!(one.state, RecipientState::Delivered(_))
            });
        if report.envelope.recipients.iter().any(failed) {
            bounce::look_for_sender(mta, workspace, &mut report.envelope);
        }
        is_any_out |= is_out;
        let mut own = Finish::default();
        record(mta, report, &mut own);
        finish.done.extend(own.done);
    }
    is_any_out
}

/// A message as it was before its recipients failed, for the operator to look at.
fn untried(envelope: &Envelope) -> Envelope {
    let mut envelope = envelope.clone();
    for recipient in &mut envelope.recipients {
        if matches!(recipient.state, RecipientState::Failed(_)) {
            recipient.state = RecipientState::Pending;
        }
    }
    envelope.flags.remove(EnvelopeFlags::SPLIT);
    envelope.message_status = None;
    envelope.attempts = envelope.attempts.saturating_sub(1);
    envelope.last_attempt = envelope.last_attempt.filter(|_| envelope.attempts > 0);
    envelope
}

/// Rewrites or removes the entry.
fn record(mta: &Mta, message: LockedEnvelope, finish: &mut Finish) {
    let LockedEnvelope { envelope, entry } = message;
    finish.waiting = envelope.open_recipients();
    let recorded = if finish.waiting == 0 && !envelope.flags.contains(EnvelopeFlags::STAYS) {
        finish.done.push(Done {
            id: envelope.id_for_log().to_vec(),
            created: envelope.created,
            attempts: envelope.attempts,
        });
        entry.remove()
    } else {
        let mut entry = entry;
        let rewritten = entry.rewrite(&envelope);
        entry.remove_transcript();
        rewritten
    };
    if let Err(error) = recorded {
        complain(mta, &envelope, &error);
    }
}

/// The queue cannot record what happened: the entry stays as it was and is tried again.
pub fn stuck(mta: &Mta, envelope: Envelope, entry: LockedEntry, error: &CommitError) -> Finish {
    complain(mta, &envelope, error);
    drop(entry);
    Finish {
        exit: Some(ExitStatus::OsError),
        waiting: envelope.open_recipients(),
        ..Finish::default()
    }
}

/// Nobody can be told: the message goes out of the way for the operator.
fn lose(mta: &Mta, workspace: &mut Workspace, envelope: &Envelope, entry: LockedEntry) {
    let id = envelope.id_for_log();
    mta.log.syslog(
        0,
        Severity::Alert,
        Some(id),
        format_args!("Losing {}: savemail panic", entry.place()),
    );
    mta.log.syslog(
        0,
        Severity::Critical,
        Some(id),
        format_args!("SYSERR(root): {NOWHERE}"),
    );
    workspace.complaints.say(NOWHERE.as_bytes());
    if let Err(error) = entry.lose() {
        complain(mta, envelope, &error);
    }
}

fn complain(mta: &Mta, envelope: &Envelope, error: &CommitError) {
    mta.log.syslog(
        0,
        Severity::Critical,
        Some(envelope.id_for_log()),
        format_args!("SYSERR(root): queueup: {error}"),
    );
}
