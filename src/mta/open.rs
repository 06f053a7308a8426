//! From a configuration to the handles made from it.

use std::sync::Arc;

use crate::alias::database::AliasDatabase;
use crate::config::{Config, Options};
use crate::dns::Resolver;
use crate::logging::debug::DebugFlags;
use crate::logging::record::MailLog;
use crate::logging::traffic::TrafficLog;
use crate::macros::MacroId;
use crate::map::class::MapClass;
use crate::map::definition::MapDefinition;
use crate::map::{MapServices, MapSet};
use crate::queue::{DirectorySync, Queue, QueueIdSource, QueueOpenError};
use crate::safefile::DontBlameSendmail;
use crate::sys::clock::SystemClock;
use crate::sys::identity::{Credentials, SystemUsers};
use crate::sys::privilege::Privileged;
use crate::sys::process::{effective_user, process_id};
use crate::sys::safe_open::OpenRules;

use super::resolver::resolver;
use super::{Lifetime, Mta};

impl Lifetime {
    /// Makes what lives as long as the process.
    pub fn new(privileged: Arc<dyn Privileged>) -> Self {
        Lifetime {
            queue_ids: Arc::new(QueueIdSource::new(process_id())),
            directory_sync: Arc::new(DirectorySync::new()),
            clock: Arc::new(SystemClock),
            users: Arc::new(SystemUsers),
            privileged,
        }
    }
}

/// What the command line adds to a configuration.
#[derive(Clone, Default)]
pub struct Listeners {
    /// `-d` flags.
    pub debug: Arc<DebugFlags>,
    /// The traffic log of `-X`.
    pub traffic: Arc<TrafficLog>,
}

impl Mta {
    /// Opens what a configuration names.
    ///
    /// # Errors
    /// When a queue directory is missing or must not be read; the text is the reference's.
    pub fn open(
        config: Arc<Config>,
        lifetime: Arc<Lifetime>,
        listeners: &Listeners,
    ) -> Result<Mta, QueueOpenError> {
        let queue = Queue::open(
            &config,
            Arc::clone(&lifetime.queue_ids),
            &lifetime.directory_sync,
        )?;
        Ok(Mta::with_queue(config, lifetime, listeners, queue))
    }

    /// Opens what a configuration names around a queue that is open already.
    pub fn with_queue(
        config: Arc<Config>,
        lifetime: Arc<Lifetime>,
        listeners: &Listeners,
        queue: Queue,
    ) -> Mta {
        let host_name = config.expanded_macro(MacroId::J);
        let resolver: Arc<dyn Resolver> = Arc::new(resolver(&config.options, &host_name));
        let services = map_services(&config.options, &lifetime, &resolver);
        Mta {
            maps: MapSet::new(&config.maps, services.clone()),
            aliases: AliasDatabase::new(services),
            queue: Arc::new(queue),
            resolver,
            clock: Arc::clone(&lifetime.clock),
            users: Arc::clone(&lifetime.users),
            privileged: Arc::clone(&lifetime.privileged),
            log: MailLog::new(config.options.running.log_level),
            debug: Arc::clone(&listeners.debug),
            traffic: Arc::clone(&listeners.traffic),
            lifetime,
            config,
        }
    }
}

/// What map classes need of a configuration.
pub fn map_services(
    options: &Options,
    lifetime: &Lifetime,
    resolver: &Arc<dyn Resolver>,
) -> MapServices {
    let default_user = &options.security.default_user;
    MapServices {
        resolver: Arc::clone(resolver),
        users: Arc::clone(&lifetime.users),
        privileged: Arc::clone(&lifetime.privileged),
        file_rules: map_file_rules(options.security.dont_blame_sendmail),
        service_switch_file: options.running.service_switch_file.clone(),
        program_user: (effective_user() == 0).then(|| Credentials {
            uid: default_user.uid,
            gid: default_user.gid,
            groups: vec![default_user.gid],
        }),
        aliases: options
            .delivering
            .alias_file
            .iter()
            .map(|specification| alias_definition(specification))
            .collect(),
    }
}

/// What makes a map file unfit under DontBlameSendmail.
fn map_file_rules(blame: DontBlameSendmail) -> OpenRules {
    let mut rules = MapServices::MAP_FILE_RULES;
    if blame.allows(DontBlameSendmail::MAP_IN_UNSAFE_DIR_PATH) {
        rules = rules
            .without(OpenRules::NO_GROUP_WRITABLE_DIRECTORY)
            .without(OpenRules::NO_WORLD_WRITABLE_DIRECTORY);
    }
    if blame.allows(DontBlameSendmail::GROUP_WRITABLE_DIR_PATH_SAFE) {
        rules = rules.without(OpenRules::NO_GROUP_WRITABLE_DIRECTORY);
    }
    if blame.allows(DontBlameSendmail::LINKED_MAP_IN_WRITABLE_DIR) {
        rules = rules.without(OpenRules::NO_LINK_IN_WRITABLE_DIRECTORY);
    }
    if blame.allows(DontBlameSendmail::TRUST_STICKY_BIT) {
        rules = rules.with(OpenRules::TRUST_STICKY_BIT);
    }
    rules
}

/// Reads one specification of AliasFile: `class:flags file`, or a file of the implicit class.
///
/// Source: guide 5.6, AliasFile.
fn alias_definition(specification: &[u8]) -> MapDefinition {
    let (class, arguments) = match specification.iter().position(|byte| *byte == b':') {
        Some(colon) => match MapClass::from_name(specification.get(..colon).unwrap_or(b"")) {
            Some(class) => (class, specification.get(colon + 1..).unwrap_or(b"")),
            None => (MapClass::Implicit, specification),
        },
        None => (MapClass::Implicit, specification),
    };
    // What is wrong with a specification was said when the configuration was read.
    MapDefinition::of_class(
        b"aliases",
        class,
        arguments.trim_ascii(),
        &|_| true,
        &mut Vec::new(),
    )
}
