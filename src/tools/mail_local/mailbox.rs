//! One user's mailbox: locked, opened as the user, appended to, synced.
//!
//! A new mailbox and the file `USER.lock` beside it are made with our own rights,
//! because users cannot write to the folder; everything else happens with the rights
//! of the user alone, so that quotas count and no link leads anywhere the user could
//! not write. What could not be written as a whole is cut off again.
//!
//! Source: mail.local(8); texts and codes observed: 8.17.1.9.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::sys::clock::{Clock, SystemClock};
use crate::sys::file::{FileFacts, FileKind, path_buf_of, path_of, set_owner};
use crate::sys::host::error_text;
use crate::sys::identity::{Credentials, User};
use crate::sys::lock::{FileLock, LockError, lock_records};
use crate::sys::privilege::{Direct, Privileged};
use crate::sys::process::{effective_user, real_user};
use crate::sys::safe_open::{OpenError, OpenRequest, OpenRules, Purpose};
use crate::sys::thread_identity::BorrowedIdentity;

use super::spool::Spool;

/// How long others may hold a mailbox before the delivery is put off.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two tries for a lock.
const PAUSE: Duration = Duration::from_millis(100);
/// The age from which a lock file counts as left behind, as the library of Debian has it.
const STALE: Duration = Duration::from_secs(300);
/// How much is written at a time, in bytes.
const BUFFER: usize = 64 << 10;
/// Mode of a new mailbox and of a lock file.
const MODE: u32 = 0o600;

/// Which file is the mailbox.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// The file of the user's name in this folder.
    In(&'a Path),
    /// This file in the user's home.
    AtHome(&'a [u8]),
}

/// Why nothing was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// How bad it is.
    pub kind: FailureKind,
    /// What is wrong.
    pub text: Vec<u8>,
}

/// How bad a failure is, and the code LMTP has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// It may be better later.
    Temporary,
    /// The mailbox is no mailbox.
    Mailbox,
    /// There is no way to one.
    NoPlace,
    /// The user's quota is used up.
    Quota,
}

impl FailureKind {
    /// The code a client of LMTP gets.
    pub fn code(self) -> &'static str {
        match self {
            FailureKind::Temporary => "450 4.2.0",
            FailureKind::Mailbox => "550 5.2.0",
            FailureKind::NoPlace => "551 5.3.0",
            FailureKind::Quota => "552 5.2.2",
        }
    }
}

fn failure(kind: FailureKind, text: impl Into<Vec<u8>>) -> Failure {
    Failure {
        kind,
        text: text.into(),
    }
}

fn with_reason(kind: FailureKind, doing: &str, path: &Path, error: &io::Error) -> Failure {
    let text = format!("{doing} {}: {}", path.display(), error_text(error));
    failure(kind, text)
}

/// Whether a used-up quota bounces (`-b`) or defers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaRule {
    /// The sender is told at once.
    Bounce,
    /// It is tried again later.
    Defer,
}

/// Where a delivered message begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// The size the mailbox had before.
    pub offset: u64,
}

/// Appends a message to a user's mailbox; what is reported as done is on disk.
///
/// # Errors
/// [`Failure`]; the mailbox is as it was.
pub fn deliver(
    user: &User,
    which: Which<'_>,
    quota: QuotaRule,
    message: &Spool,
) -> Result<Delivered, Failure> {
    if user.name.is_empty() || user.name.contains(&b'/') || user.name.starts_with(b".") {
        let text = [&user.name[..], b": Invalid mailbox path"].concat();
        return Err(failure(FailureKind::NoPlace, text));
    }
    let rights = Credentials::plain(user.uid, user.gid);
    if effective_user() != 0 && effective_user() != user.uid {
        // In the words of the reference, which asks the system and is refused.
        let (real, effective) = (real_user(), effective_user());
        let text = format!(
            "setreuid(0, {}): Operation not permitted (r={real}, e={effective})",
            user.uid
        );
        return Err(failure(FailureKind::Temporary, text));
    }
    match which {
        Which::In(folder) => {
            let path = folder.join(path_of(&user.name));
            let _lock = DotLock::take(&path, &user.name)?;
            let made = make(&path, user)?;
            let _as_user = borrow(&rights)?;
            let done = append(&path, user, None, quota, message)?;
            if made {
                // The name must last as long as the message; a mailbox without it is no loss
                // if the folder cannot be synced on this file system.
                let _ = File::open(folder).and_then(|folder| folder.sync_all());
            }
            Ok(done)
        }
        Which::AtHome(file) => {
            if user.home.as_os_str().is_empty() {
                let text = [&user.name[..], b": User missing home directory"].concat();
                return Err(failure(FailureKind::NoPlace, text));
            }
            let home = user.home.as_os_str().as_encoded_bytes();
            let path = path_buf_of([home, b"/", file].concat());
            let _as_user = borrow(&rights)?;
            let _lock = DotLock::take(&path, &user.name)?;
            append(&path, user, Some(MODE), quota, message)
        }
    }
}

fn borrow(rights: &Credentials) -> Result<Option<BorrowedIdentity>, Failure> {
    BorrowedIdentity::take(rights).map_err(|error| {
        let text = format!("setreuid(0, {}): {}", rights.uid, error_text(&error));
        failure(FailureKind::Temporary, text)
    })
}

/// Makes the mailbox if there is none; tells whether it did.
fn make(path: &Path, user: &User) -> Result<bool, Failure> {
    if FileFacts::at_link(path).is_ok() {
        return Ok(false);
    }
    let new = OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(MODE)
        .open(path);
    let file = match new {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => {
            let kind = FailureKind::Temporary;
            return Err(with_reason(kind, "Create", path, &error));
        }
    };
    if effective_user() == 0 && set_owner(&file, user.uid, user.gid).is_err() {
        let _ = std::fs::remove_file(path);
        let mut text = format!("chown {}.{}: ", user.uid, user.gid).into_bytes();
        text.extend_from_slice(&user.name);
        return Err(failure(FailureKind::Mailbox, text));
    }
    Ok(true)
}

fn append(
    path: &Path,
    user: &User,
    create_mode: Option<u32>,
    quota: QuotaRule,
    message: &Spool,
) -> Result<Delivered, Failure> {
    if let Some(text) = FileFacts::at_link(path).ok().and_then(|f| unfit(&f, user)) {
        let text = format!("{}: {text}", path.display());
        return Err(failure(FailureKind::Mailbox, text));
    }
    let rules = OpenRules::REGULAR_ONLY
        .with(OpenRules::NO_FINAL_LINK)
        .with(OpenRules::NO_HARD_LINKS)
        .with(OpenRules::OWNED_BY_USER);
    let request = OpenRequest::read(path)
        .as_user(Credentials::plain(user.uid, user.gid))
        .purpose(Purpose::AppendDelivery { create_mode })
        .rules(rules);
    let opened = Direct.open_as(&request).map_err(|error| match error {
        OpenError::Io(error) if error.kind() != io::ErrorKind::NotFound => {
            with_reason(FailureKind::Temporary, "Append", path, &error)
        }
        _ => changed(path),
    })?;
    let lock = lock(opened.file, path)?;
    let file = lock.file();
    let offset = file
        .metadata()
        .map_err(|error| with_reason(FailureKind::Temporary, "Append", path, &error))?
        .len();
    write_at(file, offset, &mut |sink| message.write_to(sink))
        .map_err(|(doing, error)| with_reason(kind_of(error.kind(), quota), doing, path, &error))?;
    Ok(Delivered { offset })
}

/// Writes and syncs, or cuts the file off at `offset` again; tells which step failed.
fn write_at(
    file: &File,
    offset: u64,
    write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
) -> Result<(), (&'static str, io::Error)> {
    let mut sink = BufWriter::with_capacity(BUFFER, file);
    let written = write(&mut sink).and_then(|()| sink.flush());
    // Nothing of the buffer may follow what is cut off below.
    let _ = sink.into_parts();
    let done = match written {
        Ok(()) => file.sync_all().map_err(|error| ("Sync", error)),
        Err(error) => Err(("Write", error)),
    };
    if done.is_err() {
        // Half a message in a mailbox would be read as a whole one.
        let _ = file.set_len(offset).and_then(|()| file.sync_all());
    }
    done
}

fn kind_of(error: io::ErrorKind, quota: QuotaRule) -> FailureKind {
    match (error, quota) {
        (io::ErrorKind::QuotaExceeded, QuotaRule::Bounce) => FailureKind::Quota,
        _ => FailureKind::Temporary,
    }
}

/// The path leads to no file that can be opened. The reference words it so.
fn changed(path: &Path) -> Failure {
    let text = format!("{}: lstat: file changed after open", path.display());
    failure(FailureKind::Mailbox, text)
}

/// Says why a file is no mailbox of a user.
fn unfit(facts: &FileFacts, user: &User) -> Option<String> {
    if facts.links != 1 {
        Some("too many links".to_owned())
    } else if facts.kind != FileKind::Regular {
        Some("irregular file".to_owned())
    } else if facts.uid != user.uid {
        Some(format!("wrong ownership ({})", facts.uid))
    } else {
        None
    }
}

/// Locks an open mailbox against programs that know either kind of lock.
fn lock(mut file: File, path: &Path) -> Result<FileLock, Failure> {
    let end = Instant::now() + PATIENCE;
    loop {
        let error = match FileLock::try_exclusive(file) {
            Ok(lock) => match lock_records(lock.file()) {
                Ok(()) => return Ok(lock),
                Err(LockError::Io(error)) => return Err(not_locked(path, &error)),
                Err(LockError::Busy) => {
                    file = lock.unlock();
                    LockError::Busy
                }
            },
            Err((unlocked, error)) => {
                file = unlocked;
                error
            }
        };
        if let LockError::Io(error) = error {
            return Err(not_locked(path, &error));
        }
        if Instant::now() >= end {
            return Err(not_locked(path, &io::ErrorKind::WouldBlock.into()));
        }
        std::thread::sleep(PAUSE);
    }
}

fn not_locked(path: &Path, error: &io::Error) -> Failure {
    with_reason(FailureKind::Temporary, "Lock", path, error)
}

/// The file whose being there tells other programs to wait; removed when dropped.
#[derive(Debug)]
struct DotLock(PathBuf);

impl DotLock {
    fn take(mailbox: &Path, user: &[u8]) -> Result<DotLock, Failure> {
        let path = path_buf_of([mailbox.as_os_str().as_encoded_bytes(), b".lock"].concat());
        let end = Instant::now() + PATIENCE;
        loop {
            let new = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(MODE)
                .open(&path);
            match new {
                Ok(mut file) => {
                    // Process 0: whoever finds it later goes by its age.
                    let written = file.write_all(b"0\n");
                    let lock = DotLock(path);
                    return match written {
                        Ok(()) => Ok(lock),
                        Err(_) => Err(no_lock_file(user)),
                    };
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if is_stale(&path) && std::fs::remove_file(&path).is_ok() {
                        continue;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(changed(mailbox));
                }
                Err(_) => return Err(no_lock_file(user)),
            }
            if Instant::now() >= end {
                return Err(no_lock_file(user));
            }
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for DotLock {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            log::warn!("{}: {}", self.0.display(), error_text(&error));
        }
    }
}

fn no_lock_file(user: &[u8]) -> Failure {
    let text = [b"lockmailbox ", user, b" failed; error code 75 "].concat();
    failure(FailureKind::Temporary, text)
}

fn is_stale(path: &Path) -> bool {
    let facts = FileFacts::at_link(path);
    facts.is_ok_and(|facts| SystemClock.now().since(facts.modified) > STALE)
}

#[cfg(test)]
mod tests {
    use super::super::spool::SpoolWriter;
    use super::*;

    /// A folder of mailboxes, and the user who runs the tests.
    struct Bench {
        place: tempfile::TempDir,
        user: User,
    }

    impl Bench {
        fn new() -> Bench {
            let place = tempfile::tempdir().unwrap();
            let facts = FileFacts::at(place.path()).unwrap();
            let user = User {
                name: b"me".to_vec(),
                uid: facts.uid,
                gid: facts.gid,
                gecos: Vec::new(),
                home: place.path().to_owned(),
                shell: PathBuf::new(),
            };
            Bench { place, user }
        }

        fn path(&self) -> PathBuf {
            self.place.path().join("me")
        }

        fn deliver(&self) -> Result<Delivered, String> {
            self.deliver_to(Which::In(self.place.path()))
        }

        fn deliver_to(&self, which: Which<'_>) -> Result<Delivered, String> {
            let mut writer = SpoolWriter::new(self.place.path(), b"s@x", "DATE");
            writer.feed(b"S: a\n\nb\n").unwrap();
            let message = writer.finish().unwrap();
            let done = deliver(&self.user, which, QuotaRule::Defer, &message);
            assert!(!self.place.path().join("me.lock").exists());
            let place = format!("{}/", self.place.path().display());
            done.map_err(|failure| {
                let text = String::from_utf8(failure.text).unwrap();
                format!("{} {}", failure.kind.code(), text.replace(&place, "@/"))
            })
        }
    }

    const STORED: &str = "From s@x DATE\nS: a\nContent-Length: 2\n\nb\n\n";

    #[test]
    fn messages_are_appended_to_a_private_file() {
        let bench = Bench::new();
        assert_eq!(bench.deliver(), Ok(Delivered { offset: 0 }));
        let second = bench.deliver().unwrap();
        assert_eq!(second.offset, STORED.len() as u64);
        let text = std::fs::read_to_string(bench.path()).unwrap();
        assert_eq!(text, STORED.repeat(2));
        assert_eq!(FileFacts::at(&bench.path()).unwrap().mode, 0o600);
        let done = bench.deliver_to(Which::AtHome(b"box"));
        assert_eq!(done, Ok(Delivered { offset: 0 }));
    }

    #[test]
    fn what_is_no_mailbox_is_left_alone() {
        let bench = Bench::new();
        let other = bench.place.path().join("other");
        std::fs::write(&other, "secret").unwrap();
        std::os::unix::fs::symlink(&other, bench.path()).unwrap();
        let said = bench.deliver().unwrap_err();
        assert_eq!(said, "550 5.2.0 @/me: irregular file");
        std::fs::remove_file(bench.path()).unwrap();
        std::fs::hard_link(&other, bench.path()).unwrap();
        let said = bench.deliver().unwrap_err();
        assert_eq!(said, "550 5.2.0 @/me: too many links");
        std::fs::remove_file(bench.path()).unwrap();
        std::fs::create_dir(bench.path()).unwrap();
        assert!(bench.deliver().unwrap_err().starts_with("550 5.2.0 @/me: "));
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "secret");
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let mut bench = Bench::new();
        for name in ["../me", ".", "", "a/b", ".hidden"] {
            bench.user.name = name.as_bytes().to_vec();
            let said = bench.deliver().unwrap_err();
            assert_eq!(said, format!("551 5.3.0 {name}: Invalid mailbox path"));
        }
    }

    #[test]
    fn a_lock_file_left_behind_goes_after_a_while() {
        let bench = Bench::new();
        let path = bench.place.path().join("me.lock");
        let file = File::create(&path).unwrap();
        let long_ago = std::time::SystemTime::now() - STALE - Duration::from_secs(5);
        file.set_modified(long_ago).unwrap();
        assert!(bench.deliver().is_ok());
        assert!(!path.exists());
    }

    #[test]
    fn quotas_bounce_only_where_asked_for() {
        assert_eq!(FailureKind::Quota.code(), "552 5.2.2");
        assert_eq!(
            kind_of(io::ErrorKind::QuotaExceeded, QuotaRule::Bounce),
            FailureKind::Quota
        );
        for (error, rule) in [
            (io::ErrorKind::QuotaExceeded, QuotaRule::Defer),
            (io::ErrorKind::StorageFull, QuotaRule::Bounce),
        ] {
            assert_eq!(kind_of(error, rule), FailureKind::Temporary);
        }
    }

    #[test]
    fn a_failed_write_leaves_the_mailbox_as_it_was() {
        let bench = Bench::new();
        bench.deliver().unwrap();
        let file = OpenOptions::new().append(true).open(bench.path()).unwrap();
        let done = write_at(&file, 40, &mut |sink| {
            sink.write_all(&[b'x'; 100_000])?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(done.unwrap_err().0, "Write");
        let text = std::fs::read_to_string(bench.path()).unwrap();
        assert_eq!(text, STORED.get(..40).unwrap());
    }
}
