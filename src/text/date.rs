//! Dates as headers, logs and listings write them, in local time.
//!
//! The zone is the one of the process (`TZ`, else the system's); tests pass
//! their own.

use jiff::tz::TimeZone;
use jiff::{Timestamp as Instant, Zoned};

use crate::sys::clock::Timestamp;

/// Formats a header date: `Sun, 22 Nov 2026 05:18:22 GMT`.
///
/// Source: RFC 5322 section 3.3; observed: 8.17.1.9 writes `GMT` for an offset of zero.
pub fn rfc5322_date(time: Timestamp) -> String {
    rfc5322_date_in(time, TimeZone::system())
}

/// Formats a header date in a zone.
pub fn rfc5322_date_in(time: Timestamp, zone: TimeZone) -> String {
    let local = local(time, zone);
    let date = local.strftime("%a, %-d %b %Y %H:%M:%S");
    if local.offset().seconds() == 0 {
        format!("{date} GMT")
    } else {
        format!("{date} {}", local.strftime("%z"))
    }
}

/// Formats a date as ctime(3) does, without newline: `Sun Nov 22 05:18:22 2026`.
pub fn ctime_date(time: Timestamp) -> String {
    local(time, TimeZone::system())
        .strftime("%a %b %e %H:%M:%S %Y")
        .to_string()
}

/// Formats the date of a queue listing: `Sun Nov 22 05:18`.
pub fn queue_date(time: Timestamp) -> String {
    local(time, TimeZone::system())
        .strftime("%a %b %e %H:%M")
        .to_string()
}

/// Formats the time of macro `$t`: `202611220518` (year to minute, UTC).
pub fn numeric_date(time: Timestamp) -> String {
    local(time, TimeZone::UTC)
        .strftime("%Y%m%d%H%M")
        .to_string()
}

/// The parts of a date a queue id is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateParts {
    /// The year, such as 2026.
    pub year: i32,
    /// The month, 1 to 12.
    pub month: u8,
    /// The day of the month, 1 to 31.
    pub day: u8,
    /// The hour, 0 to 23.
    pub hour: u8,
    /// The minute, 0 to 59.
    pub minute: u8,
    /// The second, 0 to 59.
    pub second: u8,
}

/// Takes a point in time apart, in UTC.
pub fn utc_parts(time: Timestamp) -> DateParts {
    parts(&local(time, TimeZone::UTC))
}

/// Takes a point in time apart, in local time.
pub fn local_parts(time: Timestamp) -> DateParts {
    parts(&local(time, TimeZone::system()))
}

fn parts(date: &Zoned) -> DateParts {
    let small = |number: i8| u8::try_from(number).unwrap_or(0);
    DateParts {
        year: i32::from(date.year()),
        month: small(date.month()),
        day: small(date.day()),
        hour: small(date.hour()),
        minute: small(date.minute()),
        second: small(date.second()),
    }
}

/// A time no calendar here reaches (a damaged queue file) becomes 1970.
fn local(time: Timestamp, zone: TimeZone) -> Zoned {
    Instant::from_second(time.seconds())
        .unwrap_or(Instant::UNIX_EPOCH)
        .to_zoned(zone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::Offset;

    #[test]
    fn header_dates() {
        let time = Timestamp::from_seconds(1_795_324_702);
        for (hours, text) in [
            (0, "Sun, 22 Nov 2026 05:18:22 GMT"),
            (1, "Sun, 22 Nov 2026 06:18:22 +0100"),
            (-5, "Sun, 22 Nov 2026 00:18:22 -0500"),
        ] {
            let zone = TimeZone::fixed(Offset::constant(hours));
            assert_eq!(rfc5322_date_in(time, zone), text);
        }
    }

    #[test]
    fn impossible_times_do_not_panic() {
        for seconds in [i64::MIN, -1, i64::MAX] {
            let time = Timestamp::from_seconds(seconds);
            assert!(!rfc5322_date(time).is_empty());
            assert!(!ctime_date(time).is_empty());
        }
    }

    #[test]
    fn parts_in_utc() {
        let parts = utc_parts(Timestamp::from_seconds(1_795_324_702));
        assert_eq!((parts.year, parts.month, parts.day), (2026, 11, 22));
        assert_eq!((parts.hour, parts.minute, parts.second), (5, 18, 22));
    }
}
