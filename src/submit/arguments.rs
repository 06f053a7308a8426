//! What the command line says about a message to submit.

use crate::envelope::{Notify, Return};
use crate::macros::MacroTable;
use crate::message::BodyType;

/// Flags of one submission, already taken apart by the command line.
#[derive(Debug, Clone, Default)]
pub struct SubmitArguments {
    /// Operands, each an address list.
    pub recipients: Vec<Vec<u8>>,
    /// Take recipients from the header (-t).
    pub recipients_from_header: bool,
    /// A lone dot does not end the message (-i, -oi).
    pub ignore_dots: bool,
    /// Sender and the flag that gave it (`f` or `r`); an empty word is the null sender.
    pub sender: Option<(Vec<u8>, u8)>,
    /// Full name of the sender (-F).
    pub full_name: Option<Vec<u8>>,
    /// Where the hop count starts (-h).
    pub hop_count: u32,
    /// Which notices are wanted (-N).
    pub notify: Notify,
    /// The same as it was written, for `${dsn_notify}`.
    pub notify_text: Option<Vec<u8>>,
    /// What a bounce returns (-R).
    pub ret: Option<Return>,
    /// The same as it was written, for `${dsn_ret}`.
    pub ret_text: Option<Vec<u8>>,
    /// Envelope id in xtext (-V).
    pub envid: Option<Vec<u8>>,
    /// Declared type of the body (-B).
    pub body_type: Option<BodyType>,
    /// The message may need SMTPUTF8 (-U).
    pub smtp_utf8: bool,
    /// ARPANET mode: sender from the header (-ba).
    pub arpanet: bool,
    /// Relay submission: the header is not completed as a user's is (-G).
    pub relay: bool,
    /// No aliases (-n).
    pub no_alias: bool,
    /// Macros set by -M and -p.
    pub macros: MacroTable,
    /// User id of the caller.
    pub uid: u32,
    /// Value of NAME in the caller's environment.
    pub name_variable: Option<Vec<u8>>,
    /// HOME in the caller's environment.
    pub home_variable: Option<Vec<u8>>,
    /// Configuration file given by a user other than root (-C).
    pub foreign_config: Option<Vec<u8>>,
    /// A user other than root chose the queue, with -oQ or by his configuration.
    pub foreign_queue: bool,
}
