//! The end of DATA, and dot-stuffing both ways.
//!
//! [`DotDecoder`] is a machine of five states that knows one end of a message:
//! CRLF, dot, CRLF. Nothing else ends it, so nothing can be smuggled behind an
//! end that only one side sees. A lone CR or a lone LF is reported with the
//! event it is, and the caller decides whether the message is refused
//! (the rule of 8.17.1.9) or the octet is kept.
//!
//! Lines come out with LF as their end, the form bodies have in the queue.

/// Where the decoder is between two octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the beginning of a line.
    LineStart,
    /// Inside a line.
    InLine,
    /// After CR.
    AfterCr,
    /// After a dot at the beginning of a line.
    AfterDot,
    /// After a dot at the beginning of a line and CR.
    AfterDotCr,
}

/// What to do with a lone CR or a lone LF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bare {
    /// Report the first one and stop: the message must be refused.
    Refuse,
    /// Put a space in its place.
    Space,
    /// Take it: a lone LF ends a line, a lone CR is an octet like others.
    Take,
}

/// How strictly line ends are taken.
///
/// Source: the letters `g`, `u` and `o` of `srv_features`, observed: 8.17.1.9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineEnds {
    /// A lone CR.
    pub bare_cr: Bare,
    /// A lone LF.
    pub bare_lf: Bare,
    /// Whether a dot before a lone LF ends the message, where a lone LF is taken.
    pub dot_before_lf_ends: bool,
}

impl LineEnds {
    /// The default: both are refused, and only CRLF, dot, CRLF ends a message.
    pub const STRICT: Self = Self {
        bare_cr: Bare::Refuse,
        bare_lf: Bare::Refuse,
        dot_before_lf_ends: false,
    };
    /// For text from a local program that ends its lines with LF.
    pub const LOCAL: Self = Self {
        bare_cr: Bare::Take,
        bare_lf: Bare::Take,
        dot_before_lf_ends: true,
    };
}

/// The octet that was not part of CRLF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BareOctet {
    /// A CR without LF.
    CarriageReturn,
    /// An LF without CR.
    LineFeed,
}

/// What [`DotDecoder::decode`] reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All input was taken; the message goes on.
    More,
    /// The final dot was read; input behind it was left alone.
    End,
    /// A lone CR or LF under [`Bare::Refuse`].
    Bare(BareOctet),
}

/// Decodes the octets between 354 and the final dot.
#[derive(Debug, Clone)]
pub struct DotDecoder {
    state: State,
    ends: LineEnds,
}

impl DotDecoder {
    /// Makes a decoder at the beginning of a message.
    pub fn new(ends: LineEnds) -> Self {
        Self {
            state: State::LineStart,
            ends,
        }
    }

    /// Decodes from the front of `input`, appending to `out`.
    ///
    /// `input` is advanced past what was taken.
    pub fn decode(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Progress {
        while let Some((&octet, rest)) = input.split_first() {
            if self.state == State::InLine {
                let plain = memchr::memchr2(b'\r', b'\n', input).unwrap_or(input.len());
                if plain > 0 {
                    let (text, tail) = input.split_at(plain);
                    out.extend_from_slice(text);
                    *input = tail;
                    continue;
                }
            }
            *input = rest;
            match self.step(octet, out) {
                Progress::More => {}
                other => return other,
            }
        }
        Progress::More
    }

    /// Tells whether the decoder stands at the beginning of a line.
    pub fn is_at_line_start(&self) -> bool {
        self.state == State::LineStart
    }

    fn step(&mut self, octet: u8, out: &mut Vec<u8>) -> Progress {
        match (self.state, octet) {
            (State::LineStart, b'.') => self.state = State::AfterDot,
            (State::AfterDot, b'\r') => self.state = State::AfterDotCr,
            (State::AfterDotCr, b'\n') => return Progress::End,
            (State::AfterCr, b'\n') => {
                out.push(b'\n');
                self.state = State::LineStart;
            }
            (State::LineStart | State::InLine, b'\r') => self.state = State::AfterCr,
            (State::AfterCr | State::AfterDotCr, _) => return self.bare_cr(octet, out),
            (State::LineStart | State::InLine | State::AfterDot, b'\n') => {
                return self.bare_lf(out);
            }
            (State::LineStart | State::InLine | State::AfterDot, _) => {
                // The first dot of a stuffed line has been dropped by not writing it.
                out.push(octet);
                self.state = State::InLine;
            }
        }
        Progress::More
    }

    /// Handles a CR that turned out to be alone, and then the octet behind it.
    fn bare_cr(&mut self, octet: u8, out: &mut Vec<u8>) -> Progress {
        match self.ends.bare_cr {
            Bare::Refuse => return Progress::Bare(BareOctet::CarriageReturn),
            Bare::Space => out.push(b' '),
            Bare::Take => out.push(b'\r'),
        }
        self.state = State::InLine;
        self.step(octet, out)
    }

    fn bare_lf(&mut self, out: &mut Vec<u8>) -> Progress {
        match self.ends.bare_lf {
            Bare::Refuse => return Progress::Bare(BareOctet::LineFeed),
            Bare::Space => {
                out.push(b' ');
                self.state = State::InLine;
                return Progress::More;
            }
            Bare::Take => {}
        }
        if self.state == State::AfterDot && self.ends.dot_before_lf_ends {
            return Progress::End;
        }
        out.push(b'\n');
        self.state = State::LineStart;
        Progress::More
    }
}

/// Decodes text that is counted, not ended by a dot: CRLF becomes LF.
#[derive(Debug, Clone, Default)]
pub struct LineDecoder {
    after_cr: bool,
}

impl LineDecoder {
    /// Decodes all of `input`; returns the first lone CR or LF that may not be there.
    pub fn decode(&mut self, input: &[u8], ends: LineEnds, out: &mut Vec<u8>) -> Option<BareOctet> {
        let mut fault = None;
        let mut rest = input;
        loop {
            if !self.after_cr {
                let plain = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
                let (text, tail) = rest.split_at(plain);
                out.extend_from_slice(text);
                rest = tail;
            }
            let Some((&octet, tail)) = rest.split_first() else {
                return fault;
            };
            let lone = match (std::mem::take(&mut self.after_cr), octet) {
                (true, b'\n') => {
                    out.push(b'\n');
                    rest = tail;
                    continue;
                }
                (false, b'\r') => {
                    self.after_cr = true;
                    rest = tail;
                    continue;
                }
                // What stands behind a lone CR is looked at again.
                (true, _) => BareOctet::CarriageReturn,
                (false, _) => {
                    rest = tail;
                    BareOctet::LineFeed
                }
            };
            let (rule, itself) = match lone {
                BareOctet::CarriageReturn => (ends.bare_cr, b'\r'),
                BareOctet::LineFeed => (ends.bare_lf, b'\n'),
            };
            match rule {
                Bare::Refuse => {
                    fault.get_or_insert(lone);
                }
                Bare::Space => out.push(b' '),
                Bare::Take => out.push(itself),
            }
        }
    }

    /// Tells whether a CR waits for its LF.
    pub fn has_open_cr(&self) -> bool {
        self.after_cr
    }
}

/// Appends a message to `out` in the form of DATA: CRLF line ends, dots stuffed, final dot.
///
/// `message` has LF line ends; a last line without one is completed.
pub fn dot_encode(message: &[u8], out: &mut Vec<u8>) {
    let mut encoder = DotEncoder::new();
    encoder.encode(message, out);
    encoder.finish(out);
}

/// Encodes a message piece by piece; see [`dot_encode`].
#[derive(Debug, Clone)]
pub struct DotEncoder {
    at_line_start: bool,
}

impl Default for DotEncoder {
    fn default() -> Self {
        Self::new()
    }
}

impl DotEncoder {
    /// Makes an encoder at the beginning of a message.
    pub fn new() -> Self {
        Self {
            at_line_start: true,
        }
    }

    /// Appends one piece.
    ///
    /// A CR before the LF of the message is dropped with it, so that CRLF does not become CRCRLF;
    /// pieces must not be cut between the two.
    pub fn encode(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        for line in piece.split_inclusive(|octet| *octet == b'\n') {
            if self.at_line_start && line.first() == Some(&b'.') {
                out.push(b'.');
            }
            match line.strip_suffix(b"\n") {
                Some(text) => {
                    out.extend_from_slice(text.strip_suffix(b"\r").unwrap_or(text));
                    out.extend_from_slice(b"\r\n");
                    self.at_line_start = true;
                }
                None => {
                    out.extend_from_slice(line);
                    self.at_line_start = false;
                }
            }
        }
    }

    /// Appends the end: a missing line end and the final dot.
    pub fn finish(self, out: &mut Vec<u8>) {
        if !self.at_line_start {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(ends: LineEnds, input: &[u8]) -> (Progress, Vec<u8>, usize) {
        let mut decoder = DotDecoder::new(ends);
        let (mut rest, mut out) = (input, Vec::new());
        let progress = decoder.decode(&mut rest, &mut out);
        (progress, out, rest.len())
    }

    #[test]
    fn only_crlf_dot_crlf_ends_a_message() {
        let (progress, text, left) = decode(LineEnds::STRICT, b"a\r\n..b\r\n.c\r\n.\r\nQUIT\r\n");
        assert_eq!((progress, left), (Progress::End, 6));
        assert_eq!(text, b"a\n.b\nc\n");
    }

    #[test]
    fn an_empty_message_is_one_dot() {
        assert_eq!(
            decode(LineEnds::STRICT, b".\r\n"),
            (Progress::End, vec![], 0)
        );
    }

    #[test]
    fn disguised_ends_are_refused() {
        for input in ["a\n.\nb", "a\r\n.\nb", "a\n.\r\nb", "\n", ".\n"] {
            let (progress, _, _) = decode(LineEnds::STRICT, input.as_bytes());
            assert_eq!(progress, Progress::Bare(BareOctet::LineFeed), "{input:?}");
        }
        for input in ["a\r.\rb", "a\r\n.\r.", "a\r\r\n", "\r\n\rx", ".\r\r\n"] {
            let (progress, _, _) = decode(LineEnds::STRICT, input.as_bytes());
            assert_eq!(
                progress,
                Progress::Bare(BareOctet::CarriageReturn),
                "{input:?}"
            );
        }
    }

    #[test]
    fn a_pipe_may_end_lines_with_lf() {
        let (progress, text, left) = decode(LineEnds::LOCAL, b"a\n..b\n.\nQUIT\n");
        assert_eq!((progress, left), (Progress::End, 5));
        assert_eq!(text, b"a\n.b\n");
    }

    #[test]
    fn a_space_may_stand_for_a_lone_octet() {
        let ends = LineEnds {
            bare_cr: Bare::Space,
            bare_lf: Bare::Space,
            dot_before_lf_ends: false,
        };
        let (progress, text, _) = decode(ends, b"a\nb\rc\n.\nd\r\n.\r\n");
        assert_eq!(progress, Progress::End);
        assert_eq!(text, b"a b c . d\n");
    }

    #[test]
    fn the_result_does_not_depend_on_how_the_octets_arrive() {
        let input = b"one\r\n..two\r\nthree\r\n.\r\n";
        for size in 1..input.len() {
            let mut decoder = DotDecoder::new(LineEnds::STRICT);
            let (mut out, mut last) = (Vec::new(), Progress::More);
            for piece in input.chunks(size) {
                let mut piece = piece;
                last = decoder.decode(&mut piece, &mut out);
            }
            assert_eq!(
                (last, out.as_slice()),
                (Progress::End, &b"one\n.two\nthree\n"[..]),
                "{size}"
            );
        }
    }

    #[test]
    fn what_is_encoded_is_decoded_again() {
        for message in ["", "a\n", ".\n", "..\n.a\n", "a\n\n.\n\n", "no end"] {
            let mut wire = Vec::new();
            dot_encode(message.as_bytes(), &mut wire);
            let (progress, text, left) = decode(LineEnds::STRICT, &wire);
            assert_eq!((progress, left), (Progress::End, 0), "{message:?}");
            assert_eq!(
                text,
                [message, if message == "no end" { "\n" } else { "" }]
                    .concat()
                    .as_bytes()
            );
        }
    }
}
