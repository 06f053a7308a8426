//! Search filters: from their text to the element that goes over the wire.
//!
//! Source: RFC 4515 (text), RFC 4511 section 4.5.1.7 (element).

use super::ber::{OCTETS, put};

/// How deep filters may be nested: each level is one call deeper.
pub const MAX_DEPTH: usize = 50;

const AND: u8 = 0xa0;
const OR: u8 = 0xa1;
const NOT: u8 = 0xa2;
const EQUAL: u8 = 0xa3;
const SUBSTRINGS: u8 = 0xa4;
const GREATER: u8 = 0xa5;
const LESS: u8 = 0xa6;
const PRESENT: u8 = 0x87;
const APPROXIMATE: u8 = 0xa8;
const INITIAL: u8 = 0x80;
const ANY: u8 = 0x81;
const FINAL: u8 = 0x82;
const EXTENSIBLE: u8 = 0xa9;
const RULE: u8 = 0x81;
const TYPE: u8 = 0x82;
const VALUE: u8 = 0x83;
const WITH_NAME: u8 = 0x84;

/// The text is no filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoFilter;

/// Reads a filter; one without parentheses around it is a single comparison.
///
/// # Errors
/// The text is no filter, or is nested deeper than [`MAX_DEPTH`].
pub fn encode(text: &[u8]) -> Result<Vec<u8>, NoFilter> {
    let text = text.trim_ascii();
    let mut out = Vec::new();
    if !text.starts_with(b"(") {
        item(text, &mut out)?;
        return Ok(out);
    }
    match filter(text, MAX_DEPTH, &mut out)? {
        [] => Ok(out),
        _ => Err(NoFilter),
    }
}

/// Writes what a value of a filter must not hold as it is as `\` and two digits.
pub fn escape(value: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(value.len());
    for &octet in value {
        match octet {
            b'*' | b'(' | b')' | b'\\' | 0 => {
                escaped.extend_from_slice(format!("\\{octet:02X}").as_bytes());
            }
            _ => escaped.push(octet),
        }
    }
    escaped
}

/// Reads one filter in parentheses; returns what is behind it.
fn filter<'a>(text: &'a [u8], depth: usize, out: &mut Vec<u8>) -> Result<&'a [u8], NoFilter> {
    let depth = depth.checked_sub(1).ok_or(NoFilter)?;
    let text = text.strip_prefix(b"(").ok_or(NoFilter)?;
    let (&first, rest) = text.split_first().ok_or(NoFilter)?;
    let tag = match first {
        b'&' => AND,
        b'|' => OR,
        b'!' => NOT,
        _ => {
            let end = text.iter().position(|&octet| octet == b')');
            let (inside, rest) = text
                .split_at_checked(end.ok_or(NoFilter)?)
                .ok_or(NoFilter)?;
            item(inside, out)?;
            return rest.strip_prefix(b")").ok_or(NoFilter);
        }
    };
    let mut members = Vec::new();
    let mut count = 0usize;
    let mut rest = rest.trim_ascii_start();
    while rest.starts_with(b"(") {
        rest = filter(rest, depth, &mut members)?.trim_ascii_start();
        count = count.saturating_add(1);
    }
    if tag == NOT && count != 1 {
        return Err(NoFilter);
    }
    put(out, tag, &members);
    rest.strip_prefix(b")").ok_or(NoFilter)
}

/// Reads one comparison.
fn item(text: &[u8], out: &mut Vec<u8>) -> Result<(), NoFilter> {
    let (left, value) = crate::text::bytes::split_once(text, b'=').ok_or(NoFilter)?;
    if let Some(left) = left.strip_suffix(b":") {
        return extensible(left, value, out);
    }
    let (attribute, tag) = match left.split_last().ok_or(NoFilter)? {
        (b'>', attribute) => (attribute, GREATER),
        (b'<', attribute) => (attribute, LESS),
        (b'~', attribute) => (attribute, APPROXIMATE),
        _ => (left, EQUAL),
    };
    if attribute.is_empty() || !attribute.iter().all(|&octet| is_of_attribute(octet)) {
        return Err(NoFilter);
    }
    if tag == EQUAL && value == b"*" {
        put(out, PRESENT, attribute);
        return Ok(());
    }
    let mut content = Vec::new();
    put(&mut content, OCTETS, attribute);
    if tag == EQUAL && value.contains(&b'*') {
        put(&mut content, super::ber::SEQUENCE, &substrings(value)?);
        put(out, SUBSTRINGS, &content);
        return Ok(());
    }
    put(&mut content, OCTETS, &unescape(value)?);
    put(out, tag, &content);
    Ok(())
}

/// Reads what stands in front of `:=`: an attribute, `dn` and the name of a rule, each of them or not.
fn extensible(left: &[u8], value: &[u8], out: &mut Vec<u8>) -> Result<(), NoFilter> {
    let mut parts = left.split(|&octet| octet == b':');
    let attribute = parts.next().unwrap_or_default();
    let mut rule = parts.next();
    let with_name = rule.is_some_and(|word| word.eq_ignore_ascii_case(b"dn"));
    if with_name {
        rule = parts.next();
    }
    let is_name = |name: &[u8]| name.iter().all(|&octet| is_of_attribute(octet));
    let rule_is_bad = rule.is_some_and(|rule| rule.is_empty() || !is_name(rule));
    let has_neither = attribute.is_empty() && rule.is_none();
    if parts.next().is_some() || rule_is_bad || has_neither || !is_name(attribute) {
        return Err(NoFilter);
    }
    let mut content = Vec::new();
    if let Some(rule) = rule {
        put(&mut content, RULE, rule);
    }
    if !attribute.is_empty() {
        put(&mut content, TYPE, attribute);
    }
    put(&mut content, VALUE, &unescape(value)?);
    if with_name {
        put(&mut content, WITH_NAME, &[0xff]);
    }
    put(out, EXTENSIBLE, &content);
    Ok(())
}

/// Says whether an attribute's name and its options may hold the octet.
fn is_of_attribute(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b';' | b'_')
}

/// Reads what stands between the stars.
fn substrings(value: &[u8]) -> Result<Vec<u8>, NoFilter> {
    let mut out = Vec::new();
    let mut parts = value.split(|&octet| octet == b'*').peekable();
    let mut tag = INITIAL;
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            tag = FINAL;
        }
        if !part.is_empty() {
            put(&mut out, tag, &unescape(part)?);
        }
        tag = ANY;
    }
    // Nothing but stars says nothing.
    if out.is_empty() {
        Err(NoFilter)
    } else {
        Ok(out)
    }
}

/// Reads `\` and two digits back.
fn unescape(value: &[u8]) -> Result<Vec<u8>, NoFilter> {
    let mut out = Vec::with_capacity(value.len());
    let mut octets = value.iter();
    while let Some(&octet) = octets.next() {
        match octet {
            b'\\' => {
                let (high, low) = (digit(octets.next())?, digit(octets.next())?);
                out.push(high << 4 | low);
            }
            b'(' | b')' | 0 => return Err(NoFilter),
            _ => out.push(octet),
        }
    }
    Ok(out)
}

fn digit(octet: Option<&u8>) -> Result<u8, NoFilter> {
    octet
        .and_then(|&octet| char::from(octet).to_digit(16))
        .and_then(|digit| u8::try_from(digit).ok())
        .ok_or(NoFilter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_become_elements() {
        let cases: &[(&[u8], &[u8])] = &[
            (b"(uid=x)", b"\xa3\x08\x04\x03uid\x04\x01x"),
            (b"uid=x", b"\xa3\x08\x04\x03uid\x04\x01x"),
            (b"(uid=*)", b"\x87\x03uid"),
            (b"(u>=1)", b"\xa5\x06\x04\x01u\x04\x011"),
            (b"(u<=1)", b"\xa6\x06\x04\x01u\x04\x011"),
            (b"(u~=1)", b"\xa8\x06\x04\x01u\x04\x011"),
            (b"(u=)", b"\xa3\x05\x04\x01u\x04\x00"),
            (b"(u=\\2a)", b"\xa3\x06\x04\x01u\x04\x01*"),
            (
                b"(u=a*b*c)",
                b"\xa4\x0e\x04\x01u\x30\x09\x80\x01a\x81\x01b\x82\x01c",
            ),
            (b"(u=*b*)", b"\xa4\x08\x04\x01u\x30\x03\x81\x01b"),
            (b"(!(u=*))", b"\xa2\x03\x87\x01u"),
            (
                b"(u:dn:r:=x)",
                b"\xa9\x0c\x81\x01r\x82\x01u\x83\x01x\x84\x01\xff",
            ),
            (b"(:r:=x)", b"\xa9\x06\x81\x01r\x83\x01x"),
            (
                b"(&(u=*)(|(v=*)(w=*)))",
                b"\xa0\x0b\x87\x01u\xa1\x06\x87\x01v\x87\x01w",
            ),
        ];
        for (text, element) in cases {
            let found = encode(text);
            assert_eq!(found.as_deref(), Ok(*element), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for text in [
            "",
            "(",
            ")",
            "()",
            "(uid)",
            "(=x)",
            "(uid=x",
            "(uid=x))",
            "(u=a(b)",
            "(u=\\2)",
            "(u=\\zz)",
            "(u=**)",
            "(!(u=*)(v=*))",
            "(!)",
            "(&(u=*)",
            "(a b=c)",
            "(:=x)",
            "(cn:a:b:=x)",
            "(cn::=x)",
        ] {
            assert_eq!(encode(text.as_bytes()), Err(NoFilter), "{text}");
        }
    }

    #[test]
    fn nesting_has_its_end() {
        let nested =
            |depth: usize| ["(!".repeat(depth), "(u=*)".into(), ")".repeat(depth)].concat();
        assert!(encode(nested(MAX_DEPTH - 1).as_bytes()).is_ok());
        assert_eq!(encode(nested(MAX_DEPTH).as_bytes()), Err(NoFilter));
        assert_eq!(encode("(&".repeat(1_000_000).as_bytes()), Err(NoFilter));
    }

    #[test]
    fn an_escaped_value_comes_back() {
        let value = b"a*(b)\\c\0\xe4";
        assert_eq!(escape(value), b"a\\2A\\28b\\29\\5Cc\\00\xe4");
        assert_eq!(unescape(&escape(value)).as_deref(), Ok(&value[..]));
    }
}
