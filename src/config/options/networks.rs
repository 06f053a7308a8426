//! Lists of addresses and networks, such as `192.0.2.1; 10.0.0.0/8; 2001:db8::/32`.

use std::net::IpAddr;

/// Addresses and networks; a version 4 address in version 6 clothes is that address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks {
    list: Vec<(u128, u32)>,
}

impl Networks {
    /// Adds one address or network; `false` if it is neither.
    pub fn add(&mut self, text: &[u8]) -> bool {
        let network = std::str::from_utf8(text).ok().and_then(network);
        self.list.extend(network);
        network.is_some()
    }

    /// Says whether an address is one of them.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let bits = bits_of(ip);
        self.list
            .iter()
            .any(|(base, length)| (bits ^ base) & mask(*length) == 0)
    }
}

/// Writes an address as 128 bits; version 4 is `::ffff:a.b.c.d`.
fn bits_of(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn mask(length: u32) -> u128 {
    u128::MAX
        .checked_shl(128_u32.saturating_sub(length))
        .unwrap_or(0)
}

fn network(text: &str) -> Option<(u128, u32)> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let ip: IpAddr = address.trim_start_matches("IPv6:").parse().ok()?;
    // How many of the 128 bits are not the address's own.
    let (own, before) = if ip.is_ipv4() { (32, 96) } else { (128, 0) };
    let length = match length {
        Some(length) => length.parse().ok().filter(|length| *length <= own)?,
        None => own,
    };
    let length = before + length;
    Some((bits_of(ip) & mask(length), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_their_networks() {
        let mut networks = Networks::default();
        for text in [
            "192.0.2.1",
            "10.1.2.3/8",
            "2001:db8::/32",
            "IPv6:::1",
            "198.51.100.0/31",
        ] {
            assert!(networks.add(text.as_bytes()), "{text}");
        }
        for (address, is_inside) in [
            ("192.0.2.1", true),
            ("192.0.2.2", false),
            ("::ffff:192.0.2.1", true),
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::1", false),
            ("::1", true),
            ("::", false),
            ("198.51.100.1", true),
            ("198.51.100.2", false),
        ] {
            let ip = address.parse().unwrap();
            assert_eq!(networks.contains(ip), is_inside, "{address}");
        }
        assert!(!Networks::default().contains("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn everything_of_one_version_is_a_network_too() {
        let (mut v4, mut v6) = (Networks::default(), Networks::default());
        assert!(v4.add(b"0.0.0.0/0") && v6.add(b"::/0"));
        let four: IpAddr = "203.0.113.9".parse().unwrap();
        let six: IpAddr = "2001:db8::9".parse().unwrap();
        assert!(v4.contains(four) && !v4.contains(six));
        assert!(v6.contains(four) && v6.contains(six));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "host.test",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "10.0.0",
            "/8",
            "\u{e4}",
        ] {
            assert!(!Networks::default().add(text.as_bytes()), "{text}");
        }
        assert!(!Networks::default().add(&[0xff, 0xfe]));
    }
}
