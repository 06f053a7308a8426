//! xtext: the encoding of parameter values (RFC 3461 section 4).
//!
//! Printable ASCII except `+` and `=` stands for itself, everything else is `+XX`
//! with two hexadecimal digits.

/// Appends `octets` encoded as xtext.
pub fn encode(octets: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &octet in octets {
        if is_plain(octet) {
            out.push(octet);
        } else {
            out.push(b'+');
            out.push(DIGITS[usize::from(octet >> 4)]);
            out.push(DIGITS[usize::from(octet & 15)]);
        }
    }
}

/// Decodes xtext; `None` when it is malformed.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&octet, tail)) = rest.split_first() {
        rest = tail;
        if octet != b'+' {
            if !is_plain(octet) {
                return None;
            }
            out.push(octet);
            continue;
        }
        let (high, low) = (hex(*rest.first()?)?, hex(*rest.get(1)?)?);
        out.push(high << 4 | low);
        rest = rest.get(2..)?;
    }
    Some(out)
}

/// Tells whether a text is well-formed xtext.
pub fn is_xtext(text: &[u8]) -> bool {
    decode(text).is_some()
}

fn is_plain(octet: u8) -> bool {
    (b'!'..=b'~').contains(&octet) && octet != b'+' && octet != b'='
}

/// Returns the value of a hexadecimal digit.
///
/// RFC 3461 allows upper case only; 8.17.1.9 takes both.
fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_survives_both_ways() {
        let all: Vec<u8> = (0..=255).collect();
        let mut text = Vec::new();
        encode(&all, &mut text);
        assert_eq!(decode(&text), Some(all));
    }

    #[test]
    fn plain_text_stays_as_it_is() {
        let mut text = Vec::new();
        encode(b"Bob@orig.test", &mut text);
        assert_eq!(text, b"Bob@orig.test");
    }

    #[test]
    fn malformed_text_is_refused() {
        for text in ["a b", "+", "+1", "+1g", "+xb", "a=b", "\u{e9}"] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
    }
}
