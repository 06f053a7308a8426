//! The mailer triple: mailer, host and user.

use super::table::MailerId;

/// What an address resolves to: by which mailer, to which host, for which user.
///
/// Source: guide 5.1.5.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MailerTriple {
    /// The mailer.
    pub mailer: MailerId,
    /// The host part, empty when the mailer needs none.
    pub host: Vec<u8>,
    /// The user part, what `$u` expands to.
    pub user: Vec<u8>,
}
