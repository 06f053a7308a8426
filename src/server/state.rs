//! The states of a session and of its transaction.
//!
//! Fresh -> (Identifying ->) (GreetPause ->) Commands -> Collecting -> Commands ...; any state
//! may end in Closed. Within Commands the order is: hello (optional unless
//! PrivacyOptions has needmailhelo, guide 5.6), MAIL, one RCPT or more, DATA. A
//! transaction is open from an accepted MAIL to the end of DATA, RSET, or the
//! next hello.

use std::time::Instant;

use super::collect::Collector;
use super::ident::Query;
use crate::smtp::parameter::MailParameters;

/// Where the session is.
#[derive(Debug)]
pub(super) enum State {
    /// Nothing has happened.
    Fresh,
    /// The client's machine is asked who talks to us.
    Identifying(Box<Query>),
    /// The greeting is held back to catch clients that talk first.
    GreetPause {
        /// When the greeting is due.
        until: Instant,
        /// When the wait began.
        since: Instant,
    },
    /// Reading commands.
    Commands,
    /// Reading the text of a message.
    Collecting(Box<Collector>),
    /// Over.
    Closed,
}

/// What the client called itself, and with which verb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hello {
    /// The name as given.
    pub name: Vec<u8>,
    /// `SMTP` or `ESMTP`.
    pub protocol: &'static [u8],
}

/// Facts about the transaction that are not part of the envelope.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    /// Whether a MAIL command was accepted.
    pub is_open: bool,
    /// Whether the `from=` line is owed.
    pub owes_sender_line: bool,
    /// Parameters of MAIL; kept when MAIL is refused (observed: 8.17.1.9).
    pub parameters: MailParameters,
    /// Whether the message is to be thrown away.
    pub discards: bool,
    /// Recipients refused.
    pub bad_recipients: u32,
    /// RCPT commands whose address was understood and let through by check_rcpt.
    ///
    /// `for` of the Received: field names the recipient when there was just one (observed: 8.17.1.9).
    pub named_recipients: u32,
    /// RCPT commands answered with 250, those that name a recipient again among them.
    pub accepted_recipients: u32,
    /// Recipients counted for `nrcpts=` and the priority.
    ///
    /// VRFY and EXPN count too (observed: 8.17.1.9).
    pub counted_recipients: usize,
    /// Whether the VRFY or EXPN at hand asked for SMTPUTF8.
    pub asked_in_utf8: bool,
}

impl Transaction {
    /// Tells whether the client reads UTF-8 in replies.
    pub fn takes_utf8(&self) -> bool {
        self.parameters.smtp_utf8 || self.asked_in_utf8
    }
}
