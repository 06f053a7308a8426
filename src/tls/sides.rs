//! One side of TLS made ready from its settings.
//!
//! A side is made when it is first wanted, or when a daemon starts, and then kept
//! as long as its configuration.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, ServerConfig, ServerConnection, SignatureScheme,
};

use super::certificate::Fingerprint;
use super::chain::Authorities;
use super::facts::Facts;
use super::files::{self, Material};
use super::lenient::Lenient;
use super::settings::{Features, Settings};
use super::{Channel, Line, Role, ciphers};
use crate::config::options::security::Security;

/// LogLevel from which it is told that a side is ready, and what it does without.
const READY_LEVEL: u8 = 13;

/// Both sides of one configuration, each made when it is first wanted.
#[derive(Debug, Default)]
pub struct Sides {
    server: OnceLock<Option<Arc<ServerSide>>>,
    client: OnceLock<Option<Arc<ClientSide>>>,
}

impl Sides {
    /// Returns the server's side; `tell` hears what there is to say when it is made.
    pub fn server(&self, security: &Security, tell: &dyn Fn(&[Line])) -> Option<Arc<ServerSide>> {
        let made = self.server.get_or_init(|| {
            let mut lines = Vec::new();
            let side = ServerSide::make(Settings::of(Role::Server, security), &mut lines);
            tell(&lines);
            side.map(Arc::new)
        });
        made.clone()
    }

    /// Returns the client's side; `tell` hears what there is to say when it is made.
    pub fn client(&self, security: &Security, tell: &dyn Fn(&[Line])) -> Option<Arc<ClientSide>> {
        let made = self.client.get_or_init(|| {
            let mut lines = Vec::new();
            let side = ClientSide::make(Settings::of(Role::Client, security), &mut lines);
            tell(&lines);
            side.map(Arc::new)
        });
        made.clone()
    }
}

/// What both sides need to look at the certificate of the other one.
struct Judgement {
    authorities: Arc<Authorities>,
    provider: Arc<CryptoProvider>,
    digest: Option<Fingerprint>,
    with_names: bool,
}

/// The server's side.
pub struct ServerSide {
    /// For clients whose certificate is asked for.
    asking: Arc<ServerConfig>,
    /// For the others.
    unasking: Arc<ServerConfig>,
    settings: Settings,
    material: Material,
    judgement: Judgement,
}

/// The client's side.
pub struct ClientSide {
    config: Arc<ClientConfig>,
    settings: Settings,
    material: Material,
    judgement: Judgement,
}

impl ServerSide {
    /// Reads what the settings name; `None` if there can be no TLS.
    pub fn make(settings: Settings, lines: &mut Vec<Line>) -> Option<ServerSide> {
        let made = make(&settings, None, lines)?;
        let side = ServerSide::of(settings, made, lines)?;
        let word = side.settings.role.word();
        lines.push(Line::info(READY_LEVEL, format!("STARTTLS={word}, init=1")));
        Some(side)
    }

    fn of(settings: Settings, made: Made, lines: &mut Vec<Line>) -> Option<ServerSide> {
        let (provider, switches) = (&made.judgement.provider, settings.switches);
        let versions = ciphers::versions(switches.without_12, switches.without_13);
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(&versions);
        let builder = builder
            .map_err(|error| complain(Role::Server, &error, lines))
            .ok()?;
        let choice = Arc::new(Choice::new(&made, &settings));
        let verifier = Lenient::new(Arc::clone(provider), made.material.hints.clone());
        let asking = builder
            .clone()
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::clone(&choice) as Arc<dyn ResolvesServerCert>);
        let unasking = builder.with_no_client_auth().with_cert_resolver(choice);
        let finished = |mut config: ServerConfig| {
            config.ignore_client_order = switches.own_order;
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            Arc::new(config)
        };
        Some(ServerSide {
            asking: finished(asking),
            unasking: finished(unasking),
            settings,
            material: made.material,
            judgement: made.judgement,
        })
    }

    /// Tells whether the certificates of clients are asked for unless somebody says otherwise.
    pub fn asks(&self) -> bool {
        !self.settings.switches.asks_nothing
    }

    /// Makes the same side with what a ruleset wants for one connection.
    pub fn with(&self, features: &Features, lines: &mut Vec<Line>) -> Option<ServerSide> {
        let settings = self.settings.with(features);
        let made = make(&settings, Some((&self.settings, &self.material)), lines)?;
        ServerSide::of(settings, made, lines)
    }

    /// Begins a connection; `asks` says whether a certificate is asked for.
    ///
    /// # Errors
    /// The settings cannot work together, for instance no cipher is left.
    pub fn accept(&self, asks: bool) -> Result<Channel, String> {
        let config = if asks { &self.asking } else { &self.unasking };
        ServerConnection::new(Arc::clone(config))
            .map(Channel::new)
            .map_err(|error| error.to_string())
    }

    /// Looks at a connection whose handshake is over.
    ///
    /// `asks` is what [`ServerSide::accept`] was told.
    pub fn facts(&self, channel: &Channel, asks: bool) -> Facts {
        self.judgement.facts(channel, Role::Server, asks)
    }
}

impl ClientSide {
    /// Reads what the settings name; `None` if there can be no TLS.
    pub fn make(settings: Settings, lines: &mut Vec<Line>) -> Option<ClientSide> {
        let made = make(&settings, None, lines)?;
        let side = ClientSide::of(settings, made, lines)?;
        let word = side.settings.role.word();
        lines.push(Line::info(READY_LEVEL, format!("STARTTLS={word}, init=1")));
        Some(side)
    }

    fn of(settings: Settings, made: Made, lines: &mut Vec<Line>) -> Option<ClientSide> {
        let (provider, switches) = (&made.judgement.provider, settings.switches);
        let versions = ciphers::versions(switches.without_12, switches.without_13);
        let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(&versions);
        let builder = builder
            .map_err(|error| complain(Role::Client, &error, lines))
            .ok()?;
        let verifier = Lenient::new(Arc::clone(provider), Vec::new());
        let builder = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = builder.with_client_cert_resolver(Arc::new(Choice::new(&made, &settings)));
        config.resumption = rustls::client::Resumption::disabled();
        Some(ClientSide {
            config: Arc::new(config),
            settings,
            material: made.material,
            judgement: made.judgement,
        })
    }

    /// Makes the same side with what a ruleset wants for one connection.
    pub fn with(&self, features: &Features, lines: &mut Vec<Line>) -> Option<ClientSide> {
        let settings = self.settings.with(features);
        let made = make(&settings, Some((&self.settings, &self.material)), lines)?;
        ClientSide::of(settings, made, lines)
    }

    /// Begins a connection to a host; its name is told unless it has none but its address.
    ///
    /// # Errors
    /// The settings cannot work together, for instance no cipher is left.
    pub fn connect(&self, name: &[u8], address: Option<IpAddr>) -> Result<Channel, String> {
        let named = std::str::from_utf8(name).ok();
        let named = named.and_then(|name| ServerName::try_from(name.to_owned()).ok());
        let address = address.unwrap_or(IpAddr::from([0; 4]));
        let name = named.unwrap_or(ServerName::IpAddress(address.into()));
        ClientConnection::new(Arc::clone(&self.config), name)
            .map(Channel::new)
            .map_err(|error| error.to_string())
    }

    /// Looks at a connection whose handshake is over.
    pub fn facts(&self, channel: &Channel) -> Facts {
        self.judgement.facts(channel, Role::Client, true)
    }
}

impl Judgement {
    fn facts(&self, channel: &Channel, role: Role, asked: bool) -> Facts {
        let facts = Facts::of(
            channel,
            role,
            asked,
            &self.authorities,
            self.digest,
            &self.provider,
        );
        match self.with_names {
            true => facts.with_further_names(channel),
            false => facts,
        }
    }
}

struct Made {
    material: Material,
    judgement: Judgement,
}

/// Makes what both sides have; `base` is what was read for other settings already.
fn make(
    settings: &Settings,
    base: Option<(&Settings, &Material)>,
    lines: &mut Vec<Line>,
) -> Option<Made> {
    let digest = match &settings.digest {
        None => None,
        Some(name) => match Fingerprint::from_name(name) {
            Some(digest) => Some(digest),
            None => {
                let name = String::from_utf8_lossy(name);
                let text =
                    format!("STARTTLS=init, CertFingerprintAlgorithm={name}, status=invalid");
                let severity = crate::logging::record::Severity::Error;
                lines.push(Line {
                    level: 1,
                    severity,
                    text,
                });
                return None;
            }
        },
    };
    let all = ciphers::provider(None, None);
    let material = match base {
        None => files::read(settings, &all, lines)?,
        Some((old, material)) if old.keys == settings.keys => material.clone(),
        Some((_, material)) => Material {
            keys: files::read_keys(settings, &all, lines)?,
            ..material.clone()
        },
    };
    if base.is_none() {
        complain_of_dh(settings, lines);
    }
    let provider = provider(settings, lines)?;
    let authorities = Arc::clone(&material.authorities);
    Some(Made {
        material,
        judgement: Judgement {
            authorities,
            provider,
            digest,
            with_names: settings.with_names,
        },
    })
}

/// Tells of a value of DHParameters that means nothing. Observed: 8.17.1.9.
fn complain_of_dh(settings: &Settings, lines: &mut Vec<Line>) {
    let Some(value) = settings.dh_parameters.as_deref() else {
        return;
    };
    let means_something = matches!(
        value,
        [b'n' | b'N' | b'1' | b'2' | b'5' | b'i' | b'I' | b'/', ..]
    );
    if settings.role == Role::Server && !means_something {
        let value = crate::text::bytes::escape_for_display(value);
        let what = format!("illegal value '{value}' for DHParameters");
        lines.push(Line::warning(
            READY_LEVEL,
            format!("STARTTLS=server, error: {what}"),
        ));
    }
}

/// Chooses the ciphers; a list that is not understood is ignored, or leaves no TLS for one
/// connection whose ruleset wanted it.
fn provider(settings: &Settings, lines: &mut Vec<Line>) -> Option<Arc<CryptoProvider>> {
    let side = settings.role.word();
    let list = settings.cipher_list.as_deref().map(String::from_utf8_lossy);
    let mut tls12 = None;
    if let Some(list) = list {
        let mut warn = |what: &str| {
            lines.push(Line::warning(8, format!("STARTTLS={side}, {what}")));
        };
        if ciphers::names_something(&list) {
            let chosen = ciphers::cipher_list(&list);
            if chosen.is_empty() {
                warn(&format!("CipherList={list} leaves no cipher of TLSv1.2"));
            }
            tls12 = Some(chosen);
        } else if settings.is_strict {
            warn(&format!("error: SSL_set_cipher_list({list}) failed"));
            return None;
        } else {
            warn(&format!(
                "error: SSL_CTX_set_cipher_list({list}) failed, list ignored"
            ));
        }
    }
    let suites = settings.cipher_suites.as_deref();
    let tls13 = suites.map(String::from_utf8_lossy).and_then(|list| {
        let chosen = ciphers::cipher_suites(&list);
        if chosen.is_none() {
            let what = format!("SSL_CTX_set_ciphersuites({list}) failed, suites ignored");
            lines.push(Line::warning(8, format!("STARTTLS={side}, error: {what}")));
        }
        chosen
    });
    Some(ciphers::provider(tls12.as_deref(), tls13.as_deref()))
}

fn complain(role: Role, error: &rustls::Error, lines: &mut Vec<Line>) {
    let side = role.word();
    lines.push(Line::warning(8, format!("STARTTLS={side}, error: {error}")));
}

/// Our certificates; the first one whose key the other side understands is shown.
struct Choice {
    keys: Vec<Arc<CertifiedKey>>,
    /// The ciphers of the versions we use.
    suites: Vec<CipherSuite>,
}

impl Choice {
    fn new(made: &Made, settings: &Settings) -> Self {
        let switches = settings.switches;
        let versions = ciphers::versions(switches.without_12, switches.without_13);
        let all = made.judgement.provider.cipher_suites.iter();
        let ours = all.filter(|suite| versions.contains(&suite.version()));
        Choice {
            keys: made.material.keys.clone(),
            suites: ours.map(|suite| suite.suite()).collect(),
        }
    }

    /// Finds a certificate; `suites` are the ciphers of a client.
    fn find(
        &self,
        schemes: &[SignatureScheme],
        suites: Option<&[CipherSuite]>,
    ) -> Option<Arc<CertifiedKey>> {
        let fits = |known: &&Arc<CertifiedKey>| {
            let algorithm = known.key.algorithm();
            known.key.choose_scheme(schemes).is_some()
                && suites.is_none_or(|suites| {
                    let mut common = suites.iter().filter(|suite| self.suites.contains(suite));
                    common.any(|suite| ciphers::is_for_key(*suite, algorithm))
                })
        };
        self.keys.iter().find(fits).cloned()
    }
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Choice").field(&self.keys.len()).finish()
    }
}

impl ResolvesServerCert for Choice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.signature_schemes(), Some(hello.cipher_suites()))
    }
}

impl ResolvesClientCert for Choice {
    fn resolve(&self, _hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.find(schemes, None)
    }

    fn has_certs(&self) -> bool {
        !self.keys.is_empty()
    }
}

impl fmt::Debug for ServerSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSide").finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSide").finish_non_exhaustive()
    }
}
