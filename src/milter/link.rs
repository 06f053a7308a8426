//! The connection to one filter.
//!
//! Every packet has a deadline that is computed once: a filter that sends an octet now and then
//! gains no time by it. A length past [`super::packet::MAX_ANSWER`] is refused before a single octet of it is
//! read.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::packet::{self, MAX_ANSWER};
use crate::config::filter_line::FilterDefinition;
use crate::dns::{Patience, Resolver};
use crate::sys::file::path_buf_of;
use crate::sys::host::{error_text, service_port};
use crate::sys::socket::{ConnectFrom, connect, connect_local};
use crate::text::bytes;

/// A stream with limits on each read and write.
pub trait Stream: Read + Write + Send {
    /// Sets how long the next read may take.
    ///
    /// # Errors
    /// As `setsockopt(2)`.
    fn set_read_patience(&self, limit: Duration) -> io::Result<()>;
    /// Sets how long the next write may take.
    ///
    /// # Errors
    /// As `setsockopt(2)`.
    fn set_write_patience(&self, limit: Duration) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn set_read_patience(&self, limit: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(limit))
    }
    fn set_write_patience(&self, limit: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(limit))
    }
}

impl Stream for UnixStream {
    fn set_read_patience(&self, limit: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(limit))
    }
    fn set_write_patience(&self, limit: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(limit))
    }
}

/// Why a packet could not be read or written.
#[derive(Debug)]
pub enum LinkFault {
    /// Nothing, or not all, came in time.
    TimedOut {
        /// Whether a part had come.
        is_inside: bool,
    },
    /// The filter closed the connection.
    Ended {
        /// Octets that came.
        got: usize,
        /// Octets that were needed.
        expected: usize,
    },
    /// A length no packet may have.
    BadLength(u32),
    /// Reading failed.
    Read(io::Error),
    /// Writing failed.
    Write {
        /// The letter of the packet.
        letter: u8,
        /// What the system said.
        error: io::Error,
    },
}

/// Why no connection was made, in the words of the log: where to, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectFault {
    /// The address that was tried last, if it came to that.
    pub tried: Option<String>,
    /// The reason.
    pub reason: String,
}

/// One connection.
pub struct Link {
    stream: Box<dyn Stream>,
    send: Duration,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Link")
    }
}

/// Octets in front of the data: the length and the letter.
const HEAD: usize = 5;
/// Octets read at a time: what is announced is believed when it comes.
const READ_AT_A_TIME: usize = 65_536;

impl Link {
    /// Connects to a filter.
    ///
    /// # Errors
    /// When no address of it takes the connection within `T=C:`.
    pub fn open(
        definition: &FilterDefinition,
        resolver: &dyn Resolver,
    ) -> Result<Link, ConnectFault> {
        let patience = usable(definition.connect_timeout);
        let stream = match place(definition, resolver)? {
            Place::Path(path) => local(path, patience)?,
            Place::Addresses(addresses) => internet(&addresses, patience)?,
        };
        Ok(Link::over(stream, definition.send_timeout))
    }

    /// Makes a link of a stream that is connected.
    pub fn over(stream: Box<dyn Stream>, send: Duration) -> Link {
        let send = usable(send);
        Link { stream, send }
    }

    /// Sends a packet.
    ///
    /// # Errors
    /// When it was not taken within `T=S:`.
    pub fn send(&mut self, letter: u8, data: &[&[u8]]) -> Result<(), LinkFault> {
        let mut octets = Vec::new();
        packet::encode(letter, data, &mut octets);
        let deadline = Instant::now() + self.send;
        let fault = |error| LinkFault::Write { letter, error };
        let mut rest = octets.as_slice();
        while !rest.is_empty() {
            let left =
                left_until(deadline).ok_or_else(|| fault(io::Error::from(ErrorKind::TimedOut)))?;
            self.stream.set_write_patience(left).map_err(fault)?;
            match self.stream.write(rest) {
                Ok(0) => return Err(fault(io::Error::from(ErrorKind::WriteZero))),
                Ok(count) => rest = rest.get(count..).unwrap_or(b""),
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(fault(error)),
            }
        }
        Ok(())
    }

    /// Reads a packet: its letter and its data.
    ///
    /// # Errors
    /// When none came within `patience`, or none can be.
    pub fn receive(&mut self, patience: Duration) -> Result<(u8, Vec<u8>), LinkFault> {
        let deadline = Instant::now() + usable(patience);
        let mut head = Vec::with_capacity(HEAD);
        // A packet without a letter has no fifth octet to wait for.
        self.fill(&mut head, HEAD - 1, HEAD, deadline)?;
        let length = head
            .first_chunk::<4>()
            .map_or(0, |four| u32::from_be_bytes(*four));
        let octets = usize::try_from(length).unwrap_or(usize::MAX);
        if octets == 0 || octets > MAX_ANSWER {
            return Err(LinkFault::BadLength(length));
        }
        self.fill(&mut head, HEAD, HEAD, deadline)?;
        let letter = head.last().copied().unwrap_or(0);
        let mut data = Vec::new();
        self.fill(&mut data, octets - 1, octets - 1, deadline)?;
        Ok((letter, data))
    }

    /// Reads until `buffer` holds so many octets; `told` is how many the log says there should be.
    fn fill(
        &mut self,
        buffer: &mut Vec<u8>,
        wanted: usize,
        told: usize,
        deadline: Instant,
    ) -> Result<(), LinkFault> {
        while buffer.len() < wanted {
            let is_inside = !buffer.is_empty();
            let late = LinkFault::TimedOut { is_inside };
            let Some(left) = left_until(deadline) else {
                return Err(late);
            };
            self.stream
                .set_read_patience(left)
                .map_err(LinkFault::Read)?;
            let before = buffer.len();
            buffer.resize(before + (wanted - before).min(READ_AT_A_TIME), 0);
            let read = self
                .stream
                .read(buffer.get_mut(before..).unwrap_or_default());
            buffer.truncate(before + read.as_ref().map_or(0, |count| *count));
            match read {
                Ok(0) => {
                    let (got, expected) = (before, told);
                    return Err(LinkFault::Ended { got, expected });
                }
                Ok(_) => {}
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(LinkFault::Read(error)),
            }
        }
        Ok(())
    }
}

/// Tells whether trying again is worth while: the deadline decides.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut
    )
}

fn left_until(deadline: Instant) -> Option<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    (!left.is_zero()).then_some(left)
}

/// Longest wait for a filter whatever `T=` says: a worker waits with it.
const MAX_PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// No time at all means as long as it takes, which has an end here.
fn usable(limit: Duration) -> Duration {
    if limit.is_zero() {
        MAX_PATIENCE
    } else {
        limit.min(MAX_PATIENCE)
    }
}

enum Place {
    Path(Vec<u8>),
    Addresses(Vec<SocketAddr>),
}

/// Finds out where a filter listens.
fn place(definition: &FilterDefinition, resolver: &dyn Resolver) -> Result<Place, ConnectFault> {
    let untried = |reason: String| ConnectFault {
        tried: None,
        reason,
    };
    let shown = |text: &[u8]| bytes::escape_for_display(text);
    let socket = &definition.socket;
    if socket.is_empty() {
        return Err(untried("empty or missing socket information".to_owned()));
    }
    let Some((kind, rest)) = bytes::split_once(socket, b':') else {
        return Ok(Place::Path(socket.clone()));
    };
    let wants_v6 = match kind.to_ascii_lowercase().as_slice() {
        b"local" | b"unix" => return Ok(Place::Path(rest.to_vec())),
        b"inet" => false,
        b"inet6" => true,
        _ => return Err(untried(format!("unknown socket type {}", shown(kind)))),
    };
    let Some((port, host)) = bytes::split_once(rest, b'@') else {
        let text = format!("bad address {} (expected port@host)", shown(rest));
        return Err(untried(text));
    };
    let Some(number) = bytes::parse_decimal(port).or_else(|| service_port(port)) else {
        return Err(untried(format!("unknown port name {}", shown(port))));
    };
    let literal = host
        .strip_prefix(b"[")
        .and_then(|host| host.strip_suffix(b"]"));
    let text = literal.unwrap_or(host);
    let text = text.strip_prefix(b"IPv6:").unwrap_or(text);
    let number_of = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse::<IpAddr>().ok());
    let found = match (number_of, literal) {
        (Some(ip), _) => vec![ip],
        (None, Some(_)) => {
            let text = format!("Invalid numeric domain spec \"{}\"", shown(host));
            return Err(untried(text));
        }
        (None, None) => resolver
            .addresses(host, Patience::Normal)
            .unwrap_or_default(),
    };
    let addresses: Vec<SocketAddr> = found
        .into_iter()
        .filter(|ip| number_of.is_some() || ip.is_ipv6() == wants_v6)
        .map(|ip| SocketAddr::new(ip, number))
        .collect();
    if addresses.is_empty() {
        return Err(untried(format!("Unknown host name {}", shown(host))));
    }
    Ok(Place::Addresses(addresses))
}

fn local(path: Vec<u8>, patience: Duration) -> Result<Box<dyn Stream>, ConnectFault> {
    let shown = bytes::escape_for_display(&path);
    match connect_local(&path_buf_of(path), Some(patience)) {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(ConnectFault {
            tried: None,
            reason: format!("local socket name {shown} unsafe"),
        }),
        Err(error) => Err(ConnectFault {
            tried: Some(shown),
            reason: error_text(&error),
        }),
    }
}

fn internet(addresses: &[SocketAddr], patience: Duration) -> Result<Box<dyn Stream>, ConnectFault> {
    let mut fault = ConnectFault {
        tried: None,
        reason: String::new(),
    };
    for address in addresses {
        match connect(*address, &ConnectFrom::default(), Some(patience)) {
            Ok(stream) => {
                // A question is one packet or two, and is waited for.
                let _ = stream.set_nodelay(true);
                return Ok(Box::new(stream));
            }
            Err(error) => {
                let host = address.ip().to_string();
                fault.reason = format!("{} by {host}", error_text(&error));
                fault.tried = Some(host);
            }
        }
    }
    Err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(60);
    const LONG: Duration = Duration::from_secs(5);

    fn pair() -> (Link, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Link::over(Box::new(ours), LONG), theirs)
    }

    #[test]
    fn packets_go_both_ways() {
        let (mut link, mut filter) = pair();
        link.send(b'H', &[b"there", b"\0"]).unwrap();
        let mut seen = [0; 11];
        filter.read_exact(&mut seen).unwrap();
        assert_eq!(&seen, b"\0\0\0\x07Hthere\0");
        filter.write_all(b"\0\0\0\x01c\0\0\0\x03qab").unwrap();
        assert_eq!(link.receive(LONG).unwrap(), (b'c', Vec::new()));
        assert_eq!(link.receive(LONG).unwrap(), (b'q', b"ab".to_vec()));
    }

    #[test]
    fn what_is_no_packet_is_a_fault_at_once() {
        for (octets, ends, expected) in [
            (&b"\0\0\0\0"[..], false, "BadLength(0)"),
            (b"\x7f\xff\xff\xffc", false, "BadLength(2147483647)"),
            (b"\xff\xff\xff\xffc", false, "BadLength(4294967295)"),
            (b"", true, "Ended { got: 0, expected: 5 }"),
            (b"\0\0", true, "Ended { got: 2, expected: 5 }"),
            (b"\0\0\0\x05cab", true, "Ended { got: 2, expected: 4 }"),
            (b"", false, "TimedOut { is_inside: false }"),
            (b"\0\0", false, "TimedOut { is_inside: true }"),
            (b"\0\0\0\x05c", false, "TimedOut { is_inside: false }"),
            (b"\0\0\0\x05cab", false, "TimedOut { is_inside: true }"),
        ] {
            let (mut link, mut filter) = pair();
            filter.write_all(octets).unwrap();
            let kept = (!ends).then_some(filter);
            let fault = link.receive(SHORT).unwrap_err();
            assert_eq!(format!("{fault:?}"), expected, "{octets:?}");
            drop(kept);
        }
    }

    #[test]
    fn a_filter_that_takes_nothing_is_given_up() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut link = Link::over(Box::new(ours), SHORT);
        let big = vec![b'x'; 8_000_000];
        let fault = link.send(b'B', &[&big]).unwrap_err();
        assert!(matches!(fault, LinkFault::Write { letter: b'B', .. }));
    }
}
