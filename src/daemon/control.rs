//! What can be asked of a running daemon, and the configuration it runs on now.

use std::fmt;
use std::sync::{Arc, Mutex};

use crate::mta::Mta;
use crate::sys::signal::SignalEvent;

/// How somebody asks, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By a signal.
    Signal,
    /// On the control socket.
    ControlSocket,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::Signal => "signal",
            Way::ControlSocket => "control socket",
        })
    }
}

/// What somebody asks of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Read the configuration again (SIGHUP, `restart`).
    Reload(Way),
    /// End (SIGTERM, `shutdown`).
    Shutdown(Way),
    /// Write the state to the log (SIGUSR1).
    Dump,
}

impl From<SignalEvent> for Control {
    fn from(event: SignalEvent) -> Self {
        match event {
            SignalEvent::Hangup => Control::Reload(Way::Signal),
            SignalEvent::Terminate => Control::Shutdown(Way::Signal),
            SignalEvent::Dump => Control::Dump,
        }
    }
}

/// The handles in force; replaced by the accept thread at a reload.
pub struct Current(Mutex<Arc<Mta>>);

impl Current {
    /// Starts with the first handles.
    pub fn new(mta: Arc<Mta>) -> Self {
        Current(Mutex::new(mta))
    }

    /// Returns the handles in force.
    pub fn get(&self) -> Arc<Mta> {
        Arc::clone(
            &self
                .0
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner()),
        )
    }

    /// Puts new handles in force; work under way goes on with the old ones.
    pub fn set(&self, mta: Arc<Mta>) {
        *self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner()) = mta;
    }
}
