//! A handshake that checks signatures and leaves the rest to rulesets.
//!
//! Whoever shows a certificate must prove to have its key: that is checked here,
//! always. Whether anybody vouches for the certificate is judged after the
//! handshake (see [`super::chain`]), and never ends it.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::certificate::key_parts;

/// Checks signatures and nothing else.
#[derive(Debug)]
pub struct Lenient {
    provider: Arc<CryptoProvider>,
    /// Names of authorities a client's certificate should be from.
    hints: Vec<DistinguishedName>,
}

impl Lenient {
    /// Makes a verifier; `hints` are told to clients.
    pub fn new(provider: Arc<CryptoProvider>, hints: Vec<DistinguishedName>) -> Self {
        Lenient { provider, hints }
    }

    fn check(
        &self,
        first: Result<HandshakeSignatureValid, Error>,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match first {
            // Old forms of certificates are none for the library; a signature can be checked still.
            Err(Error::InvalidCertificate(error)) if error != CertificateError::BadSignature => {
                self.check_by_key(message, certificate, signed)
                    .ok_or(Error::InvalidCertificate(error))
            }
            other => other,
        }
    }

    /// Checks a signature with nothing but the key of a certificate.
    fn check_by_key(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Option<HandshakeSignatureValid> {
        let (algorithm, key) = key_parts(certificate)?;
        let supported = &self.provider.signature_verification_algorithms;
        let (_, ways) = supported
            .mapping
            .iter()
            .find(|(scheme, _)| *scheme == signed.scheme)?;
        ways.iter()
            .filter(|way| way.public_key_alg_id().as_ref() == algorithm)
            .any(|way| {
                way.verify_signature(&key, message, signed.signature())
                    .is_ok()
            })
            .then(HandshakeSignatureValid::assertion)
    }

    fn tls12(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let supported = &self.provider.signature_verification_algorithms;
        let first = verify_tls12_signature(message, certificate, signed, supported);
        self.check(first, message, certificate, signed)
    }

    fn tls13(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let supported = &self.provider.signature_verification_algorithms;
        let first = verify_tls13_signature(message, certificate, signed, supported);
        self.check(first, message, certificate, signed)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

impl ClientCertVerifier for Lenient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _own: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls12(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls13(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        _own: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls12(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls13(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}
