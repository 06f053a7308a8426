//! Programs that come with sendmail.
//!
//! - [`newaliases`]: rebuilds the alias databases.

pub mod newaliases;
