//! Which receipt a delivered recipient is owed.
//!
//! Asked by whoever notes a delivery in the transcript and by whoever writes the report.
//!
//! Source: RFC 3461 section 5.2, RFC 2852 section 4.1; who hears what observed: 8.17.1.9.

use super::{DeliveryStatus, Envelope, Recipient};
use crate::smtp::parameter::DeliverByMode;

/// Why a sender hears of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// He asked for it (NOTIFY=SUCCESS), and the next host will not tell him.
    Wanted,
    /// The next host does not know of the time he set (BY with mode N).
    DeadlineEnds,
    /// He wants to follow the way of the message (BY with trace).
    DeadlineTrace,
}

/// Returns the receipt of a recipient who was delivered to with `status`.
pub fn receipt_of(
    envelope: &Envelope,
    recipient: &Recipient,
    status: &DeliveryStatus,
) -> Option<Receipt> {
    let notify = recipient.notify;
    if notify.on_success() && !status.reports_itself {
        return Some(Receipt::Wanted);
    }
    let by = envelope.deliver_by?;
    // Observed: members of a list bring none.
    let is_unheard = !(notify.on_success() || notify.on_failure() || notify.on_delay());
    if is_unheard || !recipient.primary {
        return None;
    }
    if by.mode == DeliverByMode::Notify && !status.keeps_deadline {
        return Some(Receipt::DeadlineEnds);
    }
    by.trace.then_some(Receipt::DeadlineTrace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Notify;
    use crate::smtp::parameter::DeliverBy;
    use crate::smtp::{EnhancedStatus, ExitStatus};
    use crate::sys::clock::Timestamp;

    #[test]
    fn a_deadline_brings_a_receipt_of_its_own() {
        let (wanted, ends, trace) = (
            Some(Receipt::Wanted),
            Some(Receipt::DeadlineEnds),
            Some(Receipt::DeadlineTrace),
        );
        // What the next host offers, DSN and DELIVERBY, and NOTIFY; modes R, RT, N and NT.
        for (dsn, deliver_by, notify, expected) in [
            (false, false, "", [None, trace, ends, ends]),
            (false, true, "", [None, trace, None, trace]),
            (true, true, "SUCCESS", [None, trace, None, trace]),
            (true, false, "SUCCESS", [None, trace, ends, ends]),
            (false, true, "SUCCESS", [wanted; 4]),
            (false, false, "DELAY", [None, trace, ends, ends]),
            (false, false, "NEVER", [None; 4]),
        ] {
            let exit = ExitStatus::Ok;
            let at = Timestamp::default();
            let mut status =
                DeliveryStatus::local(EnhancedStatus::from_exit(exit), exit, "Sent", at);
            (status.reports_itself, status.keeps_deadline) = (dsn, deliver_by);
            let mut recipient = Recipient::new("bob");
            recipient.notify = Notify::parse(notify.as_bytes()).unwrap_or_default();
            let modes = [
                (DeliverByMode::Return, false),
                (DeliverByMode::Return, true),
                (DeliverByMode::Notify, false),
                (DeliverByMode::Notify, true),
            ];
            let found = modes.map(|(mode, trace)| {
                let by = DeliverBy {
                    seconds: 100,
                    mode,
                    trace,
                };
                let envelope = Envelope {
                    deliver_by: Some(by),
                    ..Envelope::default()
                };
                receipt_of(&envelope, &recipient, &status)
            });
            assert_eq!(found, expected, "{dsn} {deliver_by} {notify}");
        }
    }
}
