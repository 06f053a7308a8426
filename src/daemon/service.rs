//! What the pools work on: SMTP sessions, and messages to deliver.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::Deliver;
use super::control::Current;
use super::deliverer::{Deliverers, Job, Labour};
use super::queue_runner::{Complaints, run_once, take_up};
use crate::delivery::run::{Occasion, end_of_run};
use crate::mta::{Mta, Workspace};
use crate::queue::{EntryName, LockedEnvelope, Match, MatchField, Selection};
use crate::server::session::Outlet;
use crate::smtp::ExitStatus;

/// Stack of a queue run asked for by ETRN, in bytes.
const STACK: usize = 1024 * 1024;

/// The most queue runs clients may have under way by ETRN.
const MAX_ETRN_RUNS: usize = 4;

/// What a worker lends to the sessions it runs.
pub struct SessionTools {
    pub(super) workspace: Workspace,
    pub(super) outlet: Arc<DeliveryOutlet>,
}

impl SessionTools {
    /// Makes the tools of one worker.
    pub fn new(outlet: Arc<DeliveryOutlet>) -> Self {
        let workspace = Workspace::new(&outlet.current.get().config.options);
        SessionTools { workspace, outlet }
    }
}

/// A message to deliver.
pub struct MailJob {
    mta: Arc<Mta>,
    message: LockedEnvelope,
}

impl Job for MailJob {
    type Name = EntryName;

    fn let_go(mut self) -> EntryName {
        let LockedEnvelope { envelope, entry } = &mut self.message;
        // What was only in memory (SuperSafe) would be gone with it.
        if entry.is_in_memory()
            && let Err(error) = entry.rewrite(envelope)
        {
            log::error!("{}: {error}", envelope.id_for_log().escape_ascii());
        }
        // Dropping the message unlocks its entry.
        self.message.entry.name()
    }
}

/// One delivery thread's tools.
pub struct MailLabour {
    current: Arc<Current>,
    workspace: Workspace,
    deliver: Deliver,
}

impl MailLabour {
    /// Makes the tools of one delivery thread.
    pub fn new(current: Arc<Current>, deliver: Deliver) -> Self {
        let workspace = Workspace::new(&current.get().config.options);
        MailLabour {
            current,
            workspace,
            deliver,
        }
    }
}

impl Labour<MailJob> for MailLabour {
    fn deliver(&mut self, job: MailJob) {
        let (mta, workspace) = (&job.mta, &mut self.workspace);
        // A host that failed for another message may be back: only a queue run remembers.
        workspace.memory.hosts.forget();
        (self.deliver)(mta, workspace, job.message, Occasion::JustAccepted);
    }

    fn rest(&mut self) {
        end_of_run(&self.current.get(), &mut self.workspace);
    }

    fn take_up(&mut self, name: EntryName) -> Option<MailJob> {
        let mta = self.current.get();
        let message = take_up(&mta, &mut self.workspace, &name)?;
        Some(MailJob { mta, message })
    }
}

/// Where sessions send what they accepted: to the delivery pool.
pub struct DeliveryOutlet {
    current: Arc<Current>,
    deliverers: Deliverers<MailJob>,
    deliver: Deliver,
    /// Queue runs of ETRN going on now.
    etrn_runs: Arc<AtomicUsize>,
}

impl DeliveryOutlet {
    /// Makes the outlet of a daemon.
    pub fn new(current: Arc<Current>, deliverers: Deliverers<MailJob>, deliver: Deliver) -> Self {
        DeliveryOutlet {
            current,
            deliverers,
            deliver,
            etrn_runs: Arc::default(),
        }
    }
}

impl Outlet for DeliveryOutlet {
    fn deliver(&self, message: LockedEnvelope) {
        self.deliverers.submit(MailJob {
            mta: self.current.get(),
            message,
        });
    }

    fn deliver_before_reply(
        &self,
        message: LockedEnvelope,
        workspace: &mut Workspace,
    ) -> ExitStatus {
        let mta = self.current.get();
        (self.deliver)(&mta, workspace, message, Occasion::JustAccepted);
        ExitStatus::Ok
    }

    fn run_queue(&self, argument: &[u8]) {
        let (mta, selection) = (self.current.get(), etrn_selection(argument));
        let (deliver, runs) = (self.deliver, Arc::clone(&self.etrn_runs));
        if runs.fetch_add(1, Ordering::SeqCst) >= MAX_ETRN_RUNS {
            // Whoever asks so often gets what the runs under way bring.
            runs.fetch_sub(1, Ordering::SeqCst);
            return;
        }
        let run = move || {
            let mut workspace = Workspace::new(&mta.config.options);
            run_once(
                &mta,
                &mut workspace,
                &selection,
                deliver,
                Complaints::Logged,
            );
            runs.fetch_sub(1, Ordering::SeqCst);
        };
        let started = thread::Builder::new()
            .name("etrn".into())
            .stack_size(STACK)
            .spawn(run)
            .map(drop);
        if let Err(error) = started {
            self.etrn_runs.fetch_sub(1, Ordering::SeqCst);
            log::error!("cannot start a queue run: {error}");
        }
    }
}

/// Turns the argument of ETRN into a selection.
///
/// `@domain` means the domain and all below it, a plain name only itself, `#name` a queue group.
/// Source: RFC 1985 section 5.
fn etrn_selection(argument: &[u8]) -> Selection {
    if let Some(group) = argument.strip_prefix(b"#") {
        return Selection {
            group: Some(group.to_vec()),
            ..Selection::default()
        };
    }
    let text = match argument.strip_prefix(b"@") {
        Some(domain) => domain.to_vec(),
        None => [b"@", argument].concat(),
    };
    let wanted = Match {
        field: MatchField::Recipient,
        negated: false,
        text,
    };
    Selection {
        matches: vec![wanted],
        ..Selection::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etrn_names_a_host_a_domain_or_a_group() {
        for (argument, text) in [("h.test", "@h.test"), ("@h.test", "h.test")] {
            let selection = etrn_selection(argument.as_bytes());
            assert_eq!(selection.matches[0].text, text.as_bytes(), "{argument}");
        }
        assert_eq!(etrn_selection(b"#slow").group, Some(b"slow".to_vec()));
    }
}
