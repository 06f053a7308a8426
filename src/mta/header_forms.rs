//! What of the header depends on rulesets but on no mailer.
//!
//! Queue files show addresses of the header canonified but for no mailer in particular,
//! lists folded; the message in hand keeps what its author wrote, so that a delivery
//! right away rewrites only once. Observed: 8.17.1.9.

use super::Mta;
use crate::envelope::Envelope;
use crate::macros::MacroTable;
use crate::mailer::Mailer;
use crate::message::address_lines::format_address_header;
use crate::message::header::{Expansion, HeaderTraits};
use crate::rewrite::rename::{Renaming, Surroundings};
use crate::rewrite::{Kept, Place, RewriteWorkspace, Role};

impl Mta {
    /// Notes how queue files show the address fields of a new message.
    pub fn note_stored_headers(&self, envelope: &mut Envelope, buffers: &mut RewriteWorkspace) {
        let domain = self.sender_domain(envelope, buffers);
        let is_old_style =
            self.config.options.headers.old_style_headers && envelope.headers.look_old_style();
        let mut headers = std::mem::take(&mut envelope.headers);
        for field in headers.iter_mut() {
            let traits = field.traits();
            if !traits.holds_addresses() || field.expansion != Expansion::Done {
                continue;
            }
            let role = if traits.has(HeaderTraits::ORIGINATOR) {
                Role::Sender
            } else {
                Role::Recipient
            };
            let old_style = role == Role::Recipient && is_old_style;
            let how = Renaming {
                role,
                place: Place::Header,
                surroundings: Surroundings::Kept,
                sender_domain: domain.as_deref(),
            };
            let mut rewrite =
                |address: &[u8]| self.renamed(address, how, &mut envelope.macros, buffers);
            let text =
                format_address_header(&field.name, &field.value, None, old_style, &mut rewrite);
            let value = text.get(field.name.len() + 1..).unwrap_or_default();
            field.stored = (value != field.value).then(|| value.to_vec());
        }
        envelope.headers = headers;
    }

    /// Returns the home of the last local user among the recipients: what `$z` still is where
    /// the fields of H lines are expanded.
    ///
    /// Observed: 8.17.1.9, where looking for a `.forward` leaves it behind.
    pub fn home_of_last_user(&self, envelope: &Envelope) -> Option<Vec<u8>> {
        use std::os::unix::ffi::OsStrExt;
        let mut recipients = envelope.recipients.iter().rev();
        recipients.find_map(|recipient| {
            let triple = recipient.triple.as_ref()?;
            if !self.config.mailers.get(triple.mailer).has(b'w') {
                return None;
            }
            let user = self.users.user_by_name(&triple.user).ok()??;
            Some(user.home.as_os_str().as_bytes().to_vec())
        })
    }

    /// Returns the sender's `@domain` if his mailer wants it added to bare addresses (F=C).
    pub fn sender_domain(
        &self,
        envelope: &mut Envelope,
        buffers: &mut RewriteWorkspace,
    ) -> Option<Vec<u8>> {
        let triple = envelope.sender.triple.as_ref()?;
        if !self.config.mailers.get(triple.mailer).has(b'C') {
            return None;
        }
        let how = Renaming {
            role: Role::Sender,
            place: Place::Envelope,
            surroundings: Surroundings::Dropped,
            sender_domain: None,
        };
        let address = envelope.sender.address.clone();
        let sender = self.renamed(&address, how, &mut envelope.macros, buffers);
        let at = sender.iter().rposition(|byte| *byte == b'@')?;
        Some(sender[at..].trim_ascii_end().to_vec())
    }

    fn renamed(
        &self,
        address: &[u8],
        how: Renaming<'_>,
        macros: &mut MacroTable,
        buffers: &mut RewriteWorkspace,
    ) -> Vec<u8> {
        let nobody = Mailer::new(b"", b"");
        // The reference does not do this work, and tells nothing of it.
        let mut trace = Kept::default();
        let mut cx = self.rewrite_context(macros, None, &mut trace, buffers);
        match cx.rename(address, &nobody, how) {
            Ok(renamed) => renamed,
            Err(failure) => failure.address,
        }
    }
}
