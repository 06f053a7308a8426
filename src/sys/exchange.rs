//! Talking to a child over two pipes without ever waiting for each other.
//!
//! A program that writes while it is still being written to would block both
//! sides if its parent only wrote. [`Exchange`] drains the child's output, kept
//! up to a limit, whenever its input is not taken at once.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Output of one child that is kept, in bytes; the rest is read and dropped.
const MAX_KEPT_OUTPUT: usize = 65_536;

/// Writes to a child's standard input and collects its output meanwhile.
pub struct Exchange {
    input: Option<File>,
    output: Option<File>,
    kept: Vec<u8>,
    deadline: Option<Instant>,
}

impl Exchange {
    /// Takes both pipes; every wait ends at the deadline with `TimedOut`.
    ///
    /// # Errors
    /// The descriptors could not be made non-blocking.
    pub fn new(
        input: Option<File>,
        output: Option<File>,
        deadline: Option<Instant>,
    ) -> io::Result<Exchange> {
        for file in input.iter().chain(output.iter()) {
            let flags = OFlag::from_bits_truncate(fcntl(file, FcntlArg::F_GETFL)?);
            fcntl(file, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        }
        Ok(Exchange {
            input,
            output,
            kept: Vec::new(),
            deadline,
        })
    }

    /// Closes the child's input: it reads end of file.
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// Sets a new deadline for the waits to come.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Reads output until its end, or until `slice` has passed or the deadline; says whether it ended.
    ///
    /// # Errors
    /// `TimedOut` at the deadline, and what `poll(2)` says.
    pub fn read_for(&mut self, slice: Duration) -> io::Result<bool> {
        let until = Instant::now() + slice;
        while self.output.is_some() {
            let now = Instant::now();
            if now >= until {
                return Ok(false);
            }
            self.wait(false, Some(until - now))?;
        }
        Ok(true)
    }

    /// Returns what the child has said so far.
    pub fn output(&self) -> &[u8] {
        &self.kept
    }

    fn wait(&mut self, for_input: bool, slice: Option<Duration>) -> io::Result<()> {
        let left = match self.deadline {
            Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                Some(left) => Some(slice.map_or(left, |slice| slice.min(left))),
                None => return Err(io::ErrorKind::TimedOut.into()),
            },
            None => slice,
        };
        let timeout = left.map_or(PollTimeout::NONE, |left| {
            PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
        });
        let mut watched = Vec::with_capacity(2);
        if let Some(output) = &self.output {
            watched.push(PollFd::new(output.as_fd(), PollFlags::POLLIN));
        }
        if let (true, Some(input)) = (for_input, &self.input) {
            watched.push(PollFd::new(input.as_fd(), PollFlags::POLLOUT));
        }
        match poll(&mut watched, timeout) {
            Ok(_) | Err(nix::Error::EINTR) => self.drain(),
            Err(error) => Err(error.into()),
        }
    }

    fn drain(&mut self) -> io::Result<()> {
        let mut chunk = [0u8; 8_192];
        while let Some(output) = &mut self.output {
            match output.read(&mut chunk) {
                Ok(0) => self.output = None,
                Ok(n) => {
                    let room = MAX_KEPT_OUTPUT.saturating_sub(self.kept.len());
                    self.kept.extend(chunk.iter().take(n.min(room)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Write for Exchange {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let Some(input) = &mut self.input else {
                return Err(io::ErrorKind::BrokenPipe.into());
            };
            match input.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(true, None)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn cat() -> (std::process::Child, Exchange) {
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child
            .stdin
            .take()
            .map(std::os::fd::OwnedFd::from)
            .map(File::from);
        let output = child
            .stdout
            .take()
            .map(std::os::fd::OwnedFd::from)
            .map(File::from);
        let exchange = Exchange::new(input, output, None).unwrap();
        (child, exchange)
    }

    #[test]
    fn a_child_that_answers_everything_does_not_block_the_writer() {
        let (mut child, mut exchange) = cat();
        let text = vec![b'x'; 1_000_000];
        exchange.write_all(&text).unwrap();
        exchange.close_input();
        while !exchange.read_for(Duration::from_secs(1)).unwrap() {}
        assert_eq!(exchange.output().len(), MAX_KEPT_OUTPUT);
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn a_silent_child_is_left_at_the_deadline() {
        let (mut child, mut exchange) = cat();
        exchange.set_deadline(Some(Instant::now() + Duration::from_millis(20)));
        let error = loop {
            match exchange.read_for(Duration::from_secs(5)) {
                Err(error) => break error,
                Ok(ended) => assert!(!ended, "cat went away"),
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        exchange.close_input();
        child.wait().unwrap();
    }
}
