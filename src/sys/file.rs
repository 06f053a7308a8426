//! Files by descriptor: facts, directories held open, durable writing.
//!
//! The queue works inside directories it holds open, so that nobody can swap a
//! folder under it; [`Directory`] is that handle. [`FileFacts`] is what
//! `fstat(2)` says, in our words.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::Path;

use super::clock::Timestamp;

/// What kind of thing a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A plain file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link, not followed.
    SymbolicLink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device such as `/dev/null`.
    CharacterDevice,
    /// A block device.
    BlockDevice,
}

/// What the system knows of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFacts {
    /// The device the file lives on.
    pub device: u64,
    /// The inode number there.
    pub inode: u64,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The permission bits, set-id and sticky bits included (`0o7777`).
    pub mode: u32,
    /// What kind of thing it is.
    pub kind: FileKind,
    /// The number of hard links.
    pub links: u64,
    /// The size in bytes.
    pub size: u64,
    /// When the content last changed.
    pub modified: Timestamp,
    /// When the inode last changed.
    pub changed: Timestamp,
}

impl FileFacts {
    /// Reads the facts of an open file.
    ///
    /// # Errors
    /// As `fstat(2)`.
    pub fn of(file: &impl AsFd) -> io::Result<FileFacts> {
        facts_at(file.as_fd(), c"", libc::AT_EMPTY_PATH)
    }

    /// Reads the facts of what a path leads to, following links.
    ///
    /// # Errors
    /// As `stat(2)`.
    pub fn at(path: &Path) -> io::Result<FileFacts> {
        std::fs::metadata(path).map(|metadata| FileFacts::from(&metadata))
    }

    /// Reads the facts of a path itself, even if it is a symbolic link.
    ///
    /// # Errors
    /// As `lstat(2)`.
    pub fn at_link(path: &Path) -> io::Result<FileFacts> {
        std::fs::symlink_metadata(path).map(|metadata| FileFacts::from(&metadata))
    }

    /// Splits the device into its major and minor numbers.
    pub fn device_numbers(&self) -> (u64, u64) {
        let (major, minor) = (libc::major(self.device), libc::minor(self.device));
        (u64::from(major), u64::from(minor))
    }

    /// Says whether both are the same file.
    pub fn is_same_file(&self, other: &FileFacts) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Says whether the group may write.
    pub fn is_group_writable(&self) -> bool {
        self.mode & 0o020 != 0
    }

    /// Says whether everyone may write.
    pub fn is_world_writable(&self) -> bool {
        self.mode & 0o002 != 0
    }

    fn from_stat(stat: &libc::stat) -> FileFacts {
        FileFacts {
            device: stat.st_dev,
            inode: stat.st_ino,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mode: stat.st_mode & 0o7777,
            kind: match stat.st_mode & libc::S_IFMT {
                libc::S_IFDIR => FileKind::Directory,
                libc::S_IFLNK => FileKind::SymbolicLink,
                libc::S_IFIFO => FileKind::Fifo,
                libc::S_IFSOCK => FileKind::Socket,
                libc::S_IFCHR => FileKind::CharacterDevice,
                libc::S_IFBLK => FileKind::BlockDevice,
                _ => FileKind::Regular,
            },
            links: stat.st_nlink,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: Timestamp::new(
                stat.st_mtime,
                u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
            ),
            changed: Timestamp::new(
                stat.st_ctime,
                u32::try_from(stat.st_ctime_nsec).unwrap_or(0),
            ),
        }
    }
}

impl From<&Metadata> for FileFacts {
    fn from(metadata: &Metadata) -> Self {
        let kind = metadata.file_type();
        FileFacts {
            device: metadata.dev(),
            inode: metadata.ino(),
            uid: metadata.uid(),
            gid: metadata.gid(),
            mode: metadata.mode() & 0o7777,
            kind: if kind.is_dir() {
                FileKind::Directory
            } else if kind.is_symlink() {
                FileKind::SymbolicLink
            } else if kind.is_fifo() {
                FileKind::Fifo
            } else if kind.is_socket() {
                FileKind::Socket
            } else if kind.is_char_device() {
                FileKind::CharacterDevice
            } else if kind.is_block_device() {
                FileKind::BlockDevice
            } else {
                FileKind::Regular
            },
            links: metadata.nlink(),
            size: metadata.len(),
            modified: Timestamp::new(
                metadata.mtime(),
                u32::try_from(metadata.mtime_nsec()).unwrap_or(0),
            ),
            changed: Timestamp::new(
                metadata.ctime(),
                u32::try_from(metadata.ctime_nsec()).unwrap_or(0),
            ),
        }
    }
}

/// Runs `fstatat(2)`.
pub(super) fn facts_at(
    directory: BorrowedFd<'_>,
    name: &std::ffi::CStr,
    flags: i32,
) -> io::Result<FileFacts> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: descriptor, string and buffer are valid for the whole call.
    let done = unsafe {
        libc::fstatat(
            directory.as_raw_fd(),
            name.as_ptr(),
            stat.as_mut_ptr(),
            flags,
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: fstatat succeeded, so it filled the buffer.
    Ok(FileFacts::from_stat(&unsafe { stat.assume_init() }))
}

/// Runs `openat(2)` with close-on-exec, again after an interruption.
pub(super) fn open_at(
    directory: BorrowedFd<'_>,
    name: &std::ffi::CStr,
    flags: i32,
    mode: u32,
) -> io::Result<OwnedFd> {
    loop {
        // SAFETY: descriptor and string are valid for the whole call.
        let fd = unsafe {
            libc::openat(
                directory.as_raw_fd(),
                name.as_ptr(),
                flags | libc::O_CLOEXEC,
                mode,
            )
        };
        if fd >= 0 {
            // SAFETY: a fresh descriptor nobody else owns.
            return Ok(unsafe { OwnedFd::from_raw_fd(fd) });
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// A directory held open; names given to its methods hold no slash.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
}

impl Directory {
    /// Opens a directory.
    ///
    /// # Errors
    /// As `open(2)`; also if the path is not a directory.
    pub fn open(path: &Path) -> io::Result<Directory> {
        let name = CString::new(path.as_os_str().as_bytes())?;
        let here = libc::AT_FDCWD;
        // SAFETY: AT_FDCWD is not a descriptor that could be closed.
        let here = unsafe { BorrowedFd::borrow_raw(here) };
        open_at(here, &name, libc::O_RDONLY | libc::O_DIRECTORY, 0).map(|fd| Directory { fd })
    }

    /// Creates a file that must not exist yet, for reading and writing.
    ///
    /// The umask applies to `mode`; links are never followed.
    ///
    /// # Errors
    /// `AlreadyExists`, or as `openat(2)`.
    pub fn create_new(&self, name: &[u8], mode: u32) -> io::Result<File> {
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
        Ok(open_at(self.fd.as_fd(), &leaf(name)?, flags, mode)?.into())
    }

    /// Opens a plain file for reading; links are not followed and nothing blocks.
    ///
    /// # Errors
    /// As `openat(2)`.
    pub fn open_file(&self, name: &[u8]) -> io::Result<File> {
        let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        Ok(open_at(self.fd.as_fd(), &leaf(name)?, flags, 0)?.into())
    }

    /// Opens a file for reading and writing; links are not followed and nothing blocks.
    ///
    /// # Errors
    /// As `openat(2)`.
    pub fn open_writable(&self, name: &[u8]) -> io::Result<File> {
        let flags = libc::O_RDWR | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        Ok(open_at(self.fd.as_fd(), &leaf(name)?, flags, 0)?.into())
    }

    /// Opens a directory below this one.
    ///
    /// # Errors
    /// As `openat(2)`.
    pub fn open_directory(&self, name: &[u8]) -> io::Result<Directory> {
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        open_at(self.fd.as_fd(), &leaf(name)?, flags, 0).map(|fd| Directory { fd })
    }

    /// Reads the facts of an entry without following a link.
    ///
    /// # Errors
    /// As `fstatat(2)`.
    pub fn facts(&self, name: &[u8]) -> io::Result<FileFacts> {
        facts_at(self.fd.as_fd(), &leaf(name)?, libc::AT_SYMLINK_NOFOLLOW)
    }

    /// Renames an entry, replacing what has the new name.
    ///
    /// # Errors
    /// As `renameat(2)`.
    pub fn rename(&self, from: &[u8], into: &Directory, to: &[u8]) -> io::Result<()> {
        let (from, to) = (leaf(from)?, leaf(to)?);
        // SAFETY: descriptors and strings are valid for the whole call.
        done(unsafe {
            libc::renameat(
                self.fd.as_raw_fd(),
                from.as_ptr(),
                into.fd.as_raw_fd(),
                to.as_ptr(),
            )
        })
    }

    /// Gives an entry a second name.
    ///
    /// # Errors
    /// As `linkat(2)`.
    pub fn link(&self, from: &[u8], into: &Directory, to: &[u8]) -> io::Result<()> {
        let (from, to) = (leaf(from)?, leaf(to)?);
        // SAFETY: descriptors and strings are valid for the whole call.
        done(unsafe {
            libc::linkat(
                self.fd.as_raw_fd(),
                from.as_ptr(),
                into.fd.as_raw_fd(),
                to.as_ptr(),
                0,
            )
        })
    }

    /// Removes a file's name.
    ///
    /// # Errors
    /// As `unlinkat(2)`.
    pub fn remove(&self, name: &[u8]) -> io::Result<()> {
        let name = leaf(name)?;
        // SAFETY: descriptor and string are valid for the whole call.
        done(unsafe { libc::unlinkat(self.fd.as_raw_fd(), name.as_ptr(), 0) })
    }

    /// Makes all renames and removals in this directory durable.
    ///
    /// # Errors
    /// As `fsync(2)`.
    pub fn sync(&self) -> io::Result<()> {
        // SAFETY: the descriptor is open for the whole call.
        done(unsafe { libc::fsync(self.fd.as_raw_fd()) })
    }

    /// Lists the names of all entries but `.` and `..`, in no order.
    ///
    /// # Errors
    /// As `getdents(2)`.
    pub fn names(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut names = Vec::new();
        self.each_name(&mut |name, _| names.push(name.to_vec()))?;
        Ok(names)
    }

    /// Shows the names of all entries but `.` and `..`, in no order, and whether each is a
    /// plain file, where the file system tells.
    ///
    /// # Errors
    /// As `getdents(2)`.
    pub fn each_name(&self, show: &mut dyn FnMut(&[u8], Option<bool>)) -> io::Result<()> {
        // A second opening, because the position is shared between copies.
        let again = open_at(self.fd.as_fd(), c".", libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
        let mut directory = nix::dir::Dir::from_fd(again)?;
        for entry in directory.iter() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                let kind = entry.file_type();
                show(name, kind.map(|kind| kind == nix::dir::Type::File));
            }
        }
        Ok(())
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Checks that a name stays inside its directory.
fn leaf(name: &[u8]) -> io::Result<CString> {
    if name.is_empty() || name.contains(&b'/') || name == b"." || name == b".." {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a plain file name",
        ));
    }
    Ok(CString::new(name)?)
}

fn done(code: i32) -> io::Result<()> {
    if code == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Makes what was written to a file durable, without its times.
///
/// # Errors
/// After a failure the kernel may have dropped the pages: never retry, write anew.
pub fn sync_data(file: &File) -> io::Result<()> {
    file.sync_data()
}

/// Reads at a position without moving the file's own.
///
/// # Errors
/// As `pread(2)`.
pub fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buffer, offset)
}

/// Sets permission bits of an open file.
///
/// # Errors
/// As `fchmod(2)`.
pub fn set_mode(file: &impl AsFd, mode: u32) -> io::Result<()> {
    // SAFETY: the descriptor is open for the whole call.
    done(unsafe { libc::fchmod(file.as_fd().as_raw_fd(), mode) })
}

/// Gives an open file to an owner and a group.
///
/// # Errors
/// As `fchown(2)`.
pub fn set_owner(file: &impl AsFd, uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: the descriptor is open for the whole call.
    done(unsafe { libc::fchown(file.as_fd().as_raw_fd(), uid, gid) })
}

/// Says whether a descriptor is a terminal.
pub fn is_terminal(file: &impl AsFd) -> bool {
    // SAFETY: the descriptor is open for the whole call.
    unsafe { libc::isatty(file.as_fd().as_raw_fd()) == 1 }
}

/// Tells how many lines a terminal has; `None` when the file is no terminal.
pub fn terminal_lines(file: &impl AsFd) -> Option<u16> {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the descriptor is open and the buffer valid for the whole call.
    let done = unsafe { libc::ioctl(file.as_fd().as_raw_fd(), libc::TIOCGWINSZ, &mut size) };
    (done == 0).then_some(size.ws_row)
}

/// Says whether this process may do something with a path under its real ids.
///
/// `mode` is a sum of 4 (read), 2 (write) and 1 (execute); 0 asks for existence.
///
/// # Errors
/// As `access(2)`.
pub fn real_user_may(path: &Path, mode: i32) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the string is valid for the whole call.
    done(unsafe { libc::access(path.as_ptr(), mode) })
}

/// Makes reads and writes of a descriptor wait, or not.
///
/// # Errors
/// As `fcntl(2)`.
pub fn set_nonblocking(file: &impl AsFd, nonblocking: bool) -> io::Result<()> {
    let fd = file.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open for the whole call.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    if flags < 0 {
        return Err(io::Error::last_os_error());
    }
    let wanted = if nonblocking {
        flags | libc::O_NONBLOCK
    } else {
        flags & !libc::O_NONBLOCK
    };
    if wanted == flags {
        return Ok(());
    }
    // SAFETY: as above.
    done(unsafe { libc::fcntl(fd, libc::F_SETFL, wanted) })
}

/// Keeps a descriptor from children, or lets them inherit it.
///
/// # Errors
/// As `fcntl(2)`.
pub fn set_close_on_exec(file: &impl AsFd, close: bool) -> io::Result<()> {
    let fd = file.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open for the whole call.
    done(unsafe { libc::fcntl(fd, libc::F_SETFD, if close { libc::FD_CLOEXEC } else { 0 }) })
}

/// Turns bytes into a path name.
pub fn path_of(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// Turns owned bytes into an owned path name.
pub fn path_buf_of(bytes: Vec<u8>) -> std::path::PathBuf {
    OsString::from_vec(bytes).into()
}

/// Opens a second descriptor of an open file, to give away.
///
/// # Errors
/// As `fcntl(2)`.
pub fn copy_of(file: &impl AsFd) -> io::Result<File> {
    file.as_fd().try_clone_to_owned().map(File::from)
}

/// Makes a file without a name on the file system of a folder, for reading and writing.
///
/// # Errors
/// As `open(2)`.
pub fn unnamed_file(folder: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = File::options();
    options.read(true).write(true).mode(0o600);
    match options.clone().custom_flags(libc::O_TMPFILE).open(folder) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR)) => {}
        other => return other,
    }
    // The file system has no such files: one with a name, for a moment.
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let path = folder.join(format!(".{:016x}", u64::from_ne_bytes(random)));
    let file = options.create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// Creates a pipe whose ends children do not inherit: (read end, write end).
///
/// # Errors
/// As `pipe2(2)`.
pub fn pipe() -> io::Result<(File, File)> {
    let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    Ok((read.into(), write.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn entries_are_created_renamed_linked_and_removed() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = Directory::open(temporary.path()).unwrap();
        let mut file = directory.create_new(b"tfA", 0o600).unwrap();
        file.write_all(b"text").unwrap();
        assert_eq!(
            directory.create_new(b"tfA", 0o600).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        directory.rename(b"tfA", &directory, b"qfA").unwrap();
        directory.link(b"qfA", &directory, b"dfA").unwrap();
        directory.sync().unwrap();
        let facts = directory.facts(b"qfA").unwrap();
        assert_eq!((facts.links, facts.size, facts.mode), (2, 4, 0o600));
        assert!(facts.is_same_file(&FileFacts::of(&file).unwrap()));
        let mut names = directory.names().unwrap();
        names.sort();
        assert_eq!(names, [b"dfA", b"qfA"]);
        directory.remove(b"dfA").unwrap();
        assert_eq!(directory.names().unwrap(), [b"qfA"]);
    }

    #[test]
    fn a_name_cannot_leave_its_directory() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = Directory::open(temporary.path()).unwrap();
        for name in [&b"../x"[..], b"a/b", b"", b".", b"..", b"a\0b"] {
            assert!(directory.create_new(name, 0o600).is_err(), "{name:?}");
        }
    }

    #[test]
    fn links_are_not_followed_and_pipes_do_not_block() {
        let temporary = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", temporary.path().join("link")).unwrap();
        nix::unistd::mkfifo(
            &temporary.path().join("fifo"),
            nix::sys::stat::Mode::S_IRUSR,
        )
        .unwrap();
        let directory = Directory::open(temporary.path()).unwrap();
        assert!(directory.open_file(b"link").is_err());
        let fifo = directory.open_file(b"fifo").unwrap();
        assert_eq!(FileFacts::of(&fifo).unwrap().kind, FileKind::Fifo);
        assert_eq!(
            directory.facts(b"link").unwrap().kind,
            FileKind::SymbolicLink
        );
    }
}
