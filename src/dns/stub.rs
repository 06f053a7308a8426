//! The resolver of a running program: hosts file, search list, name servers.
//!
//! [`StubResolver`] joins what the other files do: [`crate::dns::order`] says
//! where to look, [`crate::dns::exchange`] asks, [`crate::dns::cache`] remembers.
//! The search rules are those of the reference program for canonical names
//! (`$[ $]`) and those of the system library for everything else.
//!
//! Source: guide 4.11, resolver(3), observed: 8.17.1.9 with `-d8.7`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::dns::cache::AnswerCache;
use crate::dns::exchange::NameServers;
use crate::dns::fixed::reverse_name;
use crate::dns::hosts_file::HostsFile;
use crate::dns::order::{self, Source};
use crate::dns::resolver::{
    Answer, CanonicalName, Patience, RecordData, RecordType, ResolveFailure, Resolver,
    TemporaryReason,
};
use crate::dns::settings::ResolverSettings;
use crate::logging::debug::DebugLog;

/// Most aliases followed from one name; the reference gives up there, too.
const MAX_ALIASES: usize = 10;

/// Asks the hosts file and the configured name servers.
#[derive(Debug)]
pub struct StubResolver {
    settings: ResolverSettings,
    servers: NameServers,
    hosts: HostsFile,
    cache: AnswerCache,
    canonical_order: Vec<Source>,
    address_order: Vec<Source>,
    debug: Arc<DebugLog>,
}

/// The debug category of questions to name servers, and its levels.
const CATEGORY: u8 = 8;
const NAMES: u8 = 2;
const QUESTIONS: u8 = 5;
const ANSWERS: u8 = 7;

impl StubResolver {
    /// Makes a resolver; the switch files are read here, the hosts file when it is needed.
    pub fn new(settings: ResolverSettings) -> Self {
        StubResolver {
            servers: NameServers::new(&settings),
            hosts: HostsFile::new(settings.hosts_file.clone(), settings.moments.clone()),
            cache: AnswerCache::default(),
            canonical_order: order::canonical_order(settings.service_switch_file.as_deref()),
            address_order: order::address_order(&settings.system_switch_file),
            settings,
            debug: Arc::default(),
        }
    }

    /// Tells in traces how canonical names are found (`-d8`).
    pub fn traced(self, debug: Arc<DebugLog>) -> Self {
        StubResolver { debug, ..self }
    }

    /// Asks for exactly this name; aliases alone count as an answer.
    fn ask(
        &self,
        name: &[u8],
        kind: RecordType,
        patience: Patience,
    ) -> Result<Answer, ResolveFailure> {
        let name = name.strip_suffix(b".").unwrap_or(name);
        let now = Instant::now();
        if let Some(answer) = self.cache.find(name, kind, now) {
            return if answer.records.is_empty() {
                Err(ResolveFailure::NoData)
            } else {
                Ok(answer)
            };
        }
        let persistence = self.settings.persistence(patience);
        match self.servers.ask(name, kind, persistence) {
            Ok(answer) => {
                self.cache.keep(name, kind, &answer, now);
                Ok(answer)
            }
            Err(ResolveFailure::Temporary(TemporaryReason::ServerFailure))
                if kind == RecordType::Aaaa && self.settings.options.work_around_broken_aaaa =>
            {
                Err(ResolveFailure::NoData)
            }
            Err(failure) => {
                if failure == ResolveFailure::NoData {
                    self.cache.keep_absence(name, kind, now);
                }
                Err(failure)
            }
        }
    }

    /// The complete names to try for `name`, in order (resolver(3)).
    fn candidates(&self, name: &[u8]) -> Vec<Vec<u8>> {
        if let Some(absolute) = name.strip_suffix(b".") {
            return vec![absolute.to_vec()];
        }
        let dots = name.iter().filter(|&&byte| byte == b'.').count();
        let options = self.settings.options;
        let searched: &[Vec<u8>] = if dots > 0 && !options.search {
            &[]
        } else if dots == 0 && !options.search && options.default_names {
            self.settings.search_list.get(..1).unwrap_or_default()
        } else if dots == 0 && !options.default_names {
            &[]
        } else {
            &self.settings.search_list
        };
        let mut names: Vec<Vec<u8>> = searched
            .iter()
            .map(|domain| [name, b".", domain].concat())
            .collect();
        if dots >= self.settings.ndots {
            names.insert(0, name.to_vec());
        } else {
            names.push(name.to_vec());
        }
        names
    }

    fn own_domain(&self) -> Option<&[u8]> {
        let own = self.settings.local_domain.as_ref();
        let domain = own.or(self.settings.search_list.first());
        domain.map(Vec::as_slice)
    }

    /// Returns the first label of a name in the local domain: the hosts file may have only that.
    ///
    /// Observed: 8.17.1.9.
    fn short_name<'h>(&self, host: &'h [u8]) -> Option<&'h [u8]> {
        let domain = self.own_domain()?;
        let length = host.len().checked_sub(domain.len() + 1)?;
        let (short, rest) = host.split_at_checked(length)?;
        let is_local = rest.strip_prefix(b".")?.eq_ignore_ascii_case(domain);
        (is_local && !short.is_empty() && !short.contains(&b'.')).then_some(short)
    }

    /// Finds the canonical name through the name servers (observed: 8.17.1.9).
    ///
    /// Each complete name is asked for AAAA, A and (unless a wildcard makes it worthless) MX. The
    /// first type that exists proves the name; a name that does not exist is not asked for the
    /// other types. An alias starts the same again with its target.
    fn canonical_from_dns(
        &self,
        host: &[u8],
        patience: Patience,
    ) -> Result<CanonicalName, ResolveFailure> {
        if self.debug.is_on(CATEGORY, NAMES) {
            let asks_mx = u8::from(!self.settings.options.has_wildcard_mx);
            let end = format!(", trymx={asks_mx})");
            self.debug
                .line(&[b"dns_getcanonname(", host, end.as_bytes()].concat());
        }
        let mut host = host.to_vec();
        let mut failure = ResolveFailure::NotFound;
        for _ in 0..MAX_ALIASES {
            match self.one_canonical_step(&host, patience)? {
                CanonicalStep::Found(found) => {
                    if self.debug.is_on(CATEGORY, NAMES) {
                        let line = [b"dns_getcanonname: ".as_slice(), &found.name].concat();
                        self.debug.line(&line);
                    }
                    return Ok(found);
                }
                CanonicalStep::Alias(target) => {
                    failure = ResolveFailure::NoData;
                    host = [target.as_slice(), b"."].concat();
                }
            }
        }
        Err(failure)
    }

    fn one_canonical_step(
        &self,
        host: &[u8],
        patience: Patience,
    ) -> Result<CanonicalStep, ResolveFailure> {
        let kinds: &[RecordType] = if self.settings.options.has_wildcard_mx {
            &[RecordType::Aaaa, RecordType::A]
        } else {
            &[RecordType::Aaaa, RecordType::A, RecordType::Mx]
        };
        let mut failure = ResolveFailure::NotFound;
        for name in self.canonical_candidates(host) {
            for &kind in kinds {
                if self.debug.is_on(CATEGORY, QUESTIONS) {
                    self.trace_question(&name, host, kind);
                }
                let answer = self.ask(&name, kind, patience);
                if self.debug.is_on(CATEGORY, ANSWERS) {
                    self.debug.line(answer_line(&answer).as_bytes());
                }
                match answer {
                    Ok(answer) => return Ok(canonical_step(&name, kind, &answer)),
                    Err(ResolveFailure::NotFound) => break,
                    Err(ResolveFailure::NoData) => {
                        failure = worse(failure, ResolveFailure::NoData);
                    }
                    Err(temporary @ ResolveFailure::Temporary(_)) => failure = temporary,
                }
            }
        }
        Err(failure)
    }

    /// Tells what is asked now. Observed: 8.17.1.9 (names tried as they are end in a dot).
    fn trace_question(&self, name: &[u8], given: &[u8], kind: RecordType) {
        let is_as_given = name == given.strip_suffix(b".").unwrap_or(given);
        let end: &[u8] = if is_as_given { b". (" } else { b" (" };
        let kind = match kind {
            RecordType::Aaaa => "AAAA",
            RecordType::Mx => "MX",
            _ => "A",
        };
        let head = b"dns_getcanonname: trying ".as_slice();
        self.debug
            .line(&[head, name, end, kind.as_bytes(), b")"].concat());
    }

    /// Names with a dot are tried as they are first, whatever `ndots` says; others only with a domain.
    fn canonical_candidates(&self, host: &[u8]) -> Vec<Vec<u8>> {
        if let Some(absolute) = host.strip_suffix(b".") {
            return vec![absolute.to_vec()];
        }
        let options = self.settings.options;
        let has_dot = host.contains(&b'.');
        let searched: &[Vec<u8>] = match (options.search, options.default_names) {
            (true, _) => &self.settings.search_list,
            (false, true) if !has_dot => self.settings.search_list.get(..1).unwrap_or_default(),
            _ => &[],
        };
        let mut names: Vec<Vec<u8>> = Vec::new();
        if has_dot || searched.is_empty() {
            names.push(host.to_vec());
        }
        names.extend(searched.iter().map(|domain| [host, b".", domain].concat()));
        names
    }

    fn addresses_from_dns(
        &self,
        host: &[u8],
        patience: Patience,
    ) -> Result<Vec<IpAddr>, ResolveFailure> {
        let mut failure = ResolveFailure::NotFound;
        for name in self.candidates(host) {
            let mut found = Vec::new();
            for kind in [RecordType::Aaaa, RecordType::A] {
                match self.query(&name, kind, patience) {
                    Ok(answer) => found.extend(answer.of_type(kind).filter_map(address_in)),
                    // Some servers deny the whole name when asked for AAAA (RFC 4074 section 4.2).
                    Err(ResolveFailure::NotFound) => {}
                    Err(ResolveFailure::NoData) => {
                        failure = worse(failure, ResolveFailure::NoData);
                    }
                    Err(temporary @ ResolveFailure::Temporary(_)) => failure = temporary,
                }
            }
            if !found.is_empty() {
                return Ok(found);
            }
            if failure.is_temporary() {
                break;
            }
        }
        Err(failure)
    }
}

/// What one round of the canonical search found.
enum CanonicalStep {
    Found(CanonicalName),
    Alias(Vec<u8>),
}

fn canonical_step(name: &[u8], kind: RecordType, answer: &Answer) -> CanonicalStep {
    let end = answer.canonical_name(name);
    if answer.of_type(kind).next().is_none() {
        return CanonicalStep::Alias(end);
    }
    CanonicalStep::Found(CanonicalName {
        name: end,
        ttl: answer.records.iter().map(|record| record.ttl).min(),
    })
}

/// Keeps the failure that leaves more hope: temporary, then no data, then not found.
fn worse(known: ResolveFailure, new: ResolveFailure) -> ResolveFailure {
    match (&known, &new) {
        (ResolveFailure::Temporary(_), _) => known,
        (ResolveFailure::NoData, ResolveFailure::NotFound) => known,
        _ => new,
    }
}

/// The address a host name without brackets stands for when it is four numbers.
fn address_written(host: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(host.strip_suffix(b".").unwrap_or(host)).ok()?;
    text.parse().ok().map(IpAddr::V4)
}

fn address_in(data: &RecordData) -> Option<IpAddr> {
    match data {
        RecordData::A(v4) => Some(IpAddr::V4(*v4)),
        RecordData::Aaaa(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}

impl Resolver for StubResolver {
    fn query(
        &self,
        name: &[u8],
        kind: RecordType,
        patience: Patience,
    ) -> Result<Answer, ResolveFailure> {
        let mut name = name.strip_suffix(b".").unwrap_or(name).to_vec();
        for _ in 0..=MAX_ALIASES {
            let answer = self.ask(&name, kind, patience)?;
            if answer.of_type(kind).next().is_some() {
                return Ok(answer);
            }
            // A server that follows no aliases leaves that to us (RFC 5321 section 5.1).
            let end = answer.canonical_name(&name);
            if end.eq_ignore_ascii_case(&name) {
                break;
            }
            name = end;
        }
        Err(ResolveFailure::NoData)
    }

    fn search(
        &self,
        name: &[u8],
        kind: RecordType,
        patience: Patience,
    ) -> Result<Answer, ResolveFailure> {
        let mut failure = ResolveFailure::NotFound;
        for candidate in self.candidates(name) {
            match self.query(&candidate, kind, patience) {
                Ok(answer) => return Ok(answer),
                // Nobody knows whether this name exists: another one must not take its place.
                Err(temporary @ ResolveFailure::Temporary(_)) => return Err(temporary),
                Err(other) => failure = worse(failure, other),
            }
        }
        Err(failure)
    }

    fn canonical_name(
        &self,
        host: &[u8],
        patience: Patience,
    ) -> Result<CanonicalName, ResolveFailure> {
        let mut failure = ResolveFailure::NotFound;
        let mut short = None;
        for source in &self.canonical_order {
            let found = match source {
                Source::Files => {
                    let bare = host.strip_suffix(b".").unwrap_or(host);
                    match self.hosts.table() {
                        Ok(table) => table
                            .canonical_name(bare)
                            .or_else(|| table.canonical_name(self.short_name(bare)?))
                            .map(|name| CanonicalName {
                                name: name.to_vec(),
                                ttl: None,
                            })
                            .ok_or(ResolveFailure::NotFound),
                        Err(_) => Err(ResolveFailure::Temporary(TemporaryReason::System)),
                    }
                }
                Source::Dns => self.canonical_from_dns(host, patience),
            };
            match found {
                Ok(found) if found.name.contains(&b'.') => return Ok(found),
                Ok(found) => short = short.or(Some(found)),
                Err(other) => failure = worse(failure, other),
            }
        }
        let mut short = short.ok_or(failure)?;
        // A site's short names are short for names in its own domain.
        if let Some(domain) = self.own_domain() {
            short.name = [short.name.as_slice(), b".", domain].concat();
        }
        Ok(short)
    }

    fn addresses(&self, host: &[u8], patience: Patience) -> Result<Vec<IpAddr>, ResolveFailure> {
        // An exchanger that is written as an address is taken for it (observed: 8.17.1.9).
        if let Some(literal) = address_written(host) {
            return Ok(vec![literal]);
        }
        let mut failure = ResolveFailure::NotFound;
        for source in &self.address_order {
            let found = match source {
                Source::Files => {
                    let bare = host.strip_suffix(b".").unwrap_or(host);
                    match self.hosts.table() {
                        Ok(table) => {
                            let (mut found, v4): (Vec<IpAddr>, Vec<IpAddr>) = table
                                .addresses(bare)
                                .iter()
                                .partition(|address| address.is_ipv6());
                            found.extend(v4);
                            found
                        }
                        Err(_) => Vec::new(),
                    }
                }
                Source::Dns => match self.addresses_from_dns(host, patience) {
                    Ok(found) => found,
                    Err(other) => {
                        failure = worse(failure, other);
                        Vec::new()
                    }
                },
            };
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Err(failure)
    }

    fn uses_name_servers(&self) -> bool {
        self.canonical_order.contains(&Source::Dns)
    }

    fn reverse(&self, address: IpAddr, patience: Patience) -> Result<Vec<u8>, ResolveFailure> {
        let mut failure = ResolveFailure::NotFound;
        for source in &self.address_order {
            match source {
                Source::Files => {
                    let known = self.hosts.table().ok();
                    let name = known.and_then(|table| table.name_of(address).map(<[u8]>::to_vec));
                    if let Some(name) = name {
                        return Ok(name);
                    }
                }
                Source::Dns => {
                    match self.query(&reverse_name(address), RecordType::Ptr, patience) {
                        Ok(answer) => {
                            let name =
                                answer.of_type(RecordType::Ptr).find_map(|data| match data {
                                    RecordData::Ptr(name) if !name.is_empty() => Some(name.clone()),
                                    _ => None,
                                });
                            if let Some(name) = name {
                                return Ok(name);
                            }
                        }
                        Err(other) => failure = worse(failure, other),
                    }
                }
            }
        }
        Err(failure)
    }
}

/// Tells an answer with the number the resolver library has for it.
fn answer_line(answer: &Result<Answer, ResolveFailure>) -> String {
    let number = match answer {
        Ok(_) => return "\tYES".to_owned(),
        Err(ResolveFailure::NotFound) => 1,
        Err(ResolveFailure::Temporary(TemporaryReason::Unusable)) => 3,
        Err(ResolveFailure::Temporary(_)) => 2,
        Err(ResolveFailure::NoData) => 4,
    };
    format!("\tNO: errno=0, h_errno={number}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::dns::settings::Persistence;
    use crate::dns::test_server::TestServer;

    fn resolver(server: &TestServer, folder: &std::path::Path) -> StubResolver {
        let hosts = folder.join("hosts");
        std::fs::write(
            &hosts,
            "127.0.0.1 localhost\n192.0.2.77 filed.example.net filed\n",
        )
        .unwrap();
        let quick = Persistence {
            retransmit: Duration::from_millis(200),
            retries: 1,
        };
        StubResolver::new(ResolverSettings {
            name_servers: vec![server.address()],
            search_list: vec![b"lan.example.org".to_vec(), b"example.org".to_vec()],
            first: quick,
            normal: quick,
            service_switch_file: None,
            system_switch_file: folder.join("nsswitch.conf"),
            hosts_file: hosts,
            ..ResolverSettings::default()
        })
    }

    const NORMAL: Patience = Patience::Normal;

    #[test]
    fn canonical_names_come_from_the_search_list_aliases_and_files() {
        let server = TestServer::start();
        let folder = tempfile::tempdir().unwrap();
        let resolver = resolver(&server, folder.path());
        for (asked, found) in [
            ("short", "short.lan.example.org"),
            ("www", "mx1.example.org"),
            ("mx1.example.org", "mx1.example.org"),
            ("mx1.example.org.", "mx1.example.org"),
            ("mxonly", "mxonly.example.org"),
            ("filed", "filed.example.net"),
            ("filed.lan.example.org", "filed.example.net"),
            ("localhost", "localhost.lan.example.org"),
        ] {
            let name = resolver
                .canonical_name(asked.as_bytes(), NORMAL)
                .unwrap()
                .name;
            assert_eq!(String::from_utf8_lossy(&name), found, "{asked}");
        }
        assert_eq!(
            resolver.canonical_name(b"none.example.org", NORMAL),
            Err(ResolveFailure::NotFound)
        );
        assert!(
            resolver
                .canonical_name(b"broken.example.org", NORMAL)
                .unwrap_err()
                .is_temporary()
        );
    }

    #[test]
    fn addresses_come_from_files_first_then_dns() {
        let server = TestServer::start();
        let folder = tempfile::tempdir().unwrap();
        let resolver = resolver(&server, folder.path());
        for (host, address) in [
            ("localhost", "127.0.0.1"),
            ("filed", "192.0.2.77"),
            ("www.example.org.", "192.0.2.1"),
            ("short", "192.0.2.1"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(
                resolver.addresses(host.as_bytes(), NORMAL).unwrap(),
                vec![address],
                "{host}"
            );
        }
        assert_eq!(
            resolver.addresses(b"example.org.", NORMAL),
            Err(ResolveFailure::NoData)
        );
    }

    #[test]
    fn aliases_a_server_does_not_follow_are_followed() {
        let server = TestServer::start();
        let folder = tempfile::tempdir().unwrap();
        let resolver = resolver(&server, folder.path());
        let answer = resolver
            .query(b"news.example.org.", RecordType::Mx, NORMAL)
            .unwrap();
        assert_eq!(answer.of_type(RecordType::Mx).count(), 2);
    }

    #[test]
    fn a_name_denied_for_aaaa_is_asked_for_a_and_four_numbers_are_an_address() {
        let server = TestServer::start();
        let folder = tempfile::tempdir().unwrap();
        let resolver = resolver(&server, folder.path());
        for (host, address) in [
            ("sixless.example.org", "192.0.2.7"),
            ("192.0.2.8.", "192.0.2.8"),
        ] {
            assert_eq!(
                resolver.addresses(host.as_bytes(), NORMAL),
                Ok(vec![address.parse().unwrap()]),
                "{host}"
            );
        }
    }

    #[test]
    fn reverse_names_come_from_files_or_ptr_records() {
        let server = TestServer::start();
        let folder = tempfile::tempdir().unwrap();
        let resolver = resolver(&server, folder.path());
        for (address, name) in [
            ("127.0.0.1", "localhost"),
            ("192.0.2.77", "filed.example.net"),
            ("192.0.2.5", "mx1.example.org"),
        ] {
            let found = resolver.reverse(address.parse().unwrap(), NORMAL).unwrap();
            assert_eq!(String::from_utf8_lossy(&found), name);
        }
    }

    #[test]
    fn a_second_question_is_answered_from_the_cache() {
        let server = TestServer::start();
        let folder = tempfile::tempdir().unwrap();
        let resolver = resolver(&server, folder.path());
        let first = resolver.query(b"mx1.example.org", RecordType::A, NORMAL);
        drop(server);
        assert_eq!(
            first,
            resolver.query(b"MX1.example.org.", RecordType::A, NORMAL)
        );
    }
}
