//! The text of a message: from the octets after 354 to header fields and a queue entry's body.
//!
//! A [`Collector`] is fed as octets arrive and stores no more than it may: header
//! octets up to MaxHeadersLength, body octets up to MaxMessageSize, the body in
//! the queue entry (which goes to disk when it grows). Past a limit it goes on
//! reading up to the final dot and only counts, so that the refusal is the reply
//! to the message and the session stays usable.

use std::time::{Duration, Instant};

use crate::message::{HeaderCollector, Headers, LineUse};
use crate::queue::{CommitError, NewEntry};
use crate::smtp::dot::{BareOctet, DotDecoder, LineDecoder, LineEnds, Progress};

/// Header octets kept when MaxHeadersLength is off.
const HARD_HEADER_LIMIT: u64 = 1_048_576;
/// How long a client may be slow before its rate counts.
const RATE_GRACE: Duration = Duration::from_secs(300);
/// Slowest rate of a message in octets per second, averaged since 354.
///
/// The reference has none; without it one octet an hour keeps a session for ever.
const MIN_RATE: u64 = 100;

/// The limits of one message.
#[derive(Debug, Clone, Copy)]
pub(super) struct CollectLimits {
    /// MaxMessageSize; zero is no limit.
    pub message: u64,
    /// MaxHeadersLength; zero is no limit.
    pub headers: u64,
    /// How line ends are taken.
    pub line_ends: LineEnds,
    /// Whether the eighth bit is cleared.
    pub seven_bits: bool,
    /// Whether a leading `From ` line is kept.
    pub keeps_from_line: bool,
    /// Whether the body is kept octet by octet (BINARYMIME).
    pub is_binary: bool,
}

/// What feeding led to.
#[derive(Debug)]
pub(super) enum Collected {
    /// More octets are needed.
    More,
    /// The final dot was read.
    Complete,
    /// A lone CR or LF was met that may not be there.
    Bare(BareOctet),
}

/// Why a message that was read to its end is refused.
#[derive(Debug)]
pub(super) enum CollectFault {
    /// Larger than MaxMessageSize.
    MessageTooLarge,
    /// Header larger than MaxHeadersLength.
    HeadersTooLarge,
    /// The queue could not take it.
    Queue(CommitError),
    /// A lone CR or LF in a chunk, where it may not be there.
    Bare(BareOctet),
}

/// A message being read.
#[derive(Debug)]
pub(super) struct Collector {
    decoder: DotDecoder,
    chunk_lines: LineDecoder,
    limits: CollectLimits,
    header: Option<HeaderCollector>,
    headers: Headers,
    line: Vec<u8>,
    text: Vec<u8>,
    entry: NewEntry,
    since: Instant,
    octets: u64,
    size: u64,
    header_size: u64,
    has_eight_bits: bool,
    has_nul: bool,
    fault: Option<CollectFault>,
}

/// A message read to its end.
#[derive(Debug)]
pub(super) struct CollectedMessage {
    /// The header fields it brought.
    pub headers: Headers,
    /// Where its body is.
    pub entry: NewEntry,
    /// Octets of header and body, line ends counted as one.
    pub size: u64,
    /// Octets of the header, the empty line included.
    pub header_size: u64,
    /// Whether an octet above 127 was met.
    pub has_eight_bits: bool,
    /// Whether a NUL was met.
    pub has_nul: bool,
    /// Why it must be refused.
    pub fault: Option<CollectFault>,
}

/// Tells whether so many octets are too few for the time since they were asked for.
pub(super) fn is_too_slow(since: Instant, octets: u64, now: Instant) -> bool {
    let elapsed = now.saturating_duration_since(since);
    elapsed > RATE_GRACE && octets < elapsed.as_secs().saturating_mul(MIN_RATE)
}

impl Collector {
    /// Makes a collector; `now` is when the client was told to go ahead.
    pub fn new(entry: NewEntry, limits: CollectLimits, now: Instant) -> Self {
        let header = if limits.keeps_from_line {
            HeaderCollector::keeping_from_line()
        } else {
            HeaderCollector::new()
        };
        Self {
            decoder: DotDecoder::new(limits.line_ends),
            chunk_lines: LineDecoder::default(),
            limits,
            header: Some(header),
            headers: Headers::new(),
            line: Vec::new(),
            text: Vec::new(),
            entry,
            since: now,
            octets: 0,
            size: 0,
            header_size: 0,
            has_eight_bits: false,
            has_nul: false,
            fault: None,
        }
    }

    /// Takes octets from the front of `input`.
    pub fn feed(&mut self, input: &mut &[u8]) -> Collected {
        let before = input.len();
        let mut text = std::mem::take(&mut self.text);
        let progress = self.decoder.decode(input, &mut text);
        let taken = before.saturating_sub(input.len());
        self.octets = self
            .octets
            .saturating_add(u64::try_from(taken).unwrap_or(u64::MAX));
        self.take_text(&mut text);
        text.clear();
        // Parked sessions keep no large buffers.
        if text.capacity() <= 4_096 {
            self.text = text;
        }
        match progress {
            Progress::More => Collected::More,
            Progress::End => Collected::Complete,
            Progress::Bare(octet) => Collected::Bare(octet),
        }
    }

    /// Takes octets of a chunk: no dot ends it or is dropped.
    ///
    /// Source: RFC 3030 section 2. What is wrong with the text is told at its end.
    pub fn feed_chunk(&mut self, octets: &[u8]) {
        let mut text = Vec::with_capacity(octets.len());
        if self.limits.is_binary {
            text.extend_from_slice(octets);
        } else if let Some(octet) =
            self.chunk_lines
                .decode(octets, self.limits.line_ends, &mut text)
        {
            self.fault.get_or_insert(CollectFault::Bare(octet));
        }
        self.take_text(&mut text);
    }

    /// Ends the last chunk.
    pub fn end_chunks(&mut self) {
        if self.chunk_lines.has_open_cr() {
            self.fault
                .get_or_insert(CollectFault::Bare(BareOctet::CarriageReturn));
        }
    }

    /// Tells whether the text is refused already.
    pub fn has_fault(&self) -> bool {
        self.fault.is_some()
    }

    /// Tells whether the client has been too slow since it was told to go ahead.
    pub fn is_too_slow(&self, now: Instant) -> bool {
        is_too_slow(self.since, self.octets, now)
    }

    /// Returns the octets counted so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Tells whether the header has not ended yet.
    pub fn is_in_header(&self) -> bool {
        self.header.is_some()
    }

    /// Ends the message.
    pub fn finish(mut self) -> CollectedMessage {
        if self.header.is_some() && !self.line.is_empty() {
            let line = std::mem::take(&mut self.line);
            self.take_header_line(&line);
        }
        if let Some(header) = self.header.take() {
            self.end_header(header);
        }
        CollectedMessage {
            headers: self.headers,
            entry: self.entry,
            size: self.size,
            header_size: self.header_size,
            has_eight_bits: self.has_eight_bits,
            has_nul: self.has_nul,
            fault: self.fault,
        }
    }

    fn take_text(&mut self, text: &mut [u8]) {
        if self.limits.seven_bits {
            text.iter_mut().for_each(|octet| *octet &= 0x7f);
        }
        self.has_eight_bits |= !text.is_ascii();
        self.has_nul |= memchr::memchr(0, text).is_some();
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        self.size = self.size.saturating_add(length);
        if self.limits.message > 0 && self.size > self.limits.message {
            self.fault.get_or_insert(CollectFault::MessageTooLarge);
        }
        let mut rest: &[u8] = text;
        while self.header.is_some() && !rest.is_empty() {
            rest = self.take_header_text(rest);
        }
        self.write_body(rest);
    }

    /// Takes text up to one line end for the header; returns what is left.
    fn take_header_text<'t>(&mut self, text: &'t [u8]) -> &'t [u8] {
        let (piece, rest, complete) = match memchr::memchr(b'\n', text) {
            Some(at) => (text.get(..at), text.get(at + 1..), true),
            None => (Some(text), Some(&text[text.len()..]), false),
        };
        let (piece, rest) = (piece.unwrap_or(b""), rest.unwrap_or(b""));
        self.count_header(piece.len(), complete);
        if matches!(self.fault, Some(CollectFault::HeadersTooLarge)) {
            self.line.clear();
            return rest;
        }
        self.line.extend_from_slice(piece);
        if complete {
            let line = std::mem::take(&mut self.line);
            self.take_header_line(&line);
        }
        rest
    }

    fn count_header(&mut self, octets: usize, complete: bool) {
        let octets = u64::try_from(octets).unwrap_or(u64::MAX);
        self.header_size = self
            .header_size
            .saturating_add(octets + u64::from(complete));
        let limit = match self.limits.headers {
            0 => HARD_HEADER_LIMIT,
            limit => limit,
        };
        if self.header_size > limit.saturating_add(1) {
            self.fault.get_or_insert(CollectFault::HeadersTooLarge);
        }
    }

    fn take_header_line(&mut self, line: &[u8]) {
        let Some(mut header) = self.header.take() else {
            return;
        };
        // A header is text, also in front of a binary body.
        let text = line.strip_suffix(b"\r").filter(|_| self.limits.is_binary);
        match header.push_line(text.unwrap_or(line)) {
            LineUse::Header => self.header = Some(header),
            LineUse::Separator => self.end_header(header),
            LineUse::Body | LineUse::Text => {
                self.end_header(header);
                self.write_body(line);
                self.write_body(b"\n");
            }
        }
    }

    fn end_header(&mut self, header: HeaderCollector) {
        self.headers = header.finish();
    }

    fn write_body(&mut self, text: &[u8]) {
        if text.is_empty() || self.fault.is_some() {
            return;
        }
        if let Err(error) = self.entry.write(text) {
            self.fault = Some(CollectFault::Queue(error));
        }
    }
}
