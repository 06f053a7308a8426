//! Options about the SMTP server: limits and manners.
//!
//! Source: guide 5.6.

use std::time::Duration;

use crate::macros::Template;

/// How many session threads there are when nobody says: more than any small host has
/// processors, because a turn may wait for a map, a name server or the disk.
const DEFAULT_SESSION_WORKERS: usize = 24;
/// The most session threads; each has a stack of a mebibyte, and sessions that wait need none.
pub const MAX_SESSION_WORKERS: usize = 1_024;

/// Options about the SMTP server.
#[derive(Debug, Clone)]
pub struct Receiving {
    /// Greeting text, expanded for each connection.
    pub smtp_greeting_message: Template,
    /// Take HELO and EHLO names that are no host names.
    pub allow_bogus_helo: bool,
    /// New connections in a second; zero is no limit.
    pub connection_rate_throttle: u32,
    /// Window over which connection rates are counted.
    pub connection_rate_window_size: Duration,
    /// Most children of the daemon; zero is no limit.
    pub max_daemon_children: u32,
    /// Threads that give SMTP sessions their turns, our own option SessionWorkers.
    pub session_workers: usize,
    /// Largest message in bytes; zero is no limit.
    pub max_message_size: u64,
    /// Most recipients of a message; zero is no limit.
    pub max_recipients_per_message: u32,
    /// Most Received: fields of a message.
    pub max_hop_count: u32,
    /// Commands of the idle kind before the server slows down.
    pub max_noop_commands: u32,
    /// Bad recipients after which each further one is delayed; zero is off.
    pub bad_rcpt_throttle: u32,
    /// Bad recipients after which the session is closed; zero is off.
    pub bad_rcpt_shutdown: u32,
    /// Percentage of good recipients that saves a session from that.
    pub bad_rcpt_shutdown_good: u32,
    /// Shortest `BY=` time offered; negative (`None`) does not offer DELIVERBY.
    pub deliver_by_min: Option<Duration>,
    /// Refuse messages with NUL octets.
    pub reject_nul: bool,
    /// How often a lasting refusal of connections is logged.
    pub reject_log_interval: Duration,
    /// Speak SMTPUTF8 (RFC 6531), as server and as client, and take addresses beyond ASCII.
    pub smtp_utf8: bool,
    /// Offer CHUNKING and BINARYMIME (RFC 3030), our own option Chunking.
    pub chunking: bool,
    /// Do not take a lone dot as the end of input (command line only).
    pub ignore_dots: bool,
    /// Modifiers for mail from the command line, as in `Modifiers=`.
    pub direct_submission_modifiers: Vec<u8>,
}

impl Default for Receiving {
    fn default() -> Self {
        Self {
            smtp_greeting_message: Template::default(),
            allow_bogus_helo: false,
            connection_rate_throttle: 0,
            connection_rate_window_size: Duration::from_secs(60),
            max_daemon_children: 0,
            session_workers: DEFAULT_SESSION_WORKERS,
            max_message_size: 0,
            max_recipients_per_message: 0,
            max_hop_count: 25,
            max_noop_commands: 20,
            bad_rcpt_throttle: 0,
            bad_rcpt_shutdown: 0,
            bad_rcpt_shutdown_good: 0,
            deliver_by_min: Some(Duration::ZERO),
            reject_nul: false,
            reject_log_interval: Duration::from_secs(3 * 60 * 60),
            smtp_utf8: false,
            chunking: false,
            ignore_dots: false,
            direct_submission_modifiers: Vec::new(),
        }
    }
}
