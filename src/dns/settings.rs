//! How names are looked up: `resolv.conf`, `ResolverOptions`, timeouts, file names.
//!
//! Source: resolv.conf(5), guide 4.11 (ResolverOptions), guide 4.1 (Timeout.resolver).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::dns::resolver::Patience;
use crate::sys::moment::Moments;

/// Port of name servers; `resolv.conf` cannot name another.
const NAME_SERVER_PORT: u16 = 53;

/// Most name servers used, as in glibc (MAXNS).
const MAX_NAME_SERVERS: usize = 3;

/// Most transmissions to one server, whatever a configuration says.
const MAX_RETRIES: u32 = 20;

/// The words of `O ResolverOptions`, set with `+` or nothing and cleared with `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolverOptions {
    /// Only authoritative answers count.
    pub authoritative_only: bool,
    /// Always use TCP.
    pub use_tcp: bool,
    /// Believe truncated answers.
    pub ignore_truncation: bool,
    /// Let the server ask others.
    pub recurse: bool,
    /// Add the local domain to names without a dot.
    pub default_names: bool,
    /// Go through the search list.
    pub search: bool,
    /// Ask with EDNS0.
    pub edns: bool,
    /// Ask for signatures.
    pub dnssec: bool,
    /// Believe the AD bit of the configured servers.
    pub trust_ad: bool,
    /// MX records do not show that a name exists, because a wildcard gives one to every name.
    pub has_wildcard_mx: bool,
    /// A server that fails on AAAA questions is taken to mean "no such record".
    pub work_around_broken_aaaa: bool,
}

impl Default for ResolverOptions {
    fn default() -> Self {
        ResolverOptions {
            authoritative_only: false,
            use_tcp: false,
            ignore_truncation: false,
            recurse: true,
            default_names: true,
            search: true,
            edns: false,
            dnssec: false,
            trust_ad: false,
            has_wildcard_mx: false,
            work_around_broken_aaaa: false,
        }
    }
}

impl ResolverOptions {
    /// Applies the words of the option; the unknown ones are returned.
    pub fn apply<'a>(&mut self, words: &'a [u8]) -> Vec<&'a [u8]> {
        let mut unknown = Vec::new();
        for word in words
            .split(|byte| matches!(byte, b' ' | b'\t' | b',' | b'\n'))
            .filter(|word| !word.is_empty())
        {
            let (on, name) = match word {
                [b'+', rest @ ..] => (true, rest),
                [b'-', rest @ ..] => (false, rest),
                plain => (true, plain),
            };
            match name.to_ascii_lowercase().as_slice() {
                b"aaonly" => self.authoritative_only = on,
                b"usevc" => self.use_tcp = on,
                b"igntc" => self.ignore_truncation = on,
                b"recurse" => self.recurse = on,
                b"defnames" => self.default_names = on,
                b"dnsrch" => self.search = on,
                b"use_edns0" => self.edns = on,
                b"use_dnssec" => self.dnssec = on,
                b"trustad" => self.trust_ad = on,
                b"haswildcardmx" => self.has_wildcard_mx = on,
                b"workaroundbrokenaaaa" => self.work_around_broken_aaaa = on,
                // Words of the system library without a meaning here.
                b"debug" | b"primary" | b"stayopen" | b"true" | b"false" | b"use_inet6" => {}
                _ => unknown.push(word),
            }
        }
        unknown
    }
}

/// How often and how long to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Persistence {
    /// Wait before the first retransmission; doubles with each round.
    pub retransmit: Duration,
    /// Number of transmissions to each server.
    pub retries: u32,
}

/// Everything a [`crate::dns::StubResolver`] needs to know.
#[derive(Clone, Debug)]
pub struct ResolverSettings {
    /// The servers in the order to ask.
    pub name_servers: Vec<SocketAddr>,
    /// Domains to try for names that are not complete.
    pub search_list: Vec<Vec<u8>>,
    /// What names without a dot get that the hosts file knows by no longer name (`$m`).
    pub local_domain: Option<Vec<u8>>,
    /// Names with at least this many dots are tried as they are first.
    pub ndots: usize,
    /// Begin with another server each time.
    pub rotate: bool,
    /// The words of `O ResolverOptions`.
    pub options: ResolverOptions,
    /// `Timeout.resolver.*.first`.
    pub first: Persistence,
    /// `Timeout.resolver.*.normal`.
    pub normal: Persistence,
    /// `O ServiceSwitchFile`; without that file canonical names come from DNS, then from the hosts file.
    pub service_switch_file: Option<PathBuf>,
    /// The system's own switch, used for addresses and reverse names.
    pub system_switch_file: PathBuf,
    /// `O HostsFile`.
    pub hosts_file: PathBuf,
    /// How often that file is looked at.
    pub moments: Moments,
}

impl Default for ResolverSettings {
    fn default() -> Self {
        // The system library's own defaults (resolver(3)).
        let persistence = Persistence {
            retransmit: Duration::from_secs(5),
            retries: 2,
        };
        ResolverSettings {
            name_servers: vec![SocketAddr::new(
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                NAME_SERVER_PORT,
            )],
            search_list: Vec::new(),
            local_domain: None,
            ndots: 1,
            rotate: false,
            options: ResolverOptions::default(),
            first: persistence,
            normal: persistence,
            service_switch_file: Some(PathBuf::from("/etc/mail/service.switch")),
            system_switch_file: PathBuf::from("/etc/nsswitch.conf"),
            hosts_file: PathBuf::from("/etc/hosts"),
            moments: Moments::default(),
        }
    }
}

impl ResolverSettings {
    /// Reads the text of a `resolv.conf`, over the built-in defaults.
    ///
    /// Lines it does not understand are skipped, as the system library does. `host_name` gives the
    /// search list when the file has none: the part after the first dot.
    pub fn from_resolv_conf(text: &[u8], host_name: &[u8]) -> Self {
        let mut settings = ResolverSettings::default();
        let (parsed, _unknown_lines) = resolv_conf::Config::parse_with_errors(text);
        let servers: Vec<SocketAddr> = parsed
            .nameservers
            .iter()
            .map(|ip| SocketAddr::new(IpAddr::from(ip), NAME_SERVER_PORT))
            .take(MAX_NAME_SERVERS)
            .collect();
        if !servers.is_empty() {
            settings.name_servers = servers;
        }
        settings.search_list = parsed
            .get_last_search_or_domain()
            .map(|domain| domain.trim_matches('.').as_bytes().to_vec())
            .filter(|domain| !domain.is_empty())
            .collect();
        if settings.search_list.is_empty() {
            let domain = host_name.splitn(2, |&byte| byte == b'.').nth(1);
            settings.search_list.extend(domain.map(<[u8]>::to_vec));
        }
        settings.ndots = usize::try_from(parsed.ndots).unwrap_or(1);
        settings.rotate = parsed.rotate;
        settings.options.edns = parsed.edns0;
        settings.options.trust_ad = parsed.trust_ad;
        settings.options.use_tcp = parsed.use_vc;
        settings.first.retransmit = Duration::from_secs(u64::from(parsed.timeout.max(1)));
        settings.first.retries = parsed.attempts.max(1);
        settings.normal = settings.first;
        settings
    }

    /// Turns patience into numbers.
    pub fn persistence(&self, patience: Patience) -> Persistence {
        let wanted = match patience {
            Patience::First => self.first,
            Patience::Normal => self.normal,
            Patience::Custom {
                retransmit,
                retries,
            } => Persistence {
                retransmit,
                retries,
            },
        };
        Persistence {
            retransmit: wanted.retransmit.max(Duration::from_millis(100)),
            retries: wanted.retries.clamp(1, MAX_RETRIES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_gives_servers_search_list_and_ndots() {
        let text = b"# c\nnameserver 192.0.2.1\nnameserver ::1\nsearch a.example b.example.\n\
                     options ndots:2 timeout:3 rotate edns0 nonsense\nodd line\n";
        let settings = ResolverSettings::from_resolv_conf(text, b"host.other.example");
        assert_eq!(settings.name_servers.len(), 2);
        assert_eq!(settings.name_servers[0].port(), 53);
        assert_eq!(
            settings.search_list,
            vec![b"a.example".to_vec(), b"b.example".to_vec()]
        );
        assert_eq!(settings.ndots, 2);
        assert!(settings.rotate && settings.options.edns);
        assert_eq!(settings.normal.retransmit, Duration::from_secs(3));
    }

    #[test]
    fn an_empty_file_means_the_local_server_and_our_own_domain() {
        let settings = ResolverSettings::from_resolv_conf(b"", b"host.example.org");
        assert_eq!(settings.name_servers, vec!["127.0.0.1:53".parse().unwrap()]);
        assert_eq!(settings.search_list, vec![b"example.org".to_vec()]);
    }

    #[test]
    fn option_words_set_and_clear() {
        let mut options = ResolverOptions::default();
        let unknown = options.apply(b"+AAONLY -DNSRCH HasWildcardMX, -defnames bogus");
        assert_eq!(unknown, vec![b"bogus".as_slice()]);
        assert!(options.authoritative_only && options.has_wildcard_mx);
        assert!(!options.search && !options.default_names && options.recurse);
    }
}
