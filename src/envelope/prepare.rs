//! What every new message gets before it is committed, whichever door it came in by.
//!
//! Fills in the header fields of the H lines that the message lacks, decides
//! what to do about missing recipient fields, and reads class, message id and
//! priority from the result. [`log_sender`] writes the `from=` line.
//!
//! Order of the fields, observed: 8.17.1.9: what we add comes first, in the
//! order of the H lines, then what the session added (`X-Authentication-Warning:`),
//! then what the message brought. A field the message brought stays where it was.

use super::{Envelope, EnvelopeFlags, Notify, NotifyWhen, priority};
use crate::config::Config;
use crate::config::options::{NoRecipientAction, PrivacyFlags};
use crate::logging::record::{MailLog, Severity};
use crate::macros::{MacroId, Macros};
use crate::message::address::{AddressTemplate, PhraseRules};
use crate::message::header::{Expansion, LATE_MACRO_MARK};
use crate::message::{HeaderField, HeaderTraits, Headers};
use crate::text::bytes::{escape_for_display, shorten};

/// Completes the header of a new message and what follows from it.
///
/// `macros` must show the message's own macros in front; `recipients` is the
/// number counted for the priority.
pub fn prepare(envelope: &mut Envelope, config: &Config, macros: &Macros<'_>, recipients: usize) {
    mark_recipient_fields(envelope, config);
    if config.options.delivering.rrt_implies_dsn {
        take_receipt_field(envelope, config);
    }
    add_default_fields(envelope, config, macros);
    envelope.message_id = message_id(envelope);
    envelope.class = class_of(envelope, config);
    if envelope.class < 0 {
        envelope.flags.insert(EnvelopeFlags::NO_BODY_RETURN);
    }
    envelope.flags.insert(EnvelopeFlags::SPLIT);
    set_priority(envelope, config, recipients);
}

/// Computes the priority of a message with a number of recipients.
pub fn set_priority(envelope: &mut Envelope, config: &Config, recipients: usize) {
    let factors = priority::PriorityFactors {
        class: config.options.queueing.class_factor,
        recipient: config.options.queueing.recipient_factor,
        retry: config.options.queueing.retry_factor,
    };
    envelope.priority =
        priority::initial_priority(envelope.size, envelope.class, recipients, &factors);
}

/// Returns the class that the Precedence field names.
///
/// White space behind the word makes another word of it; observed: 8.17.1.9.
pub fn class_of(envelope: &Envelope, config: &Config) -> i64 {
    let field = envelope.headers.get(b"precedence");
    field.map_or(0, |field| {
        config.precedences.class_of(field.value.trim_ascii_start())
    })
}

/// Returns the date the message says it is from, for `$a`.
///
/// Only what is expanded after the fields of H lines sees it; observed: 8.17.1.9.
pub fn origination_date(envelope: &Envelope) -> Option<Vec<u8>> {
    let names = [&b"posted-date"[..], b"date"];
    let mut fields = names.iter().filter_map(|name| envelope.headers.get(name));
    let field = fields.find(|field| field.expansion == Expansion::Done)?;
    Some(field.value.trim_ascii_start().to_vec())
}

/// Tells whether the message was sent on by hand (has a Resent- field).
pub fn is_resent(envelope: &Envelope) -> bool {
    envelope
        .headers
        .iter()
        .any(|field| field.traits().has(HeaderTraits::RESENT))
}

fn message_id(envelope: &Envelope) -> Option<Vec<u8>> {
    let name: &[u8] = if is_resent(envelope) {
        b"resent-message-id"
    } else {
        b"message-id"
    };
    let field = envelope.headers.get(name)?;
    Some(field.text().to_vec())
}

/// Turns `Return-Receipt-To:` into a wish for success notices; no mailer gets the field.
///
/// Source: option RrtImpliesDsn.
fn take_receipt_field(envelope: &mut Envelope, config: &Config) {
    if !envelope.headers.contains(b"return-receipt-to")
        || config
            .options
            .security
            .privacy_options
            .contains(PrivacyFlags::NO_RECEIPTS)
    {
        return;
    }
    let when = NotifyWhen {
        success: true,
        failure: true,
        delay: true,
    };
    for recipient in &mut envelope.recipients {
        match &mut recipient.notify {
            Notify::Never => {}
            Notify::On(wanted) | Notify::Recorded(wanted) => wanted.success = true,
            Notify::Default => recipient.notify = Notify::On(when),
        }
    }
}

/// Sets the flag that makes Bcc: fields vanish, or does what NoRecipientAction says.
fn mark_recipient_fields(envelope: &mut Envelope, config: &Config) {
    let names: [&[u8]; 3] = [b"to", b"cc", b"apparently-to"];
    if names.iter().any(|name| envelope.headers.contains(name)) {
        envelope.flags.insert(EnvelopeFlags::DELETE_BCC);
        return;
    }
    if envelope.headers.contains(b"bcc") {
        return;
    }
    let fields = match config.options.headers.no_recipient_action {
        NoRecipientAction::None => return,
        NoRecipientAction::AddTo => one_for_each(envelope, b"To"),
        NoRecipientAction::AddApparentlyTo => one_for_each(envelope, b"Apparently-To"),
        NoRecipientAction::AddToUndisclosed => {
            vec![HeaderField::new(b"To", b" undisclosed-recipients:;")]
        }
        NoRecipientAction::AddBcc => vec![HeaderField::new(b"Bcc", b" ")],
    };
    for field in fields {
        envelope.headers.push(field);
    }
}

/// Makes a field for each recipient the sender named, the last one first.
fn one_for_each(envelope: &Envelope, name: &[u8]) -> Vec<HeaderField> {
    let named = envelope
        .recipients
        .iter()
        .rev()
        .filter(|recipient| recipient.primary);
    named
        .map(|recipient| HeaderField::new(name, &[b" ", &recipient.address[..]].concat()))
        .collect()
}

/// Takes out the empty fields of a message that H lines have a value for.
///
/// Observed: 8.17.1.9.
pub fn drop_blank_fields(headers: &mut Headers, config: &Config) {
    let has_default = |field: &HeaderField| {
        let mut rules = config.headers.iter();
        !field.traits().has(HeaderTraits::ALWAYS_ADDED)
            && rules.any(|rule| rule.template.is_some() && field.is(&rule.name))
    };
    headers.retain(|field| !field.is_blank() || !has_default(field));
}

fn add_default_fields(envelope: &mut Envelope, config: &Config, macros: &Macros<'_>) {
    let resent = is_resent(envelope);
    let mut at = 0;
    for rule in &config.headers {
        let Some(template) = &rule.template else {
            continue;
        };
        let traits = HeaderTraits::of(&rule.name);
        if !traits.has(HeaderTraits::ALWAYS_ADDED)
            && let Some(own) = own_field(envelope, &rule.name)
        {
            if traits.has(HeaderTraits::ALWAYS_CHECKED) {
                own.conditions = rule.conditions.clone();
            }
            continue;
        }
        if traits.has(HeaderTraits::RESENT) && !resent {
            continue;
        }
        let (value, expansion) = if traits.has(HeaderTraits::EXPANDED_LATE) {
            (late_value(template.source()), Expansion::Late)
        } else {
            let value = template.expanded(macros);
            match &value[..] {
                b"" | b" " => (template.source().to_vec(), Expansion::ForMailer),
                _ if traits.has(HeaderTraits::ORIGINATOR) => {
                    (of_sender(&value, config, macros), Expansion::Done)
                }
                _ => (value, Expansion::Done),
            }
        };
        let field = HeaderField {
            name: rule.name.clone(),
            value,
            conditions: rule.conditions.clone(),
            expansion,
            is_default: true,
            stored: None,
        };
        envelope.headers.insert(at, field);
        at += 1;
    }
}

/// Finds a field of this name that the message brought itself.
fn own_field<'a>(envelope: &'a mut Envelope, name: &[u8]) -> Option<&'a mut HeaderField> {
    envelope
        .headers
        .iter_mut()
        .find(|field| field.is(name) && !field.is_default)
}

/// Turns `$g` into the form such values have in queue files.
fn late_value(source: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(source.len());
    let mut octets = source.iter().peekable();
    while let Some(&octet) = octets.next() {
        match octets.peek() {
            Some(next) if octet == b'$' && next.is_ascii_alphabetic() => {
                value.push(LATE_MACRO_MARK);
            }
            _ => value.push(octet),
        }
    }
    value
}

/// Puts the sender where a value has its address: no H line can name another originator.
///
/// Observed: 8.17.1.9.
fn of_sender(value: &[u8], config: &Config, macros: &Macros<'_>) -> Vec<u8> {
    let lead = value.len() - value.trim_ascii_start().len();
    let (lead, address) = value.split_at(lead);
    let options = &config.options.headers;
    let rules = PhraseRules {
        must_quote: &options.must_quote_chars,
        colon_is_ordinary: options.colon_ok_in_addr,
    };
    let around = AddressTemplate::of(address, &rules);
    [lead, &around.apply(&macros.expanded(MacroId::G))].concat()
}

/// Where a message id is cut in the `from=` line. Observed: 8.17.1.9.
const MAX_LOGGED_ID: usize = 100;
/// Longest address or name shown in one field of the `from=` line.
const MAX_LOGGED: usize = 200;

/// Writes the `from=` line of a message; `recipients` is what `nrcpts=` says.
///
/// Source: guide 2.1; order of the fields observed: 8.17.1.9.
pub fn log_sender(log: &MailLog, envelope: &Envelope, macros: &Macros<'_>, recipients: usize) {
    if !log.is_on(5) {
        return;
    }
    let shown = |text: &[u8]| escape_for_display(&shorten(text, MAX_LOGGED));
    let mut line = format!(
        "from={}, size={}, class={}, nrcpts={recipients}",
        shown(&envelope.sender.address),
        envelope.size,
        envelope.class
    );
    let mut add = |name: &str, value: &[u8]| {
        if !value.is_empty() {
            line.push_str(&format!(", {name}={}", shown(value)));
        }
    };
    let message_id = envelope.message_id.as_deref().unwrap_or(b"");
    add(
        "msgid",
        message_id.get(..MAX_LOGGED_ID).unwrap_or(message_id),
    );
    let body_type = envelope.body_type.map_or("", |kind| kind.name());
    add("bodytype", body_type.as_bytes());
    add("proto", &macros.expanded(MacroId::R));
    add("daemon", &macros.expanded(MacroId::DAEMON_NAME));
    add("relay", &macros.expanded(MacroId::UNDERSCORE));
    log.syslog(
        5,
        Severity::Info,
        Some(envelope.id_for_log()),
        format_args!("{line}"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::macros::MacroTable;

    #[test]
    fn values_that_wait_for_the_mailer_keep_their_macro() {
        assert_eq!(late_value(b" <$g>"), b" <\x81g>");
        assert_eq!(late_value(b"$"), b"$");
    }

    #[test]
    fn the_log_line_leaves_out_what_is_not_known() {
        let (log, lines) = MailLog::recording(9);
        let mut envelope = Envelope::default();
        envelope.sender.address = b"<x@far.test>".to_vec();
        envelope.size = 19;
        let (mut front, base) = (MacroTable::new(), MacroTable::new());
        front.set_text(MacroId::R, b"ESMTP");
        front.set_text(MacroId::UNDERSCORE, b"client [127.0.0.7]");
        log_sender(&log, &envelope, &Macros::new(&mut front, None, &base), 1);
        let lines = lines.lock().expect("no panic before");
        assert_eq!(
            *lines,
            [
                "NOQUEUE: from=<x@far.test>, size=19, class=0, nrcpts=1, proto=ESMTP, relay=client [127.0.0.7]"
            ]
        );
    }
}
