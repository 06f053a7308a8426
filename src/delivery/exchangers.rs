//! Which hosts one transaction of an `[IPC]` mailer goes to.
//!
//! Source: guide 5.4 flag 0, 5.6 FallbackMXhost, FallbackSmartHost, TryNullMXList.

use crate::config::options::Options;
use crate::dns::mx::{self, MxFailure, MxList, MxRules};
use crate::dns::{Patience, ResolveFailure, Resolver};
use crate::mailer::Mailer;
use crate::text::idna::ascii_domain;

/// What the answer depends on besides the host.
pub struct Asking<'a> {
    /// The mailer.
    pub mailer: &'a Mailer,
    /// The options of the configuration.
    pub options: &'a Options,
    /// Answers questions about hosts.
    pub resolver: &'a dyn Resolver,
    /// Says whether a name is one of ours (class w).
    pub is_ourselves: &'a dyn Fn(&[u8]) -> bool,
    /// How long to ask.
    pub patience: Patience,
}

/// Finds the hosts to try for `host`, best first; a name beyond ASCII is asked for in its ASCII
/// form (RFC 6531 section 3.2) where addresses may have one.
///
/// # Errors
/// See [`MxFailure`].
pub fn exchangers(asking: &Asking<'_>, host: &[u8]) -> Result<MxList, MxFailure> {
    let ascii = Some(host).filter(|host| !host.is_ascii() && asking.options.receiving.smtp_utf8);
    let ascii = ascii.and_then(ascii_domain);
    let host = ascii.as_deref().unwrap_or(host);
    if asking.mailer.has(b'0') {
        let list = mx::literal_hosts(host);
        return if list.exchangers.is_empty() {
            Err(MxFailure::Lookup(ResolveFailure::NotFound))
        } else {
            Ok(list)
        };
    }
    let delivering = &asking.options.delivering;
    let rules = MxRules {
        is_ourselves: asking.is_ourselves,
        fallback: delivering.fallback_mx_host.as_deref().unwrap_or_default(),
        try_null_mx_list: delivering.try_null_mx_list,
        patience: asking.patience,
    };
    let found = mx::mail_exchangers(asking.resolver, host, &rules);
    match (&found, &delivering.fallback_smart_host) {
        (Err(MxFailure::Lookup(failure)), Some(smart_host)) if !failure.is_temporary() => {
            mx::mail_exchangers(asking.resolver, smart_host, &rules)
        }
        _ => found,
    }
}
