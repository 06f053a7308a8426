//! The rulesets of H lines and check_eoh, asked about a header from standard input.
//!
//! Observed: 8.17.1.9: a refusal fails all recipients, a temporary one keeps the
//! message in the queue, a discard ends it without a word, and a quarantine keeps it there
//! undelivered. All fields are asked, whatever was said of the first, and asked once more
//! when the report has the header in it.

use super::message::Desk;
use crate::envelope::{EnvelopeFlags, Recipient, RecipientState};
use crate::macros::MacroId;
use crate::message::Headers;
use crate::rewrite::Traced;
use crate::rewrite::check::{Checked, Comments};
use crate::smtp::{ExitStatus, Reply, Verdict};
use crate::text::bytes::escape_for_display;

/// The ruleset that sees the header as a whole.
const CHECK_EOH: &[u8] = b"check_eoh";

/// What the checks made of a header.
#[derive(Debug, Default)]
pub(super) struct HeaderVerdict {
    /// The exit status of the first permanent refusal.
    pub(super) refused: Option<ExitStatus>,
    /// Something could not be said for now.
    pub(super) is_deferred: bool,
    /// The message is to vanish.
    pub(super) discards: bool,
    /// What is told when the report goes out.
    pub(super) told_again: Vec<Vec<u8>>,
}

impl Desk<'_> {
    /// Asks about each field and about the header as a whole.
    pub(super) fn check_header(&mut self, headers: &Headers, size: u64) -> HeaderVerdict {
        let mut verdict = HeaderVerdict::default();
        for field in headers.iter() {
            let check = (self.mta).check_of_field(field, &mut self.envelope.macros);
            if let Some(check) = check {
                let name = self.mta.config.rules.name(check.ruleset).into_owned();
                let comments = match check.keep_comments {
                    true => Comments::Kept,
                    false => Comments::Dropped,
                };
                self.ask_check(&name, &[&field.value], comments, &mut verdict);
            }
        }
        let (count, size) = (headers.iter().count().to_string(), size.to_string());
        let arguments = [count.as_bytes(), size.as_bytes()];
        self.ask_check(CHECK_EOH, &arguments, Comments::Dropped, &mut verdict);
        verdict
    }

    fn ask_check(
        &mut self,
        ruleset: &[u8],
        arguments: &[&[u8]],
        comments: Comments,
        verdict: &mut HeaderVerdict,
    ) {
        let mut traced = Traced(&self.mta.debug);
        let buffers = &mut self.workspace.rewrite;
        let macros = &mut self.envelope.macros;
        let mut cx = self.mta.rewrite_context(macros, None, &mut traced, buffers);
        let checked = cx.check(ruleset, arguments, comments);
        self.take_verdict(ruleset, arguments, checked, verdict);
    }

    fn take_verdict(
        &mut self,
        ruleset: &[u8],
        arguments: &[&[u8]],
        checked: Checked,
        verdict: &mut HeaderVerdict,
    ) {
        let outcome = match checked.verdict {
            Verdict::Accept => return,
            Verdict::Quarantine(reason) => {
                let outcome = format!("quarantine={}", escape_for_display(&reason));
                self.envelope.quarantine = Some(reason);
                outcome
            }
            Verdict::Discard => {
                verdict.discards = true;
                "discard".to_owned()
            }
            Verdict::Reject(reply) => {
                verdict.refused.get_or_insert(checked.exit);
                if ruleset != CHECK_EOH {
                    verdict.told_again.push(self.told_again(&reply));
                }
                self.tell_refusal(&reply)
            }
            Verdict::Defer(reply) => {
                verdict.is_deferred = true;
                self.tell_refusal(&reply)
            }
        };
        let relay = self.envelope.macros.text(MacroId::UNDERSCORE);
        let id = Some(self.envelope.id_for_log());
        let log = &self.mta.log;
        log.ruleset_verdict(id, ruleset, arguments, relay.unwrap_or(b""), &outcome);
    }

    fn tell_refusal(&mut self, reply: &Reply) -> String {
        let mut line = reply.first_line();
        if reply.enhanced.is_none() {
            let class = if line.first() == Some(&b'4') { 4 } else { 5 };
            let status = format!(" {class}.0.0");
            line.splice(3.min(line.len())..3.min(line.len()), status.into_bytes());
        }
        self.complain(None, &line);
        format!("reject={}", escape_for_display(&line))
    }

    /// Words a refusal as it is told when the report with the header in it goes out.
    fn told_again(&self, reply: &Reply) -> Vec<u8> {
        let sender = &self.envelope.sender;
        // A code that stands for nothing is not about anybody.
        match reply.code.number() == 554 || sender.is_null() {
            true => reply.text().to_vec(),
            false => [&sender.address[..], b"... ", reply.text()].concat(),
        }
    }

    /// Fails all recipients for the last refusal, unless some have failed already.
    ///
    /// `before` is the exit status from before the header was read.
    pub(super) fn refuse_header(&mut self, before: Option<ExitStatus>, exit: ExitStatus) {
        self.summary.exit = before.or(Some(exit));
        self.envelope.flags.insert(EnvelopeFlags::STAYS);
        let failed = |one: &Recipient| matches!(one.state, RecipientState::Failed(_));
        if self.envelope.recipients.iter().any(failed) {
            return;
        }
        let text = self.envelope.message_status.clone().unwrap_or_default();
        self.fail_open(super::header::NO_DETAIL, ExitStatus::Unavailable, &text);
    }
}
