//! What became of one recipient in one delivery attempt.

use crate::smtp::{EnhancedStatus, ExitStatus};
use crate::sys::clock::Timestamp;

/// What a report quotes of a message that has gone round in circles. Observed: 8.17.1.9.
const TOO_MANY_HOPS: &[u8] = b"554 5.4.6 Too many hops";

/// Describes the result of one attempt for one recipient: what is logged, shown by
/// mailq and written into delivery reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryStatus {
    /// The exit status of the mailer, or the equivalent.
    pub exit: ExitStatus,
    /// The enhanced status code of the log (`dsn=`).
    pub enhanced: EnhancedStatus,
    /// The enhanced status code of a report (`Status:`); often coarser than the log's.
    pub reported: EnhancedStatus,
    /// The text after `stat=`, such as `User unknown` or `Deferred: Connection refused by x.`.
    pub text: Vec<u8>,
    /// The `M` line of the queue file where it is not `text`.
    pub waiting_because: Option<Vec<u8>>,
    /// The text after `reply=`, if a server or a check replied.
    pub reply: Option<Vec<u8>>,
    /// What `(reason: ...)` and `Diagnostic-Code:` of a report quote, without the diagnostic type.
    pub diagnostic: Option<Vec<u8>>,
    /// The host that gave the status (`Remote-MTA:`), if it was not us.
    pub remote: Option<Vec<u8>>,
    /// The next host promised to report to the sender itself (it offers DSN).
    pub reports_itself: bool,
    /// The next host keeps the time the message must be delivered by (it offers DELIVERBY).
    pub keeps_deadline: bool,
    /// The server spoke about this recipient alone; its queue record says why it waits, too.
    pub is_personal: bool,
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
            exit,
            enhanced,
            reported: enhanced,
            text: text.into(),
            waiting_because: None,
            reply: None,
            diagnostic: None,
            remote: None,
            reports_itself: false,
            keeps_deadline: false,
            is_personal: false,
            at,
        }
    }

    /// Makes the status of an address whose look-ups could not be answered now.
    pub fn unanswered_lookup(text: impl Into<Vec<u8>>, at: Timestamp) -> Self {
        let exit = ExitStatus::TempFail;
        let enhanced =
            EnhancedStatus::new(4, 4, 3).unwrap_or_else(|| EnhancedStatus::from_exit(exit));
        Self::local(enhanced, exit, text, at)
    }

    /// Makes the status of a message that has gone round in circles; `text` tells the whole way.
    pub fn too_many_hops(text: impl Into<Vec<u8>>, at: Timestamp) -> Self {
        let exit = ExitStatus::Unavailable;
        let enhanced =
            EnhancedStatus::new(5, 4, 6).unwrap_or_else(|| EnhancedStatus::from_exit(exit));
        Self {
            diagnostic: Some(TOO_MANY_HOPS.to_vec()),
            ..Self::local(enhanced, exit, text, at)
        }
    }
}
