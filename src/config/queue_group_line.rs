//! Q lines: queue groups.
//!
//! Source: guide 5.10.

use std::time::Duration;

/// One queue group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueGroupDefinition {
    /// Name of the group.
    pub name: Vec<u8>,
    /// `P=`: directory, maybe ending in `*`.
    pub path: Vec<u8>,
    /// `F=` letters.
    pub flags: Vec<u8>,
    /// `I=`: interval of queue runs; `None` is that of `-q`.
    pub interval: Option<Duration>,
    /// `N=`: nice increment.
    pub nice: i32,
    /// `R=`: most runners.
    pub runners: u32,
    /// `J=`: most jobs of one run; zero is no limit.
    pub max_jobs: u32,
    /// `r=`: most recipients of one envelope; zero is no limit.
    pub max_recipients: u32,
}

impl QueueGroupDefinition {
    /// Makes a group with default values in the directory of the queue option.
    pub fn new(name: &[u8], path: &[u8]) -> Self {
        Self {
            name: name.to_vec(),
            path: path.to_vec(),
            flags: Vec::new(),
            interval: None,
            nice: 0,
            runners: 1,
            max_jobs: 0,
            max_recipients: 0,
        }
    }
}
