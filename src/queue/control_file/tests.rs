//! Control files the reference program wrote (observed: 8.17.1.9), and damaged ones.

use super::*;
use crate::envelope::RecipientState;

const FROM_CLIENT: &[u8] = b"V8\nT1795323987\nK0\nN0\nP60044\nB7BIT\nFdns\n\
$_client.far.test [127.0.1.7]\n$rESMTP\n$sclient.far.test\n${daemon_flags}\n\
S<x@far.test>\nZe1\nQrfc822;b@else.test\nrRFC822; bob@lab.test\nRPNS:<bob@lab.test>\n\
rRFC822; cid@lab.test\nRPN:<cid@lab.test>\nH?P?Return-Path: <\x81g>\n\
H??Received: from client.far.test (client.far.test [127.0.1.7])\n\tby mx.lab.test\n\
H?D?Date: Sun, 22 Nov 2026 05:06:27 GMT\nH??From: X <x@far.test>\n.\n";

const FROM_LIST: &[u8] = b"V8\nT1795323987\nK1795323990\nN3\nP120000\nI0/40/97\n\
qfor a reason\nMDeferred: Connection refused by mx1.far.test.\nFw8bdns\n$_root@localhost\n\
${daemon_flags}c u\nSfay\nZmyid\nAann@mx.lab.test\n!\x12 1200\n\
Clist:8:0:list\nrRFC822; all@mx.lab.test\nRFDA:joe@far.test\nC\nRPFD:cid\n\
H??Subject: x\n.\n";

fn parse(text: &[u8]) -> Result<ParsedControlFile, ControlFileFault> {
    ControlFileFormat::default().parse(text)
}

fn rewritten(text: &[u8], place: BodyPlace<'_>) -> String {
    let parsed = parse(text).unwrap();
    let format = ControlFileFormat::default();
    format
        .write(&parsed.envelope, place)
        .escape_ascii()
        .to_string()
}

#[test]
fn a_control_file_of_the_reference_comes_back_to_the_byte() {
    let none = BodyPlace::default();
    assert_eq!(
        rewritten(FROM_CLIENT, none),
        FROM_CLIENT.escape_ascii().to_string()
    );
    let read = BodyPlace {
        inode: Some((0, 40, 97)),
        folder: None,
    };
    assert_eq!(
        rewritten(FROM_LIST, read),
        FROM_LIST.escape_ascii().to_string()
    );
}

#[test]
fn a_sender_is_written_by_his_public_name() {
    let mut envelope = parse(FROM_LIST).unwrap().envelope;
    envelope.sender.address = b"ann".to_vec();
    envelope.sender.public_name = Some(b"Ann.Example@mx.lab.test".to_vec());
    let text = ControlFileFormat::default().write(&envelope, BodyPlace::default());
    let lines: Vec<&[u8]> = text.split(|octet| *octet == b'\n').collect();
    assert!(lines.contains(&&b"SAnn.Example@mx.lab.test"[..]));
    assert!(!lines.contains(&&b"Sann"[..]));
}

#[test]
fn every_field_is_understood() {
    let envelope = parse(FROM_CLIENT).unwrap().envelope;
    assert_eq!(envelope.sender.address, b"<x@far.test>");
    assert_eq!(envelope.created, Timestamp::from_seconds(1_795_323_987));
    assert_eq!(envelope.last_attempt, None);
    assert_eq!(envelope.dsn.ret, Some(Return::Headers));
    assert_eq!(envelope.dsn.envid.as_deref(), Some(&b"e1"[..]));
    let [bob, cid] = envelope.recipients.as_slice() else {
        panic!("two recipients")
    };
    assert!(bob.notify.on_success() && !bob.notify.on_failure() && bob.primary);
    assert_eq!(
        bob.original.as_ref().unwrap().as_bytes(),
        b"rfc822;b@else.test"
    );
    assert_eq!((cid.notify, &cid.original), (Notify::Never, &None));
    assert_eq!(envelope.headers.len(), 4);
    assert_eq!(envelope.hop_count, 1);
    assert_eq!(
        envelope.macros.text(MacroId::letter(b'r')),
        Some(&b"ESMTP"[..])
    );
}

#[test]
fn controlling_users_last_until_the_next() {
    let envelope = parse(FROM_LIST).unwrap().envelope;
    let [joe, cid] = envelope.recipients.as_slice() else {
        panic!("two recipients")
    };
    let user = joe.controlling_user.as_ref().unwrap();
    assert_eq!(
        (user.name.as_slice(), user.uid, user.gid),
        (&b"list"[..], 8, 0)
    );
    assert!(joe.from_alias && !joe.primary);
    assert_eq!(cid.controlling_user, None);
    assert_eq!(envelope.quarantine.as_deref(), Some(&b"for a reason"[..]));
    let by = envelope.deliver_by.unwrap();
    assert_eq!(
        (by.seconds, by.mode, by.trace),
        (1_200, DeliverByMode::Return, true)
    );
}

#[test]
fn nobody_is_warned_that_a_report_is_late() {
    let mut envelope = parse(FROM_LIST).unwrap().envelope;
    envelope.flags.insert(EnvelopeFlags::RESPONSE);
    let text = ControlFileFormat::default().write(&envelope, BodyPlace::default());
    assert!(String::from_utf8_lossy(&text).contains("\nRPF:cid\n"));
}

#[test]
fn recipients_that_are_done_are_not_written() {
    let mut envelope = parse(FROM_CLIENT).unwrap().envelope;
    envelope.recipients[0].state = RecipientState::Expanded;
    let text = ControlFileFormat::default().write(&envelope, BodyPlace::default());
    let text = String::from_utf8_lossy(&text);
    assert!(
        !text.contains("<bob@") && text.contains("RPN:<cid@lab.test>"),
        "{text}"
    );
}

#[test]
fn nothing_from_outside_brings_a_line() {
    let mut envelope = parse(FROM_CLIENT).unwrap().envelope;
    envelope.sender.address = b"x\nRPFD:evil".to_vec();
    envelope.message_status = Some(b"a\r\nb\0c".to_vec());
    envelope.recipients[0].address = b"y\n.\n".to_vec();
    let text = ControlFileFormat::default().write(&envelope, BodyPlace::default());
    let again = parse(&text).unwrap().envelope;
    assert_eq!(again.sender.address, b"x RPFD:evil");
    assert_eq!(again.recipients.len(), 2);
    assert_eq!(again.recipients[0].address, b"y . ");
    assert_eq!(again.message_status.as_deref(), Some(&b"a  b c"[..]));
}

#[test]
fn damage_is_told_in_the_words_of_the_log() {
    for (text, message, reason) in [
        ("", "empty queue file", None),
        ("V8\nSann\n", "incomplete queue file read", None),
        (
            "V8\nSann\n\n.\n",
            "line 3: bad line \"\"",
            Some("unrecognized line"),
        ),
        (
            "V8\n~odd\n.\n",
            "line 2: bad line \"~odd\"",
            Some("unrecognized line"),
        ),
        (
            "V99\n.\n",
            "Version number in queue file (99) greater than max (8)",
            Some("unsupported queue file version"),
        ),
        (
            "V8\n.\nafter dot\n",
            "SECURITY ALERT: extra or bogus data in queue file: after dot",
            Some("bogus queue line"),
        ),
        (
            "V8\nBFOO\n.\n",
            "SECURITY ALERT: extra or bogus data in queue file: BFOO",
            Some("bogus queue line"),
        ),
    ] {
        let fault = parse(text.as_bytes()).unwrap_err();
        assert_eq!(fault.to_string(), message);
        assert_eq!(fault.loss_reason(), reason, "{text:?}");
    }
}

#[test]
fn old_versions_are_read() {
    let envelope = parse(b"T5\nP30000\nSann\nRbob\nHSubject: v0\n.\n")
        .unwrap()
        .envelope;
    assert_eq!(envelope.recipients[0].address, b"bob");
    assert!(envelope.recipients[0].primary);
    let envelope = parse(b"V7\nTabc\nSann\n\tcont\nRPFD:bob\n. \n")
        .unwrap()
        .envelope;
    assert_eq!(envelope.created, Timestamp::from_seconds(0));
    assert_eq!(envelope.sender.address, b"ann \tcont");
}

#[test]
fn never_panics_on_mutated_files() {
    let mut seed: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    for _ in 0..20_000 {
        let mut text = if random(2) == 0 {
            FROM_CLIENT
        } else {
            FROM_LIST
        }
        .to_vec();
        for _ in 0..=random(6) {
            let at = random(text.len().max(1)).min(text.len() - 1);
            match random(4) {
                0 => text[at] = u8::try_from(random(256)).unwrap(),
                1 if text.len() > 1 => drop(text.remove(at)),
                1 => {}
                2 => text.insert(at, b"\n:?.CRHV$!\0\xff"[random(12)]),
                _ => text.truncate(at.max(1)),
            }
        }
        if let Ok(parsed) = parse(&text) {
            let format = ControlFileFormat::default();
            let again = format.parse(&format.write(&parsed.envelope, BodyPlace::default()));
            let again = again.expect("what we write we can read").envelope;
            assert_eq!(again.recipients.len(), parsed.envelope.recipients.len());
        }
    }
}

#[test]
fn a_binary_body_is_told_by_a_flag_that_others_pass_over() {
    let mut envelope = parse(FROM_LIST).unwrap().envelope;
    envelope.body_type = Some(BodyType::Binary);
    let text = ControlFileFormat::default().write(&envelope, BodyPlace::default());
    assert!(String::from_utf8_lossy(&text).contains("\nB8BITMIME\n"));
    let again = parse(&text).unwrap().envelope;
    assert_eq!(again.body_type, Some(BodyType::Binary));
    assert!(!again.flags.contains(EnvelopeFlags::BINARY));
}
