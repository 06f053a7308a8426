//! What the program tells: mail records, debug output, narration, traffic.
//!
//! - [`record`]: lines for the mail log, gated by LogLevel
//! - [`debug`]: which debug categories are on (`-d`)
//! - [`narrator`]: progress told to the caller of `-v`
//! - [`statistics`]: counters by mailer in the statistics file
//! - [`counting`]: what is counted on the way to that file
//! - [`traffic`]: the log of everything said on connections (`-X`)

pub mod counting;
pub mod debug;
pub mod narrator;
pub mod record;
pub mod statistics;
pub mod traffic;
