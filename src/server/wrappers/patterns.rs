//! Lists of patterns: which daemon, which client.
//!
//! Letters count the same in either case. A pattern that is wrong matches nothing.
//!
//! Source: hosts_access(5) PATTERNS, WILDCARDS, OPERATORS; libwrap 7.6.q, observed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Place, UNKNOWN, is_absent, read_limited};
use crate::sys::file::path_of;
use crate::sys::host::error_text;
use crate::text::bytes::{ends_with_folded, eq_folded, escape_for_display, starts_with_folded};

/// Files that name files which name files: beyond this depth a file matches nothing, or one that
/// names itself would never end.
const MAX_FILE_DEPTH: usize = 4;
/// Name of a host whose name does not lead back to its address, where somebody looked.
const PARANOID: &[u8] = b"paranoid";

/// One side of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Party<'a> {
    /// Its name, or `unknown`.
    pub name: &'a [u8],
    /// Its address, or `unknown`.
    pub address: &'a [u8],
}

/// Tells whether a list matches: `a b EXCEPT c EXCEPT d` is `(a or b) but not (c but not d)`.
pub(super) fn list_matches(list: &[u8], is_meant: &dyn Fn(&[u8]) -> bool) -> bool {
    let words: Vec<&[u8]> = list
        .split(|octet| b", \t\r\n".contains(octet))
        .filter(|word| !word.is_empty())
        .collect();
    words
        .split(|word| eq_folded(word, b"EXCEPT"))
        .rev()
        .fold(false, |is_excepted, part| {
            !is_excepted && part.iter().any(|word| is_meant(word))
        })
}

impl Party<'_> {
    /// Tells whether a pattern for hosts means this one.
    pub(super) fn is_meant_by(&self, pattern: &[u8], place: &Place<'_>) -> bool {
        self.is_meant(pattern, 0, place)
    }

    fn is_meant(&self, pattern: &[u8], depth: usize, place: &Place<'_>) -> bool {
        match pattern.first() {
            // Nobody keeps netgroups any more.
            Some(b'@') => return false,
            Some(b'/') => return self.is_listed(pattern, depth, place),
            _ => {}
        }
        if eq_folded(pattern, b"KNOWN") {
            return self.has_name() && !eq_folded(self.address, UNKNOWN);
        }
        if eq_folded(pattern, b"LOCAL") {
            return self.has_name() && !self.name.contains(&b'.');
        }
        if let Some(slash) = pattern.iter().position(|&octet| octet == b'/') {
            let (network, mask) = pattern.split_at(slash);
            return is_in_network(network, mask.get(1..).unwrap_or(b""), self.address);
        }
        text_matches(pattern, self.name) || text_matches(pattern, self.address)
    }

    fn has_name(&self) -> bool {
        !eq_folded(self.name, UNKNOWN) && !eq_folded(self.name, PARANOID)
    }

    /// Tells whether a pattern in a file means this host.
    fn is_listed(&self, path: &[u8], depth: usize, place: &Place<'_>) -> bool {
        if depth >= MAX_FILE_DEPTH {
            return false;
        }
        let text = match read_limited(path_of(path)) {
            Ok(text) => text,
            Err(error) => {
                if !is_absent(&error) {
                    let (path, why) = (escape_for_display(path), error_text(&error));
                    place.warn(&format!("open {path}: {why}"));
                }
                return false;
            }
        };
        text.split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty())
            .any(|word| self.is_meant(word, depth + 1, place))
    }
}

/// Tells whether a pattern means a text: a daemon, a user, a name or an address.
pub(super) fn text_matches(pattern: &[u8], text: &[u8]) -> bool {
    if pattern.iter().any(|octet| b"*?".contains(octet)) {
        return wildcards_match(pattern, text);
    }
    if pattern.first() == Some(&b'.') {
        return text.len() > pattern.len() && ends_with_folded(text, pattern);
    }
    if eq_folded(pattern, b"ALL") {
        return true;
    }
    if eq_folded(pattern, b"KNOWN") {
        return !eq_folded(text, UNKNOWN);
    }
    if pattern.last() == Some(&b'.') {
        return starts_with_folded(text, pattern);
    }
    if pattern.first() == Some(&b'[') {
        let address = bracketed(pattern);
        return address.is_some() && address == ipv6(text);
    }
    eq_folded(pattern, text)
}

/// Matches `*` (any octets) and `?` (one octet).
fn wildcards_match(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut in_text) = (0, 0);
    // Where the last star is, and how much of the text it has taken.
    let mut star: Option<(usize, usize)> = None;
    while let Some(octet) = text.get(in_text) {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, in_text));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || wanted.eq_ignore_ascii_case(octet) => {
                at += 1;
                in_text += 1;
            }
            _ => {
                let Some((from, taken)) = star else {
                    return false;
                };
                star = Some((from, taken + 1));
                at = from + 1;
                in_text = taken + 1;
            }
        }
    }
    let rest = pattern.get(at..).unwrap_or(b"");
    rest.iter().all(|&octet| octet == b'*')
}

/// Tells whether an address is in `n.n.n.n/m.m.m.m`, `n.n.n.n/len` or `[n:n::]/len`.
///
/// The network of version 4 must have no bit its mask has not; the mask may be neither
/// nothing nor 255.255.255.255. What is no number at all counts as a length of 0, which
/// only version 6 takes. Observed: libwrap 7.6.q.
fn is_in_network(network: &[u8], mask: &[u8], address: &[u8]) -> bool {
    if let Some(address) = ipv4(address) {
        let Some(network) = ipv4(network).filter(|network| *network != Ipv4Addr::BROADCAST) else {
            return false;
        };
        let bits = match ipv4(mask).filter(|mask| *mask != Ipv4Addr::BROADCAST) {
            Some(mask) => mask.to_bits(),
            None => match leading_number(mask) {
                Some(length @ 1..=32) => u32::MAX << (32 - length),
                _ => return false,
            },
        };
        return address.to_bits() & bits == network.to_bits();
    }
    let (Some(address), Some(network)) = (ipv6(address), bracketed(network)) else {
        return false;
    };
    let bits = match leading_number(mask) {
        Some(0) => 0,
        Some(length @ 1..=128) => u128::MAX << (128 - length),
        _ => return false,
    };
    address.to_bits() & bits == network.to_bits() & bits
}

/// Reads the digits a text begins with; `None` for numbers beyond any length.
fn leading_number(text: &[u8]) -> Option<u32> {
    let mut digits = text.iter().take_while(|octet| octet.is_ascii_digit());
    if text.first() == Some(&b'-') {
        return None;
    }
    digits.try_fold(0_u32, |number, digit| {
        number.checked_mul(10)?.checked_add(u32::from(digit - b'0'))
    })
}

fn ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn ipv6(text: &[u8]) -> Option<Ipv6Addr> {
    match std::str::from_utf8(text).ok()?.parse().ok()? {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    }
}

/// Reads `[address]` of version 6.
fn bracketed(text: &[u8]) -> Option<Ipv6Addr> {
    ipv6(text.strip_prefix(b"[")?.strip_suffix(b"]")?)
}
