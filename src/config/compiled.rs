//! The compiled configuration: all that one sendmail.cf says.

use std::path::PathBuf;

use crate::macros::{ClassId, Classes, MacroId, MacroNames, MacroTable, Macros};
use crate::mailer::MailerTable;
use crate::map::MapDefinition;
use crate::rewrite::RuleBook;
use crate::token::AddressSyntax;

use super::filter_line::FilterDefinition;
use super::header_line::HeaderRule;
use super::options::Options;
use super::precedence_line::Precedences;
use super::queue_group_line::QueueGroupDefinition;

/// All that a configuration file says, compiled.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from.
    pub path: PathBuf,
    /// Level of the V line; zero without one.
    pub level: u8,
    /// All options.
    pub options: Options,
    /// Names of macros and classes.
    pub names: MacroNames,
    /// D lines and the macros set at start.
    pub macros: MacroTable,
    /// C, F and T lines and the classes set at start.
    pub classes: Classes,
    /// How addresses are cut into tokens.
    pub syntax: AddressSyntax,
    /// S and R lines.
    pub rules: RuleBook,
    /// M lines.
    pub mailers: MailerTable,
    /// K lines, in order.
    pub maps: Vec<MapDefinition>,
    /// H lines, in order.
    pub headers: Vec<HeaderRule>,
    /// P lines.
    pub precedences: Precedences,
    /// Q lines; the first is `mqueue`, made from the queue options.
    pub queue_groups: Vec<QueueGroupDefinition>,
    /// X lines.
    pub filters: Vec<FilterDefinition>,
    /// Environment of mailers from E lines.
    pub environment: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Config {
    /// Tells whether a user may set any sender without a warning (class `t`).
    ///
    /// Source: guide 5.3 and 4.9.
    pub fn is_trusted(&self, user: &[u8]) -> bool {
        self.classes.contains(ClassId::letter(b't'), user)
    }

    /// Expands a macro as far as the configuration alone knows it; empty when it is not set.
    pub fn expanded_macro(&self, id: MacroId) -> Vec<u8> {
        Macros::new(&mut MacroTable::new(), None, &self.macros).expanded(id)
    }
}
