//! All maps of one configuration.

use super::definition::MapDefinition;
use super::lookup::{LookupContext, MapAnswer, MapFailure};

/// Index of one map in its [`MapSet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MapId(u16);

/// What map classes need from the rest of the house.
pub struct MapServices {}

/// All maps of one configuration, opened on first use.
pub struct MapSet {}

impl MapSet {
    /// Makes the set; no file is opened yet.
    ///
    /// Holds the built-in maps `dequote`, `host`, `aliases`, `aliases.files` and `users` as well.
    pub fn new(_definitions: &[MapDefinition], _services: MapServices) -> MapSet {
        unimplemented!("map: set")
    }

    /// Finds a map by its name, letter case ignored.
    pub fn find(&self, _name: &[u8]) -> Option<MapId> {
        unimplemented!("map: set")
    }

    /// Returns the name of a map.
    pub fn name(&self, _id: MapId) -> &[u8] {
        unimplemented!("map: set")
    }

    /// Returns the octet flag `-S` puts between the words of a key instead of a space.
    pub fn space_substitute(&self, _id: MapId) -> Option<u8> {
        unimplemented!("map: set")
    }

    /// Says whether flag `-D` keeps this map from being asked in delivery mode `defer`.
    pub fn waits_when_deferred(&self, _id: MapId) -> bool {
        unimplemented!("map: set")
    }

    /// Asks one map and tells all it said: for `/map` and the traces of test mode.
    pub fn ask(
        &self,
        _id: MapId,
        _key: &[u8],
        _arguments: &[&[u8]],
        _cx: &mut LookupContext<'_>,
    ) -> MapAnswer {
        unimplemented!("map: set")
    }

    /// Asks one map as `$( $)` does: flags `-t`, `-T` and `-D` are taken care of.
    ///
    /// # Errors
    /// [`MapFailure::Temporary`] when the answer is not known now; the message must wait.
    pub fn lookup(
        &self,
        _id: MapId,
        _key: &[u8],
        _arguments: &[&[u8]],
        _cx: &mut LookupContext<'_>,
    ) -> Result<Option<Vec<u8>>, MapFailure> {
        unimplemented!("map: set")
    }
}
