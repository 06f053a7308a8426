//! BDAT: the text of a message in chunks whose octets are counted (RFC 3030).
//!
//! The octets of a chunk follow its command whatever the reply will be, so a chunk that is
//! refused is read to its end and thrown away: nothing of it is ever taken for a command.
//! Only the 250 to the last chunk takes responsibility, and it is that of DATA.

use super::super::collect::{Collector, is_too_slow};
use super::super::session::{Call, Flow, Interest, Session, Step};
use super::super::state::{Chunk, Chunks, State};
use super::super::wording;
use crate::message::BodyType;
use crate::smtp::Reply;

impl Session {
    /// Tells whether CHUNKING is offered.
    pub(super) fn offers_chunks(&self) -> bool {
        self.mta.config.options.receiving.chunking
    }

    /// Returns the refusal of DATA where only BDAT will do.
    pub(super) fn must_be_chunked(&self) -> Option<&'static str> {
        if self.transaction.chunks.is_begun() {
            return Some("503 5.5.1 DATA after BDAT");
        }
        (self.envelope.body_type == Some(BodyType::Binary))
            .then_some("503 5.5.1 BINARYMIME requires BDAT")
    }

    /// Answers BDAT, when its octets have come.
    pub(super) fn bdat(&mut self, argument: &[u8], call: &mut Call<'_>) -> Flow {
        let Some((announced, is_last)) = read_argument(argument) else {
            // Where the octets end and the next command begins is not known.
            self.say_text(call, "501 5.5.4 Syntax error in BDAT parameters");
            return Flow::Close;
        };
        if !self.transaction.is_open && self.guard.is_one_bad_command_too_many() {
            return self.cut("Too many bad commands; closing connection", call);
        }
        let refusal = self.begin_chunk(call).err();
        self.last_verb = "bdat";
        self.state = State::Chunk(Box::new(Chunk {
            announced,
            left: announced,
            is_last,
            refusal,
            since: self.mta.clock.monotonic(),
        }));
        Flow::Collect
    }

    fn begin_chunk(&mut self, call: &mut Call<'_>) -> Result<(), Reply> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        if !self.transaction.is_open {
            return Err(wording::reply(b"503 5.0.0 Need MAIL command"));
        }
        match &self.transaction.chunks {
            Chunks::Refused(refusal) => return Err(refusal.clone()),
            Chunks::Text(_) => {}
            Chunks::None => {
                // A refusal that closes is said when the octets of the chunk have been read.
                self.may_send(call)
                    .map_err(|refused| refused.reply().clone())?;
                let collector = self.collector(call);
                self.transaction.chunks = Chunks::Text(Box::new(collector));
            }
        }
        Ok(())
    }

    /// Takes what has come of a chunk; returns a step when it wants more input or the session ends.
    pub(in super::super) fn take_chunk(&mut self, call: &mut Call<'_>) -> Option<Step> {
        let State::Chunk(mut chunk) = std::mem::replace(&mut self.state, State::Commands) else {
            return None;
        };
        let now = self.mta.clock.monotonic();
        let wanted = usize::try_from(chunk.left).unwrap_or(usize::MAX);
        let octets: Vec<u8> = self.input.drain(..wanted.min(self.input.len())).collect();
        if !octets.is_empty() {
            self.deadline = now + self.mta.config.options.timeouts.datablock;
        }
        if let (None, Chunks::Text(collector)) = (&chunk.refusal, &mut self.transaction.chunks) {
            collector.feed_chunk(&octets);
        }
        let taken = u64::try_from(octets.len()).unwrap_or(u64::MAX);
        chunk.left = chunk.left.saturating_sub(taken);
        if chunk.left == 0 {
            let flow = self.end_chunk(*chunk, call);
            self.follow(flow, call);
            self.start_waiting_for_line();
            return None;
        }
        let so_far = chunk.announced.saturating_sub(chunk.left);
        if self.input_ended {
            self.lose_collection(so_far, b"unexpected close", call);
            return Some(self.close());
        }
        if is_too_slow(chunk.since, so_far, now) {
            self.lose_collection(so_far, b"read timeout", call);
            return Some(self.close());
        }
        self.state = State::Chunk(chunk);
        let deadline = self.deadline;
        Some(self.park(Interest::Read, deadline))
    }

    fn end_chunk(&mut self, chunk: Chunk, call: &mut Call<'_>) -> Flow {
        if let Some(refusal) = chunk.refusal {
            self.say(call, &refusal);
            if chunk.is_last && self.transaction.chunks.is_begun() {
                self.clear_transaction("BDAT");
            }
            return Flow::Next;
        }
        let Chunks::Text(mut collector) = std::mem::take(&mut self.transaction.chunks) else {
            return Flow::Next;
        };
        if chunk.is_last {
            collector.end_chunks();
            return self.end_of_data(*collector, call);
        }
        if collector.has_fault() {
            self.refuse_chunks(*collector, call);
            return Flow::Next;
        }
        self.transaction.chunks = Chunks::Text(collector);
        let text = format!("250 2.0.0 {} octets received", chunk.announced);
        self.say_text(call, &text);
        Flow::Next
    }

    /// Refuses a text before its end: no later chunk can mend it.
    fn refuse_chunks(&mut self, collector: Collector, call: &mut Call<'_>) {
        let message = collector.finish();
        self.envelope.size = message.size;
        let refusal = self
            .fault_reply(message.fault, message.size, message.has_nul)
            .unwrap_or_else(|| Reply::of("451 4.3.0 Cannot write message to the queue"));
        self.say(call, &refusal);
        self.transaction.chunks = Chunks::Refused(refusal);
    }
}

/// Reads `n` or `n LAST`.
fn read_argument(argument: &[u8]) -> Option<(u64, bool)> {
    let text = std::str::from_utf8(argument).ok()?;
    let mut words = text.split_ascii_whitespace();
    let number = words.next()?;
    if !number.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let announced = number.parse().ok()?;
    let is_last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("last") => true,
        Some(_) => return None,
    };
    words.next().is_none().then_some((announced, is_last))
}

#[cfg(test)]
mod tests {
    use super::read_argument;

    #[test]
    fn the_argument_is_a_number_and_maybe_a_word() {
        for (argument, expected) in [
            ("0", Some((0, false))),
            ("10 LAST", Some((10, true))),
            ("10  last ", Some((10, true))),
            ("18446744073709551615", Some((u64::MAX, false))),
            ("18446744073709551616", None),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("LAST", None),
            ("10 LAST x", None),
            ("10 FIRST", None),
        ] {
            assert_eq!(read_argument(argument.as_bytes()), expected, "{argument}");
        }
    }
}
