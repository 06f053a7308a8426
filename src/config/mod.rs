//! The configuration file: sendmail.cf lines to one immutable [`Config`].
//!
//! Reading order:
//!
//! - [`compiled`]: [`Config`], what a file becomes, and [`Config::load`].
//! - [`overrides`]: what the command line says on top of the file.
//! - [`source`]: files, programs, users and hosts a configuration names.
//! - [`reader`]: logical lines, comments; [`diagnostics`]: what is said about them.
//! - [`startup`]: macros and classes set before the first line.
//! - [`watcher`]: who may look on while lines are read.
//! - [`builder`]: one arm for each command letter; [`shown`]: lines in messages.
//! - [`class_line`], [`mailer_line`], [`header_line`], [`precedence_line`],
//!   [`queue_group_line`], [`filter_line`], [`option_line`]: lines of more than one
//!   word; [`class_map`]: words from a map;
//!   [`ldap`]: what maps of class `ldap` have from the options; [`fields`]: what M, Q and X lines have in common.
//! - [`options`]: the options, one struct of typed fields for each theme.
//! - [`identity`]: what the program says about itself (`-d0.1`).
//! - [`finish`]: what follows from the file as a whole.

pub mod builder;
pub mod class_line;
pub mod class_map;
pub mod compiled;
pub mod diagnostics;
pub mod fields;
pub mod filter_line;
pub mod finish;
pub mod header_line;
pub mod identity;
pub mod ldap;
pub mod mailer_line;
pub mod option_line;
#[cfg(test)]
mod option_tests;
#[cfg(test)]
mod option_value_tests;
pub mod options;
pub mod overrides;
pub mod precedence_line;
pub mod queue_group_line;
pub mod reader;
pub mod shown;
pub mod source;
pub mod startup;
#[cfg(test)]
mod trace_tests;
pub mod watcher;

pub use compiled::{Config, ConfigFailure};
pub use diagnostics::{Diagnostics, Kind as DiagnosticKind};
pub use filter_line::{FilterDefinition, FilterFailure};
pub use header_line::{HeaderCheck, HeaderRule};
pub use options::Options;
pub use overrides::{OverrideSetting, Overrides};
pub use precedence_line::Precedences;
pub use queue_group_line::QueueGroupDefinition;
pub use source::{FileSource, FixedSource, SystemSource};
pub use startup::VERSION;
pub use watcher::Watcher;
