//! Address test mode, -bt.
//!
//! Reads lines, runs rulesets and shows what they do; nothing is sent or queued.
//! Works on its own copy of the configuration, so that `.D` and `.C` change
//! nobody else's. Reading order:
//!
//! - [`session`]: [`TestMode`], the loop, and lines that name rulesets.
//! - [`command`]: the other lines, split into what they ask for.
//! - [`show`]: what is printed about mailers, rules, classes and macros.
//! - [`address`]: `/parse` and `/try`.
//! - [`printed`]: the listener that prints traces and messages.

pub mod address;
pub mod command;
pub mod printed;
pub mod session;
pub mod show;

pub use session::{Surroundings, TestMode};
