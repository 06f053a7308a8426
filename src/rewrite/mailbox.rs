//! Is the user a mailer is about to get fit to be one?
//!
//! Observed: 8.17.1.9.

use super::resolve::MAX_ADDRESS;

/// What is wrong with the user of a mailer triple.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MailboxFault {
    TooLong,
    Symbol,
    Control,
    OpenQuote,
    LoneBackslash,
}

impl MailboxFault {
    /// Returns the words of the reference.
    pub(super) fn name(self) -> &'static str {
        match self {
            MailboxFault::TooLong => "too long",
            MailboxFault::Symbol => "8-bit character",
            MailboxFault::Control => "non-printable character",
            MailboxFault::OpenQuote => "unbalanced quote",
            MailboxFault::LoneBackslash => "trailing \\ character",
        }
    }
}

/// A user that cannot be one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unfit {
    /// The user as messages show it.
    pub(super) shown: Vec<u8>,
    /// What is wrong; of several faults the last one.
    pub(super) fault: MailboxFault,
    /// An octet of it could be a symbol, whatever else is wrong.
    pub(super) has_symbol: bool,
}

/// Looks for control characters outside of quotes and for quotes left open.
///
/// With `eight_bit_addresses` octets above 127 are letters like others.
pub(super) fn check_user(user: &[u8], eight_bit_addresses: bool) -> Result<(), Unfit> {
    let mut shown = user.to_vec();
    let mut fault = None;
    let mut has_symbol = false;
    let mut quoted = false;
    // With a backslash counts what it escapes: both are one.
    let mut length = 0;
    let mut octets = shown.iter_mut();
    while let Some(octet) = octets.next() {
        length += 1;
        let octet = match *octet {
            0..b' ' | 0x7f if !quoted => {
                fault = Some(MailboxFault::Control);
                *octet = b'?';
                continue;
            }
            b'"' => {
                quoted = !quoted;
                continue;
            }
            b'\\' => match octets.next() {
                Some(escaped) => escaped,
                None => {
                    fault = Some(MailboxFault::LoneBackslash);
                    *octet = b'?';
                    continue;
                }
            },
            _ => octet,
        };
        if matches!(*octet, 0x80..0xa0) && !eight_bit_addresses {
            fault = Some(MailboxFault::Symbol);
            has_symbol = true;
            *octet = b'?';
        }
    }
    if quoted {
        fault = Some(MailboxFault::OpenQuote);
    }
    if length > MAX_ADDRESS {
        fault = Some(MailboxFault::TooLong);
    }
    match fault {
        None => Ok(()),
        Some(fault) => Err(Unfit {
            shown,
            fault,
            has_symbol,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_may_stand_in_quotes_only() {
        for (user, wanted) in [
            ("plain", None),
            ("\"a\u{1}b\"", None),
            ("a\\\u{1}", None),
            ("a\u{7f}b", Some(("a?b", MailboxFault::Control))),
            ("\"a\u{1}", Some(("\"a\u{1}", MailboxFault::OpenQuote))),
            ("\u{2}\"", Some(("?\"", MailboxFault::OpenQuote))),
            ("a\\", Some(("a?", MailboxFault::LoneBackslash))),
        ] {
            let wanted = wanted.map_or(Ok(()), |(shown, fault)| Err(unfit(shown, fault, false)));
            assert_eq!(check_user(user.as_bytes(), false), wanted, "{user:?}");
        }
        assert_eq!(check_user("\u{c1}".as_bytes(), true), Ok(()));
        let long = "a".repeat(MAX_ADDRESS + 1);
        assert_eq!(
            check_user(long.as_bytes(), false),
            Err(unfit(&long, MailboxFault::TooLong, false))
        );
    }

    #[test]
    fn a_symbol_is_seen_behind_later_faults() {
        for (user, shown, fault) in [
            (b"a\\\x9b".as_slice(), "a\\?", MailboxFault::Symbol),
            (b"\x9b\x01", "??", MailboxFault::Control),
            (b"\x9b\"", "?\"", MailboxFault::OpenQuote),
        ] {
            assert_eq!(check_user(user, false), Err(unfit(shown, fault, true)));
        }
    }

    fn unfit(shown: &str, fault: MailboxFault, has_symbol: bool) -> Unfit {
        Unfit {
            shown: shown.into(),
            fault,
            has_symbol,
        }
    }
}
