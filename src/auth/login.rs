//! LOGIN: name and password, asked for in turn.
//!
//! Never a standard; clients of old spoke nothing else.

use super::accounts::{Accounts, canonical};
use super::outcome::{Failure, Identity};
use super::secret::Secret;

/// What the client is asked first.
pub const USER_PROMPT: &[u8] = b"Username:";
/// What it is asked then.
pub const PASSWORD_PROMPT: &[u8] = b"Password:";

/// Checks name and password.
///
/// # Errors
/// Why not; the words are those of Cyrus SASL.
pub fn check(
    (user, realm): (&[u8], &[u8]),
    password: &[u8],
    accounts: &dyn Accounts,
) -> Result<Identity, Failure> {
    let user = canonical(user)?;
    accounts
        .check(&user, realm, &Secret::new(password))
        .map_err(|failure| failure.told_as("checkpass failed"))?;
    Ok(Identity { user })
}

#[cfg(test)]
mod tests {
    use super::super::accounts::tests::OneUser;
    use super::super::outcome::FailureKind;
    use super::*;

    #[test]
    fn names_and_passwords() {
        let ann = OneUser("ann", "secret");
        assert_eq!(check((b"ann", b"r"), b"secret", &ann).unwrap().user, b"ann");
        for (user, password, kind, detail) in [
            ("ann", "x", FailureKind::Wrong, "checkpass failed"),
            ("bob", "secret", FailureKind::NoUser, "checkpass failed"),
            ("", "", FailureKind::Generic, "All-whitespace username."),
        ] {
            let failure = check((user.as_bytes(), b"r"), password.as_bytes(), &ann).unwrap_err();
            assert_eq!(failure, Failure::new(kind, detail));
        }
    }
}
