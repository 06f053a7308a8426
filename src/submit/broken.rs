//! Addresses of the header that cannot be read as they stand.
//!
//! They go out mended, but the reference stumbles over them each time it writes the header.
//! Into the queue: it notes the fault in the transcript, and the last one is why the message
//! waits. Of a message that is refused for its header it complains aloud each time: twice
//! in the report, where blind copies are left out, and once more in what stays in the queue.
//!
//! Observed: 8.17.1.9.

use super::message::{Desk, Next};
use crate::message::HeaderTraits;
use crate::message::address::next_address;
use crate::message::header::Expansion;
use crate::rewrite::Kept;
use crate::text::bytes::is_space;
use crate::token::{Complaint, TokenizeOptions};

/// A fault of an address in a list.
#[derive(Debug)]
pub(super) struct Broken {
    /// The list from this address on, which is what the reference reads.
    rest: Vec<u8>,
    /// The address.
    address: Vec<u8>,
    /// Reply code and text.
    text: Vec<u8>,
    is_blind: bool,
}

impl Desk<'_> {
    /// Notes what is wrong with the addresses of the complete header; returns what is to be
    /// told when the report about it has been delivered.
    pub(super) fn take_broken_addresses(&mut self) -> Vec<Vec<u8>> {
        let broken = self.broken_addresses();
        match self.next {
            Next::Deliver => {
                for fault in &broken {
                    let line = line(&fault.rest, &fault.text);
                    self.envelope.note_trouble(true, &line);
                    let line = [&b"553 5.0.0 "[..], &line].concat();
                    self.envelope.transcript.push_line(&line);
                }
                Vec::new()
            }
            Next::ReportAndHold => {
                for fault in broken.iter().filter(|fault| !fault.is_blind) {
                    for about in [&fault.rest, &fault.address] {
                        self.errors.say(&line(about, &fault.text));
                    }
                }
                let lines = broken.iter().map(|fault| line(&fault.rest, &fault.text));
                lines.collect()
            }
        }
    }

    fn broken_addresses(&mut self) -> Vec<Broken> {
        let old_style_option = self.mta.config.options.headers.old_style_headers;
        let is_old_style = old_style_option && self.envelope.headers.look_old_style();
        let mut broken = Vec::new();
        for field in self.envelope.headers.iter() {
            let traits = field.traits();
            if !traits.holds_addresses() || field.expansion != Expansion::Done {
                continue;
            }
            let old_style = is_old_style && !traits.has(HeaderTraits::ORIGINATOR);
            let mut rest = field.value.as_slice();
            while let Some((address, after)) = next_address(rest, old_style) {
                let is_between = |byte: &u8| is_space(byte) || *byte == b',';
                let start = rest.iter().position(|byte| !is_between(byte));
                let from_here = rest.get(start.unwrap_or(0)..).unwrap_or_default();
                rest = after;
                let mut trace = Kept::traced(&self.mta.debug);
                let delimiter = if old_style { b' ' } else { b',' };
                let options = TokenizeOptions {
                    delimiter: Some(delimiter),
                    ..TokenizeOptions::ADDRESS
                };
                let buffers = &mut self.workspace.rewrite;
                let macros = &mut self.envelope.macros;
                let mut cx = (self.mta).rewrite_context(macros, None, &mut trace, buffers);
                cx.start_chain();
                let (_, cut) = cx.tokenize(from_here, options);
                if let Ok(tokens) = cut {
                    cx.finish(tokens);
                }
                let faults = trace.complaints.into_iter();
                broken.extend(faults.map(|Complaint { text, .. }| Broken {
                    rest: from_here.to_vec(),
                    address: address.to_vec(),
                    text,
                    is_blind: traits.has(HeaderTraits::BLIND_COPY),
                }));
            }
        }
        broken
    }
}

/// Words a complaint as it is told, without its code.
fn line(about: &[u8], text: &[u8]) -> Vec<u8> {
    let text = text.strip_prefix(b"553 ").unwrap_or(text);
    [about, b"... ", text].concat()
}
