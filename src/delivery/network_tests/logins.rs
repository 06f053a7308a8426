//! AUTH: which mechanisms are tried, and what follows from the answers.

use std::cell::RefCell;

use super::*;
use crate::auth::{Credentials, Secret};
use crate::client::Login;

/// Who logs in as ann.
struct Ann {
    wanted: &'static str,
    hides_author: bool,
    events: RefCell<Vec<String>>,
}

impl Ann {
    fn new(wanted: &'static str) -> Self {
        Ann {
            wanted,
            hides_author: false,
            events: RefCell::default(),
        }
    }
}

impl Logins for Ann {
    fn login(&self, server: &[u8], address: Option<IpAddr>) -> LoginAnswer {
        assert_eq!(
            (server, address),
            (&b"mx.test"[..], Some(IpAddr::from([127, 0, 0, 1])))
        );
        LoginAnswer::As(Box::new(Login {
            credentials: Credentials {
                user: b"ann".to_vec(),
                author: b"ann".to_vec(),
                password: Secret::new("secret"),
                ..Credentials::default()
            },
            wanted: self.wanted.as_bytes().to_vec(),
        }))
    }
    fn hides_author(&self) -> bool {
        self.hides_author
    }
    fn tell(&self, server: &[u8], event: &LoginEvent<'_>) {
        assert_eq!(server, b"mx.test.");
        let text = match event {
            LoginEvent::Accepted(mechanism) => mechanism.name().to_owned(),
            LoginEvent::NoMechanism(words) => format!("none of {}", String::from_utf8_lossy(words)),
            LoginEvent::GivenUp => "given up".to_owned(),
        };
        self.events.borrow_mut().push(text);
    }
}

/// Sends one message as ann; gives what the server heard, what became of it and what was told.
fn sent(ann: &Ann, offer: &str, replies: &[(&str, &str)]) -> (Vec<String>, Vec<String>, Desk) {
    let hello = format!("250-sink.test\r\n250 AUTH {offer}");
    let mut script = vec![("EHLO", hello.as_str())];
    script.extend_from_slice(replies);
    let server = ScriptedServer::start(&script);
    let mut memory = Memory::new(&Options::default());
    let message = (BodyRequest::default(), &b"Subject: x\r\n\r\nbody\r\n"[..]);
    let place = ("mx.test", server.port);
    let mut desk = run_as(
        ann,
        &mut memory,
        place,
        &["a@far.test"],
        &esmtp(b"am"),
        message,
    );
    memory.connections.close_all(&mut desk);
    let mut heard = server.heard();
    heard.retain(|line| !line.starts_with("(conn") && !line.starts_with("EHLO"));
    let events = ann.events.take();
    (heard, events, desk)
}

const ALL: &str = "LOGIN PLAIN CRAM-MD5";
const MAIL: &str = "MAIL From:<ann@me.test> AUTH=ann";
const PLAIN: &str = "AUTH PLAIN YW5uAGFubgBzZWNyZXQ=";

#[test]
fn mechanisms_are_tried_until_one_is_taken() {
    let replies = [
        ("AUTH CRAM", "535 5.7.8 no"),
        ("AUTH PLAIN", "501 what"),
        ("AUTH LOGIN", "334 VXNlcm5hbWU6"),
        ("YW5U", "334 UGFzc3dvcmQ6"),
        ("C2VJCMV0", "235 2.7.0 ok"),
    ];
    let (heard, events, desk) = sent(&Ann::new(ALL), "PLAIN NTLM LOGIN CRAM-MD5", &replies);
    assert_eq!(
        heard[..6],
        [
            "AUTH CRAM-MD5",
            PLAIN,
            "AUTH LOGIN",
            "YW5u",
            "c2VjcmV0",
            MAIL
        ]
    );
    assert_eq!(events, ["LOGIN"]);
    assert_eq!(desk.fates(), ["[0] 0 2.0.0"]);
}

#[test]
fn who_is_refused_everywhere_goes_on_as_anybody() {
    let replies = [("AUTH", "535 5.7.8 no")];
    let (heard, events, desk) = sent(&Ann::new(ALL), "PLAIN", &replies);
    assert_eq!(heard[..2], [PLAIN, MAIL]);
    assert!(events.is_empty());
    assert_eq!(desk.fates(), ["[0] 0 2.0.0"]);
    let hiding = Ann {
        hides_author: true,
        ..Ann::new(ALL)
    };
    let (heard, _, _) = sent(&hiding, "PLAIN", &replies);
    assert_eq!(heard[1], "MAIL From:<ann@me.test>");
}

#[test]
fn the_message_waits_where_the_last_answer_says_later() {
    for (replies, waits) in [
        (
            [("AUTH CRAM", "454 later"), ("AUTH PLAIN", "535 no")],
            false,
        ),
        ([("AUTH CRAM", "535 no"), ("AUTH PLAIN", "454 later")], true),
        ([("AUTH CRAM", "421 bye"), ("AUTH PLAIN", "235 ok")], true),
    ] {
        let (_, events, desk) = sent(&Ann::new("PLAIN CRAM-MD5"), ALL, &replies);
        let fate = if waits { "[0] 75 4.3.0" } else { "[0] 0 2.0.0" };
        assert_eq!(
            (desk.fates(), events.len()),
            (vec![fate.to_owned()], usize::from(waits))
        );
        if waits {
            let outcome = &desk.notebook.settled[0].1;
            assert_eq!(
                outcome.detail.as_deref(),
                Some(&b"Temporary AUTH failure"[..])
            );
            assert!(outcome.reply.is_some());
        }
    }
}

#[test]
fn a_server_with_nothing_we_know_is_left() {
    let (heard, events, desk) = sent(&Ann::new("PLAIN GSSAPI"), "GSSAPI NTLM", &[]);
    assert_eq!(heard, ["QUIT"]);
    assert_eq!(events, ["none of GSSAPI", "given up"]);
    assert_eq!(desk.fates(), ["[0] 75 4.3.0"]);
}

#[test]
fn a_server_that_makes_no_sense_is_told_so() {
    for challenge in ["334 !!!", "334 eHh4"] {
        let replies = [("AUTH SCRAM", challenge), ("*", "501 aborted")];
        let (heard, _, _) = sent(&Ann::new("SCRAM-SHA-1"), "SCRAM-SHA-1", &replies);
        assert_eq!(heard[1..3], ["*", MAIL], "{challenge}");
    }
}

#[test]
fn nobody_who_watches_or_reads_a_bounce_sees_a_password() {
    let replies = [
        ("AUTH PLAIN", "535 no"),
        ("AUTH LOGIN", "334 VXNlcm5hbWU6"),
        ("MAIL", "550 no"),
    ];
    let (_, _, desk) = sent(&Ann::new(ALL), "PLAIN LOGIN", &replies);
    let shown = [desk.notebook.said, desk.notebook.transcript]
        .concat()
        .join("\n");
    assert!(shown.contains(">>> AUTH PLAIN\n"), "{shown}");
    for secret in ["YW5uAGFubgBzZWNyZXQ=", "c2VjcmV0", "secret"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
}
