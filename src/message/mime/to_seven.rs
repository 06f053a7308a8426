//! 8 to 7 bit, part by part through multiparts.
//!
//! The caller has written the header of the message, apart from its
//! Content-Transfer-Encoding, and nothing of the line between header and body. Each
//! part is looked at before it is written: without 8-bit bytes it goes out as it is, else
//! base64 is taken when more than one byte in eight has its high bit set, and
//! quoted-printable when fewer have. Multiparts are walked with an explicit stack of
//! boundaries; parts nested deeper than [`MAX_DEPTH`] are copied as they are.
//!
//! Source: guide section 5.6 EightBitMode, RFC 2045 to 2049; observed: 8.17.1.9 for the
//! choice of the encoding.

use std::io;

use super::content_type::ContentType;
use super::encode::{Base64Encoder, Encoder, QuotedEncoder};
use super::lines::{BodyLines, Piece};
use super::{ConversionStamp, MimeClasses};
use crate::message::header::HeaderTraits;
use crate::message::line_writer::{LineRole, LineWriter};
use crate::message::{Body, HeaderCollector, Headers, LineUse};

/// Deepest nesting of parts that is looked into.
pub const MAX_DEPTH: usize = 20;

/// Bytes after which a look at a part full of 8-bit bytes ends.
const SAMPLE_BYTES: u64 = 4_096;

/// Most bytes of the header of a part; more is taken as body.
const MAX_PART_HEADER_BYTES: usize = 65_536;

/// What a conversion needs besides the message.
pub struct SevenBitContext<'a> {
    /// Classes of the configuration.
    pub classes: &'a dyn MimeClasses,
    /// Who converts.
    pub stamp: &'a ConversionStamp,
    /// Encode the space of `From ` lines (F=E).
    pub escape_from: bool,
    /// Encode what EBCDIC garbles (F=3).
    pub ebcdic_safe: bool,
    /// What becomes of parts with 8-bit bytes.
    pub parts: Parts,
}

/// What a walk through a body does to its parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parts {
    /// Those with 8-bit bytes are encoded.
    Encoded,
    /// They go out as they are; only what stands between them is put in order.
    AsTheyAre,
    /// The body is what a client sent as BINARYMIME (RFC 3030), line ends and all: parts that are
    /// not plain lines of seven bits are encoded in base64.
    FromBinary,
}

/// Longest line that goes out as it is. Source: RFC 5322 section 2.1.1.
const MAX_TEXT_LINE: usize = 998;

/// The boundary of a multipart that names none. Observed: 8.17.1.9.
const NO_BOUNDARY: &[u8] = b"---";

/// Writes the rest of the header, the empty line and the body, all in 7-bit form.
///
/// # Errors
/// Those of reading the body and of the writer.
pub fn write_seven_bit(
    headers: &Headers,
    body: &Body,
    cx: &SevenBitContext<'_>,
    out: &mut LineWriter<'_>,
) -> io::Result<()> {
    let lines = BodyLines::new(body);
    let mut converter = Converter {
        lines,
        piece: Piece::default(),
        owes_cr: false,
        frames: Vec::new(),
        cx,
        out,
    };
    converter.run(headers)
}

/// One multipart that is open.
struct Frame {
    boundary: Vec<u8>,
    digest: bool,
}

/// How a part ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PartEnd {
    Boundary { frame: usize, last: bool },
    EndOfBody,
}

struct Converter<'a, 'b, 'c> {
    lines: BodyLines<'a>,
    piece: Piece,
    /// The line end that was read last had a CR.
    owes_cr: bool,
    frames: Vec<Frame>,
    cx: &'a SevenBitContext<'b>,
    out: &'a mut LineWriter<'c>,
}

impl Converter<'_, '_, '_> {
    fn run(&mut self, headers: &Headers) -> io::Result<()> {
        let mut end = self.entity(headers, 0)?;
        while let PartEnd::Boundary { frame, last } = end {
            self.frames.truncate(frame + 1);
            let Some(top) = self.frames.last() else { break };
            let marks: &[u8] = if last { b"--" } else { b"" };
            let line = [b"--", &top.boundary[..], marks].concat();
            self.out.line(&line, LineRole::Body)?;
            end = if last {
                self.frames.pop();
                self.copy(true)?
            } else {
                let part = self.part_header()?;
                self.entity(&part, 0)?
            };
        }
        while let Some(frame) = self.frames.pop() {
            let line = [b"--", &frame.boundary[..], b"--"].concat();
            self.out.line(&line, LineRole::Body)?;
        }
        Ok(())
    }

    /// Writes one part from the end of its header to its end.
    fn entity(&mut self, headers: &Headers, enclosing: usize) -> io::Result<PartEnd> {
        let (mut headers, mut enclosing) = (headers.clone(), enclosing);
        loop {
            let encoding = headers
                .get(b"content-transfer-encoding")
                .map(|f| f.text().to_vec());
            let digest = enclosing == 0 && self.frames.last().is_some_and(|frame| frame.digest);
            let kind = match headers.get(b"content-type") {
                Some(field) => ContentType::parse(field.text()),
                None if digest => ContentType::parse(b"message/rfc822"),
                None => ContentType::parse(b"text/plain"),
            };
            let as_it_is = self.cx.classes.contains(b'n', &kind.full_name())
                || encoding
                    .as_deref()
                    .is_some_and(|word| !self.cx.classes.contains(b'e', word));
            let is_deep = self.frames.len() + enclosing >= MAX_DEPTH;
            let is_walk = self.cx.parts == Parts::AsTheyAre;
            let as_it_is = match self.cx.parts {
                Parts::FromBinary => encoding.as_deref().is_some_and(|word| !is_plain(word)),
                Parts::Encoded | Parts::AsTheyAre => as_it_is,
            };
            let as_it_is = as_it_is || is_deep;
            if kind.is(b"multipart", b"") && (!as_it_is || is_walk && !is_deep) {
                let boundary = kind.boundary.unwrap_or_else(|| NO_BOUNDARY.to_vec());
                self.end_header(encoding.as_deref())?;
                let digest = kind.subtype.eq_ignore_ascii_case(b"digest");
                self.frames.push(Frame { boundary, digest });
                return self.copy(true);
            }
            let readable = self.cx.classes.contains(b's', &kind.subtype);
            if kind.is(b"message", b"") && readable && !as_it_is {
                self.out.end()?;
                headers = self.part_header()?;
                if !is_walk && !headers.contains(b"mime-version") {
                    self.out.line(b"MIME-Version: 1.0", LineRole::Header)?;
                }
                enclosing += 1;
                continue;
            }
            let is_nested = kind.is(b"message", b"") || kind.is(b"multipart", b"");
            let as_it_is = as_it_is || is_nested || is_walk;
            return self.leaf(&kind, encoding.as_deref(), as_it_is);
        }
    }

    fn leaf(
        &mut self,
        kind: &ContentType,
        encoding: Option<&[u8]>,
        as_it_is: bool,
    ) -> io::Result<PartEnd> {
        if self.cx.parts == Parts::FromBinary && !as_it_is {
            return self.binary_leaf(encoding);
        }
        let (bytes, high) = if as_it_is { (0, 0) } else { self.sample()? };
        if high == 0 {
            self.end_header(encoding)?;
            return self.copy(false);
        }
        let quoted_only = self.cx.classes.contains(b'q', &kind.full_name());
        let (encoder, name): (_, &[u8]) = if bytes / 8 < high && !quoted_only {
            (Encoder::Base64(Base64Encoder::default()), b"base64")
        } else {
            let encoder = QuotedEncoder::new(self.cx.escape_from, self.cx.ebcdic_safe);
            (Encoder::Quoted(encoder), b"quoted-printable")
        };
        self.out.line(
            &[b"Content-Transfer-Encoding: ", name].concat(),
            LineRole::Header,
        )?;
        self.out.header_lines(&self.cx.stamp.field(b"8bit", name))?;
        self.out.end()?;
        self.encode(encoder)
    }

    fn binary_leaf(&mut self, encoding: Option<&[u8]>) -> io::Result<PartEnd> {
        if self.is_text()? {
            self.end_header(encoding)?;
            return self.copy(false);
        }
        let from = encoding.unwrap_or(b"binary");
        let line = b"Content-Transfer-Encoding: base64";
        self.out.line(line, LineRole::Header)?;
        self.out
            .header_lines(&self.cx.stamp.field(from, b"base64"))?;
        self.out.end()?;
        self.encode(Encoder::Base64(Base64Encoder::default()))
    }

    /// Tells whether a part is lines of seven bits that end in CRLF.
    fn is_text(&mut self) -> io::Result<bool> {
        let mut ahead = self.lines.fork();
        while ahead.read(&mut self.piece)? && self.boundary().is_none() {
            let text = self.piece.bytes.strip_suffix(b"\r");
            let is_ended = text.is_some() || self.piece.is_unfinished;
            let text = text.unwrap_or(&self.piece.bytes);
            let is_odd = |byte: &u8| matches!(byte, 0 | b'\r' | 0x80..);
            if !self.piece.ends
                || !is_ended
                || text.len() > MAX_TEXT_LINE
                || text.iter().any(is_odd)
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn encode(&mut self, mut encoder: Encoder) -> io::Result<PartEnd> {
        let mut owed_newline = false;
        let end = loop {
            if !self.lines.read(&mut self.piece)? {
                // Only a line end that stands before a boundary belongs to the boundary.
                if owed_newline {
                    self.encode_newline(&mut encoder)?;
                }
                break PartEnd::EndOfBody;
            }
            if let Some(end) = self.boundary() {
                break end;
            }
            if std::mem::take(&mut owed_newline) {
                self.encode_newline(&mut encoder)?;
            }
            owed_newline = self.piece.ends;
            if self.cx.parts == Parts::FromBinary {
                owed_newline &= !self.piece.is_unfinished;
                // A CR before the line feed belongs to the line end, so maybe to a boundary.
                self.owes_cr =
                    owed_newline && self.piece.bytes.pop_if(|byte| *byte == b'\r').is_some();
            }
            encoder.text(&self.piece.bytes, self.out)?;
        };
        encoder.finish(!self.frames.is_empty(), self.out)?;
        Ok(end)
    }

    /// Encodes the line end before the piece at hand: of binary text as it was.
    fn encode_newline(&mut self, encoder: &mut Encoder) -> io::Result<()> {
        match (self.cx.parts, std::mem::take(&mut self.owes_cr)) {
            (Parts::FromBinary, true) => encoder.text(b"\r\n", self.out),
            (Parts::FromBinary, false) => encoder.text(b"\n", self.out),
            (Parts::Encoded | Parts::AsTheyAre, _) => encoder.newline(self.out),
        }
    }

    /// Counts the bytes of a part, and those above 127 among them.
    fn sample(&mut self) -> io::Result<(u64, u64)> {
        let mut ahead = self.lines.fork();
        let (mut bytes, mut high) = (0, 0);
        while ahead.read(&mut self.piece)? && self.boundary().is_none() {
            bytes += self.piece.bytes.len() as u64 + u64::from(self.piece.ends);
            high += self
                .piece
                .bytes
                .iter()
                .filter(|byte| !byte.is_ascii())
                .count() as u64;
            if bytes >= SAMPLE_BYTES && high > bytes / 4 {
                break;
            }
        }
        Ok((bytes, high))
    }

    /// Copies lines up to a boundary; `strip` clears high bits, as in preambles.
    fn copy(&mut self, strip: bool) -> io::Result<PartEnd> {
        while self.lines.read(&mut self.piece)? {
            if let Some(end) = self.boundary() {
                return Ok(end);
            }
            if strip || self.out.form().seven_bit {
                self.piece.bytes.iter_mut().for_each(|byte| *byte &= 0x7f);
            }
            if self.cx.parts == Parts::FromBinary {
                make_text(&mut self.piece);
            }
            self.out
                .piece(&self.piece.bytes, self.piece.starts, self.piece.ends)?;
        }
        Ok(PartEnd::EndOfBody)
    }

    /// Reads and writes the header of a part, apart from its transfer encoding.
    fn part_header(&mut self) -> io::Result<Headers> {
        let mut collector = HeaderCollector::keeping_from_line();
        loop {
            let here = self.lines.fork();
            if !self.lines.read(&mut self.piece)? {
                break;
            }
            let misfit = self.boundary().is_some()
                || !self.piece.ends
                || collector.bytes() > MAX_PART_HEADER_BYTES;
            if self.cx.parts == Parts::FromBinary && !misfit {
                make_text(&mut self.piece);
            }
            let line_use = if misfit {
                LineUse::Body
            } else {
                collector.push_line(&self.piece.bytes)
            };
            match line_use {
                LineUse::Header => {}
                LineUse::Separator => break,
                LineUse::Body | LineUse::Text => {
                    self.lines = here;
                    break;
                }
            }
        }
        let headers = collector.finish();
        for field in &headers {
            let is_kept = self.cx.parts == Parts::AsTheyAre
                || !field.traits().has(HeaderTraits::TRANSFER_ENCODING);
            if is_kept {
                self.out
                    .header_lines(&[&field.name[..], b":", &field.value].concat())?;
            }
        }
        Ok(headers)
    }

    fn end_header(&mut self, encoding: Option<&[u8]>) -> io::Result<()> {
        let is_told = |word: &&[u8]| match self.cx.parts {
            Parts::Encoded => true,
            Parts::AsTheyAre => false,
            // Seven bits are what is meant by nothing.
            Parts::FromBinary => !is_plain(word),
        };
        if let Some(encoding) = encoding.filter(is_told) {
            let word = &encoding[..encoding.len().min(200)];
            self.out.line(
                &[b"Content-Transfer-Encoding: ", word].concat(),
                LineRole::Header,
            )?;
        }
        self.out.end()
    }

    /// Tells whether the line just read is the boundary of an open multipart.
    fn boundary(&self) -> Option<PartEnd> {
        if !self.piece.starts || !self.piece.ends || !self.piece.bytes.starts_with(b"--") {
            return None;
        }
        let line = self.piece.bytes[2..].trim_ascii_end();
        let found = |wanted: &[u8]| self.frames.iter().rposition(|f| f.boundary == wanted);
        if let Some(frame) = found(line) {
            return Some(PartEnd::Boundary { frame, last: false });
        }
        let frame = found(line.strip_suffix(b"--")?)?;
        Some(PartEnd::Boundary { frame, last: true })
    }
}

/// Tells whether a transfer encoding is none.
fn is_plain(word: &[u8]) -> bool {
    let names: [&[u8]; 3] = [b"7bit", b"8bit", b"binary"];
    names.iter().any(|name| word.eq_ignore_ascii_case(name))
}

/// Takes the CR of the line end away, and makes a blank of one that stands alone: a server that
/// takes it for a line end must not see another message than we do.
fn make_text(piece: &mut Piece) {
    if piece.ends {
        piece.bytes.pop_if(|byte| *byte == b'\r');
    }
    for byte in &mut piece.bytes {
        if *byte == b'\r' {
            *byte = b' ';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::BuiltInClasses;
    use super::*;
    use crate::message::line_writer::LineForm;

    fn converted(message: &[u8]) -> Vec<u8> {
        walked(message, Parts::Encoded)
    }

    fn walked(message: &[u8], parts: Parts) -> Vec<u8> {
        let (headers, at) = Headers::parse(message);
        let body = Body::Memory(message[at..].to_vec());
        let stamp = ConversionStamp {
            host: b"h".to_vec(),
            queue_id: b"Q".to_vec(),
        };
        let cx = SevenBitContext {
            classes: &BuiltInClasses,
            stamp: &stamp,
            escape_from: false,
            ebcdic_safe: false,
            parts,
        };
        let mut out = Vec::new();
        let form = LineForm {
            seven_bit: parts == Parts::Encoded,
            ..LineForm::default()
        };
        let mut writer = LineWriter::new(&mut out, form);
        write_seven_bit(&headers, &body, &cx, &mut writer).unwrap();
        out
    }

    #[test]
    fn parts_are_converted_one_by_one() {
        let message = b"Content-Type: multipart/mixed; boundary=\"xx\"\n\npre \xe9\n--xx\nContent-Type: text/plain\nContent-Transfer-Encoding: 8bit\n\nabc \xe9 def abc def\n--xx\nContent-Type: message/rfc822\n\nSubject: inner\n\ninner \xe9\xe9\xe9\xe9\n--xx\n\nplain\n--xx\nContent-Type: multipart/signed; boundary=\"yy\"\n\n--yy\n\n\xe9\n--yy--\n--xx--\nend \xe9\n";
        let expected = "\npre i\n--xx\nContent-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\nX-MIME-Autoconverted: from 8bit to quoted-printable by h id Q\n\nabc =E9 def abc def\n--xx\nContent-Type: message/rfc822\n\nSubject: inner\nMIME-Version: 1.0\nContent-Transfer-Encoding: base64\nX-MIME-Autoconverted: from 8bit to base64 by h id Q\n\naW5uZXIg6enp6Q==\n--xx\n\nplain\n--xx\nContent-Type: multipart/signed; boundary=\"yy\"\n\n--yy\n\ni\n--yy--\n--xx--\nend i\n";
        assert_eq!(String::from_utf8(converted(message)).unwrap(), expected);
    }

    #[test]
    fn a_missing_last_boundary_is_added() {
        let message = b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n";
        assert_eq!(converted(message), b"\n--b\n\nx\n--b--\n");
    }

    #[test]
    fn a_walk_leaves_parts_alone_but_not_what_is_around_them() {
        let message = b"Content-Type: multipart/mixed; boundary=b\n\npre \xe9\n--b\nContent-Transfer-Encoding: 8bit\nX: y\n\nin \xe9\n--b--\nend \xe9\n";
        let expected =
            b"\npre i\n--b\nContent-Transfer-Encoding: 8bit\nX: y\n\nin \xe9\n--b--\nend i\n";
        assert_eq!(walked(message, Parts::AsTheyAre), expected);
    }

    #[test]
    fn a_multipart_without_boundary_gets_one() {
        let message = b"Content-Type: multipart/mixed\n\nq\xe9\n";
        for parts in [Parts::Encoded, Parts::AsTheyAre] {
            assert_eq!(walked(message, parts), b"\nqi\n-------\n");
        }
    }

    #[test]
    fn deep_nesting_is_copied() {
        let mut message = Vec::new();
        for depth in 0..60 {
            let part = format!("Content-Type: multipart/mixed; boundary=b{depth}\n\n--b{depth}\n");
            message.extend_from_slice(part.as_bytes());
        }
        message.extend_from_slice(b"\n\xe9\n");
        assert!(converted(&message).is_ascii());
    }

    #[test]
    fn binary_parts_become_base64_and_texts_lines() {
        let message = b"Content-Type: multipart/mixed; boundary=x\n\n\
            --x\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
            a\r\n.b\r\n\r\n--x\r\nContent-Transfer-Encoding: binary\r\n\r\n\
            \r\n.\r\n\n\r\0\xff\r\n--x--\r\nend\r.\r\n";
        let out = String::from_utf8(walked(message, Parts::FromBinary)).unwrap();
        let expected = "\n--x\nContent-Type: text/plain\n\na\n.b\n\n--x\n\
            Content-Transfer-Encoding: base64\n\
            X-MIME-Autoconverted: from binary to base64 by h id Q\n\n\
            DQouDQoKDQD/\n--x--\nend .\n";
        assert!(out.ends_with(expected), "{out}");
    }

    #[test]
    fn a_binary_body_is_encoded_to_its_last_octet() {
        for (body, expected) in [
            ("\n", "Cg=="),
            ("\r\n\n", "DQoK"),
            ("a\rb", "YQ1i"),
            ("\0\r", "AA0="),
        ] {
            let message = format!("Content-Type: a/b\n\n{body}");
            let out = String::from_utf8(walked(message.as_bytes(), Parts::FromBinary)).unwrap();
            assert!(
                out.ends_with(&format!("\n\n{expected}\n")),
                "{body:?}: {out}"
            );
        }
    }
}
