//! Children with an identity of their own.
//!
//! A [`SpawnPlan`] says everything a child is to be; nothing is inherited but
//! what it names. The environment is made from nothing, descriptors above 2 are
//! closed, signals have their default dispositions and an empty mask, and the
//! child leads a session and process group of its own, so that a mailer and all
//! it started can be ended together.
//!
//! This file holds the vocabulary; the fork itself is in [`super::child`].

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Instant;

use super::identity::Credentials;

/// What one of the child's descriptors 0 to 2 is.
#[derive(Debug, Default)]
pub enum Stdio {
    /// `/dev/null`.
    #[default]
    Null,
    /// A pipe whose other end the parent gets.
    Pipe,
    /// For descriptor 2: whatever descriptor 1 is.
    SameAsStdout,
    /// A descriptor the parent gives.
    File(OwnedFd),
}

/// Everything a child is to be.
#[derive(Debug)]
pub struct SpawnPlan {
    /// The file to execute, an absolute path inside `chroot`.
    pub program: PathBuf,
    /// The argument vector, the program's name first.
    pub argv: Vec<Vec<u8>>,
    /// The whole environment.
    pub environment: Vec<(Vec<u8>, Vec<u8>)>,
    /// Working directories to try; the first that can be entered is taken, then `/`.
    pub directories: Vec<PathBuf>,
    /// With no `directories`: a directory entered while the rights are still ours.
    pub start_directory: Option<PathBuf>,
    /// Who it runs as; `None` keeps the identity of the parent.
    pub credentials: Option<Credentials>,
    /// A directory that becomes its `/`.
    pub chroot: Option<PathBuf>,
    /// Added to its nice value.
    pub nice: i32,
    /// Descriptor 0.
    pub stdin: Stdio,
    /// Descriptor 1.
    pub stdout: Stdio,
    /// Descriptor 2.
    pub stderr: Stdio,
    /// Its umask.
    pub umask: u32,
}

impl SpawnPlan {
    /// Makes a plan with nothing on all three descriptors and umask 022.
    pub fn new(program: impl Into<PathBuf>, argv: Vec<Vec<u8>>) -> Self {
        SpawnPlan {
            program: program.into(),
            argv,
            environment: Vec::new(),
            directories: Vec::new(),
            start_directory: None,
            credentials: None,
            chroot: None,
            nice: 0,
            stdin: Stdio::Null,
            stdout: Stdio::Null,
            stderr: Stdio::Null,
            umask: 0o022,
        }
    }
}

/// What became of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this status.
    Exited(i32),
    /// This signal ended it.
    Signaled(i32),
    /// It had not ended at the deadline.
    StillRunning,
}

/// A running child; dropping it lets the child go on unwatched.
pub trait Running: Send {
    /// Takes the parent's end of the child's standard input.
    fn stdin(&mut self) -> Option<File>;

    /// Takes the parent's end of the child's standard output.
    fn stdout(&mut self) -> Option<File>;

    /// Takes the parent's end of the child's standard error.
    fn stderr(&mut self) -> Option<File>;

    /// Waits for the end, at most until the deadline.
    ///
    /// # Errors
    /// The exit status was lost.
    fn wait(&mut self, deadline: Option<Instant>) -> io::Result<Ended>;

    /// Ends the child and all of its process group at once.
    fn kill_group(&mut self);

    /// Returns the process id, for messages only.
    fn process_id(&self) -> u32;
}
