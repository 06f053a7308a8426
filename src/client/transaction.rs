//! One message through a session: recipients, the message itself, the final dot.
//!
//! Where the server offers PIPELINING all RCPT commands and DATA go out in one
//! packet (RFC 2920); MAIL is always answered first, because a refused sender
//! must not cost a round of refused recipients. Each reply is settled with the
//! witness the moment it arrives.
//!
//! Entry point: [`Transaction::deliver`]. Source: RFC 5321 section 3.3, RFC 2033
//! section 4.2, observed: 8.17.1.9.

use std::io::{self, Write};

use crate::client::answer::Answer;
use crate::client::mail_command::{Addresses, Conversion, needs_utf8, without_utf8};
use crate::client::outcome::{Lost, Outcome, Phase, status};
use crate::client::secure;
use crate::client::session::{Ready, log_protocol_error};
use crate::client::witness::Witness;
use crate::smtp::{ExitStatus, utf8_address};
use crate::text::idna::ascii_address;

/// One recipient as RCPT names it.
#[derive(Clone, Debug, Default)]
pub struct RcptCommand {
    /// The address between the angle brackets.
    pub address: Vec<u8>,
    /// The value of `NOTIFY=`.
    pub notify: Option<Vec<u8>>,
    /// The value of `ORCPT=` in xtext.
    pub original: Option<Vec<u8>>,
}

/// What writes the message, with line ends and doubled dots as the mailer wants them, without the final dot.
pub type MessageWriter<'a> = dyn FnMut(&mut dyn Write, Conversion) -> io::Result<()> + 'a;

/// What is left when a transaction is over.
pub struct Finished {
    /// The session, if the connection lives.
    pub ready: Option<Ready>,
    /// Recipients not settled yet, and their common outcome: sent, refused or to be tried elsewhere.
    pub open: Option<(Vec<usize>, Outcome)>,
    /// Recipients settled as temporary failures, which may be tried elsewhere.
    pub deferred: Vec<usize>,
    /// At least one recipient's message was taken.
    pub delivered: bool,
    /// The connection went while recipients were named.
    pub lost: Option<Outcome>,
}

/// A session whose MAIL was accepted.
pub struct Transaction {
    pub(super) ready: Ready,
    pub(super) conversion: Conversion,
    pub(super) addresses: Addresses,
}

/// What became of the recipients of a transaction so far.
#[derive(Default)]
pub(super) struct Progress {
    pub(super) accepted: Vec<usize>,
    pub(super) accepted_with: Vec<(usize, Vec<u8>)>,
    pub(super) deferred: Vec<usize>,
}

/// How RCPT or DATA ended the transaction.
pub(super) enum End {
    /// The connection is gone without a word.
    Lost,
    /// The server closes; QUIT is owed.
    Closing,
}

impl Transaction {
    pub(super) fn new(ready: Ready, conversion: Conversion, addresses: Addresses) -> Self {
        Transaction {
            ready,
            conversion,
            addresses,
        }
    }

    /// Names the recipients, sends the message and hears what became of it.
    ///
    /// `places` are the numbers under which the witness knows the recipients, in the same order.
    pub fn deliver(
        mut self,
        places: &[usize],
        recipients: &[RcptCommand],
        write_message: &mut MessageWriter<'_>,
        witness: &mut dyn Witness,
    ) -> Finished {
        self.ready.dialogue.phase("client RCPT");
        let mut progress = Progress::default();
        if self.addresses == Addresses::Ascii {
            let fit = self.fit_recipients(places, recipients, witness);
            self.addresses = Addresses::AsTheyAre;
            if fit.is_empty() {
                return self.reset(None, progress, false, witness);
            }
            let (places, recipients): (Vec<usize>, Vec<RcptCommand>) = fit.into_iter().unzip();
            return self.deliver(&places, &recipients, write_message, witness);
        }
        let allowed = self.allowed_recipients(places, recipients, &mut progress, witness);
        if allowed.len() < recipients.len() {
            if allowed.is_empty() {
                return self.reset(None, progress, false, witness);
            }
            let (places, recipients): (Vec<usize>, Vec<RcptCommand>) = allowed.into_iter().unzip();
            return self.name_and_send(&places, &recipients, progress, write_message, witness);
        }
        self.name_and_send(places, recipients, progress, write_message, witness)
    }

    /// Leaves out recipients whom the configuration does not want named here; they are settled.
    fn allowed_recipients(
        &self,
        places: &[usize],
        recipients: &[RcptCommand],
        progress: &mut Progress,
        witness: &mut dyn Witness,
    ) -> Vec<(usize, RcptCommand)> {
        let host = self.host();
        let mut allowed = Vec::new();
        for (place, recipient) in places.iter().zip(recipients) {
            let refusal = witness
                .rules()
                .and_then(|rules| rules.refusal_of_recipient(&host, *place));
            let Some(reply) = refusal else {
                allowed.push((*place, recipient.clone()));
                continue;
            };
            let mut outcome = secure::outcome_of(&reply);
            if outcome.is_temporary() {
                // Observed: 8.17.1.9 has the reason for the queue alone.
                outcome.logged = status(4, 2, 0);
                outcome.message = Some(reply.text().to_vec());
                progress.deferred.push(*place);
            }
            outcome.is_personal = true;
            witness.settled(&[*place], &outcome);
        }
        allowed
    }

    fn name_and_send(
        mut self,
        places: &[usize],
        recipients: &[RcptCommand],
        mut progress: Progress,
        write_message: &mut MessageWriter<'_>,
        witness: &mut dyn Witness,
    ) -> Finished {
        let is_chunked = self.conversion == Conversion::Binary;
        let pipelined = self.ready.offers.pipelining && !is_chunked;
        if pipelined {
            for recipient in recipients {
                let command = self.rcpt_command(recipient);
                self.ready.dialogue.command(&command, witness);
            }
            self.ready.dialogue.command(b"DATA", witness);
        }
        for (at, (place, recipient)) in places.iter().zip(recipients).enumerate() {
            if !pipelined {
                let command = self.rcpt_command(recipient);
                self.ready.dialogue.command(&command, witness);
            }
            let answer = self
                .ready
                .dialogue
                .answer(self.ready.timeouts.rcpt, witness);
            let rest = places.get(at..).unwrap_or_default();
            match answer {
                Ok(answer) if answer.code == 421 => {
                    return self.closed_by_recipient(&answer, rest, progress, witness);
                }
                Ok(answer) => self.settle_recipient(*place, &answer, &mut progress, witness),
                Err(lost) => return self.lost_at_recipient(lost, rest, progress, witness),
            }
        }
        if progress.accepted.is_empty() && !pipelined {
            return self.reset(None, progress, false, witness);
        }
        if is_chunked {
            return self.chunks(progress, write_message, witness);
        }
        self.data(pipelined, progress, write_message, witness)
    }

    /// Writes addresses in ASCII; recipients who have none are settled.
    fn fit_recipients(
        &self,
        places: &[usize],
        recipients: &[RcptCommand],
        witness: &mut dyn Witness,
    ) -> Vec<(usize, RcptCommand)> {
        let mut fit = Vec::new();
        for (place, recipient) in places.iter().zip(recipients) {
            if let Some(address) = ascii_address(&recipient.address) {
                let command = RcptCommand {
                    address,
                    notify: recipient.notify.clone(),
                    original: recipient.original.as_deref().map(utf8_address::in_ascii),
                };
                fit.push((*place, command));
            } else {
                let host = self.host();
                witness.transcript(&without_utf8(&host));
                let mut outcome = needs_utf8(&host);
                outcome.is_personal = true;
                witness.settled(&[*place], &outcome);
            }
        }
        fit
    }

    fn rcpt_command(&self, recipient: &RcptCommand) -> Vec<u8> {
        let mut command = [b"RCPT To:<", recipient.address.as_slice(), b">"].concat();
        if self.ready.offers.dsn {
            if let Some(notify) = &recipient.notify {
                command.extend_from_slice(&[b" NOTIFY=", notify.as_slice()].concat());
            }
            if let Some(original) = &recipient.original {
                command.extend_from_slice(&[b" ORCPT=", original.as_slice()].concat());
            }
        }
        command
    }

    pub(super) fn host(&self) -> Vec<u8> {
        self.ready.dialogue.host().to_vec()
    }

    fn settle_recipient(
        &mut self,
        place: usize,
        answer: &Answer,
        progress: &mut Progress,
        witness: &mut dyn Witness,
    ) {
        let host = self.host();
        let Some(mut outcome) = Outcome::of_refusal(Phase::Recipient, answer, &host) else {
            progress.accepted.push(place);
            let reply = answer.first_line.clone();
            progress.accepted_with.push((place, reply));
            return;
        };
        outcome.is_personal = true;
        log_protocol_error("RCPT", &outcome, answer, &host, witness);
        if outcome.is_temporary() {
            progress.deferred.push(place);
        }
        witness.settled(&[place], &outcome);
    }

    /// The server said 421 to a recipient: it and all later ones are deferred.
    fn closed_by_recipient(
        self,
        answer: &Answer,
        rest: &[usize],
        mut progress: Progress,
        witness: &mut dyn Witness,
    ) -> Finished {
        let host = self.host();
        let outcome = Outcome::of_refusal(Phase::Recipient, answer, &host)
            .unwrap_or_else(|| Outcome::lost(Phase::Recipient, Lost::Reset, &host));
        let wait = self.ready.timeouts.quit;
        let last = self.ready.dialogue.quit_draining(wait, witness);
        for (at, place) in rest.iter().enumerate() {
            let mut own = outcome.clone();
            own.is_personal = true;
            if at == 0 {
                // Observed: the log quotes what was heard last.
                own.reply = last
                    .as_ref()
                    .map(|last| last.first_line.clone())
                    .or(own.reply);
            } else {
                own.logged = status(4, 2, 0);
            }
            witness.settled(&[*place], &own);
            progress.deferred.push(*place);
        }
        let open = (!progress.accepted.is_empty()).then_some((progress.accepted, outcome));
        Finished {
            ready: None,
            open,
            deferred: progress.deferred,
            delivered: false,
            lost: None,
        }
    }

    /// The connection went while a recipient waited for an answer.
    fn lost_at_recipient(
        self,
        lost: Lost,
        rest: &[usize],
        mut progress: Progress,
        witness: &mut dyn Witness,
    ) -> Finished {
        let host = self.host();
        self.ready.dialogue.abandon(self.ready.timeouts.quit);
        let told = Outcome {
            remote: Some(host.clone()),
            ..Outcome::lost(Phase::DataInit, lost, &host)
        };
        for (at, place) in rest.iter().enumerate() {
            let mut own = told.clone();
            own.is_personal = true;
            if lost == Lost::TimedOut && at == 0 {
                // Nothing was heard, so there is nothing to quote.
                own.message = None;
            } else if at == 0 {
                own.detail = None;
                own.reply = Some([b"421 4.4.1 ", lost.text(&host).as_slice()].concat());
            } else {
                own.message = None;
                own.reply = Some([b"451 4.4.1 reply: read error from ", host.as_slice()].concat());
            }
            witness.settled(&[*place], &own);
            progress.deferred.push(*place);
        }
        let trouble = Outcome::lost(Phase::DataInit, lost, &host);
        let open = (!progress.accepted.is_empty()).then_some((progress.accepted, told));
        Finished {
            ready: None,
            open,
            deferred: progress.deferred,
            delivered: false,
            lost: Some(trouble),
        }
    }

    /// The message is not sent, but the connection is good: RSET.
    pub(super) fn reset(
        mut self,
        outcome: Option<Outcome>,
        progress: Progress,
        keep_open: bool,
        witness: &mut dyn Witness,
    ) -> Finished {
        self.ready.dialogue.phase("client RSET");
        self.ready.dialogue.command(b"RSET", witness);
        let answered = self
            .ready
            .dialogue
            .answer(self.ready.timeouts.rset, witness);
        let open = match outcome {
            Some(mut outcome) if keep_open => {
                // Observed: after a protocol error the bounce quotes the reply to RSET.
                if outcome.exit == ExitStatus::Protocol {
                    outcome.diagnostic = answered
                        .as_ref()
                        .ok()
                        .map(|answer| answer.first_line.clone());
                }
                (!progress.accepted.is_empty()).then_some((progress.accepted, outcome))
            }
            _ => None,
        };
        let ready = match answered {
            Ok(answer) if answer.code != 421 => Some(self.ready),
            _ => {
                self.ready.dialogue.abandon(self.ready.timeouts.quit);
                None
            }
        };
        Finished {
            ready,
            open,
            deferred: progress.deferred,
            delivered: false,
            lost: None,
        }
    }

    pub(super) fn still_open(
        self,
        outcome: Outcome,
        progress: Progress,
        delivered: bool,
    ) -> Finished {
        Finished {
            ready: Some(self.ready),
            open: (!progress.accepted.is_empty()).then_some((progress.accepted, outcome)),
            deferred: progress.deferred,
            delivered,
            lost: None,
        }
    }

    /// The connection is over, too.
    pub(super) fn over(
        self,
        end: End,
        mut outcome: Outcome,
        progress: Progress,
        witness: &mut dyn Witness,
    ) -> Finished {
        let timeouts = self.ready.timeouts;
        match end {
            End::Lost => {
                self.ready.dialogue.abandon(timeouts.quit);
            }
            End::Closing => {
                let (_, last) = self.ready.dialogue.quit(timeouts.quit, witness);
                outcome.last_words = last.map(|last| last.first_line);
            }
        }
        Finished {
            ready: None,
            delivered: outcome.exit == ExitStatus::Ok && !progress.accepted.is_empty(),
            open: (!progress.accepted.is_empty()).then_some((progress.accepted, outcome)),
            deferred: progress.deferred,
            lost: None,
        }
    }
}
