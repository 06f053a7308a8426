//! A message in chunks (RFC 3030): BDAT with the number of octets that follow, until the last.
//!
//! Each chunk is answered before the next one is sent, so that neither side can be stuck with
//! full buffers. Only the reply to the last chunk is left to the caller: it is the server's word
//! about the whole message.

use std::io::{self, Write};

use crate::client::answer::Answer;
use crate::client::dialogue::{Dialogue, deadline_in, lost_by};
use crate::client::outcome::Lost;
use crate::client::witness::Witness;
use crate::config::options::Timeouts;

/// Octets of one chunk: large enough that waiting for replies costs little.
const CHUNK: usize = 262_144;

/// Why the last chunk was not sent.
pub(super) enum ChunkFault {
    /// The message could not be read on our side.
    Source,
    /// The connection failed.
    Lost(Lost),
    /// The server refused a chunk.
    Refused(Box<Answer>),
}

/// Collects octets and sends them in chunks.
pub(super) struct ChunkSink<'a> {
    dialogue: &'a mut Dialogue,
    timeouts: &'a Timeouts,
    witness: &'a mut dyn Witness,
    buffer: Vec<u8>,
    fault: Option<ChunkFault>,
}

impl<'a> ChunkSink<'a> {
    pub(super) fn new(
        dialogue: &'a mut Dialogue,
        timeouts: &'a Timeouts,
        witness: &'a mut dyn Witness,
    ) -> Self {
        ChunkSink {
            dialogue,
            timeouts,
            witness,
            buffer: Vec::new(),
            fault: None,
        }
    }

    /// Sends what is left as the last chunk, if the message was written to its end.
    pub(super) fn finish(mut self, written: io::Result<()>) -> Result<(), ChunkFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if written.is_err() {
            return Err(ChunkFault::Source);
        }
        let rest = std::mem::take(&mut self.buffer);
        self.send(&rest, " LAST").map_err(ChunkFault::Lost)
    }

    fn send(&mut self, octets: &[u8], mark: &str) -> Result<(), Lost> {
        let command = format!("BDAT {}{mark}", octets.len());
        self.dialogue.command(command.as_bytes(), self.witness);
        let deadline = deadline_in(self.timeouts.datablock);
        self.dialogue.flush(deadline)?;
        let stream = self.dialogue.stream();
        stream
            .write_all(octets, deadline)
            .map_err(|error| lost_by(&error))
    }

    fn send_and_hear(&mut self, octets: &[u8]) -> Result<(), ChunkFault> {
        self.send(octets, "").map_err(ChunkFault::Lost)?;
        let wait = self.timeouts.datafinal;
        match self.dialogue.answer(wait, self.witness) {
            Ok(answer) if answer.code / 100 == 2 => Ok(()),
            Ok(answer) => Err(ChunkFault::Refused(Box::new(answer))),
            Err(lost) => Err(ChunkFault::Lost(lost)),
        }
    }
}

impl Write for ChunkSink<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.fault.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.buffer.extend_from_slice(octets);
        while self.buffer.len() > CHUNK {
            let rest = self.buffer.split_off(CHUNK);
            let chunk = std::mem::replace(&mut self.buffer, rest);
            if let Err(fault) = self.send_and_hear(&chunk) {
                self.fault = Some(fault);
                return Err(io::ErrorKind::BrokenPipe.into());
            }
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
