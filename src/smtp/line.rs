//! Command lines out of a stream of octets.
//!
//! A [`LineReader`] takes octets as they arrive and gives back whole lines. It
//! never stores more than the limit: what is beyond is counted and dropped
//! until the line ends, and the line is reported as too long.
//!
//! In commands a lone LF ends a line as CRLF does (observed: 8.17.1.9); the strict
//! rules for line ends belong to DATA, see [`super::dot`].

/// Most octets of one command line, line end included.
///
/// Observed: 8.17.1.9 answers 421 to longer lines.
pub const MAX_COMMAND_LINE: usize = 2_048;

/// Most octets of a line of AUTH: the command, or a response to a challenge.
///
/// Source: RFC 4954 section 4.
pub const MAX_AUTH_LINE: usize = 12_288;

/// What [`LineReader::next_line`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A line without its line end.
    Complete(Vec<u8>),
    /// A line beyond the limit has ended; `length` counts all of it.
    TooLong {
        /// Octets of the line.
        length: usize,
    },
}

/// Collects octets into lines.
#[derive(Debug)]
pub struct LineReader {
    pending: Vec<u8>,
    length: usize,
    limit: usize,
}

impl LineReader {
    /// Makes a reader for lines of at most `limit` octets.
    pub fn new(limit: usize) -> Self {
        Self {
            pending: Vec::new(),
            length: 0,
            limit,
        }
    }

    /// Takes octets from the front of `input` up to the end of one line.
    ///
    /// `input` is advanced past what was taken. `None` means that the line is
    /// not complete yet.
    pub fn next_line(&mut self, input: &mut &[u8]) -> Option<Line> {
        let (taken, complete) = match memchr::memchr(b'\n', input) {
            Some(at) => (at + 1, true),
            None => (input.len(), false),
        };
        let (piece, rest) = input.split_at(taken);
        *input = rest;
        let limit = self.limit_with(piece);
        let room = limit.saturating_sub(self.pending.len());
        self.pending
            .extend_from_slice(piece.get(..room).unwrap_or(piece));
        self.length = self.length.saturating_add(piece.len());
        if !complete {
            return None;
        }
        let length = std::mem::take(&mut self.length);
        let mut line = std::mem::take(&mut self.pending);
        if length > limit {
            return Some(Line::TooLong { length });
        }
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Some(Line::Complete(line))
    }

    /// Changes the limit, from the next line on.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// The limit of the line at hand, that goes on with `piece`: AUTH has one of its own.
    fn limit_with(&self, piece: &[u8]) -> usize {
        let begins = self.pending.iter().chain(piece);
        let is_auth = begins
            .take(5)
            .map(u8::to_ascii_lowercase)
            .eq(b"auth ".iter().copied());
        if is_auth {
            self.limit.max(MAX_AUTH_LINE)
        } else {
            self.limit
        }
    }

    /// Tells whether a line has begun and not ended.
    pub fn is_inside_line(&self) -> bool {
        self.length > 0
    }

    /// Returns the octets of the unfinished line so far, dropped ones included.
    pub fn pending_length(&self) -> usize {
        self.length
    }

    /// Takes what there is of an unfinished line when the stream ended.
    pub fn take_rest(&mut self) -> Option<Vec<u8>> {
        if self.length == 0 {
            return None;
        }
        self.length = 0;
        Some(std::mem::take(&mut self.pending))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(limit: usize, pieces: &[&[u8]]) -> Vec<Line> {
        let mut reader = LineReader::new(limit);
        let mut found = Vec::new();
        for piece in pieces {
            let mut input = *piece;
            while !input.is_empty() {
                found.extend(reader.next_line(&mut input));
            }
        }
        found
    }

    #[test]
    fn lines_of_auth_may_be_longer() {
        let long = [b"x".repeat(200), b"\n".to_vec()].concat();
        let auth = [b"aUtH PLAIN ".as_slice(), &long].concat();
        assert_eq!(
            lines(100, &[&auth[..3], &auth[3..50], &auth[50..], &long]),
            [
                Line::Complete(auth[..auth.len() - 1].to_vec()),
                Line::TooLong { length: 201 }
            ]
        );
        let endless = [
            b"AUTH ".to_vec(),
            b"x".repeat(MAX_AUTH_LINE),
            b"\n".to_vec(),
        ]
        .concat();
        let length = endless.len();
        assert_eq!(lines(100, &[&endless]), [Line::TooLong { length }]);
    }

    #[test]
    fn lines_end_with_crlf_or_lf_and_may_come_in_pieces() {
        let expected = [
            Line::Complete(b"NOOP".to_vec()),
            Line::Complete(b"QUIT".to_vec()),
        ];
        assert_eq!(lines(100, &[b"NOOP\r\nQUIT\n"]), expected);
        assert_eq!(lines(100, &[b"NO", b"OP\r", b"\nQUI", b"T\n"]), expected);
    }

    #[test]
    fn a_long_line_is_reported_once_and_the_next_is_whole() {
        let long = vec![b'x'; 5_000];
        let found = lines(100, &[&long, b"\r\n", b"NOOP\r\n"]);
        assert_eq!(
            found,
            [
                Line::TooLong { length: 5_002 },
                Line::Complete(b"NOOP".to_vec())
            ]
        );
    }

    #[test]
    fn no_more_than_the_limit_is_stored() {
        let mut reader = LineReader::new(100);
        for _ in 0..1_000 {
            let mut input: &[u8] = &[b'x'; 1_000];
            assert_eq!(reader.next_line(&mut input), None);
        }
        assert!(reader.pending.len() <= 100);
        assert_eq!(reader.pending_length(), 1_000_000);
    }
}
