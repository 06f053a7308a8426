//! Queue runs: once, at intervals, or all the time.
//!
//! [`run_once`] works through one selection in order; it needs no thread and is
//! what `-q` on the command line calls. [`start`] makes the thread that begins a
//! run whenever one is due. Each run has a thread of its own, as it has a process
//! in the reference, so a run held up by a slow host does not hold up the next.
//!
//! Source: guide 4.3; the texts of `-v`, observed: 8.17.1.9.

use std::io;
use std::iter::Peekable;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::Deliver;
use super::control::Current;
use super::timetable::{self, Turn};
use crate::config::options::QueueSortOrder;
use crate::delivery::run::{Occasion, end_of_run};
use crate::envelope::{Envelope, after_attempt, should_queue};
use crate::logging::record::Severity;
use crate::mta::{Mta, Workspace};
use crate::queue::{
    Candidate, Complaint, EntryName, LockedEnvelope, QueueGroup, Scan, ScanLimits, Selection,
    TakeError,
};
use crate::smtp::ExitStatus;
use crate::sys::host::load_average;
use crate::sys::process::be_nicer;

/// Stack of a run, in bytes.
const STACK: usize = 1024 * 1024;
/// How many runs of one group may overlap when MaxQueueChildren says nothing.
const MAX_OVERLAPPING: usize = 4;
/// How long a persistent runner rests after it found nothing.
/// Source: guide 2.3.1.
const EMPTY_REST: Duration = Duration::from_secs(5);

/// When the queue is run by the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueRuns {
    /// The time between two runs (`-q15m`), or after a run (`-qp1`).
    pub interval: Duration,
    /// One runner that goes on all the time (`-qp`).
    pub is_persistent: bool,
}

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunSummary {
    /// How many entries were tried.
    pub tried: usize,
    /// How many entries there were, selected or not.
    pub found: usize,
    /// Status of the last entry that failed for good.
    pub exit: Option<ExitStatus>,
}

/// Where it is told that an entry is damaged, besides the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Complaints {
    /// On standard output, where somebody waits for the run to end.
    Printed,
    /// Nowhere, unless somebody watches each step.
    Logged,
}

/// Runs the queue once, in order, on this thread.
pub fn run_once(
    mta: &Arc<Mta>,
    workspace: &mut Workspace,
    selection: &Selection,
    deliver: Deliver,
    complaints: Complaints,
) -> RunSummary {
    let mut summary = RunSummary::default();
    let occasion = match selection.matches.is_empty() {
        true => Occasion::QueueRun,
        false => Occasion::SelectedRun,
    };
    let never = AtomicBool::new(false);
    if selection.group.is_none() {
        tell_of_single_run(mta);
    }
    for group in mta.queue.groups() {
        if !is_selected(group, selection) {
            continue;
        }
        let list = work_list(mta, group, selection, &mut summary, complaints);
        let total = list.len();
        workspace.nice = group.nice;
        for (number, candidate) in list.into_iter().enumerate() {
            if !may_go_on(mta, &candidate, &never) {
                break;
            }
            narrate(workspace, &candidate.name, number + 1, total);
            let (taken, fault) = take_complaining(mta, workspace, &candidate.name, complaints);
            // What went wrong last counts. Observed: 8.17.1.9.
            summary.exit = fault.or(summary.exit);
            if let Some(message) = taken {
                summary.tried += 1;
                let exit = deliver(mta, workspace, aged(mta, message), occasion);
                if exit != ExitStatus::Ok && !exit.is_temporary() {
                    summary.exit = Some(exit);
                }
            }
        }
    }
    workspace.nice = 0;
    end_of_run(mta, workspace);
    summary
}

/// Tells of a run of all groups that is not repeated, as if all runners were at work at once.
fn tell_of_single_run(mta: &Mta) {
    let mut running = 0;
    let groups = mta.queue.groups();
    for (place, group) in timetable::order(groups).into_iter().enumerate() {
        let turn = Turn {
            place,
            group,
            interval: Duration::ZERO,
            running,
            is_first: true,
            rest: Duration::ZERO,
            has_room: true,
        };
        turn.tell(mta);
        running += groups.get(group).map_or(0, |group| group.runners);
    }
}

/// Tells whether a run of the command line goes through a group: one without runners only by name.
fn is_selected(group: &QueueGroup, selection: &Selection) -> bool {
    match &selection.group {
        Some(name) => name.eq_ignore_ascii_case(&group.name),
        None => group.runners > 0,
    }
}

/// Lists what a run of one group works on, in order.
fn work_list(
    mta: &Mta,
    group: &QueueGroup,
    selection: &Selection,
    summary: &mut RunSummary,
    told: Complaints,
) -> Vec<Candidate> {
    let queueing = &mta.config.options.queueing;
    let max_entries = match group.jobs {
        0 => usize::try_from(queueing.max_queue_run_size).unwrap_or(usize::MAX),
        jobs => jobs,
    };
    let limits = ScanLimits {
        max_entries,
        min_age: queueing.min_queue_age,
        max_age: queueing.max_queue_age,
    };
    let mut scan = match Scan::of(
        &group.directories,
        selection,
        &limits,
        queueing.queue_sort_order,
    ) {
        Ok(scan) => scan,
        Err(error) => {
            let name = String::from_utf8_lossy(&group.name);
            mta.log.syslog(
                0,
                Severity::Critical,
                Some(b"NOQUEUE"),
                format_args!("SYSERR(root): cannot read queue group {name}: {error}"),
            );
            return Vec::new();
        }
    };
    summary.found += scan.found;
    for complaint in scan.complaints.drain(..) {
        summary.exit = complaint.exit().or(summary.exit);
        if let Complaint::General(text) = complaint {
            let line = format_args!("SYSERR(root): {text}");
            mta.log
                .syslog(0, Severity::Critical, Some(b"NOQUEUE"), line);
            if told == Complaints::Printed {
                println!("{text}");
            }
        }
    }
    if scan.is_cut {
        let first = group.directories.first();
        let name = first.map_or_else(String::new, |first| {
            first.shown_path().display().to_string()
        });
        mta.log.syslog(
            0,
            Severity::Warning,
            None,
            format_args!("WorkList for {name} maxed out at {max_entries}"),
        );
    }
    if !selection.is_subset() {
        let now = mta.clock.now();
        scan.candidates
            .retain(|candidate| !limits.is_too_young(&candidate.rank, now));
    }
    scan.sort(queueing.queue_sort_order, chance());
    scan.candidates
}

/// A number nobody can foretell, for the order `random`.
fn chance() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::from(since.subsec_nanos()).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Says whether a run takes the next entry: not at shutdown, and not when the machine is too busy.
fn may_go_on(mta: &Mta, candidate: &Candidate, stop: &AtomicBool) -> bool {
    if stop.load(Ordering::Relaxed) {
        return false;
    }
    let queueing = &mta.config.options.queueing;
    let load = load_average().unwrap_or(0.0).round().clamp(0.0, 1e6) as i64;
    let busy = queueing.queue_la > 0
        && should_queue(
            candidate.rank.priority,
            load,
            i64::from(queueing.queue_la),
            queueing.queue_factor,
        );
    if busy {
        mta.log.syslog(
            8,
            Severity::Info,
            None,
            format_args!("Aborting queue run: load average too high ({load})"),
        );
    }
    !busy
}

fn narrate(workspace: &mut Workspace, name: &EntryName, number: usize, total: usize) {
    if !workspace.narrator.is_listening() {
        return;
    }
    let mut line = b"Running ".to_vec();
    line.extend_from_slice(shown_path(name).as_bytes());
    line.extend_from_slice(format!(" (sequence {number} of {total})").as_bytes());
    workspace.narrator.say(b"");
    workspace.narrator.say(&line);
}

fn shown_path(name: &EntryName) -> String {
    let directory = name.directory.shown_path().display().to_string();
    format!("{}/{}", directory.trim_end_matches('/'), name.id)
}

/// Locks and reads one entry; `None` if somebody else has it or it is damaged.
pub(super) fn take_up(
    mta: &Mta,
    workspace: &mut Workspace,
    name: &EntryName,
) -> Option<LockedEnvelope> {
    take_complaining(mta, workspace, name, Complaints::Logged).0
}

fn take_complaining(
    mta: &Mta,
    workspace: &mut Workspace,
    name: &EntryName,
    told: Complaints,
) -> (Option<LockedEnvelope>, Option<ExitStatus>) {
    let (complaints, message) = match name.take() {
        Ok(taken) => {
            let mut message = taken.message;
            stay_in_group(mta, &mut message.envelope, name);
            (taken.complaints, Some(message))
        }
        Err(error) => {
            if matches!(error, TakeError::Busy) {
                mta.log.syslog(
                    20,
                    Severity::Debug,
                    Some(name.id.as_bytes()),
                    format_args!("locked"),
                );
                workspace
                    .narrator
                    .say(&[name.id.as_bytes(), b": locked"].concat());
            }
            (complaints_of(name, error), None)
        }
    };
    for complaint in &complaints {
        complain(mta, workspace, name, complaint);
        if told == Complaints::Printed
            && !workspace.narrator.is_listening()
            && let Complaint::General(text) | Complaint::Entry(text) | Complaint::System(text) =
                complaint
        {
            println!("{text}");
        }
    }
    let fault = complaints.iter().find_map(Complaint::exit);
    (message, fault)
}

/// Makes a message that was taken by hand what a queue run makes of it.
pub fn as_in_a_run(mta: &Mta, mut message: LockedEnvelope, name: &EntryName) -> LockedEnvelope {
    stay_in_group(mta, &mut message.envelope, name);
    aged(mta, message)
}

/// Keeps a message that was read in the queue group it was found in. Observed: 8.17.1.9.
fn stay_in_group(mta: &Mta, envelope: &mut Envelope, name: &EntryName) {
    let group = mta.queue.group_holding(&name.directory);
    envelope.queue_group = group;
    for recipient in &mut envelope.recipients {
        recipient.queue_group = Some(group);
    }
}

/// Ages a message by one attempt.
fn aged(mta: &Mta, mut message: LockedEnvelope) -> LockedEnvelope {
    message.envelope.priority = after_attempt(message.envelope.priority, mta.queue.factors());
    message
}

fn complaints_of(name: &EntryName, error: TakeError) -> Vec<Complaint> {
    match error {
        TakeError::Busy | TakeError::Gone => Vec::new(),
        TakeError::Left(complaints) | TakeError::Lost(complaints) => complaints,
        TakeError::Io(error) => {
            vec![Complaint::System(format!(
                "cannot open {}: {error}",
                shown_path(name)
            ))]
        }
    }
}

fn complain(mta: &Mta, workspace: &mut Workspace, name: &EntryName, complaint: &Complaint) {
    let id = name.id.as_bytes();
    match complaint {
        Complaint::General(text) => {
            let line = format_args!("SYSERR(root): {text}");
            mta.log
                .syslog(0, Severity::Critical, Some(b"NOQUEUE"), line);
            workspace.narrator.say(text.as_bytes());
        }
        Complaint::Entry(text) | Complaint::System(text) => {
            let line = format_args!("SYSERR(root): {text}");
            mta.log.syslog(0, Severity::Critical, Some(id), line);
            workspace.narrator.say(text.as_bytes());
        }
        Complaint::Alert(text) => {
            mta.log
                .syslog(0, Severity::Alert, Some(id), format_args!("{text}"));
        }
    }
}

/// What a running daemon's queue runs share.
struct Runs {
    current: Arc<Current>,
    deliver: Deliver,
    stop: Arc<AtomicBool>,
    /// Runs going on now.
    running: AtomicUsize,
}

/// Starts the thread that begins queue runs; it ends when `wake` is closed or `stop` is set.
///
/// # Errors
/// The thread could not be started.
pub fn start(
    runs: QueueRuns,
    current: Arc<Current>,
    deliver: Deliver,
    wake: Receiver<()>,
    stop: Arc<AtomicBool>,
) -> io::Result<()> {
    let shared = Arc::new(Runs {
        current,
        deliver,
        stop,
        running: AtomicUsize::new(0),
    });
    let work = move || {
        if runs.is_persistent {
            shared.run_persistently(runs.interval, &wake);
        } else {
            shared.run_at_intervals(runs.interval, &wake);
        }
    };
    thread::Builder::new()
        .name("queue-runner".into())
        .stack_size(STACK)
        .spawn(work)
        .map(drop)
}

impl Runs {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn run_persistently(&self, rest: Duration, wake: &Receiver<()>) {
        while !self.is_over() {
            let mta = self.current.get();
            let mut found = 0;
            for (group, _) in
                (mta.queue.groups().iter().enumerate()).filter(|(_, group)| group.runners > 0)
            {
                found += self.run_group(&mta, group).tried;
            }
            let rest = if found == 0 {
                rest.max(EMPTY_REST)
            } else {
                rest
            };
            if wait(wake, Instant::now() + rest) {
                return;
            }
        }
    }

    /// Begins a run of each group at the start and whenever its interval has passed.
    fn run_at_intervals(self: &Arc<Self>, interval: Duration, wake: &Receiver<()>) {
        let mut due: Vec<Instant> = Vec::new();
        let mut is_first = true;
        while !self.is_over() {
            let mta = self.current.get();
            let groups = mta.queue.groups();
            // A reload may bring new groups; they are due at once.
            due.resize(groups.len(), Instant::now());
            let now = Instant::now();
            for (place, number) in timetable::order(groups).into_iter().enumerate() {
                let (Some(group), Some(due)) = (groups.get(number), due.get_mut(number)) else {
                    continue;
                };
                let turn = Turn {
                    place,
                    group: number,
                    interval,
                    running: self.running.load(Ordering::SeqCst),
                    is_first,
                    rest: due.saturating_duration_since(now),
                    has_room: self.has_room(&mta),
                };
                turn.tell(&mta);
                if *due <= now {
                    let interval = group
                        .interval
                        .unwrap_or(interval)
                        .max(Duration::from_secs(1));
                    *due = now + interval;
                    self.begin(&mta, number);
                }
            }
            is_first = false;
            let with_runners = due
                .iter()
                .zip(groups)
                .filter(|(_, group)| group.runners > 0);
            let next = with_runners.map(|(due, _)| *due).min();
            // Without any runner there is only a reload or the end to wait for.
            if wait(wake, next.unwrap_or(now + interval.max(EMPTY_REST))) {
                return;
            }
        }
    }

    /// Tells whether one more run may begin.
    fn has_room(&self, mta: &Mta) -> bool {
        let max = match mta.config.options.queueing.max_queue_children {
            0 => MAX_OVERLAPPING * mta.queue.groups().len(),
            max => usize::try_from(max).unwrap_or(usize::MAX),
        };
        self.running.load(Ordering::SeqCst) < max
    }

    fn begin(self: &Arc<Self>, mta: &Arc<Mta>, group: usize) {
        if !self.has_room(mta) {
            return;
        }
        self.running.fetch_add(1, Ordering::SeqCst);
        let (shared, mta) = (Arc::clone(self), Arc::clone(mta));
        let work = move || {
            if let Some(group) = mta.queue.groups().get(group) {
                be_nicer(group.nice);
            }
            shared.run_group(&mta, group);
            shared.running.fetch_sub(1, Ordering::SeqCst);
        };
        let started = thread::Builder::new()
            .name("queue-run".into())
            .stack_size(STACK)
            .spawn(work);
        if let Err(error) = started {
            self.running.fetch_sub(1, Ordering::SeqCst);
            log::error!("cannot start a queue run: {error}");
        }
    }

    /// Runs one group once, by as many runners as it may have.
    fn run_group(&self, mta: &Arc<Mta>, group: usize) -> RunSummary {
        let mut summary = RunSummary::default();
        let Some(group) = mta.queue.groups().get(group) else {
            return summary;
        };
        let list = work_list(
            mta,
            group,
            &Selection::default(),
            &mut summary,
            Complaints::Logged,
        );
        let runners = group.runners.min(list.len()).max(1);
        let list = Mutex::new(list.into_iter().peekable());
        let tried = AtomicUsize::new(0);
        if runners == 1 {
            self.work_off(mta, group.nice, &list, &tried);
        } else {
            thread::scope(|scope| {
                for _ in 0..runners {
                    let work = || self.work_off(mta, group.nice, &list, &tried);
                    if let Err(error) = thread::Builder::new()
                        .stack_size(STACK)
                        .spawn_scoped(scope, work)
                    {
                        log::error!("cannot start a queue runner: {error}");
                    }
                }
            });
        }
        summary.tried = tried.into_inner();
        summary
    }

    fn work_off(
        &self,
        mta: &Arc<Mta>,
        nice: i32,
        list: &Mutex<Peekable<impl Iterator<Item = Candidate>>>,
        tried: &AtomicUsize,
    ) {
        let fresh = || {
            let mut workspace = Workspace::new(&mta.config.options);
            workspace.nice = nice;
            workspace
        };
        let mut workspace = fresh();
        let by_host = mta.config.options.queueing.queue_sort_order == QueueSortOrder::Host;
        let mut share = Vec::new().into_iter();
        loop {
            let next = share.next().or_else(|| {
                let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
                share = next_share(&mut list, by_host).into_iter();
                share.next()
            });
            let Some(candidate) = next else {
                break;
            };
            if !may_go_on(mta, &candidate, &self.stop) {
                break;
            }
            let attempt = std::panic::AssertUnwindSafe(|| {
                if let Some(message) = take_up(mta, &mut workspace, &candidate.name) {
                    tried.fetch_add(1, Ordering::Relaxed);
                    let message = aged(mta, message);
                    (self.deliver)(mta, &mut workspace, message, Occasion::QueueRun);
                }
            });
            if std::panic::catch_unwind(attempt).is_err() {
                log::error!("a queue entry was left alone after a fault of the program");
                workspace = fresh();
            }
        }
        end_of_run(mta, &mut workspace);
    }
}

/// Takes what a runner works on next: one entry, or all of a host where they are in that order.
///
/// Observed: 8.17.1.9, which shares out hosts with QueueSortOrder=host and entries with others.
fn next_share(
    list: &mut Peekable<impl Iterator<Item = Candidate>>,
    by_host: bool,
) -> Vec<Candidate> {
    let mut share = Vec::from_iter(list.next());
    while let Some(last) = share.last().filter(|_| by_host)
        && let Some(next) = list.next_if(|next| next.rank.shares_host_with(&last.rank))
    {
        share.push(next);
    }
    share
}

/// Waits for the deadline; returns whether the daemon ends.
fn wait(wake: &Receiver<()>, deadline: Instant) -> bool {
    match wake.recv_deadline(deadline) {
        // Woken early: after a reload the intervals are looked at again.
        Ok(()) | Err(RecvTimeoutError::Timeout) => false,
        Err(RecvTimeoutError::Disconnected) => true,
    }
}
