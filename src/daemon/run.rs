//! The threads of the daemon: how they start, what a reload changes, how they end.
//!
//! The order at the start matters: fork into the background, do in [`super::start`] what can
//! fail, and only then start threads. At the end nothing is in danger, because a message is
//! durable before it is acknowledged: sessions get a last line, deliveries a little time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use mio::{Poll, Waker};

use super::Deliver;
use super::accept::{AcceptLoop, Event, Title, WAKER, spare_descriptor};
use super::control::{Control, Current, Way};
use super::control_socket::{ControlSocket, State};
use super::deliverer::{Deliverers, Labour, PoolSize};
use super::gate::Gate;
use super::guest::Guest;
use super::listeners::{Listener, gate_limits};
use super::queue_runner::{self, QueueRuns};
use super::service::{DeliveryOutlet, MailJob, MailLabour, SessionTools};
use super::service_manager;
use super::start::{announce, expanded, log_command_line, start};
use super::worker::{self, Doorbell, Outcome};
use crate::logging::record::Severity;
use crate::macros::MacroId;
use crate::mta::{Lifetime, Mta};
use crate::queue::cleaning::remove_leftovers;
use crate::smtp::ExitStatus;
use crate::sys::host::{processors, runnable_tasks};
use crate::sys::identity::Credentials;
use crate::sys::privilege::Privileged;
use crate::sys::process::{
    Daemonized, ProcessTitle, StartReport, change_directory, daemonize, raise_descriptor_limit,
};
use crate::sys::signal;
use crate::text::interval::format_interval;

/// How many delivery threads brisk work gets; more would only stand in each other's way.
const DELIVERERS: usize = 40;
/// The most delivery threads when MaxQueueChildren says nothing and all of them only wait.
const MAX_DELIVERERS: usize = 400;
/// With more runnable tasks for each processor than this, more delivery threads would not help.
const BUSY_TASKS: u32 = 2;
/// Descriptors kept back for the queue, maps and deliveries.
const RESERVED_DESCRIPTORS: u64 = 128;
/// With fewer descriptors than this, every session is counted with the files it may open.
const FEW_DESCRIPTORS: u64 = 512;
/// Descriptors the daemon itself needs.
const OWN_DESCRIPTORS: u64 = 24;
/// Descriptors a session in the middle of a message may need.
const SESSION_DESCRIPTORS: u64 = 4;
/// Descriptors a delivery may need, one waiting included.
const DELIVERY_DESCRIPTORS: u64 = 40;
/// The most sessions, whatever the descriptors allow.
const MAX_SESSIONS: usize = 16_384;
/// The fewest sessions, however few descriptors there are.
const MIN_SESSIONS: usize = 4;
/// Stack of the thread that cleans the queue, in bytes.
const CLEANING_STACK: usize = 256 * 1024;
/// How long running steps and deliveries may take at the end.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// Where the daemon gets its handles from, at the start and at each reload.
pub trait Source {
    /// Makes the first handles.
    ///
    /// # Errors
    /// What is wrong with the configuration, for people.
    fn first(&mut self, privileged: Arc<dyn Privileged>) -> Result<Arc<Mta>, String>;

    /// Reads everything again, with what lives as long as the process.
    ///
    /// # Errors
    /// What is wrong with the configuration; the daemon goes on with the old one.
    fn again(&mut self, lifetime: &Arc<Lifetime>) -> Result<Arc<Mta>, String>;
}

/// What kind of daemon to be.
pub struct DaemonPlan {
    /// Where the handles come from.
    pub source: Box<dyn Source>,
    /// Whether to listen (`-bd`, `-bD`).
    pub smtp: bool,
    /// Whether to stay in the foreground (`-bD`).
    pub foreground: bool,
    /// How many threads give sessions their turns, unless fewer sessions are allowed.
    ///
    /// A reload does not change it.
    pub workers: usize,
    /// Who to become when the ports are open (RunAsUser); a reload does not change it.
    pub user: Option<Credentials>,
    /// When to run the queue (`-q15m`, `-qp`).
    pub queue: Option<QueueRuns>,
    /// The command line, words joined by blanks, for the pid file and the log.
    pub command_line: Vec<u8>,
    /// What delivers a message.
    pub deliver: Deliver,
}

/// Runs the daemon to its end; only while there is a single thread.
///
/// Without `foreground` this returns twice: soon in the process that was started,
/// with the status it should exit with, and at the end in the daemon.
pub fn run(mut plan: DaemonPlan) -> ExitStatus {
    let report = if plan.foreground {
        StartReport::nobody()
    } else {
        match daemonize() {
            Ok(Daemonized::Starter { exit_status: 0 }) => return ExitStatus::Ok,
            Ok(Daemonized::Starter { exit_status }) => return ExitStatus::from_number(exit_status),
            Ok(Daemonized::Daemon(report)) => report,
            Err(error) => {
                eprintln!("cannot fork: {error}");
                return ExitStatus::OsError;
            }
        }
    };
    match start(&mut plan, report) {
        Ok((first, listeners, pid_file, title)) => {
            let served = serve(&mut plan, first, listeners, title);
            drop(pid_file);
            match served {
                Ok(()) => ExitStatus::Ok,
                Err(error) => {
                    log::error!("the daemon ends: {error}");
                    ExitStatus::OsError
                }
            }
        }
        Err(status) => status,
    }
}

/// Starts the threads and runs the accept loop.
fn serve(
    plan: &mut DaemonPlan,
    first: Arc<Mta>,
    listeners: Vec<Listener>,
    place: Option<ProcessTitle>,
) -> io::Result<()> {
    let descriptors = raise_descriptor_limit();
    let max_sessions = max_sessions(descriptors);
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    // Room for every session there may be, so that handing one over never waits.
    let (ready_sender, ready) = bounded(max_sessions + 1);
    let (event_sender, events) = bounded(max_sessions + 64);
    let doorbell = Doorbell::new(event_sender, waker);
    let current = Arc::new(Current::new(first));
    let running = Arc::new(AtomicUsize::new(0));
    let deliverers = deliverers(plan.deliver, &current, &running, &doorbell, descriptors);
    let workers = if plan.smtp {
        start_workers(plan, &current, &deliverers, &ready, &doorbell, max_sessions)?
    } else {
        Vec::new()
    };
    let stop = Arc::new(AtomicBool::new(false));
    let (wake_runner, runner_wakes) = bounded(1);
    if let Some(queue) = plan.queue {
        let (current, stop) = (Arc::clone(&current), Arc::clone(&stop));
        queue_runner::start(queue, current, plan.deliver, runner_wakes, stop)?;
    }
    watch_signals(&doorbell)?;
    let children = Arc::new(AtomicUsize::new(0));
    let state = State {
        current: Arc::clone(&current),
        children: Arc::clone(&children),
    };
    let bell = doorbell.clone();
    let control_socket =
        ControlSocket::open(state, move |control| bell.ring(Event::Control(control)));
    clean_queue(&current);
    let mta = current.get();
    let mut accept_loop = AcceptLoop {
        gate: Gate::new(
            gate_limits(&mta.config, max_sessions),
            running,
            Instant::now(),
        ),
        title: title(plan, &mta, place),
        poll,
        events,
        ready: ready_sender,
        current: Arc::clone(&current),
        max_sessions,
        listeners,
        vestibule: AcceptLoop::empty_vestibule(),
        parking: AcceptLoop::empty_parking(),
        children,
        spare: spare_descriptor(),
    };
    drop(mta);
    let mut reload = |old: &Arc<Mta>, way: Way| {
        service_manager::tell_reloading();
        let fresh = reload(plan, old, way, &wake_runner);
        service_manager::tell_ready();
        fresh
    };
    service_manager::tell_ready();
    let served = accept_loop.serve(&mut reload);
    service_manager::tell_stopping();
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    drop(wake_runner);
    let mta = current.get();
    let reason = served
        .as_ref()
        .map_or_else(|_| "failure".to_owned(), Way::to_string);
    mta.log.syslog(
        10,
        Severity::Info,
        Some(b"NOQUEUE"),
        format_args!("stopping daemon, reason={reason}"),
    );
    drop(control_socket);
    end(accept_loop, workers, &deliverers, &mta);
    served.map(drop)
}

fn max_sessions(descriptors: u64) -> usize {
    let affordable = if descriptors < FEW_DESCRIPTORS {
        descriptors.saturating_sub(OWN_DESCRIPTORS) / SESSION_DESCRIPTORS
    } else {
        descriptors - RESERVED_DESCRIPTORS
    };
    usize::try_from(affordable)
        .unwrap_or(MAX_SESSIONS)
        .clamp(MIN_SESSIONS, MAX_SESSIONS)
}

fn max_deliverers(descriptors: u64, configured: u32) -> usize {
    let affordable = usize::try_from(descriptors / DELIVERY_DESCRIPTORS).unwrap_or(DELIVERERS);
    let affordable = affordable.clamp(1, MAX_DELIVERERS);
    match usize::try_from(configured) {
        Ok(configured) if configured > 0 => configured.min(affordable),
        _ => affordable,
    }
}

fn deliverers(
    deliver: Deliver,
    current: &Arc<Current>,
    running: &Arc<AtomicUsize>,
    doorbell: &Doorbell<Event>,
    descriptors: u64,
) -> Deliverers<MailJob> {
    let configured = current.get().config.options.queueing.max_queue_children;
    let max_threads = max_deliverers(descriptors, configured);
    let (hirer, bell) = (Arc::clone(current), doorbell.clone());
    let hire = move || -> Box<dyn Labour<MailJob>> {
        Box::new(MailLabour::new(Arc::clone(&hirer), deliver))
    };
    let on_end = move || {
        bell.ring(Event::DeliveryEnded);
    };
    let size = PoolSize {
        core_threads: max_threads.min(DELIVERERS),
        max_threads,
        is_machine_busy,
    };
    Deliverers::new(size, Arc::clone(running), hire, on_end)
}

/// Says whether more tasks want to run than the processors can get on with.
fn is_machine_busy() -> bool {
    runnable_tasks().is_some_and(|tasks| tasks > processors().saturating_mul(BUSY_TASKS))
}

fn start_workers(
    plan: &DaemonPlan,
    current: &Arc<Current>,
    deliverers: &Deliverers<MailJob>,
    ready: &Receiver<worker::Ready<Guest>>,
    doorbell: &Doorbell<Event>,
    max_sessions: usize,
) -> io::Result<Vec<thread::JoinHandle<()>>> {
    let allowed = match current.get().config.options.receiving.max_daemon_children {
        0 => max_sessions,
        max => usize::try_from(max).unwrap_or(max_sessions),
    };
    let outlet = Arc::new(DeliveryOutlet::new(
        Arc::clone(current),
        deliverers.clone(),
        plan.deliver,
    ));
    let make_tools = move || SessionTools::new(Arc::clone(&outlet));
    let bell = doorbell.clone();
    let report = move |outcome: Outcome<Guest>| bell.ring(Event::Session(outcome));
    let count = plan.workers.min(allowed).max(1);
    worker::start(count, ready, &make_tools, &report)
}

/// Removes what a crash may have left in the queue, on a thread of its own.
fn clean_queue(current: &Arc<Current>) {
    let mta = current.get();
    let clean = move || {
        let directories = mta
            .queue
            .groups()
            .iter()
            .flat_map(|group| &group.directories);
        for directory in directories {
            match remove_leftovers(directory, mta.clock.now()) {
                Ok(removed) => {
                    for name in removed {
                        log::info!("removed {name}, left over from a crash");
                    }
                }
                Err(error) => log::warn!("cannot look for leftovers of a crash: {error}"),
            }
        }
    };
    let started = thread::Builder::new()
        .name("cleaning".into())
        .stack_size(CLEANING_STACK)
        .spawn(clean);
    if let Err(error) = started {
        log::warn!("cannot look for leftovers of a crash: {error}");
    }
}

/// Turns signals into requests to the accept thread.
fn watch_signals(doorbell: &Doorbell<Event>) -> io::Result<()> {
    let (sender, signals): (Sender<_>, Receiver<_>) = bounded(4);
    signal::forward_to(sender)?;
    let bell = doorbell.clone();
    let forward = move || {
        for event in signals {
            if !bell.ring(Event::Control(Control::from(event))) {
                return;
            }
        }
    };
    thread::Builder::new()
        .name("control".into())
        .stack_size(128 * 1024)
        .spawn(forward)
        .map(drop)
}

fn title(plan: &DaemonPlan, mta: &Mta, place: Option<ProcessTitle>) -> Title {
    let prefix = mta.config.options.running.process_title_prefix.as_ref();
    let prefix = prefix
        .map(|prefix| expanded(prefix, mta))
        .unwrap_or_default();
    let mut shown = "sendmail: ".to_owned();
    if !prefix.is_empty() {
        shown = format!("{shown}{}: ", String::from_utf8_lossy(&prefix));
    }
    let title = Title {
        place,
        prefix: shown,
    };
    if let (false, Some(queue)) = (plan.smtp, plan.queue) {
        title.show(&format!("Queue runner@{}", format_interval(queue.interval)));
    }
    title
}

/// Reads the configuration again; `None` leaves the old one in force.
fn reload(
    plan: &mut DaemonPlan,
    old: &Arc<Mta>,
    way: Way,
    wake_runner: &Sender<()>,
) -> Option<Arc<Mta>> {
    let program = plan
        .command_line
        .split(|&byte| byte == b' ')
        .next()
        .unwrap_or_default();
    let program = String::from_utf8_lossy(program).into_owned();
    old.log.syslog(
        3,
        Severity::Info,
        None,
        format_args!("restarting {program} due to {way}"),
    );
    match plan.source.again(&old.lifetime) {
        Ok(mta) => {
            announce(plan, &mta);
            log_command_line(plan, &mta);
            let _ = wake_runner.try_send(());
            Some(mta)
        }
        Err(text) => {
            log::error!("the configuration stays as it was: {text}");
            None
        }
    }
}

/// Ends what runs: listeners at once, sessions with a last line, deliveries after a while.
fn end(
    accept_loop: AcceptLoop,
    workers: Vec<thread::JoinHandle<()>>,
    deliverers: &Deliverers<MailJob>,
    mta: &Mta,
) {
    let deadline = Instant::now() + DRAIN_LIMIT;
    let AcceptLoop {
        listeners,
        mut parking,
        poll,
        ready,
        events,
        ..
    } = accept_loop;
    listeners.into_iter().for_each(Listener::close);
    let own_name = mta.config.expanded_macro(MacroId::J);
    let farewell = [b"421 4.3.2 ", own_name.as_slice(), b" shutting down\r\n"].concat();
    for mut talk in parking.clear(poll.registry()) {
        talk.say_farewell(&farewell);
    }
    // Without a sender the workers end after the turns they are in.
    drop(ready);
    while workers.iter().any(|worker| !worker.is_finished()) && Instant::now() < deadline {
        if let Ok(Event::Session(Outcome::Rests(mut talk, _))) =
            events.recv_timeout(Duration::from_millis(10))
        {
            talk.say_farewell(&farewell)
        }
    }
    if !deliverers.close(deadline) {
        log::warn!("the daemon ends before some deliveries; they stay in the queue");
    }
    mta.post_statistics();
    let _ = change_directory(std::path::Path::new("/"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_descriptors_mean_few_sessions_and_deliveries() {
        for (descriptors, sessions, deliverers) in [
            (40, 4, 1),
            (256, 58, 6),
            (1_024, 896, 25),
            (1_048_576, MAX_SESSIONS, MAX_DELIVERERS),
        ] {
            assert_eq!(max_sessions(descriptors), sessions, "{descriptors}");
            assert_eq!(max_deliverers(descriptors, 0), deliverers, "{descriptors}");
        }
        assert_eq!(max_deliverers(1_024, 3), 3);
    }
}
