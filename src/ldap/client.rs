//! A connection: it binds, asks, and follows referrals.
//!
//! Everything a server sends is bounded: the size of a message ([`super::ber::MAX_CONTENT`]), how
//! many messages answer one question, how long they take, and how far referrals lead.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::ber::{BerError, Reader, SEQUENCE};
use super::message::{self, Entry, Outcome, Response, Search};
use super::url::{self, PORT, Place};
use super::words::{
    CLIENT_LOOP, DECODING_ERROR, PARTIAL_RESULTS, REFERRAL, REFERRAL_LIMIT_EXCEEDED, SERVER_DOWN,
    SUCCESS, TIMEOUT,
};
use crate::sys::file::path_buf_of;
use crate::sys::socket::{ConnectFrom, connect, connect_local};

/// How long connecting and binding may take when nothing is said. Observed: 8.17.1.9.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
/// How long an answer is waited for when no time limit is set. The reference waits for ever; a
/// server that is gone without a word must not hold a daemon's session.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// Most messages that answer one question: nobody's alias has so many entries.
pub const MAX_MESSAGES: usize = 100_000;
/// How many referrals may follow one another. Source: OpenLDAP's client library.
pub const MAX_HOPS: usize = 5;
/// Octets asked of the system at once.
const READ_SIZE: usize = 16 * 1024;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Account {
    /// Version of the protocol.
    pub version: i32,
    /// The name; empty for nobody in particular.
    pub name: Vec<u8>,
    /// Its password.
    pub password: Vec<u8>,
}

/// Why there is no connection.
#[derive(Debug, PartialEq, Eq)]
pub enum ConnectFault {
    /// It took too long.
    Timeout,
    /// No server has an address.
    Unknown,
    /// The last socket of a file system could not be connected to, for this reason.
    Local(String),
    /// The last host refused.
    Refused,
    /// Nothing else than TLS would do.
    Secure,
    /// The server did not let the account in.
    Bind,
}

/// What whoever takes entries wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// More of them.
    More,
    /// No more.
    Stop,
}

/// How a question was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The server said so.
    Done(Outcome),
    /// There may be more on other servers, which are not asked.
    Reference,
    /// Whoever takes entries wanted no more.
    Stopped,
}

/// How referrals are followed.
#[derive(Debug, Clone, Copy)]
pub struct Following<'a> {
    /// Who asks the other servers; they get no name and no password.
    pub version: i32,
    /// How long connecting may take.
    pub connect: Duration,
    /// How long an answer may take.
    pub answer: Duration,
    /// The questions that led here, as server and base.
    pub trail: &'a [(Option<Place>, Vec<u8>)],
}

/// What a connection is made of.
pub trait Stream: Read + Write + Send {
    /// Sets how long reading and writing may take.
    ///
    /// # Errors
    /// As `setsockopt(2)`.
    fn set_limit(&self, limit: Duration) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn set_limit(&self, limit: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(limit))?;
        self.set_write_timeout(Some(limit))
    }
}

impl Stream for UnixStream {
    fn set_limit(&self, limit: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(limit))?;
        self.set_write_timeout(Some(limit))
    }
}

/// A connection to one server.
pub struct Connection {
    stream: Box<dyn Stream>,
    place: Option<Place>,
    /// What has come and is not read yet.
    pending: Vec<u8>,
    last_id: i32,
}

impl Connection {
    /// Connects to the first place that answers.
    ///
    /// # Errors
    /// None of them does; the last says why.
    pub fn open(places: &[Place], limit: Duration) -> Result<Connection, ConnectFault> {
        let mut last = ConnectFault::Unknown;
        for place in places {
            match stream_to(place, limit) {
                Ok(stream) => {
                    let mut connection = Connection::over(stream);
                    connection.place = Some(place.clone());
                    return Ok(connection);
                }
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    /// Makes a connection of a stream.
    pub fn over(stream: Box<dyn Stream>) -> Connection {
        Connection {
            stream,
            place: None,
            pending: Vec::new(),
            last_id: 0,
        }
    }

    /// Says whether the server is on this machine, behind a socket of the file system.
    pub fn is_local(&self) -> bool {
        matches!(self.place, Some(Place::Local(_)))
    }

    /// Says who asks.
    ///
    /// # Errors
    /// The server does not want to hear it, or takes longer than `limit`.
    pub fn bind(&mut self, account: &Account, limit: Duration) -> Result<(), ConnectFault> {
        let id = self.next_id();
        let request = message::bind(id, account.version, &account.name, &account.password);
        let answer = self
            .send(&request, limit)
            .and_then(|()| self.receive(id, Instant::now() + limit));
        match answer {
            Ok(Response::Bound(outcome)) if outcome.code == SUCCESS => Ok(()),
            Err(TIMEOUT) => Err(ConnectFault::Timeout),
            _ => Err(ConnectFault::Bind),
        }
    }

    /// Asks, and hands every entry to `take`.
    ///
    /// # Errors
    /// The code of what went wrong on the way; the connection is of no more use then.
    pub fn search(
        &mut self,
        search: &Search,
        limit: Duration,
        take: &mut dyn FnMut(Entry) -> Next,
    ) -> Result<Ending, i32> {
        let id = self.next_id();
        self.send(&message::search(id, search), limit)?;
        for _ in 0..MAX_MESSAGES {
            match self.receive(id, Instant::now() + limit)? {
                Response::Entry(entry) => {
                    if take(entry) == Next::Stop {
                        self.abandon(id, limit)?;
                        return Ok(Ending::Stopped);
                    }
                }
                Response::Reference => {
                    self.abandon(id, limit)?;
                    return Ok(Ending::Reference);
                }
                Response::Done(outcome) => return Ok(Ending::Done(outcome)),
                Response::Bound(_) | Response::Other => {}
            }
        }
        Err(DECODING_ERROR)
    }

    /// As [`Connection::search`]; returns the result code, or that of success if there is none.
    ///
    /// # Errors
    /// As [`Connection::search`].
    pub fn search_plainly(
        &mut self,
        search: &Search,
        limit: Duration,
        take: &mut dyn FnMut(Entry) -> Next,
    ) -> Result<i32, i32> {
        Ok(match self.search(search, limit, take)? {
            Ending::Done(outcome) => outcome.code,
            Ending::Reference | Ending::Stopped => SUCCESS,
        })
    }

    /// As [`Connection::search_plainly`], but goes on with the servers a referral names.
    ///
    /// # Errors
    /// As [`Connection::search`].
    pub fn search_following(
        &mut self,
        search: &Search,
        following: &Following<'_>,
        take: &mut dyn FnMut(Entry) -> Next,
    ) -> Result<i32, i32> {
        let outcome = match self.search(search, following.answer, take)? {
            Ending::Done(outcome) => outcome,
            Ending::Reference | Ending::Stopped => return Ok(SUCCESS),
        };
        let is_referral = matches!(outcome.code, PARTIAL_RESULTS | REFERRAL);
        if !is_referral || outcome.referrals.is_empty() {
            return Ok(outcome.code);
        }
        let mut trail = following.trail.to_vec();
        trail.push((self.place.clone(), search.base.clone()));
        if trail.len() > MAX_HOPS {
            return Ok(REFERRAL_LIMIT_EXCEEDED);
        }
        let mut code = SERVER_DOWN;
        for referral in &outcome.referrals {
            code = self.follow(referral, search, &trail, following, take);
            if code == SUCCESS {
                break;
            }
        }
        Ok(code)
    }

    /// Puts the question to the server of one referral; returns the result code.
    fn follow(
        &self,
        referral: &[u8],
        search: &Search,
        trail: &[(Option<Place>, Vec<u8>)],
        following: &Following<'_>,
        take: &mut dyn FnMut(Entry) -> Next,
    ) -> i32 {
        let Some(url) = url::parse(referral) else {
            return outcome_of_no_url();
        };
        let place = url.place.or_else(|| self.place.clone());
        let mut question = search.clone();
        if !url.base.is_empty() {
            question.base = url.base;
        }
        if let Some(scope) = url.scope {
            question.scope = scope;
        }
        if let Some(filter) = &url.filter {
            match super::filter::encode(filter) {
                Ok(filter) => question.filter = filter,
                Err(_) => return outcome_of_no_url(),
            }
        }
        let is_same = |(server, base): &(Option<Place>, Vec<u8>)| {
            *server == place && base.eq_ignore_ascii_case(&question.base)
        };
        if trail.iter().any(is_same) {
            return CLIENT_LOOP;
        }
        let places: Vec<Place> = place.into_iter().collect();
        let nobody = Account {
            version: following.version,
            name: Vec::new(),
            password: Vec::new(),
        };
        let connected = Connection::open(&places, following.connect).and_then(|mut connection| {
            connection.bind(&nobody, following.connect)?;
            Ok(connection)
        });
        let Ok(mut connection) = connected else {
            return SERVER_DOWN;
        };
        let further = Following {
            trail,
            ..*following
        };
        let code = connection.search_following(&question, &further, take);
        connection.close();
        code.unwrap_or_else(|code| code)
    }

    /// Takes leave.
    pub fn close(mut self) {
        let id = self.next_id();
        let _ = self.send(&message::unbind(id), Duration::from_secs(1));
    }

    fn abandon(&mut self, id: i32, limit: Duration) -> Result<(), i32> {
        let own = self.next_id();
        self.send(&message::abandon(own, id), limit)
    }

    fn next_id(&mut self) -> i32 {
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        self.last_id
    }

    fn send(&mut self, octets: &[u8], limit: Duration) -> Result<(), i32> {
        self.stream
            .set_limit(limit)
            .and_then(|()| self.stream.write_all(octets))
            .and_then(|()| self.stream.flush())
            .map_err(|error| code_of(&error))
    }

    /// Waits for the next message that answers the request `id`; others are passed over.
    fn receive(&mut self, id: i32, deadline: Instant) -> Result<Response, i32> {
        loop {
            let mut reader = Reader::new(&self.pending);
            let content = reader.expect(SEQUENCE);
            match content {
                Ok(content) => {
                    let (of, response) = message::read(content).map_err(|_| DECODING_ERROR)?;
                    let used = self.pending.len().saturating_sub(reader.left());
                    self.pending.drain(..used);
                    // Number 0 is said of the connection, as before a server closes it.
                    if of == id {
                        return Ok(response);
                    }
                    if Instant::now() >= deadline {
                        return Err(TIMEOUT);
                    }
                }
                Err(BerError::Short) => self.fill(deadline)?,
                Err(_) => return Err(DECODING_ERROR),
            }
        }
    }

    fn fill(&mut self, deadline: Instant) -> Result<(), i32> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(TIMEOUT);
        }
        let mut octets = [0; READ_SIZE];
        let read = self
            .stream
            .set_limit(left)
            .and_then(|()| self.stream.read(&mut octets));
        match read {
            Ok(0) => Err(SERVER_DOWN),
            Ok(count) => {
                let came = octets.get(..count).unwrap_or_default();
                self.pending.extend_from_slice(came);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(code_of(&error)),
        }
    }
}

/// What the client says of a referral it cannot read.
fn outcome_of_no_url() -> i32 {
    DECODING_ERROR
}

fn code_of(error: &io::Error) -> i32 {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => TIMEOUT,
        _ => SERVER_DOWN,
    }
}

fn stream_to(place: &Place, limit: Duration) -> Result<Box<dyn Stream>, ConnectFault> {
    match place {
        Place::Local(path) => match connect_local(&path_buf_of(path.clone()), Some(limit)) {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(ConnectFault::Timeout),
            Err(error) => Err(ConnectFault::Local(crate::sys::host::error_text(&error))),
        },
        Place::Host(host, port) => {
            let host = match &**host {
                b"" => "localhost",
                host => std::str::from_utf8(host).map_err(|_| ConnectFault::Unknown)?,
            };
            let port = if *port == 0 { PORT } else { *port };
            let addresses = (host, port)
                .to_socket_addrs()
                .map_err(|_| ConnectFault::Unknown)?;
            let mut last = ConnectFault::Unknown;
            for address in addresses {
                match connect(address, &ConnectFrom::default(), Some(limit)) {
                    Ok(stream) => return Ok(Box::new(stream)),
                    Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                        last = ConnectFault::Timeout;
                    }
                    Err(_) => last = ConnectFault::Refused,
                }
            }
            Err(last)
        }
        Place::Secure(_) => Err(ConnectFault::Secure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ldap::message::{Deref, Scope};

    /// A server that says what it was told to, whatever it is asked.
    struct Script(io::Cursor<Vec<u8>>);

    impl Read for Script {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            // Octet by octet, so that messages come in pieces.
            let end = buffer.len().min(1);
            self.0.read(buffer.get_mut(..end).unwrap_or_default())
        }
    }

    impl Write for Script {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Stream for Script {
        fn set_limit(&self, _limit: Duration) -> io::Result<()> {
            Ok(())
        }
    }

    fn connection(said: &[u8]) -> Connection {
        Connection::over(Box::new(Script(io::Cursor::new(said.to_vec()))))
    }

    fn question() -> Search {
        Search {
            base: b"o=x".to_vec(),
            scope: Scope::Subtree,
            deref: Deref::Never,
            size_limit: 0,
            time_limit: 0,
            names_only: false,
            filter: b"\x87\x03uid".to_vec(),
            attributes: Vec::new(),
        }
    }

    const ENTRY: &[u8] = b"\x30\x0c\x02\x01\x01\x64\x07\x04\x03u=a\x30\x00";
    const DONE: &[u8] = b"\x30\x0c\x02\x01\x01\x65\x07\x0a\x01\x00\x04\x00\x04\x00";

    #[test]
    fn entries_are_handed_over_until_the_server_is_done() {
        let other = b"\x30\x0c\x02\x01\x09\x65\x07\x0a\x01\x20\x04\x00\x04\x00".as_slice();
        let mut names = Vec::new();
        let mut take = |entry: Entry| {
            names.push(entry.name);
            Next::More
        };
        let said = [ENTRY, other, ENTRY, DONE].concat();
        let ending = connection(&said).search(&question(), ANSWER_TIMEOUT, &mut take);
        let done = Outcome {
            code: SUCCESS,
            referrals: Vec::new(),
        };
        assert_eq!(ending, Ok(Ending::Done(done)));
        assert_eq!(names, [b"u=a", b"u=a"]);
        let mut none = |_: Entry| Next::Stop;
        let ending = connection(&said).search(&question(), ANSWER_TIMEOUT, &mut none);
        assert_eq!(ending, Ok(Ending::Stopped));
    }

    #[test]
    fn a_server_that_breaks_off_or_talks_nonsense_is_an_error() {
        let mut take = |_: Entry| Next::More;
        for (said, code) in [
            (&b""[..], SERVER_DOWN),
            (&ENTRY[..9], SERVER_DOWN),
            (b"\x30\x80", DECODING_ERROR),
            (b"HTTP/1.1 200 OK", DECODING_ERROR),
            (b"\x30\x84\x7f\xff\xff\xff", DECODING_ERROR),
            (b"\x30\x03\x02\x01\x01", DECODING_ERROR),
        ] {
            let ending = connection(said).search(&question(), ANSWER_TIMEOUT, &mut take);
            assert_eq!(ending, Err(code), "{said:?}");
        }
    }

    #[test]
    fn an_account_is_let_in_or_not() {
        let account = Account {
            version: 3,
            name: Vec::new(),
            password: Vec::new(),
        };
        let said = b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00";
        assert_eq!(connection(said).bind(&account, CONNECT_TIMEOUT), Ok(()));
        let said = b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x31\x04\x00\x04\x00";
        let refused = connection(said).bind(&account, CONNECT_TIMEOUT);
        assert_eq!(refused, Err(ConnectFault::Bind));
    }

    #[test]
    fn referrals_that_lead_nowhere_end() {
        let referral = |text: &[u8]| {
            let mut content = b"\x0a\x01\x09\x04\x00".to_vec();
            crate::ldap::ber::put(&mut content, 4, &[b"Referral:\n", text].concat());
            let mut inside = b"\x02\x01\x01".to_vec();
            crate::ldap::ber::put(&mut inside, 0x65, &content);
            let mut said = Vec::new();
            crate::ldap::ber::put(&mut said, SEQUENCE, &inside);
            said
        };
        let following = Following {
            version: 2,
            connect: CONNECT_TIMEOUT,
            answer: ANSWER_TIMEOUT,
            trail: &[],
        };
        let mut take = |_: Entry| Next::More;
        for (text, code) in [
            (&b"nonsense"[..], DECODING_ERROR),
            (b"ldap:///O=X", CLIENT_LOOP),
            (b"ldap:///o=y", SERVER_DOWN),
            (b"ldaps://127.0.0.1/o=y", SERVER_DOWN),
        ] {
            let mut connection = connection(&referral(text));
            let answer = connection.search_following(&question(), &following, &mut take);
            assert_eq!(answer, Ok(code), "{text:?}");
        }
        let trail: Vec<_> = (0..MAX_HOPS).map(|n| (None, vec![b'0'; n])).collect();
        let far = Following {
            trail: &trail,
            ..following
        };
        let answer =
            connection(&referral(b"ldap:///o=y")).search_following(&question(), &far, &mut take);
        assert_eq!(answer, Ok(REFERRAL_LIMIT_EXCEEDED));
    }
}
