//! Homes of users as H lines see them.

use std::os::unix::ffi::OsStrExt;

use super::Mta;
use crate::envelope::Envelope;

impl Mta {
    /// Returns the home of the last local user among the recipients: what `$z` still is where
    /// the fields of H lines are expanded.
    ///
    /// Observed: 8.17.1.9, where looking for a `.forward` leaves it behind.
    pub fn home_of_last_user(&self, envelope: &Envelope) -> Option<Vec<u8>> {
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
}
