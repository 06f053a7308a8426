//! The filters of a session in their order.
//!
//! The first filter that does not say "go on" decides; those behind it are not asked.

use std::net::SocketAddr;
use std::sync::Arc;

use super::filter::{Filter, Question, State};
use super::negotiation::step;
use super::packet::command;
use super::symbols::{Stage, Symbols};
use crate::config::Config;
use crate::dns::Resolver;
use crate::logging::record::{MailLog, Severity};
use crate::macros::{MacroNames, Macros};
use crate::text::bytes;

/// What the filters say about a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Continue,
    /// Nothing more of this kind is wanted.
    Skip,
    /// One filter has seen enough.
    Accept,
    /// Refuse.
    Reject,
    /// Refuse for now.
    TempFail,
    /// Say yes and throw the message away.
    Discard,
    /// Refuse with this reply.
    Reply(Vec<u8>),
    /// Close the connection: a filter with `F=4` failed.
    Shutdown,
}

impl Decision {
    /// Tells whether the next filter is asked.
    pub fn goes_on(&self) -> bool {
        matches!(self, Decision::Continue | Decision::Skip | Decision::Accept)
    }
}

/// What a question needs besides its data.
pub struct Asking<'a> {
    /// Where lines go.
    pub log: &'a MailLog,
    /// Id of the envelope at hand.
    pub id: &'a [u8],
    /// Milter.LogLevel, or LogLevel.
    pub level: u8,
    /// The macros of the envelope.
    pub macros: &'a Macros<'a>,
    /// Names of macros.
    pub names: &'a MacroNames,
}

impl Asking<'_> {
    /// Writes a line if its level is on.
    ///
    /// The level of the filter room may be above that of the program.
    pub fn note(&self, level: u8, severity: Severity, text: std::fmt::Arguments<'_>) {
        if level <= self.level {
            self.log.syslog(0, severity, Some(self.id), text);
        }
    }
}

/// Who connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// Over a network.
    Network(SocketAddr),
    /// Over a socket in the file system.
    Local(Vec<u8>),
    /// Over a pipe.
    Unknown,
}

/// How connecting to the filters went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// The list names no filter.
    Nobody,
    /// There are filters.
    Ready,
    /// A filter is missing without which no mail is taken: refuse commands.
    Reject,
    /// The same for now.
    TempFail,
    /// The same by closing the connection.
    Shutdown,
}

/// The filters of one session.
#[derive(Debug, Default)]
pub struct Chain {
    pub(super) filters: Vec<Filter>,
}

const CONNECT: Question = Question {
    letter: command::CONNECT,
    action: "connect",
    stage: Some(Stage::Connect),
    unwanted: step::NO_CONNECT,
    silent: step::SILENT_CONNECT,
};
const HELO: Question = Question {
    letter: command::HELO,
    action: "helo",
    stage: Some(Stage::Helo),
    unwanted: step::NO_HELO,
    silent: step::SILENT_HELO,
};
const MAIL: Question = Question {
    letter: command::MAIL,
    action: "mail",
    stage: Some(Stage::Mail),
    unwanted: step::NO_MAIL,
    silent: step::SILENT_MAIL,
};
const RECIPIENT: Question = Question {
    letter: command::RECIPIENT,
    action: "rcpt",
    stage: None,
    unwanted: step::NO_RECIPIENT,
    silent: step::SILENT_RECIPIENT,
};
const DATA: Question = Question {
    letter: command::DATA,
    action: "data",
    stage: Some(Stage::Data),
    unwanted: step::NO_DATA,
    silent: step::SILENT_DATA,
};
const UNKNOWN: Question = Question {
    letter: command::UNKNOWN,
    action: "unknown",
    stage: None,
    unwanted: step::NO_UNKNOWN,
    silent: step::SILENT_UNKNOWN,
};

impl Chain {
    /// Connects to the filters of a list, in its order.
    pub fn open(
        list: &[Vec<u8>],
        config: &Arc<Config>,
        resolver: &dyn Resolver,
        asking: &Asking<'_>,
    ) -> (Chain, Opening) {
        let mut chain = Chain::default();
        let mut missing = None;
        for name in list {
            let mut known = config.filters.iter();
            let Some(definition) = known.find(|one| one.name.eq_ignore_ascii_case(name)) else {
                continue;
            };
            let symbols = Symbols::of(&config.options.milter, &config.names);
            let filter = Filter::open(definition, symbols, resolver, asking);
            let failure = match filter.state {
                State::Error => filter.failure(),
                _ => Decision::Continue,
            };
            chain.filters.push(filter);
            let opening = match failure {
                Decision::Reject => Opening::Reject,
                Decision::TempFail => Opening::TempFail,
                Decision::Shutdown => Opening::Shutdown,
                _ => continue,
            };
            missing.get_or_insert(opening);
        }
        if let Some(opening) = missing {
            chain.quit(asking);
            return (chain, opening);
        }
        let opening = if chain.is_empty() {
            Opening::Nobody
        } else {
            Opening::Ready
        };
        (chain, opening)
    }

    /// Tells whether there is no filter at all.
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// Tells whether a filter may refuse recipients, so that none may be delivered to before
    /// the message is complete.
    pub fn may_refuse_recipients(&self) -> bool {
        self.filters
            .iter()
            .any(|filter| filter.state != State::Error && !filter.agreement.has(step::NO_RECIPIENT))
    }

    fn ask(&mut self, question: &Question, data: &[&[u8]], asking: &Asking<'_>) -> Decision {
        for filter in &mut self.filters {
            let decision = filter.ask(question, data, asking);
            if !decision.goes_on() {
                return decision;
            }
        }
        Decision::Continue
    }

    /// Tells who connected.
    pub fn connect(&mut self, host: &[u8], peer: &Peer, asking: &Asking<'_>) -> Decision {
        let rest = match peer {
            Peer::Network(address) => {
                let ip = address.ip().to_canonical();
                let (family, text) = match ip.is_ipv4() {
                    true => (b'4', ip.to_string()),
                    false => (b'6', format!("IPv6:{ip}")),
                };
                let port = address.port().to_be_bytes();
                [&[family][..], &port, text.as_bytes(), b"\0"].concat()
            }
            Peer::Local(path) => [b"L\0\0".as_slice(), path, b"\0"].concat(),
            Peer::Unknown => b"U".to_vec(),
        };
        let decision = self.ask(&CONNECT, &[host, b"\0", &rest], asking);
        if !decision.goes_on() {
            asking.log(10, format_args!("Milter: connect, ending"));
            self.quit(asking);
        }
        decision
    }

    /// Tells the name a client gives itself.
    pub fn helo(&mut self, name: &[u8], asking: &Asking<'_>) -> Decision {
        self.begin_anew(asking);
        self.ask(&HELO, &[name, b"\0"], asking)
    }

    /// Tells the sender: his address, and each parameter.
    pub fn mail(&mut self, arguments: &[&[u8]], asking: &Asking<'_>) -> Decision {
        self.begin_anew(asking);
        asking.log(
            15,
            format_args!("Milter: sender: {}", shown_first(arguments)),
        );
        let data = terminated(arguments);
        let mut decision = Decision::Continue;
        for filter in &mut self.filters {
            if filter.state == State::Open {
                filter.state = State::InMessage;
            }
            decision = filter.ask(&MAIL, &[&data], asking);
            if !decision.goes_on() {
                if filter.state == State::InMessage {
                    filter.state = State::Open;
                }
                break;
            }
        }
        if !decision.goes_on() {
            // Those that were content have begun a message that will not come.
            self.abort(asking);
        }
        decision
    }

    /// Tells a recipient: the address, and each parameter.
    ///
    /// Macros are told to every filter, the recipient only to those that want it: `is_refused`
    /// ones to those that asked for them. Observed: 8.17.1.9.
    pub fn recipient(
        &mut self,
        arguments: &[&[u8]],
        is_refused: bool,
        asking: &Asking<'_>,
    ) -> Decision {
        asking.log(
            15,
            format_args!("Milter: rcpts: {}", shown_first(arguments)),
        );
        let data = terminated(arguments);
        for filter in &mut self.filters {
            if filter.is_listening()
                && !filter.tell_symbols(Stage::Recipient, RECIPIENT.letter, asking)
            {
                return filter.failure();
            }
            if is_refused
                && filter.state != State::Error
                && !filter.agreement.has(step::REFUSED_RECIPIENTS)
            {
                continue;
            }
            let decision = filter.ask(&RECIPIENT, &[&data], asking);
            if !decision.goes_on() {
                return decision;
            }
        }
        Decision::Continue
    }

    /// Tells that the text is about to come.
    pub fn data(&mut self, asking: &Asking<'_>) -> Decision {
        self.ask(&DATA, &[], asking)
    }

    /// Tells a command nobody knows.
    pub fn unknown(&mut self, line: &[u8], asking: &Asking<'_>) -> Decision {
        let shown = bytes::escape_for_display(line);
        asking.log(10, format_args!("Sending \"{shown}\" to Milter"));
        self.ask(&UNKNOWN, &[line, b"\0"], asking)
    }

    /// Gives up the message at hand.
    pub fn abort(&mut self, asking: &Asking<'_>) {
        for filter in &mut self.filters {
            filter.abort(asking);
        }
    }

    /// Ends the session.
    pub fn quit(&mut self, asking: &Asking<'_>) {
        for filter in &mut self.filters {
            filter.quit(asking);
        }
    }

    fn begin_anew(&mut self, asking: &Asking<'_>) {
        for filter in &mut self.filters {
            filter.abort(asking);
            if filter.state == State::Done {
                filter.state = State::Open;
            }
        }
    }
}

fn shown_first(arguments: &[&[u8]]) -> String {
    bytes::escape_for_display(arguments.first().copied().unwrap_or(b""))
}

fn terminated(arguments: &[&[u8]]) -> Vec<u8> {
    let mut data = Vec::new();
    for argument in arguments {
        data.extend_from_slice(argument);
        data.push(0);
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;
    use crate::config::source::FixedSource;
    use crate::dns::FixedResolver;
    use crate::macros::MacroTable;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;
    use std::thread::{self, JoinHandle};

    /// A filter that agrees to `steps`, gives these answers in turn and tells what it was asked.
    fn filter(path: &std::path::Path, steps: u32, answers: &'static [&[u8]]) -> JoinHandle<String> {
        let listener = UnixListener::bind(path).unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut asked, mut answers) = (String::new(), answers.iter());
            let mut head = [0; 4];
            while stream.read_exact(&mut head).is_ok() {
                let mut packet = vec![0; u32::from_be_bytes(head) as usize];
                stream.read_exact(&mut packet).unwrap();
                asked.push(char::from(packet[0]));
                let mut reply = Vec::new();
                match packet[0] {
                    b'O' => {
                        let numbers = [6, 0x1ff, steps].map(u32::to_be_bytes).concat();
                        crate::milter::packet::encode(b'O', &[&numbers], &mut reply);
                    }
                    b'A' | b'Q' | b'D' => continue,
                    _ => reply.extend_from_slice(answers.next().unwrap_or(&&b"\0\0\0\x01c"[..])),
                }
                if stream.write_all(&reply).is_err() {
                    break;
                }
            }
            asked
        })
    }

    /// Runs a dialogue with two filters; tells what each was asked and what was logged.
    fn with_two(
        failures: [&str; 2],
        answers: [&'static [&'static [u8]]; 2],
        work: impl FnOnce(&mut Chain, &Asking<'_>),
    ) -> ([String; 2], Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let paths = [folder.path().join("one"), folder.path().join("two")];
        let [one, two] = [0, 1].map(|at| filter(&paths[at], 0, answers[at]));
        let text = format!(
            "V10\nXone, S=local:{}, F={}, T=R:2s\nXtwo, S=unix:{}, F={}, T=R:2s\n",
            paths[0].display(),
            failures[0],
            paths[1].display(),
            failures[1]
        );
        let mut source = FixedSource::with_file("/x.cf", text.as_bytes());
        let config = Arc::new(Config::load(&Overrides::only_file("/x.cf"), &mut source).unwrap());
        let (log, lines) = MailLog::recording(14);
        let mut table = MacroTable::new();
        let macros = Macros::new(&mut table, None, &config.macros);
        let asking = Asking {
            log: &log,
            id: b"id1",
            level: 12,
            macros: &macros,
            names: &config.names,
        };
        let list = [b"one".to_vec(), b"TWO".to_vec()];
        let resolver = FixedResolver::default();
        let (mut chain, opening) = Chain::open(&list, &config, &resolver, &asking);
        assert_eq!(opening, Opening::Ready);
        work(&mut chain, &asking);
        chain.quit(&asking);
        drop(chain);
        let asked = [one.join().unwrap(), two.join().unwrap()];
        let lines = lines.lock().unwrap().clone();
        (asked, lines)
    }

    const REJECT: &[u8] = b"\0\0\0\x01r";
    const CONTINUE: &[u8] = b"\0\0\0\x01c";

    #[test]
    fn the_first_that_refuses_decides() {
        let (asked, lines) = with_two(["T", "T"], [&[CONTINUE, REJECT], &[]], |chain, asking| {
            assert_eq!(chain.helo(b"there", asking), Decision::Continue);
            assert_eq!(chain.mail(&[b"<a@b>"], asking), Decision::Reject);
        });
        assert_eq!(asked, ["OHMQ", "OHQ"]);
        assert!(lines.contains(&"id1: milter=one, action=mail, reject".to_owned()));
    }

    #[test]
    fn a_message_that_does_not_come_is_told_to_those_inside_it() {
        let (asked, _) = with_two(["T", "T"], [&[], &[]], |chain, asking| {
            chain.mail(&[b"<a@b>", b"SIZE=1"], asking);
            chain.abort(asking);
            assert_eq!(chain.unknown(b"FOO", asking), Decision::Continue);
            chain.mail(&[b"<a@b>"], asking);
        });
        assert_eq!(asked, ["OMAMQ", "OMAMQ"]);
    }

    #[test]
    fn what_becomes_of_mail_without_a_filter_is_its_letter() {
        const GARBAGE: &[u8] = b"\xff\xff\xff\xffc";
        for (letter, decision) in [
            ("T", Decision::TempFail),
            ("R", Decision::Reject),
            ("4", Decision::Shutdown),
            ("", Decision::Continue),
        ] {
            let (_, lines) = with_two([letter, "T"], [&[GARBAGE], &[]], |chain, asking| {
                assert_eq!(chain.mail(&[b"<a@b>"], asking), decision);
                assert_eq!(chain.data(asking), decision);
            });
            assert!(lines.contains(&"id1: Milter (one): to error state".to_owned()));
        }
    }
}
