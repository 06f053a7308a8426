//! A resolver that answers from literals.
//!
//! Tests of every room above use it, so that none needs a name server. It
//! follows aliases as a name server does and has no search list.

use std::net::IpAddr;
use std::time::Duration;

use crate::dns::resolver::{
    Answer, CanonicalName, Patience, Record, RecordData, RecordType, ResolveFailure, Resolver,
    TemporaryReason,
};

/// How long an answer of a [`FixedResolver`] may be kept.
const FIXED_TTL: Duration = Duration::from_secs(3_600);

/// Answers from the records it was given.
#[derive(Clone, Debug, Default)]
pub struct FixedResolver {
    records: Vec<Record>,
    broken: Vec<Vec<u8>>,
}

impl FixedResolver {
    /// Makes a resolver that knows no name.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a record.
    pub fn with(mut self, name: &str, data: RecordData) -> Self {
        self.records.push(Record {
            name: name.as_bytes().to_vec(),
            ttl: FIXED_TTL,
            data,
        });
        self
    }

    /// Adds an address and the way back.
    pub fn with_host(self, name: &str, address: IpAddr) -> Self {
        let data = match address {
            IpAddr::V4(v4) => RecordData::A(v4),
            IpAddr::V6(v6) => RecordData::Aaaa(v6),
        };
        let back = String::from_utf8_lossy(&reverse_name(address)).into_owned();
        self.with(name, data)
            .with(&back, RecordData::Ptr(name.as_bytes().to_vec()))
    }

    /// Adds a mail exchanger.
    pub fn with_mx(self, name: &str, preference: u16, exchange: &str) -> Self {
        let exchange = exchange.as_bytes().to_vec();
        self.with(
            name,
            RecordData::Mx {
                preference,
                exchange,
            },
        )
    }

    /// Makes every question about a name fail for now.
    pub fn with_failure(mut self, name: &str) -> Self {
        self.broken.push(name.as_bytes().to_vec());
        self
    }
}

/// The name to ask for the PTR record of an address (RFC 1035 section 3.5, RFC 3596).
pub fn reverse_name(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa").into_bytes()
        }
        IpAddr::V6(v6) => {
            let mut name = String::new();
            for octet in v6.octets().iter().rev() {
                name.push_str(&format!("{:x}.{:x}.", octet & 15, octet >> 4));
            }
            name.push_str("ip6.arpa");
            name.into_bytes()
        }
    }
}

impl Resolver for FixedResolver {
    fn query(
        &self,
        name: &[u8],
        kind: RecordType,
        _patience: Patience,
    ) -> Result<Answer, ResolveFailure> {
        let name = name.strip_suffix(b".").unwrap_or(name);
        if self.broken.iter().any(|bad| bad.eq_ignore_ascii_case(name)) {
            return Err(ResolveFailure::Temporary(TemporaryReason::ServerFailure));
        }
        let aliases = Answer {
            records: self.records.clone(),
            authenticated: false,
        };
        let end = aliases.canonical_name(name);
        let mut records = Vec::new();
        if !end.eq_ignore_ascii_case(name) {
            records.push(Record {
                name: name.to_vec(),
                ttl: FIXED_TTL,
                data: RecordData::Cname(end.clone()),
            });
        }
        let known = self
            .records
            .iter()
            .filter(|record| record.name.eq_ignore_ascii_case(&end));
        let mut exists = false;
        let mut matched = false;
        for record in known {
            exists = true;
            if record.data.is(kind) {
                matched = true;
                records.push(record.clone());
            }
        }
        if matched || (kind == RecordType::Cname && !records.is_empty()) {
            Ok(Answer {
                records,
                authenticated: false,
            })
        } else if exists {
            Err(ResolveFailure::NoData)
        } else {
            Err(ResolveFailure::NotFound)
        }
    }

    fn search(
        &self,
        name: &[u8],
        kind: RecordType,
        patience: Patience,
    ) -> Result<Answer, ResolveFailure> {
        self.query(name, kind, patience)
    }

    fn canonical_name(
        &self,
        host: &[u8],
        patience: Patience,
    ) -> Result<CanonicalName, ResolveFailure> {
        let host = host.strip_suffix(b".").unwrap_or(host);
        let name = [RecordType::Aaaa, RecordType::A, RecordType::Mx]
            .into_iter()
            .map(|kind| self.query(host, kind, patience))
            .reduce(|known, next| if known.is_ok() { known } else { next })
            .unwrap_or(Err(ResolveFailure::NotFound))?
            .canonical_name(host);
        Ok(CanonicalName {
            name,
            ttl: Some(FIXED_TTL),
        })
    }

    fn addresses(&self, host: &[u8], patience: Patience) -> Result<Vec<IpAddr>, ResolveFailure> {
        let mut found = Vec::new();
        let mut failure = ResolveFailure::NotFound;
        for kind in [RecordType::Aaaa, RecordType::A] {
            match self.query(host, kind, patience) {
                Ok(answer) => {
                    for data in answer.of_type(kind) {
                        match data {
                            RecordData::A(v4) => found.push(IpAddr::V4(*v4)),
                            RecordData::Aaaa(v6) => found.push(IpAddr::V6(*v6)),
                            _ => {}
                        }
                    }
                }
                Err(other) => failure = other,
            }
        }
        if found.is_empty() {
            Err(failure)
        } else {
            Ok(found)
        }
    }

    fn reverse(&self, address: IpAddr, patience: Patience) -> Result<Vec<u8>, ResolveFailure> {
        let answer = self.query(&reverse_name(address), RecordType::Ptr, patience)?;
        answer
            .of_type(RecordType::Ptr)
            .find_map(|data| match data {
                RecordData::Ptr(name) => Some(name.clone()),
                _ => None,
            })
            .ok_or(ResolveFailure::NoData)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_aliases_and_addresses_are_found() {
        let resolver = FixedResolver::new()
            .with_host("mx.example.org", "192.0.2.5".parse().unwrap())
            .with(
                "www.example.org",
                RecordData::Cname(b"mx.example.org".to_vec()),
            )
            .with_failure("down.example.org");
        let patience = Patience::Normal;
        assert_eq!(
            resolver.addresses(b"WWW.example.org.", patience).unwrap(),
            vec!["192.0.2.5".parse::<IpAddr>().unwrap()]
        );
        assert_eq!(
            resolver
                .canonical_name(b"www.example.org", patience)
                .unwrap()
                .name,
            b"mx.example.org"
        );
        assert_eq!(
            resolver
                .reverse("192.0.2.5".parse().unwrap(), patience)
                .unwrap(),
            b"mx.example.org"
        );
        assert_eq!(
            resolver.query(b"mx.example.org", RecordType::Mx, patience),
            Err(ResolveFailure::NoData)
        );
        assert_eq!(
            resolver.addresses(b"no.example.org", patience),
            Err(ResolveFailure::NotFound)
        );
        assert!(
            resolver
                .addresses(b"down.example.org", patience)
                .unwrap_err()
                .is_temporary()
        );
    }

    #[test]
    fn reverse_names_have_octets_or_nibbles_backwards() {
        assert_eq!(
            reverse_name("192.0.2.5".parse().unwrap()),
            b"5.2.0.192.in-addr.arpa"
        );
        let six = reverse_name("2001:db8::1".parse().unwrap());
        assert!(six.starts_with(b"1.0.0.0."));
        assert!(six.ends_with(b"8.b.d.0.1.0.0.2.ip6.arpa"));
    }
}
