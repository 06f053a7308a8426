//! One filter as a session knows it.
//!
//! A filter that fails is in error until the session ends; what then becomes of mail is `F=` of
//! its definition. Observed: 8.17.1.9, whose answer to an octet it does not know is taken as
//! "go on" once, and counts from the next question on.

use std::time::Instant;

use super::chain::{Asking, Decision};
use super::link::{Link, LinkFault};
use super::negotiation::{self, Agreement};
use super::packet::{Answer, command};
use super::symbols::{Stage, Symbols};
use crate::config::filter_line::{FilterDefinition, FilterFailure};
use crate::dns::Resolver;
use crate::logging::record::Severity;
use crate::text::bytes::escape_for_display;

/// Where a filter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Between messages.
    Open,
    /// Inside a message.
    InMessage,
    /// Done with the message at hand.
    Done,
    /// Done with the connection.
    Closable,
    /// Failed, or never there.
    Error,
}

/// One step of the dialogue as the protocol knows it.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    /// Letter of the command.
    pub letter: u8,
    /// What the log calls it.
    pub action: &'static str,
    /// Whose macros go in front.
    pub stage: Option<Stage>,
    /// The step that tells it is not wanted.
    pub unwanted: u32,
    /// The step that tells it is not answered.
    pub silent: u32,
}

/// One filter of a session.
#[derive(Debug)]
pub struct Filter {
    pub(super) name: String,
    pub(super) definition: FilterDefinition,
    pub(super) agreement: Agreement,
    pub(super) state: State,
    pub(super) link: Option<Link>,
    pub(super) symbols: Symbols,
}

impl Filter {
    /// Connects to a filter and agrees on what it does.
    pub fn open(
        definition: &FilterDefinition,
        symbols: Symbols,
        resolver: &dyn Resolver,
        asking: &Asking<'_>,
    ) -> Filter {
        let mut filter = Filter {
            name: escape_for_display(&definition.name),
            definition: definition.clone(),
            agreement: Agreement::default(),
            state: State::Error,
            link: None,
            symbols,
        };
        match Link::open(definition, resolver) {
            Ok(link) => {
                filter.link = Some(link);
                filter.state = State::Open;
                filter.negotiate(asking);
            }
            Err(fault) => {
                let (name, reason) = (&filter.name, &fault.reason);
                if let Some(tried) = &fault.tried {
                    asking.log(
                        6,
                        format_args!("Milter ({name}): open {tried} failed: {reason}"),
                    );
                }
                asking.error(format_args!(
                    "Milter ({name}): error connecting to filter: {reason}"
                ));
                filter.fail(asking);
            }
        }
        filter
    }

    fn negotiate(&mut self, asking: &Asking<'_>) {
        if self
            .send(
                command::NEGOTIATE,
                &[&negotiation::offer()],
                "negotiate",
                asking,
            )
            .is_some()
            && let Some((letter, data)) = self.receive("negotiate", asking)
        {
            match negotiation::agree(letter, &data) {
                Ok(agreement) => {
                    for (stage, names) in &agreement.symbols {
                        self.symbols.replace(*stage, names, asking.names);
                    }
                    self.agreement = agreement;
                    let name = &self.name;
                    asking.log(
                        10,
                        format_args!("Milter ({name}): init success to negotiate"),
                    );
                    return;
                }
                Err(fault) => {
                    asking.error(format_args!("Milter ({}): negotiate: {fault}", self.name));
                    self.fail(asking);
                }
            }
        }
        asking.log(
            1,
            format_args!("Milter ({}): init failed to open", self.name),
        );
        self.fail(asking);
    }

    /// Puts the filter out of use.
    pub(super) fn fail(&mut self, asking: &Asking<'_>) {
        self.link = None;
        self.state = State::Error;
        asking.log(1, format_args!("Milter ({}): to error state", self.name));
    }

    /// What becomes of mail while the filter is in error.
    pub(super) fn failure(&self) -> Decision {
        match self.definition.failure {
            FilterFailure::Continue => Decision::Continue,
            FilterFailure::Reject => Decision::Reject,
            FilterFailure::TempFail => Decision::TempFail,
            FilterFailure::Shutdown => Decision::Shutdown,
        }
    }

    /// Tells whether the filter can be asked.
    pub fn is_listening(&self) -> bool {
        matches!(self.state, State::Open | State::InMessage)
    }

    /// Asks the filter about a step, macros in front.
    pub(super) fn ask(
        &mut self,
        question: &Question,
        data: &[&[u8]],
        asking: &Asking<'_>,
    ) -> Decision {
        if self.state == State::Error {
            return self.failure();
        }
        if !self.is_listening() {
            return Decision::Continue;
        }
        if let Some(stage) = question.stage
            && !self.tell_symbols(stage, question.letter, asking)
        {
            return self.failure();
        }
        // Observed: 8.17.1.9 tells macros also in front of what is not wanted.
        if self.agreement.has(question.unwanted) {
            return Decision::Continue;
        }
        self.put(question, data, asking)
    }

    /// Tells the macros of a stage; false when the filter failed.
    pub(super) fn tell_symbols(&mut self, stage: Stage, letter: u8, asking: &Asking<'_>) -> bool {
        match self.symbols.told(stage, letter, asking.macros) {
            None => true,
            Some(data) => self
                .send(command::MACROS, &[&data], "macro", asking)
                .is_some(),
        }
    }

    /// Sends a command and reads its answer.
    pub(super) fn put(
        &mut self,
        question: &Question,
        data: &[&[u8]],
        asking: &Asking<'_>,
    ) -> Decision {
        let begun = Instant::now();
        if self
            .send(question.letter, data, question.action, asking)
            .is_none()
        {
            return self.failure();
        }
        if self.agreement.has(question.silent) {
            return Decision::Continue;
        }
        let Some((letter, data)) = self.receive(question.action, asking) else {
            return self.failure();
        };
        let (name, took) = (&self.name, begun.elapsed().as_secs());
        let shown = char::from(question.letter);
        asking.log(
            22,
            format_args!("Milter ({name}): time command ({shown}), {took}"),
        );
        self.judge(question, Answer::parse(letter, &data), letter, asking)
    }

    fn judge(
        &mut self,
        question: &Question,
        answer: Answer,
        letter: u8,
        asking: &Asking<'_>,
    ) -> Decision {
        let (level, word, decision) = match answer {
            Answer::Continue => (13, "continue", Decision::Continue),
            Answer::Skip => (13, "skip", Decision::Skip),
            Answer::Accept => (11, "accepted", Decision::Accept),
            Answer::Reject => (11, "reject", Decision::Reject),
            Answer::TempFail => (11, "tempfail", Decision::TempFail),
            Answer::Discard => (11, "discard", Decision::Discard),
            Answer::Reply(text) => (11, "reject=", Decision::Reply(text)),
            Answer::Progress | Answer::Edit(_) | Answer::Malformed(_) | Answer::Unknown(_) => {
                asking.error(format_args!(
                    "milter_send_command({}): action={} returned bogus response {}",
                    self.name,
                    question.action,
                    escape_for_display(&[letter])
                ));
                self.fail(asking);
                return Decision::Continue;
            }
        };
        let text = match &decision {
            Decision::Reply(text) => escape_for_display(text),
            _ => String::new(),
        };
        let (name, action) = (&self.name, question.action);
        asking.log(
            level,
            format_args!("milter={name}, action={action}, {word}{text}"),
        );
        let is_connection = matches!(question.letter, command::CONNECT | command::HELO);
        let is_text = matches!(
            question.letter,
            command::HEADER | command::END_OF_HEADER | command::BODY
        );
        match decision {
            Decision::Accept | Decision::Skip if is_connection => self.state = State::Closable,
            Decision::Accept => self.state = State::Done,
            // Observed: 8.17.1.9 asks such a filter nothing more in this session.
            Decision::Skip if !is_text => self.state = State::Closable,
            _ => {}
        }
        decision
    }

    /// Sends a packet; `None` when the filter failed by it.
    pub(super) fn send(
        &mut self,
        letter: u8,
        data: &[&[u8]],
        place: &str,
        asking: &Asking<'_>,
    ) -> Option<()> {
        let sent = self.link.as_mut()?.send(letter, data);
        self.note_fault(sent, place, asking)
    }

    fn receive(&mut self, place: &str, asking: &Asking<'_>) -> Option<(u8, Vec<u8>)> {
        let patience = self.definition.read_timeout;
        self.receive_within(patience, place, asking)
    }

    /// Reads a packet; `None` when the filter failed by it.
    pub(super) fn receive_within(
        &mut self,
        patience: std::time::Duration,
        place: &str,
        asking: &Asking<'_>,
    ) -> Option<(u8, Vec<u8>)> {
        let received = self.link.as_mut()?.receive(patience);
        self.note_fault(received, place, asking)
    }

    fn note_fault<T>(
        &mut self,
        result: Result<T, LinkFault>,
        place: &str,
        asking: &Asking<'_>,
    ) -> Option<T> {
        let fault = match result {
            Ok(value) => return Some(value),
            Err(fault) => fault,
        };
        let name = &self.name;
        match fault {
            LinkFault::TimedOut { is_inside } => {
                let when = if is_inside { "during" } else { "before" };
                asking.error(format_args!(
                    "Milter ({name}): timeout {when} data read, where={place}"
                ));
            }
            LinkFault::Ended { got, expected } => asking.error(format_args!(
                "milter_sys_read({name}): cmd read returned {got}, expecting {expected}"
            )),
            LinkFault::BadLength(length) => asking.error(format_args!(
                "milter_read({name}): length {length} out of range, where={place}"
            )),
            LinkFault::Read(error) => {
                let text = crate::sys::host::error_text(&error);
                asking.error(format_args!("Milter ({name}): read returned -1: {text}"));
            }
            LinkFault::Write { letter, error } => {
                let text = crate::sys::host::error_text(&error);
                let letter = char::from(letter);
                asking.error(format_args!(
                    "Milter ({name}): write({letter}) failed: {text}"
                ));
            }
        }
        self.fail(asking);
        None
    }

    /// Gives up the message at hand.
    pub(super) fn abort(&mut self, asking: &Asking<'_>) {
        if self.state != State::InMessage {
            return;
        }
        asking.log(11, format_args!("Milter ({}): abort filter", self.name));
        if self.send(command::ABORT, &[], "abort", asking).is_some() {
            self.state = State::Done;
        }
    }

    /// Says goodbye.
    pub(super) fn quit(&mut self, asking: &Asking<'_>) {
        if let Some(mut link) = self.link.take() {
            asking.log(19, format_args!("Milter ({}): quit filter", self.name));
            // Who has gone already need not be told.
            let _ = link.send(command::QUIT, &[]);
        }
        if self.state != State::Error {
            self.state = State::Closable;
        }
    }
}

impl Asking<'_> {
    /// Writes a line if the level of the filter room is on.
    pub(super) fn log(&self, level: u8, text: std::fmt::Arguments<'_>) {
        self.note(level, Severity::Info, text);
    }

    /// Writes a line about a fault.
    pub(super) fn error(&self, text: std::fmt::Arguments<'_>) {
        self.note(1, Severity::Error, text);
    }
}
