//! Opening a path without trusting anything on the way.
//!
//! Files named by users or by the configuration are opened here and nowhere
//! else. The walk starts at `/` (or at a given root) and goes down one name at
//! a time with `O_NOFOLLOW`, so every directory and every link is looked at
//! through the descriptor that is then used: there is no moment between check
//! and use. The last part is opened without blocking and without becoming a
//! controlling terminal, and judged by `fstat` on its descriptor.
//!
//! What counts as unsafe is said by the caller in [`OpenRules`]; the room
//! `safefile` knows which options relax what. [`PathFacts`] come back with the
//! descriptor for judgements that are not a plain refusal.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use super::file::FileFacts;
use super::identity::Credentials;

/// What the file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Reading from the start.
    Read,
    /// Appending; with `create_mode` a missing file is made, else it is an error.
    AppendDelivery {
        /// Permission bits of a new file (the umask does not apply).
        create_mode: Option<u32>,
    },
    /// Reading and writing; with `create_mode` a missing file is made.
    ReadWrite {
        /// Permission bits of a new file (the umask does not apply).
        create_mode: Option<u32>,
    },
    /// Facts only: the descriptor can be neither read nor written.
    Examine,
}

/// A set of things that make a file unfit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenRules(u32);

impl OpenRules {
    /// Nothing is refused.
    pub const NONE: OpenRules = OpenRules(0);
    /// The file is plain (`/dev/null` and other devices are refused, too).
    pub const REGULAR_ONLY: OpenRules = OpenRules(1);
    /// The file belongs to the user of the credentials.
    pub const OWNED_BY_USER: OpenRules = OpenRules(1 << 1);
    /// With [`Self::OWNED_BY_USER`]: root may own it as well.
    pub const OR_OWNED_BY_ROOT: OpenRules = OpenRules(1 << 2);
    /// The last part of the path is not a symbolic link.
    pub const NO_FINAL_LINK: OpenRules = OpenRules(1 << 3);
    /// No symbolic link on the way, or last, lies in a directory others may write to.
    pub const NO_LINK_IN_WRITABLE_DIRECTORY: OpenRules = OpenRules(1 << 4);
    /// The group may not write to the file.
    pub const NO_GROUP_WRITABLE_FILE: OpenRules = OpenRules(1 << 5);
    /// Others may not write to the file.
    pub const NO_WORLD_WRITABLE_FILE: OpenRules = OpenRules(1 << 6);
    /// The group may not read the file.
    pub const NO_GROUP_READABLE_FILE: OpenRules = OpenRules(1 << 7);
    /// Others may not read the file.
    pub const NO_WORLD_READABLE_FILE: OpenRules = OpenRules(1 << 8);
    /// No directory on the way is writable by a group.
    pub const NO_GROUP_WRITABLE_DIRECTORY: OpenRules = OpenRules(1 << 9);
    /// No directory on the way is writable by everyone.
    pub const NO_WORLD_WRITABLE_DIRECTORY: OpenRules = OpenRules(1 << 10);
    /// A sticky directory counts as not writable.
    pub const TRUST_STICKY_BIT: OpenRules = OpenRules(1 << 11);
    /// The file has one name only.
    pub const NO_HARD_LINKS: OpenRules = OpenRules(1 << 12);
    /// The file has no execute, set-user-id or set-group-id bit.
    pub const NO_EXECUTE_BITS: OpenRules = OpenRules(1 << 13);
    /// Devices pass [`Self::REGULAR_ONLY`], [`Self::NO_HARD_LINKS`] and the write rules.
    pub const DEVICES_ALLOWED: OpenRules = OpenRules(1 << 14);
    /// That a group may write to a directory does not count.
    pub const TRUST_GROUPS: OpenRules = OpenRules(1 << 15);

    /// Says whether all rules of `other` are in this set.
    pub const fn contains(self, other: OpenRules) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns both sets together.
    pub const fn with(self, other: OpenRules) -> OpenRules {
        OpenRules(self.0 | other.0)
    }

    /// Returns this set without the rules of `other`.
    pub const fn without(self, other: OpenRules) -> OpenRules {
        OpenRules(self.0 & !other.0)
    }

    pub(super) const fn bits(self) -> u32 {
        self.0
    }

    pub(super) const fn from_bits(bits: u32) -> OpenRules {
        OpenRules(bits)
    }
}

impl std::ops::BitOr for OpenRules {
    type Output = OpenRules;

    fn bitor(self, other: OpenRules) -> OpenRules {
        self.with(other)
    }
}

/// One file to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRequest {
    /// An absolute path, seen from `root`.
    pub path: PathBuf,
    /// Whose rights open it; `None` keeps the rights of the process.
    pub credentials: Option<Credentials>,
    /// What it is opened for.
    pub purpose: Purpose,
    /// What makes it unfit.
    pub rules: OpenRules,
    /// A directory that stands for `/` (SafeFileEnvironment); its own path is not judged.
    pub root: Option<PathBuf>,
}

impl OpenRequest {
    /// Makes a request to read a file with the rights of the process and no rules.
    pub fn read(path: impl Into<PathBuf>) -> Self {
        OpenRequest {
            path: path.into(),
            credentials: None,
            purpose: Purpose::Read,
            rules: OpenRules::NONE,
            root: None,
        }
    }

    /// Sets whose rights open the file.
    pub fn as_user(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Sets what the file is opened for.
    pub fn purpose(mut self, purpose: Purpose) -> Self {
        self.purpose = purpose;
        self
    }

    /// Adds rules.
    pub fn rules(mut self, rules: OpenRules) -> Self {
        self.rules = self.rules | rules;
        self
    }
}

/// One directory or link passed on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepFacts {
    /// The path as far as it was walked.
    pub path: PathBuf,
    /// What it was.
    pub facts: FileFacts,
}

/// What was met on the way to a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PathFacts {
    /// Every directory from the root to the file's own, links resolved.
    pub directories: Vec<StepFacts>,
    /// Every symbolic link that was followed.
    pub links: Vec<StepFacts>,
    /// Whether the file did not exist and was made.
    pub created: bool,
}

impl PathFacts {
    /// Finds the first directory on the way that its group may write to.
    pub fn group_writable_directory(&self, trust_sticky_bit: bool) -> Option<&StepFacts> {
        self.directories.iter().find(|step| {
            step.facts.is_group_writable() && !(trust_sticky_bit && step.facts.mode & 0o1000 != 0)
        })
    }

    /// Finds the first directory on the way that everyone may write to.
    pub fn world_writable_directory(&self, trust_sticky_bit: bool) -> Option<&StepFacts> {
        self.directories.iter().find(|step| {
            step.facts.is_world_writable() && !(trust_sticky_bit && step.facts.mode & 0o1000 != 0)
        })
    }
}

/// An open file and what is known of it and of the way to it.
#[derive(Debug)]
pub struct Opened {
    /// The file.
    pub file: File,
    /// Its facts, read from the descriptor.
    pub facts: FileFacts,
    /// The directories and links on the way.
    pub way: PathFacts,
}

/// Why a file is unfit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsafe {
    /// Not a plain file.
    NotRegular,
    /// Owned by somebody else.
    WrongOwner,
    /// The last part is a symbolic link.
    FinalLink,
    /// A symbolic link lies in a directory others may write to.
    LinkInWritableDirectory,
    /// The group may write to the file.
    GroupWritableFile,
    /// Everyone may write to the file.
    WorldWritableFile,
    /// The group may read the file.
    GroupReadableFile,
    /// Everyone may read the file.
    WorldReadableFile,
    /// A group may write to a directory on the way.
    GroupWritableDirectory,
    /// Everyone may write to a directory on the way.
    WorldWritableDirectory,
    /// The file has several names.
    HardLinks,
    /// The file has execute or set-id bits.
    Executable,
}

impl Unsafe {
    pub(super) const ALL: [Unsafe; 12] = [
        Unsafe::NotRegular,
        Unsafe::WrongOwner,
        Unsafe::FinalLink,
        Unsafe::LinkInWritableDirectory,
        Unsafe::GroupWritableFile,
        Unsafe::WorldWritableFile,
        Unsafe::GroupReadableFile,
        Unsafe::WorldReadableFile,
        Unsafe::GroupWritableDirectory,
        Unsafe::WorldWritableDirectory,
        Unsafe::HardLinks,
        Unsafe::Executable,
    ];
}

impl fmt::Display for Unsafe {
    /// Writes the reason in the words of the reference's messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unsafe::NotRegular => "Regular files only",
            Unsafe::WrongOwner => "Permission denied",
            Unsafe::FinalLink | Unsafe::LinkInWritableDirectory => "Symbolic links not allowed",
            Unsafe::GroupWritableFile => "Group writable file",
            Unsafe::WorldWritableFile => "World writable file",
            Unsafe::GroupReadableFile => "Group readable file",
            Unsafe::WorldReadableFile => "World readable file",
            Unsafe::GroupWritableDirectory => "Group writable directory",
            Unsafe::WorldWritableDirectory => "World writable directory",
            Unsafe::HardLinks => "Hard links not allowed",
            Unsafe::Executable => "Executable files not allowed",
        })
    }
}

/// Why a file was not opened.
#[derive(Debug)]
pub enum OpenError {
    /// The caller's rules forbid it; `path` is the file, directory or link at fault.
    Unsafe {
        /// What is wrong.
        reason: Unsafe,
        /// Where.
        path: PathBuf,
    },
    /// The system refused, `NotFound` included.
    Io(io::Error),
}

impl OpenError {
    /// Says whether the file, or a directory on the way, does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, OpenError::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Unsafe { reason, .. } => reason.fmt(f),
            OpenError::Io(error) => f.write_str(&super::host::error_text(error)),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        OpenError::Io(error)
    }
}
