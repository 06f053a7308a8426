//! Class `host`: canonical names of hosts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::flags::MapFlags;
use super::lookup::{LookupContext, Map, MapAnswer, STATUS_NOT_FOUND, STATUS_UNAVAILABLE};
use super::set::MapServices;
use crate::dns::resolver::{Patience, Resolver};
use crate::text::bytes::{is_space, shorten, skip_spaces};

/// Longest part of a name in a remark. Observed: 8.17.1.9.
const MAX_SHOWN_NAME: usize = 33;

/// Asks the resolver, which follows the service switch.
pub(super) struct HostMap {
    flags: MapFlags,
    resolver: Arc<dyn Resolver>,
}

impl HostMap {
    pub(super) fn new(flags: MapFlags, services: &MapServices) -> HostMap {
        HostMap {
            flags,
            resolver: services.resolver.clone(),
        }
    }
}

impl Map for HostMap {
    fn lookup(&self, key: &[u8], arguments: &[&[u8]], cx: &mut LookupContext<'_>) -> MapAnswer {
        let found = if let Some(inside) = key.strip_prefix(b"[") {
            let Some(end) = inside.iter().position(|&octet| octet == b']') else {
                return MapAnswer::missing();
            };
            match address_of(inside.get(..end).unwrap_or(&[])) {
                Some(address) => self.resolver.reverse(address, Patience::First),
                None => return MapAnswer::failed(STATUS_UNAVAILABLE),
            }
        } else {
            let name = self.resolver.canonical_name(key, Patience::First);
            name.map(|canonical| canonical.name)
        };
        match found {
            // A percent sign in a name means nothing; only -m, -a and the key count.
            Ok(name) => MapAnswer::found(self.flags.value(key, &name, arguments)),
            Err(failure) if failure.is_temporary() => {
                let shown = shorten(key, MAX_SHOWN_NAME);
                cx.host
                    .narrate(&[&shown, b": Name server timeout".as_slice()].concat());
                MapAnswer::temporary()
            }
            Err(_) => MapAnswer::failed(STATUS_NOT_FOUND),
        }
    }
}

fn address_of(literal: &[u8]) -> Option<IpAddr> {
    let text = match literal.get(..5) {
        Some(prefix) if prefix.eq_ignore_ascii_case(b"IPv6:") => literal.get(5..)?,
        _ => match old_address(literal) {
            Some(address) => return Some(IpAddr::V4(address)),
            None => literal,
        },
    };
    let text = std::str::from_utf8(text).ok()?;
    text.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

/// Reads an address as the C library's `inet_addr` does: one to four numbers, the last of which
/// fills what is left; what follows a blank does not matter.
fn old_address(text: &[u8]) -> Option<Ipv4Addr> {
    let text = skip_spaces(text);
    let end = text.iter().position(is_space).unwrap_or(text.len());
    let text = std::str::from_utf8(text.get(..end)?).ok()?;
    let numbers: Vec<u32> = text.split('.').map(old_number).collect::<Option<_>>()?;
    let (last, first) = numbers.split_last()?;
    if first.len() > 3 {
        return None;
    }
    let whole = first.iter().enumerate().fold(*last, |sum, (at, number)| {
        sum | number.wrapping_shl(24 - 8 * u32::try_from(at).unwrap_or(0))
    });
    (whole != u32::MAX).then(|| Ipv4Addr::from(whole))
}

/// Reads a decimal, octal (`0..`) or hexadecimal (`0x..`) number.
fn old_number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.strip_prefix('0') {
        None | Some("") => (text, 10),
        Some(rest) => match rest.strip_prefix(['x', 'X']) {
            Some(digits) => (digits, 16),
            None => (rest, 8),
        },
    };
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_read_as_the_c_library_does() {
        for (text, address) in [
            ("192.0.2.20", Some("192.0.2.20")),
            ("127.1", Some("127.0.0.1")),
            ("0x7f.1", Some("127.0.0.1")),
            (" 1.2.3.4 x", Some("1.2.3.4")),
            ("IPv6:2001:db8::7", Some("2001:db8::7")),
            ("::1", Some("::1")),
            ("1.2.3.4.5", None),
            ("-1", None),
            ("x", None),
            ("", None),
            ("255.255.255.255", None),
        ] {
            let wanted = address.map(|address| address.parse().unwrap());
            assert_eq!(address_of(text.as_bytes()), wanted, "{text}");
        }
    }
}
