//! Tokens as spans over one byte buffer.
//!
//! A token is sixteen octets and copied freely; its bytes stay where the
//! tokenizer put them. Words carry a hash of their case-folded bytes, so that
//! most comparisons of the matcher end after one machine word. The hash can be
//! continued over several tokens, which is how multi-word members of classes
//! are found without building the phrase.

use super::mark::Mark;

/// One token: a word or a `$` symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub(crate) start: u32,
    pub(crate) len: u32,
    pub(crate) hash: u32,
    pub(crate) argument: u16,
    pub(crate) mark: Option<Mark>,
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
        Token {
            start: u32::try_from(start).unwrap_or(u32::MAX),
            len: u32::try_from(bytes.len()).unwrap_or(0),
            hash: hash_more(HASH_START, bytes),
            argument: 0,
            mark: None,
        }
    }

    /// Makes a symbol token.
    pub(crate) fn symbol(mark: Mark, argument: u16) -> Token {
        Token {
            start: 0,
            len: 0,
            hash: u32::from(mark.octet()),
            argument,
            mark: Some(mark),
        }
    }

    /// Returns the symbol this token is, if it is no word.
    #[inline]
    pub fn mark(&self) -> Option<Mark> {
        self.mark
    }

    /// Returns the argument of a symbol: a macro, a class, or a digit.
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
