//! Asking saslauthd whether a password is right.
//!
//! The question is four strings, each behind its length in two octets: user,
//! password, service and realm. The answer is one such string that begins with
//! `OK` or `NO`.
//!
//! Source: the protocol as spoken on the socket (observed: Cyrus SASL 2.1.28).

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Instant;

use super::outcome::{Failure, FailureKind};
use super::secret::Secret;
use crate::sys::socket::{Readiness, connect_local, wait_ready};

/// The service we are, for saslauthd's own configuration (`/etc/pam.d/smtp`).
const SERVICE: &[u8] = b"smtp";

/// Longest answer read; only its first two octets count.
const MAX_ANSWER: usize = 1_024;

/// Asks; `user` may name his realm behind the last `@`.
///
/// # Errors
/// The password is wrong, or nobody answered by the deadline.
pub fn check(
    path: &Path,
    user: &[u8],
    password: &Secret,
    deadline: Instant,
) -> Result<(), Failure> {
    let (name, realm) = match user.iter().rposition(|octet| *octet == b'@') {
        Some(at) => (
            user.get(..at).unwrap_or(b""),
            user.get(at + 1..).unwrap_or(b""),
        ),
        None => (user, &b""[..]),
    };
    let question = question(&[name, password.as_bytes(), SERVICE, realm]);
    let unknown = || Failure::new(FailureKind::Generic, "");
    let question = question.ok_or_else(unknown)?;
    match ask(path, &question, deadline) {
        Ok(answer) if answer.starts_with(b"OK") => Ok(()),
        Ok(answer) if answer.starts_with(b"NO") => Err(Failure::wrong("")),
        Ok(_) | Err(_) => Err(unknown()),
    }
}

/// Writes the question; `None` when a string is too long for its length to be written.
fn question(strings: &[&[u8]]) -> Option<Secret> {
    let mut octets = Vec::with_capacity(strings.iter().map(|one| one.len() + 2).sum());
    for string in strings {
        octets.extend_from_slice(&u16::try_from(string.len()).ok()?.to_be_bytes());
        octets.extend_from_slice(string);
    }
    Some(Secret::new(octets))
}

fn ask(path: &Path, question: &Secret, deadline: Instant) -> io::Result<Vec<u8>> {
    let left = deadline.saturating_duration_since(Instant::now());
    let mut stream = connect_local(path, Some(left))?;
    stream.set_nonblocking(true)?;
    let mut rest = question.as_bytes();
    while !rest.is_empty() {
        let written = ready(&stream, Readiness::Write, deadline, || {
            stream_write(&stream, rest)
        })?;
        rest = rest.get(written..).unwrap_or(b"");
    }
    let mut answer = Vec::new();
    let mut buffer = [0; MAX_ANSWER];
    loop {
        if let Some((length, text)) = answer.split_at_checked(2) {
            let length = length
                .iter()
                .fold(0_usize, |sum, octet| sum << 8 | usize::from(*octet));
            if text.len() >= length.min(MAX_ANSWER) {
                return Ok(text.to_vec());
            }
        }
        let count = ready(&stream.try_clone()?, Readiness::Read, deadline, || {
            stream.read(&mut buffer)
        })?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(buffer.get(..count).unwrap_or(b""));
    }
}

fn stream_write(mut stream: &std::os::unix::net::UnixStream, octets: &[u8]) -> io::Result<usize> {
    stream.write(octets)
}

/// Does something as soon as it can be done without waiting.
fn ready<T>(
    fd: &impl AsFd,
    readiness: Readiness,
    deadline: Instant,
    mut work: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    loop {
        if !wait_ready(fd.as_fd(), readiness, Some(deadline))? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match work() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

    use super::*;

    /// Lets one question be answered; gives the verdict and the question.
    fn asked(user: &str, answer: &'static [u8]) -> (Result<(), Failure>, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mux");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = Vec::new();
            for _ in 0..4 {
                let mut length = [0; 2];
                stream.read_exact(&mut length).unwrap();
                let mut text = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut text).unwrap();
                question.extend_from_slice(&text);
                question.push(b'|');
            }
            stream.write_all(answer).unwrap();
            question
        });
        let deadline = Instant::now() + Duration::from_secs(10);
        let verdict = check(&path, user.as_bytes(), &Secret::new("secret"), deadline);
        (verdict, server.join().unwrap())
    }

    #[test]
    fn yes_no_and_nonsense() {
        let (verdict, question) = asked("ann", b"\0\x02OK");
        assert_eq!((verdict, &*question), (Ok(()), &b"ann|secret|smtp||"[..]));
        let (verdict, question) = asked("ann@b@dom.test", b"\0\x09NO denied");
        assert_eq!(question, b"ann@b|secret|smtp|dom.test|");
        assert_eq!(verdict, Err(Failure::wrong("")));
        for nonsense in [&b"\0\0"[..], b"", b"\0\x02YE", b"\xff\xff"] {
            let (verdict, _) = asked("ann", nonsense);
            assert_eq!(verdict.unwrap_err().kind, FailureKind::Generic);
        }
    }

    #[test]
    fn who_is_not_there_says_neither() {
        let folder = tempfile::tempdir().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        let path = folder.path().join("mux");
        let verdict = check(&path, b"ann", &Secret::new("x"), deadline);
        assert_eq!(verdict.unwrap_err().kind, FailureKind::Generic);
    }

    #[test]
    fn who_does_not_answer_is_waited_for_no_longer_than_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mux");
        let _listener = UnixListener::bind(&path).unwrap();
        let deadline = Instant::now() + Duration::from_millis(50);
        let verdict = check(&path, b"ann", &Secret::new("x"), deadline);
        assert_eq!(verdict.unwrap_err().kind, FailureKind::Generic);
    }
}
