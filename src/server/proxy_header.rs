//! The header a proxy sends in front of a connection: the PROXY protocol.
//!
//! A proxy that hands connections on tells in a first line (version 1) or a first
//! block (version 2) whose they are. [`parse`] reads that from the octets that have
//! come so far and says how many of them it took. Whether the header may be
//! believed is not decided here: only ports that name their proxies look for one.
//!
//! Source: the specification of the PROXY protocol, versions 1 and 2 (HAProxy's
//! `proxy-protocol.txt`, sections 2.1 and 2.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Most octets a header may have; beyond that it is not one.
///
/// The specification allows 65551 for version 2; what proxies add in practice (names, and facts
/// of a TLS session) is a few hundred.
pub const MAX_HEADER: usize = 4_096;

/// Octets every header of version 2 begins with.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest line of version 1, its end included.
const MAX_LINE: usize = 107;
/// Octets in front of the addresses of version 2.
const FIXED_PART: usize = 16;

/// Whose connection it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A client of the proxy.
    Client {
        /// The client.
        from: SocketAddr,
        /// What it connected to.
        to: SocketAddr,
    },
    /// The proxy's own, or one it knows nothing about.
    Proxy,
}

/// What the octets so far are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// The beginning of a header.
    Unfinished,
    /// A header of this length.
    Header {
        /// Whose connection it is.
        origin: Origin,
        /// How many octets it has.
        length: usize,
    },
}

/// Why the octets are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// They begin with something else.
    NoHeader,
    /// A header begins there, and is wrong.
    Malformed,
    /// It is longer than it may be.
    TooLong,
    /// It tells of addresses that are not of the Internet or not of a stream.
    Foreign,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Fault::NoHeader => "no PROXY header",
            Fault::Malformed => "malformed PROXY header",
            Fault::TooLong => "PROXY header too long",
            Fault::Foreign => "PROXY header of another family",
        })
    }
}

/// Reads a header from the beginning of a connection.
///
/// # Errors
/// The octets are no header and will not become one.
pub fn parse(octets: &[u8]) -> Result<Parsed, Fault> {
    if begins_like(octets, SIGNATURE) {
        return version_2(octets);
    }
    if begins_like(octets, b"PROXY ") {
        return version_1(octets);
    }
    Err(Fault::NoHeader)
}

/// Says whether the octets, as far as they go, are those of a beginning.
fn begins_like(octets: &[u8], beginning: &[u8]) -> bool {
    octets
        .iter()
        .zip(beginning)
        .all(|(is, wanted)| is == wanted)
}

fn version_1(octets: &[u8]) -> Result<Parsed, Fault> {
    let seen = octets.get(..MAX_LINE).unwrap_or(octets);
    let Some(end) = seen.windows(2).position(|pair| pair == b"\r\n") else {
        return if seen.len() < MAX_LINE {
            Ok(Parsed::Unfinished)
        } else {
            Err(Fault::TooLong)
        };
    };
    let line = seen.get(..end).unwrap_or(b"");
    let line = std::str::from_utf8(line).map_err(|_| Fault::Malformed)?;
    let mut words = line.split(' ').skip(1);
    let family = words.next();
    let origin = match family {
        // Whatever follows is to be ignored.
        Some("UNKNOWN") => Origin::Proxy,
        Some("TCP4" | "TCP6") => {
            let mut word = || words.next().ok_or(Fault::Malformed);
            let (from, to) = (word()?, word()?);
            let (from_port, to_port) = (word()?, word()?);
            if words.next().is_some() {
                return Err(Fault::Malformed);
            }
            let is_v4 = family == Some("TCP4");
            Origin::Client {
                from: socket_address(from, from_port, is_v4)?,
                to: socket_address(to, to_port, is_v4)?,
            }
        }
        _ => return Err(Fault::Malformed),
    };
    Ok(Parsed::Header {
        origin,
        length: end + 2,
    })
}

fn socket_address(ip: &str, port: &str, is_v4: bool) -> Result<SocketAddr, Fault> {
    let ip: IpAddr = ip.parse().map_err(|_| Fault::Malformed)?;
    let is_number = !port.is_empty() && port.bytes().all(|octet| octet.is_ascii_digit());
    let has_zero_in_front = port.len() > 1 && port.starts_with('0');
    if ip.is_ipv4() != is_v4 || !is_number || has_zero_in_front {
        return Err(Fault::Malformed);
    }
    let port = port.parse().map_err(|_| Fault::Malformed)?;
    Ok(SocketAddr::new(ip, port))
}

fn version_2(octets: &[u8]) -> Result<Parsed, Fault> {
    let Some(&[version_and_command, family, high, low]) = octets
        .get(SIGNATURE.len()..FIXED_PART)
        .and_then(|fixed| fixed.first_chunk::<4>())
    else {
        return Ok(Parsed::Unfinished);
    };
    if version_and_command >> 4 != 2 {
        return Err(Fault::Malformed);
    }
    let length = FIXED_PART + usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_HEADER {
        return Err(Fault::TooLong);
    }
    let Some(rest) = octets.get(FIXED_PART..length) else {
        return Ok(Parsed::Unfinished);
    };
    let origin = match (version_and_command & 0x0f, family) {
        // LOCAL: the proxy looks whether we are there.
        (0, _) => Origin::Proxy,
        // PROXY of an unspecified family.
        (1, 0x00) => Origin::Proxy,
        (1, 0x11) => addresses(rest, four_octets)?,
        (1, 0x21) => addresses(rest, sixteen_octets)?,
        (1, _) => return Err(Fault::Foreign),
        _ => return Err(Fault::Malformed),
    };
    // What follows the addresses are additions nobody needs here.
    Ok(Parsed::Header { origin, length })
}

/// Takes one address off the octets.
type TakeAddress = fn(&[u8]) -> Option<(IpAddr, &[u8])>;

fn four_octets(octets: &[u8]) -> Option<(IpAddr, &[u8])> {
    let (address, rest) = octets.split_first_chunk::<4>()?;
    Some((Ipv4Addr::from(*address).into(), rest))
}

fn sixteen_octets(octets: &[u8]) -> Option<(IpAddr, &[u8])> {
    let (address, rest) = octets.split_first_chunk::<16>()?;
    Some((Ipv6Addr::from(*address).into(), rest))
}

fn addresses(octets: &[u8], take: TakeAddress) -> Result<Origin, Fault> {
    let read = || {
        let (from, rest) = take(octets)?;
        let (to, rest) = take(rest)?;
        let (from_port, rest) = rest.split_first_chunk::<2>()?;
        let (to_port, _) = rest.split_first_chunk::<2>()?;
        Some(Origin::Client {
            from: SocketAddr::new(from, u16::from_be_bytes(*from_port)),
            to: SocketAddr::new(to, u16::from_be_bytes(*to_port)),
        })
    };
    read().ok_or(Fault::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(from: &str, to: &str) -> Origin {
        Origin::Client {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
        }
    }

    /// A header of version 2: version and command, family, and what follows.
    fn block(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &length, rest].concat()
    }

    fn v4_addresses() -> Vec<u8> {
        [
            &[192, 0, 2, 7],
            &[198, 51, 100, 1],
            &[0xab, 0xcd][..],
            &[0, 25],
        ]
        .concat()
    }

    fn v6_addresses() -> Vec<u8> {
        let from: Ipv6Addr = "2001:db8::7".parse().unwrap();
        let to: Ipv6Addr = "2001:db8::1".parse().unwrap();
        [&from.octets()[..], &to.octets(), &[0xab, 0xcd], &[0, 25]].concat()
    }

    #[test]
    fn lines_tell_of_clients() {
        for (line, origin) in [
            (
                "PROXY TCP4 192.0.2.7 198.51.100.1 43981 25\r\n",
                client("192.0.2.7:43981", "198.51.100.1:25"),
            ),
            (
                "PROXY TCP6 2001:db8::7 ::1 0 65535\r\n",
                client("[2001:db8::7]:0", "[::1]:65535"),
            ),
            ("PROXY UNKNOWN\r\n", Origin::Proxy),
            (
                "PROXY UNKNOWN ffff::1 what ever 99999999\r\n",
                Origin::Proxy,
            ),
        ] {
            let parsed = parse(format!("{line}EHLO x\r\n").as_bytes());
            let length = line.len();
            assert_eq!(parsed, Ok(Parsed::Header { origin, length }), "{line}");
        }
    }

    #[test]
    fn wrong_lines_are_refused() {
        for (line, fault) in [
            ("EHLO x\r\n", Fault::NoHeader),
            ("proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n", Fault::NoHeader),
            ("PROXY\r\n", Fault::NoHeader),
            ("PROXY \r\n", Fault::Malformed),
            ("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", Fault::Malformed),
            ("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", Fault::Malformed),
            ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", Fault::Malformed),
            ("PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", Fault::Malformed),
            ("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", Fault::Malformed),
            ("PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n", Fault::Malformed),
            ("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", Fault::Malformed),
            ("PROXY TCP4 ::1 ::1 1 2\r\n", Fault::Malformed),
            ("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", Fault::Malformed),
            ("PROXY TCP4 host.test 1.2.3.4 1 2\r\n", Fault::Malformed),
        ] {
            assert_eq!(parse(line.as_bytes()), Err(fault), "{line}");
        }
        let long = format!("PROXY UNKNOWN {}", "x".repeat(200));
        assert_eq!(parse(long.as_bytes()), Err(Fault::TooLong));
        assert_eq!(parse(b"PROXY UNKNOWN\n\xff\r\n"), Err(Fault::Malformed));
    }

    #[test]
    fn blocks_tell_of_clients() {
        let with_additions = [&v4_addresses()[..], &[1, 0, 3, b'a', b'b', b'c']].concat();
        let v4 = client("192.0.2.7:43981", "198.51.100.1:25");
        let v6 = client("[2001:db8::7]:43981", "[2001:db8::1]:25");
        for (header, origin) in [
            (block(0x21, 0x11, &v4_addresses()), v4),
            (block(0x21, 0x11, &with_additions), v4),
            (block(0x21, 0x21, &v6_addresses()), v6),
            (block(0x20, 0x00, b""), Origin::Proxy),
            (block(0x20, 0x11, &v4_addresses()), Origin::Proxy),
            (block(0x21, 0x00, b"ignored"), Origin::Proxy),
        ] {
            let octets = [&header[..], b"EHLO x\r\n"].concat();
            let length = header.len();
            assert_eq!(parse(&octets), Ok(Parsed::Header { origin, length }));
        }
    }

    #[test]
    fn wrong_blocks_are_refused() {
        for (header, fault) in [
            (block(0x11, 0x11, &v4_addresses()), Fault::Malformed),
            (block(0x22, 0x11, &v4_addresses()), Fault::Malformed),
            (block(0x21, 0x11, &v4_addresses()[1..]), Fault::Malformed),
            (block(0x21, 0x21, &v4_addresses()), Fault::Malformed),
            (block(0x21, 0x12, &v4_addresses()), Fault::Foreign),
            (block(0x21, 0x31, &[0; 216]), Fault::Foreign),
            (block(0x21, 0x11, &[0; MAX_HEADER]), Fault::TooLong),
        ] {
            assert_eq!(parse(&header), Err(fault), "{header:?}");
        }
    }

    #[test]
    fn a_header_cut_anywhere_is_unfinished() {
        let line = b"PROXY TCP4 192.0.2.7 198.51.100.1 43981 25\r\n".to_vec();
        let block = block(0x21, 0x21, &v6_addresses());
        for header in [line, block] {
            for end in 0..header.len() {
                assert_eq!(parse(&header[..end]), Ok(Parsed::Unfinished), "{end}");
            }
        }
    }

    #[test]
    fn mutated_headers_never_panic() {
        let line = b"PROXY TCP4 192.0.2.7 198.51.100.1 43981 25\r\n".to_vec();
        let blocks = [
            block(0x21, 0x11, &v4_addresses()),
            block(0x21, 0x21, &v6_addresses()),
        ];
        let whole = |parsed, most| match parsed {
            Ok(Parsed::Header { length, .. }) => assert!(length <= most),
            Ok(Parsed::Unfinished) | Err(_) => {}
        };
        for header in [&[line], &blocks[..]].concat() {
            for place in 0..header.len() {
                for octet in 0..=255 {
                    let mut bad = header.clone();
                    bad[place] = octet;
                    whole(parse(&bad), bad.len());
                    whole(parse(&bad[..place]), place);
                    bad.insert(place, octet);
                    whole(parse(&bad), bad.len());
                }
            }
        }
    }
}
