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

    /// Builds the identifier for a moment (calendar fields in UTC), a sequence number and a process.
    ///
    /// `year` is the full year, `month` counts from 0; numbers outside the alphabet wrap.
    pub fn compose(calendar: Calendar, sequence: u16, pid: u32) -> Self {
        let digit = |n: u32| char::from(ID_ALPHABET[(n % 60) as usize]);
        let mut text = String::with_capacity(14);
        text.push(digit(calendar.year.wrapping_sub(1900)));
        text.push(digit(calendar.month));
        text.push(digit(calendar.day));
        text.push(digit(calendar.hour));
        text.push(digit(calendar.minute));
        text.push(digit(calendar.second));
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

/// Calendar fields of a moment in UTC, as an identifier shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// The full year, such as 2026.
    pub year: u32,
    /// The month counted from 0.
    pub month: u32,
    /// The day of the month counted from 1.
    pub day: u32,
    /// The hour.
    pub hour: u32,
    /// The minute.
    pub minute: u32,
    /// The second.
    pub second: u32,
}

impl Calendar {
    /// Splits seconds since 1970 into calendar fields (proleptic Gregorian, UTC).
    pub fn from_unix(seconds: i64) -> Self {
        let days = seconds.div_euclid(86_400);
        let rest = u32::try_from(seconds.rem_euclid(86_400)).unwrap_or(0);
        // Days since 0000-03-01, in 400-year eras of 146,097 days.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 {
            march_month + 2
        } else {
            march_month - 10
        };
        let year = year_of_era + era * 400 + i64::from(month < 2);
        Self {
            year: u32::try_from(year).unwrap_or(1900),
            month: u32::try_from(month).unwrap_or(0),
            day: u32::try_from(day).unwrap_or(1),
            hour: rest / 3_600,
            minute: rest / 60 % 60,
            second: rest % 60,
        }
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

    #[test]
    fn composes_the_observed_example() {
        // 2026-11-22 05:06:27 UTC, sequence 142, pid 23828.
        let calendar = Calendar::from_unix(1_795_323_987);
        assert_eq!(
            QueueId::compose(calendar, 142, 23_828).as_str(),
            "6AM56R2M023828"
        );
    }

    #[test]
    fn calendar_of_leap_days_and_of_the_epoch() {
        let epoch = Calendar::from_unix(0);
        assert_eq!((epoch.year, epoch.month, epoch.day), (1970, 0, 1));
        let leap = Calendar::from_unix(1_709_164_800);
        assert_eq!((leap.year, leap.month, leap.day), (2024, 1, 29));
    }

    #[test]
    fn refuses_what_could_leave_the_directory() {
        for bad in [&b""[..], b"../x", b"a/b", b"a b", b"a\0b", b"a.b"] {
            assert!(QueueId::parse(bad).is_none(), "{bad:?}");
        }
        assert!(QueueId::parse(b"6AM56R2M023828").is_some());
    }
}
