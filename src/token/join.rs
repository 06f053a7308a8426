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
        push_word(token, bytes, out);
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
        let word = bytes_of(token);
        let is_word =
            token.mark().is_none() && word.first().is_some_and(|&first| syntax.is_atom(first));
        if after_word && is_word {
            out.push(space);
            if out.len() - start > limit {
                return;
            }
        }
        let end = start + limit.max(out.len() - start);
        match token.mark() {
            None => push_word(token, word, out),
            Some(mark) => push_symbol(mark, token.argument(), out),
        }
        if out.len() > end {
            out.truncate(end);
            return;
        }
        after_word = is_word;
    }
}

/// Appends a word without the octets that only shield others.
#[inline]
fn push_word(token: &Token, word: &[u8], out: &mut Vec<u8>) {
    if !token.is_printable() && word.contains(&QUOTE) {
        out.extend(word.iter().copied().filter(|&octet| octet != QUOTE));
    } else {
        out.extend_from_slice(word);
    }
}

/// A symbol that ends up in an address is the octet that stands for it in rules (observed: 8.17.1.9).
fn push_symbol(mark: Mark, argument: u16, out: &mut Vec<u8>) {
    out.push(mark.octet());
    if let (true, Ok(letter)) = (mark.has_argument(), u8::try_from(argument)) {
        out.push(letter);
    }
}
