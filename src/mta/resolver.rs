//! The resolver a configuration asks for.
//!
//! `resolv.conf` gives the servers and the search list; the options change how
//! they are asked. Source: guide 4.1 (Timeout.resolver), 4.11 (ResolverOptions).

use std::fs;
use std::path::Path;

use crate::config::options::Options;
use crate::dns::{ResolverSettings, StubResolver};
use crate::sys::moment::Moments;

/// Where the system keeps its resolver settings.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Makes the resolver of a configuration.
///
/// `host_name` gives the search list where nothing else does, `local_domain` is what short names
/// of the hosts file are short for (`$m`).
pub fn resolver(
    options: &Options,
    host_name: &[u8],
    local_domain: Option<Vec<u8>>,
    moments: Moments,
) -> StubResolver {
    let mut settings = settings(options, host_name, Path::new(RESOLV_CONF));
    settings.local_domain = local_domain;
    settings.moments = moments;
    StubResolver::new(settings)
}

fn settings(options: &Options, host_name: &[u8], resolv_conf: &Path) -> ResolverSettings {
    let text = fs::read(resolv_conf).unwrap_or_default();
    let mut settings = ResolverSettings::from_resolv_conf(&text, host_name);
    let running = &options.running;
    for (word, is_set) in &running.resolver_options {
        let sign: &[u8] = if *is_set { b"+" } else { b"-" };
        // Unknown words were complained about when the configuration was read.
        let _ = settings.options.apply(&[sign, word.as_slice()].concat());
    }
    settings.options.has_wildcard_mx |= running.has_wildcard_mx;
    settings.options.work_around_broken_aaaa |= running.work_around_broken_aaaa;
    let timeouts = &options.timeouts;
    let retrans = timeouts.resolver_retrans;
    let retry = timeouts.resolver_retry;
    settings.first.retransmit = retrans.first.unwrap_or(settings.first.retransmit);
    settings.normal.retransmit = retrans.normal.unwrap_or(settings.normal.retransmit);
    settings.first.retries = retry.first.unwrap_or(settings.first.retries);
    settings.normal.retries = retry.normal.unwrap_or(settings.normal.retries);
    settings.hosts_file.clone_from(&running.hosts_file);
    settings.service_switch_file = Some(running.service_switch_file.clone());
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn options_go_over_the_systems_settings() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        fs::write(
            &path,
            "nameserver 192.0.2.1\noptions timeout:2 attempts:3\n",
        )
        .unwrap();
        let mut options = Options::default();
        options.running.resolver_options = vec![(b"DEFNAMES".to_vec(), false)];
        options.timeouts.resolver_retry.first = Some(1);
        let settings = settings(&options, b"mx.example.org", &path);
        assert!(!settings.options.default_names);
        assert_eq!(settings.first.retries, 1);
        assert_eq!(settings.normal.retries, 3);
        assert_eq!(settings.normal.retransmit, Duration::from_secs(2));
        assert_eq!(settings.search_list, vec![b"example.org".to_vec()]);
    }
}
