//! Users, groups, and the identity a child or an open file gets.
//!
//! [`UserDatabase`] is what the rest of the program sees: [`SystemUsers`] asks
//! the C library (so that NSS modules work), [`FixedUsers`] is a list for tests.
//! [`Credentials`] are resolved before any fork: the lookups behind them may
//! open sockets and take locks, which a child between fork and exec must not.

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::unistd::{self, Gid, Uid};

/// The numeric identity of a process: what the kernel checks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// The user id.
    pub uid: u32,
    /// The primary group id.
    pub gid: u32,
    /// The supplementary groups, the primary one usually among them.
    pub groups: Vec<u32>,
}

impl Credentials {
    /// Makes credentials with no supplementary group but the primary one.
    pub fn plain(uid: u32, gid: u32) -> Self {
        Credentials {
            uid,
            gid,
            groups: vec![gid],
        }
    }
}

/// One account, as `passwd` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The login name.
    pub name: Vec<u8>,
    /// The user id.
    pub uid: u32,
    /// The primary group id.
    pub gid: u32,
    /// The comment field, by custom starting with the full name.
    pub gecos: Vec<u8>,
    /// The home directory.
    pub home: PathBuf,
    /// The login shell.
    pub shell: PathBuf,
}

impl User {
    /// The full name in the comment field.
    ///
    /// It ends at a comma, semicolon or percent sign; an ampersand stands for the login name
    /// with a capital letter. Observed: 8.17.1.9.
    pub fn full_name(&self) -> Vec<u8> {
        let gecos = self.gecos.strip_prefix(b"*").unwrap_or(&self.gecos);
        let is_end = |byte: &u8| b",;%".contains(byte);
        let mut name = Vec::with_capacity(gecos.len());
        for byte in gecos.iter().take_while(|byte| !is_end(byte)) {
            if *byte == b'&' {
                let mut login = self.name.iter();
                name.extend(login.next().map(u8::to_ascii_uppercase));
                name.extend(login);
            } else {
                name.push(*byte);
            }
        }
        name.trim_ascii().to_vec()
    }
}

/// Where accounts and groups are looked up.
pub trait UserDatabase: Send + Sync {
    /// Finds an account by login name.
    ///
    /// # Errors
    /// The lookup failed; whether the account exists is unknown.
    fn user_by_name(&self, name: &[u8]) -> io::Result<Option<User>>;

    /// Finds an account by user id.
    ///
    /// # Errors
    /// The lookup failed; whether the account exists is unknown.
    fn user_by_uid(&self, uid: u32) -> io::Result<Option<User>>;

    /// Finds the first account of the list that is wanted; slow where there are many.
    ///
    /// # Errors
    /// The list cannot be read.
    fn first_user(&self, is_wanted: &dyn Fn(&User) -> bool) -> io::Result<Option<User>>;

    /// Finds a group id by group name.
    ///
    /// # Errors
    /// The lookup failed; whether the group exists is unknown.
    fn group_by_name(&self, name: &[u8]) -> io::Result<Option<u32>>;

    /// Lists all groups of a user, the primary one included.
    ///
    /// # Errors
    /// The lookup failed.
    fn groups_of(&self, user: &User) -> io::Result<Vec<u32>>;

    /// Says whether a shell is one that users of the system may have.
    ///
    /// Source: shells(5).
    fn shell_is_valid(&self, shell: &Path) -> bool;

    /// Resolves the full credentials of a user.
    ///
    /// # Errors
    /// The group lookup failed.
    fn credentials_of(&self, user: &User) -> io::Result<Credentials> {
        Ok(Credentials {
            uid: user.uid,
            gid: user.gid,
            groups: self.groups_of(user)?,
        })
    }
}

/// The accounts of this system, through the C library.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemUsers;

impl SystemUsers {
    /// The shells accepted where `/etc/shells` is missing.
    const DEFAULT_SHELLS: &[&str] = &["/bin/sh", "/bin/csh"];
}

impl UserDatabase for SystemUsers {
    fn user_by_name(&self, name: &[u8]) -> io::Result<Option<User>> {
        let Ok(name) = std::str::from_utf8(name) else {
            return Ok(None);
        };
        if name.is_empty() || name.contains('\0') {
            return Ok(None);
        }
        absent_is_none(unistd::User::from_name(name)).map(|found| found.map(from_nix))
    }

    fn user_by_uid(&self, uid: u32) -> io::Result<Option<User>> {
        absent_is_none(unistd::User::from_uid(Uid::from_raw(uid))).map(|found| found.map(from_nix))
    }

    fn first_user(&self, is_wanted: &dyn Fn(&User) -> bool) -> io::Result<Option<User>> {
        let mut accounts = Accounts::open();
        std::iter::from_fn(|| accounts.next().transpose())
            .find(|user| user.as_ref().map_or(true, is_wanted))
            .transpose()
    }

    fn group_by_name(&self, name: &[u8]) -> io::Result<Option<u32>> {
        let Ok(name) = std::str::from_utf8(name) else {
            return Ok(None);
        };
        if name.is_empty() || name.contains('\0') {
            return Ok(None);
        }
        absent_is_none(unistd::Group::from_name(name))
            .map(|found| found.map(|group| group.gid.as_raw()))
    }

    fn groups_of(&self, user: &User) -> io::Result<Vec<u32>> {
        let name = CString::new(user.name.as_slice())?;
        let groups = unistd::getgrouplist(&name, Gid::from_raw(user.gid))?;
        Ok(groups.into_iter().map(Gid::as_raw).collect())
    }

    fn shell_is_valid(&self, shell: &Path) -> bool {
        match fs::read("/etc/shells") {
            Ok(text) => shells_list(&text, shell),
            Err(_) => Self::DEFAULT_SHELLS
                .iter()
                .any(|known| Path::new(known) == shell),
        }
    }
}

/// Guards the place of the C library in its list of accounts: there is one for the process.
static PLACE_IN_LIST: Mutex<()> = Mutex::new(());

/// The list of all accounts, read from its start.
struct Accounts {
    _place: MutexGuard<'static, ()>,
}

impl Accounts {
    fn open() -> Accounts {
        let place = PLACE_IN_LIST.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: no arguments; nobody else reads the list while the guard is held.
        unsafe { libc::setpwent() };
        Accounts { _place: place }
    }

    fn next(&mut self) -> io::Result<Option<User>> {
        nix::errno::Errno::clear();
        // SAFETY: nobody else reads the list while the guard is held.
        let found = unsafe { libc::getpwent() };
        if found.is_null() {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() {
                Some(0 | libc::ENOENT | libc::ESRCH) | None => Ok(None),
                Some(_) => Err(error),
            };
        }
        // SAFETY: the entry is valid until the list is read on, which takes this guard.
        let entry = unsafe { &*found };
        let text = |text: *const libc::c_char| match text.is_null() {
            true => Vec::new(),
            // SAFETY: the fields of an entry are strings that end with NUL, or null.
            false => unsafe { CStr::from_ptr(text) }.to_bytes().to_vec(),
        };
        Ok(Some(User {
            name: text(entry.pw_name),
            uid: entry.pw_uid,
            gid: entry.pw_gid,
            gecos: text(entry.pw_gecos),
            home: text(entry.pw_dir).to_path().to_path_buf(),
            shell: text(entry.pw_shell).to_path().to_path_buf(),
        }))
    }
}

impl Drop for Accounts {
    fn drop(&mut self) {
        // SAFETY: no arguments; the guard is still held.
        unsafe { libc::endpwent() };
    }
}

/// Turns the errors by which NSS modules say "no such entry" into `None`.
fn absent_is_none<T>(found: Result<Option<T>, nix::Error>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(found),
        // getpwnam(3): "0 or ENOENT or ESRCH or EBADF or EPERM: name not found".
        Err(nix::Error::ENOENT | nix::Error::ESRCH) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn from_nix(user: unistd::User) -> User {
    User {
        name: user.name.into_bytes(),
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        gecos: user.gecos.into_bytes(),
        home: user.dir,
        shell: user.shell,
    }
}

/// A byte string seen as a path.
trait ToPath {
    fn to_path(&self) -> &Path;
}

impl ToPath for [u8] {
    fn to_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(self))
    }
}

/// Says whether the text of `/etc/shells` names a shell.
fn shells_list(text: &[u8], shell: &Path) -> bool {
    text.split(|&byte| byte == b'\n').any(|line| {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
        let line = line.trim_ascii();
        // "/SENDMAIL/ANY/SHELL/" is the reference's word for "all shells are fine".
        line.first() == Some(&b'/') && (line.to_path() == shell || line == b"/SENDMAIL/ANY/SHELL/")
    })
}

/// A list of accounts written down by a test.
#[derive(Debug, Clone, Default)]
pub struct FixedUsers {
    users: Vec<User>,
    groups: HashMap<Vec<u8>, u32>,
    memberships: HashMap<Vec<u8>, Vec<u32>>,
}

impl FixedUsers {
    /// Makes an empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an account with home `/home/NAME`, shell `/bin/sh` and its uid as gid.
    pub fn user(self, name: &str, uid: u32) -> Self {
        self.account(User {
            name: name.into(),
            uid,
            gid: uid,
            gecos: Vec::new(),
            home: Path::new("/home").join(name),
            shell: PathBuf::from("/bin/sh"),
        })
    }

    /// Adds a whole account.
    pub fn account(mut self, user: User) -> Self {
        self.users.push(user);
        self
    }

    /// Adds a group.
    pub fn group(mut self, name: &str, gid: u32) -> Self {
        self.groups.insert(name.into(), gid);
        self
    }

    /// Makes a user a member of further groups.
    pub fn member(mut self, user: &str, gids: &[u32]) -> Self {
        self.memberships
            .entry(user.into())
            .or_default()
            .extend(gids);
        self
    }
}

impl UserDatabase for FixedUsers {
    fn user_by_name(&self, name: &[u8]) -> io::Result<Option<User>> {
        Ok(self.users.iter().find(|user| user.name == name).cloned())
    }

    fn user_by_uid(&self, uid: u32) -> io::Result<Option<User>> {
        Ok(self.users.iter().find(|user| user.uid == uid).cloned())
    }

    fn first_user(&self, is_wanted: &dyn Fn(&User) -> bool) -> io::Result<Option<User>> {
        Ok(self.users.iter().find(|user| is_wanted(user)).cloned())
    }

    fn group_by_name(&self, name: &[u8]) -> io::Result<Option<u32>> {
        Ok(self.groups.get(name).copied())
    }

    fn groups_of(&self, user: &User) -> io::Result<Vec<u32>> {
        let mut groups = vec![user.gid];
        groups.extend(self.memberships.get(&user.name).into_iter().flatten());
        Ok(groups)
    }

    fn shell_is_valid(&self, shell: &Path) -> bool {
        shell == Path::new("/bin/sh")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_knows_root() {
        let root = SystemUsers.user_by_name(b"root").unwrap().unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert_eq!(SystemUsers.user_by_uid(0).unwrap().unwrap().name, b"root");
        assert!(SystemUsers.groups_of(&root).unwrap().contains(&0));
    }

    #[test]
    fn an_absent_or_impossible_name_is_no_error() {
        for name in [&b"no-such-user-here"[..], b"", b"a\0b", b"\xff\xfe"] {
            assert_eq!(SystemUsers.user_by_name(name).unwrap(), None, "{name:?}");
            assert_eq!(SystemUsers.group_by_name(name).unwrap(), None, "{name:?}");
        }
    }

    #[test]
    fn the_list_of_accounts_is_read_to_whom_is_wanted() {
        let root = SystemUsers.first_user(&|user| user.uid == 0).unwrap();
        assert_eq!(root.unwrap().name, b"root");
        assert_eq!(SystemUsers.first_user(&|_| false).unwrap(), None);
    }

    #[test]
    fn full_names_of_the_password_file() {
        for (gecos, expected) in [
            ("Ann Example,Room 1,555", "Ann Example"),
            ("& (The Cat) Smith", "Cid (The Cat) Smith"),
            ("& B. Builder;Room", "Cid B. Builder"),
            ("*Star%", "Star"),
            ("", ""),
        ] {
            let mut user = FixedUsers::new().user("cid", 1).users.remove(0);
            user.gecos = gecos.into();
            let name = user.full_name();
            assert_eq!(String::from_utf8_lossy(&name), expected, "{gecos}");
        }
    }

    #[test]
    fn shells_are_whole_lines_and_comments_are_skipped() {
        let text = b"# /bin/evil\n/bin/sh\n /bin/bash # the usual\n";
        for (shell, listed) in [
            ("/bin/sh", true),
            ("/bin/bash", true),
            ("/bin/evil", false),
            ("/bin/s", false),
            ("", false),
        ] {
            assert_eq!(shells_list(text, Path::new(shell)), listed, "{shell}");
        }
        assert!(shells_list(
            b"/SENDMAIL/ANY/SHELL/\n",
            Path::new("/bin/false")
        ));
    }

    #[test]
    fn fixed_users_answer_what_they_were_told() {
        let users = FixedUsers::new()
            .user("juan", 1000)
            .group("mail", 8)
            .member("juan", &[8]);
        let juan = users.user_by_name(b"juan").unwrap().unwrap();
        assert_eq!(users.credentials_of(&juan).unwrap().groups, [1000, 8]);
        assert_eq!(users.group_by_name(b"mail").unwrap(), Some(8));
        assert_eq!(users.user_by_uid(1).unwrap(), None);
    }
}
