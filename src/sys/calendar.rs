//! Points in time on the calendar, as the C library has it.
//!
//! The zone is that of the process: `TZ`, else `/etc/localtime`. The library
//! reads it once; [`super::process::set_time_zone`] makes it read again.

use super::clock::Timestamp;

/// A point in time taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    /// The year, such as 2026.
    pub year: i32,
    /// The month, 1 to 12.
    pub month: u8,
    /// The day of the month, 1 to 31.
    pub day: u8,
    /// The day of the week, 0 is Sunday.
    pub weekday: u8,
    /// The hour, 0 to 23.
    pub hour: u8,
    /// The minute, 0 to 59.
    pub minute: u8,
    /// The second, 0 to 60.
    pub second: u8,
    /// How many seconds local time is ahead of UTC.
    pub offset: i32,
}

impl Calendar {
    /// Takes `time` apart in local time; one that no calendar reaches becomes 1970.
    pub fn local(time: Timestamp) -> Calendar {
        Calendar::taken_apart(time, false)
    }

    /// Takes `time` apart in UTC; one that no calendar reaches becomes 1970.
    pub fn utc(time: Timestamp) -> Calendar {
        Calendar::taken_apart(time, true)
    }

    fn taken_apart(time: Timestamp, utc: bool) -> Calendar {
        let convert = |seconds: libc::time_t| {
            // SAFETY: `tm` is plain numbers and a pointer that may be null.
            let mut parts: libc::tm = unsafe { std::mem::zeroed() };
            // SAFETY: both pointers are to live values of the right type; the `_r` functions
            // keep nothing.
            let done = unsafe {
                if utc {
                    libc::gmtime_r(&raw const seconds, &raw mut parts)
                } else {
                    libc::localtime_r(&raw const seconds, &raw mut parts)
                }
            };
            (!done.is_null()).then_some(parts)
        };
        match convert(time.seconds()).or_else(|| convert(0)) {
            Some(parts) => Calendar::from_parts(&parts),
            None => Calendar::EPOCH,
        }
    }

    const EPOCH: Calendar = Calendar {
        year: 1970,
        month: 1,
        day: 1,
        weekday: 4,
        hour: 0,
        minute: 0,
        second: 0,
        offset: 0,
    };

    fn from_parts(parts: &libc::tm) -> Calendar {
        let small = |number: libc::c_int| u8::try_from(number).unwrap_or(0);
        Calendar {
            year: parts.tm_year.saturating_add(1900),
            month: small(parts.tm_mon).saturating_add(1),
            day: small(parts.tm_mday),
            weekday: small(parts.tm_wday),
            hour: small(parts.tm_hour),
            minute: small(parts.tm_min),
            second: small(parts.tm_sec),
            offset: i32::try_from(parts.tm_gmtoff).unwrap_or(0),
        }
    }

    /// Returns the time of day: `05:18:22`.
    pub fn time_of_day(&self) -> String {
        format!("{:02}:{:02}:{:02}", self.hour, self.minute, self.second)
    }

    /// Returns the date of a log line: `Nov 22 05:18:22` (RFC 3164 section 4.1.2).
    pub fn stamp(&self) -> String {
        format!(
            "{} {:2} {}",
            self.month_name(),
            self.day,
            self.time_of_day()
        )
    }

    /// Returns the month as `Jan` to `Dec`.
    pub fn month_name(&self) -> &'static str {
        const NAMES: [&str; 12] = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ];
        NAMES
            .get(usize::from(self.month).wrapping_sub(1))
            .copied()
            .unwrap_or("Jan")
    }

    /// Returns the day of the week as `Sun` to `Sat`.
    pub fn day_name(&self) -> &'static str {
        const NAMES: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
        NAMES
            .get(usize::from(self.weekday))
            .copied()
            .unwrap_or("Sun")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_moment_falls_on_its_day() {
        let moment = Calendar::utc(Timestamp::from_seconds(1_795_324_702));
        assert_eq!((moment.year, moment.month, moment.day), (2026, 11, 22));
        assert_eq!((moment.hour, moment.minute, moment.second), (5, 18, 22));
        assert_eq!((moment.day_name(), moment.month_name()), ("Sun", "Nov"));
        assert_eq!(moment.offset, 0);
        let leap = Calendar::utc(Timestamp::from_seconds(1_709_164_800));
        assert_eq!((leap.year, leap.month, leap.day), (2024, 2, 29));
    }

    #[test]
    fn times_beyond_every_calendar_become_1970() {
        for seconds in [i64::MIN, i64::MAX] {
            let moment = Calendar::utc(Timestamp::from_seconds(seconds));
            assert_eq!(moment, Calendar::EPOCH);
        }
    }
}
