//! Verdicts: what a ruleset hook said about a client, a sender, a recipient or a message.

use super::Reply;

/// The answer of a check ruleset.
///
/// Source: guide section 5.1.4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Go on; also the answer of a hook the configuration does not define.
    Accept,
    /// Say yes and throw the message away (`$#discard`).
    Discard,
    /// Refuse for good with this reply.
    Reject(Reply),
    /// Refuse for now with this reply.
    Defer(Reply),
    /// Accept, but hold the message in quarantine for this reason (`$#error $@ quarantine`).
    Quarantine(Vec<u8>),
}

impl Verdict {
    /// Returns the reply to send when the verdict refuses.
    pub fn refusal(&self) -> Option<&Reply> {
        match self {
            Self::Reject(reply) | Self::Defer(reply) => Some(reply),
            Self::Accept | Self::Discard | Self::Quarantine(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refusals_carry_a_reply() {
        assert_eq!(Verdict::Accept.refusal(), None);
        let reply = Reply::of("550 5.7.1 Access denied");
        assert_eq!(Verdict::Reject(reply.clone()).refusal(), Some(&reply));
    }
}
