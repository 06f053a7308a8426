//! Asking the rulesets: hooks, features, addresses.
//!
//! Everything the session wants from rewriting passes through here: macros of the
//! envelope in front of those of the configuration, verdicts logged where the
//! reference logs them.

use std::sync::Arc;

use super::session::{Call, Session};
use super::wording;
use crate::config::HeaderCheck;
use crate::envelope::set_process_macros;
use crate::logging::record::Severity;
use crate::macros::{MacroId, Macros, Template};
use crate::mailer::{MailerId, MailerTriple};
use crate::message::address::quote_phrase;
use crate::mta::{Workspace, phrase_rules};
use crate::rewrite::check::{Checked, Comments, RulesetAnswer};
use crate::rewrite::resolve::{ErrorSource, Resolving};
use crate::rewrite::{Kept, Place, Resolution, RewriteContext, Role, RulesetId};
use crate::smtp::{ExitStatus, Reply, Verdict};
use crate::text::bytes::escape_for_display;
use crate::text::date::{ctime_date, numeric_date, rfc5322_date};
use crate::token::{Complaint, TokenizeOptions};

/// Hooks whose log line carries no queue id.
///
/// Observed: 8.17.1.9.
const HOOKS_WITHOUT_ID: &[&str] = &[
    "check_relay",
    "check_vrfy",
    "check_expn",
    "check_etrn",
    "check_other",
    "tls_client",
];

/// Hooks whose refusals name the address they are about.
const HOOKS_ABOUT_ADDRESS: &[&str] = &["check_mail", "check_rcpt"];

/// Why a message waits when a map did not say why it could not answer. Observed: 8.17.1.9.
const TRANSIENT: &[u8] = b"Transient parse error -- message queued for future delivery";

/// An address of MAIL or RCPT and what it resolves to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parsed {
    /// Where it goes; `None` for the empty sender.
    pub triple: Option<MailerTriple>,
    /// Why the message must wait: a map could not answer now.
    pub deferral: Option<Vec<u8>>,
}

/// Hooks asked within a command, which ends when an address cannot be read in their rules.
///
/// Observed: 8.17.1.9.
const HOOKS_THAT_FAIL_CLOSED: [&str; 5] = [
    "check_mail",
    "check_rcpt",
    "check_vrfy",
    "check_expn",
    "check_etrn",
];

/// How complaints about addresses begin, those of macros in rules among them.
const USER_FAULT: &[u8] = b"553 5.1.0";

impl Session {
    /// Lends a rewriting context with the macros of the envelope in front.
    fn with_rules<R>(
        &mut self,
        workspace: &mut Workspace,
        work: impl FnOnce(&mut RewriteContext<'_>) -> R,
    ) -> (R, Kept) {
        let mta = Arc::clone(&self.mta);
        let mut kept = Kept::traced(&mta.debug);
        let macros = &mut self.envelope.macros;
        let mut cx = mta.rewrite_context(macros, None, &mut kept, &mut workspace.rewrite);
        let result = work(&mut cx);
        for fault in &kept.faults {
            let shown = escape_for_display(fault);
            let line = format_args!("SYSERR(root): {shown}");
            let id = Some(self.envelope.id_for_log());
            mta.log.syslog(0, Severity::Critical, id, line);
        }
        (result, kept)
    }

    /// Asks a hook and logs what it says unless it accepts.
    ///
    /// Refusals of check_mail and check_rcpt come back with the address in front of their text.
    pub(super) fn check(
        &mut self,
        hook: &str,
        arguments: &[&[u8]],
        call: &mut Call<'_>,
    ) -> Verdict {
        let (checked, kept) = self.with_rules(call.workspace, |cx| {
            cx.check(hook.as_bytes(), arguments, Comments::Dropped)
        });
        // Rules that fall over refuse the command; what they would have said is not known.
        if HOOKS_THAT_FAIL_CLOSED.contains(&hook)
            && checked.verdict == Verdict::Accept
            && let Some(complaint) = kept.complaints.first()
            && complaint.text.starts_with(USER_FAULT)
        {
            return Verdict::Reject(reply_of(complaint));
        }
        let is_about_address = HOOKS_ABOUT_ADDRESS.contains(&hook);
        let about = if is_about_address {
            arguments.first().copied().unwrap_or(b"")
        } else {
            b""
        };
        if !checked.exit.is_temporary() {
            self.remember_exit(checked.exit);
        }
        self.note_verdict(hook, arguments, checked, about)
    }

    /// Asks trust_auth whether the client may say that `author` has sent the message.
    pub(super) fn trusts_author(&mut self, author: &[u8], call: &mut Call<'_>) -> bool {
        let (checked, _) = self.with_rules(call.workspace, |cx| {
            cx.check(b"trust_auth", &[author], Comments::Dropped)
        });
        let refusal = match checked.verdict {
            Verdict::Accept | Verdict::Discard | Verdict::Quarantine(_) => return true,
            Verdict::Reject(reply) | Verdict::Defer(reply) => reply,
        };
        // Observed: 8.17.1.9 names the sender it has just parsed, and has no id.
        if self.mta.log.is_on(10) {
            let sender = self.envelope.sender.address.clone();
            let refusal = wording::about(&sender, refusal);
            let outcome = format!("reject={}", escape_for_display(&refusal.first_line()));
            self.log_check("trust_auth", &[author], &outcome, false);
        }
        false
    }

    /// Asks the ruleset of an H line about a field of the message.
    pub(super) fn check_field(
        &mut self,
        check: HeaderCheck,
        value: &[u8],
        call: &mut Call<'_>,
    ) -> Verdict {
        let name = self.mta.config.rules.name(check.ruleset).into_owned();
        let comments = if check.keep_comments {
            Comments::Kept
        } else {
            Comments::Dropped
        };
        let (checked, _) =
            self.with_rules(call.workspace, |cx| cx.check(&name, &[value], comments));
        if !checked.exit.is_temporary() {
            self.remember_exit(checked.exit);
        }
        let hook = escape_for_display(&name);
        self.note_verdict(&hook, &[value], checked, b"")
    }

    fn note_verdict(
        &mut self,
        hook: &str,
        arguments: &[&[u8]],
        checked: Checked,
        about: &[u8],
    ) -> Verdict {
        let verdict = match checked.verdict {
            Verdict::Reject(reply) => Verdict::Reject(wording::about(about, reply)),
            Verdict::Defer(reply) => Verdict::Defer(wording::about(about, reply)),
            other => other,
        };
        let outcome = match &verdict {
            Verdict::Accept => return verdict,
            Verdict::Discard => "discard".to_owned(),
            Verdict::Quarantine(reason) => format!("quarantine={}", escape_for_display(reason)),
            Verdict::Reject(reply) | Verdict::Defer(reply) => {
                self.count_rejection();
                format!("reject={}", escape_for_display(&reply.first_line()))
            }
        };
        self.log_check(hook, arguments, &outcome, !HOOKS_WITHOUT_ID.contains(&hook));
        verdict
    }

    /// Counts the first refusal of a connection, for the sender at hand if there is one.
    fn count_rejection(&mut self) {
        if std::mem::replace(&mut self.is_counted_as_rejected, true) {
            return;
        }
        let mailers = &self.mta.config.mailers;
        let sender = self.envelope.macros.text(MacroId::MAIL_MAILER);
        let mailer = sender.and_then(|name| mailers.find(name));
        let mailer = mailer.map(MailerId::index);
        self.mta.counting.count(|all| all.rejection(mailer));
    }

    /// Asks a ruleset that answers with words; `None` when it is not defined.
    pub(super) fn ask_ruleset(
        &mut self,
        ruleset: &str,
        arguments: &[&[u8]],
        call: &mut Call<'_>,
    ) -> Option<RulesetAnswer> {
        self.with_rules(call.workspace, |cx| {
            cx.ask_ruleset(ruleset.as_bytes(), arguments)
        })
        .0
    }

    /// Resolves the address of MAIL or RCPT.
    ///
    /// A fault of its syntax is an error even where the tokenizer could repair it.
    pub(super) fn resolve(
        &mut self,
        address: &[u8],
        role: Role,
        call: &mut Call<'_>,
    ) -> Result<Parsed, Reply> {
        let how = Resolving {
            role,
            place: Place::Envelope,
            delimiter: None,
        };
        let (resolved, kept) = self.with_rules(call.workspace, |cx| cx.resolve(address, how));
        if let Resolution::Error(error) = &resolved.resolution {
            match error.source {
                ErrorSource::Mailer { .. } if !error.exit.is_temporary() => {
                    self.remember_exit(error.exit);
                }
                ErrorSource::Rules(_) => self.remember_exit(ExitStatus::Software),
                ErrorSource::Mailer { .. } | ErrorSource::Mailbox(_) | ErrorSource::Syntax => {}
            }
        }
        if let Some(complaint) = kept.complaints.first() {
            return Err(reply_of(complaint));
        }
        match resolved.resolution {
            Resolution::Mailer(triple) => Ok(Parsed {
                triple: Some(triple),
                deferral: None,
            }),
            Resolution::Deferred(triple) => Ok(Parsed {
                triple: Some(triple),
                deferral: Some(kept.deferral.unwrap_or_else(|| TRANSIENT.to_vec())),
            }),
            Resolution::Error(error) => Err(wording::complete(error.reply)),
        }
    }

    /// Returns the sender as `$f` has it: canonical, through rulesets 3, 1 and 4.
    pub(super) fn canonical_sender(&mut self, address: &[u8], call: &mut Call<'_>) -> Vec<u8> {
        let (canonical, _) = self.with_rules(call.workspace, |cx| {
            cx.start_chain();
            let (_, cut) = cx.tokenize(address, TokenizeOptions::ADDRESS);
            let mut tokens = cut.ok()?;
            for ruleset in [RulesetId::CANONIFY, RulesetId::SENDER, RulesetId::FINAL] {
                cx.rewrite(&mut tokens, ruleset);
            }
            let text = cx.joined(&tokens);
            cx.finish(tokens);
            Some(text)
        });
        canonical.unwrap_or_else(|| address.to_vec())
    }

    /// Sets the three macros that tell what an address resolved to.
    pub(super) fn set_triple_macros(&mut self, ids: [MacroId; 3], triple: Option<&MailerTriple>) {
        let mta = Arc::clone(&self.mta);
        let (mailer, host, user): (&[u8], &[u8], &[u8]) = match triple {
            Some(triple) => (
                &mta.config.mailers.get(triple.mailer).name,
                &triple.host,
                &triple.user,
            ),
            None => (b"local", b"", b""),
        };
        for (id, value) in ids.into_iter().zip([mailer, host, user]) {
            self.envelope.macros.set_text(id, value);
        }
    }

    /// Puts quotes around a full name where it needs them in front of an address.
    pub(super) fn phrase(&self, name: &[u8]) -> Vec<u8> {
        quote_phrase(name, &phrase_rules(&self.mta.config.options.headers))
    }

    /// Expands a template with the macros of the envelope.
    pub(super) fn expand(&mut self, template: &Template) -> Vec<u8> {
        let mta = Arc::clone(&self.mta);
        let macros = Macros::new(&mut self.envelope.macros, None, &mta.config.macros);
        template.expanded(&macros)
    }

    /// Sets the macros that say what time it is.
    pub(super) fn set_dates(&mut self) {
        let now = self.mta.clock.now();
        let macros = &mut self.envelope.macros;
        macros.set_text(MacroId::B, rfc5322_date(now).as_bytes());
        macros.set_text(MacroId::A, rfc5322_date(now).as_bytes());
        macros.set_text(MacroId::D, ctime_date(now).as_bytes());
        macros.set_text(MacroId::letter(b't'), numeric_date(now).as_bytes());
        macros.set_text(MacroId::TIME, now.seconds().to_string().as_bytes());
        set_process_macros(macros, 0);
    }
}

/// Makes the reply of a complaint about an address.
fn reply_of(complaint: &Complaint) -> Reply {
    wording::about(&complaint.about, wording::reply(&complaint.text))
}
