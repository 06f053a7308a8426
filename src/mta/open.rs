//! From a configuration to the handles made from it.

use std::sync::Arc;

use crate::alias::database::{AliasDatabase, map_services};
use crate::alias::refresh::TriedTexts;
use crate::auth::SaslAccounts;
use crate::config::Config;
use crate::dns::Resolver;
use crate::logging::counting::Counting;
use crate::logging::debug::DebugLog;
use crate::logging::record::MailLog;
use crate::logging::traffic::TrafficLog;
use crate::macros::MacroId;
use crate::map::MapSet;
use crate::queue::{DirectorySync, Queue, QueueIdSource, QueueOpenError};
use crate::sys::clock::SystemClock;
use crate::sys::identity::SystemUsers;
use crate::sys::moment::Moments;
use crate::sys::privilege::Privileged;
use crate::sys::process::process_id;
use crate::tls::Sides;

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
            tried_aliases: TriedTexts::default(),
            crowd: Arc::default(),
        }
    }
}

/// What the command line adds to a configuration.
#[derive(Clone, Default)]
pub struct Listeners {
    /// The traces of `-d`, and where they go.
    pub debug: Arc<DebugLog>,
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
        let resolver = open_resolver(&config, &listeners.debug, Moments::default());
        let log = MailLog::new(config.options.running.log_level);
        let services = map_services(
            &config.options,
            Arc::clone(&resolver),
            Arc::clone(&lifetime.users),
            Arc::clone(&lifetime.privileged),
            log.clone(),
            &listeners.debug,
        );
        Mta {
            maps: MapSet::new(&config.maps, services.clone()),
            aliases: AliasDatabase::new(services),
            queue: Arc::new(queue),
            resolver,
            tls: Sides::default(),
            clock: Arc::clone(&lifetime.clock),
            users: Arc::clone(&lifetime.users),
            privileged: Arc::clone(&lifetime.privileged),
            accounts: Arc::new(SaslAccounts::new(
                config.options.security.dont_blame_sendmail,
                Arc::clone(&lifetime.clock),
                log.clone(),
            )),
            log,
            counting: Counting::new(config.options.running.status_file.clone()),
            debug: Arc::clone(&listeners.debug),
            traffic: Arc::clone(&listeners.traffic),
            lifetime,
            config,
        }
    }
}

/// The resolver a configuration asks for.
pub fn open_resolver(
    config: &Config,
    debug: &Arc<DebugLog>,
    moments: Moments,
) -> Arc<dyn Resolver> {
    let host_name = config.expanded_macro(MacroId::J);
    let local_domain = config.macros.get(MacroId::M);
    let local_domain = local_domain.map(|_| config.expanded_macro(MacroId::M));
    let resolver = resolver(&config.options, &host_name, local_domain, moments);
    Arc::new(resolver.traced(Arc::clone(debug)))
}
