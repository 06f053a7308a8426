//! Who is owed what.
//!
//! A failure goes to the sender, or to DoubleBounceAddress if there is no sender or
//! the message is itself a report; PostmasterCopy gets the header besides. A receipt
//! or a warning goes to the sender or to nobody. One report tells failures and
//! successes together.
//!
//! Source: RFC 3461 section 5.2; guide 4.1.1 and 5.6; observed: 8.17.1.9.

use crate::envelope::receipt::{Receipt, receipt_of};
use crate::envelope::{Envelope, EnvelopeFlags, Recipient, RecipientState};
use crate::message::BodyType;
use crate::smtp::ExitStatus;

/// What kind of report it is: subject, flags and text follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// Somebody did not get the message.
    Failure,
    /// Everybody a receipt was wanted for got it.
    Receipt,
    /// It is delayed; the text is the subject (`Warning: could not send ...`).
    Warning,
    /// A failure that the sender cannot be told, or the postmaster's copy of one.
    Postmaster,
}

/// One report that is owed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What it is.
    pub kind: NoticeKind,
    /// Whom it goes to, as printed in the `To:` field.
    pub to: Vec<u8>,
    /// Who gets the same report: whoever `Errors-To:` names, and the postmaster.
    pub also_to: Vec<Vec<u8>>,
    /// The subject.
    pub subject: String,
    /// Whether the body of the message is returned, or only its header.
    pub returns_body: bool,
    /// The word of the log line between both identifiers, such as `DSN`.
    pub log_word: &'static str,
    /// The text of the log line; `None` is what went wrong last.
    pub reason: Option<Vec<u8>>,
}

/// What the configuration says about reports.
#[derive(Clone, Debug, Default)]
pub struct NoticeRules {
    /// DoubleBounceAddress, expanded; empty drops what cannot be returned.
    pub double_bounce: Vec<u8>,
    /// PostmasterCopy.
    pub postmaster_copy: Option<Vec<u8>>,
    /// PrivacyOptions=nobodyreturn.
    pub never_returns_body: bool,
    /// PrivacyOptions=noreceipts: a success is told only along with failures.
    pub never_sends_receipts: bool,
    /// UseErrorsTo: whoever `Errors-To:` names hears of failures too.
    pub errors_to: Vec<Vec<u8>>,
}

/// Tells which reports are owed after an attempt.
///
/// `warning` is the text of a warning that is due (see [`super::expire`]).
pub fn notices_for(envelope: &Envelope, rules: &NoticeRules, warning: Option<&str>) -> Vec<Notice> {
    let any = |wanted: fn(&Recipient) -> bool| envelope.recipients.iter().any(wanted);
    let mut notices = Vec::new();
    let cannot_return = envelope.is_response() || envelope.sender.is_null();
    if any(is_failure) {
        let postmaster = Some(rules.double_bounce.clone())
            .filter(|to| is_our_fault(envelope) && !envelope.is_response() && !to.is_empty());
        if !cannot_return {
            notices.push(Notice {
                also_to: rules.errors_to.iter().cloned().chain(postmaster).collect(),
                ..failure(envelope, rules)
            });
        } else if let Some(to) = postmaster {
            notices.push(Notice {
                to,
                ..failure(envelope, rules)
            });
        } else if !rules.double_bounce.is_empty() {
            notices.push(double_bounce(envelope, rules));
        }
        return notices;
    }
    if cannot_return {
        return notices;
    }
    if let Some(warning) = warning {
        notices.push(Notice {
            kind: NoticeKind::Warning,
            to: envelope.sender.address.clone(),
            also_to: Vec::new(),
            subject: warning.to_owned(),
            returns_body: returns_body(envelope, rules),
            log_word: log_word(envelope),
            reason: Some(warning.as_bytes().to_vec()),
        });
    } else if !rules.never_sends_receipts && any_receipt(envelope) {
        notices.push(Notice {
            kind: NoticeKind::Receipt,
            to: envelope.sender.address.clone(),
            also_to: Vec::new(),
            subject: "Return receipt".to_owned(),
            returns_body: false,
            log_word: log_word(envelope),
            reason: Some(b"Return receipt".to_vec()),
        });
    }
    notices
}

/// Tells whether the postmaster gets a copy of what failed, made when the report itself is out.
///
/// Observed: 8.17.1.9 makes none for mail of negative precedence.
pub fn postmaster_copy(envelope: &Envelope, rules: &NoticeRules) -> Option<Notice> {
    let to = rules.postmaster_copy.clone()?;
    let is_owed = envelope.class >= 0 && envelope.recipients.iter().any(is_failure);
    is_owed.then(|| Notice {
        to,
        log_word: "postmaster notify",
        returns_body: false,
        ..double_bounce(envelope, rules)
    })
}

fn any_receipt(envelope: &Envelope) -> bool {
    let mut recipients = envelope.recipients.iter();
    recipients.any(|recipient| receipt_for(envelope, recipient).is_some())
}

fn failure(envelope: &Envelope, rules: &NoticeRules) -> Notice {
    Notice {
        kind: NoticeKind::Failure,
        to: envelope.sender.address.clone(),
        also_to: Vec::new(),
        subject: "Returned mail: see transcript for details".to_owned(),
        returns_body: returns_body(envelope, rules),
        log_word: log_word(envelope),
        reason: None,
    }
}

/// Makes the notice that goes to DoubleBounceAddress instead of the sender.
pub(super) fn double_bounce(envelope: &Envelope, rules: &NoticeRules) -> Notice {
    let log_word = match envelope.is_response() {
        true => "return to sender",
        false => "postmaster notify",
    };
    Notice {
        kind: NoticeKind::Postmaster,
        to: rules.double_bounce.clone(),
        also_to: Vec::new(),
        subject: "Postmaster notify: see transcript for details".to_owned(),
        returns_body: returns_body(envelope, rules),
        log_word,
        reason: None,
    }
}

fn returns_body(envelope: &Envelope, rules: &NoticeRules) -> bool {
    let headers_only = envelope.flags.contains(EnvelopeFlags::NO_BODY_RETURN)
        || envelope.dsn.ret == Some(crate::envelope::Return::Headers)
        || envelope.class < 0
        // A report is text.
        || envelope.body_type == Some(BodyType::Binary);
    !headers_only && !rules.never_returns_body
}

fn log_word(envelope: &Envelope) -> &'static str {
    if envelope.is_response() {
        "return to sender"
    } else if envelope.flags.contains(EnvelopeFlags::WARNING_SENT) {
        "sender notify"
    } else {
        "DSN"
    }
}

/// Tells whether the sender wants to hear that this recipient failed.
pub(super) fn is_failure(recipient: &Recipient) -> bool {
    matches!(recipient.state, RecipientState::Failed(_)) && recipient.notify.on_failure()
}

/// Tells whether what went wrong first is a fault of ours, which the postmaster hears of too:
/// our configuration, or an internal error of a mailer.
///
/// Observed: 8.17.1.9; a fault that comes after a failure of another kind does not count.
fn is_our_fault(envelope: &Envelope) -> bool {
    let troubles = envelope.recipients.iter().filter_map(|r| match &r.state {
        RecipientState::Failed(status) | RecipientState::Deferred(status) => Some(status),
        RecipientState::Pending
        | RecipientState::Expanded
        | RecipientState::Delivered(_)
        | RecipientState::Dropped => None,
    });
    let first = troubles
        .filter(|status| status.exit != ExitStatus::TempFail)
        .min_by_key(|status| status.at);
    first.is_some_and(|status| matches!(status.exit, ExitStatus::Software | ExitStatus::Config))
}

/// Tells whether and why the sender hears from us that this recipient got it.
pub(super) fn receipt_for(envelope: &Envelope, recipient: &Recipient) -> Option<Receipt> {
    match &recipient.state {
        RecipientState::Delivered(status) => receipt_of(envelope, recipient, status),
        _ => None,
    }
}

/// Tells whether the sender wants to hear that this recipient waits.
pub(super) fn is_delayed(recipient: &Recipient) -> bool {
    matches!(recipient.state, RecipientState::Deferred(_)) && recipient.notify.on_delay()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{DeliveryStatus, Notify};
    use crate::smtp::EnhancedStatus;
    use crate::sys::clock::Timestamp;

    fn status(exit: ExitStatus) -> DeliveryStatus {
        let at = Timestamp::from_seconds(1);
        DeliveryStatus::local(EnhancedStatus::from_exit(exit), exit, "User unknown", at)
    }

    fn envelope(sender: &str, state: RecipientState, notify: &str) -> Envelope {
        let mut envelope = Envelope::default();
        envelope.sender.address = sender.as_bytes().to_vec();
        let notify = Notify::parse(notify.as_bytes()).unwrap_or_default();
        envelope.recipients.push(Recipient {
            state,
            notify,
            ..Recipient::new("bob")
        });
        envelope
    }

    fn rules() -> NoticeRules {
        NoticeRules {
            double_bounce: b"postmaster".to_vec(),
            ..NoticeRules::default()
        }
    }

    fn failed() -> RecipientState {
        RecipientState::Failed(status(ExitStatus::NoUser))
    }

    fn told(envelope: &Envelope, rules: &NoticeRules) -> Vec<(NoticeKind, String, &'static str)> {
        let notices = notices_for(envelope, rules, None);
        let to = |notice: &Notice| String::from_utf8_lossy(&notice.to).into_owned();
        notices
            .iter()
            .map(|n| (n.kind, to(n), n.log_word))
            .collect()
    }

    #[test]
    fn failures_go_to_the_sender_or_to_the_postmaster() {
        let (failure, postmaster) = (NoticeKind::Failure, NoticeKind::Postmaster);
        let from_ann = envelope("ann", failed(), "");
        assert_eq!(
            told(&from_ann, &rules()),
            [(failure, "ann".to_owned(), "DSN")]
        );
        let from_nobody = envelope("<>", failed(), "");
        let expected = [(postmaster, "postmaster".to_owned(), "postmaster notify")];
        assert_eq!(told(&from_nobody, &rules()), expected);
        let mut report = envelope("MAILER-DAEMON", failed(), "");
        report.flags.insert(EnvelopeFlags::RESPONSE);
        let expected = [(postmaster, "postmaster".to_owned(), "return to sender")];
        assert_eq!(told(&report, &rules()), expected);
        assert!(told(&report, &NoticeRules::default()).is_empty());
    }

    #[test]
    fn the_postmaster_hears_of_our_own_faults_in_the_same_report() {
        let fault = || RecipientState::Failed(status(ExitStatus::Software));
        let notices = notices_for(&envelope("ann", fault(), ""), &rules(), None);
        assert_eq!(notices.len(), 1);
        assert_eq!(notices[0].also_to, [b"postmaster".to_vec()]);
        let notices = notices_for(&envelope("<>", fault(), ""), &rules(), None);
        assert_eq!(notices[0].to, b"postmaster");
        assert_eq!(notices[0].kind, NoticeKind::Failure);
        let mut later = envelope("ann", failed(), "");
        later.recipients.push(Recipient {
            state: fault(),
            ..Recipient::new("cid")
        });
        assert!(notices_for(&later, &rules(), None)[0].also_to.is_empty());
    }

    #[test]
    fn whoever_errors_to_names_hears_of_failures() {
        let rules = NoticeRules {
            errors_to: vec![b"cid".to_vec()],
            ..rules()
        };
        let notices = notices_for(&envelope("ann", failed(), ""), &rules, None);
        assert_eq!(notices[0].also_to, [b"cid".to_vec()]);
    }

    #[test]
    fn receipts_can_be_forbidden() {
        let delivered = RecipientState::Delivered(status(ExitStatus::Ok));
        let mut both = envelope("ann", delivered, "SUCCESS,FAILURE");
        let rules = NoticeRules {
            never_sends_receipts: true,
            ..rules()
        };
        assert!(told(&both, &rules).is_empty());
        both.recipients.push(Recipient {
            state: failed(),
            ..Recipient::new("cid")
        });
        assert_eq!(told(&both, &rules).len(), 1);
    }

    #[test]
    fn notify_is_obeyed() {
        for (notify, expected) in [
            ("", 1),
            ("NEVER", 0),
            ("SUCCESS", 0),
            ("FAILURE", 1),
            ("DELAY", 0),
        ] {
            let notices = told(&envelope("ann", failed(), notify), &rules());
            assert_eq!(notices.len(), expected, "{notify:?}");
        }
        let delivered = || RecipientState::Delivered(status(ExitStatus::Ok));
        for (notify, expected) in [("", 0), ("SUCCESS", 1), ("FAILURE", 0)] {
            let notices = told(&envelope("ann", delivered(), notify), &rules());
            assert_eq!(notices.len(), expected, "{notify:?}");
        }
    }

    #[test]
    fn a_host_that_reports_itself_spares_us_the_receipt() {
        let mut status = status(ExitStatus::Ok);
        status.reports_itself = true;
        let envelope = envelope("ann", RecipientState::Delivered(status), "SUCCESS");
        assert!(told(&envelope, &rules()).is_empty());
    }

    #[test]
    fn the_postmaster_copy_has_no_body() {
        let rules = NoticeRules {
            postmaster_copy: Some(b"dan".to_vec()),
            ..rules()
        };
        let mut envelope = envelope("ann", failed(), "");
        let copy = postmaster_copy(&envelope, &rules).unwrap();
        assert_eq!(copy.kind, NoticeKind::Postmaster);
        assert!(!copy.returns_body && notices_for(&envelope, &rules, None)[0].returns_body);
        envelope.class = -30;
        assert_eq!(postmaster_copy(&envelope, &rules), None);
        envelope.class = 0;
        envelope.recipients[0].notify = Notify::parse(b"never").unwrap();
        assert_eq!(postmaster_copy(&envelope, &rules), None);
    }

    #[test]
    fn bulk_mail_comes_back_without_its_body() {
        let mut bulk = envelope("ann", failed(), "");
        bulk.class = -60;
        assert!(!notices_for(&bulk, &rules(), None)[0].returns_body);
    }
}
