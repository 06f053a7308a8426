//! What expansion works with: routing, accounts, limits, listeners.

use super::database::AliasDatabase;
use crate::config::options::DeliveryMode;
use crate::logging::debug::DebugLog;
use crate::logging::narrator::Narrator;
use crate::logging::record::MailLog;
use crate::macros::Template;
use crate::mailer::{MailerTable, MailerTriple};
use crate::map::{LookupHost, MapFailure, Userdb};
use crate::safefile::DontBlameSendmail;
use crate::smtp::{EnhancedStatus, ExitStatus};
use crate::sys::clock::Timestamp;
use crate::sys::identity::UserDatabase;
use crate::sys::privilege::Privileged;

/// What an address resolves to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Routed {
    /// A mailer, a host and a user.
    To(MailerTriple),
    /// The rules refuse it, or its syntax does.
    Refused(Refusal),
    /// It cannot be told now; the mailer is known when only look-ups on the way failed.
    Deferred(Refusal, Option<MailerTriple>),
    /// The rules throw it away.
    Discarded,
}

/// Why an address has no mailer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Three-digit code.
    pub code: u16,
    /// Enhanced status.
    pub enhanced: EnhancedStatus,
    /// Sysexits word.
    pub exit: ExitStatus,
    /// Text without codes.
    pub text: Vec<u8>,
    /// What the rules gave as user, when they refused: the address is then listed as failed,
    /// while a mere syntax error is only told.
    pub listed_as: Option<Vec<u8>>,
    /// What a rule that refuses it names behind `$@`, empty if nothing; none if no rule refuses it.
    pub refused_at: Option<Vec<u8>>,
}

/// Looks aliases up.
pub trait AliasLookup {
    /// Returns the right side of an alias; `host` hears what the databases say.
    ///
    /// # Errors
    /// [`MapFailure::Temporary`] when a database could not answer.
    fn look_up(
        &self,
        name: &[u8],
        host: &mut dyn LookupHost,
    ) -> Result<Option<Vec<u8>>, MapFailure>;
}

impl AliasLookup for AliasDatabase {
    fn look_up(
        &self,
        name: &[u8],
        host: &mut dyn LookupHost,
    ) -> Result<Option<Vec<u8>>, MapFailure> {
        self.lookup(name, host)
            .map_err(|unavailable| MapFailure::Temporary {
                text: unavailable.to_string().into_bytes(),
            })
    }
}

/// Resolves addresses.
pub trait Router {
    /// Resolves the first address of a list through rulesets 3 and 0, and says where it
    /// ends (without `delimiter` it is the whole text); `told` gets complaints about its syntax that do not prevent a result.
    fn resolve(
        &mut self,
        list: &[u8],
        delimiter: Option<u8>,
        told: &mut Vec<Refusal>,
    ) -> (Routed, usize);

    /// Gives a local name to ruleset 5; none if it does not name a mailer.
    fn resolve_local(&mut self, triple: &MailerTriple) -> Option<Routed>;

    /// Gives what the system denied to maps since this was asked last, in the words of the log.
    fn faults(&mut self) -> Vec<Vec<u8>> {
        Vec::new()
    }

    /// Gives what maps remarked for whoever watches since this was asked last.
    fn remarks(&mut self) -> Vec<Vec<u8>> {
        Vec::new()
    }

    /// Expands a path of ForwardPath for a user.
    fn forward_path(&mut self, path: &Template, user: &LocalUser<'_>) -> Vec<u8>;

    /// Tells whether a user is trusted (class `t`); shells of trusted users are not checked.
    fn is_trusted(&self, user: &[u8]) -> bool;
}

/// A user as ForwardPath sees it.
#[derive(Debug, Clone, Copy)]
pub struct LocalUser<'a> {
    /// `$u`, the login name as addressed.
    pub user: &'a [u8],
    /// `$h`, the host or detail part.
    pub host: &'a [u8],
    /// `$z`, the home directory.
    pub home: &'a [u8],
}

/// What the configuration says about expansion.
#[derive(Debug, Clone)]
pub struct Limits {
    /// MaxAliasRecursion.
    pub max_depth: u32,
    /// ForwardPath; none is no forwarding.
    pub forward_path: Option<Template>,
    /// DontBlameSendmail.
    pub blame: DontBlameSendmail,
    /// User, group and name of DefaultUser.
    pub default_user: (u32, u32, Vec<u8>),
    /// MeToo: the sender stays in the lists he is on.
    pub me_too: bool,
    /// No aliases and no .forward (flag -n).
    pub no_alias: bool,
    /// Programs, files and lists are refused: submission program, or a host not trusted.
    pub plain_only: bool,
    /// Only find out whether each recipient exists: aliases and .forward are not expanded
    /// (RCPT when delivery comes later, VRFY).
    pub verify_only: bool,
    /// Sort recipients of expensive mailers last (HoldExpensive).
    pub expensive_last: bool,
    /// Whether we hold root's rights, so that programs can run as their users.
    pub is_root: bool,
    /// Errors are logged: in recipients named by the command line and by RCPT.
    pub logs_errors: bool,
    /// Users who do not exist get a `to=` line: outside of SMTP and of `-bv`.
    pub logs_unknown_users: bool,
    /// OldStyleHeaders: spaces separate addresses too.
    pub old_style: bool,
    /// When the message is to be delivered.
    pub delivery: DeliveryMode,
    /// MatchGECOS: names nobody has are looked for among full names.
    pub match_gecos: bool,
    /// BlankSub: what stands for a blank in an address.
    pub blank_substitute: u8,
    /// Our name, for messages about shells.
    pub host_name: Vec<u8>,
}

/// Everything expansion works with.
pub struct ExpandContext<'a> {
    /// Resolves addresses.
    pub router: &'a mut dyn Router,
    /// Mailers.
    pub mailers: &'a MailerTable,
    /// Alias databases.
    pub aliases: &'a dyn AliasLookup,
    /// The user database, for mailers with F=@.
    pub userdb: &'a Userdb,
    /// Accounts.
    pub users: &'a dyn UserDatabase,
    /// Opens lists and .forward files.
    pub privileged: &'a dyn Privileged,
    /// Mail log.
    pub log: &'a MailLog,
    /// Traces (-d27).
    pub debug: &'a DebugLog,
    /// Told each step (-v).
    pub narrator: &'a mut dyn Narrator,
    /// Told errors.
    pub complaints: &'a mut dyn Narrator,
    /// Limits and policies.
    pub limits: &'a Limits,
    /// Now.
    pub now: Timestamp,
}

/// What expansion found, besides the recipients.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Status of the first error that has one.
    pub exit: Option<ExitStatus>,
    /// Number of errors told.
    pub errors: u32,
}

impl Summary {
    /// Returns the exit status of a program that did nothing else.
    pub fn exit_status(&self) -> ExitStatus {
        match self.exit {
            Some(status) => status,
            None if self.errors > 0 => ExitStatus::Usage,
            None => ExitStatus::Ok,
        }
    }
}
