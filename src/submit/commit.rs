//! A submission into the queue: the entry, and those of lists with owners.

use super::message::{Desk, Next, Submission};
use super::sender::resolve_sender;
use crate::config::options::DeliveryMode;
use crate::envelope::prepare::log_sender;
use crate::envelope::{Envelope, EnvelopeFlags, Recipient, RecipientState, split};
use crate::logging::narrator::Stdout;
use crate::logging::record::Severity;
use crate::macros::{MacroId, Macros};
use crate::queue::{CommitError, Durability, LockedEnvelope, LowOnSpace, NewEntry, QueueFault};
use crate::smtp::ExitStatus;
use crate::text::bytes::printable;
use crate::text::interval::format_interval;

/// What is told when the disk of the queue fills up. Observed: 8.17.1.9.
const NO_ROOM: &str = "Out of disk space for temp file";

impl Desk<'_> {
    /// Puts the entry into the queue group of the first recipient known by now.
    ///
    /// Before the text is read where the command line names them, so that a large text
    /// is written in its place; those of the header (`-t`) are known only afterwards.
    pub(super) fn settle_place(&mut self, entry: &mut NewEntry) -> Result<(), CommitError> {
        let before = self.envelope.queue_group;
        let buffers = &mut self.workspace.rewrite;
        self.mta.settle_queue_group(&mut self.envelope, buffers);
        let group = self.envelope.queue_group;
        if group == before {
            return Ok(());
        }
        entry.move_to(self.mta.queue.directory_for(group, &*self.mta.clock))
    }

    pub(super) fn commit(mut self, mut entry: NewEntry) -> Submission {
        if let Err(error) = self.settle_place(&mut entry) {
            return self.cannot_store(&error);
        }
        let options = &self.mta.config.options;
        let mode = match self.next {
            Next::Deliver => options.queueing.delivery_mode,
            // Nobody delivers it now, so it must be in the queue whatever the mode.
            Next::ReportAndHold => DeliveryMode::QueueOnly,
        };
        let durability = Durability::of(options.queueing.super_safe, mode);
        self.log_received();
        self.log_refusal();
        let mut envelope = std::mem::take(&mut self.envelope);
        if self.next == Next::ReportAndHold {
            // Observed: what nobody has looked at for delivery was not split either.
            envelope.flags.remove(EnvelopeFlags::SPLIT);
        }
        let mut parts = split::by_owner(envelope).into_iter();
        let Some(first) = parts.next() else {
            return Submission::refused(ExitStatus::Software);
        };
        let buffers = &mut self.workspace.rewrite;
        let mut pieces = self.mta.split_by_queue_group(first, buffers).into_iter();
        let Some(first) = pieces.next() else {
            return Submission::refused(ExitStatus::Software);
        };
        let first = match entry.commit_envelope(first, durability) {
            Ok((locked, _)) => locked,
            Err((_, error)) => return self.cannot_store(&error),
        };
        let mut messages = vec![first];
        for piece in pieces {
            let made = self.commit_piece(&messages[0], piece);
            self.keep_part(made.map(|piece| vec![piece]), &mut messages);
        }
        for part in parts {
            let made = self.commit_part(&messages[0], part);
            self.keep_part(made, &mut messages);
        }
        if messages.len() > 1 && !messages[0].envelope.recipients.iter().any(is_left) {
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
            afterwords: Vec::new(),
        }
    }

    /// Writes the `from=` line.
    pub(super) fn log_received(&mut self) {
        let living = self.counted_recipients();
        let mut own = std::mem::take(&mut self.envelope.macros);
        let macros = Macros::new(&mut own, None, &self.mta.config.macros);
        // The log has what was declared, whatever the text turned out to be.
        let declared = self.arguments.body_type;
        let found = std::mem::replace(&mut self.envelope.body_type, declared);
        log_sender(&self.mta.log, &self.envelope, &macros, living);
        self.envelope.body_type = found;
        self.envelope.macros = own;
    }

    /// Logs what a message that cannot be taken means for its operands.
    fn log_refusal(&self) {
        self.log_hops();
        let limit = self.mta.config.options.receiving.max_message_size;
        let (log, id) = (&self.mta.log, Some(self.envelope.id_for_log()));
        if limit > 0 && self.envelope.size > limit {
            let size = self.envelope.size;
            let text = format_args!("message size ({size}) exceeds maximum ({limit})");
            log.syslog(5, Severity::Notice, id, text);
        }
        if self.next != Next::ReportAndHold || self.arguments.recipients_from_header {
            return;
        }
        let delay = format_interval(self.mta.clock.now().since(self.envelope.created));
        for recipient in &self.envelope.recipients {
            let text = match &recipient.state {
                RecipientState::Failed(status) => &status.text,
                state if state.is_open() => match &self.envelope.message_status {
                    Some(text) => text,
                    None => continue,
                },
                _ => continue,
            };
            let line = format_args!(
                "to={}, delay={delay}, pri={}, stat={}",
                printable(&recipient.address),
                self.envelope.priority,
                printable(text)
            );
            log.syslog(7, Severity::Info, id, line);
        }
    }

    /// Logs that a message has gone round in circles.
    fn log_hops(&self) {
        if self.envelope.hop_count <= self.mta.config.options.receiving.max_hop_count {
            return;
        }
        let failed = self
            .envelope
            .recipients
            .iter()
            .find_map(|r| match &r.state {
                RecipientState::Failed(status) => Some(printable(&status.text)),
                _ => None,
            });
        if let Some(text) = failed {
            let by = printable(&self.submitter.name);
            let id = Some(self.envelope.id_for_log());
            let line = format_args!("SYSERR({by}): {text}");
            self.mta.log.syslog(1, Severity::Critical, id, line);
        }
    }

    /// Adds entries to those made already, or tells why there are none.
    fn keep_part(
        &mut self,
        made: Result<Vec<LockedEnvelope>, CommitError>,
        messages: &mut Vec<LockedEnvelope>,
    ) {
        match made {
            Ok(made) => messages.extend(made),
            Err(error) => {
                self.cannot_store(&error);
                self.summary.exit = Some(ExitStatus::OsError);
            }
        }
    }

    /// Gives one queue group's recipients an entry that shares the body.
    fn commit_piece(
        &self,
        first: &LockedEnvelope,
        piece: Envelope,
    ) -> Result<LockedEnvelope, CommitError> {
        let directory = (self.mta.queue).directory_for(piece.queue_group, &*self.mta.clock);
        first.split_off(directory, piece)
    }

    /// Gives the recipients of an owned list an entry that shares the body, or one for each
    /// queue group.
    fn commit_part(
        &mut self,
        first: &LockedEnvelope,
        mut part: Envelope,
    ) -> Result<Vec<LockedEnvelope>, CommitError> {
        let id = self.mta.queue.ids().next(&*self.mta.clock);
        let owner = part.sender.address.clone();
        self.envelope.macros = part.macros;
        self.envelope.macros.set_text(MacroId::I, id.as_bytes());
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
        // What went wrong so far is the original's affair.
        part.message_status = None;
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
        let buffers = &mut self.workspace.rewrite;
        let pieces = self.mta.split_by_queue_group(part, buffers);
        // A list whose members all wait elsewhere needs no entry of its own.
        let is_empty = |piece: &Envelope| !piece.recipients.iter().any(is_left);
        let needed = pieces.into_iter().filter(|piece| !is_empty(piece));
        needed
            .map(|piece| self.commit_piece(first, piece))
            .collect()
    }

    /// Asks whether a header has room on the disk of the queue beside MinFreeBlocks.
    ///
    /// Observed: 8.17.1.9 does not count the text, whose size nobody has told.
    pub(super) fn check_space(&self) -> Result<(), LowOnSpace> {
        let minimum = self.mta.config.options.queueing.min_free_blocks;
        self.mta
            .queue
            .check_space(self.envelope.queue_group, 1, minimum)
    }

    /// Refuses a message for which there is no room.
    ///
    /// Observed: 8.17.1.9 exits with 74; having told its user so, it goes on to look for a
    /// place for the report and loses the message, which is left with the user here.
    pub(super) fn refuse_for_low_space(&mut self, low: &LowOnSpace) -> Submission {
        let line = low.log_line(b"SMTP-DAEMON");
        let id = Some(self.envelope.id_for_log());
        let log = &self.mta.log;
        log.syslog(1, Severity::Alert, id, format_args!("{line}"));
        self.refuse_for_space(LowOnSpace::REPLY)
    }

    /// Tells a user that there is no room, whatever the error mode: nothing is left but the exit
    /// status to tell him later.
    fn refuse_for_space(&mut self, reply: &str) -> Submission {
        self.errors = Box::new(Stdout);
        self.complain(None, reply.as_bytes());
        self.release();
        Submission::refused(ExitStatus::IoError)
    }

    pub(super) fn cannot_store(&mut self, error: &CommitError) -> Submission {
        if error.fault() == QueueFault::Full {
            let id = Some(self.envelope.id_for_log());
            let line = format_args!("SYSERR(root): {NO_ROOM}");
            (self.mta.log).syslog(1, Severity::Critical, id, line);
            return self.refuse_for_space(&format!("421 4.3.1 {NO_ROOM}"));
        }
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
}

/// Tells whether a recipient is still to be delivered to or reported.
fn is_left(recipient: &Recipient) -> bool {
    recipient.state.is_open() || matches!(recipient.state, RecipientState::Failed(_))
}
