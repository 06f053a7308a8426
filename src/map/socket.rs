//! Class `socket`: a server that answers netstrings.
//!
//! The question is `NAME KEY`, the answer a status word and a text, both as
//! netstrings (`5:hello,`). One connection is kept between questions.
//!
//! Source: guide 5.9, class socket.

use std::io::{self, Read, Write};
use std::net::ToSocketAddrs;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::definition::MapDefinition;
use super::flags::MapFlags;
use super::lookup::{
    LookupContext, LookupHost, Map, MapAnswer, STATUS_NOT_FOUND, STATUS_PROTOCOL,
    STATUS_UNAVAILABLE,
};
use super::open::OpenFault;
use super::set::MapServices;
use crate::sys::file::path_buf_of;
use crate::sys::moment::Moments;
use crate::sys::socket::{ConnectFrom, connect, connect_local};

/// How long the server may take when `-d` is not given.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest answer. Source: guide 5.9.
const MAX_ANSWER: usize = 100_000;

/// Where the server listens.
enum Place {
    Local(Vec<u8>),
    Inet { host: String, port: u16 },
}

/// One server.
pub(super) struct SocketMap {
    name: Vec<u8>,
    flags: MapFlags,
    place: Place,
    /// The connection that waits for the next question; whoever asks takes it out.
    idle: Mutex<Option<Box<dyn Stream>>>,
    moments: Moments,
}

trait Stream: Read + Write + Send {
    fn set_deadline(&self, limit: Option<Duration>) -> io::Result<()>;
}

impl Stream for std::net::TcpStream {
    fn set_deadline(&self, limit: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(limit)?;
        self.set_write_timeout(limit)
    }
}

impl Stream for std::os::unix::net::UnixStream {
    fn set_deadline(&self, limit: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(limit)?;
        self.set_write_timeout(limit)
    }
}

impl SocketMap {
    /// Reads the place: `unix:PATH`, `local:PATH`, a path alone, `inet:PORT@HOST`.
    pub(super) fn open(
        definition: &MapDefinition,
        services: &MapServices,
        host: &mut dyn LookupHost,
    ) -> Result<SocketMap, OpenFault> {
        let head = [b"socket map \"", &*definition.name, b"\": "].concat();
        let file = &definition.file;
        let (kind, rest) = match file.iter().position(|&octet| octet == b':') {
            Some(colon) => (&file[..colon], &file[colon + 1..]),
            None => (b"local".as_slice(), file.as_slice()),
        };
        let place = match &*kind.to_ascii_lowercase() {
            b"local" | b"unix" => {
                if let Err(error) = std::fs::symlink_metadata(path_buf_of(rest.to_vec())) {
                    let reason = crate::sys::host::error_text(&error);
                    let text = [&head, b"local socket name ".as_slice(), rest, b" unsafe: "];
                    host.complain(&[&text.concat(), reason.as_bytes()].concat());
                    return Err(OpenFault);
                }
                Some(Place::Local(rest.to_vec()))
            }
            b"inet" | b"inet6" => inet_place(rest),
            _ => {
                let text = [&head, b"unknown socket type ".as_slice(), kind].concat();
                host.complain(&text);
                return Err(OpenFault);
            }
        };
        let Some(place) = place else {
            host.complain(&[&head, b"bad address ".as_slice(), rest].concat());
            return Err(OpenFault);
        };
        let flags = definition.flags.clone();
        Ok(SocketMap {
            name: definition.name.clone(),
            flags,
            place,
            idle: Mutex::new(None),
            moments: services.moments.clone(),
        })
    }

    fn connect(&self, limit: Duration) -> io::Result<Box<dyn Stream>> {
        match &self.place {
            Place::Local(path) => Ok(Box::new(connect_local(
                &path_buf_of(path.clone()),
                Some(limit),
            )?)),
            Place::Inet { host, port } => {
                let mut last = io::Error::from(io::ErrorKind::NotFound);
                for address in (host.as_str(), *port).to_socket_addrs()? {
                    match connect(address, &ConnectFrom::default(), Some(limit)) {
                        Ok(stream) => return Ok(Box::new(stream)),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }

    fn ask(&self, key: &[u8]) -> io::Result<Vec<u8>> {
        let limit = self.flags.timeout.unwrap_or(DEFAULT_TIMEOUT);
        let question = [&self.name, b" ".as_slice(), key].concat();
        let kept = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // A server may have closed the kept connection meanwhile; then a new one is made once.
        let kept_answer = kept.and_then(|mut stream| {
            exchange(&mut *stream, &question, limit)
                .ok()
                .map(|answer| (stream, answer))
        });
        let (stream, answer) = match kept_answer {
            Some(both) => both,
            None => {
                let mut stream = self.connect(limit)?;
                let answer = exchange(&mut *stream, &question, limit)?;
                (stream, answer)
            }
        };
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
        Ok(answer)
    }
}

impl Map for SocketMap {
    fn lookup(&self, key: &[u8], arguments: &[&[u8]], _: &mut LookupContext<'_>) -> MapAnswer {
        self.moments.end();
        let Ok(answer) = self.ask(&self.flags.folded(key)) else {
            return MapAnswer::temporary();
        };
        let mut parts = answer.splitn(2, |&octet| octet == b' ');
        let status = parts.next().unwrap_or(&[]);
        let text = parts.next().unwrap_or(&[]);
        match status {
            b"OK" => MapAnswer::found(self.flags.value(key, text, arguments)),
            b"NOTFOUND" => MapAnswer::failed(STATUS_NOT_FOUND),
            b"PERM" => MapAnswer::failed(STATUS_UNAVAILABLE),
            b"TEMP" | b"TIMEOUT" => MapAnswer::temporary(),
            _ => {
                // Who does not speak the protocol is not asked again on this connection.
                *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = None;
                MapAnswer::failed(STATUS_PROTOCOL)
            }
        }
    }
}

fn inet_place(text: &[u8]) -> Option<Place> {
    let text = std::str::from_utf8(text).ok()?;
    let (port, host) = text.split_once('@').unwrap_or((text, "localhost"));
    Some(Place::Inet {
        host: host.to_owned(),
        port: port.parse().ok()?,
    })
}

fn exchange(stream: &mut dyn Stream, question: &[u8], limit: Duration) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + limit;
    stream.set_deadline(Some(limit))?;
    let mut netstring = format!("{}:", question.len()).into_bytes();
    netstring.extend_from_slice(question);
    netstring.push(b',');
    stream.write_all(&netstring)?;
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let mut length = 0_usize;
    loop {
        match read_octet(stream, deadline)? {
            digit @ b'0'..=b'9' => {
                length = length * 10 + usize::from(digit - b'0');
                if length > MAX_ANSWER {
                    return Err(bad());
                }
            }
            b':' => break,
            _ => return Err(bad()),
        }
    }
    let mut answer = Vec::new();
    while answer.len() < length {
        answer.push(read_octet(stream, deadline)?);
    }
    if read_octet(stream, deadline)? == b',' {
        Ok(answer)
    } else {
        Err(bad())
    }
}

/// Reads one octet; the deadline holds for the whole answer, not for each read.
fn read_octet(stream: &mut dyn Stream, deadline: Instant) -> io::Result<u8> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let mut octet = [0];
    stream.read_exact(&mut octet)?;
    Ok(octet[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Script(io::Cursor<Vec<u8>>, Vec<u8>);

    impl Read for Script {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Stream for Script {
        fn set_deadline(&self, _limit: Option<Duration>) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn questions_and_answers_are_netstrings() {
        let mut script = Script(io::Cursor::new(b"8:OK there,".to_vec()), Vec::new());
        let answer = exchange(&mut script, b"map key", DEFAULT_TIMEOUT).unwrap();
        assert_eq!(answer, b"OK there");
        assert_eq!(script.1, b"7:map key,");
    }

    #[test]
    fn what_is_no_netstring_is_refused() {
        for text in ["", "x", "5:ab", "2:abc", "999999999999:"] {
            let mut script = Script(io::Cursor::new(text.into()), Vec::new());
            assert!(
                exchange(&mut script, b"q", DEFAULT_TIMEOUT).is_err(),
                "{text}"
            );
        }
    }
}
