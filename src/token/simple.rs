//! Text that is cut without a thought.
//!
//! Most addresses, and most values of macros and maps, are short and hold nothing but words,
//! operators, blanks, and angle brackets that close. For those the scanner with its states,
//! comments and repairs is not needed; a glance at each octet tells.

use super::buffer::Token;
use super::syntax::{AddressSyntax, Kind};
use super::tokenizer::MAX_TOKEN_BYTES;

/// Says whether `text` is simple; its tokens are then within all limits.
pub(super) fn is_simple(text: &[u8], delimiter: Option<u8>, syntax: &AddressSyntax) -> bool {
    if text.len() > MAX_TOKEN_BYTES {
        return false;
    }
    let mut angle_depth = 0_u32;
    for &octet in text {
        if syntax.is_ordinary(octet) {
            continue;
        }
        match octet {
            b' ' => {}
            b'<' => angle_depth += 1,
            b'>' if angle_depth == 0 => return false,
            b'>' => angle_depth -= 1,
            0 | b'\\' | b'(' | b')' | 0x80.. => return false,
            _ if syntax.kind(octet) != Kind::Operator => return false,
            _ => {}
        }
    }
    angle_depth == 0 && delimiter.is_none_or(|delimiter| !text.contains(&delimiter))
}

/// Cuts simple text, as the scanner would.
pub(super) fn cut(
    text: &[u8],
    syntax: &AddressSyntax,
    store: &mut Vec<u8>,
    tokens: &mut Vec<Token>,
) {
    let mut rest = text;
    while let Some(&octet) = rest.first() {
        let word = syntax.ordinary_run(rest).len();
        let (token, behind) = rest.split_at_checked(word.max(1)).unwrap_or((rest, b""));
        if octet != b' ' {
            tokens.push(Token::word(store.len(), token));
            store.extend_from_slice(token);
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use crate::token::TokenizeOptions;
    use crate::token::tokenizer::tests::cut;

    /// A comment makes the scanner take the long way and leaves no token.
    #[test]
    fn simple_text_is_cut_as_any_other() {
        let pieces = [
            "a", "bc", ".", "@", "<", ">", ":", ";", ",", " ", "  ", "\\",
        ];
        let mut state = 1_u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..12 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                text.push_str(pieces[(state >> 33) as usize % pieces.len()]);
            }
            let alone = cut(&text, TokenizeOptions::ADDRESS);
            let behind = cut(&format!("(){text}"), TokenizeOptions::ADDRESS);
            assert_eq!(alone.0, behind.0, "{text}");
            assert_eq!(alone.1.len(), behind.1.len(), "{text}");
        }
    }
}
