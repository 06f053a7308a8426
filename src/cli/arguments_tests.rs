//! Tests of the command line: what 8.17.1.9 makes of the same words.

use super::arguments::{Arguments, ConfigurationChoice, Output, QuarantineRequest, Refusal, parse};
use super::mode::OperationMode;
use crate::config::OverrideSetting;
use crate::envelope::Return;

fn read(words: &[&str]) -> Result<Arguments, Refusal> {
    let argv: Vec<Vec<u8>> = ["sendmail"]
        .iter()
        .chain(words)
        .map(|word| word.as_bytes().to_vec())
        .collect();
    parse(&argv, OperationMode::Deliver)
}

fn recipients(words: &[&str]) -> Vec<String> {
    let arguments = read(words).unwrap();
    let text = |word: &Vec<u8>| String::from_utf8_lossy(word).into_owned();
    arguments.recipients.iter().map(text).collect()
}

#[test]
fn wrong_lines_are_told_in_the_words_of_the_reference() {
    for (words, text) in [
        (&["-bg"][..], "Invalid operation mode g"),
        (&["-b"], "Invalid operation mode  "),
        (&["-bz"], "Frozen configurations unsupported"),
        (&["-h", "5x", "a"], "Bad hop count (5x)"),
        (&["-N", "success,never", "a"], "Invalid -N argument"),
        (&["-N", "", "a"], "Invalid -N argument"),
        (&["-R", "ful", "a"], "Invalid -R value"),
        (&["-R", "full", "-R", "hdrs"], "Duplicate -R flag"),
        (&["-V", "a b", "a"], "Invalid syntax in -V flag"),
        (&["-V", "a+b", "a"], "Invalid syntax in -V flag"),
        (
            &["-f", "a", "-r", "b", "c"],
            "More than one \"from\" person",
        ),
        (&["-q1x"], "Invalid time unit `x'"),
        (
            &["-q", "root"],
            "Invalid time unit `r'\nInvalid time unit `o'\nInvalid time unit `o'\nInvalid time unit `t'",
        ),
        (&["-q-5"], "Invalid -q value"),
        (&["-Q."], "Can not use -Q."),
        (&["-Q", ".", "x"], "Can not use -Q."),
        (&["-bv", "-qf", "x"], "Can not use -q with -bv"),
        (&["-q", "-bs"], "550 Can not use -q with -bs\r"),
        (&["-Q", "-qIx", "-bp"], "Can not use -Q with -bp"),
        (&["-L"], "option requires an argument -- 'L'"),
        (&["-V", "a\nb", "c"], "Invalid syntax in -V flag"),
    ] {
        let refusal = read(words).unwrap_err();
        assert_eq!(String::from_utf8_lossy(&refusal.text), text, "{words:?}");
        assert_eq!(refusal.status.number(), 64, "{words:?}");
        assert_eq!(refusal.output, Output::Standard, "{words:?}");
    }
    for (words, text) in [
        (&["-Z"][..], "sendmail: illegal option -- Z"),
        (&["-f"], "sendmail: option requires an argument -- f"),
        (&["-bv", "-iE"], "sendmail: illegal option -- E"),
    ] {
        let refusal = read(words).unwrap_err();
        assert_eq!(String::from_utf8_lossy(&refusal.text), text, "{words:?}");
        assert_eq!(refusal.output, Output::Error, "{words:?}");
    }
}

#[test]
fn options_end_at_the_first_other_word() {
    for (words, left) in [
        (&["root", "-bv"][..], &["root", "-bv"][..]),
        (&["-bv", "root", "-n"], &["root", "-n"]),
        (&["-bv", "--", "-x"], &["-x"]),
        (&["--help", "a"], &["a"]),
        (&["-", "a"], &["-", "a"]),
        (&["-T", "5", "-bv"], &["5", "-bv"]),
        (&["-d", "root"], &["root"]),
        (&["-f", "", "root"], &["root"]),
        (&["-O", "LogLevel", "3", "a"], &["3", "a"]),
        (&["-itv"], &[]),
        (&["-q1h", "a"], &["a"]),
    ] {
        assert_eq!(recipients(words), left, "{words:?}");
    }
}

#[test]
fn a_null_sender_has_three_forms() {
    for words in [&["-f", "", "a"][..], &["-f", "<>", "a"], &["-f<>", "a"]] {
        let sender = read(words).unwrap().sender.unwrap();
        assert_eq!((sender.address, sender.flag), (vec![], b'f'), "{words:?}");
    }
    let eaten = read(&["-f", "-bv", "root"]).unwrap();
    assert_eq!(eaten.sender.unwrap().address, b"-bv");
}

#[test]
fn settings_keep_their_order() {
    let arguments = read(&[
        "-odi",
        "-O",
        "LogLevel=3",
        "-Mzx",
        "-oi",
        "-em",
        "-s",
        "-M",
        "{a}b",
        "root",
    ])
    .unwrap();
    let letter = |letter, value: &str| OverrideSetting::Letter(letter, value.into());
    assert_eq!(
        arguments.settings,
        [
            letter(b'd', "i"),
            OverrideSetting::Named(b"LogLevel=3".to_vec()),
            OverrideSetting::Macro(b"zx".to_vec()),
            letter(b'i', ""),
            letter(b'e', "m"),
            letter(b'f', "T"),
            OverrideSetting::Macro(b"{a}b".to_vec()),
        ]
    );
    assert!(arguments.ignore_dots);
}

#[test]
fn verbose_means_interactive_delivery_in_the_end() {
    let arguments = read(&["-v", "-odq", "a"]).unwrap();
    assert!(arguments.verbose);
    assert_eq!(
        arguments.afterwards.last(),
        Some(&OverrideSetting::Letter(b'd', vec![]))
    );
}

#[test]
fn queue_runs_are_read() {
    let run = |words: &[&str]| read(words).unwrap().queue_run.unwrap();
    assert_eq!(run(&["-q"]).interval, None);
    assert_eq!(run(&["-bd", "-q15m"]).interval.unwrap().as_secs(), 900);
    assert_eq!(run(&["-q1h30m"]).interval.unwrap().as_secs(), 5_400);
    assert_eq!(run(&["-q90m"]).interval, run(&["-q1h30m"]).interval);
    assert_eq!(run(&["-q5"]).interval.unwrap().as_secs(), 300);
    let subset = run(&["-qIa", "-q!Rb", "-qf", "-qGg"]);
    assert!(subset.foreground);
    assert_eq!(subset.selection.group.unwrap(), b"g");
    assert_eq!(subset.selection.matches.len(), 2);
    assert!(subset.selection.matches[1].negated);
    let persistent = run(&["-qp"]);
    assert!(persistent.persistent);
    assert_eq!(persistent.interval.unwrap().as_secs(), 1);
    let quarantine = |words| read(words).unwrap().quarantine.unwrap();
    assert_eq!(quarantine(&["-Q", "-qIx"]), QuarantineRequest::Release);
    assert_eq!(
        quarantine(&["-Qbad mail", "-qIx"]),
        QuarantineRequest::Hold(b"bad mail".to_vec())
    );
}

#[test]
fn the_rest_is_read_as_written() {
    let arguments = read(&[
        "-C",
        "/a.cf",
        "-B8BITMIME",
        "-FFull Name",
        "-h",
        "3",
        "-R",
        "HDRS",
        "-V",
        "id+2B",
        "-n",
        "-t",
        "-G",
        "-pSMTP:host",
        "-X",
        "/tmp/log",
        "-Ltag",
        "-d21.2",
        "-d0.1",
    ])
    .unwrap();
    assert_eq!(
        arguments.configuration,
        ConfigurationChoice::File(b"/a.cf".to_vec())
    );
    assert_eq!(arguments.full_name.unwrap(), b"Full Name");
    assert_eq!(arguments.hop_count, Some(3));
    assert_eq!(arguments.dsn_return, Some(Return::Headers));
    assert_eq!(
        arguments.protocol.unwrap(),
        (b"SMTP".to_vec(), Some(b"host".to_vec()))
    );
    assert!(arguments.no_alias && arguments.recipients_from_header && arguments.relay);
    assert_eq!(arguments.syslog_tag.unwrap(), b"tag");
    assert_eq!(arguments.debug, [b"21.2".to_vec(), b"0.1".to_vec()]);
    let late = read(&["-d0.1", "-D", "x"]).unwrap();
    assert!(late.debug_file_is_late && late.debug_file.is_none());
    assert_eq!(
        read(&["-C"]).unwrap().configuration,
        ConfigurationChoice::File(b"sendmail.cf".to_vec())
    );
    assert_eq!(
        read(&["-B9", "a"]).unwrap().complaints,
        [b"Illegal body type 9"]
    );
}

#[test]
fn octets_beyond_ascii_survive() {
    let argv = [
        b"sendmail".to_vec(),
        b"-F\xe9\xff".to_vec(),
        b"\x80@x".to_vec(),
    ];
    let arguments = parse(&argv, OperationMode::Deliver).unwrap();
    assert_eq!(arguments.full_name.unwrap(), b"\xe9\xff");
    assert_eq!(arguments.recipients, [b"\x80@x".to_vec()]);
}

#[test]
fn any_words_are_survived() {
    let mut seed = 99u32;
    for _ in 0..20_000 {
        let mut argv = vec![b"sendmail".to_vec()];
        for _ in 0..4 {
            let mut word = Vec::new();
            for _ in 0..4 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                word.push(b"-qQbdCfoMV!<>. 1hx\xff\0"[(seed >> 16) as usize % 20]);
            }
            argv.push(word);
        }
        let _ = parse(&argv, OperationMode::Deliver);
    }
}

#[test]
fn line_ends_become_spaces_and_are_told_of() {
    let arguments = read(&["-F", "a\nb", "-f", "c\nd", "-Mxy\nz", "-p", "A\n:h", "e"]).unwrap();
    assert_eq!(arguments.full_name.as_deref(), Some(&b"a b"[..]));
    assert_eq!(arguments.sender.map(|s| s.address), Some(b"c d".to_vec()));
    let z = OverrideSetting::Macro(b"xy z".to_vec());
    assert_eq!(arguments.settings, [z]);
    assert_eq!(arguments.attacks, [&b"a b"[..], b"c d", b"A :h"]);
}

#[test]
fn protocol_and_host_are_cleaned() {
    let all: String = (' '..='~').filter(|&c| c != ':').collect();
    let clean = "!#$%&'*+-./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz{|}~";
    let arguments = read(&["-p", &format!("{all}:{all}:x"), "bob"]).unwrap();
    let (protocol, host) = arguments.protocol.unwrap();
    assert_eq!(String::from_utf8_lossy(&protocol), clean);
    assert_eq!(
        String::from_utf8_lossy(&host.unwrap()),
        clean.to_owned() + "x"
    );
}
