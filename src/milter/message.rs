//! The questions about a whole message: header, body, and the end with its edits.
//!
//! Each filter sees what those before it made of the message. Nothing has been accepted yet: a
//! refusal here is the reply to the end of the text.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use super::chain::{Asking, Chain, Decision};
use super::edits::HeaderSheet;
use super::filter::{Filter, Question, State};
use super::negotiation::{action, step};
use super::packet::{Answer, CHUNK, Edit, command};
use super::symbols::Stage;
use crate::text::bytes::escape_for_display;

/// Most answers of one filter to the end of one message.
///
/// Edits are kept in memory; a filter that sends more is not sane.
const MAX_ANSWERS: usize = 100_000;

/// Longest time from the end of a message to the last answer, however often a filter says that
/// it makes progress: clients wait for ten minutes (RFC 5321 section 4.5.3.2.6).
const MAX_END: Duration = Duration::from_secs(60 * 60);

/// What edits reach besides the header.
pub trait Desk {
    /// Reads the body from its beginning.
    ///
    /// # Errors
    /// When the body cannot be read back.
    fn body(&mut self) -> io::Result<Box<dyn Read>>;
    /// Throws the body away.
    fn clear_body(&mut self);
    /// Adds text with line feeds at its ends of lines to the body; false when it cannot be stored.
    fn add_to_body(&mut self, text: &[u8]) -> bool;
    /// Adds a recipient.
    fn add_recipient(&mut self, address: &[u8], parameters: &[u8]);
    /// Takes a recipient away; returns how many there were.
    fn delete_recipient(&mut self, address: &[u8]) -> usize;
    /// Takes another sender.
    fn change_sender(&mut self, address: &[u8], parameters: &[u8]);
    /// Holds the message.
    fn quarantine(&mut self, reason: &[u8]);
}

/// A message in hand.
pub struct Letter<'a> {
    /// Its header.
    pub sheet: &'a mut HeaderSheet,
    /// Its body and envelope.
    pub desk: &'a mut dyn Desk,
    /// Whether the body has the line ends it came with.
    pub is_binary: bool,
}

/// What the filters made of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it may go on.
    pub decision: Decision,
}

const HEADER: Question = Question {
    letter: command::HEADER,
    action: "header",
    stage: None,
    unwanted: step::NO_HEADERS,
    silent: step::SILENT_HEADER,
};
const END_OF_HEADER: Question = Question {
    letter: command::END_OF_HEADER,
    action: "eoh",
    stage: Some(Stage::EndOfHeader),
    unwanted: step::NO_END_OF_HEADER,
    silent: step::SILENT_END_OF_HEADER,
};
const BODY: Question = Question {
    letter: command::BODY,
    action: "body",
    stage: None,
    unwanted: step::NO_BODY,
    silent: step::SILENT_BODY,
};

impl Chain {
    /// Shows a whole message to the filters and makes the changes they want.
    pub fn message(&mut self, letter: &mut Letter<'_>, asking: &Asking<'_>) -> Outcome {
        let mut decision = Decision::Continue;
        for filter in &mut self.filters {
            decision = filter.examine(letter, asking);
            if !decision.goes_on() {
                break;
            }
        }
        if !decision.goes_on() {
            self.abort(asking);
        }
        Outcome { decision }
    }
}

impl Filter {
    fn examine(&mut self, letter: &mut Letter<'_>, asking: &Asking<'_>) -> Decision {
        if self.state == State::Error {
            return self.failure();
        }
        if self.state != State::InMessage {
            return Decision::Continue;
        }
        let mut wants_more = true;
        let decision = self.show_header(letter.sheet, &mut wants_more, asking);
        if let Some(decision) = self.settle(decision) {
            return decision;
        }
        let decision = self.ask(&END_OF_HEADER, &[], asking);
        wants_more &= decision != Decision::Skip;
        if let Some(decision) = self.settle(decision) {
            return decision;
        }
        if wants_more {
            let decision = self.show_body(letter, asking);
            if let Some(decision) = self.settle(decision) {
                return decision;
            }
        }
        let decision = self.ask_for_edits(letter, asking);
        if self.state == State::InMessage {
            self.state = State::Done;
        }
        decision
    }

    /// Returns the decision that ends the questions about this message, if it is one.
    fn settle(&mut self, decision: Decision) -> Option<Decision> {
        if self.state == State::Error {
            // Also where the fault itself was passed over.
            return Some(self.failure());
        }
        if !decision.goes_on() {
            self.state = State::Done;
            return Some(decision);
        }
        (self.state != State::InMessage).then_some(Decision::Continue)
    }

    fn show_header(
        &mut self,
        sheet: &HeaderSheet,
        wants_more: &mut bool,
        asking: &Asking<'_>,
    ) -> Decision {
        if self.agreement.has(HEADER.unwanted) {
            return Decision::Continue;
        }
        let name = self.name.clone();
        asking.log(18, format_args!("Milter ({name}): headers, send"));
        for field in sheet.told() {
            let shown = escape_for_display(&field.name);
            asking.log(22, format_args!("Milter ({name}): header, {shown}"));
            let mut value = field.value.as_slice();
            if !self.agreement.has(step::LEADING_SPACE) {
                value = value.strip_prefix(b" ").unwrap_or(value);
            }
            let decision = self.ask(&HEADER, &[&field.name, b"\0", value, b"\0"], asking);
            // Observed: 8.17.1.9 shows the fields behind all the same, but no body.
            *wants_more &= decision != Decision::Skip;
            if !decision.goes_on() || self.state != State::InMessage {
                return decision;
            }
        }
        asking.log(18, format_args!("Milter ({name}): headers, sent"));
        Decision::Continue
    }

    /// Shows the body in pieces, line ends as on the wire, dots as in the text.
    fn show_body(&mut self, letter: &mut Letter<'_>, asking: &Asking<'_>) -> Decision {
        if self.agreement.has(BODY.unwanted) {
            return Decision::Continue;
        }
        let name = self.name.clone();
        asking.log(18, format_args!("Milter ({name}): body, send"));
        let Ok(mut reader) = letter.desk.body() else {
            asking.error(format_args!("milter_body: {name}: read error"));
            return Decision::TempFail;
        };
        let (mut block, mut piece) = (vec![0; CHUNK], Vec::with_capacity(CHUNK * 2));
        loop {
            let count = match reader.read(&mut block) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => {
                    asking.error(format_args!("milter_body: {name}: read error"));
                    return Decision::TempFail;
                }
            };
            push_wire_text(
                block.get(..count).unwrap_or(b""),
                letter.is_binary,
                &mut piece,
            );
            while piece.len() >= CHUNK || (count == 0 && !piece.is_empty()) {
                let rest = piece.split_off(piece.len().min(CHUNK));
                let decision = self.ask(&BODY, &[&piece], asking);
                piece = rest;
                if decision == Decision::Skip {
                    return Decision::Continue;
                }
                if !decision.goes_on() || self.state != State::InMessage {
                    return decision;
                }
            }
            if count == 0 {
                break;
            }
        }
        asking.log(18, format_args!("Milter ({name}): body, sent"));
        Decision::Continue
    }

    /// Ends the message and makes the changes the filter answers with.
    fn ask_for_edits(&mut self, letter: &mut Letter<'_>, asking: &Asking<'_>) -> Decision {
        let end = command::END_OF_MESSAGE;
        if !self.tell_symbols(Stage::EndOfMessage, end, asking)
            || self.send(end, &[], "eom", asking).is_none()
        {
            return self.failure();
        }
        let deadline = Instant::now() + MAX_END;
        let mut new_body = None;
        let mut has_lied = false;
        for _ in 0..MAX_ANSWERS {
            let left = deadline.saturating_duration_since(Instant::now());
            let patience = self.definition.end_timeout;
            let patience = if patience.is_zero() {
                left
            } else {
                patience.min(left)
            };
            if patience.is_zero() {
                break;
            }
            let Some((octet, data)) = self.receive_within(patience, "eom", asking) else {
                return self.failure();
            };
            let (name, tell) = (self.name.clone(), |text: String| {
                asking.log(13, format_args!("milter={}, {text}", self.name));
            });
            let decision = match Answer::parse(octet, &data) {
                Answer::Progress | Answer::Malformed(_) => continue,
                Answer::Edit(edit) => {
                    has_lied |= !self.edit(edit, letter, &mut new_body, asking);
                    continue;
                }
                Answer::Continue => Decision::Continue,
                Answer::Accept => Decision::Accept,
                Answer::Reject => {
                    tell("reject".to_owned());
                    Decision::Reject
                }
                Answer::TempFail => {
                    tell("tempfail".to_owned());
                    Decision::TempFail
                }
                Answer::Discard => {
                    tell("discard".to_owned());
                    Decision::Discard
                }
                Answer::Reply(text) => {
                    tell(format!("reject={}", escape_for_display(&text)));
                    Decision::Reply(text)
                }
                Answer::Skip | Answer::Unknown(_) => {
                    let shown = escape_for_display(&[octet]);
                    asking.error(format_args!(
                        "milter_data({name}): returned bogus response {shown}"
                    ));
                    self.fail(asking);
                    return self.failure();
                }
            };
            if let Some(body) = &mut new_body
                && !body.finish(letter.desk)
            {
                has_lied = true;
            }
            return match decision {
                Decision::Continue | Decision::Accept if has_lied => Decision::TempFail,
                other => other,
            };
        }
        asking.error(format_args!(
            "milter_data({}): EOM ACK/NAK timeout",
            self.name
        ));
        self.fail(asking);
        self.failure()
    }

    /// Makes one change; false when the message cannot be taken after it.
    fn edit(
        &mut self,
        edit: Edit,
        letter: &mut Letter<'_>,
        new_body: &mut Option<NewBody>,
        asking: &Asking<'_>,
    ) -> bool {
        let name = &self.name;
        let keeps_space = self.agreement.has(step::LEADING_SPACE);
        let said = |text: Option<String>| {
            if let Some(text) = text {
                asking.log(9, format_args!("Milter ({name}) {text}"));
            }
        };
        let lied = |needed: u32, what: &str| {
            if !self.agreement.may(needed) {
                asking.error(format_args!(
                    "milter_data({name}){what}, honoring request anyway"
                ));
            }
        };
        match edit {
            Edit::AddHeader { name, value } => {
                lied(action::ADD_HEADERS, ": lied about adding headers");
                said(letter.sheet.add(&name, &value, keeps_space));
            }
            Edit::InsertHeader { at, name, value } => {
                lied(action::ADD_HEADERS, ": lied about adding headers");
                said(letter.sheet.insert(at, &name, &value, keeps_space));
            }
            Edit::ChangeHeader {
                number,
                name,
                value,
            } => {
                lied(action::CHANGE_HEADERS, ": lied about changing headers");
                said(letter.sheet.change(number, &name, &value, keeps_space));
            }
            Edit::AddRecipient {
                address,
                parameters,
            } => {
                match &parameters {
                    None => lied(action::ADD_RECIPIENTS, " lied about adding recipients"),
                    Some(_) => lied(
                        action::ADD_RECIPIENTS_WITH_PARAMETERS,
                        " lied about adding recipients with parameters",
                    ),
                }
                said(Some(format!("add: rcpt: {}", escape_for_display(&address))));
                letter
                    .desk
                    .add_recipient(&address, &parameters.unwrap_or_default());
            }
            Edit::DeleteRecipient(address) => {
                lied(
                    action::DELETE_RECIPIENTS,
                    ": lied about removing recipients",
                );
                let count = letter.desk.delete_recipient(&address);
                let address = escape_for_display(&address);
                said(Some(format!("delete: rcpt {address}, naddrs={count}")));
            }
            Edit::ChangeSender {
                address,
                parameters,
            } => {
                lied(action::CHANGE_SENDER, " lied about changing sender");
                said(Some(format!("chgfrom: {}", escape_for_display(&address))));
                letter
                    .desk
                    .change_sender(&address, &parameters.unwrap_or_default());
            }
            Edit::Quarantine(reason) => {
                lied(action::QUARANTINE, ": lied about quarantining");
                let shown = escape_for_display(&reason);
                asking.log(4, format_args!("milter={name}, quarantine={shown}"));
                letter.desk.quarantine(&reason);
            }
            Edit::ReplaceBody(text) => {
                if !self.agreement.may(action::CHANGE_BODY) {
                    asking.error(format_args!(
                        "milter_data({name}): lied about replacing body, rejecting request and tempfailing message"
                    ));
                    return false;
                }
                let body = new_body.get_or_insert_with(|| {
                    said(Some("message: body replaced".to_owned()));
                    letter.desk.clear_body();
                    NewBody::default()
                });
                return body.push(&text, letter.is_binary, letter.desk);
            }
        }
        true
    }
}

/// The pieces of a new body: a carriage return at the end of one may belong to the next.
#[derive(Debug, Default)]
struct NewBody {
    has_return: bool,
}

impl NewBody {
    fn push(&mut self, text: &[u8], is_binary: bool, desk: &mut dyn Desk) -> bool {
        if is_binary {
            return desk.add_to_body(text);
        }
        let mut plain = Vec::with_capacity(text.len() + 1);
        for &octet in text {
            if std::mem::take(&mut self.has_return) && octet != b'\n' {
                plain.push(b'\r');
            }
            match octet {
                b'\r' => self.has_return = true,
                other => plain.push(other),
            }
        }
        desk.add_to_body(&plain)
    }

    fn finish(&mut self, desk: &mut dyn Desk) -> bool {
        !std::mem::take(&mut self.has_return) || desk.add_to_body(b"\r")
    }
}

/// Appends text of a body with the line ends of the wire.
fn push_wire_text(text: &[u8], is_binary: bool, out: &mut Vec<u8>) {
    if is_binary {
        return out.extend_from_slice(text);
    }
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\n', rest) {
        let (line, after) = rest.split_at(at);
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
        rest = after.get(1..).unwrap_or(b"");
    }
    out.extend_from_slice(rest);
}
