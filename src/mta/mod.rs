//! The shared handles made from one configuration.
//!
//! [`Mta`] is what a thread needs to do any work: the configuration and what was
//! opened because of it. It is made anew at each reload; what lives as long as the
//! process is in [`Lifetime`], made once. [`Workspace`] belongs to one thread and
//! is never shared.

mod alias_rebuild;
mod header_checks;
mod memory;
pub mod open;
mod queue_groups;
pub mod resolver;
pub mod routing;
mod secure;
mod sender_name;

use std::sync::Arc;

use crate::alias::database::AliasDatabase;
use crate::alias::refresh::TriedTexts;
use crate::auth::Accounts;
use crate::client::Crowd;
use crate::config::options::{DeliveryMode, ErrorMode, HeaderOptions};
use crate::config::{Config, Options};
use crate::dns::Resolver;
use crate::envelope::Envelope;
use crate::logging::counting::Counting;
use crate::logging::debug::DebugLog;
use crate::logging::narrator::{Narrator, Silent};
use crate::logging::record::MailLog;
use crate::logging::traffic::TrafficLog;
use crate::macros::{MacroTable, Macros};
use crate::mailer::MailerId;
use crate::map::{LookupMode, MapSet};
use crate::message::address::PhraseRules;
use crate::queue::{DirectorySync, Queue, QueueIdSource};
use crate::rewrite::{RewriteContext, RewriteWorkspace, Trace};
use crate::sys::clock::Clock;
use crate::sys::identity::UserDatabase;
use crate::sys::privilege::Privileged;
use crate::tls::Sides;

pub use memory::Memory;

/// What is made once and lives as long as the process.
pub struct Lifetime {
    /// Draws queue identifiers.
    pub queue_ids: Arc<QueueIdSource>,
    /// Shares the syncs of queue folders between threads.
    pub directory_sync: Arc<DirectorySync>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The accounts of the system.
    pub users: Arc<dyn UserDatabase>,
    /// Root's rights, where there are any.
    pub privileged: Arc<dyn Privileged>,
    /// The alias texts that were rebuilt from at need.
    pub tried_aliases: TriedTexts,
    /// How many sessions there are with each host.
    pub crowd: Arc<Crowd>,
}

/// One configuration and all that was opened because of it.
pub struct Mta {
    /// What the configuration file says.
    pub config: Arc<Config>,
    /// Maps of the K lines.
    pub maps: MapSet,
    /// The alias databases.
    pub aliases: AliasDatabase,
    /// The queue; tools that need none are made without it.
    pub queue: Arc<Queue>,
    /// Host names and addresses.
    pub resolver: Arc<dyn Resolver>,
    /// Certificates and keys, read when they are first wanted.
    pub tls: Sides,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The accounts of the system.
    pub users: Arc<dyn UserDatabase>,
    /// Root's rights, where there are any.
    pub privileged: Arc<dyn Privileged>,
    /// What outlives this configuration.
    pub lifetime: Arc<Lifetime>,
    /// Passwords of clients.
    pub accounts: Arc<dyn Accounts>,
    /// The mail log, with the configuration's LogLevel.
    pub log: MailLog,
    /// Counters on their way to the statistics file.
    pub counting: Counting,
    /// The `-d` flags.
    pub debug: Arc<DebugLog>,
    /// The traffic log of `-X`.
    pub traffic: Arc<TrafficLog>,
}

impl Mta {
    /// Puts together what a chain of rewritings looks at.
    ///
    /// Values are looked up in `front`, then `middle`, then the configuration; what
    /// rulesets set goes to `front`.
    pub fn rewrite_context<'a>(
        &'a self,
        front: &'a mut MacroTable,
        middle: Option<&'a MacroTable>,
        trace: &'a mut dyn Trace,
        buffers: &'a mut RewriteWorkspace,
    ) -> RewriteContext<'a> {
        let config = &*self.config;
        RewriteContext {
            rules: &config.rules,
            classes: &config.classes,
            syntax: &config.syntax,
            names: &config.names,
            mailers: &config.mailers,
            maps: &self.maps,
            macros: Macros::new(front, middle, &config.macros),
            lookup_mode: self.lookup_mode(),
            phrases: phrase_rules(&config.options.headers),
            trace,
            workspace: buffers,
        }
    }

    /// Counts a message that came in, by the mailer of its sender.
    pub fn count_message_from(&self, envelope: &Envelope) {
        let mailer = self.mailer_of_sender(envelope);
        self.counting
            .count(|statistics| statistics.message_from(mailer, envelope.size));
    }

    /// Gives the number of the mailer of the sender; mail from nobody counts as local.
    pub fn mailer_of_sender(&self, envelope: &Envelope) -> usize {
        let triple = envelope.sender.triple.as_ref();
        let mailer = triple.map(|triple| triple.mailer);
        let mailer = mailer.or_else(|| self.config.mailers.local());
        mailer.map_or(usize::MAX, MailerId::index)
    }

    /// Adds what was counted so far to the statistics file.
    pub fn post_statistics(&self) {
        self.counting.post(self.clock.now());
    }

    fn lookup_mode(&self) -> LookupMode {
        match self.config.options.queueing.delivery_mode {
            DeliveryMode::Deferred => LookupMode::Deferred,
            _ => LookupMode::Usual,
        }
    }
}

/// Tells which full names need quotes in front of an address.
pub fn phrase_rules(options: &HeaderOptions) -> PhraseRules<'_> {
    PhraseRules {
        must_quote: &options.must_quote_chars,
        colon_is_ordinary: options.colon_ok_in_addr,
    }
}

/// What one thread keeps to itself while it works.
pub struct Workspace {
    /// Whom progress is told to (`-v`).
    pub narrator: Box<dyn Narrator>,
    /// Whom errors of addresses met during delivery are told to (`-qf`).
    pub complaints: Box<dyn Narrator>,
    /// Whether standard output is for a caller who is to hear where a message was saved.
    pub tells_caller: bool,
    /// Open sessions and failed hosts.
    pub memory: Memory,
    /// Buffers of rewriting.
    pub rewrite: RewriteWorkspace,
    /// How failures are told: by mail, unless a user waits for the program to end.
    pub error_mode: ErrorMode,
    /// How many hops a message begun here has behind it already (`-h`).
    pub first_hop: u32,
    /// What a run of a queue group adds to the nice value of the mailers it starts.
    pub nice: i32,
}

impl Workspace {
    /// Makes what a thread that nobody watches needs.
    pub fn new(options: &Options) -> Self {
        Workspace::narrated(options, Box::new(Silent))
    }

    /// Makes what a thread that tells its progress needs.
    pub fn narrated(options: &Options, narrator: Box<dyn Narrator>) -> Self {
        Workspace {
            narrator,
            complaints: Box::new(Silent),
            tells_caller: false,
            memory: Memory::new(options),
            rewrite: RewriteWorkspace::new(),
            error_mode: ErrorMode::Mail,
            first_hop: 0,
            nice: 0,
        }
    }
}
