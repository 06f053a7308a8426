//! The little of a control file that decides selection, order and listing.
//!
//! Unlike [`super::control_file`] this reader forgives everything: it is used on
//! files that are damaged or half written, and says what it could make out.

use std::fs::File;
use std::io::{self, Read};

use super::entry::EntryName;
use crate::sys::clock::Timestamp;

/// What mailq and a queue run want to know of an entry before it is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// `P` line.
    pub priority: i64,
    /// `T` line; `None` would be a file without one, which shows as the epoch.
    pub created: Timestamp,
    /// `K` line.
    pub last_attempt: Option<Timestamp>,
    /// `S` line; `None` if there was none.
    pub sender: Vec<u8>,
    /// `R` lines, without their flags.
    pub recipients: Vec<Vec<u8>>,
    /// `q` line.
    pub quarantine: Option<Vec<u8>>,
}

/// What of a summary somebody wants; priority and times are always read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted {
    /// The sender, and what stands before it.
    pub(super) sender: bool,
    /// The first recipient.
    pub(super) first_recipient: bool,
    /// Every recipient.
    pub(super) recipients: bool,
}

/// Bytes looked at first: nearly always enough.
const FIRST_LOOK: usize = 4_096;

impl Summary {
    /// Reads as much of the control file of an entry as is wanted, into a buffer used again.
    ///
    /// # Errors
    /// When it cannot be opened or read.
    pub(super) fn read(
        name: &EntryName,
        wanted: Wanted,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Summary> {
        let file = name.directory.open_file(name.kind, &name.id)?;
        let mut limit = FIRST_LOOK;
        buffer.clear();
        loop {
            let is_whole = read_on(&file, buffer, limit)?;
            let mut reading = Reading::new(wanted);
            let end = match is_whole {
                true => buffer.len(),
                // The last line may be cut.
                false => memchr::memrchr(b'\n', buffer).unwrap_or(0),
            };
            let is_enough = reading.read(buffer.get(..end).unwrap_or_default());
            if is_enough || is_whole {
                buffer.truncate(BUFFER_KEPT);
                buffer.shrink_to(BUFFER_KEPT);
                return Ok(reading.summary);
            }
            limit = limit.saturating_mul(8);
        }
    }

    /// Makes out what it can of a control file.
    pub fn from_text(text: &[u8]) -> Summary {
        let everything = Wanted {
            sender: true,
            first_recipient: true,
            recipients: true,
        };
        Summary::of_text(text, everything)
    }

    /// Makes out what is wanted of a control file.
    pub(super) fn of_text(text: &[u8], wanted: Wanted) -> Summary {
        let mut reading = Reading::new(wanted);
        reading.read(text);
        reading.summary
    }

    /// Gives what the order `host` compares: the host of the first recipient that has one, from
    /// its end. Those without any come first. Observed: 8.17.1.9.
    pub(super) fn host_key(&self) -> Vec<u8> {
        let host = self.host().unwrap_or_default();
        host.iter().rev().map(u8::to_ascii_lowercase).collect()
    }

    fn host(&self) -> Option<&[u8]> {
        self.recipients.iter().find_map(|recipient| {
            let at = memchr::memrchr(b'@', recipient)?;
            recipient.get(at + 1..)
        })
    }
}

/// Room a buffer keeps from one file to the next.
const BUFFER_KEPT: usize = 65_536;

/// Reads on to the end of a file or until there are `limit` bytes; tells whether it is the end.
pub(super) fn read_on(file: &File, buffer: &mut Vec<u8>, limit: usize) -> io::Result<bool> {
    let begin = buffer.len();
    buffer.resize(limit.max(begin), 0);
    let mut filled = begin;
    let mut reader = file;
    while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
        let wanted = free.len();
        match reader.read(free) {
            Ok(count) => {
                filled = filled.saturating_add(count);
                // A plain file gives all it has.
                if count < wanted {
                    buffer.truncate(filled);
                    return Ok(true);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                buffer.truncate(filled);
                return Err(error);
            }
        }
    }
    Ok(false)
}

/// A summary while it is read.
struct Reading {
    wanted: Wanted,
    summary: Summary,
    version: i64,
    has_priority: bool,
    has_created: bool,
    has_count: bool,
    has_sender: bool,
}

impl Reading {
    fn new(wanted: Wanted) -> Self {
        Reading {
            wanted,
            // Observed: a file without priority comes last.
            summary: Summary {
                priority: i64::MAX,
                ..Summary::default()
            },
            version: 0,
            has_priority: false,
            has_created: false,
            has_count: false,
            has_sender: false,
        }
    }

    /// Reads lines until all that is wanted is there; tells whether it is.
    fn read(&mut self, text: &[u8]) -> bool {
        let summary = &mut self.summary;
        for record in lines(text) {
            let Some((letter, value)) = record.split_first() else {
                continue;
            };
            match letter {
                b'V' => self.version = number(value),
                b'T' => {
                    summary.created = Timestamp::from_seconds(number(value));
                    self.has_created = true;
                }
                b'P' => {
                    summary.priority = number(value);
                    self.has_priority = true;
                }
                b'K' => {
                    let tried = number(value);
                    summary.last_attempt = (tried != 0).then(|| Timestamp::from_seconds(tried));
                }
                // Never tried, whatever `K` says.
                b'N' => {
                    summary.last_attempt = summary.last_attempt.filter(|_| number(value) != 0);
                    self.has_count = true;
                }
                b'S' => {
                    summary.sender = value.to_vec();
                    self.has_sender = true;
                }
                b'q' => summary.quarantine = Some(value.to_vec()),
                b'R' => {
                    let found = recipient(value, self.version).map(<[u8]>::to_vec);
                    summary.recipients.extend(found);
                }
                b'.' => return true,
                _ => continue,
            }
            if self.has_priority
                && self.has_created
                && (self.has_count || self.has_sender)
                && (self.has_sender || !self.wanted.sender)
                && !self.wanted.recipients
                && !(self.wanted.first_recipient && summary.host().is_none())
            {
                return true;
            }
        }
        false
    }
}

/// Splits a text into lines; continuation lines come as they are and match no letter.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = memchr::memchr(b'\n', text);
        rest = end.and_then(|end| text.get(end + 1..));
        text.get(..end.unwrap_or(text.len()))
    })
}

/// Gives the address of an `R` line; versions above 0 have flags and a colon before it.
pub(super) fn recipient(value: &[u8], version: i64) -> Option<&[u8]> {
    if version < 1 {
        return Some(value);
    }
    let colon = memchr::memchr(b':', value)?;
    value.get(colon + 1..)
}

/// Reads leading digits, with a sign, as C's `atol`: what is not a number is 0.
pub(super) fn number(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let mut value: i64 = 0;
    for digit in digits.iter().take_while(|b| b.is_ascii_digit()) {
        value = value
            .saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'));
    }
    if negative { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_files_give_what_is_there() {
        let summary = Summary::from_text(b"V8\nTabc\nP-5\n~odd\nSann\nRPFD:joe@Far.Test>\n\tx");
        assert_eq!(
            (summary.priority, summary.sender.as_slice()),
            (-5, &b"ann"[..])
        );
        assert_eq!(summary.created, Timestamp::from_seconds(0));
        assert_eq!(summary.host_key(), b">tset.raf");
        assert_eq!(Summary::from_text(b"").priority, i64::MAX);
        assert!(Summary::from_text(b"V2\nRbob\n").recipients.is_empty());
        assert_eq!(Summary::from_text(b"Rbob\n").recipients, [b"bob"]);
    }

    #[test]
    fn the_host_is_that_of_the_first_recipient_with_one() {
        let key = |text: &[u8]| Summary::from_text(text).host_key();
        assert_eq!(key(b"V8\nRPFD:bob\nRPFD:joe@A.b\nRPFD:x@z\n.\n"), b"b.a");
        assert_eq!(key(b"V8\nRPFD:bob\n.\n"), b"");
    }

    #[test]
    fn what_was_never_tried_has_no_last_attempt() {
        let tried = |text: &[u8]| Summary::from_text(text).last_attempt;
        assert_eq!(tried(b"V8\nT5\nK7\nN0\nP1\nSann\n.\n"), None);
        let seven = Some(Timestamp::from_seconds(7));
        assert_eq!(tried(b"V8\nT5\nK7\nN1\nP1\nSann\n.\n"), seven);
    }
}
