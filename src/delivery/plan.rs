//! Recipients into transactions: who is delivered to in one call of a mailer.
//!
//! A mailer with F=m takes all recipients of one host together, up to its `r=`
//! limit; any other mailer is called once for each recipient. Order is kept:
//! the first recipient of a transaction decides when it comes.
//!
//! Source: guide 5.4, flag m and field r=.

use crate::envelope::{Envelope, RecipientState};
use crate::mailer::{MailerId, MailerTable};

/// One call of a mailer: a host and the recipients there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The mailer.
    pub mailer: MailerId,
    /// The `$@` part that all recipients share, in the first one's spelling.
    pub host: Vec<u8>,
    /// Indexes of the recipients in the envelope, in its order.
    pub recipients: Vec<usize>,
}

/// Groups the recipients that are still to be delivered to.
///
/// Recipients without a mailer triple are left out: they were not resolved.
pub fn plan(envelope: &Envelope, mailers: &MailerTable) -> Vec<Transaction> {
    let mut transactions: Vec<Transaction> = Vec::new();
    for (index, recipient) in envelope.recipients.iter().enumerate() {
        let RecipientState::Pending = recipient.state else {
            continue;
        };
        let Some(triple) = &recipient.triple else {
            continue;
        };
        let mailer = mailers.get(triple.mailer);
        let most = usize::try_from(mailer.max_recipients.max(1)).unwrap_or(usize::MAX);
        let shared = transactions.iter_mut().find(|transaction| {
            mailer.has(b'm')
                && transaction.mailer == triple.mailer
                && transaction.host.eq_ignore_ascii_case(&triple.host)
                && transaction.recipients.len() < most
        });
        match shared {
            Some(transaction) => transaction.recipients.push(index),
            None => transactions.push(Transaction {
                mailer: triple.mailer,
                host: triple.host.clone(),
                recipients: vec![index],
            }),
        }
    }
    transactions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Recipient;
    use crate::mailer::{Mailer, MailerFlags, MailerTriple};

    fn recipient(mailer: MailerId, host: &[u8], user: &[u8]) -> Recipient {
        let mut recipient = Recipient::new(user);
        recipient.triple = Some(MailerTriple {
            mailer,
            host: host.to_vec(),
            user: user.to_vec(),
        });
        recipient
    }

    fn mailers() -> (MailerTable, MailerId, MailerId) {
        let mut table = MailerTable::default();
        let mut many = Mailer::new(b"many", b"[IPC]");
        many.flags = MailerFlags::from_bytes(b"m");
        many.max_recipients = 2;
        let many = table.insert(many).unwrap();
        let single = table.insert(Mailer::new(b"single", b"/bin/cat")).unwrap();
        (table, many, single)
    }

    #[test]
    fn a_host_is_visited_once_up_to_the_recipient_limit() {
        let (table, many, single) = mailers();
        let envelope = Envelope {
            recipients: vec![
                recipient(many, b"a.test", b"1"),
                recipient(many, b"b.test", b"2"),
                recipient(many, b"A.test", b"3"),
                recipient(many, b"a.test", b"4"),
                recipient(single, b"", b"5"),
                recipient(single, b"", b"6"),
            ],
            ..Envelope::default()
        };
        let groups: Vec<Vec<usize>> = plan(&envelope, &table)
            .into_iter()
            .map(|transaction| transaction.recipients)
            .collect();
        assert_eq!(groups, [vec![0, 2], vec![1], vec![3], vec![4], vec![5]]);
    }

    #[test]
    fn the_done_and_the_unresolved_are_left_out() {
        let (table, many, _) = mailers();
        let mut done = recipient(many, b"a.test", b"1");
        done.state = RecipientState::Expanded;
        let envelope = Envelope {
            recipients: vec![done, Recipient::new(&b"x"[..])],
            ..Envelope::default()
        };
        assert!(plan(&envelope, &table).is_empty());
    }
}
