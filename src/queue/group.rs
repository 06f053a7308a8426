//! Queue groups: named sets of queue directories with limits of their own.
//!
//! Source: guide 2.3, 5.10.

use std::sync::Arc;
use std::time::Duration;

use super::directory::QueueDirectory;

/// One queue group.
#[derive(Debug)]
pub struct QueueGroup {
    /// Its name; the default group is `mqueue`.
    pub name: Vec<u8>,
    /// Its directories; never empty.
    pub directories: Vec<Arc<QueueDirectory>>,
    /// Whether several of its runners may be at work at once (`F=f`).
    pub forks: bool,
    /// The nice value added for its runners.
    pub nice: i32,
    /// How often it is run; `None` takes the interval of the command line.
    pub interval: Option<Duration>,
    /// How many runners it may have.
    pub runners: usize,
    /// Most messages of one run, 0 for no limit.
    pub jobs: usize,
    /// Most recipients of one envelope, 0 for no limit.
    pub max_recipients: usize,
}
