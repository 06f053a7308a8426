//! 7 to 8 bit for the text of local mail (mailer flag 9).
//!
//! Only a message that is one quoted-printable or base64 text is converted; parts of a
//! multipart stay as they are.
//!
//! Source: guide section 5.4 flag 9. Observed: 8.17.1.9 adds an empty line at the end.

use std::io;

use super::ConversionStamp;
use super::lines::{BodyLines, Piece};
use crate::message::line_writer::{LineRole, LineWriter};
use crate::message::{Body, Headers};

/// An encoding that can be undone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoded {
    /// quoted-printable.
    QuotedPrintable,
    /// base64.
    Base64,
}

impl Encoded {
    fn name(self) -> &'static [u8] {
        match self {
            Encoded::QuotedPrintable => b"quoted-printable",
            Encoded::Base64 => b"base64",
        }
    }
}

/// Tells whether a message is an encoded plain text, and how it is encoded.
pub fn encoded_text(headers: &Headers) -> Option<Encoded> {
    let encoding = headers.get(b"content-transfer-encoding")?.text();
    let encoded = if encoding.eq_ignore_ascii_case(b"quoted-printable") {
        Encoded::QuotedPrintable
    } else if encoding.eq_ignore_ascii_case(b"base64") {
        Encoded::Base64
    } else {
        return None;
    };
    let kind = headers.get(b"content-type")?.text();
    let (plain, rest) = kind.split_at_checked(10)?;
    let alone = matches!(rest.first(), None | Some(b' ' | b';'));
    (plain.eq_ignore_ascii_case(b"text/plain") && alone).then_some(encoded)
}

/// Writes the rest of the header, the empty line and the decoded body.
///
/// # Errors
/// Those of reading the body and of the writer.
pub fn write_eight_bit(
    encoded: Encoded,
    headers: &Headers,
    body: &Body,
    stamp: &ConversionStamp,
    out: &mut LineWriter<'_>,
) -> io::Result<()> {
    let named = headers.get(b"content-transfer-encoding");
    let name = named.map_or(encoded.name(), |field| field.text());
    out.line(b"Content-Transfer-Encoding: 8bit", LineRole::Header)?;
    out.header_lines(&stamp.field(name, b"8bit"))?;
    out.end()?;
    let mut decoded = DecodedLines {
        out,
        line_open: false,
        holds_return: false,
    };
    let mut lines = BodyLines::new(body);
    let mut piece = Piece::default();
    let mut group = Base64Group::default();
    while lines.read(&mut piece)? {
        match encoded {
            Encoded::Base64 => {
                let mut bytes = Vec::with_capacity(piece.bytes.len());
                piece
                    .bytes
                    .iter()
                    .for_each(|digit| group.push(*digit, &mut bytes));
                decoded.write(&bytes)?;
            }
            Encoded::QuotedPrintable => {
                let mut bytes = unquoted(&piece.bytes);
                let soft = piece.ends && bytes.last() == Some(&b'=') && is_soft_break(&piece.bytes);
                if soft {
                    bytes.pop();
                } else if piece.ends {
                    bytes.push(b'\n');
                }
                decoded.write(&bytes)?;
            }
        }
    }
    decoded.finish()
}

/// Passes decoded bytes on as lines.
struct DecodedLines<'a, 'b> {
    out: &'a mut LineWriter<'b>,
    line_open: bool,
    /// A carriage return was decoded last; it may belong to a line end that is cut in two.
    holds_return: bool,
}

impl DecodedLines<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if std::mem::take(&mut self.holds_return) && bytes[0] != b'\n' {
            self.out.piece(b"\r", !self.line_open, false)?;
            self.line_open = true;
        }
        let bytes = match bytes.strip_suffix(b"\r") {
            Some(before) => {
                self.holds_return = true;
                before
            }
            None => bytes,
        };
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let starts = !self.line_open;
            match part.strip_suffix(b"\n") {
                Some(line) => {
                    let line = line.strip_suffix(b"\r").unwrap_or(line);
                    self.out.piece(line, starts, true)?;
                    self.line_open = false;
                }
                None => {
                    self.out.piece(part, starts, false)?;
                    self.line_open = true;
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> io::Result<()> {
        if self.holds_return {
            self.out.piece(b"\r", !self.line_open, true)?;
        } else if self.line_open {
            self.out.piece(b"", false, true)?;
        }
        self.out.end()
    }
}

fn is_soft_break(line: &[u8]) -> bool {
    line.trim_ascii_end().ends_with(b"=")
}

/// Undoes `=XX`; a soft line break leaves its equals sign at the end.
fn unquoted(line: &[u8]) -> Vec<u8> {
    let line = if is_soft_break(line) {
        line.trim_ascii_end()
    } else {
        line
    };
    let mut bytes = Vec::with_capacity(line.len());
    let mut at = 0;
    while let Some(byte) = line.get(at).copied() {
        let pair = (
            line.get(at + 1).and_then(hex_digit),
            line.get(at + 2).and_then(hex_digit),
        );
        match (byte, pair) {
            (b'=', (Some(high), Some(low))) => {
                bytes.push(high << 4 | low);
                at += 3;
            }
            _ => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
    bytes
}

fn hex_digit(digit: &u8) -> Option<u8> {
    char::from(*digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// Collects base64 digits in fours.
#[derive(Default)]
struct Base64Group {
    digits: Vec<u8>,
}

impl Base64Group {
    /// Takes a digit; white space is passed over, and nothing else.
    fn push(&mut self, digit: u8, out: &mut Vec<u8>) {
        if digit.is_ascii_whitespace() || digit == 0x0b {
            return;
        }
        self.digits.push(digit);
        let [first, second, third, fourth] = self.digits[..] else {
            return;
        };
        self.digits.clear();
        if first == b'=' || second == b'=' {
            return;
        }
        let (one, two) = (value_of(first), value_of(second));
        out.push(one << 2 | (two & 0x30) >> 4);
        if third == b'=' {
            return;
        }
        let three = value_of(third);
        out.push((two & 0x0f) << 4 | (three & 0x3c) >> 2);
        if fourth != b'=' {
            out.push((three & 0x03) << 6 | value_of(fourth));
        }
    }
}

/// Gives the value of a digit; what is none has all bits set. Observed: 8.17.1.9.
fn value_of(digit: u8) -> u8 {
    match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => 0xff,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::line_writer::LineForm;

    fn decoded(encoded: Encoded, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = LineWriter::new(&mut out, LineForm::default());
        let body = Body::Memory(body.to_vec());
        let (headers, stamp) = (Headers::new(), ConversionStamp::default());
        write_eight_bit(encoded, &headers, &body, &stamp, &mut writer).unwrap();
        let at = out.windows(2).position(|pair| pair == b"\n\n").unwrap();
        out[at + 2..].to_vec()
    }

    #[test]
    fn texts_are_decoded() {
        let text = decoded(
            Encoded::QuotedPrintable,
            b"caf=E9 =3D e soft=\nwrap\n w  \n",
        );
        assert_eq!(text, b"caf\xe9 = e softwrap\n w  \n\n");
        let text = decoded(Encoded::Base64, b"Y2Fm6Q0KY2Fm6Q0K\nY2Fm6Q==\n");
        assert_eq!(text, b"caf\xe9\ncaf\xe9\ncaf\xe9\n\n");
        let text = decoded(Encoded::Base64, b"YWJjZGVmDQ==\nCmFi\n");
        assert_eq!(text, b"abcdef\nab\n\n");
        let text = decoded(Encoded::Base64, b"YWJj\n!!YWJj");
        assert_eq!(text, b"abc\xff\xf6\x16\n\n");
    }

    #[test]
    fn only_plain_text_is_converted() {
        for (kind, expected) in [
            ("text/plain; charset=x", Some(Encoded::Base64)),
            ("text/plain", Some(Encoded::Base64)),
            ("text/plainer", None),
            ("text/html", None),
        ] {
            let text = format!("Content-Transfer-Encoding: base64\nContent-Type: {kind}\n\n");
            assert_eq!(
                encoded_text(&Headers::parse(text.as_bytes()).0),
                expected,
                "{kind}"
            );
        }
    }
}
