//! What a service manager hands over and wants to be told: sockets that listen already, and how
//! the daemon fares.
//!
//! Source: sd_listen_fds(3), sd_notify(3). Both speak through variables of the environment;
//! without them nothing happens here.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use listenfd::ListenFd;
use sd_notify::NotifyState;

use crate::sys::process::process_id;
use crate::sys::socket::ListenAddress;

/// Variables of the environment that carry what is said both ways.
pub const VARIABLES: [&str; 4] = [
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
];

/// Returns how many descriptors behind the standard ones were handed over to this process.
pub fn handed_over() -> u32 {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    let is_for_us = number("LISTEN_PID") == Some(process_id());
    number("LISTEN_FDS").filter(|_| is_for_us).unwrap_or(0)
}

/// Says that the daemon serves.
pub fn tell_ready() {
    tell(&[NotifyState::Ready, NotifyState::MainPid(process_id())]);
}

/// Says that the daemon reads its configuration again.
pub fn tell_reloading() {
    let states = NotifyState::monotonic_usec_now().map(|now| [NotifyState::Reloading, now]);
    tell(
        states
            .as_ref()
            .map_or(&[NotifyState::Reloading], |both| both),
    );
}

/// Says that the daemon ends.
pub fn tell_stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!("cannot tell the service manager: {error}");
    }
}

/// Listening sockets that were open when the daemon started.
#[derive(Debug, Default)]
pub struct Inherited(Vec<(ListenAddress, OwnedFd)>);

impl Inherited {
    /// Takes what the service manager handed over; what is no listening socket is left alone.
    pub fn take_all() -> Inherited {
        let mut handed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for number in 0..handed.len() {
            if let Ok(Some(listener)) = handed.take_tcp_listener(number) {
                if let Ok(address) = listener.local_addr() {
                    sockets.push((ListenAddress::Internet(address), listener.into()));
                }
            } else if let Ok(Some(listener)) = handed.take_unix_listener(number) {
                let path = listener.local_addr().ok();
                let path = path.and_then(|address| address.as_pathname().map(ToOwned::to_owned));
                if let Some(path) = path {
                    sockets.push((ListenAddress::Local(path), listener.into()));
                }
            }
        }
        Inherited(sockets)
    }

    /// Takes the socket that listens where a daemon port wants to.
    pub fn take(&mut self, wanted: &ListenAddress) -> Option<OwnedFd> {
        let exact = |(address, _): &(ListenAddress, OwnedFd)| address == wanted;
        let fits = |(address, _): &(ListenAddress, OwnedFd)| serves_both(address, wanted);
        let place = self.0.iter().position(exact);
        let place = place.or_else(|| self.0.iter().position(fits))?;
        Some(self.0.swap_remove(place).1)
    }
}

/// Says whether `address` is all of IPv6, where a manager lets IPv4 in too, and `wanted` all of IPv4.
fn serves_both(address: &ListenAddress, wanted: &ListenAddress) -> bool {
    match (address, wanted) {
        (ListenAddress::Internet(SocketAddr::V6(all)), ListenAddress::Internet(wanted)) => {
            all.ip().is_unspecified() && wanted.ip().is_unspecified() && all.port() == wanted.port()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(address: &str) -> (ListenAddress, OwnedFd) {
        let file = std::fs::File::open("/dev/null").unwrap();
        (at(address), file.into())
    }

    fn at(address: &str) -> ListenAddress {
        ListenAddress::Internet(address.parse().unwrap())
    }

    #[test]
    fn a_port_gets_the_socket_of_its_address_and_each_only_once() {
        let mut inherited = Inherited(vec![socket("[::]:25"), socket("127.0.0.1:587")]);
        assert!(inherited.take(&at("127.0.0.1:25")).is_none());
        assert!(inherited.take(&at("0.0.0.0:587")).is_none());
        assert!(inherited.take(&at("127.0.0.1:587")).is_some());
        assert!(inherited.take(&at("127.0.0.1:587")).is_none());
        assert!(inherited.take(&at("0.0.0.0:25")).is_some());
        assert!(inherited.take(&at("[::]:25")).is_none());
    }
}
