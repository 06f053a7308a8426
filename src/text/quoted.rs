//! Octets outside of quotes, and text without them.

use std::borrow::Cow;

/// The text ends inside of quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unclosed;

/// Finds the first octet of a kind outside of double quotes and not behind a backslash.
///
/// # Errors
/// [`Unclosed`] when there is none and the text ends inside of quotes.
pub fn find_unquoted(text: &[u8], wanted: impl Fn(u8) -> bool) -> Result<Option<usize>, Unclosed> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let found = text.iter().position(|&octet| {
        if std::mem::take(&mut is_escaped) {
            return false;
        }
        match octet {
            b'\\' => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            _ => {}
        }
        !is_quoted && wanted(octet)
    });
    match found {
        None if is_quoted => Err(Unclosed),
        found => Ok(found),
    }
}

/// Removes double quotes, and backslashes before what they escape.
pub fn strip_quotes(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'"', b'\\', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut stripped = Vec::with_capacity(text.len());
    let mut octets = text.iter().copied();
    while let Some(octet) = octets.next() {
        match octet {
            b'"' => {}
            b'\\' => stripped.extend(octets.next()),
            other => stripped.push(other),
        }
    }
    Cow::Owned(stripped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_hide_what_is_looked_for() {
        for (text, place) in [
            ("a b", Ok(Some(1))),
            ("\"a b\" c", Ok(Some(5))),
            ("a\\ b c", Ok(Some(4))),
            ("a", Ok(None)),
            ("a\"b c", Err(Unclosed)),
        ] {
            assert_eq!(
                find_unquoted(text.as_bytes(), |c| c == b' '),
                place,
                "{text}"
            );
        }
    }

    #[test]
    fn quotes_go_and_what_was_escaped_stays() {
        for (text, stripped) in [
            ("plain", "plain"),
            ("\"quo ted\"", "quo ted"),
            ("\"a \\\"b\\\" c\"", "a \"b\" c"),
            ("a\\\"b\\", "a\"b"),
        ] {
            assert_eq!(*strip_quotes(text.as_bytes()), *stripped.as_bytes());
        }
    }
}
