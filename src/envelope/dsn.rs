//! Delivery status notification parameters of an envelope and of its recipients.
//!
//! Source: RFC 3461 sections 4.1 to 4.4.

use crate::smtp::parameter::{NotifyParameter, RetParameter};

/// When the sender of a message wants to hear about a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NotifyWhen {
    /// Wants a report when the message was delivered.
    pub success: bool,
    /// Wants a report when it could not be delivered.
    pub failure: bool,
    /// Wants a warning when it is delayed.
    pub delay: bool,
}

/// The NOTIFY parameter of one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Notify {
    /// Not given: failures and delays are reported.
    #[default]
    Default,
    /// `NOTIFY=NEVER`.
    Never,
    /// `NOTIFY=` with at least one of SUCCESS, FAILURE, DELAY.
    On(NotifyWhen),
    /// Not given, but a queue file says what is reported, and it is not the default.
    Recorded(NotifyWhen),
}

impl Notify {
    /// Tells whether the parameter was given by the client (flag `N` of an `R` line).
    pub fn was_given(self) -> bool {
        !matches!(self, Notify::Default | Notify::Recorded(_))
    }

    /// Tells whether success is to be reported.
    pub fn on_success(self) -> bool {
        matches!(self, Notify::On(when) | Notify::Recorded(when) if when.success)
    }

    /// Tells whether failure is to be reported.
    pub fn on_failure(self) -> bool {
        match self {
            Notify::Default => true,
            Notify::Never => false,
            Notify::On(when) | Notify::Recorded(when) => when.failure,
        }
    }

    /// Tells whether delay is to be reported.
    pub fn on_delay(self) -> bool {
        match self {
            Notify::Default => true,
            Notify::Never => false,
            Notify::On(when) | Notify::Recorded(when) => when.delay,
        }
    }

    /// Parses the value of `NOTIFY=` (also of the `-N` flag), case-insensitively.
    ///
    /// Returns `None` for an unknown word, an empty list, or NEVER together with another word.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let mut when = NotifyWhen {
            success: false,
            failure: false,
            delay: false,
        };
        let mut never = false;
        let mut words = 0;
        for word in value.split(|&b| b == b',') {
            words += 1;
            match word.to_ascii_lowercase().as_slice() {
                b"never" => never = true,
                b"success" => when.success = true,
                b"failure" => when.failure = true,
                b"delay" => when.delay = true,
                _ => return None,
            }
        }
        match (never, words) {
            (true, 1) => Some(Notify::Never),
            (true, _) => None,
            (false, _) => Some(Notify::On(when)),
        }
    }

    /// Writes the value of `NOTIFY=` for a server that offers DSN; `None` when it was not given.
    pub fn to_parameter(self) -> Option<Vec<u8>> {
        match self {
            Notify::Default | Notify::Recorded(_) => None,
            Notify::Never => Some(b"NEVER".to_vec()),
            Notify::On(when) => {
                let mut words: Vec<&[u8]> = Vec::new();
                if when.success {
                    words.push(b"SUCCESS");
                }
                if when.failure {
                    words.push(b"FAILURE");
                }
                if when.delay {
                    words.push(b"DELAY");
                }
                Some(words.join(&b','))
            }
        }
    }
}

impl From<NotifyParameter> for Notify {
    fn from(parameter: NotifyParameter) -> Self {
        let NotifyParameter {
            success,
            failure,
            delay,
        } = parameter;
        if success || failure || delay {
            Notify::On(NotifyWhen {
                success,
                failure,
                delay,
            })
        } else {
            Notify::Never
        }
    }
}

/// How much of the message a failure report returns (RET parameter).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Return {
    /// `RET=FULL`.
    Full,
    /// `RET=HDRS`.
    Headers,
}

impl From<RetParameter> for Return {
    fn from(parameter: RetParameter) -> Self {
        match parameter {
            RetParameter::Full => Return::Full,
            RetParameter::Headers => Return::Headers,
        }
    }
}

impl Return {
    /// Writes the value of `RET=`.
    pub fn parameter(self) -> &'static [u8] {
        match self {
            Return::Full => b"FULL",
            Return::Headers => b"HDRS",
        }
    }
}

/// The DSN parameters of a whole envelope.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct EnvelopeDsn {
    /// `ENVID=`, in xtext as received.
    pub envid: Option<Vec<u8>>,
    /// `RET=`, if it was given.
    pub ret: Option<Return>,
}

/// An original or final recipient: address type, semicolon, address (xtext as received).
///
/// Holds the whole text, such as `rfc822;bob@example.com`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OriginalRecipient(Vec<u8>);

impl OriginalRecipient {
    /// Takes the text as given in `ORCPT=` or on a `Q` line.
    pub fn new(text: impl Into<Vec<u8>>) -> Self {
        Self(text.into())
    }

    /// Gives the whole text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notify_values() {
        assert_eq!(Notify::parse(b"NEVER"), Some(Notify::Never));
        assert_eq!(Notify::parse(b"never,success"), None);
        assert_eq!(Notify::parse(b""), None);
        assert_eq!(Notify::parse(b"often"), None);
        let both = Notify::parse(b"success,DELAY").unwrap();
        assert!(both.on_success() && both.on_delay() && !both.on_failure());
        assert_eq!(both.to_parameter().unwrap(), b"SUCCESS,DELAY");
    }

    #[test]
    fn without_the_parameter_failure_and_delay_are_reported() {
        let notify = Notify::default();
        assert!(notify.on_failure() && notify.on_delay() && !notify.on_success());
        assert!(notify.to_parameter().is_none());
    }
}
