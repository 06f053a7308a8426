//! X lines: mail filters.
//!
//! Source: guide 5.11.

use std::net::IpAddr;
use std::time::Duration;

use crate::text::bytes;
use crate::text::interval::IntervalUnit;

use super::diagnostics::Diagnostics;
use super::fields::{Fields, split_name};
use super::options::{PortFamily, value};
use super::source::FileSource;

/// What happens to mail when a filter does not answer (`F=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FilterFailure {
    /// Mail goes on without the filter.
    #[default]
    Continue,
    /// Connections are refused (`R`).
    Reject,
    /// Connections are put off (`T`).
    TempFail,
    /// Connections are closed with 421 (`4`).
    Shutdown,
}

/// One mail filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterDefinition {
    /// Name of the filter.
    pub name: Vec<u8>,
    /// `S=` as written: `inet:port@host`, `inet6:port@host`, `local:/path`.
    pub socket: Vec<u8>,
    /// `F=`.
    pub failure: FilterFailure,
    /// `T=C:`: connecting.
    pub connect_timeout: Duration,
    /// `T=S:`: sending a packet.
    pub send_timeout: Duration,
    /// `T=R:`: reading an answer.
    pub read_timeout: Duration,
    /// `T=E:`: from the end of the message to the final answer.
    pub end_timeout: Duration,
}

/// Reads the text behind the letter `X`; `None` when it names no filter.
///
/// A filter with a wrong socket is kept: it counts as one that does not answer.
pub fn read(
    line: &[u8],
    source: &dyn FileSource,
    out: &mut Diagnostics,
) -> Option<FilterDefinition> {
    let (name, rest) = split_name(line);
    if name.is_empty() {
        out.error("name required for mail filter");
        return None;
    }
    let mut filter = FilterDefinition {
        name: name.to_vec(),
        socket: Vec::new(),
        failure: FilterFailure::Continue,
        connect_timeout: Duration::from_secs(5 * 60),
        send_timeout: Duration::from_secs(10),
        read_timeout: Duration::from_secs(10),
        end_timeout: Duration::from_secs(5 * 60),
    };
    for field in Fields::new(rest) {
        let Ok(field) = field else {
            complain(name, b": `=' expected", out);
            return None;
        };
        match field.letter {
            b'S' => filter.socket = field.value,
            b'F' => {
                for letter in &field.value {
                    match letter {
                        b'R' => filter.failure = FilterFailure::Reject,
                        b'T' => filter.failure = FilterFailure::TempFail,
                        b'4' => filter.failure = FilterFailure::Shutdown,
                        _ => {}
                    }
                }
            }
            b'T' => set_timeouts(&mut filter, &field.value, out),
            other => {
                let text = [b": unknown filter equate ".as_slice(), &[other], b"="].concat();
                complain(name, &text, out);
            }
        }
    }
    check_socket(&filter, source, out);
    Some(filter)
}

fn complain(name: &[u8], text: &[u8], out: &mut Diagnostics) {
    out.error([b"X".as_slice(), name, text].concat());
}

/// Reads `C:time;S:time;R:time;E:time`.
fn set_timeouts(filter: &mut FilterDefinition, text: &[u8], out: &mut Diagnostics) {
    let mut rest = text;
    while !rest.is_empty() {
        let item = rest.trim_ascii_start();
        let end = item.iter().position(|byte| matches!(byte, b':' | b';'));
        let (Some(&letter), Some(end)) = (item.first(), end) else {
            return complain(&filter.name, b", T=: `:' expected", out);
        };
        if item[end] != b':' {
            return complain(&filter.name, b", T=: `:' expected", out);
        }
        let body = &item[end + 1..];
        let (time, after) = bytes::split_once(body, b';').unwrap_or((body, b""));
        // A semicolon at the end counts as one more item without a colon.
        rest = if after.is_empty() && time.len() < body.len() {
            b" "
        } else {
            after
        };
        let slot = match letter {
            b'C' => &mut filter.connect_timeout,
            b'S' => &mut filter.send_timeout,
            b'R' => &mut filter.read_timeout,
            b'E' => &mut filter.end_timeout,
            other => {
                let text = [b": unknown filter timeout ".as_slice(), &[other]].concat();
                complain(&filter.name, &text, out);
                continue;
            }
        };
        *slot = value::interval(time.trim_ascii(), IntervalUnit::Seconds, &mut |letter| {
            out.user_error([b"Invalid time unit `".as_slice(), &[letter], b"'"].concat());
        })
        .duration();
    }
}

/// Complains about a socket that no connection can be made to.
fn check_socket(filter: &FilterDefinition, source: &dyn FileSource, out: &mut Diagnostics) {
    let name = &filter.name;
    if filter.socket.is_empty() {
        return complain(name, b": empty or missing socket information", out);
    }
    let Some((kind, address)) = bytes::split_once(&filter.socket, b':') else {
        return;
    };
    let family = match kind.to_ascii_lowercase().as_slice() {
        b"inet" => PortFamily::Inet,
        b"inet6" => PortFamily::Inet6,
        b"local" | b"unix" => return,
        _ => {
            let text = [
                b": unknown socket type ".as_slice(),
                kind,
                b": Protocol not supported",
            ];
            return out.system_error([b"X".as_slice(), name, &text.concat()].concat());
        }
    };
    let Some((port, host)) = bytes::split_once(address, b'@') else {
        let text = [
            b": bad address ".as_slice(),
            address,
            b" (expected port@host)",
        ]
        .concat();
        return complain(name, &text, out);
    };
    let is_number = port.first().is_some_and(u8::is_ascii_digit);
    if !is_number && source.service_port(port).is_none() {
        return complain(
            name,
            &[b": unknown port name ".as_slice(), port].concat(),
            out,
        );
    }
    let literal = host
        .strip_prefix(b"[")
        .and_then(|host| host.strip_suffix(b"]"));
    match literal {
        Some(literal) => {
            let literal = literal.strip_prefix(b"IPv6:").unwrap_or(literal);
            if String::from_utf8_lossy(literal).parse::<IpAddr>().is_err() {
                let text = [b": Invalid numeric domain spec \"".as_slice(), host, b"\""].concat();
                complain(name, &text, out);
            }
        }
        None if !source.is_host(host, family) => {
            complain(
                name,
                &[b": Unknown host name ".as_slice(), host].concat(),
                out,
            );
        }
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::FixedSource;
    use super::*;

    #[test]
    fn bad_lines_are_told_in_the_words_of_the_reference() {
        let source = FixedSource::with_file("/x.cf", b"");
        for (line, text) in [
            ("", "name required for mail filter\n"),
            ("f", "Xf: empty or missing socket information\n"),
            ("f, S", "Xf: `=' expected\n"),
            ("f, S=local:/x, Z=1", "Xf: unknown filter equate Z=\n"),
            ("f, T=Q:1, S=local:/x", "Xf: unknown filter timeout Q\n"),
            ("f, T=C:1;, S=local:/x", "Xf, T=: `:' expected\n"),
            ("f, S=inet:1", "Xf: bad address 1 (expected port@host)\n"),
            ("f, S=inet:1@nosuch", "Xf: Unknown host name nosuch\n"),
            ("f, S=inet:no@mail", "Xf: unknown port name no\n"),
            ("f, S=inet:9@[1.2.3.4], T=S:1s;R:2s", ""),
            (
                "f, S=inet:9@[1.2.3.999]",
                "Xf: Invalid numeric domain spec \"[1.2.3.999]\"\n",
            ),
            (
                "f, S=bogus:x",
                "Xf: unknown socket type bogus: Protocol not supported\n",
            ),
        ] {
            let mut out = Diagnostics::default();
            read(line.as_bytes(), &source, &mut out);
            assert_eq!(
                String::from_utf8(out.printed(false)).unwrap(),
                text,
                "{line}"
            );
        }
    }
}
