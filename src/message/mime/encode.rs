//! Quoted-printable and base64 out of lines.
//!
//! Source: RFC 2045 sections 6.7 and 6.8; observed: 8.17.1.9 for the line widths.

use std::io;

use crate::message::line_writer::{LineRole, LineWriter};

/// Base64 characters on one line.
const BASE64_WIDTH: usize = 72;

/// Columns after which a quoted-printable line is broken.
const QUOTED_WIDTH: usize = 72;

const BASE64_DIGITS: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

const HEX_DIGITS: &[u8; 16] = b"0123456789ABCDEF";

/// An encoding of 8-bit text in 7 bits.
pub enum Encoder {
    /// base64.
    Base64(Base64Encoder),
    /// quoted-printable.
    Quoted(QuotedEncoder),
}

impl Encoder {
    /// Takes bytes without line ends.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn text(&mut self, bytes: &[u8], out: &mut LineWriter<'_>) -> io::Result<()> {
        match self {
            Encoder::Base64(encoder) => bytes.iter().try_for_each(|byte| encoder.push(*byte, out)),
            Encoder::Quoted(encoder) => bytes.iter().try_for_each(|byte| encoder.push(*byte, out)),
        }
    }

    /// Takes a line end.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn newline(&mut self, out: &mut LineWriter<'_>) -> io::Result<()> {
        match self {
            Encoder::Base64(encoder) => {
                encoder.push(b'\r', out)?;
                encoder.push(b'\n', out)
            }
            Encoder::Quoted(encoder) => encoder.newline(out),
        }
    }

    /// Writes what is left; `inside_multipart` says that a boundary follows.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(self, inside_multipart: bool, out: &mut LineWriter<'_>) -> io::Result<()> {
        match self {
            Encoder::Base64(encoder) => encoder.finish(out),
            Encoder::Quoted(encoder) => encoder.finish(inside_multipart, out),
        }
    }
}

/// Collects bytes in threes.
#[derive(Default)]
pub struct Base64Encoder {
    group: Vec<u8>,
    line: Vec<u8>,
}

impl Base64Encoder {
    fn push(&mut self, byte: u8, out: &mut LineWriter<'_>) -> io::Result<()> {
        self.group.push(byte);
        if self.group.len() == 3 {
            self.flush_group(out)?;
        }
        Ok(())
    }

    fn flush_group(&mut self, out: &mut LineWriter<'_>) -> io::Result<()> {
        if self.line.len() >= BASE64_WIDTH {
            out.line(&self.line, LineRole::Body)?;
            self.line.clear();
        }
        let byte = |at: usize| u32::from(self.group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            if digit > self.group.len() {
                self.line.push(b'=');
            } else {
                let index = bits >> (18 - 6 * digit) & 0x3f;
                self.line.push(BASE64_DIGITS[index as usize]);
            }
        }
        self.group.clear();
        Ok(())
    }

    fn finish(mut self, out: &mut LineWriter<'_>) -> io::Result<()> {
        if !self.group.is_empty() {
            self.flush_group(out)?;
        }
        out.line(&self.line, LineRole::Body)
    }
}

/// Writes quoted-printable lines.
pub struct QuotedEncoder {
    line: Vec<u8>,
    /// White space that must be encoded if the line ends behind it.
    space: Option<u8>,
    /// Encode the space of `From ` at the start of a line (F=E).
    escape_from: bool,
    /// Encode the characters that EBCDIC hosts garble (F=3).
    ebcdic_safe: bool,
}

impl QuotedEncoder {
    /// Makes an encoder.
    pub fn new(escape_from: bool, ebcdic_safe: bool) -> Self {
        QuotedEncoder {
            line: Vec::new(),
            space: None,
            escape_from,
            ebcdic_safe,
        }
    }

    fn push(&mut self, byte: u8, out: &mut LineWriter<'_>) -> io::Result<()> {
        if let Some(space) = self.space.take() {
            if space == b' ' && self.escape_from && self.line == b"From" {
                self.line.extend_from_slice(b"=20");
            } else {
                self.line.push(space);
            }
        }
        self.break_line_before(byte, out)?;
        if matches!(byte, b' ' | b'\t') {
            self.space = Some(byte);
        } else if self.must_encode(byte) {
            self.push_hex(byte);
        } else {
            self.line.push(byte);
        }
        Ok(())
    }

    /// Breaks a full line softly, but never so that a dot comes first on the next line.
    fn break_line_before(&mut self, next: u8, out: &mut LineWriter<'_>) -> io::Result<()> {
        let length = self.line.len();
        if length <= QUOTED_WIDTH || (length <= QUOTED_WIDTH + 3 && next == b'.') {
            return Ok(());
        }
        self.line.push(b'=');
        out.line(&self.line, LineRole::Body)?;
        self.line.clear();
        Ok(())
    }

    fn must_encode(&self, byte: u8) -> bool {
        !(0x20..0x7f).contains(&byte)
            || byte == b'='
            || (self.ebcdic_safe && b"!\"#$@[\\]^`{|}~".contains(&byte))
    }

    fn push_hex(&mut self, byte: u8) {
        let digits = [
            HEX_DIGITS[usize::from(byte >> 4)],
            HEX_DIGITS[usize::from(byte & 15)],
        ];
        self.line.push(b'=');
        self.line.extend_from_slice(&digits);
    }

    fn newline(&mut self, out: &mut LineWriter<'_>) -> io::Result<()> {
        if let Some(space) = self.space.take() {
            self.push_hex(space);
        }
        out.line(&self.line, LineRole::Body)?;
        self.line.clear();
        Ok(())
    }

    fn finish(mut self, inside_multipart: bool, out: &mut LineWriter<'_>) -> io::Result<()> {
        self.line.extend(self.space.take());
        if !self.line.is_empty() || inside_multipart {
            out.line(&self.line, LineRole::Body)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::line_writer::LineForm;

    fn encoded(mut encoder: Encoder, text: &[u8]) -> String {
        let mut out = Vec::new();
        let mut writer = LineWriter::new(&mut out, LineForm::default());
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            encoder
                .text(line.strip_suffix(b"\n").unwrap_or(line), &mut writer)
                .unwrap();
            if line.ends_with(b"\n") {
                encoder.newline(&mut writer).unwrap();
            }
        }
        encoder.finish(false, &mut writer).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn quoted_printable() {
        let quoted = |text: &[u8]| encoded(Encoder::Quoted(QuotedEncoder::new(true, false)), text);
        assert_eq!(quoted(b"caf\xe9 = e\n"), "caf=E9 =3D e\n");
        assert_eq!(quoted(b"trailing \nFrom me\n"), "trailing=20\nFrom=20me\n");
        let text = b"abc \xe9 def abc def abc def abc def abc def abc def abc def abc def abc def\xe9 abc def abc\n";
        let lines = "abc =E9 def abc def abc def abc def abc def abc def abc def abc def abc d=\nef=E9 abc def abc\n";
        assert_eq!(quoted(text), lines);
    }

    #[test]
    fn base64() {
        let encoder = Encoder::Base64(Base64Encoder::default());
        assert_eq!(encoded(encoder, b"caf\xe9\n"), "Y2Fm6Q0K\n");
        let encoder = Encoder::Base64(Base64Encoder::default());
        assert_eq!(
            encoded(encoder, &[b'x'; 56]).lines().next().unwrap().len(),
            72
        );
    }
}
