//! One opened Berkeley file of either layout.

use std::fs::File;

use super::page::{Fault, Layout, LayoutNumbers, Pages};
use super::{btree, hash};

/// An opened file; lookups from several threads may run at the same time.
pub struct Database {
    pages: Pages,
}

impl Database {
    /// Opens a file that is already checked for safety.
    ///
    /// # Errors
    /// [`Fault`] when it is not a Berkeley file or uses something unknown.
    pub fn open(file: File) -> Result<Database, Fault> {
        Database::from_pages(Pages::open(Box::new(file))?)
    }

    /// Opens a file that is wholly in memory.
    ///
    /// # Errors
    /// As for [`Database::open`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Database, Fault> {
        Database::from_pages(Pages::open(Box::new(bytes))?)
    }

    fn from_pages(pages: Pages) -> Result<Database, Fault> {
        match &pages.numbers {
            LayoutNumbers::Hash(numbers) => hash::check(numbers)?,
            LayoutNumbers::Btree { .. } => btree::check(pages.flags)?,
        }
        Ok(Database { pages })
    }

    /// Returns the layout of the file.
    pub fn layout(&self) -> Layout {
        match &self.pages.numbers {
            LayoutNumbers::Hash(_) => Layout::Hash,
            LayoutNumbers::Btree { .. } => Layout::Btree,
        }
    }

    /// Says whether the file was made for several values of one key.
    pub fn allows_duplicates(&self) -> bool {
        self.pages.flags & 1 != 0
    }

    /// Returns the first value of `key`.
    ///
    /// # Errors
    /// [`Fault`] when the pages needed for the answer cannot be read.
    pub fn lookup(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        match &self.pages.numbers {
            LayoutNumbers::Hash(numbers) => hash::lookup(&self.pages, numbers, key),
            LayoutNumbers::Btree { root } => btree::lookup(&self.pages, *root, key),
        }
    }

    /// Hands every pair to `visit` until it returns false.
    ///
    /// # Errors
    /// [`Fault`] at the first page that cannot be read.
    pub fn scan(&self, visit: &mut dyn FnMut(&[u8], Vec<u8>) -> bool) -> Result<(), Fault> {
        match &self.pages.numbers {
            LayoutNumbers::Hash(numbers) => hash::scan(&self.pages, numbers, visit),
            LayoutNumbers::Btree { root } => btree::scan(&self.pages, *root, visit),
        }
    }
}
