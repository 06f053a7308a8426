//! The message itself, when recipients have been named: DATA or BDAT, the text, its end.
//!
//! With SMTP one reply tells what became of the message, with LMTP one for each recipient
//! (RFC 2033 section 4.2). Part of [`super::transaction`].
//!
//! Source: RFC 5321 section 4.1.1.4, RFC 3030, observed: 8.17.1.9.

use std::io::{self, Write};
use std::time::Duration;

use crate::client::answer::Answer;
use crate::client::chunks::{ChunkFault, ChunkSink};
use crate::client::dialogue::{deadline_in, lost_by};
use crate::client::outcome::{Lost, Outcome, Phase, status};
use crate::client::session::{Protocol, log_protocol_error};
use crate::client::stream::Stream;
use crate::client::transaction::{End, Finished, MessageWriter, Progress, Transaction};
use crate::client::witness::Witness;
use crate::smtp::{ExitStatus, Extensions};

/// Octets of the message collected before they are written.
const WRITE_SIZE: usize = 65_536;

/// Why the message was not written to its end.
enum Unsent {
    /// The message could not be read on our side.
    Source,
    /// The connection failed.
    Connection(Lost),
}

/// Collects the message and writes it in large pieces, each with the deadline of a data block.
struct Sink<'a> {
    stream: &'a mut Stream,
    wait: Duration,
    buffer: Vec<u8>,
    failure: Option<Lost>,
}

impl Write for Sink<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.failure.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.buffer.extend_from_slice(octets);
        if self.buffer.len() >= WRITE_SIZE {
            self.flush()?;
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = self.stream.write_all(&self.buffer, deadline_in(self.wait));
        self.buffer.clear();
        if let Err(error) = &written {
            self.failure = Some(lost_by(error));
        }
        written
    }
}

impl Transaction {
    /// DATA and its reply, then the message.
    pub(super) fn data(
        mut self,
        already_sent: bool,
        progress: Progress,
        write_message: &mut MessageWriter<'_>,
        witness: &mut dyn Witness,
    ) -> Finished {
        let host = self.host();
        if !already_sent {
            self.ready.dialogue.command(b"DATA", witness);
        }
        let wait = self.ready.timeouts.datainit;
        self.ready.dialogue.phase("client DATA 354");
        let answer = match self.ready.dialogue.answer(wait, witness) {
            Ok(answer) => answer,
            Err(lost) => {
                let outcome = Outcome::lost(Phase::DataInit, lost, &host);
                return self.over(End::Lost, outcome, progress, witness);
            }
        };
        if let Some(mut outcome) = Outcome::of_refusal(Phase::DataInit, &answer, &host) {
            if outcome.is_temporary() {
                return self.over(End::Closing, outcome, progress, witness);
            }
            log_protocol_error("DATA-1", &outcome, &answer, &host, witness);
            if outcome.exit == ExitStatus::Protocol {
                outcome.diagnostic = Some(b"250 2.0.0 reset".to_vec());
            }
            return self.reset(Some(outcome), progress, true, witness);
        }
        if progress.accepted.is_empty() {
            return self.empty_message(progress, witness);
        }
        match self.send_message(write_message) {
            Ok(()) => self.final_dot(progress, witness),
            Err(Unsent::Source) => {
                // Half a message must not look like a whole one: no dot, and nobody waits for a reply.
                let outcome = Outcome::new(ExitStatus::IoError, status(4, 3, 0));
                self.over(End::Lost, outcome, progress, witness)
            }
            Err(Unsent::Connection(Lost::Reset)) => self.final_dot(progress, witness),
            Err(Unsent::Connection(lost)) => {
                witness.transcript(
                    &[b"451 4.4.1 timeout writing message to ", host.as_slice()].concat(),
                );
                let mut outcome = Outcome::lost(Phase::DataFinal, lost, &host);
                outcome.message = Some([b"timeout writing message to ", host.as_slice()].concat());
                self.over(End::Lost, outcome, progress, witness)
            }
        }
    }

    /// BDAT as often as needed, and the reply to the last one.
    pub(super) fn chunks(
        mut self,
        progress: Progress,
        write_message: &mut MessageWriter<'_>,
        witness: &mut dyn Witness,
    ) -> Finished {
        let host = self.host();
        let conversion = self.conversion;
        self.ready.dialogue.phase("client BDAT");
        let mut sink = ChunkSink::new(&mut self.ready.dialogue, &self.ready.timeouts, witness);
        let written = write_message(&mut sink, conversion);
        let sent = sink.finish(written);
        match sent {
            Ok(()) => match self.ready.protocol {
                Protocol::Smtp => self.one_reply(progress, witness),
                Protocol::Lmtp => self.reply_for_each(progress, witness),
            },
            Err(ChunkFault::Source) => {
                // Without the last chunk the server has no message.
                let outcome = Outcome::new(ExitStatus::IoError, status(4, 3, 0));
                self.over(End::Lost, outcome, progress, witness)
            }
            Err(ChunkFault::Lost(lost)) => {
                let outcome = Outcome::lost(Phase::DataFinal, lost, &host);
                self.over(End::Lost, outcome, progress, witness)
            }
            Err(ChunkFault::Refused(answer)) => {
                let outcome = Outcome::of_refusal(Phase::DataFinal, &answer, &host)
                    .unwrap_or_else(|| Outcome::new(ExitStatus::Protocol, status(5, 5, 1)));
                if answer.code == 421 {
                    return self.over(End::Closing, outcome, progress, witness);
                }
                self.reset(Some(outcome), progress, true, witness)
            }
        }
    }

    /// Nobody was accepted, but DATA was sent already and answered 354: end it at once.
    fn empty_message(mut self, progress: Progress, witness: &mut dyn Witness) -> Finished {
        self.ready.dialogue.command(b".", witness);
        let wait = self.ready.timeouts.datafinal;
        let alive = match self.ready.dialogue.answer(wait, witness) {
            Ok(answer) => answer.code != 421,
            Err(_) => false,
        };
        let ready = if alive {
            Some(self.ready)
        } else {
            self.ready.dialogue.abandon(self.ready.timeouts.quit);
            None
        };
        Finished {
            ready,
            open: None,
            deferred: progress.deferred,
            delivered: false,
            lost: None,
        }
    }

    fn send_message(&mut self, write_message: &mut MessageWriter<'_>) -> Result<(), Unsent> {
        let conversion = self.conversion;
        let end_of_line = self.ready.dialogue.end_of_line().to_vec();
        let mut sink = Sink {
            wait: self.ready.timeouts.datablock,
            stream: self.ready.dialogue.stream(),
            buffer: Vec::with_capacity(WRITE_SIZE),
            failure: None,
        };
        let written = write_message(&mut sink, conversion);
        if let Some(lost) = sink.failure {
            return Err(Unsent::Connection(lost));
        }
        if written.is_err() {
            return Err(Unsent::Source);
        }
        sink.buffer.push(b'.');
        sink.buffer.extend_from_slice(&end_of_line);
        let flushed = sink.flush();
        match (flushed, sink.failure) {
            (Ok(()), None) => Ok(()),
            (_, lost) => Err(Unsent::Connection(lost.unwrap_or(Lost::Reset))),
        }
    }

    /// The reply, or with LMTP the replies, to the final dot.
    fn final_dot(mut self, progress: Progress, witness: &mut dyn Witness) -> Finished {
        self.ready.dialogue.phase("client DATA status");
        witness.traffic().sent(b".");
        if witness.is_listening() {
            witness.echo(b">>> .");
        }
        match self.ready.protocol {
            Protocol::Smtp => self.one_reply(progress, witness),
            Protocol::Lmtp => self.reply_for_each(progress, witness),
        }
    }

    fn one_reply(mut self, progress: Progress, witness: &mut dyn Witness) -> Finished {
        let host = self.host();
        let wait = self.ready.timeouts.datafinal;
        let answer = match self.ready.dialogue.answer(wait, witness) {
            Ok(answer) => answer,
            Err(lost) => {
                let outcome = Outcome {
                    remote: Some(host.clone()),
                    ..Outcome::lost(Phase::DataFinal, lost, &host)
                };
                return self.over(End::Lost, outcome, progress, witness);
            }
        };
        let Some(outcome) = Outcome::of_refusal(Phase::DataFinal, &answer, &host) else {
            let mut progress = progress;
            let outcome = Outcome {
                accepted_with: std::mem::take(&mut progress.accepted_with),
                ..Outcome::sent(&answer, &host, &self.ready.offers)
            };
            return self.still_open(outcome, progress, true);
        };
        log_protocol_error("DATA-2", &outcome, &answer, &host, witness);
        if answer.code == 421 {
            return self.over(End::Closing, outcome, progress, witness);
        }
        self.still_open(outcome, progress, false)
    }

    fn reply_for_each(mut self, mut progress: Progress, witness: &mut dyn Witness) -> Finished {
        let host = self.host();
        let wait = self.ready.timeouts.datafinal;
        let accepted = std::mem::take(&mut progress.accepted);
        let mut last: Option<Answer> = None;
        for (at, place) in accepted.iter().enumerate() {
            let answer = match self.ready.dialogue.answer(wait, witness) {
                Ok(answer) => answer,
                Err(lost) => {
                    for place in accepted.get(at..).unwrap_or_default() {
                        let mut outcome = Outcome::lost(Phase::DataFinal, lost, &host);
                        outcome.is_personal = true;
                        outcome.reply =
                            Some([b"451 4.4.1 reply: read error from ", host.as_slice()].concat());
                        witness.settled(&[*place], &outcome);
                        progress.deferred.push(*place);
                    }
                    let mut sent = sent_by_lmtp(last.as_ref(), &host, &self.ready.offers);
                    sent.logged = status(4, 4, 2);
                    return self.over(End::Lost, sent, progress, witness);
                }
            };
            match Outcome::of_refusal(Phase::DataFinal, &answer, &host) {
                None => progress.accepted.push(*place),
                Some(mut outcome) => {
                    outcome.is_personal = true;
                    outcome.reply = Some(answer.logged_line());
                    log_protocol_error("DATA-3", &outcome, &answer, &host, witness);
                    if answer.code == 421 {
                        let rest = accepted.get(at..).unwrap_or_default();
                        let sent = sent_by_lmtp(last.as_ref(), &host, &self.ready.offers);
                        return self.closed_by_lmtp(rest, &outcome, sent, progress, witness);
                    }
                    if outcome.is_temporary() {
                        progress.deferred.push(*place);
                    } else {
                        outcome.detail = Some(answer.text_without_codes().to_vec());
                    }
                    witness.settled(&[*place], &outcome);
                }
            }
            last = Some(answer);
        }
        let sent = sent_by_lmtp(last.as_ref(), &host, &self.ready.offers);
        let delivered = !progress.accepted.is_empty();
        self.still_open(sent, progress, delivered)
    }

    /// The server said 421 about a recipient: it and those that follow wait.
    fn closed_by_lmtp(
        self,
        rest: &[usize],
        outcome: &Outcome,
        sent: Outcome,
        mut progress: Progress,
        witness: &mut dyn Witness,
    ) -> Finished {
        let _ = self.ready.dialogue.quit(self.ready.timeouts.quit, witness);
        for place in rest {
            witness.settled(&[*place], outcome);
            progress.deferred.push(*place);
        }
        Finished {
            ready: None,
            delivered: !progress.accepted.is_empty(),
            open: (!progress.accepted.is_empty()).then_some((progress.accepted, sent)),
            deferred: progress.deferred,
            lost: None,
        }
    }
}

/// LMTP recipients that were delivered share one outcome without a text (observed: 8.17.1.9).
fn sent_by_lmtp(last: Option<&Answer>, host: &[u8], offers: &Extensions) -> Outcome {
    let logged = last
        .and_then(|answer| Outcome::of_refusal(Phase::DataFinal, answer, host))
        .map_or(status(2, 0, 0), |outcome| outcome.logged);
    Outcome {
        logged,
        reported: status(2, 0, 0),
        remote: Some(host.to_vec()),
        reports_itself: offers.dsn,
        keeps_deadline: offers.deliver_by.is_some(),
        ..Outcome::new(ExitStatus::Ok, status(2, 0, 0))
    }
}
