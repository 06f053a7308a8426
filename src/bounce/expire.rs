//! Messages that waited too long: warnings after Timeout.queuewarn, failure after
//! Timeout.queuereturn.
//!
//! Which of the configured times holds is chosen by the `Priority:` header, and
//! reports have times of their own. Only the first warning is sent, none for
//! reports, negative precedence, the empty sender and list addresses.
//!
//! Source: guide 4.1.1; wording and exceptions observed: 8.17.1.9.

use std::time::Duration;

use crate::config::options::timeouts::{ByUrgency, ReturnAfter, Timeouts};
use crate::envelope::{DeliveryStatus, Envelope, EnvelopeFlags, RecipientState};
use crate::smtp::parameter::{DeliverBy, DeliverByMode};
use crate::smtp::{EnhancedStatus, ExitStatus};
use crate::sys::clock::Timestamp;
use crate::text::bytes::printable;
use crate::text::interval::format_interval_in_words;

/// The times that hold for one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueTimes {
    /// When it goes back.
    pub return_after: ReturnAfter,
    /// When the sender is warned; zero for never.
    pub warn_after: Duration,
}

impl QueueTimes {
    /// Chooses the times of a message.
    pub fn of(envelope: &Envelope, timeouts: &Timeouts) -> Self {
        Self {
            return_after: choose(envelope, &timeouts.queuereturn),
            warn_after: choose(envelope, &timeouts.queuewarn),
        }
    }

    /// Tells whether the message goes back without even one attempt: `now`, while `0s` grants one.
    pub fn returns_at_once(&self) -> bool {
        self.return_after == ReturnAfter::Now
    }

    fn returns(&self, envelope: &Envelope, now: Timestamp) -> bool {
        match self.return_after {
            ReturnAfter::Now => true,
            ReturnAfter::Age(age) => now > envelope.created + age,
        }
    }

    /// Gives the age at which the message goes back.
    pub(super) fn return_age(&self) -> Duration {
        match self.return_after {
            ReturnAfter::Now => Duration::ZERO,
            ReturnAfter::Age(age) => age,
        }
    }
}

fn choose<T: Copy>(envelope: &Envelope, values: &ByUrgency<T>) -> T {
    if envelope.is_response() {
        return values.dsn;
    }
    let priority = envelope.headers.get(b"priority").map(|field| field.text());
    match priority.map(<[u8]>::to_ascii_lowercase).as_deref() {
        Some(b"urgent") => values.urgent,
        Some(b"non-urgent") => values.non_urgent,
        _ => values.normal,
    }
}

/// What [`expire`] did; the text is told to whoever watches (`-v`) and logged with the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// It may wait.
    Nothing,
    /// All that is left has failed.
    Returned {
        /// `Cannot send message for 5 days`.
        told: String,
    },
    /// A warning is due.
    Warned {
        /// `Warning: could not send message for past 4 hours`.
        told: String,
    },
}

/// Fails what waited too long and notes what is due in transcript and flags.
///
/// Called after an attempt, and before the first one if
/// [`QueueTimes::returns_at_once`].
pub fn expire(envelope: &mut Envelope, times: &QueueTimes, now: Timestamp) -> Expiry {
    if envelope.open_recipients() == 0 {
        return Expiry::Nothing;
    }
    if times.returns(envelope, now) {
        return give_up(envelope, times, now);
    }
    if may_warn(envelope) {
        if let Some(by) = passed_deadline(envelope, DeliverByMode::Notify, now) {
            let told = format!("Warning: Delivery time ({}s) exceeded", by.seconds);
            envelope.note_trouble(true, told.as_bytes());
            return warn(envelope, times, &told, told.clone());
        }
        if !times.warn_after.is_zero() && now > envelope.created + times.warn_after {
            let past = format_interval_in_words(times.warn_after);
            let still = format!("Warning: message still undelivered after {past}");
            let told = format!("Warning: could not send message for past {past}");
            return warn(envelope, times, &still, told);
        }
    }
    Expiry::Nothing
}

/// Returns the moment a message must be delivered by.
pub(super) fn deadline(created: Timestamp, by: DeliverBy) -> Timestamp {
    Timestamp::from_seconds(created.seconds().saturating_add(by.seconds))
}

/// Returns the time a sender set, if it has this mode and is over.
///
/// Observed: 8.17.1.9; what was over before the message came is nobody's delay.
pub(super) fn passed_deadline(
    envelope: &Envelope,
    mode: DeliverByMode,
    now: Timestamp,
) -> Option<DeliverBy> {
    let by = envelope
        .deliver_by
        .filter(|by| by.mode == mode && by.seconds > 0)?;
    (now > deadline(envelope.created, by)).then_some(by)
}

/// Fails a message whose sender wants it back when his time is over (RFC 2852 mode R); asked
/// before an attempt.
///
/// Returns what whoever watches is told, empty if the sender does not want to hear of it; `None`
/// if there is time left. The text is logged with the report, too.
pub fn expire_deadline(envelope: &mut Envelope, now: Timestamp) -> Option<String> {
    let by = passed_deadline(envelope, DeliverByMode::Return, now)?;
    let told = format!("delivery time expired {}s", by.seconds);
    let mut recipients = envelope.recipients.iter();
    let last = recipients.rfind(|one| one.state.is_open() && one.notify.on_failure());
    let shown = last.map_or(String::new(), |last| {
        format!("{}... {told}", printable(&last.address))
    });
    let line = format!("Delivery time ({}s) expired", by.seconds);
    envelope.transcript.push_line(line.as_bytes());
    envelope
        .transcript
        .push_line(b"Message will be deleted from queue");
    envelope.note_trouble(true, told.as_bytes());
    let enhanced = EnhancedStatus::new(5, 4, 7)
        .unwrap_or_else(|| EnhancedStatus::from_exit(ExitStatus::Unavailable));
    let status = DeliveryStatus::local(enhanced, ExitStatus::Unavailable, told, now);
    for recipient in &mut envelope.recipients {
        if recipient.state.is_open() {
            recipient.state = RecipientState::Failed(status.clone());
        }
    }
    Some(shown)
}

fn give_up(envelope: &mut Envelope, times: &QueueTimes, now: Timestamp) -> Expiry {
    let long = match times.return_after {
        ReturnAfter::Now => "too long".to_owned(),
        ReturnAfter::Age(age) => format_interval_in_words(age),
    };
    let could_not = format!("Message could not be delivered for {long}");
    envelope.transcript.push_line(could_not.as_bytes());
    envelope
        .transcript
        .push_line(b"Message will be deleted from queue");
    let told = format!("Cannot send message for {long}");
    envelope.note_trouble(true, told.as_bytes());
    let enhanced = EnhancedStatus::new(4, 4, 7);
    for recipient in &mut envelope.recipients {
        if !recipient.state.is_open() {
            continue;
        }
        // What the last attempt told about the host stays in the report.
        let mut status = recipient.state.status().cloned().unwrap_or_else(|| {
            let exit = ExitStatus::Unavailable;
            DeliveryStatus::local(EnhancedStatus::from_exit(exit), exit, told.as_bytes(), now)
        });
        status.exit = ExitStatus::Unavailable;
        status.text = told.clone().into_bytes();
        if let Some(enhanced) = enhanced {
            (status.enhanced, status.reported) = (enhanced, enhanced);
        }
        recipient.state = RecipientState::Failed(status);
    }
    Expiry::Returned { told }
}

/// Tells whether the sender may be warned at all, and has not been.
fn may_warn(envelope: &Envelope) -> bool {
    let sender = envelope.sender.address.to_ascii_lowercase();
    let sender = sender.strip_prefix(b"<").unwrap_or(&sender);
    let sender = sender.strip_suffix(b">").unwrap_or(sender);
    let is_list =
        sender.starts_with(b"owner-") || sender.len() > 8 && sender.ends_with(b"-request");
    if is_list
        || envelope.flags.contains(EnvelopeFlags::WARNING_SENT)
        || envelope.is_response()
        || envelope.class < 0
        || envelope.sender.is_null()
    {
        return false;
    }
    let waits = |state: &RecipientState| matches!(state, RecipientState::Deferred(_));
    let mut recipients = envelope.recipients.iter();
    recipients.any(|one| waits(&one.state) && one.notify.on_delay())
}

fn warn(envelope: &mut Envelope, times: &QueueTimes, line: &str, told: String) -> Expiry {
    let until = format_interval_in_words(times.return_age());
    envelope.transcript.push_line(line.as_bytes());
    let trying = format!("Will keep trying until message is {until} old");
    envelope.transcript.push_line(trying.as_bytes());
    envelope.flags.insert(EnvelopeFlags::WARNING_SENT);
    Expiry::Warned { told }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{Notify, Recipient};
    use crate::message::HeaderField;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn times() -> QueueTimes {
        QueueTimes {
            return_after: ReturnAfter::Age(HOUR * 120),
            warn_after: HOUR * 4,
        }
    }

    fn waiting() -> Envelope {
        let mut envelope = Envelope {
            created: Timestamp::from_seconds(0),
            ..Envelope::default()
        };
        envelope.sender.address = b"ann".to_vec();
        let exit = ExitStatus::TempFail;
        let status = DeliveryStatus::local(
            EnhancedStatus::from_exit(exit),
            exit,
            "Deferred",
            Timestamp::from_seconds(1),
        );
        let mut recipient = Recipient::new("bob");
        recipient.state = RecipientState::Deferred(status);
        envelope.recipients.push(recipient);
        envelope
    }

    fn after(hours: u32) -> Timestamp {
        Timestamp::from_seconds(1) + HOUR * hours
    }

    #[test]
    fn warned_once_then_returned() {
        let mut envelope = waiting();
        assert_eq!(expire(&mut envelope, &times(), after(3)), Expiry::Nothing);
        let told = "Warning: could not send message for past 4 hours".to_owned();
        assert_eq!(
            expire(&mut envelope, &times(), after(4)),
            Expiry::Warned { told }
        );
        assert_eq!(expire(&mut envelope, &times(), after(5)), Expiry::Nothing);
        let told = "Cannot send message for 5 days".to_owned();
        assert_eq!(
            expire(&mut envelope, &times(), after(120)),
            Expiry::Returned { told }
        );
        let RecipientState::Failed(status) = &envelope.recipients[0].state else {
            panic!("still open");
        };
        assert_eq!(status.reported.to_string(), "4.4.7");
        let transcript = "Warning: message still undelivered after 4 hours\n\
            Will keep trying until message is 5 days old\n\
            Message could not be delivered for 5 days\nMessage will be deleted from queue\n";
        assert_eq!(envelope.transcript.as_bytes(), transcript.as_bytes());
    }

    #[test]
    fn a_time_set_by_the_sender_ends_the_waiting_or_is_told_once() {
        use RecipientState::Failed;
        let by = |seconds, mode| {
            let mut envelope = waiting();
            envelope.deliver_by = Some(DeliverBy {
                seconds,
                mode,
                trace: false,
            });
            envelope
        };
        let mut returned = by(3_600, DeliverByMode::Return);
        assert_eq!(expire_deadline(&mut returned, after(0)), None);
        assert_eq!(expire(&mut returned, &times(), after(3)), Expiry::Nothing);
        let told = expire_deadline(&mut returned, after(1));
        assert_eq!(told.as_deref(), Some("bob... delivery time expired 3600s"));
        let Failed(status) = &returned.recipients[0].state else {
            panic!("still open");
        };
        assert_eq!(status.reported.to_string(), "5.4.7");
        let transcript = "Delivery time (3600s) expired\nMessage will be deleted from queue\n";
        assert_eq!(returned.transcript.as_bytes(), transcript.as_bytes());

        let mut told_of = by(3_600, DeliverByMode::Notify);
        assert_eq!(expire_deadline(&mut told_of, after(9)), None);
        let told = "Warning: Delivery time (3600s) exceeded".to_owned();
        let warned = expire(&mut told_of, &times(), after(1));
        assert_eq!(warned, Expiry::Warned { told });
        assert_eq!(expire(&mut told_of, &times(), after(1)), Expiry::Nothing);
        let mut past = by(-3_600, DeliverByMode::Notify);
        assert_eq!(expire(&mut past, &times(), after(1)), Expiry::Nothing);
    }

    #[test]
    fn some_are_never_warned() {
        type Change = fn(&mut Envelope);
        let changes: [(&str, Change); 6] = [
            ("no sender", |e| e.sender.address = b"<>".to_vec()),
            ("list owner", |e| e.sender.address = b"<owner-x@y>".to_vec()),
            ("request address", |e| {
                e.sender.address = b"people-request".to_vec()
            }),
            ("report", |e| e.flags.insert(EnvelopeFlags::RESPONSE)),
            ("bulk", |e| e.class = -60),
            ("nobody asked", |e| e.recipients[0].notify = Notify::Never),
        ];
        for (who, change) in changes {
            let mut envelope = waiting();
            change(&mut envelope);
            assert_eq!(
                expire(&mut envelope, &times(), after(5)),
                Expiry::Nothing,
                "{who}"
            );
        }
    }

    #[test]
    fn the_priority_field_chooses_the_times() {
        let mut timeouts = Timeouts::default();
        timeouts.queuereturn.urgent = ReturnAfter::Age(HOUR);
        timeouts.queuereturn.dsn = ReturnAfter::Now;
        let mut envelope = waiting();
        envelope
            .headers
            .push(HeaderField::new(b"Priority", b" Urgent"));
        assert_eq!(QueueTimes::of(&envelope, &timeouts).return_age(), HOUR);
        envelope.flags.insert(EnvelopeFlags::RESPONSE);
        assert!(QueueTimes::of(&envelope, &timeouts).returns_at_once());
    }

    #[test]
    fn what_is_returned_at_once_was_never_tried() {
        let times = QueueTimes {
            return_after: ReturnAfter::Now,
            warn_after: Duration::ZERO,
        };
        let mut envelope = waiting();
        envelope.recipients[0].state = RecipientState::Pending;
        let told = "Cannot send message for too long".to_owned();
        let now = Timestamp::from_seconds(0);
        assert_eq!(
            expire(&mut envelope, &times, now),
            Expiry::Returned { told }
        );
    }
}
