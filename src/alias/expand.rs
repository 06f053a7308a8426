//! Recipients in, final recipients out: aliases, lists, ruleset 5 and .forward.
//!
//! Every recipient named by the sender is resolved to a mailer. If the mailer may alias
//! (F=A) its name is looked up in the alias databases; what the alias names is added
//! to the list and treated the same way. `:include:` lists are read, names of the local
//! mailer pass through ruleset 5 (F=5), users must exist (F=w), and a user's .forward is
//! the last word. Loops end at a real user if one is in the loop, and at
//! [`super::context::Limits::max_depth`] else.
//!
//! Entry points: [`expand_recipients`] for an envelope, [`Expansion`] step by step. How
//! addresses are resolved is behind [`super::context::Router`], so that nothing here needs rulesets.
//! Their order is that of [`super::order`].
//!
//! Source: guide sections 2.6 to 2.8, 4.7 and 4.9.

use super::context::{ExpandContext, Routed, Summary};
use super::entry::{Entry, Work};
use super::loops::LoopEnd;
use super::resolve::start_of_address;
use super::rights::Identity;
use crate::envelope::{Envelope, Recipient, RecipientState};
use crate::mailer::{Mailer, MailerId};
use crate::smtp::ExitStatus;

/// Deepest nesting whatever MaxAliasRecursion says, to bound the stack.
pub(super) const MAX_DEPTH: u32 = 60;

/// Expands all pending recipients of an envelope that were not resolved yet.
pub fn expand_recipients(envelope: &mut Envelope, cx: &mut ExpandContext<'_>) -> Summary {
    let given = std::mem::take(&mut envelope.recipients);
    let mut expansion = Expansion::new(envelope, cx);
    for recipient in given {
        if recipient.state == RecipientState::Pending && recipient.triple.is_none() {
            expansion.add(recipient, true);
        } else {
            expansion.keep(recipient);
        }
    }
    expansion.finish()
}

/// Expansion in progress.
pub struct Expansion<'e, 'c, 'x> {
    pub(super) envelope: &'e mut Envelope,
    pub(super) cx: &'c mut ExpandContext<'x>,
    pub(super) entries: Vec<Entry>,
    /// Indices of entries in list order.
    pub(super) order: Vec<usize>,
    /// Where we are: file and line of a list.
    pub(super) place: Vec<(Vec<u8>, usize)>,
    /// Which address messages are about.
    pub(super) about: Option<Vec<u8>>,
    pub(super) summary: Summary,
}

impl<'e, 'c, 'x> Expansion<'e, 'c, 'x> {
    /// Starts with the recipients the envelope has.
    pub fn new(envelope: &'e mut Envelope, cx: &'c mut ExpandContext<'x>) -> Self {
        let mut expansion = Expansion {
            cx,
            entries: Vec::new(),
            order: Vec::new(),
            place: Vec::new(),
            about: None,
            summary: Summary::default(),
            envelope,
        };
        for recipient in std::mem::take(&mut expansion.envelope.recipients) {
            expansion.keep(recipient);
        }
        expansion
    }

    /// Adds the addresses of a list text, as given on the command line or in a header.
    ///
    /// `template` gives what all of them have in common (NOTIFY, whether they are blind).
    /// Returns how many there were.
    pub fn add_list_text(&mut self, text: &[u8], template: &Recipient) -> usize {
        let old_style =
            self.cx.limits.old_style && crate::message::address_lines::looks_old_style(text);
        let delimiter = Some(if old_style { b' ' } else { b',' });
        let mut members = Vec::new();
        let mut rest = text;
        while let Some(start) = start_of_address(rest) {
            let (entry, after) = self.resolve_first(start, delimiter, template, None);
            members.extend(entry);
            rest = after;
        }
        let count = members.len();
        for member in members.into_iter().rev() {
            let index = self.admit(member, 0);
            self.end_pass(index);
            self.about = None;
        }
        count
    }

    /// Takes over a recipient that needs nothing more.
    fn keep(&mut self, recipient: Recipient) {
        let work = if recipient.state == RecipientState::Pending && recipient.triple.is_some() {
            Work::Ok
        } else {
            Work::Settled(recipient.state.clone())
        };
        let mut entry = Entry::new(recipient, None);
        entry.work = work;
        entry.listed = true;
        self.insert(entry);
    }

    /// Resolves and expands one recipient named by the sender; its address is the whole text.
    ///
    /// `top` ends the expansion of what one name stands for.
    pub fn add(&mut self, recipient: Recipient, top: bool) {
        let entry = if recipient.triple.is_some() {
            Some(Entry::new(recipient, None))
        } else {
            let address = recipient.address.clone();
            self.resolve_first(&address, None, &recipient, None).0
        };
        let Some(entry) = entry else { return };
        let index = self.admit(entry, 0);
        if top {
            self.end_pass(index);
        }
        self.about = None;
    }

    /// Returns the recipients to the envelope.
    pub fn finish(self) -> Summary {
        let mut places = vec![0usize; self.entries.len()];
        for (place, index) in self.order.iter().enumerate() {
            places[*index] = place;
        }
        let parents: Vec<Option<usize>> = self
            .entries
            .iter()
            .map(|entry| entry.parent.map(|parent| places[parent]))
            .collect();
        // What the user database lists is in nobody's name, not in the sender's either.
        let mut listed_in: Vec<_> = (self.entries.iter())
            .map(|entry| Some(self.entries[entry.parent?].recipient.address.clone()))
            .collect();
        let controlling: Vec<_> = (0..self.entries.len())
            .map(|index| self.controlling_user(index))
            .collect();
        let mut owners: Vec<_> = (0..self.entries.len())
            .map(|index| self.owner_above(index))
            .collect();
        let mut recipients: Vec<Option<Recipient>> = vec![None; self.entries.len()];
        for (index, (entry, controlling)) in self.entries.into_iter().zip(controlling).enumerate() {
            let mut recipient = entry.recipient;
            recipient.expanded_from = parents[index].or(recipient.expanded_from);
            recipient.controlling_user = controlling.or(recipient.controlling_user);
            if recipient.controlling_user.is_none() && recipient.listed_in.is_none() {
                recipient.listed_in = listed_in[index].take();
            }
            recipient.owner = owners[index].take().or(recipient.owner);
            recipient.state = match entry.work {
                Work::Ok => RecipientState::Pending,
                Work::Expanded => RecipientState::Expanded,
                Work::Removed => RecipientState::Dropped,
                Work::Settled(state) => state,
            };
            recipients[places[index]] = Some(recipient);
        }
        self.envelope.recipients = recipients.into_iter().flatten().collect();
        self.summary
    }

    /// Returns the owner of the nearest list an entry came from.
    fn owner_above(&self, index: usize) -> Option<Vec<u8>> {
        let parent = self.entries[index].parent?;
        let mut chain = std::iter::successors(Some(parent), |at| self.entries[*at].parent);
        chain.find_map(|at| self.entries[at].recipient.owner.clone())
    }

    /// Adds the members of an alias or of a list line; returns how many there were.
    pub(super) fn add_members(&mut self, list: &[u8], parent: usize, depth: u32) -> usize {
        let mut members: Vec<Entry> = Vec::new();
        let mut rest = list;
        self.about = None;
        while let Some(start) = start_of_address(rest) {
            let child = self.child_of(parent);
            let (entry, after) = self.resolve_first(start, Some(b','), &child, Some(parent));
            rest = after;
            let Some(entry) = entry else {
                continue;
            };
            if self.same(&self.entries[parent], &entry) {
                self.entries[parent].self_reference = true;
            }
            let end = self.loop_end(&entry);
            if self.traces(1) {
                self.trace_loop(&entry, end);
            }
            if let LoopEnd::At(user) = end {
                self.entries[user].self_reference = true;
                continue;
            }
            members.push(entry);
        }
        let count = members.len();
        for member in members.into_iter().rev() {
            self.admit(member, depth);
        }
        self.about = None;
        count
    }

    /// Puts an entry on the list unless it is there, and expands it.
    fn admit(&mut self, mut entry: Entry, depth: u32) -> usize {
        if depth > self.cx.limits.max_depth.min(MAX_DEPTH) {
            let text = format!(
                "aliasing/forwarding loop broken ({depth} aliases deep; {} max)",
                self.cx.limits.max_depth
            );
            self.about = None;
            self.fail_entry(
                &mut entry,
                554,
                (5, 4, 6),
                ExitStatus::Usage,
                text.as_bytes(),
            );
            return self.insert(entry);
        }
        self.about = Some(entry.recipient.address.clone());
        self.set_final_address(&mut entry);
        if self.is_mailer(&entry, self.cx.mailers.program()) {
            self.refuse_where_unsafe(&mut entry, "programs");
        }
        let is_new = entry.work == Work::Ok;
        let twin = self.order.iter().copied().filter(|_| is_new).find(|index| {
            let other = &self.entries[*index];
            (other.listed || !other.recipient.primary || other.left_out) && self.same(other, &entry)
        });
        if let Some(twin) = twin {
            if self.entries[twin].left_out && entry.parent.is_none() {
                // Who names the sender for himself reaches him.
                self.entries[twin] = entry;
                self.expand(twin, depth);
                self.entries[twin].listed = true;
                return twin;
            }
            return self.merge(twin, entry);
        }
        if entry.parent.is_some() && self.is_unwanted_sender(&entry) {
            entry.work = Work::Removed;
            entry.left_out = true;
            return self.insert(entry);
        }
        let index = self.insert(entry);
        self.expand(index, depth);
        self.entries[index].listed = true;
        index
    }

    fn merge(&mut self, twin: usize, entry: Entry) -> usize {
        let other = &mut self.entries[twin];
        other.this_pass = true;
        if other.recipient.primary {
            if other.self_reference {
                other.work = entry.work;
            }
        } else {
            let primary = entry.recipient.primary;
            other.recipient.primary |= primary;
            if entry.work == Work::Ok {
                self.say(b"duplicate suppressed");
            }
        }
        twin
    }

    pub(super) fn expand(&mut self, index: usize, depth: u32) {
        if self.entries[index].work != Work::Ok {
            return;
        }
        if self.is_mailer(&self.entries[index], self.cx.mailers.include()) {
            return self.include_list(index, depth);
        }
        if self.is_mailer(&self.entries[index], self.cx.mailers.file()) {
            let mut entry = self.entries[index].clone();
            self.refuse_where_unsafe(&mut entry, "files");
            self.entries[index] = entry;
        }
        let (name, is_quoted) = unquoted(self.entries[index].user());
        if !is_quoted && self.is_open_with(index, b'A') && !self.cx.limits.no_alias {
            self.alias(index, depth);
        }
        if !is_quoted && self.is_open_with(index, b'@') {
            self.user_database(index, depth);
        }
        if self.is_open_with(index, b'5') {
            self.local_rules(index, depth);
        }
        if self.is_open_with(index, b'w') {
            self.local_user(index, &name, is_quoted, depth);
        }
    }

    fn is_open_with(&self, index: usize, flag: u8) -> bool {
        let entry = &self.entries[index];
        entry.work == Work::Ok
            && !entry.verified
            && self.mailer_of(entry).is_some_and(|mailer| mailer.has(flag))
    }

    fn local_rules(&mut self, index: usize, depth: u32) {
        let Some(triple) = self.entries[index].recipient.triple.clone() else {
            return;
        };
        let routed = self.cx.router.resolve_local(&triple);
        self.tell_what_maps_said();
        let Some(routed) = routed else {
            return;
        };
        let mut recipient = self.entries[index].recipient.clone();
        recipient.owner = None;
        // Observed: reports and queue files name what it was before ruleset 5.
        recipient.listed_in = Some(recipient.address.clone());
        let mut entry = Entry::new(recipient, Some(index));
        match routed {
            Routed::To(new) => {
                if self.is_same_place(&triple, &new) {
                    return;
                }
                entry.recipient.triple = Some(new);
            }
            Routed::Discarded => entry.work = Work::Settled(RecipientState::Dropped),
            Routed::Deferred(refusal, expected) => {
                entry.recipient.expected = expected;
                entry.recipient.triple = None;
                entry.work = Work::Settled(RecipientState::Deferred(self.status_of(&refusal)));
            }
            Routed::Refused(refusal) => {
                self.complain(refusal.code, refusal.enhanced, &refusal.text);
                self.summary.exit.get_or_insert(refusal.exit);
                entry.work = Work::Settled(RecipientState::Failed(self.status_of(&refusal)));
            }
        }
        entry.parent = self.entries[index].parent;
        entry.identity = self.entries[index].identity.clone();
        self.entries[index].work = Work::Removed;
        self.admit(entry, depth + 1);
    }

    fn local_user(&mut self, index: usize, name: &[u8], is_quoted: bool, depth: u32) {
        let user = match self.cx.users.user_by_name(name) {
            Ok(Some(user)) => user,
            Ok(None) => {
                if let Some(user) = self.user_of_full_name(name) {
                    return self.pass_on_to_login(index, user.name, depth);
                }
                let mut entry = self.entries[index].clone();
                self.about = Some(entry.recipient.address.clone());
                self.fail_entry(
                    &mut entry,
                    550,
                    (5, 1, 1),
                    ExitStatus::NoUser,
                    b"User unknown",
                );
                self.log_unknown_user(&entry);
                self.entries[index] = entry;
                return;
            }
            Err(_) => return self.defer(index, (4, 5, 2), b"user database unavailable"),
        };
        let shell_is_fine = self.shell_is_fine(&user);
        let entry = &mut self.entries[index];
        entry.identity = Some(Identity {
            uid: user.uid,
            gid: user.gid,
            user: Some(user.name.clone()),
            home: user.home.clone(),
        });
        entry.bogus_shell |= !shell_is_fine;
        // Observed: 8.17.1.9 forwards with -n too.
        if !is_quoted && !self.cx.limits.verify_only {
            self.forward(index, &user, depth);
        }
    }

    /// Passes on to a single final recipient that the sender named it, and breaks loops.
    fn end_pass(&mut self, index: usize) {
        let is_dead = |entry: &Entry| match &entry.work {
            Work::Ok => false,
            Work::Removed => !entry.left_out,
            Work::Expanded => true,
            Work::Settled(state) => !state.is_open(),
        };
        let living: Vec<usize> = self
            .order
            .iter()
            .copied()
            .filter(|index| !is_dead(&self.entries[*index]))
            .collect();
        let quiet_death = matches!(self.entries[index].work, Work::Expanded | Work::Removed);
        let any_failed = self.order.iter().any(|index| {
            self.entries[*index].this_pass && matches!(self.entries[*index].work, Work::Settled(_))
        });
        if quiet_death && living.is_empty() && !any_failed {
            let mut entry = self.entries[index].clone();
            self.about = None;
            let text = b"aliasing/forwarding loop broken";
            self.fail_entry(&mut entry, 554, (5, 4, 6), ExitStatus::Usage, text);
            self.entries[index] = entry;
        }
        let fresh: Vec<usize> = living
            .into_iter()
            .filter(|index| self.entries[*index].this_pass)
            .collect();
        if let [only] = fresh[..] {
            let chain = std::iter::successors(self.entries[only].parent, |index| {
                self.entries[*index].parent
            });
            let has_owner = chain
                .into_iter()
                .any(|at| self.entries[at].recipient.owner.is_some());
            if !has_owner {
                let entry = &mut self.entries[only];
                entry.recipient.primary = true;
                if std::mem::take(&mut entry.left_out) {
                    // A list of nobody but the sender is his other name.
                    entry.work = Work::Ok;
                    self.expand(only, 0);
                }
            } else {
                self.note_expansion(index);
            }
        } else if fresh.len() > 1 {
            self.note_expansion(index);
        }
        self.entries
            .iter_mut()
            .for_each(|entry| entry.this_pass = false);
    }

    /// Notes for a receipt that a recipient named by the sender became several.
    fn note_expansion(&mut self, index: usize) {
        let entry = &self.entries[index];
        if entry.work == Work::Expanded && entry.recipient.notify.on_success() {
            let words = b"... expanded to multiple addresses";
            let line = [entry.recipient.address.as_slice(), words].concat();
            self.envelope.transcript.push_line(&line);
        }
    }

    pub(super) fn mailer_of(&self, entry: &Entry) -> Option<&Mailer> {
        entry
            .recipient
            .triple
            .as_ref()
            .map(|triple| self.cx.mailers.get(triple.mailer))
    }

    pub(super) fn is_mailer(&self, entry: &Entry, mailer: Option<MailerId>) -> bool {
        mailer.is_some() && entry.recipient.triple.as_ref().map(|triple| triple.mailer) == mailer
    }
}

/// Takes quotes and backslashes away and tells whether there was a backslash.
pub(super) fn unquoted(user: &[u8]) -> (Vec<u8>, bool) {
    let mut name = Vec::with_capacity(user.len());
    let mut escaped = false;
    for byte in user {
        match byte {
            b'\\' if !escaped => escaped = true,
            b'"' if !escaped => {}
            _ => {
                escaped = false;
                name.push(*byte);
            }
        }
    }
    (name, user.contains(&b'\\'))
}
