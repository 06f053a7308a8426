//! Class `bestmx`: the best mail exchangers of a domain.

use std::sync::Arc;

use super::flags::MapFlags;
use super::lookup::{LookupContext, Map, MapAnswer, STATUS_NOT_FOUND, STATUS_UNAVAILABLE};
use super::set::MapServices;
use crate::dns::mx::{MxFailure, MxRules, mail_exchangers};
use crate::dns::resolver::{Patience, Resolver};

/// Asks the name servers; with `-z` all exchangers are the value, else the best one.
pub(super) struct BestMx {
    flags: MapFlags,
    resolver: Arc<dyn Resolver>,
}

impl BestMx {
    pub(super) fn new(flags: MapFlags, services: &MapServices) -> BestMx {
        BestMx {
            flags,
            resolver: services.resolver.clone(),
        }
    }
}

impl Map for BestMx {
    fn lookup(&self, key: &[u8], arguments: &[&[u8]], _: &mut LookupContext<'_>) -> MapAnswer {
        let rules = MxRules {
            // Rules ask whether we are the best one, so nobody is left out.
            is_ourselves: &|_| false,
            fallback: b"",
            try_null_mx_list: false,
            patience: Patience::Normal,
        };
        let found = match mail_exchangers(&*self.resolver, key, &rules) {
            Ok(found) => found,
            Err(MxFailure::Lookup(failure)) if failure.is_temporary() => {
                return MapAnswer::temporary();
            }
            Err(MxFailure::NullMx) => return MapAnswer::failed(STATUS_UNAVAILABLE),
            Err(_) => return MapAnswer::failed(STATUS_NOT_FOUND),
        };
        let mut hosts = found
            .exchangers
            .iter()
            .map(|exchanger| exchanger.host.as_slice());
        let stored = match self.flags.separator {
            None => hosts.next().map(<[u8]>::to_vec),
            Some(separator) => Some(hosts.collect::<Vec<_>>().join(&separator)),
        };
        match stored {
            Some(stored) => MapAnswer::found(self.flags.value(key, &stored, arguments)),
            None => MapAnswer::missing(),
        }
    }
}
