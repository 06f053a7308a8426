//! H lines: header fields to add, and rulesets that check header fields.
//!
//! Source: guide 5.5.

use crate::macros::Template;
use crate::message::HeaderConditions;
use crate::token::RulesetId;

/// A ruleset that checks a header field of incoming messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderCheck {
    /// The ruleset.
    pub ruleset: RulesetId,
    /// The field is handed over with its comments (`$>+`).
    pub keep_comments: bool,
}

/// One H line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderRule {
    /// Name of the field; `*` stands for every field without a rule of its own.
    pub name: Vec<u8>,
    /// Under which conditions the field is sent.
    pub conditions: HeaderConditions,
    /// Value to add when the message has no such field; `None` when the line only names a check.
    pub template: Option<Template>,
    /// Check of incoming fields.
    pub check: Option<HeaderCheck>,
}
