//! What alias databases say while a recipient is looked up.
//!
//! Remarks go to whoever watches (`-v`), errors to the sender and the log. The
//! numbers of a text version clear the address in front of what follows.
//! Observed: 8.17.1.9.

use super::context::{Routed, Router};
use crate::logging::narrator::Narrator;
use crate::logging::record::{MailLog, Severity};
use crate::mailer::MailerTable;
use crate::map::{AliasName, LookupHost};
use crate::smtp::ExitStatus;
use crate::text::bytes::printable;

/// Listens for one lookup.
pub(super) struct Hearing<'h> {
    pub router: &'h mut dyn Router,
    pub mailers: &'h MailerTable,
    pub narrator: &'h mut dyn Narrator,
    pub complaints: &'h mut dyn Narrator,
    pub log: &'h MailLog,
    pub id: Option<Vec<u8>>,
    /// What stands in front of a remark: place and address.
    pub prefix: Vec<u8>,
    /// Whether the prefix was cleared.
    pub is_bare: bool,
    /// How many errors were told.
    pub errors: u32,
    /// The first of them: why the message waits.
    pub first_error: Option<Vec<u8>>,
    /// The exit status they leave.
    pub exit: ExitStatus,
}

impl LookupHost for Hearing<'_> {
    fn set_macro(&mut self, _name: &[u8], _value: Option<&[u8]>) -> bool {
        true
    }

    fn complain(&mut self, text: &[u8]) {
        self.errors += 1;
        self.first_error.get_or_insert_with(|| text.to_vec());
        self.complaints.say(text);
        let id = self.id.as_deref().or(Some(b"NOQUEUE"));
        let text = printable(text);
        self.log.syslog(
            0,
            Severity::Critical,
            id,
            format_args!("SYSERR(root): {text}"),
        );
    }

    fn complain_of_system(&mut self, text: &[u8]) {
        self.complain(text);
        self.exit = ExitStatus::OsError;
    }

    fn narrate(&mut self, text: &[u8]) {
        self.narrator.say(&[&self.prefix, text].concat());
    }

    fn summarize(&mut self, text: &[u8]) {
        self.is_bare = true;
        self.prefix.clear();
        self.narrate(text);
    }

    fn judge_alias(&mut self, place: &[u8], name: &[u8]) -> AliasName {
        let mut told = Vec::new();
        let shown = name.trim_ascii().to_vec();
        match self.router.resolve(name, None, &mut told).0 {
            Routed::To(triple) if self.mailers.get(triple.mailer).has(b'A') => AliasName::Local {
                user: triple.user,
                shown,
            },
            Routed::To(_) => AliasName::NotLocal(shown),
            Routed::Refused(refusal) => {
                self.complaints
                    .say(&[place, &shown, b"... ", &refusal.text].concat());
                AliasName::Unparsable
            }
            Routed::Deferred(..) | Routed::Discarded => AliasName::Local {
                user: shown.clone(),
                shown,
            },
        }
    }
}
