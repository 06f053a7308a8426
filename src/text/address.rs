//! Addresses of the network as they are shown: macros, replies, the log.

use std::net::{IpAddr, Ipv6Addr};

/// How IPv6 addresses are written (UseCompressedIPv6Addresses).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ipv6Form {
    /// Every group, zeros too: `0:0:0:0:0:0:0:1`.
    #[default]
    Full,
    /// The longest run of zeros left out: `::1`.
    Compressed,
}

/// Writes an address; `IPv6:` stands before one of version 6.
pub fn address_text(address: IpAddr, form: Ipv6Form) -> Vec<u8> {
    match (address, form) {
        (IpAddr::V4(address), _) => address.to_string().into_bytes(),
        (IpAddr::V6(address), Ipv6Form::Compressed) => format!("IPv6:{address}").into_bytes(),
        (IpAddr::V6(address), Ipv6Form::Full) => format!("IPv6:{}", full(address)).into_bytes(),
    }
}

fn full(address: Ipv6Addr) -> String {
    let groups: Vec<String> = (address.segments().iter())
        .map(|group| format!("{group:x}"))
        .collect();
    groups.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_in_their_form() {
        for (address, form, text) in [
            ("192.0.2.1", Ipv6Form::Full, "192.0.2.1"),
            ("::1", Ipv6Form::Full, "IPv6:0:0:0:0:0:0:0:1"),
            ("::1", Ipv6Form::Compressed, "IPv6:::1"),
            (
                "2001:db8::a:0:7",
                Ipv6Form::Full,
                "IPv6:2001:db8:0:0:0:a:0:7",
            ),
            (
                "2001:db8::a:0:7",
                Ipv6Form::Compressed,
                "IPv6:2001:db8::a:0:7",
            ),
        ] {
            let written = address_text(address.parse().unwrap(), form);
            assert_eq!(written, text.as_bytes());
        }
    }
}
