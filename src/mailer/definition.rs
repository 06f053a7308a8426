//! One mailer: what an M line says.
//!
//! Source: guide 5.4.

use crate::macros::{MacroId, Template};
use crate::token::RulesetId;

use super::MailerFlags;

/// How a mailer is called, derived from its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invocation {
    /// A program is run.
    Program,
    /// A connection is made (`[IPC]`): TCP, or a local socket when `A=FILE`.
    Network,
    /// The message is appended to a file (`[FILE]`).
    File,
}

/// The rulesets of `S=` or `R=`, `None` calls nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RewritePair {
    /// For envelope addresses.
    pub envelope: Option<RulesetId>,
    /// For header addresses.
    pub header: Option<RulesetId>,
}

/// Whom a mailer runs as (`U=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailerIdentity {
    /// User id.
    pub uid: u32,
    /// Group id; `None` is that of the default user.
    pub gid: Option<u32>,
}

/// One mailer.
#[derive(Debug, Clone)]
pub struct Mailer {
    /// Internal name.
    pub name: Vec<u8>,
    /// `P=` as written.
    pub path: Vec<u8>,
    /// `F=`.
    pub flags: MailerFlags,
    /// `A=`: one template for each word.
    pub argv: Vec<Template>,
    /// `S=`.
    pub sender_rewriting: RewritePair,
    /// `R=`.
    pub recipient_rewriting: RewritePair,
    /// `E=`: end of line.
    pub end_of_line: Vec<u8>,
    /// `M=`: largest message in bytes; zero and less is no limit.
    pub max_size: i64,
    /// `L=`: longest line in bytes without its end; zero is no limit.
    pub line_limit: u32,
    /// `D=`: colon-separated working directories, expanded for each delivery.
    pub directory: Option<Template>,
    /// `U=`.
    pub identity: Option<MailerIdentity>,
    /// `N=`: nice increment.
    pub nice: i32,
    /// `C=`: character set of eight-bit text from senders of this mailer.
    pub char_set: Option<Vec<u8>>,
    /// `W=`: seconds to wait for the program after its input ended; zero is no limit.
    pub wait: std::time::Duration,
    /// `Q=`: name of the queue group.
    pub queue_group: Option<Vec<u8>>,
    /// `r=`: most recipients of one transaction.
    pub max_recipients: u32,
    /// `m=`: most transactions of one connection; zero is no limit.
    pub max_messages: u32,
    /// `/=`: directory to chroot into.
    pub root: Option<Template>,
    /// `T=`, first part: type of the MTA names (`dns`).
    pub mta_type: Option<Vec<u8>>,
    /// `T=`, second part: type of the addresses (`rfc822`).
    pub address_type: Option<Vec<u8>>,
    /// `T=`, third part: type of the diagnostics (`smtp`).
    pub diagnostic_type: Option<Vec<u8>>,
}

/// Recipients of one transaction when `r=` is not given.
/// Observed: 8.17.1.9 shows `r=100`.
pub const DEFAULT_MAX_RECIPIENTS: u32 = 100;

impl Mailer {
    /// Makes a mailer with the defaults of every field but name and path.
    pub fn new(name: &[u8], path: &[u8]) -> Self {
        Self {
            name: name.to_vec(),
            path: path.to_vec(),
            flags: MailerFlags::EMPTY,
            argv: Vec::new(),
            sender_rewriting: RewritePair::default(),
            recipient_rewriting: RewritePair::default(),
            end_of_line: b"\n".to_vec(),
            max_size: 0,
            line_limit: 0,
            directory: None,
            identity: None,
            nice: 0,
            char_set: None,
            wait: std::time::Duration::ZERO,
            queue_group: None,
            max_recipients: DEFAULT_MAX_RECIPIENTS,
            max_messages: 0,
            root: None,
            mta_type: None,
            address_type: None,
            diagnostic_type: None,
        }
    }

    /// Tells how the mailer is called.
    pub fn invocation(&self) -> Invocation {
        match self.path.as_slice() {
            b"[IPC]" | b"[TCP]" => Invocation::Network,
            b"[FILE]" => Invocation::File,
            _ => Invocation::Program,
        }
    }

    /// Tells whether a flag letter is set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags.contains(flag)
    }

    /// Tells whether the mailer speaks SMTP or LMTP: its argument vector has no `$u`.
    ///
    /// Source: guide 5.4, field A=.
    pub fn speaks_smtp(&self) -> bool {
        self.invocation() != Invocation::File && !self.argv.iter().any(|word| word.uses(MacroId::U))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_decides_how_a_mailer_is_called() {
        assert_eq!(
            Mailer::new(b"x", b"[IPC]").invocation(),
            Invocation::Network
        );
        assert_eq!(Mailer::new(b"x", b"[FILE]").invocation(), Invocation::File);
        assert_eq!(
            Mailer::new(b"x", b"/bin/cat").invocation(),
            Invocation::Program
        );
    }
}
