//! What a queue file does not hold and a delivery needs: who the sender is here.
//!
//! The file names the sender's address only. His mailer decides about his domain
//! in headers, and a local sender's rights are those of plain deliveries, so both
//! are found out anew. Observed: 8.17.1.9 (`ctladdr=` of queue runs).

use crate::envelope::prepare::class_of;
use crate::envelope::{ControllingUser, Envelope, EnvelopeFlags, set_process_macros};
use crate::logging::record::Severity;
use crate::macros::MacroId;
use crate::mta::{Mta, Workspace};
use crate::rewrite::{Kept, Resolution, Role, resolve_address};
use crate::smtp::shows_address;
use crate::text::bytes::escape_for_display;
use crate::text::date::{ctime_date, numeric_date, rfc5322_date};

/// Works out class and dates of a message that came from the queue.
pub fn revive_message(mta: &Mta, envelope: &mut Envelope) {
    envelope.class = class_of(envelope, &mta.config);
    envelope.flags.insert(EnvelopeFlags::SPLIT);
    if envelope.attempts > 0 && envelope.recipients.iter().all(|r| r.triple.is_none()) {
        // Observed: from the second attempt on, those for one host come from last to first in
        // the alphabet; the hosts are put in order when the recipients are resolved.
        let recipients = &mut envelope.recipients;
        recipients.sort_by(|one, other| other.address.cmp(&one.address));
    }
    // Every attempt has its own troubles.
    envelope.message_status = None;
    let now = mta.clock.now();
    let dates = [
        (MacroId::A, rfc5322_date(envelope.created)),
        (MacroId::B, rfc5322_date(now)),
        (MacroId::D, ctime_date(now)),
        (MacroId::T, numeric_date(now)),
    ];
    for (id, date) in dates {
        envelope.macros.set_text(id, date.as_bytes());
    }
    let id = envelope.id_for_log().to_vec();
    envelope.macros.set_text(MacroId::I, &id);
    set_process_macros(&mut envelope.macros, envelope.attempts);
    let hops = envelope.hop_count.to_string();
    envelope.macros.set_text(MacroId::C, hops.as_bytes());
}

/// What follows a sender whose look-ups cannot be answered now. Observed: 8.17.1.9.
const TRANSIENT: &[u8] = b"... Transient parse error -- message queued for future delivery";

/// What rules and maps say of a sender who is resolved anew.
#[derive(Debug, Default)]
pub struct SaidOfSender {
    /// For whoever watches.
    remarks: Vec<Vec<u8>>,
    /// What the system denied to maps.
    faults: Vec<Vec<u8>>,
    /// Told after that: a look-up could not be answered.
    deferral: Option<Vec<u8>>,
    /// Why he cannot be judged now.
    waits_for: Option<Vec<u8>>,
}

impl SaidOfSender {
    fn new(address: &[u8], resolution: &Resolution, kept: Kept) -> Self {
        let mut said = SaidOfSender {
            remarks: kept.remarks,
            faults: kept.faults,
            ..SaidOfSender::default()
        };
        match resolution {
            Resolution::Deferred(_) => {
                said.deferral = Some([address, TRANSIENT].concat());
            }
            Resolution::Error(error) if error.exit.is_temporary() => {
                let reply = &error.reply;
                let is_about = shows_address(reply.code.number());
                let about = if is_about {
                    [address, b"... "].concat()
                } else {
                    Vec::new()
                };
                said.waits_for = Some([&about[..], reply.text()].concat());
            }
            Resolution::Error(_) | Resolution::Mailer(_) => {}
        }
        said
    }

    /// Tells it, once for each attempt. Observed: 8.17.1.9.
    pub fn tell(self, mta: &Mta, workspace: &mut Workspace, envelope: &mut Envelope) {
        for remark in &self.remarks {
            workspace.narrator.say(remark);
        }
        for fault in self.faults {
            workspace.complaints.say(&fault);
            let line = format_args!("SYSERR(root): {}", escape_for_display(&fault));
            let id = Some(envelope.id_for_log());
            mta.log.syslog(0, Severity::Critical, id, line);
            envelope.message_status.get_or_insert(fault);
        }
        if let Some(line) = self.deferral {
            workspace.narrator.say(&line);
        }
        if let Some(line) = self.waits_for {
            workspace.complaints.say(&line);
            envelope.message_status.get_or_insert(line);
        }
    }
}

/// Resolves the sender of a message that came from the queue.
pub fn revive_sender(
    mta: &Mta,
    workspace: &mut Workspace,
    envelope: &mut Envelope,
) -> SaidOfSender {
    if envelope.sender.triple.is_some() || envelope.sender.is_null() {
        return SaidOfSender::default();
    }
    let address = envelope.sender.address.clone();
    let mut kept = Kept::traced(&mta.debug);
    let mut cx = mta.rewrite_context(
        &mut envelope.macros,
        None,
        &mut kept,
        &mut workspace.rewrite,
    );
    let resolution = resolve_address(&address, Role::Sender, &mut cx);
    let said = SaidOfSender::new(&address, &resolution, kept);
    let (Resolution::Mailer(triple) | Resolution::Deferred(triple)) = resolution else {
        return said;
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
    let mail_name = mta.mail_name(&triple, Some(envelope.id_for_log()));
    if mail_name.is_some() || mta.config.mailers.get(triple.mailer).has(b'i') {
        let name = mail_name.as_deref().unwrap_or(&envelope.sender.address);
        let macros = &mut envelope.macros;
        let canonical = mta.canonical_sender(name, macros, &mut workspace.rewrite);
        envelope.sender.public_name = mta.public_name(&triple, &canonical);
        envelope.macros.set_text(MacroId::F, &canonical);
    }
    envelope.sender.triple = Some(triple);
    said
}
