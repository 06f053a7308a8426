//! Lines as a mailer wants them: line ends, length limit, dots and `From ` lines.
//!
//! Everything a message sends to a mailer passes through here line by line, so that a
//! long body needs no large buffer. A line longer than the limit is broken with an
//! exclamation mark, and the rest starts with a space.
//!
//! Source: guide section 5.4 (fields E=, L=, flags 7 E X), RFC 1123 section 5.2.8;
//! observed: 8.17.1.9 for the way long lines are broken.

use std::io::{self, Write};

/// How one mailer wants its lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineForm {
    /// Bytes at the end of each line (E=).
    pub end_of_line: Vec<u8>,
    /// Longest line in bytes without its end (L=).
    pub limit: Option<usize>,
    /// Whether the high bit of each byte is cleared.
    pub seven_bit: bool,
    /// Whether a leading dot is doubled (F=X).
    pub double_dots: bool,
    /// Whether `From ` at the start of a body line gets a `>` in front (F=E).
    pub escape_from: bool,
}

impl Default for LineForm {
    fn default() -> Self {
        LineForm {
            end_of_line: b"\n".to_vec(),
            limit: None,
            seven_bit: false,
            double_dots: false,
            escape_from: false,
        }
    }
}

/// Where a line stands in its message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineRole {
    /// Header: never gets a `>`.
    Header,
    /// Body.
    Body,
}

/// Writes lines in the form a mailer wants, and counts the bytes.
pub struct LineWriter<'a> {
    out: &'a mut dyn Write,
    form: LineForm,
    written: u64,
    /// Bytes of the current line so far.
    column: usize,
}

impl<'a> LineWriter<'a> {
    /// Starts to write to `out`.
    pub fn new(out: &'a mut dyn Write, form: LineForm) -> Self {
        LineWriter {
            out,
            form,
            written: 0,
            column: 0,
        }
    }

    /// Returns the form of the lines.
    pub fn form(&self) -> &LineForm {
        &self.form
    }

    /// Returns the number of bytes written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Writes one line, which must not hold a line feed.
    ///
    /// # Errors
    /// Those of the writer below.
    pub fn line(&mut self, line: &[u8], role: LineRole) -> io::Result<()> {
        self.prefix(line, role)?;
        self.column = 0;
        self.limited(line, true)?;
        self.end()
    }

    /// Writes a piece of a body line; `starts` and `ends` say which ends of the line it has.
    ///
    /// # Errors
    /// Those of the writer below.
    pub fn piece(&mut self, bytes: &[u8], starts: bool, ends: bool) -> io::Result<()> {
        if starts {
            self.prefix(bytes, LineRole::Body)?;
            self.column = 0;
        }
        self.limited(bytes, ends)?;
        if ends { self.end() } else { Ok(()) }
    }

    /// Writes line text, breaking it where it passes the limit.
    fn limited(&mut self, line: &[u8], last: bool) -> io::Result<()> {
        let mut rest = line;
        if let Some(limit) = self.form.limit.map(|limit| limit.max(2)) {
            while self.column + rest.len() + usize::from(!last) > limit {
                let room = (limit - 1).saturating_sub(self.column);
                let (part, after) = rest.split_at(room.min(rest.len()));
                self.bytes(part)?;
                if after.is_empty() {
                    self.column += part.len();
                    return Ok(());
                }
                self.bytes(b"!")?;
                self.end()?;
                self.bytes(b" ")?;
                self.column = 1;
                rest = after;
            }
        }
        self.column += rest.len();
        self.bytes(rest)
    }

    /// Writes a header field of one or more lines; a line that does not begin with white
    /// space gets a space, so that it stays a continuation.
    ///
    /// # Errors
    /// Those of the writer below.
    pub fn header_lines(&mut self, text: &[u8]) -> io::Result<()> {
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
            if number > 0 && line.is_empty() {
                // An empty continuation line would end the header.
                continue;
            }
            if number > 0 && !matches!(line.first(), Some(b' ' | b'\t')) {
                self.line(&[b" ", line].concat(), LineRole::Header)?;
            } else {
                self.line(line, LineRole::Header)?;
            }
        }
        Ok(())
    }

    /// Writes bytes as they are, apart from the high bit.
    ///
    /// # Errors
    /// Those of the writer below.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.form.seven_bit && !bytes.is_ascii() {
            let stripped: Vec<u8> = bytes.iter().map(|byte| byte & 0x7f).collect();
            self.out.write_all(&stripped)?;
        } else {
            self.out.write_all(bytes)?;
        }
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Writes a line end.
    ///
    /// # Errors
    /// Those of the writer below.
    pub fn end(&mut self) -> io::Result<()> {
        self.out.write_all(&self.form.end_of_line)?;
        self.written += self.form.end_of_line.len() as u64;
        Ok(())
    }

    fn prefix(&mut self, line: &[u8], role: LineRole) -> io::Result<()> {
        if line.first() == Some(&b'.') && self.form.double_dots {
            self.bytes(b".")
        } else if role == LineRole::Body && self.form.escape_from && line.starts_with(b"From ") {
            self.bytes(b">")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(form: LineForm, line: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        LineWriter::new(&mut out, form)
            .line(line, LineRole::Body)
            .unwrap();
        out
    }

    #[test]
    fn long_lines_are_broken_with_an_exclamation_mark() {
        let form = LineForm {
            limit: Some(10),
            ..LineForm::default()
        };
        assert_eq!(
            written(form.clone(), b"123456789012"),
            b"123456789!\n 012\n"
        );
        assert_eq!(written(form.clone(), b"1234567890"), b"1234567890\n");
        assert_eq!(
            written(form, b"1234567890123456789"),
            b"123456789!\n 01234567!\n 89\n"
        );
    }

    #[test]
    fn dots_and_from_lines() {
        let form = LineForm {
            double_dots: true,
            escape_from: true,
            ..LineForm::default()
        };
        assert_eq!(written(form.clone(), b".x"), b"..x\n");
        assert_eq!(written(form.clone(), b"From x"), b">From x\n");
        assert_eq!(written(form, b"from x"), b"from x\n");
    }

    #[test]
    fn a_bare_second_header_line_becomes_a_continuation() {
        let mut out = Vec::new();
        LineWriter::new(&mut out, LineForm::default())
            .header_lines(b"A: b\nc\n\td")
            .unwrap();
        assert_eq!(out, b"A: b\n c\n\td\n");
    }
}
