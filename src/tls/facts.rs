//! What a handshake came to, as macros and in the log.
//!
//! Source: guide 5.2 (`${verify}` and its kin); forms and levels observed: 8.17.1.9.

use crate::logging::record::Severity;
use crate::macros::{MacroId, MacroTable};
use crate::text::bytes::escape_for_display;
use crate::token::ClassSet;

use super::certificate::{Fingerprint, Names, further_names};
use super::chain::{Authorities, Verdict};
use super::ciphers;
use super::dn::{BadName, encoded};
use super::{Channel, Line, Role};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::UnixTime;
use std::sync::Arc;

/// Macros that are about one TLS connection.
const ABOUT_TLS: &[MacroId] = &[
    MacroId::ALG_BITS,
    MacroId::CERT_FP,
    MacroId::CERT_ISSUER,
    MacroId::CERT_MD5,
    MacroId::CERT_SUBJECT,
    MacroId::CIPHER,
    MacroId::CIPHER_BITS,
    MacroId::CN_ISSUER,
    MacroId::CN_SUBJECT,
    MacroId::TLS_VERSION,
    MacroId::VERIFY,
];

/// What a handshake came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Which end we are.
    pub role: Role,
    /// `TLSv1.3`.
    pub version: &'static str,
    /// OpenSSL's name of the cipher.
    pub cipher: &'static str,
    /// Its bits.
    pub bits: u16,
    /// What is to be said about the other side's certificate.
    pub verdict: Verdict,
    names: Option<Names>,
    /// The macro it goes into, and the digest of their certificate.
    fingerprint: Option<(MacroId, Vec<u8>)>,
    /// Names of hosts the certificate is for besides, if they are wanted.
    further: Vec<Vec<u8>>,
}

impl Facts {
    /// Looks at a connection whose handshake is over.
    ///
    /// `asked` says whether a certificate was asked for.
    pub fn of(
        channel: &Channel,
        role: Role,
        asked: bool,
        authorities: &Authorities,
        digest: Option<Fingerprint>,
        provider: &Arc<CryptoProvider>,
    ) -> Facts {
        let shown = channel.certificates();
        let theirs = match role {
            Role::Server => Role::Client,
            Role::Client => Role::Server,
        };
        let verdict = match asked {
            true => authorities.judge(theirs, shown, provider, UnixTime::now()),
            false => Verdict::NotAsked,
        };
        let (cipher, bits) = channel.cipher().map_or(("UNKNOWN", 0), ciphers::shown);
        let own = shown.first();
        Facts {
            role,
            version: channel.version().map_or("UNKNOWN", ciphers::version_shown),
            cipher,
            bits,
            verdict,
            names: own.and_then(|certificate| Names::of(certificate)),
            fingerprint: own.map(|certificate| match digest {
                None => (MacroId::CERT_MD5, Fingerprint::Md5.of(certificate)),
                Some(digest) => (MacroId::CERT_FP, digest.of(certificate)),
            }),
            further: Vec::new(),
        }
    }

    /// The same with the class `{cert_altnames}`. Observed: 8.17.1.9, which asks only for names of
    /// hosts and not whether it trusts the certificate.
    #[must_use]
    pub(super) fn with_further_names(mut self, channel: &Channel) -> Facts {
        if let Some(certificate) = channel.certificates().first() {
            self.further = further_names(certificate);
        }
        self
    }

    /// Sets the macros of the connection.
    ///
    /// What an earlier connection left is for the caller to take away: see [`clear_macros`].
    pub fn set_macros(&self, macros: &mut MacroTable) {
        macros.set_text(MacroId::VERIFY, self.verdict.word().as_bytes());
        macros.set_text(MacroId::TLS_VERSION, self.version.as_bytes());
        macros.set_text(MacroId::CIPHER, self.cipher.as_bytes());
        let bits = self.bits.to_string();
        macros.set_text(MacroId::CIPHER_BITS, bits.as_bytes());
        macros.set_text(MacroId::ALG_BITS, bits.as_bytes());
        if let Some(names) = &self.names {
            macros.set_text(MacroId::CERT_SUBJECT, &encoded(&names.subject));
            macros.set_text(MacroId::CERT_ISSUER, &encoded(&names.issuer));
            macros.set_text(MacroId::CN_SUBJECT, &in_macro(&names.subject_cn));
            macros.set_text(MacroId::CN_ISSUER, &in_macro(&names.issuer_cn));
        }
        if let Some((id, text)) = &self.fingerprint {
            macros.set_text(*id, text);
        }
        let mut names = ClassSet::new();
        for name in &self.further {
            names.insert(&encoded(name));
        }
        macros.set_names_of_peer(Some(Arc::new(names)));
    }

    /// Returns the lines for the log; `relay` is the other side.
    pub fn lines(&self, relay: &str) -> Vec<Line> {
        let side = self.role.word();
        let mut lines = Vec::new();
        if let Some(names) = &self.names {
            let parts = [
                ("cn_subject", &names.subject_cn),
                ("cn_issuer", &names.issuer_cn),
            ];
            for (field, name) in parts {
                if let Err(bad) = name {
                    let what = bad.in_log();
                    lines.push(Line::info(
                        9,
                        format!("STARTTLS={side}, relay={relay}, field={field}, status={what}"),
                    ));
                }
            }
        }
        for name in &self.further {
            let name = escape_for_display(&encoded(name)).to_string();
            lines.push(Line {
                level: 15,
                severity: Severity::Debug,
                text: format!("STARTTLS={side}, relay={relay}, AltName={name}"),
            });
        }
        lines.push(Line::info(
            9,
            format!(
                "STARTTLS={side}, relay={relay}, version={}, verify={}, cipher={}, bits={}/{}",
                self.version,
                self.verdict.word(),
                self.cipher,
                self.bits,
                self.bits
            ),
        ));
        let name = |pick: fn(&Names) -> &Vec<u8>| {
            let text = self.names.as_ref().map(|names| encoded(pick(names)));
            escape_for_display(&text.unwrap_or_default()).to_string()
        };
        let message = match self.verdict {
            Verdict::Fail(fault) => fault.to_string(),
            Verdict::Ok | Verdict::None | Verdict::NotAsked => "ok".to_owned(),
        };
        lines.push(Line {
            level: 12,
            severity: Severity::Info,
            text: format!(
                "STARTTLS={side}, cert-subject={}, cert-issuer={}, verifymsg={message}",
                name(|names| &names.subject),
                name(|names| &names.issuer)
            ),
        });
        lines
    }
}

fn in_macro(name: &Result<Vec<u8>, BadName>) -> Vec<u8> {
    match name {
        Ok(name) => encoded(name),
        Err(bad) => bad.in_macro().to_vec(),
    }
}

/// Hides what tables behind this one may say about another connection.
pub fn hide_macros(macros: &mut MacroTable) {
    for id in ABOUT_TLS {
        macros.set_text(*id, b"");
    }
    macros.set_names_of_peer(Some(Arc::default()));
}

/// Takes away what the macros said about an earlier connection.
pub fn clear_macros(macros: &mut MacroTable) {
    for id in ABOUT_TLS {
        macros.remove(*id);
    }
    macros.set_names_of_peer(None);
}
