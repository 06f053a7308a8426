//! How messages show the `$` symbols of a configuration line.
//!
//! The reference reads a line into a form of its own before it looks at it, and its messages
//! show that form: a symbol is one octet in front of its name, a long name is one octet too.
//! Messages are printed in seven bits, so `$*` comes out as `\x01*`. Observed: 8.17.1.9
//! (`invalid rewrite line "R\x01*" (tab expected)`).

use super::names::read_name;
use crate::token::mark::{Mark, QUOTE, Unit, is_special, unit_at};

/// Stands for a dollar sign.
const DOLLAR: u8 = Mark::Macro.octet();

/// What is known of a line, to show parts of its text.
#[derive(Debug, Clone)]
pub struct LineSymbols {
    /// Long names that may occur, with their octets.
    pub(super) long_names: Vec<(Vec<u8>, u8)>,
    /// The dollar sign at the end is one.
    pub(super) ends_in_dollar: bool,
}

impl LineSymbols {
    /// Gives a part of the line in the form of messages.
    pub fn told(&self, text: &[u8]) -> Vec<u8> {
        let mut shown = told(text, &|name| {
            let known = self.long_names.iter().find(|(known, _)| known == name);
            known.map_or(b' ', |(_, octet)| *octet)
        });
        // The name of the symbol was cut off.
        if let Some(last @ b'$') = shown.last_mut()
            && !self.ends_in_dollar
            && !text.ends_with(b"$$")
        {
            *last = DOLLAR;
        }
        shown
    }
}

/// Gives a text of the configuration in that form; `octet_of` gives the octet of a long name.
pub fn told(line: &[u8], octet_of: &dyn Fn(&[u8]) -> u8) -> Vec<u8> {
    let mut text = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail.split_first()) {
            (b'$', Some((b'$', tail))) => {
                text.push(byte);
                rest = tail;
            }
            (b'$', Some(_)) => {
                text.push(DOLLAR);
                if let Some((&symbol @ (b'=' | b'~' | b'&' | b'?'), tail)) = tail.split_first() {
                    text.push(symbol);
                    rest = tail;
                }
                rest = push_name(rest, octet_of, &mut text);
            }
            _ => push_octet(byte, &mut text),
        }
    }
    text
}

/// Gives marked text in that form.
pub fn told_marked(marked: &[u8], octet_of: &dyn Fn(u16) -> u8) -> Vec<u8> {
    let mut text = Vec::with_capacity(marked.len());
    let mut at = 0;
    while let Some((unit, next)) = unit_at(marked, at) {
        match unit {
            Unit::Octet(octet) => push_octet(octet, &mut text),
            Unit::Symbol(mark, argument) => {
                text.push(mark.octet());
                if mark.has_argument() {
                    text.push(u8::try_from(argument).unwrap_or_else(|_| octet_of(argument)));
                }
            }
        }
        at = next;
    }
    text
}

fn push_octet(octet: u8, text: &mut Vec<u8>) {
    if is_special(octet) {
        text.push(QUOTE);
    }
    text.push(octet);
}

/// Shows a name; a long one without end swallows the line.
fn push_name<'a>(rest: &'a [u8], octet_of: &dyn Fn(&[u8]) -> u8, text: &mut Vec<u8>) -> &'a [u8] {
    let Some((&first, tail)) = rest.split_first() else {
        return rest;
    };
    if first != b'{' {
        text.push(first);
        return tail;
    }
    let Some(end) = memchr::memchr(b'}', tail) else {
        return b"";
    };
    if let Some(name) = read_name(rest, &mut Vec::new()) {
        text.push(match *name {
            [letter] => letter,
            _ => octet_of(&name),
        });
    }
    tail.get(end + 1..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollar_signs_and_long_names_become_one_octet_each() {
        for (line, text) in [
            (b"R$* $$x $=w$".as_slice(), b"R\x81* $x \x81=w$".as_slice()),
            (b"?${z?X: $x", b"?\x81"),
            (b"${foo}b$&{foo}$={x}", b"\x81\xa7b\x81&\xa7\x81=x"),
            (b"a\x80b\x9fc\xa0d\xff", b"a\xff\x80b\xff\x9fc\xa0d\xff\xff"),
        ] {
            assert_eq!(told(line, &|_| 0xa7), text);
        }
    }
}
