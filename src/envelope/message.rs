//! The envelope: sender, recipients and everything else known about one message in hand.
//!
//! Made by the front doors (server, submit), by bounce and by reading a queue
//! file; written by [`crate::queue`]; worked on by delivery. All fields are open
//! on purpose: the envelope is the currency between rooms, and each room guards
//! its own rules.

use super::dsn::EnvelopeDsn;
use super::flags::EnvelopeFlags;
use super::id::QueueId;
use super::recipient::{ControllingUser, Recipient};
use super::transcript::Transcript;
use crate::macros::MacroTable;
use crate::mailer::MailerTriple;
use crate::message::header::Expansion;
use crate::message::{Body, BodyType, HeaderField, Headers};
use crate::smtp::parameter::DeliverBy;
use crate::sys::clock::Timestamp;

/// The envelope sender and what it resolved to.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Sender {
    /// The address as printed in queue files and logs, e.g. `ann`, `<x@example.com>`, `<>`.
    pub address: Vec<u8>,
    /// What mailers and queue files call him instead of `address`: `$f`, if his own mailer
    /// has F=i (guide 5.4).
    pub public_name: Option<Vec<u8>>,
    /// What ruleset 0 resolved it to; `None` until resolved or for the empty sender.
    pub triple: Option<MailerTriple>,
    /// The local user it is, whose rights deliveries on its behalf have.
    pub controlling: Option<ControllingUser>,
    /// The full name (`$x`), from the header, the `-F` flag or the password file.
    pub full_name: Option<Vec<u8>>,
    /// Whether the sender was named with -f or by a client: mailers with F=f are told.
    pub is_explicit: bool,
}

impl Sender {
    /// Tells whether this is the empty sender `<>`, or not given at all.
    pub fn is_null(&self) -> bool {
        matches!(self.address.as_slice(), b"" | b"<>")
    }

    /// Returns what he is called in envelopes and queue files.
    pub fn envelope_name(&self) -> &[u8] {
        self.public_name.as_deref().unwrap_or(&self.address)
    }
}

/// One message in hand.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// Its name; `None` until one was drawn.
    pub id: Option<QueueId>,
    /// Who sent it.
    pub sender: Sender,
    /// Who is to get it, aliases and their expansions included.
    pub recipients: Vec<Recipient>,
    /// The header, in order.
    pub headers: Headers,
    /// The body, without the header.
    pub body: Body,
    /// What the client said about the body (`BODY=`, `-B`), if anything (`B` line).
    pub body_type: Option<BodyType>,
    /// Macros of this message, such as `$_` and `${daemon_flags}`; some are kept in the queue file.
    pub macros: MacroTable,
    /// When it was submitted (`T` line).
    pub created: Timestamp,
    /// When delivery was last tried (`K` line); `None` if never.
    pub last_attempt: Option<Timestamp>,
    /// How often delivery was tried (`N` line).
    pub attempts: u32,
    /// The current priority, higher is later (`P` line).
    pub priority: i64,
    /// The precedence number of the Precedence: header.
    pub class: i64,
    /// The size in bytes, header and body as received.
    pub size: u64,
    /// How many Received: lines it has.
    pub hop_count: u32,
    /// ENVID and RET.
    pub dsn: EnvelopeDsn,
    /// The AUTH= parameter, in xtext (`A` line).
    pub auth_sender: Option<Vec<u8>>,
    /// The BY= parameter.
    pub deliver_by: Option<DeliverBy>,
    /// Response, warning sent, 8-bit and the others of the `F` line.
    pub flags: EnvelopeFlags,
    /// Why it is quarantined, if it is (`q` line).
    pub quarantine: Option<Vec<u8>>,
    /// What went wrong last: the reason for waiting in mailq (`M` line) and in the log of a report.
    pub message_status: Option<Vec<u8>>,
    /// What was said in the sessions of this attempt.
    pub transcript: Transcript,
    /// Queue group (index into the configured groups) the message lives in.
    pub queue_group: usize,
    /// The log text of the message id (`msgid=`).
    pub message_id: Option<Vec<u8>>,
}

impl Envelope {
    /// Gives the identifier as bytes, `NOQUEUE` before one was drawn.
    pub fn id_for_log(&self) -> &[u8] {
        self.id.as_ref().map_or(b"NOQUEUE", QueueId::as_bytes)
    }

    /// Notes trouble as what went wrong last; what is only temporary hides nothing older.
    ///
    /// Observed: 8.17.1.9.
    pub fn note_trouble(&mut self, is_permanent: bool, text: &[u8]) {
        if is_permanent || self.message_status.is_none() {
            self.message_status = Some(text.to_vec());
        }
    }

    /// The priority as the log shows it.
    ///
    /// Observed: 8.17.1.9 prints the greatest number for a negative one.
    pub fn shown_priority(&self) -> i64 {
        if self.priority < 0 {
            i64::MAX
        } else {
            self.priority
        }
    }

    /// Counts the recipients that still have to be delivered to.
    pub fn open_recipients(&self) -> usize {
        self.recipients
            .iter()
            .filter(|recipient| recipient.state.is_open())
            .count()
    }

    /// Tells whether an address of the envelope is beyond ASCII.
    pub fn has_utf8_addresses(&self) -> bool {
        let mut recipients = self.recipients.iter();
        !self.sender.address.is_ascii() || recipients.any(|one| !one.address.is_ascii())
    }

    /// Tells whether whoever sent it asked for SMTPUTF8 and its header really needs it.
    pub fn has_utf8_header(&self) -> bool {
        // What waits for its mailer has marks of its own above 127.
        let is_beyond = |field: &HeaderField| {
            field.expansion == Expansion::Done && !(field.value.is_ascii() && field.name.is_ascii())
        };
        self.flags.contains(EnvelopeFlags::UTF8) && self.headers.iter().any(is_beyond)
    }

    /// Tells whether this message is itself a delivery report.
    pub fn is_response(&self) -> bool {
        self.flags.contains(EnvelopeFlags::RESPONSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_permanent_trouble_counts() {
        let mut envelope = Envelope::default();
        for (is_permanent, text, expected) in [
            (false, "later", "later"),
            (false, "even later", "later"),
            (true, "no", "no"),
            (false, "later", "no"),
            (true, "never", "never"),
        ] {
            envelope.note_trouble(is_permanent, text.as_bytes());
            let status = envelope.message_status.as_deref();
            assert_eq!(status, Some(expected.as_bytes()), "{text}");
        }
    }
}
