//! What became of one recipient in one delivery attempt.

use crate::smtp::{EnhancedStatus, ExitStatus, Reply};
use crate::sys::clock::Timestamp;

/// Describes the result of one attempt for one recipient: what is logged, shown by
/// mailq and written into delivery reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryStatus {
    /// The enhanced status code (`Status:` of a report, `dsn=` of the log).
    pub enhanced: EnhancedStatus,
    /// The reply of the remote server, if one spoke.
    pub reply: Option<Reply>,
    /// The host that gave the status (`Remote-MTA:`), if it was not us.
    pub remote: Option<Vec<u8>>,
    /// The text after `stat=`, such as `User unknown`; also the `M` line of a queue file.
    pub text: Vec<u8>,
    /// Who gave the diagnostic and its text, as `Diagnostic-Code:` shows it, if different from `reply`.
    pub diagnostic: Option<Vec<u8>>,
    /// The reason line of a report (`(reason: ...)`), without its frame.
    pub reason: Option<Vec<u8>>,
    /// The exit status of the mailer, or the equivalent.
    pub exit: ExitStatus,
    /// When the attempt ended.
    pub at: Timestamp,
}

impl DeliveryStatus {
    /// Makes a status with no remote party.
    pub fn local(
        enhanced: EnhancedStatus,
        exit: ExitStatus,
        text: impl Into<Vec<u8>>,
        at: Timestamp,
    ) -> Self {
        Self {
            enhanced,
            reply: None,
            remote: None,
            text: text.into(),
            diagnostic: None,
            reason: None,
            exit,
            at,
        }
    }
}
