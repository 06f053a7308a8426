//! The file that says which process the daemon is.
//!
//! First line the process id, second the command line, mode 0600; locked while
//! the daemon runs and removed at its end. Observed: 8.17.1.9.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::sys::lock::{FileLock, LockError};

/// A pid file that is ours; removed when dropped.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    _lock: FileLock,
}

impl PidFile {
    /// Writes the file.
    ///
    /// # Errors
    /// It cannot be made, or another process holds it.
    pub fn write(path: &Path, process_id: u32, command_line: &[u8]) -> io::Result<PidFile> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        let mut lock = FileLock::try_exclusive(file).map_err(|(_, error)| match error {
            LockError::Busy => io::Error::other("file in use by another process"),
            LockError::Io(error) => error,
        })?;
        // Only now: until here it may have been another daemon's.
        let mut text = format!("{process_id}\n").into_bytes();
        text.extend_from_slice(command_line);
        text.push(b'\n');
        let file = lock.file_mut();
        file.set_len(0)?;
        file.write_all(&text)?;
        Ok(PidFile {
            path: path.to_owned(),
            _lock: lock,
        })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_file_names_the_process_and_goes_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        std::fs::write(
            &path,
            "a much longer text of an earlier daemon that crashed",
        )
        .unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let file = PidFile::write(&path, 123, b"/usr/sbin/sendmail -bd").unwrap();
        assert_eq!(
            std::fs::read(&path).unwrap(),
            b"123\n/usr/sbin/sendmail -bd\n"
        );
        let second = PidFile::write(&path, 124, b"x").unwrap_err();
        assert_eq!(second.to_string(), "file in use by another process");
        assert_eq!(
            std::fs::read(&path).unwrap(),
            b"123\n/usr/sbin/sendmail -bd\n"
        );
        drop(file);
        assert!(!path.exists());
    }
}
