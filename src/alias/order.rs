//! The order of recipients, and which of them are one and the same.
//!
//! The order is an interface (queue files, logs, `-bv`): each list is added from its last
//! member to its first, and recipients are kept sorted by host, those without a host first.
//! One whose look-ups could not be answered now stands where its answer so far puts it.
//! Observed: 8.17.1.9.

use super::entry::Entry;
use super::expand::Expansion;
use crate::mailer::MailerTriple;

impl Expansion<'_, '_, '_> {
    /// Inserts behind the entries whose host sorts before or equal.
    pub(super) fn insert(&mut self, entry: Entry) -> usize {
        let index = self.entries.len();
        let key = self.sort_key(&entry);
        self.entries.push(entry);
        let place = self
            .order
            .iter()
            .position(|other| self.sort_key(&self.entries[*other]) > key)
            .unwrap_or(self.order.len());
        self.order.insert(place, index);
        index
    }

    pub(super) fn sort_key(&self, entry: &Entry) -> (bool, Vec<u8>) {
        let Some(triple) = triple_of(entry) else {
            return (false, entry.sorted_as.clone());
        };
        let is_expensive = self.cx.mailers.get(triple.mailer).has(b'e');
        let is_late = self.cx.limits.expensive_last && is_expensive;
        (is_late, triple.host.to_ascii_lowercase())
    }

    pub(super) fn is_same_place(&self, one: &MailerTriple, other: &MailerTriple) -> bool {
        one == other
    }

    /// Tells whether two entries are one recipient: same mailer, user and host, and for
    /// programs the same user to run as. Observed: 8.17.1.9 takes a file once, whoever names it.
    pub(super) fn same(&self, one: &Entry, other: &Entry) -> bool {
        let (Some(a), Some(b)) = (triple_of(one), triple_of(other)) else {
            return false;
        };
        if !self.is_same_place(a, b) {
            return false;
        }
        if Some(a.mailer) != self.cx.mailers.program() {
            return true;
        }
        let uid = |entry: &Entry| {
            entry
                .parent
                .and_then(|parent| self.opener(parent))
                .map(|identity| identity.uid)
        };
        match (uid(one), uid(other)) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        }
    }
}

/// Where an entry goes, or is expected to go once look-ups are answered.
fn triple_of(entry: &Entry) -> Option<&MailerTriple> {
    let recipient = &entry.recipient;
    recipient.triple.as_ref().or(recipient.expected.as_ref())
}
