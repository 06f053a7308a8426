//! Tokens as spans over one byte buffer.
//!
//! A token is sixteen octets and copied freely; its bytes stay where the
//! tokenizer put them. Words carry a hash of their case-folded bytes, so that
//! most comparisons of the matcher end after one machine word. The hash can be
//! continued over several tokens, which is how multi-word members of classes
//! are found without building the phrase.

use super::mark::Mark;

/// One token: a word or a `$` symbol.
#[derive(Debug, Clone, Copy, Eq)]
pub struct Token {
    pub(crate) start: u32,
    pub(crate) len: u32,
    pub(crate) hash: u32,
    pub(crate) argument: u16,
    pub(crate) mark: Option<Mark>,
    traits: Traits,
}

impl PartialEq for Token {
    /// Compares what the rest follows from, without a branch: symbols have no length, and hashes
    /// that no empty word has.
    #[inline]
    fn eq(&self, other: &Token) -> bool {
        let place = (self.start ^ other.start) | (self.len ^ other.len);
        let kind = (self.hash ^ other.hash) | u32::from(self.argument ^ other.argument);
        place | kind == 0
    }
}

/// What is asked of a token again and again, found out once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Traits(u8);

impl Traits {
    /// A word of printable ASCII.
    const PRINTABLE: u8 = 0x40;
    /// A symbol that stands for more than itself in a pattern.
    const PATTERN: u8 = 0x80;
    /// Every trait there is.
    pub const ALL: Traits = Traits(0xff);

    fn of_word(hash: u32, bytes: &[u8]) -> Traits {
        let is_printable = bytes.iter().all(|octet| matches!(octet, b' '..=b'~'));
        Traits::new(hash, if is_printable { Traits::PRINTABLE } else { 0 })
    }

    fn of_symbol(mark: Mark, hash: u32) -> Traits {
        Traits::new(
            hash,
            if mark.is_pattern() {
                Traits::PATTERN
            } else {
                0
            },
        )
    }

    fn new(hash: u32, traits: u8) -> Traits {
        let [code, ..] = (hash ^ (hash >> 16)).to_le_bytes();
        Traits(code & 0x3f | traits)
    }

    /// Returns a number whose lower six bits are the same for the same word in other letter
    /// case and for the same symbol.
    #[inline]
    pub fn code(self) -> u8 {
        self.0
    }

    /// Returns what both have.
    #[inline]
    pub fn and(self, other: Traits) -> Traits {
        Traits(self.0 & other.0)
    }

    #[inline]
    pub fn is_printable(self) -> bool {
        self.0 & Traits::PRINTABLE != 0
    }

    #[inline]
    fn is_pattern(self) -> bool {
        self.0 & Traits::PATTERN != 0
    }
}

/// Set in the start of words that lie in the text of the rules.
const RULES_BIT: u32 = 1 << 31;

/// Start value of the word hash.
pub(crate) const HASH_START: u32 = 0x811c_9dc5;

/// Continues a case-folding hash over more bytes (FNV-1a, 32 bits).
#[inline]
pub(crate) fn hash_more(mut hash: u32, bytes: &[u8]) -> u32 {
    for &byte in bytes {
        hash = (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193);
    }
    hash
}

impl Token {
    /// Makes a word token over `text[start..]` with the given bytes.
    pub(crate) fn word(start: usize, bytes: &[u8]) -> Token {
        let hash = hash_more(HASH_START, bytes);
        Token {
            start: u32::try_from(start).unwrap_or(u32::MAX),
            len: u32::try_from(bytes.len()).unwrap_or(0),
            hash,
            argument: bytes.first().copied().map_or(0, u16::from),
            mark: None,
            traits: Traits::of_word(hash, bytes),
        }
    }

    /// Makes a symbol token.
    pub(crate) fn symbol(mark: Mark, argument: u16) -> Token {
        let hash = u32::from(mark.octet());
        Token {
            start: 0,
            len: 0,
            hash,
            argument,
            mark: Some(mark),
            traits: Traits::of_symbol(mark, hash),
        }
    }

    /// Returns what is asked of tokens most often.
    #[inline]
    pub(crate) fn traits(&self) -> Traits {
        self.traits
    }

    /// Returns the first octet of a word.
    #[inline]
    pub(crate) fn first_octet(&self) -> Option<u8> {
        let [_, octet] = self.argument.to_be_bytes();
        (self.len > 0).then_some(octet)
    }

    /// Returns the octet of a printable word that has no other.
    #[inline]
    pub(crate) fn single_octet(&self) -> Option<u8> {
        let is_single = self.len == 1 && self.is_printable();
        self.first_octet().filter(|_| is_single)
    }

    /// Says whether this is a word of printable ASCII.
    #[inline]
    pub(crate) fn is_printable(&self) -> bool {
        self.traits.is_printable()
    }

    /// Says whether this is a symbol that stands for more than itself in a pattern.
    #[inline]
    pub(crate) fn is_pattern(&self) -> bool {
        self.traits.is_pattern()
    }

    /// Says whether both look the same before their bytes are compared: symbols with the same
    /// mark do, and words of the same length and hash. See [`Token::is_sure`].
    #[inline]
    pub(crate) fn looks_like(&self, other: &Token) -> bool {
        (self.hash == other.hash) & (self.len == other.len)
    }

    /// Says whether two tokens that look like this are the same for certain. The hash of
    /// one octet tells it apart from every other; longer words need a second look.
    #[inline]
    pub(crate) fn is_sure(&self) -> bool {
        self.len <= 1
    }

    /// Returns the symbol this token is, if it is no word.
    #[inline]
    pub fn mark(&self) -> Option<Mark> {
        self.mark
    }

    /// Returns the argument of a symbol: a macro, a class, or a digit. Of a word it is the
    /// first octet.
    pub fn argument(&self) -> u16 {
        self.argument
    }

    /// Says that the bytes lie in the text of the rules and not in that of the address.
    pub(crate) fn in_rules(mut self) -> Token {
        if self.mark.is_none() {
            self.start |= RULES_BIT;
        }
        self
    }

    /// Returns the bytes of a word that lies in either of two texts.
    #[inline]
    pub(crate) fn bytes_in<'t>(&self, address: &'t [u8], rules: &'t [u8]) -> &'t [u8] {
        let (text, start) = if self.start & RULES_BIT == 0 {
            (address, self.start as usize)
        } else {
            (rules, (self.start & !RULES_BIT) as usize)
        };
        text.get(start..start + self.len as usize).unwrap_or(b"")
    }

    /// Returns the bytes of a word inside the text it was cut from.
    #[inline]
    pub(crate) fn bytes<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        let start = self.start as usize;
        text.get(start..start + self.len as usize).unwrap_or(b"")
    }
}

/// Tokens together with the text they point into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenBuffer {
    pub(crate) text: Vec<u8>,
    pub(crate) tokens: Vec<Token>,
}

impl TokenBuffer {
    /// Makes an empty buffer.
    pub fn new() -> TokenBuffer {
        TokenBuffer::default()
    }

    /// Empties the buffer and keeps its memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.tokens.clear();
    }

    /// Returns how many tokens there are.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Says whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Returns the bytes of the word at `index`; empty for a symbol.
    pub fn word(&self, index: usize) -> &[u8] {
        self.tokens
            .get(index)
            .map_or(b"", |token| token.bytes(&self.text))
    }

    /// Returns the words in order; a symbol shows as an empty word.
    pub fn words(&self) -> impl Iterator<Item = &[u8]> {
        self.tokens.iter().map(|token| token.bytes(&self.text))
    }

    /// Returns the tokens themselves.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// Returns the text the tokens point into.
    pub fn text(&self) -> &[u8] {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_octet_is_known_by_its_hash() {
        for left in 0..=u8::MAX {
            for right in 0..=u8::MAX {
                let (one, other) = (Token::word(0, &[left]), Token::word(7, &[right]));
                let same = left.eq_ignore_ascii_case(&right);
                assert_eq!(
                    one.looks_like(&other) && one.is_sure(),
                    same,
                    "{left} {right}"
                );
            }
            let mark = Token::symbol(Mark::Host, 0);
            assert!(!Token::word(0, &[left]).looks_like(&mark));
        }
    }
}
