//! The text after the header: in memory while small, in a file when stored.
//!
//! Lines of a body end in LF, as in the `df` file of a queue entry.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// What a body declares about its bytes.
///
/// Source: RFC 6152 (BODY parameter), flag -B.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyType {
    /// `7BIT`: no byte above 127.
    SevenBit,
    /// `8BITMIME`: lines of any bytes.
    EightBitMime,
    /// `BINARYMIME` (RFC 3030): any bytes; the body is kept with the line ends it came with.
    Binary,
}

impl BodyType {
    /// Reads the value of a BODY parameter or of -B, without regard to case.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.eq_ignore_ascii_case(b"7bit") {
            Some(BodyType::SevenBit)
        } else if text.eq_ignore_ascii_case(b"8bitmime") {
            Some(BodyType::EightBitMime)
        } else {
            None
        }
    }

    /// Returns the name used on the wire.
    pub fn name(self) -> &'static str {
        match self {
            BodyType::SevenBit => "7BIT",
            BodyType::EightBitMime => "8BITMIME",
            BodyType::Binary => "BINARYMIME",
        }
    }
}

/// The body of a message.
#[derive(Clone, Debug)]
pub enum Body {
    /// All bytes at hand.
    Memory(Vec<u8>),
    /// A part of an open file, read at explicit offsets so that readers share the handle.
    File {
        /// The open file.
        file: Arc<File>,
        /// Offset of the first byte.
        start: u64,
        /// Number of bytes.
        length: u64,
    },
}

impl Default for Body {
    fn default() -> Self {
        Body::Memory(Vec::new())
    }
}

impl Body {
    /// Makes a body of a whole open file.
    ///
    /// # Errors
    /// When the size of the file cannot be read.
    pub fn from_file(file: File) -> io::Result<Body> {
        let length = file.metadata()?.len();
        Ok(Body::File {
            file: Arc::new(file),
            start: 0,
            length,
        })
    }

    /// Returns the number of bytes.
    pub fn len(&self) -> u64 {
        match self {
            Body::Memory(bytes) => bytes.len() as u64,
            Body::File { length, .. } => *length,
        }
    }

    /// Tells whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns a reader from the first byte; several readers do not disturb each other.
    pub fn reader(&self) -> BodyReader<'_> {
        self.reader_at(0)
    }

    /// Returns a reader from the byte at `offset`.
    pub fn reader_at(&self, offset: u64) -> BodyReader<'_> {
        BodyReader { body: self, offset }
    }
}

/// Reads a body from its beginning.
#[derive(Debug)]
pub struct BodyReader<'a> {
    body: &'a Body,
    offset: u64,
}

impl Read for BodyReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left =
            usize::try_from(self.body.len().saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        let got = match self.body {
            Body::Memory(bytes) => {
                let from = bytes.len() - left;
                buffer[..wanted].copy_from_slice(&bytes[from..from + wanted]);
                wanted
            }
            Body::File { file, start, .. } => {
                file.read_at(&mut buffer[..wanted], start.saturating_add(self.offset))?
            }
        };
        self.offset += got as u64;
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn both_kinds_read_the_same() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"line\nmore\n").unwrap();
        for body in [
            Body::Memory(b"line\nmore\n".to_vec()),
            Body::from_file(file).unwrap(),
        ] {
            let mut text = Vec::new();
            body.reader().read_to_end(&mut text).unwrap();
            assert_eq!(text, b"line\nmore\n");
            assert_eq!(body.len(), 10);
        }
    }
}
