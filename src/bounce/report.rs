//! The body of a report: what happened in words, the same for programs, and the message.
//!
//! A MIME report has three parts (RFC 3462, RFC 3464); without SendMimeErrors it is
//! plain text. The returned header shows the fields as they were, without those that
//! only some mailers see. The body is copied in pieces, never held in memory.
//!
//! Wording, order and blank lines observed: 8.17.1.9.

use std::io::{self, Read};
use std::time::Duration;

use super::expire::{deadline, passed_deadline};
use super::from_quoter::FromQuoter;
use super::notify::{Notice, NoticeKind};
use super::returned::{ReturnedAddresses, with_sender};
use super::wording::{
    Action, action_of, delay_lines, failure_lines, push_line, status_fields, success_lines,
    was_tried,
};
use crate::config::Config;
use crate::envelope::{Envelope, EnvelopeFlags, Recipient};
use crate::macros::Macros;
use crate::mailer::{Mailer, MailerTable};
use crate::message::HeaderField;
use crate::message::header::{Expansion, HeaderTraits};
use crate::smtp::parameter::DeliverByMode;
use crate::smtp::xtext;
use crate::sys::clock::Timestamp;
use crate::text::date::rfc5322_date;

/// The box above a warning.
const WARNING_BOX: &[u8] = b"\
    \x20   **********************************************\n\
    \x20   **      THIS IS A WARNING MESSAGE ONLY      **\n\
    \x20   **  YOU DO NOT NEED TO RESEND YOUR MESSAGE  **\n\
    \x20   **********************************************\n\n";

/// Fields of the part for programs where it is beyond ASCII.
const GLOBAL_STATUS: &[u8] = b"\
    Content-Type: message/global-delivery-status\n\
    Content-Transfer-Encoding: 8bit\n\n";

/// How much of a body is copied at once.
const PIECE: usize = 65_536;

/// What a report is made from.
pub(super) struct ReportView<'a> {
    /// The message it is about.
    pub(super) envelope: &'a Envelope,
    /// The mailers, for types of addresses and diagnostics.
    pub(super) mailers: &'a MailerTable,
    /// Our name (`$j`).
    pub(super) host: &'a [u8],
    /// Where the message came from (`$_`).
    pub(super) came_from: Option<&'a [u8]>,
    /// The name of the host that sent it by SMTP in this session, if one did.
    pub(super) received_from: Option<&'a [u8]>,
    /// Lines of ErrorHeader, expanded.
    pub(super) error_header: Option<Vec<u8>>,
    /// Whether X-Actual-Recipient is shown.
    pub(super) shows_actual: bool,
    /// When the message goes back.
    pub(super) return_age: Duration,
    /// Whether this is a warning.
    pub(super) warns: bool,
    /// Whether any recipient was tried.
    pub(super) was_tried: bool,
    /// The time now.
    pub(super) now: Timestamp,
    /// Where fields that await their mailer have their templates.
    pub(super) config: Option<&'a Config>,
    /// What the rules make of the addresses in the header.
    pub(super) addresses: ReturnedAddresses,
}

/// Writes pieces of a report somewhere.
pub(super) type Sink<'s> = dyn FnMut(&[u8]) -> io::Result<()> + 's;

impl ReportView<'_> {
    pub(super) fn mailer_of(&self, recipient: &Recipient) -> Option<&Mailer> {
        let triple = recipient.triple.as_ref()?;
        Some(self.mailers.get(triple.mailer))
    }

    /// Writes a MIME report.
    ///
    /// # Errors
    /// When the body of the message cannot be read, or the sink refuses.
    pub(super) fn write_mime(
        &self,
        notice: &Notice,
        boundary: &[u8],
        sink: &mut Sink<'_>,
    ) -> io::Result<()> {
        let mut out = b"This is a MIME-encapsulated message\n\n".to_vec();
        push_line(&mut out, &[b"--", boundary]);
        out.push(b'\n');
        self.text(notice, &mut out);
        sink(&out)?;
        out.clear();
        self.transcript(sink)?;
        push_line(&mut out, &[]);
        push_line(&mut out, &[b"--", boundary]);
        let mut status = Vec::new();
        self.delivery_status(&mut status);
        // Source: RFC 6533 section 4.
        out.extend_from_slice(match !self.speaks_utf8() || status.is_ascii() {
            true => b"Content-Type: message/delivery-status\n\n".as_slice(),
            false => GLOBAL_STATUS,
        });
        out.append(&mut status);
        push_line(&mut out, &[]);
        push_line(&mut out, &[b"--", boundary]);
        let is_global = self.envelope.has_utf8_header();
        let kind: &[u8] = match (notice.returns_body, is_global) {
            (true, false) => b"message/rfc822",
            (false, false) => b"text/rfc822-headers",
            (true, true) => b"message/global",
            (false, true) => b"message/global-headers",
        };
        push_line(&mut out, &[b"Content-Type: ", kind]);
        if self.has_8bit() {
            out.extend_from_slice(b"Content-Transfer-Encoding: 8bit\n");
        }
        out.push(b'\n');
        self.header(&mut out);
        sink(&out)?;
        if notice.returns_body {
            sink(b"\n")?;
            self.copy_body(sink)?;
        }
        out.clear();
        push_line(&mut out, &[]);
        push_line(&mut out, &[b"--", boundary, b"--"]);
        push_line(&mut out, &[]);
        sink(&out)
    }

    /// Writes a report as plain text.
    ///
    /// # Errors
    /// As [`ReportView::write_mime`].
    pub(super) fn write_plain(&self, notice: &Notice, sink: &mut Sink<'_>) -> io::Result<()> {
        let mut out = Vec::new();
        self.text(notice, &mut out);
        sink(&out)?;
        out.clear();
        self.transcript(sink)?;
        out.extend_from_slice(match notice.returns_body {
            true => b"\n   ----- Original message follows -----\n\n",
            false => b"\n   ----- Message header follows -----\n\n",
        });
        self.header(&mut out);
        out.push(b'\n');
        sink(&out)?;
        if notice.returns_body {
            self.copy_body(sink)?;
        } else {
            sink(b"   ----- Message body suppressed -----\n")?;
        }
        sink(b"\n")
    }

    /// Tells whether addresses beyond ASCII are told as such.
    pub(super) fn speaks_utf8(&self) -> bool {
        self.config
            .is_some_and(|config| config.options.receiving.smtp_utf8)
    }

    /// Tells whether the returned text may have 8-bit characters.
    pub(super) fn has_8bit(&self) -> bool {
        self.envelope.flags.contains(EnvelopeFlags::HAS_8BIT)
    }

    fn text(&self, notice: &Notice, out: &mut Vec<u8>) {
        if notice.kind == NoticeKind::Warning {
            out.extend_from_slice(WARNING_BOX);
        }
        let received = rfc5322_date(self.envelope.created);
        push_line(
            out,
            &[
                b"The original message was received at ",
                received.as_bytes(),
            ],
        );
        if let Some(from) = self.came_from {
            push_line(out, &[b"from ", from]);
        }
        if notice.kind == NoticeKind::Postmaster {
            push_line(out, &[b"with id ", self.envelope.id_for_log()]);
        }
        out.push(b'\n');
        if let Some(header) = &self.error_header {
            out.extend_from_slice(header);
            out.push(b'\n');
        }
        self.recipient_sections(out);
    }

    fn transcript(&self, sink: &mut Sink<'_>) -> io::Result<()> {
        let transcript = &self.envelope.transcript;
        if transcript.is_empty() {
            return Ok(());
        }
        sink(b"   ----- Transcript of session follows -----\n")?;
        let mut quoter = FromQuoter::new(sink);
        transcript.write_to(&mut |bytes| quoter.write(bytes))?;
        quoter.finish()?;
        if transcript.is_truncated() {
            sink(b"... (transcript too long)\n")?;
        }
        Ok(())
    }

    fn recipient_sections(&self, out: &mut Vec<u8>) {
        let actions = || {
            let all = self.envelope.recipients.iter();
            all.filter_map(|recipient| Some((recipient, action_of(self, recipient)?)))
        };
        let mut section = Vec::new();
        for (recipient, action) in actions() {
            if action == Action::Failed {
                failure_lines(self, recipient, &mut section);
            }
        }
        push_section(
            b"   ----- The following addresses had permanent fatal errors -----\n",
            &mut section,
            out,
        );
        // Observed: ordinary warnings have no such list.
        let is_late = passed_deadline(self.envelope, DeliverByMode::Notify, self.now).is_some();
        for (recipient, action) in actions() {
            if action == Action::Delayed && is_late {
                delay_lines(self, recipient, &mut section);
            }
        }
        push_section(
            b"   ----- The following addresses had transient non-fatal errors -----\n",
            &mut section,
            out,
        );
        for (recipient, action) in actions() {
            let is_told = matches!(action, Action::DeadlineEnds | Action::DeadlineTrace);
            if is_told || recipient.notify.on_success() {
                success_lines(self, recipient, action, &mut section);
            }
        }
        push_section(
            b"   ----- The following addresses had successful delivery notifications -----\n",
            &mut section,
            out,
        );
    }

    fn delivery_status(&self, out: &mut Vec<u8>) {
        if let Some(envid) = &self.envelope.dsn.envid {
            let decoded = xtext::decode(envid).unwrap_or_else(|| envid.clone());
            push_line(out, &[b"Original-Envelope-Id: ", &decoded]);
        }
        push_line(out, &[b"Reporting-MTA: dns; ", self.host]);
        if let Some(host) = self.received_from {
            // Observed: the kind is that of the mailer the sender's address goes to.
            let sender = self.envelope.sender.triple.as_ref();
            let mailer = sender.map(|triple| self.mailers.get(triple.mailer));
            let kind = mailer.and_then(|mailer| mailer.mta_type.as_deref());
            let kind = kind.unwrap_or(b"dns");
            push_line(out, &[b"Received-From-MTA: ", kind, b"; ", host]);
        }
        let arrival = rfc5322_date(self.envelope.created);
        push_line(out, &[b"Arrival-Date: ", arrival.as_bytes()]);
        if let Some(by) = self.envelope.deliver_by {
            let until = rfc5322_date(deadline(self.envelope.created, by));
            push_line(out, &[b"Deliver-By-Date: ", until.as_bytes()]);
        }
        for recipient in &self.envelope.recipients {
            if let Some(action) = action_of(self, recipient) {
                status_fields(self, recipient, action, out);
            }
        }
    }

    fn header(&self, out: &mut Vec<u8>) {
        for (at, field) in self.envelope.headers.iter().enumerate() {
            if self.is_shown(field) {
                let rewritten = self.addresses.fields.get(at).and_then(Option::as_deref);
                self.field(field, rewritten, out);
            }
        }
    }

    /// Leaves out what only some mailers see, and blind copies that are to be removed.
    fn is_shown(&self, field: &HeaderField) -> bool {
        let traits = field.traits();
        if traits.has(HeaderTraits::BLIND_COPY) {
            return !self.envelope.flags.contains(EnvelopeFlags::DELETE_BCC);
        }
        let hides_receipts = |config: &Config| config.options.delivering.rrt_implies_dsn;
        if field.is(b"return-receipt-to") && self.config.is_some_and(hides_receipts) {
            return false;
        }
        let is_hidden = traits.has(HeaderTraits::ALWAYS_CHECKED)
            && !traits.has(HeaderTraits::EXPANDED_LATE)
            && !field.conditions.flags.is_empty();
        !is_hidden
    }

    fn field(&self, field: &HeaderField, rewritten: Option<&[u8]>, out: &mut Vec<u8>) {
        out.extend_from_slice(&field.name);
        out.push(b':');
        if field.traits().has(HeaderTraits::BLIND_COPY) {
            // Who they are is nobody's business.
        } else if field.expansion == Expansion::Late {
            out.extend_from_slice(&with_sender(&field.value, &self.addresses.sender));
        } else if field.expansion == Expansion::ForMailer {
            out.extend_from_slice(&self.default_value(field));
        } else {
            let value = rewritten.unwrap_or(&field.value);
            out.extend_from_slice(value.strip_suffix(b"\n").unwrap_or(value));
        }
        out.push(b'\n');
    }

    /// Expands what an H line has for a field, with no mailer in sight.
    fn default_value(&self, field: &HeaderField) -> Vec<u8> {
        let rules = self.config.iter().flat_map(|config| &config.headers);
        let mut templates = rules
            .filter(|rule| field.is(&rule.name))
            .filter_map(|rule| rule.template.as_ref());
        let template = templates.find(|template| template.source() == field.value);
        let (Some(config), Some(template)) = (self.config, template) else {
            return Vec::new();
        };
        let mut front = self.envelope.macros.clone();
        template.expanded(&Macros::new(&mut front, None, &config.macros))
    }

    fn copy_body(&self, sink: &mut Sink<'_>) -> io::Result<()> {
        let mut reader = self.envelope.body.reader();
        let mut piece = vec![0; PIECE];
        let mut quoter = FromQuoter::new(sink);
        loop {
            let length = reader.read(&mut piece)?;
            match piece.get(..length) {
                Some(bytes) if length > 0 => quoter.write(bytes)?,
                _ => return quoter.finish(),
            }
        }
    }
}

/// Appends a section if it has lines, with a blank line behind it, and empties it.
fn push_section(title: &[u8], section: &mut Vec<u8>, out: &mut Vec<u8>) {
    if !section.is_empty() {
        out.extend_from_slice(title);
        out.append(section);
        out.push(b'\n');
    }
}

impl<'a> ReportView<'a> {
    /// Makes the view of a message with nothing configured.
    pub(super) fn new(
        envelope: &'a Envelope,
        mailers: &'a MailerTable,
        host: &'a [u8],
        now: Timestamp,
    ) -> Self {
        ReportView {
            envelope,
            mailers,
            host,
            came_from: None,
            received_from: None,
            error_header: None,
            shows_actual: true,
            return_age: Duration::ZERO,
            warns: false,
            was_tried: was_tried(envelope),
            now,
            config: None,
            addresses: ReturnedAddresses {
                sender: envelope.sender.address.clone(),
                ..ReturnedAddresses::default()
            },
        }
    }
}

#[cfg(test)]
mod tests;
