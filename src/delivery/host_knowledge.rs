//! What is known of a host besides its addresses: its lock and its last status.
//!
//! Both live in files under `HostStatusDirectory`, where other processes and
//! `hoststat` see them. Without that option there is nothing to lock and nothing
//! to know; a folder that cannot be written costs only the knowledge.
//!
//! Source: guide 4.7, observed: 8.17.1.9.

use std::io;
use std::time::Duration;

use super::network_call::Call;
use crate::client::outcome::{Lost, status};
use crate::client::{Farewell, Outcome, connect};
use crate::host_status::{HostLock, HostRecord, HostStatusDirectory};
use crate::smtp::ExitStatus;
use crate::sys::lock::FileLock;
use crate::sys::socket::{CONNECTION_RESET, TIMED_OUT};

/// Somebody else delivers to the host now.
pub(super) struct Busy;

fn directory(call: &Call<'_>) -> Option<HostStatusDirectory> {
    let path = call.options.delivering.host_status_directory.clone()?;
    Some(HostStatusDirectory::new(path))
}

/// Makes sure that nobody else delivers to the host, where SingleThreadDelivery wants that.
pub(super) fn lock(call: &Call<'_>, host: Option<&[u8]>) -> Result<Option<FileLock>, Busy> {
    let is_wanted = call.options.delivering.single_thread_delivery;
    let (Some(host), Some(directory)) = (host, directory(call).filter(|_| is_wanted)) else {
        return Ok(None);
    };
    match directory.lock(host) {
        Ok(HostLock::Taken(lock)) => Ok(Some(lock)),
        Ok(HostLock::Busy) => Err(Busy),
        Ok(HostLock::NoFile) => Ok(None),
        Err(error) => {
            log::warn!("host status: {error}");
            Ok(None)
        }
    }
}

/// The failure another delivery met at the host within `limit`.
pub(super) fn failure(call: &Call<'_>, host: Option<&[u8]>, limit: Duration) -> Option<Outcome> {
    let host = host?;
    let record = directory(call)?.load(host)?;
    let age = call.clock.now().seconds().checked_sub(record.updated)?;
    let is_recent = u64::try_from(age).ok()? < limit.as_secs();
    let exit = ExitStatus::from_number(record.exit);
    if !is_recent || exit == ExitStatus::Ok {
        return None;
    }
    let class = if exit.is_temporary() { 4 } else { 5 };
    let known = record.status.unwrap_or_else(|| status(class, 0, 0));
    let mut outcome = Outcome::new(exit, known);
    if record.error_number != 0 {
        let error = io::Error::from_raw_os_error(record.error_number);
        outcome.detail = Some(connect::reason(&error, host));
    }
    Some(outcome)
}

/// Writes the status of a host.
pub(super) fn store(
    call: &Call<'_>,
    host: Option<&[u8]>,
    outcome: &Outcome,
    error_number: i32,
    said: Option<&[u8]>,
) {
    if let Some(store) = storing(call, host, outcome, error_number, said) {
        store();
    }
}

/// Makes what writes the status of a host: at once, or when its session ends.
pub(super) fn storing(
    call: &Call<'_>,
    host: Option<&[u8]>,
    outcome: &Outcome,
    error_number: i32,
    said: Option<&[u8]>,
) -> Option<Farewell> {
    let (directory, host) = (directory(call)?, host?.to_vec());
    let now = call.clock.now().seconds();
    let error_number = match outcome.loss {
        Some(Lost::Reset) => CONNECTION_RESET,
        Some(Lost::TimedOut) => TIMED_OUT,
        None => error_number,
    };
    let record = HostRecord::of_outcome(outcome, error_number, said, now);
    Some(Box::new(move || {
        if let Err(error) = directory.store(&host, &record) {
            log::debug!("host status: {error}");
        }
    }))
}
