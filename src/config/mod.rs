//! The configuration file: sendmail.cf lines to one immutable [`Config`].
//!
//! - [`options`]: the O lines, one struct of typed fields for each theme.

pub mod options;

pub use options::Options;
