//! Options whose values are words, letters or lists: every word, and what it stands for.
//!
//! Source: guide 4.1, 4.9.2, 4.11 and 5.6.

use std::time::Duration;

use super::options::security::PRIVACY_WORDS;
use super::options::timeouts::ReturnAfter;
use super::options::{
    DeliveryMode, EightBitMode, ErrorMode, NoRecipientAction, Options, PortFamily, PrivacyFlags,
    ProbeInterfaces, QueueSortOrder, SuperSafe, Timeouts,
};
use super::source::FixedSource;
use super::{Config, Overrides};
use crate::safefile::DontBlameSendmail;

/// Reads a file of the current level with these lines.
fn read(lines: &str) -> Options {
    let text = format!("V10\n{lines}\nMlocal, P=/bin/x, A=x\n");
    let mut source = FixedSource::with_file("/x.cf", text.as_bytes());
    let config = Config::load(&Overrides::only_file("/x.cf"), &mut source).unwrap();
    config.options
}

/// Reads one line at a time and compares one field.
fn check<T: PartialEq + std::fmt::Debug>(name: &str, field: fn(Options) -> T, rows: &[(&str, T)]) {
    for (value, expected) in rows {
        let options = read(&format!("O {name}={value}"));
        assert_eq!(&field(options), expected, "O {name}={value}");
    }
}

/// A timeout that may be unlike the others: its name, default, unit of a bare number.
struct Timeout {
    name: &'static str,
    default: u64,
    unit: u64,
    field: fn(&Timeouts) -> Duration,
}

const SECOND: u64 = 1;
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

fn age(after: ReturnAfter) -> Duration {
    match after {
        ReturnAfter::Age(age) => age,
        ReturnAfter::Now => Duration::MAX,
    }
}

macro_rules! timeouts {
    ($($name:literal, $default:expr, $unit:expr, $field:expr;)*) => {
        &[$(Timeout { name: $name, default: $default, unit: $unit, field: $field }),*]
    };
}

#[rustfmt::skip] // a table: one timeout, one line
const TIMEOUTS: &[Timeout] = timeouts! {
    "connect", 0, MINUTE, |t| t.connect;
    "iconnect", 0, MINUTE, |t| t.iconnect;
    "aconnect", 0, MINUTE, |t| t.aconnect;
    "initial", 5 * MINUTE, MINUTE, |t| t.initial;
    "helo", 5 * MINUTE, MINUTE, |t| t.helo;
    "mail", 10 * MINUTE, MINUTE, |t| t.mail;
    "rcpt", HOUR, MINUTE, |t| t.rcpt;
    "datainit", 5 * MINUTE, MINUTE, |t| t.datainit;
    "datablock", HOUR, MINUTE, |t| t.datablock;
    "datafinal", HOUR, MINUTE, |t| t.datafinal;
    "rset", 5 * MINUTE, MINUTE, |t| t.rset;
    "quit", 2 * MINUTE, MINUTE, |t| t.quit;
    "misc", 2 * MINUTE, MINUTE, |t| t.misc;
    "command", HOUR, MINUTE, |t| t.command;
    "ident", 5 * SECOND, MINUTE, |t| t.ident;
    "lhlo", 2 * MINUTE, MINUTE, |t| t.lhlo;
    "auth", 10 * MINUTE, MINUTE, |t| t.auth;
    "starttls", HOUR, MINUTE, |t| t.starttls;
    "fileopen", 60 * SECOND, MINUTE, |t| t.fileopen;
    "control", 2 * MINUTE, MINUTE, |t| t.control;
    "hoststatus", 30 * MINUTE, MINUTE, |t| t.hoststatus;
    "queuereturn.normal", 5 * DAY, DAY, |t| age(t.queuereturn.normal);
    "queuereturn.urgent", 5 * DAY, DAY, |t| age(t.queuereturn.urgent);
    "queuereturn.non-urgent", 5 * DAY, DAY, |t| age(t.queuereturn.non_urgent);
    "queuereturn.dsn", 5 * DAY, DAY, |t| age(t.queuereturn.dsn);
    "queuewarn.normal", 0, HOUR, |t| t.queuewarn.normal;
    "queuewarn.urgent", 0, HOUR, |t| t.queuewarn.urgent;
    "queuewarn.non-urgent", 0, HOUR, |t| t.queuewarn.non_urgent;
    "queuewarn.dsn", 0, HOUR, |t| t.queuewarn.dsn;
    "resolver.retrans.first", 0, SECOND, |t| t.resolver_retrans.first.unwrap_or_default();
    "resolver.retrans.normal", 0, SECOND, |t| t.resolver_retrans.normal.unwrap_or_default();
    "resolver.retry.first", 0, SECOND, |t| Duration::from_secs(t.resolver_retry.first.unwrap_or_default().into());
    "resolver.retry.normal", 0, SECOND, |t| Duration::from_secs(t.resolver_retry.normal.unwrap_or_default().into());
};

#[test]
fn every_timeout_has_its_default_and_its_unit() {
    let plain = read("").timeouts;
    for row in TIMEOUTS {
        let seconds = Duration::from_secs;
        assert_eq!((row.field)(&plain), seconds(row.default), "{}", row.name);
        let set = read(&format!("O Timeout.{}=7", row.name)).timeouts;
        assert_eq!((row.field)(&set), seconds(7 * row.unit), "{}=7", row.name);
        // Nothing else changes with it.
        for other in TIMEOUTS.iter().filter(|other| other.name != row.name) {
            let value = (other.field)(&set);
            assert_eq!(
                value,
                seconds(other.default),
                "{} by {}",
                other.name,
                row.name
            );
        }
        if !row.name.starts_with("resolver.retry") {
            let set = read(&format!("O Timeout.{}=3m30s", row.name)).timeouts;
            assert_eq!((row.field)(&set), seconds(210), "{}=3m30s", row.name);
        }
    }
}

/// The seconds of every timeout these lines leave unlike its default.
fn changed(lines: &str) -> Vec<(&'static str, u64)> {
    let set = read(lines).timeouts;
    TIMEOUTS
        .iter()
        .map(|row| (row.name, (row.field)(&set).as_secs(), row.default))
        .filter(|(_, seconds, default)| seconds != default)
        .map(|(name, seconds, _)| (name, seconds))
        .collect()
}

#[test]
fn some_names_set_several_timeouts() {
    let returns = |seconds| {
        ["normal", "urgent", "non-urgent", "dsn"]
            .map(|tag| (format!("queuereturn.{tag}"), seconds))
            .to_vec()
    };
    let warnings = |seconds| {
        ["normal", "urgent", "non-urgent", "dsn"]
            .map(|tag| (format!("queuewarn.{tag}"), seconds))
            .to_vec()
    };
    let pairs = |list: &[(&str, u64)]| -> Vec<(String, u64)> {
        list.iter()
            .map(|(name, n)| ((*name).to_owned(), *n))
            .collect()
    };
    let old = |n: u64| {
        pairs(&[
            ("mail", n),
            ("rcpt", n),
            ("datainit", n),
            ("datablock", n),
            ("datafinal", n),
            ("command", n),
        ])
    };
    for (lines, expected) in [
        ("O Timeout.queuereturn=3", returns(3 * DAY)),
        ("O Timeout.queuewarn=3", warnings(3 * HOUR)),
        (
            "O Timeout.queuereturn=now",
            returns(Duration::MAX.as_secs()),
        ),
        (
            "O QueueTimeout=2d/6h",
            [returns(2 * DAY), warnings(6 * HOUR)].concat(),
        ),
        ("OT2d/6h", [returns(2 * DAY), warnings(6 * HOUR)].concat()),
        ("OT2", returns(2 * DAY)),
        ("Or90m", old(90 * MINUTE)),
        ("O Timeout=90m", old(90 * MINUTE)),
        (
            "Orinitial=3m,quit=9s",
            pairs(&[("initial", 180), ("quit", 9)]),
        ),
        (
            "O Timeout.resolver.retrans=9",
            pairs(&[
                ("resolver.retrans.first", 9),
                ("resolver.retrans.normal", 9),
            ]),
        ),
        (
            "O Timeout.resolver.retry=2",
            pairs(&[("resolver.retry.first", 2), ("resolver.retry.normal", 2)]),
        ),
    ] {
        let found: Vec<(String, u64)> = changed(lines)
            .into_iter()
            .map(|(name, n)| (name.to_owned(), n))
            .collect();
        assert_eq!(found, expected, "{lines}");
    }
}

#[test]
fn letters_choose_a_mode() {
    use {
        DeliveryMode as D, EightBitMode as B, ErrorMode as E, QueueSortOrder as Q, SuperSafe as S,
    };
    check(
        "DeliveryMode",
        |o| o.queueing.delivery_mode,
        &[
            ("interactive", D::Interactive),
            ("background", D::Background),
            ("queueonly", D::QueueOnly),
            ("deferred", D::Deferred),
            ("", D::Interactive),
        ],
    );
    check(
        "EightBitMode",
        |o| o.headers.eight_bit_mode,
        &[
            ("mimify", B::Mime),
            ("pass8", B::Pass),
            ("strict", B::Strict),
        ],
    );
    check(
        "ErrorMode",
        |o| o.running.error_mode,
        &[
            ("print", E::Print),
            ("quiet", E::Quiet),
            ("mail", E::Mail),
            ("write", E::Write),
            ("email", E::MailAndExitZero),
        ],
    );
    check(
        "QueueSortOrder",
        |o| o.queueing.queue_sort_order,
        &[
            ("priority", Q::Priority),
            ("host", Q::Host),
            ("filename", Q::FileName),
            ("time", Q::Time),
            ("random", Q::Random),
            ("shuffle", Q::Shuffle),
            ("modification", Q::Modification),
            ("none", Q::None),
            ("Host", Q::Host),
        ],
    );
    check(
        "SuperSafe",
        |o| o.queueing.super_safe,
        &[
            ("True", S::True),
            ("interactive", S::Interactive),
            ("PostMilter", S::PostMilter),
            ("False", S::False),
            ("", S::True),
        ],
    );
    use {NoRecipientAction as N, ProbeInterfaces as P};
    check(
        "NoRecipientAction",
        |o| o.headers.no_recipient_action,
        &[
            ("none", N::None),
            ("add-to", N::AddTo),
            ("add-apparently-to", N::AddApparentlyTo),
            ("add-bcc", N::AddBcc),
            ("add-to-undisclosed", N::AddToUndisclosed),
        ],
    );
    check(
        "DontProbeInterfaces",
        |o| o.running.dont_probe_interfaces,
        &[
            ("loopback", P::NoLoopback),
            ("True", P::None),
            ("False", P::All),
        ],
    );
    let fixed = |zone: &str| super::options::running::TimeZoneSpec::Fixed(zone.into());
    check(
        "TimeZoneSpec",
        |o| o.running.time_zone_spec,
        &[
            ("CET", fixed("CET")),
            ("", super::options::running::TimeZoneSpec::Caller),
        ],
    );
}

#[test]
fn truth_values_and_numbers_have_many_forms() {
    check(
        "MatchGECOS",
        |o| o.delivering.match_gecos,
        &[
            ("t", true),
            ("T", true),
            ("True", true),
            ("y", true),
            ("", true),
            ("f", false),
            ("F", false),
            ("False", false),
            ("n", false),
            ("0", false),
        ],
    );
    check(
        "MaxHopCount",
        |o| o.receiving.max_hop_count,
        &[("30", 30), (" 31", 31), ("-1", 0)],
    );
    check(
        "SharedMemoryKey",
        |o| o.queueing.shared_memory_key,
        &[("select", -1), ("7", 7)],
    );
    check(
        "DeliverByMin",
        |o| o.receiving.deliver_by_min,
        &[
            ("0", Some(Duration::ZERO)),
            ("5m", Some(Duration::from_secs(300))),
            ("-1", None),
        ],
    );
    check(
        "MaxMimeHeaderLength",
        |o| {
            (
                o.headers.max_mime_header_length,
                o.headers.max_mime_field_length,
            )
        },
        &[
            ("256/128", (256, 128)),
            ("512", (512, 256)),
            ("0/0", (0, 0)),
        ],
    );
    check(
        "MinFreeBlocks",
        |o| (o.queueing.min_free_blocks, o.receiving.max_message_size),
        &[("250", (250, 0)), ("250/5000", (250, 5000))],
    );
    let known = |o: Options| o.delivering.single_thread_delivery;
    assert!(known(read(
        "O HostStatusDirectory=.hs\nO SingleThreadDelivery=True"
    )));
}

#[test]
fn aliases_are_a_list_with_classes() {
    check(
        "AliasFile",
        |o| o.delivering.alias_file,
        &[
            ("/a", vec![b"implicit:/a".to_vec()]),
            (
                "hash:-o /a,text:/b",
                vec![b"hash:-o /a".to_vec(), b"text:/b".to_vec()],
            ),
        ],
    );
    let both = read("O AliasFile=/a\nO AliasFile=/b").delivering.alias_file;
    assert_eq!(both, [b"implicit:/a".to_vec(), b"implicit:/b".to_vec()]);
}

#[test]
fn every_privacy_word_sets_its_flags() {
    let set = |words: &str| {
        read(&format!("O PrivacyOptions={words}"))
            .security
            .privacy_options
    };
    let all = "needmailhelo needexpnhelo needvrfyhelo noexpn novrfy noetrn noverb restrictmailq \
               restrictqrun restrictexpand noreceipts nobodyreturn authwarnings noactualrecipient";
    for word in all.split_whitespace() {
        let flags = set(word);
        assert_ne!(flags, PrivacyFlags::PUBLIC, "{word}");
        for other in all.split_whitespace().filter(|other| *other != word) {
            assert!(!flags.contains(set(other)), "{word} {other}");
        }
    }
    assert_eq!(PRIVACY_WORDS.len(), all.split_whitespace().count() + 2);
    assert_eq!(set("public"), PrivacyFlags::PUBLIC);
    let most = "needmailhelo,needexpnhelo,needvrfyhelo,noexpn,novrfy,noverb,authwarnings,noactualrecipient";
    assert_eq!(set("goaway"), set(most));
    // Lines and the command line only add.
    let twice = read("O PrivacyOptions=noexpn\nO PrivacyOptions=novrfy")
        .security
        .privacy_options;
    assert_eq!(twice, set("noexpn,novrfy"));
}

#[test]
fn every_word_of_dont_blame_sendmail_is_taken() {
    let set = |words: &str| {
        read(&format!("O DontBlameSendmail={words}"))
            .security
            .dont_blame_sendmail
    };
    let all = "AssumeSafeChown ClassFileInUnsafeDirPath DontWarnForwardFileInUnsafeDirPath \
        ErrorHeaderInUnsafeDirPath FileDeliveryToHardLink FileDeliveryToSymLink \
        ForwardFileInGroupWritableDirPath ForwardFileInUnsafeDirPath ForwardFileInUnsafeDirPathSafe \
        GroupReadableKeyFile GroupReadableSASLDBFile GroupReadableDefaultAuthInfoFile \
        GroupWritableAliasFile GroupWritableForwardFile GroupWritableForwardFileSafe \
        GroupWritableIncludeFile GroupWritableIncludeFileSafe GroupWritableSASLDBFile \
        GroupWritableDirPathSafe HelpFileInUnsafeDirPath IncludeFileInGroupWritableDirPath \
        IncludeFileInUnsafeDirPath IncludeFileInUnsafeDirPathSafe InsufficientEntropy \
        LinkedAliasFileInWritableDir LinkedClassFileInWritableDir LinkedForwardFileInWritableDir \
        LinkedIncludeFileInWritableDir LinkedMapInWritableDir LinkedServiceSwitchFileInWritableDir \
        MapInUnsafeDirPath NonRootSafeAddr RunProgramInUnsafeDirPath RunWritableProgram TrustStickyBit \
        WorldWritableAliasFile WorldWritableForwardFile WorldWritableIncludeFile WriteMapToHardLink \
        WriteMapToSymLink WriteStatsToHardLink WriteStatsToSymLink";
    let mut sum = DontBlameSendmail::SAFE;
    for word in all.split_whitespace() {
        let one = set(word);
        assert_ne!(one, DontBlameSendmail::SAFE, "{word}");
        assert!(!sum.allows(one), "{word} is not of its own");
        sum = sum.union(one);
    }
    assert_eq!(set(&all.replace(' ', ",").to_lowercase()), sum);
    assert_eq!(set(&format!("{all} safe")), DontBlameSendmail::SAFE);
}

#[test]
fn daemon_ports_have_keys_and_modifiers() {
    let port = |text: &str| {
        read(&format!("O DaemonPortOptions={text}"))
            .daemon_ports
            .remove(0)
    };
    assert_eq!(port("Name=MTA").name, b"MTA");
    assert_eq!(port("Port=2525").name, b"Daemon0");
    assert_eq!(port("Port=2525").port, Some(2525));
    assert_eq!(port("Port=smtp").port, Some(25));
    assert_eq!(
        port("Addr=127.0.0.1").address.as_deref(),
        Some(b"127.0.0.1".as_slice())
    );
    for (text, family) in [
        ("inet", PortFamily::Inet),
        ("inet6", PortFamily::Inet6),
        ("local", PortFamily::Local),
        ("unix", PortFamily::Local),
    ] {
        assert_eq!(port(&format!("Family={text}")).family, family, "{text}");
    }
    assert_eq!(port("Name=x").family, PortFamily::Inet);
    assert_eq!(port("Listen=20").listen, Some(20));
    assert_eq!(port("SndBufSize=4096").send_buffer_size, Some(4096));
    assert_eq!(port("RcvBufSize=8192").receive_buffer_size, Some(8192));
    assert_eq!(port("children=5").max_children, Some(5));
    assert_eq!(
        port("DeliveryMode=q").delivery_mode,
        Some(DeliveryMode::QueueOnly)
    );
    assert_eq!(port("refuseLA=5").refuse_la, Some(5));
    assert_eq!(port("delayLA=6").delay_la, Some(6));
    assert_eq!(port("queueLA=7").queue_la, Some(7));
    assert_eq!(
        port("InputMailFilters=a;b").input_mail_filters,
        Some(vec![b"a".to_vec(), b"b".to_vec()])
    );
    assert_eq!(port("Name=x").trusted_proxies, None);
    let proxies = port("Name=x, TrustedProxies=192.0.2.1; 10.0.0.0/8, M=E");
    assert_eq!(proxies.modifiers, b"E");
    let proxies = proxies.trusted_proxies.unwrap();
    assert!(proxies.contains([10, 9, 8, 7].into()) && !proxies.contains([192, 0, 2, 2].into()));
    let nobody = port("TrustedProxies=proxy.test").trusted_proxies;
    assert_eq!(nobody, Some(Default::default()));
    for letter in "abcfsuACEOS".chars() {
        let one = port(&format!("Name=x, M={letter}"));
        assert_eq!(one.modifiers, letter.to_string().as_bytes());
    }
    assert_eq!(port("M=Eafu").flags_text(), b"EE a f u");
    let ports = read("O DaemonPortOptions=Name=MTA\nO DaemonPortOptions=Port=587, Name=MSA, M=E")
        .daemon_ports;
    let seen: Vec<_> = ports
        .iter()
        .map(|p| (p.name.as_slice(), p.port, p.has_modifier(b'E')))
        .collect();
    assert_eq!(
        seen,
        [(b"MTA".as_slice(), None, false), (b"MSA", Some(587), true)]
    );
}

#[test]
fn client_ports_are_one_for_each_family() {
    let ports = read(
        "O ClientPortOptions=Family=inet, Addr=127.0.0.9\n\
         O ClientPortOptions=Family=inet6, Modifiers=hA\n\
         O ClientPortOptions=Addr=127.0.0.2, Port=1024, SndBufSize=9, RcvBufSize=8, M=hAS",
    )
    .client_ports;
    assert_eq!(ports.len(), 2);
    let inet = ports.iter().find(|p| p.family == PortFamily::Inet).unwrap();
    assert_eq!(inet.address.as_deref(), Some(b"127.0.0.2".as_slice()));
    assert_eq!(
        (inet.port, inet.send_buffer_size, inet.receive_buffer_size),
        (Some(1024), Some(9), Some(8))
    );
    assert_eq!(inet.modifiers, b"hAS");
    let inet6 = ports
        .iter()
        .find(|p| p.family == PortFamily::Inet6)
        .unwrap();
    assert_eq!(inet6.modifiers, b"hA");
}

#[test]
fn every_resolver_word_is_taken() {
    let words = "debug aaonly usevc primary igntc recurse defnames stayopen dnsrch \
                 use_inet6 use_edns0 use_dnssec trustad";
    for word in words.split_ascii_whitespace() {
        for (sign, on) in [("", true), ("+", true), ("-", false)] {
            let options = read(&format!("O ResolverOptions={sign}{}", word.to_uppercase())).running;
            assert_eq!(options.resolver_options, [(word.as_bytes().to_vec(), on)]);
        }
    }
    assert!(
        read("O ResolverOptions=HasWildcardMX")
            .running
            .has_wildcard_mx
    );
    assert!(
        read("O ResolverOptions=WorkAroundBrokenAAAA")
            .running
            .work_around_broken_aaaa
    );
    assert!(
        !read("O ResolverOptions=HasWildcardMX -haswildcardmx")
            .running
            .has_wildcard_mx
    );
}

#[test]
fn letters_and_lists_of_tls_and_auth_are_read() {
    check(
        "AuthOptions",
        |o| o.security.auth_options,
        &[
            ("A,a,c,d,f,m,p,y", b"AacdfmpyT"[..8].to_vec()),
            ("p z", b"p".to_vec()),
        ],
    );
    check(
        "TLSSrvOptions",
        |o| o.security.tls_srv_options,
        &[("V,C", b"VC".to_vec())],
    );
    let filters = read("Xone, S=inet:1@127.0.0.1\nXtwo, S=local:/run/x\nO InputMailFilters=two,one\nO Milter.LogLevel=12\nO Milter.macros.helo={tls_version}, {cipher}").milter;
    assert_eq!(
        filters.input_mail_filters,
        [b"two".to_vec(), b"one".to_vec()]
    );
    assert_eq!(filters.log_level, Some(12));
    assert_eq!(
        filters.macros,
        [(b"helo".to_vec(), b"{tls_version}, {cipher}".to_vec())]
    );
}
