//! Dialogues about extensions that have options of their own.

use super::*;

#[test]
fn addresses_beyond_ascii_need_smtputf8() {
    let mut dialogue = Dialogue::with("O SmtpUTF8=True\n");
    let hello = dialogue.say("EHLO client.test");
    assert!(hello.contains("250-SMTPUTF8\r\n250 HELP"), "{hello}");
    dialogue.expect(&[
        (
            "MAIL FROM:<änn@client.test>",
            "553 5.6.7 Address requires SMTPUTF8\r\n",
        ),
        (
            "MAIL FROM:<änn@client.test> SMTPUTF8=1",
            "501 5.5.4 SMTPUTF8 takes no value\r\n",
        ),
        (
            "MAIL FROM:<änn@client.test> SMTPUTF8",
            "250 2.1.0 <änn@client.test>... Sender ok\r\n",
        ),
        (
            "RCPT TO:<ÅÁ@far.test> ORCPT=utf-8;ÅÁ@far.test",
            "250 2.1.5 <ÅÁ@far.test>... Recipient ok\r\n",
        ),
    ]);
    let answer = dialogue.raw(b"RCPT TO:<\xe4@far.test>\r\n");
    assert_eq!(answer, "501 5.1.3 Address is not valid UTF-8\r\n");
    dialogue.say("DATA");
    dialogue.raw("Subject: Öl\r\n\r\nb\r\n.\r\n".as_bytes());
    let record = dialogue.control_file();
    for line in [
        "F8se",
        "S<änn@client.test>",
        "Qutf-8;ÅÁ@far.test",
        "$rUTF8SMTP",
    ] {
        assert!(record.contains(&format!("\n{line}\n")), "{line}: {record}");
    }
    // The next transaction has to ask again.
    assert!(
        dialogue
            .say("MAIL FROM:<änn@client.test>")
            .starts_with("553 ")
    );
}

#[test]
fn without_their_options_extensions_are_unknown() {
    let mut dialogue = Dialogue::new();
    let hello = dialogue.say("EHLO client.test");
    for keyword in ["SMTPUTF8", "CHUNKING", "BINARYMIME"] {
        assert!(!hello.contains(keyword), "{hello}");
    }
    dialogue.expect(&[(
        "MAIL FROM:<a@client.test> SMTPUTF8",
        "555 5.5.4 SMTPUTF8 parameter unrecognized\r\n",
    )]);
}

impl Dialogue {
    /// Starts a dialogue with chunks and a recipient.
    fn chunked(more: &str, mail_parameters: &str) -> Self {
        let mut dialogue = Dialogue::with(&format!("O Chunking=True\n{more}"));
        dialogue.say("EHLO client.test");
        let mail = format!("MAIL FROM:<x@far.test>{mail_parameters}");
        dialogue.expect(&[(&mail, "250 "), ("RCPT TO:<bob@mx.test>", "250 ")]);
        dialogue
    }
}

const ACCEPTED: &str = " Message accepted for delivery\r\n";

#[test]
fn chunks_become_one_message_however_they_arrive() {
    let wire = b"BDAT 14\r\nSubject: x\r\n\r\nBDAT 6\r\n.\r\na\r\nBDAT 5 LAST\r\n.\r\n\r\nNOOP\r\n";
    for size in [wire.len(), 1, 3, 20] {
        let mut dialogue = Dialogue::chunked("", "");
        let answers: String = wire.chunks(size).map(|piece| dialogue.raw(piece)).collect();
        let lines: Vec<&str> = answers.split_inclusive("\r\n").collect();
        assert_eq!(lines.len(), 4, "{answers}");
        assert_eq!(lines[0], "250 2.0.0 14 octets received\r\n");
        assert_eq!(lines[1], "250 2.0.0 6 octets received\r\n");
        assert!(lines[2].ends_with(ACCEPTED), "{answers}");
        assert_eq!(lines[3], "250 2.0.0 OK\r\n");
        assert_eq!(dialogue.file("df"), b".\na\n.\n\n");
        assert!(dialogue.logged("from=<x@far.test>, size=19, class=0, nrcpts=1"));
    }
}

#[test]
fn only_the_last_chunk_is_responsibility() {
    let mut dialogue = Dialogue::chunked("", "");
    let answer = dialogue.raw(b"BDAT 14\r\nSubject: x\r\n\r\n");
    assert_eq!(answer, "250 2.0.0 14 octets received\r\n");
    let is_queued = |dialogue: &Dialogue| {
        let names = dialogue.queue_files();
        names.iter().any(|name| name.starts_with("qf"))
    };
    assert!(!is_queued(&dialogue));
    dialogue.expect(&[
        ("DATA", "503 5.5.1 DATA after BDAT\r\n"),
        ("RCPT TO:<cid@mx.test>", "503 5.5.1 RCPT after BDAT\r\n"),
        ("RSET", "250 "),
        ("BDAT 0 LAST", "503 5.0.0 Need MAIL command\r\n"),
        ("MAIL FROM:<x@far.test>", "250 "),
        ("BDAT 0 LAST", "503 5.0.0 Need RCPT (recipient)\r\n"),
    ]);
    assert!(dialogue.queue_files().is_empty());
    dialogue.raw(b"RCPT TO:<nosuch user@mx.test>\r\nBDAT 6 LAST\r\nQUIT\r\n");
    assert!(!dialogue.is_closed());
    assert!(dialogue.say("RCPT TO:<bob@mx.test>").starts_with("250 "));
    assert!(dialogue.say("BDAT 0 LAST").ends_with(ACCEPTED));
    assert!(is_queued(&dialogue));
}

#[test]
fn octets_of_a_refused_chunk_are_no_commands() {
    let mut dialogue = Dialogue::with("O Chunking=True\n");
    dialogue.say("EHLO client.test");
    let answer = dialogue.raw(b"BDAT 26 LAST\r\nMAIL FROM:<evil@far.test>\rNOOP\r\n");
    assert_eq!(answer, "503 5.0.0 Need MAIL command\r\n250 2.0.0 OK\r\n");
    // Where the octets end is not known.
    let answer = dialogue.raw(b"BDAT x\r\nNOOP\r\n");
    assert_eq!(answer, "501 5.5.4 Syntax error in BDAT parameters\r\n");
    assert!(dialogue.is_closed());
}

#[test]
fn a_chunk_too_much_is_read_to_its_end() {
    let mut dialogue = Dialogue::chunked("O MaxMessageSize=30\n", "");
    let refusal = "552 5.2.3 Message exceeds maximum fixed size (30)\r\n";
    let answer = dialogue
        .raw(b"BDAT 4\r\n\r\n\r\nBDAT 40\r\n0123456789012345678901234567890123456789NOOP\r\n");
    assert_eq!(
        answer,
        format!("250 2.0.0 4 octets received\r\n{refusal}250 2.0.0 OK\r\n")
    );
    assert_eq!(dialogue.raw(b"BDAT 3 LAST\r\nabc"), refusal);
    assert!(dialogue.queue_files().is_empty());
    // The transaction is over.
    assert!(dialogue.say("MAIL FROM:<x@far.test>").starts_with("250 "));
}

#[test]
fn lone_line_ends_are_treated_as_in_data() {
    for text in ["a\n.\r\nb", "a\r.\r\nb", "a\r"] {
        let mut dialogue = Dialogue::chunked("", "");
        let wire = format!("BDAT {} LAST\r\n\r\n{text}", text.len() + 2);
        let answer = dialogue.raw(wire.as_bytes());
        assert!(answer.starts_with("554 5.6.0 Bare "), "{text:?}: {answer}");
        assert!(!dialogue.is_closed());
        assert!(dialogue.queue_files().is_empty());
    }
    let loose = "Ssrv_features\nR$*\t$# G U\n";
    let mut dialogue = Dialogue::chunked(loose, "");
    assert!(
        dialogue
            .raw(b"BDAT 9 LAST\r\n\r\na\n.\r\nb\n")
            .ends_with(ACCEPTED)
    );
    assert_eq!(dialogue.file("df"), b"a\n.\nb\n");
}

#[test]
fn binary_is_kept_octet_by_octet() {
    let mut dialogue = Dialogue::chunked("", " BODY=BINARYMIME");
    assert!(
        dialogue
            .say("DATA")
            .starts_with("503 5.5.1 BINARYMIME requires BDAT")
    );
    let body = b"\r\n.\r\n\n\r\0\xff\r\n.\r\nQUIT\r\n";
    let head = b"MIME-Version: 1.0\r\nContent-Type: application/x\r\n\r\n";
    let command = format!("BDAT {} LAST\r\n", head.len() + body.len());
    let wire = [command.as_bytes(), head, body];
    assert!(dialogue.raw(&wire.concat()).ends_with(ACCEPTED));
    assert_eq!(dialogue.file("df"), body);
    let record = dialogue.control_file();
    for line in ["B8BITMIME", "F8si"] {
        assert!(record.contains(&format!("\n{line}\n")), "{record}");
    }
    assert!(
        record.contains("\nH??Content-Type: application/x\n"),
        "{record}"
    );
}

#[test]
fn a_client_that_goes_or_dawdles_in_a_chunk_leaves_nothing() {
    let mut dialogue = Dialogue::chunked("", "");
    dialogue.raw(b"BDAT 1000 LAST\r\nSubject: x\r\n");
    dialogue.input(Input::Closed);
    assert!(dialogue.is_closed() && dialogue.queue_files().is_empty());
    let mut dialogue = Dialogue::chunked("", "");
    dialogue.raw(b"BDAT 1000000 LAST\r\n");
    for _ in 0..7 {
        dialogue.clock.advance(Duration::from_secs(60));
        dialogue.raw(b"x");
    }
    assert!(dialogue.is_closed() && dialogue.queue_files().is_empty());
    assert!(dialogue.logged("info=read timeout"));
}

/// Observed: 8.17.1.9.
#[test]
fn who_may_not_send_several_commands_waits_before_each_but_the_last() {
    let mut dialogue = Dialogue::with("Ssrv_features\nR$*\t$# n\n");
    let hello = dialogue.say("EHLO client.test");
    assert!(!hello.contains("PIPELINING"), "{hello}");
    assert_eq!(dialogue.raw(b"NOOP\r\nRSET\r\nNOOP\r\nRSET\r\n"), "");
    for answer in ["250 2.0.0 OK\r\n", "250 2.0.0 Reset state\r\n"] {
        assert_eq!(dialogue.input(Input::Resume), "");
        dialogue.clock.advance(Duration::from_secs(1));
        assert_eq!(dialogue.input(Input::Resume), answer);
    }
    dialogue.clock.advance(Duration::from_secs(1));
    let last = dialogue.input(Input::Resume);
    assert_eq!(last, "250 2.0.0 OK\r\n250 2.0.0 Reset state\r\n");
    let line = "unauthorized PIPELINING, sleeping, relay=";
    let log = dialogue.log.lock().expect("no panic before");
    assert_eq!(log.iter().filter(|it| it.contains(line)).count(), 2);
}
