//! Addresses of a host, and connections to them.
//!
//! A host is a name (usually with a trailing dot, from an MX record) or an
//! address literal in brackets. Its addresses are tried in order until one
//! accepts; the error of the last one is what the log shows.
//!
//! Source: RFC 5321 section 5.1, guide 4.1 (Timeout.connect, iconnect, aconnect).

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::client::outcome::{Lost, Outcome, status};
use crate::dns::{Patience, ResolveFailure, Resolver};
use crate::smtp::ExitStatus;
use crate::sys::host::error_text;
use crate::sys::socket::{self, ConnectFrom};

/// Parses `[192.0.2.1]` or `[IPv6:2001:db8::1]`; `None` for anything else.
pub fn address_literal(host: &[u8]) -> Option<IpAddr> {
    let inner = host.strip_prefix(b"[")?.strip_suffix(b"]")?;
    let inner = match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case(b"ipv6:") => inner.get(5..)?,
        _ => inner,
    };
    std::str::from_utf8(inner).ok()?.parse().ok()
}

/// Finds the addresses of a host or address literal.
///
/// # Errors
/// As [`Resolver::addresses`]; a bracketed name is looked up without its brackets.
pub fn addresses_of(
    resolver: &dyn Resolver,
    host: &[u8],
    patience: Patience,
) -> Result<Vec<IpAddr>, ResolveFailure> {
    if let Some(address) = address_literal(host) {
        return Ok(vec![address]);
    }
    let bare = host
        .strip_prefix(b"[")
        .and_then(|inner| inner.strip_suffix(b"]"))
        .unwrap_or(host);
    resolver.addresses(bare, patience)
}

/// How long connecting may take.
#[derive(Clone, Copy, Debug)]
pub struct Patient {
    /// One attempt; `None` leaves it to the kernel.
    pub each: Option<Duration>,
    /// All attempts of this delivery.
    pub until: Option<Instant>,
}

impl Patient {
    /// The wait for the next attempt; `None` when the time for all is over.
    fn next(&self) -> Option<Option<Duration>> {
        let Some(until) = self.until else {
            return Some(self.each);
        };
        let left = until
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())?;
        Some(Some(self.each.map_or(left, |each| each.min(left))))
    }
}

/// A connection that was not made.
#[derive(Debug)]
pub struct Unconnected {
    /// The address tried last.
    pub address: Option<IpAddr>,
    /// What the system said.
    pub error: io::Error,
}

/// Connects to the first address that accepts.
///
/// # Errors
/// The error of the last address tried.
pub fn connect(
    addresses: &[IpAddr],
    port: u16,
    source_of: &dyn Fn(&IpAddr) -> ConnectFrom,
    patient: Patient,
) -> Result<(TcpStream, IpAddr), Unconnected> {
    let mut failure = Unconnected {
        address: None,
        error: io::ErrorKind::AddrNotAvailable.into(),
    };
    for address in addresses {
        let Some(wait) = patient.next() else {
            failure.error = io::ErrorKind::TimedOut.into();
            break;
        };
        let to = SocketAddr::new(*address, port);
        match socket::connect(to, &source_of(address), wait) {
            Ok(stream) => return Ok((stream, *address)),
            Err(error) => {
                failure = Unconnected {
                    address: Some(*address),
                    error,
                };
            }
        }
    }
    Err(failure)
}

/// Words a failed connection as the log shows it.
///
/// Observed: 8.17.1.9 names the host for the usual errors and gives the system's text for the others.
pub fn reason(error: &io::Error, host: &[u8]) -> Vec<u8> {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => [b"Connection refused by ", host].concat(),
        io::ErrorKind::TimedOut => Lost::TimedOut.text(host),
        io::ErrorKind::ConnectionReset => Lost::Reset.text(host),
        _ => error_text(error).into_bytes(),
    }
}

/// The outcome of a host whose addresses are not known.
pub fn unresolved(failure: &ResolveFailure, host: &[u8]) -> Outcome {
    let detail = [
        b"Name server: ",
        host,
        b": ",
        failure.to_string().as_bytes(),
    ]
    .concat();
    let (exit, code) = if failure.is_temporary() {
        (ExitStatus::TempFail, status(4, 4, 3))
    } else {
        (ExitStatus::NoHost, status(5, 1, 2))
    };
    Outcome {
        detail: Some(detail),
        remote: Some(host.to_vec()),
        ..Outcome::new(exit, code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::FixedResolver;

    #[test]
    fn literals_are_addresses() {
        for (host, address) in [
            ("[192.0.2.1]", Some("192.0.2.1")),
            ("[IPv6:2001:db8::1]", Some("2001:db8::1")),
            ("[ipv6:::1]", Some("::1")),
            ("[999.1.1.1]", None),
            ("mx.test.", None),
            ("[", None),
        ] {
            let address: Option<IpAddr> = address.map(|text| text.parse().unwrap());
            assert_eq!(address_literal(host.as_bytes()), address, "{host}");
        }
    }

    #[test]
    fn bracketed_names_are_looked_up() {
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let resolver = FixedResolver::new().with_host("mx.test", address);
        for host in ["mx.test.", "[mx.test]", "[192.0.2.1]"] {
            let found = addresses_of(&resolver, host.as_bytes(), Patience::Normal);
            assert_eq!(found.unwrap(), vec![address], "{host}");
        }
    }

    #[test]
    fn the_second_address_is_tried_when_the_first_refuses() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let addresses: Vec<IpAddr> =
            vec!["127.0.0.2".parse().unwrap(), "127.0.0.1".parse().unwrap()];
        let patient = Patient {
            each: Some(Duration::from_secs(5)),
            until: None,
        };
        let (_, address) = connect(&addresses, port, &|_| ConnectFrom::default(), patient).unwrap();
        assert_eq!(address, addresses[1]);
        let failed =
            connect(&addresses[..1], port, &|_| ConnectFrom::default(), patient).unwrap_err();
        assert_eq!(
            reason(&failed.error, b"x.test."),
            b"Connection refused by x.test."
        );
        assert_eq!(failed.address, Some(addresses[0]));
    }

    #[test]
    fn unknown_hosts_bounce_and_unanswered_questions_wait() {
        let unknown = unresolved(&ResolveFailure::NotFound, b"x.test");
        assert_eq!(
            (unknown.exit, unknown.logged.to_string()),
            (ExitStatus::NoHost, "5.1.2".into())
        );
        assert_eq!(
            unknown.detail.unwrap(),
            b"Name server: x.test: host not found"
        );
    }
}
