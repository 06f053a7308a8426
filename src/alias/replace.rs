//! Names replaced by what the alias databases have for them.
//!
//! An alias belongs to DefaultUser: its programs and files do. The owner of a list, an
//! alias of its own, hears of errors. Source: guide 2.6 and 4.9.

use std::path::PathBuf;

use super::entry::Work;
use super::expand::Expansion;
use super::hearing::Hearing;
use super::rights::Identity;
use super::telling::shortened;
use crate::smtp::ExitStatus;

impl Expansion<'_, '_, '_> {
    /// Replaces a recipient by what its alias stands for.
    pub(super) fn alias(&mut self, index: usize, depth: u32) {
        let user = self.entries[index].user().to_vec();
        if self.traces(1) {
            self.trace(&[b"alias(", &user, b")"]);
        }
        let found = match self.look_up(&user) {
            Err(()) => return self.defer(index, (4, 3, 0), b"alias database unavailable"),
            Ok(None) => return,
            Ok(Some(_)) if self.cx.limits.verify_only => {
                self.entries[index].verified = true;
                return;
            }
            Ok(Some(found)) => found,
        };
        if self.traces(1) {
            self.trace_alias(index, &found);
        }
        self.say(&[b"aliased to ", shortened(&found).as_slice()].concat());
        self.cx.log.syslog(
            11,
            log::Level::Info,
            self.envelope.id.as_ref().map(|id| id.as_bytes()),
            format_args!(
                "alias {} => {}",
                crate::text::bytes::escape_for_display(&self.entries[index].recipient.address),
                crate::text::bytes::escape_for_display(&shortened(&found))
            ),
        );
        let (uid, _, _) = &self.cx.limits.default_user;
        let identity = Identity {
            uid: *uid,
            gid: 0,
            user: None,
            home: PathBuf::new(),
        };
        let entry = &mut self.entries[index];
        entry.self_reference = false;
        entry.work = Work::Expanded;
        entry.identity = Some(identity);
        entry.recipient.from_alias = true;
        self.add_members(&found, index, depth + 1);
        let entry = &mut self.entries[index];
        if entry.self_reference && entry.work == Work::Expanded {
            entry.work = Work::Ok;
        }
        self.list_owner(index, &user);
    }

    /// Notes the owner of a list: its errors go there.
    fn list_owner(&mut self, index: usize, user: &[u8]) {
        let owner_name = if user.starts_with(b"owner-") {
            b"owner-owner".to_vec()
        } else {
            [b"owner-", user].concat()
        };
        let Ok(Some(owner)) = self.look_up(&owner_name) else {
            return;
        };
        let many = owner.iter().any(|byte| b",:/|\"".contains(byte));
        let entry = &mut self.entries[index];
        entry.recipient.owner = Some(if many {
            owner_name
        } else {
            owner.trim_ascii().to_vec()
        });
        self.note_list(index);
    }

    /// Notes in the transcript that an address is a list.
    pub(super) fn note_list(&mut self, index: usize) {
        let address = &self.entries[index].recipient.address[..];
        let line = [b"Message delivered to mailing list ", address].concat();
        self.envelope.transcript.push_line(&line);
    }

    fn look_up(&mut self, name: &[u8]) -> Result<Option<Vec<u8>>, ()> {
        let name = if name.eq_ignore_ascii_case(b"postmaster") {
            b"postmaster"
        } else {
            name
        };
        let prefix = self.prefixed(b"");
        let mut hearing = Hearing {
            router: &mut *self.cx.router,
            mailers: self.cx.mailers,
            narrator: &mut *self.cx.narrator,
            complaints: &mut *self.cx.complaints,
            log: self.cx.log,
            id: self.envelope.id.as_ref().map(|id| id.as_bytes().to_vec()),
            prefix,
            is_bare: false,
            errors: 0,
            first_error: None,
            exit: ExitStatus::Software,
        };
        let found = self.cx.aliases.look_up(name, &mut hearing);
        if hearing.errors > 0 {
            self.summary.errors += hearing.errors;
            self.summary.exit = Some(hearing.exit);
        }
        if let Some(error) = hearing.first_error.take() {
            self.envelope.message_status.get_or_insert(error);
        }
        if hearing.is_bare {
            self.about = None;
        }
        found.map_err(|_| ())
    }
}
