//! Classes that need nothing but their key: `arpa`, `null`, `dequote`, `arith`, `macro`.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::flags::MapFlags;
use super::lookup::{LookupContext, Map, MapAnswer, STATUS_CONFIG, STATUS_DATA, STATUS_NOT_FOUND};
use super::set::OPENING_TRACE_LEVEL;
use crate::text::bytes::skip_spaces;

/// Class `null`: nothing is ever found.
pub(super) struct Null;

impl Map for Null {
    fn lookup(&self, _: &[u8], _: &[&[u8]], _: &mut LookupContext<'_>) -> MapAnswer {
        MapAnswer::failed(STATUS_NOT_FOUND)
    }
}

/// Class `macro`: sets the macro the key names, or removes it without an argument.
pub(super) struct StoreMacro;

impl Map for StoreMacro {
    fn lookup(&self, key: &[u8], arguments: &[&[u8]], cx: &mut LookupContext<'_>) -> MapAnswer {
        if cx.host.set_macro(key, arguments.first().copied()) {
            MapAnswer::found("")
        } else {
            MapAnswer::failed(STATUS_CONFIG)
        }
    }
}

/// Class `arpa`: the labels under which a reverse lookup finds an address.
pub(super) struct Arpa(pub(super) MapFlags);

impl Map for Arpa {
    fn lookup(&self, key: &[u8], arguments: &[&[u8]], _: &mut LookupContext<'_>) -> MapAnswer {
        match reverse_labels(key) {
            Some(labels) => MapAnswer::found(self.0.value(key, labels.as_bytes(), arguments)),
            None => MapAnswer::failed(STATUS_DATA),
        }
    }
}

/// An IPv6 address has to say so. Observed: 8.17.1.9.
fn reverse_labels(key: &[u8]) -> Option<String> {
    let labels: Vec<String> = match key.get(..5) {
        Some(prefix) if prefix.eq_ignore_ascii_case(b"IPv6:") => {
            let text = std::str::from_utf8(key.get(5..)?).ok()?;
            let address: Ipv6Addr = text.parse().ok()?;
            let octets = address.octets().into_iter().rev();
            octets
                .flat_map(|octet| [octet & 15, octet >> 4])
                .map(|n| format!("{n:x}"))
                .collect()
        }
        _ => {
            let address: Ipv4Addr = std::str::from_utf8(key).ok()?.parse().ok()?;
            address
                .octets()
                .iter()
                .rev()
                .map(ToString::to_string)
                .collect()
        }
    };
    Some(labels.join("."))
}

/// Class `dequote`: strips quotes where what remains is one balanced word.
pub(super) struct Dequote(pub(super) MapFlags);

impl Map for Dequote {
    fn lookup(&self, key: &[u8], _: &[&[u8]], _: &mut LookupContext<'_>) -> MapAnswer {
        match dequoted(key, self.0.separator) {
            Ok(plain) => MapAnswer::found(self.0.plain_value(&plain)),
            Err(_) => MapAnswer::missing(),
        }
    }

    /// What was stripped so far, and behind it what stood there.
    fn key_left(&self, key: &[u8]) -> Option<Vec<u8>> {
        let mut left = dequoted(key, self.0.separator).err()?;
        left.extend_from_slice(key.get(left.len()..).unwrap_or(&[]));
        Some(left)
    }
}

/// Strips the quotes outside of comments.
///
/// The error is how far it came when there were none, or something does not pair.
fn dequoted(key: &[u8], space: Option<u8>) -> Result<Vec<u8>, Vec<u8>> {
    let mut plain = Vec::with_capacity(key.len());
    let (mut angles, mut comments, mut quotes) = (0_usize, 0_usize, 0_usize);
    let (mut words, mut escaped) = (1_usize, false);
    for &octet in key {
        if escaped {
            plain.push(octet);
            escaped = false;
            continue;
        }
        let octet = if octet == b' ' {
            space.unwrap_or(octet)
        } else {
            octet
        };
        match octet {
            b'\\' => escaped = true,
            b'(' => comments += 1,
            b')' if comments == 0 => return Err(plain),
            b')' => comments -= 1,
            // It would be more than one word, but all quotes are stripped before that is told.
            b' ' | b'\t' => words += 1,
            _ => {}
        }
        if comments == 0 {
            match octet {
                b'"' => {
                    quotes += 1;
                    continue;
                }
                b'<' => angles += 1,
                b'>' if angles == 0 => return Err(plain),
                b'>' => angles -= 1,
                _ => {}
            }
        }
        plain.push(octet);
    }
    let balanced = angles == 0 && comments == 0 && quotes % 2 == 0 && !escaped && words == 1;
    match balanced && quotes > 0 {
        true => Ok(plain),
        false => Err(plain),
    }
}

/// Class `arith`: the key is the operator, the arguments are the numbers; flags mean nothing.
pub(super) struct Arith;

impl Map for Arith {
    fn lookup(&self, key: &[u8], arguments: &[&[u8]], cx: &mut LookupContext<'_>) -> MapAnswer {
        if cx.host.trace_level() >= OPENING_TRACE_LEVEL {
            cx.host
                .trace(&[b"arith_map_lookup: key '".as_slice(), key, b"'\n"].concat());
            for argument in std::iter::once(&key).chain(arguments) {
                cx.host
                    .trace(&[b"arith_map_lookup: arg '".as_slice(), argument, b"'\n"].concat());
            }
        }
        let (Some(&operator), Some(left), Some(right)) =
            (key.first(), arguments.first(), arguments.get(1))
        else {
            return MapAnswer::failed(STATUS_CONFIG);
        };
        match calculate(operator, number(left), number(right)) {
            Some(result) => MapAnswer::found(result),
            None => MapAnswer::failed(STATUS_CONFIG),
        }
    }
}

/// Longer results lose their end. Observed: 8.17.1.9.
const MAX_DIGITS: usize = 15;

fn calculate(operator: u8, left: i64, right: i64) -> Option<String> {
    let truth = |yes: bool| {
        if yes {
            "TRUE".to_owned()
        } else {
            "FALSE".to_owned()
        }
    };
    let show = |result: i64| {
        let mut digits = result.to_string();
        digits.truncate(MAX_DIGITS);
        digits
    };
    Some(match operator {
        b'+' => show(left.wrapping_add(right)),
        b'-' => show(left.wrapping_sub(right)),
        b'*' => show(left.wrapping_mul(right)),
        b'/' => show(left.checked_div(right)?),
        b'%' => show(left.checked_rem(right)?),
        b'|' => show(left | right),
        b'&' => show(left & right),
        b'l' => truth(left < right),
        b'=' => truth(left == right),
        b'r' => show(random_between(left, right)?),
        _ => return None,
    })
}

fn random_between(low: i64, high: i64) -> Option<i64> {
    let span = high.checked_sub(low)?.checked_add(1)?;
    if span <= 0 {
        return None;
    }
    let mut octets = [0; 8];
    getrandom::fill(&mut octets).ok()?;
    let offset = u64::from_le_bytes(octets) % span.unsigned_abs();
    low.checked_add(i64::try_from(offset).ok()?)
}

/// Reads a number as the C library does: spaces, a sign, digits; the rest does not matter.
///
/// It is octal behind `0` and hexadecimal behind `0x`.
fn number(text: &[u8]) -> i64 {
    let text = skip_spaces(text);
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let (base, digits) = match digits {
        [b'0', b'x' | b'X', rest @ ..] => (16, rest),
        [b'0', ..] => (8, digits),
        _ => (10, digits),
    };
    let size = digits
        .iter()
        .map_while(|&octet| char::from(octet).to_digit(base))
        .fold(0_i64, |sum, digit| {
            sum.saturating_mul(i64::from(base))
                .saturating_add(i64::from(digit))
        });
    if negative { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_go_only_where_one_word_remains() {
        for (key, wanted) in [
            ("\"a\"", Some("a")),
            ("\"<a>\"", Some("<a>")),
            ("\"a\\b\"", Some("a\\b")),
            ("\"\"", Some("")),
            ("\"a\"b", Some("ab")),
            ("\"a b\"", None),
            ("plain", None),
            ("\"(a\"", None),
            ("\\\"a", None),
        ] {
            let found = dequoted(key.as_bytes(), None).ok();
            assert_eq!(found.as_deref(), wanted.map(str::as_bytes), "{key}");
        }
        assert_eq!(
            dequoted(b"\"a b\"", Some(b'_')).ok().as_deref(),
            Some(b"a_b".as_slice())
        );
    }

    #[test]
    fn addresses_become_reverse_labels() {
        assert_eq!(reverse_labels(b"1.2.3.4").unwrap(), "4.3.2.1");
        let long = reverse_labels(b"IPv6:2001:db8::1").unwrap();
        assert!(
            long.starts_with("1.0.0.0.") && long.ends_with(".8.b.d.0.1.0.0.2"),
            "{long}"
        );
        assert_eq!(reverse_labels(b"2001:db8::1"), None);
        assert_eq!(reverse_labels(b"1.2.3"), None);
    }

    #[test]
    fn arithmetic_follows_the_guide() {
        for (operator, left, right, wanted) in [
            (b'+', "3", "4", Some("7")),
            (b'-', "3", "4", Some("-1")),
            (b'/', "7", "2", Some("3")),
            (b'/', "7", "0", None),
            (b'%', "7", "4", Some("3")),
            (b'l', "7", "8", Some("TRUE")),
            (b'=', "7", "8", Some("FALSE")),
            (b'r', "5", "5", Some("5")),
            (b'?', "7", "8", None),
        ] {
            let found = calculate(operator, number(left.as_bytes()), number(right.as_bytes()));
            assert_eq!(
                found.as_deref(),
                wanted,
                "{left}{}{right}",
                char::from(operator)
            );
        }
    }
}
