//! The class sets by number.

use super::id::ClassId;
use crate::token::ClassSet;

/// All classes of one configuration.
#[derive(Debug, Clone, Default)]
pub struct Classes {
    /// Indexed by the number of the name, so that the matcher need not search.
    dense: Vec<Option<Box<ClassSet>>>,
    /// Every word of every class in the spelling it was first met with, which all
    /// classes show (observed: 8.17.1.9).
    spellings: ClassSet,
}

impl Classes {
    /// Makes a table without classes.
    pub fn new() -> Classes {
        Classes::default()
    }

    /// Returns a class, if anything was ever put into it.
    #[inline]
    pub fn get(&self, id: ClassId) -> Option<&ClassSet> {
        self.dense
            .get(usize::from(id.0.number()))
            .and_then(Option::as_deref)
    }

    /// Adds a word and says whether it is new.
    pub fn insert(&mut self, id: ClassId, word: &[u8]) -> bool {
        let index = usize::from(id.0.number());
        self.spellings.insert(word);
        let spelling = self.spellings.find(word).unwrap_or(word);
        if self.dense.len() <= index {
            self.dense.resize_with(index + 1, || None);
        }
        match self.dense.get_mut(index) {
            Some(slot) => slot.get_or_insert_default().insert(spelling),
            None => false,
        }
    }

    /// Adds all members of `source` to `target`.
    pub fn copy(&mut self, source: ClassId, target: ClassId) {
        let Some(words) = self
            .get(source)
            .map(|set| set.iter().map(<[u8]>::to_vec).collect::<Vec<_>>())
        else {
            return;
        };
        for word in words {
            self.insert(target, &word);
        }
    }

    /// Says whether `word` is in the class, letter case ignored.
    pub fn contains(&self, id: ClassId, word: &[u8]) -> bool {
        self.get(id).is_some_and(|set| set.contains(word))
    }
}
