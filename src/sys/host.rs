//! This machine: its names and addresses, its load and its free space.

use std::ffi::{CStr, CString};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// Returns the load average of the last minute; `None` if the system does not say.
///
/// Source: proc(5), `/proc/loadavg`.
pub fn load_average() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// Returns how many tasks of the machine run or want to at this moment; `None` if the system does not say.
///
/// Source: proc(5), the fourth field of `/proc/loadavg`.
pub fn runnable_tasks() -> Option<u32> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    let (runnable, _) = text.split_ascii_whitespace().nth(3)?.split_once('/')?;
    runnable.parse().ok()
}

/// Free space of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreeSpace {
    /// Free blocks that ordinary users may take.
    pub blocks: u64,
    /// The size of a block in bytes.
    pub block_size: u64,
}

/// Returns the free space of the file system a path is on.
///
/// # Errors
/// As `statvfs(3)`.
pub fn free_space(path: &Path) -> io::Result<FreeSpace> {
    let found = nix::sys::statvfs::statvfs(path)?;
    Ok(FreeSpace {
        blocks: found.blocks_available(),
        block_size: found.fragment_size(),
    })
}

/// Returns the free blocks of the file system a path is on.
///
/// # Errors
/// As `statvfs(3)`.
pub fn free_blocks(path: &Path) -> io::Result<u64> {
    free_space(path).map(|space| space.blocks)
}

/// Returns the name this machine was given, qualified or not.
pub fn host_name() -> Vec<u8> {
    use std::os::unix::ffi::OsStringExt;
    nix::unistd::gethostname()
        .map(OsStringExt::into_vec)
        .unwrap_or_else(|_| b"localhost".to_vec())
}

/// One answer of the system's own host lookup (hosts file, name service switch).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostEntry {
    /// The canonical name, if the lookup gave one.
    pub canonical_name: Option<Vec<u8>>,
    /// The addresses, in the order given.
    pub addresses: Vec<IpAddr>,
}

/// Why a host lookup through the system gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostLookupError {
    /// There is no such host, or it has no address.
    NotFound,
    /// A server could not be asked; try later.
    Temporary,
}

/// Looks a host up through the system's own resolver.
///
/// # Errors
/// See [`HostLookupError`].
pub fn look_up_host(name: &[u8]) -> Result<HostEntry, HostLookupError> {
    let name = CString::new(name).map_err(|_| HostLookupError::NotFound)?;
    let hints = libc::addrinfo {
        ai_flags: libc::AI_CANONNAME,
        ai_family: libc::AF_UNSPEC,
        ai_socktype: libc::SOCK_STREAM,
        ai_protocol: 0,
        ai_addrlen: 0,
        ai_addr: std::ptr::null_mut(),
        ai_canonname: std::ptr::null_mut(),
        ai_next: std::ptr::null_mut(),
    };
    let mut list: *mut libc::addrinfo = std::ptr::null_mut();
    // SAFETY: all pointers are valid for the whole call; the list is freed below.
    let code =
        unsafe { libc::getaddrinfo(name.as_ptr(), std::ptr::null(), &raw const hints, &mut list) };
    match code {
        0 => {}
        libc::EAI_AGAIN | libc::EAI_SYSTEM | libc::EAI_MEMORY => {
            return Err(HostLookupError::Temporary);
        }
        _ => return Err(HostLookupError::NotFound),
    }
    let mut entry = HostEntry::default();
    let mut next = list;
    // SAFETY: getaddrinfo made a list that ends with a null pointer.
    while let Some(item) = unsafe { next.as_ref() } {
        if entry.canonical_name.is_none() && !item.ai_canonname.is_null() {
            // SAFETY: a string made by getaddrinfo.
            let name = unsafe { CStr::from_ptr(item.ai_canonname) };
            entry.canonical_name = Some(name.to_bytes().to_vec());
        }
        // SAFETY: ai_addr is null or a socket address of family ai_family.
        if let Some(address) = unsafe { address_of(item.ai_addr) }
            && !entry.addresses.contains(&address)
        {
            entry.addresses.push(address);
        }
        next = item.ai_next;
    }
    // SAFETY: the list getaddrinfo made, freed once.
    unsafe { libc::freeaddrinfo(list) };
    Ok(entry)
}

/// Returns the canonical name of a host by the system's own lookup.
pub fn canonical_name(name: &[u8]) -> Option<Vec<u8>> {
    look_up_host(name).ok()?.canonical_name
}

/// Returns the name of an address by the system's own lookup.
pub fn name_of_address(address: IpAddr) -> Option<Vec<u8>> {
    let mut buffer = [0_u8; 1025];
    let address = nix::sys::socket::SockaddrStorage::from(std::net::SocketAddr::new(address, 0));
    use nix::sys::socket::SockaddrLike;
    // SAFETY: the address and the buffer are valid for the whole call.
    let code = unsafe {
        libc::getnameinfo(
            address.as_ptr(),
            address.len(),
            buffer.as_mut_ptr().cast(),
            1025,
            std::ptr::null_mut(),
            0,
            libc::NI_NAMEREQD,
        )
    };
    if code != 0 {
        return None;
    }
    CStr::from_bytes_until_nul(&buffer)
        .ok()
        .map(|name| name.to_bytes().to_vec())
}

/// Returns the TCP port of a service name such as `smtp`, or of a number.
pub fn service_port(name: &[u8]) -> Option<u16> {
    if let Some(port) = std::str::from_utf8(name)
        .ok()
        .and_then(|name| name.parse().ok())
    {
        return Some(port);
    }
    let text = std::fs::read("/etc/services").unwrap_or_default();
    port_in_services(&text, name).or_else(|| {
        // So that a machine without the file can still send and receive mail.
        WELL_KNOWN_PORTS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, port)| *port)
    })
}

const WELL_KNOWN_PORTS: &[(&[u8], u16)] = &[
    (b"smtp", 25),
    (b"mail", 25),
    (b"submission", 587),
    (b"smtps", 465),
    (b"submissions", 465),
    (b"auth", 113),
];

fn port_in_services(text: &[u8], wanted: &[u8]) -> Option<u16> {
    text.split(|&byte| byte == b'\n').find_map(|line| {
        let line = line.split(|&byte| byte == b'#').next()?;
        let mut words = line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty());
        let name = words.next()?;
        let port = std::str::from_utf8(words.next()?)
            .ok()?
            .strip_suffix("/tcp")?
            .parse()
            .ok()?;
        (name == wanted || words.any(|alias| alias == wanted)).then_some(port)
    })
}

/// One address of one network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The interface's name, such as `eth0`.
    pub name: String,
    /// The address.
    pub address: IpAddr,
    /// Whether the interface is a loopback.
    pub is_loopback: bool,
    /// Whether the interface is up.
    pub is_up: bool,
}

/// Lists the addresses of all network interfaces.
///
/// # Errors
/// As `getifaddrs(3)`.
pub fn interface_addresses() -> io::Result<Vec<InterfaceAddress>> {
    use nix::net::if_::InterfaceFlags;
    let mut found = Vec::new();
    for interface in nix::ifaddrs::getifaddrs()? {
        let Some(storage) = interface.address else {
            continue;
        };
        let address: IpAddr = if let Some(v4) = storage.as_sockaddr_in() {
            v4.ip().into()
        } else if let Some(v6) = storage.as_sockaddr_in6() {
            v6.ip().into()
        } else {
            continue;
        };
        found.push(InterfaceAddress {
            name: interface.interface_name,
            address,
            is_loopback: interface.flags.contains(InterfaceFlags::IFF_LOOPBACK),
            is_up: interface.flags.contains(InterfaceFlags::IFF_UP),
        });
    }
    Ok(found)
}

/// Reads an internet address.
///
/// # Safety
/// `address` is null or points to a socket address of the size of its family.
unsafe fn address_of(address: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: by contract null or a socket address, whose first field is the family.
    let family = i32::from(unsafe { address.as_ref() }?.sa_family);
    match family {
        libc::AF_INET => {
            // SAFETY: the family says it is an IPv4 socket address; copied unaligned.
            let v4 = unsafe { address.cast::<libc::sockaddr_in>().read_unaligned() };
            Some(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: the family says it is an IPv6 socket address; copied unaligned.
            let v6 = unsafe { address.cast::<libc::sockaddr_in6>().read_unaligned() };
            Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}

/// Returns the system's words for an error, without its number.
pub fn error_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) if error.raw_os_error().is_some() => text[..end].to_owned(),
        _ => text,
    }
}

/// Returns how many processors are there, at least one.
pub fn processors() -> u32 {
    use nix::unistd::{SysconfVar, sysconf};
    match sysconf(SysconfVar::_NPROCESSORS_ONLN) {
        Ok(Some(count)) => u32::try_from(count).unwrap_or(1).max(1),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_something_about_itself() {
        assert!(!host_name().is_empty());
        assert!(load_average().unwrap() >= 0.0);
        assert!(runnable_tasks().is_some());
        assert!(free_space(Path::new("/")).unwrap().block_size > 0);
        let loopback = interface_addresses().unwrap();
        assert!(loopback.iter().all(|found| !found.name.is_empty()));
    }

    #[test]
    fn localhost_is_found_and_nonsense_is_not() {
        let found = look_up_host(b"localhost").unwrap();
        assert!(found.addresses.iter().any(IpAddr::is_loopback));
        assert_eq!(look_up_host(b"a\0b"), Err(HostLookupError::NotFound));
    }

    #[test]
    fn services_are_found_by_name_alias_and_number() {
        let text = b"# c\nsmtp\t25/tcp mail\nntp 123/udp\nntp 124/tcp # x\n";
        for (name, port) in [
            ("smtp", Some(25)),
            ("mail", Some(25)),
            ("ntp", Some(124)),
            ("x", None),
        ] {
            assert_eq!(port_in_services(text, name.as_bytes()), port, "{name}");
        }
        assert_eq!(service_port(b"2525"), Some(2525));
        assert_eq!(service_port(b"smtp"), Some(25));
    }

    #[test]
    fn an_error_reads_like_the_c_library_says_it() {
        let error = io::Error::from_raw_os_error(libc::ENOENT);
        assert_eq!(error_text(&error), "No such file or directory");
    }
}
