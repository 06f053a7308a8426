//! Macros and classes that are set before the first line is read, and names of this
//! host that are found after the last.
//!
//! Source: guide 5.2 and 5.3; observed: 8.17.1.9 (`-d0.4`).

use std::net::{IpAddr, Ipv4Addr};

use crate::macros::{ClassId, Classes, MacroId, MacroNames, MacroTable};

use super::options::ProbeInterfaces;
use super::source::FileSource;

/// Version of this program, what `$v` expands to.
///
/// As long as the reference's `8.17.1.9`: the Received field of a queued message
/// holds it, and both programs should announce the same SIZE for that message.
pub const VERSION: &str = "8.90.0.1";

/// Highest level a V line may ask for.
pub const MAX_LEVEL: u8 = 10;

/// Class of the names of this host.
const HOST_NAMES: ClassId = ClassId::letter(b'w');

/// Writes an address as it stands in class `w`.
fn literal(address: Ipv4Addr) -> Vec<u8> {
    format!("[{address}]").into_bytes()
}

/// Writes an IPv6 address without leaving zeros out.
///
/// Observed: 8.17.1.9, option UseCompressedIPv6Addresses off.
pub fn full_ipv6(address: std::net::Ipv6Addr) -> String {
    address.segments().map(|part| format!("{part:x}")).join(":")
}

/// Sets what this host is called, and the classes every configuration starts with.
pub fn set_defaults(
    names: &mut MacroNames,
    macros: &mut MacroTable,
    classes: &mut Classes,
    source: &dyn FileSource,
) {
    set_host_names(macros, classes, source);
    macros.set_text(MacroId::V, VERSION.as_bytes());
    macros.set_text(MacroId::N, b"MAILER-DAEMON");
    let defaults: &[(&str, &[&str])] = &[
        ("e", &["7bit", "8bit", "binary"]),
        ("n", &["multipart/signed"]),
        ("s", &["rfc822"]),
        (
            "persistentMacros",
            &["r", "s", "_", "{if_addr}", "{daemon_flags}"],
        ),
        ("checkMIMETextHeaders", &["content-description"]),
        (
            "checkMIMEFieldHeaders",
            &["content-disposition", "content-type"],
        ),
        (
            "checkMIMEHeaders",
            &[
                "content-disposition",
                "content-id",
                "content-transfer-encoding",
                "content-type",
                "mime-version",
            ],
        ),
    ];
    for (class, words) in defaults {
        let class = ClassId(names.intern(class.as_bytes()));
        for word in *words {
            classes.insert(class, word.as_bytes());
        }
    }
}

fn set_host_names(macros: &mut MacroTable, classes: &mut Classes, source: &dyn FileSource) {
    let node = source.host_name();
    let entry = source.host_entry(&node);
    let full = match &entry {
        Some(entry) if entry.canonical.contains(&b'.') => entry.canonical.clone(),
        Some(entry) => entry
            .aliases
            .iter()
            .find(|alias| alias.contains(&b'.'))
            .cloned()
            .unwrap_or_else(|| node.clone()),
        None => node.clone(),
    };
    macros.set_text(MacroId::W, &full);
    macros.set_text(MacroId::J, &full);
    macros.set_text(MacroId::K, &node);
    classes.insert(HOST_NAMES, &full);
    if let Some((_, domain)) = crate::text::bytes::split_once(&full, b'.') {
        macros.set_text(MacroId::M, domain);
        classes.insert(ClassId::letter(b'm'), domain);
    }
    classes.insert(ClassId::letter(b'k'), &node);
    classes.insert(HOST_NAMES, &node);
    for alias in entry.iter().flat_map(|entry| &entry.aliases) {
        classes.insert(HOST_NAMES, alias);
    }
    for address in entry.iter().flat_map(|entry| &entry.addresses) {
        if let IpAddr::V4(address) = address {
            classes.insert(HOST_NAMES, &literal(*address));
        }
    }
}

/// Cuts `$w` to its first part, as files from level 5 on expect.
///
/// Source: guide 5.8.
pub fn shorten_host_name(macros: &mut MacroTable) {
    if let Some(name) = macros.text(MacroId::W)
        && let Some((first, _)) = crate::text::bytes::split_once(name, b'.')
    {
        let first = first.to_vec();
        macros.set_text(MacroId::W, &first);
    }
}

/// Adds the addresses of all interfaces, and their names, to class `w`.
pub fn probe_interfaces(classes: &mut Classes, which: ProbeInterfaces, source: &dyn FileSource) {
    if which == ProbeInterfaces::None {
        return;
    }
    for own in source.own_addresses() {
        if own.is_loopback && which == ProbeInterfaces::NoLoopback {
            continue;
        }
        // Only IPv4 addresses are asked for (observed: 8.17.1.9).
        let IpAddr::V4(address) = own.address else {
            continue;
        };
        let literal = literal(address);
        if classes.contains(HOST_NAMES, &literal) {
            continue;
        }
        classes.insert(HOST_NAMES, &literal);
        if let Some(names) = source.names_of_address(own.address) {
            // A name without a domain counts in brackets, too (observed: 8.17.1.9).
            let is_new = classes.insert(HOST_NAMES, &names.canonical);
            if is_new && !names.canonical.contains(&b'.') {
                let bracketed = [b"[", names.canonical.as_slice(), b"]"].concat();
                classes.insert(HOST_NAMES, &bracketed);
            }
            for alias in &names.aliases {
                classes.insert(HOST_NAMES, alias);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::{FixedSource, OwnAddress};
    use super::*;

    #[test]
    fn names_and_addresses_of_the_host_are_known() {
        let mut source = FixedSource::with_file("/x.cf", b"");
        source.addresses = vec![
            OwnAddress {
                address: IpAddr::from([192, 0, 2, 10]),
                is_loopback: false,
            },
            OwnAddress {
                address: IpAddr::from([127, 0, 0, 1]),
                is_loopback: true,
            },
        ];
        let (mut names, mut macros, mut classes) =
            (MacroNames::new(), MacroTable::new(), Classes::new());
        set_defaults(&mut names, &mut macros, &mut classes, &source);
        assert_eq!(macros.text(MacroId::M).unwrap(), b"example.test");
        shorten_host_name(&mut macros);
        assert_eq!(macros.text(MacroId::W).unwrap(), b"mail");
        probe_interfaces(&mut classes, ProbeInterfaces::NoLoopback, &source);
        for (name, known) in [
            ("mail", true),
            ("[192.0.2.10]", true),
            ("[127.0.0.1]", false),
        ] {
            assert_eq!(
                classes.contains(HOST_NAMES, name.as_bytes()),
                known,
                "{name}"
            );
        }
    }

    #[test]
    fn ipv6_addresses_keep_their_zeros() {
        assert_eq!(full_ipv6("::1".parse().unwrap()), "0:0:0:0:0:0:0:1");
    }
}
