//! X lines: mail filters.
//!
//! Source: guide 5.11.

use std::time::Duration;

/// What happens to mail when a filter does not answer (`F=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FilterFailure {
    /// Mail goes on without the filter.
    #[default]
    Continue,
    /// Connections are refused (`R`).
    Reject,
    /// Connections are put off (`T`).
    TempFail,
    /// Connections are closed with 421 (`4`).
    Shutdown,
}

/// One mail filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterDefinition {
    /// Name of the filter.
    pub name: Vec<u8>,
    /// `S=` as written: `inet:port@host`, `inet6:port@host`, `local:/path`.
    pub socket: Vec<u8>,
    /// `F=`.
    pub failure: FilterFailure,
    /// `T=C:`: connecting.
    pub connect_timeout: Duration,
    /// `T=S:`: sending a packet.
    pub send_timeout: Duration,
    /// `T=R:`: reading an answer.
    pub read_timeout: Duration,
    /// `T=E:`: from the end of the message to the final answer.
    pub end_timeout: Duration,
}
