//! A session with one host: a kept one, or a new connection that was greeted.
//!
//! A host that failed a moment ago is not asked again, and no more sessions are held with
//! one host than [`crate::client::Crowd`] has places for. Part of the walk from exchanger
//! to exchanger in [`super::network`].
//!
//! Source: guide 5.4 (P=[IPC], A=), observed: 8.17.1.9.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::host_knowledge;
use super::network::{Told, Walk};
use super::network_call::{
    dial_delay, each_connect, interface_name, manners, patience, source_of, tls_use, uses_auth,
};
use crate::client::connect::{self, Patient};
use crate::client::{Manners, Outcome, Place, Ready, Stream, TlsUse, Transport, Witness};
use crate::sys::file::path_of;
use crate::sys::host::error_text;
use crate::sys::socket;
use crate::text::address::{Ipv6Form, address_text};

/// The port of a mailer that names none.
const SMTP_PORT: u16 = 25;

/// How long to wait for a place among our sessions with a host.
///
/// Long enough for a host that takes a message in a few seconds to get through all delivery
/// threads; a host that hangs must not keep all of them, so then its mail goes to the queue.
const CROWD_PATIENCE: Duration = Duration::from_secs(60);

/// One host to talk to.
pub(super) struct Target {
    /// Its name as log and bounces show it.
    pub(super) host: Vec<u8>,
    /// The port that `A=` names.
    pub(super) port: Option<u16>,
    /// It is a socket in the file system.
    pub(super) is_local: bool,
}

impl Target {
    /// The name under which the status of the host is kept; sockets in the file system have none.
    pub(super) fn name_for_status(&self) -> Option<&[u8]> {
        (!self.is_local).then_some(self.host.as_slice())
    }

    /// The name under which our sessions with it are counted.
    fn name_in_crowd(&self) -> Vec<u8> {
        match self.port {
            Some(port) => [self.host.as_slice(), format!(":{port}").as_bytes()].concat(),
            None => self.host.clone(),
        }
    }

    pub(super) fn local(path: &[u8]) -> Self {
        Target {
            host: path.to_vec(),
            port: None,
            is_local: true,
        }
    }
}

/// A host that could not be talked to.
pub(super) struct Unreached {
    pub(super) outcome: Outcome,
    pub(super) relay: Vec<u8>,
}

impl Walk<'_, '_, '_> {
    /// A session with the host: a kept one, or a new connection.
    pub(super) fn session(
        &mut self,
        target: &Target,
    ) -> Result<(Ready, Option<IpAddr>), Box<Unreached>> {
        let mailer = self.call.mailer;
        let most = mailer.max_messages;
        let mut told = Told::new(self.witness, &target.host);
        let kept = self
            .memory
            .connections
            .take(&mailer.name, &target.host, most, &mut told);
        if let Some(mut ready) = kept {
            let text = [
                b"Using cached ",
                ready.kind(),
                b"connection to ",
                target.host.as_slice(),
                b" via ",
                mailer.name.as_slice(),
                b"...",
            ]
            .concat();
            told.message(&text);
            let address = ready.peer_address();
            return Ok((ready, address));
        }
        let limit = self.call.options.timeouts.hoststatus;
        let hosts = &self.memory.hosts;
        let failed_before = hosts
            .recent_failure(&mailer.name, &target.host, limit)
            .cloned()
            .or_else(|| match hosts.passes_files_by {
                true => None,
                false => host_knowledge::failure(self.call, target.name_for_status(), limit),
            });
        if let Some(outcome) = failed_before.filter(|_| !mailer.has(b'W')) {
            return Err(unreached(outcome, target.host.clone()));
        }
        self.connection(target)
    }

    pub(super) fn connection(
        &mut self,
        target: &Target,
    ) -> Result<(Ready, Option<IpAddr>), Box<Unreached>> {
        let place = self.place(target)?;
        if target.is_local {
            self.connect_local(target, place)
        } else {
            self.connect(target, place)
        }
    }

    /// A place among our sessions with the host, if need be one that becomes free soon.
    fn place(&mut self, target: &Target) -> Result<Place, Box<Unreached>> {
        let crowd = self.call.crowd;
        let name = target.name_in_crowd();
        if let Some(place) = crowd.try_enter(&name) {
            return Ok(place);
        }
        // Nobody waits with a place another may be waiting for.
        let mut told = Told::new(self.witness, &target.host);
        self.memory.connections.close_all(&mut told);
        crowd
            .enter(&name, Instant::now() + CROWD_PATIENCE)
            .ok_or_else(|| {
                let reason = b"Too many sessions with this host already";
                let outcome = Outcome {
                    avoids_host: false,
                    ..Outcome::not_connected(reason, &target.host)
                };
                unreached(outcome, target.host.clone())
            })
    }

    fn announce(&mut self, target: &Target) {
        let mut text = [b"Connecting to ", target.host.as_slice()].concat();
        if let Some(port) = target.port {
            text.extend_from_slice(format!(" port {port}").as_bytes());
        }
        text.extend_from_slice(b" via ");
        text.extend_from_slice(&self.call.mailer.name);
        text.extend_from_slice(b"...");
        self.witness.message(&text);
    }

    /// Connects; without TLS if a handshake failed and TLSFallbacktoClear allows it.
    fn connect(
        &mut self,
        target: &Target,
        place: Place,
    ) -> Result<(Ready, Option<IpAddr>), Box<Unreached>> {
        let first = self.connect_with(target, place, None);
        let falls_back = self.call.options.security.tls_fallback_to_clear;
        match first {
            Err(unreached) if unreached.outcome.is_tls_failure && falls_back => {
                let place = self.place(target)?;
                self.connect_with(target, place, Some(TlsUse::NotAgain))
            }
            other => other,
        }
    }

    fn connect_with(
        &mut self,
        target: &Target,
        place: Place,
        tls: Option<TlsUse>,
    ) -> Result<(Ready, Option<IpAddr>), Box<Unreached>> {
        self.announce(target);
        let call = self.call;
        let host = &target.host;
        let only_to = call.options.delivering.connect_only_to.as_deref();
        let asked = only_to.unwrap_or(host);
        let addresses = connect::addresses_of(call.resolver, asked, patience(call))
            .map_err(|failure| unreached(connect::unresolved(&failure, host), host.clone()))?;
        let patient = Patient {
            each: each_connect(call),
            until: self.until,
        };
        let source = |address: &IpAddr| source_of(call, address);
        let port = target.port.unwrap_or(SMTP_PORT);
        let mut connected = connect::connect(&addresses, port, &source, patient);
        if let (Err(_), Some(pause)) = (&connected, dial_delay(call)) {
            // The first packet made a dialled line come up; now it may be there.
            std::thread::sleep(pause);
            connected = connect::connect(&addresses, port, &source, patient);
        }
        match connected {
            Ok((stream, address)) => {
                call.counting.count(|all| all.connections_to += 1);
                self.tell_own_name(&stream);
                let mut manners = manners(call);
                if let Some(name) = interface_name(call, &address, &stream) {
                    manners.helo_name = name;
                }
                manners.tls = tls.unwrap_or_else(|| tls_use(call, &address));
                let stream = Stream::new(Transport::Tcp(stream)).holding(place);
                let ready = self.open(target, stream, Some(address), &manners)?;
                Ok((ready, Some(address)))
            }
            Err(failed) => {
                let reason = connect::reason(&failed.error, host);
                // Observed: an address of version 4 only.
                let address = failed.address.filter(IpAddr::is_ipv4);
                let relay = relay(host, address, call.options.running.ipv6_form);
                let outcome = Outcome::not_connected(&reason, host);
                let number = failed.error.raw_os_error().unwrap_or(0);
                host_knowledge::store(call, target.name_for_status(), &outcome, number, None);
                Err(unreached(outcome, relay))
            }
        }
    }

    /// Tells the log which of our addresses a connection comes from; a name is only looked up
    /// for a log that wants it.
    fn tell_own_name(&mut self, stream: &std::net::TcpStream) {
        if !self.witness.asks_for_own_name() {
            return;
        }
        let Ok(own) = stream.local_addr() else {
            return;
        };
        let name = self.call.resolver.reverse(own.ip(), patience(self.call));
        let name = name.unwrap_or_else(|_| format!("[{}]", own.ip()).into_bytes());
        self.witness.own_name_is(&name);
    }

    fn connect_local(
        &mut self,
        target: &Target,
        place: Place,
    ) -> Result<(Ready, Option<IpAddr>), Box<Unreached>> {
        self.announce(target);
        match socket::connect_local(path_of(&target.host), each_connect(self.call)) {
            Ok(stream) => {
                let manners = manners(self.call);
                let stream = Stream::new(Transport::Local(stream)).holding(place);
                Ok((self.open(target, stream, None, &manners)?, None))
            }
            Err(error) => {
                let outcome = Outcome::not_connected(error_text(&error).as_bytes(), &target.host);
                Err(unreached(outcome, b"localhost".to_vec()))
            }
        }
    }

    pub(super) fn open(
        &mut self,
        target: &Target,
        stream: Stream,
        address: Option<IpAddr>,
        manners: &Manners,
    ) -> Result<Ready, Box<Unreached>> {
        let relay = self.relay_of(target, address);
        let event = [b"CONNECT ", target.host.as_slice()].concat();
        self.witness.traffic().event(&event);
        let mut told = Told::new(self.witness, &relay);
        let mailer = &self.call.mailer.name;
        self.memory
            .connections
            .reserve(mailer, &target.host, &mut told);
        let opened = Ready::open(stream, &target.host, manners, &mut told);
        let opened = opened.and_then(|ready| match uses_auth(self.call, address.as_ref()) {
            true => ready.authenticate(address, self.call.logins, &mut told),
            false => Ok(ready),
        });
        match opened {
            Ok(ready) => Ok(ready),
            Err(outcome) => {
                let said = outcome.last_words.clone().or_else(|| outcome.reply.clone());
                host_knowledge::store(
                    self.call,
                    target.name_for_status(),
                    &outcome,
                    0,
                    said.as_deref(),
                );
                let mut told = Told::new(self.witness, &relay);
                let connections = &mut self.memory.connections;
                connections.put_back(mailer, &target.host, None, None, &mut told);
                Err(unreached(*outcome, relay))
            }
        }
    }

    pub(super) fn relay_of(&self, target: &Target, address: Option<IpAddr>) -> Vec<u8> {
        if target.is_local {
            b"localhost".to_vec()
        } else {
            relay(&target.host, address, self.call.options.running.ipv6_form)
        }
    }
}

fn unreached(outcome: Outcome, relay: Vec<u8>) -> Box<Unreached> {
    Box::new(Unreached { outcome, relay })
}

/// `relay=`: the host and its address in brackets.
fn relay(host: &[u8], address: Option<IpAddr>, form: Ipv6Form) -> Vec<u8> {
    match address {
        None => host.to_vec(),
        Some(address) => [host, b" [", &address_text(address, form), b"]"].concat(),
    }
}
