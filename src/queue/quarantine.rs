//! `-Q`: into quarantine and out of it.
//!
//! The control file is changed as text: the `q` line is added or removed and all
//! else stays as it is, so that not even the time of the last attempt changes. The
//! new file is made and synced under its temporary name and takes the entry's
//! name by a rename, as every change does.
//!
//! Source: guide 1.3.10; place of the `q` line observed: 8.17.1.9.

use std::io;

use super::directory::FileKind;
use super::durability::{CommitError, failure};
use super::entry::EntryName;
use super::store::replace_with_text;
use super::summary::lines;
use super::take::{TakeError, read_control};
use crate::sys::lock::FileLock;

/// What came of changing the quarantine of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuarantineChange {
    /// It has another reason now, or is free.
    Made,
    /// It had that reason, or was free.
    AsBefore,
    /// Somebody works on it, or it is gone or damaged.
    LeftAlone,
}

/// Quarantines an entry with a reason, or frees it; an entry somebody works on is left alone.
///
/// Returns what came of it.
///
/// # Errors
/// The step that failed; the entry is as it was, or has its new name and its old text.
pub fn set_quarantine(
    name: &EntryName,
    reason: Option<&[u8]>,
) -> Result<QuarantineChange, CommitError> {
    let taken = match name.take() {
        Ok(taken) => taken,
        Err(TakeError::Io(source)) => {
            let path = name.directory.path_of(name.kind, &name.id);
            return Err(failure("open", path, source));
        }
        Err(TakeError::Busy | TakeError::Gone | TakeError::Left(_) | TakeError::Lost(_)) => {
            return Ok(QuarantineChange::LeftAlone);
        }
    };
    let text = name
        .directory
        .open_file(name.kind, &name.id)
        .and_then(|file| read_control(&file))
        .map_err(|source| failed("read", name, source))?;
    let before = taken.message.envelope.quarantine.clone();
    let lock = rewrite_reason(name, &text, reason);
    drop(taken);
    lock.map(|_| match before.as_deref() == reason {
        true => QuarantineChange::AsBefore,
        false => QuarantineChange::Made,
    })
}

/// Renames an entry as its reason asks for and writes the reason into it; the caller holds its lock.
///
/// The lock of the new file comes back. A lost entry gets its name back on the way.
pub(super) fn rewrite_reason(
    name: &EntryName,
    text: &[u8],
    reason: Option<&[u8]>,
) -> Result<FileLock, CommitError> {
    let kind = match reason {
        Some(_) => FileKind::Quarantined,
        None => FileKind::Control,
    };
    if kind != name.kind {
        // First the name, then the text: there is never a second entry.
        let renamed = name.directory.rename(name.kind, kind, &name.id);
        renamed.map_err(|source| failed("rename", name, source))?;
    }
    let new_text = with_reason(text, reason);
    replace_with_text(&name.directory, &name.id, kind, &new_text)
}

fn failed(step: &'static str, name: &EntryName, source: io::Error) -> CommitError {
    failure(step, name.directory.path_of(name.kind, &name.id), source)
}

/// Replaces the `q` line of a control file; it stands before the sender.
fn with_reason(text: &[u8], reason: Option<&[u8]>) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 64);
    let mut waiting = reason;
    for line in lines(text.strip_suffix(b"\n").unwrap_or(text)) {
        if line.starts_with(b"q") {
            continue;
        }
        if line.starts_with(b"S")
            && let Some(reason) = waiting.take()
        {
            out.push(b'q');
            let plain = |b: &u8| if b.is_ascii_control() { b' ' } else { *b };
            out.extend(reason.iter().map(plain));
            out.push(b'\n');
        }
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_reason_changes() {
        let free = b"V8\nT5\n$_x\nSann\nRPFD:bob\nH??Subject: q\n\tq\n.\n";
        let held = b"V8\nT5\n$_x\nqfor a  reason\nSann\nRPFD:bob\nH??Subject: q\n\tq\n.\n";
        assert_eq!(with_reason(free, Some(b"for a\t\nreason")), held);
        assert_eq!(with_reason(held, None), free);
    }
}
