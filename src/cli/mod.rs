//! The command line: which program, which mode, which options.
//!
//! Reading order:
//!
//! - [`personality`]: the program by the name it was called with.
//! - [`mode`]: operation modes.
//! - [`arguments`]: the words of the command line.
//! - [`queue_command`]: `--queue`, and what mailq takes besides.
//! - [`companions`]: the programs beside sendmail that need no configuration.
//! - [`inspection`]: `--check` and `--explain`, which change nothing.
//! - [`start`]: descriptors, rights, log, configuration; [`complaints`]: what is wrong with it.
//! - [`run`]: one arm for each mode; `queue_modes`: those of the queue; [`submission`], [`deliveries`]: messages from here.

pub mod arguments;
#[cfg(test)]
mod arguments_tests;
pub mod companions;
pub mod complaints;
pub mod deliveries;
pub mod inspection;
pub mod mode;
pub mod personality;
pub mod queue_command;
mod queue_modes;
pub mod run;
pub mod start;
pub mod submission;

pub use arguments::{Arguments, Refusal};
pub use mode::OperationMode;
pub use personality::Personality;
