//! The lines of a report about one recipient: in the text for people and in the
//! part for programs.
//!
//! Source: RFC 3464 section 2.3; wording and the choice of types observed: 8.17.1.9.

use super::notify::{is_delayed, is_failure, receipt_for};
use super::report::ReportView;
use crate::envelope::receipt::Receipt;
use crate::envelope::{DeliveryStatus, Envelope, Recipient, RecipientState};
use crate::mailer::Mailer;
use crate::smtp::{ExitStatus, xtext};
use crate::text::date::rfc5322_date;

/// What became of a recipient, in the words of `Action:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Failed for good.
    Failed,
    /// Waits.
    Delayed,
    /// In the hands of a local mailer.
    Delivered,
    /// With a host that sends no receipts.
    Relayed,
    /// With a host, or a mailer, that does not know of the time set for it.
    DeadlineEnds,
    /// Passed on, of a message whose way is followed.
    DeadlineTrace,
    /// An alias with a list below it.
    Expanded,
    /// A list with an owner.
    Listed,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Action::Failed => "failed",
            Action::Delayed => "delayed",
            Action::Delivered => "delivered (to mailbox)",
            Action::DeadlineEnds => "relayed (Deliver-By notify mode)",
            Action::DeadlineTrace => "relayed (Deliver-By trace mode)",
            Action::Relayed => "relayed (to non-DSN-aware mailer)",
            Action::Expanded => "expanded (to multi-recipient alias)",
            Action::Listed => "delivered (to mailing list)",
        }
    }

    /// Gives the remark behind the address in the list of successes.
    fn remark(self) -> Option<&'static str> {
        match self {
            Action::Failed | Action::Delayed => None,
            Action::Delivered => Some("successfully delivered to mailbox"),
            Action::DeadlineEnds => Some("Deliver-By notify: relayed"),
            Action::DeadlineTrace => Some("Deliver-By trace: relayed"),
            Action::Relayed => Some("relayed to non-DSN-aware mailer"),
            Action::Expanded => Some("expanded by alias"),
            Action::Listed => Some("delivered to mailing list"),
        }
    }
}

/// Tells what a report says about a recipient; `None` if it is not mentioned.
pub(super) fn action_of(view: &ReportView<'_>, recipient: &Recipient) -> Option<Action> {
    if is_failure(recipient) {
        return Some(Action::Failed);
    }
    if view.warns && is_delayed(recipient) {
        return Some(Action::Delayed);
    }
    // Observed: what an alias or a list named is delivered without being listed.
    if let Some(receipt) = receipt_for(view.envelope, recipient).filter(|_| recipient.primary) {
        let is_local = view
            .mailer_of(recipient)
            .is_some_and(|mailer| mailer.has(b'l'));
        return Some(match receipt {
            Receipt::Wanted if is_local => Action::Delivered,
            Receipt::Wanted => Action::Relayed,
            Receipt::DeadlineEnds => Action::DeadlineEnds,
            Receipt::DeadlineTrace => Action::DeadlineTrace,
        });
    }
    expansion_of(view, recipient)
}

/// Lists with owners, and aliases above them, are mentioned when nothing was tried yet.
///
/// Observed: 8.17.1.9; once an address of the message was tried, they are not.
fn expansion_of(view: &ReportView<'_>, recipient: &Recipient) -> Option<Action> {
    if recipient.state != RecipientState::Expanded || !recipient.primary || view.was_tried {
        return None;
    }
    if recipient.owner.is_some() {
        return Some(Action::Listed);
    }
    let recipients = &view.envelope.recipients;
    let index = recipients
        .iter()
        .position(|other| std::ptr::eq(other, recipient))?;
    let is_list_below =
        |other: &Recipient| other.owner.is_some() && other.expanded_from == Some(index);
    recipients
        .iter()
        .any(is_list_below)
        .then_some(Action::Expanded)
}

/// Tells whether anything but expansion happened to the recipients of a message.
pub(super) fn was_tried(envelope: &Envelope) -> bool {
    envelope
        .recipients
        .iter()
        .any(|recipient| match &recipient.state {
            RecipientState::Delivered(_) | RecipientState::Deferred(_) => true,
            RecipientState::Failed(status) => {
                status.remote.is_some() || status.exit != ExitStatus::NoUser
            }
            RecipientState::Pending | RecipientState::Expanded | RecipientState::Dropped => false,
        })
}

/// Appends a failed recipient for people: address, reason, where it came from.
pub(super) fn failure_lines(view: &ReportView<'_>, recipient: &Recipient, out: &mut Vec<u8>) {
    push_line(out, &[&recipient.address]);
    if let Some(reason) = recipient.state.status().and_then(reason_of) {
        push_line(out, &[b"    (reason: ", &reason, b")"]);
    }
    expanded_line(view, recipient, out);
}

/// Appends a recipient that waits, for people.
pub(super) fn delay_lines(view: &ReportView<'_>, recipient: &Recipient, out: &mut Vec<u8>) {
    push_line(out, &[&recipient.address]);
    expanded_line(view, recipient, out);
}

/// Appends a recipient that got the message, for people.
pub(super) fn success_lines(
    view: &ReportView<'_>,
    recipient: &Recipient,
    action: Action,
    out: &mut Vec<u8>,
) {
    if let Some(remark) = action.remark() {
        push_line(out, &[&recipient.address, b"  (", remark.as_bytes(), b")"]);
        expanded_line(view, recipient, out);
    }
}

fn expanded_line(view: &ReportView<'_>, recipient: &Recipient, out: &mut Vec<u8>) {
    let parent = || {
        let parent = view.envelope.recipients.get(recipient.expanded_from?)?;
        Some(parent.address.as_slice())
    };
    if let Some(from) = recipient.listed_in.as_deref().or_else(parent) {
        push_line(out, &[b"    (expanded from: ", from, b")"]);
    }
}

/// Gives the text of `(reason: ...)`: an exit status in words, else what was quoted.
fn reason_of(status: &DeliveryStatus) -> Option<Vec<u8>> {
    let diagnostic = status.diagnostic.as_deref()?;
    let number = std::str::from_utf8(diagnostic)
        .ok()
        .and_then(|text| text.parse::<u8>().ok());
    let description = number.and_then(|number| ExitStatus::from_number(number).description());
    Some(match description {
        Some(description) => description.text.as_bytes().to_vec(),
        None => diagnostic.to_vec(),
    })
}

/// Appends the fields about a recipient for programs.
pub(super) fn status_fields(
    view: &ReportView<'_>,
    recipient: &Recipient,
    action: Action,
    out: &mut Vec<u8>,
) {
    out.push(b'\n');
    if let Some(original) = &recipient.original {
        let text = original.as_bytes();
        let decoded = xtext::decode(text).unwrap_or_else(|| text.to_vec());
        push_line(out, &[b"Original-Recipient: ", &decoded]);
    }
    let mailer = view.mailer_of(recipient);
    let actual = actual_recipient(view, recipient, mailer);
    match &recipient.final_address {
        Some(address) => {
            let bare = address.strip_prefix(b"RFC822;").unwrap_or(address);
            match address_type(view, bare) {
                Some(kind) => push_line(out, &[b"Final-Recipient: ", kind, b";", bare]),
                None => push_line(out, &[b"Final-Recipient: ", address]),
            }
            let differs = |actual: &Vec<u8>| view.shows_actual && actual != address;
            if let Some(actual) = actual.filter(differs) {
                push_line(out, &[b"X-Actual-Recipient: ", &actual]);
            }
        }
        None => {
            let kind: &[u8] = address_type(view, &recipient.address).unwrap_or(b"RFC822");
            let shown =
                actual.unwrap_or_else(|| [kind, b"; ", recipient.address.as_slice()].concat());
            push_line(out, &[b"Final-Recipient: ", &shown]);
        }
    }
    push_line(out, &[b"Action: ", action.name().as_bytes()]);
    outcome_fields(view, action, recipient.state.status(), mailer, out);
    if action == Action::Delayed {
        let until = rfc5322_date(view.envelope.created + view.return_age);
        push_line(out, &[b"Will-Retry-Until: ", until.as_bytes()]);
    }
}

fn outcome_fields(
    view: &ReportView<'_>,
    action: Action,
    status: Option<&DeliveryStatus>,
    mailer: Option<&Mailer>,
    out: &mut Vec<u8>,
) {
    let Some(status) = status else {
        // An alias or a list: nothing was attempted, it was just taken apart.
        push_line(out, &[b"Status: 2.0.0"]);
        let at = rfc5322_date(view.now);
        return push_line(out, &[b"Last-Attempt-Date: ", at.as_bytes()]);
    };
    let reported = match action {
        // Observed: delivery to a mailbox is told with the status of its address.
        Action::Delivered => "2.1.5".to_owned(),
        _ => status.reported.to_string(),
    };
    push_line(out, &[b"Status: ", reported.as_bytes()]);
    if let Some(remote) = &status.remote {
        let kind = mailer.and_then(|mailer| mailer.mta_type.as_deref());
        let host = remote.strip_suffix(b".").unwrap_or(remote);
        push_line(out, &[b"Remote-MTA: ", kind.unwrap_or(b"dns"), b"; ", host]);
    }
    if let Some(diagnostic) = &status.diagnostic {
        let kind = mailer.and_then(|mailer| mailer.diagnostic_type.as_deref());
        let kind = kind.unwrap_or(b"SMTP");
        push_line(out, &[b"Diagnostic-Code: ", kind, b"; ", diagnostic]);
    }
    let at = rfc5322_date(status.at);
    push_line(out, &[b"Last-Attempt-Date: ", at.as_bytes()]);
}

/// Gives type and address of what was really tried.
fn actual_recipient(
    view: &ReportView<'_>,
    recipient: &Recipient,
    mailer: Option<&Mailer>,
) -> Option<Vec<u8>> {
    let resolved = recipient.triple.as_ref().map(|triple| &triple.user);
    let user = resolved.or(recipient.refused_as.as_ref())?;
    if user.is_empty() {
        return None;
    }
    let kind = mailer
        .and_then(|mailer| mailer.address_type.as_deref())
        .unwrap_or(b"rfc822");
    if !kind.eq_ignore_ascii_case(b"rfc822") {
        let bare = user
            .strip_prefix(b"\"")
            .and_then(|text| text.strip_suffix(b"\""));
        return Some([kind, b"; ", bare.unwrap_or(user)].concat());
    }
    let kind = address_type(view, user).unwrap_or(b"rfc822");
    Some(match user.contains(&b'@') {
        true => [kind, b"; ", user.as_slice()].concat(),
        false => [kind, b"; ", user.as_slice(), b"@", view.host].concat(),
    })
}

/// Names the type of an address beyond ASCII. Source: RFC 6533 section 3.
fn address_type(view: &ReportView<'_>, address: &[u8]) -> Option<&'static [u8]> {
    let is_utf8 = view.speaks_utf8() && !address.is_ascii() && std::str::from_utf8(address).is_ok();
    is_utf8.then_some(b"utf-8")
}

/// Appends a line made of parts; line breaks inside become spaces.
pub(super) fn push_line(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        let plain = |b: &u8| {
            if matches!(b, b'\r' | b'\n' | 0) {
                b' '
            } else {
                *b
            }
        };
        out.extend(part.iter().map(plain));
    }
    out.push(b'\n');
}
