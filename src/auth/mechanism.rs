//! The mechanisms: names, order, and which of them a site allows.
//!
//! Source: guide 5.6 (AuthMechanisms, AuthOptions); which letter forbids what
//! observed: 8.17.1.9 with Cyrus SASL 2.1.28.

/// The hash under a SCRAM mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1 (RFC 5802).
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256 (RFC 7677).
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// A way to prove who one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// Who it is was proved by a certificate (RFC 4422 appendix A).
    External,
    /// Salted challenge and response (RFC 5802).
    Scram(Hash),
    /// RFC 2831.
    DigestMd5,
    /// RFC 2195.
    CramMd5,
    /// RFC 4616.
    Plain,
    /// Name and password asked for in turn.
    Login,
}

/// All there are, in the order in which they are listed as available. Observed: 8.17.1.9.
const ALL: &[(Mechanism, &str)] = &[
    (Mechanism::External, "EXTERNAL"),
    (Mechanism::Scram(Hash::Sha512), "SCRAM-SHA-512"),
    (Mechanism::Scram(Hash::Sha384), "SCRAM-SHA-384"),
    (Mechanism::Scram(Hash::Sha256), "SCRAM-SHA-256"),
    (Mechanism::Scram(Hash::Sha224), "SCRAM-SHA-224"),
    (Mechanism::Scram(Hash::Sha1), "SCRAM-SHA-1"),
    (Mechanism::DigestMd5, "DIGEST-MD5"),
    (Mechanism::CramMd5, "CRAM-MD5"),
    (Mechanism::Plain, "PLAIN"),
    (Mechanism::Login, "LOGIN"),
];

impl Mechanism {
    /// Finds a mechanism by its name, letter case not regarded.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        ALL.iter()
            .find(|(_, known)| known.as_bytes().eq_ignore_ascii_case(name))
            .map(|(mechanism, _)| *mechanism)
    }

    /// The registered name.
    pub fn name(self) -> &'static str {
        ALL.iter()
            .find(|(mechanism, _)| *mechanism == self)
            .map_or("", |(_, name)| name)
    }

    /// Tells whether the password itself is sent.
    pub fn sends_password(self) -> bool {
        matches!(self, Self::Plain | Self::Login)
    }

    /// The letters of AuthOptions that forbid it.
    fn forbidden_by(self) -> &'static [u8] {
        match self {
            Self::External => b"afcm",
            Self::Scram(_) => b"dfc",
            Self::DigestMd5 => b"adfc",
            Self::CramMd5 => b"adfcm",
            Self::Plain | Self::Login => b"padfm",
        }
    }
}

/// What a site allows.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    /// AuthMechanisms.
    pub wanted: &'a [u8],
    /// Letters of AuthOptions.
    pub options: &'a [u8],
    /// Whether the connection is encrypted: a password may be sent then.
    pub is_encrypted: bool,
    /// Whether a verified certificate says who the other side is.
    pub has_external: bool,
    /// Whether there are passwords to compare with; all mechanisms but EXTERNAL want one.
    pub has_passwords: bool,
}

impl Policy<'_> {
    /// Gives the mechanisms that can be used here at all, wanted or not.
    ///
    /// `listed` is the word list `mech_list` of the application's file.
    pub fn available(&self, listed: Option<&[u8]>) -> Vec<Mechanism> {
        ALL.iter()
            .map(|(mechanism, _)| *mechanism)
            .filter(|mechanism| self.allows(*mechanism))
            .filter(|one| listed.is_none_or(|listed| names(listed).any(|name| name == *one)))
            .collect()
    }

    /// Gives what is offered: of `available` what is wanted, in the order of AuthMechanisms.
    pub fn offered(&self, available: &[Mechanism]) -> Vec<Mechanism> {
        let mut offered = Vec::new();
        for mechanism in names(self.wanted) {
            if available.contains(&mechanism) && !offered.contains(&mechanism) {
                offered.push(mechanism);
            }
        }
        offered
    }

    fn allows(&self, mechanism: Mechanism) -> bool {
        let is_possible = match mechanism {
            Mechanism::External => self.has_external,
            _ => self.has_passwords,
        };
        if !is_possible {
            return false;
        }
        // What TLS hides nobody can listen to.
        let hidden: &[u8] = if self.is_encrypted { b"p" } else { b"" };
        !mechanism
            .forbidden_by()
            .iter()
            .any(|letter| self.options.contains(letter) && !hidden.contains(letter))
    }
}

/// The mechanism of a list that is tried first: the one that gives least away.
///
/// EXTERNAL is not among them: nobody tells here who our certificate says we are.
pub fn best(words: &[Vec<u8>]) -> Option<Mechanism> {
    let known = ALL.iter().map(|(mechanism, _)| *mechanism);
    let mut usable = known.filter(|mechanism| *mechanism != Mechanism::External);
    usable.find(|mechanism| {
        let name = mechanism.name().as_bytes();
        words.iter().any(|word| word.eq_ignore_ascii_case(name))
    })
}

/// The mechanisms of a list of words; what nobody knows is passed over.
pub fn names(words: &[u8]) -> impl Iterator<Item = Mechanism> {
    words
        .split(|octet| octet.is_ascii_whitespace())
        .filter_map(Mechanism::from_name)
}

/// Writes mechanisms as a list of words.
pub fn written(mechanisms: &[Mechanism]) -> String {
    let names: Vec<_> = mechanisms.iter().map(|one| one.name()).collect();
    names.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: &[u8] =
        b"EXTERNAL GSSAPI DIGEST-MD5 CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 LOGIN PLAIN";

    fn offered(options: &[u8], is_encrypted: bool, has_external: bool) -> String {
        let policy = Policy {
            wanted: WANTED,
            options,
            is_encrypted,
            has_external,
            has_passwords: true,
        };
        written(&policy.offered(&policy.available(None)))
    }

    #[test]
    fn letters_of_auth_options_forbid_mechanisms() {
        for (options, expected) in [
            (
                "",
                "DIGEST-MD5 CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 LOGIN PLAIN",
            ),
            ("p", "DIGEST-MD5 CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256"),
            (
                "y",
                "DIGEST-MD5 CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 LOGIN PLAIN",
            ),
            ("a", "SCRAM-SHA-1 SCRAM-SHA-256"),
            ("d", ""),
            ("f", ""),
            ("c", "LOGIN PLAIN"),
            ("m", "DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256"),
            (
                "A",
                "DIGEST-MD5 CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 LOGIN PLAIN",
            ),
        ] {
            assert_eq!(
                offered(options.as_bytes(), false, false),
                expected,
                "{options}"
            );
        }
    }

    #[test]
    fn encryption_lets_passwords_be_sent_and_a_certificate_speak() {
        assert_eq!(
            offered(b"p", true, true),
            "EXTERNAL DIGEST-MD5 CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 LOGIN PLAIN"
        );
    }

    #[test]
    fn without_passwords_only_a_certificate_speaks() {
        let policy = Policy {
            wanted: WANTED,
            options: b"",
            is_encrypted: true,
            has_external: true,
            has_passwords: false,
        };
        assert_eq!(policy.available(None), [Mechanism::External]);
    }

    #[test]
    fn the_applications_list_narrows_what_is_offered() {
        let policy = Policy {
            wanted: WANTED,
            options: b"",
            is_encrypted: false,
            has_external: false,
            has_passwords: true,
        };
        let available = policy.available(Some(b"plain login ntlm"));
        assert_eq!(written(&available), "PLAIN LOGIN");
        assert_eq!(written(&policy.offered(&available)), "LOGIN PLAIN");
        let all = "SCRAM-SHA-512 SCRAM-SHA-384 SCRAM-SHA-256 SCRAM-SHA-224 SCRAM-SHA-1 \
                   DIGEST-MD5 CRAM-MD5 PLAIN LOGIN";
        assert_eq!(written(&policy.available(None)), all);
    }
}
