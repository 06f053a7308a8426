//! What we show to servers: the words of authinfo, and the file of DefaultAuthInfo.
//!
//! A word is a letter, `:` or `=`, and a value: `U` the user, `I` the identity the
//! password belongs to, `P` the password, `R` the realm, `M` the mechanisms. Behind
//! `=` the value is in base64.
//!
//! Source: guide 5.1.4 (authinfo) and 5.6 (DefaultAuthInfo).

use std::path::Path;

use super::encoding::decode;
use super::secret::Secret;
use crate::safefile::{DontBlameSendmail, Purpose, read};
use crate::sys::safe_open::OpenError;

/// Words that do not make credentials: one that nobody understands, or none of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unusable;

/// What one server is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Whose password it is (`I`).
    pub user: Vec<u8>,
    /// Who we want to act as (`U`).
    pub author: Vec<u8>,
    /// The password (`P`).
    pub password: Secret,
    /// The realm (`R`).
    pub realm: Option<Vec<u8>>,
    /// The mechanisms that may be used (`M`).
    pub mechanisms: Option<Vec<u8>>,
}

impl Credentials {
    /// Reads the words of authinfo; each may have quotes around it.
    ///
    /// # Errors
    /// [`Unusable`].
    pub fn from_words(words: &[Vec<u8>]) -> Result<Credentials, Unusable> {
        let mut credentials = Credentials::default();
        for word in words {
            let word = word.strip_prefix(b"\"").unwrap_or(word);
            let word = word.strip_suffix(b"\"").unwrap_or(word);
            let (letter, value) = word.split_at_checked(2).ok_or(Unusable)?;
            let value = match letter {
                [_, b':'] => value.to_vec(),
                [_, b'='] => decode(value).map_err(|_| Unusable)?,
                _ => return Err(Unusable),
            };
            let letter = letter.first().map(u8::to_ascii_uppercase);
            credentials.set(letter.unwrap_or(0), value)?;
        }
        credentials.complete()
    }

    /// Reads the file of DefaultAuthInfo: lines of `U`, `I`, `P`, `R` and `M` in this order.
    ///
    /// `None` is a file that names no user or has no password.
    ///
    /// # Errors
    /// It cannot be read, or others could read it.
    pub fn from_file(
        path: &Path,
        policy: DontBlameSendmail,
    ) -> Result<Option<Credentials>, OpenError> {
        let text = Secret::new(read(path, Purpose::AuthInfo, policy)?);
        let mut credentials = Credentials::default();
        let lines = text.as_bytes().split(|octet| *octet == b'\n');
        for (letter, line) in b"UIPRM".iter().zip(lines) {
            if !line.is_empty() && credentials.set(*letter, line.to_vec()).is_err() {
                return Ok(None);
            }
        }
        Ok(credentials.complete().ok())
    }

    fn set(&mut self, letter: u8, value: Vec<u8>) -> Result<(), Unusable> {
        match letter {
            b'U' => self.author = value,
            b'I' => self.user = value,
            b'P' => self.password = Secret::new(value),
            b'R' => self.realm = Some(value),
            b'M' => self.mechanisms = Some(value),
            _ => return Err(Unusable),
        }
        Ok(())
    }

    /// Lets user and author stand for each other; there must be one of them, and a password.
    fn complete(mut self) -> Result<Credentials, Unusable> {
        if self.user.is_empty() {
            self.user.clone_from(&self.author);
        }
        if self.author.is_empty() {
            self.author.clone_from(&self.user);
        }
        let is_complete = !self.user.is_empty() && !self.password.as_bytes().is_empty();
        is_complete.then_some(self).ok_or(Unusable)
    }

    /// Who we want to act as, where that is somebody else.
    pub fn other_author(&self) -> &[u8] {
        if self.author == self.user {
            b""
        } else {
            &self.author
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_words(words: &[&str]) -> Result<Credentials, Unusable> {
        let words: Vec<_> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        Credentials::from_words(&words)
    }

    #[test]
    fn words_of_authinfo() {
        let all = read_words(&[
            "\"U:user\"",
            "\"I:ident\"",
            "\"P:sec ret\"",
            "\"R:realm\"",
            "\"M:PLAIN LOGIN\"",
        ]);
        let all = all.expect("complete");
        assert_eq!((&*all.user, &*all.author), (&b"ident"[..], &b"user"[..]));
        assert_eq!(all.password.as_bytes(), b"sec ret");
        assert_eq!(all.realm.as_deref(), Some(&b"realm"[..]));
        assert_eq!(all.mechanisms.as_deref(), Some(&b"PLAIN LOGIN"[..]));
        for words in [["U:ann", "P=c2VjcmV0"], ["I:ann", "P:secret"]] {
            let one = read_words(&words).expect("complete");
            assert_eq!((&*one.user, &*one.author), (&b"ann"[..], &b"ann"[..]));
            assert_eq!(one.password.as_bytes(), b"secret");
            assert_eq!(one.other_author(), b"");
        }
    }

    #[test]
    fn words_that_make_no_credentials() {
        for words in [
            &["U:ann"][..],
            &["P:secret"],
            &["U:ann", "P=!!"],
            &["U:ann", "P:"],
            &["X:ann", "P:secret"],
            &["U-ann", "P:secret"],
            &["U", ":", "ann"],
            &[],
        ] {
            assert_eq!(read_words(words), Err(Unusable), "{words:?}");
        }
    }

    #[test]
    fn lines_of_default_auth_info() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("info");
        // The way to a temporary folder is open to everybody.
        let policy = DontBlameSendmail::TRUST_STICKY_BIT;
        let read_mode = |text: &str, mode| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            Credentials::from_file(&path, policy)
        };
        let all = read_mode("user\nident\nsecret\nrealm\nPLAIN\n", 0o600).unwrap();
        let all = all.expect("complete");
        assert_eq!((&*all.user, &*all.author), (&b"ident"[..], &b"user"[..]));
        assert_eq!(all.realm.as_deref(), Some(&b"realm"[..]));
        assert_eq!(all.mechanisms.as_deref(), Some(&b"PLAIN"[..]));
        let three = read_mode("\nident\nsecret", 0o600)
            .unwrap()
            .expect("complete");
        assert_eq!((three.realm, three.mechanisms), (None, None));
        assert_eq!(&*three.author, b"ident");
        assert_eq!(read_mode("user\nident\n", 0o600).unwrap(), None);
        for mode in [0o644, 0o640] {
            assert!(
                read_mode("user\nident\nsecret\n", mode).is_err(),
                "{mode:o}"
            );
        }
        let missing = Credentials::from_file(&folder.path().join("no"), policy);
        assert!(missing.is_err());
    }
}
