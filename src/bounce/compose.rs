//! The envelope and header of a report.
//!
//! A report comes from `$n` with the empty reverse-path, counts as submitted by this
//! host (`$s` and `$_` are `localhost`), and gets the default header fields of every
//! message. Its size is that of what it returns and an allowance for the rest.
//!
//! Source: RFC 3464 section 2; fields and their order observed: 8.17.1.9.

use super::notify::{Notice, NoticeKind};
use crate::config::Config;
use crate::envelope::{Envelope, EnvelopeFlags, QueueId, Recipient, Sender, prepare};
use crate::macros::{MacroId, Macros};
use crate::message::address::split_address_list;
use crate::message::{HeaderField, Headers};
use crate::sys::clock::Timestamp;
use crate::text::date::{ctime_date, numeric_date, rfc5322_date};

/// Counted for the text of a report besides the message it returns.
pub(super) const REPORT_ALLOWANCE: u64 = 1_024;

/// The full name of the sender of reports.
const FULL_NAME: &[u8] = b"Mail Delivery Subsystem";

/// A report without its body.
pub(super) struct Draft<'a> {
    /// The message it is about.
    pub(super) parent: &'a Envelope,
    /// What is reported.
    pub(super) notice: &'a Notice,
    /// Its identifier.
    pub(super) id: &'a QueueId,
    /// The time now.
    pub(super) now: Timestamp,
    /// The boundary of a MIME report; none for plain text.
    pub(super) boundary: Option<&'a [u8]>,
    /// The queue group it waits in.
    pub(super) queue_group: usize,
    /// How many hops it has behind it already.
    pub(super) hop_count: u32,
    /// It tells of addresses beyond ASCII.
    pub(super) is_utf8: bool,
    /// Whom it goes to, resolved.
    pub(super) recipients: Vec<Recipient>,
}

/// Gives the sender of reports: `$n`.
pub(super) fn sender_of_reports(config: &Config) -> Vec<u8> {
    let name = config.expanded_macro(MacroId::N);
    if name.is_empty() {
        b"MAILER-DAEMON".to_vec()
    } else {
        name
    }
}

/// Makes the boundary of a report: identifier, time and host.
pub(super) fn boundary(id: &QueueId, now: Timestamp, host: &[u8]) -> Vec<u8> {
    let mut boundary = format!("{id}.{}/", now.seconds()).into_bytes();
    let plain = |b: &u8| {
        if b.is_ascii_graphic() && *b != b'"' {
            *b
        } else {
            b'_'
        }
    };
    boundary.extend(host.iter().map(plain));
    boundary
}

impl Draft<'_> {
    /// Completes envelope and header.
    pub(super) fn envelope(self, config: &Config) -> Envelope {
        let open = self
            .recipients
            .iter()
            .filter(|recipient| recipient.state.is_open())
            .count();
        let mut envelope = Envelope {
            id: Some(self.id.clone()),
            sender: Sender {
                address: sender_of_reports(config),
                full_name: Some(FULL_NAME.to_vec()),
                ..Sender::default()
            },
            headers: self.fields(open > 0),
            created: self.now,
            flags: self.flags(),
            size: match self.notice.returns_body {
                true => self.parent.size.saturating_add(REPORT_ALLOWANCE),
                false => 0,
            },
            queue_group: self.queue_group,
            hop_count: self.hop_count,
            recipients: self.recipients,
            ..Envelope::default()
        };
        let daemon_flags = self.parent.macros.text(MacroId::DAEMON_FLAGS);
        set_macros(&mut envelope, self.now, daemon_flags.unwrap_or_default());
        let mut front = envelope.macros.clone();
        let macros = Macros::new(&mut front, None, &config.macros);
        prepare::prepare(&mut envelope, config, &macros, open);
        envelope.flags.remove(EnvelopeFlags::DELETE_BCC);
        envelope
    }

    fn flags(&self) -> EnvelopeFlags {
        let mut flags = EnvelopeFlags::RESPONSE.with(EnvelopeFlags::SPLIT);
        let parent = self.parent.flags;
        if !self.notice.returns_body {
            flags.insert(EnvelopeFlags::NO_BODY_RETURN);
        }
        if parent.contains(EnvelopeFlags::HAS_8BIT) {
            flags.insert(EnvelopeFlags::HAS_8BIT);
        }
        if self.is_utf8 {
            flags.insert(EnvelopeFlags::UTF8.with(EnvelopeFlags::HAS_8BIT));
        }
        flags
    }

    fn fields(&self, is_addressed: bool) -> Headers {
        let mut headers = Headers::new();
        let mut add = |name: &[u8], value: &[u8]| {
            let value = [b" ", value].concat();
            headers.push(HeaderField::new(name, &value));
        };
        if is_addressed {
            // Each address has a field of its own, the last one of a list first.
            for list in std::iter::once(&self.notice.to).chain(&self.notice.also_to) {
                for one in split_address_list(list).into_iter().rev() {
                    add(b"To", &one_line(one));
                }
            }
        }
        if let Some(boundary) = self.boundary {
            add(b"MIME-Version", b"1.0");
            let kind = b"multipart/report; report-type=delivery-status;\n\tboundary=\"";
            add(b"Content-Type", &[&kind[..], boundary, b"\""].concat());
            if self.is_utf8 || self.parent.flags.contains(EnvelopeFlags::HAS_8BIT) {
                add(b"Content-Transfer-Encoding", b"8bit");
            }
        }
        add(b"Subject", self.notice.subject.as_bytes());
        add(
            b"Auto-Submitted",
            match self.notice.kind {
                NoticeKind::Failure => b"auto-generated (failure)",
                NoticeKind::Receipt => b"auto-generated (return-receipt)",
                NoticeKind::Warning => b"auto-generated (warning-timeout)",
                NoticeKind::Postmaster => b"auto-generated (postmaster-notification)",
            },
        );
        headers
    }
}

fn set_macros(envelope: &mut Envelope, now: Timestamp, daemon_flags: &[u8]) {
    let sender = envelope.sender.address.clone();
    let id = envelope.id_for_log().to_vec();
    let date = rfc5322_date(now);
    let (unix_date, digits) = (ctime_date(now), numeric_date(now));
    let values: [(MacroId, &[u8]); 12] = [
        (MacroId::UNDERSCORE, b"localhost"),
        (MacroId::S, b"localhost"),
        (MacroId::R, b""),
        (MacroId::DAEMON_FLAGS, daemon_flags),
        (MacroId::I, &id),
        (MacroId::F, &sender),
        (MacroId::G, &sender),
        (MacroId::X, FULL_NAME),
        (MacroId::A, date.as_bytes()),
        (MacroId::B, date.as_bytes()),
        (MacroId::D, unix_date.as_bytes()),
        (MacroId::T, digits.as_bytes()),
    ];
    for (id, value) in values {
        envelope.macros.set_text(id, value);
    }
}

fn one_line(text: &[u8]) -> Vec<u8> {
    let plain = |b: &u8| {
        if matches!(b, b'\r' | b'\n' | 0) {
            b' '
        } else {
            *b
        }
    };
    text.iter().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boundary_cannot_end_its_quotes() {
        let id = QueueId::parse(b"abc").unwrap();
        let now = Timestamp::from_seconds(7);
        assert_eq!(boundary(&id, now, b"mx.x.test"), b"abc.7/mx.x.test");
        assert_eq!(boundary(&id, now, b"a\"b c"), b"abc.7/a_b_c");
    }
}
