//! Keeps the books of one transaction: who was told what, and what became of whom.
//!
//! Programs, files and servers report outcomes here in the order they become
//! known. A final outcome is logged and written down at once; a temporary one
//! waits until the transaction is over, because another exchanger may still take
//! the message.

use std::time::Instant;

use crate::client::{Outcome, Witness};
use crate::envelope::{DeliveryStatus, Envelope, RecipientState};
use crate::logging::narrator::Narrator;
use crate::logging::record::{MailLog, Severity};
use crate::logging::traffic::TrafficLog;
use crate::mailer::Mailer;
use crate::smtp::ExitStatus;
use crate::sys::clock::Clock;

use super::controlling::Controlling;
use super::network::Telling;
use super::record::{self, Attempt};
use super::response::{outcome_text, transcript_line};

/// The books of one transaction.
pub struct Ledger<'a> {
    /// The message; states of its recipients are set here.
    pub envelope: &'a mut Envelope,
    /// Indexes of the transaction's recipients, in the order places are counted in.
    pub recipients: &'a [usize],
    /// The mailer used.
    pub mailer: &'a Mailer,
    /// Whose rights the delivery has.
    pub controlling: Option<&'a Controlling>,
    log: &'a MailLog,
    narrator: &'a mut dyn Narrator,
    traffic: &'a TrafficLog,
    clock: &'a dyn Clock,
    began: Instant,
    relay: Option<Vec<u8>>,
    postponed: Vec<(Vec<usize>, DeliveryStatus, Option<Vec<u8>>)>,
    exit: ExitStatus,
}

/// Where a ledger writes to, besides the envelope.
pub struct Listeners<'a> {
    /// The mail log.
    pub log: &'a MailLog,
    /// Who follows at a terminal.
    pub narrator: &'a mut dyn Narrator,
    /// The traffic log.
    pub traffic: &'a TrafficLog,
    /// The time.
    pub clock: &'a dyn Clock,
}

impl<'a> Ledger<'a> {
    /// Opens the books; time is counted from now.
    pub fn open(
        envelope: &'a mut Envelope,
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
            traffic: listeners.traffic,
            clock: listeners.clock,
            began,
            relay: None,
            postponed: Vec::new(),
            exit: ExitStatus::Ok,
        }
    }

    /// Settles recipients (their places in the transaction) with a status.
    pub fn settle(&mut self, places: &[usize], status: DeliveryStatus) {
        if status.exit.is_temporary() {
            for (waiting, ..) in &mut self.postponed {
                waiting.retain(|place| !places.contains(place));
            }
            self.postponed
                .push((places.to_vec(), status, self.relay.clone()));
        } else {
            let relay = self.relay.clone();
            self.write_down(places, status, relay.as_deref());
        }
    }

    /// Closes the books: what is still postponed stays deferred. Returns the first failure's status.
    pub fn close(mut self) -> ExitStatus {
        for (places, status, relay) in std::mem::take(&mut self.postponed) {
            let open: Vec<usize> = places
                .into_iter()
                .filter(|place| self.state_of(*place).is_some_and(RecipientState::is_open))
                .collect();
            if !open.is_empty() {
                self.write_down(&open, status, relay.as_deref());
            }
        }
        self.exit
    }

    fn state_of(&self, place: usize) -> Option<&RecipientState> {
        let index = *self.recipients.get(place)?;
        self.envelope
            .recipients
            .get(index)
            .map(|recipient| &recipient.state)
    }

    fn write_down(&mut self, places: &[usize], status: DeliveryStatus, relay: Option<&[u8]>) {
        if self.exit == ExitStatus::Ok {
            self.exit = status.exit;
        }
        let addresses = self.addresses(places);
        let line = transcript_line(&addresses.join(&b','), &status);
        if status.exit != ExitStatus::Ok {
            self.envelope.transcript.push_line(&line);
        }
        if self.narrator.is_listening()
            && matches!(status.exit, ExitStatus::Ok | ExitStatus::TempFail)
        {
            self.narrator.say(&line);
        }
        let attempt = Attempt {
            mailer: self.mailer,
            relay,
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
        for place in places {
            let Some(recipient) = self
                .recipients
                .get(*place)
                .and_then(|index| self.envelope.recipients.get_mut(*index))
            else {
                continue;
            };
            recipient.state = match status.exit {
                ExitStatus::Ok => RecipientState::Delivered(status.clone()),
                exit if exit.is_temporary() => RecipientState::Deferred(status.clone()),
                _ => RecipientState::Failed(status.clone()),
            };
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
            remote: outcome.remote.clone(),
            reports_itself: outcome.reports_itself,
            at: self.clock.now(),
        }
    }
}

impl Witness for Ledger<'_> {
    fn message(&mut self, text: &[u8]) {
        if self.narrator.is_listening() {
            let line = [&self.all_addresses(), &b"... "[..], text].concat();
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
        self.envelope.transcript.push_line(line);
    }

    fn traffic(&self) -> &TrafficLog {
        self.traffic
    }

    fn problem(&mut self, text: &[u8]) {
        let shown = crate::text::bytes::escape_for_display(text);
        let id = self.envelope.id_for_log();
        self.log
            .syslog(1, Severity::Warning, Some(id), format_args!("{shown}"));
    }

    fn settled(&mut self, recipients: &[usize], outcome: &Outcome) {
        let status = self.status_of(outcome);
        self.settle(recipients, status);
    }
}

impl Telling for Ledger<'_> {
    fn relay_is(&mut self, relay: &[u8]) {
        self.relay = (!relay.is_empty()).then(|| relay.to_vec());
    }
}
