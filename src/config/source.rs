//! Where a configuration finds what it names: files, programs, users, hosts.
//!
//! [`SystemSource`] asks the system; [`FixedSource`] is a list for tests.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::safefile::DontBlameSendmail;
use crate::sys::clock::{Clock, SystemClock, Timestamp};
use crate::sys::host;
use crate::sys::identity::{Credentials, FixedUsers, SystemUsers, UserDatabase};

use super::options::PortFamily;

/// Why a class file could not be read, in the words the message ends with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// What is wrong (`No such file or directory`, `World writable directory`).
    pub reason: String,
    /// The file is not there.
    pub missing: bool,
}

/// One address of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnAddress {
    /// The address.
    pub address: IpAddr,
    /// It belongs to the loopback interface.
    pub is_loopback: bool,
}

/// What the host lookup knows of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostNames {
    /// Its full name.
    pub canonical: Vec<u8>,
    /// Its other names.
    pub aliases: Vec<Vec<u8>>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// What is outside of the configuration file.
pub trait FileSource {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// The system's own, or [`io::ErrorKind::InvalidInput`] when it is no plain file.
    fn configuration(&mut self, path: &Path) -> io::Result<Vec<u8>>;

    /// Reads the file of an F line.
    ///
    /// # Errors
    /// It is missing, unreadable or not safe.
    fn class_file(&mut self, path: &Path, policy: DontBlameSendmail)
    -> Result<Vec<u8>, Unreadable>;

    /// Runs the program of an F line, without arguments, and gives its output.
    ///
    /// # Errors
    /// It cannot be started.
    fn class_program(&mut self, program: &[u8], owner: &Credentials) -> io::Result<Vec<u8>>;

    /// Says whether files and servers may be asked that this source does not stand for.
    fn reaches_out(&self) -> bool {
        true
    }

    /// Gives the users.
    fn users(&self) -> &dyn UserDatabase;

    /// Gives the port of a TCP service.
    fn service_port(&self, name: &[u8]) -> Option<u16>;

    /// Tells whether a name or address means a host of the family.
    fn is_host(&self, name: &[u8], family: PortFamily) -> bool;

    /// Gives the name of this host as the system has it.
    fn host_name(&self) -> Vec<u8>;

    /// Gives what is known of a host by its name.
    fn host_entry(&self, name: &[u8]) -> Option<HostNames>;

    /// Gives the addresses of this host's interfaces.
    fn own_addresses(&self) -> Vec<OwnAddress>;

    /// Gives what is known of a host by its address.
    fn names_of_address(&self, address: IpAddr) -> Option<HostNames>;

    /// Gives a variable of the caller's environment.
    fn environment(&self, name: &[u8]) -> Option<Vec<u8>>;

    /// Gives how many processors there are.
    fn processors(&self) -> u32;

    /// Gives the time.
    fn now(&self) -> Timestamp;

    /// Gives the load average.
    fn load_average(&self) -> f64;
}

/// The system this program runs on.
#[derive(Debug, Clone, Default)]
pub struct SystemSource {
    users: SystemUsers,
    /// The caller's environment: the process has emptied its own by now.
    environment: Vec<(Vec<u8>, Vec<u8>)>,
}

impl SystemSource {
    /// Remembers the environment the program was called with.
    pub fn with_environment(environment: Vec<(Vec<u8>, Vec<u8>)>) -> SystemSource {
        SystemSource {
            environment,
            ..SystemSource::default()
        }
    }
}

impl FileSource for SystemSource {
    fn configuration(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        let file = std::fs::File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a plain file",
            ));
        }
        let mut text = Vec::new();
        io::Read::read_to_end(&mut &file, &mut text)?;
        Ok(text)
    }

    fn class_file(
        &mut self,
        path: &Path,
        policy: DontBlameSendmail,
    ) -> Result<Vec<u8>, Unreadable> {
        crate::safefile::read(path, crate::safefile::Purpose::ClassFile, policy).map_err(|error| {
            Unreadable {
                missing: error.is_not_found(),
                reason: error.to_string(),
            }
        })
    }

    fn class_program(&mut self, program: &[u8], owner: &Credentials) -> io::Result<Vec<u8>> {
        use crate::sys::privilege::{Direct, Privileged};
        use crate::sys::spawn::{SpawnPlan, Stdio};

        let path = crate::sys::file::path_of(program);
        let mut plan = SpawnPlan::new(path, vec![program.to_vec()]);
        plan.environment = vec![(b"AGENT".to_vec(), b"sendmail".to_vec())];
        if crate::sys::process::effective_user() == 0 {
            plan.credentials = Some(owner.clone());
        }
        plan.stdout = Stdio::Pipe;
        let mut child = Direct.spawn(plan)?;
        let mut output = Vec::new();
        if let Some(mut pipe) = child.stdout() {
            io::Read::read_to_end(&mut pipe, &mut output)?;
        }
        child.wait(None)?;
        Ok(output)
    }

    fn users(&self) -> &dyn UserDatabase {
        &self.users
    }

    fn service_port(&self, name: &[u8]) -> Option<u16> {
        host::service_port(name)
    }

    fn is_host(&self, name: &[u8], family: PortFamily) -> bool {
        let text = String::from_utf8_lossy(name);
        match family {
            PortFamily::Local => true,
            PortFamily::Inet if text.parse::<std::net::Ipv4Addr>().is_ok() => true,
            PortFamily::Inet6 if text.parse::<std::net::Ipv6Addr>().is_ok() => true,
            PortFamily::Inet | PortFamily::Inet6 => {
                text.parse::<IpAddr>().is_err()
                    && host::look_up_host(name).is_ok_and(|entry| {
                        entry
                            .addresses
                            .iter()
                            .any(|address| address.is_ipv6() == (family == PortFamily::Inet6))
                    })
            }
        }
    }

    fn host_name(&self) -> Vec<u8> {
        host::host_name()
    }

    fn host_entry(&self, name: &[u8]) -> Option<HostNames> {
        let entry = host::look_up_host(name).ok()?;
        let canonical = entry.canonical_name?;
        let hosts = std::fs::read(HOSTS_FILE).unwrap_or_default();
        Some(HostNames {
            aliases: hosts_aliases(&hosts, &canonical),
            canonical,
            addresses: entry.addresses,
        })
    }

    fn own_addresses(&self) -> Vec<OwnAddress> {
        host::interface_addresses()
            .unwrap_or_default()
            .into_iter()
            .filter(|interface| interface.is_up)
            .map(|interface| OwnAddress {
                address: interface.address,
                is_loopback: interface.is_loopback,
            })
            .collect()
    }

    fn names_of_address(&self, address: IpAddr) -> Option<HostNames> {
        let canonical = host::name_of_address(address)?;
        let hosts = std::fs::read(HOSTS_FILE).unwrap_or_default();
        Some(HostNames {
            aliases: hosts_aliases(&hosts, &canonical),
            canonical,
            addresses: vec![address],
        })
    }

    fn environment(&self, name: &[u8]) -> Option<Vec<u8>> {
        let mut variables = self.environment.iter();
        let (_, value) = variables.find(|(known, _)| known == name)?;
        Some(value.clone())
    }

    fn processors(&self) -> u32 {
        crate::sys::host::processors()
    }

    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    fn load_average(&self) -> f64 {
        host::load_average().unwrap_or(0.0)
    }
}

/// Where the aliases of a host stand; the lookup of the C library does not tell them.
const HOSTS_FILE: &str = "/etc/hosts";

/// Gives the other names on the first line of the hosts file that begins with `canonical`.
fn hosts_aliases(hosts: &[u8], canonical: &[u8]) -> Vec<Vec<u8>> {
    hosts
        .split(|&byte| byte == b'\n')
        .find_map(|line| {
            let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
            let mut words = crate::text::bytes::words(line).skip(1);
            words
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case(canonical))
                .then(|| words.map(<[u8]>::to_vec).collect())
        })
        .unwrap_or_default()
}

/// A small world for tests.
#[derive(Debug, Clone, Default)]
pub struct FixedSource {
    /// Files by path.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// Output of programs by command line.
    pub programs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Users and groups.
    pub users: FixedUsers,
    /// Name of this host.
    pub host_name: Vec<u8>,
    /// Hosts that are known.
    pub hosts: Vec<HostNames>,
    /// Addresses of this host.
    pub addresses: Vec<OwnAddress>,
    /// The caller's environment.
    pub environment: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl FixedSource {
    /// Makes a world with one configuration file and the host `mail.example.test`.
    pub fn with_file(path: &str, text: &[u8]) -> Self {
        let host = HostNames {
            canonical: b"mail.example.test".to_vec(),
            aliases: vec![b"mail".to_vec()],
            addresses: vec![IpAddr::from([192, 0, 2, 10])],
        };
        Self {
            files: BTreeMap::from([(path.into(), text.to_vec())]),
            host_name: b"mail.example.test".to_vec(),
            hosts: vec![host],
            ..Self::default()
        }
    }

    fn find(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files
            .get(path)
            .cloned()
            .ok_or_else(|| io::Error::from_raw_os_error(libc_enoent()))
    }
}

/// The error number of a missing file, so that tests see the system's own words.
const fn libc_enoent() -> i32 {
    2
}

impl FileSource for FixedSource {
    fn reaches_out(&self) -> bool {
        false
    }

    fn configuration(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        self.find(path)
    }

    fn class_file(&mut self, path: &Path, _: DontBlameSendmail) -> Result<Vec<u8>, Unreadable> {
        self.find(path).map_err(|error| Unreadable {
            reason: host::error_text(&error),
            missing: true,
        })
    }

    fn class_program(&mut self, program: &[u8], _: &Credentials) -> io::Result<Vec<u8>> {
        self.programs
            .get(program)
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn users(&self) -> &dyn UserDatabase {
        &self.users
    }

    fn service_port(&self, name: &[u8]) -> Option<u16> {
        let text = String::from_utf8_lossy(name);
        text.parse().ok().or((name == b"smtp").then_some(25))
    }

    fn is_host(&self, name: &[u8], family: PortFamily) -> bool {
        let address = String::from_utf8_lossy(name).parse::<IpAddr>();
        family == PortFamily::Local
            || address.is_ok_and(|address| address.is_ipv6() == (family == PortFamily::Inet6))
            || self.host_entry(name).is_some()
    }

    fn host_name(&self) -> Vec<u8> {
        self.host_name.clone()
    }

    fn host_entry(&self, name: &[u8]) -> Option<HostNames> {
        self.hosts
            .iter()
            .find(|host| host.canonical == name || host.aliases.iter().any(|alias| alias == name))
            .cloned()
    }

    fn own_addresses(&self) -> Vec<OwnAddress> {
        self.addresses.clone()
    }

    fn names_of_address(&self, address: IpAddr) -> Option<HostNames> {
        self.hosts
            .iter()
            .find(|host| host.addresses.contains(&address))
            .cloned()
    }

    fn environment(&self, name: &[u8]) -> Option<Vec<u8>> {
        self.environment.get(name).cloned()
    }

    fn processors(&self) -> u32 {
        1
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(0)
    }

    fn load_average(&self) -> f64 {
        0.0
    }
}
