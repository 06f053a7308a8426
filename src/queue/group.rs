//! Queue groups: named sets of queue directories with limits of their own.
//!
//! [`Queue`] is the whole of them as one configuration defines it. The first group
//! is `mqueue`, made from the queue options; `Q` lines add others. A path that ends
//! in `*` stands for all directories with that beginning.
//!
//! Source: guide 2.3, 5.10; labels of directories observed: 8.17.1.9.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::control_file::ControlFileFormat;
use super::directory::{DirectorySync, FileKind, QueueDirectory};
use super::entry::NewEntry;
use super::id::QueueIdSource;
use crate::config::{Config, QueueGroupDefinition};
use crate::envelope::PriorityFactors;
use crate::macros::{ClassId, MacroId};
use crate::sys::clock::Clock;
use crate::sys::file::Directory;
use crate::text::bytes::printable;
use crate::token::ClassSet;

/// Mode of queue files when QueueFileMode is not set. Source: guide 5.6.
const DEFAULT_FILE_MODE: u32 = 0o600;

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

/// Why the queue could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum QueueOpenError {
    /// No QueueDirectory is set.
    #[error("QueueDirectory (Q) option must be set")]
    NotSet,
    /// A directory cannot be used.
    #[error("can not chdir({}): {reason}", path.display())]
    Directory {
        /// The directory, with a slash at its end as the reference prints it.
        path: PathBuf,
        /// What the system said.
        reason: String,
        /// The error itself.
        source: io::Error,
    },
    /// The directory of a group is not given from the root.
    #[error("QueuePath {0} not absolute: No such file or directory")]
    NotAbsolute(String),
    /// The directory of a group is not below the queue directory: a program that works in
    /// the one could not reach the other.
    #[error("QueuePath {path} not subpath of QueueDirectory {base}: No such file or directory")]
    NotBelow {
        /// The directory of the group.
        path: String,
        /// The queue directory, with a slash at its end as the reference prints it.
        base: String,
    },
    /// A path with `*` has no folder above that.
    #[error("QueueDirectory: can not wildcard relative path \"{0}\"")]
    Relative(String),
    /// A path with `*` stands for nothing.
    #[error("can not opendir({0}): No such file or directory")]
    Nothing(String),
}

/// The queue: all groups of one configuration.
#[derive(Debug)]
pub struct Queue {
    folder: PathBuf,
    groups: Vec<QueueGroup>,
    ids: Arc<QueueIdSource>,
    factors: PriorityFactors,
}

impl Queue {
    /// Opens the directories of all groups.
    ///
    /// `ids` and `sync` live as long as the process.
    ///
    /// # Errors
    /// When a directory is missing or must not be read.
    pub fn open(
        config: &Config,
        ids: Arc<QueueIdSource>,
        sync: &DirectorySync,
    ) -> Result<Queue, QueueOpenError> {
        let queueing = &config.options.queueing;
        let main = queueing
            .queue_directory
            .as_deref()
            .ok_or(QueueOpenError::NotSet)?;
        refuse_relative(main)?;
        let mut definitions = config.queue_groups.clone();
        if definitions.is_empty() {
            definitions.push(QueueGroupDefinition::new(b"mqueue", main));
        }
        let opener = Opener {
            base: common_folder(main),
            file_mode: queueing.queue_file_mode.unwrap_or(DEFAULT_FILE_MODE),
            format: Arc::new(format_of(config)),
            sync,
        };
        let mut groups = Vec::with_capacity(definitions.len());
        for definition in &definitions {
            groups.push(opener.group(definition)?);
        }
        let factors = PriorityFactors {
            class: queueing.class_factor,
            recipient: queueing.recipient_factor,
            retry: queueing.retry_factor,
        };
        Ok(Queue {
            folder: opener.base,
            groups,
            ids,
            factors,
        })
    }

    /// Makes a queue without any directory, for tools that look at nothing in it.
    pub fn without_directories(ids: Arc<QueueIdSource>) -> Queue {
        Queue {
            folder: PathBuf::from("/"),
            groups: Vec::new(),
            ids,
            factors: PriorityFactors::default(),
        }
    }

    /// Makes a queue of one directory, for tests and tools.
    pub fn of_directory(directory: QueueDirectory, ids: Arc<QueueIdSource>) -> Queue {
        let folder = directory.path().to_path_buf();
        let group = QueueGroup {
            name: b"mqueue".to_vec(),
            directories: vec![Arc::new(directory)],
            forks: false,
            nice: 0,
            interval: None,
            runners: 1,
            jobs: 0,
            max_recipients: 0,
        };
        Queue {
            folder,
            groups: vec![group],
            ids,
            factors: PriorityFactors::default(),
        }
    }

    /// Gives the folder programs work in: QueueDirectory, or what is above its `*`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Gives all groups; the first is the default.
    pub fn groups(&self) -> &[QueueGroup] {
        &self.groups
    }

    /// Finds a group by name, letter case not regarded.
    pub fn find(&self, name: &[u8]) -> Option<usize> {
        self.groups
            .iter()
            .position(|group| group.name.eq_ignore_ascii_case(name))
    }

    /// Gives the factors priorities are computed with.
    pub fn factors(&self) -> &PriorityFactors {
        &self.factors
    }

    /// Gives the source of identifiers.
    pub fn ids(&self) -> &QueueIdSource {
        &self.ids
    }

    /// Begins an entry in one of the directories of a group (an index; the default group if there
    /// is none of that number).
    pub fn new_entry(&self, group: usize, clock: &dyn Clock) -> NewEntry {
        let id = self.ids.next(clock);
        NewEntry::create(self.directory_for(group, clock), id)
    }

    /// Picks one of the directories of a group, by chance.
    pub fn directory_for(&self, group: usize, clock: &dyn Clock) -> &Arc<QueueDirectory> {
        let group = self.groups.get(group).unwrap_or(&self.groups[0]);
        let chance = usize::try_from(clock.now().nanoseconds() / 1_000).unwrap_or(0);
        &group.directories[chance % group.directories.len()]
    }

    /// Tells the group a directory belongs to; the default group for one that is gone.
    pub fn group_holding(&self, directory: &QueueDirectory) -> usize {
        let holds = |group: &QueueGroup| {
            let mut directories = group.directories.iter();
            directories.any(|own| own.path() == directory.path())
        };
        self.groups.iter().position(holds).unwrap_or(0)
    }

    /// Gives the most recipients of an envelope in a group, 0 for no limit.
    pub fn max_recipients(&self, group: usize) -> usize {
        self.groups
            .get(group)
            .map_or(0, |group| group.max_recipients)
    }
}

/// Collects what control files need from a configuration.
fn format_of(config: &Config) -> ControlFileFormat {
    let mut more: Vec<MacroId> = Vec::new();
    if let Some(class) = config.names.find(b"persistentMacros") {
        for member in config
            .classes
            .get(ClassId(class))
            .into_iter()
            .flat_map(ClassSet::iter)
        {
            let name = member
                .strip_prefix(b"{")
                .and_then(|name| name.strip_suffix(b"}"));
            more.extend(config.names.find(name.unwrap_or(member)));
        }
    }
    ControlFileFormat::new(config.names.clone(), &more)
}

/// Refuses a queue directory with `*` and no slash before that.
///
/// # Errors
/// It is one.
pub fn refuse_relative(path: &[u8]) -> Result<(), QueueOpenError> {
    if path.ends_with(b"*") && !path.contains(&b'/') {
        let shown = String::from_utf8_lossy(path).into_owned();
        return Err(QueueOpenError::Relative(shown));
    }
    Ok(())
}

/// Gives the folder names are relative to: the queue directory, or what is above a `*`.
fn common_folder(path: &[u8]) -> PathBuf {
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    match path.as_os_str().as_bytes().ends_with(b"*") {
        true => path.parent().unwrap_or(Path::new("/")).to_path_buf(),
        false => path.to_path_buf(),
    }
}

/// What all directories have in common while they are opened.
struct Opener<'a> {
    base: PathBuf,
    file_mode: u32,
    format: Arc<ControlFileFormat>,
    sync: &'a DirectorySync,
}

impl Opener<'_> {
    fn group(&self, definition: &QueueGroupDefinition) -> Result<QueueGroup, QueueOpenError> {
        let paths = self.paths(&definition.path)?;
        let body_folders: Vec<PathBuf> = paths.iter().map(|path| path.join("df")).collect();
        let mut directories = Vec::with_capacity(paths.len());
        for path in &paths {
            let format = Arc::clone(&self.format);
            let directory = QueueDirectory::open(path, self.file_mode, format, self.sync)
                .map_err(|source| cannot_enter(path, source))?;
            // Observed: with one directory a body is never elsewhere.
            let known = match paths.len() {
                1 => Vec::new(),
                _ => body_folders.iter().chain(&paths).cloned().collect(),
            };
            let label = self.label(path);
            directories.push(Arc::new(
                directory.labelled(label).accepting_bodies_in(known),
            ));
        }
        Ok(QueueGroup {
            name: definition.name.clone(),
            directories,
            forks: definition.flags.contains(&b'f'),
            nice: definition.nice,
            interval: definition.interval,
            runners: usize::try_from(definition.runners).unwrap_or(1),
            jobs: usize::try_from(definition.max_jobs).unwrap_or(0),
            max_recipients: usize::try_from(definition.max_recipients).unwrap_or(0),
        })
    }

    /// Finds the directories a path stands for, in the order the system lists them.
    fn paths(&self, path: &[u8]) -> Result<Vec<PathBuf>, QueueOpenError> {
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        if !path.starts_with(&self.base) {
            let shown = path.display().to_string();
            return Err(if path.is_absolute() {
                let base = self.base.join("").display().to_string();
                QueueOpenError::NotBelow { path: shown, base }
            } else {
                QueueOpenError::NotAbsolute(shown)
            });
        }
        starred_directories(path.as_os_str().as_bytes())
    }

    /// Gives what log lines put before file names: the path below the common folder, or `.`.
    fn label(&self, path: &Path) -> String {
        match path.strip_prefix(&self.base) {
            Ok(rest) if rest.as_os_str().is_empty() => ".".to_owned(),
            Ok(rest) => rest.display().to_string(),
            Err(_) => path.display().to_string(),
        }
    }
}

/// Finds the directories a path stands for, in the order the system lists them.
///
/// # Errors
/// When its folder cannot be read, or has none that begin so.
pub fn starred_directories(path: &[u8]) -> Result<Vec<PathBuf>, QueueOpenError> {
    let Some(beginning) = path.strip_suffix(b"*") else {
        return Ok(vec![PathBuf::from(std::ffi::OsStr::from_bytes(path))]);
    };
    let slash = beginning
        .iter()
        .rposition(|&b| b == b'/')
        .map_or(0, |at| at + 1);
    let (folder, prefix) = beginning.split_at(slash);
    let folder = Path::new(std::ffi::OsStr::from_bytes(folder));
    let listed = Directory::open(folder).and_then(|directory| directory.names());
    let names = listed.map_err(|source| cannot_enter(folder, source))?;
    let paths: Vec<PathBuf> = names
        .iter()
        .filter(|name| name.starts_with(prefix) && ![&b"."[..], b".."].contains(&&name[..]))
        .map(|name| folder.join(std::ffi::OsStr::from_bytes(name)))
        .filter(|path| path.is_dir())
        .collect();
    match (paths.is_empty(), prefix) {
        (false, _) => Ok(paths),
        // Observed: 8.17.1.9 makes do with the folder itself.
        (true, b"") => Ok(vec![folder.components().collect()]),
        (true, _) => Err(QueueOpenError::Nothing(printable(beginning))),
    }
}

fn cannot_enter(path: &Path, source: io::Error) -> QueueOpenError {
    let reason = super::take::system_text(&source);
    QueueOpenError::Directory {
        path: path.join(""),
        reason,
        source,
    }
}

impl QueueDirectory {
    /// Gives the path mailq prints: that of the folder of bodies if there is one.
    pub fn shown_path(&self) -> &Path {
        self.folder_path(FileKind::Body)
    }
}
