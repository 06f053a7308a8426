//! The walk down a path behind `open_as`.

use std::collections::VecDeque;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use super::file::{FileFacts, FileKind, open_at, path_of, set_mode, set_nonblocking};
use super::identity::Credentials;
use super::safe_open::{
    OpenError, OpenRequest, OpenRules, Opened, PathFacts, Purpose, StepFacts, Unsafe,
};
use super::thread_identity::BorrowedIdentity;

/// The most links followed on one way, as in the kernel.
const MAX_LINKS: usize = 40;

/// How often a file that vanishes or changes between look and opening is looked at again.
const MAX_ROUNDS: usize = 3;

/// Opens a file as a request says, with the user's rights if it names a user.
pub(super) fn open(request: &OpenRequest) -> Result<Opened, OpenError> {
    if !request.path.is_absolute() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL).into());
    }
    // The root is opened with our own rights: the user need not see it.
    let root = open_root(request.root.as_deref().unwrap_or(Path::new("/")))?;
    let _rights = match &request.credentials {
        Some(user) => BorrowedIdentity::take(user)?,
        None => None,
    };
    Walk::start(request, root)?.finish()
}

fn open_root(path: &Path) -> io::Result<OwnedFd> {
    use std::os::unix::ffi::OsStrExt;
    let name = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the number that means "here", not a descriptor that could be closed.
    let here = unsafe { std::os::fd::BorrowedFd::borrow_raw(libc::AT_FDCWD) };
    open_at(here, &name, libc::O_PATH | libc::O_DIRECTORY, 0)
}

/// A walk under way.
struct Walk<'a> {
    request: &'a OpenRequest,
    /// The directories from the root to where we are, each held open: going up
    /// by `..` must lead where we came from, not where somebody moved it.
    stack: Vec<(OwnedFd, StepFacts)>,
    /// Names still to be taken, first first.
    ahead: VecDeque<Name>,
    links: Vec<StepFacts>,
}

enum Name {
    Up,
    Down(Vec<u8>),
}

impl<'a> Walk<'a> {
    fn start(request: &'a OpenRequest, root: OwnedFd) -> Result<Self, OpenError> {
        let facts = FileFacts::of(&root)?;
        let mut walk = Walk {
            request,
            stack: Vec::new(),
            ahead: VecDeque::new(),
            links: Vec::new(),
        };
        walk.enter(
            root,
            StepFacts {
                path: PathBuf::from("/"),
                facts,
            },
        )?;
        walk.push_ahead(&request.path);
        Ok(walk)
    }

    fn finish(mut self) -> Result<Opened, OpenError> {
        loop {
            let Some(name) = self.ahead.pop_front() else {
                return self.open_directory_reached();
            };
            let Name::Down(name) = name else {
                if self.stack.len() > 1 {
                    self.stack.pop();
                }
                continue;
            };
            let c_name = CString::new(name.as_slice()).map_err(io::Error::from)?;
            let found = {
                let (directory, _) = self.here();
                open_at(
                    directory.as_fd(),
                    &c_name,
                    libc::O_PATH | libc::O_NOFOLLOW,
                    0,
                )
            };
            let is_last = self.ahead.is_empty();
            match found {
                Ok(fd) => {
                    let facts = FileFacts::of(&fd)?;
                    let step = StepFacts {
                        path: self.here().1.path.join(path_of(&name)),
                        facts,
                    };
                    match facts.kind {
                        FileKind::SymbolicLink => self.follow(&fd, step, is_last)?,
                        FileKind::Directory => self.enter(fd, step)?,
                        _ if is_last => return self.open_last(&c_name, Some((fd, step))),
                        _ => return Err(io::Error::from_raw_os_error(libc::ENOTDIR).into()),
                    }
                }
                Err(error) if is_last && error.kind() == io::ErrorKind::NotFound => {
                    return self.open_last(&c_name, None);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn here(&self) -> &(OwnedFd, StepFacts) {
        self.stack
            .last()
            .expect("the root is never taken off the stack")
    }

    fn has(&self, rule: OpenRules) -> bool {
        self.request.rules.contains(rule)
    }

    fn push_ahead(&mut self, path: &Path) {
        use std::os::unix::ffi::OsStrExt;
        for component in path.components().rev() {
            match component {
                Component::Normal(name) => {
                    self.ahead.push_front(Name::Down(name.as_bytes().to_vec()));
                }
                Component::ParentDir => self.ahead.push_front(Name::Up),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
    }

    fn enter(&mut self, fd: OwnedFd, step: StepFacts) -> Result<(), OpenError> {
        let (by_group, by_world) = self.writable_by_others(&step.facts);
        if by_world && self.has(OpenRules::NO_WORLD_WRITABLE_DIRECTORY) {
            return unfit(Unsafe::WorldWritableDirectory, step.path);
        }
        if by_group && self.has(OpenRules::NO_GROUP_WRITABLE_DIRECTORY) {
            return unfit(Unsafe::GroupWritableDirectory, step.path);
        }
        self.stack.push((fd, step));
        Ok(())
    }

    fn follow(&mut self, fd: &OwnedFd, step: StepFacts, is_last: bool) -> Result<(), OpenError> {
        if is_last && self.has(OpenRules::NO_FINAL_LINK) {
            return unfit(Unsafe::FinalLink, step.path);
        }
        let (by_group, by_world) = self.writable_by_others(&self.here().1.facts);
        if (by_group || by_world) && self.has(OpenRules::NO_LINK_IN_WRITABLE_DIRECTORY) {
            return unfit(Unsafe::LinkInWritableDirectory, step.path);
        }
        if self.links.len() >= MAX_LINKS {
            return Err(io::Error::from_raw_os_error(libc::ELOOP).into());
        }
        let target = PathBuf::from(nix::fcntl::readlinkat(fd, "").map_err(io::Error::from)?);
        if target.is_absolute() {
            self.stack.truncate(1);
        }
        self.push_ahead(&target);
        self.links.push(step);
        Ok(())
    }

    fn writable_by_others(&self, directory: &FileFacts) -> (bool, bool) {
        if directory.mode & 0o1000 != 0 && self.has(OpenRules::TRUST_STICKY_BIT) {
            return (false, false);
        }
        let by_group = directory.is_group_writable() && !self.has(OpenRules::TRUST_GROUPS);
        (by_group, directory.is_world_writable())
    }

    /// Opens the last name, which is not a link and not a directory, or is missing.
    fn open_last(
        mut self,
        name: &CString,
        mut found: Option<(OwnedFd, StepFacts)>,
    ) -> Result<Opened, OpenError> {
        let here = self
            .stack
            .pop()
            .expect("the root is never taken off the stack");
        let path = here.1.path.join(path_of(name.as_bytes()));
        let (flags, create_mode) = flags_of(self.request.purpose);
        for _ in 0..MAX_ROUNDS {
            let Some((fd, step)) = found.take() else {
                let Some(mode) = create_mode else {
                    return Err(io::Error::from_raw_os_error(libc::ENOENT).into());
                };
                match create(&here.0, name, flags, mode) {
                    Ok(fd) => return self.opened(here, fd, true),
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(error.into()),
                }
                found = look(&here.0, name, &path)?;
                continue;
            };
            self.judge(&step)?;
            if self.request.purpose == Purpose::Examine {
                return self.opened(here, fd, false);
            }
            let careful = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
            match open_at(here.0.as_fd(), name, flags | careful, 0) {
                // The file looked at and the file opened must be one.
                Ok(fd) if FileFacts::of(&fd)?.is_same_file(&step.facts) => {
                    self.judge(&StepFacts {
                        facts: FileFacts::of(&fd)?,
                        ..step
                    })?;
                    return self.opened(here, fd, false);
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                Ok(_) | Err(_) => found = look(&here.0, name, &path)?,
            }
        }
        Err(io::Error::other("File changed after open").into())
    }

    /// The path ended at a directory: it can be examined or read, not written.
    fn open_directory_reached(mut self) -> Result<Opened, OpenError> {
        let (fd, step) = self
            .stack
            .pop()
            .expect("the root is never taken off the stack");
        self.judge(&step)?;
        match self.request.purpose {
            Purpose::Examine => self.opened_at(fd, step.facts, false),
            Purpose::Read => {
                let fd = open_at(fd.as_fd(), c".", libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
                let facts = FileFacts::of(&fd)?;
                self.opened_at(fd, facts, false)
            }
            Purpose::AppendDelivery { .. } | Purpose::ReadWrite { .. } => {
                Err(io::Error::from_raw_os_error(libc::EISDIR).into())
            }
        }
    }

    fn opened(
        mut self,
        here: (OwnedFd, StepFacts),
        fd: OwnedFd,
        created: bool,
    ) -> Result<Opened, OpenError> {
        self.stack.push(here);
        let facts = FileFacts::of(&fd)?;
        if self.request.purpose != Purpose::Examine && facts.kind != FileKind::Fifo {
            set_nonblocking(&fd, false)?;
        }
        self.opened_at(fd, facts, created)
    }

    fn opened_at(self, fd: OwnedFd, facts: FileFacts, created: bool) -> Result<Opened, OpenError> {
        let directories = self.stack.into_iter().map(|(_, step)| step).collect();
        let way = PathFacts {
            directories,
            links: self.links,
            created,
        };
        Ok(Opened {
            file: fd.into(),
            facts,
            way,
        })
    }

    /// Holds a file against the rules.
    fn judge(&self, step: &StepFacts) -> Result<(), OpenError> {
        match fault(
            self.request.rules,
            &step.facts,
            self.request.credentials.as_ref(),
        ) {
            None => Ok(()),
            Some(reason) => unfit(reason, step.path.clone()),
        }
    }
}

/// Finds the first rule a file breaks.
fn fault(rules: OpenRules, facts: &FileFacts, user: Option<&Credentials>) -> Option<Unsafe> {
    if facts.kind == FileKind::CharacterDevice && rules.contains(OpenRules::DEVICES_ALLOWED) {
        return None;
    }
    let owner = user.map_or_else(super::process::effective_user, |user| user.uid);
    let is_owned =
        facts.uid == owner || (facts.uid == 0 && rules.contains(OpenRules::OR_OWNED_BY_ROOT));
    let is_regular = facts.kind == FileKind::Regular;
    let checks = [
        (OpenRules::REGULAR_ONLY, !is_regular, Unsafe::NotRegular),
        (
            OpenRules::NO_GROUP_WRITABLE_FILE,
            facts.mode & 0o020 != 0,
            Unsafe::GroupWritableFile,
        ),
        (
            OpenRules::NO_WORLD_WRITABLE_FILE,
            facts.mode & 0o002 != 0,
            Unsafe::WorldWritableFile,
        ),
        (
            OpenRules::NO_GROUP_READABLE_FILE,
            facts.mode & 0o040 != 0,
            Unsafe::GroupReadableFile,
        ),
        (
            OpenRules::NO_WORLD_READABLE_FILE,
            facts.mode & 0o004 != 0,
            Unsafe::WorldReadableFile,
        ),
        (
            OpenRules::NO_EXECUTE_BITS,
            facts.mode & 0o111 != 0,
            Unsafe::Executable,
        ),
        (
            OpenRules::NO_HARD_LINKS,
            is_regular && facts.links > 1,
            Unsafe::HardLinks,
        ),
        (OpenRules::OWNED_BY_USER, !is_owned, Unsafe::WrongOwner),
    ];
    checks
        .into_iter()
        .find(|(rule, broken, _)| *broken && rules.contains(*rule))
        .map(|(_, _, reason)| reason)
}

fn unfit<T>(reason: Unsafe, path: PathBuf) -> Result<T, OpenError> {
    Err(OpenError::Unsafe { reason, path })
}

fn flags_of(purpose: Purpose) -> (i32, Option<u32>) {
    match purpose {
        Purpose::Read => (libc::O_RDONLY, None),
        Purpose::AppendDelivery { create_mode } => (libc::O_WRONLY | libc::O_APPEND, create_mode),
        Purpose::ReadWrite { create_mode } => (libc::O_RDWR, create_mode),
        Purpose::Examine => (libc::O_PATH, None),
    }
}

fn create(directory: &OwnedFd, name: &CString, flags: i32, mode: u32) -> io::Result<OwnedFd> {
    let exclusive = libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_NOCTTY;
    let fd = open_at(directory.as_fd(), name, flags | exclusive, mode)?;
    set_mode(&fd, mode)?;
    Ok(fd)
}

/// Looks again at a name that changed under us; a link there now is not followed.
fn look(
    directory: &OwnedFd,
    name: &CString,
    path: &Path,
) -> Result<Option<(OwnedFd, StepFacts)>, OpenError> {
    match open_at(directory.as_fd(), name, libc::O_PATH | libc::O_NOFOLLOW, 0) {
        Ok(fd) => {
            let facts = FileFacts::of(&fd)?;
            if facts.kind == FileKind::SymbolicLink {
                return unfit(Unsafe::FinalLink, path.to_owned());
            }
            Ok(Some((
                fd,
                StepFacts {
                    path: path.to_owned(),
                    facts,
                },
            )))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::{Read, Write};
    use std::os::unix::fs::{PermissionsExt, symlink};

    struct Place {
        directory: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            Place {
                directory: tempfile::tempdir().unwrap(),
            }
        }

        /// The path with all links of the system's own resolved.
        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().canonicalize().unwrap().join(name)
        }

        fn file(&self, name: &str, mode: u32) -> PathBuf {
            let path = self.path(name);
            fs::write(&path, "text").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        }
    }

    fn reason(request: &OpenRequest) -> Unsafe {
        match open(request) {
            Err(OpenError::Unsafe { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_plain_file_is_read_and_the_way_is_told() {
        let place = Place::new();
        let path = place.file("f", 0o640);
        let mut opened = open(&OpenRequest::read(&path)).unwrap();
        let mut text = String::new();
        opened.file.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), opened.facts.mode), ("text", 0o640));
        let directories = &opened.way.directories;
        assert_eq!(directories.first().unwrap().path, Path::new("/"));
        assert_eq!(directories.last().unwrap().path, path.parent().unwrap());
    }

    #[test]
    fn each_rule_names_its_fault() {
        let place = Place::new();
        for (mode, rule, expected) in [
            (
                0o620,
                OpenRules::NO_GROUP_WRITABLE_FILE,
                Unsafe::GroupWritableFile,
            ),
            (
                0o602,
                OpenRules::NO_WORLD_WRITABLE_FILE,
                Unsafe::WorldWritableFile,
            ),
            (
                0o640,
                OpenRules::NO_GROUP_READABLE_FILE,
                Unsafe::GroupReadableFile,
            ),
            (
                0o604,
                OpenRules::NO_WORLD_READABLE_FILE,
                Unsafe::WorldReadableFile,
            ),
            (0o700, OpenRules::NO_EXECUTE_BITS, Unsafe::Executable),
            (0o4610, OpenRules::NO_EXECUTE_BITS, Unsafe::Executable),
        ] {
            let path = place.file(&format!("{mode:o}"), mode);
            assert_eq!(
                reason(&OpenRequest::read(path).rules(rule)),
                expected,
                "{mode:o}"
            );
        }
        let path = place.file("twice", 0o600);
        fs::hard_link(&path, place.path("again")).unwrap();
        let request = OpenRequest::read(path).rules(OpenRules::NO_HARD_LINKS);
        assert_eq!(reason(&request), Unsafe::HardLinks);
    }

    #[test]
    fn links_are_followed_only_where_they_may_be() {
        let place = Place::new();
        place.file("real", 0o600);
        symlink("real", place.path("link")).unwrap();
        symlink("loop", place.path("loop")).unwrap();
        let request = OpenRequest::read(place.path("link"));
        assert_eq!(open(&request).unwrap().way.links.len(), 1);
        assert_eq!(
            reason(&request.clone().rules(OpenRules::NO_FINAL_LINK)),
            Unsafe::FinalLink
        );
        fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o777)).unwrap();
        let strict = request
            .clone()
            .rules(OpenRules::NO_LINK_IN_WRITABLE_DIRECTORY);
        assert_eq!(reason(&strict), Unsafe::LinkInWritableDirectory);
        match open(&OpenRequest::read(place.path("loop"))) {
            Err(OpenError::Io(error)) => assert_eq!(error.raw_os_error(), Some(libc::ELOOP)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_root_cannot_be_left() {
        let place = Place::new();
        fs::create_dir(place.path("etc")).unwrap();
        place.file("etc/passwd", 0o600);
        symlink("/etc/passwd", place.path("link")).unwrap();
        for path in ["/link", "/../../../../etc/passwd", "/etc/../etc/./passwd"] {
            let request = OpenRequest {
                root: Some(place.path("")),
                ..OpenRequest::read(path)
            };
            assert_eq!(open(&request).unwrap().facts.size, 4, "{path}");
        }
    }

    #[test]
    fn writable_directories_are_refused_unless_sticky_and_trusted() {
        let place = Place::new();
        fs::create_dir(place.path("d")).unwrap();
        let path = place.file("d/f", 0o600);
        for (mode, rule, expected) in [
            (
                0o777,
                OpenRules::NO_WORLD_WRITABLE_DIRECTORY,
                Unsafe::WorldWritableDirectory,
            ),
            (
                0o770,
                OpenRules::NO_GROUP_WRITABLE_DIRECTORY,
                Unsafe::GroupWritableDirectory,
            ),
        ] {
            fs::set_permissions(place.path("d"), fs::Permissions::from_mode(mode)).unwrap();
            // The temporary directory's own parents are sticky at most.
            let rules = rule | OpenRules::TRUST_STICKY_BIT;
            assert_eq!(reason(&OpenRequest::read(&path).rules(rules)), expected);
        }
        fs::set_permissions(place.path("d"), fs::Permissions::from_mode(0o1777)).unwrap();
        let rules = OpenRules::NO_WORLD_WRITABLE_DIRECTORY | OpenRules::TRUST_STICKY_BIT;
        assert!(open(&OpenRequest::read(&path).rules(rules)).is_ok());
    }

    #[test]
    fn appending_makes_the_file_once_with_its_mode() {
        let place = Place::new();
        let append = |create_mode| {
            OpenRequest::read(place.path("box")).purpose(Purpose::AppendDelivery { create_mode })
        };
        assert!(open(&append(None)).unwrap_err().is_not_found());
        let mut first = open(&append(Some(0o660))).unwrap();
        assert!(first.way.created);
        assert_eq!(first.facts.mode, 0o660);
        first.file.write_all(b"one").unwrap();
        let mut second = open(&append(Some(0o600))).unwrap();
        assert!(!second.way.created);
        second.file.write_all(b"two").unwrap();
        assert_eq!(fs::read(place.path("box")).unwrap(), b"onetwo");
    }

    #[test]
    fn devices_pipes_and_directories() {
        let place = Place::new();
        let device = OpenRequest::read("/dev/null").purpose(Purpose::AppendDelivery {
            create_mode: Some(0o600),
        });
        let rules = OpenRules::REGULAR_ONLY | OpenRules::NO_WORLD_WRITABLE_FILE;
        assert_eq!(reason(&device.clone().rules(rules)), Unsafe::NotRegular);
        assert!(open(&device.rules(rules | OpenRules::DEVICES_ALLOWED)).is_ok());
        nix::unistd::mkfifo(&place.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let fifo = open(&OpenRequest::read(place.path("fifo"))).unwrap();
        assert_eq!(fifo.facts.kind, FileKind::Fifo);
        let directory = OpenRequest::read(place.path(""));
        assert_eq!(reason(&directory.clone().rules(rules)), Unsafe::NotRegular);
        let examined = open(&directory.purpose(Purpose::Examine)).unwrap();
        assert_eq!(examined.facts.kind, FileKind::Directory);
        assert!(open(&OpenRequest::read("relative")).is_err());
        assert!(
            open(&OpenRequest::read(place.path("no/such")))
                .unwrap_err()
                .is_not_found()
        );
    }

    #[test]
    fn root_opens_as_the_user() {
        if crate::sys::process::effective_user() != 0 {
            return;
        }
        let place = Place::new();
        fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o777)).unwrap();
        let path = place.file("secret", 0o600);
        let nobody = Credentials::plain(65_534, 65_534);
        let refused = open(&OpenRequest::read(&path).as_user(nobody.clone()));
        match refused {
            Err(OpenError::Io(error)) => {
                assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
            }
            other => panic!("{other:?}"),
        }
        let made = open(
            &OpenRequest::read(place.path("new"))
                .purpose(Purpose::AppendDelivery {
                    create_mode: Some(0o600),
                })
                .as_user(nobody),
        )
        .unwrap();
        assert_eq!((made.facts.uid, made.facts.gid), (65_534, 65_534));
    }
}
