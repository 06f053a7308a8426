//! `dead.letter`: where a message goes that can neither be sent nor returned.
//!
//! A user at a terminal (ErrorMode `p`) finds it in his home directory, opened with
//! his own rights; everybody else's goes to DeadLetterDrop, if that is set.
//!
//! Source: guide 5.6; observed: 8.17.1.9.

use std::fs::File;
use std::io::{self, Write};

use crate::envelope::Envelope;
use crate::sys::clock::Timestamp;
use crate::text::date::ctime_date;

/// A file opened for appending, by whoever has the right to.
#[derive(Debug)]
pub struct DeadLetter {
    /// The file.
    pub file: File,
}

/// Appends a message to a dead letter file in mailbox format.
///
/// # Errors
/// When it cannot be written completely; what was written is cut off again.
pub fn save_dead_letter(
    letter: &DeadLetter,
    envelope: &Envelope,
    now: Timestamp,
) -> io::Result<()> {
    let before = letter.file.metadata()?.len();
    let written = write(letter, envelope, now);
    if written.is_err() {
        letter.file.set_len(before)?;
    }
    written
}

fn write(letter: &DeadLetter, envelope: &Envelope, now: Timestamp) -> io::Result<()> {
    let mut out = io::BufWriter::new(&letter.file);
    let sender = envelope.sender.address.as_slice();
    let sender = if sender.is_empty() { b"<>" } else { sender };
    out.write_all(&[b"From ", sender, b" ", ctime_date(now).as_bytes(), b"\n"].concat())?;
    for field in &envelope.headers {
        if field.expansion == crate::message::header::Expansion::Done {
            out.write_all(&[&field.name[..], b":", &field.value, b"\n"].concat())?;
        }
    }
    out.write_all(b"\n")?;
    io::copy(&mut envelope.body.reader(), &mut out)?;
    out.write_all(b"\n")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Body, HeaderField};

    #[test]
    fn letters_follow_each_other() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let file = File::options().append(true).open(path.path()).unwrap();
        let letter = DeadLetter { file };
        let mut envelope = Envelope {
            body: Body::Memory(b"body\n".to_vec()),
            ..Envelope::default()
        };
        envelope.headers.push(HeaderField::new(b"Subject", b" x"));
        for _ in 0..2 {
            save_dead_letter(&letter, &envelope, Timestamp::from_seconds(0)).unwrap();
        }
        let text = std::fs::read_to_string(path.path()).unwrap();
        assert_eq!(text.matches("Subject: x\n\nbody\n\n").count(), 2);
        assert_eq!(text.matches("From <> ").count(), 2);
    }
}
