//! The verbs, one file per family, and the way from a command line to its verb.

mod auth;
mod bdat;
mod data;
mod etrn;
mod helo;
mod help;
mod mail;
mod misc;
mod rcpt;
mod verify;

use std::time::Duration;

use super::guard::{Counted, Strain};
use super::reply::LEVEL_DIALOGUE;
use super::session::{Call, Flow, Session};
use super::wording;
use crate::logging::record::Severity;
use crate::smtp::{Command, Verb};
use crate::sys::host::load_average;
use crate::text::bytes::escape_for_display;

/// How far a recipient is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Only whether it exists.
    Verify,
    /// Aliases, lists and .forward files are expanded.
    Full,
}

impl Session {
    /// Runs one command line.
    pub(super) fn command(&mut self, line: &[u8], call: &mut Call<'_>) -> Flow {
        // The reference works on C strings: what is behind a NUL is not there.
        let has_nul = line.contains(&0);
        let visible = line.split(|octet| *octet == 0).next().unwrap_or(b"");
        let command = Command::parse(visible);
        self.mta.traffic.received(match command.verb {
            Verb::Auth => without_password(&command),
            _ => line,
        });
        let is_first = self.commands == 0;
        self.commands = self.commands.saturating_add(1);
        if is_first && command.verb == Verb::Foreign && self.features.cuts_foreign_verbs {
            return self.cut_foreign(line, call);
        }
        if self.mta.log.is_on(LEVEL_DIALOGUE) {
            let line = escape_for_display(without_password(&command));
            self.log(LEVEL_DIALOGUE, Severity::Info, format_args!("<-- {line}"));
        }
        if let Some(flow) = self.refuse_if_refused(&command, call) {
            return flow;
        }
        if has_nul && matches!(command.verb, Verb::Mail | Verb::Rcpt) {
            return self.refuse_nul(&command, call);
        }
        let delay = self.delay_under_load(&command);
        let flow = self.dispatch(&command, call);
        match (delay, flow) {
            (None, flow) => flow,
            (Some(delay), Flow::Next) => Flow::NextAfter(delay),
            (Some(delay), Flow::NextAfter(longer)) => Flow::NextAfter(delay + longer),
            (Some(delay), Flow::Collect) => {
                self.hold_replies(delay, call);
                Flow::Collect
            }
            (Some(delay), Flow::StartTls(side)) => {
                self.hold_replies(delay, call);
                Flow::StartTls(side)
            }
            (Some(delay), Flow::Close) => Flow::CloseAfter(delay),
            (Some(delay), Flow::CloseAfter(longer)) => Flow::CloseAfter(delay + longer),
        }
    }

    /// Says how long a command takes at least while the machine is busy (DelayLA).
    ///
    /// Observed: 8.17.1.9 lets those through that cost nothing, and tells once in a while.
    fn delay_under_load(&mut self, command: &Command<'_>) -> Option<Duration> {
        let limit = self.delay_load();
        if limit == 0 {
            return None;
        }
        let name = match command.verb {
            Verb::Helo => "HELO",
            Verb::Ehlo => "EHLO",
            Verb::Mail => "MAIL",
            Verb::Rcpt => "RCPT",
            Verb::Data => "DATA",
            Verb::Vrfy => "VRFY",
            Verb::Expn => "EXPN",
            Verb::Etrn => "ETRN",
            Verb::Help => "HELP",
            Verb::Noop => "NOOP",
            Verb::Verb => "VERB",
            Verb::StartTls => "STARTTLS",
            Verb::Auth => "AUTH",
            // Its octets come in their own time.
            Verb::Bdat => return None,
            Verb::Rset | Verb::Quit | Verb::NotImplemented | Verb::Unknown | Verb::Foreign => {
                return None;
            }
        };
        let load = load_average().unwrap_or(0.0).round();
        if load < f64::from(limit) {
            return None;
        }
        let now = self.mta.clock.monotonic();
        if self.tells_delay_from.is_none_or(|due| now >= due) {
            self.tells_delay_from = Some(now + DELAY_TELL_INTERVAL);
            self.log(
                9,
                Severity::Info,
                format_args!("delaying={name}, load average={load} >= {limit}"),
            );
        }
        Some(LOAD_DELAY)
    }

    /// The load average from which on commands are delayed; zero never.
    fn delay_load(&self) -> u32 {
        let options = &self.mta.config.options;
        self.connection
            .port
            .and_then(|index| options.daemon_ports.get(index))
            .and_then(|port| port.delay_la)
            .unwrap_or(options.queueing.delay_la)
    }

    fn dispatch(&mut self, command: &Command<'_>, call: &mut Call<'_>) -> Flow {
        let argument = command.argument;
        match command.verb {
            Verb::Helo => self.helo(b"HELO", argument, call),
            Verb::Ehlo => self.helo(b"EHLO", argument, call),
            Verb::Mail => self.mail(argument, call),
            Verb::Rcpt => self.rcpt(argument, call),
            Verb::Data => self.data(call),
            Verb::Bdat if self.offers_chunks() => self.bdat(argument, call),
            Verb::Rset => self.rset(call),
            Verb::Vrfy => self.vrfy(argument, call),
            Verb::Expn => self.expn(argument, call),
            Verb::Etrn => self.etrn(argument, call),
            Verb::Help => self.help(argument, call),
            Verb::Noop => self.noop(command, call),
            Verb::Verb => self.verbose(command, call),
            Verb::Quit => self.quit(call),
            Verb::StartTls => self.start_tls(argument, call),
            Verb::Auth => self.auth(argument, call),
            Verb::NotImplemented => self.not_implemented(command, call),
            Verb::Bdat | Verb::Unknown | Verb::Foreign => self.unknown(command, call),
        }
    }

    /// A refused client may greet, reset, idle and leave; everything else is the refusal.
    fn refuse_if_refused(&mut self, command: &Command<'_>, call: &mut Call<'_>) -> Option<Flow> {
        let refusal = self.refusal.clone()?;
        match command.verb {
            Verb::Helo
            | Verb::Ehlo
            | Verb::Noop
            | Verb::Rset
            | Verb::Quit
            | Verb::Unknown
            | Verb::Foreign => None,
            // Its octets must not be taken for commands.
            Verb::Bdat => None,
            Verb::Mail
            | Verb::Rcpt
            | Verb::Data
            | Verb::Vrfy
            | Verb::Expn
            | Verb::Etrn
            | Verb::Help
            | Verb::Verb
            | Verb::StartTls
            | Verb::Auth
            | Verb::NotImplemented => {
                if self.guard.is_one_bad_command_too_many() {
                    return Some(self.cut("Too many bad commands; closing connection", call));
                }
                self.say(call, &refusal);
                Some(Flow::Next)
            }
        }
    }

    /// Refuses an address with a NUL in it: cut at the NUL it could mean somebody else.
    fn refuse_nul(&mut self, command: &Command<'_>, call: &mut Call<'_>) -> Flow {
        let word = command
            .argument
            .split(|octet| *octet == b':')
            .next()
            .unwrap_or(b"");
        let text = [
            b"501 5.5.2 Syntax error in parameters scanning \"",
            word.trim_ascii_end(),
            b"\"",
        ]
        .concat();
        self.say(call, &wording::reply(&text));
        Flow::Next
    }

    /// Ends a connection that speaks another protocol.
    fn cut_foreign(&mut self, line: &[u8], call: &mut Call<'_>) -> Flow {
        let shown = escape_for_display(line.get(..MAX_LOGGED_COMMAND).unwrap_or(line));
        let what = format!("probable open proxy: command={shown}\\r\\n");
        self.throw_out("Rejecting open proxy", (1, &what), call)
    }

    /// Answers 421 with the client's name, logs what it did from a LogLevel on, and closes.
    pub(super) fn throw_out(
        &mut self,
        why: &str,
        (level, what): (u8, &str),
        call: &mut Call<'_>,
    ) -> Flow {
        let why = format!("{why} {}", escape_for_display(&self.client.shown));
        let flow = self.cut(&why, call);
        let client = self.client_shown().to_string();
        self.log(level, Severity::Info, format_args!("{client}: {what}"));
        flow
    }

    /// Answers 421 with the host's name and closes.
    pub(super) fn cut(&mut self, why: &str, call: &mut Call<'_>) -> Flow {
        let text = [
            b"421 4.7.0 ",
            self.host_name().as_slice(),
            b" ",
            why.as_bytes(),
        ]
        .concat();
        self.say(call, &wording::reply(&text));
        Flow::Close
    }

    /// Counts a command that may be abused.
    ///
    /// `Err` holds what to do instead of the command; `Ok` holds what to do after it.
    pub(super) fn count(&mut self, kind: Counted, call: &mut Call<'_>) -> Result<Flow, Flow> {
        match self.guard.count(kind) {
            Strain::None => Ok(Flow::Next),
            Strain::Delay { wait, reached } => {
                if let Some(count) = reached {
                    self.log(
                        6,
                        Severity::Info,
                        format_args!(
                            "{}: possible SMTP attack: command={}, count={count}",
                            self.client_shown(),
                            kind.name()
                        ),
                    );
                }
                Ok(Flow::NextAfter(wait))
            }
            Strain::Cut(wait) => {
                self.cut("Too many bad commands; closing connection", call);
                Err(Flow::CloseAfter(wait))
            }
        }
    }
}

/// A command as the log may have it: what follows the mechanism of AUTH is a password.
fn without_password<'a>(command: &Command<'a>) -> &'a [u8] {
    if command.verb != Verb::Auth {
        return command.line;
    }
    let line = command.line;
    let words = line.split(u8::is_ascii_whitespace);
    // The verb and the mechanism; blanks between them make empty words.
    let second = words.filter(|word| !word.is_empty()).nth(1);
    let end = second.and_then(|word| memchr::memmem::find(line, word).map(|at| at + word.len()));
    end.and_then(|end| line.get(..end)).unwrap_or(b"AUTH")
}

/// How long a command takes at least while the machine is busy. Observed: 8.17.1.9.
const LOAD_DELAY: Duration = Duration::from_secs(1);
/// How often a session tells that it is delayed. Observed: 8.17.1.9.
const DELAY_TELL_INTERVAL: Duration = Duration::from_secs(90);
/// Octets of a foreign command shown in the log.
const MAX_LOGGED_COMMAND: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_has_no_password() {
        for (line, shown) in [
            ("AUTH PLAIN AGFubgBzZWNyZXQ=", "AUTH PLAIN"),
            ("auth  plain  secret  ", "auth  plain"),
            ("AUTH PLAIN\tsecret x", "AUTH PLAIN"),
            ("AUTH LOGIN", "AUTH LOGIN"),
            ("AUTH", "AUTH"),
            ("NOOP AUTH x", "NOOP AUTH x"),
        ] {
            let command = Command::parse(line.as_bytes());
            assert_eq!(without_password(&command), shown.as_bytes(), "{line}");
        }
    }
}
