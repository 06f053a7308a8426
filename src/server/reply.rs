//! Saying and noting: replies, log lines, names.

use std::fmt;

use super::session::{Call, Session};
use super::wording;
use crate::envelope::prepare::log_sender;
use crate::logging::record::Severity;
use crate::macros::{MacroId, Macros};
use crate::smtp::Reply;
use crate::text::bytes::escape_for_display;

impl Session {
    /// Sends a reply and notes it; what is refused is what mailq shows until something better is known.
    ///
    /// Observed: 8.17.1.9 keeps the last permanent refusal of a session as the reason
    /// in the queue file, or a temporary one if there is no other.
    pub(super) fn say(&mut self, call: &mut Call<'_>, reply: &Reply) {
        let is_first = self.envelope.message_status.is_none();
        if reply.code.is_permanent() || (reply.code.is_temporary() && is_first) {
            self.envelope.message_status = Some(reply.text().to_vec());
        }
        let start = call.output.len();
        wording::write(reply, self.transaction.takes_utf8(), call.output);
        let said = call.output.get(start..).unwrap_or(b"");
        for line in said.split(|octet| *octet == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            self.mta.traffic.sent(line);
            if self.mta.log.is_on(LEVEL_DIALOGUE) {
                let line = escape_for_display(line);
                self.log(LEVEL_DIALOGUE, Severity::Info, format_args!("--- {line}"));
            }
        }
    }

    /// Sends a reply given as text.
    pub(super) fn say_text(&mut self, call: &mut Call<'_>, text: &str) {
        self.say(call, &wording::reply(text.as_bytes()));
    }

    /// Writes a log line under the id of the envelope at hand.
    pub(super) fn log(&self, level: u8, severity: Severity, text: fmt::Arguments<'_>) {
        let id = self.envelope.id_for_log();
        self.mta.log.syslog(level, severity, Some(id), text);
    }

    /// Writes the `from=` line if one is owed.
    pub(super) fn log_sender_if_owed(&mut self) {
        if !std::mem::take(&mut self.transaction.owes_sender_line) {
            return;
        }
        let envelope = &mut *self.envelope;
        let mut front = std::mem::take(&mut envelope.macros);
        let macros = Macros::new(&mut front, None, &self.mta.config.macros);
        log_sender(
            &self.mta.log,
            envelope,
            &macros,
            self.transaction.counted_recipients,
        );
        envelope.macros = front;
    }

    /// Notes that a ruleset refused, discarded or quarantined.
    pub(super) fn log_check(&self, hook: &str, arguments: &[&[u8]], outcome: &str, with_id: bool) {
        if !self.mta.log.is_on(4) {
            return;
        }
        let mut line = format!("ruleset={hook}");
        for (index, argument) in arguments.iter().enumerate() {
            line.push_str(&format!(
                ", arg{}={}",
                index + 1,
                escape_for_display(argument)
            ));
        }
        line.push_str(&format!(", relay={}, {outcome}", self.client_shown()));
        let id = with_id.then(|| self.envelope.id_for_log());
        self.mta
            .log
            .syslog(4, Severity::Notice, id, format_args!("{line}"));
    }

    /// Returns the name of this host: `$j`, or what rules made of it in this session.
    ///
    /// Observed: 8.17.1.9, where the name outlives the transaction in which a rule set `$j`.
    pub(super) fn host_name(&self) -> Vec<u8> {
        let name = self.envelope.macros.text(MacroId::J);
        match name.or(self.own_name.as_deref()) {
            Some(name) => name.to_vec(),
            None => self.mta.config.expanded_macro(MacroId::J),
        }
    }

    /// Returns the name of the daemon port, `stdin` without one.
    pub(super) fn daemon_name(&self) -> Vec<u8> {
        let ports = &self.mta.config.options.daemon_ports;
        self.connection
            .port
            .and_then(|index| ports.get(index))
            .map_or_else(|| b"stdin".to_vec(), |port| port.name.clone())
    }
}

/// LogLevel from which on the dialogue is logged.
pub(super) const LEVEL_DIALOGUE: u8 = 15;
