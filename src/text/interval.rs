//! Intervals: how configuration writes them and how the program prints them.
//!
//! Source: guide section 4.1 for reading; observed: 8.17.1.9 for printing.

use std::fmt;
use std::time::Duration;

/// The unit of a number that names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntervalUnit {
    /// Seconds.
    Seconds,
    /// Minutes.
    Minutes,
    /// Hours.
    Hours,
    /// Days.
    Days,
    /// Weeks.
    Weeks,
}

impl IntervalUnit {
    /// Finds the unit of a letter.
    pub fn from_letter(letter: u8) -> Option<IntervalUnit> {
        match letter {
            b's' => Some(IntervalUnit::Seconds),
            b'm' => Some(IntervalUnit::Minutes),
            b'h' => Some(IntervalUnit::Hours),
            b'd' => Some(IntervalUnit::Days),
            b'w' => Some(IntervalUnit::Weeks),
            _ => None,
        }
    }

    /// Returns how many seconds the unit has.
    pub const fn seconds(self) -> u64 {
        match self {
            IntervalUnit::Seconds => 1,
            IntervalUnit::Minutes => 60,
            IntervalUnit::Hours => 3_600,
            IntervalUnit::Days => 86_400,
            IntervalUnit::Weeks => 604_800,
        }
    }
}

/// Why a text is no interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntervalError {
    /// There is no number where one belongs.
    MissingNumber,
    /// The letter after a number is no unit.
    UnknownUnit(u8),
    /// The interval does not fit.
    TooLong,
}

impl fmt::Display for IntervalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IntervalError::MissingNumber => f.write_str("number missing in interval"),
            IntervalError::UnknownUnit(letter) => {
                write!(
                    f,
                    "Invalid time unit `{}'",
                    crate::text::bytes::printable(&[*letter])
                )
            }
            IntervalError::TooLong => f.write_str("interval too long"),
        }
    }
}

impl std::error::Error for IntervalError {}

/// Parses an interval such as `1h30m` into a duration.
///
/// A bare number is counted in `unit`; white space around it is ignored.
///
/// # Errors
/// [`IntervalError::UnknownUnit`] for a letter outside `s m h d w`.
///
/// Source: guide section 4.1.
pub fn parse_interval(text: &[u8], unit: IntervalUnit) -> Result<Duration, IntervalError> {
    let mut rest = text.trim_ascii();
    let mut seconds: u64 = 0;
    if rest.is_empty() {
        return Err(IntervalError::MissingNumber);
    }
    while !rest.is_empty() {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, after) = rest.split_at(digits);
        let number: u64 = match crate::text::bytes::parse_decimal(number) {
            Some(number) => number,
            None if number.is_empty() => {
                return Err(match after.first() {
                    Some(&letter) if IntervalUnit::from_letter(letter).is_none() => {
                        IntervalError::UnknownUnit(letter)
                    }
                    _ => IntervalError::MissingNumber,
                });
            }
            None => return Err(IntervalError::TooLong),
        };
        let (unit, after) = match after.split_first() {
            None => (unit, after),
            Some((letter, after)) => match IntervalUnit::from_letter(letter.to_ascii_lowercase()) {
                Some(unit) => (unit, after),
                None => return Err(IntervalError::UnknownUnit(*letter)),
            },
        };
        seconds = number
            .checked_mul(unit.seconds())
            .and_then(|part| seconds.checked_add(part))
            .ok_or(IntervalError::TooLong)?;
        rest = after;
    }
    Ok(Duration::from_secs(seconds))
}

/// The parts of an interval, weeks only where they are asked for.
struct Parts {
    days: u64,
    hours: u64,
    minutes: u64,
    seconds: u64,
}

impl Parts {
    fn of(interval: Duration) -> Parts {
        let seconds = interval.as_secs();
        Parts {
            days: seconds / 86_400,
            hours: seconds / 3_600 % 24,
            minutes: seconds / 60 % 60,
            seconds: seconds % 60,
        }
    }
}

/// Prints an interval for logs: `01:30:00`, with days `1+02:03:04`.
pub fn format_interval(interval: Duration) -> String {
    let Parts {
        days,
        hours,
        minutes,
        seconds,
    } = Parts::of(interval);
    let clock = format!("{hours:02}:{minutes:02}:{seconds:02}");
    if days > 0 {
        format!("{days}+{clock}")
    } else {
        clock
    }
}

/// Prints an interval in words: `1 hour, 30 minutes`, `5 days`, `zero seconds`.
///
/// Observed: 8.17.1.9, in warnings about delayed messages.
pub fn format_interval_in_words(interval: Duration) -> String {
    let Parts {
        days,
        hours,
        minutes,
        seconds,
    } = Parts::of(interval);
    let (weeks, days) = (days / 7, days % 7);
    let parts = [
        (weeks, "week"),
        (days, "day"),
        (hours, "hour"),
        (minutes, "minute"),
        (seconds, "second"),
    ];
    let words: Vec<String> = parts
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, unit)| format!("{number} {unit}{}", if number == 1 { "" } else { "s" }))
        .collect();
    if words.is_empty() {
        "zero seconds".to_owned()
    } else {
        words.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_forms() {
        for (text, seconds) in [
            ("30s", 30),
            ("1h30m", 5_400),
            ("2d", 172_800),
            ("1w", 604_800),
            ("15", 900),
            ("1h30", 5_400),
            (" 90m ", 5_400),
            ("0", 0),
        ] {
            let found = parse_interval(text.as_bytes(), IntervalUnit::Minutes).unwrap();
            assert_eq!(found.as_secs(), seconds, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for (text, error) in [
            ("", IntervalError::MissingNumber),
            ("h", IntervalError::MissingNumber),
            ("5T", IntervalError::UnknownUnit(b'T')),
            ("T", IntervalError::UnknownUnit(b'T')),
            ("-5m", IntervalError::UnknownUnit(b'-')),
            ("99999999999999999999", IntervalError::TooLong),
            ("9999999999999999999w", IntervalError::TooLong),
        ] {
            let found = parse_interval(text.as_bytes(), IntervalUnit::Minutes);
            assert_eq!(found, Err(error), "{text}");
        }
        assert_eq!(
            IntervalError::UnknownUnit(b'T').to_string(),
            "Invalid time unit `T'"
        );
    }

    #[test]
    fn printed_forms() {
        for (seconds, clock, words) in [
            (0, "00:00:00", "zero seconds"),
            (1, "00:00:01", "1 second"),
            (5_400, "01:30:00", "1 hour, 30 minutes"),
            (93_784, "1+02:03:04", "1 day, 2 hours, 3 minutes, 4 seconds"),
            (14_400, "04:00:00", "4 hours"),
            (432_000, "5+00:00:00", "5 days"),
            (
                696_662,
                "8+01:31:02",
                "1 week, 1 day, 1 hour, 31 minutes, 2 seconds",
            ),
        ] {
            let interval = Duration::from_secs(seconds);
            assert_eq!(format_interval(interval), clock, "{seconds}");
            assert_eq!(format_interval_in_words(interval), words, "{seconds}");
        }
    }
}
