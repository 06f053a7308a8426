//! Tests of [`super::network`] with a server that says what it is told to say.

use std::net::IpAddr;

use super::network::{Call, Telling, deliver};
use crate::client::Conversion;
use crate::client::scripted_server::ScriptedServer;
use crate::client::witness::tests::Notebook;
use crate::client::{
    BodyRequest, LoginAnswer, LoginEvent, Logins, MailCommand, Outcome, RcptCommand, Witness,
};
use crate::config::options::Options;
use crate::dns::FixedResolver;
use crate::logging::counting::Counting;
use crate::logging::traffic::TrafficLog;
use crate::mailer::Mailer;
use crate::mailer::MailerFlags;
use crate::mta::Memory;
use crate::sys::clock::SystemClock;

/// Who logs in nowhere.
struct Nobody;

impl Logins for Nobody {
    fn login(&self, _: &[u8], _: Option<IpAddr>) -> LoginAnswer {
        LoginAnswer::Nobody
    }
    fn hides_author(&self) -> bool {
        false
    }
    fn tell(&self, _: &[u8], _: &LoginEvent<'_>) {}
}

/// A notebook that hears the relay, too.
#[derive(Default)]
struct Desk {
    notebook: Notebook,
    relay: String,
    is_quiet: bool,
}

impl Witness for Desk {
    fn message(&mut self, text: &[u8]) {
        self.notebook.message(text);
    }
    fn echo(&mut self, line: &[u8]) {
        self.notebook.echo(line);
    }
    fn is_listening(&self) -> bool {
        !self.is_quiet
    }
    fn transcript(&mut self, line: &[u8]) {
        self.notebook.transcript(line);
    }
    fn traffic(&self) -> &TrafficLog {
        self.notebook.traffic()
    }
    fn problem(&mut self, text: &[u8]) {
        self.notebook.problem(text);
    }
    fn notice(&mut self, text: &[u8]) {
        self.notebook.notice(text);
    }
    fn settled(&mut self, recipients: &[usize], outcome: &Outcome) {
        self.notebook.settled(recipients, outcome);
    }
}

impl Telling for Desk {
    fn relay_is(&mut self, relay: &[u8]) {
        self.relay = String::from_utf8_lossy(relay).into_owned();
    }

    fn asks_for_own_name(&self) -> bool {
        false
    }

    fn own_name_is(&mut self, _name: &[u8]) {}
}

impl Desk {
    /// `places exit dsn` of everything settled.
    fn fates(&self) -> Vec<String> {
        self.notebook
            .settled
            .iter()
            .map(|(places, outcome)| {
                format!("{places:?} {} {}", outcome.exit.number(), outcome.logged)
            })
            .collect()
    }
}

fn run(host: &str, port: u16, recipients: &[&str], flags: &[u8]) -> Desk {
    let mut memory = Memory::new(&Options::default());
    let mut desk = run_with(&mut memory, host, port, recipients, flags);
    memory.connections.close_all(&mut desk);
    desk
}

fn run_with(memory: &mut Memory, host: &str, port: u16, recipients: &[&str], flags: &[u8]) -> Desk {
    let text = b"Subject: x\r\n\r\nbody\r\n";
    let body = BodyRequest::default();
    run_message(memory, (host, port), recipients, &esmtp(flags), body, text)
}

fn esmtp(flags: &[u8]) -> Mailer {
    let mut mailer = Mailer::new(b"esmtp", b"[IPC]");
    mailer.flags = MailerFlags::from_bytes(flags);
    mailer.end_of_line = b"\r\n".to_vec();
    mailer
}

fn run_message(
    memory: &mut Memory,
    (host, port): (&str, u16),
    recipients: &[&str],
    mailer: &Mailer,
    body: BodyRequest,
    text: &[u8],
) -> Desk {
    run_as(
        &Nobody,
        memory,
        (host, port),
        recipients,
        mailer,
        (body, text),
    )
}

fn run_as(
    logins: &dyn Logins,
    memory: &mut Memory,
    (host, port): (&str, u16),
    recipients: &[&str],
    mailer: &Mailer,
    (body, text): (BodyRequest, &[u8]),
) -> Desk {
    let address = |last: u8| IpAddr::from([127, 0, 0, last]);
    let resolver = FixedResolver::new()
        .with_host("mx.test", address(1))
        .with_host("dead.test", address(2))
        .with_mx("two.test", 10, "dead.test")
        .with_mx("two.test", 20, "mx.test")
        .with_mx("loop.test", 10, "me.test")
        .with_mx("null.test", 0, "")
        .with_failure("down.test");
    let argv = vec![
        b"TCP".to_vec(),
        host.as_bytes().to_vec(),
        port.to_string().into_bytes(),
    ];
    let mut options = Options::default();
    // The server of the tests stays when it was told goodbye.
    options.timeouts.quit = std::time::Duration::from_millis(100);
    let mail = MailCommand {
        sender: b"ann@me.test".to_vec(),
        size: 20,
        body,
        auth: Some(b"ann".to_vec()),
        ..MailCommand::default()
    };
    let recipients: Vec<RcptCommand> = recipients
        .iter()
        .map(|address| RcptCommand {
            address: address.as_bytes().to_vec(),
            ..RcptCommand::default()
        })
        .collect();
    let call = Call {
        mailer,
        argv: &argv,
        options: &options,
        resolver: &resolver,
        clock: &SystemClock,
        counting: &Counting::default(),
        crowd: &Default::default(),
        is_ourselves: &|name| name.eq_ignore_ascii_case(b"me.test"),
        logins,
        own_name: b"me.test",
        is_first_attempt: true,
        mail: &mail,
        recipients: &recipients,
    };
    let mut desk = Desk::default();
    let mut write = |out: &mut dyn std::io::Write, _: Conversion| out.write_all(text);
    deliver(&call, memory, &mut write, &mut desk);
    desk
}

mod logins;

#[test]
fn a_message_goes_through_in_one_pipelined_session() {
    let server = ScriptedServer::start(&[]);
    let desk = run("mx.test", server.port, &["a@far.test", "b@far.test"], b"am");
    assert_eq!(desk.fates(), ["[0, 1] 0 2.0.0"]);
    assert_eq!(desk.relay, "mx.test. [127.0.0.1]");
    let heard = server.heard();
    assert_eq!(
        heard[..6],
        [
            "(connection)",
            "EHLO me.test",
            "MAIL From:<ann@me.test> SIZE=20",
            "RCPT To:<a@far.test>",
            "RCPT To:<b@far.test>",
            "DATA"
        ]
    );
    assert_eq!(heard.last().unwrap(), "QUIT");
}

#[test]
fn binary_mail_goes_in_chunks() {
    const HELLO: &str = "250-sink.test\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 BINARYMIME";
    let send = |replies: &[&str], text: &[u8]| {
        let mut script = vec![("EHLO", HELLO)];
        script.extend(replies.iter().map(|reply| ("BDAT", *reply)));
        let server = ScriptedServer::start(&script);
        let mut memory = Memory::new(&Options::default());
        let body = BodyRequest {
            is_binary: true,
            ..BodyRequest::default()
        };
        let to = ("mx.test", server.port);
        let mut desk = run_message(&mut memory, to, &["a@far.test"], &esmtp(b"am"), body, text);
        memory.connections.close_all(&mut desk);
        (desk.fates(), server.heard().split_off(2))
    };
    let mail = "MAIL From:<ann@me.test> BODY=BINARYMIME";
    let rcpt = "RCPT To:<a@far.test>";
    let large = vec![b'\n'; 300_000];
    let (fates, heard) = send(&["250 2.0.0 more", "250 2.0.0 stored"], &large);
    assert_eq!(fates, ["[0] 0 2.0.0"]);
    assert_eq!(
        heard,
        [mail, rcpt, "BDAT 262144", "BDAT 37856 LAST", "QUIT"]
    );
    let (fates, heard) = send(&["552 5.2.3 too much"], &large);
    assert_eq!(fates, ["[0] 69 5.2.2"]);
    assert_eq!(heard, [mail, rcpt, "BDAT 262144", "RSET", "QUIT"]);
    let (fates, heard) = send(&["451 4.3.0 later"], b".\r\n");
    assert_eq!(fates, ["[0] 75 4.3.0"]);
    assert_eq!(heard, [mail, rcpt, "BDAT 3 LAST", "QUIT"]);
}

#[test]
fn recipients_have_fates_of_their_own() {
    let server = ScriptedServer::start(&[("RCPT b@", "550 5.1.1 no b"), ("RCPT c@", "452 full")]);
    let desk = run("mx.test", server.port, &["c@x", "b@x", "a@x"], b"am");
    assert_eq!(
        desk.fates(),
        ["[0] 75 4.3.1", "[1] 67 5.1.1", "[2] 0 2.0.0"]
    );
    assert_eq!(
        desk.notebook.transcript,
        [
            "... while talking to mx.test.:",
            ">>> DATA",
            "<<< 452 full",
            "<<< 550 5.1.1 no b"
        ]
    );
}

#[test]
fn without_pipelining_each_command_is_answered_first() {
    let server = ScriptedServer::start(&[("EHLO", "502 what"), ("RCPT", "550 no")]);
    let desk = run("mx.test", server.port, &["a@x", "b@x"], b"am");
    assert_eq!(desk.fates(), ["[0] 67 5.1.1", "[1] 67 5.1.1"]);
    assert!(server.heard().contains(&"RSET".to_owned()));
    assert_eq!(desk.notebook.transcript[1], ">>> RCPT To:<a@x>");
}

#[test]
fn the_second_exchanger_takes_what_the_first_cannot() {
    let server = ScriptedServer::start(&[]);
    let desk = run("two.test", server.port, &["a@x"], b"am");
    assert_eq!(desk.fates(), ["[0] 0 2.0.0"]);
    assert_eq!(desk.relay, "mx.test. [127.0.0.1]");
}

#[test]
fn a_server_that_stays_after_its_421_is_told_of() {
    let server = ScriptedServer::start(&[("RCPT", "421 bye")]);
    let desk = run("mx.test", server.port, &["x@far.test"], b"");
    let told = "timeout waiting for input from mx.test. during Draining Input";
    assert_eq!(desk.notebook.problems, [told]);
}

#[test]
fn replies_that_end_the_transaction() {
    for (verb, reply, fate) in [
        ("greet", "554 go away", "[0] 69 5.5.0"),
        ("greet", "421 busy", "[0] 75 4.5.0"),
        ("greet", "DROP", "[0] 75 4.4.2"),
        ("EHLO", "DROP", "[0] 75 4.4.2"),
        ("EHLO", "250 me.test hello", "[0] 78 5.3.5"),
        ("MAIL", "553 5.1.8 no", "[0] 65 5.1.3"),
        ("MAIL", "DROP", "[0] 75 4.4.2"),
        ("RCPT", "DROP", "[0] 75 4.4.2"),
        ("RCPT", "421 bye", "[0] 75 4.0.0"),
        ("DATA", "554 no", "[0] 69 5.0.0"),
        ("DATA", "DROP", "[0] 75 4.4.2"),
        ("eod", "552 big", "[0] 69 5.2.2"),
        ("eod", "DROP", "[0] 75 4.4.2"),
        ("eod", "530 odd", "[0] 76 5.0.0"),
    ] {
        let server = ScriptedServer::start(&[(verb, reply)]);
        let desk = run("mx.test", server.port, &["a@x"], b"am");
        assert_eq!(desk.fates(), [fate], "{verb} {reply}");
    }
}

#[test]
fn a_server_that_never_stops_talking_is_cut_off() {
    let endless = "250-and another thing\r\n".repeat(20_000);
    let server = ScriptedServer::start(&[("MAIL", &endless)]);
    let desk = run("mx.test", server.port, &["a@x"], b"amq");
    assert_eq!(desk.fates(), ["[0] 75 4.4.2"]);
}

#[test]
fn hosts_without_a_way_in() {
    for (host, fate) in [
        ("none.test", "[0] 68 5.1.2"),
        ("down.test", "[0] 75 4.4.3"),
        ("null.test", "[0] 69 5.1.10"),
        ("loop.test", "[0] 78 5.3.5"),
        ("dead.test", "[0] 75 4.4.1"),
        ("[999.1.1.1]", "[0] 68 5.1.2"),
    ] {
        assert_eq!(run(host, 9, &["a@x"], b"am").fates(), [fate], "{host}");
    }
}

#[test]
fn lmtp_answers_for_each_recipient() {
    let server = ScriptedServer::start(&[("eod", "250 one\r\n452 two\r\n550 three")]);
    let desk = run("mx.test", server.port, &["a", "b", "c"], b"mz");
    assert_eq!(
        desk.fates(),
        ["[1] 75 4.3.1", "[2] 69 5.2.0", "[0] 0 5.2.0"]
    );
    assert_eq!(server.heard()[1], "LHLO me.test");
}

#[test]
fn a_kept_session_is_used_again_after_rset() {
    let server = ScriptedServer::start(&[]);
    let mut memory = Memory::new(&Options::default());
    let mut desk = Desk::default();
    for flags in [&b"am"[..], b"amq", b"am"] {
        desk = run_with(&mut memory, "mx.test", server.port, &["a@x"], flags);
        assert_eq!(desk.fates(), ["[0] 0 2.0.0"]);
    }
    assert!(
        desk.notebook
            .said
            .contains(&"... Using cached ESMTP connection to mx.test. via esmtp...".to_owned())
    );
    memory.connections.close_all(&mut desk);
    let heard = server.heard();
    assert_eq!(
        heard.iter().filter(|line| *line == "(connection)").count(),
        1
    );
    assert_eq!(heard.iter().filter(|line| *line == "RSET").count(), 2);
}

#[test]
fn a_session_carries_no_more_messages_than_the_mailer_allows() {
    let server = ScriptedServer::start(&[]);
    let mut memory = Memory::new(&Options::default());
    let mut mailer = esmtp(b"am");
    mailer.max_messages = 2;
    for _ in 0..5 {
        let body = BodyRequest::default();
        let to = ("mx.test", server.port);
        let desk = run_message(&mut memory, to, &["a@x"], &mailer, body, b"\r\nbody\r\n");
        assert_eq!(desk.fates(), ["[0] 0 2.0.0"]);
    }
    memory.connections.close_all(&mut Desk::default());
    let heard = server.heard();
    let count = |what: &str| heard.iter().filter(|line| *line == what).count();
    assert_eq!((count("(connection)"), count("RSET")), (3, 2), "{heard:?}");
}

#[test]
fn a_session_the_server_ended_is_not_used_again() {
    let server = ScriptedServer::start(&[("RSET", "421 idle too long")]);
    let mut memory = Memory::new(&Options::default());
    for _ in 0..2 {
        let desk = run_with(&mut memory, "mx.test", server.port, &["a@x"], b"am");
        assert_eq!(desk.fates(), ["[0] 0 2.0.0"]);
        let desk = run_with(&mut memory, "mx.test", server.port, &["a@x"], b"amq");
        assert_eq!(desk.fates(), ["[0] 0 2.0.0"]);
    }
    assert_eq!(
        server
            .heard()
            .iter()
            .filter(|line| *line == "(connection)")
            .count(),
        4
    );
}

#[test]
fn a_host_that_failed_is_left_alone_for_the_rest_of_the_run() {
    let mut memory = Memory::new(&Options::default());
    for connects in [1, 0] {
        let desk = run_with(&mut memory, "dead.test", 9, &["a@x"], b"am");
        assert_eq!(desk.fates(), ["[0] 75 4.4.1"]);
        let detail = desk.notebook.settled[0].1.detail.clone().unwrap();
        assert_eq!(detail, b"Connection refused by dead.test.");
        let connecting = |line: &&String| line.contains("Connecting to");
        assert_eq!(
            desk.notebook.said.iter().filter(connecting).count(),
            connects
        );
    }
}

#[test]
fn a_message_that_cannot_be_read_is_never_finished() {
    let server = ScriptedServer::start(&[]);
    let mailer = {
        let mut mailer = Mailer::new(b"esmtp", b"[IPC]");
        mailer.flags = MailerFlags::from_bytes(b"am");
        mailer
    };
    let argv = vec![
        b"TCP".to_vec(),
        b"[127.0.0.1]".to_vec(),
        server.port.to_string().into_bytes(),
    ];
    let options = Options::default();
    let recipients = [RcptCommand {
        address: b"a@x".to_vec(),
        ..RcptCommand::default()
    }];
    let call = Call {
        mailer: &mailer,
        argv: &argv,
        options: &options,
        resolver: &FixedResolver::new(),
        clock: &SystemClock,
        counting: &Counting::default(),
        crowd: &Default::default(),
        is_ourselves: &|_| false,
        logins: &Nobody,
        own_name: b"me.test",
        is_first_attempt: true,
        mail: &MailCommand::default(),
        recipients: &recipients,
    };
    let mut desk = Desk::default();
    let mut memory = Memory::new(&options);
    let mut write = |out: &mut dyn std::io::Write, _: Conversion| {
        out.write_all(b"Subject: half\r\n")?;
        Err(std::io::Error::other("disk"))
    };
    deliver(&call, &mut memory, &mut write, &mut desk);
    assert_eq!(desk.fates(), ["[0] 74 4.3.0"]);
    drop(memory);
    assert!(!server.heard().contains(&".".to_owned()));
}
