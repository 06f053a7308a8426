//! TLS in a session: STARTTLS, the handshake, and what it changes.
//!
//! The session stays a machine without sockets: octets of the client pass the
//! [`Channel`] on their way in, replies on their way out. During the handshake a
//! session is parked like one that waits for a command.
//!
//! What came before the handshake is forgotten, the client's name included, and
//! text that arrived behind STARTTLS is thrown away (RFC 3207 section 4.2,
//! CVE-2011-0411). Order, replies and log lines observed: 8.17.1.9.

use std::sync::Arc;

use super::session::{Call, Flow, Interest, Session, Step};
use super::state::State;
use super::wording;
use crate::logging::record::Severity;
use crate::smtp::Verdict;
use crate::text::bytes::escape_for_display;
use crate::tls::{Channel, Facts, Failure, Line, Received, ServerSide, Wish};

/// The TLS part of a session.
#[derive(Debug)]
pub(super) struct Secure {
    channel: Channel,
    side: Arc<ServerSide>,
    /// Whether the client's certificate is asked for.
    asks: bool,
    /// Octets of the replies at hand that the client has to read in the clear.
    clear_octets: usize,
    /// Why the connection cannot go on.
    failure: Option<Failure>,
    /// Whether the handshake is over.
    is_ready: bool,
}

/// How TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beginning {
    /// The client asked for it.
    StartTls,
    /// The port speaks nothing else (modifier `s`).
    AtOnce,
}

impl Session {
    /// Tells whether the client reads and writes through TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.secure.as_ref().is_some_and(|secure| secure.is_ready)
    }

    /// Tells whether STARTTLS is offered now.
    pub(super) fn offers_tls(&self) -> bool {
        self.secure.is_none() && self.features.start_tls && self.mta.tls_server().is_some()
    }

    /// Tells whether the port of the session speaks TLS from its first octet (modifier `s`).
    pub(super) fn begins_secure(&self) -> bool {
        let ports = &self.mta.config.options.daemon_ports;
        let port = self.connection.port.and_then(|index| ports.get(index));
        port.is_some_and(|port| port.has_modifier(b's'))
    }

    /// Answers STARTTLS.
    pub(super) fn start_tls(&mut self, argument: &[u8], call: &mut Call<'_>) -> Flow {
        self.last_verb = "starttls";
        if !argument.is_empty() {
            self.say_text(call, "501 5.5.2 Syntax error (no parameters allowed)");
            return Flow::Next;
        }
        if !self.features.start_tls {
            self.say_text(call, "503 5.5.0 TLS not available");
            return Flow::Next;
        }
        if self.transaction.is_open {
            self.say_text(
                call,
                "503 5.5.0 TLS not permitted during a mail transaction",
            );
            return Flow::Next;
        }
        if !self.offers_tls() {
            self.say_text(call, "454 4.3.3 TLS not available after start");
            return Flow::Next;
        }
        let Some(side) = self.side_for_client(call) else {
            self.say_text(call, "454 4.3.3 TLS currently not available");
            return Flow::Next;
        };
        self.say_text(call, "220 2.0.0 Ready to start TLS");
        Flow::StartTls(side)
    }

    /// Begins TLS before the greeting; `false` if there can be none.
    pub(super) fn start_at_once(&mut self, call: &mut Call<'_>) -> bool {
        let side = match self.mta.tls_server() {
            Some(_) => self.side_for_client(call),
            None => None,
        };
        match side {
            Some(side) => {
                self.state = State::TlsDue(side, Beginning::AtOnce);
                true
            }
            None => {
                self.log(
                    1,
                    Severity::Error,
                    format_args!("smtps: TLS not available, exiting"),
                );
                false
            }
        }
    }

    /// Asks tls_srv_features what is different for this client.
    fn side_for_client(&mut self, call: &mut Call<'_>) -> Option<Arc<ServerSide>> {
        let side = self.mta.tls_server()?;
        let (name, address) = (self.client.name.clone(), self.client.address.clone());
        let answer = self.ask_ruleset("tls_srv_features", &[&name, &address], call);
        let [name, address] = [&name, &address].map(|text| escape_for_display(text));
        let told = |severity: Severity, text: &str| {
            let line = format_args!("tls_srv_features={text}, relay={name} [{address}]");
            self.mta.log.syslog(10, severity, None, line);
        };
        Wish::of(answer, told).carried_out(side, |side, features| {
            let mut lines = Vec::new();
            let made = side.with(features, &mut lines);
            self.tell(&lines);
            made
        })
    }

    /// Puts TLS between the client and the session.
    ///
    /// Whatever arrived behind STARTTLS came in the clear and might be from anybody.
    pub(super) fn begin_handshake(&mut self, side: Arc<ServerSide>, call: &Call<'_>) {
        self.forget_input();
        let asks = self.features.asks_certificate.unwrap_or(side.asks());
        match side.accept(asks) {
            Ok(channel) => {
                self.secure = Some(Box::new(Secure {
                    channel,
                    side,
                    asks,
                    clear_octets: call.output.len(),
                    failure: None,
                    is_ready: false,
                }));
                let patience = self.mta.config.options.timeouts.starttls;
                self.deadline = self.mta.clock.monotonic() + patience;
            }
            Err(error) => {
                self.tell(&[Line::warning(6, format!("STARTTLS=server, error: {error}"))]);
                self.state = State::Closed;
            }
        }
    }

    /// Looks whether the handshake is over; returns a step while it is not, and when it failed.
    pub(super) fn shake_hands(&mut self, call: &mut Call<'_>) -> Option<Step> {
        let ended = self.input_ended;
        let Some(secure) = &mut self.secure else {
            return Some(self.close());
        };
        if secure.failure.is_none() && !secure.channel.is_handshaking() {
            secure.is_ready = true;
            let facts = secure.side.facts(&secure.channel, secure.asks);
            self.trust(&facts, call);
            return None;
        }
        if secure.failure.is_none() && !ended {
            let deadline = self.deadline;
            return Some(self.park(Interest::Read, deadline));
        }
        let failure = secure.failure.clone().unwrap_or_else(Failure::closed);
        let (reason, relay) = (&failure.reason, self.client_shown());
        let first = format!(
            "STARTTLS=server, error: accept failed=-1, reason={reason}, SSL_error=1, errno=0, retry=-1, relay={relay}"
        );
        let second = format!("STARTTLS=server: error:{}", failure.detail);
        self.tell(&[Line::warning(6, first), Line::warning(10, second)]);
        Some(self.close())
    }

    /// Notes that the client was too slow.
    pub(super) fn tell_slow_handshake(&self) {
        let relay = self.client_shown();
        let text = format!(
            "STARTTLS=server, error: accept failed=1, reason=unknown, SSL_error=2, errno=0, retry=0, relay={relay}"
        );
        self.tell(&[Line::warning(6, text)]);
    }

    /// Goes on after a handshake: the client is somebody else now.
    fn trust(&mut self, facts: &Facts, call: &mut Call<'_>) {
        facts.set_macros(&mut self.macros);
        facts.set_macros(&mut self.envelope.macros);
        self.tell(&facts.lines(&self.client_shown()));
        self.forget_login();
        self.clear_transaction("STARTTLS");
        self.hello = None;
        self.guard.forget_hellos();
        let verdict = facts.verdict.word().as_bytes();
        match self.check("tls_client", &[verdict, b"STARTTLS"], call) {
            Verdict::Reject(reply) | Verdict::Defer(reply) => {
                self.refusal = Some(wording::complete(reply));
            }
            Verdict::Accept | Verdict::Discard | Verdict::Quarantine(_) => self.log_mechanisms(),
        }
        self.state = State::Commands;
        self.start_waiting_for_line();
    }

    /// Takes octets of the client.
    pub(super) fn take_octets(&mut self, octets: &[u8]) {
        let Some(secure) = &mut self.secure else {
            self.input.extend_from_slice(octets);
            return;
        };
        match secure.channel.receive(octets, &mut self.input) {
            Ok(Received::Open) => {}
            Ok(Received::Closed) => self.input_ended = true,
            Err(failure) => {
                secure.failure = Some(failure);
                self.input_ended = true;
            }
        }
    }

    /// Sends what was said in this step.
    pub(super) fn send(&mut self, said: &[u8], output: &mut Vec<u8>, step: Step) {
        let Some(secure) = &mut self.secure else {
            output.extend_from_slice(said);
            return;
        };
        let clear = std::mem::take(&mut secure.clear_octets).min(said.len());
        let (clear, said) = said.split_at(clear);
        output.extend_from_slice(clear);
        if secure.is_ready {
            secure.channel.seal(said);
            if step == Step::Close {
                secure.channel.close();
            }
        }
        secure.channel.take_output(output);
    }

    /// Says a last line to a client who waits, if it can read one now.
    pub fn say_farewell(&mut self, line: &[u8], output: &mut Vec<u8>) {
        let is_ready = self.secure.as_ref().is_none_or(|secure| secure.is_ready);
        if is_ready {
            self.send(line, output, Step::Close);
        }
    }

    fn tell(&self, lines: &[Line]) {
        self.mta.tell_tls(lines);
    }
}
