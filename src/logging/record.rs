//! Lines for the mail log.
//!
//! A [`MailLog`] lets a line through if its level is at most the configured
//! LogLevel (guide 4.8) and hands it to the `log` facade under the target
//! `mail`; severities the facade does not know travel in the target's name.
//! Tests listen with [`MailLog::recording`].

use std::fmt;
use std::sync::{Arc, Mutex};

use log::Level;

use crate::text::bytes::escape_for_display;

/// LogLevel of what check rulesets say (guide 4.8).
const VERDICT_LEVEL: u8 = 4;

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
        let id = id.map(shown).unwrap_or_default();
        let text = shown(text.to_string().as_bytes());
        let severity = severity.into();
        for line in lines_of(&id, &text) {
            self.write(severity, &line);
        }
    }

    /// Writes what a check ruleset said: `ruleset=, arg1=, relay=` and `outcome`.
    pub fn ruleset_verdict(
        &self,
        id: Option<&[u8]>,
        ruleset: &[u8],
        arguments: &[&[u8]],
        relay: &[u8],
        outcome: &str,
    ) {
        let mut line = format!("ruleset={}", escape_for_display(ruleset));
        for (number, argument) in arguments.iter().enumerate() {
            let argument = escape_for_display(argument);
            line.push_str(&format!(", arg{}={argument}", number + 1));
        }
        let relay = escape_for_display(relay);
        let text = format_args!("{line}, relay={relay}, {outcome}");
        self.syslog(VERDICT_LEVEL, Severity::Notice, id, text);
    }

    fn write(&self, severity: Severity, line: &str) {
        match &self.output {
            Output::Facade => {
                let (target, level) = severity.target_and_level();
                log::log!(target: target, level, "{line}");
            }
            Output::Stdout => println!("{line}"),
            Output::Recorded(recorded) => recorded
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .push(line.to_owned()),
        }
    }
}

/// The longest line, in bytes; longer texts are cut into numbered lines.
/// Observed: 8.17.1.9 keeps lines with their time and tag below 1024.
const MAX_LINE: usize = 979;

/// What ends every line of a long text but the last.
const CONTINUED: &str = " ...";

/// Shows foreign bytes as `\ooo`, so that nobody can forge a log line.
///
/// Backslashes stay single: most texts were escaped by whoever quoted them.
fn shown(text: &[u8]) -> String {
    let mut shown = String::with_capacity(text.len());
    for &byte in text {
        match byte {
            0x20..=0x7e => shown.push(char::from(byte)),
            b'\t' => shown.push(' '),
            _ => shown.push_str(&format!("\\{byte:03o}")),
        }
    }
    shown
}

/// Puts the id in front and cuts a long text at blanks: `ID[1]: start ...`, `ID[2]: rest`.
fn lines_of(id: &str, text: &str) -> Vec<String> {
    let plain = if id.is_empty() {
        text.to_owned()
    } else {
        format!("{id}: {text}")
    };
    if plain.len() <= MAX_LINE {
        return vec![plain];
    }
    let mut lines = Vec::new();
    let mut rest = text;
    loop {
        let mark = format!("{id}[{}]: ", lines.len() + 1);
        let room = MAX_LINE.saturating_sub(mark.len() + CONTINUED.len()).max(1);
        // The text is ASCII by now, so any place is a fine one to cut.
        let Some(chunk) = rest
            .get(..room)
            .filter(|_| rest.len() > room + CONTINUED.len())
        else {
            lines.push(format!("{mark}{rest}"));
            return lines;
        };
        let end = chunk.rfind(' ').map_or(room, |blank| blank + 1);
        let (chunk, after) = rest.split_at(end);
        lines.push(format!("{mark}{chunk}{CONTINUED}"));
        rest = after;
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

    #[test]
    fn foreign_bytes_cannot_forge_a_line() {
        let (log, recorded) = MailLog::recording(9);
        let text = "a\nmail\u{e9}\u{7f}";
        log.syslog(1, Level::Info, Some(b"A\x01"), format_args!("{text}\\134"));
        assert_eq!(
            *recorded.lock().unwrap(),
            ["A\\001: a\\012mail\\303\\251\\177\\134"]
        );
    }

    #[test]
    fn long_texts_are_cut_at_blanks_into_numbered_lines() {
        let words = "word ".repeat(300);
        let lines = lines_of("AB", words.trim_end());
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("AB[1]: word ") && lines[0].ends_with("word  ..."));
        assert!(lines[1].starts_with("AB[2]: word ") && lines[1].ends_with("word"));
        let solid = lines_of("", &"x".repeat(2_500));
        assert_eq!(
            solid.iter().map(String::len).collect::<Vec<_>>(),
            [979, 979, 565]
        );
    }
}
