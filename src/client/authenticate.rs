//! AUTH with a server: one mechanism after the other, until one is taken.
//!
//! Only what the server offers and the configuration wants is tried. When all are
//! refused the session goes on as anybody's; when the last answer was "not now"
//! the message waits, for it may be refused without need otherwise.
//!
//! What is sent here is shown to nobody: neither in the transcript, which bounces
//! quote, nor to a user who watches.
//!
//! Source: RFC 4954, guide 5.1.4 (authinfo); order and outcomes observed: 8.17.1.9.

use std::net::IpAddr;

use crate::auth::mechanism::best;
use crate::auth::{ClientExchange, Credentials, Mechanism, Secret, encoding};
use crate::client::answer::Answer;
use crate::client::outcome::{Outcome, status};
use crate::client::session::Ready;
use crate::client::witness::Witness;
use crate::smtp::ExitStatus;

/// What a server is shown.
#[derive(Debug)]
pub struct Login {
    /// Who we are.
    pub credentials: Credentials,
    /// The mechanisms that may be used, as words.
    pub wanted: Vec<u8>,
}

/// What the configuration says about a server that offers AUTH.
#[derive(Debug)]
pub enum LoginAnswer {
    /// We are nobody there.
    Nobody,
    /// We can prove who we are.
    As(Box<Login>),
    /// It cannot be told now.
    NotNow,
}

/// What happened, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginEvent<'a> {
    /// The server believes us.
    Accepted(Mechanism),
    /// None of these can be used.
    NoMechanism(&'a [u8]),
    /// The message waits.
    GivenUp,
}

/// Asked by a session whose server offers AUTH.
pub trait Logins {
    /// Says what to show to the server.
    fn login(&self, server: &[u8], address: Option<IpAddr>) -> LoginAnswer;

    /// Tells whether MAIL names the author only where we are authenticated (AuthOptions A).
    fn hides_author(&self) -> bool;

    /// Notes what happened with a server.
    fn tell(&self, server: &[u8], event: &LoginEvent<'_>);
}

/// What became of one mechanism.
enum Attempt {
    Accepted,
    Refused(Answer),
    NotNow(Answer),
    /// The session is over.
    Gone(Option<Answer>),
}

impl Ready {
    /// Proves who we are, if the server wants to know and the configuration knows.
    ///
    /// # Errors
    /// The outcome for this host; the connection is closed then.
    pub fn authenticate(
        mut self,
        address: Option<IpAddr>,
        logins: &dyn Logins,
        witness: &mut dyn Witness,
    ) -> Result<Ready, Box<Outcome>> {
        if self.offers.auth.is_empty() {
            return Ok(self);
        }
        let host = self.dialogue.host().to_vec();
        let name = host.strip_suffix(b".").unwrap_or(&host);
        let is_believed = match logins.login(name, address) {
            LoginAnswer::Nobody => false,
            LoginAnswer::NotNow => return Err(self.give_up(None, logins, witness)),
            LoginAnswer::As(login) => match self.log_in(name, &login, logins, witness) {
                Ok(is_believed) => is_believed,
                Err(last) => return Err(self.give_up(last.as_ref(), logins, witness)),
            },
        };
        if !is_believed && logins.hides_author() {
            // Nobody is named to a server that does not say who may.
            self.offers.auth.clear();
        }
        Ok(self)
    }

    /// Tries what can be tried; `Err` has the last answer of a server that cannot say now.
    fn log_in(
        &mut self,
        name: &[u8],
        login: &Login,
        logins: &dyn Logins,
        witness: &mut dyn Witness,
    ) -> Result<bool, Option<Answer>> {
        let host = self.dialogue.host().to_vec();
        let mut left = common_words(&self.offers.auth, &login.wanted);
        let mut last = None;
        loop {
            let Some(mechanism) = best(&left) else {
                let words = left.join(&b' ');
                logins.tell(&host, &LoginEvent::NoMechanism(&words));
                return Err(last);
            };
            self.dialogue.off_record(true);
            let attempt = self.attempt(mechanism, name, &login.credentials, witness);
            self.dialogue.off_record(false);
            let is_final = match attempt {
                Attempt::Accepted => {
                    logins.tell(&host, &LoginEvent::Accepted(mechanism));
                    return Ok(true);
                }
                Attempt::Gone(answer) => return Err(answer.or(last)),
                Attempt::Refused(answer) => {
                    last = Some(answer);
                    true
                }
                Attempt::NotNow(answer) => {
                    last = Some(answer);
                    false
                }
            };
            left.retain(|word| !word.eq_ignore_ascii_case(mechanism.name().as_bytes()));
            if left.is_empty() {
                return if is_final { Ok(false) } else { Err(last) };
            }
        }
    }

    fn attempt(
        &mut self,
        mechanism: Mechanism,
        name: &[u8],
        credentials: &Credentials,
        witness: &mut dyn Witness,
    ) -> Attempt {
        let wait = self.timeouts.auth;
        let mut random = [0; 32];
        if getrandom::fill(&mut random).is_err() {
            return Attempt::Gone(None);
        }
        let (mut exchange, initial) = ClientExchange::begin(mechanism, credentials, name, &random);
        let shown = [b"AUTH ", mechanism.name().as_bytes()].concat();
        let command = match &initial {
            None => Secret::new(shown.as_slice()),
            Some(initial) => {
                let word = match initial.as_bytes() {
                    b"" => b"=".to_vec(),
                    octets => encoding::encode(octets),
                };
                Secret::new([shown.as_slice(), b" ", &word].concat())
            }
        };
        self.dialogue.phase("client AUTH");
        self.dialogue.secret_command(&command, &shown, witness);
        loop {
            let Ok(answer) = self.dialogue.answer(wait, witness) else {
                return Attempt::Gone(None);
            };
            match answer.code {
                235 => return Attempt::Accepted,
                334 => {}
                421 => return Attempt::Gone(Some(answer)),
                400..=499 => return Attempt::NotNow(answer),
                _ => return Attempt::Refused(answer),
            }
            let challenge = answer.lines.first().map_or(&b""[..], Vec::as_slice);
            let challenge = encoding::decode(challenge.trim_ascii());
            let response = challenge.ok().and_then(|text| exchange.respond(&text).ok());
            let Some(response) = response else {
                // A server that makes no sense, or is not who it says.
                self.dialogue.command(b"*", witness);
                return match self.dialogue.answer(wait, witness) {
                    Ok(answer) if answer.code != 421 => Attempt::Refused(answer),
                    Ok(answer) => Attempt::Gone(Some(answer)),
                    Err(_) => Attempt::Gone(None),
                };
            };
            let line = Secret::new(encoding::encode(response.as_bytes()));
            self.dialogue.secret_command(&line, HIDDEN, witness);
        }
    }

    /// Says goodbye: the message waits.
    fn give_up(
        self,
        last: Option<&Answer>,
        logins: &dyn Logins,
        witness: &mut dyn Witness,
    ) -> Box<Outcome> {
        logins.tell(self.dialogue.host(), &LoginEvent::GivenUp);
        let _ = self.dialogue.quit(self.timeouts.quit, witness);
        let mut outcome = Outcome::new(ExitStatus::TempFail, status(4, 3, 0));
        outcome.detail = Some(b"Temporary AUTH failure".to_vec());
        outcome.reply = last.map(Answer::logged_line);
        Box::new(outcome)
    }
}

/// What stands for a response where somebody watches.
const HIDDEN: &[u8] = b"(response)";

/// The words of `offered` that are in the list `wanted`.
fn common_words(offered: &[Vec<u8>], wanted: &[u8]) -> Vec<Vec<u8>> {
    let is_wanted = |word: &[u8]| {
        let mut words = wanted.split(u8::is_ascii_whitespace);
        words.any(|one| one.eq_ignore_ascii_case(word))
    };
    let words = offered.iter().filter(|word| is_wanted(word));
    words.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_both_sides_want_is_tried() {
        let offered = ["PLAIN", "NTLM", "login"].map(|word| word.as_bytes().to_vec());
        let common = common_words(&offered, b"LOGIN  ntlm GSSAPI");
        assert_eq!(common, [b"NTLM".to_vec(), b"login".to_vec()]);
        assert_eq!(best(&common), Some(Mechanism::Login));
        assert_eq!(best(&[b"GSSAPI".to_vec()]), None);
    }
}
