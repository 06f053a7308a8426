//! Tells a service manager how the daemon fares (sd_notify(3)).
//!
//! Whoever starts the daemon and wants to know names a datagram socket in the variable
//! `NOTIFY_SOCKET`; nobody is waited for and nothing depends on it.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use super::file::path_of;

/// Name of the variable that names the socket.
pub const VARIABLE: &[u8] = b"NOTIFY_SOCKET";

/// The line to whoever started the daemon, if there is one.
#[derive(Debug, Default)]
pub struct ServiceManager(Option<(UnixDatagram, SocketAddr)>);

impl ServiceManager {
    /// Opens the line to `address`: a path, or `@` and an abstract name.
    pub fn at(address: &[u8]) -> ServiceManager {
        let address = match address.split_first() {
            Some((b'@', name)) => SocketAddr::from_abstract_name(name),
            Some((b'/', _)) => SocketAddr::from_pathname(path_of(address)),
            _ => return ServiceManager(None),
        };
        let line = address.and_then(|address| Ok((UnixDatagram::unbound()?, address)));
        ServiceManager(line.ok())
    }

    /// Sends assignments such as `READY=1`, one a line.
    pub fn tell(&self, state: &str) {
        if let Some((socket, address)) = &self.0 {
            // Whoever asked and does not listen any more needs no answer.
            let _ = socket.send_to_addr(state.as_bytes(), address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn both_kinds_of_sockets_hear_what_is_told() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        ServiceManager::at(path.as_os_str().as_encoded_bytes()).tell("READY=1");
        assert_eq!(heard(&listener), "READY=1");
        let name = format!("notify-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixDatagram::bind_addr(&address).unwrap();
        ServiceManager::at(format!("@{name}").as_bytes()).tell("STOPPING=1");
        assert_eq!(heard(&listener), "STOPPING=1");
    }

    #[test]
    fn without_a_listener_nothing_happens() {
        ServiceManager::default().tell("READY=1");
        ServiceManager::at(b"").tell("READY=1");
        ServiceManager::at(b"/nonexistent/notify").tell("READY=1");
    }
}
