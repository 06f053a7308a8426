//! What `-d` tells while a file is read: configuration, flags, expected lines.
//!
//! Observed: 8.17.1.9.

use super::diagnostics::Kind;
use super::source::FixedSource;
use super::{Config, Overrides, VERSION};
use crate::logging::debug::DebugFlags;

/// The traces of one reading, line by line, complaints among them.
fn told(text: &str, flags: &str) -> Vec<String> {
    told_by(FixedSource::with_file("/x.cf", text.as_bytes()), flags)
}

fn told_by(mut source: FixedSource, flags: &str) -> Vec<String> {
    let mut overrides = Overrides::only_file("/x.cf");
    overrides.debug = DebugFlags::parse(flags.as_bytes());
    overrides.mode = b't';
    let config = Config::load(&overrides, &mut source).unwrap();
    config
        .diagnostics
        .messages()
        .iter()
        .filter(|message| message.kind != Kind::Note)
        .flat_map(|message| {
            let text = String::from_utf8_lossy(&message.text).into_owned();
            text.split('\n').map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

/// Checks that the lines come in this order, others between them or not.
fn check(text: &str, flags: &str, expected: &[&str]) {
    let told = told(&format!("V10\n{text}Mlocal, P=/bin/x, A=x\n"), flags);
    let mut rest = told.iter();
    for line in expected {
        assert!(
            rest.any(|told| told == line),
            "-d{flags}: {line:?} missing or too early in {told:#?}"
        );
    }
}

#[test]
fn rules_are_told_as_they_are_cut() {
    let rules = "Kd dequote\nS3\nR$* $=w\t$: $(d $1 $: x $) <@>\nR$-$z\t$9\n";
    let cut = [
        "prescan: $* $=w",
        "prescan==> $* $=w",
        "prescan: $: $(d $1 $: x $) <@>",
        "prescan==> $: $( d $1 $: x $) < @ >",
        "prescan: $-",
        "prescan==> $-",
        "prescan: $9",
        "prescan==> $9",
        "/x.cf: line 5: replacement $9 out of bounds",
    ];
    check(rules, "22.12", &cut);
    let told = told(&format!("V10\n{rules}"), "22.11");
    assert!(told.iter().all(|line| !line.starts_with("prescan==>")));
}

#[test]
fn macros_are_told_as_they_are_set() {
    let version = format!("define(v as {VERSION})");
    check(
        "Dxabc $&j\nDxanew\nD{long}$x\nO DeliveryMode=queue\n",
        "35.9",
        &[
            "define(deliveryMode as b)",
            "define(* as $*)",
            "define(9 as $9)",
            "define(n as MAILER-DAEMON)",
            "define(opMode as t)",
            &version,
            "define(w as mail.example.test)",
            "define(j as mail.example.test)",
            "define(m as example.test)",
            "define(k as mail.example.test)",
            "redefine(w as mail)",
            "define(x as abc $&j)",
            "redefine(x as anew)",
            "define(long as $x)",
            "redefine(deliveryMode as q)",
            "define(_ as root@localhost)",
        ],
    );
}

#[test]
fn options_classes_and_maps_are_told() {
    for (text, flags, expected) in [
        (
            "O Timeout.mail=5m\nO DaemonPortOptions=Name=A, M=Ea\nO DaemonPortOptions=Port=25\n",
            "37.1",
            &[
                "setoption Timeout (r).mail=5m",
                "setoption DaemonPortOptions (O)=Name=A, M=Ea",
                "Daemon A flags: <AUTHREQ,NOETRN>",
                "Daemon Daemon1 flags: ",
            ][..],
        ),
        (
            "STwice\nR$*\t$1\nSOnce\nSTwice\n",
            "37.1",
            &["WARNING: Ruleset Twice has multiple definitions"],
        ),
        (
            "O Timeout.mail=5m\nO Timeout=rcpt=3s\nF{q}-o /none %[^:]\n",
            "37.2",
            &[
                "inittimeouts(<NULL>)",
                "settimeout(mail = 5m)",
                "inittimeouts(rcpt=3s)",
                "settimeout(rcpt = 3s)",
                "fileclass(/none, fmt=%[^:])",
            ],
        ),
        (
            "Cwone two\nC{Y}$=w\nTann\n",
            "37.8",
            &[
                "setclass(w, mail.example.test)",
                "setclass(k, mail.example.test)",
                "setclass(w, mail)",
                "setclass(w, [192.0.2.10])",
                "setclass(w, one)",
                "setclass(w, two)",
                "setclass(Y, $=Y)",
                "setclass(t, ann)",
                "setclass(m, example.test)",
                "setclass(n, multipart/signed)",
                "setclass(e, binary)",
                "setclass(persistentMacros, {daemon_flags})",
            ],
        ),
        (
            "O AliasFile=/a, hash:/b\nO AliasFile=/c\n",
            "27.20,38.2",
            &[
                "setalias(/a, hash:/b)",
                "seq_map_parse(aliases.files, )",
                "  map implicit:Alias0 /a",
                "  map hash:Alias1 /b",
                "setalias(/c)",
                "  map implicit:Alias2 /c",
            ],
        ),
        (
            "Ka regex -s1,2 ^(a)(b)$\nKb regex -f -b -s2 ^\\(a\\)\nKc regex -m a(\nKs sequence a b\n",
            "38.3",
            &[
                "regex_map_init: mapname 'a', args '-s1,2 ^(a)(b)$'",
                "regex_map_init: compile '^(a)(b)$' 0x3",
                "regex_map_init: nr of substrings 3",
                "regex_map_init: subfields 1 2",
                "regex_map_init: compile '^\\(a\\)' 0x0",
                "regex_map_init: nr of substrings 2",
                "/x.cf: line 3: field (2) out of range, only 2 substrings in pattern",
                "regex_map_init: compile 'a(' 0xb",
                "/x.cf: line 4: pattern-compile-error: Unmatched ( or \\(",
                "seq_map_parse(s, a b)",
            ],
        ),
    ] {
        check(text, flags, expected);
    }
}

#[test]
fn the_program_tells_who_and_where_it_is() {
    let version = format!("Version {VERSION}");
    let names = [
        &*version,
        "Canonical name: mail.example.test",
        " UUCP nodename: mail.example.test",
        "\ta.k.a.: mail",
        "\ta.k.a.: [192.0.2.10]",
        "============ SYSTEM IDENTITY (after readcf) ============",
        "      (short domain name) $w = mail",
        "              (node name) $k = mail.example.test",
        "",
    ];
    check("", "0.4", &names);
    let written = ["  (canonical domain name) $j = foo.$m"];
    check("Djfoo.$m\n", "0.4", &written);
    check(
        "O PidFile=/run/$k.pid\n",
        "0.15",
        &[
            "     Conf file:\t/etc/mail/submit.cf (default for MSP)",
            "     Conf file:\t/x.cf (selected)",
            "      Pid file:\t/run/mail.example.test.pid (selected)",
            "mailer 3 (local): P=/bin/x S=0/0 R=0/0 M=0 U=-1:-1 F= L=0 E=\\r\\n \
             T=<undefined>/<undefined>/<undefined> r=100 A=x",
        ],
    );
}

#[test]
fn a_name_without_domain_leaves_its_macro_undefined() {
    let mut source = FixedSource::with_file("/x.cf", b"V10\nMlocal, P=/bin/x, A=x\n");
    source.host_name = b"vm".to_vec();
    let told = told_by(source, "0.4");
    let line = "         (subdomain name) $m = <null>";
    assert!(told.iter().any(|it| it == line), "{told:#?}");
}

#[test]
fn nothing_is_told_unasked() {
    let told = told("V10\nDxa\nCwb\nS3\nR$*\t$1\nMlocal, P=/bin/x, A=x\n", "0.0");
    assert_eq!(told, [""; 0]);
}
