//! ETRN: a queue run on demand (RFC 1985).
//!
//! The session starts no run itself: it asks the one runner for it through
//! [`crate::server::session::Outlet::run_queue`], so that a flood of ETRN costs nothing.

use super::super::guard::Counted;
use super::super::session::{Call, Flow, Session};
use super::super::wording;
use crate::logging::record::Severity;
use crate::smtp::Verdict;
use crate::text::bytes::escape_for_display;

impl Session {
    /// Answers ETRN.
    pub(super) fn etrn(&mut self, argument: &[u8], call: &mut Call<'_>) -> Flow {
        self.did_something = true;
        let after = match self.count(Counted::Etrn, call) {
            Ok(after) => after,
            Err(instead) => return instead,
        };
        if !self.features.etrn {
            self.say_text(call, "502 5.7.0 Sorry, we do not allow this operation");
            return after;
        }
        if argument.is_empty() {
            self.say_text(call, "500 5.5.2 Parameter required");
            return after;
        }
        let verdict = self.check("check_etrn", &[argument], call);
        if let Verdict::Reject(reply) | Verdict::Defer(reply) = verdict {
            self.say(call, &wording::complete(reply));
            return after;
        }
        self.log(
            6,
            Severity::Info,
            format_args!(
                "{}: ETRN {}",
                self.client_shown(),
                escape_for_display(argument)
            ),
        );
        let shown = crate::text::bytes::shorten(argument, 203);
        let text = match argument.strip_prefix(b"#") {
            Some(group) if self.is_queue_group(group) => {
                [b"250 2.0.0 Queuing for queue group ", group, b" started"].concat()
            }
            Some(group) => {
                let text = [b"459 4.5.4 Queue ", group, b" unknown"].concat();
                self.say(call, &wording::reply(&text));
                return after;
            }
            None => [
                b"250 2.0.0 Queuing for node ",
                shown.as_slice(),
                b" started",
            ]
            .concat(),
        };
        call.outlet.run_queue(argument);
        self.say(call, &wording::reply(&text));
        after
    }

    fn is_queue_group(&self, name: &[u8]) -> bool {
        self.mta
            .config
            .queue_groups
            .iter()
            .any(|group| group.name.eq_ignore_ascii_case(name))
    }
}
