//! Header and body as one mailer wants them.
//!
//! Addresses in the header are rewritten for the mailer, fields it must not see are left
//! out, lines get its ends and limits, and the body is converted where 8-bit text meets
//! a mailer that cannot take it. The body is never held in memory.
//!
//! Entry point: [`write_message`]. What needs rulesets and macros is asked of
//! [`HeaderView`]; [`super::header_view`] answers with the real ones.
//!
//! Source: guide sections 5.4 (flags), 5.5 and 6.3.1; observed: 8.17.1.9 for the order.

use std::fmt;
use std::io::{self, Read, Write};

use crate::config::options::{EightBitMode, HeaderOptions};
use crate::envelope::{Envelope, EnvelopeFlags};
use crate::mailer::{Invocation, Mailer};
use crate::message::address_lines::format_address_header;
use crate::message::header::Expansion;
use crate::message::line_writer::{LineForm, LineRole, LineWriter};
use crate::message::mime::content_type::ContentType;
use crate::message::mime::lines::{BodyLines, Piece};
use crate::message::mime::to_eight::{Encoded, encoded_text, write_eight_bit};
use crate::message::mime::to_seven::{Parts, SevenBitContext, write_seven_bit};
use crate::message::mime::{ConversionStamp, MimeClasses};
use crate::message::{BodyType, HeaderField, HeaderTraits, Headers};

/// How much of a body is copied at once.
const RAW_PIECE: usize = 65_536;

/// Longest line of a mailer with F=L that sets no L=.
const DEFAULT_LINE_LIMIT: usize = 990;

/// Whether a header field names who sent or who receives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderRole {
    /// From, Sender and their like.
    Sender,
    /// To, Cc and their like.
    Recipient,
}

/// What writing a header needs to know from rulesets and macros.
pub trait HeaderView {
    /// Rewrites one address of a header field for the mailer.
    fn rewrite(&mut self, address: &[u8], role: HeaderRole) -> Vec<u8>;
    /// Expands a value whose macros wait for the mailer.
    fn expand_late(&mut self, value: &[u8]) -> Vec<u8>;
    /// Expands the template of the H line that a field was made from.
    fn expand_default(&mut self, field: &HeaderField) -> Vec<u8>;
    /// Tells whether the macro of this name has a value.
    fn is_macro_set(&self, name: &[u8]) -> bool;
    /// Returns the `From ` line of UNIX mailboxes.
    fn unix_from_line(&mut self) -> Vec<u8>;
    /// Returns the sender as this mailer sees it (`$g`).
    fn sender(&mut self) -> Vec<u8>;
    /// Returns the current date as ctime writes it (`$d`).
    fn ctime(&mut self) -> Vec<u8>;
}

/// What happens to the bytes of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Conversion {
    /// They go out as they are.
    None,
    /// 8 to 7 bit by MIME.
    EightToSeven,
    /// 7 to 8 bit: the one encoded text is decoded.
    SevenToEight(Encoded),
    /// Binary to lines of seven bits.
    FromBinary,
    /// The body goes out octet by octet, in chunks (RFC 3030).
    Raw,
}

/// How the message is to look, besides what the mailer says.
#[derive(Clone, Debug)]
pub struct OutputForm {
    /// Write the UNIX `From ` line, unless the mailer has F=n.
    pub from_line: bool,
    /// What happens to 8-bit text.
    pub conversion: Conversion,
    /// Clear high bits of what is not converted.
    pub seven_bit: bool,
}

impl OutputForm {
    /// Decides for a program or file, which declares nothing.
    pub fn for_program(envelope: &Envelope, mailer: &Mailer) -> Self {
        OutputForm {
            from_line: true,
            conversion: conversion_for_program(envelope, mailer),
            seven_bit: mailer.has(b'7') || envelope.body_type == Some(BodyType::SevenBit),
        }
    }

    /// Decides for the body of a BINARYMIME message: as it is, or in lines.
    pub fn for_binary(conversion: Conversion) -> Self {
        OutputForm {
            from_line: false,
            conversion,
            seven_bit: false,
        }
    }

    /// Decides for a server; `takes_eight_bit` says that it offers 8BITMIME or that
    /// 8-bit text is just sent to it (F=8).
    pub fn for_server(envelope: &Envelope, mailer: &Mailer, takes_eight_bit: bool) -> Self {
        if envelope.body_type == Some(BodyType::Binary) {
            return Self::for_binary(Conversion::FromBinary);
        }
        let declared_seven = envelope.body_type == Some(BodyType::SevenBit);
        let has_eight_bit = envelope.flags.contains(EnvelopeFlags::HAS_8BIT);
        let is_unfit = !takes_eight_bit || mailer.has(b'7');
        let conversion = if has_eight_bit && !declared_seven && is_unfit {
            Conversion::EightToSeven
        } else {
            Conversion::None
        };
        OutputForm {
            from_line: false,
            conversion,
            seven_bit: declared_seven || !takes_eight_bit && mailer.has(b'7'),
        }
    }
}

fn conversion_for_program(envelope: &Envelope, mailer: &Mailer) -> Conversion {
    if envelope.body_type == Some(BodyType::Binary) {
        return Conversion::FromBinary;
    }
    let declared_seven = envelope.body_type == Some(BodyType::SevenBit);
    if mailer.has(b'7') && !declared_seven && envelope.flags.contains(EnvelopeFlags::HAS_8BIT) {
        return Conversion::EightToSeven;
    }
    if mailer.has(b'9')
        && !mailer.has(b'7')
        && let Some(encoded) = encoded_text(&envelope.headers)
    {
        return Conversion::SevenToEight(encoded);
    }
    Conversion::None
}

/// A message and the mailer it goes to.
pub struct Outgoing<'a> {
    /// The message.
    pub envelope: &'a Envelope,
    /// The mailer.
    pub mailer: &'a Mailer,
    /// Options about headers.
    pub options: &'a HeaderOptions,
    /// Classes `n`, `e`, `s` and `q`.
    pub classes: &'a dyn MimeClasses,
    /// Our name and the queue id, for conversion marks.
    pub stamp: ConversionStamp,
    /// `Return-Receipt-To:` is left out (RrtImpliesDsn).
    pub hides_receipts: bool,
    /// Takes what is told of header fields made to harm.
    pub log: &'a dyn Fn(fmt::Arguments<'_>),
}

/// Writes a message for a mailer and returns the number of bytes.
///
/// # Errors
/// Those of reading the body and of `out`.
pub fn write_message(
    message: &Outgoing<'_>,
    form: &OutputForm,
    view: &mut dyn HeaderView,
    out: &mut dyn Write,
) -> io::Result<u64> {
    let mut writer = LineWriter::new(out, line_form(message.mailer, form));
    if form.from_line && !message.mailer.has(b'n') {
        writer.line(&from_line(message.mailer, view), LineRole::Header)?;
    }
    write_header(message, form, view, &mut writer)?;
    write_body(message, form, &mut writer)?;
    Ok(writer.written())
}

/// Writes only the header, without the line that ends it.
///
/// # Errors
/// Those of `writer`.
pub fn write_header(
    message: &Outgoing<'_>,
    form: &OutputForm,
    view: &mut dyn HeaderView,
    writer: &mut LineWriter<'_>,
) -> io::Result<()> {
    let headers = &message.envelope.headers;
    let resent = headers
        .iter()
        .any(|field| field.traits().has(HeaderTraits::RESENT) && !field.is_default);
    for field in headers {
        let text = header_text(message, field, resent, form.conversion, view);
        if let Some(mut text) = text {
            if message.mailer.has(b'6') {
                text.iter_mut().for_each(|byte| *byte &= 0x7f);
            }
            writer.header_lines(&text)?;
        }
    }
    declare_eight_bit(message, form, headers, writer)
}

/// Returns a field as the mailer gets it, or none if it does not.
fn header_text(
    message: &Outgoing<'_>,
    field: &HeaderField,
    resent: bool,
    conversion: Conversion,
    view: &mut dyn HeaderView,
) -> Option<Vec<u8>> {
    let traits = field.traits();
    let is_as_it_is = matches!(conversion, Conversion::None | Conversion::Raw);
    if traits.has(HeaderTraits::TRANSFER_ENCODING) && !is_as_it_is {
        return None;
    }
    if !field.is_wanted(
        |flag| message.mailer.has(flag),
        |name| view.is_macro_set(name),
    ) {
        return None;
    }
    if message.hides_receipts && field.is(b"return-receipt-to") {
        return None;
    }
    if traits.has(HeaderTraits::RESENT) && !resent {
        return None;
    }
    if traits.has(HeaderTraits::BLIND_COPY) {
        let hidden = message.envelope.flags.contains(EnvelopeFlags::DELETE_BCC);
        return (!hidden).then(|| [&field.name[..], b":"].concat());
    }
    let value = match field.expansion {
        Expansion::Done => field.value.clone(),
        Expansion::Late => view.expand_late(&field.value),
        Expansion::ForMailer => Some(view.expand_default(field)).filter(|v| !v.is_empty())?,
    };
    if !traits.holds_addresses() {
        let options = message.options;
        let limits = [
            options.max_mime_header_length,
            options.max_mime_field_length,
        ];
        let value = if limits.iter().any(|limit| *limit > 0) {
            super::mime_limits::shortened_field(&field.name, &value, message.options, message.log)
        } else {
            value
        };
        return Some([&field.name[..], b":", &value].concat());
    }
    let role = if traits.has(HeaderTraits::ORIGINATOR) {
        HeaderRole::Sender
    } else {
        HeaderRole::Recipient
    };
    let old_style = role == HeaderRole::Recipient
        && message.options.old_style_headers
        && message.envelope.headers.look_old_style();
    let limit = line_limit(message.mailer);
    Some(format_address_header(
        &field.name,
        &value,
        limit,
        old_style,
        &mut |address| view.rewrite(address, role),
    ))
}

/// Adds the MIME fields of 8-bit text nobody declared (EightBitMode `m`).
fn declare_eight_bit(
    message: &Outgoing<'_>,
    form: &OutputForm,
    headers: &Headers,
    writer: &mut LineWriter<'_>,
) -> io::Result<()> {
    let convert = matches!(
        form.conversion,
        Conversion::EightToSeven | Conversion::FromBinary
    );
    let declare = form.conversion == Conversion::None
        && message.options.eight_bit_mode == EightBitMode::Mime
        && message.envelope.flags.contains(EnvelopeFlags::HAS_8BIT)
        && !message.mailer.has(b'8')
        && !form.seven_bit
        && !headers.contains(b"mime-version");
    if !convert && !declare {
        return Ok(());
    }
    if !headers.contains(b"mime-version") {
        writer.line(b"MIME-Version: 1.0", LineRole::Header)?;
    }
    if !headers.contains(b"content-type") {
        let char_set = &message.options.default_char_set;
        let line = [b"Content-Type: text/plain; charset=", &char_set[..]].concat();
        writer.line(&line, LineRole::Header)?;
    }
    if declare && !headers.contains(b"content-transfer-encoding") {
        writer.line(b"Content-Transfer-Encoding: 8bit", LineRole::Header)?;
    }
    Ok(())
}

fn write_body(
    message: &Outgoing<'_>,
    form: &OutputForm,
    writer: &mut LineWriter<'_>,
) -> io::Result<()> {
    let envelope = message.envelope;
    match form.conversion {
        Conversion::None if is_walked(message) => {
            let cx = SevenBitContext {
                classes: message.classes,
                stamp: &message.stamp,
                escape_from: false,
                ebcdic_safe: false,
                parts: Parts::AsTheyAre,
            };
            write_seven_bit(&envelope.headers, &envelope.body, &cx, writer)
        }
        Conversion::None => {
            writer.end()?;
            // In a mailbox the line feed after the message ends its last line.
            let last = match message.mailer.invocation() {
                Invocation::File => LastLine::AsItIs,
                Invocation::Program | Invocation::Network => LastLine::Ended,
            };
            write_plain_body(&envelope.body, last, writer)
        }
        Conversion::EightToSeven => {
            let cx = SevenBitContext {
                classes: message.classes,
                stamp: &message.stamp,
                escape_from: message.mailer.has(b'E'),
                ebcdic_safe: message.mailer.has(b'3'),
                parts: Parts::Encoded,
            };
            write_seven_bit(&envelope.headers, &envelope.body, &cx, writer)
        }
        Conversion::FromBinary => {
            let cx = SevenBitContext {
                classes: message.classes,
                stamp: &message.stamp,
                escape_from: message.mailer.has(b'E'),
                ebcdic_safe: false,
                parts: Parts::FromBinary,
            };
            write_seven_bit(&envelope.headers, &envelope.body, &cx, writer)
        }
        Conversion::Raw => {
            writer.end()?;
            let mut reader = envelope.body.reader();
            let mut piece = vec![0; RAW_PIECE];
            loop {
                let length = reader.read(&mut piece)?;
                match piece.get(..length) {
                    Some(octets) if length > 0 => writer.bytes(octets)?,
                    _ => return Ok(()),
                }
            }
        }
        Conversion::SevenToEight(encoded) => {
            let headers = &envelope.headers;
            write_eight_bit(encoded, headers, &envelope.body, &message.stamp, writer)
        }
    }
}

/// Tells whether a body is looked through although nothing in it is converted: the fields of
/// its parts are held to MaxMimeHeaderLength.
///
/// Observed: 8.17.1.9, where this also clears high bits outside of the parts of a multipart
/// and ends one that has no end.
fn is_walked(message: &Outgoing<'_>) -> bool {
    let options = message.options;
    let is_limited = options.max_mime_header_length > 0 || options.max_mime_field_length > 0;
    let kind = message.envelope.headers.get(b"content-type");
    is_limited && kind.is_some_and(|f| ContentType::parse(f.text()).is(b"multipart", b""))
}

/// What happens to a last line without line feed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LastLine {
    /// It stays without.
    AsItIs,
    /// It gets one.
    Ended,
}

/// Writes a body line by line.
///
/// # Errors
/// Those of reading the body and of `writer`.
pub fn write_plain_body(
    body: &crate::message::Body,
    last: LastLine,
    writer: &mut LineWriter<'_>,
) -> io::Result<()> {
    let mut lines = BodyLines::new(body);
    let mut piece = Piece::default();
    while lines.read(&mut piece)? {
        let ends = piece.ends && !(piece.is_unfinished && last == LastLine::AsItIs);
        writer.piece(&piece.bytes, piece.starts, ends)?;
    }
    Ok(())
}

fn line_limit(mailer: &Mailer) -> Option<usize> {
    match usize::try_from(mailer.line_limit) {
        Ok(0) | Err(_) => mailer.has(b'L').then_some(DEFAULT_LINE_LIMIT),
        Ok(limit) => Some(limit),
    }
}

/// Returns how a mailer wants its lines.
pub fn line_form(mailer: &Mailer, form: &OutputForm) -> LineForm {
    let is_raw = form.conversion == Conversion::Raw;
    LineForm {
        end_of_line: mailer.end_of_line.clone(),
        limit: line_limit(mailer).filter(|_| !is_raw),
        seven_bit: form.seven_bit,
        double_dots: mailer.has(b'X') && !is_raw,
        escape_from: mailer.has(b'E') && !is_raw,
    }
}

/// Returns the UNIX `From ` line, in the UUCP form for F=U.
fn from_line(mailer: &Mailer, view: &mut dyn HeaderView) -> Vec<u8> {
    if mailer.has(b'U') {
        let sender = view.sender();
        if let Some(bang) = sender.iter().position(|byte| *byte == b'!') {
            let (host, user) = (&sender[..bang], &sender[bang + 1..]);
            let date = view.ctime();
            return [b"From ", user, b"  ", &date, b" remote from ", host].concat();
        }
    }
    view.unix_from_line()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Body;
    use crate::message::header::FlagLetters;
    use crate::message::mime::BuiltInClasses;

    struct Plain;

    impl HeaderView for Plain {
        fn rewrite(&mut self, address: &[u8], _role: HeaderRole) -> Vec<u8> {
            [address, b"@h"].concat()
        }
        fn expand_late(&mut self, _value: &[u8]) -> Vec<u8> {
            b" <late>".to_vec()
        }
        fn expand_default(&mut self, _field: &HeaderField) -> Vec<u8> {
            b" made".to_vec()
        }
        fn is_macro_set(&self, name: &[u8]) -> bool {
            name == b"set"
        }
        fn unix_from_line(&mut self) -> Vec<u8> {
            b"From me now".to_vec()
        }
        fn sender(&mut self) -> Vec<u8> {
            b"far!ann".to_vec()
        }
        fn ctime(&mut self) -> Vec<u8> {
            b"now".to_vec()
        }
    }

    fn written(flags: &[u8], envelope: &Envelope) -> String {
        let mut mailer = Mailer::new(b"x", b"/bin/x");
        flags.iter().for_each(|flag| {
            mailer.flags.insert(*flag);
        });
        let options = HeaderOptions::default();
        let message = Outgoing {
            envelope,
            mailer: &mailer,
            options: &options,
            classes: &BuiltInClasses,
            stamp: ConversionStamp::default(),
            hides_receipts: false,
            log: &|_| (),
        };
        let form = OutputForm::for_program(envelope, &mailer);
        let mut out = Vec::new();
        let count = write_message(&message, &form, &mut Plain, &mut out).unwrap();
        assert_eq!(count, out.len() as u64);
        String::from_utf8(out).unwrap()
    }

    fn envelope(header: &[u8], body: &[u8]) -> Envelope {
        Envelope {
            headers: Headers::parse(header).0,
            body: Body::Memory(body.to_vec()),
            ..Envelope::default()
        }
    }

    #[test]
    fn fields_go_only_to_mailers_with_their_flags() {
        let mut envelope = envelope(b"To: a, b\nReturn-Path: <fake>\n", b"x\n");
        let mut late = HeaderField::from_queue(b"Return-Path", b" <\x81g>", Default::default());
        late.conditions.flags = FlagLetters::from_bytes(b"P");
        envelope.headers.insert(0, late);
        assert_eq!(written(b"n", &envelope), "To: a@h, b@h\n\nx\n");
        assert_eq!(
            written(b"nP", &envelope),
            "Return-Path: <late>\nTo: a@h, b@h\n\nx\n"
        );
    }

    #[test]
    fn from_lines_and_missing_line_ends() {
        let envelope = envelope(b"S: x\n", b"From a\nend");
        assert_eq!(
            written(b"E", &envelope),
            "From me now\nS: x\n\n>From a\nend\n"
        );
        assert_eq!(
            written(b"U", &envelope),
            "From ann  now remote from far\nS: x\n\nFrom a\nend\n"
        );
    }

    #[test]
    fn headers_lose_their_high_bits_for_mailers_with_flag_6() {
        let envelope = envelope(b"S: caf\xe9\n", b"b\n");
        assert_eq!(written(b"n6", &envelope), "S: cafi\n\nb\n");
    }

    #[test]
    fn blind_copies_are_hidden_or_emptied() {
        let mut envelope = envelope(b"Bcc: x\nS: y\n", b"");
        assert_eq!(written(b"n", &envelope), "Bcc:\nS: y\n\n");
        envelope.flags.insert(EnvelopeFlags::DELETE_BCC);
        assert_eq!(written(b"n", &envelope), "S: y\n\n");
    }
}
