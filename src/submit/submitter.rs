//! Who submits: the real user, his trust, his full name.
//!
//! Source: guide sections 5.2 (`$x`) and 4.15 (authwarnings).

use crate::message::address::{PhraseRules, quote_phrase};
use crate::sys::identity::{User, UserDatabase};

/// The person who runs the program.
#[derive(Debug, Clone)]
pub struct Submitter {
    /// Login name, or something that says the user has none.
    pub name: Vec<u8>,
    /// The account.
    pub account: Option<User>,
}

impl Submitter {
    /// Looks the caller up.
    pub fn of(uid: u32, users: &dyn UserDatabase) -> Submitter {
        let account = users.user_by_uid(uid).ok().flatten();
        let name = match &account {
            Some(user) => user.name.clone(),
            None => format!("Unknown UID {uid}").into_bytes(),
        };
        Submitter { name, account }
    }
}

/// Takes the full name out of a comment field of the password file.
///
/// It ends at a comma, semicolon or percent sign; an ampersand stands for the login name
/// with a capital letter.
pub fn full_name_from_gecos(gecos: &[u8], login: &[u8]) -> Vec<u8> {
    let gecos = gecos.strip_prefix(b"*").unwrap_or(gecos);
    let end = gecos
        .iter()
        .position(|byte| b",;%".contains(byte))
        .unwrap_or(gecos.len());
    let mut name = Vec::with_capacity(end);
    for byte in &gecos[..end] {
        if *byte == b'&' {
            let mut login = login.iter();
            name.extend(login.next().map(u8::to_ascii_uppercase));
            name.extend(login);
        } else {
            name.push(*byte);
        }
    }
    name.trim_ascii().to_vec()
}

/// Makes a full name given by a user fit to stand in front of an address.
pub fn full_name_as_given(name: &[u8], rules: &PhraseRules<'_>) -> Vec<u8> {
    let name: Vec<u8> = name
        .iter()
        .map(|byte| {
            if matches!(byte, b'\r' | b'\n') {
                b' '
            } else {
                *byte
            }
        })
        .collect();
    quote_phrase(&name, rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_names_of_the_password_file() {
        for (gecos, expected) in [
            ("Ann Example,Room 1,555", "Ann Example"),
            ("& (The Cat) Smith", "Cid (The Cat) Smith"),
            ("", ""),
        ] {
            assert_eq!(
                full_name_from_gecos(gecos.as_bytes(), b"cid"),
                expected.as_bytes()
            );
        }
    }
}
