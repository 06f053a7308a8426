//! What the daemon does while there is one thread: everything that can fail.
//!
//! The order matters: fork the helper; read the configuration, open the ports and write the
//! pid file; give up rights; only then tell whoever started us that all is well.
//! [`super::run`] goes on from there.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::listeners::{Listener, open_all};
use super::pid_file::PidFile;
use super::queue_runner::QueueRuns;
use super::run::DaemonPlan;
use super::service_manager::Inherited;
use crate::logging::record::Severity;
use crate::macros::{MacroId, MacroTable, Macros, Template};
use crate::mta::Mta;
use crate::smtp::ExitStatus;
use crate::sys::helper::Helper;
use crate::sys::host::error_text;
use crate::sys::identity::Credentials;
use crate::sys::privilege::{Direct, Divided, Privileged};
use crate::sys::process::{
    ProcessTitle, StartReport, become_user, detach_standard_descriptors, effective_user, process_id,
};
use crate::sys::signal;
use crate::text::interval::format_interval;

/// How often a port that cannot be opened is tried at the start. Observed: 8.17.1.9.
const OPEN_ROUNDS: usize = 10;

/// The pause between two rounds. Observed: 8.17.1.9.
const OPEN_PAUSE: Duration = Duration::from_secs(5);

/// The first handles, the open ports, the pid file, and the place of the process title.
pub(super) type Started = (
    Arc<Mta>,
    Vec<Listener>,
    Option<PidFile>,
    Option<ProcessTitle>,
);

/// Does everything that can fail before there are threads.
pub(super) fn start(plan: &mut DaemonPlan, report: StartReport) -> Result<Started, ExitStatus> {
    let fail = |report: StartReport, text: &str, status: ExitStatus| {
        eprintln!("{text}");
        log::error!("{text}");
        report.send(status.number());
        status
    };
    let privileged: Arc<dyn Privileged> = match privileges(plan.user.as_ref()) {
        Ok(privileged) => privileged,
        Err(error) => {
            let text = format!("cannot start the helper process: {error}");
            return Err(fail(report, &text, ExitStatus::OsError));
        }
    };
    if let Err(error) = signal::block_all() {
        return Err(fail(
            report,
            &format!("cannot block signals: {error}"),
            ExitStatus::OsError,
        ));
    }
    let mta = match plan.source.first(privileged) {
        Ok(mta) => mta,
        Err(text) => return Err(fail(report, &text, ExitStatus::Config)),
    };
    announce(plan, &mta);
    let mut report = Some(report);
    let listeners = if plan.smtp {
        open_ports(plan, &mta, &mut report)?
    } else {
        Vec::new()
    };
    let pid_file = write_pid_file(plan, &mta);
    log_command_line(plan, &mta);
    if !plan.foreground {
        let _ = detach_standard_descriptors();
    }
    let title = ProcessTitle::take();
    if let Some(user) = plan.user.as_ref().filter(|_| effective_user() == 0)
        && let Err(error) = become_user(user)
    {
        let text = format!("cannot become the user of RunAsUser: {error}");
        return match report {
            Some(report) => Err(fail(report, &text, ExitStatus::OsError)),
            None => {
                log::error!("{text}");
                Err(ExitStatus::OsError)
            }
        };
    }
    if let Some(report) = report {
        report.send(0);
    }
    Ok((mta, listeners, pid_file, title))
}

fn privileges(user: Option<&Credentials>) -> io::Result<Arc<dyn Privileged>> {
    if effective_user() != 0 {
        return Ok(Arc::new(Direct));
    }
    let ports = Helper::start()?;
    match user {
        None => Ok(Arc::new(ports)),
        Some(user) => {
            let work = Helper::start_as(Some(user))?;
            Ok(Arc::new(Divided { ports, work }))
        }
    }
}

/// Logs that a daemon starts, or starts again, and what is wrong with its certificates.
pub(super) fn announce(plan: &DaemonPlan, mta: &Mta) {
    let (version, jobs) = (version_of(mta), jobs_of(plan.smtp, plan.queue));
    let text = format_args!("starting daemon ({version}): {jobs}");
    mta.log.syslog(1, Severity::Info, None, text);
    if plan.smtp {
        // Certificates that cannot be used are told of now, not when the first client comes.
        let _ = mta.tls_server();
    }
}

/// Logs how the daemon was called.
pub(super) fn log_command_line(plan: &DaemonPlan, mta: &Mta) {
    let command_line = String::from_utf8_lossy(&plan.command_line);
    let text = format_args!("started as: {command_line}");
    mta.log.syslog(10, Severity::Info, None, text);
}

fn version_of(mta: &Mta) -> String {
    String::from_utf8_lossy(&mta.config.expanded_macro(MacroId::V)).into_owned()
}

/// Says what the daemon does: `SMTP+queueing@00:15:00`. Observed: 8.17.1.9.
pub fn jobs_of(serves_smtp: bool, queue: Option<QueueRuns>) -> String {
    let smtp = if serves_smtp { "SMTP" } else { "" };
    let Some(queue) = queue else {
        return smtp.to_owned();
    };
    let plus = if serves_smtp { "+" } else { "" };
    let kind = if queue.is_persistent {
        "persistent-queueing"
    } else {
        "queueing"
    };
    format!("{smtp}{plus}{kind}@{}", format_interval(queue.interval))
}

/// Opens all ports, trying again for a while when somebody else still has one.
///
/// Whoever started us is released after the first round: the reference detaches
/// before it opens anything.
fn open_ports(
    plan: &DaemonPlan,
    mta: &Mta,
    report: &mut Option<StartReport>,
) -> Result<Vec<Listener>, ExitStatus> {
    let mut listeners = Vec::new();
    let mut inherited = Inherited::take_all();
    for round in 1..=OPEN_ROUNDS {
        let (open, errors) = open_all(mta, listeners, &mut inherited);
        listeners = open;
        if errors.is_empty() {
            return Ok(listeners);
        }
        for error in &errors {
            error.log(mta);
            if plan.foreground {
                print!("451 4.0.0 {}\r\n", error.message());
            }
        }
        if let Some(report) = report.take() {
            report.send(0);
        }
        if round < OPEN_ROUNDS {
            thread::sleep(OPEN_PAUSE);
        } else if let Some(error) = errors.first() {
            let name = &error.name;
            let text =
                format!("opendaemonsocket: daemon {name}: server SMTP socket wedged: exiting");
            let id = Some(&b"NOQUEUE"[..]);
            mta.log.syslog(
                0,
                Severity::Critical,
                id,
                format_args!("SYSERR(root): {text}"),
            );
        }
    }
    listeners.into_iter().for_each(Listener::close);
    Err(ExitStatus::OsError)
}

fn write_pid_file(plan: &DaemonPlan, mta: &Mta) -> Option<PidFile> {
    let path = expanded(&mta.config.options.running.pid_file, mta);
    if path.is_empty() {
        return None;
    }
    let path = crate::sys::file::path_of(&path);
    match PidFile::write(path, process_id(), &plan.command_line) {
        Ok(file) => Some(file),
        Err(error) => {
            let (path, error) = (path.display(), error_text(&error));
            mta.log.syslog(
                0,
                Severity::Error,
                Some(b"NOQUEUE"),
                format_args!("unable to write pid to {path}: {error}"),
            );
            None
        }
    }
}

pub(super) fn expanded(template: &Template, mta: &Mta) -> Vec<u8> {
    let mut text = Vec::new();
    let mut front = MacroTable::new();
    template.expand(
        &Macros::new(&mut front, None, &mta.config.macros),
        &mut text,
    );
    text
}
