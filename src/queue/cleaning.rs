//! Leftovers of a crash: removed at start, when they are old enough to be nobody's work.
//!
//! A temporary file, transcript or body without control file is garbage. Nothing
//! younger than a day is touched: another program may be writing it. Control files
//! are never removed here.

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use super::directory::{FileKind, QueueDirectory};
use crate::envelope::QueueId;
use crate::sys::clock::Timestamp;
use crate::sys::lock::FileLock;

/// How old garbage must be.
const GARBAGE_AGE: Duration = Duration::from_secs(86_400);

/// Removes old leftovers of a directory and tells their names, for the log.
///
/// # Errors
/// When a folder cannot be listed.
pub fn remove_leftovers(directory: &QueueDirectory, now: Timestamp) -> io::Result<Vec<String>> {
    let mut alive: HashSet<QueueId> = HashSet::new();
    for name in directory.names(FileKind::Control)? {
        let split = FileKind::split_name(&name);
        if let Some((FileKind::Control | FileKind::Quarantined | FileKind::Lost, id)) = split {
            alive.insert(id);
        }
    }
    let mut removed = Vec::new();
    for kind in [FileKind::Temporary, FileKind::Transcript, FileKind::Body] {
        for name in directory.names(kind)? {
            if let Some((found, id)) = FileKind::split_name(&name)
                && found == kind
                && !alive.contains(&id)
                && is_garbage(directory, kind, &id, now)
                && directory.remove(kind, &id).is_ok()
            {
                removed.push(kind.file_name(&id));
            }
        }
    }
    Ok(removed)
}

/// Tells whether a file is old, and neither locked nor grown an entry meanwhile.
fn is_garbage(directory: &QueueDirectory, kind: FileKind, id: &QueueId, now: Timestamp) -> bool {
    let Ok(facts) = directory.facts(kind, id) else {
        return false;
    };
    if facts.kind != crate::sys::file::FileKind::Regular || now < facts.changed + GARBAGE_AGE {
        return false;
    }
    let Ok(file) = directory.open_file(kind, id) else {
        return false;
    };
    let entries = [FileKind::Control, FileKind::Quarantined, FileKind::Lost];
    FileLock::try_exclusive(file).is_ok()
        && entries.iter().all(|entry| {
            let found = directory.facts(*entry, id);
            found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{ControlFileFormat, DirectorySync};
    use std::sync::Arc;

    #[test]
    fn only_old_orphans_go() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "dfa", "tfa", "xfa", "dfb", "qfb", "tfb", "dfc", "Qfc", "dfd", "hfd", "note",
        ] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let format = Arc::new(ControlFileFormat::default());
        let sync = DirectorySync::new();
        let directory = QueueDirectory::open(folder.path(), 0o600, format, &sync).unwrap();
        let now = Timestamp::from(std::time::SystemTime::now());
        assert!(remove_leftovers(&directory, now).unwrap().is_empty());
        let tomorrow = now + GARBAGE_AGE + Duration::from_secs(60);
        let mut removed = remove_leftovers(&directory, tomorrow).unwrap();
        removed.sort();
        assert_eq!(removed, ["dfa", "tfa", "xfa"]);
    }
}
