//! `From ` at the start of a line, quoted as mailboxes need it.
//!
//! Observed: 8.17.1.9 quotes such lines in every report, whatever mailer takes it.

use std::io;

use super::report::Sink;

/// What begins a message in a mailbox.
const FROM: &[u8] = b"From ";

/// Writes to a sink, with `>` in front of every line that begins with `From `.
pub(super) struct FromQuoter<'a, 's> {
    sink: &'a mut Sink<'s>,
    /// How many octets of `From ` the line has so far; none when it is another line.
    matched: Option<usize>,
}

impl<'a, 's> FromQuoter<'a, 's> {
    /// Starts at the start of a line.
    pub(super) fn new(sink: &'a mut Sink<'s>) -> Self {
        FromQuoter {
            sink,
            matched: Some(0),
        }
    }

    /// Writes a piece of text.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut out = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            match self.matched {
                Some(length) if FROM.get(length) == Some(&byte) => {
                    self.matched = Some(length + 1);
                    if length + 1 == FROM.len() {
                        out.push(b'>');
                        out.extend_from_slice(FROM);
                        self.matched = None;
                    }
                    continue;
                }
                Some(length) => out.extend_from_slice(FROM.get(..length).unwrap_or_default()),
                None => {}
            }
            out.push(byte);
            self.matched = (byte == b'\n').then_some(0);
        }
        (self.sink)(&out)
    }

    /// Writes what was held back in case more followed.
    pub(super) fn finish(self) -> io::Result<()> {
        match self.matched.and_then(|length| FROM.get(..length)) {
            Some(held) if !held.is_empty() => (self.sink)(held),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(pieces: &[&str]) -> String {
        let mut out = Vec::new();
        let mut push = |bytes: &[u8]| {
            out.extend_from_slice(bytes);
            Ok(())
        };
        let sink: &mut Sink<'_> = &mut push;
        let mut quoter = FromQuoter::new(sink);
        for piece in pieces {
            quoter.write(piece.as_bytes()).unwrap();
        }
        quoter.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_the_start_of_a_line_counts_however_the_text_is_cut() {
        for (pieces, text) in [
            (&["From a\nx From b\n"][..], ">From a\nx From b\n"),
            (&["x\nFr", "om ", "y\n"], "x\n>From y\n"),
            (&["Fro", "\nFrom:\n", "Fr"], "Fro\nFrom:\nFr"),
            (&[">From z"], ">From z"),
        ] {
            assert_eq!(quoted(pieces), text, "{pieces:?}");
        }
    }
}
