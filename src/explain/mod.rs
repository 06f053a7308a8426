//! `--explain`: the whole way of an address, from the first rule to the last host.
//!
//! The engine, the expansion of aliases and the choice of hosts are those of delivery;
//! this room only looks on. Nothing is delivered, nothing is written, nobody is connected
//! to but name servers.
//!
//! Reading order:
//!
//! - [`steps`]: the steps of rewriting, kept as a tree.
//! - [`ears`]: what is heard while aliases, lists and .forward files are expanded.
//! - [`destination`]: mailer, hosts and argument vector of a final recipient.
//! - [`story`]: [`explain`], which puts these together.
//! - [`tree`] and [`json`]: the explanation for people and for programs.

pub mod destination;
pub mod ears;
pub mod json;
pub mod steps;
pub mod story;
pub mod tree;

#[cfg(test)]
mod tests;

pub use story::{Explanation, Question, explain};
