//! The message in the form it has in a mailbox, kept until everybody got it.
//!
//! It arrives in pieces of any size. What changes on the way: line ends become LF, a
//! line that would look like the begin of a message gets a `>`, and the length of the
//! body is told in a header field `Content-Length`, in place of any that came along.
//!
//! Source: mail.local(8); the field observed: 8.17.1.9. That program trusts the field
//! and leaves the body alone; here the lines are marked as well, as its manual says,
//! because most readers of mailboxes go by the lines.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::sys::file::unnamed_file;

/// How much of a message is kept in memory; more goes to a file without a name.
const MEMORY: usize = 1 << 20;
/// What other messages in a mailbox begin with.
const BEGIN: &[u8] = b"From ";
/// The header field that is written anew.
const LENGTH_FIELD: &[u8] = b"content-length:";

/// Where the reader of pieces stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the begin of a line, of which too little is known.
    Start,
    /// Inside a line that is kept.
    Kept,
    /// Inside a line that is left out.
    LeftOut,
}

/// A message being taken in.
#[derive(Debug)]
pub struct SpoolWriter<'a> {
    folder: &'a Path,
    store: Store,
    length: u64,
    /// The length of the header, once its end was seen.
    header: Option<u64>,
    place: Place,
    /// The begin of a line that was not yet judged.
    begin: Vec<u8>,
    /// Whether a CR waits for what follows it.
    has_cr: bool,
    after_blank: bool,
    after_left_out: bool,
}

#[derive(Debug)]
enum Store {
    Memory(Vec<u8>),
    File(BufWriter<File>),
}

impl<'a> SpoolWriter<'a> {
    /// Begins a message; `folder` is for what is too long for the memory.
    pub fn new(folder: &'a Path, sender: &[u8], date: &str) -> Self {
        let line = [BEGIN, &shown(sender), b" ", date.as_bytes(), b"\n"].concat();
        SpoolWriter {
            folder,
            length: line.len() as u64,
            store: Store::Memory(line),
            header: None,
            place: Place::Start,
            begin: Vec::new(),
            has_cr: false,
            after_blank: true,
            after_left_out: false,
        }
    }

    /// Takes in the next piece.
    ///
    /// # Errors
    /// The file without a name could not be made or written.
    pub fn feed(&mut self, mut piece: &[u8]) -> io::Result<()> {
        while let Some((&octet, rest)) = piece.split_first() {
            if std::mem::take(&mut self.has_cr) && octet != b'\n' {
                self.take(b"\r")?;
            }
            if octet == b'\r' {
                self.has_cr = true;
                piece = rest;
            } else if octet == b'\n' {
                self.take(b"\n")?;
                piece = rest;
            } else {
                let end = memchr::memchr2(b'\r', b'\n', piece).unwrap_or(piece.len());
                let (text, rest) = piece.split_at(end);
                self.take(text)?;
                piece = rest;
            }
        }
        Ok(())
    }

    /// Takes text without line end, or a line end alone.
    fn take(&mut self, text: &[u8]) -> io::Result<()> {
        if self.place == Place::Start {
            self.begin.extend_from_slice(text);
            if self.begin.len() > LENGTH_FIELD.len() || text == b"\n" {
                self.judge()?;
            }
        } else if self.place == Place::Kept {
            self.put(text)?;
        }
        if text == b"\n" {
            self.place = Place::Start;
        }
        Ok(())
    }

    /// Decides what becomes of the line whose begin is known.
    fn judge(&mut self) -> io::Result<()> {
        let begin = std::mem::take(&mut self.begin);
        let is_blank = begin == b"\n";
        if self.header.is_none() {
            let goes_on = begin.starts_with(b" ") || begin.starts_with(b"\t");
            self.after_left_out = match goes_on {
                true => self.after_left_out,
                false => crate::text::bytes::starts_with_folded(&begin, LENGTH_FIELD),
            };
            if self.after_left_out && !is_blank {
                self.place = Place::LeftOut;
                self.after_blank = false;
                return Ok(());
            }
            if is_blank {
                self.header = Some(self.length);
            }
        }
        if self.after_blank && begin.starts_with(BEGIN) {
            self.put(b">")?;
        }
        self.after_blank = is_blank;
        self.place = Place::Kept;
        self.put(&begin)
    }

    fn put(&mut self, text: &[u8]) -> io::Result<()> {
        self.length += text.len() as u64;
        match &mut self.store {
            Store::Memory(memory) if memory.len() + text.len() <= MEMORY => {
                memory.extend_from_slice(text);
                Ok(())
            }
            Store::Memory(memory) => {
                let mut file = BufWriter::new(unnamed_file(self.folder)?);
                file.write_all(memory)?;
                file.write_all(text)?;
                self.store = Store::File(file);
                Ok(())
            }
            Store::File(file) => file.write_all(text),
        }
    }

    /// Ends the message.
    ///
    /// # Errors
    /// As for [`Self::feed`].
    pub fn finish(mut self) -> io::Result<Spool> {
        if std::mem::take(&mut self.has_cr) {
            self.take(b"\r")?;
        }
        if self.place != Place::Start || !self.begin.is_empty() {
            self.take(b"\n")?;
        }
        let content = match self.store {
            Store::Memory(memory) => Content::Memory(memory),
            Store::File(file) => {
                Content::File(file.into_inner().map_err(io::IntoInnerError::into_error)?)
            }
        };
        Ok(Spool {
            content,
            header: self.header.unwrap_or(self.length),
            length: self.length,
        })
    }
}

/// The sender as it may stand in a line of its own.
fn shown(sender: &[u8]) -> Vec<u8> {
    if sender.is_empty() {
        return b"MAILER-DAEMON".to_vec();
    }
    let shown = |octet: &u8| {
        if octet.is_ascii_control() {
            b'?'
        } else {
            *octet
        }
    };
    sender.iter().map(shown).collect()
}

/// A message that was taken in.
#[derive(Debug)]
pub struct Spool {
    content: Content,
    header: u64,
    length: u64,
}

#[derive(Debug)]
enum Content {
    Memory(Vec<u8>),
    File(File),
}

impl Spool {
    /// Writes the message with the blank line behind it that separates it from the next.
    ///
    /// # Errors
    /// It could not be read or written.
    pub fn write_to(&self, sink: &mut dyn Write) -> io::Result<()> {
        // The blank line behind the header is not part of the body.
        let body = self.length.saturating_sub(self.header).saturating_sub(1);
        let field = format!("Content-Length: {body}\n");
        match &self.content {
            Content::Memory(memory) => {
                let middle = usize::try_from(self.header).unwrap_or(memory.len());
                let (header, rest) = memory.split_at(middle.min(memory.len()));
                sink.write_all(header)?;
                sink.write_all(field.as_bytes())?;
                sink.write_all(rest)?;
            }
            Content::File(file) => {
                let mut file = file;
                file.seek(SeekFrom::Start(0))?;
                io::copy(&mut file.take(self.header), sink)?;
                sink.write_all(field.as_bytes())?;
                io::copy(&mut file, sink)?;
            }
        }
        sink.write_all(b"\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(pieces: &[&[u8]]) -> String {
        let mut writer = SpoolWriter::new(Path::new("/tmp"), b"s@x", "DATE");
        for piece in pieces {
            writer.feed(piece).unwrap();
        }
        let mut text = Vec::new();
        writer.finish().unwrap().write_to(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        text.strip_prefix("From s@x DATE\n").unwrap().to_owned()
    }

    #[test]
    fn a_message_is_stored_as_observed() {
        for (text, wanted) in [
            ("S: a\n\nbody\n", "S: a\nContent-Length: 5\n\nbody\n\n"),
            ("S: a\n\nb\n\n\n", "S: a\nContent-Length: 4\n\nb\n\n\n\n"),
            ("\nbody\n", "Content-Length: 5\n\nbody\n\n"),
            ("S: a\n\nx", "S: a\nContent-Length: 2\n\nx\n\n"),
            ("S: a\r\n\r\nb\r\n", "S: a\nContent-Length: 2\n\nb\n\n"),
            ("no end", "no end\nContent-Length: 0\n\n"),
            ("", "Content-Length: 0\n\n"),
            (
                "S: a\nContent-Length: 999\n 9\ncontent-length: 5\nX: y\n\nbody\n",
                "S: a\nX: y\nContent-Length: 5\n\nbody\n\n",
            ),
            (
                "S: a\n\nContent-Length: 9\n",
                "S: a\nContent-Length: 18\n\nContent-Length: 9\n\n",
            ),
        ] {
            assert_eq!(stored(&[text.as_bytes()]), wanted, "{text:?}");
        }
    }

    #[test]
    fn lines_that_look_like_a_message_are_marked() {
        let text = b"From x\nFrom y\n\n\nFrom z\n>From a\n\n>From b\n\nfrom c\n\nFrom\n\nFromage\n";
        let wanted = ">From x\nFrom y\nContent-Length: 49\n\n\n>From z\n>From a\n\n>From b\n\nfrom c\n\n\
                      From\n\nFromage\n\n";
        assert_eq!(stored(&[text]), wanted);
    }

    #[test]
    fn pieces_of_any_size_give_the_same() {
        let text =
            b"From a\r\nContent-Length: 3\r\nS: x\r\n\r\nFrom me\r\n\rx\r\r\n.\n\nFrom b\nend\r";
        let whole = stored(&[text]);
        for size in 1..text.len() {
            let pieces: Vec<&[u8]> = text.chunks(size).collect();
            assert_eq!(stored(&pieces), whole, "in pieces of {size}");
        }
    }

    #[test]
    fn long_messages_go_to_a_file_and_stay_the_same() {
        let line = [b'x'; 1000];
        let mut pieces: Vec<&[u8]> = vec![b"S: a\n\n"];
        for _ in 0..1_200 {
            pieces.push(&line);
            pieces.push(b"\n\nFrom x\n");
        }
        let text = stored(&pieces);
        let body = 1_200 * (1_000 + 10);
        let head = format!("S: a\nContent-Length: {body}\n\nxxx");
        assert!(text.starts_with(&head), "{}", &text[..60]);
        assert_eq!(text.len(), head.len() - 3 + body + 1);
    }

    #[test]
    fn a_sender_cannot_begin_a_line_of_its_own() {
        assert_eq!(shown(b"a\nFrom b"), b"a?From b");
        assert_eq!(shown(b""), b"MAILER-DAEMON");
    }
}
