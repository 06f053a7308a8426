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
use crate::smtp::{EnhancedStatus, ExitStatus};
use crate::sys::clock::Timestamp;
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
    if is_warning_due(envelope, times, now) {
        return warn(envelope, times);
    }
    Expiry::Nothing
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

fn is_warning_due(envelope: &Envelope, times: &QueueTimes, now: Timestamp) -> bool {
    let sender = envelope.sender.address.to_ascii_lowercase();
    let sender = sender.strip_prefix(b"<").unwrap_or(&sender);
    let sender = sender.strip_suffix(b">").unwrap_or(sender);
    let asked = |state: &RecipientState| matches!(state, RecipientState::Deferred(_));
    !times.warn_after.is_zero()
        && now > envelope.created + times.warn_after
        && !envelope.flags.contains(EnvelopeFlags::WARNING_SENT)
        && !envelope.is_response()
        && envelope.class >= 0
        && !envelope.sender.is_null()
        && !sender.starts_with(b"owner-")
        && !(sender.len() > 8 && sender.ends_with(b"-request"))
        && envelope
            .recipients
            .iter()
            .any(|r| asked(&r.state) && r.notify.on_delay())
}

fn warn(envelope: &mut Envelope, times: &QueueTimes) -> Expiry {
    let past = format_interval_in_words(times.warn_after);
    let until = format_interval_in_words(times.return_age());
    let still = format!("Warning: message still undelivered after {past}");
    envelope.transcript.push_line(still.as_bytes());
    let trying = format!("Will keep trying until message is {until} old");
    envelope.transcript.push_line(trying.as_bytes());
    envelope.flags.insert(EnvelopeFlags::WARNING_SENT);
    Expiry::Warned {
        told: format!("Warning: could not send message for past {past}"),
    }
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
