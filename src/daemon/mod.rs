//! The daemon: threads that move values between plain functions.
//!
//! The entry is [`run`]. In reading order:
//!
//! - [`start`]: what is done while there is one thread
//! - [`run`](mod@run): threads, reload, end
//! - [`gate`]: how many may come in, and how fast
//! - [`listeners`]: listening sockets
//! - [`service_manager`]: sockets from, and words to, whoever started it
//! - [`accept`]: the accept thread, which waits for everything at once
//! - [`vestibule`]: connections of proxies that have not told yet whose they are
//! - [`parking`]: sessions that wait
//! - [`talk`]: a connection and the conversation on it
//! - [`guest`]: a session, and what its deliveries leave to the next one
//! - [`worker`]: the session pool
//! - [`deliverer`]: the delivery pool
//! - [`service`]: what the pools work on
//! - [`queue_runner`]: queue runs, by the daemon and by `-q`
//! - `timetable`: when they begin, for the log
//! - [`control`]: what can be asked of a running daemon
//! - [`control_socket`]: the same, asked by an operator's program
//! - [`pid_file`]: the file that says which process it is

pub mod accept;
pub mod control;
pub mod control_socket;
pub mod deliverer;
pub mod gate;
pub mod guest;
pub mod listeners;
pub mod parking;
pub mod pid_file;
pub mod queue_runner;
pub mod run;
pub mod service;
pub mod service_manager;
pub mod start;
pub mod talk;
mod timetable;
pub mod vestibule;
pub mod worker;

use std::sync::Arc;

use crate::delivery::run::Occasion;
use crate::mta::{Mta, Workspace};
use crate::queue::LockedEnvelope;
use crate::smtp::ExitStatus;

pub use queue_runner::QueueRuns;
pub use run::{DaemonPlan, Source, run};

/// The function that delivers a message; the daemon only decides when and on which thread.
pub type Deliver = fn(&Arc<Mta>, &mut Workspace, LockedEnvelope, Occasion) -> ExitStatus;
