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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::FixedResolver;
    use crate::mailer::MailerFlags;

    fn hosts(options: &Options, flags: &[u8], domain: &str) -> String {
        let mut mailer = Mailer::new(b"esmtp", b"[IPC]");
        mailer.flags = MailerFlags::from_bytes(flags);
        let resolver = FixedResolver::new()
            .with_mx("far.test", 10, "one.far.test")
            .with_host("one.far.test", [192, 0, 2, 1].into())
            .with_host("back.test", [192, 0, 2, 2].into())
            .with_mx("smart.test", 10, "back.test")
            .with_failure("down.test");
        let asking = Asking {
            mailer: &mailer,
            options,
            resolver: &resolver,
            is_ourselves: &|_| false,
            patience: Patience::Normal,
        };
        match exchangers(&asking, domain.as_bytes()) {
            Ok(list) => {
                let hosts = list.exchangers.iter();
                let names = hosts.map(|one| String::from_utf8_lossy(&one.host).into_owned());
                let names: Vec<String> = names.collect();
                names
                    .join(" ")
                    .replace(". ", " ")
                    .trim_end_matches('.')
                    .to_owned()
            }
            Err(_) => "none".to_owned(),
        }
    }

    #[test]
    fn fallback_hosts_are_tried_where_the_options_name_them() {
        let mut options = Options::default();
        assert_eq!(hosts(&options, b"", "far.test"), "one.far.test");
        assert_eq!(hosts(&options, b"", "no.test"), "none");
        // A smart host takes what has no host of its own; for one that may have it is waited.
        options.delivering.fallback_smart_host = Some(b"smart.test".to_vec());
        assert_eq!(hosts(&options, b"", "far.test"), "one.far.test");
        assert_eq!(hosts(&options, b"", "no.test"), "back.test");
        assert_eq!(hosts(&options, b"", "down.test"), "none");
        options.delivering.fallback_smart_host = None;
        options.delivering.fallback_mx_host = Some(b"[back.test]".to_vec());
        assert_eq!(hosts(&options, b"", "far.test"), "one.far.test [back.test]");
    }
}
