//! Opens one map: from a definition to something that answers.

use std::path::Path;

use super::bestmx::BestMx;
use super::cdb::CdbMap;
use super::class::MapClass;
use super::database_file::DatabaseFile;
use super::definition::{Details, MapDefinition};
use super::dns_map::DnsMap;
use super::host_map::HostMap;
use super::ldap_map::LdapMap;
use super::lookup::{LookupHost, Map};
use super::program::ProgramMap;
use super::regex_map::RegexMap;
use super::set::{MapServices, OPENING_TRACE_LEVEL};
use super::socket::SocketMap;
use super::stab::AliasTextMap;
use super::text_map::TextMap;
use super::user::UserMap;
use super::userdb::UserdbMap;
use super::{pure, syslog_map};
use crate::sys::file::path_of;
use crate::sys::safe_open::{OpenError, OpenRequest, Opened};

/// The map cannot be opened; the reason was reported where the reference reports one.
#[derive(Debug)]
pub(super) struct OpenFault;

/// Opens a map of any class but `sequence` and `switch`.
pub(super) fn open_map(
    definition: &MapDefinition,
    services: &MapServices,
    host: &mut dyn LookupHost,
) -> Result<Box<dyn Map>, OpenFault> {
    let flags = definition.flags.clone();
    trace_call(definition, host);
    Ok(match definition.class {
        MapClass::Hash | MapClass::Btree => {
            Box::new(DatabaseFile::open(definition, services, host)?)
        }
        MapClass::Cdb => Box::new(CdbMap::open(definition, services, host)?),
        MapClass::Text => Box::new(TextMap::open(definition, services, host)?),
        MapClass::Stab => Box::new(AliasTextMap::open(definition, services, host)?),
        MapClass::Implicit => return open_implicit(definition, services, host),
        MapClass::User => Box::new(UserMap::open(definition, services, host)?),
        MapClass::Host => Box::new(HostMap::new(flags, services)),
        MapClass::Bestmx => Box::new(BestMx::new(flags, services)),
        MapClass::Dns => Box::new(DnsMap::new(definition, services)),
        MapClass::Program => Box::new(ProgramMap::new(definition, services)),
        MapClass::Socket => Box::new(SocketMap::open(definition, services, host)?),
        MapClass::Ldap => Box::new(LdapMap::open(definition, services, host)?),
        MapClass::Arpa => Box::new(pure::Arpa(flags)),
        MapClass::Null => Box::new(pure::Null),
        MapClass::Dequote => Box::new(pure::Dequote(flags)),
        MapClass::Arith => Box::new(pure::Arith),
        MapClass::Macro => Box::new(pure::StoreMacro),
        MapClass::Regex => match &definition.details {
            Details::Regex(details) => Box::new(RegexMap::new(flags, details.clone())),
            _ => return Err(OpenFault),
        },
        MapClass::Syslog => match &definition.details {
            Details::Syslog(level) => Box::new(syslog_map::SyslogMap::new(*level)),
            _ => return Err(OpenFault),
        },
        MapClass::Sequence | MapClass::Switch => return Err(OpenFault),
        MapClass::Userdb => Box::new(UserdbMap::new(definition, &services.userdb)),
        MapClass::Nis => {
            let text = [
                b"NIS map ",
                &*definition.file,
                b" specified, but NIS not running",
            ];
            host.complain(&text.concat());
            return Err(OpenFault);
        }
        MapClass::Nisplus => {
            let class = definition.class.name().as_bytes();
            let text = [
                b"map ",
                &*definition.name,
                b": class ",
                class,
                b" is not supported",
            ];
            host.complain(&text.concat());
            return Err(OpenFault);
        }
    })
}

/// Shows which class is about to open which file (debug category 38).
fn trace_call(definition: &MapDefinition, host: &mut dyn LookupHost) {
    if host.trace_level() < OPENING_TRACE_LEVEL {
        return;
    }
    let (name, file) = (&*definition.name, &*definition.file);
    let line = match definition.class {
        MapClass::Hash => [b"hash_map_open(", name, b", ", file, b", 0)\n"].concat(),
        MapClass::Btree => [b"bt_map_open(", name, b", ", file, b", 0)\n"].concat(),
        MapClass::Text => [b"text_map_open(", name, b", ", file, b", 0)\n"].concat(),
        MapClass::Stab => [b"stab_map_open(", name, b", ", file, b", 0)\n"].concat(),
        MapClass::Implicit => {
            let both: &[u8] = &[name, b", ", file, b", 0)\n"].concat();
            [b"impl_map_open(", both, b"hash_map_open(", both].concat()
        }
        MapClass::User => [b"user_map_open(", name, b", 0)\n"].concat(),
        _ => return,
    };
    host.trace(&line);
}

/// A hash file; for aliases the text file where there is no hash file.
fn open_implicit(
    definition: &MapDefinition,
    services: &MapServices,
    host: &mut dyn LookupHost,
) -> Result<Box<dyn Map>, OpenFault> {
    let mut hash = definition.clone();
    hash.class = MapClass::Hash;
    // What the hash class would say about a missing file is not said.
    hash.flags.optional = true;
    if let Ok(map) = DatabaseFile::open(&hash, services, host) {
        return Ok(Box::new(map));
    }
    if !services
        .aliases
        .iter()
        .any(|alias| alias.name == definition.name)
    {
        return Err(OpenFault);
    }
    let warning = b"WARNING: cannot open alias database ";
    host.narrate(&[warning, &*definition.file, b"; reading text version"].concat());
    Ok(Box::new(AliasTextMap::open(definition, services, host)?))
}

/// Opens a file of a map, judged by the rules for maps.
///
/// A name without a slash in front is one of the directory the process is in.
/// Observed: 8.17.1.9.
pub(super) fn open_file(services: &MapServices, path: &[u8]) -> Result<Opened, OpenError> {
    let path = std::path::absolute(path_of(path))?;
    let request = OpenRequest::read(path).rules(services.file_rules);
    services.privileged.open_as(&request)
}

/// Returns the reason as the reference appends it to a complaint about a text file.
///
/// Only a missing directory leaves one behind. Observed: 8.17.1.9.
pub(super) fn reason_of_way(path: &[u8], error: &OpenError) -> Vec<u8> {
    let directory = path_of(path).parent().unwrap_or(Path::new("/"));
    match error {
        OpenError::Io(error) if std::fs::metadata(directory).is_err() => {
            format!(": {}", crate::sys::host::error_text(error)).into_bytes()
        }
        _ => Vec::new(),
    }
}
