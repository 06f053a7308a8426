//! P lines: what a `Precedence:` field is worth.
//!
//! Source: guide 5.7.

/// Most P lines (MAXPRIORITIES).
/// Observed: 8.17.1.9 takes no more than 20.
pub(super) const MAX_PRECEDENCES: usize = 20;

/// Message classes by the word of the `Precedence:` field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Precedences(Vec<(Vec<u8>, i64)>);

impl Precedences {
    /// Gives the class of a word, letter case not regarded; zero for an unknown one.
    pub fn class_of(&self, word: &[u8]) -> i64 {
        self.0
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(word))
            .map_or(0, |(_, class)| *class)
    }

    /// Gives the entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], i64)> {
        self.0.iter().map(|(name, class)| (name.as_slice(), *class))
    }

    /// Adds an entry; false when there is no room for it.
    pub(super) fn push(&mut self, name: &[u8], class: i64) -> bool {
        let fits = self.0.len() < MAX_PRECEDENCES;
        if fits {
            self.0.push((name.to_vec(), class));
        }
        fits
    }
}
