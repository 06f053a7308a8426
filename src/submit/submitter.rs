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
