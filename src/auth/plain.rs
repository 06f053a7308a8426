//! PLAIN: name and password in one message (RFC 4616).

use super::accounts::{Accounts, canonical};
use super::credentials::Credentials;
use super::outcome::{Failure, Identity};
use super::secret::Secret;

/// Checks the client's message: author, user and password with NULs between them.
///
/// # Errors
/// Why not; the words are those of Cyrus SASL.
pub fn check(message: &[u8], realm: &[u8], accounts: &dyn Accounts) -> Result<Identity, Failure> {
    let mut parts = message.split(|octet| *octet == 0);
    let missing = |what: &str| Failure::protocol(format!("Can only find {what} (no password)"));
    let _author = parts.next().unwrap_or(b"");
    let user = parts.next().ok_or_else(|| missing("author"))?;
    let password = parts.next().ok_or_else(|| missing("author/en"))?;
    if parts.next().is_some() {
        return Err(Failure::protocol(
            "Got more data than we were expecting in the PLAIN plugin\\n",
        ));
    }
    let user = canonical(user)?;
    accounts
        .check(&user, realm, &Secret::new(password))
        .map_err(|failure| failure.told_as("Password verification failed"))?;
    Ok(Identity { user })
}

/// Who the client says it is, for the log: `AUTHOR/USER`, or the one there is.
pub fn claimed(message: &[u8]) -> Vec<u8> {
    let mut parts = message.split(|octet| *octet == 0);
    let author = parts.next().unwrap_or(b"");
    let user = parts.next().unwrap_or(b"");
    match (author, user) {
        (b"", one) | (one, b"") => one.to_vec(),
        (author, user) => [author, b"/", user].concat(),
    }
}

/// Writes our message.
pub fn message(credentials: &Credentials) -> Secret {
    Secret::new(
        [
            credentials.author.as_slice(),
            b"\0",
            &credentials.user,
            b"\0",
            credentials.password.as_bytes(),
        ]
        .concat(),
    )
}

#[cfg(test)]
mod tests {
    use super::super::accounts::tests::OneUser;
    use super::super::outcome::FailureKind;
    use super::*;

    fn failure(message: &[u8]) -> Failure {
        check(message, b"r", &OneUser("tim", "tanstaaftanstaaf")).unwrap_err()
    }

    #[test]
    fn the_examples_of_the_standard() {
        let tim = OneUser("tim", "tanstaaftanstaaf");
        let identity = check(b"\0tim\0tanstaaftanstaaf", b"r", &tim).unwrap();
        assert_eq!(identity.user, b"tim");
        let kurt = OneUser("Kurt", "xipj3plmq");
        let identity = check(b"Ursel\0Kurt\0xipj3plmq", b"r", &kurt).unwrap();
        assert_eq!(identity.user, b"Kurt");
    }

    #[test]
    fn what_is_wrong_is_told_to_the_log() {
        for (message, kind, detail) in [
            (
                &b""[..],
                FailureKind::Protocol,
                "Can only find author (no password)",
            ),
            (
                b"x",
                FailureKind::Protocol,
                "Can only find author (no password)",
            ),
            (
                b"tim\0x",
                FailureKind::Protocol,
                "Can only find author/en (no password)",
            ),
            (
                b"\0\0\0",
                FailureKind::Protocol,
                "Got more data than we were expecting in the PLAIN plugin\\n",
            ),
            (b"\0\0x", FailureKind::Generic, "All-whitespace username."),
            (
                b"\0tim\0x",
                FailureKind::Wrong,
                "Password verification failed",
            ),
            (
                b"\0tim\0",
                FailureKind::Wrong,
                "Password verification failed",
            ),
            (
                b"\0joe\0x",
                FailureKind::NoUser,
                "Password verification failed",
            ),
        ] {
            assert_eq!(failure(message), Failure::new(kind, detail), "{message:?}");
        }
    }

    #[test]
    fn the_log_names_author_and_user() {
        for (message, shown) in [
            (&b"\0ann\0x"[..], &b"ann"[..]),
            (b"bob\0ann\0x", b"bob/ann"),
            (b"ann\0x", b"ann/x"),
            (b"x", b"x"),
            (b"\0\0\0", b""),
        ] {
            assert_eq!(claimed(message), shown);
        }
    }

    #[test]
    fn what_we_write_we_would_take() {
        let credentials = Credentials {
            user: b"tim".to_vec(),
            password: Secret::new("tanstaaftanstaaf"),
            ..Credentials::default()
        };
        assert_eq!(message(&credentials).as_bytes(), b"\0tim\0tanstaaftanstaaf");
    }
}
