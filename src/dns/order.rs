//! Where names are looked up first: the service switch.
//!
//! Two files say it. `ServiceSwitchFile` decides for canonical names, the
//! system's own `nsswitch.conf` for addresses, because the reference program
//! leaves those to the system library. Source: guide 4.11, nsswitch.conf(5).

use std::fs;
use std::path::Path;

/// One place to look for a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The hosts file.
    Files,
    /// The name servers.
    Dns,
}

impl Source {
    fn from_word(word: &[u8]) -> Option<Self> {
        match word {
            b"files" => Some(Source::Files),
            b"dns" => Some(Source::Dns),
            // NIS and its kin are not built in, as on the reference's platform.
            _ => None,
        }
    }
}

/// The order for canonical names; without the file, name servers come first (observed: 8.17.1.9).
pub fn canonical_order(service_switch_file: Option<&Path>) -> Vec<Source> {
    service_switch_file
        .and_then(|path| fs::read(path).ok())
        .and_then(|text| service_switch_line(&text))
        .unwrap_or_else(|| vec![Source::Dns, Source::Files])
}

/// The order for addresses.
pub fn address_order(system_switch_file: &Path) -> Vec<Source> {
    fs::read(system_switch_file)
        .ok()
        .and_then(|text| system_switch_line(&text))
        .unwrap_or_else(|| vec![Source::Files, Source::Dns])
}

/// Finds `hosts files dns` in a service switch file.
fn service_switch_line(text: &[u8]) -> Option<Vec<Source>> {
    lines(text).find_map(|line| {
        let mut words = words(line);
        (words.next()? == b"hosts").then(|| words.filter_map(Source::from_word).collect())
    })
}

/// Finds `hosts: files [..] dns` in `nsswitch.conf`.
fn system_switch_line(text: &[u8]) -> Option<Vec<Source>> {
    lines(text).find_map(|line| {
        let rest = line.trim_ascii_start().strip_prefix(b"hosts")?;
        let rest = rest.trim_ascii_start().strip_prefix(b":")?;
        let order: Vec<Source> = words(rest).filter_map(Source::from_word).collect();
        (!order.is_empty()).then_some(order)
    })
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n')
        .map(|line| line.split(|&byte| byte == b'#').next().unwrap_or_default())
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| byte.is_ascii_whitespace())
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_lines_are_found() {
        let switch = b"# c\naliases files\nhosts\tfiles dns nis # more\n";
        assert_eq!(
            service_switch_line(switch),
            Some(vec![Source::Files, Source::Dns])
        );
        let system = b"passwd: files\nhosts:   dns [!UNAVAIL=return] files\n";
        assert_eq!(
            system_switch_line(system),
            Some(vec![Source::Dns, Source::Files])
        );
        assert_eq!(service_switch_line(b"aliases files\n"), None);
        assert_eq!(service_switch_line(b"hosts\n"), Some(vec![]));
    }

    #[test]
    fn without_files_the_built_in_order_holds() {
        assert_eq!(canonical_order(None), vec![Source::Dns, Source::Files]);
        assert_eq!(
            address_order(Path::new("/nonexistent/nsswitch.conf")),
            vec![Source::Files, Source::Dns]
        );
    }
}
