//! Values of options: numbers, intervals, word lists.
//!
//! Numbers are read as the C library reads them: leading blanks and digits count,
//! the rest is ignored, and a text without digits is zero.

use std::time::Duration;

use crate::text::interval::IntervalUnit;

/// Reads a decimal number as `atoi` does.
pub fn number(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let magnitude =
        digits
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .fold(0i64, |sum, byte| {
                sum.saturating_mul(10)
                    .saturating_add(i64::from(byte - b'0'))
            });
    if negative { -magnitude } else { magnitude }
}

/// Reads a number that is not negative; negative ones become zero.
pub fn count(text: &[u8]) -> u32 {
    u32::try_from(number(text).max(0)).unwrap_or(u32::MAX)
}

/// Reads a size; negative ones become zero.
pub fn size(text: &[u8]) -> u64 {
    u64::try_from(number(text)).unwrap_or(0)
}

/// Reads a small number that may be negative.
pub fn signed(text: &[u8]) -> i32 {
    i32::try_from(number(text)).unwrap_or(i32::MAX)
}

/// Reads an octal number, as for file modes.
pub fn octal(text: &[u8]) -> u32 {
    text.trim_ascii_start()
        .iter()
        .take_while(|byte| (b'0'..=b'7').contains(byte))
        .fold(0u32, |sum, byte| {
            sum.wrapping_mul(8).wrapping_add(u32::from(byte - b'0'))
        })
}

/// Reads a truth value: empty and anything beginning with `t` or `y` is true.
///
/// Source: guide 5.6.
pub fn truth(text: &[u8]) -> bool {
    matches!(text.first(), None | Some(b't' | b'T' | b'y' | b'Y'))
}

/// Tells whether a text is meant as a truth value: the beginning of a word for yes or no, or zero.
pub fn is_truth(text: &[u8]) -> bool {
    const WORDS: &[&str] = &["true", "false", "yes", "no", "0"];
    let text = text.trim_ascii();
    WORDS.iter().any(|word| {
        word.as_bytes()
            .get(..text.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(text))
    })
}

/// Tells whether a text is a number and nothing else.
pub fn is_number(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let digits = digits.strip_prefix(b"+").unwrap_or(digits);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// An interval as an option gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    /// `now`.
    Now,
    /// A length, negative ones as such.
    Seconds(i64),
}

impl Interval {
    /// Gives the length; `now` and negative ones are none at all.
    pub fn duration(self) -> Duration {
        match self {
            Interval::Now => Duration::ZERO,
            Interval::Seconds(seconds) => {
                Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
            }
        }
    }
}

/// Reads an interval; letters that are no unit go to `complain` and count as `unit`.
///
/// Source: guide 4.1; observed: 8.17.1.9 (wrong letters do not stop the reading).
pub fn interval(text: &[u8], unit: IntervalUnit, complain: &mut dyn FnMut(u8)) -> Interval {
    if text.eq_ignore_ascii_case(b"now") {
        return Interval::Now;
    }
    let (negative, mut rest) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    let mut seconds = 0i64;
    while !rest.is_empty() {
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let (digits, tail) = rest.split_at(digits);
        let unit = match tail.first() {
            None => unit,
            Some(&letter) => IntervalUnit::from_letter(letter).unwrap_or_else(|| {
                complain(letter);
                unit
            }),
        };
        let scale = i64::try_from(unit.seconds()).unwrap_or(1);
        seconds = seconds.saturating_add(number(digits).saturating_mul(scale));
        rest = tail.get(1..).unwrap_or_default();
    }
    Interval::Seconds(if negative { -seconds } else { seconds })
}

/// Cuts a list at blanks and punctuation; empty words do not count.
///
/// So are the words of PrivacyOptions and DontBlameSendmail told apart.
pub fn alphanumeric_words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| !byte.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
}

/// Undoes quotes and backslashes up to `stop` outside of quotes.
///
/// Returns the text and what stands behind `stop`.
/// Observed: 8.17.1.9 (D lines, greeting, mailer fields).
pub fn unquote(text: &[u8], stop: Option<u8>) -> (Vec<u8>, &[u8]) {
    let mut out = Vec::with_capacity(text.len());
    let mut quoted = false;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            b'\\' => {
                let Some(&escaped) = text.get(at) else { break };
                at += 1;
                out.push(match escaped {
                    b'b' => 0x08,
                    b'f' => 0x0c,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    other => other,
                });
            }
            b'"' => quoted = !quoted,
            _ if !quoted && Some(byte) == stop => {
                at -= 1;
                break;
            }
            _ => out.push(byte),
        }
    }
    (out, text.get(at..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_far_as_they_go() {
        for (text, value) in [
            ("14", 14),
            ("1x", 1),
            ("abc", 0),
            (" -5 ", -5),
            ("", 0),
            ("99999999999999999999", i64::MAX),
        ] {
            assert_eq!(number(text.as_bytes()), value, "{text}");
        }
        assert_eq!(count(b"-1"), 0);
        assert_eq!(octal(b"0640"), 0o640);
        assert_eq!(octal(b"999"), 0);
    }

    #[test]
    fn intervals_complain_and_go_on() {
        let read = |text: &str| {
            let mut bad = Vec::new();
            let value = interval(text.as_bytes(), IntervalUnit::Minutes, &mut |c| bad.push(c));
            (value, String::from_utf8(bad).unwrap())
        };
        let seconds = |s| Interval::Seconds(s);
        for (text, value, bad) in [
            ("5", seconds(300), ""),
            ("1h30m", seconds(5_400), ""),
            ("5d3h2m1s", seconds(442_921), ""),
            ("xyz", seconds(0), "xyz"),
            ("-2d", seconds(-172_800), ""),
            ("NOW", Interval::Now, ""),
            ("", seconds(0), ""),
            ("1w", seconds(604_800), ""),
        ] {
            assert_eq!(read(text), (value, bad.to_owned()), "{text}");
        }
    }

    #[test]
    fn quotes_and_backslashes_vanish() {
        for (text, out, rest) in [
            ("a b, c", "a b", ", c"),
            ("\"a, b\" c, d", "a, b c", ", d"),
            ("\\r\\n\\,x", "\r\n,x", ""),
            ("end\\", "end", ""),
        ] {
            let (got, left) = unquote(text.as_bytes(), Some(b','));
            assert_eq!((got, left), (out.into(), rest.as_bytes()), "{text}");
        }
    }
}
