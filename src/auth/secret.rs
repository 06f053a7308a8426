//! Passwords in memory, and comparing them.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A password; it is never shown, and overwritten when it goes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes a password.
    pub fn new(octets: impl Into<Vec<u8>>) -> Self {
        Self(octets.into())
    }

    /// The password itself.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.fill(0);
        // Nobody reads the octets again, so the compiler would leave the filling out.
        std::hint::black_box(&self.0);
    }
}

/// Tells whether two texts are equal, in a time that does not depend on where they differ.
pub fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let digest = |octets: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"comparison").ok()?;
        mac.update(octets);
        Some(mac)
    };
    match (digest(one), digest(other)) {
        (Some(one), Some(other)) => one.verify(&other.finalize().into_bytes()).is_ok(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparing() {
        assert!(is_equal(b"", b"") && is_equal(b"secret", b"secret"));
        assert!(!is_equal(b"secret", b"Secret") && !is_equal(b"a", b"") && !is_equal(b"", b"a"));
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::new(b"geheim".to_vec())), "Secret");
    }
}
