//! BER as LDAP uses it: definite lengths, tags of one octet.
//!
//! Source: RFC 4511 section 5.1.

use std::fmt;

/// Tag of a BOOLEAN.
pub const BOOLEAN: u8 = 0x01;
/// Tag of an INTEGER.
pub const INTEGER: u8 = 0x02;
/// Tag of an OCTET STRING.
pub const OCTETS: u8 = 0x04;
/// Tag of an ENUMERATED.
pub const ENUMERATED: u8 = 0x0a;
/// Tag of a SEQUENCE.
pub const SEQUENCE: u8 = 0x30;
/// Tag of a SET.
pub const SET: u8 = 0x31;

/// Longest content of an element that is taken: what a server says is held in memory whole.
pub const MAX_CONTENT: usize = 4 << 20;

/// Most octets of a length: more than any content up to [`MAX_CONTENT`] needs, as some pad it.
const MAX_LENGTH_OCTETS: usize = 4;

/// The low bits of a tag that say that more octets of it follow.
const LONG_TAG: u8 = 0x1f;

/// Why octets are no element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BerError {
    /// The octets end before the element does.
    Short,
    /// The length is indefinite, or its own length is.
    Length,
    /// The content is longer than [`MAX_CONTENT`].
    TooLong,
    /// Another tag than the expected one, or one of several octets.
    Tag,
    /// The content is none of its type.
    Content,
}

impl fmt::Display for BerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BerError::Short => "the element ends too early",
            BerError::Length => "the length cannot be read",
            BerError::TooLong => "the element is too long",
            BerError::Tag => "the tag is not the expected one",
            BerError::Content => "the content is none of its type",
        })
    }
}

impl std::error::Error for BerError {}

/// Elements one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads the elements that `octets` are made of.
    pub fn new(octets: &'a [u8]) -> Reader<'a> {
        Reader { rest: octets }
    }

    /// Says whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns how many octets are left.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Returns the tag of the next element.
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Reads the next element: its tag and its content.
    ///
    /// # Errors
    /// [`BerError::Short`] means that more octets may complete it; nothing is taken then.
    pub fn element(&mut self) -> Result<(u8, &'a [u8]), BerError> {
        let (&tag, rest) = self.rest.split_first().ok_or(BerError::Short)?;
        if tag & LONG_TAG == LONG_TAG {
            return Err(BerError::Tag);
        }
        let (length, rest) = length(rest)?;
        let (content, rest) = rest.split_at_checked(length).ok_or(BerError::Short)?;
        self.rest = rest;
        Ok((tag, content))
    }

    /// Reads an element with the tag `tag`; returns its content.
    ///
    /// # Errors
    /// Those of [`Reader::element`], and another tag.
    pub fn expect(&mut self, tag: u8) -> Result<&'a [u8], BerError> {
        match self.peek() {
            Some(found) if found != tag => Err(BerError::Tag),
            _ => self.element().map(|(_, content)| content),
        }
    }

    /// Reads the elements inside of one with the tag `tag`.
    ///
    /// # Errors
    /// Those of [`Reader::expect`].
    pub fn inside(&mut self, tag: u8) -> Result<Reader<'a>, BerError> {
        self.expect(tag).map(Reader::new)
    }

    /// Reads a number with the tag `tag` ([`INTEGER`], [`ENUMERATED`]).
    ///
    /// # Errors
    /// Those of [`Reader::expect`], and a number that needs more than 32 bits.
    pub fn number(&mut self, tag: u8) -> Result<i32, BerError> {
        let content = self.expect(tag)?;
        let (&first, _) = content.split_first().ok_or(BerError::Content)?;
        if content.len() > size_of::<i32>() {
            return Err(BerError::Content);
        }
        let sign: i32 = if first & 0x80 == 0 { 0 } else { -1 };
        Ok(content
            .iter()
            .fold(sign, |number, &octet| number << 8 | i32::from(octet)))
    }
}

/// Reads a length, and checks it.
fn length(octets: &[u8]) -> Result<(usize, &[u8]), BerError> {
    let (&first, rest) = octets.split_first().ok_or(BerError::Short)?;
    let count = usize::from(first & 0x7f);
    if first & 0x80 == 0 {
        return Ok((count, rest));
    }
    if count == 0 || count > MAX_LENGTH_OCTETS {
        return Err(BerError::Length);
    }
    let (digits, rest) = rest.split_at_checked(count).ok_or(BerError::Short)?;
    let length = digits
        .iter()
        .fold(0u32, |length, &octet| length << 8 | u32::from(octet));
    match usize::try_from(length) {
        Ok(length) if length <= MAX_CONTENT => Ok((length, rest)),
        _ => Err(BerError::TooLong),
    }
}

/// Writes one element, its length as short as it can be.
pub fn put(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let octets = content.len().to_be_bytes();
            let digits = octets.trim_ascii_start_zeros();
            out.push(0x80 | u8::try_from(digits.len()).unwrap_or(0));
            out.extend_from_slice(digits);
        }
    }
    out.extend_from_slice(content);
}

/// Writes a number with the tag `tag`, in as few octets as hold it.
pub fn put_number(out: &mut Vec<u8>, tag: u8, number: i32) {
    let octets = number.to_be_bytes();
    let mut digits: &[u8] = &octets;
    while let [first, rest @ ..] = digits {
        let Some(&next) = rest.first() else { break };
        let is_padding = *first == 0 && next & 0x80 == 0 || *first == 0xff && next & 0x80 != 0;
        if !is_padding {
            break;
        }
        digits = rest;
    }
    put(out, tag, digits);
}

/// Cuts leading zeros.
trait LeadingZeros {
    fn trim_ascii_start_zeros(&self) -> &[u8];
}

impl LeadingZeros for [u8; size_of::<usize>()] {
    fn trim_ascii_start_zeros(&self) -> &[u8] {
        let zeros = self.iter().take_while(|&&octet| octet == 0).count();
        self.get(zeros..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for number in [
            0,
            1,
            127,
            128,
            255,
            256,
            65_536,
            i32::MAX,
            -1,
            -128,
            -129,
            i32::MIN,
        ] {
            let mut out = Vec::new();
            put_number(&mut out, INTEGER, number);
            assert_eq!(Reader::new(&out).number(INTEGER), Ok(number));
        }
        for size in [0, 1, 127, 128, 255, 256, 70_000] {
            let content = vec![b'x'; size];
            let mut out = Vec::new();
            put(&mut out, OCTETS, &content);
            let mut reader = Reader::new(&out);
            assert_eq!(reader.expect(OCTETS), Ok(&*content));
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn numbers_and_lengths_are_short() {
        let mut out = Vec::new();
        put_number(&mut out, INTEGER, 128);
        put_number(&mut out, INTEGER, -128);
        assert_eq!(out, [2, 2, 0, 128, 2, 1, 128]);
        let mut out = Vec::new();
        put(&mut out, OCTETS, &[7; 128]);
        assert_eq!(out.get(..3), Some(&[4, 0x81, 128][..]));
    }

    #[test]
    fn hostile_octets_are_refused() {
        let cases: &[(&[u8], BerError)] = &[
            (b"", BerError::Short),
            (b"\x30", BerError::Short),
            (b"\x30\x02\x01", BerError::Short),
            (b"\x30\x82\x01", BerError::Short),
            (b"\x30\x80\x00\x00", BerError::Length),
            (b"\x30\xff\x00", BerError::Length),
            (b"\x30\x85\x00\x00\x00\x00\x01x", BerError::Length),
            (b"\x30\x84\xff\xff\xff\xff", BerError::TooLong),
            (b"\x30\x84\x00\x40\x00\x01", BerError::TooLong),
            (b"\x3f\x81\x01\x00", BerError::Tag),
        ];
        for (octets, error) in cases {
            let mut reader = Reader::new(octets);
            assert_eq!(reader.element(), Err(*error), "{octets:?}");
        }
        for octets in [b"\x02\x00".as_slice(), b"\x02\x05\x00\x00\x00\x00\x01"] {
            let mut reader = Reader::new(octets);
            assert_eq!(reader.number(INTEGER), Err(BerError::Content));
        }
        assert_eq!(
            Reader::new(b"\x04\x00").inside(SET).err(),
            Some(BerError::Tag)
        );
    }

    #[test]
    fn padded_lengths_are_taken() {
        let mut reader = Reader::new(b"\x04\x84\x00\x00\x00\x01x");
        assert_eq!(reader.expect(OCTETS), Ok(&b"x"[..]));
    }
}
