//! The ruleset check_compat: may this sender write to this recipient?
//!
//! Asked about each recipient just before a mailer would be called for it. Who is
//! refused fails or waits, who is discarded is struck without a word; the others of the
//! transaction go on. A quarantine means nothing here.
//!
//! Source: guide 5.1.4; observed: 8.17.1.9 for states, log and transcript.

use crate::client::Witness;
use crate::envelope::{DeliveryStatus, Envelope, RecipientState};
use crate::macros::MacroId;
use crate::mta::{Mta, Workspace};
use crate::rewrite::Traced;
use crate::rewrite::check::{Checked, Comments};
use crate::smtp::{ExitStatus, Reply, Verdict};
use crate::text::bytes::escape_for_display;

use super::ledger::{Ledger, Listeners};
use super::network::Telling;
use super::plan::Transaction;
use super::response::status_of_exit;

/// The ruleset.
const HOOK: &[u8] = b"check_compat";

/// Asks about all recipients of a transaction and settles those that may not go on.
///
/// Returns what is left of the transaction, and the exit status of the first refusal.
pub(super) fn check_compat(
    mta: &Mta,
    workspace: &mut Workspace,
    envelope: &mut Envelope,
    transaction: &Transaction,
) -> (Transaction, Option<ExitStatus>) {
    let mut left = transaction.clone();
    if mta.config.rules.find_defined(HOOK).is_none() {
        return (left, None);
    }
    left.recipients.clear();
    let mut first_refusal = None;
    for &index in &transaction.recipients {
        let Some(recipient) = envelope.recipients.get(index) else {
            continue;
        };
        let arguments = [envelope.sender.address.clone(), recipient.address.clone()];
        let checked = ask(mta, workspace, envelope, transaction, &arguments);
        let (reply, exit) = match checked.verdict {
            Verdict::Accept | Verdict::Quarantine(_) => {
                left.recipients.push(index);
                continue;
            }
            Verdict::Discard => {
                log_verdict(mta, envelope, &arguments, "discard");
                if let Some(recipient) = envelope.recipients.get_mut(index) {
                    recipient.state = RecipientState::Dropped;
                }
                continue;
            }
            Verdict::Reject(reply) => (reply, checked.exit),
            Verdict::Defer(reply) => (reply, ExitStatus::TempFail),
        };
        let refusal = Refusal {
            mta,
            transaction,
            exit,
            line: about(&arguments[1], &reply),
        };
        let shown = format!("reject={}", escape_for_display(&refusal.line));
        log_verdict(mta, envelope, &arguments, &shown);
        let exit = refusal.settle(workspace, envelope, index);
        first_refusal = super::ledger::first_failure(first_refusal, exit);
    }
    (left, first_refusal)
}

fn ask(
    mta: &Mta,
    workspace: &mut Workspace,
    envelope: &Envelope,
    transaction: &Transaction,
    arguments: &[Vec<u8>; 2],
) -> Checked {
    let mut macros = envelope.macros.clone();
    macros.set_text(MacroId::H, &transaction.host);
    let mut traced = Traced(&mta.debug);
    let buffers = &mut workspace.rewrite;
    let mut cx = mta.rewrite_context(&mut macros, None, &mut traced, buffers);
    cx.check(HOOK, &[&arguments[0], &arguments[1]], Comments::Dropped)
}

fn log_verdict(mta: &Mta, envelope: &Envelope, arguments: &[Vec<u8>; 2], outcome: &str) {
    let relay = envelope.macros.text(MacroId::UNDERSCORE).unwrap_or(b"");
    let arguments = [&arguments[0][..], &arguments[1][..]];
    let id = Some(envelope.id_for_log());
    (mta.log).ruleset_verdict(id, HOOK, &arguments, relay, outcome);
}

/// Puts the recipient between codes and text of a refusal.
pub(super) fn about(recipient: &[u8], reply: &Reply) -> Vec<u8> {
    let codes = match reply.enhanced {
        Some(enhanced) => format!("{} {enhanced} ", reply.code.number()),
        None => format!("{} ", reply.code.number()),
    };
    [codes.as_bytes(), recipient, b"... ", reply.text()].concat()
}

/// What a refused recipient is logged with: the code of reports, and their diagnostic.
fn refused(status: DeliveryStatus) -> DeliveryStatus {
    DeliveryStatus {
        enhanced: status.reported,
        reply: status.diagnostic.clone(),
        ..status
    }
}

/// Somebody who may not have the message.
struct Refusal<'a> {
    mta: &'a Mta,
    transaction: &'a Transaction,
    exit: ExitStatus,
    /// Codes, recipient and text.
    line: Vec<u8>,
}

impl Refusal<'_> {
    fn settle(
        &self,
        workspace: &mut Workspace,
        envelope: &mut Envelope,
        index: usize,
    ) -> Option<ExitStatus> {
        let mta = self.mta;
        let mailer = mta.config.mailers.get(self.transaction.mailer);
        let listeners = Listeners {
            log: &mta.log,
            narrator: workspace.narrator.as_mut(),
            complaints: workspace.complaints.as_mut(),
            traffic: &mta.traffic,
            clock: &*mta.clock,
        };
        let indexes = [index];
        let mut ledger = Ledger::open(envelope, &indexes, mailer, None, listeners);
        ledger.transcript(&self.line);
        ledger.relay_is(&self.transaction.host);
        let status = match self.exit {
            ExitStatus::TempFail => {
                self.deferred(status_of_exit(self.exit, mailer, mta.clock.now()))
            }
            exit => refused(status_of_exit(exit, mailer, mta.clock.now())),
        };
        ledger.settle(&[0], status);
        let result = ledger.close();
        let exit = result.exit;
        result.apply(envelope);
        exit
    }

    /// What a recipient waits for, without the codes.
    fn deferred(&self, status: DeliveryStatus) -> DeliveryStatus {
        let words = self.line.splitn(3, |byte| *byte == b' ');
        DeliveryStatus {
            text: b"Deferred".to_vec(),
            is_personal: true,
            waiting_because: words.last().map(<[u8]>::to_vec),
            ..status
        }
    }
}
