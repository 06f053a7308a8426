//! Options about privacy, users, TLS and AUTH.
//!
//! Source: guide 5.6 and 4.9.

use std::path::PathBuf;

use crate::safefile::DontBlameSendmail;

/// A user and group an option names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSpec {
    /// Login name, or the number as written.
    pub name: Vec<u8>,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// The set of `PrivacyOptions` words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PrivacyFlags(u32);

macro_rules! privacy_flags {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $bit:expr;)*) => {
        impl PrivacyFlags {
            $($(#[$doc])* pub const $name: Self = Self($bit);)*
        }

        /// Every word with its flags, in the spelling of the guide.
        pub const PRIVACY_WORDS: &[(&str, PrivacyFlags)] = &[$(($word, PrivacyFlags::$name)),*];
    };
}

privacy_flags! {
    /// No restriction at all.
    PUBLIC = "public", 0;
    /// HELO or EHLO before MAIL.
    NEED_MAIL_HELO = "needmailhelo", 0x0001;
    /// HELO or EHLO before EXPN.
    NEED_EXPN_HELO = "needexpnhelo", 0x0002;
    /// HELO or EHLO before VRFY.
    NEED_VRFY_HELO = "needvrfyhelo", 0x0004;
    /// No EXPN, and so no VERB.
    NO_EXPN = "noexpn", 0x0008;
    /// No VRFY.
    NO_VRFY = "novrfy", 0x0010;
    /// No -bv and -v for untrusted users.
    RESTRICT_EXPAND = "restrictexpand", 0x0020;
    /// mailq only for the group of the queue directory.
    RESTRICT_MAILQ = "restrictmailq", 0x0040;
    /// Queue runs only for root and the owner of the queue directory.
    RESTRICT_QRUN = "restrictqrun", 0x0080;
    /// No ETRN.
    NO_ETRN = "noetrn", 0x0100;
    /// No VERB.
    NO_VERB = "noverb", 0x0200;
    /// Add X-Authentication-Warning fields.
    AUTH_WARNINGS = "authwarnings", 0x0400;
    /// No success notices; DSN is not offered.
    NO_RECEIPTS = "noreceipts", 0x0800;
    /// Bounces without the body.
    NO_BODY_RETURN = "nobodyreturn", 0x1000;
    /// No X-Actual-Recipient in notices.
    NO_ACTUAL_RECIPIENT = "noactualrecipient", 0x2000;
    /// Everything that concerns SMTP clients and warnings.
    GO_AWAY = "goaway", 0x0001 | 0x0002 | 0x0004 | 0x0008 | 0x0010 | 0x0200 | 0x0400 | 0x2000;
}

impl PrivacyFlags {
    /// Tells whether every flag of `other` is set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Adds the flags of `other`.
    pub fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Finds the flags of a word, letter case not regarded.
    pub fn from_word(word: &[u8]) -> Option<Self> {
        PRIVACY_WORDS
            .iter()
            .find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word))
            .map(|(_, flags)| *flags)
    }
}

/// A certificate or key file option: the file and an optional second one.
pub type FilePair = (PathBuf, Option<PathBuf>);

/// Options about privacy, users, TLS and AUTH.
#[derive(Debug, Clone)]
pub struct Security {
    /// What is denied or told to whom.
    pub privacy_options: PrivacyFlags,
    /// Unsafe files that are taken nevertheless.
    pub dont_blame_sendmail: DontBlameSendmail,
    /// Who programs run as when nobody controls them.
    pub default_user: AccountSpec,
    /// Who the whole program becomes; `None` stays what it is.
    pub run_as_user: Option<AccountSpec>,
    /// Who owns maps and may administrate besides root (user id).
    pub trusted_user: Option<u32>,
    /// Keep only the primary group of a user.
    pub dont_init_groups: bool,
    /// Directory to chroot into before files are written.
    pub safe_file_environment: Option<PathBuf>,
    /// Group-writable files are unsafe (deprecated).
    pub unsafe_group_writes: bool,
    /// Strongest layer AUTH may make, in bits; `None` is no limit.
    pub auth_max_bits: Option<u32>,
    /// Mechanisms offered and used.
    pub auth_mechanisms: Vec<u8>,
    /// Letters of `AuthOptions`.
    pub auth_options: Vec<u8>,
    /// Realm, `$j` when not set.
    pub auth_realm: Option<Vec<u8>>,
    /// File with credentials (deprecated).
    pub default_auth_info: Option<PathBuf>,
    /// File of trusted certificates.
    pub ca_cert_file: Option<PathBuf>,
    /// Directory of trusted certificates.
    pub ca_cert_path: Option<PathBuf>,
    /// Certificate of the client side.
    pub client_cert_file: Option<FilePair>,
    /// Key of the client side.
    pub client_key_file: Option<FilePair>,
    /// Certificate of the server side.
    pub server_cert_file: Option<FilePair>,
    /// Key of the server side.
    pub server_key_file: Option<FilePair>,
    /// Words of `ClientSSLOptions`.
    pub client_ssl_options: Vec<u8>,
    /// Words of `ServerSSLOptions`.
    pub server_ssl_options: Vec<u8>,
    /// Ciphers up to TLS 1.2.
    pub cipher_list: Option<Vec<u8>>,
    /// Ciphers of TLS 1.3.
    pub cipher_suites: Option<Vec<u8>>,
    /// File of revoked certificates.
    pub crl_file: Option<PathBuf>,
    /// Directory of revoked certificates.
    pub crl_path: Option<PathBuf>,
    /// Diffie-Hellman parameters.
    pub dh_parameters: Option<Vec<u8>>,
    /// Digest of `${cert_fp}`.
    pub cert_fingerprint_algorithm: Option<Vec<u8>>,
    /// Source of randomness.
    pub rand_file: Option<Vec<u8>>,
    /// Name of an engine.
    pub ssl_engine: Option<Vec<u8>>,
    /// Path of the engine.
    pub ssl_engine_path: Option<PathBuf>,
    /// Letters of `TLSSrvOptions`.
    pub tls_srv_options: Vec<u8>,
    /// Try again without TLS when a handshake fails.
    pub tls_fallback_to_clear: bool,
    /// Set `${cert_altnames}`.
    pub set_cert_altnames: bool,
    /// Honour MTA-STS.
    pub strict_transport_security: bool,
}

impl Default for Security {
    fn default() -> Self {
        Self {
            privacy_options: PrivacyFlags::PUBLIC,
            dont_blame_sendmail: DontBlameSendmail::default(),
            default_user: AccountSpec {
                name: b"daemon".to_vec(),
                uid: 1,
                gid: 1,
            },
            run_as_user: None,
            trusted_user: None,
            dont_init_groups: false,
            safe_file_environment: None,
            unsafe_group_writes: true,
            auth_max_bits: None,
            auth_mechanisms: b"EXTERNAL GSSAPI KERBEROS_V4 DIGEST-MD5 CRAM-MD5".to_vec(),
            auth_options: Vec::new(),
            auth_realm: None,
            default_auth_info: None,
            ca_cert_file: None,
            ca_cert_path: None,
            client_cert_file: None,
            client_key_file: None,
            server_cert_file: None,
            server_key_file: None,
            client_ssl_options: Vec::new(),
            server_ssl_options: Vec::new(),
            cipher_list: None,
            cipher_suites: None,
            crl_file: None,
            crl_path: None,
            dh_parameters: None,
            cert_fingerprint_algorithm: None,
            rand_file: None,
            ssl_engine: None,
            ssl_engine_path: None,
            tls_srv_options: Vec::new(),
            tls_fallback_to_clear: false,
            set_cert_altnames: false,
            strict_transport_security: false,
        }
    }
}
