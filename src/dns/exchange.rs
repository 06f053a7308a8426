//! Questions over the network: UDP with retries, TCP for what does not fit.
//!
//! Each question gets its own socket, so its own source port, and its own random
//! id; the socket is connected, so the kernel drops packets of other hosts.
//! The rounds follow the system library: all servers in turn, and again with
//! twice the wait. Source: RFC 1035 section 4.2, RFC 5452, resolv.conf(5).

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::dns::resolver::{Answer, RecordType, ResolveFailure, TemporaryReason};
use crate::dns::settings::{Persistence, ResolverSettings};
use crate::dns::wire::{self, QuestionFlags, ServerReply};
use crate::sys::moment::Moments;

/// Largest UDP packet read, in octets.
const MAX_PACKET: usize = 4_096;

/// Rounds made while no server is silent: each answers at once that it cannot help.
const MAX_HOPELESS_ROUNDS: u32 = 2;

/// The configured name servers.
#[derive(Debug)]
pub struct NameServers {
    servers: Vec<SocketAddr>,
    rotate: bool,
    flags: QuestionFlags,
    always_tcp: bool,
    ignore_truncation: bool,
    trust_ad: bool,
    /// Which server begins next when rotating.
    next: AtomicUsize,
    moments: Moments,
}

/// What became of one question to one server.
enum Attempt {
    Reply(ServerReply),
    Silence,
    /// No packet can reach the server, or it says so at once.
    Unreachable,
}

impl NameServers {
    /// Takes servers and flags from the settings.
    pub fn new(settings: &ResolverSettings) -> Self {
        let options = settings.options;
        NameServers {
            servers: settings.name_servers.clone(),
            rotate: settings.rotate,
            flags: QuestionFlags {
                recursion_desired: options.recurse,
                authentic_data: options.trust_ad || options.dnssec,
                edns: options.edns || options.dnssec,
                dnssec: options.dnssec,
            },
            always_tcp: options.use_tcp,
            ignore_truncation: options.ignore_truncation,
            trust_ad: options.trust_ad,
            next: AtomicUsize::new(0),
            moments: settings.moments.clone(),
        }
    }

    /// Asks one question; an answer without any record of the type is [`ResolveFailure::NoData`].
    pub fn ask(
        &self,
        name: &[u8],
        kind: RecordType,
        persistence: Persistence,
    ) -> Result<Answer, ResolveFailure> {
        self.moments.end();
        let first = if self.rotate {
            self.next.fetch_add(1, Ordering::Relaxed)
        } else {
            0
        };
        let count = self.servers.len().max(1);
        let mut failure = ResolveFailure::Temporary(TemporaryReason::TimedOut);
        for round in 0..persistence.retries {
            let mut anyone_silent = false;
            for turn in 0..self.servers.len() {
                let Some(&server) = self.servers.get((first.wrapping_add(turn)) % count) else {
                    continue;
                };
                let wait = round_wait(persistence.retransmit, round, count);
                match self.ask_one(server, name, kind, wait) {
                    Ok(Attempt::Reply(reply)) => match self.settle(reply, kind) {
                        Err(ResolveFailure::Temporary(reason)) => {
                            failure = ResolveFailure::Temporary(reason);
                        }
                        settled => return settled,
                    },
                    Ok(Attempt::Silence) => anyone_silent = true,
                    Ok(Attempt::Unreachable) => {}
                    Err(NameFault) => return Err(ResolveFailure::NotFound),
                }
            }
            if !anyone_silent && round + 1 >= MAX_HOPELESS_ROUNDS {
                break;
            }
        }
        Err(failure)
    }

    /// Turns a server's reply into an answer or a failure.
    fn settle(&self, reply: ServerReply, kind: RecordType) -> Result<Answer, ResolveFailure> {
        match reply {
            // The rest did not come; what is there may be used, but nothing proves nothing.
            ServerReply::Truncated(answer) if answer.of_type(kind).next().is_none() => {
                Err(ResolveFailure::Temporary(TemporaryReason::Unusable))
            }
            ServerReply::Records(mut answer) | ServerReply::Truncated(mut answer) => {
                answer.authenticated &= self.trust_ad;
                if answer.of_type(kind).next().is_some() {
                    Ok(answer)
                } else if answer.records.is_empty() {
                    Err(ResolveFailure::NoData)
                } else {
                    // Only aliases: the name exists, and the caller may want to know where it leads.
                    Ok(answer)
                }
            }
            ServerReply::NoSuchName => Err(ResolveFailure::NotFound),
            ServerReply::ServerFailure => {
                Err(ResolveFailure::Temporary(TemporaryReason::ServerFailure))
            }
            ServerReply::Unusable => Err(ResolveFailure::Temporary(TemporaryReason::Unusable)),
        }
    }

    fn ask_one(
        &self,
        server: SocketAddr,
        name: &[u8],
        kind: RecordType,
        wait: Duration,
    ) -> Result<Attempt, NameFault> {
        let Some(id) = random_id() else {
            return Ok(Attempt::Unreachable);
        };
        let question = wire::compose(id, name, kind, self.flags).ok_or(NameFault)?;
        let deadline = Instant::now() + wait;
        let mut reply = if self.always_tcp {
            Err(io::Error::other("not asked by UDP"))
        } else {
            over_udp(server, &question, deadline, |packet| {
                wire::read_reply(packet, id, name, kind)
            })
        };
        let truncated = matches!(reply, Ok(Some(ServerReply::Truncated(_))));
        if self.always_tcp || (truncated && !self.ignore_truncation) {
            let deadline = Instant::now() + wait;
            let whole = over_tcp(server, &question, deadline)
                .map(|packet| wire::read_reply(&packet, id, name, kind));
            // A server without TCP: half an answer is better than none.
            if whole.is_ok() || !truncated {
                reply = whole;
            }
        }
        Ok(match reply {
            Ok(Some(reply)) => Attempt::Reply(reply),
            Ok(None) => Attempt::Silence,
            Err(error) if is_silence(&error) => Attempt::Silence,
            Err(_) => Attempt::Unreachable,
        })
    }
}

/// The name cannot be written into a question.
struct NameFault;

/// The wait of a round: doubled each time, shared by the servers from the second round on.
fn round_wait(retransmit: Duration, round: u32, servers: usize) -> Duration {
    let doubled = retransmit.saturating_mul(1 << round.min(10));
    if round == 0 {
        doubled
    } else {
        let shared = doubled / u32::try_from(servers).unwrap_or(1).max(1);
        shared.max(Duration::from_secs(1).min(doubled))
    }
}

fn random_id() -> Option<u16> {
    let mut octets = [0u8; 2];
    getrandom::fill(&mut octets).ok()?;
    Some(u16::from_be_bytes(octets))
}

fn is_silence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
    )
}

/// The time left, as a socket timeout; `None` when the deadline has passed.
fn left(deadline: Instant) -> Option<Duration> {
    deadline
        .checked_duration_since(Instant::now())
        .filter(|left| !left.is_zero())
}

/// Sends a packet and reads until one is accepted; `None` at the deadline.
fn over_udp(
    server: SocketAddr,
    question: &[u8],
    deadline: Instant,
    accept: impl Fn(&[u8]) -> Option<ServerReply>,
) -> io::Result<Option<ServerReply>> {
    let any: SocketAddr = if server.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.send(question)?;
    let mut packet = [0u8; MAX_PACKET];
    while let Some(left) = left(deadline) {
        socket.set_read_timeout(Some(left))?;
        match socket.recv(&mut packet) {
            Ok(length) => {
                if let Some(reply) = packet.get(..length).and_then(&accept) {
                    return Ok(Some(reply));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Asks over TCP; the packet read has the length the server announced.
fn over_tcp(server: SocketAddr, question: &[u8], deadline: Instant) -> io::Result<Vec<u8>> {
    let timed_out = || io::Error::from(io::ErrorKind::TimedOut);
    let mut stream = TcpStream::connect_timeout(&server, left(deadline).ok_or_else(timed_out)?)?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(question);
    stream.set_write_timeout(left(deadline))?;
    stream.write_all(&framed)?;
    let mut length = [0u8; 2];
    read_by(&mut stream, &mut length, deadline)?;
    let mut packet = vec![0u8; usize::from(u16::from_be_bytes(length))];
    read_by(&mut stream, &mut packet, deadline)?;
    Ok(packet)
}

/// Fills the buffer before the deadline, however slowly the octets drip.
fn read_by(stream: &mut TcpStream, buffer: &mut [u8], deadline: Instant) -> io::Result<()> {
    let mut rest = buffer;
    while !rest.is_empty() {
        let left = left(deadline).ok_or_else(|| io::Error::from(io::ErrorKind::TimedOut))?;
        stream.set_read_timeout(Some(left))?;
        match stream.read(rest) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => rest = rest.get_mut(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::test_server::TestServer;

    fn servers(addresses: &[SocketAddr]) -> NameServers {
        NameServers::new(&ResolverSettings {
            name_servers: addresses.to_vec(),
            ..ResolverSettings::default()
        })
    }

    fn quick(retries: u32) -> Persistence {
        Persistence {
            retransmit: Duration::from_millis(100),
            retries,
        }
    }

    #[test]
    fn an_answer_comes_back_over_udp() {
        let server = TestServer::start();
        let answer = servers(&[server.address()])
            .ask(b"mx1.example.org", RecordType::A, quick(1))
            .unwrap();
        assert_eq!(answer.records.len(), 1);
    }

    #[test]
    fn a_truncated_answer_is_asked_again_over_tcp() {
        let server = TestServer::start();
        let answer = servers(&[server.address()])
            .ask(b"big.example.org", RecordType::A, quick(1))
            .unwrap();
        assert_eq!(answer.records.len(), 40);
    }

    #[test]
    fn a_truncated_answer_without_the_rest_proves_nothing() {
        let server = TestServer::start();
        let failure = servers(&[server.address()])
            .ask(b"cut.example.org", RecordType::A, quick(1))
            .unwrap_err();
        assert!(failure.is_temporary(), "{failure:?}");
    }

    #[test]
    fn forged_packets_are_passed_over() {
        let server = TestServer::start();
        let answer = servers(&[server.address()])
            .ask(b"forged.example.org", RecordType::A, quick(1))
            .unwrap();
        assert_eq!(answer.records.len(), 1);
    }

    #[test]
    fn failures_are_told_apart() {
        let server = TestServer::start();
        let servers = servers(&[server.address()]);
        let ask = |name: &[u8], kind| servers.ask(name, kind, quick(1)).unwrap_err();
        assert_eq!(
            ask(b"none.example.org", RecordType::A),
            ResolveFailure::NotFound
        );
        assert_eq!(
            ask(b"mx1.example.org", RecordType::Mx),
            ResolveFailure::NoData
        );
        assert!(ask(b"broken.example.org", RecordType::A).is_temporary());
        assert!(ask(b"silent.example.org", RecordType::A).is_temporary());
        assert!(ask(b"refused.example.org", RecordType::A).is_temporary());
        assert_eq!(ask(b"a..b", RecordType::A), ResolveFailure::NotFound);
    }

    #[test]
    fn a_dead_server_is_passed_over() {
        let server = TestServer::start();
        let closed = UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let answer = servers(&[closed, server.address()])
            .ask(b"mx1.example.org", RecordType::A, quick(1))
            .unwrap();
        assert_eq!(answer.records.len(), 1);
    }
}
