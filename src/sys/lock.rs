//! Advisory locks on whole files: `flock(2)`.
//!
//! The reference locks queue files and databases this way, so ours exclude it
//! and each other. The lock belongs to the open file: it also excludes threads
//! of one process from each other, and a forked child shares it. That is why
//! dropping a [`FileLock`] unlocks explicitly: a child may still hold a copy of
//! the descriptor, and closing ours alone would leave the file locked.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Why a lock could not be taken.
#[derive(Debug)]
pub enum LockError {
    /// Someone else holds it.
    Busy,
    /// The system refused.
    Io(io::Error),
}

impl std::fmt::Display for LockError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LockError::Busy => f.write_str("locked by another process"),
            LockError::Io(error) => write!(f, "cannot lock: {error}"),
        }
    }
}

impl std::error::Error for LockError {}

/// An open file and the lock on it; dropping it unlocks, then closes.
#[derive(Debug)]
pub struct FileLock {
    /// Always there until `hand_to_child` takes it out.
    file: Option<File>,
}

impl FileLock {
    /// Takes the exclusive lock without waiting.
    ///
    /// # Errors
    /// The file comes back with the reason.
    pub fn try_exclusive(file: File) -> Result<FileLock, (File, LockError)> {
        Self::take(file, libc::LOCK_EX | libc::LOCK_NB)
    }

    /// Takes the exclusive lock, waiting for its holder.
    ///
    /// # Errors
    /// The file comes back with the reason.
    pub fn exclusive(file: File) -> Result<FileLock, (File, LockError)> {
        Self::take(file, libc::LOCK_EX)
    }

    /// Takes a shared lock without waiting.
    ///
    /// # Errors
    /// The file comes back with the reason.
    pub fn try_shared(file: File) -> Result<FileLock, (File, LockError)> {
        Self::take(file, libc::LOCK_SH | libc::LOCK_NB)
    }

    /// Takes a shared lock, waiting for the holder of an exclusive one.
    ///
    /// # Errors
    /// The file comes back with the reason.
    pub fn shared(file: File) -> Result<FileLock, (File, LockError)> {
        Self::take(file, libc::LOCK_SH)
    }

    fn take(file: File, operation: i32) -> Result<FileLock, (File, LockError)> {
        match flock(file.as_fd(), operation) {
            Ok(()) => Ok(FileLock { file: Some(file) }),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err((file, LockError::Busy)),
            Err(error) => Err((file, LockError::Io(error))),
        }
    }

    /// Returns the locked file.
    pub fn file(&self) -> &File {
        self.file
            .as_ref()
            .expect("the file is taken out only by methods that consume the lock")
    }

    /// Returns the locked file for writing.
    pub fn file_mut(&mut self) -> &mut File {
        self.file
            .as_mut()
            .expect("the file is taken out only by methods that consume the lock")
    }

    /// Gives the lock up without unlocking: a forked child has it now.
    ///
    /// Closing the returned file leaves the lock with the child.
    pub fn hand_to_child(mut self) -> File {
        self.file
            .take()
            .expect("the file is taken out only by methods that consume the lock")
    }

    /// Unlocks and returns the file, still open.
    pub fn unlock(mut self) -> File {
        let file = self
            .file
            .take()
            .expect("the file is taken out only by methods that consume the lock");
        let _ = flock(file.as_fd(), libc::LOCK_UN);
        file
    }
}

/// Tells whether somebody holds the exclusive lock on a file, and closes it.
///
/// For processes that do not fork meanwhile: the shared lock this takes for an instant is
/// given up by closing the file.
pub fn is_held_elsewhere(file: File) -> bool {
    match flock(file.as_fd(), libc::LOCK_SH | libc::LOCK_NB) {
        Ok(()) => false,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            let _ = flock(file.as_fd(), libc::LOCK_UN);
        }
    }
}

/// Locks a whole file the other way, by `fcntl(2)`, without waiting.
///
/// Readers of mailboxes use either kind, so whoever writes to one takes both. This one
/// belongs to the process and ends with the file's first descriptor that is closed.
///
/// # Errors
/// [`LockError::Busy`] if another process has it.
pub fn lock_records(file: &File) -> Result<(), LockError> {
    let whole = libc::flock {
        // The numbers of the C library fit; it only has them in wider types.
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    // SAFETY: the descriptor is open and the lock valid for the whole call.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &raw const whole) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EAGAIN) => Err(LockError::Busy),
        _ => Err(LockError::Io(error)),
    }
}

fn flock(file: BorrowedFd<'_>, operation: i32) -> io::Result<()> {
    loop {
        // SAFETY: the descriptor is open for the whole call.
        if unsafe { libc::flock(file.as_raw_fd(), operation) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &std::path::Path) -> File {
        File::options().read(true).write(true).open(path).unwrap()
    }

    fn is_busy(path: &std::path::Path) -> bool {
        matches!(
            FileLock::try_exclusive(open(path)),
            Err((_, LockError::Busy))
        )
    }

    #[test]
    fn a_second_opener_finds_the_file_busy_until_the_guard_goes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lock = FileLock::try_exclusive(open(file.path())).unwrap();
        assert!(is_busy(file.path()));
        drop(lock);
        assert!(!is_busy(file.path()));
    }

    #[test]
    fn dropping_unlocks_even_when_a_copy_of_the_descriptor_lives_on() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lock = FileLock::try_exclusive(open(file.path())).unwrap();
        let copy = lock.file().try_clone().unwrap();
        drop(lock);
        assert!(!is_busy(file.path()));
        drop(copy);
    }

    #[test]
    fn handing_to_a_child_leaves_the_lock_with_the_copy() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lock = FileLock::try_exclusive(open(file.path())).unwrap();
        let childs_copy = lock.file().try_clone().unwrap();
        drop(lock.hand_to_child());
        assert!(is_busy(file.path()));
        drop(childs_copy);
    }
}
