//! What may be asked about a host name, and what is answered.
//!
//! Everything above this room sees names and addresses through [`Resolver`],
//! so that a test can answer from literals ([`crate::dns::FixedResolver`]).
//! Names are bytes without the trailing dot, in the spelling of the answer.
//!
//! A failure has three kinds because mail has three: the name does not exist
//! (bounce), it exists without such records (try another type), or nobody
//! could say (keep the message). Source: RFC 5321 section 5.1.

use std::fmt;
use std::net::IpAddr;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use thiserror::Error;

/// The record types the program asks for, with their numbers (RFC 1035, 3596, 2782).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum RecordType {
    /// An IPv4 address.
    A = 1,
    /// A name server.
    Ns = 2,
    /// The canonical name of an alias.
    Cname = 5,
    /// A name for an address.
    Ptr = 12,
    /// A mail exchanger.
    Mx = 15,
    /// Free text.
    Txt = 16,
    /// An AFS database server.
    Afsdb = 18,
    /// An IPv6 address.
    Aaaa = 28,
    /// The place of a service.
    Srv = 33,
    /// A TLS certificate association.
    Tlsa = 52,
    /// Whatever the server likes to tell.
    Any = 255,
}

impl RecordType {
    /// Finds a type by its usual name, in any case.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        const NAMES: &[(&str, RecordType)] = &[
            ("A", RecordType::A),
            ("NS", RecordType::Ns),
            ("CNAME", RecordType::Cname),
            ("PTR", RecordType::Ptr),
            ("MX", RecordType::Mx),
            ("TXT", RecordType::Txt),
            ("AFSDB", RecordType::Afsdb),
            ("AAAA", RecordType::Aaaa),
            ("SRV", RecordType::Srv),
            ("TLSA", RecordType::Tlsa),
            ("ANY", RecordType::Any),
        ];
        NAMES
            .iter()
            .find(|(word, _)| word.as_bytes().eq_ignore_ascii_case(name))
            .map(|&(_, kind)| kind)
    }
}

/// The data of one record, as far as the program reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordData {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// The name this name is an alias of.
    Cname(Vec<u8>),
    /// A mail exchanger; an empty exchange is the null MX of RFC 7505.
    Mx {
        /// Lower is better.
        preference: u16,
        /// The host.
        exchange: Vec<u8>,
    },
    /// A name server.
    Ns(Vec<u8>),
    /// The name of an address.
    Ptr(Vec<u8>),
    /// The strings of the record, joined.
    Txt(Vec<u8>),
    /// The place of a service.
    Srv {
        /// Lower is better.
        priority: u16,
        /// Share among equals.
        weight: u16,
        /// TCP or UDP port.
        port: u16,
        /// The host.
        target: Vec<u8>,
    },
    /// An AFS database server.
    Afsdb {
        /// 1 for a volume location server, 2 for an authenticated name server.
        subtype: u16,
        /// The host.
        host: Vec<u8>,
    },
    /// A type the program does not read.
    Other(u16),
}

impl RecordData {
    /// Says whether the data belongs to a record of type `kind`.
    pub fn is(&self, kind: RecordType) -> bool {
        let own = match self {
            RecordData::A(_) => RecordType::A as u16,
            RecordData::Aaaa(_) => RecordType::Aaaa as u16,
            RecordData::Cname(_) => RecordType::Cname as u16,
            RecordData::Mx { .. } => RecordType::Mx as u16,
            RecordData::Ns(_) => RecordType::Ns as u16,
            RecordData::Ptr(_) => RecordType::Ptr as u16,
            RecordData::Txt(_) => RecordType::Txt as u16,
            RecordData::Srv { .. } => RecordType::Srv as u16,
            RecordData::Afsdb { .. } => RecordType::Afsdb as u16,
            RecordData::Other(number) => *number,
        };
        own == kind as u16 || kind == RecordType::Any
    }
}

/// One record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The name that owns the record, without the trailing dot.
    pub name: Vec<u8>,
    /// How long the answer may be kept.
    pub ttl: Duration,
    /// What it says.
    pub data: RecordData,
}

/// The answer to one question: at least one record of the wanted type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The answer section: the wanted records and the aliases that led to them.
    pub records: Vec<Record>,
    /// The server says it verified the signatures (AD bit, believed only with `trustad`).
    pub authenticated: bool,
}

impl Answer {
    /// Goes through the data of the records of one type, in the order of the answer.
    pub fn of_type(&self, kind: RecordType) -> impl Iterator<Item = &RecordData> {
        self.records
            .iter()
            .filter(move |record| record.data.is(kind))
            .map(|record| &record.data)
    }

    /// The name at the end of the chain of aliases that starts at `name`.
    pub fn canonical_name(&self, name: &[u8]) -> Vec<u8> {
        let mut current = name.to_vec();
        // Each alias is followed at most once, so a loop in the answer ends here.
        for _ in 0..self.records.len() {
            let next = self.records.iter().find_map(|record| match &record.data {
                RecordData::Cname(target) if record.name.eq_ignore_ascii_case(&current) => {
                    Some(target)
                }
                _ => None,
            });
            match next {
                Some(target) => current.clone_from(target),
                None => break,
            }
        }
        current
    }
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ResolveFailure {
    /// The name does not exist.
    #[error("host not found")]
    NotFound,
    /// The name exists but has no record of the wanted type.
    #[error("no data known")]
    NoData,
    /// Nobody could say now; ask again later.
    #[error("{0}")]
    Temporary(TemporaryReason),
}

impl ResolveFailure {
    /// Says whether the question may be answered later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, ResolveFailure::Temporary(_))
    }
}

/// Why nobody could answer now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemporaryReason {
    /// No server answered before the deadline.
    TimedOut,
    /// A server said that it could not or would not (SERVFAIL, NOTIMP, REFUSED).
    ServerFailure,
    /// A server answered what cannot be used: another code, half an answer, damaged records.
    Unusable,
    /// The network or the local files could not be used.
    System,
}

impl fmt::Display for TemporaryReason {
    /// Observed: 8.17.1.9 has one sentence for all of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("host name lookup failure")
    }
}

/// How long to go on asking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patience {
    /// The first delivery attempt of a message: `Timeout.resolver.*.first`.
    First,
    /// Everything else: `Timeout.resolver.*.normal`.
    #[default]
    Normal,
    /// A map's own `-d` and `-r` flags.
    Custom {
        /// Wait before the first retransmission.
        retransmit: Duration,
        /// Number of transmissions to each server.
        retries: u32,
    },
}

/// A host's name as its owner spells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalName {
    /// The full name without the trailing dot.
    pub name: Vec<u8>,
    /// How long the answer may be kept, where DNS gave it.
    pub ttl: Option<Duration>,
}

/// Answers questions about host names.
pub trait Resolver: Send + Sync {
    /// Asks the name servers for the records of exactly this name (a trailing dot is allowed).
    ///
    /// # Errors
    /// Any [`ResolveFailure`]; an answer without a record of the wanted type is [`ResolveFailure::NoData`].
    fn query(
        &self,
        name: &[u8],
        kind: RecordType,
        patience: Patience,
    ) -> Result<Answer, ResolveFailure>;

    /// Asks like [`Resolver::query`], trying the search list for a name that is not complete.
    ///
    /// # Errors
    /// The most hopeful failure met on the way.
    fn search(
        &self,
        name: &[u8],
        kind: RecordType,
        patience: Patience,
    ) -> Result<Answer, ResolveFailure>;

    /// Finds the canonical name of a host as `$[ host $]` wants it: hosts file and DNS in the order of
    /// the service switch, search list included.
    ///
    /// # Errors
    /// Any [`ResolveFailure`].
    fn canonical_name(
        &self,
        host: &[u8],
        patience: Patience,
    ) -> Result<CanonicalName, ResolveFailure>;

    /// Finds the addresses of a host, hosts file and DNS in the order of the service switch, IPv6 first.
    ///
    /// # Errors
    /// Any [`ResolveFailure`].
    fn addresses(&self, host: &[u8], patience: Patience) -> Result<Vec<IpAddr>, ResolveFailure>;

    /// Tells whether the service switch has name servers among the places to look for hosts.
    fn uses_name_servers(&self) -> bool {
        true
    }

    /// Finds the name of an address.
    ///
    /// # Errors
    /// Any [`ResolveFailure`].
    fn reverse(&self, address: IpAddr, patience: Patience) -> Result<Vec<u8>, ResolveFailure>;
}
