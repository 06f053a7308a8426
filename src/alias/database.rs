//! The AliasFile list: where the right-hand side of an alias comes from.

use std::fmt;

use crate::map::{LookupContext, LookupHost, LookupMode, MapId, MapServices, MapSet};

/// An alias database could not be read; the message must wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AliasesUnavailable;

impl fmt::Display for AliasesUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("alias database unavailable")
    }
}

impl std::error::Error for AliasesUnavailable {}

/// All alias databases of one configuration, in their order.
pub struct AliasDatabase {
    maps: MapSet,
    all: Option<MapId>,
}

impl AliasDatabase {
    /// Makes the list of `services.aliases`; nothing is opened yet.
    pub fn new(services: MapServices) -> AliasDatabase {
        let maps = MapSet::new(&[], services);
        let all = maps.find(b"aliases");
        AliasDatabase { maps, all }
    }

    /// Looks a local name up; the first database that knows it wins.
    ///
    /// The order is that of the service switch for `aliases`, then of option AliasFile.
    /// `host` hears about missing databases and judges the names of a text version.
    ///
    /// # Errors
    /// [`AliasesUnavailable`] when a database could not be read and no other knew the name.
    pub fn lookup(
        &self,
        name: &[u8],
        host: &mut dyn LookupHost,
    ) -> Result<Option<Vec<u8>>, AliasesUnavailable> {
        let Some(all) = self.all else { return Ok(None) };
        let mut cx = LookupContext {
            host,
            mode: LookupMode::Aliases,
        };
        let answer = self.maps.ask(all, name, &[], &mut cx);
        if answer.value.is_none() && answer.is_temporary() {
            return Err(AliasesUnavailable);
        }
        Ok(answer.value)
    }
}
