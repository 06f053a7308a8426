//! `/parse` and `/try`.
//!
//! Observed: 8.17.1.9.

use super::command::split_word;
use super::session::TestMode;
use crate::mailer::MailerTriple;
use crate::message::address::AddressTemplate;
use crate::rewrite::rename::{Renaming, Surroundings};
use crate::rewrite::resolve::{ErrorSource, Resolved, Resolving};
use crate::rewrite::{Place, Resolution, Role, RuleError, Trace};
use crate::smtp::ExitStatus;
use crate::text::bytes::skip_spaces;
use crate::token::print::print_word;
use crate::token::{Complaint, Mark};

/// What is told when a map could not answer while an address was parsed.
const TRANSIENT: &[u8] = b"450 Transient parse error -- message queued for future delivery";

/// Says whether an address waits for a map that could not answer; what is refused for good need not.
pub(super) fn waits(resolved: &Resolved) -> bool {
    match &resolved.resolution {
        Resolution::Mailer(_) => false,
        Resolution::Deferred(_) => true,
        Resolution::Error(error) => {
            resolved.is_deferred
                && matches!(error.source, ErrorSource::Mailer { .. })
                && error.reply.code.class() == 4
        }
    }
}

impl TestMode<'_> {
    fn kind_of_address(&self) -> &'static str {
        match (self.place, self.role) {
            (Place::Header, Role::Sender) => "header sender",
            (Place::Header, Role::Recipient) => "header recipient",
            (Place::Envelope, Role::Sender) => "envelope sender",
            (Place::Envelope, Role::Recipient) => "envelope recipient",
        }
    }

    /// `/tryflags`: whose address the next ones are, and where they stand.
    pub(super) fn try_flags(&mut self, letters: &[u8]) {
        for letter in letters {
            match letter.to_ascii_lowercase() {
                b'h' => self.place = Place::Header,
                b'e' => self.place = Place::Envelope,
                b's' => self.role = Role::Sender,
                b'r' => self.role = Role::Recipient,
                _ => {}
            }
        }
        self.set_address_type();
    }

    /// `/try`: rewrites an address for a mailer.
    pub(super) fn try_mailer(&mut self, argument: &[u8]) {
        let (name, address) = split_word(argument);
        let address = skip_spaces(address.unwrap_or(b""));
        if address.is_empty() {
            self.printed.line(b"Usage: /try mailer address");
            return;
        }
        let Some(id) = self.config.mailers.find(name) else {
            self.printed
                .line(&[b"Unknown mailer ".as_slice(), name].concat());
            return;
        };
        let kind = self.kind_of_address().as_bytes();
        self.printed.parts(&[
            b"Trying ",
            kind,
            b" address ",
            address,
            b" for mailer ",
            name,
        ]);
        let how = Renaming {
            role: self.role,
            place: self.place,
            surroundings: Surroundings::Kept,
            sender_domain: None,
        };
        let renamed = self.with_rewriting(|cx| cx.rename(address, cx.mailers.get(id), how));
        let (status, address) = match renamed {
            Ok(address) => (ExitStatus::Ok, address),
            Err(failure) => (ExitStatus::TempFail, failure.address),
        };
        let number = status.number().to_string();
        self.printed
            .parts(&[b"Rcode = ", number.as_bytes(), b", addr = ", &address]);
    }

    /// `/parse`: resolves an address.
    pub(super) fn parse_address(&mut self, address: &[u8]) {
        let cracked =
            AddressTemplate::of(address, &self.phrases()).apply(&[Mark::Macro.octet(), b'g']);
        let mut line = b"Cracked address = ".to_vec();
        print_word(&cracked, &self.config.names, &mut line);
        self.printed.line(&line);
        let kind = self.kind_of_address();
        self.printed
            .parts(&[b"Parsing ", kind.as_bytes(), b" address"]);
        let how = Resolving {
            role: self.role,
            place: self.place,
            delimiter: None,
        };
        // The ruleset that picks a queue group can be watched, too.
        let resolved = self.with_rewriting(|cx| {
            cx.resolve_then(address, how, |cx, triple| {
                cx.ask_ruleset(b"queuegroup", &[triple.user.as_slice()]);
            })
        });
        if waits(&resolved) {
            self.tell_of_wait(address);
        }
        match resolved.resolution {
            Resolution::Mailer(triple) | Resolution::Deferred(triple) => self.show_triple(&triple),
            Resolution::Error(error) => {
                self.remember(&error);
                self.show_error(error);
            }
        }
    }

    /// Tells that an address could not be parsed for now.
    pub(super) fn tell_of_wait(&mut self, address: &[u8]) {
        self.printed.complain(Complaint {
            about: address.to_vec(),
            text: TRANSIENT.to_vec(),
        });
    }

    fn show_error(&mut self, error: RuleError) {
        match error.source {
            ErrorSource::Syntax => self.printed.line(b"Cannot parse"),
            // Observed: 8.17.1.9 leaves the mailer when something before could not be told yet.
            ErrorSource::Rules(Some(mailer)) if self.printed.exit == ExitStatus::TempFail => {
                let name = self.config.mailers.get(mailer).name.clone();
                self.show_parts(&name, b"", b"");
            }
            ErrorSource::Rules(_) => self.printed.line(b"mailer *error*, user "),
            ErrorSource::Mailer { host, user } => {
                self.show_parts(b"*error*", host.as_deref().unwrap_or(b""), &user);
            }
            ErrorSource::Mailbox(triple) => self.show_triple(&triple),
        }
    }

    fn show_triple(&mut self, triple: &MailerTriple) {
        let name = self.config.mailers.get(triple.mailer).name.clone();
        self.show_parts(&name, &triple.host, &triple.user);
    }

    fn show_parts(&mut self, mailer: &[u8], host: &[u8], user: &[u8]) {
        let before_host: &[u8] = match host {
            b"" => b"",
            _ => b", host ",
        };
        self.printed
            .parts(&[b"mailer ", mailer, before_host, host, b", user ", user]);
    }
}
