//! What a certificate says about its owner.

use md5::Md5;
use sha1::Sha1;
use sha2::digest::Digest;
use sha2::{Sha224, Sha256, Sha384, Sha512};
use x509_cert::Certificate;
use x509_cert::der::asn1::Any;
use x509_cert::der::{Decode, Encode, Tag, TagNumber, Tagged};

use super::dn::{self, BadName};

/// Digests that may be asked for as a fingerprint (CertFingerprintAlgorithm).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fingerprint {
    /// MD5, in a macro of its own.
    #[default]
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Fingerprint {
    /// Finds a digest by its name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        let name: Vec<u8> = name
            .iter()
            .filter(|octet| **octet != b'-')
            .copied()
            .collect();
        match name.to_ascii_lowercase().as_slice() {
            b"md5" => Some(Fingerprint::Md5),
            b"sha1" => Some(Fingerprint::Sha1),
            b"sha224" => Some(Fingerprint::Sha224),
            b"sha256" => Some(Fingerprint::Sha256),
            b"sha384" => Some(Fingerprint::Sha384),
            b"sha512" => Some(Fingerprint::Sha512),
            _ => None,
        }
    }

    /// Writes the digest of a certificate as pairs of digits with colons between.
    pub fn of(self, certificate: &[u8]) -> Vec<u8> {
        match self {
            Fingerprint::Md5 => pairs(&Md5::digest(certificate)),
            Fingerprint::Sha1 => pairs(&Sha1::digest(certificate)),
            Fingerprint::Sha224 => pairs(&Sha224::digest(certificate)),
            Fingerprint::Sha256 => pairs(&Sha256::digest(certificate)),
            Fingerprint::Sha384 => pairs(&Sha384::digest(certificate)),
            Fingerprint::Sha512 => pairs(&Sha512::digest(certificate)),
        }
    }
}

fn pairs(digest: &[u8]) -> Vec<u8> {
    let pairs: Vec<String> = digest.iter().map(|octet| format!("{octet:02X}")).collect();
    pairs.join(":").into_bytes()
}

/// The names in a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Its owner, on one line.
    pub subject: Vec<u8>,
    /// Who vouches for it, on one line.
    pub issuer: Vec<u8>,
    /// The common name of the owner.
    pub subject_cn: Result<Vec<u8>, BadName>,
    /// The common name of the one who vouches.
    pub issuer_cn: Result<Vec<u8>, BadName>,
    /// Whether both are the same.
    pub is_self_issued: bool,
}

impl Names {
    /// Reads the names; `None` if the certificate is broken.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let certificate = Certificate::from_der(certificate).ok()?;
        let body = certificate.tbs_certificate();
        let (subject, issuer) = (body.subject(), body.issuer());
        Some(Names {
            subject: dn::one_line(subject),
            issuer: dn::one_line(issuer),
            subject_cn: dn::common_name(subject),
            issuer_cn: dn::common_name(issuer),
            is_self_issued: subject == issuer,
        })
    }
}

/// The arc of the extension with further names of the owner: RFC 5280 section 4.2.1.6.
const FURTHER_NAMES: &str = "2.5.29.17";
/// The number of a host's name among them.
const HOST: TagNumber = TagNumber(2);

/// Lists the names of hosts in a certificate besides its owner's.
///
/// Observed: 8.17.1.9, which passes over names with octets that cannot be printed; one NUL at the
/// end does not count.
pub fn further_names(certificate: &[u8]) -> Vec<Vec<u8>> {
    let read = || {
        let certificate = Certificate::from_der(certificate).ok()?;
        let extensions = certificate.tbs_certificate().extensions()?;
        let mut found = extensions
            .iter()
            .filter(|it| it.extn_id.to_string() == FURTHER_NAMES);
        Vec::<Any>::from_der(found.next()?.extn_value.as_bytes()).ok()
    };
    let names = read().unwrap_or_default().into_iter();
    let hosts = names.filter(|it| matches!(it.tag(), Tag::ContextSpecific { number: HOST, .. }));
    hosts.filter_map(|it| printable(it.value())).collect()
}

fn printable(name: &[u8]) -> Option<Vec<u8>> {
    let name = name.strip_suffix(b"\0").unwrap_or(name);
    let is_printable = name.iter().all(|octet| matches!(octet, b' '..=b'~'));
    is_printable.then(|| name.to_vec())
}

/// Tells whether a certificate is valid at a time, in seconds since 1970.
pub fn is_in_time(certificate: &[u8], now: u64) -> bool {
    let Ok(certificate) = Certificate::from_der(certificate) else {
        return false;
    };
    let validity = certificate.tbs_certificate().validity();
    let (from, to) = (&validity.not_before, &validity.not_after);
    (from.to_unix_duration().as_secs()..=to.to_unix_duration().as_secs()).contains(&now)
}

/// Returns the public key of a certificate as it is written there.
pub fn public_key(certificate: &[u8]) -> Option<Vec<u8>> {
    let certificate = Certificate::from_der(certificate).ok()?;
    certificate
        .tbs_certificate()
        .subject_public_key_info()
        .to_der()
        .ok()
}

/// Returns the algorithm of a public key, without tag and length, and the bits of the key.
pub fn key_parts(certificate: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let key = certificate.tbs_certificate().subject_public_key_info();
    let mut algorithm = key.algorithm.oid.to_der().ok()?;
    if let Some(parameters) = &key.algorithm.parameters {
        algorithm.extend(parameters.to_der().ok()?);
    }
    let bits = key.subject_public_key.as_bytes()?.to_vec();
    Some((algorithm, bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_can_be_printed_are_names() {
        assert_eq!(printable(b"*.a.test"), Some(b"*.a.test".to_vec()));
        assert_eq!(printable(b"a\0"), Some(b"a".to_vec()));
        for name in [&b"a\0b"[..], b"a\tb", b"\x7f", b"\xc3\xbc"] {
            assert_eq!(printable(name), None, "{name:?}");
        }
    }

    #[test]
    fn digests_have_names() {
        assert_eq!(Fingerprint::from_name(b"SHA256"), Some(Fingerprint::Sha256));
        assert_eq!(Fingerprint::from_name(b"nonsense"), None);
        assert_eq!(
            Fingerprint::Md5.of(b""),
            b"D4:1D:8C:D9:8F:00:B2:04:E9:80:09:98:EC:F8:42:7E"
        );
        assert_eq!(
            Fingerprint::Sha1.of(b"abc"),
            b"A9:99:3E:36:47:06:81:6A:BA:3E:25:71:78:50:C2:6C:9C:D0:D8:9D"
        );
    }

    #[test]
    fn what_is_no_certificate_has_no_names() {
        assert_eq!(Names::of(b"\x30\x03\x02\x01\x01"), None);
        assert_eq!(public_key(b""), None);
    }
}
