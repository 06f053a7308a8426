//! The client's side of an exchange.

use super::credentials::Credentials;
use super::mechanism::Mechanism;
use super::secret::Secret;
use super::{cram_md5, digest_md5, plain, scram};

/// A challenge that makes no sense, or a server that did not prove itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientFault;

/// Where an exchange is.
#[derive(Debug)]
enum Stage {
    /// Nothing was answered yet.
    Waiting,
    /// LOGIN: the name was given.
    Named,
    /// DIGEST-MD5.
    Digest(Box<digest_md5::Client>),
    /// SCRAM.
    Scram(Box<scram::Client>),
    /// All was said.
    Said,
}

/// One exchange on the client's side.
#[derive(Debug)]
pub struct ClientExchange<'a> {
    mechanism: Mechanism,
    credentials: &'a Credentials,
    stage: Stage,
}

impl<'a> ClientExchange<'a> {
    /// Begins; gives also what goes along with AUTH, if the mechanism has that.
    ///
    /// `host` is the server's name; `random` nobody could have guessed.
    pub fn begin(
        mechanism: Mechanism,
        credentials: &'a Credentials,
        host: &[u8],
        random: &[u8; 32],
    ) -> (ClientExchange<'a>, Option<Secret>) {
        let (stage, initial) = match mechanism {
            Mechanism::Plain => (Stage::Said, Some(plain::message(credentials))),
            Mechanism::External => (Stage::Said, Some(Secret::new(credentials.other_author()))),
            Mechanism::Login | Mechanism::CramMd5 => (Stage::Waiting, None),
            Mechanism::DigestMd5 => {
                let client = digest_md5::Client::new(
                    (&credentials.user, credentials.other_author()),
                    credentials.realm.as_deref(),
                    &credentials.password,
                    host,
                    random,
                );
                (Stage::Digest(Box::new(client)), None)
            }
            Mechanism::Scram(hash) => {
                let (client, first) = scram::Client::begin(
                    hash,
                    &credentials.user,
                    credentials.other_author(),
                    &credentials.password,
                    random,
                );
                (Stage::Scram(Box::new(client)), Some(Secret::new(first)))
            }
        };
        let exchange = ClientExchange {
            mechanism,
            credentials,
            stage,
        };
        (exchange, initial)
    }

    /// Answers a challenge.
    ///
    /// # Errors
    /// The exchange must be given up.
    pub fn respond(&mut self, challenge: &[u8]) -> Result<Secret, ClientFault> {
        match &mut self.stage {
            Stage::Digest(client) => client
                .respond(challenge)
                .map(Secret::new)
                .ok_or(ClientFault),
            Stage::Scram(client) => client
                .respond(challenge)
                .map(Secret::new)
                .ok_or(ClientFault),
            Stage::Waiting if self.mechanism == Mechanism::CramMd5 => {
                self.stage = Stage::Said;
                let (user, password) = (&self.credentials.user, &self.credentials.password);
                let answer = cram_md5::answer(user, password.as_bytes(), challenge);
                Ok(Secret::new(answer))
            }
            Stage::Waiting => {
                self.stage = Stage::Named;
                Ok(Secret::new(self.credentials.user.as_slice()))
            }
            Stage::Named => {
                self.stage = Stage::Said;
                Ok(self.credentials.password.clone())
            }
            Stage::Said => Err(ClientFault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::accounts::tests::OneUser;
    use super::super::mechanism::{Hash, names};
    use super::super::server::{Reaction, ServerExchange, ServerFacts};
    use super::*;

    /// Lets the client log in with our own server; gives what the server thinks of it.
    fn log_in(mechanism: Mechanism, password: &str) -> Reaction {
        let credentials = Credentials {
            user: b"ann".to_vec(),
            author: b"ann".to_vec(),
            password: Secret::new(password),
            ..Credentials::default()
        };
        let accounts = OneUser("ann", "secret");
        let facts = ServerFacts {
            realm: b"mx.test".to_vec(),
            external: None,
            random: [1; 32],
        };
        let (mut client, initial) =
            ClientExchange::begin(mechanism, &credentials, b"mx.test", &[2; 32]);
        let initial = initial.as_ref().map(Secret::as_bytes);
        let (mut server, mut reaction) =
            ServerExchange::begin(mechanism, facts, initial, &accounts);
        while let Reaction::Challenge(challenge) = &reaction {
            let response = client.respond(challenge).expect("a response");
            reaction = server.step(response.as_bytes(), &accounts);
        }
        reaction
    }

    #[test]
    fn our_client_logs_in_with_our_server() {
        for mechanism in names(b"SCRAM-SHA-512 SCRAM-SHA-1 DIGEST-MD5 CRAM-MD5 PLAIN LOGIN") {
            assert!(
                matches!(log_in(mechanism, "secret"), Reaction::Authenticated(_)),
                "{mechanism:?}"
            );
            assert!(
                matches!(log_in(mechanism, "wrong"), Reaction::Refused(_)),
                "{mechanism:?}"
            );
        }
    }

    #[test]
    fn a_challenge_too_many_ends_it() {
        let credentials = Credentials::default();
        for mechanism in [
            Mechanism::Plain,
            Mechanism::CramMd5,
            Mechanism::Scram(Hash::Sha1),
        ] {
            let (mut client, _) = ClientExchange::begin(mechanism, &credentials, b"h", &[0; 32]);
            let mut challenges = 0;
            while client.respond(b"x").is_ok() {
                challenges += 1;
            }
            assert!(challenges <= 1, "{mechanism:?}");
        }
    }
}
