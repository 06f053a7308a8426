//! The command line: which program, which mode, which options.
//!
//! Reading order:
//!
//! - [`personality`]: the program by the name it was called with.
//! - [`mode`]: operation modes.
//! - [`arguments`]: the words of the command line.

pub mod arguments;
#[cfg(test)]
mod arguments_tests;
pub mod mode;
pub mod personality;

pub use arguments::{Arguments, Refusal};
pub use mode::OperationMode;
pub use personality::Personality;
