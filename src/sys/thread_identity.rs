//! A user's rights for a moment, for one thread.
//!
//! Linux keeps identities per thread; only the C library pretends otherwise. By
//! raw system calls the effective ids of the calling thread alone are changed,
//! and the saved ids bring them back. If they cannot be brought back the process
//! ends on the spot: going on with mixed rights would be worse than any crash.

use std::io;

use super::identity::Credentials;

/// Rights borrowed from a user; dropping it gives them back.
#[derive(Debug)]
pub struct BorrowedIdentity {
    uid: u32,
    gid: u32,
    groups: Vec<libc::gid_t>,
    /// Rights belong to one thread: the value must not move to another.
    _thread: std::marker::PhantomData<*const ()>,
}

/// "Leave this id alone", for the raw calls.
const UNCHANGED: u32 = u32::MAX;

impl BorrowedIdentity {
    /// Takes a user's rights; `None` if this process has no rights to give up.
    ///
    /// # Errors
    /// The system refused; nothing is changed then.
    pub fn take(user: &Credentials) -> io::Result<Option<BorrowedIdentity>> {
        if super::process::effective_user() != 0 || user.uid == 0 {
            return Ok(None);
        }
        let groups = nix::unistd::getgroups()?
            .into_iter()
            .map(|gid| gid.as_raw())
            .collect();
        let borrowed = BorrowedIdentity {
            uid: 0,
            gid: super::process::effective_group(),
            groups,
            _thread: std::marker::PhantomData,
        };
        // From here on a failure drops `borrowed`, which puts everything back.
        set_groups(&user.groups)?;
        set_effective_gid(user.gid)?;
        set_effective_uid(user.uid)?;
        Ok(Some(borrowed))
    }
}

impl Drop for BorrowedIdentity {
    fn drop(&mut self) {
        let back = set_effective_uid(self.uid)
            .and_then(|()| set_effective_gid(self.gid))
            .and_then(|()| set_groups(&self.groups));
        if back.is_err() {
            log::error!("cannot take root's rights back; ending");
            std::process::abort();
        }
    }
}

fn set_groups(groups: &[libc::gid_t]) -> io::Result<()> {
    // SAFETY: the list is valid for the whole call.
    done(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) })
}

fn set_effective_gid(gid: u32) -> io::Result<()> {
    // SAFETY: numbers only.
    done(unsafe { libc::syscall(libc::SYS_setresgid, UNCHANGED, gid, UNCHANGED) })
}

fn set_effective_uid(uid: u32) -> io::Result<()> {
    // SAFETY: numbers only.
    done(unsafe { libc::syscall(libc::SYS_setresuid, UNCHANGED, uid, UNCHANGED) })
}

fn done(code: libc::c_long) -> io::Result<()> {
    if code == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_borrowed_and_given_back() {
        let user = Credentials::plain(65_534, 65_534);
        let is_root = super::super::process::effective_user() == 0;
        let borrowed = BorrowedIdentity::take(&user).unwrap();
        assert_eq!(borrowed.is_some(), is_root);
        if is_root {
            assert_eq!(super::super::process::effective_user(), 65_534);
            drop(borrowed);
            assert_eq!(super::super::process::effective_user(), 0);
        }
    }
}
