//! AUTH: the dialogue in which a client proves who it is (RFC 4954).
//!
//! The mechanisms are in [`crate::auth`]; here are the command, the lines of the
//! dialogue, their base64, and what a success changes: macros, `$r` and the log.
//!
//! Texts and LogLevels observed: 8.17.1.9.

use super::super::guard::Counted;
use super::super::session::{Call, Flow, Session};
use super::super::state::State;
use super::super::wording;
use crate::auth::mechanism::{Policy, written};
use crate::auth::{Identity, Mechanism, Reaction, ServerExchange, ServerFacts, encoding};
use crate::logging::record::Severity;
use crate::macros::MacroId;
use crate::smtp::Reply;
use crate::smtp::line::{MAX_AUTH_LINE, MAX_COMMAND_LINE};
use crate::text::bytes::{escape_for_display, shorten};

/// Longest user in the log; the middle of longer ones is cut out. Observed: 8.17.1.9.
const MAX_LOGGED_USER: usize = 127;

/// Longest name of a mechanism shown in a reply.
const MAX_SHOWN_MECHANISM: usize = 32;

impl Session {
    /// Answers AUTH.
    pub(super) fn auth(&mut self, argument: &[u8], call: &mut Call<'_>) -> Flow {
        let offered = self.mechanisms();
        if offered.is_empty() {
            self.say_text(call, "503 5.3.3 AUTH not available");
            return Flow::Next;
        }
        if self.is_authenticated {
            self.say_text(call, "503 5.5.0 Already Authenticated");
            return Flow::Next;
        }
        if self.transaction.is_open {
            self.say_text(
                call,
                "503 5.5.0 AUTH not permitted during a mail transaction",
            );
            return Flow::Next;
        }
        let after = match self.count(Counted::Auth, call) {
            Ok(after) => after,
            Err(instead) => return instead,
        };
        let end = argument.iter().position(u8::is_ascii_whitespace);
        let (name, initial) = argument.split_at(end.unwrap_or(argument.len()));
        if name.is_empty() {
            self.say_text(call, "501 5.5.2 AUTH mechanism must be specified");
            return after;
        }
        let mechanism = Mechanism::from_name(name).filter(|one| offered.contains(one));
        match mechanism {
            Some(mechanism) => self.begin_exchange(mechanism, initial.trim_ascii(), call),
            None => {
                let shown = name.get(..MAX_SHOWN_MECHANISM).unwrap_or(name);
                let text = [
                    b"504 5.3.3 AUTH mechanism ".as_slice(),
                    shown,
                    b" not available",
                ];
                self.say(call, &wording::reply(&text.concat()));
            }
        }
        after
    }

    fn begin_exchange(&mut self, mechanism: Mechanism, initial: &[u8], call: &mut Call<'_>) {
        let initial = match initial {
            b"" => None,
            // An empty response, as a line cannot end in nothing (RFC 4954 section 4).
            b"=" => Some(Vec::new()),
            text => match encoding::decode(text) {
                Ok(decoded) => Some(decoded),
                Err(fault) => {
                    let shown = [b"501 5.5.4 cannot BASE64 decode '", text, b"'"].concat();
                    self.say(call, &wording::reply(&shown));
                    let text = escape_for_display(text);
                    let (number, client) = (fault.number(), self.client_shown());
                    self.log(
                        6,
                        Severity::Warning,
                        format_args!(
                            "AUTH decode64 error [{number} for \"{text}\"], relay={client}"
                        ),
                    );
                    return;
                }
            },
        };
        let mut random = [0; 32];
        if getrandom::fill(&mut random).is_err() {
            self.say_text(call, "454 4.3.0 Temporary authentication failure");
            return;
        }
        let facts = ServerFacts {
            realm: self.realm(),
            external: self.certified_name(),
            random,
        };
        let accounts = self.mta.accounts.as_ref();
        let (exchange, reaction) =
            ServerExchange::begin(mechanism, facts, initial.as_deref(), accounts);
        self.follow_exchange(Box::new(exchange), reaction, call);
    }

    /// Takes a line of the dialogue.
    pub(in super::super) fn auth_response(&mut self, line: &[u8], call: &mut Call<'_>) -> Flow {
        let State::Authenticating(mut exchange) =
            std::mem::replace(&mut self.state, State::Commands)
        else {
            return Flow::Next;
        };
        self.lines.set_limit(MAX_COMMAND_LINE);
        self.mta.traffic.received(b"(response)");
        if line == b"*" {
            self.say_text(call, "501 5.0.0 AUTH aborted");
            return Flow::Next;
        }
        match encoding::decode(line) {
            Ok(response) => {
                let reaction = exchange.step(&response, self.mta.accounts.as_ref());
                self.follow_exchange(exchange, reaction, call);
            }
            Err(_) => {
                let text = [b"501 5.5.4 cannot decode AUTH parameter ".as_slice(), line].concat();
                self.say(call, &wording::reply(&text));
            }
        }
        Flow::Next
    }

    fn follow_exchange(
        &mut self,
        exchange: Box<ServerExchange>,
        reaction: Reaction,
        call: &mut Call<'_>,
    ) {
        match reaction {
            Reaction::Challenge(challenge) => {
                let reply = Reply {
                    code: Reply::of("334 x").code,
                    enhanced: None,
                    lines: vec![encoding::encode(&challenge)],
                };
                self.say(call, &reply);
                self.state = State::Authenticating(exchange);
                self.lines.set_limit(MAX_AUTH_LINE);
            }
            Reaction::Authenticated(identity) => {
                self.say_text(call, "235 2.0.0 OK Authenticated");
                self.let_in(exchange.mechanism(), &identity);
            }
            Reaction::Refused(failure) => {
                self.say_text(call, "535 5.7.0 authentication failed");
                self.log(
                    9,
                    Severity::Warning,
                    format_args!(
                        "AUTH failure ({}): {failure}, user={}, relay={}",
                        exchange.mechanism().name(),
                        escape_for_display(exchange.claimed()),
                        self.client_shown()
                    ),
                );
            }
        }
    }

    /// Notes who the client is.
    fn let_in(&mut self, mechanism: Mechanism, identity: &Identity) {
        self.is_authenticated = true;
        self.protocol = self.esmtp_protocol();
        let mut user = Vec::new();
        encode_for_rules(&identity.user, &mut user);
        for macros in [&mut self.macros, &mut self.envelope.macros] {
            macros.set_text(MacroId::AUTH_TYPE, mechanism.name().as_bytes());
            macros.set_text(MacroId::AUTH_AUTHEN, &user);
            // No mechanism here encrypts anything itself.
            macros.set_text(MacroId::AUTH_SSF, b"0");
        }
        self.mta.log.syslog(
            9,
            Severity::Info,
            None,
            format_args!(
                "AUTH=server, relay={}, authid={}, mech={}, bits=0",
                self.client_shown(),
                escape_for_display(&shorten(&user, MAX_LOGGED_USER)),
                mechanism.name()
            ),
        );
    }

    /// Forgets who the client is: what was said before STARTTLS counts for nothing (RFC 3207).
    pub(in super::super) fn forget_login(&mut self) {
        self.is_authenticated = false;
        for macros in [&mut self.macros, &mut self.envelope.macros] {
            for id in [MacroId::AUTH_TYPE, MacroId::AUTH_AUTHEN, MacroId::AUTH_SSF] {
                macros.remove(id);
            }
        }
    }

    /// The mechanisms the client may use now.
    fn mechanisms(&self) -> Vec<Mechanism> {
        if !self.features.auth {
            return Vec::new();
        }
        let policy = self.auth_policy();
        policy.offered(&policy.available(self.mta.accounts.mechanisms()))
    }

    /// Their names, for EHLO.
    pub(super) fn offered_mechanisms(&self) -> Vec<Vec<u8>> {
        let mechanisms = self.mechanisms();
        let names = mechanisms.iter().map(|one| one.name().as_bytes().to_vec());
        names.collect()
    }

    /// Tells the log what could be offered.
    pub(in super::super) fn log_mechanisms(&self) {
        if !self.mta.log.is_on(10) {
            return;
        }
        let policy = self.auth_policy();
        let available = policy.available(self.mta.accounts.mechanisms());
        if !self.features.auth || policy.offered(&available).is_empty() {
            let line = format_args!("AUTH warning: no mechanisms");
            self.mta.log.syslog(10, Severity::Warning, None, line);
            return;
        }
        let wanted = escape_for_display(policy.wanted);
        let line = format_args!(
            "AUTH: available mech={}, allowed mech={wanted}",
            written(&available)
        );
        self.mta.log.syslog(10, Severity::Info, None, line);
    }

    fn auth_policy(&self) -> Policy<'_> {
        let security = &self.mta.config.options.security;
        Policy {
            wanted: &security.auth_mechanisms,
            options: &security.auth_options,
            is_encrypted: self.is_secure(),
            has_external: self.certified_name().is_some(),
            has_passwords: self.mta.accounts.has_passwords(),
        }
    }

    /// The realm of users who name none.
    fn realm(&self) -> Vec<u8> {
        let realm = self.mta.config.options.security.auth_realm.clone();
        realm.unwrap_or_else(|| self.host_name())
    }

    /// Who the client is by its certificate, if that has been verified.
    fn certified_name(&self) -> Option<Vec<u8>> {
        let is_verified = self.macros.text(MacroId::VERIFY) == Some(b"OK");
        let name = self.macros.text(MacroId::CERT_SUBJECT)?;
        (is_verified && !name.is_empty()).then(|| name.to_vec())
    }

    /// `$r` of a client that said EHLO (RFC 3848).
    pub(super) fn esmtp_protocol(&self) -> &'static [u8] {
        match (self.is_secure(), self.is_authenticated) {
            (false, false) => b"ESMTP",
            (false, true) => b"ESMTPA",
            (true, false) => b"ESMTPS",
            (true, true) => b"ESMTPSA",
        }
    }
}

/// Writes a name so that it is one word for rulesets: `+XX` for what is not.
///
/// Source: guide 5.2 (`${auth_authen}`), which octets observed: 8.17.1.9.
fn encode_for_rules(name: &[u8], out: &mut Vec<u8>) {
    for &octet in name {
        if octet.is_ascii_graphic() && !b"\\<>()\"+=".contains(&octet) {
            out.push(octet);
        } else {
            out.extend_from_slice(format!("+{octet:02X}").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_word_for_rules() {
        let mut encoded = Vec::new();
        encode_for_rules(b"a(b)c<d>e\"f\\g=h+i j,k;l[m]\xc3@n", &mut encoded);
        let expected = "a+28b+29c+3Cd+3Ee+22f+5Cg+3Dh+2Bi+20j,k;l[m]+C3@n";
        assert_eq!(String::from_utf8_lossy(&encoded), expected);
    }
}
