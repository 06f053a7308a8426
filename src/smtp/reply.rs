//! Replies: the three digits, the enhanced status code and the text lines.
//!
//! The server writes them with [`Reply::write`]; the client feeds received
//! lines to a [`ReplyReader`]. A reply is data: whether 550 is good or bad is
//! decided by whoever asked.

use std::fmt;

use super::EnhancedStatus;

/// A reply code between 200 and 599.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplyCode(u16);

impl ReplyCode {
    /// Makes a code; `None` outside 200 to 599.
    pub const fn new(number: u16) -> Option<Self> {
        if number >= 200 && number <= 599 {
            Some(Self(number))
        } else {
            None
        }
    }

    /// Parses exactly three digits.
    pub fn parse(digits: &[u8]) -> Option<Self> {
        let [hundreds, tens, ones] = *digits else {
            return None;
        };
        if !(hundreds.is_ascii_digit() && tens.is_ascii_digit() && ones.is_ascii_digit()) {
            return None;
        }
        let value = |digit: u8| u16::from(digit - b'0');
        Self::new(value(hundreds) * 100 + value(tens) * 10 + value(ones))
    }

    /// Returns the number.
    pub fn number(self) -> u16 {
        self.0
    }

    /// Returns the first digit.
    pub fn class(self) -> u8 {
        u8::try_from(self.0 / 100).unwrap_or(5)
    }

    /// Tells whether the code is 2xx.
    pub fn is_positive(self) -> bool {
        self.class() == 2
    }

    /// Tells whether the code is 4xx.
    pub fn is_temporary(self) -> bool {
        self.class() == 4
    }

    /// Tells whether the code is 5xx.
    pub fn is_permanent(self) -> bool {
        self.class() == 5
    }
}

impl fmt::Display for ReplyCode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:03}", self.0)
    }
}

/// One reply of one or several lines.
///
/// `lines` hold the text without the codes; there is always at least one for
/// replies made here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The reply code.
    pub code: ReplyCode,
    /// The enhanced status code, if there is one.
    pub enhanced: Option<EnhancedStatus>,
    /// The text of each line, without codes and line ends.
    pub lines: Vec<Vec<u8>>,
}

/// Why received octets are not a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A line does not begin with three digits.
    #[error("reply does not begin with three digits")]
    NoCode,
    /// The lines of one reply carry different codes.
    #[error("lines of one reply have different codes")]
    MixedCodes,
    /// More lines or octets than a reply may have.
    #[error("reply too long")]
    TooLong,
    /// There is no line that ends the reply.
    #[error("reply has no last line")]
    Unfinished,
}

impl Reply {
    /// Makes a one-line reply from text that may begin with an enhanced status code.
    pub fn new(
        code: ReplyCode,
        enhanced: Option<EnhancedStatus>,
        text: impl Into<Vec<u8>>,
    ) -> Self {
        Self {
            code,
            enhanced,
            lines: vec![text.into()],
        }
    }

    /// Makes a reply from a literal such as `"250 2.0.0 OK"`; foreign text goes through [`Reply::parse`].
    ///
    /// # Panics
    /// When the literal has no reply code, which is a bug of the caller.
    pub fn of(literal: &str) -> Self {
        Self::from_text(literal.as_bytes()).expect("a reply literal begins with a reply code")
    }

    /// Splits one line such as `550 5.1.1 User unknown` into its parts.
    ///
    /// # Errors
    /// [`ReplyError::NoCode`] when it does not begin with a reply code.
    pub fn from_text(text: &[u8]) -> Result<Self, ReplyError> {
        let (code, rest) = split_code(text).ok_or(ReplyError::NoCode)?;
        let (enhanced, text) = split_enhanced(code, rest);
        Ok(Self {
            code,
            enhanced,
            lines: vec![text.to_vec()],
        })
    }

    /// Parses a whole reply, lines ended by CRLF or LF.
    ///
    /// # Errors
    /// When a line has no code, codes differ or the last line is missing.
    pub fn parse(octets: &[u8]) -> Result<Self, ReplyError> {
        let mut reader = ReplyReader::new();
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            if let Some(reply) = reader.line(line)? {
                return Ok(reply);
            }
        }
        Err(ReplyError::Unfinished)
    }

    /// Returns the first text line, without codes.
    pub fn text(&self) -> &[u8] {
        self.lines.first().map_or(b"", Vec::as_slice)
    }

    /// Returns the last line with its codes, such as `550 5.1.1 User unknown`.
    ///
    /// This is the form kept in queue files and shown by listings.
    pub fn last_line(&self) -> Vec<u8> {
        let text = self.lines.last().map_or(&b""[..], Vec::as_slice);
        self.line(b' ', text)
    }

    /// Returns the first line with its codes.
    pub fn first_line(&self) -> Vec<u8> {
        self.line(b' ', self.text())
    }

    /// Writes the reply with CRLF line ends, `-` after the code on all but the last line.
    pub fn write(&self, out: &mut Vec<u8>) {
        let last = self.lines.len().saturating_sub(1);
        for (index, text) in self.lines.iter().enumerate() {
            out.extend_from_slice(&self.line(if index < last { b'-' } else { b' ' }, text));
            out.extend_from_slice(b"\r\n");
        }
        if self.lines.is_empty() {
            out.extend_from_slice(&self.line(b' ', b""));
            out.extend_from_slice(b"\r\n");
        }
    }

    fn line(&self, separator: u8, text: &[u8]) -> Vec<u8> {
        let mut line = self.code.to_string().into_bytes();
        line.push(separator);
        if let Some(enhanced) = self.enhanced {
            line.extend_from_slice(enhanced.to_string().as_bytes());
            line.push(b' ');
        }
        line.extend_from_slice(text);
        line
    }
}

/// Puts a reply together from lines as they arrive.
#[derive(Debug, Default)]
pub struct ReplyReader {
    reply: Option<Reply>,
    octets: usize,
}

/// Most octets of text kept of one reply; a server that sends more is cut off.
const MAX_REPLY_OCTETS: usize = 65_536;

impl ReplyReader {
    /// Makes a reader that waits for a first line.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one line (its line end may be included) and returns the reply when it was the last.
    ///
    /// # Errors
    /// When the line has no code, another code than the lines before, or the reply is too long.
    pub fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        let line = strip_line_end(line);
        let (code, rest) = split_code(line).ok_or(ReplyError::NoCode)?;
        let more = line.get(3) == Some(&b'-');
        let (enhanced, text) = split_enhanced(code, rest);
        self.octets = self.octets.saturating_add(line.len());
        if self.octets > MAX_REPLY_OCTETS {
            return Err(ReplyError::TooLong);
        }
        match &mut self.reply {
            None => {
                self.reply = Some(Reply {
                    code,
                    enhanced,
                    lines: vec![text.to_vec()],
                })
            }
            Some(reply) if reply.code != code => return Err(ReplyError::MixedCodes),
            Some(reply) => {
                // Lines of one reply may repeat the enhanced code or not; text that
                // belongs to another code is kept whole.
                let text = if enhanced == reply.enhanced {
                    text
                } else {
                    rest
                };
                reply.lines.push(text.to_vec());
            }
        }
        if more {
            Ok(None)
        } else {
            Ok(self.reply.take())
        }
    }

    /// Tells whether a reply has begun and is not complete.
    pub fn is_inside_reply(&self) -> bool {
        self.reply.is_some()
    }
}

fn strip_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Splits `550-text` or `550 text` or `550` after the code and its separator.
fn split_code(line: &[u8]) -> Option<(ReplyCode, &[u8])> {
    let code = ReplyCode::parse(line.get(..3)?)?;
    match line.get(3) {
        None => Some((code, b"")),
        Some(b' ' | b'-') => Some((code, line.get(4..).unwrap_or(b""))),
        Some(_) => None,
    }
}

/// Splits an enhanced status code off a reply text; its class must agree with the reply code.
fn split_enhanced(code: ReplyCode, text: &[u8]) -> (Option<EnhancedStatus>, &[u8]) {
    match EnhancedStatus::parse_prefix(text) {
        Some((status, length)) if status.class() == code.class() => {
            let rest = text.get(length..).unwrap_or(b"");
            (Some(status), rest.strip_prefix(b" ").unwrap_or(rest))
        }
        _ => (None, text),
    }
}

/// Takes reply code and enhanced status off a text.
pub fn without_codes(text: &[u8]) -> &[u8] {
    let rest = match text.split_at_checked(4) {
        Some((code, rest)) if code[..3].iter().all(u8::is_ascii_digit) && code[3] == b' ' => rest,
        _ => return text,
    };
    match EnhancedStatus::parse_prefix(rest) {
        Some((_, length)) => rest[length..].trim_ascii_start(),
        None => rest,
    }
}

/// Tells whether the text of a reply code may have the address it is about in front.
///
/// Observed: 8.17.1.9.
pub fn shows_address(code: u16) -> bool {
    match code / 100 {
        2 => code != 251,
        _ => matches!(code, 450 | 550 | 553),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_of_one_line_survives_both_ways() {
        let reply = Reply::parse(b"550 5.1.1 User unknown\r\n").expect("a reply");
        assert_eq!(reply.code.number(), 550);
        assert_eq!(reply.text(), b"User unknown");
        let mut out = Vec::new();
        reply.write(&mut out);
        assert_eq!(out, b"550 5.1.1 User unknown\r\n");
        assert_eq!(reply.last_line(), b"550 5.1.1 User unknown");
    }

    #[test]
    fn a_reply_of_several_lines_survives_both_ways() {
        let text = b"250-mx.test Hello\r\n250-SIZE 1000\r\n250 HELP\r\n";
        let reply = Reply::parse(text).expect("a reply");
        assert_eq!(reply.lines.len(), 3);
        let mut out = Vec::new();
        reply.write(&mut out);
        assert_eq!(out, text);
    }

    #[test]
    fn an_enhanced_code_of_another_class_is_text() {
        let reply = Reply::parse(b"550 2.1.1 odd\r\n").expect("a reply");
        assert_eq!(reply.enhanced, None);
        assert_eq!(reply.text(), b"2.1.1 odd");
    }

    #[test]
    fn a_bare_code_is_a_reply() {
        let reply = Reply::parse(b"250\n").expect("a reply");
        assert_eq!((reply.code.number(), reply.text()), (250, &b""[..]));
    }

    #[test]
    fn faults_are_told_apart() {
        assert_eq!(Reply::parse(b"hello\r\n"), Err(ReplyError::NoCode));
        assert_eq!(
            Reply::parse(b"250-a\r\n251 b\r\n"),
            Err(ReplyError::MixedCodes)
        );
        assert_eq!(Reply::parse(b"250-a\r\n"), Err(ReplyError::Unfinished));
        assert_eq!(Reply::parse(b"999 x\r\n"), Err(ReplyError::NoCode));
        let mut endless = ReplyReader::new();
        let line = [b"250-".to_vec(), vec![b'x'; 60_000]].concat();
        assert_eq!(endless.line(&line), Ok(None));
        assert_eq!(endless.line(&line), Err(ReplyError::TooLong));
    }

    #[test]
    fn no_input_makes_the_parser_panic() {
        let seed = b"250-5.1.1 a\r\n250 5.1.1 b\r\n";
        for cut in 0..seed.len() {
            for octet in [0, b'\n', b'-', b'.', b'9', 255] {
                let mut input = seed.to_vec();
                input[cut] = octet;
                let _ = Reply::parse(&input);
                let _ = Reply::parse(&input[..cut]);
            }
        }
    }

    #[test]
    fn codes_are_taken_off() {
        for (text, plain) in [
            ("553 5.1.7 Invalid sender address", "Invalid sender address"),
            ("553 Unbalanced '<'", "Unbalanced '<'"),
            ("no codes", "no codes"),
        ] {
            assert_eq!(without_codes(text.as_bytes()), plain.as_bytes());
        }
    }
}
