//! One connection and the conversation on it.
//!
//! A conversation is a machine without a socket; [`Talk`] gives it one. A worker
//! gives a talk its [`Talk::turn`]: what can be read is handed in, what comes out
//! is written as far as the client takes it, and as soon as there is nothing to
//! do but wait the turn ends with what to wait for. So a slow client, reading or
//! writing, never holds a worker.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::gate::Place;
use crate::server::session::{Input, Interest, Step};
use crate::sys::socket::{Readiness, wait_ready};

/// How long a client may leave our replies unread.
const WRITE_DEADLINE: Duration = Duration::from_secs(5 * 60);
/// How long a worker with nothing else to do waits for the next command, which
/// spares the way through the accept thread in a quick dialogue.
const LINGER: Duration = Duration::from_millis(3);
/// The most reads in one turn, so that a client who never pauses cannot keep a worker.
const MAX_READS: usize = 64;
/// The most bytes thrown away at the end, so that our last reply is not lost in a reset.
const MAX_DRAINED: usize = 256 * 1024;

/// A protocol machine without a socket.
pub trait Conversation: Send {
    /// What a worker lends to each step.
    type Tools;

    /// Takes what happened, appends replies and says what to wait for.
    fn step(&mut self, input: Input<'_>, output: &mut Vec<u8>, tools: &mut Self::Tools) -> Step;

    /// Says a last line to a client who waits.
    fn say_farewell(&mut self, line: &[u8], output: &mut Vec<u8>) {
        output.extend_from_slice(line);
    }

    /// Clears up when the client has its last reply or is gone.
    fn end(&mut self, tools: &mut Self::Tools) {
        let _ = tools;
    }
}

/// Why a talk gets a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The connection is new.
    Start,
    /// What it waited for is there.
    Ready,
    /// The deadline came first.
    Deadline,
}

/// What a resting talk waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitFor {
    /// Something to read.
    Read,
    /// Room to write.
    Write,
    /// Nothing but the deadline.
    Time,
}

/// What a resting talk waits for, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// What for.
    pub what: WaitFor,
    /// How long.
    pub deadline: Instant,
}

/// A connection and the conversation on it.
#[derive(Debug)]
pub struct Talk<C> {
    conversation: C,
    stream: TcpStream,
    place: Place,
    /// Replies the client has not taken yet.
    unsent: Vec<u8>,
    /// What the conversation wanted last.
    wish: Step,
}

impl<C: Conversation> Talk<C> {
    /// Makes the talk of a new connection, whose socket must not block.
    pub fn new(conversation: C, stream: TcpStream, place: Place) -> Self {
        // Replies are written whole; waiting to fill packets only costs time.
        let _ = stream.set_nodelay(true);
        Talk {
            conversation,
            stream,
            place,
            unsent: Vec::new(),
            wish: Step::Close,
        }
    }

    /// Returns where the connection came in.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Returns the socket, for the poll.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Says a last line to a client who waits (shutdown).
    pub fn say_farewell(&mut self, line: &[u8]) {
        if self.unsent.is_empty() {
            let mut said = Vec::new();
            self.conversation.say_farewell(line, &mut said);
            let _ = self.stream.write(&said);
        }
    }

    /// Does all that can be done now; returns what to wait for, or `None` at the end.
    ///
    /// `is_idle` says whether the worker has nothing else to do.
    pub fn turn(
        &mut self,
        wake: Wake,
        tools: &mut C::Tools,
        is_idle: impl Fn() -> bool,
    ) -> Option<Wait> {
        let mut buffer = [0_u8; 16 * 1024];
        let mut lingered = false;
        match wake {
            Wake::Start => self.step(Input::Start, tools),
            Wake::Deadline if !self.unsent.is_empty() => return self.lost(tools),
            Wake::Deadline => match self.wish {
                Step::Park {
                    interest: Interest::Timer,
                    ..
                } => self.step(Input::Resume, tools),
                Step::Park {
                    interest: Interest::Read,
                    ..
                } => self.step(Input::TimedOut, tools),
                Step::Close => {}
            },
            Wake::Ready => {}
        }
        let mut reads = 0;
        loop {
            match self.flush() {
                Ok(true) => {}
                Ok(false) => {
                    let deadline = Instant::now() + WRITE_DEADLINE;
                    return Some(Wait {
                        what: WaitFor::Write,
                        deadline,
                    });
                }
                Err(_) => return self.lost(tools),
            }
            let (interest, deadline) = match self.wish {
                Step::Close => {
                    self.close();
                    self.conversation.end(tools);
                    return None;
                }
                Step::Park { interest, deadline } => (interest, deadline),
            };
            if interest == Interest::Timer {
                if Instant::now() < deadline {
                    return Some(Wait {
                        what: WaitFor::Time,
                        deadline,
                    });
                }
                self.step(Input::Resume, tools);
                continue;
            }
            let rest = Some(Wait {
                what: WaitFor::Read,
                deadline,
            });
            if reads >= MAX_READS {
                return rest;
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => self.step(Input::Closed, tools),
                Ok(length) => {
                    reads += 1;
                    lingered = false;
                    self.step(Input::Bytes(&buffer[..length]), tools);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if lingered || !is_idle() {
                        return rest;
                    }
                    lingered = true;
                    let until = (Instant::now() + LINGER).min(deadline);
                    if !wait_ready(self.stream.as_fd(), Readiness::Read, Some(until))
                        .unwrap_or(false)
                    {
                        return rest;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.lost(tools),
            }
        }
    }

    fn step(&mut self, input: Input<'_>, tools: &mut C::Tools) {
        self.wish = self.conversation.step(input, &mut self.unsent, tools);
    }

    /// Tells the conversation that the client is gone, and ends.
    fn lost(&mut self, tools: &mut C::Tools) -> Option<Wait> {
        self.unsent.clear();
        self.step(Input::Closed, tools);
        self.conversation.end(tools);
        None
    }

    /// Writes what the client takes; returns whether everything is out.
    fn flush(&mut self) -> io::Result<bool> {
        let mut sent = 0;
        let done = loop {
            let Some(rest) = self.unsent.get(sent..).filter(|rest| !rest.is_empty()) else {
                break Ok(true);
            };
            match self.stream.write(rest) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => sent += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.unsent.drain(..sent);
        if self.unsent.is_empty() {
            // Parked by the thousand: empty buffers are given back.
            self.unsent = Vec::new();
        }
        done
    }

    /// Closes so that the last reply arrives: unread input would turn the end into a reset.
    fn close(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
        let mut buffer = [0_u8; 4096];
        let mut drained = 0;
        while drained < MAX_DRAINED {
            match self.stream.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(length) => drained += length,
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::io::BufRead;
    use std::net::TcpListener;

    /// Answers each line with itself; `quit` ends, `wait` pauses, `big` floods, `panic` panics.
    #[derive(Debug, Default)]
    pub(in crate::daemon) struct Echo {
        line: Vec<u8>,
    }

    fn read_until(deadline: Duration) -> Step {
        Step::Park {
            interest: Interest::Read,
            deadline: Instant::now() + deadline,
        }
    }

    impl Conversation for Echo {
        type Tools = Vec<&'static str>;

        fn step(
            &mut self,
            input: Input<'_>,
            output: &mut Vec<u8>,
            seen: &mut Vec<&'static str>,
        ) -> Step {
            let wait = read_until(Duration::from_millis(200));
            match input {
                Input::Start => output.extend_from_slice(b"220 hello\n"),
                Input::Closed => {
                    seen.push("closed");
                    return Step::Close;
                }
                Input::TimedOut => {
                    seen.push("timed out");
                    output.extend_from_slice(b"421 late\n");
                    return Step::Close;
                }
                Input::Resume => {
                    seen.push("resumed");
                    output.extend_from_slice(b"250 again\n");
                }
                Input::Bytes(bytes) => {
                    self.line.extend_from_slice(bytes);
                    while let Some(end) = self.line.iter().position(|&byte| byte == b'\n') {
                        let line: Vec<u8> = self.line.drain(..=end).collect();
                        match line.as_slice() {
                            b"quit\n" => {
                                output.extend_from_slice(b"221 bye\n");
                                return Step::Close;
                            }
                            b"wait\n" => {
                                let deadline = Instant::now() + Duration::from_millis(20);
                                return Step::Park {
                                    interest: Interest::Timer,
                                    deadline,
                                };
                            }
                            b"big\n" => output.extend(std::iter::repeat_n(b'x', 8_000_000)),
                            b"panic\n" => panic!("asked to"),
                            line => output.extend_from_slice(line),
                        }
                    }
                }
            }
            wait
        }
    }

    pub(in crate::daemon) fn connected() -> (Talk<Echo>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, peer) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        let place = Place {
            port: 0,
            client: Some(peer.ip()),
        };
        (Talk::new(Echo::default(), server, place), client)
    }

    fn line(client: &mut TcpStream) -> String {
        let mut line = String::new();
        io::BufReader::with_capacity(1, client)
            .read_line(&mut line)
            .unwrap();
        line
    }

    #[test]
    fn a_dialogue_rests_between_lines_and_ends() {
        let (mut talk, mut client) = connected();
        let mut seen = Vec::new();
        let wait = talk.turn(Wake::Start, &mut seen, || false).unwrap();
        assert_eq!(wait.what, WaitFor::Read);
        assert_eq!(line(&mut client), "220 hello\n");
        client.write_all(b"one\ntwo\n").unwrap();
        assert!(talk.turn(Wake::Ready, &mut seen, || true).is_some());
        assert_eq!(line(&mut client), "one\n");
        assert_eq!(line(&mut client), "two\n");
        client.write_all(b"quit\nunread").unwrap();
        assert_eq!(talk.turn(Wake::Ready, &mut seen, || true), None);
        assert_eq!(line(&mut client), "221 bye\n");
        assert_eq!(line(&mut client), "");
    }

    #[test]
    fn deadlines_become_what_they_were_set_for() {
        let (mut talk, mut client) = connected();
        let mut seen = Vec::new();
        talk.turn(Wake::Start, &mut seen, || false);
        client.write_all(b"wait\n").unwrap();
        let wait = talk.turn(Wake::Ready, &mut seen, || true).unwrap();
        assert_eq!(wait.what, WaitFor::Time);
        assert_eq!(
            talk.turn(Wake::Deadline, &mut seen, || false).unwrap().what,
            WaitFor::Read
        );
        assert_eq!(talk.turn(Wake::Deadline, &mut seen, || false), None);
        assert_eq!(seen, ["resumed", "timed out"]);
    }

    #[test]
    fn a_client_who_does_not_read_holds_nobody() {
        let (mut talk, mut client) = connected();
        let mut seen = Vec::new();
        talk.turn(Wake::Start, &mut seen, || false);
        client.write_all(b"big\n").unwrap();
        let wait = talk.turn(Wake::Ready, &mut seen, || true).unwrap();
        assert_eq!(wait.what, WaitFor::Write);
        assert_eq!(talk.turn(Wake::Deadline, &mut seen, || false), None);
        assert_eq!(seen, ["closed"]);
    }

    #[test]
    fn a_client_who_leaves_is_told_to_the_conversation() {
        let (mut talk, client) = connected();
        let mut seen = Vec::new();
        talk.turn(Wake::Start, &mut seen, || false);
        drop(client);
        assert_eq!(talk.turn(Wake::Ready, &mut seen, || true), None);
        assert_eq!(seen, ["closed"]);
    }
}
