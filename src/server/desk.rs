//! What filters change in the envelope and the body of a message at hand.
//!
//! Observed: 8.17.1.9, which treats a recipient that a filter adds as one of the command line:
//! it need not exist, its sender is told if it does not.

use std::io::{self, Read};

use super::filters::Refused;
use super::session::{Call, Session};
use crate::envelope::{EnvelopeFlags, Notify, OriginalRecipient, Recipient, RecipientState};
use crate::mailer::MailerTriple;
use crate::message::Body;
use crate::message::address::split_address_list;
use crate::milter::message::Desk;
use crate::milter::{HeaderSheet, Letter};
use crate::queue::NewEntry;
use crate::rewrite::Role;
use crate::smtp::parameter::{self, RcptParameters};

impl Session {
    /// Shows the message to the filters, makes their changes, and says whether it may be taken.
    pub(super) fn ask_about_message(
        &mut self,
        entry: &mut NewEntry,
        call: &mut Call<'_>,
    ) -> Result<(), Refused> {
        if !self.filters.is_asked {
            return Ok(());
        }
        if self.transaction.discards {
            self.abort_filters();
            return self.act_on_message(crate::milter::Decision::Continue);
        }
        let mut sheet = HeaderSheet::new(&self.envelope.headers, &self.mta.config.headers);
        let mut chain = std::mem::take(&mut self.filters.chain);
        // Edits change the macros of the envelope; the filters are told those it has now.
        let mut table = self.envelope.macros.clone();
        let is_binary = self.envelope.body_type == Some(crate::message::BodyType::Binary);
        let mta = std::sync::Arc::clone(&self.mta);
        let (id, level) = (self.envelope.id_for_log().to_vec(), self.filter_log_level());
        let macros = crate::macros::Macros::new(&mut table, None, &mta.config.macros);
        let asking = crate::milter::Asking {
            log: &mta.log,
            id: &id,
            level,
            macros: &macros,
            names: &mta.config.names,
        };
        let mut desk = SessionDesk {
            session: self,
            call,
            entry,
            has_new_body: false,
        };
        let mut letter = Letter {
            sheet: &mut sheet,
            desk: &mut desk,
            is_binary,
        };
        let outcome = chain.message(&mut letter, &asking);
        let has_new_body = desk.has_new_body;
        self.filters.chain = chain;
        if sheet.has_changed() {
            self.envelope.headers = sheet.headers();
        }
        if has_new_body {
            self.envelope.size = crate::queue::stored_size(&self.envelope.headers)
                .saturating_add(entry.body_length());
        }
        self.act_on_message(outcome.decision)
    }
}

/// A message on the desk of its session.
struct SessionDesk<'s, 'c> {
    session: &'s mut Session,
    call: &'s mut Call<'c>,
    entry: &'s mut NewEntry,
    has_new_body: bool,
}

/// Reads a body that it keeps.
struct OwnedReader {
    body: Body,
    offset: u64,
}

impl Read for OwnedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.body.reader_at(self.offset).read(buffer)?;
        self.offset = self
            .offset
            .saturating_add(u64::try_from(count).unwrap_or(0));
        Ok(count)
    }
}

impl Desk for SessionDesk<'_, '_> {
    fn body(&mut self) -> io::Result<Box<dyn Read>> {
        let body = self.entry.body().map_err(|error| error.source)?;
        Ok(Box::new(OwnedReader { body, offset: 0 }))
    }

    fn clear_body(&mut self) {
        self.has_new_body = true;
        // Nothing is written yet, so nothing can fail.
        let _ = self.entry.replace_body(b"");
    }

    fn add_to_body(&mut self, text: &[u8]) -> bool {
        if !text.is_ascii() {
            self.session.envelope.flags.insert(EnvelopeFlags::HAS_8BIT);
        }
        self.entry.write(text).is_ok()
    }

    fn add_recipient(&mut self, address: &[u8], parameters: &[u8]) {
        let Some(parameters) = self.session.parameters_of_filter(parameters) else {
            return;
        };
        for one in split_address_list(address) {
            let one = one.trim_ascii();
            if !one.is_empty() {
                self.session.add_for_filter(one, &parameters, self.call);
            }
        }
    }

    fn delete_recipient(&mut self, address: &[u8]) -> usize {
        self.session
            .delete_for_filter(address.trim_ascii(), self.call)
    }

    fn change_sender(&mut self, address: &[u8], parameters: &[u8]) {
        self.session.change_sender(address, parameters, self.call);
    }

    fn quarantine(&mut self, reason: &[u8]) {
        let reason = reason.iter().map(|octet| match octet {
            b'\r' | b'\n' => b' ',
            other => *other,
        });
        self.session.envelope.quarantine = Some(reason.collect());
    }
}

impl Session {
    /// Reads the parameters of a recipient; what is wrong with them is noted, and nobody added.
    fn parameters_of_filter(&mut self, text: &[u8]) -> Option<RcptParameters> {
        let policy = self.parameter_policy();
        let mut parameters = RcptParameters::default();
        for parameter in parameter::split(text) {
            let taken = parameter.and_then(|parameter| parameters.add(parameter, policy));
            if let Err(refusal) = taken {
                self.envelope.note_trouble(true, refusal.text());
                return None;
            }
        }
        Some(parameters)
    }

    fn add_for_filter(&mut self, address: &[u8], parameters: &RcptParameters, call: &mut Call<'_>) {
        let mut recipient = Recipient::new(address);
        recipient.notify = parameters.notify.map(Notify::from).unwrap_or_default();
        recipient.original = parameters.orcpt.clone().map(OriginalRecipient::new);
        let triple = self.resolve(address, Role::Recipient, call).ok();
        let triple = triple.and_then(|parsed| parsed.triple);
        let before = self.envelope.open_recipients();
        let gone = self.envelope.recipients.iter_mut();
        let is_gone = |one: &&mut Recipient| one.state == RecipientState::Dropped;
        if let Some(one) = gone.filter(is_gone).find(|one| one.address == address) {
            // A filter took him away and thinks better of it.
            one.state = RecipientState::Pending;
            one.triple = triple;
            return;
        }
        if let Some(triple) = triple {
            if let Err(refusal) = self.refuse_special_mailer(address, &triple) {
                self.envelope.note_trouble(true, refusal.text());
                return self.log_refusal(refusal.text());
            }
            if self.find_twin(&triple).is_some() {
                return;
            }
            recipient.triple = Some(triple);
            let depth = super::verb::Depth::Verify;
            let complaint = self.expand_recipient(recipient.clone(), depth, call);
            if complaint.is_none() {
                let more = self.envelope.open_recipients().saturating_sub(before);
                return self.count_recipients(more);
            }
            recipient.triple = None;
        }
        // Who does not exist is found out when it is delivered, and the sender told.
        self.envelope.recipients.push(recipient);
        self.count_recipients(1);
    }

    fn delete_for_filter(&mut self, address: &[u8], call: &mut Call<'_>) -> usize {
        let triple = self.resolve(address, Role::Recipient, call).ok();
        let triple = triple.and_then(|parsed| parsed.triple);
        let is_meant = |recipient: &Recipient| {
            recipient.address.eq_ignore_ascii_case(address)
                || matches!((&recipient.triple, &triple), (Some(one), Some(other)) if is_same(one, other))
        };
        let mut count = 0;
        let mut meant: Vec<bool> = Vec::with_capacity(self.envelope.recipients.len());
        for recipient in &self.envelope.recipients {
            let parent = recipient
                .expanded_from
                .and_then(|at| meant.get(at).copied());
            let is_counted = is_meant(recipient) && recipient.state != RecipientState::Dropped;
            count += usize::from(is_counted);
            meant.push(is_counted || parent == Some(true));
        }
        for (recipient, is_meant) in self.envelope.recipients.iter_mut().zip(meant) {
            if is_meant {
                recipient.state = RecipientState::Dropped;
                recipient.triple = None;
            }
        }
        count
    }

    fn change_sender(&mut self, address: &[u8], parameters: &[u8], call: &mut Call<'_>) {
        if let Err(refusal) = self.set_sender(address, address, call) {
            self.envelope.note_trouble(true, refusal.text());
        }
        if let Some(name) = self.envelope.macros.text(crate::macros::MacroId::F) {
            let name = name.to_vec();
            self.envelope
                .macros
                .set_text(crate::macros::MacroId::G, &name);
        }
        if !parameters.is_empty()
            && let Err(refusal) = self.take_mail_parameters(parameters, call)
        {
            self.envelope.note_trouble(true, refusal.text());
        }
    }
}

/// Tells whether two triples lead to the same place.
fn is_same(one: &MailerTriple, other: &MailerTriple) -> bool {
    one.mailer == other.mailer
        && one.host.eq_ignore_ascii_case(&other.host)
        && one.user == other.user
}
