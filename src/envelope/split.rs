//! One envelope into several: by owner, by queue group, by recipient limit.
//!
//! Every part keeps the whole list of recipients, so that reports can say which
//! list an address came from; those that belong to another part are `Dropped` in
//! it. The first part is the original and keeps its identifier.
//!
//! Recipients of an `owner-` list move to a part whose sender is the owner, those
//! that failed already included: their report goes to the owner. Observed: 8.17.1.9
//! makes such a part even when the list was the only recipient.

use std::collections::BTreeMap;

use super::dsn::{Notify, NotifyWhen};
use super::flags::EnvelopeFlags;
use super::message::{Envelope, Sender};
use super::recipient::{Recipient, RecipientState};

/// Moves recipients with an owner into envelopes of their own, one for each owner.
///
/// The original stays first; the others come in the order in which their owners
/// appear and have no identifier yet.
pub fn by_owner(mut original: Envelope) -> Vec<Envelope> {
    let mut owners: Vec<Vec<u8>> = Vec::new();
    for recipient in original.recipients.iter().filter(|r| matters(r)) {
        if let Some(owner) = owner_of(&original, recipient)
            // Whoever sends to his own list needs no other message for his reports.
            && owner != original.sender.address
            && !owners.iter().any(|known| known == owner)
        {
            owners.push(owner.to_vec());
        }
    }
    let mut parts = Vec::with_capacity(owners.len() + 1);
    for owner in owners {
        let mine = |recipient: &&Recipient| {
            matters(recipient) && owner_of(&original, recipient) == Some(&owner)
        };
        let indices = indices_of(&original, mine);
        let mut part = take_out_indices(&mut original, &indices);
        for recipient in &mut part.recipients {
            recipient.notify = without_success(recipient.notify);
        }
        part.message_status = None;
        part.sender = Sender {
            address: owner.clone(),
            ..Sender::default()
        };
        parts.push(part);
    }
    parts.insert(0, original);
    parts
}

/// Splits open recipients by queue group, and each group's into pieces of at most its limit.
///
/// Recipients without a group belong to that of the envelope, whose first piece stays
/// the original. `limit_of` tells the most recipients of a group's envelope (0 for no
/// limit). The parts of other groups come behind it, then the further pieces of its own.
///
/// Source: guide 5.10; order observed: 8.17.1.9.
pub fn by_queue_group(mut original: Envelope, limit_of: &dyn Fn(usize) -> usize) -> Vec<Envelope> {
    let home = original.queue_group;
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, recipient) in original.recipients.iter().enumerate() {
        if recipient.state.is_open() {
            let group = recipient.queue_group.unwrap_or(home);
            groups.entry(group).or_default().push(index);
        }
    }
    let own = groups.remove(&home).unwrap_or_default();
    let mut pieces: Vec<(usize, Vec<usize>)> = Vec::new();
    for (group, members) in groups {
        pieces.extend(cut(&members, limit_of(group)).map(|piece| (group, piece)));
    }
    pieces.extend(cut(&own, limit_of(home)).skip(1).map(|piece| (home, piece)));
    if !pieces.is_empty() {
        original.flags.insert(EnvelopeFlags::SPLIT);
    }
    let mut parts = Vec::with_capacity(pieces.len() + 1);
    for (group, members) in pieces {
        let mut part = take_out_indices(&mut original, &members);
        part.queue_group = group;
        parts.push(part);
    }
    parts.insert(0, original);
    parts
}

/// Cuts a list into pieces of at most `limit` members; 0 is no limit.
fn cut(members: &[usize], limit: usize) -> impl Iterator<Item = Vec<usize>> {
    let size = match limit {
        0 => members.len().max(1),
        limit => limit,
    };
    members.chunks(size).map(<[usize]>::to_vec)
}

/// Takes receipts out of what is notified: the list has got the message, and that was told.
fn without_success(notify: Notify) -> Notify {
    match notify {
        Notify::On(when) if when.failure || when.delay => Notify::On(NotifyWhen {
            success: false,
            ..when
        }),
        Notify::On(_) | Notify::Never => Notify::Never,
        Notify::Default => Notify::Default,
        Notify::Recorded(when) => Notify::Recorded(NotifyWhen {
            success: false,
            ..when
        }),
    }
}

/// Tells whether [`by_owner`] would make more than one envelope.
pub fn has_owners(envelope: &Envelope) -> bool {
    let mut living = envelope
        .recipients
        .iter()
        .filter(|recipient| matters(recipient));
    living.any(|recipient| owner_of(envelope, recipient).is_some())
}

/// Tells the owner of the nearest list a recipient came from, if any has one.
///
/// A list itself carries its owner too: what expands it moves to the owner's part.
pub fn owner_of<'e>(envelope: &'e Envelope, recipient: &'e Recipient) -> Option<&'e [u8]> {
    let mut at = recipient;
    // Ancestors come from elsewhere: a cycle must not hang us.
    for _ in 0..=envelope.recipients.len() {
        if let Some(owner) = &at.owner {
            return Some(owner);
        }
        at = envelope.recipients.get(at.expanded_from?)?;
    }
    None
}

/// Tells whether a recipient still leads to a delivery or a report.
fn matters(recipient: &Recipient) -> bool {
    match recipient.state {
        RecipientState::Pending | RecipientState::Deferred(_) | RecipientState::Failed(_) => true,
        RecipientState::Expanded | RecipientState::Delivered(_) | RecipientState::Dropped => false,
    }
}

fn indices_of(envelope: &Envelope, mine: impl Fn(&&Recipient) -> bool) -> Vec<usize> {
    let all = envelope.recipients.iter().enumerate();
    all.filter(|(_, recipient)| mine(recipient))
        .map(|(index, _)| index)
        .collect()
}

/// Makes a part of the recipients with these indices, which the original loses.
fn take_out_indices(original: &mut Envelope, indices: &[usize]) -> Envelope {
    let mut part = original.clone();
    part.id = None;
    for (index, recipient) in part.recipients.iter_mut().enumerate() {
        if !indices.contains(&index) {
            recipient.state = RecipientState::Dropped;
        }
    }
    for &index in indices {
        if let Some(recipient) = original.recipients.get_mut(index) {
            recipient.state = RecipientState::Dropped;
        }
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(recipients: &[(&str, Option<&str>)]) -> Envelope {
        let make = |(address, owner): &(&str, Option<&str>)| Recipient {
            owner: owner.map(|owner| owner.as_bytes().to_vec()),
            ..Recipient::new(*address)
        };
        let sender = Sender {
            address: b"ann".to_vec(),
            ..Sender::default()
        };
        Envelope {
            sender,
            recipients: recipients.iter().map(make).collect(),
            ..Envelope::default()
        }
    }

    fn open(envelope: &Envelope) -> Vec<String> {
        let open = envelope.recipients.iter().filter(|r| r.state.is_open());
        open.map(|r| String::from_utf8_lossy(&r.address).into_owned())
            .collect()
    }

    #[test]
    fn each_owner_gets_a_part() {
        let parts = by_owner(envelope(&[
            ("bob", Some("fay")),
            ("cid", None),
            ("joe", Some("fay")),
            ("dan", Some("eve")),
        ]));
        let seen: Vec<_> = parts
            .iter()
            .map(|part| (part.sender.address.as_slice(), open(part)))
            .collect();
        assert_eq!(seen[0], (&b"ann"[..], vec!["cid".to_owned()]));
        assert_eq!(
            seen[1],
            (&b"fay"[..], vec!["bob".to_owned(), "joe".to_owned()])
        );
        assert_eq!(seen[2], (&b"eve"[..], vec!["dan".to_owned()]));
        assert!(parts.iter().all(|part| part.recipients.len() == 4));
    }

    #[test]
    fn without_owners_nothing_is_split() {
        assert_eq!(by_owner(envelope(&[("bob", None)])).len(), 1);
    }

    #[test]
    fn groups_and_limits_make_pieces() {
        let all = envelope(&[
            ("a1", None),
            ("b1", None),
            ("a2", None),
            ("a3", None),
            ("b2", None),
        ]);
        let mut all = all;
        for recipient in &mut all.recipients {
            recipient.queue_group = recipient.address.starts_with(b"b").then_some(1);
        }
        let limit_of = |group: usize| if group == 0 { 2 } else { 0 };
        for (home, wanted) in [
            (0, vec![(0, "a1 a2"), (1, "b1 b2"), (0, "a3")]),
            // Who has no group of his own stays in that of the envelope.
            (1, vec![(1, "a1 b1 a2 a3 b2")]),
            (2, vec![(2, "a1 a2 a3"), (1, "b1 b2")]),
        ] {
            all.queue_group = home;
            let parts = by_queue_group(all.clone(), &limit_of);
            let seen: Vec<_> = parts
                .iter()
                .map(|part| (part.queue_group, open(part).join(" ")))
                .collect();
            let wanted: Vec<_> = wanted.iter().map(|(g, w)| (*g, (*w).to_owned())).collect();
            assert_eq!(seen, wanted, "{home}");
        }
    }

    #[test]
    fn an_original_whose_recipients_all_live_elsewhere_has_none() {
        let mut all = envelope(&[("b1", None), ("b2", None)]);
        for recipient in &mut all.recipients {
            recipient.queue_group = Some(1);
        }
        let parts = by_queue_group(all, &|_| 1);
        let seen: Vec<_> = parts.iter().map(open).collect();
        assert_eq!(seen, [vec![], vec!["b1".to_owned()], vec!["b2".to_owned()]]);
    }
}
