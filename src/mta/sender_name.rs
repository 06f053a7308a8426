//! What a sender is called: by himself, by the user database, by the rules.
//!
//! A mailer with F=@ has its senders looked up in the user database; the mail name found
//! there is what becomes `$f`. Mailers and queue files go on using the address as it was
//! given, unless the sender's mailer has F=i too. Observed: 8.17.1.9.
//!
//! Source: guide 5.4, flags F=i and F=j.

use super::Mta;
use crate::macros::MacroTable;
use crate::mailer::{Mailer, MailerTriple};
use crate::rewrite::rename::{Renaming, Surroundings};
use crate::rewrite::{Kept, Place, RewriteWorkspace, Role};

impl Mta {
    /// Returns the name the user database has for a sender of a mailer with F=@.
    pub fn mail_name(&self, triple: &MailerTriple, id: Option<&[u8]>) -> Option<Vec<u8>> {
        if !self.config.mailers.get(triple.mailer).has(b'@') {
            return None;
        }
        let userdb = &self.maps.services().userdb;
        userdb.mail_name(&triple.user, id)
    }

    /// Returns what mailers and queue files call a sender instead of his address (F=i).
    pub fn public_name(&self, triple: &MailerTriple, canonical: &[u8]) -> Option<Vec<u8>> {
        let mailer = self.config.mailers.get(triple.mailer);
        (mailer.has(b'i') && !canonical.is_empty()).then(|| canonical.to_vec())
    }

    /// Rewrites a sender without any mailer's rules: `$f`.
    pub fn canonical_sender(
        &self,
        address: &[u8],
        macros: &mut MacroTable,
        buffers: &mut RewriteWorkspace,
    ) -> Vec<u8> {
        let mut trace = Kept::traced(&self.debug);
        let mut cx = self.rewrite_context(macros, None, &mut trace, buffers);
        let how = Renaming {
            role: Role::Sender,
            place: Place::Envelope,
            surroundings: Surroundings::Dropped,
            sender_domain: None,
        };
        let nobody = Mailer::new(b"", b"");
        match cx.rename(address, &nobody, how) {
            Ok(canonical) => canonical,
            Err(failure) => failure.address,
        }
    }
}
