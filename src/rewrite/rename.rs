//! An address as one mailer wants to see it.
//!
//! Figure 1 of the guide: ruleset 3, the domain of the sender if F=C asks for
//! it, ruleset 1 or 2, the ruleset of the mailer, ruleset 4. Only the core of a
//! header address goes through; phrase and comments are put around the result.
//! Source: guide 5.1.3 and 5.4 flag C; observed: 8.17.1.9.

use super::context::{DEFINING_CATEGORY, DEFINING_LEVEL, RewriteContext};
use super::resolve::MAX_ADDRESS;
use crate::macros::MacroId;
use crate::mailer::Mailer;
use crate::message::address::AddressTemplate;
use crate::smtp::ExitStatus;
use crate::token::{RulesetId, Token, TokenizeOptions};

/// Longest core of a renamed address; observed: 8.17.1.9 cuts there without a word.
const MAX_RENAMED: usize = 254;

/// Whose address it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The sender's.
    Sender,
    /// A recipient's.
    Recipient,
}

/// Where an address stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the envelope.
    Envelope,
    /// In a header field.
    Header,
}

impl Role {
    /// Returns the letter `${addr_type}` uses.
    pub fn letter(self) -> u8 {
        match self {
            Role::Sender => b's',
            Role::Recipient => b'r',
        }
    }
}

impl Place {
    /// Returns the letter `${addr_type}` uses.
    pub fn letter(self) -> u8 {
        match self {
            Place::Envelope => b'e',
            Place::Header => b'h',
        }
    }
}

/// What becomes of phrase and comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surroundings {
    /// They are put around the result.
    Kept,
    /// Only the core comes back (F=c, and envelope addresses).
    Dropped,
}

/// How to rename.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renaming<'a> {
    /// Whose address it is.
    pub role: Role,
    /// Where it stands.
    pub place: Place,
    /// What becomes of phrase and comments.
    pub surroundings: Surroundings,
    /// The sender's `@domain`, appended to addresses without one (F=C of the sender's mailer).
    pub sender_domain: Option<&'a [u8]>,
}

/// A map could not answer now; the result may be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenameFailure {
    /// The address as far as it could be rewritten.
    pub address: Vec<u8>,
}

impl std::fmt::Display for RenameFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a map could not answer while an address was rewritten")
    }
}

impl std::error::Error for RenameFailure {}

/// Rewrites an address for a mailer: phrase and comments are kept in headers and dropped in envelopes.
///
/// # Errors
/// [`RenameFailure`] when a map could not answer now.
pub fn rename_for_mailer(
    address: &[u8],
    mailer: &Mailer,
    role: Role,
    place: Place,
    cx: &mut RewriteContext<'_>,
) -> Result<Vec<u8>, RenameFailure> {
    let how = Renaming {
        role,
        place,
        surroundings: match place {
            Place::Envelope => Surroundings::Dropped,
            Place::Header => Surroundings::Kept,
        },
        sender_domain: None,
    };
    cx.rename(address, mailer, how)
}

impl RewriteContext<'_> {
    /// Rewrites an address for a mailer.
    ///
    /// # Errors
    /// [`RenameFailure`] when a map could not answer now.
    pub fn rename(
        &mut self,
        address: &[u8],
        mailer: &Mailer,
        how: Renaming<'_>,
    ) -> Result<Vec<u8>, RenameFailure> {
        // The sender is made canonical without any mailer, which is not told.
        let traced = self.trace.level(12) >= 1 && !mailer.name.is_empty();
        if traced {
            self.trace
                .write(&[b"remotename(".as_slice(), address, b")\n"].concat());
        }
        let pair = match how.role {
            Role::Sender => mailer.sender_rewriting,
            Role::Recipient => mailer.recipient_rewriting,
        };
        let own = match how.place {
            Place::Envelope => pair.envelope,
            Place::Header => pair.header,
        };
        let kind = [how.place.letter(), b' ', how.role.letter()];
        self.define(MacroId::ADDR_TYPE, Some(&kind));
        let template = match how.surroundings {
            Surroundings::Kept if !mailer.has(b'c') => AddressTemplate::of(address, &self.phrases),
            Surroundings::Kept | Surroundings::Dropped => AddressTemplate::bare(),
        };
        self.start_chain();
        let (_, cut) = self.tokenize(address, TokenizeOptions::ADDRESS);
        let Ok(mut tokens) = cut else {
            return Ok(address.to_vec());
        };
        let mut status = self.rewrite(&mut tokens, RulesetId::CANONIFY);
        if let Some(domain) = how.sender_domain {
            status = worse(status, self.add_domain(&mut tokens, domain));
        }
        let common = match how.role {
            Role::Sender => RulesetId::SENDER,
            Role::Recipient => RulesetId::RECIPIENT,
        };
        let own = own.filter(|id| id.number() > 0);
        for ruleset in [Some(common), own, Some(RulesetId::FINAL)]
            .into_iter()
            .flatten()
        {
            status = worse(status, self.rewrite(&mut tokens, ruleset));
        }
        let core = self.joined_within(&tokens, MAX_RENAMED);
        self.finish(tokens);
        let renamed = match how.surroundings {
            Surroundings::Dropped if core.first() == Some(&b'@') => {
                [b"<".as_slice(), &core, b">"].concat()
            }
            Surroundings::Kept | Surroundings::Dropped => template.apply(&core),
        };
        if self.trace.level(DEFINING_CATEGORY) >= DEFINING_LEVEL {
            // The reference has the address in $g while it puts comments back.
            let lines = [
                b"macset(g as ".as_slice(),
                &core,
                b")\nmacset(g as <null>)\n",
            ];
            self.trace.write(&lines.concat());
        }
        let mut renamed = renamed;
        renamed.truncate(MAX_ADDRESS + 1);
        if traced {
            let line = [
                b"remotename => `".as_slice(),
                &renamed,
                format!("', stat={}\n", status.number()).as_bytes(),
            ]
            .concat();
            self.trace.write(&line);
        }
        match status {
            ExitStatus::TempFail => Err(RenameFailure { address: renamed }),
            _ => Ok(renamed),
        }
    }

    /// Appends the sender's domain to an address that has none and makes it canonical again.
    fn add_domain(&mut self, tokens: &mut Vec<Token>, domain: &[u8]) -> ExitStatus {
        if tokens.iter().any(|token| self.word(token) == b"@") {
            return ExitStatus::Ok;
        }
        let (_, cut) = self.tokenize(domain, TokenizeOptions::ADDRESS);
        let Ok(appended) = cut else {
            return ExitStatus::Ok;
        };
        tokens.extend_from_slice(&appended);
        self.finish(appended);
        self.rewrite(tokens, RulesetId::CANONIFY)
    }
}

/// Keeps a temporary failure once it happened; other faults of rules do not stop renaming.
fn worse(old: ExitStatus, new: ExitStatus) -> ExitStatus {
    match new {
        ExitStatus::TempFail => new,
        _ if old == ExitStatus::TempFail => old,
        _ => ExitStatus::Ok,
    }
}
