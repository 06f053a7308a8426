//! Server features: what `srv_features` turns on and off for one client.
//!
//! The ruleset returns words of one letter; a lower-case letter turns a feature
//! on, an upper-case letter turns it off.
//!
//! Source: guide 5.1.4.17; letters of the strict line ends observed: 8.17.1.9.

use crate::config::options::PrivacyFlags;
use crate::smtp::Extensions;

/// What is offered to one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Features {
    /// PIPELINING (`p`, `P`).
    pub pipelining: bool,
    /// EXPN (`e`, `E`).
    pub expn: bool,
    /// VERB (`b`, `B`).
    pub verb: bool,
    /// VRFY (`x`, `X`).
    pub vrfy: bool,
    /// DSN (`d`, `D`).
    pub dsn: bool,
    /// ETRN (`l`... in the guide `e`); see [`Features::apply`].
    pub etrn: bool,
    /// Whether AUTH must come before MAIL (`r` in upper case is the default).
    pub requires_auth: bool,
    /// Whether a lone LF inside DATA is refused (`g`).
    pub refuses_bare_lf: bool,
    /// Whether a lone CR inside DATA is refused (`u`).
    pub refuses_bare_cr: bool,
    /// Whether commands sent too early are refused (`f`).
    pub refuses_early_traffic: bool,
    /// Whether verbs of other protocols end the connection (`h`).
    pub cuts_foreign_verbs: bool,
}

impl Features {
    /// Returns what is offered under the privacy options, before any ruleset.
    pub fn from_privacy(privacy: PrivacyFlags, daemon_allows_etrn: bool) -> Self {
        let expn = !privacy.contains(PrivacyFlags::NO_EXPN);
        Self {
            pipelining: true,
            expn,
            verb: expn && !privacy.contains(PrivacyFlags::NO_VERB),
            vrfy: !privacy.contains(PrivacyFlags::NO_VRFY),
            dsn: !privacy.contains(PrivacyFlags::NO_RECEIPTS),
            etrn: daemon_allows_etrn && !privacy.contains(PrivacyFlags::NO_ETRN),
            requires_auth: false,
            refuses_bare_lf: true,
            refuses_bare_cr: true,
            refuses_early_traffic: true,
            cuts_foreign_verbs: true,
        }
    }

    /// Applies the words of `srv_features`; unknown ones are returned.
    pub fn apply(&mut self, words: &[u8]) -> Vec<u8> {
        let mut unknown = Vec::new();
        let words = words.split(|octet| octet.is_ascii_whitespace());
        for word in words.filter(|word| !word.is_empty()) {
            let Some(&letter) = word.first() else {
                continue;
            };
            let on = letter.is_ascii_lowercase();
            match letter.to_ascii_lowercase() {
                b'p' => self.pipelining = on,
                b'e' => self.etrn = on,
                b'x' => self.expn = on,
                b'b' => self.verb = on,
                b'v' | b's' | b'a' | b'c' | b'l' | b't' => {}
                b'd' => self.dsn = on,
                b'r' => self.requires_auth = on,
                b'g' => self.refuses_bare_lf = on,
                b'u' => self.refuses_bare_cr = on,
                b'f' => self.refuses_early_traffic = on,
                b'h' => self.cuts_foreign_verbs = on,
                b'o' => {}
                _ => unknown.push(letter),
            }
        }
        unknown
    }

    /// Returns the keywords for EHLO; `size` is MaxMessageSize, `minimum` DeliverByMin.
    pub fn extensions(&self, size: Option<u64>, deliver_by: Option<Option<u64>>) -> Extensions {
        Extensions {
            enhanced_status_codes: true,
            pipelining: self.pipelining,
            expn: self.expn,
            verb: self.verb,
            eight_bit_mime: true,
            size: Some(size),
            dsn: self.dsn,
            etrn: self.etrn,
            deliver_by,
            help: true,
            ..Extensions::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noexpn_takes_verb_away_too() {
        let features = Features::from_privacy(PrivacyFlags::NO_EXPN, true);
        assert!(!features.expn && !features.verb && features.vrfy && features.etrn);
    }

    #[test]
    fn letters_turn_features_on_and_off() {
        let mut features = Features::from_privacy(PrivacyFlags::PUBLIC, true);
        let unknown = features.apply(b"P b E G u2 q");
        assert!(!features.pipelining && features.verb && !features.etrn);
        assert!(!features.refuses_bare_lf && features.refuses_bare_cr);
        assert_eq!(unknown, b"q");
    }
}
