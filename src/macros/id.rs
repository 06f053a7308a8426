//! Numbers of macros and classes.

/// Number of a macro.
///
/// A one-letter name is its own octet; long names are numbered from 256 up in
/// the order in which they are met, those the program itself uses first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacroId(u16);

/// Number of a class; classes share the name space of macros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassId(pub MacroId);

impl MacroId {
    /// Makes the id of a one-letter macro.
    pub const fn letter(letter: u8) -> MacroId {
        MacroId(letter as u16)
    }

    /// Makes the id with this number.
    pub(crate) const fn from_number(number: u16) -> MacroId {
        MacroId(number)
    }

    /// Returns the number: the octet of a one-letter name, 256 and more for long names.
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl ClassId {
    /// Makes the id of a one-letter class.
    pub const fn letter(letter: u8) -> ClassId {
        ClassId(MacroId::letter(letter))
    }
}

/// Number of the first long name.
pub(crate) const FIRST_LONG: u16 = 256;

macro_rules! well_known {
    ($($constant:ident = $number:literal $name:literal;)*) => {
        impl MacroId {
            $(#[doc = concat!("`${", $name, "}`.")]
            pub const $constant: MacroId = MacroId(FIRST_LONG + $number);)*
        }
        /// The long names the program itself uses, in the order of their numbers.
        pub(crate) const WELL_KNOWN: &[&str] = &[$($name),*];
        #[cfg(test)]
        pub(crate) const WELL_KNOWN_IDS: &[MacroId] = &[$(MacroId::$constant),*];
    };
}

well_known! {
    ADDR_TYPE = 0 "addr_type";
    ALG_BITS = 1 "alg_bits";
    AUTH_AUTHEN = 2 "auth_authen";
    AUTH_AUTHOR = 3 "auth_author";
    AUTH_SSF = 4 "auth_ssf";
    AUTH_TYPE = 5 "auth_type";
    BODYTYPE = 6 "bodytype";
    CERT_FP = 7 "cert_fp";
    CERT_ISSUER = 8 "cert_issuer";
    CERT_MD5 = 9 "cert_md5";
    CERT_SUBJECT = 10 "cert_subject";
    CIPHER = 11 "cipher";
    CIPHER_BITS = 12 "cipher_bits";
    CLIENT_ADDR = 13 "client_addr";
    CLIENT_CONNECTIONS = 14 "client_connections";
    CLIENT_FLAGS = 15 "client_flags";
    CLIENT_NAME = 16 "client_name";
    CLIENT_PORT = 17 "client_port";
    CLIENT_PTR = 18 "client_ptr";
    CLIENT_RATE = 19 "client_rate";
    CLIENT_RESOLVE = 20 "client_resolve";
    CN_ISSUER = 21 "cn_issuer";
    CN_SUBJECT = 22 "cn_subject";
    CURR_HEADER = 23 "currHeader";
    DAEMON_ADDR = 24 "daemon_addr";
    DAEMON_FAMILY = 25 "daemon_family";
    DAEMON_FLAGS = 26 "daemon_flags";
    DAEMON_INFO = 27 "daemon_info";
    DAEMON_NAME = 28 "daemon_name";
    DAEMON_PORT = 29 "daemon_port";
    DELIVERY_MODE = 30 "deliveryMode";
    DSN_ENVID = 31 "dsn_envid";
    DSN_NOTIFY = 32 "dsn_notify";
    DSN_RET = 33 "dsn_ret";
    ENVID = 34 "envid";
    HDRLEN = 35 "hdrlen";
    HDR_NAME = 36 "hdr_name";
    IF_ADDR = 37 "if_addr";
    IF_ADDR_OUT = 38 "if_addr_out";
    IF_FAMILY = 39 "if_family";
    IF_FAMILY_OUT = 40 "if_family_out";
    IF_NAME = 41 "if_name";
    IF_NAME_OUT = 42 "if_name_out";
    LOAD_AVG = 43 "load_avg";
    MAIL_ADDR = 44 "mail_addr";
    MAIL_FROM = 45 "mail_from";
    MAIL_HOST = 46 "mail_host";
    MAIL_MAILER = 47 "mail_mailer";
    MSG_ID = 48 "msg_id";
    MSG_SIZE = 49 "msg_size";
    NBADRCPTS = 50 "nbadrcpts";
    NRCPTS = 51 "nrcpts";
    NTRIES = 52 "ntries";
    OP_MODE = 53 "opMode";
    PERSISTENT_MACROS = 54 "persistentMacros";
    QUARANTINE = 55 "quarantine";
    QUEUE_INTERVAL = 56 "queue_interval";
    RCPT_ADDR = 57 "rcpt_addr";
    RCPT_HOST = 58 "rcpt_host";
    RCPT_MAILER = 59 "rcpt_mailer";
    SERVER_ADDR = 60 "server_addr";
    SERVER_NAME = 61 "server_name";
    TIME = 62 "time";
    TLS_VERSION = 63 "tls_version";
    TOTAL_RATE = 64 "total_rate";
    VERIFY = 65 "verify";
    CHECK_MIME_TEXT_HEADERS = 66 "checkMIMETextHeaders";
    CHECK_MIME_FIELD_HEADERS = 67 "checkMIMEFieldHeaders";
    CHECK_MIME_HEADERS = 68 "checkMIMEHeaders";
    RCPT_TO = 69 "rcpt_to";
    CERT_ALTNAMES = 70 "cert_altnames";
}

impl MacroId {
    /// `$a`, date of origin.
    pub const A: MacroId = MacroId::letter(b'a');
    /// `$b`, current date as RFC 5322 writes it.
    pub const B: MacroId = MacroId::letter(b'b');
    /// `$c`, hop count.
    pub const C: MacroId = MacroId::letter(b'c');
    /// `$d`, current date as ctime writes it.
    pub const D: MacroId = MacroId::letter(b'd');
    /// `$f`, envelope sender.
    pub const F: MacroId = MacroId::letter(b'f');
    /// `$g`, envelope sender as the recipient will see it.
    pub const G: MacroId = MacroId::letter(b'g');
    /// `$h`, recipient host.
    pub const H: MacroId = MacroId::letter(b'h');
    /// `$i`, queue id.
    pub const I: MacroId = MacroId::letter(b'i');
    /// `$j`, official name of this host.
    pub const J: MacroId = MacroId::letter(b'j');
    /// `$k`, UUCP name of this host.
    pub const K: MacroId = MacroId::letter(b'k');
    /// `$l`, format of the UNIX From line (old).
    pub const L: MacroId = MacroId::letter(b'l');
    /// `$m`, domain of this host.
    pub const M: MacroId = MacroId::letter(b'm');
    /// `$n`, name of the error daemon.
    pub const N: MacroId = MacroId::letter(b'n');
    /// `$o`, operators (old).
    pub const O: MacroId = MacroId::letter(b'o');
    /// `$p`, process id.
    pub const P: MacroId = MacroId::letter(b'p');
    /// `$q`, format of sender addresses (old).
    pub const Q: MacroId = MacroId::letter(b'q');
    /// `$r`, protocol the message came with.
    pub const R: MacroId = MacroId::letter(b'r');
    /// `$s`, host the message came from.
    pub const S: MacroId = MacroId::letter(b's');
    /// `$t`, current time as digits.
    pub const T: MacroId = MacroId::letter(b't');
    /// `$u`, recipient user.
    pub const U: MacroId = MacroId::letter(b'u');
    /// `$v`, version.
    pub const V: MacroId = MacroId::letter(b'v');
    /// `$w`, name of this host.
    pub const W: MacroId = MacroId::letter(b'w');
    /// `$x`, full name of the sender.
    pub const X: MacroId = MacroId::letter(b'x');
    /// `$z`, home directory of the recipient.
    pub const Z: MacroId = MacroId::letter(b'z');
    /// `$_`, validated sender.
    pub const UNDERSCORE: MacroId = MacroId::letter(b'_');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_names_are_numbered_without_gaps() {
        for (index, id) in WELL_KNOWN_IDS.iter().enumerate() {
            assert_eq!(usize::from(id.number() - FIRST_LONG), index);
        }
    }
}
