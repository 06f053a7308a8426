//! One message into several before it is delivered: by owner, then by queue group.
//!
//! Each part gets an entry of its own that shares the body. All parts are safe before
//! the original forgets their recipients; if one cannot be made, those made so far are
//! removed again, because the original on disk still has everybody and nobody is to get
//! two copies. A crash in between can double a message and never lose one.
//!
//! Source: guide 5.10; order and log lines observed: 8.17.1.9.

use crate::envelope::{Envelope, split};
use crate::logging::record::Severity;
use crate::mta::{Mta, Workspace};
use crate::queue::{CommitError, LockedEnvelope};
use crate::text::bytes::escape_for_display;

use super::finish::{self, Finish};
use super::revive::revive_sender;

/// Splits a message; the original comes first.
///
/// Also tells what came of parts that could not be split: they stay in the queue whole.
pub fn split(
    mta: &Mta,
    workspace: &mut Workspace,
    message: LockedEnvelope,
) -> (Vec<LockedEnvelope>, Finish) {
    let (mut all, mut stuck) = (Vec::new(), Finish::default());
    let parts = match by_owner(mta, workspace, message) {
        Ok(parts) => parts,
        Err(finish) => return (all, finish),
    };
    for part in parts {
        match by_group(mta, workspace, part) {
            Ok(parts) => all.extend(parts),
            Err(finish) => stuck.add(finish.exit, finish),
        }
    }
    (all, stuck)
}

/// Puts recipients of lists with an owner into envelopes of their own.
fn by_owner(
    mta: &Mta,
    workspace: &mut Workspace,
    message: LockedEnvelope,
) -> Result<Vec<LockedEnvelope>, Finish> {
    if !split::has_owners(&message.envelope) {
        return Ok(vec![message]);
    }
    let LockedEnvelope { envelope, entry } = message;
    let original_id = envelope.id.clone();
    let mut parts = split::by_owner(envelope);
    for part in parts.iter_mut().skip(1) {
        part.id = Some(mta.queue.ids().next(&*mta.clock));
        revive_sender(mta, workspace, part);
        let owner = escape_for_display(&part.sender.address);
        mta.log.syslog(
            8,
            Severity::Info,
            original_id.as_ref().map(|id| id.as_bytes()),
            format_args!("{}: clone: owner={owner}", part.id_for_log().escape_ascii()),
        );
    }
    let mut parts = parts.into_iter();
    let envelope = parts.next().unwrap_or_default();
    make(mta, LockedEnvelope { envelope, entry }, parts, Home::Same)
}

/// Puts recipients of other queue groups, or too many of one, into envelopes of their own.
fn by_group(
    mta: &Mta,
    workspace: &mut Workspace,
    message: LockedEnvelope,
) -> Result<Vec<LockedEnvelope>, Finish> {
    let LockedEnvelope { envelope, entry } = message;
    let mut parts = mta
        .split_by_queue_group(envelope, &mut workspace.rewrite)
        .into_iter();
    let envelope = parts.next().unwrap_or_default();
    make(
        mta,
        LockedEnvelope { envelope, entry },
        parts,
        Home::OfGroup,
    )
}

/// Where a part goes.
#[derive(Clone, Copy)]
enum Home {
    /// Into the directory of the original.
    Same,
    /// Into one of the directories of its queue group.
    OfGroup,
}

fn make(
    mta: &Mta,
    mut original: LockedEnvelope,
    parts: impl Iterator<Item = Envelope>,
    home: Home,
) -> Result<Vec<LockedEnvelope>, Finish> {
    let mut made = Vec::new();
    match make_all(mta, &mut original, parts, home, &mut made) {
        Ok(()) => {
            made.insert(0, original);
            Ok(made)
        }
        Err(error) => {
            for message in made {
                if let Err(error) = message.entry.remove() {
                    log::warn!("a part of a split message stays in the queue: {error}");
                }
            }
            let LockedEnvelope { envelope, entry } = original;
            Err(finish::stuck(mta, envelope, entry, &error))
        }
    }
}

fn make_all(
    mta: &Mta,
    original: &mut LockedEnvelope,
    parts: impl Iterator<Item = Envelope>,
    home: Home,
    made: &mut Vec<LockedEnvelope>,
) -> Result<(), CommitError> {
    for part in parts {
        let directory = match home {
            Home::Same => original.entry.directory(),
            Home::OfGroup => mta.queue.directory_for(part.queue_group, &*mta.clock),
        };
        made.push(original.split_off(directory, part)?);
    }
    if made.is_empty() {
        return Ok(());
    }
    original.entry.rewrite(&original.envelope)
}
