//! Lines of the form `name, letter=value, ...`: M, Q and X lines.
//!
//! Values end at a comma outside of quotes; only the first letter of a field's
//! name counts.
//!
//! Source: guide 5.4, 5.10, 5.11; observed: 8.17.1.9.

use super::options::value::unquote;

fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// Cuts the name off: it ends at a comma or a blank.
pub fn split_name(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line
        .iter()
        .position(|&byte| byte == b',' || is_blank(byte))
        .unwrap_or(line.len());
    (&line[..end], line.get(end + 1..).unwrap_or_default())
}

/// One field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// First letter of its name.
    pub letter: u8,
    /// Its value, quotes and backslashes undone.
    pub value: Vec<u8>,
}

/// A field without an equal sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EqualSignMissing;

/// Goes through the fields of a line; ends after a field without an equal sign.
#[derive(Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Begins behind the name.
    pub fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }
}

impl Iterator for Fields<'_> {
    type Item = Result<Field, EqualSignMissing>;

    fn next(&mut self) -> Option<Self::Item> {
        // Whether the line has come to its end is asked before separators are skipped,
        // so a trailing comma counts as a field without an equal sign.
        if self.rest.is_empty() {
            return None;
        }
        let skip = self
            .rest
            .iter()
            .take_while(|&&byte| byte == b',' || is_blank(byte))
            .count();
        let field = &self.rest[skip..];
        let end = field.iter().position(|byte| matches!(byte, b'=' | b','));
        let (Some(&letter), Some(end)) = (field.first(), end) else {
            self.rest = b"";
            return Some(Err(EqualSignMissing));
        };
        if field[end] != b'=' {
            self.rest = b"";
            return Some(Err(EqualSignMissing));
        }
        let body = &field[end + 1..];
        let blanks = body.iter().take_while(|&&byte| is_blank(byte)).count();
        let (value, rest) = unquote(&body[blanks..], Some(b','));
        self.rest = rest;
        Some(Ok(Field { letter, value }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Vec<Option<(char, String)>> {
        Fields::new(line.as_bytes())
            .map(|field| {
                let field = field.ok()?;
                Some((
                    char::from(field.letter),
                    String::from_utf8(field.value).unwrap(),
                ))
            })
            .collect()
    }

    #[test]
    fn fields_end_at_commas() {
        let field = |letter, value: &str| Some((letter, value.to_owned()));
        assert_eq!(
            read(" Path=/x, A=\"a, b\" c,,E=\\r\\n"),
            [field('P', "/x"), field('A', "a, b c"), field('E', "\r\n")]
        );
        assert_eq!(read("P=/x,"), [field('P', "/x"), None]);
        assert_eq!(read("P=/x, y, A=b"), [field('P', "/x"), None]);
    }

    #[test]
    fn names_end_at_blanks_and_commas() {
        assert_eq!(split_name(b"x P=/y"), (b"x".as_slice(), b"P=/y".as_slice()));
        assert_eq!(split_name(b"x,P"), (b"x".as_slice(), b"P".as_slice()));
        assert_eq!(split_name(b"x"), (b"x".as_slice(), b"".as_slice()));
        assert_eq!(split_name(b" x"), (b"".as_slice(), b"x".as_slice()));
    }
}
