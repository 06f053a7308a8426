//! NOOP, RSET, QUIT, VERB, and verbs nobody knows.

use super::super::guard::Counted;
use super::super::session::{Call, Flow, Session};
use super::super::wording;
use crate::smtp::{Command, Verb, Verdict};

impl Session {
    /// Answers NOOP.
    pub(super) fn noop(&mut self, command: &Command<'_>, call: &mut Call<'_>) -> Flow {
        let after = match self.count(Counted::Noop, call) {
            Ok(after) => after,
            Err(instead) => return instead,
        };
        if let Some(Flow::Close) = self.ask_check_other(command, b"2", call) {
            return Flow::Close;
        }
        self.say_text(call, "250 2.0.0 OK");
        after
    }

    /// Answers VERB: the switch is taken, and changes nothing over a network.
    pub(super) fn verbose(&mut self, command: &Command<'_>, call: &mut Call<'_>) -> Flow {
        let after = match self.count(Counted::Verb, call) {
            Ok(after) => after,
            Err(instead) => return instead,
        };
        if !self.features.verb {
            self.say_text(call, "502 5.7.0 Verbose unavailable");
            return after;
        }
        if let Some(Flow::Close) = self.ask_check_other(command, b"2", call) {
            return Flow::Close;
        }
        self.say_text(call, "250 2.0.0 Verbose mode");
        after
    }

    /// Answers RSET.
    pub(super) fn rset(&mut self, call: &mut Call<'_>) -> Flow {
        self.say_text(call, "250 2.0.0 Reset state");
        self.clear_transaction("RSET");
        Flow::Next
    }

    /// Answers QUIT.
    pub(super) fn quit(&mut self, call: &mut Call<'_>) -> Flow {
        let text = [
            b"221 2.0.0 ",
            self.host_name().as_slice(),
            b" closing connection",
        ]
        .concat();
        self.say(call, &wording::reply(&text));
        self.log_unsent_recipients("aborted by sender");
        Flow::Close
    }

    /// Answers SEND, SAML, SOML and TURN.
    pub(super) fn not_implemented(&mut self, command: &Command<'_>, call: &mut Call<'_>) -> Flow {
        self.refuse_verb("502 5.5.1 Command not implemented: \"", command, call)
    }

    /// Answers what is no verb at all.
    pub(super) fn unknown(&mut self, command: &Command<'_>, call: &mut Call<'_>) -> Flow {
        self.refuse_verb("500 5.5.1 Command unrecognized: \"", command, call)
    }

    fn refuse_verb(&mut self, text: &str, command: &Command<'_>, call: &mut Call<'_>) -> Flow {
        if self.guard.is_one_bad_command_too_many() {
            return self.cut("Too many bad commands; closing connection", call);
        }
        if let Some(flow) = self.ask_check_other(command, b"5", call) {
            return flow;
        }
        if command.verb != Verb::NotImplemented
            && let Err(refused) = self.ask_about_unknown(command.line)
        {
            self.say(call, refused.reply());
            return refused.flow();
        }
        let shown = crate::text::bytes::shorten(command.line, MAX_SHOWN_COMMAND);
        self.say(
            call,
            &wording::reply(&[text.as_bytes(), &shown, b"\""].concat()),
        );
        Flow::Next
    }

    /// Asks check_other; when it refuses, its reply is sent and the flow returned.
    fn ask_check_other(
        &mut self,
        command: &Command<'_>,
        digit: &[u8],
        call: &mut Call<'_>,
    ) -> Option<Flow> {
        match self.check("check_other", &[command.line, digit], call) {
            Verdict::Reject(reply) | Verdict::Defer(reply) => {
                let reply = wording::complete(reply);
                self.say(call, &reply);
                let closes = reply.code.number() == 421;
                Some(if closes { Flow::Close } else { Flow::Next })
            }
            Verdict::Accept | Verdict::Discard | Verdict::Quarantine(_) => None,
        }
    }
}

/// Longest command shown in a reply.
///
/// Observed: 8.17.1.9 cuts the middle out of longer ones.
const MAX_SHOWN_COMMAND: usize = 203;
