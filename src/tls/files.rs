//! Certificates and keys, read from files that can be trusted.
//!
//! A file others may write to, or a key others may read, is not used, and the log
//! says why. A server has no TLS then; a client goes on without a certificate of its
//! own, or without believing anybody: TLS with a stranger is better than none.
//!
//! Source: guide 4.9, 5.6; order, levels and words observed: 8.17.1.9.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::chain::Authorities;
use super::settings::Settings;
use super::{Line, Role, certificate};
use crate::safefile::{self, Purpose};

/// What was read for one side.
#[derive(Debug, Clone)]
pub struct Material {
    /// Our certificates with their keys.
    pub keys: Vec<Arc<CertifiedKey>>,
    /// Whom we believe.
    pub authorities: Arc<Authorities>,
    /// Names of authorities to tell to clients.
    pub hints: Vec<rustls::DistinguishedName>,
}

/// Reads all files of one side; `None` if there can be no TLS. What there is to say goes to `lines`.
pub fn read(
    settings: &Settings,
    provider: &Arc<CryptoProvider>,
    lines: &mut Vec<Line>,
) -> Option<Material> {
    let mut reading = Reading {
        settings,
        provider,
        lines,
    };
    reading.names_what_it_needs()?;
    if settings.revoked_file.is_none() {
        reading.warn(13, "STARTTLS: CRLFile missing".to_owned());
    }
    let keys = reading.keys()?;
    let (listed, hints) = match reading.authorities_file() {
        Some(found) => found,
        None if settings.role == Role::Client => Default::default(),
        None => return None,
    };
    let mut all = listed;
    if let Some(folder) = &settings.authorities_folder
        && !all.is_empty()
    {
        all.extend(authorities_in(folder));
    }
    let revoked = reading.revoked();
    Some(Material {
        keys,
        authorities: Arc::new(Authorities::new(all, revoked)),
        hints,
    })
}

/// Reads our certificates alone: what a ruleset names for one connection.
pub fn read_keys(
    settings: &Settings,
    provider: &Arc<CryptoProvider>,
    lines: &mut Vec<Line>,
) -> Option<Vec<Arc<CertifiedKey>>> {
    let mut reading = Reading {
        settings,
        provider,
        lines,
    };
    reading.keys()
}

fn is_named(path: Option<&PathBuf>) -> bool {
    path.is_some_and(|path| path.is_absolute())
}

struct Reading<'a> {
    settings: &'a Settings,
    provider: &'a Arc<CryptoProvider>,
    lines: &'a mut Vec<Line>,
}

impl Reading<'_> {
    fn warn(&mut self, level: u8, text: String) {
        self.lines.push(Line::warning(level, text));
    }

    fn side(&self) -> &'static str {
        self.settings.role.word()
    }

    /// A server needs all four; a client can do without.
    fn names_what_it_needs(&mut self) -> Option<()> {
        let settings = self.settings;
        let (certificate, key) = match settings.role {
            Role::Server => ("ServerCertFile", "ServerKeyFile"),
            Role::Client => ("ClientCertFile", "ClientKeyFile"),
        };
        let needed = [
            (
                certificate,
                settings.certificates.as_ref().map(|pair| &pair.0),
            ),
            (key, settings.keys.as_ref().map(|pair| &pair.0)),
            ("CACertPath", settings.authorities_folder.as_ref()),
            ("CACertFile", settings.authorities_file.as_ref()),
        ];
        for (name, path) in needed {
            if !is_named(path) {
                self.warn(13, format!("STARTTLS: {name} missing"));
                if settings.role == Role::Server {
                    return None;
                }
            }
        }
        Some(())
    }

    fn file(&mut self, path: &Path, purpose: Purpose) -> Option<Vec<u8>> {
        match safefile::read(path, purpose, self.settings.policy) {
            Ok(text) => Some(text),
            Err(error) => {
                let (side, path) = (self.side(), path.display());
                self.warn(8, format!("STARTTLS={side}: file {path} unsafe: {error}"));
                None
            }
        }
    }

    /// Reads our certificates and their keys; a client may have none.
    fn keys(&mut self) -> Option<Vec<Arc<CertifiedKey>>> {
        match self.settings.role {
            Role::Server => self.keys_of_server(),
            Role::Client => Some(self.key_of_client().into_iter().collect()),
        }
    }

    fn key_of_client(&mut self) -> Option<Arc<CertifiedKey>> {
        let settings = self.settings;
        let certificate = settings.certificates.as_ref().map(|pair| &pair.0);
        let certificate = certificate.filter(|path| is_named(Some(path)));
        let key = settings.keys.as_ref().map(|pair| &pair.0);
        let key = key.filter(|path| is_named(Some(path)))?;
        let chain = certificate.and_then(|path| self.file(path, Purpose::Certificate));
        let secret = self.file(key, Purpose::Key)?;
        match (certificate, chain) {
            (Some(certificate), Some(chain)) => self.pair(certificate, &chain, key, &secret),
            _ => {
                self.warn_of_pair(key);
                None
            }
        }
    }

    fn warn_of_pair(&mut self, key: &Path) {
        let (side, path) = (self.side(), key.display());
        let what = format!("SSL_CTX_check_private_key failed({path}): 0");
        self.warn(6, format!("STARTTLS={side}, error: {what}"));
    }

    fn keys_of_server(&mut self) -> Option<Vec<Arc<CertifiedKey>>> {
        let settings = self.settings;
        let (certificates, keys) = (settings.certificates.as_ref()?, settings.keys.as_ref()?);
        let mut pairs = vec![(certificates.0.clone(), keys.0.clone())];
        if let (Some(certificate), Some(key)) = (&certificates.1, &keys.1) {
            pairs.push((certificate.clone(), key.clone()));
        }
        let mut texts = Vec::new();
        for (certificate, key) in &pairs {
            let certificate = self.file(certificate, Purpose::Certificate)?;
            texts.push((certificate, self.file(key, Purpose::Key)?));
        }
        let mut found = Vec::new();
        for ((certificate, key), (chain, secret)) in pairs.iter().zip(&texts) {
            found.push(self.pair(certificate, chain, key, secret)?);
        }
        Some(found)
    }

    fn pair(
        &mut self,
        certificate: &Path,
        chain: &[u8],
        key: &Path,
        secret: &[u8],
    ) -> Option<Arc<CertifiedKey>> {
        let side = self.side();
        let chain = certificates_in(chain);
        if chain.is_empty() {
            let path = certificate.display();
            let what = format!("SSL_CTX_use_certificate_file({path}) failed");
            self.warn(8, format!("STARTTLS={side}, error: {what}"));
            return None;
        }
        let loaded = PrivateKeyDer::from_pem_slice(secret)
            .map_err(|error| error.to_string())
            .and_then(|secret| {
                let loaded = self.provider.key_provider.load_private_key(secret);
                loaded.map_err(|error| error.to_string())
            });
        let path = key.display();
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                let what = format!("SSL_CTX_use_PrivateKey_file({path}) failed");
                self.warn(8, format!("STARTTLS={side}, error: {what}"));
                self.warn(10, format!("STARTTLS={side}: error:{error}"));
                return None;
            }
        };
        let own = chain.first().and_then(|own| certificate::public_key(own));
        let fits = match (loaded.public_key(), own) {
            (Some(of_key), Some(of_certificate)) => *of_key == *of_certificate,
            (_, None) => false,
            (None, Some(_)) => true,
        };
        if !fits {
            self.warn_of_pair(key);
            return None;
        }
        Some(Arc::new(CertifiedKey::new(chain, loaded)))
    }

    fn authorities_file(
        &mut self,
    ) -> Option<(Vec<CertificateDer<'static>>, Vec<rustls::DistinguishedName>)> {
        let settings = self.settings;
        // Observed: 8.17.1.9 looks at the file only if a folder is named as well.
        if !is_named(settings.authorities_folder.as_ref())
            || !is_named(settings.authorities_file.as_ref())
        {
            return None;
        }
        let path = settings.authorities_file.as_ref()?;
        let text = self.file(path, Purpose::Certificate);
        if text.is_none() && settings.role == Role::Server {
            return None;
        }
        let found = certificates_in(&text.unwrap_or_default());
        if found.is_empty() {
            let folder = self.settings.authorities_folder.clone().unwrap_or_default();
            let (side, folder, path) = (self.side(), folder.display(), path.display());
            let what = format!("load verify locs {folder}, {path} failed: 0");
            self.warn(6, format!("STARTTLS={side}, error: {what}"));
            return None;
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.iter().take(MAX_HINTS).cloned());
        Some((found, roots.subjects()))
    }

    /// Reads what authorities called back; without the file nothing is.
    fn revoked(&mut self) -> Vec<CertificateRevocationListDer<'static>> {
        let Some(path) = &self.settings.revoked_file else {
            return Vec::new();
        };
        let text = self.file(path, Purpose::Certificate).unwrap_or_default();
        let lists = CertificateRevocationListDer::pem_slice_iter(&text);
        let lists: Vec<_> = lists.filter_map(Result::ok).collect();
        if lists.is_empty() {
            let (side, path) = (self.side(), path.display());
            let what = format!("PEM_read_bio_X509_CRL({path})=failed");
            self.warn(10, format!("STARTTLS={side}, error: {what}"));
        }
        lists
    }
}

/// The most names of authorities told to a client: a handshake message has an end.
const MAX_HINTS: usize = 200;

fn certificates_in(text: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(text)
        .filter_map(Result::ok)
        .collect()
}

/// Reads the authorities in a folder: files named by a digest, as OpenSSL looks for them.
///
/// A folder that is not there has none (observed: 8.17.1.9).
fn authorities_in(folder: &Path) -> Vec<CertificateDer<'static>> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let hashed = entries
        .filter_map(Result::ok)
        .filter(|entry| is_hash_name(entry.file_name().as_bytes()));
    hashed
        .filter_map(|entry| std::fs::read(entry.path()).ok())
        .flat_map(|text| certificates_in(&text))
        .collect()
}

/// Tells whether a name is eight hexadecimal digits, a dot and a number.
fn is_hash_name(name: &[u8]) -> bool {
    match name.split_at_checked(8) {
        Some((hash, [b'.', number @ ..])) => {
            hash.iter().all(u8::is_ascii_hexdigit)
                && !number.is_empty()
                && number.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_have_hashes_for_names() {
        assert!(is_hash_name(b"4f316efb.0"));
        for name in [
            "4f316efb.r0",
            "ca.pem",
            "4f316efb",
            "4f316efb.",
            "zf316efb.0",
        ] {
            assert!(!is_hash_name(name.as_bytes()), "{name}");
        }
    }
}
