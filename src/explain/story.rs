//! The whole way of an address, put together from what was heard.

use super::destination::{Destination, destination};
use super::ears::{AliasEar, Forward, Heard, Local, Notebook, Resolved, RouterEar};
use super::steps::{Recorder, Step};
use crate::alias::context::{ExpandContext, Routed};
use crate::alias::expand::Expansion;
use crate::envelope::{Envelope, Recipient, RecipientState};
use crate::logging::narrator;
use crate::macros::{MacroId, MacroTable};
use crate::mailer::MailerTriple;
use crate::mta::routing::{ExpansionFlags, Routing};
use crate::mta::{Mta, Workspace};
use crate::smtp::ExitStatus;
use crate::submit::sender::resolve_sender;
use crate::submit::submitter::Submitter;

/// What is to be explained.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// A list of addresses.
    pub address: Vec<u8>,
    /// The sender; the caller if it is not given.
    pub sender: Option<Vec<u8>>,
    /// Who asks.
    pub uid: u32,
    /// Tell of rules that did not match as well.
    pub with_failures: bool,
}

/// The answer.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The configuration file the lines belong to.
    pub file: Vec<u8>,
    /// The sender as he is taken.
    pub sender: Vec<u8>,
    /// The recipients named, each with those it stands for.
    pub recipients: Vec<Story>,
    /// What a sender would be told.
    pub complaints: Vec<Vec<u8>>,
    /// The exit status of `-bv` with the same address.
    pub status: ExitStatus,
}

/// One recipient.
#[derive(Debug, Clone)]
pub struct Story {
    /// The address as it was written.
    pub address: Vec<u8>,
    /// How it was rewritten.
    pub steps: Vec<Step>,
    /// The mailer's name, the host and the user it resolved to.
    pub resolved: Option<(Vec<u8>, Vec<u8>, Vec<u8>)>,
    /// What ruleset 5 did, if it was asked.
    pub local_steps: Vec<Step>,
    /// Where .forward files were looked for.
    pub forward_path: Option<Vec<u8>>,
    /// What became of it.
    pub outcome: Outcome,
    /// The recipients it stands for.
    pub members: Vec<Story>,
}

/// What becomes of a recipient.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It is delivered to.
    Delivery(Box<Destination>),
    /// An alias stands for others.
    Alias(Vec<u8>),
    /// A list stands for others; the file.
    List(Vec<u8>),
    /// A .forward file stands for others; the file.
    Forward(Vec<u8>),
    /// It waits in the queue; why.
    Waits(Vec<u8>),
    /// It fails; why.
    Fails(Vec<u8>),
    /// It is the same as another recipient, the sender, or thrown away.
    Dropped,
}

/// Explains where mail to an address goes; nothing is delivered and nothing is written.
pub fn explain(mta: &Mta, workspace: &mut Workspace, question: &Question) -> Explanation {
    let submitter = Submitter::of(question.uid, &*mta.users);
    let given = question.sender.as_ref().unwrap_or(&submitter.name);
    let mut macros = MacroTable::new();
    let resolved = resolve_sender(given, None, &submitter, &mut macros, mta, workspace);
    macros.set_text(MacroId::F, &resolved.canonical);
    let mut envelope = Envelope {
        sender: resolved.sender,
        ..Envelope::default()
    };
    envelope.sender.is_explicit = question.sender.is_some();
    let recorder = Recorder::new(question.with_failures);
    let notes = Notebook::default();
    notes.borrow_mut().complaints.extend(resolved.complaints);
    let status = expand(
        mta,
        workspace,
        question,
        &mut envelope,
        &mut macros,
        &recorder,
        &notes,
    );
    envelope.macros = macros;
    let heard = notes.take();
    let complaints = heard.complaints.clone();
    let mut teller = Teller {
        mta,
        workspace,
        recorder: &recorder,
        heard,
        envelope: &envelope,
        asked: &question.address,
    };
    Explanation {
        file: file_of(mta),
        sender: envelope.sender.address.clone(),
        recipients: teller.all(),
        complaints,
        status,
    }
}

fn file_of(mta: &Mta) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    mta.config.path.as_os_str().as_bytes().to_vec()
}

/// Expands the address as submission does, with an ear at everything.
fn expand(
    mta: &Mta,
    workspace: &mut Workspace,
    question: &Question,
    envelope: &mut Envelope,
    macros: &mut MacroTable,
    recorder: &Recorder,
    notes: &Notebook,
) -> ExitStatus {
    let limits = mta.expansion_limits(ExpansionFlags::default());
    let mut observer = recorder.clone();
    let mut router = RouterEar {
        routing: Routing::new(mta, macros, &mut workspace.rewrite).watched_by(&mut observer),
        recorder: recorder.clone(),
        notes: notes.clone(),
    };
    let aliases = AliasEar {
        aliases: &mta.aliases,
        notes: notes.clone(),
    };
    let (mut progress, mut errors) = (narrator::Kept::default(), narrator::Kept::default());
    let mut cx = ExpandContext {
        router: &mut router,
        mailers: &mta.config.mailers,
        aliases: &aliases,
        userdb: &mta.maps.services().userdb,
        users: &*mta.users,
        privileged: &*mta.privileged,
        log: &mta.log,
        debug: &mta.debug,
        narrator: &mut progress,
        complaints: &mut errors,
        limits: &limits,
        now: mta.clock.now(),
    };
    let mut expansion = Expansion::new(envelope, &mut cx);
    expansion.add_list_text(&question.address, &Recipient::new(Vec::new()));
    let status = expansion.finish().exit_status();
    let mut heard = notes.borrow_mut();
    heard.said.append(&mut progress.lines);
    heard.complaints.append(&mut errors.lines);
    drop(heard);
    status
}

/// Puts the stories together.
struct Teller<'a> {
    mta: &'a Mta,
    workspace: &'a mut Workspace,
    recorder: &'a Recorder,
    heard: Heard,
    envelope: &'a Envelope,
    /// The addresses of the question.
    asked: &'a [u8],
}

impl Teller<'_> {
    fn all(&mut self) -> Vec<Story> {
        let mut stories = self.members_of(None);
        // What was asked about and has no recipient of its own: refused at once, or named twice.
        // The names of an alias text are resolved, too, but nobody asked about those.
        let asked = self.asked;
        let mut left = std::mem::take(&mut self.heard.resolved);
        left.retain(|left| crate::text::bytes::find(asked, &left.address).is_some());
        for left in left {
            let outcome = match &left.routed {
                Routed::Refused(refusal) => Outcome::Fails(refusal.text.clone()),
                Routed::Deferred(refusal, _) => Outcome::Waits(refusal.text.clone()),
                Routed::To(_) | Routed::Discarded => Outcome::Dropped,
            };
            stories.push(Story {
                resolved: self.resolved(&left),
                address: left.address,
                steps: left.steps,
                local_steps: Vec::new(),
                forward_path: None,
                outcome,
                members: Vec::new(),
            });
        }
        stories
    }

    fn members_of(&mut self, parent: Option<usize>) -> Vec<Story> {
        let envelope = self.envelope;
        let recipients = envelope.recipients.iter().enumerate();
        recipients
            // A recipient that came from itself would never end.
            .filter(|(index, recipient)| {
                recipient.expanded_from == parent && Some(*index) != parent
            })
            .map(|(index, recipient)| self.story(index, recipient))
            .collect()
    }

    fn story(&mut self, index: usize, recipient: &Recipient) -> Story {
        let place = self
            .heard
            .resolved
            .iter()
            .position(|resolved| resolved.address == recipient.address);
        let resolved = place.map(|place| self.heard.resolved.remove(place));
        let triple = recipient.triple.clone();
        let user = triple.as_ref().map(|triple| triple.user.clone());
        let local_steps = triple
            .as_ref()
            .map(|triple| self.take_local(triple))
            .unwrap_or_default();
        let forward_path = user.as_ref().and_then(|user| self.take_forward(user));
        let mut members = self.members_of(Some(index));
        members.reverse();
        let candidates = forward_path.clone().unwrap_or_default();
        Story {
            address: recipient.address.clone(),
            resolved: match (&triple, &resolved) {
                (Some(triple), _) => Some(self.shown(triple)),
                (None, Some(resolved)) => self.resolved(resolved),
                (None, None) => None,
            },
            steps: resolved.map(|resolved| resolved.steps).unwrap_or_default(),
            local_steps,
            forward_path,
            outcome: self.outcome(index, recipient, &candidates),
            members,
        }
    }

    /// `candidates` are the places where a .forward file was looked for.
    fn outcome(&mut self, index: usize, recipient: &Recipient, candidates: &[u8]) -> Outcome {
        match &recipient.state {
            RecipientState::Pending => match &recipient.triple {
                Some(triple) => Outcome::Delivery(Box::new(destination(
                    self.mta,
                    self.envelope,
                    index,
                    triple,
                    self.workspace,
                    self.recorder,
                ))),
                None => Outcome::Dropped,
            },
            RecipientState::Expanded => self.expanded(recipient, candidates),
            RecipientState::Deferred(status) => Outcome::Waits(status.text.clone()),
            RecipientState::Failed(status) => Outcome::Fails(status.text.clone()),
            RecipientState::Delivered(_) | RecipientState::Dropped => Outcome::Dropped,
        }
    }

    fn expanded(&self, recipient: &Recipient, candidates: &[u8]) -> Outcome {
        let mailer = recipient.triple.as_ref().map(|triple| triple.mailer);
        let user = recipient
            .triple
            .as_ref()
            .map_or(&b""[..], |triple| &triple.user);
        if mailer.is_some() && mailer == self.mta.config.mailers.include() {
            return Outcome::List(user.to_vec());
        }
        let alias = self
            .heard
            .aliases
            .iter()
            .find(|alias| alias.name.eq_ignore_ascii_case(user) && alias.answer.is_some());
        match alias.and_then(|alias| alias.answer.clone()) {
            Some(answer) => Outcome::Alias(answer.trim_ascii().to_vec()),
            None => Outcome::Forward(self.forward_file(candidates)),
        }
    }

    /// Finds the file that was read: its lines were told with its name in front.
    fn forward_file(&self, candidates: &[u8]) -> Vec<u8> {
        candidates
            .split(|&byte| byte == b':')
            .find(|path| {
                let lead = [*path, b": line "].concat();
                self.heard.said.iter().any(|line| line.starts_with(&lead))
            })
            .unwrap_or(candidates)
            .to_vec()
    }

    fn take_local(&mut self, triple: &MailerTriple) -> Vec<Step> {
        let local = &mut self.heard.local;
        let place = local
            .iter()
            .position(|local: &Local| local.triple == *triple);
        place.map_or_else(Vec::new, |place| local.remove(place).steps)
    }

    fn take_forward(&mut self, user: &[u8]) -> Option<Vec<u8>> {
        let forwards = &mut self.heard.forwards;
        let place = forwards
            .iter()
            .position(|forward: &Forward| forward.user == user)?;
        Some(forwards.remove(place).path)
    }

    fn resolved(&self, resolved: &Resolved) -> Option<(Vec<u8>, Vec<u8>, Vec<u8>)> {
        match &resolved.routed {
            Routed::To(triple) => Some(self.shown(triple)),
            Routed::Refused(_) | Routed::Deferred(..) | Routed::Discarded => None,
        }
    }

    fn shown(&self, triple: &MailerTriple) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
        let mailer = self.mta.config.mailers.get(triple.mailer);
        (
            mailer.name.clone(),
            triple.host.clone(),
            triple.user.clone(),
        )
    }
}
