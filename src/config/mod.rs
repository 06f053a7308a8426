//! The configuration file: sendmail.cf lines to one immutable [`Config`].
//!
//! Reading order:
//!
//! - [`compiled`]: [`Config`], what a file becomes.
//! - [`options`]: the O lines, one struct of typed fields for each theme.
//! - [`reader`]: logical lines, comments.
//! - [`header_line`], [`precedence_line`], [`queue_group_line`], [`filter_line`]:
//!   H, P, Q and X lines.

pub mod compiled;
pub mod filter_line;
pub mod header_line;
pub mod options;
pub mod precedence_line;
pub mod queue_group_line;
pub mod reader;

pub use compiled::Config;
pub use filter_line::{FilterDefinition, FilterFailure};
pub use header_line::{HeaderCheck, HeaderRule};
pub use options::Options;
pub use precedence_line::Precedences;
pub use queue_group_line::QueueGroupDefinition;
