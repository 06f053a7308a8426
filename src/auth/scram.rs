//! SCRAM: salted challenge and response, with any hash (RFC 5802, RFC 7677).
//!
//! Without channel binding: what a client says about it is taken back as it said it.
//! Names and passwords are taken as they are; SASLprep leaves ASCII alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::Digest;
use hmac::{EagerHash, Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};

use super::accounts::{Accounts, canonical, split_realm};
use super::encoding::{decode, encode};
use super::mechanism::{Hash, Mechanism};
use super::outcome::{Failure, Identity};
use super::secret::{Secret, is_equal};

/// Rounds of the key derivation on the server. Observed: Cyrus SASL 2.1.28.
const ROUNDS: u32 = 4_096;

/// Most rounds a server may make us do; a million take about a second.
const MAX_ROUNDS: u32 = 1_000_000;

/// Evaluates an expression with `$digest` naming the type of the hash.
macro_rules! with_hash {
    ($hash:expr, $digest:ident => $work:expr) => {
        match $hash {
            Hash::Sha1 => {
                type $digest = Sha1;
                $work
            }
            Hash::Sha224 => {
                type $digest = Sha224;
                $work
            }
            Hash::Sha256 => {
                type $digest = Sha256;
                $work
            }
            Hash::Sha384 => {
                type $digest = Sha384;
                $work
            }
            Hash::Sha512 => {
                type $digest = Sha512;
                $work
            }
        }
    };
}

/// The keys made of a password (RFC 5802 section 3).
struct Keys {
    client: Vec<u8>,
    stored: Vec<u8>,
    server: Vec<u8>,
}

impl Keys {
    fn derive(hash: Hash, password: &[u8], salt: &[u8], rounds: u32) -> Keys {
        let salted = with_hash!(hash, D => salted::<D>(password, salt, rounds));
        let client = keyed(hash, salted.as_bytes(), b"Client Key");
        Keys {
            stored: with_hash!(hash, D => D::digest(&client).to_vec()),
            client,
            server: keyed(hash, salted.as_bytes(), b"Server Key"),
        }
    }

    fn proof(&self, hash: Hash, message: &[u8]) -> Vec<u8> {
        let signature = keyed(hash, &self.stored, message);
        let pairs = self.client.iter().zip(&signature);
        pairs.map(|(one, other)| one ^ other).collect()
    }
}

fn salted<D: EagerHash>(password: &[u8], salt: &[u8], rounds: u32) -> Secret {
    let mut key = vec![0; <D as Digest>::output_size()];
    pbkdf2::pbkdf2_hmac::<D>(password, salt, rounds, &mut key);
    Secret::new(key)
}

fn keyed(hash: Hash, key: &[u8], message: &[u8]) -> Vec<u8> {
    with_hash!(hash, D => {
        let mut mac = Hmac::<D>::new_from_slice(key).expect("a key may have any length");
        mac.update(message);
        mac.finalize().into_bytes().to_vec()
    })
}

/// The server's side, waiting for the client's proof.
#[derive(Debug)]
pub struct Server {
    hash: Hash,
    user: Vec<u8>,
    /// `c=` of the client's last message: its header in base64.
    binding: Vec<u8>,
    nonce: Vec<u8>,
    stored: Secret,
    server: Secret,
    /// What is signed, as far as it is known: the first two messages.
    message: Vec<u8>,
}

impl Server {
    /// Takes the client's first message; gives the challenge.
    ///
    /// # Errors
    /// Why not; the words are those of Cyrus SASL.
    pub fn begin(
        hash: Hash,
        first: &[u8],
        random: &[u8; 32],
        own_realm: &[u8],
        accounts: &dyn Accounts,
    ) -> Result<(Server, Vec<u8>), Failure> {
        let name = Mechanism::Scram(hash).name();
        if first.is_empty() {
            return Err(Failure::protocol(format!("{name} input expected")));
        }
        let invalid = || Failure::protocol(format!("Invalid {name} input"));
        let (header, bare) = split_header(first).ok_or_else(invalid)?;
        let mut attributes = bare.split(|octet| *octet == b',');
        let user = attributes.next().and_then(|one| one.strip_prefix(b"n="));
        let nonce = attributes.next().and_then(|one| one.strip_prefix(b"r="));
        let (user, nonce) = user.zip(nonce).ok_or_else(invalid)?;
        let user = unescape(user).ok_or_else(invalid)?;
        if nonce.is_empty() || !nonce.iter().all(u8::is_ascii_graphic) {
            return Err(invalid());
        }
        let user = canonical(&user)?;
        let (plain, realm) = split_realm(&user, own_realm);
        let password = accounts.password(plain, realm);
        let password = password
            .map_err(|failure| failure.told_as("unable to canonify user and get auxprops"))?;
        let (salt, own) = random.split_at(16);
        let keys = Keys::derive(hash, password.as_bytes(), salt, ROUNDS);
        let nonce = [nonce, encode(own).as_slice()].concat();
        let rounds = format!(",i={ROUNDS}");
        let challenge = [
            b"r=",
            nonce.as_slice(),
            b",s=",
            &encode(salt),
            rounds.as_bytes(),
        ]
        .concat();
        let message = [bare, b",", &challenge].concat();
        let server = Server {
            hash,
            user,
            binding: encode(header),
            nonce,
            stored: Secret::new(keys.stored),
            server: Secret::new(keys.server),
            message,
        };
        Ok((server, challenge))
    }

    /// Checks the client's proof; gives ours.
    ///
    /// # Errors
    /// Why not; the words are those of Cyrus SASL.
    pub fn finish(self, last: &[u8]) -> Result<(Identity, Vec<u8>), Failure> {
        let name = Mechanism::Scram(self.hash).name();
        let invalid = || Failure::protocol(format!("Invalid {name} input"));
        let at = memchr::memmem::rfind(last, b",p=").ok_or_else(invalid)?;
        let (unproved, proof) = last.split_at(at);
        let proof = decode(proof.get(3..).unwrap_or(b"")).map_err(|_| invalid())?;
        let mut attributes = unproved.split(|octet| *octet == b',');
        let binding = attributes.next().and_then(|one| one.strip_prefix(b"c="));
        let nonce = attributes.next().and_then(|one| one.strip_prefix(b"r="));
        if binding != Some(&*self.binding) {
            return Err(Failure::protocol(format!(
                "Channel binding mismatch {name} input"
            )));
        }
        if nonce != Some(&*self.nonce) {
            return Err(Failure::protocol(format!("Nonce mismatch {name} input")));
        }
        let message = [self.message.as_slice(), b",", unproved].concat();
        let signature = keyed(self.hash, self.stored.as_bytes(), &message);
        let pairs = proof.iter().zip(&signature);
        let client: Vec<u8> = pairs.map(|(one, other)| one ^ other).collect();
        let stored = with_hash!(self.hash, D => D::digest(&client).to_vec());
        if proof.len() != signature.len() || !is_equal(&stored, self.stored.as_bytes()) {
            return Err(Failure::wrong("StoredKey mismatch"));
        }
        let ours = keyed(self.hash, self.server.as_bytes(), &message);
        let identity = Identity { user: self.user };
        Ok((identity, [b"v=", encode(&ours).as_slice()].concat()))
    }
}

/// The client's side.
#[derive(Debug)]
pub struct Client {
    hash: Hash,
    password: Secret,
    header: Vec<u8>,
    bare: Vec<u8>,
    nonce: Vec<u8>,
    /// What the server must prove itself with.
    expected: Option<Vec<u8>>,
}

impl Client {
    /// Makes the first message.
    pub fn begin(
        hash: Hash,
        user: &[u8],
        author: &[u8],
        password: &Secret,
        random: &[u8; 32],
    ) -> (Client, Vec<u8>) {
        let nonce = STANDARD.encode(random.split_at(24).0).into_bytes();
        let header = match author {
            b"" => b"n,,".to_vec(),
            author => [b"n,a=", escape(author).as_slice(), b","].concat(),
        };
        let bare = [b"n=", escape(user).as_slice(), b",r=", &nonce].concat();
        let first = [header.as_slice(), &bare].concat();
        let client = Client {
            hash,
            password: password.clone(),
            header,
            bare,
            nonce,
            expected: None,
        };
        (client, first)
    }

    /// Answers the challenge, then checks the server's own proof; `None` when it makes no sense.
    pub fn respond(&mut self, challenge: &[u8]) -> Option<Vec<u8>> {
        if let Some(expected) = self.expected.take() {
            let proof = decode(challenge.strip_prefix(b"v=")?).ok()?;
            return is_equal(&proof, &expected).then(Vec::new);
        }
        let mut attributes = challenge.split(|octet| *octet == b',');
        let nonce = attributes.next()?.strip_prefix(b"r=")?;
        let salt = decode(attributes.next()?.strip_prefix(b"s=")?).ok()?;
        let rounds = attributes.next()?.strip_prefix(b"i=")?;
        let rounds: u32 = std::str::from_utf8(rounds).ok()?.parse().ok()?;
        let is_ours = nonce.starts_with(&self.nonce) && nonce.len() > self.nonce.len();
        if !is_ours || !(1..=MAX_ROUNDS).contains(&rounds) {
            return None;
        }
        let keys = Keys::derive(self.hash, self.password.as_bytes(), &salt, rounds);
        let unproved = [b"c=", encode(&self.header).as_slice(), b",r=", nonce].concat();
        let message = [self.bare.as_slice(), b",", challenge, b",", &unproved].concat();
        let proof = encode(&keys.proof(self.hash, &message));
        self.expected = Some(keyed(self.hash, &keys.server, &message));
        Some([unproved.as_slice(), b",p=", &proof].concat())
    }
}

/// Cuts `n,,` or `y,a=AUTHOR,` off the client's first message.
fn split_header(first: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut commas = memchr::memchr_iter(b',', first);
    let (flag_end, header_end) = (commas.next()?, commas.next()?);
    let author = first.get(flag_end + 1..header_end)?;
    let is_known = matches!(first.get(..flag_end)?, b"n" | b"y")
        && (author.is_empty() || author.starts_with(b"a="));
    is_known.then(|| first.split_at(header_end + 1))
}

/// Undoes `=2C` and `=3D`; `None` for any other `=`.
fn unescape(name: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&octet, tail)) = rest.split_first() {
        rest = tail;
        if octet != b'=' {
            plain.push(octet);
            continue;
        }
        let (code, tail) = rest.split_at_checked(2)?;
        plain.push(match code {
            b"2C" => b',',
            b"3D" => b'=',
            _ => return None,
        });
        rest = tail;
    }
    Some(plain)
}

fn escape(name: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(name.len());
    for &octet in name {
        match octet {
            b',' => escaped.extend_from_slice(b"=2C"),
            b'=' => escaped.extend_from_slice(b"=3D"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::accounts::tests::OneUser;
    use super::*;

    const PENCIL: OneUser = OneUser("user", "pencil");

    /// Plays the examples of the standards: our side with their nonces.
    fn example(hash: Hash, nonce: &str, first: &str, last: &str, proof: &str) {
        let mut client = Client {
            hash,
            password: Secret::new("pencil"),
            header: b"n,,".to_vec(),
            bare: format!("n=user,r={nonce}").into_bytes(),
            nonce: nonce.as_bytes().to_vec(),
            expected: None,
        };
        let said = client.respond(first.as_bytes()).expect("an answer");
        assert_eq!(String::from_utf8(said).unwrap(), last);
        assert_eq!(client.respond(proof.as_bytes()), Some(Vec::new()));
    }

    #[test]
    fn the_examples_of_the_standards() {
        example(
            Hash::Sha1,
            "fyko+d2lbbFgONRv9qkxdawL",
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        );
        example(
            Hash::Sha256,
            "rOprNGfwEbeRWgbNEkqO",
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        );
    }

    /// Lets our two sides talk; gives what the server thinks of it.
    fn talk(hash: Hash, user: &str, password: &str) -> Result<Identity, Failure> {
        let secret = Secret::new(password);
        let (mut client, first) = Client::begin(hash, user.as_bytes(), b"", &secret, &[5; 32]);
        let (server, challenge) = Server::begin(hash, &first, &[9; 32], b"r", &PENCIL)?;
        let last = client.respond(&challenge).expect("an answer");
        let (identity, proof) = server.finish(&last)?;
        assert_eq!(client.respond(&proof), Some(Vec::new()));
        Ok(identity)
    }

    #[test]
    fn our_sides_understand_each_other_with_every_hash() {
        use Hash::{Sha1, Sha224, Sha256, Sha384, Sha512};
        for hash in [Sha1, Sha224, Sha256, Sha384, Sha512] {
            assert_eq!(talk(hash, "user", "pencil").unwrap().user, b"user");
            let failure = talk(hash, "user", "pen").unwrap_err();
            assert_eq!(failure, Failure::wrong("StoredKey mismatch"));
        }
        let nobody = talk(Sha1, "joe", "pencil").unwrap_err();
        assert_eq!(nobody.detail, "unable to canonify user and get auxprops");
    }

    #[test]
    fn a_server_that_cannot_prove_itself_is_not_believed() {
        let secret = Secret::new("pencil");
        let (mut client, _) = Client::begin(Hash::Sha1, b"user", b"", &secret, &[5; 32]);
        let nonce = String::from_utf8(client.nonce.clone()).unwrap();
        for bad in [
            "".to_owned(),
            "r=other,s=QSXCR+Q6sek8bf92,i=4096".to_owned(),
            format!("r={nonce},s=QSXCR+Q6sek8bf92,i=4096"),
            format!("r={nonce}x,s=QSXCR+Q6sek8bf92,i=0"),
            format!("r={nonce}x,s=QSXCR+Q6sek8bf92,i=99999999"),
            format!("r={nonce}x,s=!,i=1"),
            format!("m=1,r={nonce}x,s=QSXC,i=1"),
        ] {
            assert_eq!(client.respond(bad.as_bytes()), None, "{bad}");
        }
        let good = format!("r={nonce}x,s=QSXCR+Q6sek8bf92,i=1");
        assert!(client.respond(good.as_bytes()).is_some());
        assert_eq!(client.respond(b"v=AAAA"), None);
    }

    #[test]
    fn what_is_no_scram_is_refused() {
        for first in [
            "",
            "xx",
            "n,,",
            "p=tls-unique,,n=user,r=x",
            "n,x,n=user,r=x",
            "n,,n=us=er,r=x",
            "n,,m=x,n=user,r=x",
            "n,,n=user,r=",
            "n,,n=user",
            "n,,r=x,n=user",
            "\u{1},,n=,r=",
        ] {
            let begun = Server::begin(Hash::Sha1, first.as_bytes(), &[0; 32], b"r", &PENCIL);
            assert!(begun.is_err(), "{first}");
        }
        let first = b"n,,n=user,r=abc";
        for (last, detail) in [
            ("", "Invalid SCRAM-SHA-1 input"),
            ("c=biws,r=abc,p=!", "Invalid SCRAM-SHA-1 input"),
            ("c=biws,r=other,p=AAAA", "Nonce mismatch SCRAM-SHA-1 input"),
            (
                "c=eSws,r=abc,p=AAAA",
                "Channel binding mismatch SCRAM-SHA-1 input",
            ),
            (
                "c=biws,r=abcCQkJCQkJCQkJCQkJCQkJCQ==,p=AAAA",
                "StoredKey mismatch",
            ),
        ] {
            let (server, _) =
                Server::begin(Hash::Sha1, first, &[9; 32], b"r", &PENCIL).expect("a challenge");
            let failure = server.finish(last.as_bytes()).unwrap_err();
            assert_eq!(failure.detail, detail, "{last}");
        }
    }

    #[test]
    fn commas_and_equal_signs_in_names() {
        assert_eq!(escape(b"a,b=c"), b"a=2Cb=3Dc");
        assert_eq!(unescape(b"a=2Cb=3Dc").unwrap(), b"a,b=c");
        assert_eq!((unescape(b"a="), unescape(b"=2c")), (None, None));
    }
}
