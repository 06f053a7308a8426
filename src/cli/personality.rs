//! Which program this is, by the name it was called with.
//!
//! Source: guide 1.3; sendmail(8).

use super::mode::OperationMode;

/// A program of the family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Personality {
    /// The mail program, beginning in a mode that `-b` may change.
    Sendmail(OperationMode),
    /// `runq`: the mail program running the queue once.
    RunQueue,
    /// `makemap`.
    MakeMap,
    /// `editmap`.
    EditMap,
    /// `praliases`.
    PrintAliases,
    /// `mailstats`.
    MailStatistics,
    /// A program beside sendmail that needs no configuration.
    Companion(Companion),
}

/// A program beside sendmail that needs no configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Companion {
    /// `smrsh`.
    RestrictedShell,
    /// `mail.local`.
    LocalMail,
    /// `sensible-mda`.
    DeliveryAgent,
    /// `rmail`.
    RemoteMail,
    /// `vacation`.
    Vacation,
}

const NAMES: &[(&str, Personality)] = &[
    ("sendmail", Personality::Sendmail(OperationMode::Deliver)),
    (
        "newaliases",
        Personality::Sendmail(OperationMode::RebuildAliases),
    ),
    ("mailq", Personality::Sendmail(OperationMode::ListQueue)),
    ("hoststat", Personality::Sendmail(OperationMode::HostStatus)),
    (
        "purgestat",
        Personality::Sendmail(OperationMode::PurgeHostStatus),
    ),
    ("smtpd", Personality::Sendmail(OperationMode::Daemon)),
    ("runq", Personality::RunQueue),
    ("makemap", Personality::MakeMap),
    ("editmap", Personality::EditMap),
    ("praliases", Personality::PrintAliases),
    ("mailstats", Personality::MailStatistics),
    ("smrsh", Personality::Companion(Companion::RestrictedShell)),
    ("mail.local", Personality::Companion(Companion::LocalMail)),
    (
        "sensible-mda",
        Personality::Companion(Companion::DeliveryAgent),
    ),
    ("rmail", Personality::Companion(Companion::RemoteMail)),
    ("vacation", Personality::Companion(Companion::Vacation)),
];

impl Personality {
    /// Finds the program by the last part of `argv[0]`; an unknown name is `sendmail`.
    pub fn from_program_name(argv0: &[u8]) -> Self {
        let name = argv0.rsplit(|&byte| byte == b'/').next().unwrap_or(argv0);
        NAMES
            .iter()
            .find(|(known, _)| known.as_bytes() == name)
            .map_or(
                Personality::Sendmail(OperationMode::Deliver),
                |(_, found)| *found,
            )
    }

    /// Tells whether the rights of the set-group-id bit are kept at start.
    ///
    /// Every other program gives them up before it does anything.
    pub fn keeps_group_rights(self) -> bool {
        matches!(
            self,
            Self::Sendmail(OperationMode::Deliver | OperationMode::ListQueue)
                | Self::MailStatistics
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_part_of_the_path_counts() {
        let deliver = Personality::Sendmail(OperationMode::Deliver);
        for (name, personality) in [
            (
                "/usr/bin/mailq",
                Personality::Sendmail(OperationMode::ListQueue),
            ),
            (
                "newaliases",
                Personality::Sendmail(OperationMode::RebuildAliases),
            ),
            ("mailq.old", deliver),
            ("-mailq", deliver),
            ("MAILQ", deliver),
            ("/mailq/x", deliver),
            ("runq", Personality::RunQueue),
            ("", deliver),
        ] {
            assert_eq!(
                Personality::from_program_name(name.as_bytes()),
                personality,
                "{name}"
            );
        }
    }
}
