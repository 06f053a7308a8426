//! Rulesets: matching, rewriting, resolving.
//!
//! Reading order:
//!
//! - [`book`]: [`RuleBook`], all rulesets of a configuration and their names.
//! - [`compile`]: one R line to a [`book::Rule`].
//! - [`gate`]: is a rule worth trying at all.
//! - [`matcher`]: does a pattern take these tokens, and which wildcard took what.
//! - [`context`]: [`RewriteContext`], everything a chain of rewritings looks at.
//! - [`engine`]: one ruleset applied to one address; `shown`: what is told of it.
//! - [`lookup`]: maps inside of replacements.
//! - [`resolve`]: an address to a mailer, a host and a user; `mailbox` judges the user.
//! - [`rename`]: an address as one mailer wants to see it.
//! - [`check`]: the hooks that say yes or no.
//! - [`trace`]: who listens to all this; [`observer`]: who looks on step by step.

pub mod book;
pub mod check;
pub mod compile;
pub mod context;
pub mod engine;
mod gate;
pub mod lookup;
mod mailbox;
pub mod matcher;
pub mod observer;
pub mod rename;
pub mod resolve;
mod shown;
pub mod trace;

#[cfg(test)]
mod tests;

pub use crate::token::RulesetId;
pub use book::{RuleBook, RulesetName};
pub use check::check;
pub use compile::RuleSource;
pub use context::{RewriteContext, RewriteWorkspace};
pub use observer::{Observer, Question};
pub use rename::{Place, RenameFailure, Role, rename_for_mailer};
pub use resolve::{Resolution, RuleError, resolve_address, resolve_local};
pub use trace::{Kept, Silent, Trace, Traced};
