//! Exit statuses: the `sysexits` a mailer returns and a rule may name.
//!
//! A program mailer reports by its exit status, `$#error $@ NOUSER` names one,
//! and a reply code is turned into one. The table below says what each means
//! as a reply code, an enhanced status code and a text (observed: 8.17.1.9).

use super::{EnhancedStatus, ReplyCode};

/// The outcome of a delivery attempt in the words of `sysexits.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitStatus {
    /// Delivered.
    Ok,
    /// Wrong command line (64).
    Usage,
    /// Data format error (65).
    DataError,
    /// Cannot open input (66).
    NoInput,
    /// User unknown (67).
    NoUser,
    /// Host unknown (68).
    NoHost,
    /// Service unavailable (69).
    Unavailable,
    /// Internal error (70).
    Software,
    /// Operating system error (71).
    OsError,
    /// A system file is missing (72).
    OsFile,
    /// Output cannot be created (73).
    CantCreate,
    /// Input or output error (74).
    IoError,
    /// Try again later (75).
    TempFail,
    /// The remote side broke the protocol (76).
    Protocol,
    /// Insufficient permission (77).
    NoPermission,
    /// Configuration error (78).
    Config,
    /// Any other status.
    Other(u8),
}

impl ExitStatus {
    /// Makes the exit status of a number.
    pub fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Ok,
            64 => Self::Usage,
            65 => Self::DataError,
            66 => Self::NoInput,
            67 => Self::NoUser,
            68 => Self::NoHost,
            69 => Self::Unavailable,
            70 => Self::Software,
            71 => Self::OsError,
            72 => Self::OsFile,
            73 => Self::CantCreate,
            74 => Self::IoError,
            75 => Self::TempFail,
            76 => Self::Protocol,
            77 => Self::NoPermission,
            78 => Self::Config,
            other => Self::Other(other),
        }
    }

    /// Returns the number a process would exit with.
    pub fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Usage => 64,
            Self::DataError => 65,
            Self::NoInput => 66,
            Self::NoUser => 67,
            Self::NoHost => 68,
            Self::Unavailable => 69,
            Self::Software => 70,
            Self::OsError => 71,
            Self::OsFile => 72,
            Self::CantCreate => 73,
            Self::IoError => 74,
            Self::TempFail => 75,
            Self::Protocol => 76,
            Self::NoPermission => 77,
            Self::Config => 78,
            Self::Other(number) => number,
        }
    }

    /// Tells whether the same delivery may work later.
    ///
    /// Source: observed: 8.17.1.9 (EX_TEMPFAIL, EX_IOERR and EX_OSERR defer).
    pub fn is_temporary(self) -> bool {
        matches!(self, Self::TempFail | Self::IoError | Self::OsError)
    }

    /// Finds the status a rule names after `$#error $@`; other words mean nothing to the reference.
    ///
    /// Source: guide section 5.2; the words that work observed: 8.17.1.9.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        const NAMES: &[(&[u8], ExitStatus)] = &[
            (b"config", ExitStatus::Config),
            (b"nohost", ExitStatus::NoHost),
            (b"nouser", ExitStatus::NoUser),
            (b"protocol", ExitStatus::Protocol),
            (b"software", ExitStatus::Software),
            (b"tempfail", ExitStatus::TempFail),
            (b"unavailable", ExitStatus::Unavailable),
            (b"usage", ExitStatus::Usage),
        ];
        NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, status)| *status)
    }

    /// Returns the exit status that an enhanced status code amounts to.
    ///
    /// Source: observed: 8.17.1.9 (`$#error $@ 5.1.1` in rules, exit status of `-bs`).
    pub fn from_enhanced(status: EnhancedStatus) -> Self {
        match (status.class(), status.subject(), status.detail()) {
            (2, _, _) => Self::Ok,
            (4, _, _) => Self::TempFail,
            (_, 1, 0) => Self::DataError,
            (_, 1, 1 | 6) => Self::NoUser,
            (_, 1, 2 | 8) => Self::NoHost,
            (_, 1, 3 | 7) => Self::Usage,
            (_, 1, 5) => Self::Config,
            (_, 2, 3) => Self::DataError,
            (_, 3, _) => Self::OsError,
            (_, 4, 0 | 2) => Self::IoError,
            (_, 4, 1 | 3 | 5) => Self::TempFail,
            (_, 4, 4) => Self::Protocol,
            (_, 4, 6) => Self::Config,
            (_, 5, _) => Self::Protocol,
            (_, 7, _) => Self::DataError,
            _ => Self::Unavailable,
        }
    }

    /// Returns reply code, enhanced status code and text that stand for this status.
    ///
    /// `None` for success and for numbers outside the table.
    /// Source: observed: 8.17.1.9.
    pub fn description(self) -> Option<ExitDescription> {
        let (code, enhanced, text, system_error) = match self {
            Self::Ok | Self::Other(_) => return None,
            Self::Usage => (500, (5, 0, 0), "Command line usage error", false),
            Self::DataError => (501, (5, 6, 0), "Data format error", false),
            Self::NoInput => (550, (5, 3, 0), "Cannot open input", true),
            Self::NoUser => (550, (5, 1, 1), "User unknown", false),
            Self::NoHost => (550, (5, 1, 2), "Host unknown", false),
            Self::Unavailable => (554, (5, 0, 0), "Service unavailable", false),
            Self::Software => (554, (5, 3, 0), "Internal error", true),
            Self::OsError => (451, (4, 0, 0), "Operating system error", true),
            Self::OsFile => (554, (5, 3, 5), "System file missing", true),
            Self::CantCreate => (550, (5, 0, 0), "Can't create output", true),
            Self::IoError => (451, (4, 0, 0), "I/O error", true),
            Self::TempFail => (450, (4, 0, 0), "Deferred", false),
            Self::Protocol => (554, (5, 5, 0), "Remote protocol error", false),
            Self::NoPermission => (550, (5, 0, 0), "Insufficient permission", true),
            Self::Config => (554, (5, 3, 5), "Local configuration error", false),
        };
        Some(ExitDescription {
            code: ReplyCode::new(code)?,
            enhanced: EnhancedStatus::new(enhanced.0, enhanced.1, enhanced.2)?,
            text,
            adds_system_error: system_error,
        })
    }
}

/// What an exit status means in SMTP words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitDescription {
    /// The reply code, such as 550.
    pub code: ReplyCode,
    /// The enhanced status code, such as 5.1.1.
    pub enhanced: EnhancedStatus,
    /// The text without codes, such as `User unknown`.
    pub text: &'static str,
    /// Whether the text of the system error is appended after `: `.
    pub adds_system_error: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_statuses_correspond() {
        for number in 0..=255 {
            assert_eq!(ExitStatus::from_number(number).number(), number);
        }
    }

    #[test]
    fn names_are_found_without_regard_to_case() {
        assert_eq!(ExitStatus::from_name(b"NOUSER"), Some(ExitStatus::NoUser));
        assert_eq!(ExitStatus::from_name(b"nohost"), Some(ExitStatus::NoHost));
        assert_eq!(ExitStatus::from_name(b"sunny"), None);
    }

    #[test]
    fn enhanced_codes_amount_to_what_the_reference_exits_with() {
        for (code, number) in [
            ("5.1.0", 65),
            ("5.1.1", 67),
            ("5.1.3", 64),
            ("5.1.8", 68),
            ("5.2.3", 65),
            ("5.3.5", 71),
            ("5.4.1", 75),
            ("5.4.4", 76),
            ("5.7.1", 65),
            ("5.0.0", 69),
            ("4.1.1", 75),
        ] {
            let status = EnhancedStatus::parse(code.as_bytes()).expect(code);
            assert_eq!(ExitStatus::from_enhanced(status).number(), number, "{code}");
        }
    }

    #[test]
    fn every_listed_status_has_a_description() {
        for number in 64..=78 {
            let status = ExitStatus::from_number(number);
            let description = status.description().expect("in the table");
            assert_eq!(
                description.code.number() / 100,
                u16::from(description.enhanced.class())
            );
        }
    }
}
