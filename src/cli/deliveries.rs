//! Messages from the command line, delivered as the delivery mode says.
//!
//! Everything here runs in a process of one thread, so it may fork: in mode
//! `background` the parent exits while the child, which holds the lock, delivers.

use std::sync::Arc;

use crate::config::options::DeliveryMode;
use crate::delivery::record;
use crate::delivery::run::{self, Occasion, deliver, settle};
use crate::envelope::{Envelope, Recipient, RecipientState, priority};
use crate::logging::record::Severity;
use crate::mta::{Mta, Workspace};
use crate::queue::LockedEnvelope;
use crate::server::session::Outlet;
use crate::smtp::ExitStatus;
use crate::submit::Next;
use crate::sys::host::load_average;
use crate::sys::process::{Forked, detach_standard_descriptors, fork_background};

/// Delivers submitted messages, or leaves them in the queue; returns the exit status.
pub fn deliver_submission(
    mta: &Mta,
    workspace: &mut Workspace,
    messages: Vec<LockedEnvelope>,
    next: Next,
) -> ExitStatus {
    let (now, later): (Vec<_>, Vec<_>) = messages.into_iter().partition(|message| {
        let envelope = &message.envelope;
        next == Next::Deliver && envelope.quarantine.is_none() && !waits(mta, envelope)
    });
    let some_wait = !later.is_empty();
    let mut exit = ExitStatus::Ok;
    for mut message in later {
        if let Err(error) = message.entry.keep(&message.envelope) {
            let id = Some(message.envelope.id_for_log());
            let text = format_args!("SYSERR(root): queueup: {error}");
            mta.log.syslog(0, Severity::Critical, id, text);
            exit = ExitStatus::OsError;
            continue;
        }
        if message.envelope.quarantine.is_some() {
            let mailers = &mta.config.mailers;
            record::quarantined(&mta.log, &message.envelope, mailers, mta.clock.now());
        } else if next == Next::Deliver {
            let mailers = &mta.config.mailers;
            record::queued(&mta.log, &message.envelope, mailers, mta.clock.now());
        }
        let failed = |r: &Recipient| matches!(r.state, RecipientState::Failed(_));
        if message.envelope.recipients.iter().any(failed) {
            settle(mta, workspace, message);
        }
    }
    if some_wait {
        // Sessions of reports are over.
        run::end_of_run(mta, workspace);
    }
    if now.is_empty() || exit != ExitStatus::Ok {
        return exit;
    }
    match mta.config.options.queueing.delivery_mode {
        DeliveryMode::Background => in_background(mta, workspace, now),
        _ => on_the_spot(mta, workspace, now),
    }
}

/// Tells whether a message waits for a queue run: by the delivery mode or the load.
fn waits(mta: &Mta, envelope: &Envelope) -> bool {
    let queueing = &mta.config.options.queueing;
    match queueing.delivery_mode {
        DeliveryMode::QueueOnly | DeliveryMode::Deferred => true,
        DeliveryMode::Interactive | DeliveryMode::Background => priority::should_queue(
            envelope.priority,
            whole_load(),
            i64::from(queueing.queue_la),
            queueing.queue_factor,
        ),
    }
}

fn on_the_spot(mta: &Mta, workspace: &mut Workspace, messages: Vec<LockedEnvelope>) -> ExitStatus {
    let exit = one_by_one(mta, workspace, messages);
    run::end_of_run(mta, workspace);
    exit
}

/// Delivers and leaves connections open for messages that may follow.
fn one_by_one(mta: &Mta, workspace: &mut Workspace, messages: Vec<LockedEnvelope>) -> ExitStatus {
    let mut exit = ExitStatus::Ok;
    for message in messages {
        let finished = deliver(mta, workspace, message, Occasion::JustAccepted);
        if exit == ExitStatus::Ok && finished.exit != ExitStatus::TempFail {
            exit = finished.exit;
        }
    }
    exit
}

fn in_background(
    mta: &Mta,
    workspace: &mut Workspace,
    messages: Vec<LockedEnvelope>,
) -> ExitStatus {
    match fork_background() {
        Ok(Forked::Parent(_)) => {
            for message in messages {
                message.entry.hand_to_child();
            }
            ExitStatus::Ok
        }
        Ok(Forked::Child) => {
            if let Err(error) = detach_standard_descriptors() {
                log::warn!("standard descriptors: {error}");
            }
            on_the_spot(mta, workspace, messages);
            std::process::exit(0)
        }
        Err(error) => {
            mta.log.syslog(
                1,
                Severity::Warning,
                None,
                format_args!("cannot fork, delivering in the foreground: {error}"),
            );
            on_the_spot(mta, workspace, messages)
        }
    }
}

/// Delivers what a session on standard input accepts.
pub struct DirectOutlet {
    mta: Arc<Mta>,
}

impl DirectOutlet {
    /// Makes the outlet of a session with this configuration.
    pub fn new(mta: Arc<Mta>) -> Self {
        DirectOutlet { mta }
    }
}

impl Outlet for DirectOutlet {
    fn deliver(&self, message: LockedEnvelope) {
        let mut workspace = Workspace::new(&self.mta.config.options);
        deliver_submission(&self.mta, &mut workspace, vec![message], Next::Deliver);
    }

    fn deliver_before_reply(
        &self,
        message: LockedEnvelope,
        workspace: &mut Workspace,
    ) -> ExitStatus {
        one_by_one(&self.mta, workspace, vec![message])
    }
}

/// The function the daemon delivers with.
pub fn deliver_for_daemon(
    mta: &Arc<Mta>,
    workspace: &mut Workspace,
    message: LockedEnvelope,
    occasion: Occasion,
) -> ExitStatus {
    deliver(mta, workspace, message, occasion).exit
}

/// The load average in whole numbers, as QueueLA is compared with it.
fn whole_load() -> i64 {
    // A load beyond any integer is as good as the largest.
    load_average().map_or(0, |load| format!("{load:.0}").parse().unwrap_or(i64::MAX))
}
