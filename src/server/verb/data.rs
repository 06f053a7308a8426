//! DATA: from the go-ahead to the acceptance of the message.

use super::super::collect::{CollectLimits, Collector};
use super::super::filters::Refused;
use super::super::session::{Call, Flow, Session};
use super::super::state::State;
use super::super::wording;
use crate::message::BodyType;
use crate::queue::NewEntry;
use crate::smtp::dot::LineEnds;
use crate::smtp::{Reply, Verdict};

impl Session {
    /// Answers DATA.
    pub(super) fn data(&mut self, call: &mut Call<'_>) -> Flow {
        if !self.transaction.is_open {
            self.say_text(call, "503 5.0.0 Need MAIL command");
            return Flow::Next;
        }
        if let Some(text) = self.must_be_chunked() {
            self.say_text(call, text);
            return Flow::Next;
        }
        if let Err(refused) = self.may_send(call) {
            self.say(call, refused.reply());
            return refused.flow();
        }
        self.last_verb = "data";
        if call.more_input && self.features.refuses_early_traffic {
            // What follows was written as the text of a message; running it as commands
            // would let it smuggle some in.
            self.log_early_traffic(b"DATA");
            self.say_text(call, "554 5.5.0 SMTP protocol error");
            return Flow::Close;
        }
        self.say_go_ahead(call);
        let collector = self.collector(call);
        self.state = State::Collecting(Box::new(collector));
        Flow::Collect
    }

    /// Tells whether the text may follow: there are recipients, and no rule is against it.
    pub(super) fn may_send(&mut self, call: &mut Call<'_>) -> Result<(), Refused> {
        let recipients = self.open_recipients();
        if recipients == 0 {
            return Err(wording::reply(b"503 5.0.0 Need RCPT (recipient)").into());
        }
        let count = self.transaction.accepted_recipients.to_string();
        match self.check("check_data", &[count.as_bytes()], call) {
            Verdict::Accept => {}
            Verdict::Discard => self.transaction.discards = true,
            Verdict::Quarantine(reason) => self.envelope.quarantine = Some(reason),
            Verdict::Reject(reply) | Verdict::Defer(reply) => return Err(reply.into()),
        }
        self.ask_about_data()
    }

    fn say_go_ahead(&mut self, call: &mut Call<'_>) {
        if let Ok(reply) = Reply::from_text(b"354 End data with <CR><LF>.<CR><LF>") {
            self.say(call, &reply);
        }
    }

    /// Makes the collector of the text at hand.
    pub(super) fn collector(&mut self, call: &mut Call<'_>) -> Collector {
        // The text is written where its first recipient's mail waits.
        let mta = std::sync::Arc::clone(&self.mta);
        mta.settle_queue_group(&mut self.envelope, &mut call.workspace.rewrite);
        let clock = self.mta.clock.as_ref();
        let directory = self
            .mta
            .queue
            .directory_for(self.envelope.queue_group, clock);
        let id = match &self.envelope.id {
            Some(id) => id.clone(),
            None => self.mta.lifetime.queue_ids.next(clock),
        };
        let entry = NewEntry::create(directory, id);
        Collector::new(entry, self.collect_limits(), clock.monotonic())
    }

    fn collect_limits(&self) -> CollectLimits {
        let options = &self.mta.config.options;
        CollectLimits {
            message: options.receiving.max_message_size,
            headers: options.headers.max_headers_length,
            line_ends: LineEnds {
                bare_cr: self.features.bare_cr,
                bare_lf: self.features.bare_lf,
                dot_before_lf_ends: !self.features.strict_end,
            },
            seven_bits: match self.envelope.body_type {
                Some(declared) => declared == BodyType::SevenBit,
                None => options.headers.seven_bit_input,
            },
            is_binary: self.envelope.body_type == Some(BodyType::Binary),
            keeps_from_line: options.headers.save_from_line,
        }
    }
}
