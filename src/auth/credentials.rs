//! What we show to servers: the words of authinfo, and the file of DefaultAuthInfo.
//!
//! A word is a letter, `:` or `=`, and a value: `U` the user, `I` the identity the
//! password belongs to, `P` the password, `R` the realm, `M` the mechanisms. Behind
//! `=` the value is in base64.
//!
//! Source: guide 5.1.4 (authinfo) and 5.6 (DefaultAuthInfo).

use super::secret::Secret;

/// What one server is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Whose password it is (`I`).
    pub user: Vec<u8>,
    /// Who we want to act as (`U`); empty when that is the same.
    pub author: Vec<u8>,
    /// The password (`P`).
    pub password: Secret,
    /// The realm (`R`).
    pub realm: Option<Vec<u8>>,
    /// The mechanisms that may be used (`M`).
    pub mechanisms: Option<Vec<u8>>,
}
