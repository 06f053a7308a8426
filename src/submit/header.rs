//! The header of a submission: what it says about the message, and what it lacks.

use super::input::Input;
use super::message::{Desk, Origin};
use super::submitter::full_name_as_given;
use crate::envelope::prepare::{drop_blank_fields, is_resent, origination_date, prepare};
use crate::envelope::{DeliveryStatus, EnvelopeFlags, Recipient, RecipientState};
use crate::macros::{MacroId, Macros};
use crate::message::address::{PhraseRules, split_address_list};
use crate::message::header::LATE_MACRO_MARK;
use crate::message::{BodyType, HeaderField, HeaderTraits};
use crate::smtp::{EnhancedStatus, ExitStatus};
use crate::text::date::rfc5322_date;
use crate::token::print::print_octet;

/// A permanent failure without detail.
pub(super) const NO_DETAIL: (u8, u16, u16) = (5, 0, 0);

impl Desk<'_> {
    pub(super) fn take_header(&mut self, input: Input) {
        self.envelope.headers = input.headers;
        drop_blank_fields(&mut self.envelope.headers, &self.mta.config);
        self.envelope.size = input.size;
        if input.has_eight_bit {
            self.envelope.flags.insert(EnvelopeFlags::HAS_8BIT);
        } else if self.envelope.body_type.is_some() {
            self.envelope.body_type = Some(BodyType::SevenBit);
        }
        if let Some(date) = input.from_line.as_deref().and_then(date_of_from_line) {
            self.envelope.macros.set_text(MacroId::D, &date);
            let now = rfc5322_date(self.mta.clock.now());
            if let Some(date) = rfc5322_from_ctime(&date, &now) {
                self.envelope.macros.set_text(MacroId::A, &date);
            }
        }
        if self.mta.config.options.headers.single_line_from_header {
            let originators = self.envelope.headers.iter_mut();
            for field in originators.filter(|f| f.traits().has(HeaderTraits::ORIGINATOR)) {
                field
                    .value
                    .iter_mut()
                    .filter(|b| **b == b'\n')
                    .for_each(|b| *b = b' ');
            }
        }
        self.take_full_name();
        if self.arguments.arpanet {
            self.take_sender_from_header();
        }
        if self.arguments.recipients_from_header {
            self.take_recipients_from_header();
        }
        self.take_errors_to();
    }

    /// With UseErrorsTo whoever `Errors-To:` names counts as a recipient, and with -t is the
    /// last address of the header looked at, for `$u`. Observed: 8.17.1.9.
    fn take_errors_to(&mut self) {
        if !self.mta.config.options.delivering.use_errors_to {
            return;
        }
        let fields = self.envelope.headers.iter();
        let named = fields
            .filter(|field| field.is(b"errors-to"))
            .flat_map(|field| split_address_list(field.text()));
        let named: Vec<&[u8]> = named.collect();
        self.errors_to_count = named.len();
        match named[..] {
            [] => {}
            [only] if self.arguments.recipients_from_header => {
                self.only_operand = Some(only.to_vec());
            }
            _ => self.only_operand = None,
        }
    }

    /// A Full-Name: field beats the other sources of `$x`.
    fn take_full_name(&mut self) {
        let Some(field) = self.envelope.headers.get(b"full-name") else {
            return;
        };
        let options = &self.mta.config.options.headers;
        let rules = PhraseRules {
            must_quote: &options.must_quote_chars,
            ..PhraseRules::default()
        };
        let name = full_name_as_given(field.text(), &rules);
        self.envelope.macros.set_text(MacroId::X, &name);
        self.envelope.sender.full_name = Some(name);
    }

    /// Source: guide appendix A, -ba: the most significant originator field counts; observed:
    /// 8.17.1.9 leaves out Reply-To.
    fn take_sender_from_header(&mut self) {
        let resent = is_resent(&self.envelope);
        let names: &[&[u8]] = if resent {
            &[b"resent-sender", b"resent-from", b"sender", b"from"]
        } else {
            &[b"sender", b"from"]
        };
        let Some(field) = names
            .iter()
            .find_map(|name| self.envelope.headers.get(name))
        else {
            return;
        };
        let sender = field.text().to_vec();
        // The fields that are missing were made up before.
        let macros = &self.envelope.macros;
        let before = [MacroId::F, MacroId::X].map(|id| macros.text(id).map(<[u8]>::to_vec));
        self.default_sender = Some(before);
        self.set_sender(&sender);
    }

    fn take_recipients_from_header(&mut self) {
        let resent = is_resent(&self.envelope);
        let fields: Vec<(Vec<u8>, Origin)> = self
            .envelope
            .headers
            .iter()
            .filter(|field| {
                let traits = field.traits();
                traits.has(HeaderTraits::RECIPIENTS)
                    && (!resent || traits.has(HeaderTraits::RESENT))
            })
            .map(|field| {
                // Observed: blanks behind the last address of a list belong to it.
                let value = field.value.trim_ascii_start();
                let one_line: Vec<u8> = value
                    .strip_suffix(b"\n")
                    .unwrap_or(value)
                    .iter()
                    .map(|byte| if *byte == b'\n' { b' ' } else { *byte })
                    .collect();
                // Observed: 8.17.1.9 does not regard Resent-Bcc: as blind.
                let origin = match field.is(b"bcc") {
                    true => Origin::BlindHeader,
                    false => Origin::Header,
                };
                (one_line, origin)
            })
            .collect();
        for (list, origin) in fields {
            self.expand(&[list], origin);
        }
    }

    /// Completes the header and everything that follows from it.
    pub(super) fn complete(&mut self) {
        let warnings: Vec<HeaderField> = self.warnings.fields().collect();
        for field in warnings.into_iter().rev() {
            self.envelope.headers.insert(0, field);
        }
        if let Some(only) = &self.only_operand {
            self.envelope.macros.set_text(MacroId::U, only);
        } else {
            self.envelope.macros.remove(MacroId::U);
        }
        let living = self.counted_recipients();
        // What was known before the header was read is what fields of H lines show.
        let named = self.operand_count.to_string();
        self.envelope
            .macros
            .set_text(MacroId::NRCPTS, named.as_bytes());
        let mut own = std::mem::take(&mut self.envelope.macros);
        // The header that reaches the queue shows the sender as nobody's rules left it.
        let mut canonical = own.text(MacroId::F).unwrap_or_default().to_vec();
        let full_name = own.text(MacroId::X).map(<[u8]>::to_vec);
        if let Some([address, name]) = &self.default_sender {
            canonical = address.clone().unwrap_or_default();
            match name {
                Some(name) => own.set_text(MacroId::X, name),
                None => drop(own.remove(MacroId::X)),
            }
        }
        // Rules may make a name of the empty sender.
        let is_null = canonical == b"<>";
        own.set_text(MacroId::G, if is_null { b"" } else { &canonical });
        if let Some(host) = &self.host {
            own.set_text(MacroId::H, host);
        }
        let macros = Macros::new(&mut own, None, &self.mta.config.macros);
        prepare(&mut self.envelope, &self.mta.config, &macros, living);
        if let (Some(_), Some(name)) = (&self.default_sender, &full_name) {
            own.set_text(MacroId::X, name);
        }
        own.remove(MacroId::G);
        own.remove(MacroId::Z);
        own.remove(MacroId::H);
        own.set_text(MacroId::NRCPTS, living.to_string().as_bytes());
        own.set_text(MacroId::MSG_SIZE, self.envelope.size.to_string().as_bytes());
        self.envelope.macros = own;
        if let Some(kind) = self.envelope.body_type {
            let name = kind.name().as_bytes();
            self.envelope.macros.set_text(MacroId::BODYTYPE, name);
        }
        if let Some(envid) = &self.envelope.dsn.envid {
            self.envelope.macros.set_text(MacroId::ENVID, envid);
        }
        if let Some(id) = &self.envelope.message_id {
            self.envelope.macros.set_text(MacroId::MSG_ID, id);
        }
        if let Some(date) = origination_date(&self.envelope) {
            self.envelope.macros.set_text(MacroId::A, &date);
        }
        let is_old_style = self.mta.config.options.headers.old_style_headers;
        self.envelope.headers.note_stored_forms(is_old_style);
        self.envelope.hop_count = self
            .envelope
            .hop_count
            .max(self.envelope.headers.hop_count());
        let hops = self.envelope.hop_count.to_string();
        self.envelope.macros.set_text(MacroId::C, hops.as_bytes());
        self.trace_header();
        self.refuse_hopeless();
    }

    /// Tells the header as it goes into the queue (`-d32.1`).
    ///
    /// The reference shows the templates of fields it added as well, which we do not keep.
    fn trace_header(&self) {
        let debug = &self.mta.debug;
        if !debug.is_on(32, 1) {
            return;
        }
        debug.line(b"----- collected header -----");
        for field in self.envelope.headers.iter() {
            let mut line = [field.name.as_slice(), b":"].concat();
            for &octet in &field.value {
                match octet {
                    LATE_MACRO_MARK => line.push(b'$'),
                    _ => print_octet(octet, &mut line),
                }
            }
            debug.line(&line);
        }
        debug.line(b"----------------------------");
    }

    /// Counts the recipients for log and priority: all but those replaced by others.
    pub(super) fn counted_recipients(&self) -> usize {
        let recipients = self.envelope.recipients.iter();
        recipients.filter(|r| self.is_counted(r)).count() + self.errors_to_count
    }

    /// Tells whether a recipient made it to the list at all; observed: 8.17.1.9.
    fn is_counted(&self, recipient: &Recipient) -> bool {
        let RecipientState::Failed(status) = &recipient.state else {
            return recipient.state.is_open();
        };
        let is = |detail| EnhancedStatus::new(5, detail, 1) == Some(status.enhanced);
        let is_loop = EnhancedStatus::new(5, 4, 6) == Some(status.enhanced);
        match &recipient.triple {
            None => false,
            Some(triple) if Some(triple.mailer) == self.mta.config.mailers.program() => !is(7),
            Some(_) => !is_loop,
        }
    }

    /// Fails all recipients of a message that has gone round in circles.
    fn refuse_hopeless(&mut self) {
        let limit = self.mta.config.options.receiving.max_hop_count;
        if self.envelope.hop_count <= limit {
            return;
        }
        let first = self.envelope.recipients.iter().find(|r| r.state.is_open());
        let to = first.map_or(Vec::new(), |recipient| recipient.address.clone());
        let via = self
            .envelope
            .macros
            .text(MacroId::UNDERSCORE)
            .unwrap_or(b"localhost");
        let via = crate::text::bytes::rsplit_once(via, b'@').map_or(via, |(_, host)| host);
        let text = format!(
            "Too many hops {} ({limit} max): from {} via {}, to {}",
            self.envelope.hop_count,
            crate::text::bytes::printable(&self.envelope.sender.address),
            crate::text::bytes::printable(via),
            crate::text::bytes::printable(&to),
        );
        self.envelope
            .transcript
            .push_line(format!("554 5.4.6 {text}").as_bytes());
        self.summary.exit = Some(ExitStatus::Unavailable);
        let now = self.mta.clock.now();
        self.settle_open(&DeliveryStatus::too_many_hops(text, now));
    }

    pub(super) fn fail_all(&mut self, code: u16, enhanced: (u8, u16, u16), text: &str) {
        let (class, subject, detail) = enhanced;
        let line = format!("{code} {class}.{subject}.{detail} {text}");
        self.envelope.transcript.push_line(line.as_bytes());
        self.envelope.note_trouble(true, text.as_bytes());
        self.fail_open(NO_DETAIL, ExitStatus::Unavailable, text.as_bytes());
    }

    pub(super) fn fail_open(&mut self, enhanced: (u8, u16, u16), exit: ExitStatus, text: &[u8]) {
        let (class, subject, detail) = enhanced;
        let enhanced = EnhancedStatus::new(class, subject, detail)
            .unwrap_or_else(|| EnhancedStatus::from_exit(exit));
        let now = self.mta.clock.now();
        self.settle_open(&DeliveryStatus::local(enhanced, exit, text, now));
    }

    fn settle_open(&mut self, status: &DeliveryStatus) {
        let recipients = self.envelope.recipients.iter_mut();
        for recipient in recipients.filter(|r| r.state.is_open()) {
            recipient.state = RecipientState::Failed(status.clone());
        }
    }
}

/// Returns the date of a UNIX `From ` line, as ctime writes it.
fn date_of_from_line(line: &[u8]) -> Option<Vec<u8>> {
    const DAYS: [&[u8]; 7] = [
        b"Sun ", b"Mon ", b"Tue ", b"Wed ", b"Thu ", b"Fri ", b"Sat ",
    ];
    let at = (0..line.len()).find(|at| {
        let rest = &line[*at..];
        rest.len() >= 24 && DAYS.iter().any(|day| rest.starts_with(day))
    })?;
    Some(line[at..at + 24].to_vec())
}

/// Turns a ctime date into the RFC 5322 form; the zone is that of `now`.
fn rfc5322_from_ctime(date: &[u8], now: &str) -> Option<Vec<u8>> {
    let mut words = crate::text::bytes::words(date);
    let (day, month, number) = (words.next()?, words.next()?, words.next()?);
    let (time, year) = (words.next()?, words.next()?);
    let zone = now.splitn(6, ' ').nth(5)?;
    Some(
        [
            day,
            b", ",
            number,
            b" ",
            month,
            b" ",
            year,
            b" ",
            time,
            b" ",
            zone.as_bytes(),
        ]
        .concat(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_from_lines() {
        let line = b"From ann Mon Jan  5 10:00:00 2015";
        assert_eq!(
            date_of_from_line(line).as_deref(),
            Some(&b"Mon Jan  5 10:00:00 2015"[..])
        );
        assert_eq!(date_of_from_line(b"From Mon "), None);
        let now = "Sun, 22 Nov 2026 05:18:22 GMT";
        assert_eq!(
            rfc5322_from_ctime(b"Mon Jan  5 10:00:00 2015", now).as_deref(),
            Some(&b"Mon, 5 Jan 2015 10:00:00 GMT"[..])
        );
    }
}
