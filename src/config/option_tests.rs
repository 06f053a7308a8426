//! Every option by name and by letter: what it is without a line, and what a line makes of it.
//!
//! Source: guide 5.6; letters and numbers observed: 8.17.1.9 (`-d37.1`).

use super::diagnostics::Kind;
use super::options::Options;
use super::options::table::{LETTERS_ONLY, OPTIONS};
use super::source::FixedSource;
use super::{Config, Overrides};
use crate::logging::debug::DebugFlags;

/// Reads a file of the current level with these lines; gives the options and what was said.
fn read(lines: &str) -> (Options, Vec<String>) {
    let mut overrides = Overrides::only_file("/x.cf");
    overrides.debug = DebugFlags::parse(b"37.1");
    let text = format!("V10\n{lines}Mlocal, P=/bin/x, A=x\n");
    let mut source = FixedSource::with_file("/x.cf", text.as_bytes());
    let config = Config::load(&overrides, &mut source).unwrap();
    let said = config.diagnostics.messages().iter();
    let said = said
        .filter(|message| message.kind != Kind::Note)
        .map(|message| String::from_utf8_lossy(&message.text).into_owned())
        .collect();
    (config.options, said)
}

/// Writes a value; lists of octets as text.
fn shown(value: &dyn std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    if let Some((_, source)) = text.split_once(" source: ") {
        let text = shown_text(source.trim_end_matches([' ', '}', ')']));
        let is_some = format!("{value:?}").starts_with("Some(");
        return if is_some {
            format!("Some({text})")
        } else {
            text
        };
    }
    shown_text(&text)
}

fn shown_text(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('[') {
        let (before, list) = rest.split_at(at);
        out.push_str(before);
        let end = list.find(']').unwrap_or(list.len() - 1);
        let octets: Option<Vec<u8>> = list[1..end].split(", ").map(|n| n.parse().ok()).collect();
        match octets {
            Some(octets) => {
                out.push_str(&format!("`{}`", String::from_utf8_lossy(&octets)));
                rest = &list[end + 1..];
            }
            None => {
                out.push('[');
                rest = &list[1..];
            }
        }
    }
    out + rest
}

/// One option: name, letter or number, default, a value, what it becomes.
struct Row {
    name: &'static str,
    code: &'static str,
    field: fn(&Options) -> String,
    default: &'static str,
    value: &'static str,
    becomes: &'static str,
}

macro_rules! rows {
    ($($name:literal $code:literal, $group:ident $(.$field:ident)*: $default:literal,
       $value:literal => $becomes:literal;)*) => {
        &[$(Row {
            name: $name,
            code: $code,
            field: |options| shown(&options.$group$(.$field)*),
            default: $default,
            value: $value,
            becomes: $becomes,
        }),*]
    };
}

#[rustfmt::skip] // a table: one option, one line
const ROWS: &[Row] = rows! {
        "SevenBitInput" "7", headers.seven_bit_input: "false", "True" => "true";
        "EightBitMode" "8", headers.eight_bit_mode: "Pass", "mime" => "Mime";
        "AliasFile" "A", delivering.alias_file: "[]", "/etc/a, hash:/etc/b" => "[`implicit:/etc/a`, `hash:/etc/b`]";
        "AliasWait" "a", delivering.alias_wait: "0ns", "10" => "600s";
        "BlankSub" "B", headers.blank_sub: "32", "." => "46";
        "MinFreeBlocks" "b", queueing.min_free_blocks: "100", "250" => "250";
        "CheckpointInterval" "C", queueing.checkpoint_interval: "10", "4" => "4";
        "HoldExpensive" "c", delivering.hold_expensive: "false", "True" => "true";
        "DeliveryMode" "d", queueing.delivery_mode: "Background", "queueonly" => "QueueOnly";
        "ErrorHeader" "E", delivering.error_header: "None", "/etc/mail/error-header" => "Some(`/etc/mail/error-header`)";
        "ErrorMode" "e", running.error_mode: "Print", "quiet" => "Quiet";
        "TempFileMode" "F", queueing.temp_file_mode: "384", "0640" => "416";
        "SaveFromLine" "f", headers.save_from_line: "false", "True" => "true";
        "MatchGECOS" "G", delivering.match_gecos: "false", "True" => "true";
        "HelpFile" "H", running.help_file: "None", "/etc/mail/helpfile" => "Some(\"/etc/mail/helpfile\")";
        "MaxHopCount" "h", receiving.max_hop_count: "25", "30" => "30";
        "ResolverOptions" "I", running.resolver_options: "[]", "+aaonly -dnsrch" => "[(`aaonly`, true), (`dnsrch`, false)]";
        "IgnoreDots" "i", receiving.ignore_dots: "false", "True" => "true";
        "ForwardPath" "J", delivering.forward_path: "None", "$z/.forward.$w:$z/.forward" => "Some(`$z/.forward.$w:$z/.forward`)";
        "SendMimeErrors" "j", delivering.send_mime_errors: "true", "False" => "false";
        "ConnectionCacheSize" "k", delivering.connection_cache_size: "1", "4" => "4";
        "ConnectionCacheTimeout" "K", delivering.connection_cache_timeout: "300s", "7" => "420s";
        "UseErrorsTo" "l", delivering.use_errors_to: "false", "True" => "true";
        "LogLevel" "L", running.log_level: "9", "14" => "14";
        "MeToo" "m", delivering.me_too: "true", "False" => "false";
        "CheckAliases" "n", delivering.check_aliases: "false", "True" => "true";
        "OldStyleHeaders" "o", headers.old_style_headers: "false", "True" => "true";
        "PrivacyOptions" "p", security.privacy_options: "PrivacyFlags(0)", "authwarnings,noexpn" => "PrivacyFlags(1032)";
        "PostmasterCopy" "P", delivering.postmaster_copy: "None", "Postmaster" => "Some(`Postmaster`)";
        "QueueFactor" "q", queueing.queue_factor: "600000", "70000" => "70000";
        "QueueDirectory" "Q", queueing.queue_directory: "None", "/var/spool/q*" => "Some(`/var/spool/q*`)";
        "DontPruneRoutes" "R", delivering.dont_prune_routes: "false", "True" => "true";
        "StatusFile" "S", running.status_file: "None", "/etc/mail/statistics" => "Some(\"/etc/mail/statistics\")";
        "SuperSafe" "s", queueing.super_safe: "False", "True" => "True";
        "TimeZoneSpec" "t", running.time_zone_spec: "System", "CET" => "Fixed(`CET`)";
        "UserDatabaseSpec" "U", delivering.user_database_spec: "None", "/etc/mail/userdb" => "Some(`/etc/mail/userdb`)";
        "DefaultUser" "u", security.default_user: "AccountSpec { name: `daemon`, uid: 1, gid: 1 }", "8:12" => "AccountSpec { name: `8`, uid: 8, gid: 12 }";
        "FallbackMXhost" "V", delivering.fallback_mx_host: "None", "fall.back.test" => "Some(`fall.back.test`)";
        "Verbose" "v", running.verbose: "false", "True" => "true";
        "TryNullMXList" "w", delivering.try_null_mx_list: "false", "True" => "true";
        "QueueLA" "x", queueing.queue_la: "8", "9" => "9";
        "RefuseLA" "X", queueing.refuse_la: "12", "13" => "13";
        "RecipientFactor" "y", queueing.recipient_factor: "30000", "31000" => "31000";
        "ForkEachJob" "Y", queueing.fork_each_job: "false", "True" => "true";
        "ClassFactor" "z", queueing.class_factor: "1800", "1900" => "1900";
        "RetryFactor" "Z", queueing.retry_factor: "90000", "91000" => "91000";
        "QueueSortOrder" "0x81", queueing.queue_sort_order: "Priority", "host" => "Host";
        "HostsFile" "0x82", running.hosts_file: "\"/etc/hosts\"", "/etc/hosts2" => "\"/etc/hosts2\"";
        "MinQueueAge" "0x83", queueing.min_queue_age: "0ns", "27" => "1620s";
        "DefaultCharSet" "0x85", headers.default_char_set: "`unknown-8bit`", "iso-8859-1" => "`iso-8859-1`";
        "ServiceSwitchFile" "0x86", running.service_switch_file: "\"/etc/mail/service.switch\"", "/etc/switch" => "\"/etc/switch\"";
        "DialDelay" "0x87", delivering.dial_delay: "0ns", "10" => "10s";
        "NoRecipientAction" "0x88", headers.no_recipient_action: "None", "add-to" => "AddTo";
        "SafeFileEnvironment" "0x89", security.safe_file_environment: "None", "/arch" => "Some(\"/arch\")";
        "MaxMessageSize" "0x8a", receiving.max_message_size: "0", "1000000" => "1000000";
        "ColonOkInAddr" "0x8b", headers.colon_ok_in_addr: "false", "True" => "true";
        "MaxQueueRunSize" "0x8c", queueing.max_queue_run_size: "0", "10000" => "10000";
        "MaxDaemonChildren" "0x8d", receiving.max_daemon_children: "0", "12" => "12";
        "DontExpandCnames" "0x8e", delivering.dont_expand_cnames: "false", "True" => "true";
        "MustQuoteChars" "0x8f", headers.must_quote_chars: "`.'`", "'$" => "`'$`";
        "SmtpGreetingMessage" "0x90", receiving.smtp_greeting_message: "`$j Sendmail $v ready at $b`", "$j here" => "`$j here`";
        "UnixFromLine" "0x91", headers.unix_from_line: "`From $g  $d`", "From $g at $d" => "`From $g at $d`";
        "OperatorChars" "0x92", headers.operator_chars: "Some(`.:@[]`)", ".:@" => "Some(`.:@`)";
        "DontInitGroups" "0x93", security.dont_init_groups: "false", "True" => "true";
        "SingleLineFromHeader" "0x94", headers.single_line_from_header: "false", "True" => "true";
        "AllowBogusHELO" "0x95", receiving.allow_bogus_helo: "false", "True" => "true";
        "ConnectionRateThrottle" "0x97", receiving.connection_rate_throttle: "0", "3" => "3";
        "UnsafeGroupWrites" "0x99", security.unsafe_group_writes: "true", "False" => "false";
        "DoubleBounceAddress" "0x9a", delivering.double_bounce_address: "`postmaster`", "pm@$m" => "`pm@$m`";
        "HostStatusDirectory" "0x9b", delivering.host_status_directory: "None", ".hoststat" => "Some(\".hoststat\")";
        "SingleThreadDelivery" "0x9c", delivering.single_thread_delivery: "false", "True" => "false";
        "RunAsUser" "0x9d", security.run_as_user: "None", "8:12" => "Some(AccountSpec { name: `8`, uid: 8, gid: 12 })";
        "RrtImpliesDsn" "0x9e", delivering.rrt_implies_dsn: "false", "True" => "true";
        "PidFile" "0x9f", running.pid_file: "`/var/run/sendmail/mta/sendmail.pid`", "/run/sm.pid" => "`/run/sm.pid`";
        "DontProbeInterfaces" "0xa1", running.dont_probe_interfaces: "All", "True" => "None";
        "MaxRecipientsPerMessage" "0xa2", receiving.max_recipients_per_message: "0", "200" => "200";
        "DeadLetterDrop" "0xa3", delivering.dead_letter_drop: "None", "/var/tmp/dead" => "Some(\"/var/tmp/dead\")";
        "MaxAliasRecursion" "0xa5", delivering.max_alias_recursion: "10", "5" => "5";
        "ConnectOnlyTo" "0xa6", delivering.connect_only_to: "None", "127.0.0.1" => "Some(`127.0.0.1`)";
        "TrustedUser" "0xa7", security.trusted_user: "None", "112" => "Some(112)";
        "MaxMimeHeaderLength" "0xa8", headers.max_mime_header_length: "2048", "256/128" => "256";
        "ControlSocketName" "0xa9", running.control_socket_name: "None", "/run/sock" => "Some(\"/run/sock\")";
        "MaxHeadersLength" "0xaa", headers.max_headers_length: "32768", "16384" => "16384";
        "ProcessTitlePrefix" "0xac", running.process_title_prefix: "None", "mta" => "Some(`mta`)";
        "LDAPDefaultSpec" "0xb2", running.ldap_default_spec: "None", "-h ldap.test" => "Some(`-h ldap.test`)";
        "DefaultAuthInfo" "0xad", security.default_auth_info: "None", "/etc/mail/authinfo" => "Some(\"/etc/mail/authinfo\")";
        "AuthMechanisms" "0xae", security.auth_mechanisms: "`EXTERNAL GSSAPI KERBEROS_V4 DIGEST-MD5 CRAM-MD5`", "LOGIN PLAIN" => "`LOGIN PLAIN`";
        "DataFileBufferSize" "0xb0", queueing.data_file_buffer_size: "4096", "8192" => "8192";
        "XscriptFileBufferSize" "0xb1", queueing.xscript_file_buffer_size: "4096", "16384" => "16384";
        "ServerCertFile" "0xb4", security.server_cert_file: "None", "/c1,/c2" => "Some((\"/c1\", Some(\"/c2\")))";
        "ServerKeyFile" "0xb5", security.server_key_file: "None", "/k1" => "Some((\"/k1\", None))";
        "ClientCertFile" "0xb6", security.client_cert_file: "None", "/c3" => "Some((\"/c3\", None))";
        "ClientKeyFile" "0xb7", security.client_key_file: "None", "/k3" => "Some((\"/k3\", None))";
        "CACertFile" "0xb8", security.ca_cert_file: "None", "/ca" => "Some(\"/ca\")";
        "CACertPath" "0xb9", security.ca_cert_path: "None", "/cas" => "Some(\"/cas\")";
        "DHParameters" "0xba", security.dh_parameters: "None", "5" => "Some(`5`)";
        "AuthOptions" "0xbd", security.auth_options: "[]", "A,p" => "`Ap`";
        "QueueFileMode" "0xbe", queueing.queue_file_mode: "None", "0660" => "Some(432)";
        "CertFingerprintAlgorithm" "0xbf", security.cert_fingerprint_algorithm: "None", "sha256" => "Some(`sha256`)";
        "CipherList" "0xc0", security.cipher_list: "None", "HIGH" => "Some(`HIGH`)";
        "RandFile" "0xc1", security.rand_file: "None", "file:/dev/urandom" => "Some(`file:/dev/urandom`)";
        "TLSSrvOptions" "0xc2", security.tls_srv_options: "[]", "V" => "`V`";
        "BadRcptThrottle" "0xc3", receiving.bad_rcpt_throttle: "0", "6" => "6";
        "DeliverByMin" "0xc4", receiving.deliver_by_min: "Some(0ns)", "1h" => "Some(3600s)";
        "MaxQueueChildren" "0xc5", queueing.max_queue_children: "0", "7" => "7";
        "MaxRunnersPerQueue" "0xc6", queueing.max_runners_per_queue: "1", "2" => "2";
        "DirectSubmissionModifiers" "0xc7", receiving.direct_submission_modifiers: "[]", "C" => "`C`";
        "NiceQueueRun" "0xc8", queueing.nice_queue_run: "0", "5" => "5";
        "SharedMemoryKey" "0xc9", queueing.shared_memory_key: "0", "13521" => "13521";
        "AuthMaxBits" "0xca", security.auth_max_bits: "None", "128" => "Some(128)";
        "MailboxDatabase" "0xcb", delivering.mailbox_database: "`pw`", "pw" => "`pw`";
        "UseMSP" "0xcc", running.use_msp: "false", "True" => "true";
        "DelayLA" "0xcd", queueing.delay_la: "0", "4" => "4";
        "FastSplit" "0xce", queueing.fast_split: "1", "2" => "2";
        "SoftBounce" "0xcf", delivering.soft_bounce: "false", "True" => "true";
        "SharedMemoryKeyFile" "0xd0", queueing.shared_memory_key_file: "None", "/run/key" => "Some(\"/run/key\")";
        "RejectLogInterval" "0xd1", receiving.reject_log_interval: "10800s", "2h" => "7200s";
        "RequiresDirfsync" "0xd2", queueing.requires_dirfsync: "true", "False" => "false";
        "ConnectionRateWindowSize" "0xd3", receiving.connection_rate_window_size: "60s", "10m" => "600s";
        "CRLFile" "0xd4", security.crl_file: "None", "/crl" => "Some(\"/crl\")";
        "FallbackSmartHost" "0xd5", delivering.fallback_smart_host: "None", "smart.test" => "Some(`smart.test`)";
        "AuthRealm" "0xd6", security.auth_realm: "None", "realm.test" => "Some(`realm.test`)";
        "CRLPath" "0xd7", security.crl_path: "None", "/crls" => "Some(\"/crls\")";
        "HeloName" "0xd8", delivering.helo_name: "None", "helo.test" => "Some(`helo.test`)";
        "MaxNOOPCommands" "0xdc", receiving.max_noop_commands: "20", "3" => "3";
        "BadRcptShutdown" "0xe1", receiving.bad_rcpt_shutdown: "0", "8" => "8";
        "BadRcptShutdownGood" "0xe2", receiving.bad_rcpt_shutdown_good: "0", "9" => "9";
        "ServerSSLOptions" "0xe3", security.server_ssl_options: "[]", "+SSL_OP_NO_SSLv2" => "`+SSL_OP_NO_SSLv2`";
        "ClientSSLOptions" "0xe4", security.client_ssl_options: "[]", "-SSL_OP_NO_SSLv3" => "`-SSL_OP_NO_SSLv3`";
        "MaxQueueAge" "0xe5", queueing.max_queue_age: "0ns", "2h" => "7200s";
        "RejectNUL" "0xe9", receiving.reject_nul: "false", "True" => "true";
        "UseCompressedIPv6Addresses" "0xec", running.ipv6_form: "Full", "True" => "Compressed";
        "SSLEngine" "0xed", security.ssl_engine: "None", "chil" => "Some(`chil`)";
        "SSLEnginePath" "0xee", security.ssl_engine_path: "None", "/lib/chil.so" => "Some(\"/lib/chil.so\")";
        "TLSFallbacktoClear" "0xef", security.tls_fallback_to_clear: "false", "True" => "true";
        "SetCertAltnames" "0xf7", security.set_cert_altnames: "false", "True" => "true";
        "StrictTransportSecurity" "0xf9", security.strict_transport_security: "false", "True" => "true";
        "CipherSuites" "0xfa", security.cipher_suites: "None", "TLS_AES_256_GCM_SHA384" => "Some(`TLS_AES_256_GCM_SHA384`)";
};

/// Options whose values are lists of their own, with tests of their own below.
const ELSEWHERE: &[&str] = &[
    "",
    "ClientPortOptions",
    "DaemonPortOptions",
    "DontBlameSendmail",
    "InputMailFilters",
    "Milter",
    "QueueTimeout",
    "SmtpUTF8",
    "Timeout",
];

#[test]
fn options_have_their_names_letters_and_defaults() {
    let mut faults = Vec::new();
    let (plain, _) = read("");
    for row in ROWS {
        let (set, said) = read(&format!("O {}={}\n", row.name, row.value));
        let line = format!("setoption {} ({})={}", row.name, row.code, row.value);
        if !said.contains(&line) {
            faults.push(format!("{line:?} is missing in {said:?}"));
        }
        let found = ((row.field)(&plain), (row.field)(&set));
        if found != (row.default.to_owned(), row.becomes.to_owned()) {
            faults.push(format!("{}: {found:?}", row.name));
        }
        if row.code.len() == 1 {
            let (set, said) = read(&format!("O{}{}\n", row.code, row.value));
            if (row.field)(&set) != row.becomes || !said.contains(&line) {
                faults.push(format!("O{}: {}", row.code, (row.field)(&set)));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_value_sets_its_own_option_only() {
    let (plain, _) = read("");
    let before: Vec<String> = ROWS.iter().map(|row| (row.field)(&plain)).collect();
    for row in ROWS {
        let (set, _) = read(&format!("O {}={}\n", row.name, row.value));
        for (other, before) in ROWS.iter().zip(&before) {
            if other.name != row.name {
                assert_eq!(
                    &(other.field)(&set),
                    before,
                    "{} changes {}",
                    row.name,
                    other.name
                );
            }
        }
    }
}

#[test]
fn every_option_is_in_this_table() {
    for spec in OPTIONS.iter().chain(LETTERS_ONLY) {
        let is_here = ROWS.iter().any(|row| row.name == spec.name);
        assert!(is_here || ELSEWHERE.contains(&spec.name), "{}", spec.name);
    }
}
