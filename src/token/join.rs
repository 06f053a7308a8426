//! Tokens back to bytes.

use super::buffer::Token;
use super::mark::{Mark, QUOTE};
use super::syntax::AddressSyntax;

/// Appends `tokens` to `out`; `bytes_of` gives the bytes of a word.
///
/// The octet `space` (BlankSub, or flag `-S` of a map) stands only where two words meet, never beside an
/// operator or a quoted string (observed: 8.17.1.9).
pub fn join<'t>(
    tokens: &[Token],
    bytes_of: impl Fn(&Token) -> &'t [u8],
    syntax: &AddressSyntax,
    space: u8,
    out: &mut Vec<u8>,
) {
    let mut after_word = false;
    for token in tokens {
        if let Some(mark) = token.mark() {
            push_symbol(mark, token.argument(), out);
            after_word = false;
            continue;
        }
        let bytes = bytes_of(token);
        let Some(&first) = bytes.first() else {
            continue;
        };
        let is_word = syntax.is_atom(first);
        if after_word && is_word {
            out.push(space);
        }
        out.extend(bytes.iter().copied().filter(|&b| b != QUOTE));
        after_word = is_word;
    }
}

/// As [`join`], but no more than `limit` octets are appended.
///
/// A blank that would be the first octet too many is still appended (observed: 8.17.1.9).
pub fn join_within<'t>(
    tokens: &[Token],
    bytes_of: impl Fn(&Token) -> &'t [u8],
    syntax: &AddressSyntax,
    space: u8,
    limit: usize,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    let mut after_word = false;
    for token in tokens {
        let mut text = Vec::new();
        join(
            std::slice::from_ref(token),
            &bytes_of,
            syntax,
            space,
            &mut text,
        );
        let is_word = token.mark().is_none()
            && bytes_of(token)
                .first()
                .is_some_and(|&first| syntax.is_atom(first));
        if after_word && is_word {
            out.push(space);
            if out.len() - start > limit {
                return;
            }
        }
        let room = limit - (out.len() - start).min(limit);
        out.extend_from_slice(text.get(..room).unwrap_or(&text));
        if text.len() > room {
            return;
        }
        after_word = is_word;
    }
}

/// A symbol that ends up in an address is the octet that stands for it in rules (observed: 8.17.1.9).
fn push_symbol(mark: Mark, argument: u16, out: &mut Vec<u8>) {
    out.push(mark.octet());
    if let (true, Ok(letter)) = (mark.has_argument(), u8::try_from(argument)) {
        out.push(letter);
    }
}
