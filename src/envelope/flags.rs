//! Flags of an envelope: the letters of the `F` line of a queue file.
//!
//! Source: guide appendix B; letters and order observed: 8.17.1.9.

/// A set of envelope flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct EnvelopeFlags(u16);

/// Letters in the order in which the reference program writes them.
const LETTERS: &[(EnvelopeFlags, u8)] = &[
    (EnvelopeFlags::WARNING_SENT, b'w'),
    (EnvelopeFlags::RESPONSE, b'r'),
    (EnvelopeFlags::HAS_8BIT, b'8'),
    (EnvelopeFlags::DELETE_BCC, b'b'),
    (EnvelopeFlags::RET_GIVEN, b'd'),
    (EnvelopeFlags::NO_BODY_RETURN, b'n'),
    (EnvelopeFlags::SPLIT, b's'),
    (EnvelopeFlags::UTF8, b'e'),
    (EnvelopeFlags::BINARY, b'i'),
];

impl EnvelopeFlags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// `w`: a delay warning has been sent.
    pub const WARNING_SENT: Self = Self(1);
    /// `r`: this message is itself a report; its failure goes to the postmaster.
    pub const RESPONSE: Self = Self(2);
    /// `8`: the body contains 8-bit characters.
    pub const HAS_8BIT: Self = Self(4);
    /// `b`: Bcc: headers are removed on output.
    pub const DELETE_BCC: Self = Self(8);
    /// `d`: the client gave RET=.
    pub const RET_GIVEN: Self = Self(16);
    /// `n`: reports return the headers only.
    pub const NO_BODY_RETURN: Self = Self(32);
    /// `s`: the envelope has been through splitting.
    pub const SPLIT: Self = Self(64);
    /// Not stored: delivered at once, but as if it had been read from the queue.
    pub const AS_FROM_QUEUE: Self = Self(128);

    /// `e`: whoever sent it asked for SMTPUTF8; ours.
    pub const UTF8: Self = Self(256);

    /// `i`: the body is BINARYMIME; ours, and in queue files only, where its type says 8BITMIME.
    pub const BINARY: Self = Self(512);

    /// Not stored: the entry stays in the queue although nobody is left in it.
    ///
    /// Observed: 8.17.1.9 leaves a message that was refused for its header to the next queue
    /// run, which removes it.
    pub const STAYS: Self = Self(1_024);

    /// Tells whether all of `other` are set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Sets the flags of `other`.
    pub fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Clears the flags of `other`.
    pub fn remove(&mut self, other: Self) {
        self.0 &= !other.0;
    }

    /// Gives the set with the flags of `other` added.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Reads letters; unknown ones are ignored as the reference program does.
    pub fn from_letters(letters: &[u8]) -> Self {
        let mut flags = Self::NONE;
        for &letter in letters {
            for &(flag, name) in LETTERS {
                if name == letter {
                    flags.insert(flag);
                }
            }
        }
        flags
    }

    /// Writes the letters in the reference program's order.
    pub fn to_letters(self) -> Vec<u8> {
        LETTERS
            .iter()
            .filter(|(flag, _)| self.contains(*flag))
            .map(|&(_, letter)| letter)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_keep_the_observed_order() {
        let flags = EnvelopeFlags::from_letters(b"snd8b?");
        assert_eq!(flags.to_letters(), b"8bdns");
    }
}
