//! Who runs the program at the other end: the question of RFC 1413.
//!
//! A [`Query`] is an exchange with the client's machine that never waits: each
//! [`Query::progress`] does what can be done now, and the session asks again a
//! little later. Whatever comes is only what that machine says; it is shown in
//! `$_`, and nothing is decided by it.
//!
//! Source: RFC 1413, guide 4.1.2 (Timeout.ident); what is taken of an answer is
//! observed: 8.17.1.9.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crate::sys::socket::{ConnectFrom, Readiness, begin_connect, wait_ready};

/// The port of the service.
const IDENT_PORT: u16 = 113;
/// Most octets of an answer. Source: RFC 1413 section 4 allows 1000.
const MAX_ANSWER: usize = 1_000;
/// Longest name that is shown. Observed: 8.17.1.9.
const MAX_USER: usize = 99;
/// The first pause between two looks, doubled with each.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// Octets of a name that are kept besides letters and digits. Observed: 8.17.1.9.
const NAME_OCTETS: &[u8] = b"!#$%&'*+-./^_`{|}~";

/// A question under way.
#[derive(Debug)]
pub(super) struct Query {
    stream: TcpStream,
    question: Vec<u8>,
    answer: Vec<u8>,
    deadline: Instant,
    pause: Duration,
}

/// What has become of a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Ask again at this time.
    Wait(Instant),
    /// The user's name as it is shown; `None` if nobody says.
    Done(Option<Vec<u8>>),
}

impl Query {
    /// Begins to ask who is at the other end of a connection.
    ///
    /// # Errors
    /// As `connect(2)`: nobody can be asked.
    pub(super) fn begin(
        peer: SocketAddr,
        local: SocketAddr,
        patience: Duration,
        now: Instant,
    ) -> io::Result<Self> {
        let from = ConnectFrom {
            // The service looks at who asks: it must be the address the connection was made to.
            address: Some(SocketAddr::new(local.ip(), 0)),
            ..ConnectFrom::default()
        };
        let stream = begin_connect(SocketAddr::new(peer.ip(), IDENT_PORT), &from)?;
        Ok(Query {
            stream,
            question: format!("{},{}\r\n", peer.port(), local.port()).into_bytes(),
            answer: Vec::new(),
            deadline: now + patience,
            pause: FIRST_PAUSE,
        })
    }

    /// Does what can be done without waiting.
    pub(super) fn progress(&mut self, now: Instant) -> Progress {
        match self.exchange() {
            Ok(true) => Progress::Done(user_of(&self.answer)),
            Ok(false) if now < self.deadline => {
                let next = (now + self.pause).min(self.deadline);
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                Progress::Wait(next)
            }
            Ok(false) | Err(_) => Progress::Done(None),
        }
    }

    /// Writes and reads; says whether the answer is there.
    fn exchange(&mut self) -> io::Result<bool> {
        if !self.question.is_empty() {
            let at_once = Some(Instant::now());
            if !wait_ready(self.stream.as_fd(), Readiness::Write, at_once)? {
                return Ok(false);
            }
            let written = match self.stream.write(&self.question) {
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            };
            self.question.drain(..written);
        }
        let mut buffer = [0; 256];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(true),
                Ok(length) => {
                    let read = buffer.get(..length).unwrap_or(b"");
                    self.answer.extend_from_slice(read);
                    if self.answer.len() >= MAX_ANSWER || read.contains(&b'\n') {
                        return Ok(true);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Takes the user's name from an answer such as `6191,25 : USERID : UNIX : joe`.
///
/// The ports are not looked at, and a system called OTHER is marked. Observed: 8.17.1.9.
fn user_of(answer: &[u8]) -> Option<Vec<u8>> {
    let line = answer.split(|&octet| octet == b'\n').next()?;
    let mut parts = line.splitn(4, |&octet| octet == b':');
    let (_ports, kind) = (parts.next()?, parts.next()?.trim_ascii());
    let (system, name) = (parts.next()?.trim_ascii(), parts.next()?);
    if !kind.eq_ignore_ascii_case(b"userid") {
        return None;
    }
    let system = system
        .split(|octet| *octet == b',' || octet.is_ascii_whitespace())
        .next()
        .unwrap_or(b"");
    let mark: &[u8] = if system.eq_ignore_ascii_case(b"other") {
        b"IDENT:"
    } else {
        b""
    };
    let name = name
        .iter()
        .copied()
        .filter(|octet| octet.is_ascii_alphanumeric() || NAME_OCTETS.contains(octet))
        .take(MAX_USER);
    Some(mark.iter().copied().chain(name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_from_answers() {
        for (answer, user) in [
            ("6191, 25 : USERID : UNIX : joe\r\n", Some("joe")),
            ("1,2:userid:unix: joe", Some("joe")),
            (
                "1,2:USERID:UNIX , US-ASCII:  jo\"e(\\x) y\u{1}z\r\n",
                Some("joexyz"),
            ),
            (
                "1,2:USERID:OTHER,X:joe blow <x>\r\n",
                Some("IDENT:joeblowx"),
            ),
            ("1 , 2 : USERID : OTHERX : joe\r\n", Some("joe")),
            ("1,2:USERID:VMS : joe : x\r\n", Some("joex")),
            ("1,2:USERID:UNIX:joe@host\r\nmore", Some("joehost")),
            ("1,2:USERID:UNIX:\r\n", Some("")),
            ("1,2:USERID:UNIX\r\n", None),
            ("1,2:ERROR:NO-USER\r\n", None),
            ("junk\r\n", None),
            ("", None),
        ] {
            let user = user.map(|user| user.as_bytes().to_vec());
            assert_eq!(user_of(answer.as_bytes()), user, "{answer:?}");
        }
        let long = format!("1,2:USERID:UNIX:{}", "x".repeat(300));
        assert_eq!(user_of(long.as_bytes()), Some(vec![b'x'; MAX_USER]));
    }
}
