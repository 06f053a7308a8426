//! The accept thread: it waits for everything at once and does nothing slow.
//!
//! It owns the poll, the listeners, the waiting sessions and the gate. New
//! connections and sessions that have something to read go to the workers;
//! sessions with nothing to do come back. It does no DNS, reads no files (but
//! the configuration at a reload) and never sleeps.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use mio::{Events, Poll, Token};

use super::control::{Control, Current, Way};
use super::gate::{Gate, Place, Refusal};
use super::guest::Guest;
use super::listeners::{Listener, gate_limits, open_all};
use super::parking::Parking;
use super::service_manager::Inherited;
use super::talk::{Talk, Wait, Wake};
use super::vestibule::{Arrival, Vestibule};
use super::worker::{Outcome, Ready};
use crate::config::options::Networks;
use crate::logging::record::Severity;
use crate::mta::Mta;
use crate::server::connection::{Connection, ConnectionKind, Rates};
use crate::server::proxy_header::Origin;
use crate::server::session::Session;
use crate::sys::descriptors::open_descriptors;
use crate::sys::host::load_average;
use crate::sys::process::ProcessTitle;
use crate::sys::socket::{accept, local_address, peer_address};

/// The token of the waker.
pub const WAKER: Token = Token(0);
/// The token of the first listener; waiting sessions come after the last.
const FIRST_LISTENER: usize = 1;
/// Tokens below this belong to listeners.
const FIRST_SESSION: usize = 1_000;
/// Tokens from here on belong to connections whose proxy has not spoken yet.
const FIRST_GUEST: usize = 1 << (usize::BITS - 2);
/// Those who come by a local socket are counted as one client; no peer has this address.
const LOCAL_CLIENTS: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
/// How long no connection is accepted after the descriptors ran out.
const DESCRIPTOR_PAUSE: Duration = Duration::from_millis(100);
/// How often a refusal is told at most.
/// Observed: 8.17.1.9 looks again after five seconds at the earliest.
const TELL_INTERVAL: Duration = Duration::from_secs(5);
/// How many connections are accepted before the poll is asked again.
const MAX_AT_ONCE: usize = 64;

/// What reaches the accept thread from other threads.
pub enum Event {
    /// A worker is done with a session for now.
    Session(Outcome<Guest>),
    /// Somebody asks something of the daemon.
    Control(Control),
    /// A delivery ended: a place may be free.
    DeliveryEnded,
}

/// How the daemon reads its configuration again.
pub type Reload<'a> = dyn FnMut(&Arc<Mta>, Way) -> Option<Arc<Mta>> + 'a;

/// The accept thread's own things.
pub struct AcceptLoop {
    /// The poll.
    pub poll: Poll,
    /// From other threads.
    pub events: Receiver<Event>,
    /// To the workers.
    pub ready: Sender<Ready<Guest>>,
    /// The configuration in force.
    pub current: Arc<Current>,
    /// The gate.
    pub gate: Gate,
    /// The most sessions our descriptors allow.
    pub max_sessions: usize,
    /// The listeners.
    pub listeners: Vec<Listener>,
    /// Connections whose proxy has not spoken yet.
    pub vestibule: Vestibule,
    /// The waiting sessions.
    pub parking: Parking<Guest>,
    /// What `ps` shows.
    pub title: Title,
    /// How many children there are, for the control socket.
    pub children: Arc<AtomicUsize>,
    /// Kept open to be closed when descriptors run out.
    pub spare: Option<OwnedFd>,
}

/// What `ps` shows, with what the configuration puts in front.
pub struct Title {
    /// The place the kernel looks at, where it lets us.
    pub place: Option<ProcessTitle>,
    /// ProcessTitlePrefix.
    pub prefix: String,
}

impl Title {
    /// Shows what the daemon does now.
    pub fn show(&self, text: &str) {
        if let Some(place) = &self.place {
            place.show(&format!("{}{text}", self.prefix));
        }
    }
}

impl AcceptLoop {
    /// Makes the parking whose tokens do not meet those of listeners.
    pub fn empty_parking() -> Parking<Guest> {
        Parking::new(FIRST_SESSION)
    }

    /// Makes the vestibule whose tokens meet no others.
    pub fn empty_vestibule() -> Vestibule {
        Vestibule::new(FIRST_GUEST)
    }

    /// Serves until somebody asks for the end, and says how.
    ///
    /// # Errors
    /// The poll failed.
    pub fn serve(&mut self, reload: &mut Reload<'_>) -> io::Result<Way> {
        let mut events = Events::with_capacity(1_024);
        self.title.show("accepting connections");
        self.settle_listeners();
        loop {
            let timeout = self.next_deadline().map(|deadline| {
                // Rounded up: waking a little early would mean waking many times.
                deadline.saturating_duration_since(Instant::now()) + Duration::from_millis(1)
            });
            match self.poll.poll(&mut events, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            for event in &events {
                self.handle(event.token());
            }
            while let Ok(event) = self.events.try_recv() {
                match event {
                    Event::Session(outcome) => self.take_back(outcome),
                    Event::DeliveryEnded => {}
                    Event::Control(Control::Dump) => self.dump(),
                    Event::Control(Control::Reload(way)) => self.reload(reload, way),
                    Event::Control(Control::Shutdown(way)) => return Ok(way),
                }
            }
            self.wake_overdue();
            self.settle_listeners();
            self.children.store(self.gate.children(), Ordering::Relaxed);
        }
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        let listeners = self
            .listeners
            .iter()
            .filter_map(|listener| listener.closed_until)
            .min();
        let guests = self.vestibule.next_deadline();
        [self.parking.next_deadline(), listeners, guests]
            .into_iter()
            .flatten()
            .min()
    }

    fn handle(&mut self, token: Token) {
        if token == WAKER {
            return;
        }
        if token.0 < FIRST_SESSION {
            self.accept_from(token.0 - FIRST_LISTENER);
        } else if self.vestibule.owns(token) {
            let arrival = self.vestibule.look(self.poll.registry(), token);
            self.usher(arrival);
        } else if let Some(talk) = self.parking.take(self.poll.registry(), token) {
            self.hand_over(talk, Wake::Ready);
        }
    }

    fn wake_overdue(&mut self) {
        let now = Instant::now();
        while let Some(talk) = self.parking.take_overdue(self.poll.registry(), now) {
            self.hand_over(talk, Wake::Deadline);
        }
        while let Some((guest, why)) = self.vestibule.take_overdue(self.poll.registry(), now) {
            self.usher(Arrival::Refused(guest, why));
        }
    }

    /// Lets a connection in whose proxy has told whose it is.
    fn usher(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Waits => {}
            Arrival::Known(mut guest, origin) => {
                let proxy = peer_address(&guest.stream);
                let (from, to) = match origin {
                    Origin::Client { from, to } => (Some(from), Some(to)),
                    Origin::Proxy => (proxy, local_address(&guest.stream)),
                };
                let (Some(from), Some(to)) = (from, to) else {
                    self.gate.leave(guest.place);
                    return;
                };
                let rates = self.gate.name_client(
                    &mut guest.place,
                    from.ip().to_canonical(),
                    Instant::now(),
                );
                let connection = Connection {
                    rates,
                    proxy: proxy.filter(|_| origin != Origin::Proxy),
                    ..Connection::network(from, to, Some(guest.place.port))
                };
                self.begin(connection, guest.stream, guest.place);
            }
            Arrival::Refused(guest, why) => {
                let peer = peer_address(&guest.stream);
                self.turn_away(peer, guest.place.port, &why);
                self.gate.leave(guest.place);
            }
        }
    }

    /// Notes that a connection to a port of proxies was closed without a word.
    fn turn_away(&self, peer: Option<SocketAddr>, port: usize, why: &str) {
        let mta = self.current.get();
        let ports = &mta.config.options.daemon_ports;
        let name = ports.get(port).map_or(&b"?"[..], |port| &port.name);
        let name = String::from_utf8_lossy(name);
        let peer = peer.map_or_else(|| "?".to_owned(), |peer| peer.ip().to_string());
        let text = format_args!("connection from [{peer}] to daemon {name} closed: {why}");
        mta.log.syslog(9, Severity::Info, None, text);
    }

    fn begin(&mut self, connection: Connection, stream: TcpStream, place: Place) {
        let session = Session::new(self.current.get(), connection);
        self.hand_over(Talk::new(Guest::from(session), stream, place), Wake::Start);
    }

    fn hand_over(&mut self, talk: Talk<Guest>, wake: Wake) {
        let place = talk.place();
        // The channel has room for every session there may be; only workers that are
        // all gone make this fail.
        if self.ready.send((Box::new(talk), wake)).is_err() {
            self.gate.leave(place);
        }
    }

    fn take_back(&mut self, outcome: Outcome<Guest>) {
        match outcome {
            Outcome::Over(place) => self.gate.leave(place),
            Outcome::Rests(talk, wait) => self.park(*talk, wait),
        }
    }

    fn park(&mut self, talk: Talk<Guest>, wait: Wait) {
        if let Err((talk, error)) = self.parking.park(self.poll.registry(), talk, wait) {
            log::error!("cannot wait for a client: {error}");
            self.gate.leave(talk.place());
        }
    }

    /// Accepts whoever waits at one listener, as long as the gate lets them in.
    fn accept_from(&mut self, number: usize) {
        for _ in 0..MAX_AT_ONCE {
            let Some(listener) = self.listeners.get(number) else {
                return;
            };
            // Asked first, so that a rate is only called exceeded when somebody waits.
            if !listener.is_polled() || !listener.has_client() {
                return;
            }
            let now = Instant::now();
            if let Some(refusal) = self.gate.refusal(listener.port, now, read_load) {
                self.refuse(number, refusal);
                return;
            }
            if let Some(told) = self.gate.delay_to_tell(listener.port, now, read_load) {
                let log = &self.current.get().log;
                log.syslog(9, Severity::Info, None, format_args!("{told}"));
            }
            match accept(listener, true) {
                Ok(Some(fd)) => self.admit(fd.into(), number, now),
                Ok(None) => return,
                Err(error) => {
                    self.pause_for(number, &error);
                    return;
                }
            }
        }
        // More may wait: out and in again makes the poll tell of them once more.
        if let Some(listener) = self.listeners.get_mut(number) {
            listener.close_for_now(self.poll.registry(), None);
        }
    }

    fn admit(&mut self, stream: TcpStream, number: usize, now: Instant) {
        let Some(listener) = self.listeners.get(number) else {
            return;
        };
        let peer = peer_address(&stream);
        let mta = self.current.get();
        let port = mta.config.options.daemon_ports.get(listener.port);
        if let Some(proxies) = port.and_then(|port| port.trusted_proxies.as_ref()) {
            return self.admit_proxy(stream, listener.port, proxies, now);
        }
        let place = Place {
            port: listener.port,
            client: Some(peer.map_or(LOCAL_CLIENTS, |peer| peer.ip())),
        };
        let rates = self.gate.enter(place, now);
        let connection = match (peer, local_address(&stream)) {
            (Some(peer), Some(local)) => Connection {
                rates,
                ..Connection::network(peer, local, Some(listener.port))
            },
            _ => Connection {
                peer: None,
                local: None,
                port: Some(listener.port),
                kind: ConnectionKind::LocalSocket,
                proxy: None,
                // Observed: 8.17.1.9 counts them and tells no rate.
                rates: Rates {
                    client_rate: 0,
                    ..rates
                },
            },
        };
        self.begin(connection, stream, place);
    }

    /// Lets a proxy into the vestibule; nobody else may connect to its port.
    fn admit_proxy(&mut self, stream: TcpStream, port: usize, proxies: &Networks, now: Instant) {
        let peer = peer_address(&stream);
        if !peer.is_some_and(|peer| proxies.contains(peer.ip())) {
            return self.turn_away(peer, port, "not a trusted proxy");
        }
        let place = Place { port, client: None };
        self.gate.enter(place, now);
        let registry = self.poll.registry();
        if let Err(error) = self.vestibule.receive(registry, stream, place, now) {
            log::error!("cannot wait for a proxy: {error}");
            self.gate.leave(place);
        }
    }

    /// Takes a listener out of the poll for a reason, which is told once.
    fn refuse(&mut self, number: usize, refusal: Refusal) {
        let Some(listener) = self.listeners.get_mut(number) else {
            return;
        };
        let is_news = listener
            .refusal
            .is_none_or(|before| !before.is_like(&refusal));
        listener.refusal = Some(refusal);
        listener.close_for_now(self.poll.registry(), refusal.until());
        if matches!(refusal, Refusal::Load { .. }) {
            // A busy machine may stay so for long: clients had better try another exchanger.
            listener.refuse_clients();
        }
        // A port that opens and closes all the time is told of now and then.
        let now = Instant::now();
        let is_due = listener.told.is_none_or(|told| now - told >= TELL_INTERVAL);
        if is_news && is_due {
            listener.told = Some(now);
            let message = refusal.message(&listener.name);
            self.title.show(&message);
            self.current
                .get()
                .log
                .syslog(9, Severity::Info, None, format_args!("{message}"));
        }
    }

    /// Stops accepting for a moment after the system had no descriptor or memory left.
    fn pause_for(&mut self, number: usize, error: &io::Error) {
        log::warn!("cannot accept a connection: {error}");
        if self.spare.take().is_some() {
            // With the descriptor just closed one client can at least be told.
            if let Some(listener) = self.listeners.get(number)
                && let Ok(Some(fd)) = accept(listener, true)
            {
                let _ =
                    TcpStream::from(fd).write(b"421 4.3.2 Too busy, please try again later\r\n");
            }
            self.spare = spare_descriptor();
        }
        let until = Some(Instant::now() + DESCRIPTOR_PAUSE);
        if let Some(listener) = self.listeners.get_mut(number) {
            listener.close_for_now(self.poll.registry(), until);
        }
    }

    /// Opens what may accept again and closes what may not.
    fn settle_listeners(&mut self) {
        let now = Instant::now();
        let mut refusals = Vec::new();
        let mut reopened = false;
        for (number, listener) in self.listeners.iter_mut().enumerate() {
            if listener.closed_until.is_some_and(|until| now < until) {
                continue;
            }
            match self.gate.refusal(listener.port, now, read_load) {
                // A rate is only exceeded by somebody who waits; see `accept_from`.
                Some(refusal) if !matches!(refusal, Refusal::Rate { .. }) => {
                    refusals.push((number, refusal));
                }
                Some(_) | None => {
                    if let Some(refusal) = listener.refusal.take() {
                        reopened = true;
                        if !matches!(refusal, Refusal::Rate { .. }) {
                            let name = &listener.name;
                            self.current.get().log.syslog(
                                14,
                                Severity::Info,
                                None,
                                format_args!("accepting connections again for daemon {name}"),
                            );
                        }
                    }
                    listener.open_again(self.poll.registry(), Token(FIRST_LISTENER + number));
                }
            }
        }
        if reopened {
            self.title.show("accepting connections");
        }
        for (number, refusal) in refusals {
            self.refuse(number, refusal);
        }
    }

    /// Replaces the configuration; a broken one changes nothing.
    fn reload(&mut self, reload: &mut Reload<'_>, way: Way) {
        let Some(mta) = reload(&self.current.get(), way) else {
            return;
        };
        for listener in &mut self.listeners {
            listener.close_for_now(self.poll.registry(), None);
            listener.refusal = None;
        }
        let old = std::mem::take(&mut self.listeners);
        let (listeners, errors) = open_all(&mta, old, &mut Inherited::default());
        for error in errors {
            error.log(&mta);
        }
        self.listeners = listeners;
        self.gate
            .set_limits(gate_limits(&mta.config, self.max_sessions), Instant::now());
        self.current.set(mta);
    }

    /// Writes the state to the log (SIGUSR1). Observed: 8.17.1.9.
    fn dump(&self) {
        let mta = self.current.get();
        let own_name = mta.config.expanded_macro(crate::macros::MacroId::J);
        let own_name = String::from_utf8_lossy(&own_name);
        let children = self.gate.children();
        let waiting = self.parking.len();
        let mut lines = vec![
            format!("--- dumping state on user signal: $j = {own_name} ---"),
            format!("CurChildren = {children}"),
            format!("waiting sessions = {waiting}"),
            "--- open file descriptors: ---".to_owned(),
        ];
        lines.extend(open_descriptors());
        lines.push("--- connection cache: ---".to_owned());
        lines.push("--- end of state dump ---".to_owned());
        for line in lines {
            mta.log
                .syslog(0, Severity::Debug, Some(b"NOQUEUE"), format_args!("{line}"));
        }
    }
}

fn read_load() -> f64 {
    load_average().unwrap_or(0.0)
}

/// Opens a descriptor that can be given up when they run out.
pub fn spare_descriptor() -> Option<OwnedFd> {
    std::fs::File::open("/dev/null").ok().map(OwnedFd::from)
}
