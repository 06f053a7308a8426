//! purgestat: forget what is known of other hosts, if it is old (`sendmail -bH`).
//!
//! Source: purgestat(8); guide 4.7; observed: 8.17.1.9 leaves what is younger than
//! Timeout.hoststatus.

use crate::config::Config;
use crate::host_status::HostStatusDirectory;
use crate::smtp::ExitStatus;
use crate::sys::clock::{Clock, SystemClock};

/// Removes the status of hosts that is too old to be believed.
pub fn run(config: &Config) -> ExitStatus {
    if let Some(path) = super::host_status_path(config) {
        let oldest = SystemClock.now() - config.options.timeouts.hoststatus;
        // What cannot be read cannot be purged, and is no use to anybody either.
        let _ = HostStatusDirectory::new(path).purge(oldest.seconds());
    }
    ExitStatus::Ok
}
