//! One header field, the conditions it is sent under, and what its name implies.
//!
//! A field keeps the bytes as they came: the value is everything after the colon,
//! with its leading space and with folded lines joined by line feeds. What a field
//! means (an address list, a trace line, a blind copy) follows from its name alone
//! and is looked up with [`HeaderTraits::of`].
//!
//! Source: guide sections 5.5 and 6.3.1 (the table of known headers).

/// A set of ASCII letters, as in the `?flags?` part of an H line.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FlagLetters(u128);

impl FlagLetters {
    /// The set with no letter.
    pub const EMPTY: FlagLetters = FlagLetters(0);

    /// Collects the ASCII letters of `text`; other bytes are ignored.
    pub fn from_bytes(text: &[u8]) -> Self {
        let mut set = Self::EMPTY;
        text.iter().for_each(|letter| set.insert(*letter));
        set
    }

    /// Adds one letter; bytes above 127 are ignored.
    pub fn insert(&mut self, letter: u8) {
        if letter < 128 {
            self.0 |= 1 << letter;
        }
    }

    /// Takes one letter out.
    pub fn remove(&mut self, letter: u8) {
        if letter < 128 {
            self.0 &= !(1 << letter);
        }
    }

    /// Tells whether the letter is in the set.
    pub fn contains(&self, letter: u8) -> bool {
        letter < 128 && self.0 & (1 << letter) != 0
    }

    /// Tells whether the set has no letter.
    pub fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Tells whether the two sets have a letter in common.
    pub fn intersects(&self, other: FlagLetters) -> bool {
        self.0 & other.0 != 0
    }

    /// Yields the letters in ASCII order.
    pub fn iter(&self) -> impl Iterator<Item = u8> + '_ {
        (0..128u8).filter(|letter| self.contains(*letter))
    }
}

/// Under which conditions a header field goes out with a mailer.
///
/// Source: guide section 5.5.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct HeaderConditions {
    /// Any of these mailer flags suffices; empty means always.
    pub flags: FlagLetters,
    /// Name of the macro that must have a value (`?${name}?`), without `$` and braces.
    pub macro_name: Option<Vec<u8>>,
}

impl HeaderConditions {
    /// Tells whether the field goes to every mailer.
    pub fn is_unconditional(&self) -> bool {
        self.flags.is_empty() && self.macro_name.is_none()
    }
}

/// Whether the macros in a value have been expanded.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Expansion {
    /// The value is plain text.
    #[default]
    Done,
    /// The value still holds macros, marked as in queue files by byte 0x81 before the
    /// macro letter, and is expanded for each mailer (Return-Path).
    Late,
    /// The value is the template of an H line that came out empty: it is expanded anew for
    /// each mailer, and no queue file has it. Observed: 8.17.1.9.
    ForMailer,
}

/// The byte that introduces a macro in a value with [`Expansion::Late`].
pub const LATE_MACRO_MARK: u8 = 0x81;

/// One header field of a message.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct HeaderField {
    /// The name as spelled by its author, without the colon.
    pub name: Vec<u8>,
    /// Everything after the colon, leading space included; folded lines are joined by LF.
    pub value: Vec<u8>,
    /// When the field is sent; taken from the H line of its name.
    pub conditions: HeaderConditions,
    /// Whether macros in the value still await expansion.
    pub expansion: Expansion,
    /// True when we made the field from an H line, false when the message brought it.
    pub is_default: bool,
    /// How queue files show the value, where that differs from `value`.
    pub stored: Option<Vec<u8>>,
}

impl HeaderField {
    /// Makes an unconditional field from a name and a raw value.
    pub fn new(name: &[u8], value: &[u8]) -> Self {
        HeaderField {
            name: name.to_vec(),
            value: value.to_vec(),
            ..HeaderField::default()
        }
    }

    /// Makes a field as read from an `H?flags?Name: value` record of a queue file.
    pub fn from_queue(name: &[u8], value: &[u8], conditions: HeaderConditions) -> Self {
        let late = HeaderTraits::of(name).has(HeaderTraits::EXPANDED_LATE);
        let expansion = if late {
            Expansion::Late
        } else {
            Expansion::Done
        };
        HeaderField {
            conditions,
            expansion,
            ..HeaderField::new(name, value)
        }
    }

    /// Tells whether there is nothing behind the colon but white space.
    pub fn is_blank(&self) -> bool {
        self.value.trim_ascii().is_empty()
    }

    /// Tells whether the name is `name`, without regard to case.
    pub fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Returns the value without white space at both ends.
    pub fn text(&self) -> &[u8] {
        self.value.trim_ascii()
    }

    /// Tells whether its conditions are met, by a flag of a mailer or by a macro.
    ///
    /// A field that is always checked and has no H line passes no mailer.
    pub fn is_wanted(&self, has: impl Fn(u8) -> bool, is_set: impl Fn(&[u8]) -> bool) -> bool {
        let conditions = &self.conditions;
        if conditions.is_unconditional() {
            return !self.traits().has(HeaderTraits::ALWAYS_CHECKED) || self.is_default;
        }
        conditions.flags.iter().any(has) || conditions.macro_name.as_deref().is_some_and(is_set)
    }

    /// Returns what is known about a field of this name.
    pub fn traits(&self) -> HeaderTraits {
        HeaderTraits::of(&self.name)
    }
}

/// What is known about a header field by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HeaderTraits(u16);

impl HeaderTraits {
    /// The line of this name ends the header and belongs to the body.
    pub const ENDS_HEADER: u16 = 1 << 0;
    /// Holds recipients.
    pub const RECIPIENTS: u16 = 1 << 1;
    /// Holds an originator.
    pub const ORIGINATOR: u16 = 1 << 2;
    /// Belongs to the Resent- set.
    pub const RESENT: u16 = 1 << 3;
    /// Is removed unless the mailer has one of its flags, even if the message brought it.
    pub const ALWAYS_CHECKED: u16 = 1 << 4;
    /// May occur many times; a new one is added although there is one.
    pub const ALWAYS_ADDED: u16 = 1 << 5;
    /// A trace field; counted as a hop.
    pub const TRACE: u16 = 1 << 6;
    /// Names where errors go.
    pub const ERRORS_TO: u16 = 1 << 7;
    /// Blind copies: read for recipients, never sent.
    pub const BLIND_COPY: u16 = 1 << 8;
    /// Content-Transfer-Encoding.
    pub const TRANSFER_ENCODING: u16 = 1 << 9;
    /// Content-Type.
    pub const CONTENT_TYPE: u16 = 1 << 10;
    /// Its macros are expanded for each mailer.
    pub const EXPANDED_LATE: u16 = 1 << 11;

    /// Looks the name up, without regard to case.
    pub fn of(name: &[u8]) -> HeaderTraits {
        let known = KNOWN
            .iter()
            .find(|(known, _)| name.eq_ignore_ascii_case(known));
        HeaderTraits(known.map_or(0, |(_, traits)| *traits))
    }

    /// Tells whether any of the given bits is set.
    pub fn has(self, bits: u16) -> bool {
        self.0 & bits != 0
    }

    /// Tells whether the field holds addresses that are rewritten.
    pub fn holds_addresses(self) -> bool {
        self.has(Self::RECIPIENTS | Self::ORIGINATOR)
    }
}

/// The known header names.
const KNOWN: &[(&[u8], u16)] = {
    use HeaderTraits as T;
    &[
        (b"resent-sender", T::ORIGINATOR | T::RESENT),
        (b"resent-from", T::ORIGINATOR | T::RESENT),
        (b"sender", T::ORIGINATOR),
        (b"from", T::ORIGINATOR),
        (b"reply-to", T::ORIGINATOR),
        (b"resent-reply-to", T::ORIGINATOR | T::RESENT),
        (b"disposition-notification-to", T::ORIGINATOR),
        (b"full-name", T::ALWAYS_CHECKED),
        (b"errors-to", T::ORIGINATOR | T::ERRORS_TO),
        (b"to", T::RECIPIENTS),
        (b"resent-to", T::RECIPIENTS | T::RESENT),
        (b"cc", T::RECIPIENTS),
        (b"resent-cc", T::RECIPIENTS | T::RESENT),
        (b"bcc", T::RECIPIENTS | T::BLIND_COPY),
        (b"resent-bcc", T::RECIPIENTS | T::BLIND_COPY | T::RESENT),
        (b"apparently-to", T::RECIPIENTS),
        (b"resent-message-id", T::RESENT),
        (b"message", T::ENDS_HEADER),
        (b"text", T::ENDS_HEADER),
        (b"resent-date", T::RESENT),
        (b"received", T::TRACE | T::ALWAYS_ADDED),
        (b"x400-received", T::TRACE | T::ALWAYS_ADDED),
        (b"via", T::TRACE | T::ALWAYS_ADDED),
        (b"mail-from", T::TRACE | T::ALWAYS_ADDED),
        (b"comments", T::ALWAYS_ADDED),
        (
            b"return-path",
            T::ALWAYS_ADDED | T::ALWAYS_CHECKED | T::EXPANDED_LATE,
        ),
        (b"content-transfer-encoding", T::TRANSFER_ENCODING),
        (b"content-type", T::CONTENT_TYPE),
        (b"content-length", T::ALWAYS_CHECKED),
        (b"x-authentication-warning", T::ALWAYS_ADDED),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_without_regard_to_case() {
        assert!(HeaderTraits::of(b"BCC").has(HeaderTraits::BLIND_COPY));
        assert!(HeaderTraits::of(b"Received").has(HeaderTraits::TRACE));
        assert!(!HeaderTraits::of(b"Subject").holds_addresses());
    }

    #[test]
    fn flag_letters_are_a_set() {
        let set = FlagLetters::from_bytes(b"Mx\xffM");
        assert_eq!(set.iter().collect::<Vec<_>>(), b"Mx");
        assert!(!set.contains(0xff));
    }
}
