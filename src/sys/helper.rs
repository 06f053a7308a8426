//! The small process behind [`Helper`]: it keeps root's rights and runs mailers.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use super::privilege::Privileged;
use super::safe_open::{OpenError, OpenRequest, Opened};
use super::socket::ListenSpec;
use super::spawn::{Running, SpawnPlan};

/// The door to the helper process.
#[derive(Debug)]
pub struct Helper {}

impl Helper {
    /// Forks the helper process; only while this process has a single thread.
    ///
    /// # Errors
    /// The socket or the fork failed.
    pub fn start() -> io::Result<Helper> {
        unimplemented!("sys: helper")
    }
}

impl Privileged for Helper {
    fn bind(&self, _spec: &ListenSpec) -> io::Result<OwnedFd> {
        unimplemented!("sys: helper")
    }

    fn open_as(&self, _request: &OpenRequest) -> Result<Opened, OpenError> {
        unimplemented!("sys: helper")
    }

    fn spawn(&self, _plan: SpawnPlan) -> io::Result<Box<dyn Running>> {
        unimplemented!("sys: helper")
    }

    fn give_to(&self, _file: BorrowedFd<'_>, _uid: u32, _gid: u32) -> io::Result<()> {
        unimplemented!("sys: helper")
    }
}
