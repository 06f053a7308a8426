//! Class `stab`: an alias text kept in memory.
//!
//! Class `implicit` comes here too when an alias file has no database.

use std::collections::HashMap;
use std::io::Read;

use super::alias_text::{AliasReader, read_aliases};
use super::definition::MapDefinition;
use super::flags::MapFlags;
use super::lookup::{AliasName, LookupContext, LookupHost, Map, MapAnswer};
use super::open::OpenFault;
use super::set::MapServices;
use crate::sys::file::path_of;
use crate::sys::safe_open::OpenRequest;

/// All aliases of a text, by folded name.
pub(super) struct AliasTextMap {
    flags: MapFlags,
    aliases: HashMap<Vec<u8>, Vec<u8>>,
}

impl AliasTextMap {
    pub(super) fn open(
        definition: &MapDefinition,
        services: &MapServices,
        host: &mut dyn LookupHost,
    ) -> Result<AliasTextMap, OpenFault> {
        // Observed: 8.17.1.9 judges a text it looks names up in as it judges any map.
        let request = OpenRequest::read(path_of(&definition.file)).rules(services.file_rules);
        let opened = services.privileged.open_as(&request);
        let mut text = Vec::new();
        let read = opened
            .ok()
            .and_then(|mut opened| opened.file.read_to_end(&mut text).ok());
        if read.is_none() {
            return Err(OpenFault);
        }
        let mut reader = Reader {
            file: &definition.file,
            host: &mut *host,
            aliases: HashMap::new(),
        };
        let count = read_aliases(&text, &mut reader);
        let aliases = reader.aliases;
        host.summarize(&count.summary(&definition.file));
        Ok(AliasTextMap {
            flags: definition.flags.clone(),
            aliases,
        })
    }
}

impl Map for AliasTextMap {
    fn lookup(&self, key: &[u8], arguments: &[&[u8]], cx: &mut LookupContext<'_>) -> MapAnswer {
        match self.aliases.get(&key.to_ascii_lowercase()) {
            Some(stored) => {
                MapAnswer::found(self.flags.stored_value(key, stored, arguments, cx.mode))
            }
            None => MapAnswer::missing(),
        }
    }

    /// The text may have changed, or somebody may have built its database.
    fn is_makeshift(&self) -> bool {
        true
    }
}

struct Reader<'a> {
    file: &'a [u8],
    host: &'a mut dyn LookupHost,
    aliases: HashMap<Vec<u8>, Vec<u8>>,
}

impl AliasReader for Reader<'_> {
    fn judge(&mut self, line: usize, name: &[u8]) -> AliasName {
        let place = [self.file, format!(": line {line}: ").as_bytes()].concat();
        self.host.judge_alias(&place, name)
    }

    fn store(&mut self, _line: usize, name: &[u8], _shown: &[u8], value: &[u8]) {
        self.aliases
            .insert(name.to_ascii_lowercase(), value.to_vec());
    }

    fn complain(&mut self, line: usize, text: &[u8]) {
        self.host
            .complain(&[self.file, format!(": line {line}: ").as_bytes(), text].concat());
    }
}
