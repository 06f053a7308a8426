//! The `Milter.*` options and the list of filters in force.
//!
//! Source: guide 5.11.

/// Options about mail filters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MilterOptions {
    /// Names of the filters in the order they are asked.
    pub input_mail_filters: Vec<Vec<u8>>,
    /// Log level of the filter room; `None` is that of the program.
    pub log_level: Option<u8>,
    /// For each stage (`connect`, `helo`, ...) the list of macros sent, as written.
    pub macros: Vec<(Vec<u8>, Vec<u8>)>,
}
