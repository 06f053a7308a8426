//! Listening sockets: made from DaemonPortOptions, in and out of the poll.
//!
//! A listener that must not accept is taken out of the poll and its clients wait
//! in the kernel; [`Listener::open_again`] puts it back, and then the poll tells
//! of those who wait as if they had just come.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use super::gate::{GateLimits, PortLimits, Refusal};
use super::service_manager::Inherited;
use crate::config::Config;
use crate::config::options::{DaemonPort, PortFamily};
use crate::logging::record::Severity;
use crate::mta::Mta;
use crate::sys::file::set_nonblocking;
use crate::sys::host::{error_text, look_up_host};
use crate::sys::socket::{
    ListenAddress, ListenSpec, Readiness, listen_again, refuse_clients, wait_ready,
};

/// The port a daemon port without `Port=` listens on.
const SMTP_PORT: u16 = 25;

/// One listening socket.
#[derive(Debug)]
pub struct Listener {
    /// `Name=`.
    pub name: String,
    /// Index of the daemon port.
    pub port: usize,
    /// What it was made from.
    pub spec: ListenSpec,
    /// Why it is out of the poll, if it is for a reason.
    pub refusal: Option<Refusal>,
    /// When a refusal was last told.
    pub told: Option<Instant>,
    /// When it comes back whatever happens.
    pub closed_until: Option<Instant>,
    fd: OwnedFd,
    is_polled: bool,
    /// It does not even listen.
    is_refusing: bool,
}

/// Why a port could not be opened, in the words of the reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortError {
    /// `Name=`.
    pub name: String,
    /// `cannot bind: Address already in use`.
    pub reason: String,
}

impl PortError {
    /// Writes the whole message. Observed: 8.17.1.9.
    pub fn message(&self) -> String {
        format!("opendaemonsocket: daemon {}: {}", self.name, self.reason)
    }

    /// Logs the error as the reference does.
    pub fn log(&self, mta: &Mta) {
        let (message, name) = (self.message(), &self.name);
        let id = Some(&b"NOQUEUE"[..]);
        mta.log.syslog(
            0,
            Severity::Critical,
            id,
            format_args!("SYSERR(root): {message}"),
        );
        mta.log.syslog(
            0,
            Severity::Alert,
            None,
            format_args!("daemon {name}: problem creating SMTP socket"),
        );
    }
}

impl Listener {
    /// Says whether somebody waits to be accepted.
    pub fn has_client(&self) -> bool {
        wait_ready(self.fd.as_fd(), Readiness::Read, Some(Instant::now())).unwrap_or(true)
    }

    /// Says whether the poll tells of new clients.
    pub fn is_polled(&self) -> bool {
        self.is_polled
    }

    /// Puts the listener into the poll.
    pub fn open_again(&mut self, registry: &Registry, token: Token) {
        self.closed_until = None;
        if std::mem::take(&mut self.is_refusing)
            && let Err(error) = listen_again(&self.fd, self.spec.backlog)
        {
            log::error!("cannot listen again on {}: {error}", self.name);
        }
        if !self.is_polled {
            let fd = self.fd.as_raw_fd();
            match registry.register(&mut SourceFd(&fd), token, Interest::READABLE) {
                Ok(()) => self.is_polled = true,
                Err(error) => log::error!("cannot listen on {}: {error}", self.name),
            }
        }
    }

    /// Closes the socket for good; a local one loses its file.
    pub fn close(self) {
        if let ListenAddress::Local(path) = &self.spec.address {
            let _ = std::fs::remove_file(path);
        }
    }

    /// Refuses who comes, and who waits, until it is opened again.
    ///
    /// Unlike [`Listener::close_for_now`] alone, which lets clients wait: these shall go elsewhere.
    pub fn refuse_clients(&mut self) {
        if self.is_refusing {
            return;
        }
        match refuse_clients(self.fd.as_fd(), &self.spec.address) {
            Ok(()) => self.is_refusing = true,
            Err(error) => log::warn!("cannot refuse clients of {}: {error}", self.name),
        }
    }

    /// Takes the listener out of the poll.
    pub fn close_for_now(&mut self, registry: &Registry, until: Option<Instant>) {
        self.closed_until = until;
        if self.is_polled {
            let _ = registry.deregister(&mut SourceFd(&self.fd.as_raw_fd()));
            self.is_polled = false;
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The ports of a configuration; without DaemonPortOptions there is one, for SMTP.
pub fn ports_of(config: &Config) -> Vec<DaemonPort> {
    if config.options.daemon_ports.is_empty() {
        return vec![DaemonPort {
            name: b"Daemon0".to_vec(),
            ..DaemonPort::default()
        }];
    }
    config.options.daemon_ports.clone()
}

/// The limits the gate keeps for a configuration.
pub fn gate_limits(config: &Config, max_sessions: usize) -> GateLimits {
    let receiving = &config.options.receiving;
    let some = |number: u32| usize::try_from(number).ok().filter(|&number| number > 0);
    GateLimits {
        max_children: some(receiving.max_daemon_children),
        max_sessions,
        per_second: receiving.connection_rate_throttle,
        rate_window: receiving.connection_rate_window_size,
        ports: ports_of(config)
            .iter()
            .map(|port| PortLimits {
                name: String::from_utf8_lossy(&port.name).into_owned(),
                max_children: port.max_children.and_then(some),
                delay_load: port.delay_la.unwrap_or(config.options.queueing.delay_la),
                refuse_load: port.refuse_la.unwrap_or(config.options.queueing.refuse_la),
            })
            .collect(),
    }
}

/// Opens all ports of a configuration, keeping old listeners whose socket is the same and taking
/// inherited sockets before new ones are made.
///
/// Ports marked optional (modifier `O`) that fail are left out without an error.
pub fn open_all(
    mta: &Mta,
    mut old: Vec<Listener>,
    inherited: &mut Inherited,
) -> (Vec<Listener>, Vec<PortError>) {
    let (mut open, mut wanted, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for (number, port) in ports_of(&mta.config).into_iter().enumerate() {
        let name = String::from_utf8_lossy(&port.name).into_owned();
        let spec = spec_of(&port);
        let same = |listener: &Listener| spec.as_ref().is_ok_and(|spec| listener.spec == *spec);
        match old.iter().position(same) {
            Some(at) => {
                let listener = old.swap_remove(at);
                open.push(Listener {
                    name,
                    port: number,
                    ..listener
                });
            }
            None => wanted.push((number, name, port, spec)),
        }
    }
    // Before new ones are made: a changed port may want the same address.
    old.into_iter().for_each(Listener::close);
    for (number, name, port, spec) in wanted {
        match spec.and_then(|spec| open_one(mta, spec, inherited)) {
            Ok((spec, fd)) => open.push(Listener {
                name,
                port: number,
                spec,
                refusal: None,
                told: None,
                closed_until: None,
                fd,
                is_polled: false,
                is_refusing: false,
            }),
            Err(_) if port.has_modifier(b'O') => {}
            Err(reason) => errors.push(PortError { name, reason }),
        }
    }
    (open, errors)
}

fn open_one(
    mta: &Mta,
    spec: ListenSpec,
    inherited: &mut Inherited,
) -> Result<(ListenSpec, OwnedFd), String> {
    let cannot = |error: io::Error| format!("cannot bind: {}", error_text(&error));
    let fd = match inherited.take(&spec.address) {
        Some(fd) => fd,
        None => mta.privileged.bind(&spec).map_err(cannot)?,
    };
    set_nonblocking(&fd, true).map_err(cannot)?;
    Ok((spec, fd))
}

/// Turns a daemon port into what the system wants to know.
fn spec_of(port: &DaemonPort) -> Result<ListenSpec, String> {
    let size = |size: Option<u32>| size.and_then(|size| usize::try_from(size).ok());
    let address = match port.family {
        PortFamily::Local => {
            let path = port
                .address
                .as_deref()
                .ok_or("no path for the local socket")?;
            ListenAddress::Local(PathBuf::from(crate::sys::file::path_of(path)))
        }
        PortFamily::Inet | PortFamily::Inet6 => ListenAddress::Internet(SocketAddr::new(
            ip_of(port)?,
            port.port.unwrap_or(SMTP_PORT),
        )),
    };
    let mut spec = ListenSpec::new(address);
    spec.backlog = port.listen.unwrap_or(spec.backlog);
    spec.send_buffer = size(port.send_buffer_size);
    spec.receive_buffer = size(port.receive_buffer_size);
    Ok(spec)
}

fn ip_of(port: &DaemonPort) -> Result<IpAddr, String> {
    let is_v6 = port.family == PortFamily::Inet6;
    let Some(name) = port.address.as_deref() else {
        return Ok(if is_v6 {
            Ipv6Addr::UNSPECIFIED.into()
        } else {
            Ipv4Addr::UNSPECIFIED.into()
        });
    };
    let text = String::from_utf8_lossy(name);
    let literal = text
        .trim_start_matches("IPv6:")
        .trim_start_matches('[')
        .trim_end_matches(']');
    if let Ok(ip) = literal.parse::<IpAddr>() {
        return Ok(ip);
    }
    look_up_host(name)
        .ok()
        .and_then(|host| host.addresses.into_iter().find(|ip| ip.is_ipv6() == is_v6))
        .ok_or_else(|| format!("host \"{text}\" unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(address: &str, family: PortFamily) -> DaemonPort {
        DaemonPort {
            address: Some(address.into()),
            family,
            ..DaemonPort::default()
        }
    }

    #[test]
    fn addresses_are_literals_names_or_paths() {
        for (address, family, shown) in [
            ("127.0.0.1", PortFamily::Inet, "127.0.0.1:25"),
            ("localhost", PortFamily::Inet, "127.0.0.1:25"),
            ("::1", PortFamily::Inet6, "[::1]:25"),
            ("IPv6:::1", PortFamily::Inet6, "[::1]:25"),
            ("/run/x", PortFamily::Local, "/run/x"),
        ] {
            let spec = spec_of(&port(address, family)).unwrap();
            assert_eq!(spec.address.to_string(), shown, "{address}");
        }
        let all = DaemonPort::default();
        assert_eq!(spec_of(&all).unwrap().address.to_string(), "0.0.0.0:25");
        let submission = DaemonPort {
            port: Some(587),
            ..all
        };
        assert_eq!(
            spec_of(&submission).unwrap().address.to_string(),
            "0.0.0.0:587"
        );
    }

    #[test]
    fn the_gate_keeps_the_limits_of_the_options() {
        let text = b"V10/Berkeley\nMlocal, P=/x, A=x\nMprog, P=/x, A=x\nO MaxDaemonChildren=7\n\
            O ConnectionRateThrottle=3\nO ConnectionRateWindowSize=20s\nO RefuseLA=9\nO DelayLA=5\n";
        let mut source = crate::config::FixedSource::with_file("/x.cf", text);
        let overrides = crate::config::Overrides::only_file("/x.cf");
        let config = Config::load(&overrides, &mut source).unwrap();
        let limits = gate_limits(&config, 50);
        assert_eq!((limits.max_children, limits.max_sessions), (Some(7), 50));
        assert_eq!((limits.per_second, limits.rate_window.as_secs()), (3, 20));
        let port = &limits.ports[0];
        assert_eq!((port.refuse_load, port.delay_load), (9, 5));
    }

    #[test]
    fn what_cannot_be_found_is_said() {
        assert!(spec_of(&port("no.such.host.invalid", PortFamily::Inet)).is_err());
    }
}
