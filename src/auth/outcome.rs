//! How an exchange ends: who it is, or why not.

use std::fmt;

/// Who has been let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Whose password it was (`${auth_authen}`).
    pub user: Vec<u8>,
}

/// The kinds of failure the log tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Nobody could say whether the password is right.
    Generic,
    /// The other side does not speak the mechanism.
    Protocol,
    /// The password is wrong.
    Wrong,
    /// There is no such user.
    NoUser,
}

/// Why somebody is not let in.
///
/// The client hears the same of each; only the log has this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind it is.
    pub kind: FailureKind,
    /// The mechanism's own words.
    pub detail: String,
}

impl Failure {
    /// Makes a failure.
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }

    /// The client broke the rules of the mechanism.
    pub fn protocol(detail: impl Into<String>) -> Self {
        Self::new(FailureKind::Protocol, detail)
    }

    /// The password was wrong.
    pub fn wrong(detail: impl Into<String>) -> Self {
        Self::new(FailureKind::Wrong, detail)
    }

    /// Keeps the kind under other words.
    pub fn told_as(self, detail: &str) -> Self {
        Self::new(self.kind, detail)
    }
}

impl fmt::Display for Failure {
    /// Writes it as the log has it: `user not found (-20) SASL(-13): user not found: DETAIL`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, number, shown) = match self.kind {
            FailureKind::Generic => ("generic failure", -1, -1),
            FailureKind::Protocol => ("bad protocol / cancel", -5, -5),
            FailureKind::Wrong => ("authentication failure", -13, -13),
            // Who must not know whether a user exists is given the number of a wrong password.
            FailureKind::NoUser => ("user not found", -20, -13),
        };
        write!(
            f,
            "{name} ({number}) SASL({shown}): {name}: {}",
            self.detail
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_worded_as_the_reference_does() {
        assert_eq!(
            Failure::wrong("Password verification failed").to_string(),
            "authentication failure (-13) SASL(-13): authentication failure: \
             Password verification failed"
        );
        assert_eq!(
            Failure::new(FailureKind::NoUser, "checkpass failed").to_string(),
            "user not found (-20) SASL(-13): user not found: checkpass failed"
        );
    }
}
