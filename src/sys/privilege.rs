//! The one door to root's rights.
//!
//! Everything that needs them is one of four requests: bind a low port, open a
//! file as some user, run a program as some user, give a file away.
//! [`Direct`] does them in this process, [`super::helper::Helper`] in a small
//! process of its own, [`Unprivileged`] without changing any identity (tests,
//! and a program that has no rights to begin with).

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use super::safe_open::{OpenError, OpenRequest, Opened};
use super::socket::ListenSpec;
use super::spawn::{Running, SpawnPlan};

/// What needs root's rights.
pub trait Privileged: Send + Sync {
    /// Makes a listening socket.
    ///
    /// # Errors
    /// As `bind(2)` and `listen(2)`.
    fn bind(&self, spec: &ListenSpec) -> io::Result<OwnedFd>;

    /// Opens a file as the user and under the rules of the request.
    ///
    /// # Errors
    /// See [`OpenError`].
    fn open_as(&self, request: &OpenRequest) -> Result<Opened, OpenError>;

    /// Starts a child.
    ///
    /// # Errors
    /// The fork failed, the identity could not be taken, or the program could
    /// not be executed: then the error is the one of `execve(2)`.
    fn spawn(&self, plan: SpawnPlan) -> io::Result<Box<dyn Running>>;

    /// Gives an open file to a user and group.
    ///
    /// # Errors
    /// As `fchown(2)`.
    fn give_to(&self, file: BorrowedFd<'_>, uid: u32, gid: u32) -> io::Result<()>;
}

/// Does everything in this process, changing identity where a request says so.
///
/// Identities are changed for the calling thread alone, so other threads are
/// not disturbed, but they must not rely on the rights of this one either.
#[derive(Debug, Clone, Copy, Default)]
pub struct Direct;

impl Privileged for Direct {
    fn bind(&self, spec: &ListenSpec) -> io::Result<OwnedFd> {
        super::socket::listen(spec)
    }

    fn open_as(&self, request: &OpenRequest) -> Result<Opened, OpenError> {
        super::walk::open(request)
    }

    fn spawn(&self, plan: SpawnPlan) -> io::Result<Box<dyn Running>> {
        Ok(Box::new(super::child::Child::start(plan)?))
    }

    fn give_to(&self, file: BorrowedFd<'_>, uid: u32, gid: u32) -> io::Result<()> {
        super::file::set_owner(&file, uid, gid)
    }
}

/// Ports are opened with root's rights, everything else is done by somebody without them.
///
/// The way of RunAsUser in a daemon: no request can change an identity any more.
#[derive(Debug)]
pub struct Divided<P, W> {
    /// Opens ports.
    pub ports: P,
    /// Does the work.
    pub work: W,
}

impl<P: Privileged, W: Privileged> Privileged for Divided<P, W> {
    fn bind(&self, spec: &ListenSpec) -> io::Result<OwnedFd> {
        self.ports.bind(spec)
    }

    fn open_as(&self, request: &OpenRequest) -> Result<Opened, OpenError> {
        self.work.open_as(&OpenRequest {
            credentials: None,
            ..request.clone()
        })
    }

    fn spawn(&self, mut plan: SpawnPlan) -> io::Result<Box<dyn Running>> {
        plan.credentials = None;
        self.work.spawn(plan)
    }

    fn give_to(&self, _file: BorrowedFd<'_>, _uid: u32, _gid: u32) -> io::Result<()> {
        Ok(())
    }
}

/// Does everything as the user this process runs as; credentials are ignored.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unprivileged;

impl Privileged for Unprivileged {
    fn bind(&self, spec: &ListenSpec) -> io::Result<OwnedFd> {
        super::socket::listen(spec)
    }

    fn open_as(&self, request: &OpenRequest) -> Result<Opened, OpenError> {
        Direct.open_as(&OpenRequest {
            credentials: None,
            ..request.clone()
        })
    }

    fn spawn(&self, mut plan: SpawnPlan) -> io::Result<Box<dyn Running>> {
        plan.credentials = None;
        Direct.spawn(plan)
    }

    fn give_to(&self, _file: BorrowedFd<'_>, _uid: u32, _gid: u32) -> io::Result<()> {
        Ok(())
    }
}
