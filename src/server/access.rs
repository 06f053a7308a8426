//! The beginning and the end of a session, and of each envelope in it.
//!
//! On connect: who is there, what the macros say about it, check_relay,
//! srv_features, greet_pause, greeting. A refused client is still talked to, but
//! nearly every command gets the refusal.
//!
//! Source: guide 5.1.4; order and texts observed: 8.17.1.9.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::connection::{Client, ConnectionKind};
use super::filters::Reception;
use super::ident::{Progress, Query};
use super::session::{Call, Interest, Session, Step};
use super::state::{State, Transaction};
use super::wording;
use super::wrappers::{self, Admission, Tables};
use crate::config::options::{DaemonPort, PortFamily};
use crate::envelope::Envelope;
use crate::logging::record::Severity;
use crate::macros::MacroId;
use crate::smtp::{Reply, Verdict};
use crate::text::address::address_text;
use crate::text::bytes::escape_for_display;
use crate::token::Mark;

impl Session {
    /// Begins the session.
    pub(super) fn open(&mut self, call: &mut Call<'_>) {
        if self.connection.port.is_some() {
            self.mta.counting.count(|all| all.connections_from += 1);
        }
        self.client = Client::find(
            &self.connection,
            self.mta.resolver.as_ref(),
            self.mta.config.options.running.ipv6_form,
        );
        match self.begin_query() {
            Some(query) => self.state = State::Identifying(Box::new(query)),
            None => self.receive(call),
        }
    }

    /// Asks the client's machine who talks to us, unless Timeout.ident is zero.
    fn begin_query(&self) -> Option<Query> {
        let patience = self.mta.config.options.timeouts.ident;
        let (peer, local) = (self.connection.peer?, self.connection.local?);
        // Behind a proxy there is nobody to ask: the client does not know us.
        let is_direct =
            self.connection.kind == ConnectionKind::Network && self.connection.proxy.is_none();
        if patience.is_zero() || !is_direct {
            return None;
        }
        let now = self.mta.clock.monotonic();
        Query::begin(peer, local, patience, now).ok()
    }

    /// Looks whether the client's machine has answered; returns a step while it has not.
    pub(super) fn identify(&mut self, call: &mut Call<'_>) -> Option<Step> {
        let State::Identifying(query) = &mut self.state else {
            return None;
        };
        match query.progress(self.mta.clock.monotonic()) {
            Progress::Wait(until) => Some(self.park(Interest::Timer, until)),
            Progress::Done(user) => {
                if let Some(user) = user {
                    self.client.shown = [&user, b"@".as_slice(), &self.client.shown].concat();
                }
                self.receive(call);
                None
            }
        }
    }

    /// Goes on when it is known who is there.
    fn receive(&mut self, call: &mut Call<'_>) {
        self.state = State::Fresh;
        self.set_connection_macros();
        self.mta.log.syslog(
            10,
            Severity::Info,
            Some(b"NOQUEUE"),
            format_args!("connect from {}", self.client_shown()),
        );
        if let Some(proxy) = self.connection.proxy {
            self.mta.log.syslog(
                10,
                Severity::Info,
                Some(b"NOQUEUE"),
                format_args!("handed over by the proxy [{}]", proxy.ip()),
            );
        }
        self.log_mechanisms();
        self.begin_envelope();
        if !self.admit(call) || !self.pass_wrappers(wrappers::system_tables()) {
            self.did_something = true;
            self.state = State::Closed;
            return;
        }
        if self.refusal.is_none() {
            match self.meet_filters(call) {
                Reception::Welcome => {}
                Reception::Refused => {
                    self.refuse_greeting(call);
                    return;
                }
                Reception::Closed => {
                    self.state = State::Closed;
                    return;
                }
            }
        }
        self.ask_features(call);
        if self.begins_secure() {
            if !self.start_at_once(call) {
                self.did_something = true;
                self.state = State::Closed;
            }
            return;
        }
        self.welcome(call);
    }

    /// Greets the client, if need be after a pause.
    pub(super) fn welcome(&mut self, call: &mut Call<'_>) {
        match self.greet_pause(call) {
            Some(wait) if !wait.is_zero() => {
                let since = self.mta.clock.monotonic();
                self.state = State::GreetPause {
                    until: since + wait,
                    since,
                };
            }
            Some(_) | None => self.greet(call),
        }
    }

    /// Asks check_relay; returns false when the connection must be closed at once.
    fn admit(&mut self, call: &mut Call<'_>) -> bool {
        if self.connection.kind != ConnectionKind::Network {
            return true;
        }
        let (name, address) = (self.client.name.clone(), self.client.address.clone());
        // No message has an id yet (observed: 8.17.1.9).
        self.envelope.macros.remove(MacroId::I);
        let verdict = self.check("check_relay", &[&name, &address], call);
        if let Some(id) = &self.envelope.id {
            self.envelope.macros.set_text(MacroId::I, id.as_bytes());
        }
        match verdict {
            Verdict::Accept | Verdict::Quarantine(_) => true,
            Verdict::Discard => {
                self.discards_all = true;
                self.transaction.discards = true;
                true
            }
            Verdict::Reject(reply) | Verdict::Defer(reply) => {
                let reply = wording::complete(reply);
                if reply.code.number() == 421 {
                    self.say(call, &reply);
                    return false;
                }
                self.refusal = Some(reply);
                true
            }
        }
    }

    /// Asks the tables of TCP wrappers, if no ruleset has refused the client; returns false when
    /// the connection must be closed at once.
    fn pass_wrappers(&mut self, tables: Tables<'_>) -> bool {
        let came_by_port =
            self.connection.kind == ConnectionKind::Network && self.connection.port.is_some();
        if !came_by_port || self.refusal.is_some() {
            return true;
        }
        let name = &self.client.name;
        let address = &self.client.address;
        let question = wrappers::Question {
            name: (!name.starts_with(b"[")).then_some(name.as_slice()),
            address: address.strip_prefix(b"IPv6:").unwrap_or(address),
            log: &self.mta.log,
            users: self.mta.users.as_ref(),
            privileged: self.mta.privileged.as_ref(),
        };
        match question.ask(tables) {
            Admission::Granted => true,
            Admission::Closed => false,
            Admission::Denied => {
                self.mta.log.syslog(
                    4,
                    Severity::Notice,
                    Some(b"NOQUEUE"),
                    format_args!(
                        "tcpwrappers ({}, {}) rejection",
                        escape_for_display(question.name.unwrap_or(b"unknown")),
                        escape_for_display(question.address)
                    ),
                );
                self.refusal = Some(Reply::of("550 5.0.0 Access denied"));
                true
            }
        }
    }

    fn ask_features(&mut self, call: &mut Call<'_>) {
        let (name, address) = (self.client.name.clone(), self.client.address.clone());
        let answer = self.ask_ruleset("srv_features", &[&name, &address], call);
        let Some(answer) = answer.filter(|answer| answer.leading_symbol == Some(Mark::Mailer))
        else {
            return;
        };
        let words = answer.words.join(&b' ');
        if words.eq_ignore_ascii_case(b"temp") {
            self.mta.log.syslog(
                4,
                Severity::Notice,
                None,
                format_args!(
                    "ERROR: srv_features=tempfail, relay={}, access temporarily disabled",
                    self.client_shown()
                ),
            );
            self.refusal = Some(Reply::of("450 4.3.0 Please try again later."));
            return;
        }
        for letter in self.features.apply(&words) {
            self.mta.log.syslog(
                10,
                Severity::Warning,
                None,
                format_args!(
                    "srv_features: unknown feature {}",
                    escape_for_display(&[letter])
                ),
            );
        }
    }

    /// Asks how long to hold the greeting back.
    fn greet_pause(&mut self, call: &mut Call<'_>) -> Option<Duration> {
        if self.refusal.is_some() {
            return None;
        }
        let (name, address) = (self.client.name.clone(), self.client.address.clone());
        let answer = self.ask_ruleset("greet_pause", &[&name, &address], call)?;
        if answer.leading_symbol != Some(Mark::Mailer) {
            return None;
        }
        let milliseconds: u64 = crate::text::bytes::parse_decimal(answer.words.first()?)?;
        Some(Duration::from_millis(milliseconds).min(MAX_GREET_PAUSE))
    }

    /// Sends the greeting.
    pub(super) fn greet(&mut self, call: &mut Call<'_>) {
        let greeting = self.greeting();
        let mut lines = greeting.split(|octet| *octet == b'\n');
        let first = lines.next().unwrap_or(b"");
        let end = first
            .iter()
            .position(|octet| *octet == b' ')
            .unwrap_or(first.len());
        let (word, rest) = first.split_at(end);
        let mut reply = Reply {
            code: Reply::of("220 x").code,
            enhanced: None,
            lines: vec![[word, b" ESMTP", rest].concat()],
        };
        reply
            .lines
            .extend(lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec));
        self.say(call, &reply);
        self.state = State::Commands;
        self.start_waiting_for_line();
    }

    fn greeting(&mut self) -> Vec<u8> {
        self.set_dates();
        let mta = std::sync::Arc::clone(&self.mta);
        let template = &mta.config.options.receiving.smtp_greeting_message;
        let greeting = self.expand(template);
        // There is no message yet that could have been tried.
        self.envelope.macros.remove(MacroId::NTRIES);
        greeting
    }

    /// Refuses a client that talked before it was greeted.
    pub(super) fn meet_early_talker(&mut self, call: &mut Call<'_>) {
        let State::GreetPause { since, .. } = &self.state else {
            return;
        };
        let waited = self.mta.clock.monotonic().saturating_duration_since(*since);
        self.log(
            1,
            Severity::Info,
            format_args!(
                "rejecting commands from {} [{}] due to pre-greeting traffic after {} seconds",
                escape_for_display(&self.client.name),
                escape_for_display(&self.client.address),
                waited.as_secs()
            ),
        );
        self.refuse_greeting(call);
    }

    /// Tells a client instead of a greeting that its mail is not wanted.
    fn refuse_greeting(&mut self, call: &mut Call<'_>) {
        let text = [
            b"554 ",
            self.host_name().as_slice(),
            b" ESMTP not accepting messages",
        ]
        .concat();
        if let Ok(reply) = Reply::from_text(&text) {
            self.say(call, &reply);
        }
        self.refuse_commands();
        self.state = State::Commands;
        self.start_waiting_for_line();
    }

    /// Answers nearly everything with a refusal from now on.
    pub(super) fn refuse_commands(&mut self) {
        self.refusal = Some(Reply::of("550 5.0.0 Command rejected"));
    }

    fn set_connection_macros(&mut self) {
        let mode = self.delivery_mode().letter();
        self.macros.set_text(MacroId::DELIVERY_MODE, &[mode]);
        let client = self.client.clone();
        let rates = self.connection.rates;
        let peer_port = self.connection.peer.map_or(0, |peer| peer.port());
        // Observed: 8.17.1.9 knows nothing of a client on a pipe, and counts only those of ports.
        let is_pipe = matches!(self.connection.kind, ConnectionKind::Pipe { .. });
        let is_network = self.connection.port.is_some();
        let mut set = |id: MacroId, value: &[u8]| self.macros.set_text(id, value);
        set(MacroId::UNDERSCORE, &client.shown);
        set(MacroId::CLIENT_ADDR, &client.address);
        set(MacroId::CLIENT_PORT, peer_port.to_string().as_bytes());
        if !is_pipe {
            set(MacroId::CLIENT_NAME, &client.name);
            set(MacroId::CLIENT_PTR, &client.pointer);
        }
        if is_network {
            let is_local = self.connection.kind == ConnectionKind::LocalSocket;
            let resolved = if is_local {
                b"OK"
            } else {
                client.check.as_macro()
            };
            set(MacroId::CLIENT_RESOLVE, resolved);
            let (connections, rate) = (rates.client_connections, rates.client_rate);
            set(
                MacroId::CLIENT_CONNECTIONS,
                connections.to_string().as_bytes(),
            );
            set(MacroId::CLIENT_RATE, rate.to_string().as_bytes());
            set(MacroId::TOTAL_RATE, rates.total_rate.to_string().as_bytes());
        }
        self.set_port_macros();
    }

    fn set_port_macros(&mut self) {
        let mta = std::sync::Arc::clone(&self.mta);
        let options = &mta.config.options;
        let port = self
            .connection
            .port
            .and_then(|index| options.daemon_ports.get(index));
        let Some(port) = port else {
            let flags = [
                b"c u ".as_slice(),
                &options.receiving.direct_submission_modifiers,
            ]
            .concat();
            self.macros
                .set_text(MacroId::DAEMON_FLAGS, flags.trim_ascii_end());
            return;
        };
        self.macros.set_text(MacroId::DAEMON_NAME, &port.name);
        self.macros
            .set_text(MacroId::DAEMON_FLAGS, &port.flags_text());
        let family: &[u8] = match port.family {
            PortFamily::Inet6 => b"inet6",
            PortFamily::Inet => b"inet",
            PortFamily::Local => b"local",
        };
        self.macros.set_text(MacroId::DAEMON_FAMILY, family);
        let form = self.mta.config.options.running.ipv6_form;
        let mut set = |id: MacroId, value: &[u8]| self.macros.set_text(id, value);
        if let Some(local) = self.connection.local {
            let ip = local.ip().to_canonical();
            set(
                MacroId::DAEMON_ADDR,
                &address_text(listening_address(port, ip), form),
            );
            set(MacroId::DAEMON_PORT, local.port().to_string().as_bytes());
            self.set_interface_macros(ip);
        } else if port.family == PortFamily::Local {
            let path = port.address.as_deref().unwrap_or(b"");
            let shown = [b"[UNIX: ", path, b"]"].concat();
            set(MacroId::DAEMON_ADDR, &shown);
            // Observed: 8.17.1.9 gives the port it would have had on a network.
            let number = port.port.unwrap_or(SMTP_PORT).to_string();
            set(MacroId::DAEMON_PORT, number.as_bytes());
            set(MacroId::IF_NAME, &[b"[", shown.as_slice(), b"]"].concat());
            set(MacroId::IF_ADDR, &shown);
            set(MacroId::IF_FAMILY, b"1");
        }
    }

    /// Sets `${if_name}` and its kin; of the loopback interface only the name is told.
    fn set_interface_macros(&mut self, ip: IpAddr) {
        let text = address_text(ip, self.mta.config.options.running.ipv6_form);
        let name = self
            .mta
            .resolver
            .reverse(ip, crate::dns::Patience::Normal)
            .unwrap_or_else(|_| [b"[", text.as_slice(), b"]"].concat());
        self.macros.set_text(MacroId::IF_NAME, &name);
        if !ip.is_loopback() {
            // The system's numbers of the families. Observed: 8.17.1.9.
            let family: &[u8] = if ip.is_ipv4() { b"2" } else { b"10" };
            self.macros.set_text(MacroId::IF_ADDR, &text);
            self.macros.set_text(MacroId::IF_FAMILY, family);
        }
    }

    /// Draws a new id and starts an empty envelope with the macros of the connection.
    pub(super) fn begin_envelope(&mut self) {
        let clock = self.mta.clock.as_ref();
        let id = self.mta.lifetime.queue_ids.next(clock);
        if let Some(name) = self.envelope.macros.text(MacroId::J) {
            self.own_name = Some(name.to_vec());
        }
        let mut macros = self.macros.clone();
        macros.set_text(MacroId::I, id.as_bytes());
        *self.envelope = Envelope {
            id: Some(id),
            macros,
            created: clock.now(),
            ..Envelope::default()
        };
        self.transaction = Transaction {
            discards: self.discards_all,
            ..Transaction::default()
        };
    }

    /// Forgets the transaction: RSET, a new hello, the end of DATA.
    pub(super) fn clear_transaction(&mut self, why: &str) {
        self.abort_filters();
        self.log_unsent_recipients(why);
        self.log_sender_if_owed();
        self.begin_envelope();
    }

    /// Logs recipients that were accepted and then given up.
    pub(super) fn log_unsent_recipients(&self, why: &str) {
        if !self.mta.log.is_on(11) {
            return;
        }
        self.log_recipients(10, why);
    }

    /// Writes a `to=` line without delivery for each recipient at hand.
    pub(super) fn log_recipients(&self, level: u8, status: &str) {
        let age = self.mta.clock.now().since(self.envelope.created);
        for recipient in &self.envelope.recipients {
            if !recipient.state.is_open() {
                continue;
            }
            self.log(
                level,
                Severity::Info,
                format_args!(
                    "to={}, delay={}, pri={}, stat={status}",
                    escape_for_display(&recipient.address),
                    crate::text::interval::format_interval(age),
                    self.envelope.priority
                ),
            );
        }
    }

    /// Ends the session: what the log is still owed.
    pub(super) fn finish(&mut self) {
        self.log_sender_if_owed();
        if !self.did_something && self.refusal.is_none() {
            self.log(
                6,
                Severity::Info,
                format_args!(
                    "{} did not issue MAIL/EXPN/VRFY/ETRN during connection to {}",
                    self.client_shown(),
                    escape_for_display(&self.daemon_name())
                ),
            );
        }
        self.did_something = true;
    }
}

/// The address a port listens on, as `${daemon_addr}` tells it; `own` is our end of a connection.
fn listening_address(port: &DaemonPort, own: IpAddr) -> IpAddr {
    match port.address.as_deref().map(std::str::from_utf8) {
        None if port.family == PortFamily::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
        None => Ipv4Addr::UNSPECIFIED.into(),
        // A name stands for the address the connection came to.
        Some(text) => text
            .ok()
            .and_then(|text| text.trim_start_matches("IPv6:").parse().ok())
            .unwrap_or(own),
    }
}

/// The port of a local socket that names none.
const SMTP_PORT: u16 = 25;

/// Longest pause before the greeting.
///
/// Source: RFC 5321 section 4.5.3.2.1 gives a client five minutes of patience.
const MAX_GREET_PAUSE: Duration = Duration::from_secs(5 * 60);
