//! One submission from flags and standard input to committed queue entries.
//!
//! Order, observed: 8.17.1.9: the sender is settled, the operands are expanded (their
//! errors are told before anything is read), the message is read, the recipients of its
//! header are expanded, the header is completed, and the result is committed: lists with
//! an owner get an entry of their own. Delivery is the caller's business.

use std::io::Read;

use super::SubmitArguments;
use super::input::{Input, InputFault, InputRules, read_message};
use super::sender::resolve_sender;
use super::submitter::{Submitter, full_name_as_given};
use crate::alias::context::Summary;
use crate::alias::expand::Expansion;
use crate::config::options::{EightBitMode, ErrorMode, PrivacyFlags};
use crate::envelope::prepare::{is_resent, log_sender, prepare};
use crate::envelope::{DeliveryStatus, Envelope, EnvelopeFlags, Recipient, RecipientState, split};
use crate::logging::narrator::{Narrator, Silent, Stdout};
use crate::logging::record::Severity;
use crate::macros::{MacroId, Macros};
use crate::message::address::PhraseRules;
use crate::message::{BodyType, HeaderField, HeaderTraits};
use crate::mta::routing::{ExpansionFlags, Routing};
use crate::mta::{Mta, Workspace};
use crate::queue::{CommitError, Durability, LockedEnvelope, NewEntry};
use crate::smtp::{EnhancedStatus, ExitStatus};
use crate::text::date::{ctime_date, numeric_date, rfc5322_date};

/// What became of a submission.
#[derive(Debug, Default)]
pub struct Submission {
    /// The messages committed, locked, ready for delivery; none if nothing was accepted.
    pub messages: Vec<LockedEnvelope>,
    /// The exit status so far; deliveries may still change it.
    pub exit: Option<ExitStatus>,
    /// What the caller does with the messages.
    pub next: Next,
}

/// What happens to a committed submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Next {
    /// It is delivered as the delivery mode says.
    #[default]
    Deliver,
    /// Its header has bad addresses: failures are reported by mail whatever the error mode
    /// says, and what is left waits for a queue run.
    ReportAndHold,
}

impl Submission {
    fn refused(exit: ExitStatus) -> Self {
        Submission {
            exit: Some(exit),
            ..Submission::default()
        }
    }
}

/// Takes a message from `source` and commits it.
///
/// What the user must know is printed: errors in the error modes that print, each step
/// with -v.
pub fn submit_message(
    mta: &Mta,
    workspace: &mut Workspace,
    arguments: &SubmitArguments,
    source: &mut dyn Read,
) -> Submission {
    if arguments.recipients.is_empty() && !arguments.recipients_from_header {
        Stdout.say(b"Recipient names must be specified");
        return Submission::refused(ExitStatus::Usage);
    }
    let entry = mta.queue.new_entry(0, &*mta.clock);
    let mut desk = Desk::new(mta, workspace, arguments, entry.id().clone());
    desk.settle_sender();
    desk.add_operands();
    desk.take_in(entry, source)
}

/// Reply code, enhanced status and text of a refusal.
type Fault = (u16, (u8, u16, u16), String);

/// A permanent failure without detail.
const NO_DETAIL: (u8, u16, u16) = (5, 0, 0);

/// A submission in progress.
struct Desk<'a> {
    mta: &'a Mta,
    workspace: &'a mut Workspace,
    arguments: &'a SubmitArguments,
    submitter: Submitter,
    envelope: Envelope,
    errors: Box<dyn Narrator>,
    summary: Summary,
    /// Errors told before the message was read.
    operand_errors: u32,
    next: Next,
    /// The recipients as the user gave them, for `$u`.
    given: Vec<Vec<u8>>,
}

impl<'a> Desk<'a> {
    fn new(
        mta: &'a Mta,
        workspace: &'a mut Workspace,
        arguments: &'a SubmitArguments,
        id: crate::envelope::QueueId,
    ) -> Self {
        let submitter = Submitter::of(arguments.uid, &*mta.users);
        let mut envelope = Envelope {
            id: Some(id),
            created: mta.clock.now(),
            macros: arguments.macros.clone(),
            hop_count: arguments.hop_count,
            body_type: arguments.body_type,
            ..Envelope::default()
        };
        envelope.dsn.envid.clone_from(&arguments.envid);
        envelope.dsn.ret = arguments.ret;
        if arguments.ret.is_some() {
            envelope.flags.insert(EnvelopeFlags::RET_GIVEN);
        }
        if arguments.ret == Some(crate::envelope::Return::Headers) {
            envelope.flags.insert(EnvelopeFlags::NO_BODY_RETURN);
        }
        let errors: Box<dyn Narrator> = match mta.config.options.running.error_mode {
            ErrorMode::Print => Box::new(Stdout),
            _ if mta.config.options.running.verbose => Box::new(Stdout),
            ErrorMode::Quiet | ErrorMode::Mail | ErrorMode::Write | ErrorMode::MailAndExitZero => {
                Box::new(Silent)
            }
        };
        let mut desk = Desk {
            mta,
            workspace,
            arguments,
            submitter,
            envelope,
            errors,
            summary: Summary::default(),
            operand_errors: 0,
            next: Next::Deliver,
            given: Vec::new(),
        };
        desk.set_macros();
        desk
    }

    fn set_macros(&mut self) {
        let now = self.mta.clock.now();
        let id = self.envelope.id_for_log().to_vec();
        let caller = [&self.submitter.name[..], b"@localhost"].concat();
        let macros = &mut self.envelope.macros;
        macros.set_text(MacroId::I, &id);
        macros.set_text(MacroId::UNDERSCORE, &caller);
        macros.set_text(MacroId::A, rfc5322_date(now).as_bytes());
        macros.set_text(MacroId::B, rfc5322_date(now).as_bytes());
        macros.set_text(MacroId::D, ctime_date(now).as_bytes());
        macros.set_text(MacroId::letter(b't'), numeric_date(now).as_bytes());
        macros.set_text(MacroId::TIME, now.seconds().to_string().as_bytes());
        macros.set_text(MacroId::C, self.envelope.hop_count.to_string().as_bytes());
        if !self.arguments.arpanet {
            let flags: &[u8] = if self.arguments.relay {
                b"CC f"
            } else {
                b"c u"
            };
            macros.set_text(MacroId::DAEMON_FLAGS, flags);
        }
        if let Some(envid) = &self.envelope.dsn.envid {
            macros.set_text(MacroId::DSN_ENVID, envid);
        }
        if let Some(kind) = self.envelope.body_type {
            macros.set_text(MacroId::BODYTYPE, kind.name().as_bytes());
        }
    }

    fn settle_sender(&mut self) {
        let given = match &self.arguments.sender {
            Some((address, _)) => address.clone(),
            None => self.submitter.name.clone(),
        };
        self.set_sender(&given);
    }

    /// Makes `given` the sender of the envelope.
    fn set_sender(&mut self, given: &[u8]) {
        let options = &self.mta.config.options.headers;
        let rules = PhraseRules {
            must_quote: &options.must_quote_chars,
            ..PhraseRules::default()
        };
        let words = self
            .arguments
            .full_name
            .as_ref()
            .or(self.arguments.name_variable.as_ref());
        let full_name = words
            .filter(|name| !name.is_empty())
            .map(|name| full_name_as_given(name, &rules));
        let resolved = resolve_sender(
            given,
            full_name.as_deref(),
            &self.submitter,
            &mut self.envelope.macros,
            self.mta,
            self.workspace,
        );
        for complaint in &resolved.complaints {
            self.complain(Some(given), complaint);
        }
        let macros = &mut self.envelope.macros;
        macros.set_text(MacroId::F, &resolved.canonical);
        if let Some(name) = &resolved.sender.full_name {
            macros.set_text(MacroId::X, name);
        }
        if let Some(triple) = &resolved.sender.triple {
            let mailer = self.mta.config.mailers.get(triple.mailer);
            macros.set_text(MacroId::MAIL_MAILER, &mailer.name);
            macros.set_text(MacroId::MAIL_HOST, &triple.host);
            macros.set_text(MacroId::MAIL_ADDR, &triple.user);
        }
        self.envelope.sender = resolved.sender;
        if self.envelope.auth_sender.is_none() {
            self.envelope.auth_sender = resolved.auth;
        }
    }

    /// Expands the operands.
    fn add_operands(&mut self) {
        let lists = self.arguments.recipients.clone();
        self.expand(&lists, false);
        self.operand_errors = self.summary.errors;
    }

    fn expand(&mut self, lists: &[Vec<u8>], bcc: bool) {
        if lists.is_empty() {
            return;
        }
        self.given.extend_from_slice(lists);
        let template = Recipient {
            notify: self.arguments.notify,
            bcc,
            ..Recipient::new(Vec::new())
        };
        let flags = ExpansionFlags {
            no_alias: self.arguments.no_alias,
            ..ExpansionFlags::default()
        };
        let mut limits = self.mta.expansion_limits(flags);
        limits.plain_only = self.mta.config.options.running.use_msp;
        let mut macros = std::mem::take(&mut self.envelope.macros);
        let mut routing = Routing::new(self.mta, &mut macros, &mut self.workspace.rewrite);
        let mut cx = self.mta.expand_context(
            &mut routing,
            &limits,
            &mut *self.workspace.narrator,
            &mut *self.errors,
        );
        let mut expansion = Expansion::new(&mut self.envelope, &mut cx);
        for list in lists {
            expansion.add_list_text(list, &template);
        }
        let summary = expansion.finish();
        self.envelope.macros = macros;
        self.summary.errors += summary.errors;
        self.summary.refused += summary.refused;
        self.summary.exit = summary.exit.or(self.summary.exit);
    }

    /// Reads the message and commits it.
    fn take_in(mut self, mut entry: NewEntry, source: &mut dyn Read) -> Submission {
        let options = &self.mta.config.options;
        let rules = InputRules {
            ignore_dots: self.arguments.ignore_dots || options.receiving.ignore_dots,
            keep_from_line: options.headers.save_from_line,
            seven_bit: options.headers.seven_bit_input,
            max_header_bytes: options.headers.max_headers_length,
            max_message_bytes: options.receiving.max_message_size,
        };
        let input = match read_message(source, &rules, &mut entry) {
            Ok(input) => input,
            Err(InputFault::Read(error)) => {
                let text = format!("451 4.4.1 I/O error: {error}");
                self.complain(None, text.as_bytes());
                return Submission::refused(ExitStatus::IoError);
            }
            Err(InputFault::Store(error)) => return self.cannot_store(&error),
        };
        let fault = self.input_fault(&input, &rules);
        let told_before = self.summary.refused;
        self.take_header(input);
        if let Some((code, enhanced, text)) = fault {
            self.refuse_all(code, enhanced, &text);
        } else if self.summary.refused > told_before {
            self.refuse_bad_header();
        }
        if self.envelope.recipients.is_empty() {
            if self.arguments.recipients_from_header && self.summary.errors == 0 {
                Stdout.say(b"No recipient addresses found in header");
            }
            return Submission {
                exit: self.exit(),
                ..Submission::default()
            };
        }
        self.complete();
        self.commit(entry)
    }

    /// Returns why a message that was read cannot be taken.
    fn input_fault(&mut self, input: &Input, rules: &InputRules) -> Option<Fault> {
        let headers = &self.mta.config.options.headers;
        if input.header_too_long {
            let text = format!("Headers too large ({} max)", rules.max_header_bytes);
            return Some((552, (5, 6, 0), text));
        }
        if input.message_too_long {
            self.envelope.flags.insert(EnvelopeFlags::NO_BODY_RETURN);
            let limit = rules.max_message_bytes;
            let text = format!("Message exceeds maximum fixed size ({limit})");
            return Some((552, (5, 2, 3), text));
        }
        let is_declared =
            self.envelope.body_type.is_some() || input.headers.contains(b"mime-version");
        let is_strict = headers.eight_bit_mode == EightBitMode::Strict;
        (is_strict && input.has_eight_bit && !is_declared)
            .then(|| (554, (5, 6, 1), "Eight bit data not allowed".to_owned()))
    }

    /// Refuses the whole message: nobody gets it and the sender hears of it by mail.
    fn refuse_all(&mut self, code: u16, enhanced: (u8, u16, u16), text: &str) {
        self.errors.say(text.as_bytes());
        self.fail_all(code, enhanced, text);
        self.next = Next::ReportAndHold;
    }

    /// Decides what bad addresses in the header mean: those that are listed fail alone and
    /// the others wait; else all fail.
    fn refuse_bad_header(&mut self) {
        self.next = Next::ReportAndHold;
        let failed = |recipient: &Recipient| matches!(recipient.state, RecipientState::Failed(_));
        if !self.envelope.recipients.iter().any(failed) {
            self.fail_open(NO_DETAIL, ExitStatus::Usage, b"");
        }
    }

    /// Returns the exit status so far, none for success.
    fn exit(&self) -> Option<ExitStatus> {
        let operands = (self.operand_errors > 0).then_some(ExitStatus::Usage);
        self.summary.exit.or(operands)
    }

    fn take_header(&mut self, input: Input) {
        if !input.header_too_long {
            self.envelope.headers = input.headers;
        }
        self.envelope.size = input.size;
        if input.has_eight_bit {
            self.envelope.flags.insert(EnvelopeFlags::HAS_8BIT);
        } else if self.envelope.body_type.is_some() {
            self.envelope.body_type = Some(BodyType::SevenBit);
        }
        if let Some(date) = input.from_line.as_deref().and_then(date_of_from_line) {
            self.envelope.macros.set_text(MacroId::D, &date);
            let now = rfc5322_date(self.mta.clock.now());
            if let Some(date) = rfc5322_from_ctime(&date, &now) {
                self.envelope.macros.set_text(MacroId::A, &date);
            }
        }
        if self.mta.config.options.headers.single_line_from_header {
            let originators = self.envelope.headers.iter_mut();
            for field in originators.filter(|f| f.traits().has(HeaderTraits::ORIGINATOR)) {
                field
                    .value
                    .iter_mut()
                    .filter(|b| **b == b'\n')
                    .for_each(|b| *b = b' ');
            }
        }
        self.take_full_name();
        let date = [&b"posted-date"[..], b"date"];
        if let Some(field) = date.iter().find_map(|name| self.envelope.headers.get(name)) {
            let text = field.text().to_vec();
            self.envelope.macros.set_text(MacroId::A, &text);
        }
        if self.arguments.arpanet {
            self.take_sender_from_header();
        }
        if self.arguments.recipients_from_header {
            self.take_recipients_from_header();
        }
    }

    /// A Full-Name: field beats the other sources of `$x`.
    fn take_full_name(&mut self) {
        let Some(field) = self.envelope.headers.get(b"full-name") else {
            return;
        };
        let options = &self.mta.config.options.headers;
        let rules = PhraseRules {
            must_quote: &options.must_quote_chars,
            ..PhraseRules::default()
        };
        let name = full_name_as_given(field.text(), &rules);
        self.envelope.macros.set_text(MacroId::X, &name);
        self.envelope.sender.full_name = Some(name);
    }

    /// Source: guide appendix A, -ba: the most significant originator field counts.
    fn take_sender_from_header(&mut self) {
        let resent = is_resent(&self.envelope);
        let names: &[&[u8]] = if resent {
            &[
                b"resent-sender",
                b"resent-from",
                b"sender",
                b"from",
                b"reply-to",
            ]
        } else {
            &[b"sender", b"from", b"reply-to"]
        };
        let Some(field) = names
            .iter()
            .find_map(|name| self.envelope.headers.get(name))
        else {
            return;
        };
        let sender = field.text().to_vec();
        self.set_sender(&sender);
    }

    fn take_recipients_from_header(&mut self) {
        let resent = is_resent(&self.envelope);
        let fields: Vec<(Vec<u8>, bool)> = self
            .envelope
            .headers
            .iter()
            .filter(|field| {
                let traits = field.traits();
                traits.has(HeaderTraits::RECIPIENTS)
                    && (!resent || traits.has(HeaderTraits::RESENT))
            })
            .map(|field| {
                let one_line: Vec<u8> = field
                    .text()
                    .iter()
                    .map(|byte| if *byte == b'\n' { b' ' } else { *byte })
                    .collect();
                (one_line, field.traits().has(HeaderTraits::BLIND_COPY))
            })
            .collect();
        for (list, bcc) in fields {
            self.expand(&[list], bcc);
        }
    }

    /// Completes the header and everything that follows from it.
    fn complete(&mut self) {
        self.add_warnings();
        let addresses = self
            .given
            .iter()
            .flat_map(|list| crate::message::address::split_address_list(list));
        let addresses: Vec<Vec<u8>> = addresses.map(<[u8]>::to_vec).collect();
        if let [only] = &addresses[..] {
            self.envelope.macros.set_text(MacroId::U, only);
        }
        let living = self.envelope.open_recipients();
        self.envelope
            .macros
            .set_text(MacroId::NRCPTS, living.to_string().as_bytes());
        self.envelope
            .macros
            .set_text(MacroId::MSG_SIZE, self.envelope.size.to_string().as_bytes());
        let mut own = std::mem::take(&mut self.envelope.macros);
        // The header that reaches the queue shows the sender as nobody's rules left it.
        let canonical = own.text(MacroId::F).unwrap_or_default().to_vec();
        let shown = if self.envelope.sender.is_null() {
            self.mta.config.expanded_macro(MacroId::N)
        } else {
            canonical
        };
        own.set_text(MacroId::G, &shown);
        let macros = Macros::new(&mut own, None, &self.mta.config.macros);
        prepare(&mut self.envelope, &self.mta.config, &macros, living);
        own.remove(MacroId::G);
        self.envelope.macros = own;
        self.mta
            .note_stored_headers(&mut self.envelope, &mut self.workspace.rewrite);
        self.envelope.hop_count = self
            .envelope
            .hop_count
            .max(self.envelope.headers.hop_count());
        let hops = self.envelope.hop_count.to_string();
        self.envelope.macros.set_text(MacroId::C, hops.as_bytes());
        self.refuse_hopeless();
    }

    /// Fails all recipients of a message that has gone round in circles.
    fn refuse_hopeless(&mut self) {
        let limit = self.mta.config.options.receiving.max_hop_count;
        if self.envelope.hop_count <= limit {
            return;
        }
        let first = self.envelope.recipients.iter().find(|r| r.state.is_open());
        let to = first.map_or(Vec::new(), |recipient| recipient.address.clone());
        let via = self
            .envelope
            .macros
            .text(MacroId::UNDERSCORE)
            .unwrap_or(b"localhost");
        let via = crate::text::bytes::rsplit_once(via, b'@').map_or(via, |(_, host)| host);
        let text = format!(
            "Too many hops {} ({limit} max): from {} via {}, to {}",
            self.envelope.hop_count,
            crate::text::bytes::printable(&self.envelope.sender.address),
            crate::text::bytes::printable(via),
            crate::text::bytes::printable(&to),
        );
        self.envelope
            .transcript
            .push_line(format!("554 5.4.6 {text}").as_bytes());
        self.summary.exit = Some(ExitStatus::Unavailable);
        self.fail_open((5, 4, 6), ExitStatus::Unavailable, text.as_bytes());
    }

    fn fail_all(&mut self, code: u16, enhanced: (u8, u16, u16), text: &str) {
        let (class, subject, detail) = enhanced;
        let line = format!("{code} {class}.{subject}.{detail} {text}");
        self.envelope.transcript.push_line(line.as_bytes());
        self.fail_open(NO_DETAIL, ExitStatus::Unavailable, text.as_bytes());
    }

    fn fail_open(&mut self, enhanced: (u8, u16, u16), exit: ExitStatus, text: &[u8]) {
        let (class, subject, detail) = enhanced;
        let enhanced = EnhancedStatus::new(class, subject, detail)
            .unwrap_or_else(|| EnhancedStatus::from_exit(exit));
        let now = self.mta.clock.now();
        for recipient in self
            .envelope
            .recipients
            .iter_mut()
            .filter(|r| r.state.is_open())
        {
            recipient.state =
                RecipientState::Failed(DeliveryStatus::local(enhanced, exit, text, now));
        }
    }

    /// Adds `X-Authentication-Warning:` fields where the user claims to be somebody else.
    fn add_warnings(&mut self) {
        let config = &self.mta.config;
        if !config
            .options
            .security
            .privacy_options
            .contains(PrivacyFlags::AUTH_WARNINGS)
        {
            return;
        }
        let mut texts = Vec::new();
        if let Some((sender, flag)) = &self.arguments.sender
            && *sender != self.submitter.name
            && !config.is_trusted(&self.submitter.name)
        {
            let sender = if sender.is_empty() {
                b"<>".as_slice()
            } else {
                sender
            };
            texts.push(
                [
                    &self.submitter.name[..],
                    b" set sender to ",
                    sender,
                    b" using -",
                    &[*flag],
                ]
                .concat(),
            );
        }
        if let Some(file) = &self.arguments.foreign_config {
            texts.push(
                [
                    b"Processed by ",
                    &self.submitter.name[..],
                    b" with -C ",
                    file,
                ]
                .concat(),
            );
        }
        let host = config.expanded_macro(MacroId::J);
        for text in texts.into_iter().rev() {
            let value = [b" ", &host[..], b": ", &text].concat();
            let value: Vec<u8> = value
                .into_iter()
                .map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { b })
                .collect();
            let field = HeaderField::new(b"X-Authentication-Warning", &value);
            self.envelope.headers.insert(0, field);
        }
    }

    fn commit(mut self, entry: NewEntry) -> Submission {
        let options = &self.mta.config.options;
        let durability =
            Durability::of(options.queueing.super_safe, options.queueing.delivery_mode);
        let living = self.envelope.open_recipients();
        let mut own = std::mem::take(&mut self.envelope.macros);
        let macros = Macros::new(&mut own, None, &self.mta.config.macros);
        log_sender(&self.mta.log, &self.envelope, &macros, living);
        self.envelope.macros = own;
        let envelope = std::mem::take(&mut self.envelope);
        let mut parts = split::by_owner(envelope).into_iter();
        let Some(first) = parts.next() else {
            return Submission::refused(ExitStatus::Software);
        };
        let first = match entry.commit_envelope(first, durability) {
            Ok((locked, _)) => locked,
            Err((_, error)) => return self.cannot_store(&error),
        };
        let mut messages = vec![first];
        for part in parts {
            match self.commit_part(&messages[0], part) {
                Ok(locked) => messages.push(locked),
                Err(error) => {
                    self.cannot_store(&error);
                    self.summary.exit = Some(ExitStatus::OsError);
                }
            }
        }
        let is_settled = |recipient: &Recipient| {
            !recipient.state.is_open() && !matches!(recipient.state, RecipientState::Failed(_))
        };
        if messages.len() > 1 && messages[0].envelope.recipients.iter().all(is_settled) {
            // Everybody has gone to a part of his own.
            let first = messages.remove(0);
            if let Err(error) = first.entry.remove() {
                self.cannot_store(&error);
            }
        }
        Submission {
            messages,
            exit: self.exit(),
            next: self.next,
        }
    }

    /// Gives the recipients of an owned list an entry that shares the body.
    fn commit_part(
        &mut self,
        first: &LockedEnvelope,
        mut part: Envelope,
    ) -> Result<LockedEnvelope, CommitError> {
        let directory = self
            .mta
            .queue
            .directory_for(part.queue_group, &*self.mta.clock);
        let id = self.mta.queue.ids().next(&*self.mta.clock);
        let owner = part.sender.address.clone();
        self.envelope.macros = part.macros;
        let resolved = resolve_sender(
            &owner,
            None,
            &self.submitter,
            &mut self.envelope.macros,
            self.mta,
            self.workspace,
        );
        self.envelope
            .macros
            .set_text(MacroId::F, &resolved.canonical);
        part.macros = std::mem::take(&mut self.envelope.macros);
        part.sender = resolved.sender;
        part.id = Some(id.clone());
        for recipient in &mut part.recipients {
            recipient.owner = None;
        }
        self.mta.log.syslog(
            8,
            Severity::Info,
            first.envelope.id.as_ref().map(|id| id.as_bytes()),
            format_args!(
                "{}: clone: owner={}",
                id.as_str(),
                crate::text::bytes::printable(&owner)
            ),
        );
        let entry = first.entry.split(directory, id, &part)?;
        part.body = entry.body()?;
        Ok(LockedEnvelope {
            envelope: part,
            entry,
        })
    }

    fn cannot_store(&mut self, error: &CommitError) -> Submission {
        self.complain(None, format!("451 4.3.0 {error}").as_bytes());
        self.mta.log.syslog(
            1,
            Severity::Critical,
            self.envelope.id.as_ref().map(|id| id.as_bytes()),
            format_args!(
                "SYSERR({}): {error}",
                crate::text::bytes::printable(&self.submitter.name)
            ),
        );
        Submission::refused(ExitStatus::OsError)
    }

    /// Tells an error that begins with its codes, and notes it in the transcript.
    fn complain(&mut self, about: Option<&[u8]>, text: &[u8]) {
        self.summary.errors += 1;
        let plain = without_codes(text);
        let codes = &text[..text.len() - plain.len()];
        let about = about.map_or(Vec::new(), |about| [about, b"... "].concat());
        self.errors.say(&[&about[..], plain].concat());
        self.envelope
            .transcript
            .push_line(&[codes, &about, plain].concat());
        if self.envelope.message_status.is_none() {
            self.envelope.message_status = Some([&about[..], plain].concat());
        }
    }
}

/// Takes reply code and enhanced status off a text.
fn without_codes(text: &[u8]) -> &[u8] {
    let rest = match text.split_at_checked(4) {
        Some((code, rest)) if code[..3].iter().all(u8::is_ascii_digit) && code[3] == b' ' => rest,
        _ => return text,
    };
    match EnhancedStatus::parse_prefix(rest) {
        Some((_, length)) => rest[length..].trim_ascii_start(),
        None => rest,
    }
}

/// Returns the date of a UNIX `From ` line, as ctime writes it.
fn date_of_from_line(line: &[u8]) -> Option<Vec<u8>> {
    const DAYS: [&[u8]; 7] = [
        b"Sun ", b"Mon ", b"Tue ", b"Wed ", b"Thu ", b"Fri ", b"Sat ",
    ];
    let at = (0..line.len()).find(|at| {
        let rest = &line[*at..];
        rest.len() >= 24 && DAYS.iter().any(|day| rest.starts_with(day))
    })?;
    Some(line[at..at + 24].to_vec())
}

/// Turns a ctime date into the RFC 5322 form; the zone is that of `now`.
fn rfc5322_from_ctime(date: &[u8], now: &str) -> Option<Vec<u8>> {
    let mut words = crate::text::bytes::words(date);
    let (day, month, number) = (words.next()?, words.next()?, words.next()?);
    let (time, year) = (words.next()?, words.next()?);
    let zone = now.splitn(6, ' ').nth(5)?;
    Some(
        [
            day,
            b", ",
            number,
            b" ",
            month,
            b" ",
            year,
            b" ",
            time,
            b" ",
            zone.as_bytes(),
        ]
        .concat(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_taken_off() {
        for (text, plain) in [
            ("553 5.1.7 Invalid sender address", "Invalid sender address"),
            ("553 Unbalanced '<'", "Unbalanced '<'"),
            ("no codes", "no codes"),
        ] {
            assert_eq!(without_codes(text.as_bytes()), plain.as_bytes());
        }
    }

    #[test]
    fn dates_of_from_lines() {
        let line = b"From ann Mon Jan  5 10:00:00 2015";
        assert_eq!(
            date_of_from_line(line).as_deref(),
            Some(&b"Mon Jan  5 10:00:00 2015"[..])
        );
        assert_eq!(date_of_from_line(b"From Mon "), None);
        let now = "Sun, 22 Nov 2026 05:18:22 GMT";
        assert_eq!(
            rfc5322_from_ctime(b"Mon Jan  5 10:00:00 2015", now).as_deref(),
            Some(&b"Mon, 5 Jan 2015 10:00:00 GMT"[..])
        );
    }
}
