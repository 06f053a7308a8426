//! VRFY and EXPN: who is behind a name.

use super::super::guard::Counted;
use super::super::session::{Call, Flow, Session};
use super::super::wording;
use super::Depth;
use crate::config::options::PrivacyFlags;
use crate::envelope::Recipient;
use crate::logging::record::Severity;
use crate::mailer::MailerTriple;
use crate::smtp::{Reply, Verdict};
use crate::text::bytes::escape_for_display;

/// The parameter of VRFY and EXPN.
const UTF8_PARAMETER: &[u8] = b" SMTPUTF8";

impl Session {
    /// Answers VRFY.
    pub(super) fn vrfy(&mut self, argument: &[u8], call: &mut Call<'_>) -> Flow {
        self.did_something = true;
        let after = match self.count(Counted::Vrfy, call) {
            Ok(after) => after,
            Err(instead) => return instead,
        };
        if !self.features.vrfy {
            self.say_text(
                call,
                "252 2.5.2 Cannot VRFY user; try RCPT to attempt delivery (or try finger)",
            );
            self.log_rejected("VRFY", argument);
            return after;
        }
        self.look_behind("VRFY", argument, call);
        after
    }

    /// Answers EXPN.
    pub(super) fn expn(&mut self, argument: &[u8], call: &mut Call<'_>) -> Flow {
        self.did_something = true;
        let after = match self.count(Counted::Expn, call) {
            Ok(after) => after,
            Err(instead) => return instead,
        };
        if !self.features.expn {
            self.say_text(call, "502 5.7.0 Sorry, we do not allow this operation");
            self.log_rejected("EXPN", argument);
            return after;
        }
        self.look_behind("EXPN", argument, call);
        after
    }

    /// Logs a question that PrivacyOptions forbids, for those who watch for harvesters.
    fn log_rejected(&self, verb: &str, argument: &[u8]) {
        let line = [verb.as_bytes(), b" ", argument].concat();
        self.log(
            6,
            Severity::Info,
            format_args!(
                "{}: {} [rejected]",
                self.client_shown(),
                escape_for_display(line.trim_ascii_end())
            ),
        );
    }

    fn look_behind(&mut self, verb: &str, argument: &[u8], call: &mut Call<'_>) {
        let (needs_hello, hook, depth) = match verb {
            "VRFY" => (PrivacyFlags::NEED_VRFY_HELO, "check_vrfy", Depth::Verify),
            _ => (PrivacyFlags::NEED_EXPN_HELO, "check_expn", Depth::Full),
        };
        let privacy = self.mta.config.options.security.privacy_options;
        if self.hello.is_none() && privacy.contains(needs_hello) {
            self.say_text(call, "503 5.0.0 I demand that you introduce yourself first");
            return;
        }
        self.log(
            6,
            Severity::Info,
            format_args!(
                "{}: {verb} {}",
                self.client_shown(),
                escape_for_display(argument)
            ),
        );
        if argument.is_empty() {
            self.say_text(call, "501 5.5.2 Argument required");
            return;
        }
        let (argument, asked_in_utf8) = self.without_utf8_parameter(argument);
        if let Some(refusal) = self.refuse_eight_bits(argument, asked_in_utf8) {
            self.say(call, &refusal);
            return;
        }
        self.transaction.asked_in_utf8 = asked_in_utf8;
        self.look_up(verb, argument, (hook, depth), call);
        self.transaction.asked_in_utf8 = false;
    }

    /// Takes SMTPUTF8 from the end of an argument (RFC 6531 section 3.7.4.2).
    fn without_utf8_parameter<'a>(&self, argument: &'a [u8]) -> (&'a [u8], bool) {
        let text = argument.trim_ascii_end();
        let at = text.len().saturating_sub(UTF8_PARAMETER.len());
        let (address, word) = text.split_at(at);
        let is_given = self.mta.config.options.receiving.smtp_utf8
            && word.eq_ignore_ascii_case(UTF8_PARAMETER);
        if is_given {
            (address.trim_ascii_end(), true)
        } else {
            (argument, false)
        }
    }

    fn look_up(
        &mut self,
        verb: &str,
        argument: &[u8],
        (hook, depth): (&str, Depth),
        call: &mut Call<'_>,
    ) {
        if let Verdict::Reject(reply) | Verdict::Defer(reply) = self.check(hook, &[argument], call)
        {
            self.say(call, &reply);
            return;
        }
        let (found, complaint) = self.expand_list(argument, depth, call);
        let found: Vec<&Recipient> = found
            .iter()
            .filter(|recipient| recipient.state.is_open())
            .collect();
        self.count_recipients(found.len());
        if let Some(reply) = complaint {
            self.say(call, &reply);
            return;
        }
        let Some(first) = found.first() else {
            self.say_text(call, &format!("554 5.5.2 Nothing to {verb}"));
            return;
        };
        // VRFY says 250 only for mailers that know their users for sure.
        let is_guess = verb == "VRFY" && found.len() == 1 && !self.is_certain(first);
        let sample = Reply::of(if is_guess {
            "252 2.1.5 x"
        } else {
            "250 2.1.5 x"
        });
        let lines: Vec<Vec<u8>> = found
            .iter()
            .map(|recipient| self.shown_recipient(recipient))
            .collect();
        let is_offered = self.mta.config.options.receiving.smtp_utf8;
        if is_offered && !self.transaction.takes_utf8() && !lines.iter().all(|line| line.is_ascii())
        {
            let text = match verb {
                "VRFY" => "252 2.6.8 The answer requires SMTPUTF8",
                _ => "550 5.6.8 The answer requires SMTPUTF8",
            };
            self.say_text(call, text);
            return;
        }
        let reply = Reply { lines, ..sample };
        self.say(call, &wording::complete(reply));
    }

    /// Tells whether the mailer vouches for the address (F=q).
    fn is_certain(&self, recipient: &Recipient) -> bool {
        let vouches = |triple: &MailerTriple| self.mta.config.mailers.get(triple.mailer).has(b'q');
        recipient.triple.as_ref().is_none_or(vouches)
    }

    /// Writes `Full Name <user@host>` for a user of a local mailer (F=l; the name with F=w),
    /// `<address>` for anything else. Observed: 8.17.1.9.
    fn shown_recipient(&self, recipient: &Recipient) -> Vec<u8> {
        let bare = recipient
            .address
            .strip_prefix(b"<")
            .and_then(|address| address.strip_suffix(b">"))
            .unwrap_or(&recipient.address);
        let Some(triple) = &recipient.triple else {
            return [b"<", bare, b">"].concat();
        };
        let mailers = &self.mta.config.mailers;
        let special = [mailers.program(), mailers.file(), mailers.include()];
        let is_user = !special.contains(&Some(triple.mailer));
        if !is_user || !mailers.get(triple.mailer).has(b'l') {
            return [b"<", bare, b">"].concat();
        }
        let name = self
            .local_user(triple)
            .map(|user| user.full_name())
            .unwrap_or_default();
        let mut shown = Vec::new();
        if !name.is_empty() {
            shown.extend_from_slice(&name);
            shown.push(b' ');
        }
        let at_host = if triple.user.contains(&b'@') {
            Vec::new()
        } else {
            [b"@", self.host_name().as_slice()].concat()
        };
        shown.extend_from_slice(&[b"<", triple.user.as_slice(), &at_host, b">"].concat());
        shown
    }
}
