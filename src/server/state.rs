//! The states of a session and of its transaction.
//!
//! Fresh -> (Identifying ->) (GreetPause ->) Commands -> Collecting -> Commands ...; any state
//! may end in Closed. STARTTLS leads from Commands through TlsDue and Handshaking back to
//! Commands; on a port that speaks nothing but TLS both come before GreetPause. Within Commands the order is: hello (optional unless
//! PrivacyOptions has needmailhelo, guide 5.6), MAIL, one RCPT or more, DATA. A
//! transaction is open from an accepted MAIL to the end of DATA, RSET, or the
//! next hello. AUTH leads from Commands to Authenticating and back.

use std::sync::Arc;
use std::time::Instant;

use super::collect::Collector;
use super::ident::Query;
use super::secure::Beginning;
use crate::auth::ServerExchange;
use crate::smtp::Reply;
use crate::smtp::parameter::MailParameters;
use crate::tls::ServerSide;

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
    /// TLS begins as soon as what was said is out.
    TlsDue(Arc<ServerSide>, Beginning),
    /// The TLS handshake goes on.
    Handshaking(Beginning),
    /// Reading commands.
    Commands,
    /// Reading responses to the challenges of AUTH.
    Authenticating(Box<ServerExchange>),
    /// Reading the text of a message.
    Collecting(Box<Collector>),
    /// Reading the octets of one BDAT.
    Chunk(Box<Chunk>),
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
    /// What BDAT has brought.
    pub chunks: Chunks,
    /// Whether the VRFY or EXPN at hand asked for SMTPUTF8.
    pub asked_in_utf8: bool,
}

/// One BDAT whose octets are being read.
#[derive(Debug)]
pub(super) struct Chunk {
    /// Octets the client announced.
    pub announced: u64,
    /// Octets that have not come yet.
    pub left: u64,
    /// Whether the message ends with it.
    pub is_last: bool,
    /// What it is refused with when all its octets have been read and thrown away.
    pub refusal: Option<Reply>,
    /// When its first octet was waited for.
    pub since: Instant,
}

/// What BDAT commands have brought of a message so far.
#[derive(Debug, Default)]
pub(super) enum Chunks {
    /// There was none.
    #[default]
    None,
    /// Its text up to here.
    Text(Box<Collector>),
    /// One was refused: so are all until the transaction is over.
    Refused(Reply),
}

impl Chunks {
    /// Tells whether there was a BDAT.
    pub fn is_begun(&self) -> bool {
        !matches!(self, Chunks::None)
    }
}

impl Transaction {
    /// Tells whether the client reads UTF-8 in replies.
    pub fn takes_utf8(&self) -> bool {
        self.parameters.smtp_utf8 || self.asked_in_utf8
    }
}
