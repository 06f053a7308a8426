//! One submission from flags and standard input to committed queue entries.
//!
//! Order, observed: 8.17.1.9: the sender is settled, the operands are expanded (their
//! errors are told before anything is read), the message is read, the recipients of its
//! header are expanded, the header is completed, and the result is committed: lists with
//! an owner get an entry of their own. Delivery is the caller's business.

use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::SubmitArguments;
use super::header::NO_DETAIL;
use super::input::{Input, InputFault, InputRules, read_message};
use super::sender::resolve_sender;
use super::submitter::{Submitter, full_name_as_given};
use super::telling::{LastWord, tells_errors};
use super::warnings::Warnings;
use crate::alias::context::Summary;
use crate::alias::expand::Expansion;
use crate::config::options::EightBitMode;
use crate::envelope::{Envelope, EnvelopeFlags, Recipient, RecipientState, set_process_macros};
use crate::logging::narrator::{Narrator, Silent, Stdout};
use crate::logging::record::Severity;
use crate::macros::MacroId;
use crate::message::BodyType;
use crate::message::address::{PhraseRules, split_address_list};
use crate::mta::routing::{ExpansionFlags, Routing};
use crate::mta::{Mta, Workspace};
use crate::queue::{LockedEnvelope, NewEntry};
use crate::smtp::{ExitStatus, shows_address, without_codes};
use crate::text::bytes::escape_for_display;
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
    /// What is told when that has been done.
    pub afterwords: Vec<Vec<u8>>,
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
    pub(super) fn refused(exit: ExitStatus) -> Self {
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
    let submitter = Submitter::of(arguments.uid, &*mta.users);
    let warnings = Warnings::of_surroundings(mta, arguments, &submitter);
    log_connect(mta, &submitter);
    let mut entry = mta.queue.new_entry(0, &*mta.clock);
    let mut desk = Desk::new(mta, workspace, arguments, entry.id().clone());
    desk.warnings = warnings;
    desk.settle_sender();
    if arguments.recipients.is_empty() && !arguments.recipients_from_header {
        desk.announce(b"Recipient names must be specified");
        // It is read all the same, and told in the log. Observed: 8.17.1.9.
        if let Ok(input) = read_message(source, &desk.input_rules(), &mut entry) {
            desk.envelope.size = input.size;
        }
        desk.complete();
        desk.log_received();
        return Submission::refused(ExitStatus::Usage);
    }
    desk.add_operands();
    let settled = desk.settle_place(&mut entry);
    match settled {
        Ok(()) => desk.take_in(entry, source),
        Err(error) => desk.cannot_store(&error),
    }
}

/// Logs who begins a submission.
pub(super) fn log_connect(mta: &Mta, submitter: &Submitter) {
    let name = crate::text::bytes::printable(&submitter.name);
    let text = format_args!("connect from {name}@localhost");
    let id = Some(&b"NOQUEUE"[..]);
    mta.log.syslog(10, log::Level::Info, id, text);
}

/// Where recipients are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// On the command line.
    Operands,
    /// In a field of the header that everybody sees.
    Header,
    /// In a `Bcc:` field.
    BlindHeader,
}

/// Reply code, enhanced status and text of a refusal.
type Fault = (u16, (u8, u16, u16), String);

/// A submission in progress.
pub(super) struct Desk<'a> {
    pub(super) mta: &'a Mta,
    pub(super) workspace: &'a mut Workspace,
    pub(super) arguments: &'a SubmitArguments,
    pub(super) submitter: Submitter,
    pub(super) envelope: Envelope,
    pub(super) errors: Box<dyn Narrator>,
    pub(super) summary: Summary,
    /// Errors told before the message was read.
    pub(super) operand_errors: u32,
    pub(super) next: Next,
    /// The only recipient on the command line, for `$u`.
    pub(super) only_operand: Option<Vec<u8>>,
    /// What is said of the submitter.
    pub(super) warnings: Warnings,
    /// Recipients that operands named.
    pub(super) operand_count: usize,
    /// Addresses that hear of failures and count as recipients.
    pub(super) errors_to_count: usize,
    /// How much of the transcript has been told (-ba).
    pub(super) transcript_told: usize,
    /// What `$f` and `$x` were before the header named the sender (-ba).
    pub(super) default_sender: Option<[Option<Vec<u8>>; 2]>,
    /// Host of the last operand: `$h` where H lines are expanded.
    pub(super) host: Option<Vec<u8>>,
    /// While the message is read the last error is kept, to be told when it has been read.
    pub(super) held: Option<LastWord>,
}

impl<'a> Desk<'a> {
    pub(super) fn new(
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
        if arguments.smtp_utf8 {
            envelope.flags.insert(EnvelopeFlags::UTF8);
        }
        if arguments.ret.is_some() {
            envelope.flags.insert(EnvelopeFlags::RET_GIVEN);
        }
        if arguments.ret == Some(crate::envelope::Return::Headers) {
            envelope.flags.insert(EnvelopeFlags::NO_BODY_RETURN);
        }
        // With -ba they are told from the transcript, with their codes.
        let errors: Box<dyn Narrator> = match tells_errors(mta) && !arguments.arpanet {
            true => Box::new(Stdout),
            false => Box::new(Silent),
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
            only_operand: None,
            warnings: Warnings::default(),
            operand_count: 0,
            errors_to_count: 0,
            transcript_told: 0,
            default_sender: None,
            host: None,
            held: None,
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
        // A date from the command line (-Ma) stays; observed: 8.17.1.9.
        if self.mta.config.macros.get(MacroId::A).is_none() {
            macros.set_text(MacroId::A, rfc5322_date(now).as_bytes());
        }
        macros.set_text(MacroId::B, rfc5322_date(now).as_bytes());
        macros.set_text(MacroId::D, ctime_date(now).as_bytes());
        macros.set_text(MacroId::letter(b't'), numeric_date(now).as_bytes());
        macros.set_text(MacroId::TIME, now.seconds().to_string().as_bytes());
        set_process_macros(macros, 0);
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
        for (id, text) in [
            (MacroId::DSN_RET, &self.arguments.ret_text),
            (MacroId::DSN_NOTIFY, &self.arguments.notify_text),
        ] {
            if let Some(text) = text {
                macros.set_text(id, text);
            }
        }
    }

    pub(super) fn settle_sender(&mut self) {
        let given = match &self.arguments.sender {
            Some((address, _)) => address.clone(),
            None => self.submitter.name.clone(),
        };
        self.set_sender(&given);
        let (mta, arguments) = (self.mta, self.arguments);
        self.warnings
            .add_sender(mta, arguments, &self.submitter, &self.envelope);
    }

    /// Makes `given` the sender of the envelope.
    pub(super) fn set_sender(&mut self, given: &[u8]) {
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
        // Observed: 8.17.1.9 reads a repaired address once more, for `$f`.
        let is_repaired = resolved.sender.address == given;
        for _ in 0..1 + usize::from(is_repaired) {
            for complaint in &resolved.complaints {
                self.complain(about_sender(given, complaint), complaint);
            }
        }
        if let Some(text) = &resolved.waits_for {
            let about = about_sender(given, text).map(|given| [given, b"... "].concat());
            let line = [&about.unwrap_or_default()[..], without_codes(text)].concat();
            self.tell(&line, false);
            self.envelope.message_status.get_or_insert(line);
        }
        for fault in resolved.faults {
            self.tell(&fault, false);
            self.summary.exit = Some(ExitStatus::OsError);
            self.envelope.message_status.get_or_insert(fault);
        }
        if let Some(remark) = resolved.remark {
            self.workspace.narrator.say(&remark);
        }
        if let Some(exit) = resolved.exit.filter(|exit| !exit.is_temporary()) {
            self.summary.exit.get_or_insert(exit);
        }
        let macros = &mut self.envelope.macros;
        macros.set_text(MacroId::F, &resolved.canonical);
        if let Some(name) = &resolved.sender.full_name {
            macros.set_text(MacroId::X, name);
        }
        if let (Some(triple), Some(user)) = (&resolved.sender.triple, &resolved.sender.controlling)
            && self.mta.config.mailers.get(triple.mailer).has(b'w')
        {
            macros.set_text(MacroId::Z, user.home.as_os_str().as_bytes());
        }
        self.envelope.sender = resolved.sender;
        self.envelope.sender.is_explicit =
            self.arguments.sender.is_some() && resolved.complaints.is_empty();
        if self.envelope.auth_sender.is_none() {
            self.envelope.auth_sender = resolved.auth;
        }
    }

    /// Expands the operands.
    pub(super) fn add_operands(&mut self) {
        let lists = self.arguments.recipients.clone();
        for list in lists.iter().filter(|list| list.contains(&b'\n')) {
            log_attack(self.mta, &self.envelope, list);
        }
        let count = self.expand(&lists, Origin::Operands);
        let addresses = lists.iter().flat_map(|list| split_address_list(list));
        let addresses: Vec<&[u8]> = addresses.collect();
        if let ([only], 1) = (&addresses[..], count) {
            self.only_operand = Some(one_line(only));
        }
        self.operand_errors = self.summary.errors;
        self.operand_count = self.counted_recipients();
        let count = self.operand_count.to_string();
        let macros = &mut self.envelope.macros;
        macros.set_text(MacroId::NRCPTS, count.as_bytes());
        self.tell_transcript(true);
    }

    /// Expands address lists; returns how many addresses they have.
    pub(super) fn expand(&mut self, lists: &[Vec<u8>], origin: Origin) -> usize {
        if lists.is_empty() {
            return 0;
        }
        let lists: Vec<Vec<u8>> = lists.iter().map(|list| one_line(list)).collect();
        let template = Recipient {
            notify: self.arguments.notify,
            bcc: origin == Origin::BlindHeader,
            ..Recipient::new(Vec::new())
        };
        let flags = ExpansionFlags {
            no_alias: self.arguments.no_alias,
            ..ExpansionFlags::default()
        };
        let mut limits = self.mta.expansion_limits(flags);
        // One list in the new style is enough for all of the header.
        limits.old_style &= origin == Origin::Operands || self.envelope.headers.look_old_style();
        limits.plain_only = self.mta.config.options.running.use_msp;
        limits.logs_errors = origin == Origin::Operands;
        limits.logs_unknown_users = true;
        let mut macros = std::mem::take(&mut self.envelope.macros);
        let mut routing = Routing::new(self.mta, &mut macros, &mut self.workspace.rewrite);
        let errors: &mut dyn Narrator = match &mut self.held {
            Some(held) => held,
            None => &mut *self.errors,
        };
        let narrator = &mut *self.workspace.narrator;
        let mut cx = (self.mta).expand_context(&mut routing, &limits, narrator, errors);
        let mut expansion = Expansion::new(&mut self.envelope, &mut cx);
        let mut count = 0;
        for list in &lists {
            count += expansion.add_list_text(list, &template);
        }
        let summary = expansion.finish();
        let left_behind = routing.left_behind.take();
        // Resolving leaves user and host of the last address behind.
        macros.remove(MacroId::U);
        if origin == Origin::Operands {
            self.host = macros.text(MacroId::H).map(<[u8]>::to_vec);
            if let Some(left) = left_behind {
                // So does looking for a `.forward`. Observed: 8.17.1.9.
                for id in [MacroId::U, MacroId::Z] {
                    macros.set_text(id, left.text(id).unwrap_or(b""));
                }
            }
        } else {
            macros.remove(MacroId::H);
        }
        self.envelope.macros = macros;
        self.summary.errors += summary.errors;
        self.summary.exit = self.summary.exit.or(summary.exit);
        count
    }

    pub(super) fn input_rules(&self) -> InputRules {
        let options = &self.mta.config.options;
        InputRules {
            ignore_dots: self.arguments.ignore_dots || options.receiving.ignore_dots,
            keep_from_line: options.headers.save_from_line,
            seven_bit: match self.arguments.body_type {
                Some(declared) => declared == BodyType::SevenBit,
                None => options.headers.seven_bit_input,
            },
            max_header_bytes: options.headers.max_headers_length,
            max_message_bytes: options.receiving.max_message_size,
        }
    }

    /// Reads the message and commits it.
    fn take_in(mut self, mut entry: NewEntry, source: &mut dyn Read) -> Submission {
        let rules = self.input_rules();
        let debug = Arc::clone(&self.mta.debug);
        if debug.is_on(30, 2) {
            debug.line(b"collect, smtpmode=0");
        }
        let space = self.check_space();
        let input = match read_message(source, &rules, &mut entry) {
            Ok(input) => input,
            Err(InputFault::Read(error)) => {
                let text = format!("451 4.4.1 I/O error: {error}");
                self.complain(None, text.as_bytes());
                return Submission::refused(ExitStatus::IoError);
            }
            Err(InputFault::Store(error)) => return self.cannot_store(&error),
        };
        if let Err(low) = space {
            return self.refuse_for_low_space(&low);
        }
        if debug.is_on(30, 1) {
            debug.line(b"EOH");
        }
        self.held = Some(LastWord::default());
        let fault = self.input_fault(&input, &rules);
        let verdict = self.check_header(&input.headers, input.header_size);
        let (told_before, exit_before) = (self.summary.errors, self.summary.exit);
        self.take_header(input);
        if debug.is_on(1, 1) {
            let sender = self.envelope.sender.address.as_slice();
            debug.line(&[b"From person = \"", sender, b"\""].concat());
        }
        self.mta.count_message_from(&self.envelope);
        // A child that delivers in the background counts for itself.
        self.mta.post_statistics();
        if let Some((code, enhanced, text)) = fault {
            if code == 554 {
                // Observed: what is too large leaves the queue, what is not plain stays.
                self.envelope.flags.insert(EnvelopeFlags::STAYS);
            }
            self.refuse_all(code, enhanced, &text);
        } else if let Some(exit) = verdict.refused {
            self.refuse_header(exit_before, exit);
            self.next = Next::ReportAndHold;
        } else if self.summary.errors > told_before {
            self.refuse_bad_header();
        } else if verdict.is_deferred {
            self.next = Next::ReportAndHold;
        } else if verdict.discards {
            self.release();
            return self.discard();
        }
        self.release();
        if self.envelope.recipients.is_empty() {
            if self.arguments.recipients_from_header && self.summary.errors == 0 {
                let mut line = b"No recipient addresses found in header".to_vec();
                if self.arguments.arpanet {
                    line.splice(..0, [&self.envelope.sender.address[..], b"... "].concat());
                }
                self.announce(&line);
            }
            self.complete();
            self.log_received();
            return Submission {
                exit: self.exit(),
                ..Submission::default()
            };
        }
        self.complete();
        let faults = self.take_broken_addresses();
        let is_told = tells_errors(self.mta);
        let is_mime = self.mta.config.options.delivering.send_mime_errors;
        let again = verdict.told_again.into_iter().filter(|_| is_mime);
        let faults = faults.into_iter().filter(|_| is_told);
        Submission {
            afterwords: again.chain(faults).collect(),
            ..self.commit(entry)
        }
    }

    /// Forgets a message that a ruleset wants to vanish.
    fn discard(mut self) -> Submission {
        self.complete();
        self.log_received();
        let id = Some(self.envelope.id_for_log());
        let text = format_args!("discarded");
        self.mta.log.syslog(9, log::Level::Info, id, text);
        Submission {
            exit: self.exit(),
            ..Submission::default()
        }
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
        let is_binary = self.envelope.body_type == Some(BodyType::Binary);
        if input.has_nul && self.mta.config.options.receiving.reject_nul && !is_binary {
            return Some((554, (5, 6, 1), "NUL byte not allowed".to_owned()));
        }
        let is_declared =
            self.envelope.body_type.is_some() || input.headers.contains(b"mime-version");
        let is_strict = headers.eight_bit_mode == EightBitMode::Strict;
        (is_strict && input.has_eight_bit && !is_declared)
            .then(|| (554, (5, 6, 1), "Eight bit data not allowed".to_owned()))
    }

    /// Refuses the whole message: nobody gets it and the sender hears of it by mail.
    fn refuse_all(&mut self, code: u16, enhanced: (u8, u16, u16), text: &str) {
        self.tell(text.as_bytes(), true);
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
            self.envelope.flags.insert(EnvelopeFlags::STAYS);
        }
    }

    /// Returns the exit status so far, none for success.
    pub(super) fn exit(&self) -> Option<ExitStatus> {
        let operands = (self.operand_errors > 0).then_some(ExitStatus::Usage);
        self.summary.exit.or(operands)
    }
}

/// Logs that a recipient was given with line ends in it.
pub(super) fn log_attack(mta: &Mta, envelope: &Envelope, list: &[u8]) {
    let shown = one_line(list);
    let text = format_args!(
        "POSSIBLE ATTACK from [UNKNOWN]: newline in string \"{}\"",
        escape_for_display(&shown)
    );
    let id = Some(envelope.id_for_log());
    mta.log.syslog(0, Severity::Notice, id, text);
}

/// Puts spaces in the place of line ends, which would plant lines in queue files.
pub(super) fn one_line(text: &[u8]) -> Vec<u8> {
    let is_end = |byte: u8| matches!(byte, b'\r' | b'\n' | 0);
    text.iter()
        .map(|byte| if is_end(*byte) { b' ' } else { *byte })
        .collect()
}

/// Gives the sender where a message about him begins with him.
fn about_sender<'a>(given: &'a [u8], message: &[u8]) -> Option<&'a [u8]> {
    let code = message
        .get(..3)
        .and_then(|code| std::str::from_utf8(code).ok());
    let code = code.and_then(|code| code.parse().ok());
    code.is_none_or(shows_address).then_some(given)
}
