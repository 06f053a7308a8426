//! One reply of a server as the client needs it.
//!
//! Unlike [`crate::smtp::Reply`] it can hold any three digits: a server that
//! answers 150 has broken the protocol, and the log and the bounce must show
//! what it said. The first line is kept whole; the log quotes that one.

use crate::smtp::EnhancedStatus;

/// Most lines of one reply that are kept; the rest is read and dropped.
const MAX_LINES: usize = 200;

/// A complete reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The three digits of the last line.
    pub code: u16,
    /// The enhanced status code of the first line, if the server offers them.
    pub enhanced: Option<EnhancedStatus>,
    /// The first line with code and separator, without line end.
    pub first_line: Vec<u8>,
    /// The text of each line behind code and separator.
    pub lines: Vec<Vec<u8>>,
}

impl Answer {
    /// The first line as `reply=` of the log shows it.
    pub fn logged_line(&self) -> Vec<u8> {
        let mut line = self.first_line.clone();
        if let Some(separator) = line.get_mut(3) {
            *separator = b' ';
        }
        line
    }

    /// The text of the first line behind the codes.
    pub fn text_without_codes(&self) -> &[u8] {
        let text = self.lines.first().map_or(&b""[..], Vec::as_slice);
        match self.enhanced.and(EnhancedStatus::parse_prefix(text)) {
            Some((_, length)) => text.get(length..).unwrap_or_default().trim_ascii_start(),
            None => text,
        }
    }

    /// Makes an answer from one line, for tests.
    #[cfg(test)]
    pub(crate) fn parse(line: &str, enhanced_offered: bool) -> Answer {
        let mut builder = AnswerBuilder::new(enhanced_offered);
        builder.line(line.as_bytes()).expect("a complete reply")
    }
}

/// Puts an answer together from lines as they arrive.
#[derive(Debug, Default)]
pub struct AnswerBuilder {
    enhanced_offered: bool,
    partial: Option<Answer>,
}

impl AnswerBuilder {
    /// Waits for a first line.
    pub fn new(enhanced_offered: bool) -> Self {
        AnswerBuilder {
            enhanced_offered,
            partial: None,
        }
    }

    /// Takes a line without its end; gives the answer if it was the last.
    ///
    /// A line that does not begin with three digits and a separator is passed over, as the reference does.
    pub fn line(&mut self, line: &[u8]) -> Option<Answer> {
        let code = code_of(line)?;
        let text = line.get(4..).unwrap_or_default();
        let enhanced_offered = self.enhanced_offered;
        let answer = self.partial.get_or_insert_with(|| Answer {
            code,
            enhanced: enhanced_offered
                .then(|| EnhancedStatus::parse_prefix(text).map(|(status, _)| status))
                .flatten(),
            first_line: line.to_vec(),
            lines: Vec::new(),
        });
        answer.code = code;
        if answer.lines.len() < MAX_LINES {
            answer.lines.push(text.to_vec());
        }
        if line.get(3) == Some(&b'-') {
            None
        } else {
            self.partial.take()
        }
    }
}

fn code_of(line: &[u8]) -> Option<u16> {
    let digits = line.get(..3)?;
    if !digits.iter().all(u8::is_ascii_digit) || !matches!(line.get(3), None | Some(b' ' | b'-')) {
        return None;
    }
    Some(
        digits
            .iter()
            .fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_and_the_first_is_kept_whole() {
        let mut builder = AnswerBuilder::new(true);
        assert_eq!(builder.line(b"550-5.1.1 first"), None);
        assert_eq!(builder.line(b"garbage"), None);
        let answer = builder.line(b"550 5.1.1 second").unwrap();
        assert_eq!(answer.code, 550);
        assert_eq!(answer.first_line, b"550-5.1.1 first");
        assert_eq!(answer.enhanced.unwrap().to_string(), "5.1.1");
        assert_eq!(answer.text_without_codes(), b"first");
        assert_eq!(answer.lines.len(), 2);
    }

    #[test]
    fn enhanced_codes_are_text_unless_offered() {
        let answer = Answer::parse("250 2.0.0 stored", false);
        assert_eq!(answer.enhanced, None);
        assert_eq!(answer.text_without_codes(), b"2.0.0 stored");
        assert_eq!(Answer::parse("250", true).text_without_codes(), b"");
    }

    #[test]
    fn mutated_lines_never_panic() {
        let seed = b"250-5.1.1 x";
        for cut in 0..=seed.len() {
            for octet in [0, b'-', b' ', b'9', 255] {
                let mut line = seed[..cut].to_vec();
                line.push(octet);
                let mut builder = AnswerBuilder::new(true);
                let _ = builder.line(&line);
                let _ = builder
                    .line(b"250 end")
                    .map(|answer| answer.text_without_codes().to_vec());
            }
        }
    }
}
