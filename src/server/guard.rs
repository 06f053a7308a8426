//! Limits on what a client may try: useless commands, floods, bad recipients.
//!
//! Each kind of command has a counter. From its limit on, replies are delayed
//! by one second, doubled with each further command; at twice the limit the
//! connection is cut when the daemon has a limit of children. A delay is a time
//! the session asks to be parked for, never a sleep.
//!
//! Source: guide 4.6; limits and texts observed: 8.17.1.9.

use std::time::Duration;

/// Most unrecognised commands of a connection.
pub const MAX_BAD_COMMANDS: u32 = 25;
/// HELO and EHLO commands from which on replies are delayed.
const MAX_HELO_COMMANDS: u32 = 3;
/// VRFY and EXPN commands from which on replies are delayed.
const MAX_VERIFY_COMMANDS: u32 = 6;
/// ETRN commands from which on replies are delayed.
const MAX_ETRN_COMMANDS: u32 = 8;
/// AUTH commands from which on replies are delayed.
const MAX_AUTH_COMMANDS: u32 = 12;
/// Longest delay of one reply.
const MAX_DELAY: Duration = Duration::from_secs(4 * 60);

/// A kind of command that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// HELO or EHLO.
    Helo,
    /// NOOP.
    Noop,
    /// VERB, counted with NOOP.
    Verb,
    /// VRFY.
    Vrfy,
    /// EXPN, counted with VRFY.
    Expn,
    /// ETRN.
    Etrn,
    /// AUTH.
    Auth,
}

impl Counted {
    /// Returns the name used in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Helo => "HELO/EHLO",
            Self::Noop => "NOOP",
            Self::Verb => "VERB",
            Self::Vrfy => "VRFY",
            Self::Expn => "EXPN",
            Self::Etrn => "ETRN",
            Self::Auth => "AUTH",
        }
    }
}

/// What a count means for the command at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strain {
    /// Go on.
    None,
    /// Answer after this time.
    Delay {
        /// How long to wait.
        wait: Duration,
        /// The count to report when the limit has just been reached.
        reached: Option<u32>,
    },
    /// Answer 421 after this time and close.
    Cut(Duration),
}

/// The counters of one connection.
#[derive(Debug)]
pub struct Guard {
    max_noops: u32,
    cuts: bool,
    bad_commands: u32,
    helos: u32,
    noops: u32,
    verifies: u32,
    etrns: u32,
    auths: u32,
}

impl Guard {
    /// Makes a guard; `cuts` says whether the daemon has a limit of children.
    pub fn new(max_noops: u32, cuts: bool) -> Self {
        Self {
            max_noops,
            cuts,
            bad_commands: 0,
            helos: 0,
            noops: 0,
            verifies: 0,
            etrns: 0,
            auths: 0,
        }
    }

    /// Counts HELO and EHLO from the beginning: the client has to say it again after STARTTLS.
    pub fn forget_hellos(&mut self) {
        self.helos = 0;
    }

    /// Counts one command.
    pub fn count(&mut self, kind: Counted) -> Strain {
        let (counter, limit) = match kind {
            Counted::Helo => (&mut self.helos, MAX_HELO_COMMANDS),
            Counted::Noop | Counted::Verb => (&mut self.noops, self.max_noops),
            Counted::Vrfy | Counted::Expn => (&mut self.verifies, MAX_VERIFY_COMMANDS),
            Counted::Etrn => (&mut self.etrns, MAX_ETRN_COMMANDS),
            Counted::Auth => (&mut self.auths, MAX_AUTH_COMMANDS),
        };
        *counter = counter.saturating_add(1);
        let count = *counter;
        if limit == 0 || count < limit {
            return Strain::None;
        }
        let seconds = 1_u64.checked_shl(count - limit).unwrap_or(u64::MAX);
        let wait = Duration::from_secs(seconds.min(MAX_DELAY.as_secs()));
        if self.cuts && count >= limit.saturating_mul(2) {
            return Strain::Cut(wait);
        }
        Strain::Delay {
            wait,
            reached: (count == limit).then_some(count),
        }
    }

    /// Counts a command nobody knows and tells whether it was one too many.
    pub fn is_one_bad_command_too_many(&mut self) -> bool {
        self.bad_commands = self.bad_commands.saturating_add(1);
        self.bad_commands > MAX_BAD_COMMANDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_from_the_limit_on() {
        let mut guard = Guard::new(20, false);
        let waits: Vec<_> = (0..14)
            .map(|_| match guard.count(Counted::Helo) {
                Strain::Delay { wait, .. } => wait.as_secs(),
                Strain::None | Strain::Cut(_) => 0,
            })
            .collect();
        assert_eq!(
            waits,
            [0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 240, 240, 240, 240]
        );
    }

    #[test]
    fn the_limit_is_reported_once() {
        let mut guard = Guard::new(2, false);
        guard.count(Counted::Noop);
        let reached = |strain| {
            matches!(
                strain,
                Strain::Delay {
                    reached: Some(2),
                    ..
                }
            )
        };
        assert!(reached(guard.count(Counted::Verb)));
        assert!(!reached(guard.count(Counted::Noop)));
    }

    #[test]
    fn a_daemon_with_few_children_cuts_at_twice_the_limit() {
        let mut guard = Guard::new(20, true);
        for _ in 0..5 {
            assert!(!matches!(guard.count(Counted::Helo), Strain::Cut(_)));
        }
        let wait = Duration::from_secs(8);
        assert_eq!(guard.count(Counted::Helo), Strain::Cut(wait));
    }

    #[test]
    fn the_twenty_sixth_bad_command_is_too_many() {
        let mut guard = Guard::new(20, false);
        let bad = (0..26)
            .filter(|_| guard.is_one_bad_command_too_many())
            .count();
        assert_eq!(bad, 1);
    }

    #[test]
    fn no_count_overflows() {
        let mut guard = Guard::new(1, false);
        for _ in 0..1_000 {
            let _ = guard.count(Counted::Noop);
        }
    }
}
