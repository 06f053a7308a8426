//! Classes: sets of phrases, compared without regard to case.

use std::collections::HashMap;

use super::buffer::{HASH_START, Token, hash_more};

/// The members of one class.
///
/// A member may be a phrase of several tokens; the matcher asks with the
/// tokens written one after the other without blanks, so a phrase is stored
/// just as it stands in the configuration.
#[derive(Debug, Clone, Default)]
pub struct ClassSet {
    words: Vec<Vec<u8>>,
    by_hash: HashMap<u32, Vec<u32>, Spread>,
    longest: usize,
    /// Which hashes there may be.
    glance: Glance,
    /// Which octets a member may begin with, in lower case; one bit for each in 128.
    begins: u128,
}

impl PartialEq for ClassSet {
    fn eq(&self, other: &Self) -> bool {
        self.words == other.words
    }
}

impl Eq for ClassSet {}

/// The bit of the octet that a word begins with.
#[inline]
fn begin_bit(octet: u8) -> u128 {
    1 << (octet.to_ascii_lowercase() & 0x7f)
}

/// A bit for each member of a class: most words are known not to be there at once.
#[derive(Debug, Clone, Copy, Default)]
struct Glance([u64; 4]);

impl Glance {
    #[inline]
    fn place(hash: u32) -> (usize, u64) {
        let [.., middle, high] = (hash ^ (hash << 16)).to_le_bytes();
        (usize::from(high >> 6), 1 << ((high ^ middle) & 63))
    }

    fn add(&mut self, hash: u32) {
        let (word, bit) = Glance::place(hash);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    #[inline]
    fn has(&self, hash: u32) -> bool {
        let (word, bit) = Glance::place(hash);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }
}

/// Uses the word hash as it is; it is well mixed already.
#[derive(Debug, Clone, Copy, Default)]
struct Spread;

impl std::hash::BuildHasher for Spread {
    type Hasher = Identity;
    fn build_hasher(&self) -> Identity {
        Identity(0)
    }
}

struct Identity(u64);

impl std::hash::Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    fn write_u32(&mut self, value: u32) {
        self.0 = u64::from(value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl ClassSet {
    /// Makes an empty class.
    pub fn new() -> ClassSet {
        ClassSet::default()
    }

    /// Adds a member and says whether it is new; empty words are ignored.
    pub fn insert(&mut self, word: &[u8]) -> bool {
        if word.is_empty() || self.contains(word) {
            return false;
        }
        let index = u32::try_from(self.words.len()).unwrap_or(u32::MAX);
        let hash = hash_more(HASH_START, word);
        self.by_hash.entry(hash).or_default().push(index);
        self.glance.add(hash);
        self.begins |= word.first().map_or(0, |&octet| begin_bit(octet));
        self.longest = self.longest.max(word.len());
        self.words.push(word.to_vec());
        true
    }

    /// Says whether `word` is a member, letter case ignored.
    pub fn contains(&self, word: &[u8]) -> bool {
        self.contains_hashed(hash_more(HASH_START, word), |member| {
            member.eq_ignore_ascii_case(word)
        })
    }

    /// Finds a member, letter case ignored, and returns it in its own spelling.
    pub fn find(&self, word: &[u8]) -> Option<&[u8]> {
        self.by_hash
            .get(&hash_more(HASH_START, word))?
            .iter()
            .filter_map(|&i| self.words.get(i as usize))
            .map(Vec::as_slice)
            .find(|member| member.eq_ignore_ascii_case(word))
    }

    /// Says whether a single token is a member.
    #[inline]
    pub(crate) fn contains_token(&self, token: &Token, bytes: &[u8]) -> bool {
        self.contains_hashed(token.hash, |member| member.eq_ignore_ascii_case(bytes))
    }

    #[inline]
    pub(crate) fn contains_hashed(&self, hash: u32, same: impl Fn(&[u8]) -> bool) -> bool {
        self.glance.has(hash)
            && self.by_hash.get(&hash).is_some_and(|indexes| {
                indexes
                    .iter()
                    .filter_map(|&i| self.words.get(i as usize))
                    .any(|member| same(member))
            })
    }

    /// Says whether a member may begin with this octet.
    #[inline]
    pub(crate) fn may_begin_with(&self, octet: u8) -> bool {
        self.begins & begin_bit(octet) != 0
    }

    /// Returns the length of the longest member in octets.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Returns the members in the order they were added, in their own spelling.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.words.iter().map(Vec::as_slice)
    }

    /// Returns how many members there are.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Says whether the class has no members.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_in_any_case() {
        let mut class = ClassSet::new();
        assert!(class.insert(b"Marret"));
        assert!(!class.insert(b"marret"));
        assert!(class.contains(b"MARRET"));
        assert!(!class.contains(b"llevant"));
        assert_eq!(class.iter().collect::<Vec<_>>(), [b"Marret".as_slice()]);
        assert!(class.may_begin_with(b'M') && class.may_begin_with(b'm'));
        assert!(!class.may_begin_with(b'l'));
    }
}
