//! Commands out, replies in: the part of a session that knows no mail.
//!
//! Every line goes three ways: over the wire, to the witness (`-v`) and to the
//! traffic log (`-X`). Replies that begin with 4 or 5 also go to the transcript
//! of the message, behind the command that caused them; a bounce quotes that.

use std::io;
use std::time::{Duration, Instant};

use crate::auth::Secret;
use crate::client::answer::{Answer, AnswerBuilder};
use crate::client::outcome::Lost;
use crate::client::stream::Stream;
use crate::client::witness::Witness;

/// Shortest wait for a reply, whatever the configuration says; zero would never hear one.
const MIN_WAIT: Duration = Duration::from_millis(1);

/// Most octets of one reply; a server that says more is cut off.
const MAX_REPLY: usize = 262_144;

/// Turns a configured wait into a deadline.
pub fn deadline_in(wait: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(wait.max(MIN_WAIT)).unwrap_or(now)
}

/// One side of a conversation with a server.
pub struct Dialogue {
    stream: Stream,
    host: Vec<u8>,
    end_of_line: Vec<u8>,
    /// Commands not sent yet.
    outgoing: Vec<u8>,
    /// The command shown in the transcript before the next bad reply.
    last_command: Option<Vec<u8>>,
    /// The transcript does not say yet whom we talk to.
    needs_introduction: bool,
    enhanced_offered: bool,
    /// The next reply is not for the transcript.
    is_off_record: bool,
    /// What the client is waiting for, as the log names it.
    phase: &'static str,
}

impl Dialogue {
    /// Begins a conversation; `end_of_line` ends commands (field `E=` of the mailer).
    pub fn new(stream: Stream, host: &[u8], end_of_line: &[u8]) -> Self {
        let end_of_line = if end_of_line.is_empty() {
            b"\r\n"
        } else {
            end_of_line
        };
        Dialogue {
            stream,
            host: host.to_vec(),
            end_of_line: end_of_line.to_vec(),
            outgoing: Vec::new(),
            last_command: None,
            needs_introduction: true,
            enhanced_offered: false,
            is_off_record: false,
            phase: "client greeting",
        }
    }

    /// The server's name as log and bounces show it.
    pub fn host(&self) -> &[u8] {
        &self.host
    }

    /// What ends a line.
    pub fn end_of_line(&self) -> &[u8] {
        &self.end_of_line
    }

    /// The octets themselves.
    pub fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// Believes enhanced status codes from now on.
    pub fn expect_enhanced_codes(&mut self, offered: bool) {
        self.enhanced_offered = offered;
    }

    /// Names what the next replies are about, for the log line of one that never comes.
    pub fn phase(&mut self, phase: &'static str) {
        self.phase = phase;
    }

    /// Keeps the replies out of the transcript from now on, or lets them in again.
    ///
    /// A server that does not know EHLO is no fault worth telling the sender about.
    pub fn off_record(&mut self, off: bool) {
        self.is_off_record = off;
    }

    /// Begins the dialogue about another message, whose transcript knows nothing yet.
    pub fn introduce_again(&mut self) {
        self.needs_introduction = true;
        self.last_command = None;
    }

    /// Puts a command in the outgoing buffer; [`Dialogue::answer`] or [`Dialogue::flush`] send it.
    pub fn command(&mut self, command: &[u8], witness: &mut dyn Witness) {
        self.outgoing.extend_from_slice(command);
        self.show(command, witness);
    }

    /// Like [`Dialogue::command`], for what nobody else may read: `shown` stands in its place.
    pub fn secret_command(&mut self, command: &Secret, shown: &[u8], witness: &mut dyn Witness) {
        self.outgoing.extend_from_slice(command.as_bytes());
        self.show(shown, witness);
    }

    fn show(&mut self, command: &[u8], witness: &mut dyn Witness) {
        self.outgoing.extend_from_slice(&self.end_of_line);
        self.last_command = Some(command.to_vec());
        witness.traffic().sent(command);
        if witness.is_listening() {
            witness.echo(&[b">>> ", command].concat());
        }
    }

    /// Sends what is in the outgoing buffer.
    ///
    /// # Errors
    /// The connection is gone or stuck.
    pub fn flush(&mut self, deadline: Instant) -> Result<(), Lost> {
        let outgoing = std::mem::take(&mut self.outgoing);
        if outgoing.is_empty() {
            return Ok(());
        }
        self.stream
            .write_all(&outgoing, deadline)
            .map_err(|error| lost_by(&error))
    }

    /// Sends what is waiting and reads one whole reply.
    ///
    /// # Errors
    /// The connection is gone, or the deadline came first.
    pub fn answer(&mut self, wait: Duration, witness: &mut dyn Witness) -> Result<Answer, Lost> {
        let deadline = deadline_in(wait);
        let flushed = self.flush(deadline);
        let mut builder = AnswerBuilder::new(self.enhanced_offered);
        let mut octets = 0usize;
        // A server that closes may have said why before: its last words count more than our failed write.
        loop {
            let line = match self.stream.read_line(deadline) {
                Ok(line) => line,
                Err(error) => {
                    let lost = flushed.err().unwrap_or_else(|| lost_by(&error));
                    return Err(self.record_loss(lost, witness));
                }
            };
            self.record(&line, witness);
            if let Some(answer) = builder.line(&line) {
                return Ok(answer);
            }
            octets = octets.saturating_add(line.len() + 2);
            if octets > MAX_REPLY {
                return Err(self.record_loss(Lost::Reset, witness));
            }
        }
    }

    fn record(&mut self, line: &[u8], witness: &mut dyn Witness) {
        witness.traffic().received(line);
        if witness.is_listening() {
            witness.echo(line);
        }
        if self.is_off_record || !matches!(line.first(), Some(b'4' | b'5')) {
            return;
        }
        if std::mem::take(&mut self.needs_introduction) {
            witness.transcript(&[b"... while talking to ", self.host.as_slice(), b":"].concat());
        }
        if let Some(command) = self.last_command.take() {
            witness.transcript(&[b">>> ", command.as_slice()].concat());
        }
        witness.transcript(&[b"<<< ", line].concat());
    }

    fn record_loss(&self, lost: Lost, witness: &mut dyn Witness) -> Lost {
        let (mark, text): (&[u8], &[u8]) = match lost {
            Lost::Reset => (b"[EOF]", b"451 4.4.1 reply: read error from "),
            Lost::TimedOut => (b"[TIMEOUT]", b"451 4.4.1 reply: read error from "),
        };
        witness.traffic().heard(mark);
        if lost == Lost::TimedOut {
            self.tell_timeout(witness);
        }
        if !self.is_off_record {
            witness.transcript(&[text, self.host.as_slice()].concat());
            witness.trouble(&[b"reply: read error from ", self.host.as_slice()].concat());
        }
        lost
    }

    fn tell_timeout(&self, witness: &mut dyn Witness) {
        let during = format!(" during {}", self.phase);
        let words: [&[u8]; 3] = [
            b"timeout waiting for input from ",
            &self.host,
            during.as_bytes(),
        ];
        witness.notice(&words.concat());
    }

    /// Says goodbye and closes.
    ///
    /// Gives the exit number of a program that did not end well, and the server's last reply.
    pub fn quit(
        mut self,
        wait: Duration,
        witness: &mut dyn Witness,
    ) -> (Option<i32>, Option<Answer>) {
        let last = self.say_goodbye(wait, witness);
        (self.stream.close(deadline_in(wait)), last)
    }

    /// Says goodbye while replies to commands sent before are still to come, and closes when the
    /// server does.
    ///
    /// Gives the first of these replies. Observed: 8.17.1.9, which tells of a server that stays.
    pub fn quit_draining(mut self, wait: Duration, witness: &mut dyn Witness) -> Option<Answer> {
        let first = self.say_goodbye(wait, witness);
        self.phase("Draining Input");
        let deadline = deadline_in(wait);
        let error = loop {
            if let Err(error) = self.stream.read_line(deadline) {
                break error;
            }
        };
        if lost_by(&error) == Lost::TimedOut {
            self.tell_timeout(witness);
        }
        self.stream.close(deadline_in(wait));
        first
    }

    /// Sends QUIT and takes one reply, which is the last one unless others are due.
    fn say_goodbye(&mut self, wait: Duration, witness: &mut dyn Witness) -> Option<Answer> {
        self.command(b"QUIT", witness);
        let deadline = deadline_in(wait);
        let mut last = None;
        if self.flush(deadline).is_ok() {
            let mut builder = AnswerBuilder::new(self.enhanced_offered);
            while let Ok(line) = self.stream.read_line(deadline) {
                witness.traffic().received(&line);
                if witness.is_listening() {
                    witness.echo(&line);
                }
                last = builder.line(&line);
                if last.is_some() {
                    break;
                }
            }
        }
        last
    }

    /// Closes without a word.
    pub fn abandon(self, wait: Duration) -> Option<i32> {
        self.stream.close(deadline_in(wait))
    }
}

/// What an error of the system says about the connection.
pub fn lost_by(error: &io::Error) -> Lost {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Lost::TimedOut,
        _ => Lost::Reset,
    }
}
