//! What separates tokens.

/// What the tokenizer does on meeting a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A token of its own.
    Operator,
    /// Part of a word.
    Atom,
    /// The double quote.
    Quote,
    /// White space, and parentheses where they enclose comments.
    Space,
    /// Takes the next character into its token.
    Prefix,
}

/// Characters that separate tokens in every configuration.
///
/// Source: guide, option OperatorChars.
const BUILT_IN_OPERATORS: &[u8] = b"()<>,;\r\n";

/// Words up to this length are looked at octet by octet.
const SHORT_RUN: usize = 16;

/// The rules for cutting addresses and for joining them again.
#[derive(Debug, Clone)]
pub struct AddressSyntax {
    kinds: [Kind; 256],
    /// What is part of a word and nothing else, however text is read.
    ordinary: [bool; 256],
    operators: Vec<u8>,
    /// What stands between two words when tokens are joined (BlankSub).
    pub space_substitute: u8,
    /// Level of the configuration file (V line).
    pub level: u8,
    /// Whether octets from 0x80 to 0x9f and 0xff may stand in addresses.
    pub eight_bit_addresses: bool,
}

impl AddressSyntax {
    /// Operators of a configuration that sets none (observed: 8.17.1.9).
    pub const DEFAULT_OPERATORS: &'static [u8] = b".:@[]";

    /// Makes the syntax from the value of OperatorChars and the level of the file.
    pub fn new(operators: &[u8], level: u8) -> AddressSyntax {
        let mut kinds = [Kind::Atom; 256];
        for space in *b"\t\n\x0b\x0c\r ()" {
            kinds[usize::from(space)] = Kind::Space;
        }
        kinds[usize::from(b'"')] = Kind::Quote;
        for &operator in operators.iter().chain(BUILT_IN_OPERATORS) {
            let kind = &mut kinds[usize::from(operator)];
            if *kind == Kind::Atom {
                *kind = Kind::Operator;
            }
        }
        let mut ordinary = kinds.map(|kind| kind == Kind::Atom);
        ordinary[0] = false;
        ordinary[usize::from(b'\\')] = false;
        ordinary[0x80..].fill(false);
        AddressSyntax {
            kinds,
            ordinary,
            operators: operators.to_vec(),
            space_substitute: b' ',
            level,
            eight_bit_addresses: false,
        }
    }

    /// Returns the operators as the configuration gave them.
    pub fn operators(&self) -> &[u8] {
        &self.operators
    }

    #[inline]
    pub(crate) fn kind(&self, character: u8) -> Kind {
        self.kinds[usize::from(character)]
    }

    /// Says whether `character` is part of a word and nothing else, however text is read.
    #[inline]
    pub(crate) fn is_ordinary(&self, character: u8) -> bool {
        self.ordinary[usize::from(character)]
    }

    /// Returns the head of `text` that is part of a word and nothing else.
    #[inline]
    pub(crate) fn ordinary_run<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        let count = |text: &[u8]| text.iter().take_while(|&&c| self.is_ordinary(c)).count();
        let mut length = count(text.get(..SHORT_RUN).unwrap_or(text));
        if length == SHORT_RUN {
            let (chunks, _) = text.get(length..).unwrap_or(b"").as_chunks::<8>();
            // All eight are asked: that costs less than eight branches.
            let all =
                |chunk: &&[u8; 8]| chunk.iter().fold(true, |all, &c| all & self.is_ordinary(c));
            length += 8 * chunks.iter().take_while(all).count();
            length += count(text.get(length..).unwrap_or(b""));
        }
        text.get(..length).unwrap_or(text)
    }

    /// Says whether a token that starts with `character` is a word.
    ///
    /// One that starts with the octet of a symbol (a map may have given it) is none. Observed: 8.17.1.9.
    #[inline]
    pub fn is_atom(&self, character: u8) -> bool {
        self.kind(character) == Kind::Atom && !matches!(character, 0x80..0xa0)
    }

    /// Says whether `character` separates tokens.
    pub fn is_operator(&self, character: u8) -> bool {
        self.kind(character) == Kind::Operator || matches!(character, b'(' | b')')
    }
}

impl Default for AddressSyntax {
    fn default() -> Self {
        AddressSyntax::new(Self::DEFAULT_OPERATORS, 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of words end at the first other octet, wherever that is.
    #[test]
    fn runs_end_where_each_octet_alone_says() {
        let syntax = AddressSyntax::default();
        for length in 0..64 {
            for end in [b'@', b' ', b'\\', 0, 0x80] {
                let mut text = vec![b'a'; length];
                text.push(end);
                text.extend_from_slice(b"aaaa aaaa");
                assert_eq!(syntax.ordinary_run(&text).len(), length, "{end}");
                assert_eq!(syntax.ordinary_run(&text[..length]).len(), length);
            }
        }
    }
}
