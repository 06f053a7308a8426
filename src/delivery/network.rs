//! Delivery over the network: one transaction of an `[IPC]` mailer.
//!
//! The host of the transaction is turned into exchangers; each is tried in
//! order until one takes the message or refuses it for good. A failed greeting
//! or a temporary failure sends the rest to the next exchanger. A kept session
//! is used before a new connection is made, and a host that failed a moment ago
//! is not tried again in the same run.
//!
//! Every outcome goes to the [`Witness`] in the order it becomes known, with the
//! relay it came from; this file neither logs nor bounces.
//!
//! Entry points: [`deliver`] for `[IPC]`, [`deliver_through`] for a mailer program
//! that speaks SMTP or LMTP on its pipes.
//!
//! Source: RFC 5321 section 5.1, guide 5.4 (P=[IPC], A=), observed: 8.17.1.9.

use std::io;
use std::time::Instant;

use super::exchangers::{Asking, exchangers};
use super::host_knowledge::{self, Busy};
pub use super::network_call::Call;
use super::network_call::{manners, patience, port_of};
use super::reach::{Target, Unreached};
use crate::client::connect;
use crate::client::outcome::{Phase, status};
use crate::client::{
    Finished, MessageWriter, Outcome, RcptCommand, Ready, Rules, Stream, Transport, Witness,
};
use crate::dns::mx::{MxFailure, MxList};
use crate::logging::traffic::TrafficLog;
use crate::mta::Memory;
use crate::smtp::ExitStatus;

/// Carries out one transaction; every recipient is settled with the witness when it returns.
///
/// `write_message` may be called several times, once for each host that gets as far as DATA.
pub fn deliver(
    call: &Call<'_>,
    memory: &mut Memory,
    write_message: &mut MessageWriter<'_>,
    witness: &mut dyn Telling,
) {
    let host = call.argv.get(1).map_or(&b""[..], Vec::as_slice);
    if call
        .argv
        .first()
        .is_some_and(|word| word.eq_ignore_ascii_case(b"FILE"))
    {
        let target = Target::local(host);
        let mut walk = Walk::new(call, memory, write_message, witness);
        walk.visit(&target, true);
        return;
    }
    let port = match call.argv.get(2).map(|word| port_of(word)) {
        None => None,
        Some(Some(port)) => Some(port),
        Some(None) => {
            let shown = call.argv.get(2).cloned().unwrap_or_default();
            return bad_port(call, &shown, witness);
        }
    };
    let asking = Asking {
        mailer: call.mailer,
        options: call.options,
        resolver: call.resolver,
        is_ourselves: call.is_ourselves,
        patience: patience(call),
    };
    match exchangers(&asking, host) {
        Ok(list) => {
            let mut walk = Walk::new(call, memory, write_message, witness);
            walk.through(&list, port);
        }
        Err(failure) => nowhere(call, host, &failure, witness),
    }
}

/// How a program that speaks SMTP or LMTP on its pipes is started.
pub struct Program<'a> {
    /// Whose rights it has; a session is used again only for the same ones.
    pub rights: Vec<u8>,
    /// What is told before it is started.
    pub connecting: Vec<u8>,
    /// Starts it.
    pub start: &'a mut dyn FnMut() -> io::Result<Transport>,
}

/// Carries out one transaction with a program that speaks SMTP or LMTP on its pipes.
///
/// # Errors
/// The program could not be started; nobody is settled then.
pub fn deliver_through(
    call: &Call<'_>,
    memory: &mut Memory,
    program: Program<'_>,
    write_message: &mut MessageWriter<'_>,
    witness: &mut dyn Telling,
) -> io::Result<()> {
    let name = &call.mailer.name;
    let key = [name.as_slice(), b"\0", &program.rights].concat();
    let all: Vec<usize> = (0..call.recipients.len()).collect();
    let mut told = Told::new(witness, name);
    let connections = &mut memory.connections;
    let mut kept = connections.take(&key, name, call.mailer.max_messages, &mut told);
    loop {
        let was_kept = kept.is_some();
        let ready = match kept.take() {
            Some(ready) => {
                let words: [&[u8]; 5] = [
                    b"Using cached ",
                    ready.kind(),
                    b"connection for ",
                    name,
                    b"...",
                ];
                told.message(&words.concat());
                ready
            }
            None => {
                told.message(&program.connecting);
                let stream = Stream::new((program.start)()?);
                connections.reserve(&key, name, &mut told);
                match Ready::open(stream, name, &manners(call), &mut told) {
                    Ok(ready) => ready,
                    Err(outcome) => {
                        told.settled(&all, &outcome);
                        connections.put_back(&key, name, None, None, &mut told);
                        return Ok(());
                    }
                }
            }
        };
        let ready = match ready.mail(call.mail, &mut told) {
            Ok(transaction) => {
                let finished = transaction.deliver(&all, call.recipients, write_message, &mut told);
                if let Some((places, outcome)) = &finished.open {
                    told.settled(places, outcome);
                }
                finished.ready
            }
            Err(refusal) if refusal.is_stale && was_kept => continue,
            Err(refusal) => {
                told.settled(&all, &refusal.outcome);
                refusal.ready
            }
        };
        connections.put_back(&key, name, ready, None, &mut told);
        return Ok(());
    }
}

/// A witness that also hears which relay an outcome came from.
pub trait Telling: Witness {
    /// Names the relay of the outcomes that follow (`relay=`), such as `mx.test. [192.0.2.1]`.
    fn relay_is(&mut self, relay: &[u8]);
    /// Tells whether anybody wants to know which of our names a connection came from.
    fn asks_for_own_name(&self) -> bool;
    /// Notes which of our names a new connection comes from.
    fn own_name_is(&mut self, name: &[u8]);
}

/// Lends a [`Telling`] witness and keeps the last reply for the host status.
pub(super) struct Told<'a> {
    witness: &'a mut dyn Telling,
    last_reply: Option<Vec<u8>>,
}

impl<'a> Told<'a> {
    pub(super) fn new(witness: &'a mut dyn Telling, relay: &[u8]) -> Self {
        witness.relay_is(relay);
        Told {
            witness,
            last_reply: None,
        }
    }
}

impl Witness for Told<'_> {
    fn message(&mut self, text: &[u8]) {
        self.witness.message(text);
    }
    fn echo(&mut self, line: &[u8]) {
        self.witness.echo(line);
    }
    fn is_listening(&self) -> bool {
        self.witness.is_listening()
    }
    fn transcript(&mut self, line: &[u8]) {
        self.witness.transcript(line);
    }
    fn traffic(&self) -> &TrafficLog {
        self.witness.traffic()
    }
    fn problem(&mut self, text: &[u8]) {
        self.witness.problem(text);
    }
    fn rules(&mut self) -> Option<&mut dyn Rules> {
        self.witness.rules()
    }
    fn notice(&mut self, text: &[u8]) {
        self.witness.notice(text);
    }
    fn trouble(&mut self, text: &[u8]) {
        self.witness.trouble(text);
    }
    fn settled(&mut self, recipients: &[usize], outcome: &Outcome) {
        self.last_reply = outcome.reply.clone().or_else(|| self.last_reply.take());
        self.witness.settled(recipients, outcome);
    }
}

/// The walk from exchanger to exchanger.
pub(super) struct Walk<'a, 'b, 'c> {
    pub(super) call: &'a Call<'b>,
    pub(super) memory: &'a mut Memory,
    write_message: &'a mut MessageWriter<'c>,
    pub(super) witness: &'a mut dyn Telling,
    /// Recipients that still need a host.
    open: Vec<usize>,
    /// A host before this one failed for now only.
    anything_temporary: bool,
    /// The reason of the first connection lost on the way; the queue keeps that one.
    first_loss: Option<Vec<u8>>,
    pub(super) until: Option<Instant>,
}

/// What one visit leaves to do.
enum Visit {
    /// Everybody is settled, or nobody else should be asked.
    Done,
    /// The next host may do better; this is what the recipients get otherwise.
    TryNext,
}

impl<'a, 'b, 'c> Walk<'a, 'b, 'c> {
    pub(super) fn new(
        call: &'a Call<'b>,
        memory: &'a mut Memory,
        write_message: &'a mut MessageWriter<'c>,
        witness: &'a mut dyn Telling,
    ) -> Self {
        let all = call.options.timeouts.aconnect;
        Walk {
            call,
            memory,
            write_message,
            witness,
            open: (0..call.recipients.len()).collect(),
            anything_temporary: false,
            first_loss: None,
            until: (!all.is_zero())
                .then(|| Instant::now().checked_add(all))
                .flatten(),
        }
    }

    fn through(&mut self, list: &MxList, port: Option<u16>) {
        let last = list.exchangers.len().saturating_sub(1);
        for (at, exchanger) in list.exchangers.iter().enumerate() {
            let target = Target {
                host: exchanger.host.clone(),
                port,
                is_local: false,
            };
            match self.visit(&target, at == last) {
                Visit::Done => return,
                Visit::TryNext => {}
            }
        }
    }

    /// Tries one host; with `is_last` everything is settled.
    fn visit(&mut self, target: &Target, is_last: bool) -> Visit {
        // Held until the visit is over (SingleThreadDelivery).
        let _lock = match host_knowledge::lock(self.call, target.name_for_status()) {
            Ok(lock) => lock,
            Err(Busy) => {
                let outcome = Outcome::new(ExitStatus::TempFail, status(4, 0, 0));
                return self.give_up(outcome, &target.host, is_last);
            }
        };
        let ready = match self.session(target) {
            Ok(ready) => ready,
            Err(unreached) => {
                let Unreached { outcome, relay } = *unreached;
                self.remember(target, &outcome);
                return self.give_up(outcome, &relay, is_last);
            }
        };
        let relay = self.relay_of(target, ready.1);
        if let Some(finished) = self.talk(ready.0, &relay) {
            return self.conclude(target, finished, &relay, is_last);
        }
        // The kept session was dead already: the same host gets a new connection.
        match self.connection(target) {
            Ok((fresh, address)) => {
                let relay = self.relay_of(target, address);
                let finished = self
                    .talk(fresh, &relay)
                    .unwrap_or_else(|| self.nothing_done());
                self.conclude(target, finished, &relay, is_last)
            }
            Err(unreached) => {
                let Unreached { outcome, relay } = *unreached;
                self.remember(target, &outcome);
                self.give_up(outcome, &relay, is_last)
            }
        }
    }

    fn nothing_done(&self) -> Finished {
        Finished {
            ready: None,
            open: None,
            deferred: self.open.clone(),
            delivered: false,
            lost: None,
        }
    }

    /// MAIL and what follows; `None` if the kept session was dead.
    fn talk(&mut self, ready: Ready, relay: &[u8]) -> Option<Finished> {
        let mut told = Told::new(self.witness, relay);
        let recipients: Vec<RcptCommand> = self
            .open
            .iter()
            .filter_map(|place| self.call.recipients.get(*place).cloned())
            .collect();
        match ready.mail(self.call.mail, &mut told) {
            Ok(transaction) => {
                Some(transaction.deliver(&self.open, &recipients, self.write_message, &mut told))
            }
            Err(refusal) if refusal.is_stale => None,
            Err(refusal) => Some(Finished {
                ready: refusal.ready,
                open: Some((self.open.clone(), refusal.outcome)),
                deferred: Vec::new(),
                delivered: false,
                lost: None,
            }),
        }
    }

    /// Settles what is final, keeps the session, and decides whether to go on.
    fn conclude(
        &mut self,
        target: &Target,
        finished: Finished,
        relay: &[u8],
        is_last: bool,
    ) -> Visit {
        let mailer = self.call.mailer.name.clone();
        let Finished {
            ready,
            open,
            mut deferred,
            delivered,
            lost,
        } = finished;
        if let Some(outcome) = &lost {
            self.remember(target, outcome);
        }
        let alive = ready.is_some();
        let outcome = open.as_ref().map(|(_, outcome)| outcome.clone());
        let known = outcome.clone().or(lost);
        // Whoever refuses all recipients is alive and well.
        let known = known.unwrap_or_else(|| Outcome {
            during: Some(Phase::Recipient),
            ..Outcome::new(ExitStatus::Ok, status(2, 0, 0))
        });
        let said = known.last_words.clone().or(known.diagnostic.clone());
        let said = said.or_else(|| sent_reply(&known));
        let name = target.name_for_status();
        let farewell = host_knowledge::storing(self.call, name, &known, 0, said.as_deref());
        if let Some(outcome) = &outcome {
            if alive {
                let fine = Outcome::new(ExitStatus::Ok, outcome.logged);
                self.memory.hosts.note(&mailer, &target.host, &fine);
            } else {
                self.remember(target, outcome);
            }
        }
        let unfinished = match open {
            Some((places, outcome)) if outcome.is_temporary() && !is_last && !delivered => {
                deferred.extend(places);
                true
            }
            Some((places, outcome)) => {
                let mut told = Told::new(self.witness, relay);
                told.settled(&places, &outcome);
                !delivered && !is_last && !outcome_is_final(&outcome) && !deferred.is_empty()
            }
            None => !delivered && !is_last && !deferred.is_empty(),
        };
        let mut told = Told::new(self.witness, relay);
        self.memory
            .connections
            .put_back(&mailer, &target.host, ready, farewell, &mut told);
        if !unfinished {
            return Visit::Done;
        }
        deferred.sort_unstable();
        self.open = deferred;
        self.anything_temporary = true;
        Visit::TryNext
    }

    /// The host could not be talked to at all.
    fn give_up(&mut self, outcome: Outcome, relay: &[u8], is_last: bool) -> Visit {
        if !is_last {
            self.anything_temporary |= outcome.is_temporary();
            self.first_loss = self.first_loss.take().or(outcome.message);
            return Visit::TryNext;
        }
        let outcome = if self.anything_temporary && !outcome.is_temporary() {
            // Another host of the list may be back later (observed: 8.17.1.9 gives no text then).
            Outcome {
                exit: ExitStatus::TempFail,
                detail: None,
                ..outcome
            }
        } else {
            outcome
        };
        let outcome = Outcome {
            message: self.first_loss.take().or(outcome.message.clone()),
            ..outcome
        };
        Told::new(self.witness, relay).settled(&self.open, &outcome);
        Visit::Done
    }

    fn remember(&mut self, target: &Target, outcome: &Outcome) {
        let mailer = &self.call.mailer.name;
        if let Some(short) = outcome.aftermath() {
            self.memory.hosts.note(mailer, &target.host, &short);
        }
    }
}

/// What a server said when it took a message, as the host status shows it.
fn sent_reply(outcome: &Outcome) -> Option<Vec<u8>> {
    let detail = outcome
        .detail
        .as_ref()
        .filter(|_| outcome.exit == ExitStatus::Ok)?;
    Some([b"250 ", detail.as_slice()].concat())
}

fn outcome_is_final(outcome: &Outcome) -> bool {
    outcome.exit != ExitStatus::Ok && !outcome.is_temporary()
}

fn bad_port(call: &Call<'_>, port: &[u8], witness: &mut dyn Telling) {
    let text = [b"554 5.3.5 ", port, b": unknown port"].concat();
    witness.transcript(&text);
    let all: Vec<usize> = (0..call.recipients.len()).collect();
    let outcome = Outcome::new(ExitStatus::OsFile, status(5, 3, 5));
    Told::new(witness, b"").settled(&all, &outcome);
}

/// Mail for this host has nowhere to go.
fn nowhere(call: &Call<'_>, host: &[u8], failure: &MxFailure, witness: &mut dyn Telling) {
    let outcome = match failure {
        MxFailure::Lookup(failure) => {
            let mut outcome = connect::unresolved(failure, host);
            if !failure.is_temporary() {
                outcome.diagnostic = Some(b"550 Host unknown".to_vec());
            }
            outcome
        }
        MxFailure::NullMx => Outcome {
            diagnostic: Some(b"556 Host does not accept mail: MX 0 .".to_vec()),
            remote: Some(host.to_vec()),
            ..Outcome::new(ExitStatus::Unavailable, status(5, 1, 10))
        },
        MxFailure::LoopsBack => {
            let text = [b"MX list for ", host, b" points back to ", call.own_name].concat();
            witness.transcript(&[b"554 5.0.0 ", text.as_slice()].concat());
            witness.problem(&[b"SYSERR(root): ", text.as_slice()].concat());
            Outcome {
                remote: Some(host.to_vec()),
                reported: status(5, 5, 0),
                ..Outcome::new(ExitStatus::Config, status(5, 3, 5))
            }
        }
    };
    let all: Vec<usize> = (0..call.recipients.len()).collect();
    Told::new(witness, host).settled(&all, &outcome);
}
