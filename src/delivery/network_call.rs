//! What a transaction over the network needs to know, and how it behaves.
//!
//! [`Call`] holds the question; the functions turn mailer flags and options into
//! the client's terms.
//!
//! Source: guide 5.4 (flags 2 a k z R), 5.6 (ClientPortOptions), 4.1 (Timeout.connect).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::client::{Crowd, Esmtp, Logins, MailCommand, Manners, Protocol, RcptCommand, TlsUse};
use crate::config::options::Options;
use crate::config::options::daemon_port::{ClientPort, PortFamily};
use crate::dns::{Patience, Resolver};
use crate::logging::counting::Counting;
use crate::mailer::{Invocation, Mailer};
use crate::sys::clock::Clock;
use crate::sys::host::service_port;
use crate::sys::socket::ConnectFrom;

/// What one transaction needs to know besides the message.
pub struct Call<'a> {
    /// The mailer.
    pub mailer: &'a Mailer,
    /// Its argument vector, expanded: `TCP host [port]` or `FILE path`.
    pub argv: &'a [Vec<u8>],
    /// The options of the configuration.
    pub options: &'a Options,
    /// Answers questions about hosts.
    pub resolver: &'a dyn Resolver,
    /// The time, for the status of hosts.
    pub clock: &'a dyn Clock,
    /// Counts the connections made.
    pub counting: &'a Counting,
    /// Counts the sessions there are.
    pub crowd: &'a Arc<Crowd>,
    /// Says whether a name is one of ours (class w).
    pub is_ourselves: &'a dyn Fn(&[u8]) -> bool,
    /// Our own name (`$j`); also the name in EHLO unless `HeloName` is set.
    pub own_name: &'a [u8],
    /// Says who we are to servers that want to know.
    pub logins: &'a dyn Logins,
    /// The message was never tried before.
    pub is_first_attempt: bool,
    /// The MAIL command.
    pub mail: &'a MailCommand,
    /// The recipients, in the order of the RCPT commands.
    pub recipients: &'a [RcptCommand],
}

/// Reads the port word of an argument vector: a number or a service name.
pub fn port_of(word: &[u8]) -> Option<u16> {
    match std::str::from_utf8(word).ok()?.parse::<u16>() {
        Ok(port) => Some(port),
        Err(_) => service_port(word),
    }
}

/// How long to ask name servers for this message.
pub(super) fn patience(call: &Call<'_>) -> Patience {
    if call.is_first_attempt {
        Patience::First
    } else {
        Patience::Normal
    }
}

/// The wait of one connection attempt; zero leaves it to the kernel.
pub(super) fn each_connect(call: &Call<'_>) -> Option<Duration> {
    let timeouts = &call.options.timeouts;
    let wait = if call.is_first_attempt && !timeouts.iconnect.is_zero() {
        timeouts.iconnect
    } else {
        timeouts.connect
    };
    (!wait.is_zero()).then_some(wait)
}

/// How to behave towards the server.
pub(super) fn manners(call: &Call<'_>) -> Manners {
    let mailer = call.mailer;
    let is_network = mailer.invocation() == Invocation::Network;
    let helo_name = call
        .options
        .delivering
        .helo_name
        .as_deref()
        .unwrap_or(call.own_name);
    Manners {
        protocol: if mailer.has(b'z') {
            Protocol::Lmtp
        } else {
            Protocol::Smtp
        },
        esmtp: if mailer.has(b'2') {
            Esmtp::Never
        } else if mailer.has(b'a') {
            Esmtp::Always
        } else {
            Esmtp::IfGreeted
        },
        helo_name: helo_name.to_vec(),
        own_name: (is_network && !mailer.has(b'k') && !mailer.has(b'z'))
            .then(|| call.own_name.to_vec()),
        end_of_line: mailer.end_of_line.clone(),
        timeouts: call.options.timeouts.clone(),
        tls: TlsUse::IfOffered,
    }
}

/// How long to wait before a second attempt (DialDelay, mailer flag Z).
pub(super) fn dial_delay(call: &Call<'_>) -> Option<Duration> {
    let pause = call.options.delivering.dial_delay;
    (call.mailer.has(b'Z') && !pause.is_zero()).then_some(pause)
}

/// The name of our end of a connection, where ClientPortOptions wants it in HELO (modifier h).
///
/// Only a full name will do; an address in brackets will not.
pub(super) fn interface_name(
    call: &Call<'_>,
    to: &IpAddr,
    stream: &std::net::TcpStream,
) -> Option<Vec<u8>> {
    client_port(call, to).filter(|port| port.modifiers.contains(&b'h'))?;
    let ip = stream.local_addr().ok()?.ip();
    let name = call.resolver.reverse(ip, Patience::Normal).ok()?;
    (name.contains(&b'.') && !name.contains(&b'[')).then_some(name)
}

/// When TLS is used with a server at `to` (modifier S of ClientPortOptions).
pub(super) fn tls_use(call: &Call<'_>, to: &IpAddr) -> TlsUse {
    match client_port(call, to) {
        Some(port) if port.modifiers.contains(&b'S') => TlsUse::Never,
        Some(_) | None => TlsUse::IfOffered,
    }
}

/// Tells whether AUTH is used with a server at `to` (modifier A of ClientPortOptions).
pub(super) fn uses_auth(call: &Call<'_>, to: Option<&IpAddr>) -> bool {
    let port = to.and_then(|to| client_port(call, to));
    !port.is_some_and(|port| port.modifiers.contains(&b'A'))
}

fn client_port<'a>(call: &'a Call<'_>, to: &IpAddr) -> Option<&'a ClientPort> {
    call.options
        .client_ports
        .iter()
        .find(|port| match port.family {
            PortFamily::Inet => to.is_ipv4(),
            PortFamily::Inet6 => to.is_ipv6(),
            PortFamily::Local => false,
        })
}

/// The source of a connection to `address` (ClientPortOptions, mailer flag R).
pub(super) fn source_of(call: &Call<'_>, address: &IpAddr) -> ConnectFrom {
    let mut from = ConnectFrom {
        reserved_port: call.mailer.has(b'R'),
        ..ConnectFrom::default()
    };
    let Some(port) = client_port(call, address) else {
        return from;
    };
    from.address = source_address(call.resolver, port, address);
    let size = |bytes: Option<u32>| bytes.and_then(|bytes| usize::try_from(bytes).ok());
    from.send_buffer = size(port.send_buffer_size);
    from.receive_buffer = size(port.receive_buffer_size);
    from
}

fn source_address(resolver: &dyn Resolver, port: &ClientPort, to: &IpAddr) -> Option<SocketAddr> {
    let number = port.port.unwrap_or(0);
    let ip = match port.address.as_deref() {
        Some(name) => resolve_source(resolver, name, to)?,
        None if number == 0 => return None,
        None if to.is_ipv4() => IpAddr::from([0u8; 4]),
        None => IpAddr::from([0u8; 16]),
    };
    Some(SocketAddr::new(ip, number))
}

fn resolve_source(resolver: &dyn Resolver, name: &[u8], to: &IpAddr) -> Option<IpAddr> {
    let text = std::str::from_utf8(name).ok()?;
    let literal = text
        .trim_start_matches("IPv6:")
        .trim_start_matches('[')
        .trim_end_matches(']');
    if let Ok(ip) = literal.parse() {
        return Some(ip);
    }
    let found = resolver.addresses(name, Patience::Normal).ok()?;
    found.into_iter().find(|ip| ip.is_ipv4() == to.is_ipv4())
}
