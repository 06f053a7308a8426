//! Whose rights programs, files and lists get, and who may name them.
//!
//! What an alias names belongs to DefaultUser, what a .forward names to its user, what a
//! list names to the owner of the file, unless a user's .forward names the list.
//! Source: guide section 4.9; observed: 8.17.1.9 for lists in a .forward.

use std::path::PathBuf;

use super::entry::Entry;
use super::expand::Expansion;
use crate::envelope::ControllingUser;
use crate::smtp::ExitStatus;
use crate::sys::identity::User;

/// Whose rights an entry gives to its children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) user: Option<Vec<u8>>,
    pub(super) home: PathBuf,
}

impl Expansion<'_, '_, '_> {
    pub(super) fn shell_is_fine(&self, user: &User) -> bool {
        user.shell.as_os_str().is_empty()
            || self.cx.router.is_trusted(&user.name)
            || self.cx.users.shell_is_valid(&user.shell)
    }

    /// Refuses a program or file that nobody may name, or whose owner may not use it.
    pub(super) fn refuse_where_unsafe(&mut self, entry: &mut Entry, what: &str) {
        let exit = ExitStatus::Usage;
        if entry.parent.is_none() && entry.recipient.controlling_user.is_some() {
            // It was allowed before it went to the queue.
            return;
        }
        let Some(parent) = entry.parent.filter(|_| !self.cx.limits.plain_only) else {
            let text = format!("Cannot mail directly to {what}");
            return self.fail_entry(entry, 550, (5, 7, 1), exit, text.as_bytes());
        };
        let parent = &self.entries[parent];
        let text = if parent.bogus_shell {
            match parent
                .identity
                .as_ref()
                .map(|identity| (&identity.user, identity.uid))
            {
                Some((None, uid)) => {
                    format!("UID {uid} is an unknown user: cannot mail to {what}").into_bytes()
                }
                Some((Some(user), _)) => {
                    let ending = format!(" doesn't have a valid shell for mailing to {what}");
                    let host = &self.cx.limits.host_name;
                    [b"User ", &user[..], b"@", host, ending.as_bytes()].concat()
                }
                None => return,
            }
        } else if parent.unsafe_file {
            let ending = format!(" is unsafe for mailing to {what}");
            [
                b"Address ",
                &parent.recipient.address[..],
                ending.as_bytes(),
            ]
            .concat()
        } else {
            return;
        };
        self.fail_entry(entry, 550, (5, 7, 1), exit, &text);
    }

    /// Returns whose rights an entry has: its own, or those of the list it came from.
    pub(super) fn controlling_user(&self, index: usize) -> Option<ControllingUser> {
        let parent = self.entries[index].parent?;
        let mut chain = std::iter::successors(Some(index), |at| self.entries[*at].parent);
        let owner = chain.find(|at| self.entries[*at].identity.is_some())?;
        let identity = self.entries[owner].identity.as_ref()?;
        let owner_user = self.entries[owner].user();
        let named_by = if owner == index { parent } else { owner };
        Some(ControllingUser {
            name: identity.user.clone().unwrap_or_else(|| owner_user.to_vec()),
            uid: identity.uid,
            gid: identity.gid,
            home: identity.home.clone(),
            alias: self.entries[named_by].recipient.address.clone(),
        })
    }

    /// Returns whose rights open the lists an entry names.
    pub(super) fn opener(&self, index: usize) -> Option<&Identity> {
        let mut chain = std::iter::successors(Some(index), |at| self.entries[*at].parent);
        chain.find_map(|at| self.entries[at].identity.as_ref())
    }
}
