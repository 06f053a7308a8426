//! A connection and the client at its other end.
//!
//! [`Connection`] is what the listener knows: addresses and the port it came in
//! by. [`Client`] is what is found out about the other side: its name, whether
//! the name can be believed, and how it is shown in `$_`, replies and the log.

use std::net::{IpAddr, SocketAddr};

use crate::dns::{Patience, ResolveFailure, Resolver};
use crate::text::address::{Ipv6Form, address_text};

/// What a session talks over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionKind {
    /// A network connection.
    Network,
    /// Standard input and output of `-bs` on a pipe or terminal, run by this login name.
    Pipe {
        /// Who runs it.
        user: Vec<u8>,
    },
    /// `-bs` on a socket that is not of the Internet.
    LocalSocket,
}

/// How busy the daemon is with this client, for `${client_rate}` and its kin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    /// Open connections of the client, this one included.
    pub client_connections: u32,
    /// Connections of the client in the rate window.
    pub client_rate: u32,
    /// Connections of everybody in the rate window.
    pub total_rate: u32,
}

/// One connection as the listener hands it over.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The other side; `None` without a network.
    pub peer: Option<SocketAddr>,
    /// Our side; `None` without a network.
    pub local: Option<SocketAddr>,
    /// Index of the daemon port it came in by; `None` for `-bs`.
    pub port: Option<usize>,
    /// What it runs over.
    pub kind: ConnectionKind,
    /// The proxy that handed it over and told whose it is.
    pub proxy: Option<SocketAddr>,
    /// Counts for this client.
    pub rates: Rates,
}

impl Connection {
    /// Makes a network connection that came in by a daemon port.
    pub fn network(peer: SocketAddr, local: SocketAddr, port: Option<usize>) -> Self {
        Self {
            peer: Some(peer),
            local: Some(local),
            port,
            kind: ConnectionKind::Network,
            proxy: None,
            rates: Rates::default(),
        }
    }

    /// Makes the connection of `-bs` on a pipe.
    pub fn pipe(user: impl Into<Vec<u8>>) -> Self {
        Self {
            peer: None,
            local: None,
            port: None,
            kind: ConnectionKind::Pipe { user: user.into() },
            proxy: None,
            rates: Rates::default(),
        }
    }
}

/// How the name of a client was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameCheck {
    /// The name leads back to the address.
    Confirmed,
    /// There is no name.
    Nameless,
    /// The name does not lead back to the address.
    Forged,
    /// Nobody could say now.
    Unknown,
    /// There is no network.
    NotAsked,
}

impl NameCheck {
    /// Returns the value of `${client_resolve}`.
    pub fn as_macro(self) -> &'static [u8] {
        match self {
            Self::Confirmed => b"OK",
            Self::Nameless => b"FAIL",
            Self::Forged => b"FORGED",
            Self::Unknown => b"TEMP",
            Self::NotAsked => b"",
        }
    }
}

/// The client as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// `${client_name}`: a confirmed name, or the address in brackets.
    pub name: Vec<u8>,
    /// `${client_addr}`: the address, `IPv6:` in front of version 6.
    pub address: Vec<u8>,
    /// `${client_ptr}`: the name its address maps to, confirmed or not.
    pub pointer: Vec<u8>,
    /// Whether the name can be believed.
    pub check: NameCheck,
    /// `$_`: how it is shown in Received: fields, replies and the log.
    pub shown: Vec<u8>,
    /// Who runs the program that talks to us through a pipe.
    pub local_user: Option<Vec<u8>>,
}

impl Client {
    /// Finds out who is at the other end.
    pub fn find(connection: &Connection, resolver: &dyn Resolver, form: Ipv6Form) -> Self {
        match (&connection.kind, connection.peer) {
            (ConnectionKind::Network, Some(peer)) => Self::of_address(peer.ip(), resolver, form),
            (ConnectionKind::Pipe { user }, _) => {
                // Observed: 8.17.1.9 writes an address of no family like this.
                let local = Self::local(&[user.as_slice(), b"@localhost"].concat(), b"0");
                Self {
                    local_user: Some(user.clone()),
                    ..local
                }
            }
            (ConnectionKind::LocalSocket | ConnectionKind::Network, _) => {
                Self::local(b"localhost [[UNIX: localhost]]", b"[UNIX: localhost]")
            }
        }
    }

    /// Makes the client of a connection nobody has looked at yet.
    pub fn unknown() -> Self {
        Self::local(b"localhost", b"")
    }

    fn local(shown: &[u8], address: &[u8]) -> Self {
        Self {
            name: b"localhost".to_vec(),
            address: address.to_vec(),
            pointer: b"localhost".to_vec(),
            check: NameCheck::NotAsked,
            shown: shown.to_vec(),
            local_user: None,
        }
    }

    fn of_address(ip: IpAddr, resolver: &dyn Resolver, form: Ipv6Form) -> Self {
        let ip = ip.to_canonical();
        let address = address_text(ip, form);
        let bracketed = [b"[", address.as_slice(), b"]"].concat();
        let unnamed = |check| Self {
            local_user: None,
            name: bracketed.clone(),
            address: address.clone(),
            pointer: bracketed.clone(),
            check,
            shown: bracketed.clone(),
        };
        let pointer = match resolver.reverse(ip, Patience::Normal) {
            Ok(name) if !name.is_empty() => name,
            Ok(_) => return unnamed(NameCheck::Nameless),
            Err(failure) if failure.is_temporary() => return unnamed(NameCheck::Unknown),
            Err(_) => return unnamed(NameCheck::Nameless),
        };
        let check = check_name(&pointer, ip, resolver);
        let confirmed = check == NameCheck::Confirmed;
        let mut shown = [pointer.as_slice(), b" ", &bracketed].concat();
        if check == NameCheck::Forged {
            shown.extend_from_slice(b" (may be forged)");
        }
        Self {
            local_user: None,
            name: if confirmed {
                pointer.clone()
            } else {
                bracketed
            },
            address,
            pointer,
            check,
            shown,
        }
    }
}

fn check_name(name: &[u8], ip: IpAddr, resolver: &dyn Resolver) -> NameCheck {
    match resolver.addresses(name, Patience::Normal) {
        Ok(found) if found.iter().any(|address| address.to_canonical() == ip) => {
            NameCheck::Confirmed
        }
        Ok(_) | Err(ResolveFailure::NotFound | ResolveFailure::NoData) => NameCheck::Forged,
        Err(failure) if failure.is_temporary() => NameCheck::Unknown,
        Err(_) => NameCheck::Forged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{FixedResolver, RecordData};

    fn client(resolver: &FixedResolver) -> Client {
        let peer = "127.0.1.8:4000".parse().expect("an address");
        let local = "127.0.0.1:25".parse().expect("an address");
        Client::find(
            &Connection::network(peer, local, None),
            resolver,
            Ipv6Form::Full,
        )
    }

    fn pointing_to(name: &str) -> FixedResolver {
        let pointer = RecordData::Ptr(name.as_bytes().to_vec());
        FixedResolver::new().with("8.1.0.127.in-addr.arpa", pointer)
    }

    #[test]
    fn a_name_that_leads_back_is_believed() {
        let address = "127.0.1.8".parse().expect("an address");
        let found = client(&pointing_to("c.far.test").with_host("c.far.test", address));
        assert_eq!(found.name, b"c.far.test");
        assert_eq!(found.shown, b"c.far.test [127.0.1.8]");
        assert_eq!(found.check, NameCheck::Confirmed);
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_shown_as_forged() {
        let address = "127.0.1.9".parse().expect("an address");
        let found = client(&pointing_to("c.far.test").with_host("c.far.test", address));
        assert_eq!(found.name, b"[127.0.1.8]");
        assert_eq!(found.pointer, b"c.far.test");
        assert_eq!(found.shown, b"c.far.test [127.0.1.8] (may be forged)");
    }

    #[test]
    fn a_client_without_a_name_is_its_address() {
        let found = client(&FixedResolver::new());
        assert_eq!(
            (found.name, found.check),
            (b"[127.0.1.8]".to_vec(), NameCheck::Nameless)
        );
        assert_eq!(found.shown, b"[127.0.1.8]");
    }

    #[test]
    fn a_pipe_is_its_user() {
        let found = Client::find(
            &Connection::pipe("root"),
            &FixedResolver::new(),
            Ipv6Form::Full,
        );
        assert_eq!(
            (found.shown, found.name),
            (b"root@localhost".to_vec(), b"localhost".to_vec())
        );
    }
}
