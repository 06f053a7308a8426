//! Operation modes: what one run of the program does.
//!
//! Source: sendmail(8) `-b`; guide appendix A; observed: 8.17.1.9.

/// What one run of the program does (`-b`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OperationMode {
    /// Take one message from standard input (`m`).
    #[default]
    Deliver,
    /// As `Deliver`, in the ARPANET manner (`a`).
    Arpanet,
    /// Daemon in the background (`d`).
    Daemon,
    /// Daemon in the foreground (`D`).
    ForegroundDaemon,
    /// SMTP on standard input and output (`s`).
    Smtp,
    /// Rebuild the aliases (`i`).
    RebuildAliases,
    /// List the queue (`p`).
    ListQueue,
    /// Count the entries of the queue (`P`).
    CountQueue,
    /// Address test mode (`t`).
    Test,
    /// Verify addresses (`v`).
    Verify,
    /// Print the host status (`h`).
    HostStatus,
    /// Purge the host status (`H`).
    PurgeHostStatus,
    /// Check the configuration (`C`).
    CheckConfiguration,
}

const LETTERS: &[(u8, OperationMode)] = &[
    (b'm', OperationMode::Deliver),
    (b'a', OperationMode::Arpanet),
    (b'd', OperationMode::Daemon),
    (b'D', OperationMode::ForegroundDaemon),
    (b's', OperationMode::Smtp),
    (b'i', OperationMode::RebuildAliases),
    (b'p', OperationMode::ListQueue),
    (b'P', OperationMode::CountQueue),
    (b't', OperationMode::Test),
    (b'v', OperationMode::Verify),
    (b'h', OperationMode::HostStatus),
    (b'H', OperationMode::PurgeHostStatus),
    (b'C', OperationMode::CheckConfiguration),
];

impl OperationMode {
    /// Finds the mode of a letter.
    pub fn from_letter(letter: u8) -> Option<Self> {
        LETTERS
            .iter()
            .find(|(known, _)| *known == letter)
            .map(|(_, mode)| *mode)
    }

    /// Gives the letter, as `${opMode}` has it.
    pub fn letter(self) -> u8 {
        LETTERS
            .iter()
            .find(|(_, mode)| *mode == self)
            .map_or(b'm', |(letter, _)| *letter)
    }

    /// Tells whether texts on standard output carry SMTP reply codes.
    pub fn speaks_smtp(self) -> bool {
        matches!(
            self,
            Self::Smtp | Self::Arpanet | Self::Daemon | Self::ForegroundDaemon
        )
    }

    /// Tells whether a message is submitted, so that submit.cf is the file to read.
    pub fn submits(self) -> bool {
        matches!(self, Self::Deliver | Self::Arpanet | Self::Smtp)
    }

    /// Tells whether `-q` may stand beside the mode.
    pub fn runs_queue(self) -> bool {
        matches!(
            self,
            Self::Deliver
                | Self::Daemon
                | Self::ForegroundDaemon
                | Self::ListQueue
                | Self::CountQueue
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_modes_belong_together() {
        for (letter, mode) in LETTERS {
            assert_eq!(OperationMode::from_letter(*letter), Some(*mode));
            assert_eq!(mode.letter(), *letter);
        }
        assert_eq!(OperationMode::from_letter(b'g'), None);
    }
}
