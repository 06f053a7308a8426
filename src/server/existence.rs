//! Does a recipient exist, and who is behind it: aliases, users, lists.
//!
//! The expansion of [`crate::alias`] does the work. What it complains about first
//! becomes the reply to the client; in modes that deliver later it only verifies.

use std::sync::Arc;

use super::session::{Call, Session};
use super::verb::Depth;
use super::wording;
use crate::alias::expand::Expansion;
use crate::envelope::{Envelope, Recipient};
use crate::logging::narrator::Silent;
use crate::macros::MacroId;
use crate::mta::routing::{ExpansionFlags, Routing};
use crate::smtp::Reply;

impl Session {
    /// Adds a recipient to the envelope; returns the refusal if something is wrong with it.
    pub(super) fn expand_recipient(
        &mut self,
        recipient: Recipient,
        depth: Depth,
        call: &mut Call<'_>,
    ) -> Option<Reply> {
        let address = recipient.address.clone();
        let mut envelope = std::mem::take(&mut *self.envelope);
        // Who is refused leaves nobody behind, and the reply to come notes what went wrong.
        let (before, trouble) = (envelope.recipients.clone(), envelope.message_status.clone());
        let is_logged = true;
        let complaint = self.run_expansion(&mut envelope, depth, is_logged, call, |expansion| {
            expansion.add(recipient, true);
        });
        if complaint.is_some() {
            (envelope.recipients, envelope.message_status) = (before, trouble);
        }
        *self.envelope = envelope;
        complaint.map(|reply| shorten_address(reply, &address))
    }

    /// Expands a list of addresses for VRFY and EXPN, outside of the envelope at hand.
    pub(super) fn expand_list(
        &mut self,
        list: &[u8],
        depth: Depth,
        call: &mut Call<'_>,
    ) -> (Vec<Recipient>, Option<Reply>) {
        let mut envelope = Envelope {
            id: self.envelope.id.clone(),
            sender: self.envelope.sender.clone(),
            macros: self.envelope.macros.clone(),
            ..Envelope::default()
        };
        let complaint = self.run_expansion(&mut envelope, depth, false, call, |expansion| {
            expansion.add_list_text(list, &Recipient::new(Vec::new()));
        });
        (envelope.recipients, complaint)
    }

    fn run_expansion(
        &mut self,
        envelope: &mut Envelope,
        depth: Depth,
        logs_errors: bool,
        call: &mut Call<'_>,
        work: impl FnOnce(&mut Expansion<'_, '_, '_>),
    ) -> Option<Reply> {
        let mta = Arc::clone(&self.mta);
        let mut macros = std::mem::take(&mut envelope.macros);
        let transcript = std::mem::take(&mut envelope.transcript);
        let flags = ExpansionFlags {
            verify_only: depth == Depth::Verify,
            ..ExpansionFlags::default()
        };
        let mut limits = mta.expansion_limits(flags);
        limits.logs_errors = logs_errors;
        let (mut narrator, mut complaints) = (Silent, Silent);
        let mut router = Routing::new(&mta, &mut macros, &mut call.workspace.rewrite);
        let mut cx = mta.expand_context(&mut router, &limits, &mut narrator, &mut complaints);
        let mut expansion = Expansion::new(envelope, &mut cx);
        work(&mut expansion);
        expansion.finish();
        if let Some(left) = router.left_behind {
            // Observed: 8.17.1.9, where looking for a `.forward` leaves `$u`, `$h` and `$z` behind.
            for id in [MacroId::U, MacroId::H, MacroId::Z] {
                macros.set_text(id, left.text(id).unwrap_or(b""));
            }
        }
        envelope.macros = macros;
        let told = std::mem::replace(&mut envelope.transcript, transcript);
        first_refusal(told.as_bytes())
    }
}

/// Finds the first line of a transcript that is a refusal.
fn first_refusal(transcript: &[u8]) -> Option<Reply> {
    transcript
        .split(|octet| *octet == b'\n')
        .filter_map(|line| Reply::from_text(line).ok())
        .find(|reply| reply.code.is_temporary() || reply.code.is_permanent())
}

/// Cuts the middle out of a long address in front of a refusal.
fn shorten_address(mut reply: Reply, address: &[u8]) -> Reply {
    let front = [address, b"... "].concat();
    let rest = reply
        .text()
        .strip_prefix(front.as_slice())
        .map(<[u8]>::to_vec);
    if let Some(rest) = rest {
        reply.lines = vec![rest];
        return wording::about(address, reply);
    }
    wording::complete(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_refusal_is_the_reply() {
        let text =
            b"Message delivered to mailing list x\n550 5.1.1 y... User unknown\n551 5.0.0 z\n";
        let reply = first_refusal(text).expect("a refusal");
        assert_eq!(reply.last_line(), b"550 5.1.1 y... User unknown");
        assert_eq!(first_refusal(b"250 2.1.5 fine\n"), None);
    }

    #[test]
    fn long_addresses_lose_their_middle() {
        let address = [b'y'; 400];
        let text = [b"550 5.1.1 ".as_slice(), &address, b"... User unknown"].concat();
        let reply = shorten_address(wording::reply(&text), &address);
        assert!(reply.text().len() < 230);
        assert!(reply.text().ends_with(b"... User unknown"));
    }
}
