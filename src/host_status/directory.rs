//! The files under `HostStatusDirectory`: one per host, shared by all processes.
//!
//! A host's labels become folders in reverse order, so that `mx1.far.test` is
//! `test./far./mx1`; an address literal keeps its order. Only names made of
//! harmless octets become paths. Files are written in place, because the lock
//! that SingleThreadDelivery needs is on the file itself; a reader that comes in
//! between finds no closing dot and knows nothing.
//!
//! Source: guide 4.7 (HostStatusDirectory), observed: 8.17.1.9.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::host_status::record::{HostRecord, MAX_RECORD};
use crate::sys::file::{FileFacts, path_of};
use crate::sys::lock::FileLock;

/// Deepest nesting of folders that is walked.
const MAX_DEPTH: usize = 32;

/// The folder all host status files are under.
#[derive(Clone, Debug)]
pub struct HostStatusDirectory {
    path: PathBuf,
}

/// What became of an attempt to lock a host.
#[derive(Debug)]
pub enum HostLock {
    /// Nobody else delivers to the host while this is held.
    Taken(FileLock),
    /// Somebody else delivers to it.
    Busy,
    /// The host's name cannot be a file's, so there is nothing to lock.
    NoFile,
}

/// One host as `hoststat` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The host's name.
    pub host: Vec<u8>,
    /// What is known of it.
    pub record: HostRecord,
    /// Somebody is delivering to it now.
    pub is_locked: bool,
}

impl HostStatusDirectory {
    /// Names the folder; nothing is touched yet.
    pub fn new(path: PathBuf) -> Self {
        HostStatusDirectory { path }
    }

    /// Reads what is known of a host.
    pub fn load(&self, host: &[u8]) -> Option<HostRecord> {
        read_record(&File::open(self.file_of(host)?).ok()?)
    }

    /// Writes what is known of a host.
    ///
    /// # Errors
    /// What the system says; the caller goes on without.
    pub fn store(&self, host: &[u8], record: &HostRecord) -> io::Result<()> {
        let Some(file) = self.file_of(host) else {
            return Ok(());
        };
        let mut file = self.open_for_update(&file)?;
        file.rewind()?;
        let text = record.to_text();
        file.write_all(&text)?;
        file.set_len(u64::try_from(text.len()).unwrap_or(0))
    }

    /// Takes the lock of a host for SingleThreadDelivery.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn lock(&self, host: &[u8]) -> io::Result<HostLock> {
        let Some(path) = self.file_of(host) else {
            return Ok(HostLock::NoFile);
        };
        Ok(
            match FileLock::try_exclusive(self.open_for_update(&path)?) {
                Ok(lock) => HostLock::Taken(lock),
                Err(_) => HostLock::Busy,
            },
        )
    }

    /// Lists all hosts.
    ///
    /// # Errors
    /// The folder itself cannot be read; what is wrong below it is passed over.
    pub fn list(&self) -> io::Result<Vec<Listed>> {
        let mut found = Vec::new();
        let mut labels = Vec::new();
        let entries = fs::read_dir(&self.path)?;
        walk(entries, &mut labels, &mut |path, host| {
            let Some(host) = host else { return };
            let Ok(file) = File::open(path) else { return };
            let Some(record) = read_record(&file) else {
                return;
            };
            let is_locked = FileLock::try_exclusive(file).is_err();
            found.push(Listed {
                host,
                record,
                is_locked,
            });
        });
        Ok(found)
    }

    /// Removes the files that were last written before `oldest` (seconds since 1970), whatever is
    /// in them, and empty folders to or from which nothing came or went since then.
    /// Observed: 8.17.1.9.
    ///
    /// # Errors
    /// The folder itself cannot be read.
    pub fn purge(&self, oldest: i64) -> io::Result<()> {
        let entries = fs::read_dir(&self.path)?;
        walk(entries, &mut Vec::new(), &mut |path, host| {
            let changed = FileFacts::at_link(path).map(|facts| facts.modified.seconds());
            if changed.is_ok_and(|changed| changed <= oldest) {
                // A folder that is not empty stays.
                let _ = match host {
                    Some(_) => fs::remove_file(path),
                    None => fs::remove_dir(path),
                };
            }
        });
        Ok(())
    }

    /// The file of a host; `None` for a name that must not become a path.
    fn file_of(&self, host: &[u8]) -> Option<PathBuf> {
        let labels = labels_of(host)?;
        let mut path = self.path.clone();
        let last = labels.len().checked_sub(1)?;
        for (at, label) in labels.iter().rev().enumerate() {
            if at == last {
                path.push(path_of(label));
            } else {
                path.push(path_of(&[label, &b"."[..]].concat()));
            }
        }
        Some(path)
    }

    fn open_for_update(&self, file: &Path) -> io::Result<File> {
        if let Some(folder) = file.parent().filter(|folder| !folder.is_dir()) {
            self.make_folders(folder)?;
        }
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(file)
    }

    /// Makes the folders of a host; everybody may look at the status of hosts, whatever the umask.
    fn make_folders(&self, folder: &Path) -> io::Result<()> {
        let mut missing: Vec<&Path> = folder
            .ancestors()
            .take_while(|path| *path != self.path && !path.is_dir())
            .collect();
        while let Some(path) = missing.pop() {
            match DirBuilder::new().mode(0o755).create(path) {
                Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(0o755))?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The labels of a host; those of an address in brackets are its numbers.
fn labels_of(host: &[u8]) -> Option<Vec<&[u8]>> {
    let host = host.strip_suffix(b".").unwrap_or(host);
    let literal = host
        .strip_prefix(b"[")
        .and_then(|inner| inner.strip_suffix(b"]"));
    let name = literal.unwrap_or(host);
    let harmless = |octet: &u8| octet.is_ascii_alphanumeric() || b"-_:.".contains(octet);
    if name.is_empty() || name.len() > 255 || !name.iter().all(harmless) {
        return None;
    }
    let labels: Vec<&[u8]> = name.split(|&octet| octet == b'.').collect();
    if labels.iter().any(|label| label.is_empty()) {
        return None;
    }
    Some(labels)
}

fn read_record(file: &File) -> Option<HostRecord> {
    let mut text = Vec::new();
    file.take(MAX_RECORD).read_to_end(&mut text).ok()?;
    HostRecord::parse(&text)
}

/// Visits all files below with the host names their places stand for, and each folder after its files.
fn walk(
    entries: fs::ReadDir,
    labels: &mut Vec<Vec<u8>>,
    visit: &mut dyn FnMut(&Path, Option<Vec<u8>>),
) {
    for entry in entries.flatten() {
        let name = entry.file_name().as_bytes().to_vec();
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() && labels.len() < MAX_DEPTH {
            if let (Some(label), Ok(below)) = (name.strip_suffix(b"."), fs::read_dir(entry.path()))
            {
                labels.push(label.to_vec());
                walk(below, labels, visit);
                labels.pop();
                visit(&entry.path(), None);
            }
        } else if kind.is_file() {
            visit(&entry.path(), Some(host_of(labels, &name)));
        }
    }
}

fn host_of(folders: &[Vec<u8>], name: &[u8]) -> Vec<u8> {
    let mut labels: Vec<&[u8]> = vec![name];
    labels.extend(folders.iter().rev().map(Vec::as_slice));
    labels.join(&b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(updated: i64) -> HostRecord {
        HostRecord {
            exit: 75,
            updated,
            ..HostRecord::default()
        }
    }

    #[test]
    fn hosts_become_folders_and_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let directory = HostStatusDirectory::new(folder.path().to_path_buf());
        for host in ["mx1.far.test.", "closed.test", "[127.0.0.1]", "localhost"] {
            directory.store(host.as_bytes(), &record(5)).unwrap();
            assert_eq!(directory.load(host.as_bytes()), Some(record(5)), "{host}");
        }
        assert!(folder.path().join("test./far./mx1").is_file());
        let mut hosts: Vec<String> = directory
            .list()
            .unwrap()
            .into_iter()
            .map(|listed| String::from_utf8(listed.host).unwrap())
            .collect();
        hosts.sort();
        assert_eq!(
            hosts,
            ["127.0.0.1", "closed.test", "localhost", "mx1.far.test"]
        );
    }

    #[test]
    fn dangerous_names_have_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let directory = HostStatusDirectory::new(folder.path().to_path_buf());
        for host in ["../../etc/passwd", "a/b", "", ".", "a..b", "x y"] {
            directory.store(host.as_bytes(), &record(5)).unwrap();
        }
        assert!(directory.list().unwrap().is_empty());
    }

    #[test]
    fn old_files_are_purged_and_later_their_folders() {
        let folder = tempfile::tempdir().unwrap();
        let directory = HostStatusDirectory::new(folder.path().to_path_buf());
        directory.store(b"a.old.test", &record(5)).unwrap();
        directory.store(b"b.new.test", &record(50)).unwrap();
        // It is the file that is old, not what it tells.
        let file = File::open(folder.path().join("test./old./a")).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        directory.purge(10).unwrap();
        assert_eq!(directory.load(b"a.old.test"), None);
        let emptied = folder.path().join("test./old.");
        assert!(emptied.exists());
        let opened = File::open(&emptied).unwrap();
        opened.set_modified(std::time::UNIX_EPOCH).unwrap();
        directory.purge(10).unwrap();
        assert!(!emptied.exists());
        assert_eq!(directory.load(b"b.new.test"), Some(record(50)));
    }

    #[test]
    fn a_locked_host_is_shown_as_locked() {
        let folder = tempfile::tempdir().unwrap();
        let directory = HostStatusDirectory::new(folder.path().to_path_buf());
        directory.store(b"a.test", &record(5)).unwrap();
        let lock = directory.lock(b"a.test").unwrap();
        assert!(matches!(directory.lock(b"a.test").unwrap(), HostLock::Busy));
        assert!(directory.list().unwrap()[0].is_locked);
        drop(lock);
        assert!(!directory.list().unwrap()[0].is_locked);
    }
}
