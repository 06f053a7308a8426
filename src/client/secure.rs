//! STARTTLS in a session, between the first EHLO and the second.
//!
//! TLS is used when the server offers it and nothing speaks against it. What came
//! of it is for the ruleset `tls_server` to judge. A server that refuses STARTTLS
//! is talked to in the clear; one whose handshake fails is not.
//!
//! Source: RFC 3207, guide 5.1.4; order, words and log lines observed: 8.17.1.9.

use std::sync::Arc;
use std::time::Duration;

use crate::client::dialogue::{Dialogue, deadline_in};
use crate::client::outcome::{Outcome, Phase, status};
use crate::client::rules::{Security, Server};
use crate::client::session::Manners;
use crate::client::stream::HandshakeFault;
use crate::client::witness::Witness;
use crate::smtp::{ExitStatus, Reply};
use crate::tls::{ClientSide, Line};

/// How TLS is to be used with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsUse {
    /// When it is offered.
    IfOffered,
    /// Not at all (modifier `S` of ClientPortOptions).
    Never,
    /// Not again: the handshake failed a moment ago (TLSFallbacktoClear).
    NotAgain,
}

/// What the attempt came to.
pub(super) enum Attempt {
    /// The session goes on with this.
    Done(Security),
    /// The connection is of no use any more.
    Broken(Box<Outcome>),
}

/// Begins TLS if it is to be begun.
pub(super) fn secure(
    dialogue: &mut Dialogue,
    server: &Server,
    is_offered: bool,
    manners: &Manners,
    witness: &mut dyn Witness,
) -> Attempt {
    let clear = match manners.tls {
        TlsUse::NotAgain => Security::Clear("CLEAR"),
        TlsUse::IfOffered | TlsUse::Never => Security::Clear("NONE"),
    };
    let Some(rules) = witness.rules() else {
        return Attempt::Done(clear);
    };
    rules.know(server, &clear);
    if !is_offered || manners.tls != TlsUse::IfOffered {
        return Attempt::Done(clear);
    }
    let Some(side) = rules.tls_side(server) else {
        return Attempt::Done(clear);
    };
    dialogue.phase("client STARTTLS");
    dialogue.command(b"STARTTLS", witness);
    let patience = manners.timeouts.starttls;
    let answer = match dialogue.answer(patience, witness) {
        Ok(answer) => answer,
        Err(lost) => {
            let outcome = Outcome::lost(Phase::Greeting, lost, dialogue.host());
            return Attempt::Broken(Box::new(outcome));
        }
    };
    let word = match answer.code / 100 {
        2 => return shake_hands(dialogue, &side, server, patience, witness),
        4 => "TEMP",
        5 => "NONE",
        _ => "PROTOCOL",
    };
    let security = Security::Clear(word);
    if let Some(rules) = witness.rules() {
        rules.know(server, &security);
    }
    Attempt::Done(security)
}

fn shake_hands(
    dialogue: &mut Dialogue,
    side: &Arc<ClientSide>,
    server: &Server,
    patience: Duration,
    witness: &mut dyn Witness,
) -> Attempt {
    let mut lines = vec![Line::info(13, "STARTTLS=client, start=ok".to_owned())];
    let deadline = deadline_in(patience);
    let result = side
        .connect(&server.name, server.address)
        .map_err(|error| HandshakeFault::Protocol(crate::tls::Failure::other(error)))
        .and_then(|channel| dialogue.stream().begin_tls(channel, deadline));
    let security = match (result, dialogue.stream().channel()) {
        (Ok(()), Some(channel)) => {
            let facts = side.facts(channel);
            let host = crate::text::bytes::escape_for_display(dialogue.host());
            lines.extend(facts.lines(&host));
            Security::Tls(Box::new(facts))
        }
        (result, _) => {
            lines.extend(lines_of(&result.err().unwrap_or(HandshakeFault::TimedOut)));
            Security::Clear("SOFTWARE")
        }
    };
    if let Some(rules) = witness.rules() {
        rules.tell(&lines);
        rules.know(server, &security);
    }
    Attempt::Done(security)
}

fn lines_of(fault: &HandshakeFault) -> Vec<Line> {
    let what = "STARTTLS=client, error: connect failed=-1";
    match fault {
        HandshakeFault::TimedOut => vec![Line::warning(
            6,
            format!("{what}, reason=unknown, SSL_error=2, errno=11, retry=0"),
        )],
        HandshakeFault::Protocol(failure) => vec![
            Line::warning(
                6,
                format!(
                    "{what}, reason={}, SSL_error=1, errno=0, retry=-1",
                    failure.reason
                ),
            ),
            Line::warning(10, format!("STARTTLS=client: error:{}", failure.detail)),
        ],
    }
}

/// Asks whether the session may be used as it is now.
pub(super) fn refusal(
    server: &Server,
    security: &Security,
    witness: &mut dyn Witness,
) -> Option<Outcome> {
    let reply = witness.rules()?.refusal_of_server(server, security)?;
    let mut outcome = outcome_of(&reply);
    outcome.detail = outcome.is_temporary().then(|| reply.first_line().to_vec());
    outcome.is_tls_failure = *security == Security::Clear("SOFTWARE");
    Some(outcome)
}

/// What a refusal by a ruleset means for those it is about.
pub(super) fn outcome_of(reply: &Reply) -> Outcome {
    let (exit, class) = match reply.code.is_temporary() {
        true => (ExitStatus::TempFail, 4),
        false => (ExitStatus::Unavailable, 5),
    };
    let code = reply.enhanced.unwrap_or_else(|| status(class, 0, 0));
    Outcome::new(exit, code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_defer_or_return_as_they_say() {
        let temporary = outcome_of(&Reply::of("454 4.7.0 authentication failed"));
        assert!(temporary.is_temporary());
        assert_eq!(temporary.logged.to_string(), "4.7.0");
        let permanent = outcome_of(&Reply::of("503 5.7.0 authentication failed"));
        assert_eq!(permanent.exit, ExitStatus::Unavailable);
        assert_eq!(permanent.logged.to_string(), "5.7.0");
    }
}
