//! Which ciphers and versions may be used, and what OpenSSL calls them.
//!
//! CipherList (TLS 1.2) and CipherSuites (TLS 1.3) are OpenSSL's; what they say about ciphers we
//! have is obeyed, the order included. A list that leaves nothing is ignored, as in the reference.
//!
//! Source: openssl-ciphers(1); guide 5.6 (CipherList, CipherSuites, ServerSSLOptions).

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::{
    CipherSuite, ProtocolVersion, SignatureAlgorithm, SupportedCipherSuite,
    SupportedProtocolVersion,
};

/// One cipher: its number, OpenSSL's name, bits, and the words that mean it in a CipherList.
struct Cipher {
    suite: CipherSuite,
    name: &'static str,
    bits: u16,
    words: &'static [&'static str],
}

/// Words that mean all of our ciphers of TLS 1.2.
const COMMON_WORDS: &[&str] = &[
    "ALL", "DEFAULT", "HIGH", "ECDHE", "EECDH", "kEECDH", "kECDHE", "ECDH", "FIPS", "TLSv1.2",
    "AEAD",
];

const CIPHERS: &[Cipher] = &[
    Cipher {
        suite: CipherSuite::TLS13_AES_256_GCM_SHA384,
        name: "TLS_AES_256_GCM_SHA384",
        bits: 256,
        words: &[],
    },
    Cipher {
        suite: CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        name: "TLS_CHACHA20_POLY1305_SHA256",
        bits: 256,
        words: &[],
    },
    Cipher {
        suite: CipherSuite::TLS13_AES_128_GCM_SHA256,
        name: "TLS_AES_128_GCM_SHA256",
        bits: 128,
        words: &[],
    },
    Cipher {
        suite: CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        name: "ECDHE-ECDSA-AES256-GCM-SHA384",
        bits: 256,
        words: &["aECDSA", "ECDSA", "AES", "AES256", "AESGCM", "SHA384"],
    },
    Cipher {
        suite: CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        name: "ECDHE-RSA-AES256-GCM-SHA384",
        bits: 256,
        words: &["aRSA", "AES", "AES256", "AESGCM", "SHA384"],
    },
    Cipher {
        suite: CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        name: "ECDHE-ECDSA-CHACHA20-POLY1305",
        bits: 256,
        words: &["aECDSA", "ECDSA", "CHACHA20"],
    },
    Cipher {
        suite: CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        name: "ECDHE-RSA-CHACHA20-POLY1305",
        bits: 256,
        words: &["aRSA", "CHACHA20"],
    },
    Cipher {
        suite: CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        name: "ECDHE-ECDSA-AES128-GCM-SHA256",
        bits: 128,
        words: &["aECDSA", "ECDSA", "AES", "AES128", "AESGCM", "SHA256"],
    },
    Cipher {
        suite: CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        name: "ECDHE-RSA-AES128-GCM-SHA256",
        bits: 128,
        words: &["aRSA", "AES", "AES128", "AESGCM", "SHA256"],
    },
];

/// Words of strength levels that we have nothing of, or that say nothing about which cipher.
const KNOWN_WORDS: &[&str] = &[
    "MEDIUM",
    "LOW",
    "EXPORT",
    "EXP",
    "NULL",
    "eNULL",
    "aNULL",
    "COMPLEMENTOFALL",
    "COMPLEMENTOFDEFAULT",
    "kRSA",
    "RSA",
    "kDHE",
    "kEDH",
    "DH",
    "DHE",
    "EDH",
    "aDSS",
    "DSS",
    "PSK",
    "kPSK",
    "aPSK",
    "SRP",
    "kSRP",
    "aSRP",
    "ADH",
    "AECDH",
    "3DES",
    "DES",
    "RC4",
    "RC2",
    "IDEA",
    "SEED",
    "CAMELLIA",
    "CAMELLIA128",
    "CAMELLIA256",
    "ARIA",
    "ARIAGCM",
    "AESCCM",
    "AESCCM8",
    "MD5",
    "SHA",
    "SHA1",
    "TLSv1",
    "TLSv1.0",
    "SSLv3",
    "SSLv2",
];

/// Returns OpenSSL's name of a cipher and its bits.
pub fn shown(suite: CipherSuite) -> (&'static str, u16) {
    CIPHERS
        .iter()
        .find(|cipher| cipher.suite == suite)
        .map_or(("UNKNOWN", 0), |cipher| (cipher.name, cipher.bits))
}

/// Tells whether a cipher can be used with a certificate whose key is of this kind.
pub fn is_for_key(suite: CipherSuite, key: SignatureAlgorithm) -> bool {
    let word = match key {
        SignatureAlgorithm::RSA => "aRSA",
        _ => "aECDSA",
    };
    CIPHERS
        .iter()
        .find(|cipher| cipher.suite == suite)
        .is_some_and(|cipher| cipher.is_tls13() || cipher.words.contains(&word))
}

/// Returns OpenSSL's name of a version.
pub fn version_shown(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        _ => "UNKNOWN",
    }
}

impl Cipher {
    fn is_tls13(&self) -> bool {
        self.words.is_empty()
    }

    /// Tells whether one element of a CipherList, such as `ECDHE+AESGCM`, means this cipher.
    fn is_meant(&self, element: &str) -> bool {
        element.split('+').all(|word| {
            word == self.name || self.words.contains(&word) || COMMON_WORDS.contains(&word)
        })
    }
}

/// Reads a CipherList; `None` if it leaves nothing of TLS 1.2, or is not understood at all.
///
/// What only names ciphers we do not have is understood and leaves none of TLS 1.2; that is for
/// the caller to tell apart: see [`names_something`].
pub fn cipher_list(list: &str) -> Vec<CipherSuite> {
    let all: Vec<&Cipher> = CIPHERS.iter().filter(|cipher| !cipher.is_tls13()).collect();
    let mut chosen: Vec<&Cipher> = Vec::new();
    let mut banned: Vec<CipherSuite> = Vec::new();
    for element in elements(list) {
        let (sign, word) = match element.strip_prefix(['!', '-', '+']) {
            Some(word) => (element.chars().next().unwrap_or(' '), word),
            None => (' ', element),
        };
        if word.starts_with('@') {
            continue;
        }
        let meant = |cipher: &&Cipher| cipher.is_meant(word);
        match sign {
            '!' => {
                banned.extend(all.iter().filter(|c| meant(c)).map(|c| c.suite));
                chosen.retain(|cipher| !meant(cipher));
            }
            '-' => chosen.retain(|cipher| !meant(cipher)),
            // Those meant go to the end.
            '+' => chosen.sort_by_key(|cipher| cipher.is_meant(word)),
            _ => {
                for cipher in all.iter().filter(|cipher| meant(cipher)) {
                    let is_new = chosen.iter().all(|known| known.suite != cipher.suite);
                    if is_new && !banned.contains(&cipher.suite) {
                        chosen.push(cipher);
                    }
                }
            }
        }
    }
    chosen.iter().map(|cipher| cipher.suite).collect()
}

fn elements(list: &str) -> impl Iterator<Item = &str> {
    list.split([':', ',', ' ', ';'])
        .filter(|element| !element.is_empty())
}

/// Tells whether a list has a word that OpenSSL would know, or the name of a cipher.
pub fn names_something(list: &str) -> bool {
    elements(list).any(|element| {
        let word = element.trim_start_matches(['!', '-', '+']);
        word.starts_with('@')
            || word.contains('-')
            || word.split('+').all(|part| {
                KNOWN_WORDS.contains(&part)
                    || COMMON_WORDS.contains(&part)
                    || CIPHERS.iter().any(|cipher| cipher.words.contains(&part))
            })
    })
}

/// Reads CipherSuites; `None` if a word of it is unknown.
pub fn cipher_suites(list: &str) -> Option<Vec<CipherSuite>> {
    let known = CIPHERS.iter().filter(|cipher| cipher.is_tls13());
    let known: Vec<&Cipher> = known.collect();
    let mut chosen = Vec::new();
    for word in elements(list) {
        match known.iter().find(|cipher| cipher.name == word) {
            Some(cipher) => chosen.push(cipher.suite),
            // OpenSSL has these too.
            None if word.starts_with("TLS_AES_128_CCM") => {}
            None => return None,
        }
    }
    (!chosen.is_empty()).then_some(chosen)
}

/// Makes the provider of the ciphers in these lists; `None` means all of their version.
pub fn provider(
    tls12: Option<&[CipherSuite]>,
    tls13: Option<&[CipherSuite]>,
) -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    let all = provider.cipher_suites.clone();
    let find = |suite: &CipherSuite| all.iter().find(|known| known.suite() == *suite).copied();
    let of = |list: Option<&[CipherSuite]>, is_13: bool| -> Vec<SupportedCipherSuite> {
        match list {
            Some(list) => list.iter().filter_map(find).collect(),
            None => CIPHERS
                .iter()
                .filter(|cipher| cipher.is_tls13() == is_13)
                .filter_map(|cipher| find(&cipher.suite))
                .collect(),
        }
    };
    provider.cipher_suites = [of(tls13, true), of(tls12, false)].concat();
    Arc::new(provider)
}

/// Returns the versions that words such as `SSL_OP_NO_TLSv1_3` leave; all if none would be left.
pub fn versions(without_12: bool, without_13: bool) -> Vec<&'static SupportedProtocolVersion> {
    match (without_12, without_13) {
        (true, false) => vec![&rustls::version::TLS13],
        (false, true) => vec![&rustls::version::TLS12],
        (false, false) | (true, true) => rustls::ALL_VERSIONS.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<&'static str> {
        let suites = cipher_list(list);
        suites.into_iter().map(|suite| shown(suite).0).collect()
    }

    #[test]
    fn every_cipher_of_the_library_has_a_name() {
        for suite in ring::default_provider().cipher_suites {
            assert_ne!(shown(suite.suite()).1, 0, "{suite:?}");
        }
    }

    #[test]
    fn lists_choose_and_order() {
        assert_eq!(
            names("ECDHE-RSA-AES128-GCM-SHA256"),
            ["ECDHE-RSA-AES128-GCM-SHA256"]
        );
        assert_eq!(names("HIGH:!aECDSA:!CHACHA20:!AES128").len(), 1);
        assert_eq!(names("ALL:!ECDSA")[0], "ECDHE-RSA-AES256-GCM-SHA384");
        assert_eq!(
            names("ECDHE+AES128:ECDHE+AESGCM")[0],
            "ECDHE-ECDSA-AES128-GCM-SHA256"
        );
        assert_eq!(
            names("ALL:+AES256").last(),
            Some(&"ECDHE-RSA-AES256-GCM-SHA384")
        );
        assert_eq!(names("DHE-RSA-AES256-SHA").len(), 0);
        assert_eq!(names("!CHACHA20:ALL").len(), 4);
    }

    #[test]
    fn nonsense_is_told_from_ciphers_we_do_not_have() {
        assert!(!names_something("NONSENSE"));
        assert!(names_something("DHE-RSA-AES256-SHA"));
        assert!(names_something("kRSA+AES"));
        assert_eq!(cipher_suites("NONSENSE"), None);
        let one = cipher_suites("TLS_AES_128_GCM_SHA256").unwrap();
        assert_eq!(one, [CipherSuite::TLS13_AES_128_GCM_SHA256]);
    }

    #[test]
    fn ciphers_go_with_keys() {
        let of_rsa = CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;
        assert!(is_for_key(of_rsa, SignatureAlgorithm::RSA));
        assert!(!is_for_key(of_rsa, SignatureAlgorithm::ECDSA));
        let of_both = CipherSuite::TLS13_AES_128_GCM_SHA256;
        assert!(is_for_key(of_both, SignatureAlgorithm::ECDSA));
    }

    #[test]
    fn a_version_is_always_left() {
        assert_eq!(versions(true, true).len(), 2);
        assert_eq!(versions(false, true)[0].version, ProtocolVersion::TLSv1_2);
    }
}
