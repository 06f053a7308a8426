//! Class `dns`: any record of a name.

use std::sync::Arc;

use super::definition::{Details, DnsDetails, MapDefinition};
use super::flags::MapFlags;
use super::lookup::{LookupContext, Map, MapAnswer, STATUS_NOT_FOUND};
use super::set::MapServices;
use crate::dns::resolver::{Patience, RecordData, Resolver};

/// How long one question waits when only `-r` was given.
const DEFAULT_RETRANSMIT: std::time::Duration = std::time::Duration::from_secs(5);
/// How often one question is asked when only `-d` was given.
const DEFAULT_RETRIES: u32 = 4;

/// What to ask and how to show the answer.
pub(super) struct DnsMap {
    flags: MapFlags,
    details: Option<DnsDetails>,
    resolver: Arc<dyn Resolver>,
}

impl DnsMap {
    pub(super) fn new(definition: &MapDefinition, services: &MapServices) -> DnsMap {
        let details = match &definition.details {
            Details::Dns(details) => Some(details.clone()),
            _ => None,
        };
        DnsMap {
            flags: definition.flags.clone(),
            details,
            resolver: services.resolver.clone(),
        }
    }
}

impl Map for DnsMap {
    fn lookup(&self, key: &[u8], arguments: &[&[u8]], _: &mut LookupContext<'_>) -> MapAnswer {
        let Some((details, kind)) = self.details.as_ref().and_then(|d| Some((d, d.kind?))) else {
            return MapAnswer::failed(STATUS_NOT_FOUND);
        };
        let name = if details.base.is_empty() {
            key.to_vec()
        } else {
            [key, b".", &details.base].concat()
        };
        let answer = match self.resolver.query(&name, kind, patience(details)) {
            Ok(answer) => answer,
            Err(failure) if failure.is_temporary() => return MapAnswer::temporary(),
            Err(_) => return MapAnswer::failed(STATUS_NOT_FOUND),
        };
        let values = answer.of_type(kind).filter_map(shown);
        let stored = match self.flags.separator {
            None => values.into_iter().next(),
            Some(separator) => {
                let all: Vec<_> = values.take(details.limit.unwrap_or(usize::MAX)).collect();
                (!all.is_empty()).then(|| all.join(&separator))
            }
        };
        match stored {
            Some(stored) => MapAnswer::found(self.flags.value(key, &stored, arguments)),
            None => MapAnswer::failed(STATUS_NOT_FOUND),
        }
    }
}

fn patience(details: &DnsDetails) -> Patience {
    match (details.retransmit, details.retries) {
        (None, None) => Patience::Normal,
        (retransmit, retries) => Patience::Custom {
            retransmit: retransmit.unwrap_or(DEFAULT_RETRANSMIT),
            retries: retries.unwrap_or(DEFAULT_RETRIES),
        },
    }
}

/// Shows the part of a record that is the value; octets that cannot be printed become `X`.
fn shown(data: &RecordData) -> Option<Vec<u8>> {
    let mut text = match data {
        RecordData::A(address) => address.to_string().into_bytes(),
        RecordData::Aaaa(address) => address.to_string().into_bytes(),
        RecordData::Cname(name) | RecordData::Ns(name) | RecordData::Ptr(name) => name.clone(),
        RecordData::Txt(text) => text.clone(),
        RecordData::Mx { exchange, .. } => exchange.clone(),
        RecordData::Afsdb { host, .. } => host.clone(),
        RecordData::Srv {
            priority,
            weight,
            port,
            target,
        } => [format!("{priority} {weight} {port} ").as_bytes(), target].concat(),
        _ => return None,
    };
    for octet in &mut text {
        if !(b' '..=b'~').contains(octet) {
            *octet = b'X';
        }
    }
    Some(text)
}
