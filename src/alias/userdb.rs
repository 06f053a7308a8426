//! Recipients of mailers with F=@ are looked up in the user database.
//!
//! It comes after the aliases and before ruleset 5 and .forward. A database that cannot
//! be read keeps the recipient in the queue. Observed: 8.17.1.9; flag -n, which turns
//! aliases off, does not turn this off.
//!
//! Source: guide 5.6, option UserDatabaseSpec.

use super::entry::Work;
use super::expand::Expansion;
use super::telling::shortened;
use crate::logging::record::Severity;
use crate::map::UserdbExpansion;
use crate::smtp::ExitStatus;
use crate::text::bytes::printable;

/// LogLevel from which each expansion is told. Observed: 8.17.1.9.
const EXPANSION_LOG_LEVEL: u8 = 11;
/// LogLevel from which a database that cannot be read is told. Observed: 8.17.1.9.
const DEFERRAL_LOG_LEVEL: u8 = 9;

impl Expansion<'_, '_, '_> {
    /// Replaces a recipient by what the user database has for it.
    pub(super) fn user_database(&mut self, index: usize, depth: u32) {
        let userdb = self.cx.userdb;
        if userdb.is_empty() {
            return;
        }
        self.tell_faults_of_option();
        let user = self.entries[index].user().to_vec();
        let shown = self.entries[index].recipient.address.clone();
        let id = self.envelope.id.clone();
        let id = id.as_ref().map(|id| id.as_bytes());
        let (list, owner, is_logged) = match userdb.expansion(&user, &shown, id) {
            Ok(UserdbExpansion::Nothing) => return,
            Ok(UserdbExpansion::Members { list, owner }) => (list, owner, true),
            Ok(UserdbExpansion::Forwarded(address)) => (address, None, false),
            Err(unavailable) => {
                let log = self.cx.log;
                let text = format_args!("deferred: udbexpand: {unavailable}");
                log.syslog(DEFERRAL_LOG_LEVEL, log::Level::Info, id, text);
                self.say(format!("queued (user database error): {unavailable}").as_bytes());
                return self.defer(index, (4, 3, 0), b"Deferred: user database error");
            }
        };
        if self.cx.limits.verify_only {
            self.entries[index].verified = true;
            return;
        }
        self.say(&[b"expanded to ", list.as_slice()].concat());
        if is_logged {
            let (shown, list) = (printable(&shown), printable(&shortened(&list)));
            let text = format_args!("expand {shown} => {list}");
            let log = self.cx.log;
            log.syslog(EXPANSION_LOG_LEVEL, log::Level::Info, id, text);
        }
        let entry = &mut self.entries[index];
        entry.self_reference = false;
        entry.work = Work::Expanded;
        self.add_members(&list, index, depth + 1);
        let is_blank = list.iter().all(|octet| b" \t,".contains(octet));
        let entry = &mut self.entries[index];
        if entry.work == Work::Expanded && (entry.self_reference || is_blank) {
            entry.work = Work::Ok;
        }
        if let Some(owner) = owner {
            self.entries[index].recipient.owner = Some(owner);
            self.note_list(index);
        }
    }

    /// Tells what is wrong with the option, once in the life of the program.
    fn tell_faults_of_option(&mut self) {
        for complaint in self.cx.userdb.complaints() {
            self.summary.errors += 1;
            self.summary.exit = Some(ExitStatus::Software);
            self.cx.complaints.say(complaint);
            let id = Some(self.envelope.id_for_log());
            let text = format_args!("SYSERR(root): {}", printable(complaint));
            self.cx.log.syslog(0, Severity::Critical, id, text);
        }
    }
}
