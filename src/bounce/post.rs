//! Reports made durable: resolve whom they go to, write them, fall back.
//!
//! Whom a report goes to is resolved before it is made, because a sender that does
//! not exist cannot be told: then DoubleBounceAddress is, and if that fails too the
//! report itself is kept as a `Qf` file for the operator. Each attempt shows in log
//! and transcript of the message the report is about.
//!
//! Source: guide 5.6 (DoubleBounceAddress); order and log lines observed: 8.17.1.9.

use std::io;

use super::compose::{Draft, REPORT_ALLOWANCE, boundary, sender_of_reports};
use super::expire::{Expiry, QueueTimes};
use super::last_resort::drop_letter;
use super::notify::{Notice, NoticeKind, NoticeRules, double_bounce, notices_for, postmaster_copy};
use super::report::ReportView;
use super::returned::ReturnedAddresses;
use crate::alias::expand::Expansion;
use crate::config::options::SuperSafe;
use crate::config::options::security::PrivacyFlags;
use crate::envelope::{Envelope, EnvelopeFlags, Recipient};
use crate::logging::record::Severity;
use crate::macros::{MacroId, MacroTable, Macros, Template};
use crate::message::HeaderTraits;
use crate::message::address::split_address_list;
use crate::mta::routing::{ExpansionFlags, Routing};
use crate::mta::{Mta, Workspace};
use crate::queue::{CommitError, Durability, LockedEnvelope, NewEntry};
use crate::text::bytes::escape_for_display;

/// Logged when nobody said why. Observed: 8.17.1.9.
const NO_REASON: &[u8] = b"Unable to deliver mail";

/// Said of a report that nobody can be sent.
pub const NOWHERE: &str = "savemail: cannot save rejected email anywhere";

/// Longest ErrorHeader file read.
const MAX_ERROR_HEADER: u64 = 65_536;

/// What became of the duty to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Everybody who is owed a report has one in the queue, or nobody is owed any.
    Settled,
    /// This message is itself a report, and nobody can be told that it failed: it must be
    /// kept for the operator (`LockedEnvelope::lose`).
    Hopeless,
}

/// Reports that were queued.
#[derive(Debug)]
pub struct Posted {
    /// The reports, each locked, in the order they were made.
    pub messages: Vec<LockedEnvelope>,
    /// Whether the message may be struck.
    pub fate: Fate,
}

/// Queues all reports a message owes; after that its recipients may be struck.
///
/// # Errors
/// When a report cannot be made durable; nothing may be struck then.
pub fn send_notices(
    mta: &Mta,
    workspace: &mut Workspace,
    envelope: &mut Envelope,
    expiry: &Expiry,
) -> Result<Posted, CommitError> {
    let warning = match expiry {
        Expiry::Warned { told } => Some(told.as_str()),
        Expiry::Nothing | Expiry::Returned { .. } => None,
    };
    let rules = rules_of(mta, envelope);
    let mut post = Post {
        mta,
        workspace,
        rules,
        warns: warning.is_some(),
        messages: Vec::new(),
    };
    let mut fate = Fate::Settled;
    for notice in notices_for(envelope, &post.rules, warning) {
        let result = match notice.kind {
            NoticeKind::Postmaster => post.tell_postmaster(envelope, &notice)?,
            NoticeKind::Failure => post.tell_sender(envelope, &notice)?,
            NoticeKind::Receipt | NoticeKind::Warning => {
                post.if_resolved(envelope, &notice)?;
                Fate::Settled
            }
        };
        if result == Fate::Hopeless {
            fate = Fate::Hopeless;
        }
    }
    Ok(Posted {
        messages: post.messages,
        fate,
    })
}

/// Queues the copy of a failure that the postmaster gets (PostmasterCopy).
///
/// Asked for when the report itself has been delivered. A copy that nobody can get is made all
/// the same, and fails like any report. Observed: 8.17.1.9.
///
/// # Errors
/// As [`send_notices`].
pub fn send_copy(
    mta: &Mta,
    workspace: &mut Workspace,
    envelope: &mut Envelope,
) -> Result<Option<LockedEnvelope>, CommitError> {
    let rules = rules_of(mta, envelope);
    let Some(notice) = postmaster_copy(envelope, &rules) else {
        return Ok(None);
    };
    let mut post = Post {
        mta,
        workspace,
        rules,
        warns: false,
        messages: Vec::new(),
    };
    let recipients = post.resolve(envelope, &notice.to);
    post.make(envelope, &notice, recipients).map(Some)
}

/// Looks up the name reports come from, as the reference does before it gives a report up.
///
/// It is told in the log if there is nobody of that name.
pub fn look_for_sender(mta: &Mta, workspace: &mut Workspace, envelope: &mut Envelope) {
    let sender = envelope.sender.address.clone();
    let mut post = Post {
        mta,
        workspace,
        rules: rules_of(mta, envelope),
        warns: false,
        messages: Vec::new(),
    };
    post.resolve(envelope, &sender);
}

/// Collects what the configuration says about reports.
fn rules_of(mta: &Mta, envelope: &Envelope) -> NoticeRules {
    let options = &mta.config.options;
    let mut nothing = MacroTable::new();
    let macros = Macros::new(&mut nothing, None, &mta.config.macros);
    let privacy = options.security.privacy_options;
    let copy = options.delivering.postmaster_copy.as_deref();
    NoticeRules {
        double_bounce: options.delivering.double_bounce_address.expanded(&macros),
        postmaster_copy: copy.filter(|copy| !copy.is_empty()).map(<[u8]>::to_vec),
        never_returns_body: privacy.contains(PrivacyFlags::NO_BODY_RETURN),
        errors_to: match options.delivering.use_errors_to {
            true => errors_to(envelope),
            false => Vec::new(),
        },
        never_sends_receipts: privacy.contains(PrivacyFlags::NO_RECEIPTS),
    }
}

/// Reads the addresses of `Errors-To:` fields; each list is taken from its end, like any.
fn errors_to(envelope: &Envelope) -> Vec<Vec<u8>> {
    let fields = envelope.headers.iter();
    let wanted = fields.filter(|field| field.traits().has(HeaderTraits::ERRORS_TO));
    wanted
        .flat_map(|field| split_address_list(field.text()).into_iter().rev())
        .map(<[u8]>::to_vec)
        .collect()
}

/// The work of one call.
struct Post<'a> {
    mta: &'a Mta,
    workspace: &'a mut Workspace,
    rules: NoticeRules,
    warns: bool,
    messages: Vec<LockedEnvelope>,
}

impl Post<'_> {
    fn tell_sender(
        &mut self,
        envelope: &mut Envelope,
        notice: &Notice,
    ) -> Result<Fate, CommitError> {
        if self.if_resolved(envelope, notice)? {
            return Ok(Fate::Settled);
        }
        if self.rules.double_bounce.is_empty() {
            return Ok(Fate::Settled);
        }
        let notice = Notice {
            log_word: "postmaster notify",
            ..double_bounce(envelope, &self.rules)
        };
        self.tell_postmaster(envelope, &notice)
    }

    /// Queues a report if anybody can get it.
    fn if_resolved(
        &mut self,
        envelope: &mut Envelope,
        notice: &Notice,
    ) -> Result<bool, CommitError> {
        let own = self.resolve(envelope, &notice.to);
        let (mut notice, mut recipients) = (notice.clone(), Vec::new());
        let also_to = std::mem::take(&mut notice.also_to);
        for other in also_to {
            let mut more = self.resolve(envelope, &other);
            let known = [&own[..], &recipients].concat();
            more.retain(|new| known.iter().all(|old: &Recipient| old.triple != new.triple));
            if is_any_open(&more) {
                notice.also_to.push(other);
            }
            recipients.extend(more);
        }
        recipients.extend(own);
        if !is_any_open(&recipients) {
            return Ok(false);
        }
        let message = self.make(envelope, &notice, recipients)?;
        self.messages.push(message);
        Ok(true)
    }

    fn tell_postmaster(
        &mut self,
        envelope: &mut Envelope,
        notice: &Notice,
    ) -> Result<Fate, CommitError> {
        if envelope.is_response() {
            // Observed: the name reports come from is looked up first, but never told.
            let sender = envelope.sender.address.clone();
            self.resolve(envelope, &sender);
        }
        let recipients = self.resolve(envelope, &notice.to);
        if is_any_open(&recipients) {
            let message = self.make(envelope, notice, recipients)?;
            self.messages.push(message);
            return Ok(Fate::Settled);
        }
        if envelope.is_response() {
            self.log_unwritten(envelope, notice);
            return Ok(Fate::Hopeless);
        }
        // The report is all that is left to keep; its own failure is a report's failure.
        let mut message = self.make(envelope, notice, recipients)?;
        let notice = double_bounce(&message.envelope, &self.rules);
        self.tell_postmaster(&mut message.envelope, &notice)?;
        self.lose(message)?;
        Ok(Fate::Settled)
    }

    /// Logs what the reference does when a report is about a report that reached nobody:
    /// it begins another one, which has nobody to go to either.
    fn log_unwritten(&mut self, envelope: &Envelope, notice: &Notice) {
        let id = self.mta.queue.ids().next(&*self.mta.clock);
        self.log_notice(envelope, id.as_bytes(), notice);
        let size = match notice.returns_body {
            true => envelope.size.saturating_add(REPORT_ALLOWANCE),
            false => 0,
        };
        let mut unwritten = Envelope {
            id: Some(id),
            sender: envelope.sender.clone(),
            macros: envelope.macros.clone(),
            created: self.mta.clock.now(),
            priority: i64::try_from(size).unwrap_or(i64::MAX),
            ..Envelope::default()
        };
        let sender = envelope.sender.address.clone();
        self.resolve(&mut unwritten, &sender);
    }

    /// Keeps a report nobody can be sent for the operator.
    fn lose(&mut self, mut message: LockedEnvelope) -> Result<(), CommitError> {
        // Nobody split what goes to nobody; observed: 8.17.1.9.
        message.envelope.flags.remove(EnvelopeFlags::SPLIT);
        if drop_letter(self.mta, self.workspace, &message.envelope) {
            return message.entry.remove();
        }
        // It counts as tried, and what was wrong with it is not kept. Observed: 8.17.1.9.
        message.envelope.attempts = 1;
        message.envelope.last_attempt = Some(self.mta.clock.now());
        message.envelope.message_status = None;
        message.entry.rewrite(&message.envelope)?;
        let id = message.envelope.id_for_log().to_vec();
        let log = &self.mta.log;
        let place = message.entry.place();
        log.syslog(
            0,
            Severity::Alert,
            Some(&id),
            format_args!("Losing {place}: savemail panic"),
        );
        let user = self.user_name();
        log.syslog(
            0,
            Severity::Critical,
            Some(&id),
            format_args!("SYSERR({user}): {NOWHERE}"),
        );
        self.workspace.complaints.say(NOWHERE.as_bytes());
        message.entry.lose()
    }

    fn user_name(&self) -> String {
        let uid = crate::sys::process::real_user();
        match self.mta.users.user_by_uid(uid) {
            Ok(Some(user)) => escape_for_display(&user.name).to_string(),
            Ok(None) | Err(_) => uid.to_string(),
        }
    }

    /// Resolves an address in the name of a message: what fails shows in its log and transcript.
    fn resolve(&mut self, envelope: &mut Envelope, address: &[u8]) -> Vec<Recipient> {
        let mta = self.mta;
        let mut scratch = Envelope {
            id: envelope.id.clone(),
            sender: envelope.sender.clone(),
            created: envelope.created,
            priority: envelope.priority,
            message_status: envelope.message_status.take(),
            transcript: std::mem::take(&mut envelope.transcript),
            ..Envelope::default()
        };
        // Whoever wrote to himself must still get his report.
        scratch.sender.triple = None;
        let mut macros = envelope.macros.clone();
        let mut limits = mta.expansion_limits(ExpansionFlags::default());
        limits.me_too = true;
        limits.logs_unknown_users = true;
        {
            let mut routing = Routing::new(mta, &mut macros, &mut self.workspace.rewrite);
            let narrator = self.workspace.narrator.as_mut();
            let complaints = self.workspace.complaints.as_mut();
            let mut cx = mta.expand_context(&mut routing, &limits, narrator, complaints);
            let mut expansion = Expansion::new(&mut scratch, &mut cx);
            expansion.add_list_text(address, &Recipient::new(Vec::new()));
            expansion.finish();
        }
        envelope.transcript = scratch.transcript;
        envelope.message_status = scratch.message_status;
        scratch.recipients
    }

    fn log_notice(&self, envelope: &Envelope, id: &[u8], notice: &Notice) {
        let trouble = notice.reason.as_ref().or(envelope.message_status.as_ref());
        let reason = trouble.map_or(NO_REASON, Vec::as_slice);
        self.mta.log.syslog(
            6,
            Severity::Info,
            Some(envelope.id_for_log()),
            format_args!(
                "{}: {}: {}",
                escape_for_display(id),
                notice.log_word,
                escape_for_display(reason)
            ),
        );
    }

    /// Writes a report and makes it durable.
    fn make(
        &mut self,
        envelope: &Envelope,
        notice: &Notice,
        recipients: Vec<Recipient>,
    ) -> Result<LockedEnvelope, CommitError> {
        let config = &*self.mta.config;
        let now = self.mta.clock.now();
        // A report waits in the queue group of whom it goes to. Observed: 8.17.1.9.
        let mut scratch = Envelope {
            recipients,
            ..Envelope::default()
        };
        let buffers = &mut self.workspace.rewrite;
        self.mta.settle_queue_group(&mut scratch, buffers);
        let (recipients, queue_group) = (scratch.recipients, scratch.queue_group);
        let mut entry = self.mta.queue.new_entry(queue_group, &*self.mta.clock);
        let id = entry.id().clone();
        self.log_notice(envelope, id.as_bytes(), notice);
        let host = config.expanded_macro(MacroId::J);
        let boundary = boundary(&id, now, &host);
        let is_mime = config.options.delivering.send_mime_errors;
        self.write_body(
            envelope,
            notice,
            is_mime.then_some(&boundary),
            &host,
            (id.as_bytes(), &mut entry),
        )?;
        let draft = Draft {
            parent: envelope,
            notice,
            id: &id,
            now,
            boundary: is_mime.then_some(&boundary),
            is_utf8: config.options.receiving.smtp_utf8
                && (envelope.has_utf8_addresses() || envelope.has_utf8_header()),
            recipients,
            queue_group,
            hop_count: self.workspace.first_hop,
        };
        // A report is queued completely before what it is about is struck, so it is never kept
        // in memory only.
        let durability = match config.options.queueing.super_safe {
            SuperSafe::False => Durability::Written,
            SuperSafe::True | SuperSafe::Interactive | SuperSafe::PostMilter => Durability::Synced,
        };
        let report = draft.envelope(config);
        self.mta.count_message_from(&report);
        let committed = entry.commit_envelope(report, durability);
        committed
            .map(|(message, _)| message)
            .map_err(|(_, error)| error)
    }

    fn write_body(
        &mut self,
        envelope: &Envelope,
        notice: &Notice,
        boundary: Option<&Vec<u8>>,
        host: &[u8],
        (id, entry): (&[u8], &mut NewEntry),
    ) -> Result<(), CommitError> {
        let config = &*self.mta.config;
        let now = self.mta.clock.now();
        let times = QueueTimes::of(envelope, &config.options.timeouts);
        let ourselves = format!("{}@localhost", self.user_name()).into_bytes();
        let addresses = ReturnedAddresses::of(envelope, self.mta, &mut self.workspace.rewrite);
        let view = ReportView {
            addresses,
            came_from: envelope
                .macros
                .text(MacroId::UNDERSCORE)
                .or(Some(&ourselves)),
            received_from: envelope
                .macros
                .text(MacroId::CLIENT_NAME)
                .filter(|n| !n.is_empty()),
            error_header: self
                .error_header(id)
                .filter(|_| notice.kind != NoticeKind::Receipt),
            shows_actual: !config
                .options
                .security
                .privacy_options
                .contains(PrivacyFlags::NO_ACTUAL_RECIPIENT),
            return_age: times.return_age(),
            config: Some(config),
            warns: self.warns,
            ..ReportView::new(envelope, &config.mailers, host, now)
        };
        let mut failed = None;
        let mut sink = |bytes: &[u8]| {
            entry.write(bytes).map_err(|error| {
                let stop = io::Error::from(error.source.kind());
                failed = Some(error);
                stop
            })
        };
        let written = match boundary {
            Some(boundary) => view.write_mime(notice, boundary, &mut sink),
            None => view.write_plain(notice, &mut sink),
        };
        match (failed, written) {
            (Some(error), _) => Err(error),
            (None, Err(source)) => Err(CommitError {
                step: "read the body for",
                path: entry.id().as_str().into(),
                source,
            }),
            (None, Ok(())) => Ok(()),
        }
    }

    /// Expands ErrorHeader: a text, or the lines of a file.
    fn error_header(&self, id: &[u8]) -> Option<Vec<u8>> {
        let config = &*self.mta.config;
        let text = config.options.delivering.error_header.as_deref()?;
        let lines = if text.starts_with(b"/") {
            read_small_file(text)?
        } else {
            text.to_vec()
        };
        let mut front = MacroTable::new();
        front.set_text(MacroId::G, &sender_of_reports(config));
        front.set_text(MacroId::I, id);
        front.set_text(MacroId::F, &config.expanded_macro(MacroId::N));
        let macros = Macros::new(&mut front, None, &config.macros);
        let mut names = config.names.clone();
        let mut expanded = Vec::new();
        for line in lines
            .strip_suffix(b"\n")
            .unwrap_or(&lines)
            .split(|&b| b == b'\n')
        {
            let mut words = Vec::new();
            Template::parse(line, &mut names).expand(&macros, &mut words);
            if words.starts_with(b"From ") {
                expanded.push(b'>');
            }
            expanded.append(&mut words);
            expanded.push(b'\n');
        }
        Some(expanded)
    }
}

fn read_small_file(path: &[u8]) -> Option<Vec<u8>> {
    use std::io::Read;
    use std::os::unix::ffi::OsStrExt;
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path));
    let mut text = Vec::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(MAX_ERROR_HEADER).read_to_end(&mut text).ok()?;
    Some(text)
}

fn is_any_open(recipients: &[Recipient]) -> bool {
    recipients.iter().any(|recipient| recipient.state.is_open())
}
