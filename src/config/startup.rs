//! Macros and classes that are set before the first line is read, and names of this
//! host that are found after the last.
//!
//! Source: guide 5.2 and 5.3; observed: 8.17.1.9 (`-d0.4`).

use std::net::{IpAddr, Ipv4Addr};

use crate::macros::{ClassId, MacroId, MacroNames, MacroValue};
use crate::token::Mark;
use crate::token::print::{print_mark, print_symbol};

use super::class_line::ClassSink;
use super::compiled::Config;
use super::diagnostics::Diagnostics;
use super::identity;
use super::options::{AccountSpec, ProbeInterfaces};
use super::overrides::Overrides;
use super::source::FileSource;
use crate::sys::process;

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

/// Sets what is known before the first line: what this host is called, above all.
pub fn set_defaults(
    config: &mut Config,
    overrides: &Overrides,
    source: &dyn FileSource,
    out: &mut Diagnostics,
) {
    let shows_octets = out.debug().shows_symbols_as_octets();
    config.names.show_octets(shows_octets);
    let delivery_mode = config.options.queueing.delivery_mode.letter();
    config.define(
        MacroId::DELIVERY_MODE,
        MacroValue::Text(vec![delivery_mode]),
        out,
    );
    if out.traces(37, 2) {
        out.trace("inittimeouts(<NULL>)");
    }
    if out.traces(35, 9) {
        tell_symbols(&config.names, out);
    }
    let mut define = |id, text: &[u8], out: &mut Diagnostics| {
        config.define(id, MacroValue::Text(text.to_vec()), out);
    };
    define(MacroId::N, b"MAILER-DAEMON", out);
    define(MacroId::OP_MODE, &[overrides.mode], out);
    if out.traces(0, 1) {
        let text = identity::version(out.debug());
        out.trace(text);
    }
    define(MacroId::V, VERSION.as_bytes(), out);
    set_host_names(config, source, out);
    if out.traces(35, 9) {
        // It is known again and again later; only here it is told.
        let now = crate::text::date::rfc5322_date(source.now());
        out.trace(format!("define(b as {now})"));
    }
    let load = source.load_average();
    if out.traces(3, 1) {
        out.trace(format!("getla(): {load:.2}"));
    }
    let load = format!("{:.0}", load.round());
    config.define(MacroId::LOAD_AVG, MacroValue::Text(load.into_bytes()), out);
    if overrides.names_file {
        let own = real_ids();
        tell_privileges(true, effective_ids(), own, overrides, out);
    }
}

/// Tells whose rights the process has when the file is read (`-d47.1`).
pub fn tell_privileges_after(
    run_as: Option<&AccountSpec>,
    overrides: &Overrides,
    out: &mut Diagnostics,
) {
    let effective = match overrides.names_file {
        true => real_ids(),
        false => effective_ids(),
    };
    let run_as = run_as.map_or_else(real_ids, |account| (account.uid, account.gid));
    tell_privileges(overrides.mode == b't', effective, run_as, overrides, out);
}

fn real_ids() -> (u32, u32) {
    (process::real_user(), process::real_group())
}

fn effective_ids() -> (u32, u32) {
    (process::effective_user(), process::effective_group())
}

/// Only root is told: of others the reference tells more, because it is installed set-group-id.
/// Observed: 8.17.1.9.
fn tell_privileges(
    gives_up: bool,
    effective: (u32, u32),
    run_as: (u32, u32),
    overrides: &Overrides,
    out: &mut Diagnostics,
) {
    if !overrides.caller_is_root || !out.traces(47, 1) {
        return;
    }
    let (uid, gid) = real_ids();
    out.trace(format!(
        "drop_privileges({}): Real[UG]id={uid}:{gid}, get[ug]id={uid}:{gid}, gete[ug]id={}:{}, RunAs[UG]id={}:{}",
        u8::from(gives_up), effective.0, effective.1, run_as.0, run_as.1,
    ));
}

/// Tells of the symbols that rules may use: they are macros of their own name.
///
/// Observed: 8.17.1.9.
fn tell_symbols(names: &MacroNames, out: &mut Diagnostics) {
    const SYMBOLS: &[u8] = b"*+-=~#@:>?|.[]()&0123456789";
    for &symbol in SYMBOLS {
        let mut line = [b"define(", [symbol].as_slice(), b" as "].concat();
        match Mark::from_character(symbol) {
            Some(mark) => print_mark(mark, names, &mut line),
            None => print_symbol(Mark::Position, u16::from(symbol), names, &mut line),
        }
        line.push(b')');
        out.trace(line);
    }
}

/// Puts in the classes what every configuration finds there.
pub fn add_default_words(config: &mut Config, out: &mut Diagnostics) {
    let defaults: &[(&str, &[&str])] = &[
        ("n", &["multipart/signed"]),
        ("s", &["rfc822"]),
        ("e", &["7bit", "8bit", "binary"]),
        (
            "checkMIMEFieldHeaders",
            &["content-disposition", "content-type"],
        ),
        ("checkMIMETextHeaders", &["content-description"]),
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
        (
            "persistentMacros",
            &["r", "s", "_", "{if_addr}", "{daemon_flags}"],
        ),
    ];
    for (class, words) in defaults {
        let class = ClassId(config.names.intern(class.as_bytes()));
        for word in *words {
            config.classes_told(out).insert(class, word.as_bytes());
        }
    }
}

fn set_host_names(config: &mut Config, source: &dyn FileSource, out: &mut Diagnostics) {
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
    tell_name(b"Canonical name: ", &full, out);
    config.define(MacroId::W, MacroValue::Text(full.clone()), out);
    config.define(MacroId::J, MacroValue::Text(full.clone()), out);
    config.classes_told(out).insert(HOST_NAMES, &full);
    if let Some((_, domain)) = crate::text::bytes::split_once(&full, b'.') {
        config.define(MacroId::M, MacroValue::Text(domain.to_vec()), out);
    }
    tell_name(b" UUCP nodename: ", &node, out);
    config.define(MacroId::K, MacroValue::Text(node.clone()), out);
    let mut classes = config.classes_told(out);
    classes.insert(ClassId::letter(b'k'), &node);
    classes.insert(HOST_NAMES, &node);
    for alias in entry.iter().flat_map(|entry| &entry.aliases) {
        tell_name(ALSO_KNOWN, alias, classes.out);
        classes.insert(HOST_NAMES, alias);
    }
    for address in entry.iter().flat_map(|entry| &entry.addresses) {
        if let IpAddr::V4(address) = address {
            let literal = literal(*address);
            tell_name(ALSO_KNOWN, &literal, classes.out);
            classes.insert(HOST_NAMES, &literal);
        }
    }
    config.short_name = (entry.is_none() && !full.contains(&b'.')).then_some(full);
}

/// How further names of this host are told.
const ALSO_KNOWN: &[u8] = b"\ta.k.a.: ";

/// Tells a name of this host (`-d0.4`). Observed: 8.17.1.9.
fn tell_name(what: &[u8], name: &[u8], out: &mut Diagnostics) {
    if out.traces(0, 4) {
        out.trace([what, name].concat());
    }
}

/// Cuts `$w` to its first part, as files from level 5 on expect.
///
/// Source: guide 5.8.
pub fn shorten_host_name(config: &mut Config, out: &mut Diagnostics) {
    if let Some(name) = config.macros.text(MacroId::W)
        && let Some((first, _)) = crate::text::bytes::split_once(name, b'.')
    {
        let first = first.to_vec();
        config.define(MacroId::W, MacroValue::Text(first), out);
    }
}

/// Adds the addresses of all interfaces, and their names, to class `w`.
pub fn probe_interfaces(
    classes: &mut ClassSink<'_>,
    which: ProbeInterfaces,
    source: &dyn FileSource,
) {
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
        if !classes.classes.contains(HOST_NAMES, &literal) {
            classes.insert(HOST_NAMES, &literal);
            tell_name(ALSO_KNOWN, &literal, classes.out);
        }
        if let Some(names) = source.names_of_address(own.address) {
            // A name without a domain counts in brackets, too (observed: 8.17.1.9).
            let is_known = classes.classes.contains(HOST_NAMES, &names.canonical);
            if !is_known {
                classes.insert(HOST_NAMES, &names.canonical);
                tell_name(ALSO_KNOWN, &names.canonical, classes.out);
            }
            if !is_known && !names.canonical.contains(&b'.') {
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
    use super::super::source::{FixedSource, HostNames, OwnAddress};
    use super::*;

    #[test]
    fn a_name_without_a_domain_is_noted_unless_somebody_knows_it() {
        let mut source = FixedSource::with_file("/x.cf", b"");
        let overrides = Overrides::only_file("/x.cf");
        for (name, is_known, noted) in [
            ("vm", false, Some(b"vm".to_vec())),
            ("vm", true, None),
            ("vm.example", false, None),
        ] {
            source.host_name = name.into();
            source.hosts = Vec::new();
            if is_known {
                let canonical = name.into();
                source.hosts.push(HostNames {
                    canonical,
                    aliases: Vec::new(),
                    addresses: Vec::new(),
                });
            }
            let mut config = Config::empty(&overrides.path);
            let mut out = Diagnostics::default();
            set_defaults(&mut config, &overrides, &source, &mut out);
            assert_eq!(config.short_name, noted, "{name} {is_known}");
        }
    }

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
        let overrides = Overrides::only_file("/x.cf");
        let mut out = Diagnostics::default();
        let mut config = Config::empty(&overrides.path);
        set_defaults(&mut config, &overrides, &source, &mut out);
        assert_eq!(config.macros.text(MacroId::M).unwrap(), b"example.test");
        shorten_host_name(&mut config, &mut out);
        assert_eq!(config.macros.text(MacroId::W).unwrap(), b"mail");
        let mut classes = config.classes_told(&mut out);
        probe_interfaces(&mut classes, ProbeInterfaces::NoLoopback, &source);
        for (name, known) in [
            ("mail", true),
            ("[192.0.2.10]", true),
            ("[127.0.0.1]", false),
        ] {
            assert_eq!(
                classes.classes.contains(HOST_NAMES, name.as_bytes()),
                known,
                "{name}"
            );
        }
    }
}
