//! The vestibule: connections of proxies that have not told yet whose they are.
//!
//! A port with `TrustedProxies=` takes connections from those alone, and each has
//! to begin with a header of the PROXY protocol; see [`crate::server::proxy_header`].
//! Until it is there a connection waits here, with a deadline, before anybody
//! counts or greets its client. The header is looked at where the kernel keeps it
//! and taken when it is whole, so that not one octet of the session is.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use super::gate::Place;
use crate::server::proxy_header::{MAX_HEADER, Origin, Parsed, parse};

/// How long a proxy may take for its header.
///
/// The specification wants at least three seconds, for a packet that is lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection and where it came in.
#[derive(Debug)]
pub struct Guest {
    /// The connection; its socket does not block.
    pub stream: TcpStream,
    /// Where it is counted.
    pub place: Place,
    deadline: Instant,
}

/// What became of a guest who was looked at.
#[derive(Debug)]
pub enum Arrival {
    /// Its header is not there yet.
    Waits,
    /// It is known whose connection it is, and the header is taken.
    Known(Guest, Origin),
    /// It is not let in, for this reason.
    Refused(Guest, String),
}

/// The connections that wait.
#[derive(Debug)]
pub struct Vestibule {
    /// By token: whoever came first has the first deadline.
    guests: BTreeMap<usize, Guest>,
    first_token: usize,
    next_token: usize,
}

impl Vestibule {
    /// Makes an empty vestibule whose tokens start at `first_token`.
    pub fn new(first_token: usize) -> Self {
        Vestibule {
            guests: BTreeMap::new(),
            first_token,
            next_token: first_token,
        }
    }

    /// Says whether a token of the poll belongs to a guest.
    pub fn owns(&self, token: Token) -> bool {
        token.0 >= self.first_token
    }

    /// Takes a connection in.
    ///
    /// # Errors
    /// The poll refused the socket.
    pub fn receive(
        &mut self,
        registry: &Registry,
        stream: TcpStream,
        place: Place,
        now: Instant,
    ) -> io::Result<()> {
        let token = self.next_token;
        let fd = stream.as_raw_fd();
        registry.register(&mut SourceFd(&fd), Token(token), Interest::READABLE)?;
        self.next_token = self.next_token.checked_add(1).unwrap_or(self.first_token);
        let guest = Guest {
            stream,
            place,
            deadline: now + PATIENCE,
        };
        self.guests.insert(token, guest);
        Ok(())
    }

    /// Looks at a guest whose socket has something to read.
    pub fn look(&mut self, registry: &Registry, token: Token) -> Arrival {
        let Some(guest) = self.guests.get_mut(&token.0) else {
            return Arrival::Waits;
        };
        let looked = look_at(&mut guest.stream);
        if matches!(looked, Ok(None)) {
            return Arrival::Waits;
        }
        match (self.dismiss(registry, token.0), looked) {
            (Some(guest), Ok(Some(origin))) => Arrival::Known(guest, origin),
            (Some(guest), Err(reason)) => Arrival::Refused(guest, reason),
            (Some(_) | None, _) => Arrival::Waits,
        }
    }

    /// Takes one guest out whose time is over.
    pub fn take_overdue(&mut self, registry: &Registry, now: Instant) -> Option<(Guest, String)> {
        let (token, first) = self.guests.first_key_value()?;
        if first.deadline > now {
            return None;
        }
        let token = *token;
        let guest = self.dismiss(registry, token)?;
        Some((guest, "no PROXY header in time".to_owned()))
    }

    /// Returns the next deadline.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.guests.values().next().map(|guest| guest.deadline)
    }

    fn dismiss(&mut self, registry: &Registry, token: usize) -> Option<Guest> {
        let guest = self.guests.remove(&token)?;
        let _ = registry.deregister(&mut SourceFd(&guest.stream.as_raw_fd()));
        Some(guest)
    }
}

/// Takes the header if it is there; `None` if more must come.
fn look_at(stream: &mut TcpStream) -> Result<Option<Origin>, String> {
    let mut buffer = [0; MAX_HEADER];
    let seen = match stream.peek(&mut buffer) {
        Ok(0) => return Err("closed without a PROXY header".to_owned()),
        Ok(seen) => buffer.get(..seen).unwrap_or(b""),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    match parse(seen) {
        Ok(Parsed::Unfinished) => Ok(None),
        Ok(Parsed::Header { origin, length }) => {
            let header = buffer.get_mut(..length).unwrap_or(&mut []);
            stream
                .read_exact(header)
                .map_err(|error| error.to_string())?;
            Ok(Some(origin))
        }
        Err(fault) => Err(fault.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (ours, _) = listener.accept().unwrap();
        ours.set_nonblocking(true).unwrap();
        (ours, proxy)
    }

    fn place() -> Place {
        Place {
            port: 0,
            client: None,
        }
    }

    /// Lets a guest in and looks at it each time the poll tells of it.
    fn arrival(pieces: &[&[u8]]) -> Arrival {
        let mut poll = mio::Poll::new().unwrap();
        let mut events = mio::Events::with_capacity(8);
        let mut vestibule = Vestibule::new(50);
        let (ours, mut proxy) = pair();
        let now = Instant::now();
        vestibule
            .receive(poll.registry(), ours, place(), now)
            .unwrap();
        let mut arrival = Arrival::Waits;
        for piece in pieces {
            assert!(matches!(arrival, Arrival::Waits), "{arrival:?}");
            proxy.write_all(piece).unwrap();
            poll.poll(&mut events, Some(Duration::from_secs(10)))
                .unwrap();
            let token = events.iter().next().unwrap().token();
            assert!(vestibule.owns(token));
            arrival = vestibule.look(poll.registry(), token);
        }
        assert_eq!(
            vestibule.guests.is_empty(),
            !matches!(arrival, Arrival::Waits)
        );
        arrival
    }

    #[test]
    fn a_header_in_pieces_is_taken_and_nothing_behind_it() {
        let arrival = arrival(&[b"PROXY TCP4 192.0.2.7 ", b"192.0.2.1 4 25\r\nEHLO x\r\n"]);
        let Arrival::Known(mut guest, origin) = arrival else {
            panic!("{arrival:?}");
        };
        let from = "192.0.2.7:4".parse().unwrap();
        let to = "192.0.2.1:25".parse().unwrap();
        assert_eq!(origin, Origin::Client { from, to });
        let mut rest = [0; 64];
        let length = guest.stream.read(&mut rest).unwrap();
        assert_eq!(&rest[..length], b"EHLO x\r\n");
    }

    #[test]
    fn who_brings_no_header_is_refused() {
        let arrival = arrival(&[b"EHLO x\r\n"]);
        let Arrival::Refused(_, reason) = arrival else {
            panic!("{arrival:?}");
        };
        assert_eq!(reason, "no PROXY header");
    }

    #[test]
    fn who_takes_too_long_is_taken_out() {
        let poll = mio::Poll::new().unwrap();
        let mut vestibule = Vestibule::new(50);
        let (ours, _proxy) = pair();
        let now = Instant::now();
        vestibule
            .receive(poll.registry(), ours, place(), now)
            .unwrap();
        assert_eq!(vestibule.next_deadline(), Some(now + PATIENCE));
        assert!(vestibule.take_overdue(poll.registry(), now).is_none());
        let late = vestibule.take_overdue(poll.registry(), now + PATIENCE);
        assert_eq!(late.unwrap().1, "no PROXY header in time");
        assert_eq!(vestibule.next_deadline(), None);
    }
}
