//! A recipient while it is being expanded.

use super::rights::Identity;
use crate::envelope::{Recipient, RecipientState};

/// What became of an entry so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Work {
    /// To be delivered to.
    Ok,
    /// Replaced by others.
    Expanded,
    /// Removed: a member of a loop, or a sender without MeToo.
    Removed,
    /// Failed or deferred, or settled before.
    Settled(RecipientState),
}

/// A recipient being expanded.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) recipient: Recipient,
    /// Its host for the order where it has no mailer.
    pub(super) sorted_as: Vec<u8>,
    pub(super) work: Work,
    pub(super) parent: Option<usize>,
    /// A loop ended here, so it is delivered although it was expanded.
    pub(super) self_reference: bool,
    /// It is on the list for good: a later one of the same name is a duplicate.
    pub(super) listed: bool,
    /// The sender, left out of a list.
    pub(super) left_out: bool,
    /// Added since the last recipient named by the sender.
    pub(super) this_pass: bool,
    /// User and group it runs programs as, when known.
    pub(super) identity: Option<Identity>,
    pub(super) bogus_shell: bool,
    pub(super) unsafe_file: bool,
    /// An alias of this name exists, which is all that was asked.
    pub(super) verified: bool,
}

impl Entry {
    pub(super) fn new(recipient: Recipient, parent: Option<usize>) -> Self {
        let identity = recipient.controlling_user.as_ref().map(|user| Identity {
            uid: user.uid,
            gid: user.gid,
            user: Some(user.name.clone()),
            home: user.home.clone(),
        });
        Entry {
            recipient,
            sorted_as: Vec::new(),
            work: Work::Ok,
            parent,
            self_reference: false,
            listed: false,
            left_out: false,
            this_pass: true,
            identity,
            bogus_shell: false,
            unsafe_file: false,
            verified: false,
        }
    }

    /// Returns the user part the address resolved to, empty if it did not.
    pub(super) fn user(&self) -> &[u8] {
        self.recipient
            .triple
            .as_ref()
            .map_or(b"", |triple| &triple.user)
    }
}
