//! Mail filters in a session: when they are asked, and what their answers mean to the client.
//!
//! Order, replies and log lines observed: 8.17.1.9.

use std::sync::Arc;

use super::connection::ConnectionKind;
use super::session::{Call, Flow, Session};
use super::wording;
use crate::logging::record::Severity;
use crate::macros::{MacroTable, Macros};
use crate::milter::{Asking, Chain, Decision, Opening, Peer};
use crate::smtp::Reply;
use crate::text::bytes::escape_for_display;

/// The filters of a session and what they have said about the client.
#[derive(Debug, Default)]
pub(super) struct Filters {
    /// The filters, connected.
    pub chain: Chain,
    /// Whether they are asked: not after they refused the client.
    pub is_asked: bool,
    /// Whether mail is refused for now because of what they said about the client.
    pub defers: bool,
    /// The address of the last MAIL or RCPT.
    pub last_address: Option<LastAddress>,
}

/// What the log shows of an unknown command that filters refuse.
///
/// Observed: 8.17.1.9, which looks where it found the last address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LastAddress {
    /// In the line of the client, from this octet on: the next line is shown from there.
    At(usize),
    /// This text.
    Text(Vec<u8>),
}

/// How a client is received after the filters were asked about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reception {
    /// It is greeted.
    Welcome,
    /// It is told that its mail is not wanted.
    Refused,
    /// The connection is closed.
    Closed,
}

/// Why a step is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    /// With this reply.
    Reply(Reply),
    /// With this reply, and the connection is closed.
    Close(Reply),
}

impl Refused {
    /// Gives the reply.
    pub fn reply(&self) -> &Reply {
        let (Refused::Reply(reply) | Refused::Close(reply)) = self;
        reply
    }

    /// Says what the session does after the reply.
    pub fn flow(&self) -> Flow {
        match self {
            Refused::Reply(_) => Flow::Next,
            Refused::Close(_) => Flow::Close,
        }
    }

    /// Makes the refusal a reply stands for: 421 closes the connection.
    fn of(reply: Reply) -> Refused {
        if reply.code.number() == 421 {
            Refused::Close(reply)
        } else {
            Refused::Reply(reply)
        }
    }
}

impl From<Reply> for Refused {
    fn from(reply: Reply) -> Self {
        Refused::Reply(reply)
    }
}

/// The usual refusal for good.
const REJECTED: &str = "550 5.7.1 Command rejected";
/// The usual refusal for now.
const TRY_LATER: &str = "451 4.3.2 Please try again later";

impl Session {
    /// Connects to the filters of the port and tells them who is there.
    pub(super) fn meet_filters(&mut self, call: &mut Call<'_>) -> Reception {
        let mta = Arc::clone(&self.mta);
        let options = &mta.config.options;
        let port = self
            .connection
            .port
            .and_then(|at| options.daemon_ports.get(at));
        let list = port
            .and_then(|port| port.input_mail_filters.as_ref())
            .unwrap_or(&options.milter.input_mail_filters);
        let opening = self.with_filters(|chain, asking| {
            let (made, opening) = Chain::open(list, &mta.config, mta.resolver.as_ref(), asking);
            *chain = made;
            opening
        });
        match opening {
            Opening::Nobody => {
                self.note_filters(11, format_args!("Milter: no active filter"));
                return Reception::Welcome;
            }
            Opening::Ready => {}
            Opening::Reject => {
                self.note_filters(
                    4,
                    format_args!("Milter: initialization failed, rejecting commands"),
                );
                return Reception::Refused;
            }
            Opening::TempFail => {
                let text = format_args!("Milter: initialization failed, temp failing commands");
                self.note_filters(4, text);
                self.filters.defers = true;
                return Reception::Welcome;
            }
            Opening::Shutdown => {
                self.note_filters(
                    4,
                    format_args!("Milter: initialization failed, closing connection"),
                );
                self.did_something = true;
                self.say_closing(call);
                return Reception::Closed;
            }
        }
        self.note_filters(10, format_args!("Milter: connect to filters"));
        self.filters.is_asked = true;
        self.ask_about_client(call)
    }

    fn ask_about_client(&mut self, call: &mut Call<'_>) -> Reception {
        let host = self.client.name.clone();
        let peer = match (&self.connection.kind, self.connection.peer) {
            (ConnectionKind::Network, Some(address)) => Peer::Network(address),
            (ConnectionKind::LocalSocket, _) => Peer::Local(b"localhost".to_vec()),
            (ConnectionKind::Pipe { .. } | ConnectionKind::Network, _) => Peer::Unknown,
        };
        let decision = self.with_filters(|chain, asking| chain.connect(&host, &peer, asking));
        let word = |reply: &Reply| match reply.code.number() {
            421 => Decision::Shutdown,
            _ if reply.code.is_temporary() => Decision::TempFail,
            _ => Decision::Reject,
        };
        let decision = match decision {
            Decision::Reply(text) => word(&reply_of(&text)),
            other => other,
        };
        let what = match decision {
            Decision::Continue | Decision::Skip | Decision::Accept | Decision::Discard => {
                return Reception::Welcome;
            }
            Decision::Reject | Decision::Reply(_) => "rejecting commands",
            Decision::TempFail => "temp failing commands",
            Decision::Shutdown => "shutdown",
        };
        self.filters.is_asked = false;
        let (host, address) = (
            escape_for_display(&host),
            escape_for_display(&self.client.address),
        );
        self.note_filters(
            4,
            format_args!("Milter: connect: host={host}, addr={address}, {what}"),
        );
        match decision {
            Decision::TempFail => {
                self.filters.defers = true;
                Reception::Welcome
            }
            Decision::Shutdown => {
                self.say_closing(call);
                Reception::Closed
            }
            _ => Reception::Refused,
        }
    }

    /// Tells the filters the name of the client; `Err` is what to do instead of greeting it.
    pub(super) fn ask_about_hello(&mut self, name: &[u8], call: &mut Call<'_>) -> Result<(), Flow> {
        if !self.filters.is_asked {
            return Ok(());
        }
        let decision = self.with_filters(|chain, asking| chain.helo(name, asking));
        let shown = escape_for_display(name);
        let tell = |session: &mut Session, text: &str| {
            session.note_filters(4, format_args!("Milter: helo={shown}, reject={text}"));
            session.filters.is_asked = false;
        };
        match decision {
            Decision::Continue | Decision::Skip | Decision::Accept | Decision::Discard => {}
            Decision::Reject => {
                tell(self, "Command rejected");
                self.refuse_commands();
            }
            Decision::TempFail => {
                tell(self, TRY_LATER);
                self.filters.defers = true;
            }
            Decision::Reply(text) => {
                tell(self, &escape_for_display(&text));
                let reply = reply_of(&text);
                if reply.code.number() == 421 {
                    self.did_something = true;
                    self.say(call, &reply);
                    return Err(Flow::Close);
                }
                self.refusal = Some(reply);
            }
            Decision::Shutdown => {
                let text = self.closing_text();
                tell(self, &escape_for_display(&text));
                self.did_something = true;
                self.say_closing(call);
                return Err(Flow::Close);
            }
        }
        Ok(())
    }

    /// Refuses MAIL where the filters wanted none from this client for now.
    pub(super) fn refuse_deferred(&mut self, argument: &[u8]) -> Result<(), Reply> {
        if !self.filters.defers {
            return Ok(());
        }
        let (argument, client) = (escape_for_display(argument), self.client_shown());
        let argument = argument.strip_prefix("FROM:").unwrap_or(&argument);
        self.log(
            10,
            Severity::Info,
            format_args!(
                "SMTP MAIL command ({argument}) from {client} tempfailed (due to previous checks)"
            ),
        );
        Err(Reply::of(TRY_LATER))
    }

    /// Tells the filters the sender.
    pub(super) fn ask_about_sender(
        &mut self,
        address: &[u8],
        parameters: &[u8],
    ) -> Result<(), Refused> {
        if !self.filters.is_asked || self.transaction.discards {
            return Ok(());
        }
        let arguments = with_parameters(address, parameters);
        let decision = self.with_filters(|chain, asking| chain.mail(&arguments, asking));
        if decision == Decision::Reject {
            self.note_filters(11, format_args!("Milter: reject, sender"));
        }
        let about = format!("from={}", escape_for_display(address));
        self.act_on(decision, &about, address)
    }

    /// Tells the filters a recipient; those that were refused are told only, not judged.
    pub(super) fn ask_about_recipient(
        &mut self,
        address: &[u8],
        parameters: &[u8],
        is_refused: bool,
    ) -> Result<(), Refused> {
        if !self.filters.is_asked || self.transaction.discards {
            return Ok(());
        }
        let arguments = with_parameters(address, parameters);
        let decision =
            self.with_filters(|chain, asking| chain.recipient(&arguments, is_refused, asking));
        let about = format!("to={}", escape_for_display(address));
        self.act_on(decision, &about, address)
    }

    /// Tells the filters that the text is about to come.
    pub(super) fn ask_about_data(&mut self) -> Result<(), Refused> {
        if !self.filters.is_asked || self.transaction.discards {
            return Ok(());
        }
        match self.with_filters(|chain, asking| chain.data(asking)) {
            Decision::Shutdown => {
                let reply = wording::reply(&self.closing_text());
                let text = escape_for_display(&reply.last_line());
                self.note_filters(4, format_args!("Milter: cmd=data, reject={text}"));
                Err(Refused::Close(reply))
            }
            other => self.act_on(other, "cmd=data", b""),
        }
    }

    /// Tells the filters a command nobody knows.
    pub(super) fn ask_about_unknown(&mut self, line: &[u8]) -> Result<(), Refused> {
        if !self.filters.is_asked || self.refusal.is_some() {
            return Ok(());
        }
        let decision = self.with_filters(|chain, asking| chain.unknown(line, asking));
        let shown = match &self.filters.last_address {
            None => "(null)".to_owned(),
            Some(LastAddress::At(at)) => escape_for_display(line.get(*at..).unwrap_or(b"")),
            Some(LastAddress::Text(text)) => escape_for_display(text),
        };
        self.act_on(decision, &format!("unknown={shown}"), b"")
    }

    /// Makes an answer of a filter one of ours.
    fn act_on(&mut self, decision: Decision, about: &str, address: &[u8]) -> Result<(), Refused> {
        let tell = |what: &str| {
            self.note_filters(4, format_args!("Milter: {about}, {what}"));
        };
        match decision {
            Decision::Continue | Decision::Skip | Decision::Accept => Ok(()),
            Decision::Discard => {
                tell("discard");
                self.transaction.discards = true;
                Ok(())
            }
            Decision::Reject => {
                tell(&format!("reject={REJECTED}"));
                let reply = wording::about(address, Reply::of(REJECTED));
                Err(Refused::Reply(reply))
            }
            Decision::TempFail => {
                tell(&format!("reject={TRY_LATER}"));
                Err(Refused::Reply(Reply::of(TRY_LATER)))
            }
            Decision::Reply(text) => {
                tell(&format!("reject={}", escape_for_display(&text)));
                Err(Refused::of(wording::about(address, reply_of(&text))))
            }
            Decision::Shutdown => {
                tell("reject=421, errormode=4");
                let reply = Reply::of("421 4.3.0 closing connection");
                Err(Refused::Close(reply))
            }
        }
    }

    /// Turns what the filters say about a whole message into a refusal.
    pub(super) fn act_on_message(&mut self, decision: Decision) -> Result<(), Refused> {
        let told = |reply: &Reply| escape_for_display(&reply.last_line());
        let reply = match decision {
            Decision::Continue | Decision::Skip | Decision::Accept => {
                self.note_filters(10, format_args!("Milter accept: message"));
                return Ok(());
            }
            Decision::Discard => {
                self.note_filters(4, format_args!("Milter: data, discard"));
                self.transaction.discards = true;
                return Ok(());
            }
            Decision::Reply(text) => {
                let shown = escape_for_display(&text);
                self.note_filters(4, format_args!("Milter: data, reject={shown}"));
                return Err(Refused::of(reply_of(&text)));
            }
            Decision::Reject => {
                self.note_filters(11, format_args!("Milter: reject, data"));
                Reply::of("554 5.7.1 Command rejected")
            }
            Decision::TempFail => Reply::of(TRY_LATER),
            Decision::Shutdown => wording::reply(&self.closing_text()),
        };
        let shown = told(&reply);
        self.note_filters(4, format_args!("Milter: data, reject={shown}"));
        Err(Refused::of(reply))
    }

    /// Tells whether a filter may refuse recipients: none is then delivered to before the end.
    pub(super) fn filters_may_refuse_recipients(&self) -> bool {
        self.filters.is_asked && self.filters.chain.may_refuse_recipients()
    }

    /// Tells the filters that the message at hand will not come.
    pub(super) fn abort_filters(&mut self) {
        if self.filters.is_asked {
            self.with_filters(|chain, asking| chain.abort(asking));
        }
    }

    /// Says goodbye to the filters.
    pub(super) fn leave_filters(&mut self) {
        self.filters.is_asked = false;
        if !self.filters.chain.is_empty() {
            self.with_filters(|chain, asking| chain.quit(asking));
            self.filters.chain = Chain::default();
        }
    }

    /// Lends the filters and what asking them needs.
    fn with_filters<R>(&mut self, work: impl FnOnce(&mut Chain, &Asking<'_>) -> R) -> R {
        let mut table = std::mem::take(&mut self.envelope.macros);
        let mut chain = std::mem::take(&mut self.filters.chain);
        let result = self.with_asking(&mut table, |asking| work(&mut chain, asking));
        self.filters.chain = chain;
        self.envelope.macros = table;
        result
    }

    /// Lends what asking a filter needs.
    pub(super) fn with_asking<R>(
        &self,
        table: &mut MacroTable,
        work: impl FnOnce(&Asking<'_>) -> R,
    ) -> R {
        let mta = Arc::clone(&self.mta);
        let id = self.envelope.id_for_log().to_vec();
        let macros = Macros::new(table, None, &mta.config.macros);
        work(&Asking {
            log: &mta.log,
            id: &id,
            level: self.filter_log_level(),
            macros: &macros,
            names: &mta.config.names,
        })
    }

    pub(super) fn filter_log_level(&self) -> u8 {
        let level = self.mta.config.options.milter.log_level;
        level.unwrap_or(self.mta.log.level())
    }

    /// Writes a line of the filter room.
    fn note_filters(&self, level: u8, text: std::fmt::Arguments<'_>) {
        if level <= self.filter_log_level() {
            self.log(0, Severity::Info, text);
        }
    }

    fn closing_text(&self) -> Vec<u8> {
        [
            b"421 4.7.0 ".as_slice(),
            self.host_name().as_slice(),
            b" closing connection",
        ]
        .concat()
    }

    fn say_closing(&mut self, call: &mut Call<'_>) {
        let text = self.closing_text();
        self.say(call, &wording::reply(&text));
    }
}

/// Splits the parameters behind an address.
fn with_parameters<'a>(address: &'a [u8], parameters: &'a [u8]) -> Vec<&'a [u8]> {
    let words = parameters.split(u8::is_ascii_whitespace);
    let words = words.filter(|word| !word.is_empty());
    std::iter::once(address).chain(words).collect()
}

/// Makes a reply of the text of a filter: one line, or several that end each with CRLF.
fn reply_of(text: &[u8]) -> Reply {
    let whole = [text, b"\r\n"].concat();
    match Reply::parse(&whole) {
        Ok(reply) => wording::complete(reply),
        Err(_) => {
            let line = text.split(|octet| matches!(octet, b'\r' | b'\n')).next();
            wording::reply(line.unwrap_or(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &[u8], address: &[u8]) -> String {
        let mut out = Vec::new();
        wording::write(&wording::about(address, reply_of(text)), false, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn texts_of_filters_become_replies_as_with_the_reference() {
        for (text, reply) in [
            ("550 5.7.9 my text", "550 5.7.9 <x>... my text\r\n"),
            ("550 text", "550 5.0.0 <x>... text\r\n"),
            ("450 5.7.1 mixed", "450 5.7.1 <x>... mixed\r\n"),
            ("421 4.2.1 x", "421 4.2.1 x\r\n"),
            (
                "550-5.7.1 x\r\n550 5.7.1 y",
                "550-5.7.1 <x>... x\r\n550 5.7.1 y\r\n",
            ),
            (
                "451-4.7.1 one\r\n451-4.7.1 two\r\n451 4.7.1 three",
                "451-4.7.1 one\r\n451-4.7.1 two\r\n451 4.7.1 three\r\n",
            ),
            // A second line that is a reply of its own would answer the next command.
            ("550 5.7.1 x\n550 5.7.1 y", "550 5.7.1 <x>... x\r\n"),
        ] {
            assert_eq!(written(text.as_bytes(), b"<x>"), reply, "{text}");
        }
    }

    #[test]
    fn parameters_are_told_one_by_one() {
        let arguments = with_parameters(b"<a@b>", b" SIZE=2  BODY=7BIT");
        assert_eq!(arguments, [&b"<a@b>"[..], b"SIZE=2", b"BODY=7BIT"]);
    }
}
