//! What a queue file does not hold and a delivery needs: who the sender is here.
//!
//! The file names the sender's address only. His mailer decides about his domain
//! in headers, and a local sender's rights are those of plain deliveries, so both
//! are found out anew. Observed: 8.17.1.9 (`ctladdr=` of queue runs).

use crate::envelope::{ControllingUser, Envelope};
use crate::mta::{Mta, Workspace};
use crate::rewrite::{Resolution, Role, Silent, resolve_address};

/// Resolves the sender of a message that came from the queue.
pub fn revive_sender(mta: &Mta, workspace: &mut Workspace, envelope: &mut Envelope) {
    if envelope.sender.triple.is_some() || envelope.sender.is_null() {
        return;
    }
    let address = envelope.sender.address.clone();
    let mut silent = Silent;
    let mut cx = mta.rewrite_context(
        &mut envelope.macros,
        None,
        &mut silent,
        &mut workspace.rewrite,
    );
    let (Resolution::Mailer(triple) | Resolution::Deferred(triple)) =
        resolve_address(&address, Role::Sender, &mut cx)
    else {
        return;
    };
    if mta.config.mailers.get(triple.mailer).has(b'w')
        && let Ok(Some(user)) = mta.users.user_by_name(&triple.user)
    {
        envelope.sender.controlling = Some(ControllingUser {
            name: user.name,
            uid: user.uid,
            gid: user.gid,
            home: user.home,
            alias: address,
        });
    }
    envelope.sender.triple = Some(triple);
}
