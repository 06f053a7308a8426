//! The addresses of a list, one by one: where each goes, or what is wrong with it.
//!
//! Part of [`super::expand`]: makes an [`Entry`] of each address, and gives it the name
//! under which reports know it.

use super::context::Routed;
use super::entry::{Entry, Work};
use super::expand::Expansion;
use crate::envelope::{Recipient, RecipientState};
use crate::message::address::core_address;
use crate::smtp::{EnhancedStatus, ExitStatus};

impl Expansion<'_, '_, '_> {
    pub(super) fn child_of(&self, parent: usize) -> Recipient {
        let from = &self.entries[parent].recipient;
        let mut child = Recipient::new(Vec::new());
        child.primary = false;
        child.notify = from.notify;
        child.original = from.original.clone();
        child.final_address = from.final_address.clone();
        child.from_alias = from.from_alias;
        child.bcc = from.bcc;
        child
    }

    /// Resolves the first address of a list and returns what follows it; there is no entry
    /// when the address has only been complained about.
    pub(super) fn resolve_first<'t>(
        &mut self,
        list: &'t [u8],
        delimiter: Option<u8>,
        template: &Recipient,
        parent: Option<usize>,
    ) -> (Option<Entry>, &'t [u8]) {
        let mut told = Vec::new();
        let (routed, end) = self.cx.router.resolve(list, delimiter, &mut told);
        self.tell_what_maps_said();
        let (address, rest) = list.split_at(end.min(list.len()).max(1.min(list.len())));
        // A comment alone names nobody. Observed: 8.17.1.9.
        if told.is_empty() && address.starts_with(b"(") && core_address(address).is_empty() {
            return (None, rest);
        }
        let mut recipient = template.clone();
        recipient.address = address.to_vec();
        self.about = Some(if told.is_empty() {
            recipient.address.clone()
        } else {
            list.to_vec()
        });
        for refusal in told {
            self.complain(refusal.code, refusal.enhanced, &refusal.text);
        }
        self.about = Some(recipient.address.clone());
        (self.entry_of(recipient, routed, parent), rest)
    }

    fn entry_of(
        &mut self,
        mut recipient: Recipient,
        routed: Routed,
        parent: Option<usize>,
    ) -> Option<Entry> {
        let mut sorted_as = Vec::new();
        let settled = match routed {
            Routed::To(triple) => {
                recipient.triple = Some(triple);
                return Some(Entry::new(recipient, parent));
            }
            Routed::Discarded => RecipientState::Dropped,
            Routed::Refused(refusal) => {
                let is_fault_of_rules =
                    refusal.listed_as.is_none() && refusal.exit == ExitStatus::Config;
                if is_fault_of_rules {
                    self.summary.exit.get_or_insert(ExitStatus::Software);
                    self.complain_of_rules(&refusal);
                } else {
                    self.complain(refusal.code, refusal.enhanced, &refusal.text);
                }
                // What rules are to blame for comes back under the name it was given.
                if refusal.listed_as.is_none() && !is_fault_of_rules {
                    return None;
                }
                self.summary.exit.get_or_insert(refusal.exit);
                let mut status = self.status_of(&refusal);
                if let Some(unknown) = EnhancedStatus::new(5, 0, 0) {
                    if is_fault_of_rules {
                        status.reported = unknown;
                    } else if let Some(place) = refusal.refused_at {
                        // Observed: reports have only the status the rule names, whatever it says.
                        status.reported = EnhancedStatus::parse(&place).unwrap_or(unknown);
                        status.reply = None;
                        status.diagnostic = None;
                        sorted_as = place.to_ascii_lowercase();
                    }
                }
                recipient.refused_as = refusal.listed_as;
                RecipientState::Failed(status)
            }
            Routed::Deferred(refusal, expected) => {
                match expected {
                    None => self.tell_of_refusal_for_now(&refusal),
                    Some(_) => self.tell_of_deferral(&refusal),
                }
                recipient.expected = expected;
                RecipientState::Deferred(self.status_of(&refusal))
            }
        };
        let mut entry = Entry::new(recipient, parent);
        entry.work = Work::Settled(settled);
        entry.sorted_as = sorted_as;
        Some(entry)
    }

    pub(super) fn set_final_address(&self, entry: &mut Entry) {
        if entry.recipient.final_address.is_some() {
            return;
        }
        let resolved = entry.recipient.triple.as_ref().map(|triple| &triple.user);
        let user = resolved.or(entry.recipient.refused_as.as_ref());
        let user = user.map_or(&entry.recipient.address[..], Vec::as_slice);
        // The empty sender is the local mailer's.
        let sender_mailer = self.envelope.sender.triple.as_ref();
        let sender_mailer = sender_mailer
            .map(|triple| triple.mailer)
            .or_else(|| self.cx.mailers.local());
        let kind = sender_mailer
            .and_then(|mailer| self.cx.mailers.get(mailer).address_type.clone())
            .unwrap_or_else(|| b"rfc822".to_vec());
        // Observed: one that a queue file says an alias named is reported under that.
        let alias = entry.recipient.listed_in.as_deref();
        let alias = alias.filter(|alias| !alias.is_empty());
        let (user, resolved) = match alias {
            Some(alias) => (alias, None),
            None => (user, resolved),
        };
        let printed = alias.unwrap_or(&entry.recipient.address);
        let bare = printed
            .strip_prefix(b"<")
            .and_then(|text| text.strip_suffix(b">"));
        let address = if user.contains(&b'@') && resolved.is_some() {
            user.to_vec()
        } else if printed.contains(&b'@') {
            bare.unwrap_or(printed).to_vec()
        } else {
            [user, b"@", &self.cx.limits.host_name].concat()
        };
        entry.recipient.final_address = Some([&kind[..], b"; ", &address].concat());
    }
}

/// Skips what stands before the next address of a list; none at its end.
pub(super) fn start_of_address(list: &[u8]) -> Option<&[u8]> {
    let start = list
        .iter()
        .position(|byte| !byte.is_ascii_whitespace() && *byte != b',')?;
    Some(&list[start..])
}
