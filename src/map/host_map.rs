//! Class `host`: canonical names of hosts.

use std::net::IpAddr;
use std::sync::Arc;

use super::flags::MapFlags;
use super::lookup::{LookupContext, Map, MapAnswer, STATUS_NOT_FOUND};
use super::set::MapServices;
use crate::dns::resolver::{Patience, ResolveFailure, Resolver};
use crate::text::bytes::shorten;

/// Longest part of a name in a remark. Observed: 8.17.1.9.
const MAX_SHOWN_NAME: usize = 33;

/// Asks the resolver, which follows the service switch.
pub(super) struct HostMap {
    flags: MapFlags,
    resolver: Arc<dyn Resolver>,
}

impl HostMap {
    pub(super) fn new(flags: MapFlags, services: &MapServices) -> HostMap {
        HostMap {
            flags,
            resolver: services.resolver.clone(),
        }
    }
}

impl Map for HostMap {
    fn lookup(&self, key: &[u8], arguments: &[&[u8]], cx: &mut LookupContext<'_>) -> MapAnswer {
        let found = if let Some(inside) = key.strip_prefix(b"[") {
            let Some(end) = inside.iter().position(|&octet| octet == b']') else {
                return MapAnswer::missing();
            };
            match address_of(inside.get(..end).unwrap_or(&[])) {
                Some(address) => self.resolver.reverse(address, Patience::First),
                None => Err(ResolveFailure::NotFound),
            }
        } else {
            let name = self.resolver.canonical_name(key, Patience::First);
            name.map(|canonical| canonical.name)
        };
        match found {
            // A percent sign in a name means nothing; only -m, -a and the key count.
            Ok(name) => MapAnswer::found(self.flags.value(key, &name, arguments)),
            Err(failure) if failure.is_temporary() => {
                let shown = shorten(key, MAX_SHOWN_NAME);
                cx.host
                    .narrate(&[&shown, b": Name server timeout".as_slice()].concat());
                MapAnswer::temporary()
            }
            Err(_) => MapAnswer::failed(STATUS_NOT_FOUND),
        }
    }
}

fn address_of(literal: &[u8]) -> Option<IpAddr> {
    let text = match literal.get(..5) {
        Some(prefix) if prefix.eq_ignore_ascii_case(b"IPv6:") => literal.get(5..)?,
        _ => literal,
    };
    std::str::from_utf8(text).ok()?.parse().ok()
}
