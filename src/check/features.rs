//! Lines that ask for something this program does not do.
//!
//! What the program does is said in one place, the list of its parts that `-d0.1` prints;
//! a part that is added there is not missed here any more.

use crate::config::Config;
use crate::config::option_line::recognize;
use crate::map::{MapClass, MapDefinition};

use super::problem::{Code, Problem};
use super::report::shown;
use super::sheet::{Sheet, Statement};

/// Something not every sendmail can do.
struct Feature {
    /// Its name in the list of parts.
    part: &'static str,
    /// What people call it.
    name: &'static str,
    /// Options that are for it alone.
    options: &'static [&'static str],
    /// Classes of maps that need it.
    maps: &'static [MapClass],
    /// Command letters that are for it alone.
    commands: &'static [u8],
}

const FEATURES: &[Feature] = &[
    Feature {
        part: "STARTTLS",
        name: "TLS (STARTTLS)",
        options: &[
            "CACertFile",
            "CACertPath",
            "CRLFile",
            "CertFingerprintAlgorithm",
            "CipherList",
            "CipherSuites",
            "ClientCertFile",
            "ClientKeyFile",
            "ClientSSLOptions",
            "DHParameters",
            "RandFile",
            "ServerCertFile",
            "ServerKeyFile",
            "ServerSSLOptions",
            "TLSFallbacktoClear",
            "TLSSrvOptions",
        ],
        maps: &[],
        commands: &[],
    },
    Feature {
        part: "an engine",
        name: "an engine for TLS",
        options: &["SSLEngine", "SSLEnginePath"],
        maps: &[],
        commands: &[],
    },
    Feature {
        part: "folders of revocations",
        name: "a folder of revoked certificates",
        options: &["CRLPath"],
        maps: &[],
        commands: &[],
    },
    Feature {
        part: "SASLv2",
        name: "SMTP AUTH (SASL)",
        options: &[
            "AuthMaxBits",
            "AuthMechanisms",
            "AuthOptions",
            "AuthRealm",
            "DefaultAuthInfo",
        ],
        maps: &[],
        commands: &[],
    },
    Feature {
        part: "MILTER",
        name: "mail filters (milter)",
        options: &["InputMailFilters", "Milter"],
        maps: &[],
        commands: b"X",
    },
    Feature {
        part: "LDAPMAP",
        name: "LDAP",
        options: &["LDAPDefaultSpec"],
        maps: &[MapClass::Ldap],
        commands: &[],
    },
    Feature {
        part: "NIS",
        name: "NIS",
        options: &[],
        maps: &[MapClass::Nis],
        commands: &[],
    },
    Feature {
        part: "NISPLUS",
        name: "NIS+",
        options: &[],
        maps: &[MapClass::Nisplus],
        commands: &[],
    },
    Feature {
        part: "USERDB",
        name: "the user database (userdb)",
        options: &["UserDatabaseSpec"],
        maps: &[MapClass::Userdb],
        commands: &[],
    },
];

/// Reports each missing feature once, at the first line that asks for it.
///
/// `parts` is the list of what the program has.
pub(super) fn problems(config: &Config, sheet: &Sheet, parts: &[&str]) -> Vec<Problem> {
    FEATURES
        .iter()
        .filter(|feature| !parts.contains(&feature.part))
        .filter_map(|feature| missing(feature, config, sheet))
        .collect()
}

fn missing(feature: &Feature, config: &Config, sheet: &Sheet) -> Option<Problem> {
    let mut asking = sheet
        .statements
        .iter()
        .filter_map(|line| Some((line, asks_for(feature, line, config)?)));
    let (line, word) = asking.next()?;
    let others = asking.count();
    let more = match others {
        0 => String::new(),
        1 => ", and so does 1 more line".to_owned(),
        count => format!(", and so do {count} more lines"),
    };
    let text = format!(
        "{} is no part of this program: {} has no effect{more}",
        feature.name,
        shown(&word)
    );
    let problem = Problem::new(Code::MissingFeature, line.find(&word), text);
    Some(problem.help("remove it, or leave this work to another program"))
}

/// Returns the word of a line that asks for a feature.
fn asks_for(feature: &Feature, line: &Statement, config: &Config) -> Option<Vec<u8>> {
    let command = line.command();
    let rest = line.rest();
    if feature.commands.contains(&command) {
        return Some(crate::config::fields::split_name(rest).0.to_vec());
    }
    match command {
        b'O' => {
            let found = recognize(rest)?;
            let spec = found.spec;
            let asks = feature.options.contains(&spec.name) && !is_off(found.value);
            asks.then(|| spec.name.as_bytes().to_vec())
        }
        b'K' => {
            let map = MapDefinition::parse(rest, &|_| true, &mut Vec::new())?;
            let kept = config.maps.iter().find(|known| known.name == map.name)?;
            let asks = feature.maps.contains(&kept.class) && kept.class == map.class;
            asks.then_some(map.name)
        }
        _ => None,
    }
}

fn is_off(value: &[u8]) -> bool {
    value.is_empty() || matches!(value.first(), Some(b'F' | b'f'))
}
