//! A body read line by line, with places to come back to.
//!
//! Very long lines come in pieces, so that memory stays bounded.

use std::io::{self, Read};

use crate::message::Body;

/// Most bytes of one piece.
const MAX_PIECE_BYTES: usize = 16_384;

/// Bytes fetched from the body at a time.
const BLOCK_BYTES: usize = 16_384;

/// One line or a piece of a long one.
#[derive(Default, Debug)]
pub struct Piece {
    /// The bytes without the line end.
    pub bytes: Vec<u8>,
    /// True when the piece begins a line.
    pub starts: bool,
    /// True when the line ends here, by a line feed or by the end of the body.
    pub ends: bool,
    /// True when the body ends here without a line feed.
    pub is_unfinished: bool,
}

/// Reads the lines of a body.
#[derive(Debug)]
pub struct BodyLines<'a> {
    body: &'a Body,
    /// Offset in the body of the first unread byte.
    offset: u64,
    block: Vec<u8>,
    used: usize,
    in_line: bool,
}

impl<'a> BodyLines<'a> {
    /// Starts at the first line.
    pub fn new(body: &'a Body) -> Self {
        BodyLines {
            body,
            offset: 0,
            block: Vec::new(),
            used: 0,
            in_line: false,
        }
    }

    /// Returns another reader of the same place.
    pub fn fork(&self) -> BodyLines<'a> {
        BodyLines {
            body: self.body,
            offset: self.offset,
            block: Vec::new(),
            used: 0,
            in_line: self.in_line,
        }
    }

    /// Reads the next line, or the next piece of it; false at the end of the body.
    ///
    /// # Errors
    /// Those of reading the body.
    pub fn read(&mut self, piece: &mut Piece) -> io::Result<bool> {
        piece.bytes.clear();
        piece.starts = !self.in_line;
        piece.is_unfinished = false;
        loop {
            if self.used == self.block.len() && !self.fill()? {
                piece.ends = true;
                piece.is_unfinished = true;
                self.in_line = false;
                return Ok(!piece.bytes.is_empty());
            }
            let room = MAX_PIECE_BYTES - piece.bytes.len();
            let unread = &self.block[self.used..];
            let unread = &unread[..unread.len().min(room)];
            if let Some(at) = memchr::memchr(b'\n', unread) {
                piece.bytes.extend_from_slice(&unread[..at]);
                self.advance(at + 1);
                piece.ends = true;
                self.in_line = false;
                return Ok(true);
            }
            piece.bytes.extend_from_slice(unread);
            let taken = unread.len();
            self.advance(taken);
            if piece.bytes.len() == MAX_PIECE_BYTES {
                piece.ends = false;
                self.in_line = true;
                return Ok(true);
            }
        }
    }

    fn advance(&mut self, bytes: usize) {
        self.used += bytes;
        self.offset += bytes as u64;
    }

    fn fill(&mut self) -> io::Result<bool> {
        self.block.resize(BLOCK_BYTES, 0);
        let got = self.body.reader_at(self.offset).read(&mut self.block)?;
        self.block.truncate(got);
        self.used = 0;
        Ok(got > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_pieces() {
        let long = vec![b'x'; MAX_PIECE_BYTES + 5];
        let body = Body::Memory([b"a\n\n", &long[..], b"\nend"].concat());
        let mut lines = BodyLines::new(&body);
        let mut piece = Piece::default();
        let mut seen = Vec::new();
        while lines.read(&mut piece).unwrap() {
            seen.push((piece.bytes.len(), piece.starts, piece.ends));
        }
        let expected = [
            (1, true, true),
            (0, true, true),
            (MAX_PIECE_BYTES, true, false),
            (5, false, true),
            (3, true, true),
        ];
        assert_eq!(seen, expected);
    }
}
