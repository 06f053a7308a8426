//! The `to=` lines of the mail log.
//!
//! Field order and spelling are the reference's, because log readers depend on
//! them: to, ctladdr, delay, xdelay, mailer, pri, relay, dsn, reply, stat.

use std::time::Duration;

use crate::envelope::{DeliveryStatus, Envelope, Recipient, RecipientState};
use crate::logging::record::{MailLog, Severity};
use crate::mailer::{Mailer, MailerTable};
use crate::smtp::ExitStatus;
use crate::sys::clock::Timestamp;
use crate::text::bytes::escape_for_display;
use crate::text::interval::format_interval;

use super::controlling::Controlling;

/// LogLevel from which successful deliveries are logged (guide 4.8).
const SENT_LEVEL: u8 = 8;
/// LogLevel from which deferrals are logged.
const DEFERRED_LEVEL: u8 = 9;
/// LogLevel from which failures are logged.
const FAILED_LEVEL: u8 = 7;

/// One attempt, as far as all its recipients share it.
pub struct Attempt<'a> {
    /// The mailer used.
    pub mailer: &'a Mailer,
    /// The host spoken to (`relay=`), if any.
    pub relay: Option<&'a [u8]>,
    /// Whose rights it had (`ctladdr=`).
    pub controlling: Option<&'a Controlling>,
    /// How long it took (`xdelay=`).
    pub took: Duration,
}

/// Writes one line for recipients that share a status.
pub fn delivery(
    log: &MailLog,
    envelope: &Envelope,
    attempt: &Attempt<'_>,
    addresses: &[&[u8]],
    status: &DeliveryStatus,
    now: Timestamp,
) {
    let level = match status.exit {
        ExitStatus::Ok => SENT_LEVEL,
        exit if exit.is_temporary() => DEFERRED_LEVEL,
        _ => FAILED_LEVEL,
    };
    if !log.is_on(level) {
        return;
    }
    let mut line = opening(envelope, addresses, attempt.controlling, now);
    line.push_str(&format!(", xdelay={}", format_interval(attempt.took)));
    line.push_str(&format!(
        ", mailer={}",
        escape_for_display(&attempt.mailer.name)
    ));
    line.push_str(&format!(", pri={}", envelope.shown_priority()));
    if let Some(relay) = attempt.relay {
        line.push_str(&format!(", relay={}", escape_for_display(relay)));
    }
    line.push_str(&format!(", dsn={}", status.enhanced));
    if status.exit != ExitStatus::Ok
        && let Some(reply) = &status.reply
    {
        line.push_str(&format!(", reply={}", escape_for_display(reply)));
    }
    line.push_str(&format!(", stat={}", escape_for_display(&status.text)));
    log.syslog(
        level,
        Severity::Info,
        Some(envelope.id_for_log()),
        format_args!("{line}"),
    );
}

/// Writes the `stat=queued` lines of a message that waits for a queue run.
///
/// Observed: 8.17.1.9 writes one for each recipient, without ctladdr, xdelay, relay and dsn.
pub fn queued(log: &MailLog, envelope: &Envelope, mailers: &MailerTable, now: Timestamp) {
    let waits = |r: &&Recipient| {
        r.state.is_open() && (r.triple.is_none() || r.state == RecipientState::Pending)
    };
    for recipient in envelope.recipients.iter().filter(waits) {
        let mut line = opening(envelope, &[&recipient.address], None, now);
        let resolved = recipient.triple.as_ref().map(|triple| triple.mailer);
        if let Some(mailer) =
            resolved.or_else(|| recipient.expected.as_ref().map(|triple| triple.mailer))
        {
            let name = &mailers.get(mailer).name;
            line.push_str(&format!(", mailer={}", escape_for_display(name)));
        }
        line.push_str(&format!(", pri={}", envelope.shown_priority()));
        if let Some(status) = recipient.state.status() {
            line.push_str(&format!(", dsn={}", status.enhanced));
        }
        line.push_str(", stat=queued");
        log.syslog(
            DEFERRED_LEVEL,
            Severity::Info,
            Some(envelope.id_for_log()),
            format_args!("{line}"),
        );
    }
}

/// Writes the `stat=quarantined` lines of a message that is not to be delivered.
pub fn quarantined(log: &MailLog, envelope: &Envelope, mailers: &MailerTable, now: Timestamp) {
    let reason = envelope.quarantine.as_deref().unwrap_or_default();
    for recipient in envelope.recipients.iter().filter(|r| r.state.is_open()) {
        let mut line = opening(envelope, &[&recipient.address], None, now);
        if let Some(triple) = &recipient.triple {
            let name = &mailers.get(triple.mailer).name;
            line.push_str(&format!(", mailer={}", escape_for_display(name)));
        }
        let (priority, reason) = (envelope.shown_priority(), escape_for_display(reason));
        line.push_str(&format!(
            ", pri={priority}, quarantine={reason}, stat=quarantined"
        ));
        let id = Some(envelope.id_for_log());
        log.syslog(DEFERRED_LEVEL, Severity::Info, id, format_args!("{line}"));
    }
}

fn opening(
    envelope: &Envelope,
    addresses: &[&[u8]],
    controlling: Option<&Controlling>,
    now: Timestamp,
) -> String {
    let mut line = format!("to={}", escape_for_display(&addresses.join(&b','),));
    if let Some(user) = controlling {
        line.push_str(&format!(
            ", ctladdr={} ({}/{})",
            escape_for_display(&user.shown),
            user.uid,
            user.shown_gid
        ));
    }
    let delay = now.since(envelope.created);
    line.push_str(&format!(", delay={}", format_interval(delay)));
    line
}
