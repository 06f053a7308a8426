//! A client that sends commands in groups though srv_features forbids it (`n`) waits before each.
//!
//! Observed: 8.17.1.9.

use std::time::Duration;

use super::session::Session;
use crate::logging::record::Severity;
use crate::smtp::line::Line;

/// How long a command waits when octets behind it have already arrived. Observed: 8.17.1.9.
const WAIT: Duration = Duration::from_secs(1);

/// How often a session is logged for its haste. Observed: 8.17.1.9.
const MOST_LINES_LOGGED: u8 = 2;

/// The command that waits, if one does.
#[derive(Debug, Default)]
pub(super) struct Haste {
    line: Option<Line>,
    has_waited: bool,
    logged: u8,
}

impl Haste {
    /// Gives the command that has waited.
    pub(super) fn take(&mut self) -> Option<Line> {
        self.has_waited = self.line.is_some();
        self.line.take()
    }
}

impl Session {
    /// Tells whether the command just read has to wait.
    pub(super) fn is_hasty(&self) -> bool {
        let more = !self.input.is_empty() || self.input_ended;
        self.features.slows_pipelining && more && !self.haste.has_waited
    }

    /// Lets a command wait.
    pub(super) fn put_off(&mut self, line: Line) {
        if self.haste.logged < MOST_LINES_LOGGED {
            self.haste.logged += 1;
            self.mta.log.syslog(
                0,
                Severity::Info,
                None,
                format_args!(
                    "unauthorized PIPELINING, sleeping, relay={:.100}",
                    self.client_shown()
                ),
            );
        }
        self.haste.line = Some(line);
        self.pause_for(WAIT, Vec::new());
    }
}
