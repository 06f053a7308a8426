//! Tokens back to bytes.

use super::buffer::Token;
use super::mark::{Mark, QUOTE};
use super::syntax::{AddressSyntax, Kind};

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
        let is_word = syntax.kind(first) == Kind::Atom;
        if after_word && is_word {
            out.push(space);
        }
        out.extend(bytes.iter().copied().filter(|&b| b != QUOTE));
        after_word = is_word;
    }
}

/// A symbol that ends up in an address has no good spelling; its source form is the least bad.
fn push_symbol(mark: Mark, argument: u16, out: &mut Vec<u8>) {
    out.push(b'$');
    if mark.character() != 0 {
        out.push(mark.character());
    }
    if let (true, Ok(letter)) = (mark.has_argument(), u8::try_from(argument)) {
        out.push(letter);
    }
}
