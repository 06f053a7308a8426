//! Server features: what `srv_features` turns on and off for one client.
//!
//! The ruleset returns words of one letter; a lower-case letter turns a feature
//! on, an upper-case letter turns it off.
//!
//! Source: guide 5.1.4.17; letters of the strict line ends and `n` observed: 8.17.1.9.

use crate::config::options::PrivacyFlags;
use crate::smtp::Extensions;
use crate::smtp::dot::Bare;

/// What is offered to one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Features {
    /// PIPELINING (`p`, `P`).
    pub pipelining: bool,
    /// Whether PIPELINING is not offered and a client that uses it has to wait (`n`, `N`).
    pub slows_pipelining: bool,
    /// EXPN (`x`, `X`).
    pub expn: bool,
    /// VERB (`b`, `B`).
    pub verb: bool,
    /// VRFY.
    pub vrfy: bool,
    /// DSN (`d`, `D`).
    pub dsn: bool,
    /// ETRN (`e`, `E`).
    pub etrn: bool,
    /// STARTTLS (`s`, `S`).
    pub start_tls: bool,
    /// Whether the client's certificate is asked for (`v`, `V`); `None` is what TLSSrvOptions says.
    pub asks_certificate: Option<bool>,
    /// AUTH (`a`, `A`).
    pub auth: bool,
    /// Whether AUTH must come before MAIL (`l`, `L`).
    pub requires_auth: bool,
    /// What happens to a lone LF inside DATA (`g`, `G`, `g2`).
    pub bare_lf: Bare,
    /// What happens to a lone CR inside DATA (`u`, `U`, `u2`).
    pub bare_cr: Bare,
    /// Whether only CRLF, dot, CRLF ends a message (`o`, `O`).
    pub strict_end: bool,
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
            slows_pipelining: false,
            expn,
            verb: expn && !privacy.contains(PrivacyFlags::NO_VERB),
            vrfy: !privacy.contains(PrivacyFlags::NO_VRFY),
            dsn: !privacy.contains(PrivacyFlags::NO_RECEIPTS),
            etrn: daemon_allows_etrn && !privacy.contains(PrivacyFlags::NO_ETRN),
            start_tls: true,
            asks_certificate: None,
            auth: true,
            requires_auth: false,
            bare_lf: Bare::Refuse,
            bare_cr: Bare::Refuse,
            strict_end: true,
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
                b'n' => self.slows_pipelining = on,
                b'e' => self.etrn = on,
                b'x' => self.expn = on,
                b'b' => self.verb = on,
                b's' => self.start_tls = on,
                b'v' => self.asks_certificate = Some(on),
                b'a' => self.auth = on,
                b'c' => {}
                b'l' => self.requires_auth = on,
                b'd' => self.dsn = on,
                b'g' => self.bare_lf = bare(word),
                b'u' => self.bare_cr = bare(word),
                b'o' => self.strict_end = on,
                b'f' => self.refuses_early_traffic = on,
                b'h' => self.cuts_foreign_verbs = on,
                _ => unknown.push(letter),
            }
        }
        unknown
    }

    /// Returns the keywords for EHLO; `size` is MaxMessageSize, `minimum` DeliverByMin.
    ///
    /// What has an option of its own is added by the caller.
    pub fn extensions(&self, size: Option<u64>, deliver_by: Option<Option<u64>>) -> Extensions {
        Extensions {
            enhanced_status_codes: true,
            pipelining: self.pipelining && !self.slows_pipelining,
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

/// Reads `g`, `G` or `g2`: refuse, take, put a space in its place.
fn bare(word: &[u8]) -> Bare {
    match word {
        [_, b'2', ..] => Bare::Space,
        [letter, ..] if letter.is_ascii_uppercase() => Bare::Take,
        _ => Bare::Refuse,
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
        assert_eq!(
            (features.bare_lf, features.bare_cr),
            (Bare::Take, Bare::Space)
        );
        assert_eq!(unknown, b"q");
    }

    /// Observed: 8.17.1.9.
    #[test]
    fn pipelining_is_offered_when_two_letters_agree() {
        for (words, offered) in [
            (&b"N"[..], true),
            (b"n", false),
            (b"n p", false),
            (b"P N", false),
            (b"n N", true),
            (b"N p", true),
        ] {
            let mut features = Features::from_privacy(PrivacyFlags::PUBLIC, true);
            assert!(features.apply(words).is_empty());
            let extensions = features.extensions(None, None);
            assert_eq!(extensions.pipelining, offered, "{words:?}");
        }
    }
}
