//! The password file of Cyrus SASL: a Berkeley database, usually `/etc/sasldb2`.
//!
//! Its keys are user, realm and property with a NUL between them; the property
//! `userPassword` has the password itself. It is opened for each question, so that
//! what `saslpasswd2` changes counts at once.
//!
//! Source: files made by saslpasswd2 of Cyrus SASL 2.1.28.

use std::path::Path;

use super::outcome::{Failure, FailureKind};
use super::secret::Secret;
use crate::map::berkeley::Database;
use crate::safefile::{DontBlameSendmail, Purpose, open};

/// Gives the password of a user.
///
/// # Errors
/// There is no such user, no such file, or it is no database.
pub fn password(path: &Path, user: &[u8], realm: &[u8]) -> Result<Secret, Failure> {
    let nobody = || Failure::new(FailureKind::NoUser, "");
    // Two users must not share a key.
    if user.contains(&0) || realm.contains(&0) {
        return Err(nobody());
    }
    let opened = open(path, Purpose::Configuration, DontBlameSendmail::SAFE);
    let opened = opened.map_err(|error| match error.is_not_found() {
        true => nobody(),
        false => Failure::new(FailureKind::Generic, ""),
    })?;
    let broken = |_| Failure::new(FailureKind::Generic, "");
    let database = Database::open(opened.file).map_err(broken)?;
    let key = [user, b"\0", realm, b"\0userPassword"].concat();
    match database.lookup(&key).map_err(broken)? {
        Some(password) => Ok(Secret::new(password)),
        None => Err(nobody()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(pairs: &[(&[u8], &[u8])]) -> (tempfile::TempDir, std::path::PathBuf) {
        use crate::map::berkeley::{Layout, Repeated, Table};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sasldb2");
        let mut table = Table::new(Layout::Hash, false);
        for (key, value) in pairs {
            let _ = table.insert(key.to_vec(), value.to_vec(), Repeated::Refuse);
        }
        let mut octets = Vec::new();
        table.write([7; 20], &mut octets).unwrap();
        std::fs::write(&path, octets).unwrap();
        (folder, path)
    }

    #[test]
    fn users_are_found_in_their_realm() {
        let (_folder, path) = database(&[(b"ann\0mx.test\0userPassword", b"secret")]);
        let found = password(&path, b"ann", b"mx.test");
        assert_eq!(found, Ok(Secret::new("secret")));
        for (user, realm) in [
            ("ann", "other.test"),
            ("Ann", "mx.test"),
            ("bob", "mx.test"),
        ] {
            let failure = password(&path, user.as_bytes(), realm.as_bytes()).unwrap_err();
            assert_eq!(failure.kind, FailureKind::NoUser, "{user} {realm}");
        }
        let sly = password(&path, b"ann\0mx.test\0userPassword", b"").unwrap_err();
        assert_eq!(sly.kind, FailureKind::NoUser);
    }

    #[test]
    fn no_file_knows_nobody_and_a_broken_one_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let missing = password(&folder.path().join("x"), b"ann", b"r").unwrap_err();
        assert_eq!(missing.kind, FailureKind::NoUser);
        let path = folder.path().join("broken");
        std::fs::write(&path, b"no database").unwrap();
        assert_eq!(
            password(&path, b"ann", b"r").unwrap_err().kind,
            FailureKind::Generic
        );
    }
}
