//! HELO and EHLO.

use super::super::guard::Counted;
use super::super::session::{Call, Flow, Session};
use super::super::state::Hello;
use super::super::wording;
use crate::logging::record::Severity;
use crate::smtp::Reply;
use crate::text::bytes::escape_for_display;

/// Longest name a client may give itself.
const MAX_NAME: usize = 255;

impl Session {
    /// Answers HELO or EHLO.
    pub(super) fn helo(&mut self, verb: &'static [u8], name: &[u8], call: &mut Call<'_>) -> Flow {
        let after = match self.count(Counted::Helo, call) {
            Ok(after) => after,
            Err(instead) => return instead,
        };
        if let Some(refusal) = self.refuse_early_traffic(verb, call) {
            self.say(call, &refusal);
            self.refuse_commands();
            return after;
        }
        // Observed: 8.17.1.9 believes the protocol even of a hello it refuses.
        let protocol: &'static [u8] = match verb {
            b"EHLO" => self.esmtp_protocol(),
            _ => b"SMTP",
        };
        self.protocol = protocol;
        let takes_all = self.mta.config.options.receiving.allow_bogus_helo;
        if name.is_empty() && !takes_all {
            let text = [b"501 ", verb, b" requires domain address"].concat();
            self.say(call, &wording::reply(&text));
            return after;
        }
        // Observed: 8.17.1.9 takes all for a name, but not what follows white space.
        let mut words = name.split(u8::is_ascii_whitespace);
        let name = match words.next() {
            Some(first) if takes_all => first,
            _ => name,
        };
        let valid = is_host_name(name);
        if !valid && (!takes_all || name.len() > MAX_NAME) {
            self.say_text(call, "501 Invalid domain name");
            self.log(
                10,
                Severity::Info,
                format_args!(
                    "invalid domain name ({}) from {}",
                    escape_for_display(name),
                    self.client_shown()
                ),
            );
            return after;
        }
        if self.hello.is_some() || self.transaction.is_open {
            let word = String::from_utf8_lossy(verb).into_owned();
            self.clear_transaction(&word);
        }
        self.last_verb = "helo";
        // Observed: 8.17.1.9 keeps what it knew where it takes what is no name.
        let known = self
            .hello
            .as_ref()
            .map_or(&self.client.name, |hello| &hello.name);
        let name = if valid { name.to_vec() } else { known.clone() };
        if let Err(instead) = self.ask_about_hello(&name, call) {
            return instead;
        }
        self.hello = Some(Hello { name, protocol });
        self.say_hello(verb, valid, call);
        after
    }

    /// Refuses a client that did not wait for the reply to its hello.
    fn refuse_early_traffic(&self, verb: &[u8], call: &Call<'_>) -> Option<Reply> {
        if !call.more_input || !self.features.refuses_early_traffic {
            return None;
        }
        self.log_early_traffic(verb);
        Some(Reply::of("554 5.5.0 SMTP protocol error"))
    }

    /// Notes that the client sent more before it had its reply.
    pub(super) fn log_early_traffic(&self, verb: &[u8]) {
        self.log(
            6,
            Severity::Info,
            format_args!(
                "rejecting server {} from {} [{}] due to traffic before response",
                escape_for_display(verb),
                escape_for_display(&self.client.name),
                escape_for_display(&self.client.address)
            ),
        );
    }

    fn say_hello(&mut self, verb: &[u8], valid: bool, call: &mut Call<'_>) {
        let manners: &[u8] = if valid {
            b"pleased to meet you"
        } else {
            b"accepting invalid domain name"
        };
        let hello = [
            self.host_name().as_slice(),
            b" Hello ",
            &self.client.shown,
            b", ",
            manners,
        ]
        .concat();
        let mut reply = Reply {
            code: Reply::of("250 x").code,
            enhanced: None,
            lines: vec![hello],
        };
        if verb == b"EHLO" {
            reply.lines.extend(self.offer());
        }
        self.say(call, &reply);
    }

    /// Returns the keywords after EHLO; a refused client gets one only.
    fn offer(&self) -> Vec<Vec<u8>> {
        if self.refusal.is_some() {
            return vec![b"ENHANCEDSTATUSCODES".to_vec()];
        }
        let receiving = &self.mta.config.options.receiving;
        let size = (receiving.max_message_size > 0).then_some(receiving.max_message_size);
        let deliver_by = receiving
            .deliver_by_min
            .map(|minimum| (!minimum.is_zero()).then_some(minimum.as_secs()));
        let mut offer = self.features.extensions(size, deliver_by);
        offer.start_tls = self.offers_tls();
        offer.auth = self.offered_mechanisms();
        offer.smtp_utf8 = receiving.smtp_utf8;
        (offer.chunking, offer.binary_mime) = (receiving.chunking, receiving.chunking);
        offer.lines()
    }
}

/// Tells whether a name could be that of a host.
///
/// Observed: 8.17.1.9 takes letters, digits and `[].-_#:`.
fn is_host_name(name: &[u8]) -> bool {
    name.len() <= MAX_NAME
        && name
            .iter()
            .all(|octet| octet.is_ascii_alphanumeric() || b"[].-_#:".contains(octet))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names() {
        for (name, valid) in [
            ("a.far.test", true),
            ("[127.0.0.1]", true),
            ("[IPv6:::1]", true),
            ("under_score", true),
            ("a b", false),
            ("bad$", false),
            ("x;y", false),
        ] {
            assert_eq!(is_host_name(name.as_bytes()), valid, "{name}");
        }
        assert!(!is_host_name(&[b'x'; 300]));
    }
}
