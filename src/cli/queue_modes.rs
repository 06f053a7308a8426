//! The modes that work on the queue: `-q`, `-Q`, `-bp` and `--queue`.
//!
//! Each of them first tells whether the caller may do that. Part of [`super::run`].

use std::io::{self, BufWriter, Write};
use std::time::Duration;

use crate::config::Config;
use crate::config::options::{PrivacyFlags, QueueSortOrder};
use crate::daemon::queue_runner::Complaints;
use crate::daemon::{QueueRuns, queue_runner};
use crate::logging::narrator::Stdout;
use crate::logging::record::Severity;
use crate::mta::Mta;
use crate::queue::{QuarantineChange, QueueGroup, Scan, ScanLimits, Selection, set_quarantine};
use crate::smtp::ExitStatus;
use crate::sys::file::{FileFacts, terminal_lines};
use crate::sys::host::error_text;
use crate::sys::process::{Forked, fork_background, real_group, real_user};
use crate::text::bytes::escape_for_display;
use crate::tools;
use crate::tools::postmaster::{self, Request, show, watch, watch::Form};

use super::arguments::QuarantineRequest;
use super::deliveries::deliver_for_daemon;
use super::queue_command::ListingStyle;
use super::run::{Program, callers_login, is_trusted_caller};

/// Pause of a persistent queue runner when -qp names none.
/// Source: guide 2.3.1.
const PERSISTENT_PAUSE: Duration = Duration::from_secs(1);

impl Program {
    /// `-q` without a daemon: once, or again and again in the background.
    pub(super) fn run_queue(self, config: Config) -> ExitStatus {
        if self.arguments.quarantine.is_some() && !is_trusted_caller(&config) {
            return self.refuse_untrusted(&config, "quarantine jobs");
        }
        if self.queue_runs().is_some() {
            if !is_trusted_caller(&config) {
                return self.refuse_untrusted(&config, "run daemon");
            }
            return self.run_daemon(config, false, false);
        }
        let mta = match self.open(config) {
            Ok(mta) => mta,
            Err(status) => return status,
        };
        if is_restricted(&mta, PrivacyFlags::RESTRICT_QRUN, |facts| {
            facts.uid == real_user()
        }) {
            println!("You do not have permission to process the queue");
            return ExitStatus::NoPermission;
        }
        let run = self.arguments.queue_run.as_ref();
        let group = run.and_then(|run| run.selection.group.as_deref());
        if let Some(name) = group.filter(|name| mta.queue.find(name).is_none()) {
            println!("Queue group {} unknown", escape_for_display(name));
            return ExitStatus::Ok;
        }
        if let Some(request) = &self.arguments.quarantine {
            return self.set_quarantine(&mta, request);
        }
        let in_foreground =
            run.is_some_and(|run| run.foreground) || mta.config.options.running.verbose;
        if !in_foreground {
            match fork_background() {
                Ok(Forked::Parent(_)) => return ExitStatus::Ok,
                Ok(Forked::Child) => {}
                Err(error) => log::warn!("cannot fork, running the queue here: {error}"),
            }
        }
        let mut workspace = self.workspace(&mta);
        if in_foreground {
            workspace.complaints = Box::new(Stdout);
            workspace.tells_caller = true;
        }
        let selection = self.selection();
        let summary = queue_runner::run_once(
            &mta,
            &mut workspace,
            &selection,
            deliver_for_daemon,
            match in_foreground {
                true => Complaints::Printed,
                false => Complaints::Logged,
            },
        );
        crate::delivery::run::end_of_run(&mta, &mut workspace);
        summary.exit.unwrap_or(ExitStatus::Ok)
    }

    /// `-Q`: puts the selected entries into quarantine, or lets them go.
    fn set_quarantine(&self, mta: &Mta, request: &QuarantineRequest) -> ExitStatus {
        let reason = match request {
            QuarantineRequest::Hold(reason) => Some(reason.as_slice()),
            QuarantineRequest::Release => None,
        };
        let selection = self.selection();
        let is_selected = |group: &&QueueGroup| {
            let name = selection.group.as_ref();
            name.is_none_or(|name| name.eq_ignore_ascii_case(&group.name))
        };
        let directories: Vec<_> = mta
            .queue
            .groups()
            .iter()
            .filter(is_selected)
            .flat_map(|group| group.directories.clone())
            .collect();
        let scan = match Scan::of(
            &directories,
            &selection,
            &ScanLimits::default(),
            QueueSortOrder::None,
        ) {
            Ok(scan) => scan,
            Err(error) => {
                println!("cannot read the queue: {error}");
                return ExitStatus::OsError;
            }
        };
        for candidate in scan.candidates {
            match set_quarantine(&candidate.name, reason) {
                Ok(QuarantineChange::Made) => {
                    let shown = escape_for_display(reason.unwrap_or_default());
                    let id = Some(candidate.name.id.as_bytes());
                    let change = match reason {
                        Some(_) => format!("quarantine={shown}"),
                        None => "unquarantine".to_owned(),
                    };
                    mta.log
                        .syslog(0, Severity::Info, id, format_args!("{change}"));
                }
                Ok(QuarantineChange::AsBefore) => {}
                Ok(QuarantineChange::LeftAlone) => {
                    let label = candidate.name.directory.label();
                    println!("Skipping {label}/{}", candidate.name.id);
                }
                Err(error) => println!("{}: {error}", candidate.name.id),
            }
        }
        ExitStatus::Ok
    }

    /// How the queue is run again and again, if it is.
    pub(super) fn queue_runs(&self) -> Option<QueueRuns> {
        let run = self.arguments.queue_run.as_ref()?;
        let interval = match (run.interval, run.persistent) {
            (Some(interval), _) => interval,
            (None, true) => PERSISTENT_PAUSE,
            (None, false) => return None,
        };
        Some(QueueRuns {
            interval,
            is_persistent: run.persistent,
        })
    }

    /// Words that the queue group of the command line is none.
    pub(super) fn unknown_group(&self, config: &Config) -> Option<String> {
        let name = self.selection().group?;
        let mut groups = config.queue_groups.iter();
        let is_known = groups.any(|group| group.name.eq_ignore_ascii_case(&name));
        (!is_known).then(|| format!("Queue group {} unknown", escape_for_display(&name)))
    }

    fn selection(&self) -> Selection {
        let run = self.arguments.queue_run.as_ref();
        run.map_or_else(Selection::default, |run| run.selection.clone())
    }

    pub(super) fn list_queue(&self, config: Config) -> ExitStatus {
        let mta = match self.open(config) {
            Ok(mta) => mta,
            Err(status) => return status,
        };
        let (selection, mut out) = (self.selection(), io::stdout().lock());
        let (json, pause) = match self.arguments.listing {
            ListingStyle::Usual if is_hidden(&mta) => {
                println!("You are not permitted to see the queue\n\t\tTotal requests: 0");
                return ExitStatus::Ok;
            }
            ListingStyle::Usual => return tools::mailq::run(&mta, &selection, &mut out),
            ListingStyle::Json => (true, None),
            ListingStyle::Watch { pause, json } => (json, Some(pause)),
        };
        if is_hidden(&mta) {
            eprintln!("You are not permitted to see the queue");
            return ExitStatus::NoPermission;
        }
        let group = selection.group.as_deref();
        if let Some(name) = group.filter(|name| mta.queue.find(name).is_none()) {
            eprintln!("Queue group {} unknown", escape_for_display(name));
            return ExitStatus::Usage;
        }
        let form = match json {
            true => Form::Json,
            false => terminal_lines(&out).map_or(Form::Lines, Form::Screen),
        };
        ended(match pause {
            Some(pause) => watch::run(&mta, &selection, form, pause, &mut out),
            None => {
                let mut out = BufWriter::new(out);
                show::selected_as_json(&mta, &selection, &mut out).and_then(|()| out.flush())
            }
        })
    }

    /// `--queue`: what a postmaster does; only root and TrustedUser may do more than list.
    pub(super) fn work_by_hand(&self, config: Config, request: &Request) -> ExitStatus {
        let is_listing = request.action.is_listing();
        if !is_listing && !is_trusted_caller(&config) {
            eprintln!("sendmail: only root and the TrustedUser may do this to the queue");
            return ExitStatus::NoPermission;
        }
        let mta = match self.open(config) {
            Ok(mta) => mta,
            Err(status) => return status,
        };
        if is_listing && is_hidden(&mta) {
            eprintln!("You are not permitted to see the queue");
            return ExitStatus::NoPermission;
        }
        let mut workspace = self.workspace(&mta);
        let mut out = BufWriter::new(io::stdout().lock());
        let caller = callers_login(&mta);
        let done = postmaster::run(&mta, &mut workspace, request, &caller, &mut out);
        let status = done.and_then(|status| out.flush().map(|()| status));
        status.unwrap_or_else(|error| ended(Err(error)))
    }
}

/// Tells whether a privacy flag keeps the caller from the queue.
///
/// Root may always; `is_allowed` says who else, by the facts of the queue directory.
/// Source: guide 5.6, PrivacyOptions; observed: 8.17.1.9.
fn is_restricted(mta: &Mta, flag: PrivacyFlags, is_allowed: impl Fn(&FileFacts) -> bool) -> bool {
    if real_user() == 0 || !mta.config.options.security.privacy_options.contains(flag) {
        return false;
    }
    let directory = mta
        .queue
        .groups()
        .first()
        .and_then(|group| group.directories.first());
    let facts = directory.and_then(|directory| FileFacts::at(directory.path()).ok());
    !facts.is_some_and(|facts| is_allowed(&facts))
}

/// Tells whether restrictmailq keeps the queue from the caller's eyes.
fn is_hidden(mta: &Mta) -> bool {
    is_restricted(mta, PrivacyFlags::RESTRICT_MAILQ, |facts| {
        facts.gid == real_group()
    })
}

/// The exit status of a listing that was written, or that nobody read to its end.
fn ended(listed: io::Result<()>) -> ExitStatus {
    match listed {
        Ok(()) => ExitStatus::Ok,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitStatus::Ok,
        Err(error) => {
            eprintln!("sendmail: {}", error_text(&error));
            ExitStatus::OsError
        }
    }
}
