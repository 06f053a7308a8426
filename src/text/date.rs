//! Dates as headers, logs and listings write them, in local time.

use crate::sys::calendar::Calendar;
use crate::sys::clock::Timestamp;

/// Formats a header date: `Sun, 22 Nov 2026 05:18:22 GMT`.
///
/// Source: RFC 5322 section 3.3; observed: 8.17.1.9 writes `GMT` for an offset of zero.
pub fn rfc5322_date(time: Timestamp) -> String {
    header_date(&Calendar::local(time))
}

fn header_date(date: &Calendar) -> String {
    let day = format!(
        "{}, {} {} {} {}",
        date.day_name(),
        date.day,
        date.month_name(),
        date.year,
        date.time_of_day()
    );
    if date.offset == 0 {
        return format!("{day} GMT");
    }
    let sign = if date.offset < 0 { '-' } else { '+' };
    let minutes = date.offset.unsigned_abs() / 60;
    format!("{day} {sign}{:02}{:02}", minutes / 60, minutes % 60)
}

/// Formats a date as ctime(3) does, without newline: `Sun Nov 22 05:18:22 2026`.
pub fn ctime_date(time: Timestamp) -> String {
    let date = Calendar::local(time);
    format!("{} {} {}", date.day_name(), date.stamp(), date.year)
}

/// Formats the date of a queue listing: `Sun Nov 22 05:18`.
pub fn queue_date(time: Timestamp) -> String {
    let date = Calendar::local(time);
    format!(
        "{} {} {:2} {:02}:{:02}",
        date.day_name(),
        date.month_name(),
        date.day,
        date.hour,
        date.minute
    )
}

/// Formats the time of macro `$t`: `202611220518` (year to minute, UTC).
pub fn numeric_date(time: Timestamp) -> String {
    let date = Calendar::utc(time);
    format!(
        "{}{:02}{:02}{:02}{:02}",
        date.year, date.month, date.day, date.hour, date.minute
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_dates() {
        let time = Timestamp::from_seconds(1_795_324_702);
        for (hours, text) in [
            (0, "Sun, 22 Nov 2026 05:18:22 GMT"),
            (1, "Sun, 22 Nov 2026 06:18:22 +0100"),
            (-5, "Sun, 22 Nov 2026 00:18:22 -0500"),
        ] {
            let offset = hours * 3_600;
            let moved = Timestamp::from_seconds(time.seconds() + i64::from(offset));
            let date = Calendar {
                offset,
                ..Calendar::utc(moved)
            };
            assert_eq!(header_date(&date), text);
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
}
