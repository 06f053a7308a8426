//! `dead.letter`: where a message goes that can neither be sent nor returned.
//!
//! A user at a terminal (ErrorMode `p`) finds it in his home directory, opened with
//! his own rights; everybody else's goes to DeadLetterDrop, if that is set.
//!
//! Source: guide 5.6; observed: 8.17.1.9.

use std::fs::File;
use std::io::{self, Read, Write};

use super::from_quoter::FromQuoter;
use super::returned::{ReturnedAddresses, with_sender};
use crate::envelope::{Envelope, EnvelopeFlags};
use crate::logging::narrator::{Narrator, Stdout};
use crate::macros::MacroId;
use crate::mailer::Mailer;
use crate::message::header::{Expansion, HeaderTraits};
use crate::mta::{Mta, Workspace};
use crate::rewrite::RewriteWorkspace;
use crate::sys::clock::Timestamp;
use crate::sys::safe_open::{OpenRequest, OpenRules, Purpose};
use crate::text::date::ctime_date;

/// How much of a body is copied at once, in bytes.
const PIECE_BYTES: usize = 16_384;

/// A file opened for appending, by whoever has the right to.
#[derive(Debug)]
pub struct DeadLetter {
    /// The file.
    pub file: File,
}

/// Appends a message to a dead letter file in mailbox format, as the mailer of files sees it.
///
/// # Errors
/// When it cannot be written completely; what was written is cut off again.
pub fn save_dead_letter(
    letter: &DeadLetter,
    envelope: &Envelope,
    mta: &Mta,
    buffers: &mut RewriteWorkspace,
) -> io::Result<()> {
    let mailers = &mta.config.mailers;
    let nobody = Mailer::new(b"", b"");
    let mailer = mailers.file().map_or(&nobody, |id| mailers.get(id));
    let addresses = ReturnedAddresses::for_mailer(envelope, mailer, mta, buffers);
    save(
        letter,
        envelope,
        &header(envelope, mailer, &addresses),
        mta.clock.now(),
    )
}

/// Writes the header the mailer gets.
fn header(envelope: &Envelope, mailer: &Mailer, addresses: &ReturnedAddresses) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, field) in envelope.headers.iter().enumerate() {
        let is_hidden = field.traits().has(HeaderTraits::BLIND_COPY)
            && envelope.flags.contains(EnvelopeFlags::DELETE_BCC);
        // Nobody is left who could say which macros were set.
        if is_hidden || !field.is_wanted(|flag| mailer.has(flag), |_| true) {
            continue;
        }
        let rewritten = addresses.fields.get(at).cloned().flatten();
        let value = match field.expansion {
            Expansion::Done => rewritten.unwrap_or_else(|| field.value.clone()),
            Expansion::Late => with_sender(&field.value, &addresses.sender),
            Expansion::ForMailer => continue,
        };
        out.extend([&field.name[..], b":", &value, b"\n"].concat());
    }
    out
}

fn save(letter: &DeadLetter, envelope: &Envelope, header: &[u8], now: Timestamp) -> io::Result<()> {
    let before = letter.file.metadata()?.len();
    let written = write(letter, envelope, header, now);
    if written.is_err() {
        letter.file.set_len(before)?;
    }
    written
}

fn write(
    letter: &DeadLetter,
    envelope: &Envelope,
    header: &[u8],
    now: Timestamp,
) -> io::Result<()> {
    let mut out = io::BufWriter::new(&letter.file);
    let sender = envelope.sender.address.as_slice();
    let sender = if sender.is_empty() { b"<>" } else { sender };
    out.write_all(&[b"From ", sender, b" ", ctime_date(now).as_bytes(), b"\n"].concat())?;
    out.write_all(header)?;
    out.write_all(b"\n")?;
    let mut sink = |bytes: &[u8]| out.write_all(bytes);
    let mut quoter = FromQuoter::new(&mut sink);
    let (mut reader, mut piece) = (envelope.body.reader(), vec![0; PIECE_BYTES]);
    loop {
        match reader.read(&mut piece)? {
            0 => break,
            length => quoter.write(piece.get(..length).unwrap_or_default())?,
        }
    }
    quoter.finish()?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Appends a message nobody can be told of to the file of DeadLetterDrop; tells whether it did.
///
/// Observed: 8.17.1.9 has no such file where deliveries are confined to SafeFileEnvironment.
pub fn drop_letter(mta: &Mta, workspace: &mut Workspace, envelope: &Envelope) -> bool {
    if mta.config.options.security.safe_file_environment.is_some() {
        return false;
    }
    let Some(path) = &mta.config.options.delivering.dead_letter_drop else {
        return false;
    };
    let request = OpenRequest::read(path)
        .purpose(Purpose::AppendDelivery {
            create_mode: Some(mta.config.options.queueing.temp_file_mode),
        })
        .rules(
            OpenRules::REGULAR_ONLY
                | OpenRules::NO_FINAL_LINK
                | OpenRules::NO_HARD_LINKS
                | OpenRules::NO_LINK_IN_WRITABLE_DIRECTORY,
        );
    let Ok(opened) = mta.privileged.open_as(&request) else {
        return false;
    };
    let letter = DeadLetter { file: opened.file };
    if save_dead_letter(&letter, envelope, mta, &mut workspace.rewrite).is_err() {
        return false;
    }
    if workspace.tells_caller {
        let path = path.display();
        let to = mta.config.expanded_macro(MacroId::N);
        let line = [&to[..], format!("... Saved message in {path}").as_bytes()].concat();
        Stdout.say(&line);
    }
    true
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
            body: Body::Memory(b"From a\nbody\n".to_vec()),
            ..Envelope::default()
        };
        envelope.headers.push(HeaderField::new(b"Subject", b" x"));
        let nobody = Mailer::new(b"", b"");
        let header = header(&envelope, &nobody, &ReturnedAddresses::default());
        for _ in 0..2 {
            save(&letter, &envelope, &header, Timestamp::from_seconds(0)).unwrap();
        }
        let text = std::fs::read_to_string(path.path()).unwrap();
        assert_eq!(text.matches("Subject: x\n\n>From a\nbody\n\n").count(), 2);
        assert_eq!(text.matches("From <> ").count(), 2);
    }
}
