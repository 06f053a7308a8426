//! The server's side of an exchange: what the client said in, what to answer out.
//!
//! [`ServerExchange::begin`] takes the mechanism and the initial response, if there
//! was one; [`ServerExchange::step`] each response after that. It is over with
//! [`Reaction::Authenticated`] or [`Reaction::Refused`].

use super::accounts::Accounts;
use super::mechanism::Mechanism;
use super::outcome::{Failure, Identity};
use super::{cram_md5, digest_md5, login, plain, scram};

/// What an exchange needs to know of us and the connection.
#[derive(Debug, Clone)]
pub struct ServerFacts {
    /// Our name and realm: AuthRealm or `$j`.
    pub realm: Vec<u8>,
    /// Who the client's verified certificate says it is.
    pub external: Option<Vec<u8>>,
    /// Nobody could have guessed it, and it is used once.
    pub random: [u8; 32],
}

/// What follows from what the client said.
#[derive(Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Ask this and wait for the response.
    Challenge(Vec<u8>),
    /// The client is who it says.
    Authenticated(Identity),
    /// It is not, or nobody knows.
    Refused(Failure),
}

/// What the next response is taken for.
#[derive(Debug)]
enum Wait {
    /// The first response of the mechanism.
    First,
    /// The password of LOGIN.
    Password { user: Vec<u8> },
    /// The digest of CRAM-MD5.
    Keyed { challenge: Vec<u8> },
    /// The response of DIGEST-MD5.
    Digest(digest_md5::Server),
    /// The proof of SCRAM.
    Proof(Box<scram::Server>),
    /// An empty line after our own proof.
    Consent(Identity),
    /// Nothing: it is over.
    Over,
}

/// One exchange on the server's side.
#[derive(Debug)]
pub struct ServerExchange {
    mechanism: Mechanism,
    facts: ServerFacts,
    wait: Wait,
    claimed: Vec<u8>,
}

impl ServerExchange {
    /// Begins; `initial` is the response that came along with AUTH.
    pub fn begin(
        mechanism: Mechanism,
        facts: ServerFacts,
        initial: Option<&[u8]>,
        accounts: &dyn Accounts,
    ) -> (ServerExchange, Reaction) {
        let mut exchange = ServerExchange {
            mechanism,
            facts,
            wait: Wait::First,
            claimed: Vec::new(),
        };
        let reaction = match initial {
            Some(initial) if mechanism == Mechanism::CramMd5 => {
                exchange.claimed = cram_md5::claimed(initial);
                exchange.wait = Wait::Over;
                Reaction::Refused(Failure::protocol(
                    "Remote sent first but mech does not allow it.",
                ))
            }
            // It would be for one that was there before; none is remembered.
            Some(_) if mechanism == Mechanism::DigestMd5 => exchange.open(),
            Some(initial) => exchange.step(initial, accounts),
            None => exchange.open(),
        };
        (exchange, reaction)
    }

    /// The mechanism.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Who the client says it is, for the log; may be empty.
    pub fn claimed(&self) -> &[u8] {
        &self.claimed
    }

    /// Says what is asked first.
    fn open(&mut self) -> Reaction {
        let random = &self.facts.random;
        Reaction::Challenge(match self.mechanism {
            Mechanism::Login => login::USER_PROMPT.to_vec(),
            Mechanism::CramMd5 => {
                let challenge = cram_md5::challenge(random, &self.facts.realm);
                self.wait = Wait::Keyed {
                    challenge: challenge.clone(),
                };
                challenge
            }
            Mechanism::DigestMd5 => {
                let (server, challenge) = digest_md5::Server::begin(random, &self.facts.realm);
                self.wait = Wait::Digest(server);
                challenge
            }
            Mechanism::Plain | Mechanism::External | Mechanism::Scram(_) => Vec::new(),
        })
    }

    /// Takes a response.
    pub fn step(&mut self, response: &[u8], accounts: &dyn Accounts) -> Reaction {
        match self.take(response, accounts) {
            Ok(reaction) => reaction,
            Err(failure) => Reaction::Refused(failure),
        }
    }

    fn take(&mut self, response: &[u8], accounts: &dyn Accounts) -> Result<Reaction, Failure> {
        let identity = match std::mem::replace(&mut self.wait, Wait::Over) {
            Wait::First => return self.take_first(response, accounts),
            Wait::Password { user } => {
                login::check((&user, &self.facts.realm), response, accounts)?
            }
            Wait::Keyed { challenge } => {
                self.claimed = cram_md5::claimed(response);
                cram_md5::check(response, &challenge, &self.facts.realm, accounts)?
            }
            Wait::Digest(server) => {
                self.claimed = digest_md5::claimed(response);
                let (identity, proof) = server.finish(response, accounts)?;
                self.wait = Wait::Consent(identity);
                return Ok(Reaction::Challenge(proof));
            }
            Wait::Proof(server) => {
                let (identity, proof) = server.finish(response)?;
                self.wait = Wait::Consent(identity);
                return Ok(Reaction::Challenge(proof));
            }
            Wait::Consent(identity) if response.is_empty() => identity,
            Wait::Consent(_) => return Err(Failure::protocol("more data than expected")),
            Wait::Over => return Err(Failure::protocol("nothing was asked")),
        };
        Ok(Reaction::Authenticated(identity))
    }

    fn take_first(
        &mut self,
        response: &[u8],
        accounts: &dyn Accounts,
    ) -> Result<Reaction, Failure> {
        let identity = match self.mechanism {
            Mechanism::Plain => {
                self.claimed = plain::claimed(response);
                plain::check(response, &self.facts.realm, accounts)?
            }
            Mechanism::Login => {
                self.claimed = response.to_vec();
                let user = response.to_vec();
                self.wait = Wait::Password { user };
                return Ok(Reaction::Challenge(login::PASSWORD_PROMPT.to_vec()));
            }
            Mechanism::Scram(hash) => {
                let facts = &self.facts;
                let begun =
                    scram::Server::begin(hash, response, &facts.random, &facts.realm, accounts);
                let (server, challenge) = begun?;
                self.wait = Wait::Proof(Box::new(server));
                return Ok(Reaction::Challenge(challenge));
            }
            Mechanism::External => {
                let user = self.facts.external.clone();
                let user = user.ok_or_else(|| Failure::wrong("no external identity"))?;
                Identity { user }
            }
            // Both begin with a challenge of ours and never come here.
            Mechanism::CramMd5 | Mechanism::DigestMd5 => {
                return Err(Failure::protocol("nothing was asked"));
            }
        };
        Ok(Reaction::Authenticated(identity))
    }
}

#[cfg(test)]
mod tests {
    use super::super::accounts::tests::OneUser;
    use super::super::mechanism::Hash;
    use super::*;

    const ANN: OneUser = OneUser("ann", "secret");

    fn facts() -> ServerFacts {
        ServerFacts {
            realm: b"mx.test".to_vec(),
            external: None,
            random: [3; 32],
        }
    }

    fn begin(mechanism: Mechanism, initial: Option<&[u8]>) -> (ServerExchange, Reaction) {
        ServerExchange::begin(mechanism, facts(), initial, &ANN)
    }

    fn ann() -> Reaction {
        Reaction::Authenticated(Identity {
            user: b"ann".to_vec(),
        })
    }

    #[test]
    fn plain_with_and_without_initial_response() {
        let (_, reaction) = begin(Mechanism::Plain, Some(b"\0ann\0secret"));
        assert_eq!(reaction, ann());
        let (mut exchange, reaction) = begin(Mechanism::Plain, None);
        assert_eq!(reaction, Reaction::Challenge(Vec::new()));
        assert_eq!(exchange.step(b"\0ann\0secret", &ANN), ann());
        assert_eq!(exchange.claimed(), b"ann");
    }

    #[test]
    fn login_asks_for_what_is_missing() {
        let (mut exchange, reaction) = begin(Mechanism::Login, None);
        assert_eq!(reaction, Reaction::Challenge(b"Username:".to_vec()));
        let reaction = exchange.step(b"ann", &ANN);
        assert_eq!(reaction, Reaction::Challenge(b"Password:".to_vec()));
        assert_eq!(exchange.step(b"secret", &ANN), ann());
        let (mut exchange, reaction) = begin(Mechanism::Login, Some(b"ann"));
        assert_eq!(reaction, Reaction::Challenge(b"Password:".to_vec()));
        assert!(matches!(exchange.step(b"x", &ANN), Reaction::Refused(_)));
    }

    #[test]
    fn an_exchange_that_is_over_stays_so() {
        for mechanism in [Mechanism::Plain, Mechanism::CramMd5] {
            let (mut exchange, _) = begin(mechanism, Some(b"x"));
            for _ in 0..3 {
                assert!(matches!(
                    exchange.step(b"\0ann\0secret", &ANN),
                    Reaction::Refused(_)
                ));
            }
        }
    }

    #[test]
    fn our_own_proof_is_followed_by_an_empty_line() {
        let identity = Identity {
            user: b"ann".to_vec(),
        };
        let (mut exchange, _) = begin(Mechanism::Scram(Hash::Sha1), None);
        exchange.wait = Wait::Consent(identity.clone());
        assert!(matches!(exchange.step(b"x", &ANN), Reaction::Refused(_)));
        exchange.wait = Wait::Consent(identity);
        assert_eq!(exchange.step(b"", &ANN), ann());
    }

    #[test]
    fn a_certificate_says_who_it_is() {
        let (_, reaction) = begin(Mechanism::External, Some(b""));
        assert!(matches!(reaction, Reaction::Refused(_)));
        let mut facts = facts();
        facts.external = Some(b"/CN=ann".to_vec());
        let (_, reaction) = ServerExchange::begin(Mechanism::External, facts, Some(b"x"), &ANN);
        let user = b"/CN=ann".to_vec();
        assert_eq!(reaction, Reaction::Authenticated(Identity { user }));
    }

    #[test]
    fn no_response_makes_an_exchange_panic() {
        let all = [
            Mechanism::External,
            Mechanism::Scram(Hash::Sha256),
            Mechanism::DigestMd5,
            Mechanism::CramMd5,
            Mechanism::Plain,
            Mechanism::Login,
        ];
        let mut number = 1_u32;
        for mechanism in all {
            for round in 0..300_usize {
                let mut text = Vec::new();
                for _ in 0..round % 40 {
                    number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let letters = b"n,=\0 \"r\\ap\xff";
                    text.push(letters[usize::try_from(number >> 16).unwrap() % letters.len()]);
                }
                let initial = (round % 2 == 0).then_some(text.as_slice());
                let (mut exchange, _) = begin(mechanism, initial);
                for _ in 0..3 {
                    let reaction = exchange.step(&text, &ANN);
                    assert!(!matches!(reaction, Reaction::Authenticated(_)), "{text:?}");
                }
            }
        }
    }
}
