//! DIGEST-MD5: a digest over name, realm, password and two nonces (RFC 2831).
//!
//! Of the qualities of protection only `auth` is offered and taken: nothing of
//! what follows is signed or encrypted; TLS does that better.

use md5::{Digest, Md5};

use super::accounts::{Accounts, canonical};
use super::cram_md5::hexadecimal;
use super::encoding::encode;
use super::outcome::{Failure, Identity};
use super::secret::{Secret, is_equal};

/// Most directives of one message; the standard knows a dozen.
const MAX_DIRECTIVES: usize = 64;

/// What a digest is made of besides the password.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Terms {
    user: Vec<u8>,
    realm: Vec<u8>,
    nonce: Vec<u8>,
    client_nonce: Vec<u8>,
    count: Vec<u8>,
    quality: Vec<u8>,
    uri: Vec<u8>,
    author: Option<Vec<u8>>,
    is_utf8: bool,
}

impl Terms {
    /// The response (RFC 2831 section 2.1.2.1), `verb` being `AUTHENTICATE` or empty.
    fn response(&self, verb: &[u8], password: &[u8]) -> Vec<u8> {
        let encoded = |text: &[u8]| match self.is_utf8 {
            true => latin1(text),
            false => text.to_vec(),
        };
        let user = Secret::new(
            [
                encoded(&self.user).as_slice(),
                b":",
                &encoded(&self.realm),
                b":",
                Secret::new(encoded(password)).as_bytes(),
            ]
            .concat(),
        );
        let mut first = Md5::digest(user.as_bytes()).to_vec();
        for part in [&self.nonce, &self.client_nonce] {
            first.extend_from_slice(b":");
            first.extend_from_slice(part);
        }
        if let Some(author) = &self.author {
            first.extend_from_slice(b":");
            first.extend_from_slice(author);
        }
        let second = [verb, b":", self.uri.as_slice()].concat();
        let parts = [
            hexadecimal(&Md5::digest(&first)),
            self.nonce.clone(),
            self.count.clone(),
            self.client_nonce.clone(),
            self.quality.clone(),
            hexadecimal(&Md5::digest(&second)),
        ];
        hexadecimal(&Md5::digest(parts.join(&b':')))
    }
}

/// The server's side, waiting for the client's response.
#[derive(Debug)]
pub struct Server {
    nonce: Vec<u8>,
    realm: Vec<u8>,
}

impl Server {
    /// Makes the challenge.
    pub fn begin(random: &[u8; 32], realm: &[u8]) -> (Server, Vec<u8>) {
        let nonce = encode(random);
        let challenge = [
            b"nonce=\"",
            nonce.as_slice(),
            b"\",realm=\"",
            realm,
            b"\",qop=\"auth\",charset=utf-8,algorithm=md5-sess",
        ]
        .concat();
        let realm = realm.to_vec();
        (Server { nonce, realm }, challenge)
    }

    /// Checks the response; gives our own proof.
    ///
    /// # Errors
    /// Why not; the words are those of Cyrus SASL.
    pub fn finish(
        &self,
        response: &[u8],
        accounts: &dyn Accounts,
    ) -> Result<(Identity, Vec<u8>), Failure> {
        let parse_error = || Failure::wrong("Parse error");
        let directives = Directives::parse(response).ok_or_else(parse_error)?;
        let given = |name: &str| directives.value(name).map(<[u8]>::to_vec);
        let wanted = |name: &str| {
            given(name).ok_or_else(|| Failure::protocol("required parameters missing"))
        };
        let terms = Terms {
            user: wanted("username")?,
            realm: given("realm").unwrap_or_default(),
            nonce: wanted("nonce")?,
            client_nonce: wanted("cnonce")?,
            count: wanted("nc")?,
            quality: given("qop").unwrap_or_else(|| b"auth".to_vec()),
            uri: wanted("digest-uri")?,
            author: given("authzid").filter(|author| !author.is_empty()),
            is_utf8: given("charset").is_some_and(|name| name.eq_ignore_ascii_case(b"utf-8")),
        };
        if terms.nonce != self.nonce {
            return Err(Failure::wrong("nonce changed: authentication aborted"));
        }
        if terms.count != b"00000001" {
            return Err(Failure::wrong(
                "incorrect nonce-count: authentication aborted",
            ));
        }
        if terms.quality != b"auth" {
            return Err(Failure::protocol("client requested invalid qop-value"));
        }
        let user = canonical(&terms.user)?;
        let password = accounts
            .password(&user, &terms.realm)
            .map_err(|failure| failure.told_as("unable to canonify user and get auxprops"))?;
        let expected = terms.response(b"AUTHENTICATE", password.as_bytes());
        if !is_equal(&expected, &wanted("response")?) {
            return Err(Failure::wrong(
                "client response doesn't match what we generated (tried bogus)",
            ));
        }
        let proof = terms.response(b"", password.as_bytes());
        let user = match terms.realm == self.realm || terms.realm.is_empty() {
            true => user,
            false => [user.as_slice(), b"@", &terms.realm].concat(),
        };
        Ok((Identity { user }, [b"rspauth=", proof.as_slice()].concat()))
    }
}

/// Who the client says it is, for the log.
pub fn claimed(response: &[u8]) -> Vec<u8> {
    Directives::parse(response)
        .and_then(|directives| directives.value("username").map(<[u8]>::to_vec))
        .unwrap_or_default()
}

/// The client's side.
#[derive(Debug)]
pub struct Client {
    user: Vec<u8>,
    author: Vec<u8>,
    realm: Option<Vec<u8>>,
    password: Secret,
    host: Vec<u8>,
    client_nonce: Vec<u8>,
    /// What the server must prove itself with.
    expected: Option<Vec<u8>>,
}

impl Client {
    /// Waits for the challenge of `host`.
    pub fn new(
        (user, author): (&[u8], &[u8]),
        realm: Option<&[u8]>,
        password: &Secret,
        host: &[u8],
        random: &[u8; 32],
    ) -> Client {
        Client {
            user: user.to_vec(),
            author: author.to_vec(),
            realm: realm.map(<[u8]>::to_vec),
            password: password.clone(),
            host: host.to_vec(),
            client_nonce: encode(random),
            expected: None,
        }
    }

    /// Answers the challenge, then checks the server's own proof; `None` when it makes no sense.
    pub fn respond(&mut self, challenge: &[u8]) -> Option<Vec<u8>> {
        let directives = Directives::parse(challenge)?;
        if let Some(expected) = self.expected.take() {
            let proof = directives.value("rspauth")?;
            return is_equal(proof, &expected).then(Vec::new);
        }
        let qualities = directives.value("qop").unwrap_or(b"auth");
        let mut qualities = qualities.split(|octet| b", \t".contains(octet));
        if !qualities.any(|one| one.eq_ignore_ascii_case(b"auth"))
            || !directives
                .value("algorithm")?
                .eq_ignore_ascii_case(b"md5-sess")
        {
            return None;
        }
        let realm = self.choose_realm(&directives);
        let terms = Terms {
            user: self.user.clone(),
            realm,
            nonce: directives.value("nonce")?.to_vec(),
            client_nonce: self.client_nonce.clone(),
            count: b"00000001".to_vec(),
            quality: b"auth".to_vec(),
            uri: [b"smtp/", self.host.as_slice()].concat(),
            author: Some(self.author.clone()).filter(|author| !author.is_empty()),
            is_utf8: directives
                .value("charset")
                .is_some_and(|name| name.eq_ignore_ascii_case(b"utf-8")),
        };
        self.expected = Some(terms.response(b"", self.password.as_bytes()));
        let mut response = Vec::new();
        for (name, value) in [
            ("username", &terms.user),
            ("realm", &terms.realm),
            ("nonce", &terms.nonce),
            ("cnonce", &terms.client_nonce),
            ("digest-uri", &terms.uri),
        ] {
            append_quoted(name, value, &mut response);
        }
        if let Some(author) = &terms.author {
            append_quoted("authzid", author, &mut response);
        }
        response.extend_from_slice(b"nc=00000001,qop=auth,");
        if terms.is_utf8 {
            response.extend_from_slice(b"charset=utf-8,");
        }
        response.extend_from_slice(b"response=");
        response.extend(terms.response(b"AUTHENTICATE", self.password.as_bytes()));
        Some(response)
    }
}

impl Client {
    /// Ours if it is offered, else the first that is, else ours; the host is the last resort.
    fn choose_realm(&self, directives: &Directives) -> Vec<u8> {
        let ours = self.realm.as_deref();
        let first = directives.value("realm");
        let is_offered = ours.filter(|ours| directives.has("realm", ours));
        is_offered.or(first).or(ours).unwrap_or(&self.host).to_vec()
    }
}

/// Appends `name="value",`, quoting what needs it.
fn append_quoted(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    for &octet in value {
        if matches!(octet, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(octet);
    }
    out.extend_from_slice(b"\",");
}

/// `name=value` pairs with commas between them, values quoted or not.
struct Directives(Vec<(Vec<u8>, Vec<u8>)>);

impl Directives {
    fn parse(text: &[u8]) -> Option<Directives> {
        let mut pairs = Vec::new();
        let mut rest = skip(text);
        while !rest.is_empty() {
            if pairs.len() >= MAX_DIRECTIVES {
                return None;
            }
            let at = rest.iter().position(|octet| *octet == b'=')?;
            let name = rest.get(..at)?.trim_ascii().to_ascii_lowercase();
            if name.is_empty()
                || !name
                    .iter()
                    .all(|octet| octet.is_ascii_graphic() && *octet != b'"')
            {
                return None;
            }
            let (value, tail) = value_of(rest.get(at + 1..)?.trim_ascii_start())?;
            pairs.push((name, value));
            let tail = tail.trim_ascii_start();
            if !tail.is_empty() && !tail.starts_with(b",") {
                return None;
            }
            rest = skip(tail);
        }
        // An empty message says nothing.
        (!pairs.is_empty()).then_some(Directives(pairs))
    }

    fn has(&self, name: &str, value: &[u8]) -> bool {
        let mut pairs = self.0.iter();
        pairs.any(|(known, given)| known == name.as_bytes() && given == value)
    }

    /// The first value of a name.
    fn value(&self, name: &str) -> Option<&[u8]> {
        let found = self.0.iter().find(|(known, _)| known == name.as_bytes());
        found.map(|(_, value)| value.as_slice())
    }
}

/// Takes one value from the front; gives it and the rest.
fn value_of(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let Some(mut rest) = text.strip_prefix(b"\"") else {
        let end = text
            .iter()
            .position(|octet| *octet == b',')
            .unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return Some((value.trim_ascii_end().to_vec(), rest));
    };
    let mut value = Vec::new();
    loop {
        let (&octet, tail) = rest.split_first()?;
        rest = tail;
        match octet {
            b'"' => return Some((value, rest)),
            b'\\' => {
                let (&escaped, tail) = rest.split_first()?;
                value.push(escaped);
                rest = tail;
            }
            other => value.push(other),
        }
    }
}

fn skip(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|octet| !b", \t\r\n".contains(octet));
    end.and_then(|end| text.get(end..)).unwrap_or(b"")
}

/// Writes UTF-8 in ISO 8859-1 if that has all its characters (RFC 2831 section 2.1.2.1).
fn latin1(text: &[u8]) -> Vec<u8> {
    let characters = std::str::from_utf8(text).ok().and_then(|text| {
        text.chars()
            .map(|one| u8::try_from(u32::from(one)).ok())
            .collect()
    });
    characters.unwrap_or_else(|| text.to_vec())
}

#[cfg(test)]
mod tests {
    use super::super::accounts::tests::OneUser;
    use super::*;

    const CHRIS: OneUser = OneUser("chris", "secret");

    /// The terms of the example in RFC 2831 section 4.
    fn example() -> Terms {
        Terms {
            user: b"chris".to_vec(),
            realm: b"elwood.innosoft.com".to_vec(),
            nonce: b"OA6MG9tEQGm2hh".to_vec(),
            client_nonce: b"OA6MHXh6VqTrRk".to_vec(),
            count: b"00000001".to_vec(),
            quality: b"auth".to_vec(),
            uri: b"imap/elwood.innosoft.com".to_vec(),
            author: None,
            is_utf8: true,
        }
    }

    #[test]
    fn the_example_of_the_standard() {
        let terms = example();
        assert_eq!(
            terms.response(b"AUTHENTICATE", b"secret"),
            b"d388dad90d4bbd760a152321f2143af7"
        );
        assert_eq!(
            terms.response(b"", b"secret"),
            b"ea40f60335c427b5527b84dbabcdfffd"
        );
    }

    #[test]
    fn a_server_takes_the_response_of_the_standard() {
        let server = Server {
            nonce: b"OA6MG9tEQGm2hh".to_vec(),
            realm: b"elwood.innosoft.com".to_vec(),
        };
        let response = b"charset=utf-8,username=\"chris\",realm=\"elwood.innosoft.com\",\
            nonce=\"OA6MG9tEQGm2hh\",nc=00000001,cnonce=\"OA6MHXh6VqTrRk\",\
            digest-uri=\"imap/elwood.innosoft.com\",\
            response=d388dad90d4bbd760a152321f2143af7,qop=auth";
        let (identity, proof) = server.finish(response, &CHRIS).unwrap();
        assert_eq!(identity.user, b"chris");
        assert_eq!(proof, b"rspauth=ea40f60335c427b5527b84dbabcdfffd");
        let text = String::from_utf8(response.to_vec()).unwrap();
        for (from, to, detail) in [
            (
                "d388",
                "d389",
                "client response doesn't match what we generated (tried bogus)",
            ),
            ("2hh\"", "2hx\"", "nonce changed: authentication aborted"),
            (
                "nc=00000001",
                "nc=00000002",
                "incorrect nonce-count: authentication aborted",
            ),
            (
                "qop=auth",
                "qop=auth-conf",
                "client requested invalid qop-value",
            ),
            ("cnonce", "dnonce", "required parameters missing"),
            (
                "username=\"chris",
                "username=\"joe",
                "unable to canonify user and get auxprops",
            ),
        ] {
            let failure = server
                .finish(text.replace(from, to).as_bytes(), &CHRIS)
                .unwrap_err();
            assert_eq!(failure.detail, detail);
        }
    }

    #[test]
    fn our_sides_understand_each_other() {
        for (author, realm) in [("", None), ("bob", Some(&b"r.test"[..]))] {
            let (server, mut challenge) = Server::begin(&[7; 32], b"mx.test");
            challenge.extend_from_slice(b",realm=\"r.test\"");
            let secret = Secret::new("secret");
            let names = (&b"chris"[..], author.as_bytes());
            let mut client = Client::new(names, realm, &secret, b"mx.test", &[8; 32]);
            let response = client.respond(&challenge).expect("a response");
            let (identity, proof) = server.finish(&response, &CHRIS).unwrap();
            let user: &[u8] = if realm.is_none() {
                b"chris"
            } else {
                b"chris@r.test"
            };
            assert_eq!(identity.user, user);
            assert_eq!(client.respond(&proof), Some(Vec::new()));
        }
    }

    #[test]
    fn a_server_that_cannot_prove_itself_is_not_believed() {
        let (_, challenge) = Server::begin(&[7; 32], b"mx.test");
        let mut client = Client::new((b"chris", b""), None, &Secret::new("x"), b"mx", &[8; 32]);
        assert!(client.respond(&challenge).is_some());
        assert_eq!(
            client.respond(b"rspauth=ea40f60335c427b5527b84dbabcdfffd"),
            None
        );
    }

    #[test]
    fn directives_may_be_quoted_and_nonsense_is_none() {
        let read = Directives::parse(b", a = \"x\\\"y,z\" ,b=c, , A=2").unwrap();
        assert_eq!(read.value("a"), Some(&b"x\"y,z"[..]));
        assert_eq!(read.value("b"), Some(&b"c"[..]));
        for nonsense in ["", "x", "=", "a=\"", "a=\"x\"y", "a=\"\\", ",,,", "\"=1"] {
            assert!(
                Directives::parse(nonsense.as_bytes()).is_none(),
                "{nonsense}"
            );
        }
        assert!(Directives::parse("a=1,".repeat(MAX_DIRECTIVES + 1).as_bytes()).is_none());
    }

    #[test]
    fn what_latin_letters_can_say_is_hashed_in_them() {
        assert_eq!(latin1("gr\u{fc}n".as_bytes()), b"gr\xfcn");
        assert_eq!(latin1("\u{20ac}".as_bytes()), "\u{20ac}".as_bytes());
        assert_eq!(latin1(b"\xff"), b"\xff");
    }
}
