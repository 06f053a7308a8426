//! What the configuration says about a session with a server.
//!
//! Asks the rulesets `try_tls`, `tls_clt_features`, `tls_server` and `tls_rcpt`
//! with the macros of the message and of the session, and logs what they refuse.
//!
//! Source: guide 5.1.4; log lines observed: 8.17.1.9.

use std::net::IpAddr;
use std::sync::Arc;

use super::compat::about;
use crate::client::{RcptCommand, Rules, Security, Server};
use crate::envelope::Envelope;
use crate::logging::record::Severity;
use crate::macros::{MacroId, MacroTable};
use crate::mta::Mta;
use crate::rewrite::check::Comments;
use crate::rewrite::{Kept, RewriteContext, RewriteWorkspace};
use crate::smtp::{Reply, Verdict};
use crate::text::address::{Ipv6Form, address_text};
use crate::text::bytes::escape_for_display;
use crate::tls::{ClientSide, Line, Wish, facts};

/// LogLevels from which refusals are logged, by ruleset.
const TRY_TLS_LEVEL: u8 = 8;
const TLS_SERVER_LEVEL: u8 = 6;
const TLS_RCPT_LEVEL: u8 = 4;

/// The rulesets of one transaction.
pub struct SessionRules<'a> {
    mta: &'a Mta,
    envelope: &'a Envelope,
    /// The addresses of RCPT.
    recipients: Vec<Vec<u8>>,
    macros: MacroTable,
    buffers: RewriteWorkspace,
}

impl<'a> SessionRules<'a> {
    /// Makes the rulesets of a transaction; `macros` are its own, in front of those of the message.
    pub fn new(
        mta: &'a Mta,
        envelope: &'a Envelope,
        recipients: &[RcptCommand],
        mut macros: MacroTable,
    ) -> Self {
        let recipients = recipients.iter().map(|one| one.address.clone());
        let recipients: Vec<Vec<u8>> = recipients.collect();
        // What the rules of FEATURE(`sts') look at; without it they check nothing.
        // Observed: 8.17.1.9.
        if mta.config.options.security.strict_transport_security
            && let Some(first) = recipients.first()
        {
            macros.set_text(MacroId::RCPT_ADDR, first);
        }
        SessionRules {
            mta,
            envelope,
            recipients,
            macros,
            buffers: RewriteWorkspace::new(),
        }
    }

    fn with_rules<R>(&mut self, work: impl FnOnce(&mut RewriteContext<'_>) -> R) -> R {
        let mut kept = Kept::traced(&self.mta.debug);
        let middle = Some(&self.envelope.macros);
        let macros = &mut self.macros;
        let mut cx = self
            .mta
            .rewrite_context(macros, middle, &mut kept, &mut self.buffers);
        work(&mut cx)
    }

    /// Asks a ruleset about `argument`; gives its refusal.
    fn refusal(&mut self, ruleset: &str, argument: &[u8]) -> Option<Reply> {
        let name = ruleset.as_bytes();
        let checked = self.with_rules(|cx| cx.check(name, &[argument], Comments::Dropped));
        match checked.verdict {
            Verdict::Reject(reply) | Verdict::Defer(reply) => Some(reply),
            Verdict::Accept | Verdict::Discard | Verdict::Quarantine(_) => None,
        }
    }

    fn log_refusal(
        &self,
        (level, id): (u8, Option<&[u8]>),
        ruleset: &str,
        argument: &[u8],
        relay: &[u8],
        reject: &[u8],
    ) {
        let [argument, relay, reject] = [argument, relay, reject].map(escape_for_display);
        let text =
            format_args!("ruleset={ruleset}, arg1={argument}, relay={relay}, reject={reject}");
        self.mta.log.syslog(level, Severity::Notice, id, text);
    }

    /// Asks try_tls; nobody may mind.
    fn may_try(&mut self, server: &Server) -> bool {
        let Some(reply) = self.refusal("try_tls", &server.name) else {
            return true;
        };
        let recipient = self.recipients.first().map_or(&b""[..], Vec::as_slice);
        let said = about(recipient, &reply);
        let place = (TRY_TLS_LEVEL, None);
        self.log_refusal(place, "try_tls", &server.name, &server.name, &said);
        false
    }

    /// Asks tls_clt_features what is different for this server.
    fn side(&mut self, server: &Server) -> Option<Arc<ClientSide>> {
        let side = self.mta.tls_client()?;
        let address = address_of_server(server.address);
        let answer =
            self.with_rules(|cx| cx.ask_ruleset(b"tls_clt_features", &[&server.name, &address]));
        let address = escape_for_display(&address);
        let name = escape_for_display(&server.name);
        let told = |severity: Severity, text: &str| {
            let line = format_args!("tls_clt_features={text}, relay={name} [{address}]");
            self.mta.log.syslog(10, severity, None, line);
        };
        Wish::of(answer, told).carried_out(side, |side, features| {
            let mut lines = Vec::new();
            let made = side.with(features, &mut lines);
            self.mta.tell_tls(&lines);
            made
        })
    }
}

/// Writes the address of a server as rulesets know it; empty if there is none.
pub(super) fn address_of_server(address: Option<IpAddr>) -> Vec<u8> {
    let plain = address.map(|address| address.to_canonical());
    plain.map_or_else(Vec::new, |plain| address_text(plain, Ipv6Form::Compressed))
}

impl Rules for SessionRules<'_> {
    fn know(&mut self, server: &Server, security: &Security) {
        self.macros.set_text(MacroId::SERVER_NAME, &server.name);
        let address = address_of_server(server.address);
        self.macros.set_text(MacroId::SERVER_ADDR, &address);
        match security {
            Security::Clear(word) => {
                // What the client said of itself when the message came in is not about this session.
                facts::hide_macros(&mut self.macros);
                self.macros.set_text(MacroId::VERIFY, word.as_bytes());
            }
            Security::Tls(facts) => {
                facts::hide_macros(&mut self.macros);
                facts.set_macros(&mut self.macros);
            }
        }
    }

    fn tls_side(&mut self, server: &Server) -> Option<Arc<ClientSide>> {
        if !self.may_try(server) {
            return None;
        }
        self.side(server)
    }

    fn tell(&mut self, lines: &[Line]) {
        self.mta.tell_tls(lines);
    }

    fn refusal_of_server(&mut self, server: &Server, security: &Security) -> Option<Reply> {
        let word = security.word().as_bytes();
        let reply = self.refusal("tls_server", word)?;
        let place = (TLS_SERVER_LEVEL, None);
        let said = reply.first_line();
        self.log_refusal(place, "tls_server", word, &server.name, &said);
        Some(reply)
    }

    fn refusal_of_recipient(&mut self, server: &[u8], recipient: usize) -> Option<Reply> {
        let address = self.recipients.get(recipient)?.clone();
        let reply = self.refusal("tls_rcpt", &address)?;
        let place = (TLS_RCPT_LEVEL, Some(self.envelope.id_for_log()));
        let said = reply.first_line();
        self.log_refusal(place, "tls_rcpt", &address, server, &said);
        Some(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_stand_behind_the_codes() {
        let reply = Reply::of("550 5.7.1 do not try TLS");
        assert_eq!(
            about(b"x@y.test", &reply),
            b"550 5.7.1 x@y.test... do not try TLS"
        );
    }

    #[test]
    fn addresses_are_written_as_rulesets_know_them() {
        let text = |address: &str| address_of_server(address.parse().ok());
        assert_eq!(text("127.0.0.1"), b"127.0.0.1");
        assert_eq!(text("::ffff:127.0.0.1"), b"127.0.0.1");
        assert_eq!(text("::1"), b"IPv6:::1");
        assert_eq!(address_of_server(None), b"");
    }
}
