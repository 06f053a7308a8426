//! Room on the disk of the queue, and MinFreeBlocks.
//!
//! Source: guide 4.8 (MinFreeBlocks); words observed: 8.17.1.9.

use std::path::PathBuf;

use super::Queue;
use crate::sys::host::{FreeSpace, free_space};
use crate::text::bytes::escape_for_display;

/// The disk of the queue has too little room for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LowOnSpace {
    needed: u64,
    minimum: u64,
    directory: PathBuf,
    available: u64,
}

impl LowOnSpace {
    /// What a client and a user are told, with its codes.
    pub const REPLY: &'static str = "452 4.4.5 Insufficient disk space; try again later";

    /// Gives the line for the log; `client` brings the message.
    pub fn log_line(&self, client: &[u8]) -> String {
        format!(
            "low on space ({} needs {} bytes + {} blocks in {}), max avail: {}",
            escape_for_display(client),
            self.needed,
            self.minimum,
            self.directory.display(),
            self.available
        )
    }
}

impl Queue {
    /// Asks whether so many octets fit on a group's disk and leave `minimum` blocks free.
    ///
    /// A system that does not tell is trusted.
    pub fn check_space(&self, group: usize, octets: u64, minimum: u64) -> Result<(), LowOnSpace> {
        let directories = self.groups().get(group).map(|group| &group.directories);
        let Some(directory) = directories.and_then(|directories| directories.first()) else {
            return Ok(());
        };
        match free_space(directory.path()) {
            Ok(space) if !fits(&space, octets, minimum) => Err(LowOnSpace {
                needed: octets,
                minimum,
                directory: directory.path().to_owned(),
                available: space.blocks,
            }),
            _ => Ok(()),
        }
    }
}

/// A block that is begun is a block.
fn fits(space: &FreeSpace, octets: u64, minimum: u64) -> bool {
    let wanted = octets.div_ceil(space.block_size.max(1));
    space.blocks >= minimum.saturating_add(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_counted_up() {
        let space = FreeSpace {
            blocks: 16,
            block_size: 4096,
        };
        for (octets, minimum, wanted) in [
            (0, 16, true),
            (0, 17, false),
            (65_536, 0, true),
            (65_537, 0, false),
            (1, 15, true),
            (1, 16, false),
            (u64::MAX, u64::MAX, false),
        ] {
            assert_eq!(fits(&space, octets, minimum), wanted, "{octets} {minimum}");
        }
    }
}
