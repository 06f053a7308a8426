//! Aliases, :include: lists and .forward files.
//!
//! Reading order:
//!
//! - [`database`]: the AliasFile list and its lookups.

pub mod database;
