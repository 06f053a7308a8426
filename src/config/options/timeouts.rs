//! The `Timeout.*` options.
//!
//! Defaults are those the program has without any O line. A zero duration in
//! the connection timeouts means "leave it to the kernel"; `ident` zero means
//! that no identification query is made.
//!
//! Source: guide 4.1.

use std::time::Duration;

const SECOND: u64 = 1;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A value for each class of message, chosen by its `Precedence:` or by being a DSN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByUrgency<T> {
    /// Messages of class zero.
    pub normal: T,
    /// Messages of positive class.
    pub urgent: T,
    /// Messages of negative class.
    pub non_urgent: T,
    /// Delivery status notifications.
    pub dsn: T,
}

impl<T: Copy> ByUrgency<T> {
    /// Gives the same value to every class.
    pub const fn all(value: T) -> Self {
        Self {
            normal: value,
            urgent: value,
            non_urgent: value,
            dsn: value,
        }
    }
}

/// When a message that cannot be delivered goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReturnAfter {
    /// At the first failed attempt (`now`).
    Now,
    /// When it has been in the queue this long.
    Age(Duration),
}

/// First attempt and later attempts of a resolver setting; `None` leaves the resolver's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResolverTries<T> {
    /// For the first delivery attempt of a message.
    pub first: Option<T>,
    /// For all other look-ups.
    pub normal: Option<T>,
}

/// All `Timeout.*` options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// Connecting; zero leaves it to the kernel.
    pub connect: Duration,
    /// Connecting at the very first attempt of a message; zero means as `connect`.
    pub iconnect: Duration,
    /// All connection attempts of one delivery together; zero is no limit.
    pub aconnect: Duration,
    /// Waiting for the greeting.
    pub initial: Duration,
    /// Reply to HELO and EHLO.
    pub helo: Duration,
    /// Reply to MAIL.
    pub mail: Duration,
    /// Reply to RCPT.
    pub rcpt: Duration,
    /// Reply to DATA.
    pub datainit: Duration,
    /// Each block of message data, read or written.
    pub datablock: Duration,
    /// Reply to the final dot.
    pub datafinal: Duration,
    /// Reply to RSET.
    pub rset: Duration,
    /// Reply to QUIT.
    pub quit: Duration,
    /// Reply to NOOP and VERB.
    pub misc: Duration,
    /// The server waiting for the next command.
    pub command: Duration,
    /// Identification query (RFC 1413); zero is off.
    pub ident: Duration,
    /// Reply to LHLO.
    pub lhlo: Duration,
    /// Replies in the AUTH dialogue.
    pub auth: Duration,
    /// Reply to STARTTLS and the handshake.
    pub starttls: Duration,
    /// Opening a .forward or :include: file.
    pub fileopen: Duration,
    /// One dialogue on the control socket.
    pub control: Duration,
    /// How long the status of a host is remembered.
    pub hoststatus: Duration,
    /// When an undelivered message is returned.
    pub queuereturn: ByUrgency<ReturnAfter>,
    /// When a delay notice is sent; zero is never.
    pub queuewarn: ByUrgency<Duration>,
    /// Resolver retransmission interval.
    pub resolver_retrans: ResolverTries<Duration>,
    /// Resolver retries.
    pub resolver_retry: ResolverTries<u32>,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connect: Duration::ZERO,
            iconnect: Duration::ZERO,
            aconnect: Duration::ZERO,
            initial: seconds(5 * MINUTE),
            helo: seconds(5 * MINUTE),
            mail: seconds(10 * MINUTE),
            rcpt: seconds(HOUR),
            datainit: seconds(5 * MINUTE),
            datablock: seconds(HOUR),
            datafinal: seconds(HOUR),
            rset: seconds(5 * MINUTE),
            quit: seconds(2 * MINUTE),
            misc: seconds(2 * MINUTE),
            command: seconds(HOUR),
            ident: seconds(5 * SECOND),
            lhlo: seconds(2 * MINUTE),
            auth: seconds(10 * MINUTE),
            starttls: seconds(HOUR),
            fileopen: seconds(MINUTE),
            control: seconds(2 * MINUTE),
            hoststatus: seconds(30 * MINUTE),
            queuereturn: ByUrgency::all(ReturnAfter::Age(seconds(5 * DAY))),
            queuewarn: ByUrgency::all(Duration::ZERO),
            resolver_retrans: ResolverTries {
                first: None,
                normal: None,
            },
            resolver_retry: ResolverTries {
                first: None,
                normal: None,
            },
        }
    }
}
