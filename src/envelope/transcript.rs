//! The transcript of the sessions of one delivery attempt.
//!
//! A failure report quotes what was said to the next host. The reference keeps
//! it in an `xf` file; ours is kept in memory up to a limit and goes to disk
//! only while something must be seen from outside (see `queue::transcript`).

/// Most bytes kept for one message; what comes later is left out and noted.
const MAX_TRANSCRIPT_BYTES: usize = 262_144;

/// Lines of dialogue and error messages, as the report's transcript section prints them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    text: Vec<u8>,
    truncated: bool,
}

impl Transcript {
    /// Makes an empty transcript.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one line (without its end), such as `>>> RCPT To:<x>` or `550 5.1.1 <x>... User unknown`.
    ///
    /// Line breaks inside are replaced by spaces, so that one call is one line.
    pub fn push_line(&mut self, line: &[u8]) {
        if self.text.len() + line.len() + 1 > MAX_TRANSCRIPT_BYTES {
            self.truncated = true;
            return;
        }
        let one_line = |b: &u8| {
            if matches!(b, b'\r' | b'\n' | 0) {
                b' '
            } else {
                *b
            }
        };
        self.text.extend(line.iter().map(one_line));
        self.text.push(b'\n');
    }

    /// Gives the lines added so far, each ended by a newline.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// Tells whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Tells whether lines were left out because of the limit.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Forgets everything, for the next attempt.
    pub fn clear(&mut self) {
        self.text.clear();
        self.truncated = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_bring_another_one() {
        let mut transcript = Transcript::new();
        transcript.push_line(b"550 no\r\n>>> fake");
        assert_eq!(transcript.as_bytes(), b"550 no  >>> fake\n");
    }

    #[test]
    fn memory_is_bounded() {
        let mut transcript = Transcript::new();
        for _ in 0..10_000 {
            transcript.push_line(&[b'x'; 100]);
        }
        assert!(transcript.is_truncated());
        assert!(transcript.as_bytes().len() <= MAX_TRANSCRIPT_BYTES);
    }
}
