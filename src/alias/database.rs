//! The AliasFile list: where the right-hand side of an alias comes from.
//!
//! Entry points: [`AliasDatabase::lookup`], [`map_services`] (what maps and
//! aliases need, taken out of a configuration) and [`alias_definitions`].

use std::fmt;
use std::sync::Arc;

use crate::config::options::Options;
use crate::dns::resolver::Resolver;
use crate::logging::debug::DebugLog;
use crate::logging::record::MailLog;
use crate::map::{
    LookupContext, LookupHost, LookupMode, MapClass, MapDefinition, MapId, MapServices, MapSet,
    Userdb, ldap_map::LdapConnections,
};
use crate::safefile::DontBlameSendmail;
use crate::sys::identity::{Credentials, UserDatabase};
use crate::sys::moment::Moments;
use crate::sys::privilege::Privileged;
use crate::sys::process::effective_user;
use crate::sys::safe_open::OpenRules;

/// An alias database could not be read; the message must wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AliasesUnavailable;

impl fmt::Display for AliasesUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("alias database unavailable")
    }
}

impl std::error::Error for AliasesUnavailable {}

/// All alias databases of one configuration, in their order.
pub struct AliasDatabase {
    maps: MapSet,
    all: Option<MapId>,
}

impl AliasDatabase {
    /// Makes the list of `services.aliases`; nothing is opened yet.
    pub fn new(services: MapServices) -> AliasDatabase {
        let maps = MapSet::new(&[], services);
        let all = maps.find(b"aliases");
        AliasDatabase { maps, all }
    }

    /// Returns what the databases work with; a rebuild needs the same.
    pub fn services(&self) -> &MapServices {
        self.maps.services()
    }

    /// Looks a local name up; the first database that knows it wins.
    ///
    /// The order is that of the service switch for `aliases`, then of option AliasFile.
    /// `host` hears about missing databases and judges the names of a text version.
    ///
    /// # Errors
    /// [`AliasesUnavailable`] when a database could not be read and no other knew the name.
    pub fn lookup(
        &self,
        name: &[u8],
        host: &mut dyn LookupHost,
    ) -> Result<Option<Vec<u8>>, AliasesUnavailable> {
        let Some(all) = self.all else { return Ok(None) };
        let mut cx = LookupContext {
            host,
            mode: LookupMode::Aliases,
        };
        let answer = self.maps.ask(all, name, &[], &mut cx);
        if answer.value.is_none() && answer.is_temporary() {
            return Err(AliasesUnavailable);
        }
        Ok(answer.value)
    }
}

/// Makes maps `Alias0`, `Alias1` ... out of the entries `class:flags file` of option AliasFile.
pub fn alias_definitions(entries: &[Vec<u8>]) -> Vec<MapDefinition> {
    let known = |_: &[u8]| true;
    let numbered = entries.iter().enumerate();
    numbered
        .filter_map(|(number, entry)| {
            let colon = entry.iter().position(|&octet| octet == b':')?;
            let class = MapClass::from_name(entry.get(..colon)?)?;
            let name = format!("Alias{number}").into_bytes();
            let arguments = entry.get(colon + 1..)?;
            let mut errors = Vec::new();
            let mut map = MapDefinition::of_class(&name, class, arguments, &known, &mut errors);
            if class == MapClass::Ldap {
                // Several values are several recipients. Observed: 8.17.1.9.
                map.flags.separator = map.flags.separator.or(Some(b','));
            }
            Some(map)
        })
        .collect()
}

/// Takes out of a configuration what maps and aliases need.
pub fn map_services(
    options: &Options,
    resolver: Arc<dyn Resolver>,
    users: Arc<dyn UserDatabase>,
    privileged: Arc<dyn Privileged>,
    log: MailLog,
    debug: &Arc<DebugLog>,
) -> MapServices {
    let blame = options.security.dont_blame_sendmail;
    let default_user = &options.security.default_user;
    let program_user =
        (effective_user() == 0).then(|| Credentials::plain(default_user.uid, default_user.gid));
    let userdb = Userdb::new(
        options.delivering.user_database_spec.as_deref(),
        Arc::clone(&privileged),
        log.clone(),
        Arc::clone(debug),
    );
    MapServices {
        resolver,
        users,
        privileged,
        file_rules: map_file_rules(blame),
        alias_file_rules: alias_file_rules(blame),
        alias_wait: options.delivering.alias_wait,
        log,
        service_switch_file: options.running.service_switch_file.clone(),
        program_user,
        aliases: alias_definitions(&options.delivering.alias_file),
        userdb: Arc::new(userdb),
        ldap: LdapConnections::default(),
        moments: Moments::default(),
    }
}

/// Returns what makes a map file unfit.
pub fn map_file_rules(blame: DontBlameSendmail) -> OpenRules {
    let mut rules = MapServices::MAP_FILE_RULES;
    if blame.allows(DontBlameSendmail::MAP_IN_UNSAFE_DIR_PATH) {
        rules = rules
            .without(OpenRules::NO_GROUP_WRITABLE_DIRECTORY)
            .without(OpenRules::NO_WORLD_WRITABLE_DIRECTORY);
    }
    if blame.allows(DontBlameSendmail::LINKED_MAP_IN_WRITABLE_DIR) {
        rules = rules.without(OpenRules::NO_LINK_IN_WRITABLE_DIRECTORY);
    }
    trusting_directories(rules, blame)
}

/// Returns what makes an alias text unfit to be made a database.
pub fn alias_file_rules(blame: DontBlameSendmail) -> OpenRules {
    let mut rules = MapServices::ALIAS_FILE_RULES;
    for (word, rule) in [
        (
            DontBlameSendmail::GROUP_WRITABLE_ALIAS_FILE,
            OpenRules::NO_GROUP_WRITABLE_FILE,
        ),
        (
            DontBlameSendmail::WORLD_WRITABLE_ALIAS_FILE,
            OpenRules::NO_WORLD_WRITABLE_FILE,
        ),
        (
            DontBlameSendmail::LINKED_ALIAS_FILE_IN_WRITABLE_DIR,
            OpenRules::NO_LINK_IN_WRITABLE_DIRECTORY,
        ),
    ] {
        if blame.allows(word) {
            rules = rules.without(rule);
        }
    }
    trusting_directories(rules, blame)
}

fn trusting_directories(mut rules: OpenRules, blame: DontBlameSendmail) -> OpenRules {
    if blame.allows(DontBlameSendmail::GROUP_WRITABLE_DIR_PATH_SAFE) {
        rules = rules
            .without(OpenRules::NO_GROUP_WRITABLE_DIRECTORY)
            .with(OpenRules::TRUST_GROUPS);
    }
    if blame.allows(DontBlameSendmail::TRUST_STICKY_BIT) {
        rules = rules.with(OpenRules::TRUST_STICKY_BIT);
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_become_numbered_maps() {
        let entries = [
            b"implicit:/etc/mail/aliases".to_vec(),
            b"hash:-o /x".to_vec(),
        ];
        let maps = alias_definitions(&entries);
        assert_eq!(maps[0].name, b"Alias0");
        assert_eq!(maps[0].class, MapClass::Implicit);
        assert!(!maps[0].flags.optional);
        assert_eq!(maps[1].file, b"/x");
        assert!(maps[1].flags.optional);
    }

    #[test]
    fn words_of_dont_blame_sendmail_relax_the_rules() {
        let relaxed = alias_file_rules(DontBlameSendmail::GROUP_WRITABLE_ALIAS_FILE);
        assert!(!relaxed.contains(OpenRules::NO_GROUP_WRITABLE_FILE));
        assert!(relaxed.contains(OpenRules::NO_WORLD_WRITABLE_FILE));
        let relaxed = map_file_rules(DontBlameSendmail::MAP_IN_UNSAFE_DIR_PATH);
        assert!(!relaxed.contains(OpenRules::NO_WORLD_WRITABLE_DIRECTORY));
    }
}
