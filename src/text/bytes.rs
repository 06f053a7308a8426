//! Bytes as mail sees them: ASCII letters fold, everything else is left alone.

/// Returns a copy with ASCII letters in lower case.
pub fn fold(text: &[u8]) -> Vec<u8> {
    text.to_ascii_lowercase()
}

/// Says whether two texts are the same but for the case of ASCII letters.
pub fn eq_folded(one: &[u8], other: &[u8]) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// Says whether a text starts with a prefix but for the case of ASCII letters.
pub fn starts_with_folded(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Says whether a text ends with a suffix but for the case of ASCII letters.
pub fn ends_with_folded(text: &[u8], suffix: &[u8]) -> bool {
    text.len()
        .checked_sub(suffix.len())
        .and_then(|start| text.get(start..))
        .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
}

/// Returns the text without ASCII white space at both ends.
pub fn trim(text: &[u8]) -> &[u8] {
    text.trim_ascii()
}

/// Says whether an octet is white space to the C library, which counts the vertical tab too.
pub fn is_space(octet: &u8) -> bool {
    octet.is_ascii_whitespace() || *octet == 0x0b
}

/// Returns the text without what the C library calls white space at its start.
pub fn skip_spaces(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|octet| !is_space(octet));
    start.and_then(|at| text.get(at..)).unwrap_or(b"")
}

/// Returns the text without what the C library calls white space at its end.
pub fn drop_end_spaces(text: &[u8]) -> &[u8] {
    let last = text.iter().rposition(|octet| !is_space(octet));
    last.and_then(|at| text.get(..=at)).unwrap_or(b"")
}

/// Finds the first occurrence of a text in another.
pub fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, wanted)
}

/// Finds the first occurrence of a text in another but for the case of ASCII letters.
pub fn find_folded(text: &[u8], wanted: &[u8]) -> Option<usize> {
    if wanted.is_empty() {
        return Some(0);
    }
    text.windows(wanted.len())
        .position(|window| window.eq_ignore_ascii_case(wanted))
}

/// Splits at the first occurrence of a byte, which belongs to neither part.
pub fn split_once(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(byte, text)?;
    Some((&text[..at], &text[at + 1..]))
}

/// Splits at the last occurrence of a byte, which belongs to neither part.
pub fn rsplit_once(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memrchr(byte, text)?;
    Some((&text[..at], &text[at + 1..]))
}

/// Splits into words at what the C library calls white space.
pub fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// Reads a whole decimal number, without sign or space around it.
pub fn parse_decimal<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Says whether every byte is a printable ASCII character or a space.
pub fn is_printable(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, 0x20..=0x7e))
}

/// Shows foreign bytes in messages to people: what is not printable ASCII becomes `\ooo`.
///
/// Newline, carriage return and tab have their letters; a backslash is doubled.
pub fn escape_for_display(text: &[u8]) -> String {
    let mut shown = String::with_capacity(text.len());
    for &byte in text {
        match byte {
            b'\n' => shown.push_str("\\n"),
            b'\r' => shown.push_str("\\r"),
            b'\t' => shown.push_str("\\t"),
            b'\\' => shown.push_str("\\\\"),
            0x20..=0x7e => shown.push(char::from(byte)),
            _ => shown.push_str(&format!("\\{byte:03o}")),
        }
    }
    shown
}

/// Shows bytes for people without changing their length much: each byte that is
/// not printable ASCII becomes a question mark.
pub fn printable(text: &[u8]) -> String {
    text.iter()
        .map(|&byte| {
            if matches!(byte, 0x20..=0x7e) {
                char::from(byte)
            } else {
                '?'
            }
        })
        .collect()
}

/// Shortens a text of `limit` bytes or more to `limit` bytes with `...` in its middle.
pub fn shorten(text: &[u8], limit: usize) -> Vec<u8> {
    const GAP: &[u8] = b"...";
    if text.len() < limit {
        return text.to_vec();
    }
    let Some(kept) = limit.checked_sub(GAP.len()) else {
        return text[..limit].to_vec();
    };
    let (head, tail) = (kept / 2, kept - kept / 2);
    [&text[..head], GAP, &text[text.len() - tail..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ascii_letters_fold() {
        assert_eq!(fold(b"AbC\xc4"), b"abc\xc4");
        assert!(eq_folded(b"Mail", b"mAIL") && !eq_folded(b"a", b"ab"));
        assert!(starts_with_folded(b"HELO x", b"helo") && !starts_with_folded(b"he", b"helo"));
        assert!(ends_with_folded(b"a.DB", b".db") && !ends_with_folded(b"b", b".db"));
    }

    #[test]
    fn searching_and_splitting() {
        assert_eq!(find(b"a@b@c", b"@"), Some(1));
        assert_eq!(find_folded(b"xABy", b"ab"), Some(1));
        assert_eq!(find_folded(b"x", b"ab"), None);
        assert_eq!(split_once(b"a@b@c", b'@'), Some((&b"a"[..], &b"b@c"[..])));
        assert_eq!(rsplit_once(b"a@b@c", b'@'), Some((&b"a@b"[..], &b"c"[..])));
        assert_eq!(words(b" a  b\t").collect::<Vec<_>>(), [b"a", b"b"]);
    }

    #[test]
    fn numbers_have_digits_only() {
        for (text, value) in [
            ("12", Some(12_u8)),
            ("", None),
            ("+1", None),
            ("256", None),
            (" 1", None),
        ] {
            assert_eq!(parse_decimal::<u8>(text.as_bytes()), value, "{text:?}");
        }
    }

    #[test]
    fn foreign_bytes_are_shown_harmlessly() {
        assert_eq!(
            escape_for_display(b"a\r\n\x1b\\\xff"),
            "a\\r\\n\\033\\\\\\377"
        );
        assert_eq!(printable(b"a\x07\xffz"), "a??z");
    }

    #[test]
    fn shortening_keeps_both_ends() {
        assert_eq!(shorten(b"abcdefghij", 7), b"ab...ij");
        assert_eq!(shorten(b"abc", 7), b"abc");
        assert_eq!(shorten(b"abcdef", 2), b"ab");
    }
}
