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
