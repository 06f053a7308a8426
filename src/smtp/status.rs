//! Enhanced status codes: the `5.1.1` of RFC 3463.

use std::fmt;

use super::ExitStatus;

/// An enhanced status code: class 2, 4 or 5, a subject and a detail.
///
/// Source: RFC 3463 section 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnhancedStatus {
    class: u8,
    subject: u16,
    detail: u16,
}

/// The largest subject or detail: three digits.
const MAX_PART: u16 = 999;

impl EnhancedStatus {
    /// Makes a code; `None` when the class is not 2, 4 or 5 or a part has more than three digits.
    pub fn new(class: u8, subject: u16, detail: u16) -> Option<Self> {
        let legal = matches!(class, 2 | 4 | 5) && subject <= MAX_PART && detail <= MAX_PART;
        legal.then_some(Self {
            class,
            subject,
            detail,
        })
    }

    /// Parses a text that is exactly one code.
    pub fn parse(text: &[u8]) -> Option<Self> {
        match Self::parse_prefix(text) {
            Some((status, length)) if length == text.len() => Some(status),
            _ => None,
        }
    }

    /// Parses a code at the start of a text and returns it with its length.
    ///
    /// The code must end at the end of the text or before a blank, as in a reply line.
    pub fn parse_prefix(text: &[u8]) -> Option<(Self, usize)> {
        let class = match *text.first()? {
            digit @ (b'2' | b'4' | b'5') => digit - b'0',
            _ => return None,
        };
        let mut at = 1;
        let mut part = || -> Option<u16> {
            if text.get(at) != Some(&b'.') {
                return None;
            }
            at += 1;
            let digits = text
                .get(at..)?
                .iter()
                .take_while(|octet| octet.is_ascii_digit())
                .count();
            if digits == 0 || digits > 3 {
                return None;
            }
            let value = text
                .get(at..at + digits)?
                .iter()
                .fold(0, |sum, d| sum * 10 + u16::from(d - b'0'));
            at += digits;
            Some(value)
        };
        let (subject, detail) = (part()?, part()?);
        match text.get(at) {
            None | Some(b' ' | b'\t' | b'\r' | b'\n') => Some((
                Self {
                    class,
                    subject,
                    detail,
                },
                at,
            )),
            Some(_) => None,
        }
    }

    /// Returns the code that stands for an exit status: `5.1.1` for an unknown user.
    pub fn from_exit(status: ExitStatus) -> Self {
        match status.description() {
            Some(description) => description.enhanced,
            None if status == ExitStatus::Ok => Self {
                class: 2,
                subject: 0,
                detail: 0,
            },
            None => Self {
                class: 5,
                subject: 0,
                detail: 0,
            },
        }
    }

    /// Returns the class: 2 success, 4 temporary failure, 5 permanent failure.
    pub fn class(self) -> u8 {
        self.class
    }

    /// Returns the subject.
    pub fn subject(self) -> u16 {
        self.subject
    }

    /// Returns the detail.
    pub fn detail(self) -> u16 {
        self.detail
    }

    /// Returns the same subject and detail in another class.
    pub fn with_class(self, class: u8) -> Option<Self> {
        Self::new(class, self.subject, self.detail)
    }

    /// Tells whether the code says "try again later".
    pub fn is_temporary(self) -> bool {
        self.class == 4
    }
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_and_written() {
        for text in ["5.1.1", "2.0.0", "4.7.12", "5.999.999"] {
            let code = EnhancedStatus::parse(text.as_bytes()).expect(text);
            assert_eq!(code.to_string(), text);
        }
    }

    #[test]
    fn what_is_not_a_code_is_refused() {
        for text in [
            "", "5", "5.1", "5.1.", "3.1.1", "5.1.1.1", "5.1000.1", "5.1.1x", "x", "5..1",
        ] {
            assert_eq!(EnhancedStatus::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_code_before_a_text_is_found_with_its_length() {
        let (code, length) = EnhancedStatus::parse_prefix(b"5.7.1 Denied").expect("a code");
        assert_eq!((code.to_string().as_str(), length), ("5.7.1", 5));
        assert_eq!(EnhancedStatus::parse_prefix(b"5.7.1Denied"), None);
    }

    #[test]
    fn an_unknown_user_is_5_1_1() {
        assert_eq!(
            EnhancedStatus::from_exit(ExitStatus::NoUser).to_string(),
            "5.1.1"
        );
        assert_eq!(
            EnhancedStatus::from_exit(ExitStatus::TempFail).to_string(),
            "4.0.0"
        );
        assert_eq!(
            EnhancedStatus::from_exit(ExitStatus::Other(9)).to_string(),
            "5.0.0"
        );
    }
}
