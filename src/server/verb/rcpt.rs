//! RCPT: one recipient.
//!
//! A local name must exist as an alias or a user; in interactive mode it is
//! expanded at once, in the others at delivery. Programs, files and lists
//! cannot be named from outside.

use std::time::Duration;

use super::super::addressing::PathFault;
use super::super::filters::{LastAddress, Refused};
use super::super::session::{Call, Flow, Session};
use super::super::wording;
use crate::envelope::{DeliveryStatus, Notify, OriginalRecipient, Recipient, RecipientState};
use crate::logging::record::Severity;
use crate::macros::MacroId;
use crate::mailer::MailerTriple;
use crate::rewrite::Role;
use crate::smtp::parameter::{self, RcptParameters};
use crate::smtp::{Reply, Verdict};

/// How long a client with too many bad recipients waits for each reply.
const BAD_RECIPIENT_DELAY: Duration = Duration::from_secs(1);

/// Why a recipient is refused.
struct Refusal {
    reply: Reply,
    /// Whether the connection is closed.
    closes: bool,
    /// Whether it is still to be logged: rulesets and expansion log their own refusals.
    is_logged: bool,
}

impl From<Reply> for Refusal {
    fn from(reply: Reply) -> Self {
        Self {
            reply,
            closes: false,
            is_logged: true,
        }
    }
}

impl Session {
    /// Answers RCPT.
    pub(super) fn rcpt(&mut self, argument: &[u8], call: &mut Call<'_>) -> Flow {
        if !self.transaction.is_open {
            self.say_text(call, "503 5.0.0 Need MAIL before RCPT");
            return Flow::Next;
        }
        if self.transaction.chunks.is_begun() {
            self.say_text(call, "503 5.5.1 RCPT after BDAT");
            return Flow::Next;
        }
        self.last_verb = "rcpt";
        let after = match self.brake(call) {
            Ok(after) => after,
            Err(instead) => return instead,
        };
        match self.add_recipient(argument, call) {
            Ok(address) => {
                let count = &mut self.transaction.accepted_recipients;
                *count = count.saturating_add(1);
                self.envelope.macros.set_text(MacroId::C, b"0");
                let accepted: &[u8] = if self.must_wait(&address) {
                    b"250 2.1.5 Recipient ok (will queue)"
                } else {
                    b"250 2.1.5 Recipient ok"
                };
                self.say(call, &wording::about(&address, wording::reply(accepted)));
            }
            Err(refusal) => {
                self.transaction.bad_recipients = self.transaction.bad_recipients.saturating_add(1);
                let count = self.transaction.bad_recipients.to_string();
                self.envelope
                    .macros
                    .set_text(MacroId::NBADRCPTS, count.as_bytes());
                self.say(call, &refusal.reply);
                if refusal.is_logged {
                    self.log_refusal(refusal.reply.text());
                }
                if refusal.closes {
                    return Flow::Close;
                }
            }
        }
        after
    }

    /// Slows down or cuts a client that guesses addresses.
    fn brake(&mut self, call: &mut Call<'_>) -> Result<Flow, Flow> {
        let receiving = &self.mta.config.options.receiving;
        let bad = self.transaction.bad_recipients;
        let shutdown = receiving.bad_rcpt_shutdown;
        let good = u32::try_from(self.envelope.recipients.len()).unwrap_or(u32::MAX);
        if shutdown > 0
            && bad >= shutdown
            // Observed: 8.17.1.9; with nobody accepted it is always too many.
            && bad.saturating_mul(100)
                >= receiving.bad_rcpt_shutdown_good.saturating_mul(good.saturating_add(bad))
        {
            self.log(
                6,
                Severity::Info,
                format_args!(
                    "{}: Possible SMTP RCPT flood, shutting down connection.",
                    self.client_shown()
                ),
            );
            return Err(self.cut("Too many bad recipients; closing connection", call));
        }
        let throttle = receiving.bad_rcpt_throttle;
        if throttle == 0 || bad < throttle {
            return Ok(Flow::Next);
        }
        if bad == throttle {
            self.log(
                6,
                Severity::Info,
                format_args!(
                    "{}: Possible SMTP RCPT flood, throttling.",
                    self.client_shown()
                ),
            );
        }
        Ok(Flow::NextAfter(BAD_RECIPIENT_DELAY))
    }

    fn add_recipient(&mut self, argument: &[u8], call: &mut Call<'_>) -> Result<Vec<u8>, Refusal> {
        self.has_place_for_recipient()?;
        let path = match self.split_path(argument, b"to") {
            Ok(path) => path,
            Err(PathFault::Keyword(word)) => return Err(Self::keyword_refusal(&word).into()),
            Err(PathFault::Malformed(_, refusal)) => return Err(refusal.into()),
        };
        let address = path.address.to_vec();
        self.filters.last_address = Some(LastAddress::Text(address.clone()));
        if address.starts_with(b"(") {
            return Err(Reply::of("501 5.0.0 Missing recipient").into());
        }
        let parsed = self.resolve(&address, Role::Recipient, call)?;
        let parameters = self.take_rcpt_parameters(path.parameters)?;
        let ids = [MacroId::RCPT_MAILER, MacroId::RCPT_HOST, MacroId::RCPT_ADDR];
        self.set_triple_macros(ids, parsed.triple.as_ref());
        let verdict = self.check("check_rcpt", &[&address], call);
        let told = ids.map(|id| self.envelope.macros.remove(id));
        self.envelope.macros.remove(MacroId::ADDR_TYPE);
        match verdict {
            Verdict::Accept => {}
            Verdict::Discard => self.transaction.discards = true,
            Verdict::Quarantine(reason) => self.envelope.quarantine = Some(reason),
            Verdict::Reject(reply) | Verdict::Defer(reply) => {
                let is_logged = false;
                return Err(Refusal {
                    is_logged,
                    ..reply.into()
                });
            }
        }
        self.transaction.named_recipients = self.transaction.named_recipients.saturating_add(1);
        let Some(triple) = parsed.triple else {
            return Ok(address);
        };
        self.refuse_special_mailer(&address, &triple)?;
        if let Some(reason) = parsed.deferral {
            return Ok(self.list_for_later(&address, triple, &parameters, reason));
        }
        if self.transaction.discards {
            self.list_unchecked(&address, triple);
            return Ok(address);
        }
        let before = self
            .filters
            .is_asked
            .then(|| self.envelope.recipients.clone());
        let counted = self.transaction.counted_recipients;
        let listed = self.list_recipient(&address, triple, &parameters, call);
        let Some(before) = before else {
            return listed;
        };
        for (id, value) in ids.into_iter().zip(told) {
            if let Some(value) = value {
                self.envelope.macros.set(id, value);
            }
        }
        if let Err(refusal) = &listed {
            self.tell_refusal(&address, &refusal.reply, ids);
        }
        let judged = self.ask_about_recipient(&address, path.parameters, listed.is_err());
        for id in ids {
            self.envelope.macros.remove(id);
        }
        match (listed, judged) {
            (Ok(_), Err(refused)) => {
                let closes = matches!(refused, Refused::Close(_));
                if !closes {
                    self.envelope.recipients = before;
                    self.transaction.counted_recipients = counted;
                    self.count_recipients(0);
                }
                Err(Refusal {
                    reply: refused.reply().clone(),
                    closes,
                    is_logged: false,
                })
            }
            (listed, _) => listed,
        }
    }

    /// Sets the macros that tell filters why a recipient is refused.
    ///
    /// Observed: 8.17.1.9.
    fn tell_refusal(&mut self, address: &[u8], reply: &Reply, ids: [MacroId; 3]) {
        let front = [address, b"... "].concat();
        let text = reply.text();
        let text = text.strip_prefix(front.as_slice()).unwrap_or(text);
        let enhanced = reply.enhanced.map(|code| code.to_string());
        let host = enhanced.unwrap_or_default();
        let code = reply.code.to_string();
        let words = [code.as_bytes(), host.as_bytes(), text];
        let user = words.join(&b' ');
        for (id, value) in ids.into_iter().zip([&b"error"[..], host.as_bytes(), &user]) {
            self.envelope.macros.set_text(id, value);
        }
    }

    fn has_place_for_recipient(&self) -> Result<(), Reply> {
        let limit = self.mta.config.options.receiving.max_recipients_per_message;
        // Observed: 8.17.1.9 counts a recipient each time it is named.
        if limit > 0 && self.transaction.accepted_recipients >= limit {
            return Err(Reply::of("452 4.5.3 Too many recipients"));
        }
        Ok(())
    }

    pub(super) fn open_recipients(&self) -> usize {
        self.envelope.open_recipients()
    }

    fn take_rcpt_parameters(&mut self, text: &[u8]) -> Result<RcptParameters, Reply> {
        let policy = self.parameter_policy();
        let mut parameters = RcptParameters::default();
        for parameter in parameter::split(text) {
            parameters.add(parameter?, policy)?;
        }
        let notify = parameters.notify.map(Notify::from).unwrap_or_default();
        let text = notify.to_parameter().unwrap_or_default();
        self.envelope.macros.set_text(MacroId::DSN_NOTIFY, &text);
        Ok(parameters)
    }

    /// Refuses recipients that only aliases may name.
    pub(in super::super) fn refuse_special_mailer(
        &self,
        address: &[u8],
        triple: &MailerTriple,
    ) -> Result<(), Reply> {
        let mailers = &self.mta.config.mailers;
        let mailer = Some(triple.mailer);
        let what = if mailer == mailers.program() {
            "programs"
        } else if mailer == mailers.file() {
            "files"
        } else if mailer == mailers.include() {
            ":include:s"
        } else {
            return Ok(());
        };
        let text = format!("550 5.7.1 Cannot mail directly to {what}");
        Err(wording::about(address, wording::reply(text.as_bytes())))
    }

    fn list_unchecked(&mut self, address: &[u8], triple: MailerTriple) {
        let mut recipient = Recipient::new(address);
        recipient.triple = Some(triple);
        self.envelope.recipients.push(recipient);
        self.count_recipients(1);
    }

    pub(in super::super) fn count_recipients(&mut self, more: usize) {
        let counted = &mut self.transaction.counted_recipients;
        *counted = counted.saturating_add(more);
        let all = counted.to_string();
        self.envelope
            .macros
            .set_text(MacroId::NRCPTS, all.as_bytes());
    }

    /// Puts a recipient on the list whose way could not be found out now.
    ///
    /// What the rules made of it without the map that failed is not to be trusted: a queue
    /// run finds its way anew.
    fn list_for_later(
        &mut self,
        address: &[u8],
        triple: MailerTriple,
        parameters: &RcptParameters,
        reason: Vec<u8>,
    ) -> Vec<u8> {
        if let Some(shown) = self.find_expected(&triple) {
            return shown;
        }
        let mut recipient = self.recipient_of(address, parameters);
        recipient.expected = Some(triple);
        let now = self.mta.clock.now();
        let status = DeliveryStatus::unanswered_lookup(reason.clone(), now);
        recipient.state = RecipientState::Deferred(status);
        self.envelope.note_trouble(false, &reason);
        self.envelope.recipients.push(recipient);
        self.count_recipients(1);
        address.to_vec()
    }

    fn recipient_of(&self, address: &[u8], parameters: &RcptParameters) -> Recipient {
        let mut recipient = Recipient::new(address);
        recipient.notify = parameters.notify.map(Notify::from).unwrap_or_default();
        recipient.original = parameters.orcpt.clone().map(OriginalRecipient::new);
        recipient
    }

    /// Puts a recipient on the list, unless it is there, and makes sure it exists.
    ///
    /// Returns the address to show: that of an earlier recipient that is the same.
    fn list_recipient(
        &mut self,
        address: &[u8],
        triple: MailerTriple,
        parameters: &RcptParameters,
        call: &mut Call<'_>,
    ) -> Result<Vec<u8>, Refusal> {
        if let Some(shown) = self.find_twin(&triple) {
            return Ok(shown);
        }
        let mut recipient = self.recipient_of(address, parameters);
        recipient.triple = Some(triple);
        let before = self.open_recipients();
        let depth = if self.is_interactive() {
            super::Depth::Full
        } else {
            super::Depth::Verify
        };
        let complaint = self.expand_recipient(recipient, depth, call);
        self.drop_failed();
        self.count_recipients(self.open_recipients().saturating_sub(before));
        match complaint {
            None => Ok(address.to_vec()),
            Some(reply) => Err(Refusal {
                is_logged: false,
                ..reply.into()
            }),
        }
    }

    /// Finds a recipient who seems to lead to the same place, but could not be resolved.
    fn find_expected(&self, triple: &MailerTriple) -> Option<Vec<u8>> {
        let mut recipients = self.envelope.recipients.iter();
        let twin = recipients.find(|recipient| recipient.expected.as_ref() == Some(triple));
        twin.map(|twin| twin.address.clone())
    }

    /// Finds a recipient of the same mailer, host and user.
    pub(in super::super) fn find_twin(&self, triple: &MailerTriple) -> Option<Vec<u8>> {
        let same = |recipient: &&Recipient| {
            recipient.triple.as_ref().is_some_and(|other| {
                other.mailer == triple.mailer
                    && other.host.eq_ignore_ascii_case(&triple.host)
                    && other.user == triple.user
            }) && recipient.state != RecipientState::Dropped
        };
        self.envelope
            .recipients
            .iter()
            .find(same)
            .map(|twin| twin.address.clone())
    }

    /// Tells whether a recipient of this address waits because something could not be asked.
    fn must_wait(&self, address: &[u8]) -> bool {
        self.envelope.recipients.iter().any(|recipient| {
            recipient.address == address && matches!(recipient.state, RecipientState::Deferred(_))
        })
    }

    /// Takes recipients that failed out of the list: the client has been told.
    fn drop_failed(&mut self) {
        let failed = |recipient: &Recipient| matches!(recipient.state, RecipientState::Failed(_));
        let recipients = std::mem::take(&mut self.envelope.recipients);
        // Where each recipient will stand when those that failed are gone.
        let mut places = Vec::with_capacity(recipients.len());
        let mut next = 0_usize;
        for recipient in &recipients {
            places.push((!failed(recipient)).then_some(next));
            next += usize::from(!failed(recipient));
        }
        self.envelope.recipients = recipients
            .into_iter()
            .filter(|recipient| !failed(recipient))
            .map(|mut recipient| {
                let parent = recipient.expanded_from;
                recipient.expanded_from =
                    parent.and_then(|parent| places.get(parent).copied().flatten());
                recipient
            })
            .collect();
    }
}
