//! Parsers of DaemonPortOptions and ClientPortOptions.
//!
//! Source: guide 5.6; observed: 8.17.1.9 (the first letter of a key decides; only of our own
//! key `TrustedProxies` the whole name does).

use super::daemon_port::{ClientPort, DaemonPort, PortFamily};
use super::networks::Networks;
use super::parsers::filter_names;
use super::queueing::DeliveryMode;
use super::setting::Setting;
use super::value;
use crate::text::bytes;

/// Reads one `key=value,...` list; what is unknown is complained about.
fn port(setting: &mut Setting<'_>) -> DaemonPort {
    let mut port = DaemonPort::default();
    let mut service = None;
    let list = setting.value;
    for item in list.split(|&byte| byte == b',') {
        let item = item.trim_ascii_start();
        let Some((key, text)) = bytes::split_once(item, b'=') else {
            continue;
        };
        let text = text.trim_ascii_start();
        let word = text.trim_ascii();
        if key.trim_ascii_end().eq_ignore_ascii_case(b"TrustedProxies") {
            let proxies = trusted_proxies(setting, text);
            port.trusted_proxies = Some(proxies);
            continue;
        }
        match key.first() {
            Some(b'A' | b'a') => port.address = Some(word.to_vec()),
            Some(b'c') => port.max_children = Some(value::count(text)),
            Some(b'D') => match text
                .first()
                .and_then(|&mode| DeliveryMode::from_letter(mode))
            {
                Some(mode) => port.delivery_mode = Some(mode),
                None => {
                    let letter = text.get(..1).unwrap_or_default();
                    setting
                        .out
                        .error([b"Unknown delivery mode ".as_slice(), letter].concat());
                }
            },
            Some(b'd') => port.delay_la = Some(value::count(text)),
            Some(b'F' | b'f') => match family(word) {
                Some(family) => port.family = family,
                None => {
                    let text = [
                        b"Unknown address family ".as_slice(),
                        word,
                        b" in Family=option",
                    ];
                    setting.out.error(text.concat());
                }
            },
            Some(b'I' | b'i') => port.input_mail_filters = Some(filter_names(text)),
            Some(b'L' | b'l') => port.listen = Some(value::count(text)),
            Some(b'M' | b'm') => {
                port.modifiers = text
                    .iter()
                    .copied()
                    .filter(u8::is_ascii_alphabetic)
                    .collect();
            }
            Some(b'N' | b'n') => port.name = word.to_vec(),
            Some(b'P' | b'p') => service = Some(word.to_vec()),
            Some(b'q') => port.queue_la = Some(value::count(text)),
            Some(b'R') => port.receive_buffer_size = Some(value::count(text)),
            Some(b'r') => port.refuse_la = Some(value::count(text)),
            Some(b'S' | b's') => port.send_buffer_size = Some(value::count(text)),
            _ => {
                let text = [b"PortOptions parameter \"".as_slice(), item, b"\" unknown"];
                setting.out.error(text.concat());
            }
        }
    }
    look_up(setting, &mut port, service);
    if port.trusted_proxies.is_some() && port.family == PortFamily::Local {
        let text = b"TrustedProxies: a local socket has no addresses".to_vec();
        setting.out.error(text);
    }
    port
}

/// Reads addresses and networks; a wrong one trusts nobody.
fn trusted_proxies(setting: &mut Setting<'_>, text: &[u8]) -> Networks {
    let mut proxies = Networks::default();
    for word in text.split(|&byte| byte == b';').map(<[u8]>::trim_ascii) {
        if !word.is_empty() && !proxies.add(word) {
            let text = [
                b"TrustedProxies: \"".as_slice(),
                word,
                b"\" is no address or network",
            ];
            setting.out.error(text.concat());
        }
    }
    proxies
}

fn family(word: &[u8]) -> Option<PortFamily> {
    const FAMILIES: &[(&str, PortFamily)] = &[
        ("inet", PortFamily::Inet),
        ("inet6", PortFamily::Inet6),
        ("local", PortFamily::Local),
        ("unix", PortFamily::Local),
    ];
    FAMILIES
        .iter()
        .find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word))
        .map(|(_, family)| *family)
}

/// Finds the port of a service and checks that the address means something.
fn look_up(setting: &mut Setting<'_>, port: &mut DaemonPort, service: Option<Vec<u8>>) {
    if let Some(address) = &port.address {
        let plain = address.strip_prefix(b"IPv6:").unwrap_or(address);
        if !setting.source.is_host(plain, port.family) {
            let text = [b"host \"".as_slice(), address, b"\" unknown"].concat();
            setting.out.error(text);
        }
    }
    let Some(service) = service else { return };
    port.port = if service.first().is_some_and(u8::is_ascii_digit) {
        Some(u16::try_from(value::number(&service) & 0xffff).unwrap_or_default())
    } else {
        setting.source.service_port(&service)
    };
    if port.port.is_none() {
        let text = [b"service \"".as_slice(), &service, b"\" unknown"].concat();
        setting.out.error(text);
    }
}

/// Most daemon sockets of one configuration (MAXDAEMONS). Observed: 8.17.1.9.
const MAX_DAEMON_PORTS: usize = 64;

/// Adds one daemon socket.
pub fn daemon_port(setting: &mut Setting<'_>) {
    if setting.options.daemon_ports.len() >= MAX_DAEMON_PORTS {
        let text = format!("too many daemons defined ({MAX_DAEMON_PORTS} max)");
        return setting.out.error(text);
    }
    let mut port = port(setting);
    if port.name.is_empty() {
        port.name = format!("Daemon{}", setting.options.daemon_ports.len()).into_bytes();
    }
    setting.options.daemon_ports.push(port);
}

/// Sets how outgoing sockets of one family are made.
pub fn client_port(setting: &mut Setting<'_>) {
    let port = port(setting);
    setting
        .options
        .client_ports
        .retain(|known| known.family != port.family);
    setting.options.client_ports.push(ClientPort {
        family: port.family,
        port: port.port,
        address: port.address,
        send_buffer_size: port.send_buffer_size,
        receive_buffer_size: port.receive_buffer_size,
        modifiers: port.modifiers,
    });
}
