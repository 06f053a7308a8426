//! Header fields as records of a control file: `H?flags?Name: value`.
//!
//! The condition is a set of mailer flags or one macro (`?${name}?`); a field of the
//! message itself has the empty one, `??`. See [`crate::queue::control_file`] for
//! the quoting of bytes.

use crate::message::header::{Expansion, HeaderConditions, HeaderField, LATE_MACRO_MARK};
use crate::message::{FlagLetters, Headers};

/// Written before a byte that would be read as a macro mark.
pub(super) const QUOTE: u8 = 0xff;

/// Bytes of `H??` in front of a header field.
const EMPTY_CONDITION: usize = 3;

/// Tells whether a byte means something else than itself in a control file.
fn needs_quote(byte: u8) -> bool {
    (0x80..0xa0).contains(&byte)
}

/// Appends the record of a field; one that came out empty of an H line has none.
pub(super) fn write(field: &HeaderField, out: &mut Vec<u8>) {
    if field.expansion == Expansion::ForMailer {
        return;
    }
    out.extend_from_slice(b"H?");
    match &field.conditions.macro_name {
        Some(name) => {
            out.extend_from_slice(b"${");
            out.extend(
                name.iter()
                    .map(|b| if b.is_ascii_graphic() { *b } else { b'_' }),
            );
            out.push(b'}');
        }
        None => out.extend(field.conditions.flags.iter()),
    }
    out.push(b'?');
    out.extend(field.name.iter().map(|&b| {
        if matches!(b, b'\r' | b'\n' | 0) {
            b'_'
        } else {
            b
        }
    }));
    out.push(b':');
    write_value(field, out);
    out.push(b'\n');
}

/// Counts the octets of a header as control files hold it, as the reference does: without the
/// letter and an empty condition.
pub fn stored_size(headers: &Headers) -> u64 {
    let mut record = Vec::new();
    let mut size = 0_u64;
    for field in headers.iter() {
        record.clear();
        write(field, &mut record);
        // The line end is not part of a record.
        size = size.saturating_add(size_of_record(record.len().saturating_sub(1)));
    }
    size
}

/// Counts one record with its letter.
pub(super) fn size_of_record(length: usize) -> u64 {
    u64::try_from(length.saturating_sub(EMPTY_CONDITION)).unwrap_or(u64::MAX)
}

fn write_value(field: &HeaderField, out: &mut Vec<u8>) {
    let value = field.stored.as_ref().unwrap_or(&field.value);
    let value = value.strip_suffix(b"\n").unwrap_or(value);
    let mut bytes = value.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            0 => out.push(b' '),
            b'\n' => {
                out.push(byte);
                // A line of a value that does not begin with white space would be a record.
                if !matches!(bytes.peek(), Some(b' ' | b'\t')) {
                    out.push(b'\t');
                }
            }
            LATE_MACRO_MARK if field.expansion == Expansion::Late => out.push(byte),
            _ if needs_quote(byte) => out.extend_from_slice(&[QUOTE, byte]),
            _ => out.push(byte),
        }
    }
}

/// An `H` record that is no header field, as it is told of.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("header syntax error, line \"{}\"", String::from_utf8_lossy(.0))]
pub(super) struct NoField(Vec<u8>);

/// Reads the value of an `H` record.
///
/// # Errors
/// It is no header field; the rest of the message is still good. Observed: 8.17.1.9, which tells
/// no more of it than the flags where it has some.
pub(super) fn parse(record: &[u8]) -> Result<HeaderField, NoField> {
    let (conditions, rest) = split_conditions(record);
    field(conditions, rest).ok_or_else(|| {
        let has_macro = record.starts_with(b"?${");
        let flags = record.strip_prefix(b"?").filter(|_| !has_macro);
        let end = flags.and_then(|flags| memchr::memchr(b'?', flags));
        NoField(match end {
            Some(end) => record.iter().take(end + 1).copied().collect(),
            None => record.to_vec(),
        })
    })
}

fn field(conditions: HeaderConditions, rest: &[u8]) -> Option<HeaderField> {
    let colon = memchr::memchr(b':', rest)?;
    let (name, value) = rest.split_at(colon);
    let name = name.trim_ascii_end();
    if name.is_empty() || name.iter().any(|b| *b <= b' ' || *b == 0x7f) {
        return None;
    }
    Some(HeaderField::from_queue(
        name,
        &unquote(value.get(1..)?),
        conditions,
    ))
}

fn split_conditions(record: &[u8]) -> (HeaderConditions, &[u8]) {
    let nothing = || (HeaderConditions::default(), record);
    let Some(after) = record.strip_prefix(b"?") else {
        return nothing();
    };
    if let Some(named) = after.strip_prefix(b"${") {
        let Some(end) = memchr::memmem::find(named, b"}?") else {
            return nothing();
        };
        let conditions = HeaderConditions {
            macro_name: named.get(..end).map(<[u8]>::to_vec),
            ..HeaderConditions::default()
        };
        return (conditions, named.get(end + 2..).unwrap_or_default());
    }
    let Some(end) = memchr::memchr(b'?', after) else {
        return nothing();
    };
    let flags = FlagLetters::from_bytes(after.get(..end).unwrap_or_default());
    let conditions = HeaderConditions {
        flags,
        ..HeaderConditions::default()
    };
    (conditions, after.get(end + 1..).unwrap_or_default())
}

fn unquote(value: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(value.len());
    let mut bytes = value.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match bytes.peek() {
            Some(&quoted) if byte == QUOTE && needs_quote(quoted) => {
                plain.push(quoted);
                bytes.next();
            }
            _ => plain.push(byte),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(record: &[u8]) -> Vec<u8> {
        let field = parse(record.strip_prefix(b"H").unwrap()).unwrap();
        let mut out = Vec::new();
        write(&field, &mut out);
        out.pop();
        out
    }

    #[test]
    fn observed_records_come_back_as_they_were() {
        for record in [
            &b"H?P?Return-Path: <\x81g>"[..],
            b"H??Received: from a\n\tby b\n by c",
            b"H?${client_addr}?X-b: 2",
            b"H??X-c:  3",
            b"H??X-Odd:no space",
            b"H??Subject: \xc4\xff\x81x \xff\x9b",
        ] {
            assert_eq!(round_trip(record), record, "{}", record.escape_ascii());
        }
    }

    #[test]
    fn a_quoted_byte_is_not_a_macro() {
        let field = parse(b"??Subject: \xc4\xff\x81g").unwrap();
        assert_eq!(field.value, b" \xc4\x81g");
        assert_eq!(field.expansion, Expansion::Done);
    }

    #[test]
    fn a_field_without_conditions_is_read_too() {
        let field = parse(b"Subject: x").unwrap();
        assert!(field.conditions.is_unconditional());
        assert!(parse(b"??no colon").is_err());
    }

    #[test]
    fn a_value_cannot_bring_a_record() {
        let mut out = Vec::new();
        write(&HeaderField::new(b"X", b" a\nRPFD:evil\0\n"), &mut out);
        assert_eq!(out, b"H??X: a\n\tRPFD:evil \n");
    }
}
