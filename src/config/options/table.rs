//! The table of options: names, letters, who may set them, and their parsers.
//!
//! The order is that in which the reference looks names up, because it decides
//! which two names the message about an ambiguous abbreviation shows.
//!
//! Source: guide 5.6; observed: 8.17.1.9.

use crate::map::ldap_arguments::default_flags;
use crate::text::address::Ipv6Form;
use crate::text::interval::IntervalUnit::{Hours, Minutes, Seconds};

use super::accounts::{account, default_group, trusted_user};
use super::queueing::SuperSafe;
use super::running::{ErrorMode, ProbeInterfaces, TimeZoneSpec};
use super::setting::Setting;
use super::value;
use super::{parsers, ports, times};
use crate::config::diagnostics::Doubt;

/// Who may set an option on the command line without losing the program's rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safety {
    /// Everybody.
    Safe,
    /// Root; for others the program gives its rights up first.
    Unsafe,
}

/// One option.
#[derive(Clone, Copy)]
pub struct OptionSpec {
    /// Long name.
    pub name: &'static str,
    /// One-letter name, or the number the reference shows with `-d37.1`.
    pub code: u8,
    /// Who may set it.
    pub safety: Safety,
    /// Reads the value.
    pub set: fn(&mut Setting<'_>),
}

const fn option(code: u8, name: &'static str, set: fn(&mut Setting<'_>)) -> OptionSpec {
    OptionSpec {
        name,
        code,
        safety: Safety::Unsafe,
        set,
    }
}

const fn letter(letter: u8, name: &'static str, set: fn(&mut Setting<'_>)) -> OptionSpec {
    OptionSpec {
        name,
        code: letter,
        safety: Safety::Unsafe,
        set,
    }
}

const fn safe(spec: OptionSpec) -> OptionSpec {
    OptionSpec {
        safety: Safety::Safe,
        ..spec
    }
}

impl OptionSpec {
    /// Tells whether the option may be set by this letter.
    pub fn has_letter(&self, letter: u8) -> bool {
        self.code == letter && letter.is_ascii_graphic()
    }
}

/// All options with a long name.
pub const OPTIONS: &[OptionSpec] = &[
    safe(letter(b'7', "SevenBitInput", |s| {
        s.options.headers.seven_bit_input = s.truth()
    })),
    safe(letter(b'8', "EightBitMode", parsers::eight_bit_mode)),
    letter(b'A', "AliasFile", parsers::alias_file),
    letter(b'a', "AliasWait", parsers::alias_wait),
    letter(b'B', "BlankSub", |s| {
        s.options.headers.blank_sub = *s.value.first().unwrap_or(&b' ')
    }),
    safe(letter(b'b', "MinFreeBlocks", parsers::min_free_blocks)),
    safe(letter(b'C', "CheckpointInterval", |s| {
        s.options.queueing.checkpoint_interval = s.count()
    })),
    safe(letter(b'c', "HoldExpensive", |s| {
        s.options.delivering.hold_expensive = s.truth()
    })),
    safe(letter(b'd', "DeliveryMode", parsers::delivery_mode)),
    letter(b'E', "ErrorHeader", |s| {
        s.options.delivering.error_header = s.some_text_or_file()
    }),
    safe(letter(b'e', "ErrorMode", |s| {
        let letter = s.value.first().copied();
        match letter.and_then(ErrorMode::from_letter) {
            Some(mode) => s.options.running.error_mode = mode,
            None => s.out.doubt(Doubt::Word, s.name, s.value),
        }
    })),
    letter(b'F', "TempFileMode", |s| {
        s.options.queueing.temp_file_mode = s.octal() & 0o777
    }),
    letter(b'f', "SaveFromLine", |s| {
        s.options.headers.save_from_line = s.truth()
    }),
    letter(b'G', "MatchGECOS", |s| {
        s.options.delivering.match_gecos = s.truth()
    }),
    letter(b'H', "HelpFile", |s| {
        s.options.running.help_file = Some(s.path_or("helpfile"))
    }),
    letter(b'h', "MaxHopCount", |s| {
        s.options.receiving.max_hop_count = s.count()
    }),
    letter(b'I', "ResolverOptions", parsers::resolver_options),
    safe(letter(b'i', "IgnoreDots", |s| {
        s.options.receiving.ignore_dots = s.truth()
    })),
    letter(b'J', "ForwardPath", |s| {
        s.options.delivering.forward_path = Some(s.template()).filter(|path| !path.is_empty());
    }),
    safe(letter(b'j', "SendMimeErrors", |s| {
        s.options.delivering.send_mime_errors = s.truth()
    })),
    letter(b'k', "ConnectionCacheSize", |s| {
        s.options.delivering.connection_cache_size = s.count()
    }),
    letter(b'K', "ConnectionCacheTimeout", |s| {
        s.options.delivering.connection_cache_timeout = s.interval(Minutes)
    }),
    letter(b'l', "UseErrorsTo", |s| {
        s.options.delivering.use_errors_to = s.truth()
    }),
    safe(letter(b'L', "LogLevel", |s| {
        s.options.running.log_level = u8::try_from(s.count()).unwrap_or(u8::MAX)
    })),
    safe(letter(b'm', "MeToo", |s| {
        s.options.delivering.me_too = s.truth()
    })),
    letter(b'n', "CheckAliases", |s| {
        s.options.delivering.check_aliases = s.truth()
    }),
    safe(letter(b'o', "OldStyleHeaders", |s| {
        s.options.headers.old_style_headers = s.truth()
    })),
    letter(b'O', "DaemonPortOptions", ports::daemon_port),
    safe(letter(b'p', "PrivacyOptions", parsers::privacy_options)),
    letter(b'P', "PostmasterCopy", |s| {
        s.options.delivering.postmaster_copy = s.some_text()
    }),
    letter(b'q', "QueueFactor", |s| {
        s.options.queueing.queue_factor = s.number()
    }),
    letter(b'Q', "QueueDirectory", |s| {
        s.options.queueing.queue_directory = Some(s.some_text().unwrap_or(b"mqueue".to_vec()));
    }),
    letter(b'R', "DontPruneRoutes", |s| {
        s.options.delivering.dont_prune_routes = s.truth()
    }),
    letter(b'r', "Timeout", times::timeout),
    letter(b'S', "StatusFile", |s| {
        s.options.running.status_file = Some(s.path_or("statistics"))
    }),
    safe(letter(b's', "SuperSafe", |s| {
        s.options.queueing.super_safe = match s.value.first() {
            Some(b'i' | b'I') => SuperSafe::Interactive,
            Some(b'p' | b'P') => SuperSafe::PostMilter,
            _ if s.truth() => SuperSafe::True,
            _ => SuperSafe::False,
        };
    })),
    letter(b'T', "QueueTimeout", times::queue_timeout),
    letter(b't', "TimeZoneSpec", |s| {
        s.options.running.time_zone_spec = s
            .some_text()
            .map_or(TimeZoneSpec::Caller, TimeZoneSpec::Fixed);
    }),
    letter(b'U', "UserDatabaseSpec", |s| {
        s.options.delivering.user_database_spec = s.some_text()
    }),
    letter(b'u', "DefaultUser", |s| {
        let previous = s.options.security.default_user.clone();
        if let Some(account) = account(s, "u", Some(&previous)) {
            s.options.security.default_user = account;
        }
    }),
    letter(b'V', "FallbackMXhost", |s| {
        s.options.delivering.fallback_mx_host = s.some_text()
    }),
    safe(letter(b'v', "Verbose", |s| {
        s.options.running.verbose = value::number(s.value) > 0 || s.truth()
    })),
    letter(b'w', "TryNullMXList", |s| {
        s.options.delivering.try_null_mx_list = s.truth()
    }),
    letter(b'x', "QueueLA", |s| s.options.queueing.queue_la = s.count()),
    letter(b'X', "RefuseLA", |s| {
        s.options.queueing.refuse_la = s.count()
    }),
    letter(b'y', "RecipientFactor", |s| {
        s.options.queueing.recipient_factor = s.number()
    }),
    letter(b'Y', "ForkEachJob", |s| {
        s.options.queueing.fork_each_job = s.truth()
    }),
    letter(b'z', "ClassFactor", |s| {
        s.options.queueing.class_factor = s.number()
    }),
    letter(b'Z', "RetryFactor", |s| {
        s.options.queueing.retry_factor = s.number()
    }),
    safe(option(0x81, "QueueSortOrder", parsers::queue_sort_order)),
    option(0x82, "HostsFile", |s| {
        s.options.running.hosts_file = s.path_or("/etc/hosts")
    }),
    safe(option(0x83, "MinQueueAge", |s| {
        s.options.queueing.min_queue_age = s.interval(Minutes)
    })),
    safe(option(0x85, "DefaultCharSet", |s| {
        s.options.headers.default_char_set = s.text()
    })),
    option(0x86, "ServiceSwitchFile", |s| {
        s.options.running.service_switch_file = s.path_or("/etc/mail/service.switch")
    }),
    safe(option(0x87, "DialDelay", |s| {
        s.options.delivering.dial_delay = s.interval(Seconds)
    })),
    safe(option(
        0x88,
        "NoRecipientAction",
        parsers::no_recipient_action,
    )),
    option(0x89, "SafeFileEnvironment", |s| {
        s.options.security.safe_file_environment = s.path()
    }),
    option(0x8a, "MaxMessageSize", |s| {
        s.options.receiving.max_message_size = s.size()
    }),
    safe(option(0x8b, "ColonOkInAddr", |s| {
        s.options.headers.colon_ok_in_addr = s.truth()
    })),
    safe(option(0x8c, "MaxQueueRunSize", |s| {
        s.options.queueing.max_queue_run_size = s.count()
    })),
    option(0x8d, "MaxDaemonChildren", |s| {
        s.options.receiving.max_daemon_children = s.count()
    }),
    option(0x8e, "DontExpandCnames", |s| {
        s.options.delivering.dont_expand_cnames = s.truth()
    }),
    option(0x8f, "MustQuoteChars", parsers::must_quote_chars),
    option(0x90, "SmtpGreetingMessage", |s| {
        s.options.receiving.smtp_greeting_message = s.unquoted_template()
    }),
    option(0x91, "UnixFromLine", |s| {
        s.options.headers.unix_from_line = s.unquoted_template()
    }),
    option(0x92, "OperatorChars", parsers::operator_chars),
    option(0x93, "DontInitGroups", |s| {
        s.options.security.dont_init_groups = s.truth()
    }),
    safe(option(0x94, "SingleLineFromHeader", |s| {
        s.options.headers.single_line_from_header = s.truth()
    })),
    safe(option(0x95, "AllowBogusHELO", |s| {
        s.options.receiving.allow_bogus_helo = s.truth()
    })),
    option(0x97, "ConnectionRateThrottle", |s| {
        s.options.receiving.connection_rate_throttle = s.count()
    }),
    option(0x99, "UnsafeGroupWrites", |s| {
        s.options.security.unsafe_group_writes = s.truth()
    }),
    option(0x9a, "DoubleBounceAddress", |s| {
        s.options.delivering.double_bounce_address = s.template()
    }),
    option(0x9b, "HostStatusDirectory", |s| {
        s.options.delivering.host_status_directory = s.path()
    }),
    option(0x9c, "SingleThreadDelivery", |s| {
        s.options.delivering.single_thread_delivery = s.truth()
    }),
    option(0x9d, "RunAsUser", |s| {
        let previous = s.options.security.run_as_user.clone();
        s.options.security.run_as_user = account(s, "RunAsUser", previous.as_ref());
    }),
    option(0x9e, "RrtImpliesDsn", |s| {
        s.options.delivering.rrt_implies_dsn = s.truth()
    }),
    option(0x9f, "PidFile", |s| {
        s.options.running.pid_file = s.template()
    }),
    option(0xa0, "DontBlameSendmail", parsers::dont_blame_sendmail),
    option(0xa1, "DontProbeInterfaces", |s| {
        s.options.running.dont_probe_interfaces = if s.value == b"loopback" {
            ProbeInterfaces::NoLoopback
        } else if s.truth() {
            ProbeInterfaces::None
        } else {
            ProbeInterfaces::All
        };
    }),
    option(0xa2, "MaxRecipientsPerMessage", |s| {
        s.options.receiving.max_recipients_per_message = s.count()
    }),
    option(0xa3, "DeadLetterDrop", |s| {
        s.options.delivering.dead_letter_drop = s.path()
    }),
    option(0xa5, "MaxAliasRecursion", |s| {
        s.options.delivering.max_alias_recursion = s.count()
    }),
    option(0xa6, "ConnectOnlyTo", parsers::connect_only_to),
    option(0xa7, "TrustedUser", |s| {
        s.options.security.trusted_user = trusted_user(s).or(s.options.security.trusted_user)
    }),
    option(0xa8, "MaxMimeHeaderLength", parsers::max_mime_header_length),
    option(0xa9, "ControlSocketName", |s| {
        s.options.running.control_socket_name = s.path()
    }),
    option(0xaa, "MaxHeadersLength", parsers::max_headers_length),
    option(0xac, "ProcessTitlePrefix", |s| {
        s.options.running.process_title_prefix =
            Some(s.template()).filter(|title| !title.is_empty());
    }),
    option(0xb2, "LDAPDefaultSpec", |s| {
        let mut errors = Vec::new();
        let spec = s.some_text();
        default_flags(spec.as_deref().unwrap_or_default(), &mut errors);
        for error in &errors {
            s.out.error(&error.text);
        }
        s.options.running.ldap_default_spec = spec;
    }),
    option(0xad, "DefaultAuthInfo", |s| {
        s.options.security.default_auth_info = s.path()
    }),
    option(0xae, "AuthMechanisms", |s| {
        s.options.security.auth_mechanisms = s.text()
    }),
    option(0xaf, "ClientPortOptions", ports::client_port),
    option(0xb0, "DataFileBufferSize", |s| {
        s.options.queueing.data_file_buffer_size = s.size()
    }),
    option(0xb1, "XscriptFileBufferSize", |s| {
        s.options.queueing.xscript_file_buffer_size = s.size()
    }),
    option(0xb4, "ServerCertFile", |s| {
        s.options.security.server_cert_file = parsers::file_pair(s)
    }),
    option(0xb5, "ServerKeyFile", |s| {
        s.options.security.server_key_file = parsers::file_pair(s)
    }),
    option(0xb6, "ClientCertFile", |s| {
        s.options.security.client_cert_file = parsers::file_pair(s)
    }),
    option(0xb7, "ClientKeyFile", |s| {
        s.options.security.client_key_file = parsers::file_pair(s)
    }),
    option(0xb8, "CACertFile", |s| {
        s.options.security.ca_cert_file = s.path()
    }),
    option(0xb9, "CACertPath", |s| {
        s.options.security.ca_cert_path = s.path()
    }),
    option(0xba, "DHParameters", |s| {
        s.options.security.dh_parameters = s.some_text()
    }),
    option(0xbb, "InputMailFilters", parsers::input_mail_filters),
    option(0xbc, "Milter", parsers::milter),
    option(0xbd, "AuthOptions", |s| {
        s.options.security.auth_options = parsers::letters(s, b"AacdfmpyT")
    }),
    option(0xbe, "QueueFileMode", |s| {
        s.options.queueing.queue_file_mode = Some(s.octal() & 0o777)
    }),
    option(0xbf, "CertFingerprintAlgorithm", |s| {
        s.options.security.cert_fingerprint_algorithm = s.some_text()
    }),
    option(0xc0, "CipherList", |s| {
        s.options.security.cipher_list = s.some_text()
    }),
    option(0xc1, "RandFile", |s| {
        s.options.security.rand_file = s.some_text()
    }),
    option(0xc2, "TLSSrvOptions", |s| {
        s.options.security.tls_srv_options = parsers::letters(s, b"VCR")
    }),
    option(0xc3, "BadRcptThrottle", |s| {
        s.options.receiving.bad_rcpt_throttle = s.count()
    }),
    option(0xc4, "DeliverByMin", parsers::deliver_by_min),
    option(0xc5, "MaxQueueChildren", |s| {
        s.options.queueing.max_queue_children = s.count()
    }),
    option(0xc6, "MaxRunnersPerQueue", |s| {
        s.options.queueing.max_runners_per_queue = s.count()
    }),
    option(0xc7, "DirectSubmissionModifiers", |s| {
        s.options.receiving.direct_submission_modifiers = s.text()
    }),
    option(0xc8, "NiceQueueRun", |s| {
        s.options.queueing.nice_queue_run = value::signed(s.value)
    }),
    option(0xc9, "SharedMemoryKey", |s| {
        s.options.queueing.shared_memory_key = if s.value.eq_ignore_ascii_case(b"select") {
            -1
        } else {
            s.number()
        };
    }),
    option(0xca, "AuthMaxBits", |s| {
        s.options.security.auth_max_bits = Some(s.count())
    }),
    option(0xcb, "MailboxDatabase", parsers::mailbox_database),
    option(0xcc, "UseMSP", |s| s.options.running.use_msp = s.truth()),
    option(0xcd, "DelayLA", |s| s.options.queueing.delay_la = s.count()),
    option(0xce, "FastSplit", |s| {
        s.options.queueing.fast_split = s.count()
    }),
    option(0xcf, "SoftBounce", |s| {
        s.options.delivering.soft_bounce = s.truth()
    }),
    option(0xd0, "SharedMemoryKeyFile", |s| {
        s.options.queueing.shared_memory_key_file = s.path()
    }),
    option(0xd1, "RejectLogInterval", |s| {
        s.options.receiving.reject_log_interval = s.interval(Hours)
    }),
    option(0xd2, "RequiresDirfsync", |s| {
        s.options.queueing.requires_dirfsync = s.truth()
    }),
    option(0xd3, "ConnectionRateWindowSize", |s| {
        s.options.receiving.connection_rate_window_size = s.interval(Seconds);
    }),
    option(0xd4, "CRLFile", |s| s.options.security.crl_file = s.path()),
    option(0xd5, "FallbackSmartHost", |s| {
        s.options.delivering.fallback_smart_host = s.some_text()
    }),
    option(0xd6, "AuthRealm", |s| {
        s.options.security.auth_realm = s.some_text()
    }),
    option(0xd7, "CRLPath", |s| s.options.security.crl_path = s.path()),
    option(0xd8, "HeloName", |s| {
        s.options.delivering.helo_name = s.some_text()
    }),
    option(0xdc, "MaxNOOPCommands", |s| {
        s.options.receiving.max_noop_commands = s.count()
    }),
    option(0xe1, "BadRcptShutdown", |s| {
        s.options.receiving.bad_rcpt_shutdown = s.count()
    }),
    option(0xe2, "BadRcptShutdownGood", |s| {
        s.options.receiving.bad_rcpt_shutdown_good = s.count()
    }),
    option(0xe3, "ServerSSLOptions", |s| {
        s.options.security.server_ssl_options = parsers::ssl_options(s)
    }),
    option(0xe4, "ClientSSLOptions", |s| {
        s.options.security.client_ssl_options = parsers::ssl_options(s)
    }),
    option(0xe5, "MaxQueueAge", |s| {
        s.options.queueing.max_queue_age = s.interval(Minutes)
    }),
    option(0xe9, "RejectNUL", |s| {
        s.options.receiving.reject_nul = s.truth()
    }),
    option(0xec, "UseCompressedIPv6Addresses", |s| {
        s.options.running.ipv6_form = match s.truth() {
            true => Ipv6Form::Compressed,
            false => Ipv6Form::Full,
        };
    }),
    option(0xed, "SSLEngine", |s| {
        s.options.security.ssl_engine = s.some_text()
    }),
    option(0xee, "SSLEnginePath", |s| {
        s.options.security.ssl_engine_path = s.path()
    }),
    option(0xef, "TLSFallbacktoClear", |s| {
        s.options.security.tls_fallback_to_clear = s.truth()
    }),
    option(0xf7, "SetCertAltnames", |s| {
        s.options.security.set_cert_altnames = s.truth()
    }),
    option(0xf8, "SmtpUTF8", |s| {
        s.options.receiving.smtp_utf8 = s.truth()
    }),
    option(0xf9, "StrictTransportSecurity", |s| {
        s.options.security.strict_transport_security = s.truth()
    }),
    option(0xfa, "CipherSuites", |s| {
        s.options.security.cipher_suites = s.some_text()
    }),
];

/// Options of old releases that have a letter only.
pub const LETTERS_ONLY: &[OptionSpec] = &[letter(b'g', "", default_group)];

/// Options the reference does not know, found by their full name only.
///
/// They never stand for an abbreviation and never make one ambiguous, so a file
/// written for the reference means the same here.
pub const OWN_OPTIONS: &[OptionSpec] = &[
    AUTO_REBUILD_ALIASES,
    option(0, "SessionWorkers", parsers::session_workers),
    option(0, "Chunking", |s| s.options.receiving.chunking = s.truth()),
];

/// Option of old releases that the reference refuses by name since 8.12 and passes over by letter.
///
/// Here it works: see [`super::Delivering::auto_rebuild_aliases`].
pub const AUTO_REBUILD_ALIASES: OptionSpec = letter(b'D', "AutoRebuildAliases", |s| {
    s.options.delivering.auto_rebuild_aliases = s.truth()
});
