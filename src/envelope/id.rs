//! Queue identifiers: the 14 characters that name a message.
//!
//! One character each for the year (since 1900, modulo 60), month, day, hour,
//! minute and second in UTC, two for a sequence number below 3600, then the
//! process id in at least five digits with leading zeros. The reference
//! program reads any name that is made of letters and digits, so
//! [`QueueId::parse`] is as tolerant.
//!
//! Identifiers are drawn by [`crate::queue`]'s source; this type only holds one.
//!
//! Source: guide appendix B; observed: 8.17.1.9.

use std::fmt;

use crate::sys::calendar::Calendar;

/// The digits of a queue identifier: base 60.
pub const ID_ALPHABET: &[u8; 60] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwx";

/// Longest identifier accepted from a directory listing.
const MAX_ID_LENGTH: usize = 64;

/// Names one message in the queue, in logs and in trace headers.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(String);

impl QueueId {
    /// Takes the identifier part of a queue file's name (without `qf`).
    ///
    /// Returns `None` for an empty, overlong or non-alphanumeric name, so that an
    /// identifier can always be made part of a path.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.is_empty() || text.len() > MAX_ID_LENGTH {
            return None;
        }
        if !text.iter().all(u8::is_ascii_alphanumeric) {
            return None;
        }
        String::from_utf8(text.to_vec()).ok().map(Self)
    }

    /// Builds the identifier for a moment (in UTC), a sequence number and a process.
    ///
    /// Months count from 0; numbers outside the alphabet wrap.
    pub fn compose(moment: Calendar, sequence: u16, pid: u32) -> Self {
        let digit = |n: u32| char::from(ID_ALPHABET[(n % 60) as usize]);
        let mut text = String::with_capacity(14);
        let years = u32::try_from(moment.year.saturating_sub(1900)).unwrap_or(0);
        text.push(digit(years));
        text.push(digit(u32::from(moment.month).saturating_sub(1)));
        for field in [moment.day, moment.hour, moment.minute, moment.second] {
            text.push(digit(u32::from(field)));
        }
        text.push(digit(u32::from(sequence) / 60));
        text.push(digit(u32::from(sequence) % 60));
        text.push_str(&format!("{pid:06}"));
        Self(text)
    }

    /// Gives the identifier as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Gives the identifier as bytes, for headers and log lines.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock::Timestamp;

    #[test]
    fn composes_the_observed_example() {
        // 2026-11-22 05:06:27 UTC, sequence 142, pid 23828.
        let calendar = Calendar::utc(Timestamp::from_seconds(1_795_323_987));
        assert_eq!(
            QueueId::compose(calendar, 142, 23_828).as_str(),
            "6AM56R2M023828"
        );
    }

    #[test]
    fn refuses_what_could_leave_the_directory() {
        for bad in [&b""[..], b"../x", b"a/b", b"a b", b"a\0b", b"a.b"] {
            assert!(QueueId::parse(bad).is_none(), "{bad:?}");
        }
        assert!(QueueId::parse(b"6AM56R2M023828").is_some());
    }
}
