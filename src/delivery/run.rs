//! The one entry point of delivery: a locked message in, its outcome recorded.
//!
//! Expands what is not expanded yet, splits lists with an owner into envelopes of
//! their own, carries out one transaction after the other, and lets
//! [`super::finish`] write the outcome back. Reports that this makes are delivered
//! in the same call, one after the other.
//!
//! Source: guide 2.3 and 4.7; order observed: 8.17.1.9.

use crate::alias::expand::expand_recipients;
use crate::config::options::ErrorMode;
use crate::envelope::prepare::set_priority;
use crate::envelope::{DeliveryStatus, Envelope, EnvelopeFlags, RecipientState};
use crate::logging::record::Severity;
use crate::macros::MacroId;
use crate::mta::routing::{ExpansionFlags, Routing};
use crate::mta::{Mta, Workspace};
use crate::queue::LockedEnvelope;
use crate::smtp::{EnhancedStatus, ExitStatus};
use crate::sys::process::check_standard_descriptors;
use crate::text::bytes::printable;
use crate::text::quoted::strip_quotes;

use super::finish::{self, Done, Finish};
use super::ledger::{self, Ledger, Listeners};
use super::revive::{revive_message, revive_sender};
use super::{attempt, parts, plan, record, reports};

/// Most reports that one message may bring about in a row.
///
/// A bounce of a bounce goes to the postmaster and then nowhere, so more than a
/// few mean a loop of our own making; what is left stays in the queue.
const MAX_FOLLOWING_REPORTS: usize = 64;

/// Why a message is delivered now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// It has just been accepted.
    JustAccepted,
    /// A queue run took it.
    QueueRun,
    /// A queue run was asked for it: -qI, -qR, -qS or ETRN.
    SelectedRun,
}

/// What a delivery came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Status of the first failure among the message's own recipients.
    pub exit: ExitStatus,
    /// Recipients that stay in the queue.
    pub waiting: usize,
}

/// Delivers a message and the reports about it; holding `message` is holding its lock.
pub fn deliver(
    mta: &Mta,
    workspace: &mut Workspace,
    message: LockedEnvelope,
    occasion: Occasion,
) -> Finished {
    check_descriptors(mta, &message.envelope);
    let finish = deliver_one(mta, workspace, message, occasion);
    deliver_reports(mta, workspace, finish)
}

/// Makes sure that mailers get three descriptors that are open, and logs it when they were not.
fn check_descriptors(mta: &Mta, envelope: &Envelope) {
    for number in check_standard_descriptors().into_iter().flatten() {
        let id = Some(envelope.id_for_log());
        let text = format_args!("SYSERR(root): fill_fd: deliver: fd {number} not open");
        mta.log.syslog(0, Severity::Critical, id, text);
    }
}

/// Reports what failed already and delivers the reports; what is left stays in the queue.
pub fn settle(mta: &Mta, workspace: &mut Workspace, message: LockedEnvelope) -> Finished {
    let finish = finish::finish(mta, workspace, message);
    deliver_reports(mta, workspace, finish)
}

/// Returns a message from the queue to its sender, undelivered, because somebody says so.
pub fn give_up(
    mta: &Mta,
    workspace: &mut Workspace,
    mut message: LockedEnvelope,
    reason: &[u8],
) -> Finished {
    let envelope = &mut message.envelope;
    revive_message(mta, envelope);
    revive_sender(mta, workspace, envelope);
    let exit = ExitStatus::Unavailable;
    let enhanced = EnhancedStatus::from_exit(exit);
    let mut status = DeliveryStatus::local(enhanced, exit, reason, mta.clock.now());
    status.diagnostic = Some(reason.to_vec());
    for recipient in &mut envelope.recipients {
        if recipient.state.is_open() {
            let address = recipient.address.as_slice();
            let reply = format!("554 {enhanced} ");
            let line = [reply.as_bytes(), address, b"... ", reason].concat();
            envelope.transcript.push_line(&line);
            recipient.state = RecipientState::Failed(status.clone());
        }
    }
    envelope.note_trouble(true, reason);
    settle(mta, workspace, message)
}

/// What is left to do about a message that has been worked on.
enum Rest {
    Deliver(Box<LockedEnvelope>),
    Say(Done),
}

/// Delivers reports, each followed by those about itself, and says in the log what is over.
pub(super) fn deliver_reports(mta: &Mta, workspace: &mut Workspace, finish: Finish) -> Finished {
    let finished = Finished {
        exit: finish.exit.unwrap_or(ExitStatus::Ok),
        waiting: finish.waiting,
    };
    // Reports have no sender who could be told anything but by mail.
    let error_mode = std::mem::replace(&mut workspace.error_mode, ErrorMode::Mail);
    let mut rest = Vec::new();
    put_on(&mut rest, finish);
    let mut delivered = 0;
    while let Some(next) = rest.pop() {
        match next {
            Rest::Say(done) => done.log(mta),
            Rest::Deliver(_) if delivered >= MAX_FOLLOWING_REPORTS => {}
            Rest::Deliver(report) => {
                delivered += 1;
                let more = deliver_one(mta, workspace, *report, Occasion::JustAccepted);
                put_on(&mut rest, more);
            }
        }
    }
    workspace.error_mode = error_mode;
    mta.post_statistics();
    finished
}

/// Puts the reports about a message on the pile, and under them that it is done.
fn put_on(rest: &mut Vec<Rest>, finish: Finish) {
    rest.extend(finish.done.into_iter().rev().map(Rest::Say));
    let reports = finish.reports.into_iter().rev().map(Box::new);
    rest.extend(reports.map(Rest::Deliver));
}

fn deliver_one(
    mta: &Mta,
    workspace: &mut Workspace,
    mut message: LockedEnvelope,
    occasion: Occasion,
) -> Finish {
    workspace.memory.hosts.passes_files_by = occasion == Occasion::SelectedRun;
    if occasion != Occasion::JustAccepted {
        revive_message(mta, &mut message.envelope);
    }
    let said = revive_sender(mta, workspace, &mut message.envelope);
    if occasion != Occasion::JustAccepted {
        said.tell(mta, workspace, &mut message.envelope);
    }
    if is_looping(mta, &message.envelope) {
        return end_loop(mta, workspace, message, occasion);
    }
    expand(mta, workspace, &mut message.envelope);
    let (parts, mut total) = parts::split(mta, workspace, message);
    for mut part in parts {
        revive_sender(mta, workspace, &mut part.envelope);
        let buffer = mta.config.options.queueing.xscript_file_buffer_size;
        let transcript = &mut part.envelope.transcript;
        transcript.spill_to(
            part.entry.transcript_place(),
            usize::try_from(buffer).unwrap_or(usize::MAX),
        );
        // The first list of recipients is gone through as it stood: a recipient that
        // another transaction settles meanwhile is not tried twice.
        // A report that has just been made is tried: else it would come back as the next one.
        let is_new_report = part.envelope.is_response() && occasion == Occasion::JustAccepted;
        let exit = if !is_new_report && reports::returns_at_once(mta, &part.envelope) {
            None
        } else if reports::is_past_deadline(mta, workspace, &mut part.envelope) {
            Some(ExitStatus::Unavailable)
        } else {
            attempt_all(mta, workspace, &mut part, occasion)
        };
        total.add(exit, finish::finish(mta, workspace, part));
    }
    total
}

/// Tries a report once, and leaves it to the caller what its failure means.
pub(super) fn attempt_once(
    mta: &Mta,
    workspace: &mut Workspace,
    mut report: LockedEnvelope,
) -> LockedEnvelope {
    revive_sender(mta, workspace, &mut report.envelope);
    expand(mta, workspace, &mut report.envelope);
    attempt_all(mta, workspace, &mut report, Occasion::JustAccepted);
    report
}

/// Tells whether a message has been through more hosts than MaxHopCount allows.
fn is_looping(mta: &Mta, envelope: &Envelope) -> bool {
    let limit = mta.config.options.receiving.max_hop_count;
    envelope.open_recipients() > 0 && hops_of(envelope) > limit
}

/// Counts the hops of a message; a report begins where `-h` says.
fn hops_of(envelope: &Envelope) -> u32 {
    let begun = match envelope.is_response() {
        true => envelope.hop_count,
        false => 0,
    };
    begun.max(envelope.headers.hop_count())
}

/// Complains about a loop; a queue run returns the message.
///
/// Observed: 8.17.1.9: a message that has just been accepted stays in the queue for now, unless
/// the child in the background reads it from there.
fn end_loop(
    mta: &Mta,
    workspace: &mut Workspace,
    mut message: LockedEnvelope,
    occasion: Occasion,
) -> Finish {
    let envelope = &mut message.envelope;
    let text = hop_complaint(mta, envelope);
    mta.log.syslog(
        1,
        Severity::Critical,
        Some(envelope.id_for_log()),
        format_args!("SYSERR(root): {text}"),
    );
    let exit = Some(ExitStatus::Unavailable);
    let is_read_again = envelope.flags.contains(EnvelopeFlags::AS_FROM_QUEUE);
    let is_report = envelope.is_response();
    if occasion == Occasion::JustAccepted && !is_read_again && !is_report {
        return Finish {
            exit,
            waiting: envelope.open_recipients(),
            ..Finish::default()
        };
    }
    let line = format!("554 5.4.6 {text}");
    envelope.transcript.push_line(line.as_bytes());
    envelope.note_trouble(true, text.as_bytes());
    let status = DeliveryStatus::too_many_hops(text, mta.clock.now());
    for recipient in &mut envelope.recipients {
        if recipient.state.is_open() {
            recipient.state = RecipientState::Failed(status.clone());
        }
    }
    let mut finish = finish::finish(mta, workspace, message);
    finish.exit = exit;
    finish
}

fn hop_complaint(mta: &Mta, envelope: &Envelope) -> String {
    let first = envelope.recipients.iter().find(|one| one.state.is_open());
    let to = first.map_or(&b""[..], |recipient| &recipient.address);
    let name = envelope.macros.text(MacroId::CLIENT_NAME);
    format!(
        "Too many hops {} ({} max): from {} via {}, to {}",
        hops_of(envelope),
        mta.config.options.receiving.max_hop_count,
        printable(&envelope.sender.address),
        printable(name.unwrap_or(b"localhost")),
        printable(to)
    )
}

/// Resolves and expands recipients that only have an address yet.
fn expand(mta: &Mta, workspace: &mut Workspace, envelope: &mut Envelope) {
    let is_unresolved = |r: &crate::envelope::Recipient| {
        matches!(r.state, RecipientState::Pending) && r.triple.is_none()
    };
    if !envelope.recipients.iter().any(is_unresolved) {
        return;
    }
    let mut macros = envelope.macros.clone();
    let mut limits = mta.expansion_limits(ExpansionFlags::default());
    limits.logs_unknown_users = true;
    let mut routing = Routing::new(mta, &mut macros, &mut workspace.rewrite);
    let mut cx = mta.expand_context(
        &mut routing,
        &limits,
        workspace.narrator.as_mut(),
        workspace.complaints.as_mut(),
    );
    expand_recipients(envelope, &mut cx);
    if envelope.flags.contains(EnvelopeFlags::AS_FROM_QUEUE) {
        // Observed: 8.17.1.9 counts anew what it reads again.
        let recipients = envelope.open_recipients();
        set_priority(envelope, &mta.config, recipients);
    }
}

/// Carries out all transactions of a message; returns the status of the first failure.
fn attempt_all(
    mta: &Mta,
    workspace: &mut Workspace,
    message: &mut LockedEnvelope,
    occasion: Occasion,
) -> Option<ExitStatus> {
    let envelope = &mut message.envelope;
    let mut first_failure = failure_so_far(envelope);
    for recipient in &mut envelope.recipients {
        // What failed for now at an earlier attempt is due again.
        if let (RecipientState::Deferred(_), Some(_)) = (&recipient.state, &recipient.triple) {
            recipient.state = RecipientState::Pending;
        }
    }
    envelope.attempts = envelope.attempts.saturating_add(1);
    envelope.last_attempt = Some(mta.clock.now());
    let checkpoint = mta.config.options.queueing.checkpoint_interval;
    let mut since_checkpoint = 0u32;
    let mut transactions = plan::plan(envelope, &mta.config.mailers);
    transactions.retain(|transaction| !is_held(mta, transaction, occasion));
    if transactions.is_empty() && occasion == Occasion::JustAccepted {
        tell_who_waits(mta, workspace, envelope);
    }
    for transaction in transactions {
        let exit = attempt::perform(mta, workspace, envelope, &transaction);
        strip_users(mta, envelope, &transaction);
        first_failure = ledger::first_failure(first_failure, exit);
        since_checkpoint += u32::try_from(transaction.recipients.len()).unwrap_or(u32::MAX);
        if checkpoint > 0 && since_checkpoint >= checkpoint && envelope.open_recipients() > 0 {
            since_checkpoint = 0;
            if let Err(error) = message.entry.rewrite(envelope) {
                log::warn!(
                    "{}: checkpoint: {error}",
                    envelope.id_for_log().escape_ascii()
                );
            }
        }
    }
    first_failure
}

/// Takes the quotes off users whose mailer gets them without (F=s): reports show them so.
///
/// Observed: 8.17.1.9.
fn strip_users(mta: &Mta, envelope: &mut Envelope, transaction: &plan::Transaction) {
    if !mta.config.mailers.get(transaction.mailer).has(b's') {
        return;
    }
    for index in &transaction.recipients {
        let recipient = envelope.recipients.get_mut(*index);
        if let Some(triple) = recipient.and_then(|recipient| recipient.triple.as_mut()) {
            triple.user = strip_quotes(&triple.user).into_owned();
        }
    }
}

/// Tells and logs who waits for a queue run; told where nothing is done for anybody.
///
/// Observed: 8.17.1.9.
fn tell_who_waits(mta: &Mta, workspace: &mut Workspace, envelope: &Envelope) {
    for recipient in envelope.recipients.iter().filter(|r| r.state.is_open()) {
        let line = [&recipient.address[..], b"... queued"].concat();
        workspace.narrator.say(&line);
    }
    record::queued(&mta.log, envelope, &mta.config.mailers, mta.clock.now());
}

fn failure_so_far(envelope: &Envelope) -> Option<ExitStatus> {
    envelope
        .recipients
        .iter()
        .find_map(|recipient| match &recipient.state {
            RecipientState::Failed(status) => Some(status.exit),
            _ => None,
        })
}

/// Tells whether a transaction waits: expensive mailers with HoldExpensive for a queue run,
/// mailers with F=% for one that asks for the message.
fn is_held(mta: &Mta, transaction: &plan::Transaction, occasion: Occasion) -> bool {
    let mailer = mta.config.mailers.get(transaction.mailer);
    let waits_for_run = mta.config.options.delivering.hold_expensive && mailer.has(b'e');
    let waits_to_be_asked_for = mailer.has(b'%');
    match occasion {
        Occasion::JustAccepted => waits_for_run || waits_to_be_asked_for,
        Occasion::QueueRun => waits_to_be_asked_for,
        Occasion::SelectedRun => false,
    }
}

/// Ends what a thread keeps between messages: open sessions, hosts that failed.
///
/// Called when a thread has no more messages at hand.
pub fn end_of_run(mta: &Mta, workspace: &mut Workspace) {
    let envelope = Envelope::default();
    let Some(mailer) = mta.config.mailers.iter().next().map(|(_, mailer)| mailer) else {
        return;
    };
    let listeners = Listeners {
        log: &mta.log,
        narrator: workspace.narrator.as_mut(),
        complaints: workspace.complaints.as_mut(),
        traffic: &mta.traffic,
        clock: &*mta.clock,
    };
    let mut ledger = Ledger::open(&envelope, &[], mailer, None, listeners);
    workspace.memory.connections.close_all(&mut ledger);
    workspace.memory.hosts.forget();
}
