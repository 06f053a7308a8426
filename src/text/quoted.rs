//! Octets outside of quotes.

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
}
