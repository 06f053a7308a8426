//! The sender on the lists he sends to (MeToo off).
//!
//! Source: guide 5.6, MeToo; which lists he stays on all the same observed: 8.17.1.9.

use super::entry::{Entry, Work};
use super::expand::Expansion;
use crate::config::options::DeliveryMode;

impl Expansion<'_, '_, '_> {
    /// Tells whether one who sorts before the sender hides him on the list.
    ///
    /// Observed: 8.17.1.9 leaves out senders who are to be delivered to at once in a second
    /// look at the list, which ends at the first member with a lesser name.
    fn hides_sender(&self, entry: &Entry) -> bool {
        let is_at_once = matches!(
            self.cx.limits.delivery,
            DeliveryMode::Interactive | DeliveryMode::Background
        );
        let key = self.sort_key(entry);
        is_at_once
            && self.order.iter().any(|index| {
                let other = &self.entries[*index];
                other.work == Work::Ok && self.sort_key(other) <= key && other.user() < entry.user()
            })
    }

    /// Tells whether an entry is the sender, who is to be left out of lists (MeToo off).
    pub(super) fn is_unwanted_sender(&self, entry: &Entry) -> bool {
        let sender = &self.envelope.sender;
        !self.cx.limits.me_too
            && sender.triple.is_some()
            && sender.triple == entry.recipient.triple
            && !self.hides_sender(entry)
    }
}
