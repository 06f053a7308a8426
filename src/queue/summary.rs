//! The little of a control file that decides selection, order and listing.
//!
//! Unlike [`super::control_file`] this reader forgives everything: it is used on
//! files that are damaged or half written, and says what it could make out.

use std::io;

use super::entry::EntryName;
use super::take::read_control;
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

impl Summary {
    /// Reads the control file of an entry.
    ///
    /// # Errors
    /// When it cannot be opened or read.
    pub fn read(name: &EntryName) -> io::Result<Summary> {
        let file = name.directory.open_file(name.kind, &name.id)?;
        Ok(Self::from_text(&read_control(&file)?))
    }

    /// Makes out what it can of a control file.
    pub fn from_text(text: &[u8]) -> Summary {
        // Observed: a file without priority comes last.
        let mut summary = Summary {
            priority: i64::MAX,
            ..Summary::default()
        };
        let mut version = 0;
        for record in lines(text) {
            let Some((letter, value)) = record.split_first() else {
                continue;
            };
            match letter {
                b'V' => version = number(value),
                b'T' => summary.created = Timestamp::from_seconds(number(value)),
                b'P' => summary.priority = number(value),
                b'K' => {
                    let tried = number(value);
                    summary.last_attempt = (tried != 0).then(|| Timestamp::from_seconds(tried));
                }
                b'S' => summary.sender = value.to_vec(),
                b'q' => summary.quarantine = Some(value.to_vec()),
                b'R' => summary
                    .recipients
                    .extend(recipient(value, version).map(<[u8]>::to_vec)),
                b'.' => break,
                _ => {}
            }
        }
        summary
    }

    /// Gives what the order `host` compares: the first recipient's host from its end.
    pub(super) fn host_key(&self) -> Vec<u8> {
        let Some(first) = self.recipients.first() else {
            return Vec::new();
        };
        let at = memchr::memrchr(b'@', first).map_or(0, |at| at + 1);
        let host = first.get(at..).unwrap_or_default();
        let host = host.strip_suffix(b">").unwrap_or(host);
        host.iter().rev().map(u8::to_ascii_lowercase).collect()
    }
}

/// Splits a text into lines; continuation lines come as they are and match no letter.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&b| b == b'\n')
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
        assert_eq!(summary.host_key(), b"tset.raf");
        assert_eq!(Summary::from_text(b"").priority, i64::MAX);
        assert!(Summary::from_text(b"V2\nRbob\n").recipients.is_empty());
        assert_eq!(Summary::from_text(b"Rbob\n").recipients, [b"bob"]);
    }
}
