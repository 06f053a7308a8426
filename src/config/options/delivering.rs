//! Options about moving mail on: outgoing connections, aliases, forwarding, bounces.
//!
//! Source: guide 5.6.

use std::path::PathBuf;
use std::time::Duration;

use crate::macros::Template;

/// Options about moving mail on.
#[derive(Debug, Clone)]
pub struct Delivering {
    /// Alias databases in the order they are asked, each `class:file` as written.
    pub alias_file: Vec<Vec<u8>>,
    /// How long to wait for the end marker of an alias database; zero does not wait.
    pub alias_wait: Duration,
    /// Check the right sides when the aliases are rebuilt.
    pub check_aliases: bool,
    /// Rebuild a database older than its text at the start and when it is used
    /// (AutoRebuildAliases, gone from the reference since 8.12).
    pub auto_rebuild_aliases: bool,
    /// Deepest nesting of aliases.
    pub max_alias_recursion: u32,
    /// Colon-separated list of .forward paths, expanded for each user; `None` is no forwarding.
    pub forward_path: Option<Template>,
    /// Keep the sender in the expansion of a list it is on.
    pub me_too: bool,
    /// Also look for users by full name.
    pub match_gecos: bool,
    /// Specification of the user database.
    pub user_database_spec: Option<Vec<u8>>,
    /// Keep messages for expensive mailers for the queue run.
    pub hold_expensive: bool,
    /// Most open outgoing connections.
    pub connection_cache_size: u32,
    /// Idle time of a cached connection.
    pub connection_cache_timeout: Duration,
    /// Host used when the exchangers of a domain cannot be reached.
    pub fallback_mx_host: Option<Vec<u8>>,
    /// Host used when a domain has no address and no exchanger.
    pub fallback_smart_host: Option<Vec<u8>>,
    /// Connect to this address whatever the recipient, for tests.
    pub connect_only_to: Option<Vec<u8>>,
    /// Name given in HELO instead of `$j`.
    pub helo_name: Option<Vec<u8>>,
    /// Take this machine as exchanger of a domain whose best exchanger it is by mistake.
    pub try_null_mx_list: bool,
    /// Do not follow CNAME records when canonifying.
    pub dont_expand_cnames: bool,
    /// Keep explicit routes.
    pub dont_prune_routes: bool,
    /// Never two deliveries to one host at a time.
    pub single_thread_delivery: bool,
    /// Directory of the host status files.
    pub host_status_directory: Option<PathBuf>,
    /// Pause before a second connection attempt through a dialled line.
    pub dial_delay: Duration,
    /// Turn permanent refusals of other hosts into temporary ones.
    pub soft_bounce: bool,
    /// Send bounces as MIME reports.
    pub send_mime_errors: bool,
    /// Text or `/file` put first in bounces.
    pub error_header: Option<Vec<u8>>,
    /// Who gets a copy of each bounce.
    pub postmaster_copy: Option<Vec<u8>>,
    /// Who gets bounces of bounces; empty drops them.
    pub double_bounce_address: Template,
    /// File for what could not even be bounced.
    pub dead_letter_drop: Option<PathBuf>,
    /// `Return-Receipt-To:` asks for a success notice.
    pub rrt_implies_dsn: bool,
    /// Send bounces to `Errors-To:` too.
    pub use_errors_to: bool,
    /// Where local mailboxes are looked up.
    pub mailbox_database: Vec<u8>,
}

impl Default for Delivering {
    fn default() -> Self {
        Self {
            alias_file: Vec::new(),
            alias_wait: Duration::ZERO,
            check_aliases: false,
            auto_rebuild_aliases: false,
            max_alias_recursion: 10,
            forward_path: None,
            me_too: true,
            match_gecos: false,
            user_database_spec: None,
            hold_expensive: false,
            connection_cache_size: 1,
            connection_cache_timeout: Duration::from_secs(300),
            fallback_mx_host: None,
            fallback_smart_host: None,
            connect_only_to: None,
            helo_name: None,
            try_null_mx_list: false,
            dont_expand_cnames: false,
            dont_prune_routes: false,
            single_thread_delivery: false,
            host_status_directory: None,
            dial_delay: Duration::ZERO,
            soft_bounce: false,
            send_mime_errors: true,
            error_header: None,
            postmaster_copy: None,
            double_bounce_address: Template::plain(b"postmaster"),
            dead_letter_drop: None,
            rrt_implies_dsn: false,
            use_errors_to: false,
            mailbox_database: b"pw".to_vec(),
        }
    }
}
