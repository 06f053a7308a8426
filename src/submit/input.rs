//! The message on standard input: header, body, and where it ends.
//!
//! Lines may end in LF or CRLF; both are stored as LF. A line with a single dot ends the
//! message unless dots are ignored, and then a leading second dot is dropped as in SMTP.
//! The body streams into the queue entry; only the header is held.
//!
//! Source: guide appendix A (-i), LSB 5 sendmail; observed: 8.17.1.9.

use std::io::{self, Read};

use crate::message::{HeaderCollector, Headers, LineUse};
use crate::queue::{CommitError, NewEntry};

/// Bytes read at a time.
const BLOCK_BYTES: usize = 16_384;

/// Most bytes of one piece of a line.
const MAX_PIECE_BYTES: usize = 32_768;

/// How the input is to be read.
#[derive(Debug, Clone, Copy, Default)]
pub struct InputRules {
    /// A lone dot is text.
    pub ignore_dots: bool,
    /// A leading `From ` line is a line like others (SaveFromLine).
    pub keep_from_line: bool,
    /// Clear high bits (SevenBitInput).
    pub seven_bit: bool,
    /// Most bytes of header; zero is no limit (MaxHeadersLength).
    pub max_header_bytes: u64,
    /// Most bytes of message; zero is no limit (MaxMessageSize).
    pub max_message_bytes: u64,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Input {
    /// The header fields.
    pub headers: Headers,
    /// The leading `From ` line.
    pub from_line: Option<Vec<u8>>,
    /// Bytes of the header, with the line that ends it.
    pub header_size: u64,
    /// Bytes of the whole message, line ends counted as one.
    pub size: u64,
    /// Some byte had its high bit set.
    pub has_eight_bit: bool,
    /// Some byte was NUL.
    pub has_nul: bool,
    /// The header passed its limit.
    pub header_too_long: bool,
    /// The message passed its limit.
    pub message_too_long: bool,
}

/// Why the message could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum InputFault {
    /// Standard input failed.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// The queue failed.
    #[error("{0}")]
    Store(#[from] CommitError),
}

/// Reads a message; its body goes to `entry`.
///
/// # Errors
/// [`InputFault`] when the input cannot be read or the body not be stored.
pub fn read_message(
    source: &mut dyn Read,
    rules: &InputRules,
    entry: &mut NewEntry,
) -> Result<Input, InputFault> {
    let collector = if rules.keep_from_line {
        HeaderCollector::keeping_from_line()
    } else {
        HeaderCollector::new()
    };
    let mut reading = Reading {
        rules,
        input: Input::default(),
        collector: Some(collector),
        in_text_field: false,
        entry,
    };
    let mut lines = Lines {
        source,
        block: Vec::new(),
        used: 0,
        in_line: false,
    };
    let mut piece = Piece::default();
    while lines.read(&mut piece)? {
        if !reading.take(&mut piece)? {
            break;
        }
    }
    reading.end_header();
    Ok(reading.input)
}

struct Reading<'a> {
    rules: &'a InputRules,
    input: Input,
    /// Present while the header lasts.
    collector: Option<HeaderCollector>,
    /// The body has begun with a field that is text, and may go on with its folded lines.
    in_text_field: bool,
    entry: &'a mut NewEntry,
}

impl Reading<'_> {
    /// Takes a piece of a line; false ends the message.
    fn take(&mut self, piece: &mut Piece) -> Result<bool, InputFault> {
        if piece.starts && !self.rules.ignore_dots {
            if piece.ends && piece.bytes == b"." && piece.has_newline {
                return Ok(false);
            }
            if piece.bytes.starts_with(b"..") {
                piece.bytes.remove(0);
            }
        }
        if !piece.bytes.is_ascii() {
            if self.rules.seven_bit {
                piece.bytes.iter_mut().for_each(|byte| *byte &= 0x7f);
            } else {
                self.input.has_eight_bit = true;
            }
        }
        self.input.has_nul |= piece.bytes.contains(&0);
        self.input.size += piece.bytes.len() as u64 + u64::from(piece.has_newline);
        let limit = self.rules.max_message_bytes;
        self.input.message_too_long |= limit > 0 && self.input.size > limit;
        let Some(collector) = &mut self.collector else {
            return self.body(piece).map(|()| true);
        };
        // Observed: 8.17.1.9 drops NUL as long as the header lasts, but looks whether a line
        // goes on before it does.
        let begins_with_nul = piece.bytes.first() == Some(&0);
        piece.bytes.retain(|&byte| byte != 0);
        let is_no_fold = begins_with_nul && matches!(piece.bytes.first(), Some(b' ' | b'\t'));
        // A header line longer than a piece is no header line anybody wrote.
        let line_use = if is_no_fold {
            LineUse::Body
        } else if piece.starts && (piece.ends || piece.bytes.len() < MAX_PIECE_BYTES) {
            collector.push_line(&piece.bytes)
        } else {
            LineUse::Body
        };
        let is_cut = piece.ends && !piece.has_newline;
        let header_bytes = collector.bytes() as u64;
        match line_use {
            // Observed: 8.17.1.9 loses a field, or a first line of text, when the input ends
            // before the line does.
            LineUse::Header if is_cut => collector.drop_open_field(),
            LineUse::Body | LineUse::Text if is_cut => self.end_header(),
            LineUse::Header => {
                let limit = self.rules.max_header_bytes;
                if limit > 0 && header_bytes > limit {
                    // Observed: 8.17.1.9 does not keep the field that is too much.
                    collector.drop_open_field();
                    self.input.header_too_long = true;
                    self.end_header();
                }
            }
            LineUse::Separator => {
                self.end_header();
                self.input.header_size += 1;
            }
            LineUse::Body => {
                self.end_header();
                // Observed: 8.17.1.9 counts the line that ends a header.
                self.input.header_size += piece.bytes.len() as u64 + u64::from(piece.has_newline);
                self.body(piece)?;
            }
            LineUse::Text => {
                self.end_header();
                self.entry.write(&piece.bytes)?;
                self.in_text_field = true;
            }
        }
        Ok(true)
    }

    fn body(&mut self, piece: &Piece) -> Result<(), InputFault> {
        if self.input.header_too_long || self.input.message_too_long {
            return Ok(());
        }
        if self.in_text_field && piece.starts {
            self.in_text_field = matches!(piece.bytes.first(), Some(b' ' | b'\t'));
            if self.in_text_field {
                self.entry.write(b"\n")?;
            }
        }
        self.entry.write(&piece.bytes)?;
        if piece.has_newline && !self.in_text_field {
            self.entry.write(b"\n")?;
        }
        Ok(())
    }

    fn end_header(&mut self) {
        if let Some(collector) = self.collector.take() {
            self.input.from_line = collector.from_line().map(<[u8]>::to_vec);
            self.input.header_size = collector.bytes() as u64;
            self.input.headers = collector.finish();
        }
    }
}

/// One line, or a piece of a long one.
#[derive(Default)]
struct Piece {
    bytes: Vec<u8>,
    starts: bool,
    ends: bool,
    /// The line ended in LF or CRLF, not by the end of the input.
    has_newline: bool,
}

struct Lines<'a> {
    source: &'a mut dyn Read,
    block: Vec<u8>,
    used: usize,
    in_line: bool,
}

impl Lines<'_> {
    fn read(&mut self, piece: &mut Piece) -> io::Result<bool> {
        piece.bytes.clear();
        piece.starts = !self.in_line;
        piece.has_newline = false;
        piece.ends = true;
        loop {
            if self.used == self.block.len() && !self.fill()? {
                self.in_line = false;
                return Ok(!piece.bytes.is_empty());
            }
            let unread = &self.block[self.used..];
            let unread = &unread[..unread.len().min(MAX_PIECE_BYTES - piece.bytes.len())];
            let newline = memchr::memchr(b'\n', unread);
            piece
                .bytes
                .extend_from_slice(&unread[..newline.unwrap_or(unread.len())]);
            self.used += newline.map_or(unread.len(), |at| at + 1);
            if newline.is_some() {
                if piece.bytes.last() == Some(&b'\r') {
                    piece.bytes.pop();
                }
                piece.has_newline = true;
                self.in_line = false;
                return Ok(true);
            }
            // A CR at the very end of a piece may belong to the line end that follows.
            if piece.bytes.len() == MAX_PIECE_BYTES {
                if piece.bytes.last() == Some(&b'\r') {
                    piece.bytes.pop();
                    self.used -= 1;
                }
                piece.ends = false;
                self.in_line = true;
                return Ok(true);
            }
        }
    }

    fn fill(&mut self) -> io::Result<bool> {
        self.block.resize(BLOCK_BYTES, 0);
        let got = loop {
            match self.source.read(&mut self.block) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.block.truncate(got);
        self.used = 0;
        Ok(got > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::QueueDirectory;
    use std::sync::Arc;

    fn read(text: &[u8], rules: &InputRules) -> (Input, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let format = Arc::new(crate::queue::ControlFileFormat::default());
        let sync = crate::queue::DirectorySync::new();
        let directory = QueueDirectory::open(folder.path(), 0o600, format, &sync).unwrap();
        let directory = Arc::new(directory);
        let id = crate::envelope::QueueId::parse(b"x1").unwrap();
        let mut entry = NewEntry::create(&directory, id);
        let mut source = text;
        let input = read_message(&mut source, rules, &mut entry).unwrap();
        let mut body = Vec::new();
        entry
            .body()
            .unwrap()
            .reader()
            .read_to_end(&mut body)
            .unwrap();
        (input, body)
    }

    #[test]
    fn a_lone_dot_ends_the_message() {
        let (input, body) = read(
            b"S: x\r\n\r\nbody\r\nb\rc\n..\n.x\n.\r\nafter\n",
            &InputRules::default(),
        );
        assert_eq!(body, b"body\nb\rc\n.\n.x\n");
        assert_eq!(input.size, 5 + 1 + 5 + 4 + 2 + 3);
        assert_eq!(input.headers.get(b"s").unwrap().value, b" x");
    }

    #[test]
    fn dots_can_be_ignored() {
        let rules = InputRules {
            ignore_dots: true,
            ..InputRules::default()
        };
        let (_, body) = read(b"\n.\n..two\n.", &rules);
        assert_eq!(body, b".\n..two\n.");
    }

    #[test]
    fn text_without_header_is_body() {
        let (input, body) = read(b"not a header\xe9\nmore", &InputRules::default());
        assert_eq!(body, b"not a header\xe9\nmore");
        assert!(input.has_eight_bit && input.headers.is_empty());
    }

    #[test]
    fn from_lines_are_set_aside_and_counted() {
        let (input, _) = read(b"From a b\nS: q\n\nbody\n", &InputRules::default());
        assert_eq!(input.size, 9 + 5 + 1 + 5);
        assert_eq!(input.from_line.as_deref(), Some(&b"From a b"[..]));
    }

    #[test]
    fn long_lines_come_in_pieces_unchanged() {
        let long = vec![b'x'; 3 * MAX_PIECE_BYTES];
        let (_, body) = read(&[b"\n", &long[..], b"\n"].concat(), &InputRules::default());
        assert_eq!(body.len(), long.len() + 1);
    }

    #[test]
    fn a_field_that_is_text_begins_the_body() {
        for (text, expected) in [
            ("S: x\nText: a\n b\nX: y\n", "Text: a\n bX: y\n"),
            ("Message: a\n\nx\n", "Message: a\nx\n"),
        ] {
            let (_, body) = read(text.as_bytes(), &InputRules::default());
            assert_eq!(String::from_utf8_lossy(&body), expected);
        }
    }

    #[test]
    fn a_header_has_no_nul() {
        let (input, body) = read(b"S: a\0b\n\0 c\0d\ne\0f\n", &InputRules::default());
        assert_eq!(input.headers.get(b"s").unwrap().value, b" ab");
        assert_eq!(body, b" cd\ne\0f\n");
        assert_eq!(input.size, 7 + 6 + 4);
        let (input, body) = read(b"S: a\n\0\nX: y\n", &InputRules::default());
        assert_eq!(input.headers.len(), 1);
        assert_eq!(body, b"X: y\n");
    }

    #[test]
    fn a_header_over_its_limit_is_noted() {
        let rules = InputRules {
            max_header_bytes: 10,
            ..InputRules::default()
        };
        let (input, body) = read(b"Subject: long enough\nA: b\n\nx\n", &rules);
        assert!(input.header_too_long);
        assert!(input.headers.is_empty());
        assert!(body.is_empty());
    }
}
