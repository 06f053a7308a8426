//! Keeps the books of one transaction: who was told what, and what became of whom.
//!
//! Programs, files and servers report outcomes here in the order they become
//! known, and each is logged, told and written down at once; the order of log and
//! transcript is the reference's. A recipient deferred at one exchanger and taken
//! by the next is simply settled again.

use std::time::Instant;

use crate::client::{Outcome, Rules, Witness};
use crate::envelope::receipt::{Receipt, receipt_of};
use crate::envelope::{DeliveryStatus, Envelope, EnvelopeFlags, RecipientState};
use crate::logging::narrator::Narrator;
use crate::logging::record::{MailLog, Severity};
use crate::logging::traffic::TrafficLog;
use crate::mailer::Mailer;
use crate::smtp::{ExitStatus, without_codes};
use crate::sys::clock::Clock;

use super::controlling::Controlling;
use super::network::Telling;
use super::record::{self, Attempt};
use super::response::{outcome_text, transcript_line};

/// LogLevel from which connections are logged (guide 4.8).
const CONNECTION_LEVEL: u8 = 12;

/// The books of one transaction.
pub struct Ledger<'a> {
    /// The message, as it was when the transaction began.
    pub envelope: &'a Envelope,
    /// Indexes of the transaction's recipients, in the order places are counted in.
    pub recipients: &'a [usize],
    /// The mailer used.
    pub mailer: &'a Mailer,
    /// Whose rights the delivery has.
    pub controlling: Option<&'a Controlling>,
    log: &'a MailLog,
    narrator: &'a mut dyn Narrator,
    complaints: &'a mut dyn Narrator,
    traffic: &'a TrafficLog,
    clock: &'a dyn Clock,
    began: Instant,
    relay: Option<Vec<u8>>,
    rules: Option<Box<dyn Rules + 'a>>,
    result: Result,
}

/// What a transaction changed.
#[derive(Debug, Default)]
pub struct Result {
    /// New states by the recipient's index in the envelope; a later one replaces an earlier one.
    states: Vec<(usize, RecipientState)>,
    /// What went wrong, in order, and whether for good.
    troubles: Vec<(bool, Vec<u8>)>,
    /// Lines for the transcript.
    transcript: Vec<Vec<u8>>,
    /// The message is too large to be sent, so reports must do without its body.
    hides_body: bool,
    /// Status of the first failure.
    pub exit: Option<ExitStatus>,
}

impl Result {
    /// Writes everything into the message.
    pub fn apply(self, envelope: &mut Envelope) {
        for line in &self.transcript {
            envelope.transcript.push_line(line);
        }
        for (is_permanent, text) in &self.troubles {
            envelope.note_trouble(*is_permanent, text);
        }
        if self.hides_body {
            envelope.flags.insert(EnvelopeFlags::NO_BODY_RETURN);
        }
        for (index, state) in self.states {
            if let Some(recipient) = envelope.recipients.get_mut(index) {
                recipient.state = state;
            }
        }
    }
}

/// Chooses the exit status of a whole delivery: the first failure for good, else any failure.
///
/// Source: observed: 8.17.1.9 (a deferral before an unknown host exits with 68).
pub fn first_failure(known: Option<ExitStatus>, new: Option<ExitStatus>) -> Option<ExitStatus> {
    match (known, new) {
        (Some(known), Some(new)) if known.is_temporary() && !new.is_temporary() => Some(new),
        (Some(known), _) => Some(known),
        (None, new) => new,
    }
}

/// Where a ledger writes to, besides the envelope.
pub struct Listeners<'a> {
    /// The mail log.
    pub log: &'a MailLog,
    /// Who follows at a terminal.
    pub narrator: &'a mut dyn Narrator,
    /// Who hears of failures for good: whoever runs the queue in the foreground.
    pub complaints: &'a mut dyn Narrator,
    /// The traffic log.
    pub traffic: &'a TrafficLog,
    /// The time.
    pub clock: &'a dyn Clock,
}

impl<'a> Ledger<'a> {
    /// Opens the books; time is counted from now.
    pub fn open(
        envelope: &'a Envelope,
        recipients: &'a [usize],
        mailer: &'a Mailer,
        controlling: Option<&'a Controlling>,
        listeners: Listeners<'a>,
    ) -> Self {
        let began = listeners.clock.monotonic();
        Ledger {
            envelope,
            recipients,
            mailer,
            controlling,
            log: listeners.log,
            narrator: listeners.narrator,
            complaints: listeners.complaints,
            traffic: listeners.traffic,
            clock: listeners.clock,
            began,
            relay: None,
            rules: None,
            result: Result::default(),
        }
    }

    /// Closes the books.
    pub fn close(self) -> Result {
        self.result
    }

    /// Lets sessions ask what the configuration says about them.
    pub fn ask(&mut self, rules: Box<dyn Rules + 'a>) {
        self.rules = Some(rules);
    }

    /// Keeps the body out of reports.
    pub fn hide_body(&mut self) {
        self.result.hides_body = true;
    }

    /// Tells of a program that ended by a signal; that is why its recipients wait.
    pub fn died(&mut self, text: &str) {
        let id = self.envelope.id_for_log();
        let line = format_args!("SYSERR(root): {text}");
        self.log.syslog(1, Severity::Critical, Some(id), line);
        self.result.troubles.push((false, text.as_bytes().to_vec()));
    }

    /// Tells of a program that took too long, which is a fault of the system to the exit status.
    pub fn overdue(&mut self, text: &str) {
        self.died(text);
        self.result.exit = first_failure(self.result.exit, Some(ExitStatus::OsError));
    }

    /// Settles recipients (their places in the transaction) with a status.
    pub fn settle(&mut self, places: &[usize], status: DeliveryStatus) {
        if status.exit != ExitStatus::Ok {
            self.result.exit = first_failure(self.result.exit, Some(status.exit));
        }
        match status.exit {
            ExitStatus::Ok => {}
            exit if exit.is_temporary() => {
                let why = status.waiting_because.as_ref().unwrap_or(&status.text);
                self.result.troubles.push((false, why.clone()));
            }
            _ => self.result.troubles.push((true, status.text.clone())),
        }
        let addresses = self.addresses(places);
        let line = transcript_line(&addresses.join(&b','), &status);
        if status.exit != ExitStatus::Ok {
            self.result.transcript.push(line.clone());
        } else {
            self.note_successes(places, &status);
        }
        // Observed: a failure for good is told by its report, and before only in a queue run.
        let is_told = matches!(status.exit, ExitStatus::Ok | ExitStatus::TempFail);
        if is_told && self.narrator.is_listening() {
            self.narrator.say(&line);
        }
        if !is_told {
            self.complaints.say(without_codes(&line));
        }
        let attempt = Attempt {
            mailer: self.mailer,
            relay: self.relay.as_deref(),
            controlling: self.controlling,
            took: self.clock.monotonic().duration_since(self.began),
        };
        let shown: Vec<&[u8]> = addresses.iter().map(Vec::as_slice).collect();
        record::delivery(
            self.log,
            self.envelope,
            &attempt,
            &shown,
            &status,
            self.clock.now(),
        );
        let state = match status.exit {
            ExitStatus::Ok => RecipientState::Delivered(status),
            exit if exit.is_temporary() => RecipientState::Deferred(status),
            _ => RecipientState::Failed(status),
        };
        for place in places {
            if let Some(index) = self.recipients.get(*place) {
                self.result.states.push((*index, state.clone()));
            }
        }
    }

    /// Notes who got the message, for those a receipt is wanted for.
    fn note_successes(&mut self, places: &[usize], status: &DeliveryStatus) {
        let is_local = self.mailer.has(b'l');
        for place in places {
            let index = self.recipients.get(*place);
            let recipient = index.and_then(|index| self.envelope.recipients.get(*index));
            // Observed: 8.17.1.9 says nothing of members of a list that go elsewhere.
            let Some(recipient) = recipient.filter(|one| is_local || one.primary) else {
                continue;
            };
            let words: &[u8] = match receipt_of(self.envelope, recipient, status) {
                None => continue,
                Some(Receipt::Wanted) if is_local => b"... Successfully delivered",
                Some(Receipt::Wanted) => b"... relayed; expect no further notifications",
                Some(Receipt::DeadlineEnds) => b"... Deliver-by notify: relayed",
                Some(Receipt::DeadlineTrace) => b"... Deliver-By trace: relayed",
            };
            self.result
                .transcript
                .push([&recipient.address, words].concat());
        }
    }

    fn addresses(&self, places: &[usize]) -> Vec<Vec<u8>> {
        places
            .iter()
            .filter_map(|place| self.recipients.get(*place))
            .filter_map(|index| self.envelope.recipients.get(*index))
            .map(|recipient| recipient.address.clone())
            .collect()
    }

    fn all_addresses(&self) -> Vec<u8> {
        let places: Vec<usize> = (0..self.recipients.len()).collect();
        self.addresses(&places).join(&b',')
    }

    fn status_of(&self, outcome: &Outcome) -> DeliveryStatus {
        DeliveryStatus {
            exit: outcome.exit,
            enhanced: outcome.logged,
            reported: outcome.reported,
            text: outcome_text(outcome, self.mailer),
            waiting_because: outcome.message.clone(),
            reply: outcome.reply.clone(),
            diagnostic: outcome.diagnostic.clone(),
            // Observed: a report does not name the host behind LMTP.
            remote: outcome.remote.clone().filter(|_| !self.mailer.has(b'z')),
            reports_itself: outcome.reports_itself,
            keeps_deadline: outcome.keeps_deadline,
            is_personal: outcome.is_personal,
            at: self.clock.now(),
        }
    }
}

impl Witness for Ledger<'_> {
    fn message(&mut self, text: &[u8]) {
        if self.narrator.is_listening() {
            let addresses = self.all_addresses();
            let line = match addresses.is_empty() {
                true => text.to_vec(),
                false => [&addresses, &b"... "[..], text].concat(),
            };
            self.narrator.say(&line);
        }
    }

    fn echo(&mut self, line: &[u8]) {
        self.narrator.say(line);
    }

    fn is_listening(&self) -> bool {
        self.narrator.is_listening()
    }

    fn transcript(&mut self, line: &[u8]) {
        self.result.transcript.push(line.to_vec());
    }

    fn traffic(&self) -> &TrafficLog {
        self.traffic
    }

    fn problem(&mut self, text: &[u8]) {
        if text.starts_with(b"SYSERR") {
            // Observed: a fault of our own is what the exit status tells, whatever follows.
            self.result.exit = first_failure(self.result.exit, Some(ExitStatus::Software));
        }
        let shown = crate::text::bytes::escape_for_display(text);
        let id = self.envelope.id_for_log();
        self.log
            .syslog(1, Severity::Critical, Some(id), format_args!("{shown}"));
    }

    fn rules(&mut self) -> Option<&mut dyn Rules> {
        match &mut self.rules {
            Some(rules) => Some(rules.as_mut()),
            None => None,
        }
    }

    fn notice(&mut self, text: &[u8]) {
        let shown = crate::text::bytes::escape_for_display(text);
        let id = self.envelope.id_for_log();
        self.log
            .syslog(2, Severity::Notice, Some(id), format_args!("{shown}"));
    }

    fn trouble(&mut self, text: &[u8]) {
        self.result.troubles.push((false, text.to_vec()));
    }

    fn settled(&mut self, recipients: &[usize], outcome: &Outcome) {
        let status = self.status_of(outcome);
        self.settle(recipients, status);
        for (place, reply) in &outcome.accepted_with {
            let index = self.recipients.get(*place).copied();
            let states = self.result.states.iter_mut().rev();
            let state = states
                .take(recipients.len())
                .find(|(at, _)| Some(*at) == index);
            if let Some((_, RecipientState::Delivered(status))) = state {
                status.diagnostic = Some(reply.clone());
            }
        }
    }
}

impl Telling for Ledger<'_> {
    fn relay_is(&mut self, relay: &[u8]) {
        self.relay = (!relay.is_empty()).then(|| relay.to_vec());
    }

    fn asks_for_own_name(&self) -> bool {
        self.log.is_on(CONNECTION_LEVEL)
    }

    fn own_name_is(&mut self, name: &[u8]) {
        let shown = crate::text::bytes::escape_for_display(name);
        let line = format_args!("SMTP outgoing connect on {shown}");
        let id = Some(self.envelope.id_for_log());
        self.log.syslog(CONNECTION_LEVEL, Severity::Info, id, line);
    }
}
