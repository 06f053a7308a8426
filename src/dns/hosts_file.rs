//! The hosts file: names and addresses a site keeps without DNS.
//!
//! [`HostsFile`] reads the file when it is first needed and again when its time,
//! size or inode change; until then a lookup costs one `stat`, or less where [`Moments`] are counted. Source: hosts(5).

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use crate::sys::file::FileFacts;
use crate::sys::moment::{LastLook, Moments};

/// Largest hosts file read, in octets; what follows is not seen.
const MAX_FILE_SIZE: u64 = 8 * 1_048_576;

/// The contents of a hosts file.
#[derive(Debug, Default)]
pub struct HostsTable {
    addresses: HashMap<Vec<u8>, Vec<IpAddr>>,
    names: HashMap<IpAddr, Vec<u8>>,
    canonical: HashMap<Vec<u8>, Vec<u8>>,
}

impl HostsTable {
    /// Parses the text; lines without an address at the front are skipped.
    pub fn parse(text: &[u8]) -> Self {
        let mut table = HostsTable::default();
        for line in text.split(|&byte| byte == b'\n') {
            let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
            let mut words = line
                .split(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
                .filter(|word| !word.is_empty());
            let address = words
                .next()
                .and_then(|word| std::str::from_utf8(word).ok())
                .and_then(|word| word.parse::<IpAddr>().ok());
            let Some(address) = address else { continue };
            let names: Vec<&[u8]> = words.collect();
            let Some(&first) = names.first() else {
                continue;
            };
            table.names.entry(address).or_insert_with(|| first.to_vec());
            let canonical = full_name(&names);
            for name in names.iter().map(|name| name.to_ascii_lowercase()) {
                let known = table.addresses.entry(name.clone()).or_default();
                if !known.contains(&address) {
                    known.push(address);
                }
                table
                    .canonical
                    .entry(name)
                    .or_insert_with(|| canonical.to_vec());
            }
        }
        table
    }

    /// The addresses of a name, in the order of the file.
    pub fn addresses(&self, name: &[u8]) -> &[IpAddr] {
        self.addresses
            .get(&name.to_ascii_lowercase())
            .map_or(&[], Vec::as_slice)
    }

    /// The first name on the first line of an address.
    pub fn name_of(&self, address: IpAddr) -> Option<&[u8]> {
        self.names.get(&address).map(Vec::as_slice)
    }

    /// The full name on the line where `name` is one of the names.
    pub fn canonical_name(&self, name: &[u8]) -> Option<&[u8]> {
        self.canonical
            .get(&name.to_ascii_lowercase())
            .map(Vec::as_slice)
    }
}

/// The first name with a dot, else the first name: people write short names first, too.
fn full_name<'a>(names: &[&'a [u8]]) -> &'a [u8] {
    names
        .iter()
        .find(|name| name.contains(&b'.'))
        .or(names.first())
        .copied()
        .unwrap_or_default()
}

/// A hosts file on disk, read again when it changes.
#[derive(Debug)]
pub struct HostsFile {
    path: PathBuf,
    looked: LastLook,
    /// The last contents read; written only when the version changes, by any thread.
    read: RwLock<(Option<FileFacts>, Arc<HostsTable>)>,
}

impl HostsFile {
    /// Names the file; nothing is read yet.
    pub fn new(path: PathBuf, moments: Moments) -> Self {
        HostsFile {
            path,
            looked: LastLook::new(moments),
            read: RwLock::default(),
        }
    }

    /// The current contents; a file that is not there is empty.
    ///
    /// # Errors
    /// What the system says about a file that is there but cannot be read.
    pub fn table(&self) -> io::Result<Arc<HostsTable>> {
        if self.looked.is_of_now() {
            let read = self.read.read().unwrap_or_else(PoisonError::into_inner);
            return Ok(Arc::clone(&read.1));
        }
        let version = match FileFacts::at(&self.path) {
            Ok(found) => Some(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        {
            let read = self.read.read().unwrap_or_else(PoisonError::into_inner);
            if read.0 == version {
                self.looked.note();
                return Ok(Arc::clone(&read.1));
            }
        }
        let table = match version {
            Some(_) => Arc::new(HostsTable::parse(&self.contents()?)),
            None => Arc::default(),
        };
        let mut read = self.read.write().unwrap_or_else(PoisonError::into_inner);
        *read = (version, Arc::clone(&table));
        Ok(table)
    }

    fn contents(&self) -> io::Result<Vec<u8>> {
        use std::io::Read;
        let mut text = Vec::new();
        fs::File::open(&self.path)?
            .take(MAX_FILE_SIZE)
            .read_to_end(&mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"127.0.0.1 localhost\n::1 localhost ip6-localhost # six\n\
        192.0.2.5\tmail mail.example.org MX.example.org\nbad line\n192.0.2.6\n192.0.2.7 mail.example.org\n";

    #[test]
    fn names_and_addresses_are_found_both_ways() {
        let table = HostsTable::parse(TEXT);
        assert_eq!(table.addresses(b"LOCALHOST").len(), 2);
        assert_eq!(table.addresses(b"mail.example.org").len(), 2);
        assert_eq!(
            table.name_of("192.0.2.5".parse().unwrap()),
            Some(b"mail".as_slice())
        );
        assert_eq!(
            table.canonical_name(b"mx.example.org"),
            Some(b"mail.example.org".as_slice())
        );
        assert_eq!(
            table.canonical_name(b"localhost"),
            Some(b"localhost".as_slice())
        );
        assert_eq!(table.name_of("192.0.2.6".parse().unwrap()), None);
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_missing_one_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        let file = HostsFile::new(path.clone(), Moments::default());
        assert!(file.table().unwrap().addresses(b"a").is_empty());
        std::fs::write(&path, "192.0.2.1 a\n").unwrap();
        assert_eq!(file.table().unwrap().addresses(b"a").len(), 1);
        std::fs::write(&path, "192.0.2.1 a\n192.0.2.2 a\n").unwrap();
        assert_eq!(file.table().unwrap().addresses(b"a").len(), 2);
    }
}
