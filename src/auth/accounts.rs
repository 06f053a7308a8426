//! Where passwords are: the question an exchange asks, and who answers it.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::application::{ApplicationFile, PasswordCheck};
use super::outcome::{Failure, FailureKind};
use super::secret::{Secret, is_equal};
use super::{saslauthd, sasldb};
use crate::logging::record::{MailLog, Severity};
use crate::safefile::DontBlameSendmail;
use crate::sys::clock::Clock;

/// How long saslauthd may take for one password.
///
/// It asks PAM, and that may wait two or three seconds after a wrong one on purpose.
const SASLAUTHD_PATIENCE: Duration = Duration::from_secs(30);

/// Who knows passwords.
pub trait Accounts: Send + Sync {
    /// Tells whether `password` is that of `user`, who is of `realm` if he names none.
    ///
    /// # Errors
    /// Why not.
    fn check(&self, user: &[u8], realm: &[u8], password: &Secret) -> Result<(), Failure>;

    /// Gives the password of `user` in `realm`, for mechanisms that do not send it.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    fn password(&self, user: &[u8], realm: &[u8]) -> Result<Secret, Failure>;

    /// The mechanisms this machine has for us; `None` is all.
    fn mechanisms(&self) -> Option<&[u8]>;

    /// Tells whether there are any passwords; without, none need be asked for.
    fn has_passwords(&self) -> bool;
}

/// The passwords of Cyrus SASL: saslauthd and sasldb, as `Sendmail.conf` says.
///
/// The file is read when the first client comes: most programs need no passwords.
pub struct SaslAccounts {
    file: OnceLock<ApplicationFile>,
    policy: DontBlameSendmail,
    clock: Arc<dyn Clock>,
    log: MailLog,
}

impl SaslAccounts {
    /// Makes accounts whose file has not been read yet.
    pub fn new(policy: DontBlameSendmail, clock: Arc<dyn Clock>, log: MailLog) -> Self {
        Self {
            file: OnceLock::new(),
            policy,
            clock,
            log,
        }
    }

    fn file(&self) -> &ApplicationFile {
        self.file.get_or_init(|| {
            let (file, passed) = ApplicationFile::find(self.policy);
            for one in passed {
                // Observed: 8.17.1.9.
                let level = if one.error.is_not_found() { 11 } else { 9 };
                let (path, error) = (one.path.display(), &one.error);
                let line = format_args!("error: safesasl({path}) failed: {error}");
                self.log.syslog(level, Severity::Warning, None, line);
            }
            file
        })
    }

    fn check_by(
        &self,
        way: PasswordCheck,
        (user, realm): (&[u8], &[u8]),
        password: &Secret,
    ) -> Result<(), Failure> {
        match way {
            PasswordCheck::Saslauthd => {
                let deadline = self.clock.monotonic() + SASLAUTHD_PATIENCE;
                let path: &PathBuf = &self.file().saslauthd;
                saslauthd::check(path, user, password, deadline)
            }
            PasswordCheck::Auxprop => {
                let (name, realm) = split_realm(user, realm);
                let known = self.password(name, realm)?;
                if is_equal(known.as_bytes(), password.as_bytes()) {
                    Ok(())
                } else {
                    Err(Failure::wrong(""))
                }
            }
        }
    }
}

impl Accounts for SaslAccounts {
    fn mechanisms(&self) -> Option<&[u8]> {
        self.file().mechanisms.as_deref()
    }

    fn has_passwords(&self) -> bool {
        let file = self.file();
        file.is_written || (file.uses_sasldb && file.sasldb.exists())
    }

    fn check(&self, user: &[u8], realm: &[u8], password: &Secret) -> Result<(), Failure> {
        let mut last = Failure::new(FailureKind::Generic, "");
        for way in &self.file().checks {
            match self.check_by(*way, (user, realm), password) {
                Ok(()) => return Ok(()),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    fn password(&self, user: &[u8], realm: &[u8]) -> Result<Secret, Failure> {
        if !self.file().uses_sasldb {
            return Err(Failure::new(FailureKind::NoUser, ""));
        }
        sasldb::password(&self.file().sasldb, user, realm)
    }
}

/// Cuts a user into name and realm; who names none is of `own`.
pub fn split_realm<'a>(user: &'a [u8], own: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    match user.iter().position(|octet| *octet == b'@') {
        Some(at) => {
            let (name, realm) = user.split_at(at);
            (name, realm.get(1..).unwrap_or(b""))
        }
        None => (user, own),
    }
}

/// Takes white space from both ends of a user's name.
///
/// # Errors
/// Nothing is left. Observed: 8.17.1.9 with Cyrus SASL 2.1.28.
pub fn canonical(user: &[u8]) -> Result<Vec<u8>, Failure> {
    let trimmed = user.trim_ascii();
    if trimmed.is_empty() {
        return Err(Failure::new(
            FailureKind::Generic,
            "All-whitespace username.",
        ));
    }
    Ok(trimmed.to_vec())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Accounts for tests: one user and his password.
    pub(crate) struct OneUser(pub &'static str, pub &'static str);

    impl Accounts for OneUser {
        fn mechanisms(&self) -> Option<&[u8]> {
            None
        }

        fn has_passwords(&self) -> bool {
            true
        }

        fn check(&self, user: &[u8], realm: &[u8], password: &Secret) -> Result<(), Failure> {
            let known = self.password(user, realm)?;
            match is_equal(known.as_bytes(), password.as_bytes()) {
                true => Ok(()),
                false => Err(Failure::wrong("")),
            }
        }

        fn password(&self, user: &[u8], _realm: &[u8]) -> Result<Secret, Failure> {
            match user == self.0.as_bytes() {
                true => Ok(Secret::new(self.1)),
                false => Err(Failure::new(FailureKind::NoUser, "")),
            }
        }
    }

    #[test]
    fn a_user_may_name_his_realm() {
        assert_eq!(
            split_realm(b"ann", b"mx.test"),
            (&b"ann"[..], &b"mx.test"[..])
        );
        assert_eq!(split_realm(b"ann@b@c", b"mx"), (&b"ann"[..], &b"b@c"[..]));
    }

    #[test]
    fn names_lose_white_space_around_them() {
        assert_eq!(canonical(b" ann\t").as_deref(), Ok(&b"ann"[..]));
        assert!(canonical(b" \t ").is_err());
    }
}
