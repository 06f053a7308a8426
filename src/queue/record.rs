//! Everything a control file says, damaged or not.
//!
//! Unlike [`super::control_file`] this reader refuses nothing and changes nothing: it is
//! for programs and people who look. What a record means is that of guide appendix B;
//! a line that begins with a letter nobody knows is left out.

use std::io;

use super::directory::{FileKind, QueueDirectory};
use super::entry::EntryName;
use super::header_record::QUOTE;
use super::summary::{Summary, number, recipient};
use super::take::read_control;
use crate::envelope::QueueId;
use crate::message::header::LATE_MACRO_MARK;
use crate::sys::clock::Timestamp;
use crate::sys::file::{Directory, FileFacts, FileKind as SystemFileKind, path_of};
use crate::sys::lock::{FileLock, LockError};
use crate::text::bytes::split_once;

/// A control file, record by record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// `V`: the version of the format.
    pub version: i64,
    /// `T`: when the message came, in seconds since 1970.
    pub created: i64,
    /// `K`: when it was tried last, in seconds since 1970; 0 for never.
    pub last_attempt: i64,
    /// `N`: how often it was tried.
    pub attempts: i64,
    /// `P`: its priority; the greater the later.
    pub priority: i64,
    /// `B`: `7BIT` or `8BITMIME`.
    pub body_type: Option<Vec<u8>>,
    /// `d`: the folder of the body where it is not that of the entry.
    pub body_folder: Option<Vec<u8>>,
    /// `M` before the recipients: why the message waits.
    pub status: Option<Vec<u8>>,
    /// `F`: flag letters.
    pub flags: Vec<u8>,
    /// `q`: why it is held.
    pub quarantine: Option<Vec<u8>>,
    /// `S`: the sender as recorded, in angle brackets or not.
    pub sender: Option<Vec<u8>>,
    /// `Z`: the envelope identifier.
    pub envelope_id: Option<Vec<u8>>,
    /// `A`: who sent it, by AUTH=.
    pub auth_sender: Option<Vec<u8>>,
    /// `!`: what BY= asked for.
    pub deliver_by: Option<Vec<u8>>,
    /// `$`: macros, names without braces.
    pub macros: Vec<(Vec<u8>, Vec<u8>)>,
    /// `R` and the lines that belong to each.
    pub recipients: Vec<RecipientRecord>,
    /// `H`: header fields in their order.
    pub header: Vec<FieldRecord>,
    /// Whether the closing dot is there.
    pub is_complete: bool,
}

/// One recipient of a control file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecipientRecord {
    /// The address as recorded, in angle brackets or not.
    pub address: Vec<u8>,
    /// Flag letters.
    pub flags: Vec<u8>,
    /// `M` before it: why this one waits.
    pub status: Option<Vec<u8>>,
    /// `C` in force: `user:uid:gid:alias`.
    pub controlling_user: Option<Vec<u8>>,
    /// `Q`: ORCPT=.
    pub original: Option<Vec<u8>>,
    /// `r`: what reports call it.
    pub final_address: Option<Vec<u8>>,
}

/// One header field of a control file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldRecord {
    /// What stands between the question marks: mailer flags or a macro; usually nothing.
    pub condition: Vec<u8>,
    /// The name.
    pub name: Vec<u8>,
    /// The value, with the line ends of a field of several lines; macros as `$x`.
    pub value: Vec<u8>,
}

impl Record {
    /// Makes out what a text says.
    pub fn from_text(text: &[u8]) -> Record {
        let mut record = Record::default();
        let mut pending = RecipientRecord::default();
        let mut controlling = None;
        for line in joined_lines(text) {
            let Some((letter, value)) = line.split_first() else {
                continue;
            };
            let some = || Some(value.to_vec());
            match letter {
                b'V' => record.version = number(value),
                b'T' => record.created = number(value),
                b'K' => record.last_attempt = number(value),
                b'N' => record.attempts = number(value),
                b'P' => record.priority = number(value),
                b'B' => record.body_type = some(),
                b'd' => record.body_folder = some(),
                b'F' => record.flags.extend_from_slice(value),
                b'q' => record.quarantine = some(),
                b'S' => record.sender = some(),
                b'Z' => record.envelope_id = some(),
                b'A' => record.auth_sender = some(),
                b'!' => record.deliver_by = some(),
                b'$' => record.macros.extend(macro_of(value)),
                // Before the sender it is about the message, behind it about a recipient.
                b'M' if record.sender.is_none() => record.status = some(),
                b'M' => pending.status = some(),
                b'C' => controlling = some().filter(|user| !user.is_empty()),
                b'Q' => pending.original = some(),
                b'r' => pending.final_address = some(),
                b'R' => {
                    let mut one = std::mem::take(&mut pending);
                    if let Some(address) = recipient(value, record.version) {
                        let flags = value.len().saturating_sub(address.len() + 1);
                        one.flags = value.get(..flags).unwrap_or_default().to_vec();
                        one.address = address.to_vec();
                        one.controlling_user.clone_from(&controlling);
                        record.recipients.push(one);
                    }
                }
                b'H' => record.header.extend(field_of(value)),
                b'.' => {
                    record.is_complete = true;
                    break;
                }
                _ => {}
            }
        }
        record
    }

    /// Gives the sender without angle brackets; the null sender is empty.
    pub fn sender_address(&self) -> &[u8] {
        without_brackets(self.sender.as_deref().unwrap_or_default())
    }
}

impl From<&Record> for Summary {
    fn from(record: &Record) -> Summary {
        let tried = record.last_attempt;
        let addresses = record.recipients.iter().map(|one| one.address.clone());
        Summary {
            priority: record.priority,
            created: Timestamp::from_seconds(record.created),
            last_attempt: (tried != 0).then(|| Timestamp::from_seconds(tried)),
            sender: record.sender.clone().unwrap_or_default(),
            recipients: addresses.collect(),
            quarantine: record.quarantine.clone(),
        }
    }
}

impl RecipientRecord {
    /// Gives the address without angle brackets.
    pub fn plain_address(&self) -> &[u8] {
        without_brackets(&self.address)
    }

    /// Gives what stands behind the last `@`; empty for a local recipient.
    pub fn host(&self) -> &[u8] {
        let address = self.plain_address();
        memchr::memrchr(b'@', address)
            .and_then(|at| address.get(at + 1..))
            .unwrap_or_default()
    }
}

fn without_brackets(address: &[u8]) -> &[u8] {
    let inner = address.strip_prefix(b"<").unwrap_or(address);
    inner.strip_suffix(b">").unwrap_or(inner)
}

/// Goes through the records of a text: a line that begins with white space goes on the one before.
fn joined_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let goes_on = |next: usize| matches!(rest.get(next), Some(b' ' | b'\t'));
        let end = memchr::memchr_iter(b'\n', rest).find(|end| *end == 0 || !goes_on(end + 1));
        let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        rest = end.and_then(|end| rest.get(end + 1..)).unwrap_or_default();
        Some(line)
    })
}

fn macro_of(value: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (name, text) = match value.strip_prefix(b"{") {
        Some(long) => {
            let (name, text) = split_once(long, b'}')?;
            (name, text)
        }
        None => value.split_at_checked(1)?,
    };
    Some((name.to_vec(), text.to_vec()))
}

fn field_of(value: &[u8]) -> Option<FieldRecord> {
    let (condition, rest) = match value.strip_prefix(b"?") {
        Some(after) => split_once(after, b'?')?,
        None => (&b""[..], value),
    };
    let (name, text) = split_once(rest, b':')?;
    Some(FieldRecord {
        condition: condition.to_vec(),
        name: name.to_vec(),
        value: readable(text.strip_prefix(b" ").unwrap_or(text)),
    })
}

/// Undoes the quoting of a header value; a macro that is still to be expanded becomes `$x`.
fn readable(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut bytes = value.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            QUOTE => out.extend(bytes.next()),
            LATE_MACRO_MARK => out.push(b'$'),
            byte => out.push(byte),
        }
    }
    out
}

/// An entry as found, for whoever looks at it without taking it.
#[derive(Debug)]
pub struct Observed {
    /// What its control file says.
    pub record: Record,
    /// Whether somebody works on it.
    pub is_locked: bool,
    /// How many octets its body has; `None` when it is missing.
    pub body_size: Option<u64>,
    /// When its control file was changed last.
    pub modified: Timestamp,
}

impl EntryName {
    /// Looks at the entry; a runner is disturbed for an instant only.
    ///
    /// # Errors
    /// When the control file cannot be opened or read, or is no plain file.
    pub fn observe(&self) -> io::Result<Observed> {
        let file = self.directory.open_file(self.kind, &self.id)?;
        let facts = FileFacts::of(&file)?;
        if facts.kind != SystemFileKind::Regular {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let record = Record::from_text(&read_control(&file)?);
        let is_locked = matches!(FileLock::try_shared(file), Err((_, LockError::Busy)));
        Ok(Observed {
            body_size: body_size(&self.directory, &self.id, record.body_folder.as_deref()),
            record,
            is_locked,
            modified: facts.modified,
        })
    }

    /// Reads the facts of the control file without opening it.
    ///
    /// # Errors
    /// When it is not there.
    pub fn facts(&self) -> io::Result<FileFacts> {
        self.directory.facts(self.kind, &self.id)
    }

    /// Reads what the control file says, and nothing else of the entry.
    ///
    /// # Errors
    /// When the control file cannot be opened or read.
    pub fn observe_record(&self) -> io::Result<Record> {
        let file = self.directory.open_file(self.kind, &self.id)?;
        Ok(Record::from_text(&read_control(&file)?))
    }

    /// Reads the body, wherever the control file says it is.
    ///
    /// # Errors
    /// When it is missing, or in a folder that is not of this queue.
    pub fn read_body(&self, record: &Record, out: &mut dyn io::Write) -> io::Result<u64> {
        let mut file = match record.body_folder.as_deref() {
            None => self.directory.open_file(FileKind::Body, &self.id)?,
            Some(folder) => {
                let folder = path_of(folder);
                if !self.directory.knows_folder(folder) {
                    return Err(io::ErrorKind::PermissionDenied.into());
                }
                let name = FileKind::Body.file_name(&self.id);
                Directory::open(folder)?.open_file(name.as_bytes())?
            }
        };
        io::copy(&mut file, out)
    }
}

fn body_size(directory: &QueueDirectory, id: &QueueId, folder: Option<&[u8]>) -> Option<u64> {
    let facts = match folder {
        None => directory.facts(FileKind::Body, id),
        Some(folder) => {
            let folder = path_of(folder);
            FileFacts::at_link(&folder.join(FileKind::Body.file_name(id)))
        }
    };
    facts.ok().map(|facts| facts.size)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] =
        b"V8\nT100\nK200\nN3\nP30015\nI8/1/77\nd/q/df\nB8BITMIME\nMDeferred: no\nFws\n\
        $_ann@localhost\n${daemon_flags}c u\nqodd\nS<ann@x.test>\nZenv\nAann\n!1 5\n\
        MRefused: a\nCann:5:6:list\nQrfc822;b\nrRFC822; b\nRPFD:<bob@Far.test>\n\
        C:\nRP:joe\nH?P?Return-Path: <\x81g>\nH??Subject: one\n\ttwo\n~what\n.\nSlate\n";

    #[test]
    fn every_record_has_its_place() {
        let record = Record::from_text(TEXT);
        let head = (record.created, record.last_attempt, record.attempts);
        assert_eq!(head, (100, 200, 3));
        assert_eq!(record.priority, 30_015);
        assert_eq!(record.status.as_deref(), Some(&b"Deferred: no"[..]));
        assert_eq!(record.body_folder.as_deref(), Some(&b"/q/df"[..]));
        assert_eq!(record.flags, b"ws");
        let daemon_flags = (b"daemon_flags".to_vec(), b"c u".to_vec());
        let received = (b"_".to_vec(), b"ann@localhost".to_vec());
        assert_eq!(record.macros, [received, daemon_flags]);
        assert_eq!(record.quarantine.as_deref(), Some(&b"odd"[..]));
        assert_eq!(record.sender_address(), b"ann@x.test");
        assert_eq!(record.deliver_by.as_deref(), Some(&b"1 5"[..]));
        let [bob, joe] = record.recipients.as_slice() else {
            panic!("{:?}", record.recipients);
        };
        assert_eq!(
            (bob.plain_address(), bob.host()),
            (&b"bob@Far.test"[..], &b"Far.test"[..])
        );
        assert_eq!(bob.flags, b"PFD");
        assert_eq!(bob.status.as_deref(), Some(&b"Refused: a"[..]));
        assert_eq!(bob.original.as_deref(), Some(&b"rfc822;b"[..]));
        assert_eq!(bob.final_address.as_deref(), Some(&b"RFC822; b"[..]));
        assert_eq!(bob.controlling_user.as_deref(), Some(&b"ann:5:6:list"[..]));
        assert_eq!((joe.host(), joe.status.is_none()), (&b""[..], true));
        assert_eq!(record.header[0].condition, b"P");
        assert_eq!(record.header[0].value, b"<$g>");
        assert_eq!(record.header[1].value, b"one\n\ttwo");
        assert!(record.is_complete && record.header.len() == 2);
    }

    #[test]
    fn no_text_stops_the_reader() {
        let mut text = TEXT.to_vec();
        for at in 0..text.len() {
            Record::from_text(text.get(..at).unwrap());
            text[at] ^= 0x2a;
            Record::from_text(&text);
            text[at] ^= 0x2a;
        }
        assert!(!Record::from_text(b"V8\n\n \nR\nH\nH??\n$\n${\n").is_complete);
    }
}
