//! The `$` symbols of rules, and text that carries them in-band.
//!
//! A line of the configuration mixes words with symbols such as `$*` or `$:`.
//! Between the reading of the line and its cutting into tokens the symbols
//! travel inside the text as single octets from 0x80 to 0x9f, some followed by an
//! argument of two octets; a real octet that could be taken for one is preceded
//! by 0xFF. Such text is called *marked*. Addresses are *plain* text and never
//! take this form.
//!
//! Source: guide 5.1.1, 5.1.2 and 5.2.

/// Octet before a literal octet that could be taken for a mark.
pub const QUOTE: u8 = 0xff;

/// One `$` symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Mark {
    /// `$x` in text that is not expanded yet; the argument is the macro.
    Macro = 0x81,
    /// `$&x`: the value of macro x at run time; the argument is the macro.
    Deferred = 0x82,
    /// `$(`: begin of a map lookup.
    LookupBegin = 0x85,
    /// `$)`: its end.
    LookupEnd = 0x86,
    /// `$*`: zero or more tokens.
    AnyTokens = 0x90,
    /// `$+`: one or more tokens.
    SomeTokens = 0x91,
    /// `$-`: exactly one token.
    OneToken = 0x92,
    /// `$=x`: a phrase of class x; the argument is the class.
    InClass = 0x93,
    /// `$~x`: a token outside of class x; the argument is the class.
    NotInClass = 0x94,
    /// `$1` to `$9`; the argument is the digit as a character.
    Position = 0x95,
    /// `$#`: a mailer.
    Mailer = 0x96,
    /// `$@`: a host, an argument of a map, an early return, or no tokens at all.
    Host = 0x97,
    /// `$:`: a user, a default of a map, or apply only once.
    User = 0x98,
    /// `$>`: call of a ruleset.
    Call = 0x99,
    /// `$?x`: begin of a conditional; the argument is the macro.
    If = 0x9a,
    /// `$|`: otherwise; outside of a conditional the separator of two values.
    Else = 0x9b,
    /// `$.`: end of a conditional.
    EndIf = 0x9c,
    /// `$[`: begin of a host name to be made canonical.
    HostBegin = 0x9d,
    /// `$]`: its end.
    HostEnd = 0x9e,
}

/// All marks with the character after the dollar sign.
const MARKS: &[(Mark, u8)] = &[
    (Mark::AnyTokens, b'*'),
    (Mark::SomeTokens, b'+'),
    (Mark::OneToken, b'-'),
    (Mark::InClass, b'='),
    (Mark::NotInClass, b'~'),
    (Mark::Position, 0),
    (Mark::Mailer, b'#'),
    (Mark::Host, b'@'),
    (Mark::User, b':'),
    (Mark::Call, b'>'),
    (Mark::If, b'?'),
    (Mark::Else, b'|'),
    (Mark::EndIf, b'.'),
    (Mark::HostBegin, b'['),
    (Mark::HostEnd, b']'),
    (Mark::LookupBegin, b'('),
    (Mark::LookupEnd, b')'),
    (Mark::Deferred, b'&'),
    (Mark::Macro, 0),
];

/// First octet that can stand for a mark; 31 more follow.
const FIRST_OCTET: u8 = 0x80;

/// The mark each octet from [`FIRST_OCTET`] on stands for, with its character.
const BY_OCTET: [Option<(Mark, u8)>; 32] = {
    let mut table = [None; 32];
    let mut at = 0;
    while at < MARKS.len() {
        table[(MARKS[at].0.octet() & 0x1f) as usize] = Some(MARKS[at]);
        at += 1;
    }
    table
};

/// The mark written as `$` and each ASCII character.
const BY_CHARACTER: [Option<Mark>; 128] = {
    let mut table = [None; 128];
    let mut at = 0;
    while at < MARKS.len() {
        let (mark, character) = MARKS[at];
        if character != 0 {
            table[character as usize] = Some(mark);
        }
        at += 1;
    }
    table
};

/// Says whether an octet of marked text may be more than itself.
#[inline]
pub(crate) fn is_special(octet: u8) -> bool {
    octet & 0xe0 == FIRST_OCTET || octet == QUOTE
}

impl Mark {
    /// Finds the mark written as `$` and `character`; positions are not among them.
    pub fn from_character(character: u8) -> Option<Mark> {
        BY_CHARACTER.get(usize::from(character)).copied().flatten()
    }

    /// Finds the mark an octet of marked text stands for.
    #[inline]
    pub fn from_octet(octet: u8) -> Option<Mark> {
        if octet & 0xe0 != FIRST_OCTET {
            return None;
        }
        BY_OCTET[usize::from(octet & 0x1f)].map(|(mark, _)| mark)
    }

    /// Returns the octet of marked text.
    pub const fn octet(self) -> u8 {
        self as u8
    }

    /// Returns the character behind the dollar sign; zero for positions and plain macros.
    pub fn character(self) -> u8 {
        BY_OCTET[usize::from(self.octet() & 0x1f)].map_or(0, |(_, character)| character)
    }

    /// Says whether an argument of two octets follows in marked text.
    pub fn has_argument(self) -> bool {
        matches!(
            self,
            Mark::InClass
                | Mark::NotInClass
                | Mark::Position
                | Mark::If
                | Mark::Deferred
                | Mark::Macro
        )
    }

    /// Says whether this stands for more than itself on the left side of a rule.
    pub(super) fn is_pattern(self) -> bool {
        matches!(
            self,
            Mark::AnyTokens
                | Mark::SomeTokens
                | Mark::OneToken
                | Mark::InClass
                | Mark::NotInClass
                | Mark::Host
                | Mark::Deferred
        )
    }

    /// Appends this mark, and its argument if it has one, to marked text.
    pub fn push(self, argument: u16, text: &mut Vec<u8>) {
        text.push(self.octet());
        if self.has_argument() {
            text.extend_from_slice(&argument.to_be_bytes());
        }
    }
}

impl Mark {
    /// Appends this mark as the octets it is inside of a word: a letter as argument takes one.
    pub(super) fn push_as_text(self, argument: u16, word: &mut Vec<u8>) {
        match u8::try_from(argument) {
            Ok(letter) if self.has_argument() => word.extend_from_slice(&[self.octet(), letter]),
            _ => self.push(argument, word),
        }
    }
}

/// Appends plain `text` to marked text.
pub fn push_plain(text: &[u8], marked: &mut Vec<u8>) {
    if !text.iter().copied().any(is_special) {
        marked.extend_from_slice(text);
        return;
    }
    for &octet in text {
        if Mark::from_octet(octet).is_some() || octet == QUOTE {
            marked.push(QUOTE);
        }
        marked.push(octet);
    }
}

/// Returns marked text as messages show it: a symbol is the octet that stands for it in rules.
pub fn shown(marked: &[u8]) -> Vec<u8> {
    let (mut at, mut out) = (0, Vec::with_capacity(marked.len()));
    while let Some((unit, next)) = unit_at(marked, at) {
        match unit {
            Unit::Octet(octet) => out.push(octet),
            Unit::Symbol(mark, argument) => {
                out.push(mark.octet());
                if let (true, Ok(letter)) = (mark.has_argument(), u8::try_from(argument)) {
                    out.push(letter);
                }
            }
        }
        at = next;
    }
    out
}

/// Finds where marked text ends that may have `limit` octets; a symbol counts one octet, or two.
pub fn end_after(marked: &[u8], limit: usize) -> usize {
    let (mut at, mut used) = (0, 0);
    while let Some((unit, next)) = unit_at(marked, at) {
        used += match unit {
            Unit::Symbol(mark, _) if mark.has_argument() => 2,
            Unit::Symbol(..) | Unit::Octet(_) => 1,
        };
        if used > limit {
            break;
        }
        at = next;
    }
    at
}

/// One unit of marked text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A literal octet.
    Octet(u8),
    /// A symbol with its argument (zero if it has none).
    Symbol(Mark, u16),
}

/// Reads the unit at `at` in marked text and returns it with the offset behind it.
#[inline]
pub fn unit_at(text: &[u8], at: usize) -> Option<(Unit, usize)> {
    let &octet = text.get(at)?;
    if !is_special(octet) {
        return Some((Unit::Octet(octet), at + 1));
    }
    if octet == QUOTE {
        return match text.get(at + 1) {
            Some(&literal) => Some((Unit::Octet(literal), at + 2)),
            None => Some((Unit::Octet(octet), at + 1)),
        };
    }
    let Some(mark) = Mark::from_octet(octet) else {
        return Some((Unit::Octet(octet), at + 1));
    };
    if !mark.has_argument() {
        return Some((Unit::Symbol(mark, 0), at + 1));
    }
    match (text.get(at + 1), text.get(at + 2)) {
        (Some(&high), Some(&low)) => {
            Some((Unit::Symbol(mark, u16::from_be_bytes([high, low])), at + 3))
        }
        _ => Some((Unit::Octet(octet), at + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_survives_its_octet() {
        for &(mark, character) in MARKS {
            assert_eq!(Mark::from_octet(mark.octet()), Some(mark));
            if character != 0 {
                assert_eq!(Mark::from_character(character), Some(mark));
            }
        }
    }

    #[test]
    fn plain_text_with_high_octets_reads_back_as_itself() {
        let plain: Vec<u8> = (1..=255).collect();
        let mut marked = Vec::new();
        push_plain(&plain, &mut marked);
        let mut back = Vec::new();
        let mut at = 0;
        while let Some((unit, next)) = unit_at(&marked, at) {
            match unit {
                Unit::Octet(octet) => back.push(octet),
                Unit::Symbol(..) => panic!("a mark appeared"),
            }
            at = next;
        }
        assert_eq!(back, plain);
    }
}
