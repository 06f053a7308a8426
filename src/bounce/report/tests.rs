//! Reports compared with what the reference wrote (observed: 8.17.1.9).

use super::*;
use crate::bounce::notify::{NoticeRules, notices_for};
use crate::envelope::{DeliveryStatus, Notify, OriginalRecipient, RecipientState, Transcript};
use crate::mailer::MailerTriple;
use crate::message::header::HeaderConditions;
use crate::message::{Body, FlagLetters};
use crate::smtp::{EnhancedStatus, ExitStatus};

const NOW: Timestamp = Timestamp::from_seconds(1_795_323_987);

fn mailers() -> MailerTable {
    let mut mailers = MailerTable::default();
    let mut local = Mailer::new(b"local", b"/bin/mail");
    local.flags = FlagLetters::from_bytes(b"lsDFMAw5:/|@qPn9");
    local.mta_type = Some(b"DNS".to_vec());
    local.address_type = Some(b"RFC822".to_vec());
    local.diagnostic_type = Some(b"X-Unix".to_vec());
    let mut program = Mailer::new(b"prog", b"/bin/sh");
    program.address_type = Some(b"X-Unix".to_vec());
    program.diagnostic_type = Some(b"X-Unix".to_vec());
    let mut esmtp = Mailer::new(b"esmtp", b"[IPC]");
    esmtp.mta_type = Some(b"DNS".to_vec());
    esmtp.address_type = Some(b"RFC822".to_vec());
    esmtp.diagnostic_type = Some(b"SMTP".to_vec());
    for mailer in [local, program, esmtp] {
        mailers.insert(mailer).unwrap();
    }
    mailers
}

fn recipient(mailers: &MailerTable, address: &str, mailer: &str, user: &str) -> Recipient {
    Recipient {
        triple: Some(MailerTriple {
            mailer: mailers.find(mailer.as_bytes()).unwrap(),
            host: Vec::new(),
            user: user.as_bytes().to_vec(),
        }),
        final_address: Some(format!("RFC822; {user}@mx.lab.test").into_bytes()),
        ..Recipient::new(address)
    }
}

fn status(exit: ExitStatus, reported: &str, diagnostic: Option<&str>) -> DeliveryStatus {
    let enhanced = EnhancedStatus::parse(reported.as_bytes()).unwrap();
    let mut status = DeliveryStatus::local(enhanced, exit, "User unknown", NOW);
    status.diagnostic = diagnostic.map(|text| text.as_bytes().to_vec());
    status
}

fn envelope(recipients: Vec<Recipient>) -> Envelope {
    let mut transcript = Transcript::new();
    transcript.push_line(b"550 5.1.1 nosuchuser... User unknown");
    let mut envelope = Envelope {
        recipients,
        transcript,
        created: NOW,
        body: Body::Memory(b"body\n".to_vec()),
        ..Envelope::default()
    };
    envelope.sender.address = b"ann".to_vec();
    let conditions = |flags: &[u8]| HeaderConditions {
        flags: FlagLetters::from_bytes(flags),
        ..HeaderConditions::default()
    };
    let fields: [(&[u8], &[u8], &[u8]); 4] = [
        (b"P", b"Return-Path", b" <\x81g>"),
        (b"x", b"Full-Name", b" Ann Example"),
        (b"F", b"From", b" Ann Example <ann>"),
        (b"", b"Bcc", b" dan"),
    ];
    for (flags, name, value) in fields {
        envelope
            .headers
            .push(HeaderField::from_queue(name, value, conditions(flags)));
    }
    envelope
}

fn written(envelope: &Envelope, mailers: &MailerTable, mime: bool, rules: &NoticeRules) -> String {
    let view = ReportView {
        came_from: Some(b"root@localhost"),
        ..ReportView::new(envelope, mailers, b"mx.lab.test", NOW)
    };
    let notice = notices_for(envelope, rules, None).remove(0);
    let mut out = Vec::new();
    let mut sink = |bytes: &[u8]| {
        out.extend_from_slice(bytes);
        Ok(())
    };
    match mime {
        true => view
            .write_mime(&notice, b"ID.1/mx.lab.test", &mut sink)
            .unwrap(),
        false => view.write_plain(&notice, &mut sink).unwrap(),
    }
    String::from_utf8(out)
        .unwrap()
        .replace(&rfc5322_date(NOW), "DATE")
}

fn unknown_user(mailers: &MailerTable) -> Recipient {
    let failed = status(ExitStatus::NoUser, "5.1.1", Some("550 5.1.1 User unknown"));
    Recipient {
        state: RecipientState::Failed(failed),
        ..recipient(mailers, "nosuchuser", "local", "nosuchuser")
    }
}

#[test]
fn a_failure_is_told_in_three_parts() {
    let mailers = mailers();
    let envelope = envelope(vec![unknown_user(&mailers)]);
    let expected = "This is a MIME-encapsulated message

--ID.1/mx.lab.test

The original message was received at DATE
from root@localhost

   ----- The following addresses had permanent fatal errors -----
nosuchuser
    (reason: 550 5.1.1 User unknown)

   ----- Transcript of session follows -----
550 5.1.1 nosuchuser... User unknown

--ID.1/mx.lab.test
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.lab.test
Arrival-Date: DATE

Final-Recipient: RFC822; nosuchuser@mx.lab.test
X-Actual-Recipient: rfc822; nosuchuser@mx.lab.test
Action: failed
Status: 5.1.1
Diagnostic-Code: X-Unix; 550 5.1.1 User unknown
Last-Attempt-Date: DATE

--ID.1/mx.lab.test
Content-Type: message/rfc822

Return-Path: <ann>
From: Ann Example <ann>
Bcc:

body

--ID.1/mx.lab.test--

";
    assert_eq!(
        written(&envelope, &mailers, true, &NoticeRules::default()),
        expected
    );
}

#[test]
fn without_mime_it_is_plain_text() {
    let mailers = mailers();
    let envelope = envelope(vec![unknown_user(&mailers)]);
    let text = written(&envelope, &mailers, false, &NoticeRules::default());
    let end = "550 5.1.1 nosuchuser... User unknown

   ----- Original message follows -----

Return-Path: <ann>
From: Ann Example <ann>
Bcc:

body

";
    assert!(text.ends_with(end), "{text}");
    let rules = NoticeRules {
        never_returns_body: true,
        ..NoticeRules::default()
    };
    let text = written(&envelope, &mailers, false, &rules);
    let end = "   ----- Message header follows -----

Return-Path: <ann>
From: Ann Example <ann>
Bcc:

   ----- Message body suppressed -----

";
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn programs_show_their_exit_status_in_words_and_where_they_came_from() {
    let mailers = mailers();
    let mut alias = recipient(&mailers, "failer", "local", "failer");
    alias.state = RecipientState::Expanded;
    let mut program = recipient(&mailers, "\"|exit 69\"", "prog", "|exit 69");
    program.expanded_from = Some(0);
    program.state = RecipientState::Failed(status(ExitStatus::Unavailable, "5.5.0", Some("69")));
    let text = written(
        &envelope(vec![alias, program]),
        &mailers,
        true,
        &NoticeRules::default(),
    );
    let people = "\"|exit 69\"\n    (reason: Service unavailable)\n    (expanded from: failer)\n\n";
    assert!(text.contains(people), "{text}");
    let programs = "X-Actual-Recipient: X-Unix; |exit 69\nAction: failed\nStatus: 5.5.0\n\
        Diagnostic-Code: X-Unix; 69\nLast-Attempt-Date: DATE\n\n--ID";
    assert!(text.contains(programs), "{text}");
}

#[test]
fn successes_stand_below_failures() {
    let mailers = mailers();
    let notify = Notify::parse(b"SUCCESS,FAILURE").unwrap();
    let mut failed = unknown_user(&mailers);
    failed.notify = notify;
    let mut bob = recipient(&mailers, "<bob@lab.test>", "local", "bob");
    bob.notify = notify;
    bob.original = Some(OriginalRecipient::new(&b"rfc822;original+40elsewhere"[..]));
    bob.state = RecipientState::Delivered(status(ExitStatus::Ok, "2.1.5", None));
    let mut joe = recipient(&mailers, "joe@plain.test", "esmtp", "joe@plain.test");
    joe.notify = notify;
    let mut sent = status(ExitStatus::Ok, "2.0.0", Some("250 2.1.5 recipient ok"));
    sent.remote = Some(b"plain.test.".to_vec());
    joe.state = RecipientState::Delivered(sent);
    let mut envelope = envelope(vec![failed, bob, joe]);
    envelope.dsn.envid = Some(b"QQ+2B1".to_vec());
    let text = written(&envelope, &mailers, true, &NoticeRules::default());
    let people = "    (reason: 550 5.1.1 User unknown)\n\n   \
        ----- The following addresses had successful delivery notifications -----\n\
        <bob@lab.test>  (successfully delivered to mailbox)\n\
        joe@plain.test  (relayed to non-DSN-aware mailer)\n\n";
    assert!(text.contains(people), "{text}");
    let programs = "Original-Recipient: rfc822;original@elsewhere\n\
        Final-Recipient: RFC822; bob@mx.lab.test\nX-Actual-Recipient: rfc822; bob@mx.lab.test\n\
        Action: delivered (to mailbox)\nStatus: 2.1.5\nLast-Attempt-Date: DATE\n";
    assert!(text.contains(programs), "{text}");
    let relayed = "Action: relayed (to non-DSN-aware mailer)\nStatus: 2.0.0\n\
        Remote-MTA: DNS; plain.test\nDiagnostic-Code: SMTP; 250 2.1.5 recipient ok\n";
    assert!(text.contains(relayed), "{text}");
    assert!(
        text.contains("\n\nOriginal-Envelope-Id: QQ+1\nReporting-MTA: dns; "),
        "{text}"
    );
}

#[test]
fn lists_with_owners_are_mentioned_while_nothing_was_tried() {
    let mailers = mailers();
    let mut alias = recipient(&mailers, "b1", "local", "b1");
    alias.state = RecipientState::Expanded;
    let mut list = recipient(&mailers, "l1", "local", "l1");
    list.state = RecipientState::Expanded;
    list.owner = Some(b"fay".to_vec());
    list.expanded_from = Some(0);
    list.primary = false;
    let envelope = envelope(vec![alias, list, unknown_user(&mailers)]);
    let text = written(&envelope, &mailers, true, &NoticeRules::default());
    let expanded = "X-Actual-Recipient: rfc822; b1@mx.lab.test\n\
        Action: expanded (to multi-recipient alias)\nStatus: 2.0.0\nLast-Attempt-Date: DATE\n";
    assert!(text.contains(expanded), "{text}");
    assert!(!text.contains("l1@mx.lab.test"), "{text}");
}

#[test]
fn nothing_in_an_address_makes_a_line() {
    let mailers = mailers();
    let mut evil = unknown_user(&mailers);
    evil.address = b"x\nStatus: 2.0.0".to_vec();
    evil.final_address = Some(b"RFC822; x\r\nAction: delivered".to_vec());
    let text = written(
        &envelope(vec![evil]),
        &mailers,
        true,
        &NoticeRules::default(),
    );
    assert!(
        !text.contains("\nStatus: 2.0.0") && !text.contains("\nAction: delivered"),
        "{text}"
    );
}
