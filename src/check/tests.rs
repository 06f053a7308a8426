//! Tables of configurations with what is to be reported.
//!
//! Every row adds lines to a sound file; the numbers of lines count from the first of
//! them. A row is `code line:column` of all that is to be found.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::config::FixedSource;
use crate::smtp::ExitStatus;

/// A sound file.
const BASE: &str = "V10/Berkeley\n\
    O OperatorChars=.:%@!^/[]+\n\
    O QueueDirectory=/\n\
    Mlocal, P=/bin/sh, F=lsDFMw5:/|@q, A=sh $u\n\
    Mprog, P=/bin/sh, F=lsDFMoqeu9, A=sh -c $u\n\
    S0\n\
    R$+ @ here\t$#local $: $1\n\
    R$-\t\t$#local $: $1\n\
    R$- here\t$>Sub $1\n\
    SSub\n";

/// Checks the sound file with lines added.
fn check_with(lines: &str) -> Report {
    let text = format!("{BASE}{lines}\n");
    let path = "/x.cf";
    let mut source = FixedSource::with_file(path, text.as_bytes());
    check(Path::new(path), &mut source, &["DNSMAP"])
}

fn rows(report: &Report) -> Vec<String> {
    let base = u32::try_from(BASE.lines().count()).unwrap();
    report
        .problems
        .iter()
        .map(|problem| match problem.line.checked_sub(base) {
            Some(line) => format!("{} {line}:{}", problem.code.slug(), problem.column),
            None => format!("{} -{}", problem.code.slug(), problem.line),
        })
        .collect()
}

/// What is wrong with lines, with its place.
const FAULTS: &[(&str, &[&str])] = &[
    ("Zwhat", &["unknown-line 1:1"]),
    ("HNo colon", &["syntax 1:1"]),
    ("V11", &["bad-version 1:1", "redefined 1:1"]),
    ("V9", &["version 1:1", "redefined 1:1"]),
    ("O NoSuchOption=1", &["unknown-option 1:3"]),
    ("O LogLevl=9", &["unknown-option 1:3"]),
    ("O Timeout.nosuch=1h", &["unknown-option 1:11"]),
    ("O LogLev=9", &["abbreviated-option 1:3"]),
    ("O DeliveryMode=z", &["bad-value 1:16"]),
    ("O ErrorMode=zz", &["bad-value 1:13"]),
    ("O PrivacyOptions=goaway,nosuch", &["bad-value 1:25"]),
    ("O MatchGECOS=maybe", &["bad-boolean 1:14"]),
    ("O MaxHopCount=many", &["bad-number 1:15"]),
    ("O TempFileMode=9", &["bad-number 1:16"]),
    ("O Timeout.initial=5x", &["bad-interval 1:1"]),
    ("O Timeout.initial=soon", &["bad-interval 1:19"]),
    ("O SuperSafe=interactive", &["option-conflict -0"]),
    ("D{unclosed", &["bad-name 1:1"]),
    ("Dx${NotSet}", &["undefined-macro 1:4"]),
    ("R$={Nobody}\t$1 x", &["empty-class 1:4"]),
    ("Fz/no/such/file", &["class-source 1:3"]),
    ("Fz", &["class-source 1:1"]),
    ("S-bad", &["bad-ruleset-name 1:2"]),
    ("R$-\t$: $>Sbu $1", &["undefined-ruleset 1:10"]),
    ("HSubject: $>CheckSubject", &["undefined-ruleset 1:13"]),
    (
        "Mx, P=/bin/sh, F=s,\n\tS=None, A=x",
        &["undefined-ruleset 2:4"],
    ),
    ("Scheck_rctp\nR$*\t$: $1", &["misspelt-hook 1:2"]),
    ("R$* no tab here", &["bad-rule 1:1"]),
    ("R$*\t$: $* x", &["bad-rule 1:8"]),
    ("R$+ $-\t$: $1 $3", &["bad-position 1:14"]),
    ("R$+\t$@ ($1", &[]),
    ("R$# $*\t$@ $1", &["dead-rule 1:1"]),
    (
        "R$*\t$@ $1\nR$- @ $-\t$: $1\nR$-\t$: $1",
        &["dead-rule 2:1"],
    ),
    ("R$+ @ $*\t$@ $1\nR$- @ a\t$: $1", &["dead-rule 2:1"]),
    ("R$- @ $-\t$1 @ $2", &["endless-rule 1:1"]),
    ("R$+ x\t\t$1 y x", &["endless-rule 1:1"]),
    ("S5\nR$+\t$#nowhere $: $1", &["undefined-mailer 2:7"]),
    ("Mx, P=/bin/sh", &["bad-mailer 1:1"]),
    ("Mx, P=/bin/sh, Z=1, A=x", &["unknown-field 1:16"]),
    ("Mx, P=/bin/sh, F=s~, A=x", &["unknown-mailer-flag 1:19"]),
    ("Mx, P=/bin/sh, U=nobodyatall, A=x", &["unknown-user 1:18"]),
    ("O TrustedUser=nobodyatall", &["unknown-user 1:15"]),
    ("Mx, P=/no/such, A=x", &["missing-program 1:7"]),
    ("Fz|/no/such", &["missing-program 1:4"]),
    ("R$-\t$: $(nomap $1 $)", &["undefined-map 1:10"]),
    ("Kx sequence nosuch", &["undefined-map 1:13"]),
    ("Kx hsah /etc/x", &["unknown-map-class 1:1"]),
    ("Kx text -Q -o /no/such", &["unknown-map-flag 1:9"]),
    ("Kx hash", &["bad-map 1:1"]),
    ("Kx regex [", &["bad-map 1:1"]),
    ("Kx hash /no/such", &["missing-map-file 1:9"]),
    ("Qx, P=", &["bad-queue-group 1:1"]),
    ("Qx, P=/no/such", &["missing-queue 1:7"]),
    ("Xx", &["bad-filter 1:1", "missing-feature 1:2"]),
    ("Da1\nDa2", &["redefined 2:2"]),
    ("O LogLevel=9\nO LogLevel=10", &["redefined 2:3"]),
    ("Kx arith\nKx dequote", &["redefined 2:2"]),
    ("Djhost", &["host-name -0"]),
    ("O CipherList=ALL", &["missing-feature 1:3"]),
];

/// Codes whose tests are elsewhere: they need files, or a file without its first line.
const ELSEWHERE: &[Code] = &[
    Code::Unreadable,
    Code::VersionMissing,
    Code::NoLocalMailer,
    Code::RuleOutside,
    Code::StaleMapFile,
    Code::UnsafeFile,
];

/// Lines nothing is wrong with, though they look like lines above.
const SOUND: &[&str] = &[
    "",
    "HX-Test: value",
    "O LogLevel=9",
    "O Timeout.initial=5m",
    "O DeliveryMode=background",
    "O ErrorMode=mail",
    "O PrivacyOptions=goaway,noetrn",
    "O MatchGECOS=True\nO SevenBitInput=F\nO MeToo",
    "O MaxHopCount=25",
    "O TempFileMode=0600",
    "O SuperSafe=interactive\nO DeliveryMode=interactive",
    "D{NotSet}x\nDy${NotSet}",
    "Dx$?{NotSet}$&{NotSet}$.",
    "H?${NotSet}?X-Set: ${NotSet}",
    "Kkeep macro\nR$-\t$: $(keep {Kept} $@ $1 $) $&{Kept}",
    "R$=w\t$: $1\nR$=t\t$: $1",
    "C{Some}a\nR$={Some}\t$: $1",
    "Fz-o /no/such/file\nR$=z\t$: $1",
    "R$-\t$: $>Sub $1",
    "R$-\t$: $>3 $1\nS3",
    "SCheckSubject\nHSubject: $>CheckSubject",
    "Scheck_rcpt\nR$*\t$: $1",
    "Scheck_rcpt2\nS0\nR$-\t$: $>check_rcpt2 $1",
    "R$+ $-\t$: $1 $2",
    "R$* $| $#$*\t$@ $1",
    "R$- @ $-\t$@ $1\nR$- @ $- . $-\t$: $1",
    "R$+\t$: $1\nR$+\t$: $1",
    "R$- @ $-\t$: $1 @ $2",
    "R$- @ $-\t$2",
    "R$* $| $*\t$2 $| $1",
    "Scheck_mail\nR$*\t$#OK",
    "H?~?X: y\nMx, P=/bin/sh, F=s~, A=x",
    "Kd dequote\nKx sequence d",
    "Kx hash -o /no/such",
    "Kd dequote\nR$-\t$: $(d $1 $)",
    "Da1\nDa1",
    "O PrivacyOptions=goaway\nO PrivacyOptions=noetrn",
];

#[test]
fn faults_are_found_where_they_are() {
    let mut wrong = Vec::new();
    for (lines, expected) in FAULTS {
        let found = rows(&check_with(lines));
        if found != *expected {
            wrong.push(format!("{lines}\n  found {found:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_is_found_in_sound_lines() {
    let mut wrong = Vec::new();
    for lines in SOUND {
        let report = check_with(lines);
        if !report.problems.is_empty() {
            wrong.push(format!("{lines}\n{}", report.for_people()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_is_in_a_table() {
    let in_tables: BTreeSet<&str> = FAULTS
        .iter()
        .flat_map(|(_, expected)| expected.iter())
        .filter_map(|row| row.split(' ').next())
        .chain(ELSEWHERE.iter().map(|code| code.slug()))
        .collect();
    for code in Code::ALL {
        assert!(in_tables.contains(code.slug()), "{}", code.slug());
    }
}

#[test]
fn names_that_were_meant_are_proposed() {
    for (lines, name) in [
        ("O LogLevl=9", "LogLevel"),
        ("R$-\t$: $>Subb $1\nSMain", "Sub"),
        ("Kwords arith\nR$-\t$: $(wrods $1 $)", "words"),
        ("S5\nR$+\t$#locale $: $1", "local"),
        ("Scheck_rctp", "check_rcpt"),
        ("D{Domain}x\nDy${Doamin}", "Domain"),
        ("C{Hosts}x\nR$={Hsots}\t$: $1", "Hosts"),
        ("Kx hsah /etc/x", "hash"),
    ] {
        let report = check_with(lines);
        let help = &report.problems.first().expect(lines).help;
        assert!(help.contains(name), "{lines}: {help}");
    }
}

#[test]
fn what_nothing_calls_does_little_harm() {
    let report = check_with("SIdle\nR$-\t$: $(nomap $1 $) $>Nowhere $1");
    assert_eq!(report.count(Severity::Error), 0, "{report:?}");
    assert_eq!(report.count(Severity::Hint), 2);
}

#[test]
fn a_value_that_ends_the_program_does_not_end_the_check() {
    let report = check_with("O DeliveryMode=z\nZwhat");
    assert_eq!(rows(&report), ["bad-value 1:16", "unknown-line 2:1"]);
    assert_eq!(report.status(), ExitStatus::Config);
}

#[test]
fn whole_files_can_be_wrong() {
    let local = "Mlocal, P=/bin/sh, A=x\nO QueueDirectory=/\n";
    for (text, expected) in [
        (String::new(), "no-local-mailer version-missing"),
        (local.to_owned(), "version-missing"),
        (format!("V10\n{local}R$*\t$: $1"), "rule-outside"),
        (format!("V10\n{local}S3\nR$*\t$: $1"), ""),
    ] {
        let mut source = FixedSource::with_file("/x.cf", text.as_bytes());
        let report = check(Path::new("/x.cf"), &mut source, &[]);
        let slugs: Vec<&str> = report
            .problems
            .iter()
            .map(|problem| problem.code.slug())
            .collect();
        assert_eq!(slugs.join(" "), expected, "{text}");
    }
    let mut nothing = FixedSource::default();
    let report = check(Path::new("/x.cf"), &mut nothing, &[]);
    assert!(report.for_people().contains("[unreadable]"));
    assert_eq!(report.status(), ExitStatus::Config);
}

#[test]
fn files_are_judged_as_they_lie() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mode = |name: &str, mode: u32| {
        fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    let write = |name: &str, age: u64| {
        let file = fs::File::create(path(name)).unwrap();
        let then = std::time::SystemTime::now() - std::time::Duration::from_secs(age);
        file.set_modified(then).unwrap();
        mode(name, 0o644);
    };
    write("fresh", 100);
    write("fresh.db", 50);
    write("stale", 50);
    write("stale.db", 100);
    write("open", 100);
    write("open.db", 50);
    mode("open", 0o666);
    fs::create_dir(path("queue")).unwrap();
    fs::create_dir(path("everybody")).unwrap();
    mode("everybody", 0o777);
    write("everybody/words", 10);
    let file = |name: &str| path(name).display().to_string();
    // The way to a folder for tests leads through a directory for everybody.
    let trusting = "O DontBlameSendmail=MapInUnsafeDirPath,GroupWritableDirPathSafe\n";
    for (line, expected) in [
        (format!("Kx hash {}", file("fresh")), ""),
        (format!("Kx hash {}", file("stale")), "stale-map-file 2:9"),
        (format!("Kx hash -o {}", file("none")), ""),
        (format!("Kx hash {}", file("none")), "missing-map-file 2:9"),
        (format!("O AliasFile={}", file("fresh")), ""),
        (
            format!("O AliasFile={}", file("stale")),
            "stale-map-file 2:13",
        ),
        (format!("O AliasFile={}", file("open")), "unsafe-file 2:13"),
        (format!("Fz{}", file("everybody/words")), "unsafe-file 2:3"),
        (format!("Qx, P={}", file("queue")), ""),
        (format!("Qx, P={}", file("everybody")), "unsafe-file 2:7"),
    ] {
        let report = check_with(&format!("{trusting}{line}"));
        assert_eq!(rows(&report).join(" "), expected, "{line}");
    }
    let report = check_with(&format!("{trusting}O AliasFile={}", file("open")));
    let problem = &report.problems[0];
    assert!(problem.message.contains("has mode 0666, wanted is 0644"));
    assert_eq!(problem.help, format!("chmod 0644 {}", file("open")));
}

#[test]
fn any_bytes_are_checked_without_harm() {
    let mut seed = 99u32;
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) as usize
    };
    for _ in 0..300 {
        let mut text = BASE.as_bytes().to_vec();
        for _ in 0..12 {
            let at = next() % text.len();
            text[at] = b"$*\t\nR#>{}(\xff\0"[next() % 12];
        }
        let mut source = FixedSource::with_file("/x.cf", &text);
        let report = check(Path::new("/x.cf"), &mut source, &[]);
        report.for_people();
        report.for_programs();
    }
}
