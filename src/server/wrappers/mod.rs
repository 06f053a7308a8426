//! TCP wrappers: who may connect, as `/etc/hosts.allow` and `/etc/hosts.deny` say.
//!
//! The first rule that matches decides, the table of the allowed before that of the
//! denied; where none does, the client may come in. A table that cannot be understood
//! refuses everybody. The tables are read for each connection, so a change holds at
//! once. No name is ever looked up because a table says so: the client's name is the
//! one the session has found, and it counts only if it leads back to the address.
//!
//! - `patterns`: lists of daemons and clients.
//! - `options`: what a rule that matches asks for besides.
//!
//! Source: hosts_access(5), hosts_options(5); libwrap 7.6.q as 8.17.1.9 calls it, observed.

mod options;
mod patterns;

use std::io::{self, Read};
use std::path::Path;

use crate::logging::record::{MailLog, Severity};
use crate::sys::host::error_text;
use crate::sys::identity::UserDatabase;
use crate::sys::privilege::Privileged;
use crate::text::bytes::escape_for_display;

use patterns::Party;

/// What stands for a name or an address nobody knows.
const UNKNOWN: &[u8] = b"unknown";
/// The daemon that rules name, whatever the program was called by. Observed: 8.17.1.9.
const DAEMON: &[u8] = b"sendmail";
/// Most octets of a rule with the lines that go on with it, the last line's end included.
/// Observed: libwrap 7.6.q.
const MAX_RULE: usize = 2_047;
/// Most octets of a table or of a file that a table names. Each connection reads them anew; a
/// list of a hundred thousand addresses has room.
const MAX_TABLE: u64 = 2 * 1_048_576;

/// What the tables say about a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// It may come in.
    Granted,
    /// It may not.
    Denied,
    /// Its connection is closed without a word (`twist`).
    Closed,
}

/// What ends the search before the end of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Jump {
    /// The search is over.
    Decided(Admission),
    /// A rule or a table is wrong: told, and refused to be safe.
    Fault,
}

/// The places of the two tables.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tables<'a> {
    /// Rules that let clients in.
    pub allow: &'a Path,
    /// Rules that keep clients out.
    pub deny: &'a Path,
}

/// The tables of the system.
pub(super) fn system_tables() -> Tables<'static> {
    Tables {
        allow: Path::new("/etc/hosts.allow"),
        deny: Path::new("/etc/hosts.deny"),
    }
}

/// One question to the tables.
pub(super) struct Question<'a> {
    /// The client's name if it can be believed.
    pub name: Option<&'a [u8]>,
    /// The client's address, without the mark of its family.
    pub address: &'a [u8],
    /// Where faults are told.
    pub log: &'a MailLog,
    /// Knows the users that rules may name.
    pub users: &'a dyn UserDatabase,
    /// Starts the commands of rules.
    pub privileged: &'a dyn Privileged,
}

/// Where in the tables the search is, for messages.
struct Place<'a> {
    log: &'a MailLog,
    table: &'a Path,
    line: usize,
}

impl Place<'_> {
    /// Tells a fault that the rule survives.
    fn warn(&self, text: &str) {
        self.tell("warning", text);
    }

    /// Tells a fault that ends the search.
    fn fault(&self, text: &str) -> Jump {
        self.tell("error", text);
        Jump::Fault
    }

    fn tell(&self, kind: &str, text: &str) {
        let (table, line) = (self.table.display(), self.line);
        let told = format_args!("{kind}: {table}, line {line}: {text}");
        // The library knows no LogLevel.
        self.log.syslog(0, Severity::Error, None, told);
    }
}

impl Question<'_> {
    fn client(&self) -> Party<'_> {
        Party {
            name: self.name.unwrap_or(UNKNOWN),
            address: self.address,
        }
    }

    /// Asks the tables.
    pub(super) fn ask(&self, tables: Tables<'_>) -> Admission {
        let search = || {
            if self.matches_table(tables.allow)? {
                return Ok(Admission::Granted);
            }
            if self.matches_table(tables.deny)? {
                return Ok(Admission::Denied);
            }
            Ok(Admission::Granted)
        };
        match search() {
            Ok(admission) | Err(Jump::Decided(admission)) => admission,
            Err(Jump::Fault) => Admission::Denied,
        }
    }

    /// Tells whether a rule of the table matches.
    fn matches_table(&self, table: &Path) -> Result<bool, Jump> {
        let mut place = Place {
            log: self.log,
            table,
            line: 0,
        };
        let text = match read_limited(table) {
            Ok(text) => text,
            Err(error) if is_absent(&error) => return Ok(false),
            Err(error) => {
                let (table, why) = (table.display(), error_text(&error));
                let told = format_args!("warning: cannot open {table}: {why}");
                self.log.syslog(0, Severity::Error, None, told);
                return Err(Jump::Fault);
            }
        };
        let mut rest = text.as_slice();
        while let Some(rule) = take_rule(&mut rest, &mut place.line) {
            let Some(rule) = rule.strip_suffix(b"\n") else {
                place.warn("missing newline or line too long");
                place.warn("all the subsequent rules will be ignored");
                return Err(Jump::Fault);
            };
            if rule.first() == Some(&b'#') || rule.iter().all(|octet| b" \t\r".contains(octet)) {
                continue;
            }
            let (daemons, rest) = split_at_colon(rule);
            let Some(rest) = rest else {
                place.warn("missing \":\" separator");
                continue;
            };
            let (clients, options) = split_at_colon(rest);
            let is_match = patterns::list_matches(daemons, &|word| self.is_daemon(word, &place))
                && patterns::list_matches(clients, &|word| self.is_client(word, &place));
            if is_match {
                return match options {
                    Some(options) => options::process(self, options, &place),
                    None => Ok(true),
                };
            }
        }
        Ok(false)
    }

    /// Tells whether a word of a list of daemons means this one.
    fn is_daemon(&self, word: &[u8], place: &Place<'_>) -> bool {
        // The library is not told which address the client connected to.
        let server = Party {
            name: UNKNOWN,
            address: UNKNOWN,
        };
        match split_behind_first(word) {
            Some((daemon, host)) => {
                patterns::text_matches(daemon, DAEMON) && server.is_meant_by(host, place)
            }
            None => patterns::text_matches(word, DAEMON),
        }
    }

    /// Tells whether a word of a list of clients means the one that asks.
    fn is_client(&self, word: &[u8], place: &Place<'_>) -> bool {
        match split_behind_first(word) {
            // Nobody has asked who the user is.
            Some((user, host)) => {
                self.client().is_meant_by(host, place) && patterns::text_matches(user, UNKNOWN)
            }
            None => self.client().is_meant_by(word, place),
        }
    }
}

/// Splits `user@host`; an `@` in front begins a netgroup.
fn split_behind_first(word: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = word.iter().skip(1).position(|&octet| octet == b'@')? + 1;
    Some((word.get(..at)?, word.get(at + 1..)?))
}

/// Splits a rule at its next colon; those in brackets belong to an address.
fn split_at_colon(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut is_inside = false;
    for (at, octet) in text.iter().enumerate() {
        match octet {
            b'[' => is_inside = true,
            b']' => is_inside = false,
            b':' if !is_inside => {
                return (
                    text.get(..at).unwrap_or(b""),
                    Some(text.get(at + 1..).unwrap_or(b"")),
                );
            }
            _ => {}
        }
    }
    (text, None)
}

/// Takes a rule, with its line end if it has one, and counts its lines.
///
/// A backslash at the end of a line joins it with the next. A NUL hides what stands behind it
/// and the line's end with it. Observed: libwrap 7.6.q.
fn take_rule(rest: &mut &[u8], line: &mut usize) -> Option<Vec<u8>> {
    if rest.is_empty() {
        return None;
    }
    let mut rule = Vec::new();
    while !rest.is_empty() && rule.len() < MAX_RULE {
        let end = rest.iter().position(|&octet| octet == b'\n');
        let end = end.map_or(rest.len(), |at| at + 1);
        let (taken, behind) = rest.split_at(end.min(MAX_RULE - rule.len()));
        *rest = behind;
        let shown = taken.split(|&octet| octet == 0).next().unwrap_or(b"");
        rule.extend_from_slice(shown);
        if shown.ends_with(b"\n") {
            *line += 1;
            if !rule.ends_with(b"\\\n") {
                return Some(rule);
            }
            rule.truncate(rule.len() - 2);
        }
    }
    Some(rule)
}

/// Reads a file of a reasonable size.
fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let file = std::fs::File::open(path)?;
    let mut text = Vec::new();
    file.take(MAX_TABLE + 1).read_to_end(&mut text)?;
    match u64::try_from(text.len()) {
        Ok(length) if length <= MAX_TABLE => Ok(text),
        _ => Err(io::ErrorKind::FileTooLarge.into()),
    }
}

/// Tells whether there is nothing to read: no file, or a folder, which libwrap opens like one.
fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, NotFound};
    matches!(error.kind(), NotFound | IsADirectory)
}

/// Shows octets of a table in a message.
fn quoted(text: &[u8]) -> String {
    format!("\"{}\"", escape_for_display(text))
}

#[cfg(test)]
mod tests;
