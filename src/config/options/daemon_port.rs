//! `DaemonPortOptions` and `ClientPortOptions`: one socket each.
//!
//! Source: guide 5.6.

use super::networks::Networks;
use super::queueing::DeliveryMode;

/// Modifiers in the order in which traces name them. Observed: 8.17.1.9.
const MODIFIER_NAMES: &[(u8, &str)] = &[
    (b'a', "AUTHREQ"),
    (b'b', "BINDIF"),
    (b'c', "CANONREQ"),
    (b'h', "IFNHELO"),
    (b'f', "FQMAIL"),
    (b'r', "FQRCPT"),
    (b's', "SMTPS"),
    (b'u', "UNQUALOK"),
    (b'A', "NOAUTH"),
    (b'C', "NOCANON"),
    (b'E', "NOETRN"),
    (b'S', "NOTLS"),
    (b'O', "OPTIONAL"),
];

/// The address family of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PortFamily {
    /// IPv4.
    #[default]
    Inet,
    /// IPv6.
    Inet6,
    /// UNIX domain.
    Local,
}

/// One daemon socket.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DaemonPort {
    /// `Name=`, else `DaemonN`.
    pub name: Vec<u8>,
    /// `Port=` number, a service name looked up; `None` is that of smtp.
    pub port: Option<u16>,
    /// `Addr=`: address, host name or socket path; `None` is any.
    pub address: Option<Vec<u8>>,
    /// `Family=`.
    pub family: PortFamily,
    /// `Listen=`: backlog; `None` is enough for a burst.
    pub listen: Option<u32>,
    /// `SndBufSize=` in bytes.
    pub send_buffer_size: Option<u32>,
    /// `RcvBufSize=` in bytes.
    pub receive_buffer_size: Option<u32>,
    /// `children=`: own MaxDaemonChildren.
    pub max_children: Option<u32>,
    /// `DeliveryMode=`.
    pub delivery_mode: Option<DeliveryMode>,
    /// `refuseLA=`.
    pub refuse_la: Option<u32>,
    /// `delayLA=`.
    pub delay_la: Option<u32>,
    /// `queueLA=`.
    pub queue_la: Option<u32>,
    /// `Modifiers=` letters.
    pub modifiers: Vec<u8>,
    /// `InputMailFilters=`; `None` is the general list.
    pub input_mail_filters: Option<Vec<Vec<u8>>>,
    /// `TrustedProxies=`, our own: who alone may connect, and tells whose the connections are.
    pub trusted_proxies: Option<Networks>,
}

impl DaemonPort {
    /// Tells whether a modifier letter was given.
    pub fn has_modifier(&self, letter: u8) -> bool {
        self.modifiers.contains(&letter)
    }

    /// Gives the modifiers that mean something by their names, as `-d37.1` shows them.
    ///
    /// Observed: 8.17.1.9 (`<AUTHREQ,NOETRN>`, nothing at all without any).
    pub fn named_flags(&self) -> Vec<u8> {
        let names: Vec<&str> = MODIFIER_NAMES
            .iter()
            .filter(|(letter, _)| self.modifiers.contains(letter))
            .map(|(_, name)| *name)
            .collect();
        match names.as_slice() {
            [] => Vec::new(),
            names => format!("<{}>", names.join(",")).into_bytes(),
        }
    }

    /// Gives `${daemon_flags}`: each modifier, upper case ones doubled, between blanks.
    pub fn flags_text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for &letter in &self.modifiers {
            if !text.is_empty() {
                text.push(b' ');
            }
            text.push(letter);
            if letter.is_ascii_uppercase() {
                text.push(letter);
            }
        }
        text
    }
}

/// How outgoing sockets of one family are made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientPort {
    /// `Family=`.
    pub family: PortFamily,
    /// `Port=`: local port.
    pub port: Option<u16>,
    /// `Addr=`: local address.
    pub address: Option<Vec<u8>>,
    /// `SndBufSize=` in bytes.
    pub send_buffer_size: Option<u32>,
    /// `RcvBufSize=` in bytes.
    pub receive_buffer_size: Option<u32>,
    /// `Modifiers=` letters.
    pub modifiers: Vec<u8>,
}
