//! Sockets: listeners, outgoing connections, and who is at each end.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::socket::{
    self, AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrLike,
    SockaddrStorage, UnixAddr, sockopt,
};

/// Where a listener listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// TCP over IPv4 or IPv6; the unspecified address means all interfaces.
    Internet(SocketAddr),
    /// A socket in the file system.
    Local(PathBuf),
}

impl std::fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ListenAddress::Internet(address) => address.fmt(f),
            ListenAddress::Local(path) => path.display().fmt(f),
        }
    }
}

/// Everything about a listener (DaemonPortOptions).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenSpec {
    /// Where to listen.
    pub address: ListenAddress,
    /// How many connections the kernel keeps waiting.
    pub backlog: u32,
    /// Size of the send buffer in bytes, if not the system's.
    pub send_buffer: Option<usize>,
    /// Size of the receive buffer in bytes, if not the system's.
    pub receive_buffer: Option<usize>,
}

/// How many connections wait in the kernel when `Listen=` says nothing.
///
/// The reference has 10 and forks for each; a burst of clients beyond that loses its first
/// packets and comes back after seconds. The kernel cuts it down to `net.core.somaxconn`.
const BACKLOG: u32 = 1_024;
/// The system's number of a connection the other side ended.
pub const CONNECTION_RESET: i32 = nix::libc::ECONNRESET;
/// The system's number of a connection that nothing came from in time.
pub const TIMED_OUT: i32 = nix::libc::ETIMEDOUT;

impl ListenSpec {
    /// Makes a spec with a backlog that holds a burst of clients.
    pub fn new(address: ListenAddress) -> Self {
        ListenSpec {
            address,
            backlog: BACKLOG,
            send_buffer: None,
            receive_buffer: None,
        }
    }
}

/// Makes a listening socket that children do not inherit.
///
/// A stale local socket nobody listens on is replaced. An IPv6 listener takes
/// no IPv4 connections, so that both can share a port.
///
/// # Errors
/// As `socket(2)`, `bind(2)` and `listen(2)`.
pub fn listen(spec: &ListenSpec) -> io::Result<OwnedFd> {
    let family = match &spec.address {
        ListenAddress::Internet(SocketAddr::V4(_)) => AddressFamily::Inet,
        ListenAddress::Internet(SocketAddr::V6(_)) => AddressFamily::Inet6,
        ListenAddress::Local(_) => AddressFamily::Unix,
    };
    let fd = socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    set_buffers(&fd, spec.send_buffer, spec.receive_buffer)?;
    match &spec.address {
        ListenAddress::Internet(address) => {
            socket::setsockopt(&fd, sockopt::ReuseAddr, &true)?;
            if family == AddressFamily::Inet6 {
                socket::setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
            }
            bind_internet(&fd, address)?;
        }
        ListenAddress::Local(path) => {
            remove_stale_socket(path);
            socket::bind(fd.as_raw_fd(), &UnixAddr::new(path.as_path())?)?;
        }
    }
    listen_again(&fd, spec.backlog)?;
    Ok(fd)
}

/// Lets a listening socket refuse clients, those who wait too; [`listen_again`] is the way back.
///
/// A local socket cannot be had back and stays open: its clients wait.
///
/// # Errors
/// As `shutdown(2)`.
pub fn refuse_clients(fd: BorrowedFd<'_>, address: &ListenAddress) -> io::Result<()> {
    match address {
        // Linux keeps the bound address and only stops listening.
        ListenAddress::Internet(_) => Ok(socket::shutdown(fd.as_raw_fd(), socket::Shutdown::Read)?),
        ListenAddress::Local(_) => Ok(()),
    }
}

/// Lets a socket listen again.
///
/// # Errors
/// As `listen(2)`.
pub fn listen_again(fd: &OwnedFd, backlog: u32) -> io::Result<()> {
    let backlog = i32::try_from(backlog)
        .unwrap_or(i32::MAX)
        .min(libc::SOMAXCONN);
    Ok(socket::listen(fd, Backlog::new(backlog)?)?)
}

fn remove_stale_socket(path: &Path) {
    let is_socket =
        std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if is_socket && UnixStream::connect(path).is_err_and(refused) {
        let _ = std::fs::remove_file(path);
    }
}

fn set_buffers(fd: &OwnedFd, send: Option<usize>, receive: Option<usize>) -> io::Result<()> {
    if let Some(size) = send {
        socket::setsockopt(fd, sockopt::SndBuf, &size)?;
    }
    if let Some(size) = receive {
        socket::setsockopt(fd, sockopt::RcvBuf, &size)?;
    }
    Ok(())
}

fn bind_internet(fd: &OwnedFd, address: &SocketAddr) -> io::Result<()> {
    match address {
        SocketAddr::V4(v4) => socket::bind(fd.as_raw_fd(), &SockaddrIn::from(*v4))?,
        SocketAddr::V6(v6) => socket::bind(fd.as_raw_fd(), &SockaddrIn6::from(*v6))?,
    }
    Ok(())
}

/// Where an outgoing connection comes from and how it is made (ClientPortOptions).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectFrom {
    /// The source address; its port may be 0 for any.
    pub address: Option<SocketAddr>,
    /// Take a port below 1024 (needs root's rights); ignored if `address` has a port.
    pub reserved_port: bool,
    /// Size of the send buffer in bytes, if not the system's.
    pub send_buffer: Option<usize>,
    /// Size of the receive buffer in bytes, if not the system's.
    pub receive_buffer: Option<usize>,
}

/// Connects to a TCP address.
///
/// # Errors
/// `TimedOut` when `timeout` passes first; otherwise as `connect(2)`.
pub fn connect(
    to: SocketAddr,
    from: &ConnectFrom,
    timeout: Option<Duration>,
) -> io::Result<TcpStream> {
    let (fd, begun) = start_connect(to, from)?;
    finish_connect(&fd, begun, timeout)?;
    super::file::set_nonblocking(&fd, false)?;
    Ok(fd.into())
}

/// Begins to connect to a TCP address and returns at once with a socket that does not block.
///
/// It is connected, or has failed, when it can be written to.
///
/// # Errors
/// As `connect(2)`, for what is known already.
pub fn begin_connect(to: SocketAddr, from: &ConnectFrom) -> io::Result<TcpStream> {
    match start_connect(to, from)? {
        (fd, Ok(()) | Err(nix::Error::EINPROGRESS)) => Ok(fd.into()),
        (_, Err(error)) => Err(error.into()),
    }
}

fn start_connect(to: SocketAddr, from: &ConnectFrom) -> io::Result<(OwnedFd, nix::Result<()>)> {
    let family = if to.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let fd = socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    set_buffers(&fd, from.send_buffer, from.receive_buffer)?;
    bind_source(&fd, to, from)?;
    super::file::set_nonblocking(&fd, true)?;
    let begun = match to {
        SocketAddr::V4(v4) => socket::connect(fd.as_raw_fd(), &SockaddrIn::from(v4)),
        SocketAddr::V6(v6) => socket::connect(fd.as_raw_fd(), &SockaddrIn6::from(v6)),
    };
    Ok((fd, begun))
}

/// Connects to a socket in the file system.
///
/// # Errors
/// `TimedOut` when `timeout` passes first; otherwise as `connect(2)`.
pub fn connect_local(path: &Path, timeout: Option<Duration>) -> io::Result<UnixStream> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let fd = socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    super::file::set_nonblocking(&fd, true)?;
    let begun = socket::connect(fd.as_raw_fd(), &UnixAddr::new(path)?);
    finish_connect(&fd, begun, timeout)?;
    super::file::set_nonblocking(&fd, false)?;
    Ok(fd.into())
}

/// Binds the source of an outgoing connection as far as it is prescribed.
fn bind_source(fd: &OwnedFd, to: SocketAddr, from: &ConnectFrom) -> io::Result<()> {
    let any = match to {
        SocketAddr::V4(_) => SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), 0),
        SocketAddr::V6(_) => SocketAddr::new(std::net::Ipv6Addr::UNSPECIFIED.into(), 0),
    };
    let source = from
        .address
        .filter(|source| source.is_ipv4() == to.is_ipv4());
    if from.reserved_port && source.is_none_or(|source| source.port() == 0) {
        let ip = source.unwrap_or(any).ip();
        return bind_reserved_port(fd, ip);
    }
    match source {
        None => Ok(()),
        Some(source) => {
            socket::setsockopt(fd, sockopt::ReuseAddr, &true)?;
            bind_internet(fd, &source)
        }
    }
}

/// Binds the highest free port below 1024, as `rresvport(3)` does.
fn bind_reserved_port(fd: &OwnedFd, ip: IpAddr) -> io::Result<()> {
    for port in (512..1024).rev() {
        match bind_internet(fd, &SocketAddr::new(ip, port)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            done => return done,
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

fn finish_connect(
    fd: &OwnedFd,
    begun: nix::Result<()>,
    timeout: Option<Duration>,
) -> io::Result<()> {
    match begun {
        Ok(()) => return Ok(()),
        Err(nix::Error::EINPROGRESS | nix::Error::EINTR | nix::Error::EAGAIN) => {}
        Err(error) => return Err(error.into()),
    }
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    if !wait_ready(fd.as_fd(), Readiness::Write, deadline)? {
        return Err(io::ErrorKind::TimedOut.into());
    }
    match socket::getsockopt(fd, sockopt::SocketError)? {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// What to wait for on a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// There is something to read, or the other end closed.
    Read,
    /// Something can be written, or the other end closed.
    Write,
}

/// Waits until a descriptor is ready; `false` means the deadline came first.
///
/// # Errors
/// As `poll(2)`.
pub fn wait_ready(
    fd: BorrowedFd<'_>,
    readiness: Readiness,
    deadline: Option<Instant>,
) -> io::Result<bool> {
    let wanted = match readiness {
        Readiness::Read => PollFlags::POLLIN,
        Readiness::Write => PollFlags::POLLOUT,
    };
    loop {
        let timeout = match deadline {
            None => PollTimeout::NONE,
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                // Rounded up: a wait that ends early would be repeated in a busy loop.
                let milliseconds = left.as_micros().div_ceil(1000);
                PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX)
            }
        };
        match nix::poll::poll(&mut [PollFd::new(fd, wanted)], timeout) {
            Ok(0) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                return Ok(false);
            }
            Ok(0) | Err(nix::Error::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Returns the address of the other end; `None` for a local socket or no socket.
pub fn peer_address(fd: &impl AsFd) -> Option<SocketAddr> {
    to_std(socket::getpeername::<SockaddrStorage>(fd.as_fd().as_raw_fd()).ok()?)
}

/// Returns the address of our end; `None` for a local socket or no socket.
pub fn local_address(fd: &impl AsFd) -> Option<SocketAddr> {
    to_std(socket::getsockname::<SockaddrStorage>(fd.as_fd().as_raw_fd()).ok()?)
}

/// Says whether a descriptor is a socket of any kind.
pub fn is_socket(fd: &impl AsFd) -> bool {
    socket::getsockname::<SockaddrStorage>(fd.as_fd().as_raw_fd()).is_ok()
}

fn to_std(address: SockaddrStorage) -> Option<SocketAddr> {
    match address.family()? {
        AddressFamily::Inet => {
            let v4 = address.as_sockaddr_in()?;
            Some(SocketAddr::new(v4.ip().into(), v4.port()))
        }
        AddressFamily::Inet6 => {
            let v6 = address.as_sockaddr_in6()?;
            Some(SocketAddr::new(v6.ip().into(), v6.port()))
        }
        _ => None,
    }
}

/// Accepts a waiting connection; `None` if there is none any more.
///
/// The new socket does not block by itself if `nonblocking` is set.
///
/// # Errors
/// As `accept4(2)`; a connection the client gave up is skipped, not an error.
pub fn accept(listener: &impl AsFd, nonblocking: bool) -> io::Result<Option<OwnedFd>> {
    let flags = libc::SOCK_CLOEXEC | if nonblocking { libc::SOCK_NONBLOCK } else { 0 };
    let listener = listener.as_fd().as_raw_fd();
    loop {
        // SAFETY: null address pointers ask for no address; the descriptor is open.
        let fd =
            unsafe { libc::accept4(listener, std::ptr::null_mut(), std::ptr::null_mut(), flags) };
        if fd >= 0 {
            // SAFETY: a fresh descriptor nobody else owns.
            return Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }));
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR | libc::ECONNABORTED) => {}
            Some(libc::EAGAIN) => return Ok(None),
            _ => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn loopback() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    #[test]
    fn a_connection_knows_both_its_ends() {
        let listener = listen(&ListenSpec::new(ListenAddress::Internet(loopback()))).unwrap();
        let address = local_address(&listener).unwrap();
        let from = ConnectFrom {
            address: Some(loopback()),
            ..ConnectFrom::default()
        };
        let stream = connect(address, &from, Some(Duration::from_secs(5))).unwrap();
        assert_eq!(peer_address(&stream), Some(address));
        let accepted = accept(&listener, false).unwrap().unwrap();
        assert_eq!(peer_address(&accepted), local_address(&stream));
    }

    #[test]
    fn a_closed_port_refuses_at_once() {
        let listener = TcpListener::bind(loopback()).unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = connect(address, &ConnectFrom::default(), None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_local_listener_replaces_a_stale_socket_but_not_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sock");
        let spec = ListenSpec::new(ListenAddress::Local(path.clone()));
        drop(listen(&spec).unwrap());
        let listener = listen(&spec).unwrap();
        assert!(listen(&spec).is_err(), "somebody listens");
        let stream = connect_local(&path, None).unwrap();
        assert_eq!(peer_address(&stream), None);
        drop(listener);
        let file = directory.path().join("file");
        std::fs::write(&file, "text").unwrap();
        assert!(listen(&ListenSpec::new(ListenAddress::Local(file))).is_err());
    }

    #[test]
    fn waiting_ends_at_the_deadline() {
        let (read, _write) = crate::sys::file::pipe().unwrap();
        let now = Instant::now();
        assert!(!wait_ready(read.as_fd(), Readiness::Read, Some(now)).unwrap());
    }
}
