//! Lines for the mail log.
//!
//! A [`MailLog`] lets a line through if its level is at most the configured
//! LogLevel (guide 4.8) and hands it to the `log` facade under the target
//! `mail`; severities the facade does not know travel in the target's name.
//! Tests listen with [`MailLog::recording`].

use std::fmt;
use std::sync::{Arc, Mutex};

use log::Level;

/// How urgent a line is, in the order of syslog(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The system is unusable.
    Emergency,
    /// Someone must act now.
    Alert,
    /// Critical.
    Critical,
    /// An error.
    Error,
    /// A warning.
    Warning,
    /// Normal but worth noting.
    Notice,
    /// Informational.
    Info,
    /// For debugging.
    Debug,
}

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Severity::Error,
            Level::Warn => Severity::Warning,
            Level::Info => Severity::Info,
            Level::Debug | Level::Trace => Severity::Debug,
        }
    }
}

impl Severity {
    fn target_and_level(self) -> (&'static str, Level) {
        match self {
            Severity::Emergency => ("mail.emerg", Level::Error),
            Severity::Alert => ("mail.alert", Level::Error),
            Severity::Critical => ("mail.crit", Level::Error),
            Severity::Error => ("mail", Level::Error),
            Severity::Warning => ("mail", Level::Warn),
            Severity::Notice => ("mail.notice", Level::Info),
            Severity::Info => ("mail", Level::Info),
            Severity::Debug => ("mail", Level::Debug),
        }
    }
}

/// Lines a test's [`MailLog`] kept.
pub type Recorded = Arc<Mutex<Vec<String>>>;

/// The gate to the mail log; cheap to clone.
#[derive(Debug, Clone)]
pub struct MailLog {
    level: u8,
    output: Output,
}

#[derive(Debug, Clone)]
enum Output {
    Facade,
    /// `-d89.8`: standard output instead of the log daemon.
    Stdout,
    Recorded(Recorded),
}

impl MailLog {
    /// Makes a log that lets lines up to a LogLevel through.
    pub fn new(level: u8) -> Self {
        MailLog {
            level,
            output: Output::Facade,
        }
    }

    /// Makes a log that prints to standard output (`-d89.8`).
    pub fn to_stdout(level: u8) -> Self {
        MailLog {
            level,
            output: Output::Stdout,
        }
    }

    /// Makes a log that keeps its lines for a test.
    pub fn recording(level: u8) -> (Self, Recorded) {
        let recorded = Recorded::default();
        (
            MailLog {
                level,
                output: Output::Recorded(Arc::clone(&recorded)),
            },
            recorded,
        )
    }

    /// Returns the LogLevel.
    pub fn level(&self) -> u8 {
        self.level
    }

    /// Says whether lines of a level are written; ask before costly formatting.
    pub fn is_on(&self, level: u8) -> bool {
        level <= self.level
    }

    /// Writes a line if its level is on, the queue id in front if there is one.
    ///
    /// Where the reference writes `NOQUEUE: `, pass that as the id.
    pub fn syslog(
        &self,
        level: u8,
        severity: impl Into<Severity>,
        id: Option<&[u8]>,
        text: fmt::Arguments<'_>,
    ) {
        if !self.is_on(level) {
            return;
        }
        match id {
            None => self.write(severity.into(), text),
            Some(id) => {
                let id = crate::text::bytes::escape_for_display(id);
                self.write(severity.into(), format_args!("{id}: {text}"));
            }
        }
    }

    fn write(&self, severity: Severity, text: fmt::Arguments<'_>) {
        match &self.output {
            Output::Facade => {
                let (target, level) = severity.target_and_level();
                log::log!(target: target, level, "{text}");
            }
            Output::Stdout => println!("{text}"),
            Output::Recorded(recorded) => recorded
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .push(text.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_above_the_level_are_dropped() {
        let (log, recorded) = MailLog::recording(9);
        log.syslog(9, Level::Info, Some(b"AB"), format_args!("from={}", "x"));
        log.syslog(10, Severity::Notice, None, format_args!("not this"));
        log.syslog(0, Severity::Alert, None, format_args!("this"));
        assert_eq!(*recorded.lock().unwrap(), ["AB: from=x", "this"]);
    }
}
