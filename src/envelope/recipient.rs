//! One recipient of an envelope.

use std::path::PathBuf;

use super::dsn::{Notify, OriginalRecipient};
use super::outcome::DeliveryStatus;
use crate::mailer::MailerTriple;

/// The user with whose rights programs, files and local mailers run for a recipient.
///
/// Source: guide appendix B, `C` line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ControllingUser {
    /// The login name.
    pub name: Vec<u8>,
    /// The user id.
    pub uid: u32,
    /// The primary group id.
    pub gid: u32,
    /// The home directory, empty if unknown.
    pub home: PathBuf,
    /// The address whose alias, list or .forward produced the recipient, as printed on the `C` line.
    pub alias: Vec<u8>,
}

/// One envelope recipient and what is known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The address as printed in queue files and logs, e.g. `<bob@example.com>` or `"|/bin/x"`.
    pub address: Vec<u8>,
    /// What ruleset 0 resolved the address to; `None` until resolved.
    pub triple: Option<MailerTriple>,
    /// What became of it.
    pub state: RecipientState,
    /// Whether the sender named it (flag `P`), rather than an alias.
    pub primary: bool,
    /// Index of the recipient whose alias, list or .forward produced it.
    pub expanded_from: Option<usize>,
    /// The alias or list a queue file says it came from, when `expanded_from` is not known.
    pub listed_in: Option<Vec<u8>>,
    /// Whose rights a program or file delivery has.
    pub controlling_user: Option<ControllingUser>,
    /// The owner of the list it came from (`owner-list`): the sender of its split envelope.
    pub owner: Option<Vec<u8>>,
    /// The NOTIFY parameter.
    pub notify: Notify,
    /// The ORCPT parameter.
    pub original: Option<OriginalRecipient>,
    /// `RFC822; address` as a report names it in `Final-Recipient:` (`r` line).
    pub final_address: Option<Vec<u8>>,
    /// Whether it came from an alias, so that programs and files are allowed (flag `A`).
    pub from_alias: bool,
    /// Whether it came from a Bcc: header (flag `B`).
    pub bcc: bool,
    /// The queue group chosen for it (index into the configured groups), if a rule or mailer chose one.
    pub queue_group: Option<usize>,
    /// The mailer it will go to once a look-up succeeds that failed for now; `triple` is
    /// then `None` and it is expanded again before the next attempt.
    pub expected: Option<MailerTriple>,
    /// What the rules gave as user when they refused the address (`$#error`).
    pub refused_as: Option<Vec<u8>>,
}

impl Recipient {
    /// Makes a pending primary recipient that is not resolved yet.
    pub fn new(address: impl Into<Vec<u8>>) -> Self {
        Self {
            address: address.into(),
            triple: None,
            state: RecipientState::Pending,
            primary: true,
            expanded_from: None,
            listed_in: None,
            controlling_user: None,
            owner: None,
            notify: Notify::Default,
            original: None,
            final_address: None,
            from_alias: false,
            bcc: false,
            queue_group: None,
            expected: None,
            refused_as: None,
        }
    }
}

/// What became of a recipient so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecipientState {
    /// Still to be delivered to.
    Pending,
    /// Replaced by the recipients its alias, list or .forward named.
    Expanded,
    /// Delivered, or handed to the next host.
    Delivered(DeliveryStatus),
    /// Failed for now; stays in the queue.
    Deferred(DeliveryStatus),
    /// Failed for good; a report is owed.
    Failed(DeliveryStatus),
    /// Taken out without delivery and without a report: a duplicate, or discarded.
    Dropped,
}

impl RecipientState {
    /// Tells whether the recipient stays in the queue.
    pub fn is_open(&self) -> bool {
        match self {
            RecipientState::Pending | RecipientState::Deferred(_) => true,
            RecipientState::Expanded
            | RecipientState::Delivered(_)
            | RecipientState::Failed(_)
            | RecipientState::Dropped => false,
        }
    }

    /// Gives the status of the last attempt, if there was one.
    pub fn status(&self) -> Option<&DeliveryStatus> {
        match self {
            RecipientState::Delivered(status)
            | RecipientState::Deferred(status)
            | RecipientState::Failed(status) => Some(status),
            RecipientState::Pending | RecipientState::Expanded | RecipientState::Dropped => None,
        }
    }
}
