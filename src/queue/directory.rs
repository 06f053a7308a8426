//! Queue directories and the names of the files in them.
//!
//! A directory may have the sub-folders `qf/`, `df/` and `xf/`; those that exist
//! take the files of their kind, the others lie in the directory itself. Renames
//! become durable only when the folder is synced; [`DirectorySync`] lets threads
//! that arrive during one sync share the next.
//!
//! Source: guide 1.3.7, 5.10.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::control_file::ControlFileFormat;
use crate::envelope::{Envelope, QueueId};
use crate::sys::file::{Directory, FileFacts, FileKind as SystemFileKind, set_mode};

/// What a queue file is for: its first letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// `qf`: envelope and header.
    Control,
    /// `tf`: a control file being written.
    Temporary,
    /// `df`: the body.
    Body,
    /// `xf`: a session transcript.
    Transcript,
    /// `hf`: a quarantined control file.
    Quarantined,
    /// `Qf`: a lost control file, for the operator.
    Lost,
}

impl FileKind {
    /// Gives the kind of control file a message lives in: quarantined or not.
    pub fn of(envelope: &Envelope) -> Self {
        match envelope.quarantine {
            Some(_) => FileKind::Quarantined,
            None => FileKind::Control,
        }
    }

    /// Tells whether it is the control file of an entry: waiting, held or lost.
    pub fn is_entry(self) -> bool {
        match self {
            FileKind::Control | FileKind::Quarantined | FileKind::Lost => true,
            FileKind::Temporary | FileKind::Body | FileKind::Transcript => false,
        }
    }

    /// Gives the two letters in front of the identifier.
    pub fn prefix(self) -> &'static str {
        match self {
            FileKind::Control => "qf",
            FileKind::Temporary => "tf",
            FileKind::Body => "df",
            FileKind::Transcript => "xf",
            FileKind::Quarantined => "hf",
            FileKind::Lost => "Qf",
        }
    }

    /// Gives the name of the file of this kind of an entry.
    pub fn file_name(self, id: &QueueId) -> String {
        format!("{}{id}", self.prefix())
    }

    /// Splits the name of a queue file; `None` if it is not one.
    pub fn split_name(name: &[u8]) -> Option<(FileKind, QueueId)> {
        let (prefix, id) = name.split_at_checked(2)?;
        let kind = match prefix {
            b"qf" => FileKind::Control,
            b"tf" => FileKind::Temporary,
            b"df" => FileKind::Body,
            b"xf" => FileKind::Transcript,
            b"hf" => FileKind::Quarantined,
            b"Qf" => FileKind::Lost,
            _ => return None,
        };
        Some((kind, QueueId::parse(id)?))
    }
}

/// One queue directory of one queue group.
#[derive(Debug)]
pub struct QueueDirectory {
    base: PathBuf,
    control: Arc<Folder>,
    body: Arc<Folder>,
    transcript: Arc<Folder>,
    file_mode: u32,
    /// What log lines put in front of the names of files: `.`, or the part after the common prefix.
    label: String,
    /// Folders a `d` line may name: those of all queue directories.
    known_folders: Vec<PathBuf>,
    format: Arc<ControlFileFormat>,
}

impl QueueDirectory {
    /// Opens a queue directory; `file_mode` is that of new files (QueueFileMode).
    ///
    /// # Errors
    /// When the directory, or a sub-folder that exists, cannot be opened.
    pub fn open(
        base: &Path,
        file_mode: u32,
        format: Arc<ControlFileFormat>,
        sync: &DirectorySync,
    ) -> io::Result<Self> {
        let sub_folder = |name: &str| {
            let path = base.join(name);
            if path.is_dir() {
                path
            } else {
                base.to_path_buf()
            }
        };
        Ok(Self {
            base: base.to_path_buf(),
            control: sync.folder(&sub_folder("qf"))?,
            body: sync.folder(&sub_folder("df"))?,
            transcript: sync.folder(&sub_folder("xf"))?,
            file_mode,
            label: ".".to_owned(),
            known_folders: Vec::new(),
            format,
        })
    }

    /// Sets how log lines name the directory, when it is one of several.
    #[must_use]
    pub fn labelled(mut self, label: String) -> Self {
        self.label = label;
        self
    }

    /// Sets the folders in which bodies of our entries may lie besides our own.
    #[must_use]
    pub fn accepting_bodies_in(mut self, folders: Vec<PathBuf>) -> Self {
        self.known_folders = folders;
        self
    }

    /// Gives the name log lines have for it.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Tells whether a body may lie in a folder.
    pub(super) fn knows_folder(&self, folder: &Path) -> bool {
        self.known_folders.iter().any(|known| known == folder)
    }

    /// Gives the name of a file of an entry as log lines have it.
    pub(super) fn place_of(&self, kind: FileKind, id: &QueueId) -> String {
        let folder = self.folder_path(kind);
        let sub_folder = match folder.strip_prefix(&self.base) {
            Ok(rest) if !rest.as_os_str().is_empty() => format!("{}/", rest.display()),
            _ => String::new(),
        };
        format!("{}/{sub_folder}{}", self.label, kind.file_name(id))
    }

    /// Gives the directory's path, as mailq prints it.
    pub fn path(&self) -> &Path {
        &self.base
    }

    /// Gives the folder files of a kind lie in.
    pub fn folder_path(&self, kind: FileKind) -> &Path {
        &self.folder(kind).path
    }

    fn folder(&self, kind: FileKind) -> &Folder {
        match kind {
            FileKind::Control | FileKind::Temporary | FileKind::Quarantined | FileKind::Lost => {
                &self.control
            }
            FileKind::Body => &self.body,
            FileKind::Transcript => &self.transcript,
        }
    }

    /// Gives the path of one file of an entry.
    pub fn path_of(&self, kind: FileKind, id: &QueueId) -> PathBuf {
        self.folder_path(kind).join(kind.file_name(id))
    }

    /// Gives the mode of new files.
    pub fn file_mode(&self) -> u32 {
        self.file_mode
    }

    /// Gives the format of control files.
    pub fn format(&self) -> &ControlFileFormat {
        &self.format
    }

    /// Creates a file that must not exist yet.
    pub(super) fn create(&self, kind: FileKind, id: &QueueId) -> io::Result<File> {
        let name = kind.file_name(id);
        let file = self
            .folder(kind)
            .handle
            .create_new(name.as_bytes(), self.file_mode)?;
        if self.file_mode & 0o077 != 0 {
            // The umask must not take away what the configuration gives the group.
            if let Err(error) = set_mode(&file, self.file_mode) {
                let _ = self.remove(kind, id);
                return Err(error);
            }
        }
        Ok(file)
    }

    /// Opens a file for reading; links are not followed.
    pub(super) fn open_file(&self, kind: FileKind, id: &QueueId) -> io::Result<File> {
        self.folder(kind)
            .handle
            .open_file(kind.file_name(id).as_bytes())
    }

    /// Reads the facts of a file without following a link.
    pub(super) fn facts(&self, kind: FileKind, id: &QueueId) -> io::Result<FileFacts> {
        self.folder(kind)
            .handle
            .facts(kind.file_name(id).as_bytes())
    }

    /// Renames a file of an entry from one kind to another, replacing what is there.
    pub(super) fn rename(&self, from: FileKind, to: FileKind, id: &QueueId) -> io::Result<()> {
        let (old, new) = (from.file_name(id), to.file_name(id));
        let into = &self.folder(to).handle;
        self.folder(from)
            .handle
            .rename(old.as_bytes(), into, new.as_bytes())
    }

    /// Gives the body of an entry a second name, in `into`.
    pub(super) fn link_body(&self, id: &QueueId, into: &Self, new: &QueueId) -> io::Result<()> {
        let (old, new) = (FileKind::Body.file_name(id), FileKind::Body.file_name(new));
        self.body
            .handle
            .link(old.as_bytes(), &into.body.handle, new.as_bytes())
    }

    /// Removes a file of an entry.
    pub(super) fn remove(&self, kind: FileKind, id: &QueueId) -> io::Result<()> {
        self.folder(kind)
            .handle
            .remove(kind.file_name(id).as_bytes())
    }

    /// Lists the entries of the folder files of a kind lie in.
    pub(super) fn names(&self, kind: FileKind) -> io::Result<Vec<Vec<u8>>> {
        self.folder(kind).handle.names()
    }

    /// Lists the entries: control files of every kind, in the order the system has them.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn entries(&self) -> io::Result<Vec<(FileKind, QueueId)>> {
        self.entries_and_others(&mut |_, _| {})
    }

    /// Lists the entries, and shows what has the name of one and is no plain file.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(super) fn entries_and_others(
        &self,
        other: &mut dyn FnMut(FileKind, &QueueId),
    ) -> io::Result<Vec<(FileKind, QueueId)>> {
        let mut entries = Vec::new();
        let mut unsure = Vec::new();
        self.control.handle.each_name(&mut |name, is_plain| {
            let split = FileKind::split_name(name);
            if let Some((kind, id)) = split.filter(|(kind, _)| kind.is_entry()) {
                match is_plain {
                    Some(false) => other(kind, &id),
                    Some(true) => entries.push((kind, id)),
                    None => unsure.push((kind, id)),
                }
            }
        })?;
        // Not every file system tells what a name stands for.
        for (kind, id) in unsure {
            match self.facts(kind, &id) {
                Ok(facts) if facts.kind == SystemFileKind::Regular => entries.push((kind, id)),
                Ok(_) | Err(_) => other(kind, &id),
            }
        }
        Ok(entries)
    }

    /// Makes names in the folders of control files and bodies durable.
    ///
    /// # Errors
    /// When a folder cannot be synced; the names may then be lost in a crash.
    pub(super) fn sync_names(&self) -> io::Result<()> {
        if !Arc::ptr_eq(&self.control, &self.body) {
            self.body.sync()?;
        }
        self.control.sync()
    }
}

/// The folders of the queue, each with its shared sync; one for the whole process.
#[derive(Debug, Default)]
pub struct DirectorySync {
    /// Guards the list of folders, which only grows; written when a configuration is loaded.
    folders: Mutex<HashMap<PathBuf, Arc<Folder>>>,
}

impl DirectorySync {
    /// Makes an empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a folder, or finds it opened already.
    fn folder(&self, path: &Path) -> io::Result<Arc<Folder>> {
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = folders.get(path) {
            return Ok(Arc::clone(folder));
        }
        let folder = Arc::new(Folder::open(path)?);
        folders.insert(path.to_path_buf(), Arc::clone(&folder));
        Ok(folder)
    }
}

/// One open folder and the state of its group commit.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    handle: Directory,
    /// Guards the counters below; the sync itself runs unlocked.
    rounds: Mutex<Rounds>,
    finished: Condvar,
}

/// Syncs are numbered; a caller needs one that started after it came.
#[derive(Debug, Default)]
struct Rounds {
    started: u64,
    /// The latest round that is over, and whether each of the recent ones failed.
    done: u64,
    running: bool,
    /// Rounds that failed, with the error number; kept until nobody can ask for them.
    failed: Vec<(u64, i32)>,
}

/// Failed rounds remembered; a caller waits for at most two rounds, so a few suffice.
const FAILURES_KEPT: usize = 64;

impl Folder {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_path_buf(),
            handle: Directory::open(path)?,
            rounds: Mutex::new(Rounds::default()),
            finished: Condvar::new(),
        })
    }

    /// Returns after an fsync of the folder that began after this call.
    fn sync(&self) -> io::Result<()> {
        let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        // A sync that is running may have passed our name already: the next one serves.
        let wanted = rounds.started + 1;
        loop {
            if rounds.done >= wanted {
                return rounds.result_since(wanted);
            }
            if !rounds.running {
                break;
            }
            rounds = self
                .finished
                .wait(rounds)
                .unwrap_or_else(PoisonError::into_inner);
        }
        rounds.running = true;
        rounds.started += 1;
        let round = rounds.started;
        drop(rounds);
        let result = self.handle.sync();
        let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        rounds.running = false;
        rounds.done = round;
        if let Err(error) = &result {
            if rounds.failed.len() >= FAILURES_KEPT {
                rounds.failed.remove(0);
            }
            rounds
                .failed
                .push((round, error.raw_os_error().unwrap_or(5)));
        }
        drop(rounds);
        self.finished.notify_all();
        result
    }
}

impl Rounds {
    /// Fails if any round from `wanted` on failed: after a failure nothing can be said for sure.
    fn result_since(&self, wanted: u64) -> io::Result<()> {
        match self.failed.iter().find(|(round, _)| *round >= wanted) {
            Some((_, error)) => Err(io::Error::from_raw_os_error(*error)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(base: &Path) -> QueueDirectory {
        let format = Arc::new(ControlFileFormat::default());
        QueueDirectory::open(base, 0o600, format, &DirectorySync::new()).unwrap()
    }

    #[test]
    fn files_lie_in_the_sub_folders_that_exist() {
        let base = tempfile::tempdir().unwrap();
        std::fs::create_dir(base.path().join("df")).unwrap();
        let directory = open(base.path());
        let id = QueueId::parse(b"abc").unwrap();
        assert_eq!(
            directory.path_of(FileKind::Body, &id),
            base.path().join("df/dfabc")
        );
        assert_eq!(
            directory.path_of(FileKind::Control, &id),
            base.path().join("qfabc")
        );
        assert_eq!(
            directory.path_of(FileKind::Transcript, &id),
            base.path().join("xfabc")
        );
        directory.sync_names().unwrap();
    }

    #[test]
    fn names_are_split() {
        let (kind, id) = FileKind::split_name(b"Qf6AM56R2M023828").unwrap();
        assert_eq!((kind, id.as_str()), (FileKind::Lost, "6AM56R2M023828"));
        assert!(FileKind::split_name(b"..").is_none());
        assert!(FileKind::split_name(b"zfabc").is_none());
    }

    #[test]
    fn many_threads_share_syncs() {
        let base = tempfile::tempdir().unwrap();
        let directory = open(base.path());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        directory.sync_names().unwrap();
                    }
                });
            }
        });
        let rounds = directory.control.rounds.lock().unwrap();
        assert!(rounds.started <= 160 && rounds.done == rounds.started);
    }
}
