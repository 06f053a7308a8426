//! Whether an authority we trust vouches for a certificate.
//!
//! The answer is a word for `${verify}` and a text for the log; nobody is turned
//! away here. What counts is the chain alone: whose name the certificate bears
//! is for rulesets to look at.

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, Error, RootCertStore};

use super::Role;
use super::certificate::{Names, is_in_time};

/// What was found out about the certificate of the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// An authority we trust vouches for it.
    Ok,
    /// There is none.
    None,
    /// It was not asked for.
    NotAsked,
    /// Nobody vouches for it, or not any more.
    Fail(Fault),
}

impl Verdict {
    /// Returns the value of `${verify}`. Source: guide 5.2.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "OK",
            Verdict::None => "NO",
            Verdict::NotAsked => "NOT",
            Verdict::Fail(_) => "FAIL",
        }
    }
}

/// Why a certificate is not believed, in OpenSSL's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// It vouches for itself.
    SelfSigned,
    /// The authority at the end of the chain is not one of ours.
    SelfSignedInChain,
    /// Nobody knows who vouches for it.
    UnknownIssuer,
    /// It was called back.
    Revoked,
    /// It is not for this use.
    Purpose,
    /// The signature on it is wrong.
    Signature,
    /// Something else.
    Other,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Expired => "certificate has expired",
            Fault::NotYetValid => "certificate is not yet valid",
            Fault::SelfSigned => "self-signed certificate",
            Fault::SelfSignedInChain => "self-signed certificate in certificate chain",
            Fault::UnknownIssuer => "unable to get local issuer certificate",
            Fault::Revoked => "certificate revoked",
            Fault::Purpose => "unsuitable certificate purpose",
            Fault::Signature => "certificate signature failure",
            Fault::Other => "unspecified certificate verification error",
        })
    }
}

/// Whom we believe when they vouch for somebody.
#[derive(Debug, Clone)]
pub struct Authorities {
    certificates: Vec<CertificateDer<'static>>,
    roots: Arc<RootCertStore>,
    revoked: Vec<CertificateRevocationListDer<'static>>,
}

impl Authorities {
    /// Makes a list of authorities and of what they called back.
    pub fn new(
        certificates: Vec<CertificateDer<'static>>,
        revoked: Vec<CertificateRevocationListDer<'static>>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().cloned());
        Authorities {
            certificates,
            roots: Arc::new(roots),
            revoked,
        }
    }

    /// Judges what the other side of a connection showed, its own certificate first.
    pub fn judge(
        &self,
        theirs: Role,
        shown: &[CertificateDer<'_>],
        provider: &Arc<CryptoProvider>,
        now: UnixTime,
    ) -> Verdict {
        let Some((own, others)) = shown.split_first() else {
            return Verdict::None;
        };
        let result = match theirs {
            Role::Client => self.judge_client(own, others, provider, now),
            Role::Server => self.judge_server(own, others, provider, now),
        };
        match result {
            Ok(()) => Verdict::Ok,
            Err(_) if self.trusts_itself(own, now) => Verdict::Ok,
            Err(error) => Verdict::Fail(fault(&error, own, others)),
        }
    }

    fn judge_client(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        provider: &Arc<CryptoProvider>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let roots = Arc::clone(&self.roots);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
            .with_crls(self.revoked.iter().cloned())
            .allow_unknown_revocation_status()
            .build()
            .map_err(|_| unknown_issuer())?;
        verifier.verify_client_cert(own, others, now).map(drop)
    }

    fn judge_server(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        provider: &Arc<CryptoProvider>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let roots = Arc::clone(&self.roots);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider))
            .with_crls(self.revoked.iter().cloned())
            .allow_unknown_revocation_status()
            .build()
            .map_err(|_| unknown_issuer())?;
        // A name nobody has: it is looked at last, and only the chain counts.
        let name = ServerName::try_from("chain.invalid").map_err(|_| unknown_issuer())?;
        match verifier.verify_server_cert(own, others, &name, &[], now) {
            Ok(_) => Ok(()),
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A certificate that is itself among the authorities needs nobody else.
    fn trusts_itself(&self, own: &CertificateDer<'_>, now: UnixTime) -> bool {
        self.certificates.iter().any(|known| known == own) && is_in_time(own, now.as_secs())
    }
}

fn unknown_issuer() -> Error {
    Error::InvalidCertificate(CertificateError::UnknownIssuer)
}

fn fault(error: &Error, own: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Fault {
    let Error::InvalidCertificate(error) = error else {
        return Fault::Other;
    };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Fault::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Fault::NotYetValid
        }
        CertificateError::Revoked => Fault::Revoked,
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Fault::Purpose
        }
        CertificateError::BadSignature => Fault::Signature,
        _ => no_issuer(own, others),
    }
}

/// Finds the word for a chain that leads to nobody we know.
fn no_issuer(own: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Fault {
    let is_self_issued =
        |certificate: &CertificateDer<'_>| Names::of(certificate).is_some_and(|n| n.is_self_issued);
    if is_self_issued(own) {
        Fault::SelfSigned
    } else if others.iter().any(is_self_issued) {
        Fault::SelfSignedInChain
    } else {
        Fault::UnknownIssuer
    }
}
