//! Delivery to a file: append the message under a lock, or leave no trace.
//!
//! The file is opened as the controlling user and judged on the open descriptor:
//! no links, no execute bits, no device but those that swallow everything. What
//! was appended is synced before the recipient counts as delivered to; a failed
//! append is cut off again.
//!
//! Source: guide 4.9 and 5.4 (mailer *file*).

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::config::options::Security;
use crate::safefile::DontBlameSendmail;
use crate::smtp::ExitStatus;
use crate::sys::file::FileKind;
use crate::sys::identity::Credentials;
use crate::sys::lock::{FileLock, LockError};
use crate::sys::privilege::Privileged;
use crate::sys::safe_open::{OpenError, OpenRequest, OpenRules, Purpose};

use super::program::Letter;

/// How long another program may hold the file's lock before the delivery is put off.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);

/// Pause between two tries for the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Why nothing was appended.
#[derive(Debug)]
pub struct FileFailure {
    /// The exit status that stands for it.
    pub exit: ExitStatus,
    /// What is wrong, in words for log and transcript.
    pub reason: String,
}

/// The file a message is appended to.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its path, seen from the root.
    pub path: PathBuf,
    /// The folder it is confined to ([`environment`]).
    pub root: Option<PathBuf>,
    /// Whose rights open it; `None` keeps ours.
    pub credentials: Option<Credentials>,
    /// Nobody's own rights were given: a set-id file is written as its owner and group.
    pub follows_set_ids: bool,
    /// Permission bits of a file that has to be made (TempFileMode).
    pub new_mode: u32,
}

/// Appends the message to a file with the rights of the target's user.
///
/// # Errors
/// [`FileFailure`]; the file is as it was.
pub fn append(
    privileged: &dyn Privileged,
    security: &Security,
    target: &Target,
    letter: &mut Letter<'_>,
) -> Result<(), FileFailure> {
    let request = request(security, target);
    let opened = privileged
        .open_as(&request)
        .map_err(|error| refused(&error))?;
    if opened.facts.kind != FileKind::Regular {
        return write_all(&opened.file, letter).map_err(|error| broken(&error));
    }
    let lock = wait_for_lock(opened.file)?;
    let mut file = lock.file();
    let before = file
        .seek(SeekFrom::End(0))
        .map_err(|error| broken(&error))?;
    let written = write_all(file, letter).and_then(|()| file.sync_data());
    written.map_err(|error| {
        // Half a message in a mailbox would be read as a whole one.
        let _ = file.set_len(before);
        broken(&error)
    })
}

/// The mode bit that has a program run as the owner of its file.
const SET_USER_ID: u32 = 0o4000;
/// The mode bit that has a program run in the group of its file.
const SET_GROUP_ID: u32 = 0o2000;

fn request(security: &Security, target: &Target) -> OpenRequest {
    let relaxed = |word| security.dont_blame_sendmail.allows(word);
    let mut rules = OpenRules::REGULAR_ONLY | OpenRules::NO_EXECUTE_BITS;
    if target.root.is_none() {
        rules = rules | OpenRules::DEVICES_ALLOWED;
    }
    if !relaxed(DontBlameSendmail::FILE_DELIVERY_TO_SYM_LINK) {
        rules = rules | OpenRules::NO_FINAL_LINK;
    }
    if !relaxed(DontBlameSendmail::FILE_DELIVERY_TO_HARD_LINK) {
        rules = rules | OpenRules::NO_HARD_LINKS;
    }
    OpenRequest {
        path: target.path.clone(),
        credentials: credentials(target),
        purpose: Purpose::AppendDelivery {
            create_mode: Some(target.new_mode),
        },
        rules,
        root: target.root.clone(),
    }
}

/// Gives the folder a file recipient is confined to.
///
/// Observed: 8.17.1.9 lets what swallows everything do so in any environment.
pub fn environment<'a>(security: &'a Security, path: &[u8]) -> Option<&'a Path> {
    let root = security.safe_file_environment.as_deref();
    root.filter(|_| path != b"/dev/null")
}

/// Chooses whose rights a file is opened with.
///
/// Observed: 8.17.1.9 writes to a set-user-id file as its owner, unless that is root, and
/// to a set-group-id file with its group, when only an alias names the file.
fn credentials(target: &Target) -> Option<Credentials> {
    use std::os::unix::fs::MetadataExt;
    let given = target.credentials.clone()?;
    if !target.follows_set_ids || target.root.is_some() {
        return Some(given);
    }
    // The last part may change before it is opened: nothing is gained but its owner's rights.
    let Ok(facts) = std::fs::symlink_metadata(&target.path) else {
        return Some(given);
    };
    let is_set = |bit| facts.is_file() && facts.mode() & bit != 0;
    let uid = match is_set(SET_USER_ID) && facts.uid() != 0 {
        true => facts.uid(),
        false => given.uid,
    };
    let gid = if is_set(SET_GROUP_ID) {
        facts.gid()
    } else {
        given.gid
    };
    match (uid, gid) == (given.uid, given.gid) {
        true => Some(given),
        false => Some(Credentials::plain(uid, gid)),
    }
}

fn wait_for_lock(file: File) -> Result<FileLock, FileFailure> {
    let until = Instant::now() + LOCK_PATIENCE;
    let mut file = file;
    loop {
        match FileLock::try_exclusive(file) {
            Ok(lock) => return Ok(lock),
            Err((unlocked, LockError::Busy)) if Instant::now() < until => {
                file = unlocked;
                std::thread::sleep(LOCK_PAUSE);
            }
            Err((_, error)) => {
                return Err(FileFailure {
                    exit: ExitStatus::TempFail,
                    reason: format!("cannot lock: {error}"),
                });
            }
        }
    }
}

fn write_all(file: &File, letter: &mut Letter<'_>) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    letter(&mut out)?;
    // A blank line parts the messages of a mailbox.
    out.write_all(b"\n")?;
    out.flush()
}

fn refused(error: &OpenError) -> FileFailure {
    let exit = match error {
        OpenError::Io(source) if is_transient(source) => ExitStatus::TempFail,
        _ => ExitStatus::CantCreate,
    };
    FileFailure {
        exit,
        reason: format!("cannot open: {error}"),
    }
}

fn broken(error: &io::Error) -> FileFailure {
    FileFailure {
        exit: ExitStatus::IoError,
        reason: format!("I/O error: {error}"),
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::WouldBlock
            | io::ErrorKind::OutOfMemory
            | io::ErrorKind::TimedOut
            | io::ErrorKind::StaleNetworkFileHandle
    )
}

/// Puts together the path of a file recipient: SafeFileEnvironment's prefix is not repeated.
///
/// Observed: 8.17.1.9 takes the prefix off letter by letter: below `/safe`, `/safebox` is `/box`.
pub fn path_inside(security: &Security, path: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    let root = security.safe_file_environment.as_deref();
    let inside = root.and_then(|root| path.strip_prefix(root.as_os_str().as_bytes()));
    let path_of = |path: &[u8]| crate::sys::file::path_buf_of(path.to_vec());
    match inside {
        Some(inside) => Path::new("/").join(path_of(inside)),
        None => path_of(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::privilege::Unprivileged;
    use std::fs;

    fn append_with(path: &Path, letter: &mut Letter<'_>) -> Result<(), FileFailure> {
        let target = Target {
            path: path.to_path_buf(),
            root: None,
            credentials: None,
            follows_set_ids: false,
            new_mode: 0o600,
        };
        append(&Unprivileged, &Security::default(), &target, letter)
    }

    fn append_to(path: &Path, text: &[u8]) -> Result<(), FileFailure> {
        append_with(path, &mut |out: &mut dyn Write| out.write_all(text))
    }

    #[test]
    fn messages_follow_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("box");
        append_to(&path, b"one\n").unwrap();
        append_to(&path, b"two\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one\n\ntwo\n\n");
    }

    #[test]
    fn a_failed_append_leaves_the_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("box");
        append_to(&path, b"one\n").unwrap();
        let mut letter = |out: &mut dyn Write| {
            out.write_all(&[b'x'; 100_000])?;
            Err(io::Error::other("the body is gone"))
        };
        let failure = append_with(&path, &mut letter).unwrap_err();
        assert_eq!(failure.exit, ExitStatus::IoError);
        assert_eq!(fs::read(&path).unwrap(), b"one\n\n");
    }

    #[test]
    fn links_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("box");
        append_to(&path, b"one\n").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(
            append_to(&link, b"two\n").unwrap_err().exit,
            ExitStatus::CantCreate
        );
        fs::hard_link(&path, folder.path().join("hard")).unwrap();
        assert_eq!(
            append_to(&path, b"two\n").unwrap_err().exit,
            ExitStatus::CantCreate
        );
    }
}
