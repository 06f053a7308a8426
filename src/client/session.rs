//! A session with a server as states: greeted, then ready for a message.
//!
//! [`Ready::open`] hears the greeting and says EHLO, HELO or LHLO. A [`Ready`]
//! session waits for MAIL; it may be kept and used again. [`Ready::mail`]
//! consumes it and gives a [`crate::client::transaction::Transaction`], which
//! gives it back when the message is through, or nothing if the connection had to be closed.
//!
//! Source: RFC 5321 section 3 and 4, RFC 2033 (LMTP), guide 5.4 (flags a, 2, k, z).

use std::net::IpAddr;

use crate::client::answer::Answer;
use crate::client::dialogue::Dialogue;
use crate::client::mail_command::{Fitted, MailCommand};
use crate::client::outcome::{Lost, Outcome, Phase, status};
use crate::client::rules::{Security, Server};
use crate::client::secure::{self, Attempt, TlsUse};
use crate::client::stream::Stream;
use crate::client::transaction::Transaction;
use crate::client::witness::Witness;
use crate::config::options::Timeouts;
use crate::smtp::{EnhancedStatus, ExitStatus, Extensions};

/// Which protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// SMTP.
    Smtp,
    /// LMTP: one reply per recipient after the dot (mailer flag z).
    Lmtp,
}

/// When EHLO is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Esmtp {
    /// Always try it (mailer flag a).
    Always,
    /// Only if the greeting says ESMTP.
    IfGreeted,
    /// Never (mailer flag 2).
    Never,
}

/// How to behave towards a server.
#[derive(Clone, Debug)]
pub struct Manners {
    /// The protocol.
    pub protocol: Protocol,
    /// When to say EHLO.
    pub esmtp: Esmtp,
    /// The name we give ourselves.
    pub helo_name: Vec<u8>,
    /// Our own name; a server that calls itself so is ourselves. `None` asks no such question (flag k).
    pub own_name: Option<Vec<u8>>,
    /// What ends a command.
    pub end_of_line: Vec<u8>,
    /// How long to wait for each reply.
    pub timeouts: Timeouts,
    /// When TLS is used.
    pub tls: TlsUse,
}

/// Why MAIL did not lead on.
pub struct Refusal {
    /// The session, if it can be used for other messages.
    pub ready: Option<Ready>,
    /// What that means for all recipients.
    pub outcome: Outcome,
    /// A kept session turned out to be dead before the message was mentioned; a new one may do.
    pub is_stale: bool,
}

/// A session that waits for MAIL.
pub struct Ready {
    pub(super) dialogue: Dialogue,
    pub(super) offers: Extensions,
    pub(super) protocol: Protocol,
    pub(super) timeouts: Timeouts,
    esmtp: bool,
    /// Messages carried so far.
    pub(super) messages: u32,
    /// A RSET must be sent before the next message.
    pub(super) needs_reset: bool,
    /// Whom the session is with.
    pub(super) server: Server,
    /// What protects it.
    security: Security,
}

impl Ready {
    /// Hears the greeting and introduces ourselves.
    ///
    /// # Errors
    /// The outcome for this host; the connection is closed then.
    pub fn open(
        stream: Stream,
        host: &[u8],
        manners: &Manners,
        witness: &mut dyn Witness,
    ) -> Result<Ready, Box<Outcome>> {
        let mut dialogue = Dialogue::new(stream, host, &manners.end_of_line);
        let timeouts = &manners.timeouts;
        let met = meet(&mut dialogue, manners, witness);
        let (esmtp, hello) = match met {
            Ok(met) => met,
            Err(Unmet::Lost(outcome)) => {
                dialogue.abandon(timeouts.quit);
                return Err(outcome);
            }
            Err(Unmet::Refused(mut outcome)) => {
                let (_, last) = dialogue.quit(timeouts.quit, witness);
                outcome.last_words = last
                    .filter(|_| outcome.is_closing())
                    .map(|last| last.first_line);
                return Err(outcome);
            }
        };
        if let Some(outcome) = is_ourselves(&hello, host, manners, witness) {
            let _ = dialogue.quit(timeouts.quit, witness);
            return Err(Box::new(outcome));
        }
        let mut offers = offers_of(esmtp.then_some(&hello));
        let server = Server {
            name: host.strip_suffix(b".").unwrap_or(host).to_vec(),
            address: dialogue.stream().peer_address(),
        };
        let is_offered = offers.start_tls;
        let security = match secure::secure(&mut dialogue, &server, is_offered, manners, witness) {
            Attempt::Done(security) => security,
            Attempt::Broken(outcome) => {
                dialogue.abandon(timeouts.quit);
                return Err(outcome);
            }
        };
        if let Some(outcome) = secure::refusal(&server, &security, witness) {
            match security {
                Security::Clear("SOFTWARE") => drop(dialogue.abandon(timeouts.quit)),
                _ => drop(dialogue.quit(timeouts.quit, witness)),
            }
            return Err(Box::new(outcome));
        }
        match &security {
            Security::Tls(_) => match greet_again(&mut dialogue, manners, witness) {
                Ok(hello) => offers = offers_of(Some(&hello)),
                Err(Unmet::Lost(outcome)) => {
                    dialogue.abandon(timeouts.quit);
                    return Err(outcome);
                }
                Err(Unmet::Refused(outcome)) => {
                    let _ = dialogue.quit(timeouts.quit, witness);
                    return Err(outcome);
                }
            },
            Security::Clear("SOFTWARE") => {
                // Nobody minds, but nothing can be said any more.
                dialogue.abandon(timeouts.quit);
                return Err(Box::new(Outcome::lost(Phase::Greeting, Lost::Reset, host)));
            }
            Security::Clear(_) => {}
        }
        dialogue.expect_enhanced_codes(offers.enhanced_status_codes);
        Ok(Ready {
            server,
            security,
            dialogue,
            offers,
            protocol: manners.protocol,
            timeouts: timeouts.clone(),
            esmtp,
            messages: 0,
            needs_reset: false,
        })
    }

    /// What the server offers.
    pub fn offers(&self) -> &Extensions {
        &self.offers
    }

    /// The server's name.
    pub fn host(&self) -> &[u8] {
        self.dialogue.host()
    }

    /// The server's address, if it has one.
    pub fn peer_address(&mut self) -> Option<IpAddr> {
        self.dialogue.stream().peer_address()
    }

    /// Lets another session have the place this one holds among those with its host.
    pub fn give_place_back(&mut self) {
        self.dialogue.stream().give_place_back();
    }

    /// How many messages went through this session.
    pub fn messages(&self) -> u32 {
        self.messages
    }

    /// The word between `cached` and `connection`: `ESMTP ` where EHLO was said, `LMTP ` after LHLO.
    pub fn kind(&self) -> &'static [u8] {
        match (self.protocol, self.esmtp) {
            (Protocol::Lmtp, _) => b"LMTP ",
            (Protocol::Smtp, true) => b"ESMTP ",
            (Protocol::Smtp, false) => b"",
        }
    }

    /// Asks whether the server is still there and makes it forget the last message.
    ///
    /// Gives the session back if it can be used.
    pub fn revive(mut self, witness: &mut dyn Witness) -> Option<Ready> {
        self.dialogue.introduce_again();
        if self.dialogue.stream().has_pending_input() {
            // It said goodbye while nobody listened.
            self.dialogue.abandon(self.timeouts.quit);
            return None;
        }
        self.dialogue.phase("client probe");
        self.dialogue.command(b"RSET", witness);
        match self.dialogue.answer(self.timeouts.rset, witness) {
            Ok(answer) if answer.code / 100 == 2 => {
                self.needs_reset = false;
                self.dialogue.introduce_again();
                Some(self)
            }
            Ok(_) => {
                let _ = self.dialogue.quit(self.timeouts.quit, witness);
                None
            }
            Err(_) => {
                self.dialogue.abandon(self.timeouts.quit);
                None
            }
        }
    }

    /// Like [`Ready::revive`], but RSET is sent together with the next MAIL where the server allows it.
    ///
    /// That saves waiting for a reply; a server that is gone is noticed by [`Ready::mail`] then.
    pub fn revive_later(mut self, witness: &mut dyn Witness) -> Option<Ready> {
        if !self.offers.pipelining || witness.is_listening() {
            return self.revive(witness);
        }
        if self.dialogue.stream().has_pending_input() {
            self.dialogue.abandon(self.timeouts.quit);
            return None;
        }
        self.needs_reset = true;
        Some(self)
    }

    /// Says MAIL.
    ///
    /// # Errors
    /// A [`Refusal`] with the outcome for all recipients.
    pub fn mail(
        mut self,
        mail: &MailCommand,
        witness: &mut dyn Witness,
    ) -> Result<Transaction, Box<Refusal>> {
        self.dialogue.introduce_again();
        if let Some(rules) = witness.rules() {
            rules.know(&self.server, &self.security);
        }
        let refused = |ready, outcome| {
            Box::new(Refusal {
                ready,
                outcome,
                is_stale: false,
            })
        };
        let host = self.dialogue.host().to_vec();
        let Fitted {
            command,
            conversion,
            addresses,
        } = match mail.fit(&self.offers, &host) {
            Ok(fitted) => fitted,
            Err(unfit) => {
                witness.transcript(&unfit.transcript);
                if witness.is_listening() {
                    unfit.shown.iter().for_each(|line| witness.echo(line));
                }
                return Err(refused(Some(self), unfit.outcome));
            }
        };
        let resets = std::mem::take(&mut self.needs_reset);
        if resets {
            self.dialogue.command(b"RSET", witness);
        }
        self.dialogue.command(&command, witness);
        if resets && !self.was_reset(witness) {
            let outcome = Outcome::lost(Phase::Mail, Lost::Reset, &host);
            self.dialogue.abandon(self.timeouts.quit);
            return Err(Box::new(Refusal {
                ready: None,
                outcome,
                is_stale: true,
            }));
        }
        self.messages = self.messages.saturating_add(1);
        self.dialogue.phase("client MAIL");
        let answer = match self.dialogue.answer(self.timeouts.mail, witness) {
            Ok(answer) => answer,
            Err(lost) => {
                self.dialogue.abandon(self.timeouts.quit);
                return Err(refused(None, Outcome::lost(Phase::Mail, lost, &host)));
            }
        };
        let Some(outcome) = Outcome::of_refusal(Phase::Mail, &answer, &host) else {
            return Ok(Transaction::new(self, conversion, addresses));
        };
        let ready = if outcome.exit == ExitStatus::Protocol || answer.code == 421 {
            log_protocol_error("MAIL", &outcome, &answer, &host, witness);
            let _ = self.dialogue.quit(self.timeouts.quit, witness);
            None
        } else {
            Some(self)
        };
        Err(refused(ready, outcome))
    }

    /// Hears the reply to a RSET that was sent together with MAIL.
    fn was_reset(&mut self, witness: &mut dyn Witness) -> bool {
        self.dialogue.phase("client probe");
        self.dialogue.off_record(true);
        let answer = self.dialogue.answer(self.timeouts.rset, witness);
        self.dialogue.off_record(false);
        answer.is_ok_and(|answer| answer.code / 100 == 2)
    }

    /// Says goodbye.
    pub fn quit(self, witness: &mut dyn Witness) {
        let host = self.dialogue.host().to_vec();
        if let (Some(number), _) = self.dialogue.quit(self.timeouts.quit, witness) {
            let text = format!("exited with exit value {number}");
            witness
                .problem(&[b"smtpquit: mailer ", host.as_slice(), b" ", text.as_bytes()].concat());
        }
    }
}

/// Logs what the server should not have said.
pub(super) fn log_protocol_error(
    phase: &str,
    outcome: &Outcome,
    answer: &Answer,
    host: &[u8],
    witness: &mut dyn Witness,
) {
    if outcome.exit == ExitStatus::Protocol {
        let text = format!(": SMTP {phase} protocol error: ");
        witness.problem(&[host, text.as_bytes(), &answer.first_line].concat());
    }
}

/// Why the introduction failed.
enum Unmet {
    /// The connection is gone.
    Lost(Box<Outcome>),
    /// The server does not want us; QUIT is owed.
    Refused(Box<Outcome>),
}

/// Greeting and EHLO; gives whether EHLO was taken, and the reply to it.
fn meet(
    dialogue: &mut Dialogue,
    manners: &Manners,
    witness: &mut dyn Witness,
) -> Result<(bool, Answer), Unmet> {
    let timeouts = &manners.timeouts;
    let greeting = hear(dialogue, timeouts.initial, witness)?;
    accept(&greeting, dialogue)?;
    if manners.protocol == Protocol::Lmtp {
        let hello = say(dialogue, b"LHLO ", timeouts.lhlo, manners, witness)?;
        accept_hello(&hello, dialogue)?;
        return Ok((true, hello));
    }
    let esmtp = match manners.esmtp {
        Esmtp::Always => true,
        Esmtp::Never => false,
        Esmtp::IfGreeted => greeting.lines.iter().any(|line| says_esmtp(line)),
    };
    if esmtp {
        dialogue.off_record(true);
        let hello = say(dialogue, b"EHLO ", timeouts.helo, manners, witness);
        dialogue.off_record(false);
        let hello = hello?;
        if hello.code / 100 != 5 {
            accept_hello(&hello, dialogue)?;
            return Ok((true, hello));
        }
    }
    let hello = say(dialogue, b"HELO ", timeouts.helo, manners, witness)?;
    accept_hello(&hello, dialogue)?;
    Ok((false, hello))
}

/// EHLO, or LHLO, once more: what was offered in the clear counts for nothing (RFC 3207).
fn greet_again(
    dialogue: &mut Dialogue,
    manners: &Manners,
    witness: &mut dyn Witness,
) -> Result<Answer, Unmet> {
    let timeouts = &manners.timeouts;
    let (verb, wait): (&[u8], _) = match manners.protocol {
        Protocol::Lmtp => (b"LHLO ", timeouts.lhlo),
        Protocol::Smtp => (b"EHLO ", timeouts.helo),
    };
    let hello = say(dialogue, verb, wait, manners, witness)?;
    accept_hello(&hello, dialogue)?;
    Ok(hello)
}

/// What a server offers in its reply to EHLO.
fn offers_of(hello: Option<&Answer>) -> Extensions {
    let mut offers = Extensions::default();
    for line in hello.iter().flat_map(|hello| hello.lines.iter().skip(1)) {
        offers.add_line(line);
    }
    offers
}

fn hear(
    dialogue: &mut Dialogue,
    wait: std::time::Duration,
    witness: &mut dyn Witness,
) -> Result<Answer, Unmet> {
    let host = dialogue.host().to_vec();
    dialogue
        .answer(wait, witness)
        .map_err(|lost| Unmet::Lost(Box::new(Outcome::lost(Phase::Greeting, lost, &host))))
}

fn say(
    dialogue: &mut Dialogue,
    verb: &[u8],
    wait: std::time::Duration,
    manners: &Manners,
    witness: &mut dyn Witness,
) -> Result<Answer, Unmet> {
    let command = [verb, manners.helo_name.as_slice()].concat();
    dialogue.phase(match verb {
        b"EHLO " => "client EHLO",
        b"LHLO " => "client LHLO",
        _ => "client HELO",
    });
    dialogue.command(&command, witness);
    hear(dialogue, wait, witness)
}

fn accept(answer: &Answer, dialogue: &Dialogue) -> Result<(), Unmet> {
    match Outcome::of_refusal(Phase::Greeting, answer, dialogue.host()) {
        None => Ok(()),
        Some(outcome) => Err(Unmet::Refused(Box::new(outcome))),
    }
}

/// Like [`accept`], but an odd reply only defers (observed: 8.17.1.9).
fn accept_hello(answer: &Answer, dialogue: &Dialogue) -> Result<(), Unmet> {
    match answer.code / 100 {
        2 | 4 | 5 => accept(answer, dialogue),
        _ => Err(Unmet::Refused(Box::new(Outcome::new(
            ExitStatus::TempFail,
            status(4, 5, 0),
        )))),
    }
}

fn says_esmtp(line: &[u8]) -> bool {
    line.to_ascii_uppercase()
        .windows(5)
        .any(|word| word == b"ESMTP")
}

/// A server that calls itself by our name is ourselves: the message would go round for ever.
fn is_ourselves(
    hello: &Answer,
    host: &[u8],
    manners: &Manners,
    witness: &mut dyn Witness,
) -> Option<Outcome> {
    let own = manners.own_name.as_ref()?;
    let name = hello.lines.first()?;
    let name = name.split(|octet| octet.is_ascii_whitespace()).next()?;
    if !name.eq_ignore_ascii_case(own) {
        return None;
    }
    let text = [host, b" config error: mail loops back to me (MX problem?)"].concat();
    witness.transcript(&[b"553 5.3.5 ", text.as_slice()].concat());
    witness.problem(&[b"SYSERR(root): ", text.as_slice()].concat());
    Some(Outcome {
        diagnostic: Some(b"553 5.3.5 system config error".to_vec()),
        ..Outcome::new(
            ExitStatus::Config,
            EnhancedStatus::new(5, 3, 5).unwrap_or_else(|| status(5, 0, 0)),
        )
    })
}
