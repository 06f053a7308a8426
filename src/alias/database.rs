//! The AliasFile list: where the right-hand side of an alias comes from.

use crate::map::MapFailure;

/// All alias databases of one configuration, in their order.
pub struct AliasDatabase {}

impl AliasDatabase {
    /// Looks a local name up; the first database that knows it wins.
    ///
    /// # Errors
    /// [`MapFailure::Temporary`] when a database could not answer.
    pub fn lookup(&self, _name: &[u8]) -> Result<Option<Vec<u8>>, MapFailure> {
        unimplemented!("alias: database")
    }
}
