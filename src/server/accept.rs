//! The end of DATA: checks, commit, and only then the 250.
//!
//! Order, observed: 8.17.1.9: header rulesets and check_eoh, the `from=` line, limits,
//! check_eom, commit, reply, delivery; in interactive mode delivery comes before
//! the reply. A commit that fails is told to the client, who keeps the message; the
//! session stays usable.

use super::collect::{CollectFault, CollectedMessage, Collector};
use super::filters::Refused;
use super::session::{Call, Flow, Session};
use super::wording;
use crate::config::options::{DeliveryMode, EightBitMode};
use crate::envelope::prepare::{drop_blank_fields, origination_date, prepare};
use crate::envelope::priority::should_queue;
use crate::envelope::{Envelope, EnvelopeFlags};
use crate::logging::record::Severity;
use crate::macros::{MacroId, Macros};
use crate::message::{BodyType, HeaderField, HeaderTraits, Headers};
use crate::mta::Mta;
use crate::queue::{
    CommitError, Committed, Durability, LockedEnvelope, NewEntry, QueueFault, stored_size,
};
use crate::smtp::dot::BareOctet;
use crate::smtp::{ExitStatus, Reply, Verdict};
use crate::text::bytes::escape_for_display;

impl Session {
    /// Takes a message that was read to its end.
    pub(super) fn end_of_data(&mut self, collector: Collector, call: &mut Call<'_>) -> Flow {
        let message = collector.finish();
        let outcome = self
            .judge(message, call)
            .and_then(|entry| Ok(self.commit(entry, call)?));
        let flow = match outcome {
            Ok(()) => Flow::Next,
            Err(refused) => {
                self.say(call, refused.reply());
                let status = self.envelope.message_status.as_deref();
                let status = escape_for_display(status.unwrap_or(refused.reply().text()));
                self.log_recipients(4, &status);
                refused.flow()
            }
        };
        self.abort_filters();
        self.begin_envelope();
        flow
    }

    /// Completes the envelope and asks the last hooks.
    fn judge(
        &mut self,
        message: CollectedMessage,
        call: &mut Call<'_>,
    ) -> Result<NewEntry, Refused> {
        let CollectedMessage {
            headers,
            mut entry,
            size,
            header_size,
            has_eight_bits,
            has_nul,
            fault,
        } = message;
        self.envelope.size = size;
        let size_text = size.to_string();
        let refusal = self.check_headers(&headers, header_size, call);
        self.fill_envelope(headers, has_eight_bits);
        let fault = self.fault_reply(fault, size, has_nul);
        self.transaction.owes_sender_line = true;
        self.log_sender_if_owed();
        self.mta.count_message_from(&self.envelope);
        self.log_too_large(&fault, size);
        if let Some(reply) = refusal.or(fault) {
            return Err(reply.into());
        }
        match self.check("check_eom", &[size_text.as_bytes()], call) {
            Verdict::Accept => {}
            Verdict::Discard => self.transaction.discards = true,
            Verdict::Quarantine(reason) => self.envelope.quarantine = Some(reason),
            Verdict::Reject(reply) | Verdict::Defer(reply) => return Err(reply.into()),
        }
        self.ask_about_message(&mut entry, call)?;
        Ok(entry)
    }

    /// Asks the rulesets of the H lines, then check_eoh; returns the first refusal.
    fn check_headers(
        &mut self,
        headers: &Headers,
        header_size: u64,
        call: &mut Call<'_>,
    ) -> Option<Reply> {
        let mut refusal = None;
        for field in headers.iter() {
            let verdict = self.check_header(field, call);
            refusal = refusal.or(self.take_verdict(verdict));
        }
        let (count, size) = (headers.iter().count().to_string(), header_size.to_string());
        let verdict = self.check("check_eoh", &[count.as_bytes(), size.as_bytes()], call);
        refusal.or(self.take_verdict(verdict))
    }

    fn check_header(&mut self, field: &HeaderField, call: &mut Call<'_>) -> Verdict {
        match (self.mta).check_of_field(field, &mut self.envelope.macros) {
            Some(check) => self.check_field(check, &field.value, call),
            None => Verdict::Accept,
        }
    }

    /// Applies what is not a refusal, returns what is.
    fn take_verdict(&mut self, verdict: Verdict) -> Option<Reply> {
        match verdict {
            Verdict::Accept => None,
            Verdict::Discard => {
                self.transaction.discards = true;
                None
            }
            Verdict::Quarantine(reason) => {
                self.envelope.quarantine = Some(reason);
                None
            }
            Verdict::Reject(reply) | Verdict::Defer(reply) => Some(reply),
        }
    }

    fn fill_envelope(&mut self, headers: Headers, has_eight_bits: bool) {
        let envelope = &mut *self.envelope;
        let hops = headers
            .iter()
            .filter(|field| field.traits().has(HeaderTraits::TRACE))
            .count();
        envelope.hop_count = u32::try_from(hops).unwrap_or(u32::MAX);
        for field in headers.iter() {
            envelope.headers.push(field.clone());
        }
        drop_blank_fields(&mut envelope.headers, &self.mta.config);
        if has_eight_bits {
            envelope.flags.insert(EnvelopeFlags::HAS_8BIT);
        }
        let hops = envelope.hop_count.to_string();
        envelope.macros.set_text(MacroId::C, hops.as_bytes());
        self.name_single_recipient();
        self.set_dates();
        let mta = std::sync::Arc::clone(&self.mta);
        let envelope = &mut *self.envelope;
        let mut front = std::mem::take(&mut envelope.macros);
        let sender = front.text(MacroId::F).unwrap_or_default().to_vec();
        front.set_text(MacroId::G, &sender);
        let macros = Macros::new(&mut front, None, &mta.config.macros);
        prepare(
            envelope,
            &mta.config,
            &macros,
            self.transaction.counted_recipients,
        );
        let hops = envelope.headers.hop_count().to_string();
        front.set_text(MacroId::C, hops.as_bytes());
        front.set_text(MacroId::MSG_SIZE, envelope.size.to_string().as_bytes());
        if let Some(id) = &envelope.message_id {
            front.set_text(MacroId::MSG_ID, id);
        }
        front.remove(MacroId::Z);
        front.remove(MacroId::H);
        if let Some(date) = origination_date(envelope) {
            front.set_text(MacroId::A, &date);
        }
        envelope.macros = front;
    }

    /// Sets `$u` for the Received: field when just one recipient was named.
    fn name_single_recipient(&mut self) {
        let macros = &mut self.envelope.macros;
        if self.transaction.named_recipients == 1
            && let Some(only) = self.envelope.recipients.iter().find(|one| one.primary)
            // His name would make a field beyond ASCII of a message that may be redirected.
            && only.address.is_ascii()
        {
            macros.set_text(MacroId::U, &only.address);
        } else {
            macros.remove(MacroId::U);
        }
    }

    pub(super) fn fault_reply(
        &self,
        fault: Option<CollectFault>,
        size: u64,
        has_nul: bool,
    ) -> Option<Reply> {
        let options = &self.mta.config.options;
        match fault {
            Some(CollectFault::MessageTooLarge) => {
                let limit = options.receiving.max_message_size;
                let text = format!("552 5.2.3 Message exceeds maximum fixed size ({limit})");
                Some(wording::reply(text.as_bytes()))
            }
            Some(CollectFault::HeadersTooLarge) => {
                let limit = options.headers.max_headers_length;
                self.log(
                    5,
                    Severity::Notice,
                    format_args!(
                        "headers too large ({limit} max) from {} during message collect",
                        escape_for_display(&self.client.name)
                    ),
                );
                let text = format!("552 5.6.0 Headers too large ({limit} max)");
                Some(wording::reply(text.as_bytes()))
            }
            Some(CollectFault::Queue(error)) => Some(self.queue_refusal(&error)),
            Some(CollectFault::Bare(octet)) => {
                let text = ["554 5.6.0 ", bare_text(octet)].concat();
                Some(wording::reply(text.as_bytes()))
            }
            // What is declared to be binary may be.
            None if has_nul && options.receiving.reject_nul && !self.is_binary() => {
                Some(Reply::of("554 5.6.1 NUL byte not allowed"))
            }
            None if self.is_undeclared_eight_bit() => {
                Some(Reply::of("554 5.6.1 Eight bit data not allowed"))
            }
            None => self.has_disk_space(size.min(DISK_CHECK)).err(),
        }
    }

    fn is_binary(&self) -> bool {
        self.envelope.body_type == Some(BodyType::Binary)
    }

    /// Tells whether the message has 8-bit text that neither MAIL nor its header declares, where
    /// that is forbidden (EightBitMode `s`).
    fn is_undeclared_eight_bit(&self) -> bool {
        let envelope = &*self.envelope;
        self.mta.config.options.headers.eight_bit_mode == EightBitMode::Strict
            && envelope.flags.contains(EnvelopeFlags::HAS_8BIT)
            && envelope.body_type.is_none()
            && !envelope.headers.contains(b"mime-version")
    }

    fn log_too_large(&self, fault: &Option<Reply>, size: u64) {
        let limit = self.mta.config.options.receiving.max_message_size;
        if fault.is_some() && limit > 0 && size > limit {
            self.log(
                6,
                Severity::Notice,
                format_args!("message size ({size}) exceeds maximum ({limit})"),
            );
        }
    }

    /// Makes the message durable, answers, and hands it on.
    fn commit(&mut self, entry: NewEntry, call: &mut Call<'_>) -> Result<(), Reply> {
        if self.transaction.discards {
            // Observed: 8.17.1.9, whose bare word gives way to lines about each recipient.
            if self.mta.log.is_on(LEVEL_DISCARDED_EACH) {
                self.log_recipients(LEVEL_DISCARDED_EACH, "discarded");
            } else {
                self.log(LEVEL_DISCARDED, Severity::Info, format_args!("discarded"));
            }
            let mailer = self.mta.mailer_of_sender(&self.envelope);
            self.mta.counting.count(|all| all.discard(Some(mailer)));
            let id = self.envelope.id_for_log().to_vec();
            self.say(call, &acceptance(&id));
            return Ok(());
        }
        if self.envelope.open_recipients() == 0 && self.filters.is_asked {
            // Filters took the last recipient away. Observed: 8.17.1.9 says yes, and no more.
            let id = self.envelope.id_for_log().to_vec();
            self.say(call, &acceptance(&id));
            return Ok(());
        }
        let mode = self.mode_of_delivery();
        let mut envelope = std::mem::take(&mut *self.envelope);
        // A body without eight bits is what it is, whatever the client declared.
        let is_utf8 = envelope.flags.contains(EnvelopeFlags::UTF8) && envelope.has_utf8_addresses();
        let needs_eight_bits = is_utf8 || envelope.flags.contains(EnvelopeFlags::HAS_8BIT);
        let is_binary = envelope.body_type == Some(BodyType::Binary);
        if envelope.body_type.is_some() && !needs_eight_bits && !is_binary {
            envelope.body_type = Some(BodyType::SevenBit);
        }
        if let Some(kind) = envelope.body_type {
            let name = kind.name().as_bytes();
            envelope.macros.set_text(MacroId::BODYTYPE, name);
        }
        if let Some(envid) = &envelope.dsn.envid {
            envelope.macros.set_text(MacroId::ENVID, envid);
        }
        let kept = self.keep_for_log(&envelope);
        let is_old_style = self.mta.config.options.headers.old_style_headers;
        envelope.headers.note_stored_forms(is_old_style);
        let quarantined = envelope.quarantine.is_some();
        let is_verified = self.has_verified(&envelope);
        let id = envelope.id_for_log().to_vec();
        // Nobody delivers a quarantined message now, so it must be in the queue whatever the mode.
        let fate = if quarantined {
            DeliveryMode::QueueOnly
        } else {
            mode
        };
        let durability = Durability::of(self.mta.config.options.queueing.super_safe, fate);
        let mta = std::sync::Arc::clone(&self.mta);
        let mut parts = mta.split_by_queue_group(envelope, &mut call.workspace.rewrite);
        if !self.is_interactive() {
            parts.iter_mut().for_each(forget_routes);
        }
        let (messages, committed) = match commit_parts(&mta, entry, parts, durability) {
            Ok(done) => done,
            Err(error) => {
                *self.envelope = kept;
                return Err(self.queue_refusal(&error));
            }
        };
        *self.envelope = kept;
        if quarantined {
            let mailer = self.mta.mailer_of_sender(&self.envelope);
            self.mta.counting.count(|all| all.quarantine(mailer));
            self.log_quarantine();
            self.say(call, &message_accepted(&id, &committed));
            return Ok(());
        }
        match mode {
            DeliveryMode::Interactive => {
                for message in messages {
                    let exit = call.outlet.deliver_before_reply(message, call.workspace);
                    // A status outside of the table is an unknown mailer error.
                    self.remember_exit(match exit {
                        ExitStatus::Other(_) => ExitStatus::Unavailable,
                        known => known,
                    });
                }
                self.say(call, &message_accepted(&id, &committed));
            }
            DeliveryMode::Background => {
                self.say(call, &message_accepted(&id, &committed));
                for mut message in messages {
                    if is_verified {
                        message.envelope.flags.insert(EnvelopeFlags::AS_FROM_QUEUE);
                        take_stored_size(&mut message.envelope);
                    }
                    call.outlet.deliver(unexpanded(message));
                }
            }
            DeliveryMode::QueueOnly | DeliveryMode::Deferred => {
                drop(messages);
                self.say(call, &message_accepted(&id, &committed));
            }
        }
        Ok(())
    }

    /// Tells whether a recipient may be an alias, which is looked at when it is delivered.
    fn has_verified(&self, envelope: &Envelope) -> bool {
        let mailers = &self.mta.config.mailers;
        envelope.recipients.iter().any(|recipient| {
            let triple = recipient.triple.as_ref();
            triple.is_some_and(|triple| mailers.get(triple.mailer).has(b'A'))
        })
    }

    /// Keeps what log lines after the commit still need.
    fn keep_for_log(&self, envelope: &Envelope) -> Envelope {
        Envelope {
            id: envelope.id.clone(),
            sender: envelope.sender.clone(),
            recipients: envelope.recipients.clone(),
            priority: envelope.priority,
            created: envelope.created,
            quarantine: envelope.quarantine.clone(),
            macros: envelope.macros.clone(),
            ..Envelope::default()
        }
    }

    fn log_quarantine(&self) {
        let reason = self.envelope.quarantine.as_deref().unwrap_or(b"");
        let age = self.mta.clock.now().since(self.envelope.created);
        for recipient in &self.envelope.recipients {
            if !recipient.state.is_open() {
                continue;
            }
            let mailer = recipient.triple.as_ref().map_or(&b""[..], |triple| {
                &self.mta.config.mailers.get(triple.mailer).name
            });
            self.log(
                4,
                Severity::Info,
                format_args!(
                    "to={}, delay={}, mailer={}, pri={}, quarantine={}, stat=quarantined",
                    escape_for_display(&recipient.address),
                    crate::text::interval::format_interval(age),
                    escape_for_display(mailer),
                    self.envelope.priority,
                    escape_for_display(reason)
                ),
            );
        }
    }

    fn queue_refusal(&self, error: &CommitError) -> Reply {
        self.log(
            1,
            Severity::Critical,
            format_args!(
                "SYSERR(root): collect: Cannot write message: {error}: {}",
                error.source
            ),
        );
        match error.fault() {
            QueueFault::Full => Reply::of("452 4.3.1 Out of disk space for temp file"),
            QueueFault::Other => Reply::of("451 4.3.0 Cannot write message to the queue"),
        }
    }

    pub(super) fn delivery_mode(&self) -> DeliveryMode {
        let options = &self.mta.config.options;
        let mode = self
            .connection
            .port
            .and_then(|index| options.daemon_ports.get(index))
            .and_then(|port| port.delivery_mode)
            .unwrap_or(options.queueing.delivery_mode);
        // Nobody gets a message that a filter may still refuse, or keep from him.
        if mode == DeliveryMode::Interactive && self.filters_may_refuse_recipients() {
            return DeliveryMode::Background;
        }
        mode
    }

    /// Tells whether recipients are expanded at once.
    pub(super) fn is_interactive(&self) -> bool {
        self.delivery_mode() == DeliveryMode::Interactive
    }

    /// Returns the delivery mode of this message: a busy machine queues what is not urgent.
    fn mode_of_delivery(&self) -> DeliveryMode {
        let queueing = &self.mta.config.options.queueing;
        let load = crate::sys::host::load_average().unwrap_or(0.0).round();
        // A load average is small and never negative.
        #[allow(clippy::cast_possible_truncation)]
        let load = load as i64;
        let queue_la = i64::from(queueing.queue_la);
        if should_queue(
            self.envelope.priority,
            load,
            queue_la,
            queueing.queue_factor,
        ) {
            return DeliveryMode::QueueOnly;
        }
        self.delivery_mode()
    }

    /// Gives up on a client that went away or fell silent inside a message.
    pub(super) fn lose_collection(&mut self, size: u64, why: &[u8], call: &mut Call<'_>) {
        self.envelope.size = size;
        let client = escape_for_display(&self.client.name);
        let sender = escape_for_display(&self.envelope.sender.address);
        let why = escape_for_display(why);
        let told = format!("collect: relay={client}, from={sender}, info={why}");
        if why == "read timeout" {
            self.log(1, Severity::Critical, format_args!("SYSERR(root): {told}"));
        } else {
            self.log(
                2,
                Severity::Warning,
                format_args!("collect: premature EOM: {why}"),
            );
            self.log(2, Severity::Notice, format_args!("{told}"));
        }
        self.say_text(call, &format!("421 4.4.1 {told}"));
    }

    /// Refuses a message with a lone CR or LF, and the connection with it.
    pub(super) fn refuse_bare(
        &mut self,
        octet: BareOctet,
        collector: &Collector,
        call: &mut Call<'_>,
    ) {
        self.envelope.size = collector.size();
        let what = bare_text(octet);
        let place = if collector.is_in_header() {
            "header"
        } else {
            "body"
        };
        self.say_text(call, &format!("421 4.5.0 {what}"));
        self.log(
            1,
            Severity::Notice,
            format_args!(
                "collect: relay={}, from={}, info={what}, where={place}, status=tempfail",
                escape_for_display(&self.client.name),
                escape_for_display(&self.envelope.sender.address)
            ),
        );
    }
}

fn bare_text(octet: BareOctet) -> &'static str {
    match octet {
        BareOctet::CarriageReturn => "Bare carriage return (CR) not allowed",
        BareOctet::LineFeed => "Bare linefeed (LF) not allowed",
    }
}

/// Makes all parts of a message durable, or none: the client keeps it then.
fn commit_parts(
    mta: &Mta,
    entry: NewEntry,
    parts: Vec<Envelope>,
    durability: Durability,
) -> Result<(Vec<LockedEnvelope>, Committed), CommitError> {
    let mut parts = parts.into_iter();
    // A split has at least the original.
    let original = parts.next().unwrap_or_default();
    let (first, committed) = entry
        .commit_envelope(original, durability)
        .map_err(|(_, error)| error)?;
    let mut messages = vec![first];
    for part in parts {
        let directory = mta.queue.directory_for(part.queue_group, &*mta.clock);
        let made = messages[0].split_off(directory, part);
        match made {
            Ok(message) => messages.push(message),
            Err(error) => {
                for message in messages {
                    if let Err(error) = message.entry.remove() {
                        log::warn!("an entry that was refused stays in the queue: {error}");
                    }
                }
                return Err(error);
            }
        }
    }
    Ok((messages, committed))
}

/// Leaves recipients that were only verified to be resolved and expanded at delivery.
fn forget_routes(envelope: &mut Envelope) {
    for recipient in &mut envelope.recipients {
        recipient.triple = None;
    }
}

/// LogLevel of the word about a message that is thrown away.
const LEVEL_DISCARDED: u8 = 5;
/// LogLevel from which each of its recipients is named instead.
const LEVEL_DISCARDED_EACH: u8 = 10;

/// Octets beyond the message for which the disk must have room.
const DISK_CHECK: u64 = 1_048_576;

/// The 250 that takes responsibility; it cannot be made without proof that the message is durable.
fn message_accepted(id: &[u8], _durable: &Committed) -> Reply {
    acceptance(id)
}

fn acceptance(id: &[u8]) -> Reply {
    wording::reply(&[b"250 2.0.0 ", id, b" Message accepted for delivery"].concat())
}
/// Counts the size of a message as a queue run does.
///
/// Observed: 8.17.1.9, whose child in the background reads a message from the queue if
/// recipients of it were only verified; `SIZE=` and the statistics then say so.
fn take_stored_size(envelope: &mut Envelope) {
    envelope.size = stored_size(&envelope.headers).saturating_add(envelope.body.len());
}

/// Forgets where recipients go: they were only verified, aliases are expanded at delivery.
fn unexpanded(mut message: LockedEnvelope) -> LockedEnvelope {
    for recipient in &mut message.envelope.recipients {
        if recipient.state.is_open() {
            recipient.triple = None;
        }
    }
    message
}
