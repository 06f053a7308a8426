//! Options: the O lines, one struct of typed fields for each theme.
//!
//! Every option of guide section 5.6 is a field here, named as its long name in
//! snake case and holding the default the program has when no O line names it.
//!
//! - [`table`]: names, letters, who may set them, and the parser of each.
//! - [`setting`], [`value`]: what a parser works with.
//! - [`parsers`], [`times`], [`ports`], [`accounts`]: parsers of more than one plain value.
//! - [`timeouts`]: all of `Timeout.*`.
//! - [`queueing`]: queue directory, order, load limits, priorities, delivery mode.
//! - [`delivering`]: outgoing connections, aliases, forwarding, bounces.
//! - [`receiving`]: limits and manners of the SMTP server.
//! - [`headers`]: what is done to header and body text.
//! - [`security`]: privacy flags, users, TLS and AUTH.
//! - [`running`]: files, logging, process matters.
//! - [`networks`]: lists of addresses and networks.
//! - [`daemon_port`]: `DaemonPortOptions` and `ClientPortOptions`.
//! - [`milter`]: all of `Milter.*`.

pub mod accounts;
pub mod daemon_port;
pub mod delivering;
pub mod headers;
pub mod milter;
pub mod networks;
pub mod parsers;
pub mod ports;
pub mod queueing;
pub mod receiving;
pub mod running;
pub mod security;
pub mod setting;
pub mod table;
pub mod timeouts;
pub mod times;
pub mod value;

pub use daemon_port::{ClientPort, DaemonPort, PortFamily};
pub use delivering::Delivering;
pub use headers::{EightBitMode, HeaderOptions, NoRecipientAction};
pub use milter::MilterOptions;
pub use networks::Networks;
pub use queueing::{DeliveryMode, QueueSortOrder, Queueing, SuperSafe};
pub use receiving::Receiving;
pub use running::{ErrorMode, ProbeInterfaces, Running};
pub use security::{AccountSpec, PrivacyFlags, Security};
pub use timeouts::Timeouts;

/// Every option of the configuration, grouped by theme.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `Timeout.*`.
    pub timeouts: Timeouts,
    /// Queue directory, order, priorities, load limits, delivery mode.
    pub queueing: Queueing,
    /// Outgoing connections, aliases, forwarding, bounces.
    pub delivering: Delivering,
    /// Limits and manners of the SMTP server.
    pub receiving: Receiving,
    /// What is done to header and body text.
    pub headers: HeaderOptions,
    /// Privacy flags, users, TLS and AUTH.
    pub security: Security,
    /// Files, logging, process matters.
    pub running: Running,
    /// `Milter.*` and the list of filters.
    pub milter: MilterOptions,
    /// One entry for each `DaemonPortOptions` line; empty means the default port.
    pub daemon_ports: Vec<DaemonPort>,
    /// One entry for each `ClientPortOptions` line.
    pub client_ports: Vec<ClientPort>,
}
