//! Which queue group a message waits in, and its split into one envelope for each.
//!
//! The ruleset `queuegroup` is asked with the user part of each recipient; if it names
//! no group, the mailer's `Q=` does. A recipient nobody has a group for stays with the
//! envelope, which lives in the group of its first recipient. What was read from the
//! queue stays where it is; only what is expanded from it is asked about.
//!
//! Source: guide 5.1.4 and 5.10; observed: 8.17.1.9.

use crate::envelope::{Envelope, QueueId, RecipientState, split};
use crate::logging::record::Severity;
use crate::mailer::MailerTriple;
use crate::rewrite::{Kept, RewriteWorkspace};
use crate::text::bytes::printable;
use crate::token::Mark;

use super::Mta;

impl Mta {
    /// Tells whether it matters which group a message is in.
    fn has_group_choice(&self) -> bool {
        self.queue.groups().len() > 1 || self.queue.max_recipients(0) > 0
    }

    /// Finds a queue group for each open recipient whose mailer is known and that has none yet.
    pub fn choose_queue_groups(&self, envelope: &mut Envelope, buffers: &mut RewriteWorkspace) {
        if !self.has_group_choice() {
            return;
        }
        let mut macros = envelope.macros.clone();
        for recipient in &mut envelope.recipients {
            if recipient.queue_group.is_some() || !recipient.state.is_open() {
                continue;
            }
            let Some(triple) = &recipient.triple else {
                continue;
            };
            let mut trace = Kept::traced(&self.debug);
            let mut cx = self.rewrite_context(&mut macros, None, &mut trace, buffers);
            let answer = cx.ask_ruleset(b"queuegroup", &[&triple.user]);
            let named = answer
                .filter(|answer| answer.leading_symbol == Some(Mark::Mailer))
                .and_then(|answer| answer.words.into_iter().next());
            recipient.queue_group = named
                .and_then(|name| self.known_group(&name))
                .or_else(|| self.group_of_mailer(triple));
        }
    }

    fn known_group(&self, name: &[u8]) -> Option<usize> {
        let found = self.queue.find(name);
        if found.is_none() {
            let name = printable(name);
            let text = format_args!("can't find queue group name {name}, selection ignored");
            self.log.syslog(11, Severity::Info, None, text);
        }
        found
    }

    fn group_of_mailer(&self, triple: &MailerTriple) -> Option<usize> {
        let mailer = self.config.mailers.get(triple.mailer);
        self.queue.find(mailer.queue_group.as_deref()?)
    }

    /// Puts a new message into the group of its first recipient, and finds those of all.
    pub fn settle_queue_group(&self, envelope: &mut Envelope, buffers: &mut RewriteWorkspace) {
        self.choose_queue_groups(envelope, buffers);
        let first = envelope.recipients.iter().find(|one| one.state.is_open());
        envelope.queue_group = first.and_then(|first| first.queue_group).unwrap_or(0);
    }

    /// Splits a message with identifier by queue groups and their limits; the parts get identifiers.
    ///
    /// The first part is the original. The caller makes entries of the others.
    pub fn split_by_queue_group(
        &self,
        mut envelope: Envelope,
        buffers: &mut RewriteWorkspace,
    ) -> Vec<Envelope> {
        self.choose_queue_groups(&mut envelope, buffers);
        let limit_of = |group| self.queue.max_recipients(group);
        let mut parts = split::by_queue_group(envelope, &limit_of);
        for part in parts.iter_mut().skip(1) {
            part.id = Some(self.queue.ids().next(&*self.clock));
        }
        self.log_splits(&parts);
        parts
    }

    /// Logs the pieces of each group, then the groups. Observed: 8.17.1.9.
    fn log_splits(&self, parts: &[Envelope]) {
        let Some((original, others)) = parts.split_first() else {
            return;
        };
        let home = original.queue_group;
        let mut heads: Vec<&Envelope> = Vec::new();
        for part in others.iter().filter(|part| part.queue_group != home) {
            if heads
                .iter()
                .all(|head| head.queue_group != part.queue_group)
            {
                heads.push(part);
            }
        }
        let log_pieces = |head: &Envelope| {
            let of_group = parts
                .iter()
                .filter(|part| part.queue_group == head.queue_group);
            let ids = ids_of(of_group.clone().skip(1));
            if ids.is_empty() {
                return;
            }
            let (limit, count) = (self.queue.max_recipients(head.queue_group), ids.len());
            let total: usize = of_group.map(open_recipients).sum();
            let text = format!("maxrcpts={limit}, rcpts={total}, count={count}");
            self.log_split(head, &text, &ids);
        };
        heads.iter().copied().for_each(log_pieces);
        if !heads.is_empty() {
            let text = format!("count={}", heads.len());
            self.log_split(original, &text, &ids_of(heads.iter().copied()));
        }
        log_pieces(original);
    }

    fn log_split(&self, of: &Envelope, text: &str, ids: &[&QueueId]) {
        let plural = if ids.len() == 1 { "" } else { "s" };
        let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
        let ids = ids.join("; ");
        let line = format_args!("split: {text}, id{plural}={ids}");
        self.log
            .syslog(9, Severity::Notice, Some(of.id_for_log()), line);
    }
}

fn ids_of<'e>(parts: impl Iterator<Item = &'e Envelope>) -> Vec<&'e QueueId> {
    parts.filter_map(|part| part.id.as_ref()).collect()
}

/// Counts who is still to be delivered to.
fn open_recipients(envelope: &Envelope) -> usize {
    let all = envelope.recipients.iter();
    all.filter(|one| one.state.is_open() && one.state != RecipientState::Expanded)
        .count()
}
