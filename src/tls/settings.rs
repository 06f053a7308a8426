//! What the options and `tls_srv_features` or `tls_clt_features` ask for.
//!
//! Source: guide 5.6 (options), 5.1.4 (rulesets).

use std::path::PathBuf;
use std::sync::Arc;

use super::Role;
use crate::config::options::security::{FilePair, Security};
use crate::logging::record::Severity;
use crate::rewrite::check::RulesetAnswer;
use crate::safefile::DontBlameSendmail;
use crate::sys::file::path_of;
use crate::text::bytes::{escape_for_display, parse_decimal};
use crate::token::Mark;

/// What one side of TLS is to be made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Which side.
    pub role: Role,
    /// Certificates.
    pub certificates: Option<FilePair>,
    /// Their keys.
    pub keys: Option<FilePair>,
    /// File of authorities.
    pub authorities_file: Option<PathBuf>,
    /// Folder of authorities.
    pub authorities_folder: Option<PathBuf>,
    /// File of what authorities called back.
    pub revoked_file: Option<PathBuf>,
    /// Ciphers of TLS 1.2.
    pub cipher_list: Option<Vec<u8>>,
    /// Ciphers of TLS 1.3.
    pub cipher_suites: Option<Vec<u8>>,
    /// What is not wanted, and whose order of ciphers counts.
    pub switches: Switches,
    /// Parameters of an exchange of keys that there is none of here; still looked at.
    pub dh_parameters: Option<Vec<u8>>,
    /// Whether the further names in certificates make a class.
    pub with_names: bool,
    /// Digest of fingerprints.
    pub digest: Option<Vec<u8>>,
    /// Unsafe files that are taken nevertheless.
    pub policy: DontBlameSendmail,
    /// Whether there is no TLS with a list of ciphers that is not understood.
    pub is_strict: bool,
}

/// What words such as `SSL_OP_NO_TLSv1_3` turn off and on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Switches {
    /// TLS 1.2 is not wanted.
    pub without_12: bool,
    /// TLS 1.3 is not wanted.
    pub without_13: bool,
    /// The server's order of ciphers counts.
    pub own_order: bool,
    /// No certificate is asked for (`V` of TLSSrvOptions).
    pub asks_nothing: bool,
}

/// Bits of the same meaning as words, for options given as numbers. Source: openssl/ssl.h, version 3.
const SWITCH_BITS: &[(&[u8], u64)] = &[
    (b"SSL_OP_CIPHER_SERVER_PREFERENCE", 1 << 22),
    (b"SSL_OP_NO_TLSv1_2", 1 << 27),
    (b"SSL_OP_NO_TLSv1_3", 1 << 29),
];

impl Switches {
    fn turn(&mut self, word: &[u8], on: bool) {
        if word.eq_ignore_ascii_case(b"SSL_OP_CIPHER_SERVER_PREFERENCE") {
            self.own_order = on;
        } else if word.eq_ignore_ascii_case(b"SSL_OP_NO_TLSv1_2") {
            self.without_12 = on;
        } else if word.eq_ignore_ascii_case(b"SSL_OP_NO_TLSv1_3") {
            self.without_13 = on;
        }
    }

    /// Takes a list such as `+SSL_OP_NO_TLSv1_3 -SSL_OP_ALL`; numbers are sums of bits.
    pub fn apply(&mut self, list: &[u8]) {
        let words = list.split(|octet| matches!(octet, b' ' | b',' | b'\t'));
        for word in words.filter(|word| !word.is_empty()) {
            let (on, word) = match word {
                [b'-', rest @ ..] => (false, rest),
                [b'+', rest @ ..] => (true, rest),
                other => (true, other),
            };
            match number(word) {
                Some(bits) => {
                    for (name, bit) in SWITCH_BITS {
                        if bits & bit != 0 {
                            self.turn(name, on);
                        }
                    }
                }
                None => self.turn(word, on),
            }
        }
    }
}

fn number(word: &[u8]) -> Option<u64> {
    match word
        .strip_prefix(b"0x")
        .or_else(|| word.strip_prefix(b"0X"))
    {
        Some(digits) => u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok(),
        None => parse_decimal(word),
    }
}

impl Settings {
    /// What the options say about one side.
    pub fn of(role: Role, security: &Security) -> Settings {
        let mut switches = Switches::default();
        let (certificates, keys) = match role {
            Role::Server => {
                switches.apply(&security.server_ssl_options);
                switches.asks_nothing = security.tls_srv_options.contains(&b'V');
                (&security.server_cert_file, &security.server_key_file)
            }
            Role::Client => {
                switches.apply(&security.client_ssl_options);
                (&security.client_cert_file, &security.client_key_file)
            }
        };
        Settings {
            role,
            certificates: certificates.clone(),
            keys: keys.clone(),
            authorities_file: security.ca_cert_file.clone(),
            authorities_folder: security.ca_cert_path.clone(),
            revoked_file: security.crl_file.clone(),
            cipher_list: security.cipher_list.clone(),
            cipher_suites: security.cipher_suites.clone(),
            switches,
            dh_parameters: security.dh_parameters.clone(),
            with_names: security.set_cert_altnames,
            digest: security.cert_fingerprint_algorithm.clone(),
            policy: security.dont_blame_sendmail,
            is_strict: false,
        }
    }

    /// The same with what a ruleset wants for one connection.
    pub fn with(&self, features: &Features) -> Settings {
        let mut settings = self.clone();
        settings.is_strict = true;
        if let Some(list) = &features.options {
            settings.switches.apply(list);
        }
        if features.cipher_list.is_some() {
            settings.cipher_list.clone_from(&features.cipher_list);
        }
        if features.cipher_suites.is_some() {
            settings.cipher_suites.clone_from(&features.cipher_suites);
        }
        if let (Some(certificate), Some(key)) = (&features.certificate, &features.key) {
            settings.certificates = Some((certificate.clone(), None));
            settings.keys = Some((key.clone(), None));
        }
        settings
    }
}

/// What `tls_srv_features` or `tls_clt_features` says about one connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Features {
    options: Option<Vec<u8>>,
    cipher_list: Option<Vec<u8>>,
    cipher_suites: Option<Vec<u8>>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    /// Letters of `Flags`.
    pub flags: Vec<u8>,
}

impl Features {
    /// Reads `Name=value` parts with semicolons between; `None` if something is not understood.
    ///
    /// `hear` is told what the log says of each part. Observed: 8.17.1.9.
    pub fn parse(text: &[u8], mut hear: impl FnMut(Severity, &str)) -> Option<Features> {
        let mut features = Features::default();
        for part in text.split(|octet| *octet == b';') {
            let part = part.trim_ascii();
            if part.is_empty() {
                continue;
            }
            let at = part.iter().position(|octet| *octet == b'=');
            let (name, value) = part.split_at(at.unwrap_or(part.len()));
            hear(
                Severity::Debug,
                &format!("parsed, {}", escape_for_display(part)),
            );
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            let value = strip_quotes(value).to_vec();
            let known = match at {
                Some(_) => name.trim_ascii().to_ascii_lowercase(),
                None => Vec::new(),
            };
            match known.as_slice() {
                b"options" => features.options = Some(value),
                b"cipherlist" => features.cipher_list = Some(value),
                b"ciphersuites" => features.cipher_suites = Some(value),
                b"certfile" => features.certificate = Some(path_of(&value).to_owned()),
                b"keyfile" => features.key = Some(path_of(&value).to_owned()),
                b"flags" => features.flags = value,
                // The policy itself is for the rules; the name is always told.
                b"sts" => {}
                b"servername" if value.eq_ignore_ascii_case(b"hostname") => {}
                b"servername" => {
                    let value = escape_for_display(&value);
                    hear(
                        Severity::Info,
                        &format!("servername, invalid_value={value}"),
                    );
                    return None;
                }
                _ => {
                    let name = escape_for_display(name);
                    hear(Severity::Info, &format!("unknown_option, opt={name}"));
                    return None;
                }
            }
        }
        if features.certificate.is_some() != features.key.is_some() {
            hear(Severity::Info, "only_one_of_CertFile/KeyFile_specified");
            return None;
        }
        Some(features)
    }
}

/// What `tls_srv_features` or `tls_clt_features` wants for one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// What the options say.
    Usual,
    /// Something else.
    Special(Features),
    /// No TLS.
    Nothing,
}

impl Wish {
    /// Understands the answer of the ruleset, `None` if there is none.
    ///
    /// `hear` is told what the log says of it. Observed: 8.17.1.9.
    pub fn of(answer: Option<RulesetAnswer>, mut hear: impl FnMut(Severity, &str)) -> Wish {
        let Some(answer) = answer else {
            hear(Severity::Info, "(null)");
            hear(Severity::Info, "empty, stat=0");
            return Wish::Usual;
        };
        if answer.leading_symbol == Some(Mark::Mailer) {
            return Wish::Nothing;
        }
        let answer = answer.words.concat();
        hear(Severity::Info, &escape_for_display(&answer));
        if answer == b"\"\"" || answer.is_empty() {
            return Wish::Usual;
        }
        Features::parse(&answer, hear).map_or(Wish::Nothing, Wish::Special)
    }

    /// Returns what TLS is done with, if it is done: `usual`, or what `special` makes of it.
    pub fn carried_out<S>(
        self,
        usual: Arc<S>,
        special: impl FnOnce(&S, &Features) -> Option<S>,
    ) -> Option<Arc<S>> {
        match self {
            Wish::Usual => Some(usual),
            Wish::Nothing => None,
            Wish::Special(features) => special(&usual, &features).map(Arc::new),
        }
    }
}

fn strip_quotes(value: &[u8]) -> &[u8] {
    let inner = value.strip_prefix(b"\"");
    inner
        .and_then(|inner| inner.strip_suffix(b"\""))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::ExitStatus;

    #[test]
    fn words_and_numbers_turn_versions_off() {
        let mut switches = Switches::default();
        switches.apply(b"+SSL_OP_NO_TLSv1_3,SSL_OP_NO_TLSv1 SSL_OP_CIPHER_SERVER_PREFERENCE");
        assert!(switches.without_13 && switches.own_order && !switches.without_12);
        switches.apply(b"-SSL_OP_NO_TLSv1_3");
        assert!(!switches.without_13);
        switches.apply(b"0x20000000");
        assert!(switches.without_13);
    }

    #[test]
    fn features_replace_options_for_one_connection() {
        let security = Security {
            cipher_list: Some(b"ALL".to_vec()),
            ..Security::default()
        };
        let settings = Settings::of(Role::Server, &security);
        let text = b"Options=SSL_OP_NO_TLSv1_3; CipherList=HIGH ;";
        let mut heard = Vec::new();
        let features = Features::parse(text, |_, said| heard.push(said.to_owned())).unwrap();
        let parts = ["Options=SSL_OP_NO_TLSv1_3", "CipherList=HIGH"];
        assert_eq!(heard, parts.map(|part| format!("parsed, {part}")));
        let settings = settings.with(&features);
        assert_eq!(settings.cipher_list.as_deref(), Some(&b"HIGH"[..]));
        assert!(settings.switches.without_13);
        assert_eq!(Features::parse(b"", |_, _| {}), Some(Features::default()));
        let strict = Features::parse(b"sts=secure;servername=hostname", |_, _| {});
        assert_eq!(strict, Some(Features::default()));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        let wrong = ["Nonsense=1", "CipherList", "CertFile=/a", "KeyFile=/a"];
        for text in wrong.into_iter().chain(["servername=x.test"]) {
            let features = Features::parse(text.as_bytes(), |_, _| {});
            assert_eq!(features, None, "{text}");
        }
    }

    #[test]
    fn a_ruleset_leaves_changes_or_forbids() {
        let answer = |leading_symbol, words: &[&[u8]]| {
            Some(RulesetAnswer {
                leading_symbol,
                words: words.iter().map(|word| word.to_vec()).collect(),
                status: ExitStatus::Ok,
            })
        };
        let of = |answer| {
            let mut heard = Vec::new();
            let wish = Wish::of(answer, |_, text| heard.push(text.to_owned()));
            (wish, heard)
        };
        let heard = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(of(None), (Wish::Usual, heard(&["(null)", "empty, stat=0"])));
        assert_eq!(
            of(answer(Some(Mark::Mailer), &[b"error"])),
            (Wish::Nothing, heard(&[]))
        );
        assert_eq!(
            of(answer(None, &[b"\"\""])),
            (Wish::Usual, heard(&["\"\""]))
        );
        let flags = Features {
            flags: b"V".to_vec(),
            ..Features::default()
        };
        assert_eq!(
            of(answer(None, &[b"Flags=", b"V"])),
            (Wish::Special(flags), heard(&["Flags=V", "parsed, Flags=V"]))
        );
        assert_eq!(of(answer(None, &[b"nonsense"])).0, Wish::Nothing);
    }
}
