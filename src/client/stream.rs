//! The octets of a session: a TCP connection, a local socket or a program's pipes.
//!
//! Every wait has a deadline, an instant computed once by the caller, so that a
//! server that drips one octet at a time gains nothing.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::crowd::Place;
use crate::sys::host::error_text;
use crate::sys::socket::{self, Readiness};
use crate::sys::spawn::{Ended, Running};
use crate::tls::{Channel, Failure, Received};

/// Longest line kept, in octets; the rest of a longer one is dropped.
const MAX_LINE: usize = 2_048;

/// Most octets read while waiting for one reply; a server that says more is cut off.
const MAX_REPLY: usize = 1_048_576;

/// Octets read at a time.
const READ_SIZE: usize = 8_192;

/// Octets written to a pipe at a time: what a pipe takes at once when it is ready.
const PIPE_CHUNK: usize = 4_096;

/// What the octets travel on.
pub enum Transport {
    /// A TCP connection.
    Tcp(TcpStream),
    /// A socket in the file system.
    Local(UnixStream),
    /// A program that speaks SMTP or LMTP on its standard input and output.
    Program(Pipes),
}

/// A running program and our ends of its pipes.
pub struct Pipes {
    running: Box<dyn Running>,
    to: File,
    from: File,
}

impl Transport {
    /// Takes the pipes of a program that was started with both standard input and output piped.
    ///
    /// # Errors
    /// When one of the pipes is missing.
    pub fn program(mut running: Box<dyn Running>) -> io::Result<Self> {
        let missing = || io::Error::other("mailer without pipes");
        let to = running.stdin().ok_or_else(missing)?;
        let from = running.stdout().ok_or_else(missing)?;
        Ok(Transport::Program(Pipes { running, to, from }))
    }

    fn read_end(&self) -> BorrowedFd<'_> {
        match self {
            Transport::Tcp(stream) => stream.as_fd(),
            Transport::Local(stream) => stream.as_fd(),
            Transport::Program(pipes) => pipes.from.as_fd(),
        }
    }

    fn write_end(&self) -> BorrowedFd<'_> {
        match self {
            Transport::Tcp(stream) => stream.as_fd(),
            Transport::Local(stream) => stream.as_fd(),
            Transport::Program(pipes) => pipes.to.as_fd(),
        }
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Tcp(stream) => stream.read(buffer),
            Transport::Local(stream) => stream.read(buffer),
            Transport::Program(pipes) => pipes.from.read(buffer),
        }
    }

    fn write_some(&mut self, octets: &[u8], left: Duration) -> io::Result<usize> {
        match self {
            Transport::Tcp(stream) => {
                stream.set_write_timeout(Some(left))?;
                stream.write(octets)
            }
            Transport::Local(stream) => {
                stream.set_write_timeout(Some(left))?;
                stream.write(octets)
            }
            Transport::Program(pipes) => pipes.to.write(octets.get(..PIPE_CHUNK).unwrap_or(octets)),
        }
    }
}

/// Why a handshake came to nothing.
#[derive(Debug)]
pub enum HandshakeFault {
    /// The deadline came first.
    TimedOut,
    /// The server broke the protocol or closed.
    Protocol(Failure),
}

impl From<io::Error> for HandshakeFault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => HandshakeFault::TimedOut,
            io::ErrorKind::UnexpectedEof => HandshakeFault::Protocol(Failure::closed()),
            _ => HandshakeFault::Protocol(Failure::other(error_text(&error))),
        }
    }
}

/// A transport with a buffer of what was read too far.
pub struct Stream {
    transport: Transport,
    /// TLS on top of the transport.
    channel: Option<Box<Channel>>,
    /// The server said through TLS that it has no more to say.
    is_at_end: bool,
    buffer: Vec<u8>,
    /// Where the unread part of the buffer begins.
    start: usize,
    /// Given back when the session ends.
    place: Option<Place>,
}

impl Stream {
    /// Wraps a transport; small packets of a TCP connection are sent at once.
    pub fn new(transport: Transport) -> Self {
        if let Transport::Tcp(stream) = &transport {
            // Without it the last piece of a message waits for the server's delayed acknowledgement.
            let _ = stream.set_nodelay(true);
        }
        Stream {
            transport,
            channel: None,
            is_at_end: false,
            buffer: Vec::new(),
            start: 0,
            place: None,
        }
    }

    /// Lets the stream hold a place among the sessions with its host.
    pub fn holding(self, place: Place) -> Self {
        Stream {
            place: Some(place),
            ..self
        }
    }

    /// Gives the place back before the session ends.
    pub fn give_place_back(&mut self) {
        self.place = None;
    }

    /// The address of the server, if there is one.
    pub fn peer_address(&self) -> Option<IpAddr> {
        match &self.transport {
            Transport::Tcp(stream) => stream.peer_addr().ok().map(|address| address.ip()),
            Transport::Local(_) | Transport::Program(_) => None,
        }
    }

    /// The TLS on top of the transport.
    pub fn channel(&self) -> Option<&Channel> {
        self.channel.as_deref()
    }

    /// Puts TLS on top of the transport; what was read in the clear before is thrown away.
    ///
    /// # Errors
    /// The stream is of no use then.
    pub fn begin_tls(&mut self, channel: Channel, deadline: Instant) -> Result<(), HandshakeFault> {
        self.buffer.clear();
        self.start = 0;
        self.channel = Some(Box::new(channel));
        loop {
            self.send_sealed(deadline)?;
            if self.channel.as_ref().is_none_or(|it| !it.is_handshaking()) {
                return Ok(());
            }
            let octets = self.read_raw(deadline)?;
            let Some(channel) = &mut self.channel else {
                return Ok(());
            };
            if let Err(failure) = channel.receive(&octets, &mut self.buffer) {
                // The server may want to know why.
                let _ = self.send_sealed(deadline);
                return Err(HandshakeFault::Protocol(failure));
            }
        }
    }

    fn send_sealed(&mut self, deadline: Instant) -> io::Result<()> {
        let mut octets = Vec::new();
        if let Some(channel) = &mut self.channel {
            channel.take_output(&mut octets);
        }
        self.write_raw(&octets, deadline)
    }

    /// Writes everything before the deadline.
    ///
    /// # Errors
    /// `TimedOut` at the deadline, otherwise what the system says.
    pub fn write_all(&mut self, octets: &[u8], deadline: Instant) -> io::Result<()> {
        let Some(channel) = &mut self.channel else {
            return self.write_raw(octets, deadline);
        };
        channel.seal(octets);
        self.send_sealed(deadline)
    }

    fn write_raw(&mut self, octets: &[u8], deadline: Instant) -> io::Result<()> {
        let mut rest = octets;
        while !rest.is_empty() {
            let left = deadline
                .checked_duration_since(Instant::now())
                .filter(|left| !left.is_zero())
                .ok_or_else(|| io::Error::from(io::ErrorKind::TimedOut))?;
            if matches!(self.transport, Transport::Program(_))
                && !socket::wait_ready(
                    self.transport.write_end(),
                    Readiness::Write,
                    Some(deadline),
                )?
            {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match self.transport.write_some(rest, left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads a line without its end before the deadline.
    ///
    /// # Errors
    /// `UnexpectedEof` when the server closed, `TimedOut` at the deadline.
    pub fn read_line(&mut self, deadline: Instant) -> io::Result<Vec<u8>> {
        let mut searched = self.start;
        let mut total = 0usize;
        loop {
            let unread = self.buffer.get(searched..).unwrap_or_default();
            if let Some(at) = memchr::memchr(b'\n', unread) {
                let end = searched + at;
                let line = self.buffer.get(self.start..end).unwrap_or_default();
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                let line = line.get(..MAX_LINE).unwrap_or(line).to_vec();
                self.start = end + 1;
                return Ok(line);
            }
            // Of an endless line only the beginning is kept.
            if self.buffer.len() - self.start > MAX_LINE {
                self.buffer.truncate(self.start + MAX_LINE);
            }
            if self.start > 0 {
                self.buffer.drain(..self.start);
                self.start = 0;
            }
            searched = self.buffer.len();
            total = total.saturating_add(self.fill(deadline)?);
            if total > MAX_REPLY {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }

    /// Reads until there is something; gives the number of octets that came.
    fn fill(&mut self, deadline: Instant) -> io::Result<usize> {
        loop {
            if self.is_at_end {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let octets = self.read_raw(deadline)?;
            let before = self.buffer.len();
            self.take_in(&octets)?;
            if self.buffer.len() > before {
                return Ok(octets.len());
            }
        }
    }

    /// Puts octets of the transport into the buffer, through TLS if there is some.
    fn take_in(&mut self, octets: &[u8]) -> io::Result<()> {
        let Some(channel) = &mut self.channel else {
            self.buffer.extend_from_slice(octets);
            return Ok(());
        };
        match channel.receive(octets, &mut self.buffer) {
            Ok(Received::Open) => Ok(()),
            Ok(Received::Closed) => {
                self.is_at_end = true;
                Ok(())
            }
            Err(failure) => Err(io::Error::other(failure.detail)),
        }
    }

    fn read_raw(&mut self, deadline: Instant) -> io::Result<Vec<u8>> {
        if !socket::wait_ready(self.transport.read_end(), Readiness::Read, Some(deadline))? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut octets = [0u8; READ_SIZE];
        loop {
            match self.transport.read_some(&mut octets) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => return Ok(octets.get(..count).unwrap_or_default().to_vec()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Says whether the server has said or closed something nobody asked for.
    pub fn has_pending_input(&mut self) -> bool {
        loop {
            if self.start < self.buffer.len() || self.is_at_end {
                return true;
            }
            let now = Instant::now();
            let is_ready =
                socket::wait_ready(self.transport.read_end(), Readiness::Read, Some(now));
            match is_ready {
                Ok(false) => return false,
                // TLS has messages of its own, which say nothing to us.
                Ok(true) if self.channel.is_some() => {}
                Ok(true) | Err(_) => return true,
            }
            let taken = self.read_raw(now).and_then(|octets| self.take_in(&octets));
            if taken.is_err() {
                return true;
            }
        }
    }

    /// Closes; a program gets until the deadline to end by itself. Gives its exit number if not 0.
    pub fn close(mut self, deadline: Instant) -> Option<i32> {
        if let Some(channel) = &mut self.channel {
            channel.close();
            // A server that is gone already misses nothing.
            let _ = self.send_sealed(deadline);
        }
        let Transport::Program(pipes) = self.transport else {
            return None;
        };
        let Pipes {
            mut running,
            to,
            from,
        } = pipes;
        drop(to);
        let ended = running.wait(Some(deadline));
        drop(from);
        match ended {
            Ok(Ended::Exited(0)) => None,
            Ok(Ended::Exited(number)) => Some(number),
            Ok(Ended::Signaled(signal)) => Some(signal),
            Ok(Ended::StillRunning) | Err(_) => {
                running.kill_group();
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Stream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Stream::new(Transport::Local(ours)), theirs)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[test]
    fn lines_are_read_one_by_one_whatever_the_packets() {
        let (mut stream, mut server) = pair();
        server.write_all(b"220 a\r\n250-b\n25").unwrap();
        assert_eq!(stream.read_line(soon()).unwrap(), b"220 a");
        assert_eq!(stream.read_line(soon()).unwrap(), b"250-b");
        server.write_all(b"0 c\r\n").unwrap();
        assert_eq!(stream.read_line(soon()).unwrap(), b"250 c");
        drop(server);
        assert_eq!(
            stream.read_line(soon()).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }

    #[test]
    fn the_deadline_ends_a_wait() {
        let (mut stream, _server) = pair();
        let deadline = Instant::now() + Duration::from_millis(5);
        assert_eq!(
            stream.read_line(deadline).unwrap_err().kind(),
            io::ErrorKind::TimedOut
        );
    }

    #[test]
    fn an_endless_line_is_cut() {
        let (mut stream, mut server) = pair();
        let writer = std::thread::spawn(move || {
            let _ = server.write_all(&vec![b'x'; 100_000]);
            let _ = server.write_all(b"\r\n250 ok\r\n");
        });
        assert_eq!(stream.read_line(soon()).unwrap().len(), MAX_LINE);
        assert_eq!(stream.read_line(soon()).unwrap(), b"250 ok");
        writer.join().unwrap();
    }
}
