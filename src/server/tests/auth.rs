//! AUTH in a session: order, texts, macros, the log.

use super::*;

const MECHANISMS: &str = "O AuthMechanisms=EXTERNAL GSSAPI CRAM-MD5 LOGIN PLAIN\n";
/// ann and her password.
const RIGHT: &str = "AGFubgBzZWNyZXQ=";
/// ann and another.
const WRONG: &str = "AGFubgB4";

fn dialogue(more: &str) -> Dialogue {
    Dialogue::with(&[MECHANISMS, more].concat())
}

#[test]
fn mechanisms_are_offered_as_wanted_and_possible() {
    for (more, offered) in [
        ("", Some("250-AUTH CRAM-MD5 LOGIN PLAIN\r\n")),
        ("O AuthOptions=A p\n", Some("250-AUTH CRAM-MD5\r\n")),
        ("O AuthOptions=p f\n", None),
        ("O AuthMechanisms=GSSAPI\n", None),
        ("O DaemonPortOptions=Name=X, M=A\n", None),
        ("Ssrv_features\nR$*\t$# A\n", None),
        (
            "O DaemonPortOptions=Name=X, M=A\nSsrv_features\nR$*\t$# a\n",
            Some("250-AUTH CRAM-MD5 LOGIN PLAIN\r\n"),
        ),
    ] {
        let mut dialogue = dialogue(more);
        let answer = dialogue.say("EHLO c.test");
        match offered {
            Some(line) => assert!(answer.contains(line), "{more}: {answer}"),
            None => {
                assert!(!answer.contains("AUTH"), "{more}: {answer}");
                dialogue.expect(&[("AUTH PLAIN", "503 5.3.3 AUTH not available\r\n")]);
            }
        }
    }
}

#[test]
fn a_password_lets_in_once() {
    let mut dialogue = dialogue("");
    dialogue.expect(&[
        (
            &format!("AUTH PLAIN {WRONG}"),
            "535 5.7.0 authentication failed\r\n",
        ),
        ("AUTH PLAIN", "334 \r\n"),
        (RIGHT, "235 2.0.0 OK Authenticated\r\n"),
        ("AUTH PLAIN", "503 5.5.0 Already Authenticated\r\n"),
    ]);
    assert!(
        dialogue.logged("AUTH=server, relay=c.test [127.0.1.8], authid=ann, mech=PLAIN, bits=0")
            || dialogue.logged("authid=ann, mech=PLAIN, bits=0")
    );
    assert!(dialogue.logged(
        "AUTH failure (PLAIN): authentication failure (-13) SASL(-13): authentication failure: \
         Password verification failed, user=ann, relay="
    ));
    dialogue.open_message();
    dialogue.expect(&[("AUTH LOGIN", "503 5.5.0 Already Authenticated\r\n")]);
}

#[test]
fn login_asks_twice_and_an_asterisk_ends_it() {
    dialogue("").expect(&[
        ("AUTH login", "334 VXNlcm5hbWU6\r\n"),
        ("YW5u", "334 UGFzc3dvcmQ6\r\n"),
        ("*", "501 5.0.0 AUTH aborted\r\n"),
        ("AUTH LOGIN YW5u", "334 UGFzc3dvcmQ6\r\n"),
        ("eA==", "535 5.7.0 authentication failed\r\n"),
        ("AUTH LOGIN", "334 VXNlcm5hbWU6\r\n"),
        ("!!", "501 5.5.4 cannot decode AUTH parameter !!\r\n"),
        ("NOOP", "250 2.0.0 OK\r\n"),
    ]);
}

#[test]
fn what_is_no_auth_is_told_so() {
    let mut dialogue = dialogue("");
    dialogue.expect(&[
        ("AUTH", "501 5.5.2 AUTH mechanism must be specified\r\n"),
        ("AUTH FOO", "504 5.3.3 AUTH mechanism FOO not available\r\n"),
        (
            "AUTH EXTERNAL =",
            "504 5.3.3 AUTH mechanism EXTERNAL not available\r\n",
        ),
        ("AUTH PLAIN !!!", "501 5.5.4 cannot BASE64 decode '!!!'\r\n"),
        ("AUTH PLAIN =", "535 5.7.0 authentication failed\r\n"),
    ]);
    assert!(dialogue.logged("AUTH decode64 error [1 for \"!!!\"], relay="));
    dialogue.open_message();
    dialogue.expect(&[(
        "AUTH PLAIN",
        "503 5.5.0 AUTH not permitted during a mail transaction\r\n",
    )]);
}

#[test]
fn lines_of_auth_may_be_twelve_thousand_octets_long() {
    let long = "A".repeat(12_000);
    let mut dialogue = dialogue("");
    dialogue.expect(&[
        (
            &format!("AUTH PLAIN {long}"),
            "535 5.7.0 authentication failed\r\n",
        ),
        ("AUTH PLAIN", "334 \r\n"),
        (&long, "535 5.7.0 authentication failed\r\n"),
    ]);
    assert!(
        dialogue
            .say(&long)
            .starts_with("421 4.7.0 mx.test Command too long")
    );
    assert!(dialogue.is_closed());
}

#[test]
fn the_twelfth_attempt_is_answered_late() {
    let mut dialogue = dialogue("");
    for _ in 0..11 {
        dialogue.expect(&[("AUTH FOO", "504 5.3.3 AUTH mechanism FOO not available\r\n")]);
    }
    assert_eq!(dialogue.say("AUTH FOO"), "");
    assert!(dialogue.logged("possible SMTP attack: command=AUTH, count=12"));
    dialogue.clock.advance(Duration::from_secs(1));
    assert!(dialogue.input(Input::Resume).starts_with("504 5.3.3"));
}

#[test]
fn what_is_sent_ahead_is_taken_line_by_line() {
    let mut dialogue = dialogue("");
    let all = format!("AUTH PLAIN\r\n{RIGHT}\r\nNOOP\r\nAUTH PLAIN\r\n");
    assert_eq!(
        dialogue.raw(all.as_bytes()),
        "334 \r\n235 2.0.0 OK Authenticated\r\n250 2.0.0 OK\r\n503 5.5.0 Already Authenticated\r\n"
    );
}

#[test]
fn rules_are_told_who_it_is_and_decide_whose_word_counts() {
    const RULES: &str = "Scheck_mail\nR$*\t$#error $@ 5.7.0 $: 550 $&{auth_type}/$&{auth_authen}/$&{auth_ssf}/$&{auth_author}/$&r\n\
        Strust_auth\nRann\t$@ ok\nR$*\t$#error $@ 5.7.1 $: 550 not you\n";
    let mut dialogue = dialogue(RULES);
    // Rules put blanks between words.
    let mut say = |line: &str| dialogue.say(line).replace(' ', "");
    say("EHLO c.test");
    assert!(say("MAIL FROM:<ann>").ends_with("////ESMTP\r\n"));
    say(&format!("AUTH PLAIN {RIGHT}"));
    let answer = say("MAIL FROM:<ann> AUTH=ann");
    assert!(answer.ends_with("PLAIN/ann/0/ann/ESMTPA\r\n"), "{answer}");
    say("RSET");
    let answer = say("MAIL FROM:<ann>");
    assert!(answer.ends_with("PLAIN/ann/0//ESMTPA\r\n"), "{answer}");
}

#[test]
fn who_is_not_believed_sends_in_nobodys_name() {
    const RULES: &str = "Strust_auth\nRann\t$@ ok\nR$*\t$#error $@ 5.7.1 $: 550 not you\n";
    for (given, kept) in [("ann", "Aann"), ("bob", "A<>"), ("<>", "A<>")] {
        let mut dialogue = dialogue(RULES);
        dialogue.say("EHLO c.test");
        dialogue.say(&format!("MAIL FROM:<ann> AUTH={given}"));
        dialogue.say("RCPT TO:<bob>");
        dialogue.say("DATA");
        dialogue.raw(b"\r\n.\r\n");
        let file = dialogue.control_file();
        assert!(file.lines().any(|line| line == kept), "{given}: {file}");
    }
}

#[test]
fn a_port_that_wants_authentication_is_content_with_it() {
    let mut dialogue = dialogue("O DaemonPortOptions=Name=X, M=a\n");
    dialogue.expect(&[
        ("MAIL FROM:<ann>", "530 5.7.0 Authentication required\r\n"),
        (
            &format!("AUTH PLAIN {RIGHT}"),
            "235 2.0.0 OK Authenticated\r\n",
        ),
        ("MAIL FROM:<ann>", "250 2.1.0 <ann>... Sender ok\r\n"),
    ]);
}
