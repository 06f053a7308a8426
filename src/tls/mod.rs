//! TLS, both ways.
//!
//! Certificates are asked for and looked at, but nobody is turned away because of
//! one: what was found goes into macros, and rulesets decide. In reading order:
//!
//! - [`dn`]: names in certificates as macros show them.
//! - [`certificate`]: what a certificate says about its owner.
//! - [`chain`]: whether an authority we trust vouches for it.
//! - `lenient`: a handshake that checks signatures and leaves the rest to rulesets.
//! - [`ciphers`]: which ciphers and versions may be used, and what OpenSSL calls them.
//! - [`files`]: certificates and keys, read from files that can be trusted.
//! - [`settings`]: what the options and `tls_srv_features` or `tls_clt_features` ask for.
//! - [`sides`]: one side of TLS made ready from its settings.
//! - [`channel`]: one connection, without a socket.
//! - [`facts`]: what a handshake came to, as macros and in the log.
//!
//! The protocol itself, building of certificate paths and the mathematics are those
//! of rustls; so there is nothing older than TLS 1.2 and no cipher without forward secrecy.

pub mod certificate;
pub mod chain;
pub mod channel;
pub mod ciphers;
pub mod dn;
pub mod facts;
pub mod files;
mod lenient;
pub mod settings;
pub mod sides;

pub use channel::{Channel, Failure, Received};
pub use facts::Facts;
pub use settings::{Settings, Wish};
pub use sides::{ClientSide, ServerSide, Sides};

use crate::logging::record::Severity;

/// A line for the log, with its LogLevel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// LogLevel from which on it is written.
    pub level: u8,
    /// How urgent it is.
    pub severity: Severity,
    /// What it says.
    pub text: String,
}

impl Line {
    /// Makes a warning.
    pub fn warning(level: u8, text: String) -> Self {
        Line {
            level,
            severity: Severity::Warning,
            text,
        }
    }

    /// Makes a line that only informs.
    pub fn info(level: u8, text: String) -> Self {
        Line {
            level,
            severity: Severity::Info,
            text,
        }
    }
}

/// Which end of a connection we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We were called.
    Server,
    /// We called.
    Client,
}

impl Role {
    /// Returns the word the log uses.
    pub fn word(self) -> &'static str {
        match self {
            Role::Server => "server",
            Role::Client => "client",
        }
    }
}
