//! Names in certificates as macros show them.
//!
//! A distinguished name is written on one line, `/C=XX/O=Org/CN=host`, octets that are not
//! printable as `\xHH`, `/` and `+` in a value with a backslash in front. What goes into a macro
//! is encoded further: characters with a meaning in rules or addresses become `+XX`.
//!
//! Source: guide 5.1.4 (encoding of values from certificates); one-line form observed: 8.17.1.9.

use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Tag, Tagged};
use x509_cert::name::Name;

/// The most octets of a one-line name that are kept. Observed: 8.17.1.9.
const MAX_NAME: usize = 256;

/// The most octets of a common name; longer ones are refused. Source: RFC 5280 appendix A allows 64.
const MAX_COMMON_NAME: usize = 256;

/// Short names of the attributes of names. Source: RFC 4519, RFC 5280; OpenSSL's words.
const SHORT_NAMES: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.13", "description"),
    ("2.5.4.15", "businessCategory"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.41", "name"),
    ("2.5.4.42", "GN"),
    ("2.5.4.43", "initials"),
    ("2.5.4.44", "generationQualifier"),
    ("2.5.4.46", "dnQualifier"),
    ("2.5.4.65", "pseudonym"),
    ("2.5.4.97", "organizationIdentifier"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("1.2.840.113549.1.9.2", "unstructuredName"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.3.6.1.4.1.311.60.2.1.1", "jurisdictionL"),
    ("1.3.6.1.4.1.311.60.2.1.2", "jurisdictionST"),
    ("1.3.6.1.4.1.311.60.2.1.3", "jurisdictionC"),
];

const COMMON_NAME: &str = "2.5.4.3";

/// Why a certificate has no usable common name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadName {
    /// There is none.
    Missing,
    /// It is too long.
    TooLong,
    /// It has a NUL in it, which would hide what follows from some programs (CVE-2009-4565).
    ContainsNul,
}

impl BadName {
    /// Returns what the macro says instead of the name.
    pub fn in_macro(self) -> &'static [u8] {
        match self {
            BadName::Missing => b"BadCertificateUnknown",
            BadName::TooLong => b"BadCertificateTooLong",
            BadName::ContainsNul => b"BadCertificateContainsNUL",
        }
    }

    /// Returns what the log says.
    pub fn in_log(self) -> &'static str {
        match self {
            BadName::Missing => "failed to extract CN",
            BadName::TooLong => "CN too long",
            BadName::ContainsNul => "CN contains NUL",
        }
    }
}

/// Writes a name on one line, `/C=XX/O=Org/CN=host`.
pub fn one_line(name: &Name) -> Vec<u8> {
    let mut line = Vec::new();
    for attribute in name.iter() {
        let mut part = vec![b'/'];
        part.extend_from_slice(short_name(attribute.oid).as_bytes());
        part.push(b'=');
        for octet in significant(attribute.value.tag(), attribute.value.value()) {
            match octet {
                b'/' | b'+' => part.extend_from_slice(&[b'\\', octet]),
                b' '..=b'~' => part.push(octet),
                _ => part.extend_from_slice(format!("\\x{octet:02X}").as_bytes()),
            }
        }
        if line.len() + part.len() >= MAX_NAME {
            break;
        }
        line.extend_from_slice(&part);
    }
    line
}

/// Octets of wide strings that are zero say nothing.
fn significant(tag: Tag, value: &[u8]) -> impl Iterator<Item = u8> {
    let is_wide = tag == Tag::BmpString;
    value
        .iter()
        .copied()
        .filter(move |octet| !(is_wide && *octet == 0))
}

fn short_name(oid: ObjectIdentifier) -> String {
    let number = oid.to_string();
    SHORT_NAMES
        .iter()
        .find(|(known, _)| *known == number)
        .map_or_else(|| number.clone(), |(_, name)| (*name).to_owned())
}

/// Returns the common name, all of it.
///
/// # Errors
/// There is none that could be believed.
pub fn common_name(name: &Name) -> Result<Vec<u8>, BadName> {
    let found = name
        .iter()
        .find(|attribute| attribute.oid.to_string() == COMMON_NAME)
        .ok_or(BadName::Missing)?;
    let text: Vec<u8> = significant(found.value.tag(), found.value.value()).collect();
    if text.contains(&0) {
        return Err(BadName::ContainsNul);
    }
    if text.len() >= MAX_COMMON_NAME {
        return Err(BadName::TooLong);
    }
    Ok(text)
}

/// Encodes a value for a macro: what has a meaning elsewhere becomes `+XX`.
pub fn encoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for octet in text {
        match octet {
            b'+' | b'\\' | b'<' | b'>' | b'(' | b')' | b'"' | b' ' => escape(*octet, &mut out),
            b'!'..=b'~' => out.push(*octet),
            _ => escape(*octet, &mut out),
        }
    }
    out
}

fn escape(octet: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("+{octet:02X}").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_cert::der::Decode;

    /// A name of one attribute: UTF8String `value` under the last arc of 2.5.4.
    fn name(parts: &[(u8, &[u8])]) -> Name {
        let mut body = Vec::new();
        for (arc, value) in parts {
            let mut attribute = vec![0x06, 3, 0x55, 4, *arc, 0x0c];
            attribute.extend(length(value.len()));
            attribute.extend_from_slice(value);
            let sequence = wrapped(0x30, &attribute);
            body.extend(wrapped(0x31, &sequence));
        }
        Name::from_der(&wrapped(0x30, &body)).unwrap()
    }

    fn length(count: usize) -> Vec<u8> {
        match count {
            0..128 => vec![u8::try_from(count).unwrap()],
            _ => {
                let count = u16::try_from(count).unwrap().to_be_bytes();
                vec![0x82, count[0], count[1]]
            }
        }
    }

    fn wrapped(tag: u8, body: &[u8]) -> Vec<u8> {
        [&[tag], length(body.len()).as_slice(), body].concat()
    }

    #[test]
    fn names_are_written_on_one_line() {
        let name = name(&[(6, b"XX"), (10, b"A/\xc3\xbc"), (3, b"h.test")]);
        assert_eq!(one_line(&name), b"/C=XX/O=A\\/\\xC3\\xBC/CN=h.test");
        assert_eq!(common_name(&name), Ok(b"h.test".to_vec()));
    }

    #[test]
    fn common_names_that_lie_are_refused() {
        let hidden = name(&[(3, b"bank.test\0.evil.test")]);
        assert_eq!(common_name(&hidden), Err(BadName::ContainsNul));
        assert_eq!(common_name(&name(&[(10, b"x")])), Err(BadName::Missing));
        let long = name(&[(3, &[b'x'; 300])]);
        assert_eq!(common_name(&long), Err(BadName::TooLong));
    }

    #[test]
    fn what_means_something_elsewhere_is_encoded() {
        assert_eq!(encoded(b"/CN=a b(c)"), b"/CN=a+20b+28c+29");
        assert_eq!(encoded(b"\"<x>+\\\xff"), b"+22+3Cx+3E+2B+5C+FF");
    }
}
