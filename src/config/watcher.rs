//! Who may look on while the lines of a configuration are read.

use super::compiled::Config;
use super::reader::LogicalLine;

/// Sees each line just before it counts.
pub trait Watcher {
    /// Takes a line: as it stands in the file, without its comments, and what the lines
    /// before it said.
    fn line(&mut self, line: &LogicalLine<'_>, stripped: &[u8], so_far: &Config);

    /// Says whether reading goes on behind a value the reference refuses to go on with.
    fn wants_every_line(&self) -> bool {
        false
    }
}

/// Nobody looks on.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl Watcher for Unwatched {
    fn line(&mut self, _: &LogicalLine<'_>, _: &[u8], _: &Config) {}
}
