//! Whole dialogues, in memory: the session, a queue in a temporary folder, a clock that is set by hand.

mod extensions;
mod filters;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Connection, Input, Interest, Outlet, Session, Step};
use crate::alias::database::AliasDatabase;
use crate::config::{Config, FixedSource, Overrides};
use crate::dns::FixedResolver;
use crate::logging::record::{MailLog, Recorded};
use crate::map::{MapServices, MapSet};
use crate::mta::{Lifetime, Mta, Workspace};
use crate::queue::{DirectorySync, LockedEnvelope, Queue, QueueIdSource};
use crate::sys::clock::{ManualClock, Timestamp};
use crate::sys::identity::FixedUsers;
use crate::sys::privilege::Unprivileged;

/// A configuration small enough to be read at a glance.
const CONFIGURATION: &str = "\
V10/Berkeley
Djmx.test
Cwlocalhost mx.test
O OperatorChars=.:%@!^/[]+
O SmtpGreetingMessage=$j ready
O PrivacyOptions=authwarnings
O DeliveryMode=queueonly
O OldStyleHeaders=True
O MinFreeBlocks=0
O Timeout.command=1h
H?P?Return-Path: <$g>
HReceived: $?sfrom $s $.$?_($_)
	$.by $j$?r with $r$. id $i$?u
	for $u$.; $b
H?D?Date: $a
H?F?From: $g
H?M?Message-Id: <$t.$i@$j>
Mlocal, P=/bin/cat, F=lsDFMw5:/|@qPn9, A=cat
Mprog, P=/bin/sh, F=lsDFMoq, A=sh -c $u
Mesmtp, P=[IPC], F=mDFMuXa, E=\\r\\n, A=TCP $h
S3
R$* < $* > $*	$: $2
R$+ @ $+	$: $1 < @ $2 >
S4
R$* < $+ > $*	$1 $2 $3
S0
R$* < @ $=w > $*	$#local $: $1
R$* < @ $+ > $*	$#esmtp $@ $2 $: $1 < @ $2 >
R$*	$#local $: $1
";

/// Counts what is handed on.
#[derive(Default)]
struct Taken(Mutex<Vec<LockedEnvelope>>);

impl Outlet for Taken {
    fn deliver(&self, message: LockedEnvelope) {
        self.0.lock().expect("no panic before").push(message);
    }
}

/// A server with one client.
struct Dialogue {
    session: Session,
    workspace: Workspace,
    taken: Taken,
    clock: Arc<ManualClock>,
    log: Recorded,
    queue: tempfile::TempDir,
    step: Step,
    greeting: String,
}

impl Dialogue {
    fn new() -> Self {
        Self::with("")
    }

    /// Starts a dialogue under further lines of configuration.
    fn with(more: &str) -> Self {
        let queue = tempfile::tempdir().expect("a folder");
        let text = format!(
            "{CONFIGURATION}O QueueDirectory={}\n{more}",
            queue.path().display()
        );
        let mut source = FixedSource::with_file("/test.cf", text.as_bytes());
        let config =
            Config::load(&Overrides::only_file("/test.cf"), &mut source).expect("a configuration");
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_700_000_000)));
        let (mta, log) = machine(config, Arc::clone(&clock));
        let peer = "127.0.0.2:4000".parse().expect("an address");
        let local = "127.0.0.1:25".parse().expect("an address");
        let workspace = Workspace::new(&mta.config.options);
        // As a connection to the first port, where the test configures one.
        let port = (!mta.config.options.daemon_ports.is_empty()).then_some(0);
        let session = Session::new(mta, Connection::network(peer, local, port));
        let mut dialogue = Self {
            session,
            workspace,
            taken: Taken::default(),
            clock,
            log,
            queue,
            step: Step::Close,
            greeting: String::new(),
        };
        dialogue.greeting = dialogue.input(Input::Start);
        dialogue
    }

    fn input(&mut self, input: Input<'_>) -> String {
        let mut output = Vec::new();
        self.step = self
            .session
            .step(input, &mut output, &mut self.workspace, &self.taken);
        String::from_utf8(output).expect("UTF-8")
    }

    fn raw(&mut self, octets: &[u8]) -> String {
        self.input(Input::Bytes(octets))
    }

    fn say(&mut self, line: &str) -> String {
        self.raw(format!("{line}\r\n").as_bytes())
    }

    /// Says lines and checks that each is answered with its code.
    fn expect(&mut self, dialogue: &[(&str, &str)]) {
        for (line, reply) in dialogue {
            let answer = self.say(line);
            assert!(answer.starts_with(reply), "{line}: {answer}");
        }
    }

    fn open_message(&mut self) {
        self.expect(&[
            ("EHLO client.test", "250-"),
            (
                "MAIL FROM:<x@far.test>",
                "250 2.1.0 <x@far.test>... Sender ok\r\n",
            ),
            (
                "RCPT TO:<bob@mx.test>",
                "250 2.1.5 <bob@mx.test>... Recipient ok\r\n",
            ),
        ]);
    }

    fn is_closed(&self) -> bool {
        self.step == Step::Close
    }

    fn queue_files(&self) -> Vec<String> {
        names(self.queue.path())
    }

    /// The contents of the only file of a kind (`qf` or `df`).
    fn file(&self, kind: &str) -> Vec<u8> {
        let names = self.queue_files();
        let mut found = names.iter().filter(|name| name.starts_with(kind));
        let name = found.next().expect("there is one");
        assert_eq!(found.next(), None, "there is one only");
        std::fs::read(self.queue.path().join(name)).expect("it can be read")
    }

    fn control_file(&self) -> String {
        String::from_utf8_lossy(&self.file("qf")).into_owned()
    }

    fn logged(&self, wanted: &str) -> bool {
        self.log
            .lock()
            .expect("no panic before")
            .iter()
            .any(|line| line.contains(wanted))
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

fn machine(config: Config, clock: Arc<ManualClock>) -> (Arc<Mta>, Recorded) {
    let users = FixedUsers::new().user("bob", 1002).user("cid", 1003);
    let users: Arc<dyn crate::sys::identity::UserDatabase> = Arc::new(users);
    let queue_ids = Arc::new(QueueIdSource::new(0));
    let directory_sync = Arc::new(DirectorySync::new());
    let resolver: Arc<dyn crate::dns::Resolver> = Arc::new(FixedResolver::new());
    let clock: Arc<dyn crate::sys::clock::Clock> = clock;
    let privileged: Arc<dyn crate::sys::privilege::Privileged> = Arc::new(Unprivileged);
    let (log, lines) = MailLog::recording(9);
    let queue = Queue::open(&config, Arc::clone(&queue_ids), &directory_sync).expect("a queue");
    let services = MapServices {
        log: log.clone(),
        ..MapServices::bare(
            Arc::clone(&resolver),
            Arc::clone(&users),
            Arc::clone(&privileged),
        )
    };
    let mta = Mta {
        maps: MapSet::new(&config.maps, services.clone()),
        aliases: AliasDatabase::new(services),
        queue: Arc::new(queue),
        resolver,
        tls: crate::tls::Sides::default(),
        clock: Arc::clone(&clock),
        users: Arc::clone(&users),
        privileged: Arc::clone(&privileged),
        lifetime: Arc::new(Lifetime {
            queue_ids,
            directory_sync,
            clock,
            users,
            privileged,
            tried_aliases: Default::default(),
            crowd: Default::default(),
        }),
        accounts: Arc::new(crate::auth::accounts::tests::OneUser("ann", "secret")),
        log,
        counting: Default::default(),
        debug: Arc::default(),
        traffic: Arc::default(),
        config: Arc::new(config),
    };
    (Arc::new(mta), lines)
}

mod auth;

#[test]
fn the_greeting_says_esmtp_after_the_name() {
    assert_eq!(Dialogue::new().greeting, "220 mx.test ESMTP ready\r\n");
}

#[test]
fn a_message_is_in_the_queue_before_the_250() {
    let mut dialogue = Dialogue::new();
    dialogue.open_message();
    dialogue.expect(&[("DATA", "354 End data with <CR><LF>.<CR><LF>\r\n")]);
    let answer = dialogue.raw(b"Subject: x\r\n\r\nbody\r\n.\r\n");
    assert!(
        answer.ends_with(" Message accepted for delivery\r\n"),
        "{answer}"
    );
    let files = dialogue.queue_files();
    assert_eq!(files.len(), 2, "{files:?}");
    assert!(
        files[0].starts_with("df") && files[1].starts_with("qf"),
        "{files:?}"
    );
    assert!(dialogue.logged("from=<x@far.test>, size=17, class=0, nrcpts=1"));
}

#[test]
fn octets_above_127_in_addresses_are_refused() {
    let mut dialogue = Dialogue::new();
    dialogue.say("EHLO client.test");
    let refusal = "553 5.6.7 Address requires SMTPUTF8\r\n";
    let answer = dialogue.raw(b"MAIL FROM:<caf\xe9@client.test>\r\n");
    assert_eq!(answer, refusal);
    assert!(
        dialogue
            .say("MAIL FROM:<cafe@client.test>")
            .starts_with("250 ")
    );
    let answer = dialogue.raw(b"RCPT TO:<vict\xffim@mx.test>\r\n");
    assert_eq!(answer, refusal);
}

#[test]
fn background_messages_are_handed_on_after_the_reply() {
    let mut dialogue = Dialogue::with("O DeliveryMode=background\nO QueueLA=10000\n");
    dialogue.open_message();
    dialogue.say("DATA");
    dialogue.raw(b"\r\nbody\r\n.\r\n");
    let taken = dialogue.taken.0.lock().expect("no panic before");
    let [message] = taken.as_slice() else {
        panic!("one message is handed on");
    };
    // Verified only: delivery resolves and expands.
    assert_eq!(message.envelope.recipients[0].triple, None);
}

#[test]
fn two_messages_of_a_session_have_two_ids() {
    let mut dialogue = Dialogue::new();
    for _ in 0..2 {
        dialogue.open_message();
        dialogue.say("DATA");
        dialogue.raw(b"\r\nbody\r\n.\r\n");
    }
    assert_eq!(dialogue.queue_files().len(), 4);
}

#[test]
fn commands_out_of_order_are_refused() {
    Dialogue::new().expect(&[
        ("RCPT TO:<bob>", "503 5.0.0 Need MAIL before RCPT\r\n"),
        ("DATA", "503 5.0.0 Need MAIL command\r\n"),
        ("MAIL FROM:<x@far.test>", "250 "),
        (
            "MAIL FROM:<y@far.test>",
            "503 5.5.0 Sender already specified\r\n",
        ),
        ("DATA", "503 5.0.0 Need RCPT (recipient)\r\n"),
        ("RSET", "250 2.0.0 Reset state\r\n"),
        ("RCPT TO:<bob>", "503 5.0.0 Need MAIL before RCPT\r\n"),
    ]);
}

#[test]
fn recipients_must_exist_and_be_mailboxes() {
    let mut dialogue = Dialogue::new();
    dialogue.open_message();
    dialogue.expect(&[
        (
            "RCPT TO:<nosuch@mx.test>",
            "550 5.1.1 <nosuch@mx.test>... User unknown\r\n",
        ),
        (
            "RCPT TO:<|/bin/sh>",
            "550 5.7.1 <|/bin/sh>... Cannot mail directly to programs\r\n",
        ),
        (
            "RCPT TO:<bob@mx.test",
            "553 5.0.0 <bob@mx.test... Unbalanced '<'\r\n",
        ),
        (
            "RCPT TO",
            "501 5.5.2 Syntax error in parameters scanning \"TO\"\r\n",
        ),
        (
            "RCPT TO:<bob> FOO=1",
            "555 5.5.4 FOO parameter unrecognized\r\n",
        ),
    ]);
}

#[test]
fn the_same_recipient_is_listed_once() {
    let mut dialogue = Dialogue::new();
    dialogue.open_message();
    dialogue.expect(&[(
        "RCPT TO:<bob>",
        "250 2.1.5 <bob@mx.test>... Recipient ok\r\n",
    )]);
    dialogue.say("DATA");
    dialogue.raw(b".\r\n");
    assert!(dialogue.logged("nrcpts=1"));
}

#[test]
fn users_are_verified_and_foreign_addresses_believed() {
    Dialogue::new().expect(&[
        ("VRFY bob", "250 2.1.5 <bob@mx.test>\r\n"),
        ("VRFY nosuch", "550 5.1.1 nosuch... User unknown\r\n"),
        ("VRFY x@far.test", "252 2.1.5 <x@far.test>\r\n"),
        (
            "EXPN bob cid",
            "250-2.1.5 <cid@mx.test>\r\n250 2.1.5 <bob@mx.test>\r\n",
        ),
    ]);
}

#[test]
fn nothing_behind_a_nul_is_guessed() {
    let mut dialogue = Dialogue::new();
    dialogue.open_message();
    let answer = dialogue.raw(b"RCPT TO:<cid@mx.test>\0@far.test\r\n");
    assert!(answer.starts_with("501 "), "{answer}");
}

#[test]
fn bare_line_feeds_end_the_session_and_leave_nothing() {
    let mut dialogue = Dialogue::new();
    dialogue.open_message();
    dialogue.say("DATA");
    let answer = dialogue.raw(b"Subject: x\r\n\r\na\n.\nMAIL FROM:<evil@far.test>\r\n");
    assert_eq!(answer, "421 4.5.0 Bare linefeed (LF) not allowed\r\n");
    assert!(dialogue.is_closed() && dialogue.queue_files().is_empty());
}

#[test]
fn what_is_sent_with_data_is_never_run() {
    let mut dialogue = Dialogue::new();
    dialogue.open_message();
    let answer = dialogue.raw(b"DATA\r\nSubject: x\r\n\r\n.\r\nRSET\r\n");
    assert_eq!(answer, "554 5.5.0 SMTP protocol error\r\n");
    assert!(dialogue.is_closed());
}

#[test]
fn a_client_that_does_not_wait_for_ehlo_is_refused_from_then_on() {
    let mut dialogue = Dialogue::new();
    let answer = dialogue.raw(b"EHLO a\r\nNOOP\r\n");
    assert_eq!(answer, "554 5.5.0 SMTP protocol error\r\n250 2.0.0 OK\r\n");
    dialogue.expect(&[("MAIL FROM:<x@far.test>", "550 5.0.0 Command rejected\r\n")]);
}

#[test]
fn a_message_beyond_the_limit_is_refused_and_the_session_goes_on() {
    let mut dialogue = Dialogue::with("O MaxMessageSize=200\n");
    dialogue.open_message();
    dialogue.say("DATA");
    dialogue.raw(b"Subject: x\r\n\r\n");
    dialogue.raw(&[b'z'; 300]);
    let answer = dialogue.raw(b"\r\n.\r\n");
    assert_eq!(
        answer,
        "552 5.2.3 Message exceeds maximum fixed size (200)\r\n"
    );
    assert!(dialogue.queue_files().is_empty());
    dialogue.open_message();
}

#[test]
fn a_client_that_goes_away_inside_a_message_leaves_nothing() {
    let mut dialogue = Dialogue::new();
    dialogue.open_message();
    dialogue.say("DATA");
    dialogue.raw(b"Subject: x\r\n\r\nhalf");
    dialogue.input(Input::Closed);
    assert!(dialogue.is_closed() && dialogue.queue_files().is_empty());
    assert!(dialogue.logged("collect: premature EOM: unexpected close"));
}

#[test]
fn single_octets_do_not_keep_a_line_open() {
    let mut dialogue = Dialogue::with("O Timeout.command=2s\n");
    for _ in 0..2 {
        dialogue.raw(b"N");
        dialogue.clock.advance(Duration::from_secs(1));
    }
    dialogue.raw(b"O");
    dialogue.input(Input::TimedOut);
    assert!(dialogue.is_closed());
    assert!(dialogue.logged("timeout waiting for input from"));
}

#[test]
fn many_hellos_are_answered_ever_more_slowly() {
    let mut dialogue = Dialogue::new();
    dialogue.expect(&[("HELO a", "250 "), ("HELO a", "250 ")]);
    assert_eq!(dialogue.say("HELO a"), "");
    assert!(matches!(
        dialogue.step,
        Step::Park {
            interest: Interest::Timer,
            ..
        }
    ));
    dialogue.clock.advance(Duration::from_secs(1));
    assert!(dialogue.input(Input::Resume).starts_with("250 "));
}

#[test]
fn the_size_of_a_refused_mail_is_forgotten() {
    let mut dialogue = Dialogue::with("O MaxMessageSize=2000\n");
    dialogue.expect(&[
        ("EHLO a.test", "250-"),
        ("MAIL FROM:<x@far.test> SIZE=5000", "552 5.2.3"),
        ("MAIL FROM:<x@far.test>", "250 2.1.0"),
    ]);
}

#[test]
fn every_refused_recipient_is_logged() {
    let mut dialogue = Dialogue::new();
    dialogue.expect(&[
        ("EHLO a.test", "250-"),
        ("MAIL FROM:<x@far.test>", "250 2.1.0"),
        ("RCPT TO:<bob", "553"),
        ("RCPT TO:<x@far.test> NOTIFY=FOO", "501 5.5.4"),
    ]);
    assert!(dialogue.logged("<bob... Unbalanced '<'"));
    assert!(dialogue.logged("Bad argument \"FOO\"  to NOTIFY"));
}

#[test]
fn the_ruleset_of_a_later_h_line_of_the_same_field_is_asked() {
    let mut dialogue = Dialogue::with("HMessage-Id: $>CheckId\nSCheckId\nR$*\t$#error $: 553 no\n");
    dialogue.open_message();
    dialogue.expect(&[("DATA", "354")]);
    let reply = dialogue.raw(b"Message-Id: bad\r\n\r\nx\r\n.\r\n");
    assert!(reply.starts_with("553 "), "{reply}");
}

#[test]
fn guessing_recipients_is_slowed_down() {
    let mut dialogue = Dialogue::with("O BadRcptThrottle=1\n");
    dialogue.open_message();
    dialogue.expect(&[("RCPT TO:<no1>", "550 ")]);
    assert_eq!(dialogue.say("RCPT TO:<no2>"), "");
    assert!(dialogue.logged("Possible SMTP RCPT flood, throttling."));
}

#[test]
fn bad_commands_end_the_session() {
    let mut dialogue = Dialogue::new();
    for _ in 0..25 {
        dialogue.expect(&[("FOO", "500 5.5.1 Command unrecognized: \"FOO\"\r\n")]);
    }
    dialogue.expect(&[(
        "FOO",
        "421 4.7.0 mx.test Too many bad commands; closing connection\r\n",
    )]);
    assert!(dialogue.is_closed());
}

#[test]
fn other_protocols_are_sent_away() {
    let mut dialogue = Dialogue::new();
    dialogue.expect(&[(
        "GET / HTTP/1.0",
        "421 4.7.0 mx.test Rejecting open proxy [127.0.0.2]\r\n",
    )]);
    assert!(dialogue.is_closed());
}

#[test]
fn a_long_line_ends_the_session() {
    let mut dialogue = Dialogue::new();
    dialogue.raw(&[b'x'; 3_000]);
    let answer = dialogue.say("");
    assert!(
        answer.starts_with("421 4.7.0 mx.test Command too long"),
        "{answer}"
    );
}

#[test]
fn no_octets_make_a_session_panic() {
    let seeds: [&[u8]; 4] = [
        b"EHLO a\r\n",
        b"MAIL FROM:<\"a\\\"b\"@c.d> SIZE=1 BY=1;R ENVID=+41\r\n",
        b"RCPT TO:<@a,@b:c%d!e@f> NOTIFY=NEVER ORCPT=a;b\r\n",
        b"VRFY (((<<<\r\n",
    ];
    for octet in [0_u8, 9, 10, 13, 34, 40, 60, 62, 92, 128, 255] {
        let mut dialogue = Dialogue::new();
        for seed in seeds {
            for at in 0..seed.len() {
                let mut line = seed.to_vec();
                line[at] = octet;
                dialogue.clock.advance(Duration::from_secs(300));
                dialogue.raw(&line);
                dialogue.input(Input::Resume);
                if dialogue.is_closed() {
                    dialogue = Dialogue::new();
                }
            }
        }
    }
}

#[test]
fn a_port_may_want_authentication() {
    for (modifier, reply) in [
        ("a", "530 5.7.0 Authentication required\r\n"),
        ("c", "250 2.1.0 <ann>... Sender ok\r\n"),
    ] {
        let port = format!("O DaemonPortOptions=Name=X, M={modifier}\n");
        let mut dialogue = Dialogue::with(&port);
        let reply_to = dialogue.raw(b"MAIL FROM:<ann>\r\n");
        assert_eq!(reply_to, reply, "{modifier}");
    }
}
