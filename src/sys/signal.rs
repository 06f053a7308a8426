//! Signals: blocked everywhere, waited for by one thread. There are no handlers.
//!
//! The daemon blocks what it answers to before its first thread starts, so
//! every thread inherits the mask; [`forward_to`] starts the one thread that
//! takes the signals out with `sigwait` and turns them into values. Children
//! get an empty mask and default dispositions, see [`super::spawn`].

use std::io;
use std::thread;

use crossbeam_channel::Sender;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};

/// What somebody asked of the daemon by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalEvent {
    /// SIGHUP: read the configuration again.
    Hangup,
    /// SIGTERM, SIGINT or SIGQUIT: end.
    Terminate,
    /// SIGUSR1: write the state to the log.
    Dump,
}

/// The signals the daemon answers to, or must not die of.
const ANSWERED: &[Signal] = &[
    Signal::SIGHUP,
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
];

fn answered() -> SigSet {
    ANSWERED.iter().copied().collect()
}

/// Blocks all signals the daemon answers to, in this thread and those it will start.
///
/// # Errors
/// As `pthread_sigmask(3)`.
pub fn block_all() -> io::Result<()> {
    Ok(pthread_sigmask(
        SigmaskHow::SIG_BLOCK,
        Some(&answered()),
        None,
    )?)
}

/// Lets signals through again, in this thread.
///
/// # Errors
/// As `pthread_sigmask(3)`.
pub fn unblock_all() -> io::Result<()> {
    Ok(pthread_sigmask(
        SigmaskHow::SIG_SETMASK,
        Some(&SigSet::empty()),
        None,
    )?)
}

/// Starts the thread that waits for signals; it ends when nobody listens any more.
///
/// # Errors
/// The thread could not be started.
pub fn forward_to(sender: Sender<SignalEvent>) -> io::Result<()> {
    let wait = move || {
        let set = answered();
        loop {
            let event = match set.wait() {
                Ok(Signal::SIGHUP) => SignalEvent::Hangup,
                Ok(Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT) => SignalEvent::Terminate,
                Ok(Signal::SIGUSR1) => SignalEvent::Dump,
                Ok(_) | Err(_) => continue,
            };
            if sender.send(event).is_err() {
                return;
            }
        }
    };
    thread::Builder::new()
        .name("signal".into())
        .stack_size(128 * 1024)
        .spawn(wait)
        .map(drop)
}

/// Makes a write past the limit of file sizes fail instead of ending the process.
pub fn survive_file_size_limit() {
    let ignore = nix::sys::signal::SigHandler::SigIgn;
    // SAFETY: installs no handler.
    let _ = unsafe { nix::sys::signal::signal(Signal::SIGXFSZ, ignore) };
}

/// Undoes what whoever started us did to signals: dispositions and mask (command-line start).
///
/// An ignored SIGCHLD would lose us the ends of children. SIGPIPE stays ignored,
/// so that a reader who went away is an error of write, not our end; and what
/// nohup(1) and shells ignore on purpose stays ignored too.
pub fn reset_dispositions() {
    const KEPT: [Signal; 6] = [
        Signal::SIGKILL,
        Signal::SIGSTOP,
        Signal::SIGPIPE,
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
    ];
    for signal in Signal::iterator().filter(|signal| !KEPT.contains(signal)) {
        // SAFETY: installs no handler, only the default disposition.
        let _ = unsafe { nix::sys::signal::signal(signal, nix::sys::signal::SigHandler::SigDfl) };
    }
    let _ = unblock_all();
}
