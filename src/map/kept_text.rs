//! A text file that is asked often, kept in memory with an index of its keys.
//!
//! The name of the file is looked at before each lookup, or once in each of the [`Moments`] that
//! are counted; the kept octets answer only while it is
//! the very same state of the same file.

use std::io::{Read, Result};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::file_version::{FileVersion, RESIDENT_AFTER, SettledAfter};
use crate::sys::file::path_of;
use crate::sys::moment::{LastLook, Moments};
use crate::token::buffer::{HASH_START, hash_more};

/// What is known of the text behind one name.
pub(super) struct KeptText {
    path: Vec<u8>,
    kept: RwLock<Option<Arc<Indexed>>>,
    /// How often it was asked while it was not kept.
    lookups: AtomicU32,
    looked: LastLook,
    /// How long the file must have been as it is before it is kept.
    settled_after: SettledAfter,
}

/// One state of the file.
pub(super) struct Indexed {
    version: FileVersion,
    text: Vec<u8>,
    /// All lines with a key, sorted by the hashes of the keys.
    lines: Vec<Line>,
}

/// Where a line and the key in it lie in the text.
struct Line {
    /// Ignores letter case.
    hash: u32,
    key: Range<usize>,
    whole: Range<usize>,
}

/// The text of a file as it is now.
pub(super) enum Text {
    /// It was read for this one lookup.
    Read(Vec<u8>),
    /// It is kept.
    Kept(Arc<Indexed>),
}

impl Indexed {
    /// Returns the first line with a key.
    pub(super) fn line(&self, key: &[u8]) -> Option<&[u8]> {
        let hash = hash_more(HASH_START, key);
        let first = self.lines.partition_point(|line| line.hash < hash);
        let is_it = |line: &&Line| {
            let text = self.text.get(line.key.clone());
            text.is_some_and(|text| text.eq_ignore_ascii_case(key))
        };
        let from_here = self.lines.get(first..)?.iter();
        let mut alike = from_here.take_while(|line| line.hash == hash);
        let line = alike.find(is_it)?;
        self.text.get(line.whole.clone())
    }
}

impl KeptText {
    /// Keeps nothing yet.
    pub(super) fn new(path: Vec<u8>, moments: Moments) -> KeptText {
        KeptText {
            path,
            kept: RwLock::new(None),
            lookups: AtomicU32::new(0),
            looked: LastLook::new(moments),
            settled_after: SettledAfter::USUAL,
        }
    }

    /// Returns the text; `key_of` finds the key in a line, if it takes part at all.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn now(&self, key_of: impl Fn(&[u8]) -> Option<Range<usize>>) -> Result<Text> {
        let kept = self
            .kept
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(kept) = &kept
            && self.looked.is_of_now()
        {
            return Ok(Text::Kept(Arc::clone(kept)));
        }
        let is_asked_often =
            kept.is_some() || self.lookups.fetch_add(1, Ordering::Relaxed) >= RESIDENT_AFTER;
        let version = is_asked_often.then(|| FileVersion::on_disk(&self.path));
        if let Some(version) = version.flatten() {
            if let Some(kept) = kept.filter(|kept| kept.version == version) {
                self.looked.note();
                return Ok(Text::Kept(kept));
            }
            self.forget();
            if version.may_be_kept(self.settled_after) {
                return self.read(version, key_of);
            }
        }
        std::fs::read(path_of(&self.path)).map(Text::Read)
    }

    /// Returns the name of the file.
    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    fn forget(&self) {
        self.lookups.store(0, Ordering::Relaxed);
        *self.kept.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Reads all of the file, and keeps it if it is in the state `wanted`.
    fn read(
        &self,
        wanted: FileVersion,
        key_of: impl Fn(&[u8]) -> Option<Range<usize>>,
    ) -> Result<Text> {
        let mut file = std::fs::File::open(path_of(&self.path))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let version = FileVersion::of(&file.metadata()?);
        if version != wanted || version.bytes() != text.len() as u64 {
            return Ok(Text::Read(text));
        }
        let indexed = Arc::new(Indexed {
            version,
            lines: index(&text, key_of),
            text,
        });
        *self.kept.write().unwrap_or_else(PoisonError::into_inner) = Some(indexed.clone());
        Ok(Text::Kept(indexed))
    }
}

fn index(text: &[u8], key_of: impl Fn(&[u8]) -> Option<Range<usize>>) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut start = 0;
    for line in text.split(|&octet| octet == b'\n') {
        let whole = start..start + line.len();
        if let Some(key) = key_of(line) {
            let key = start + key.start..start + key.end;
            let hash = hash_more(HASH_START, text.get(key.clone()).unwrap_or(b""));
            lines.push(Line { hash, key, whole });
        }
        start += line.len() + 1;
    }
    // The sort is stable: of lines with one key the first is found first.
    lines.sort_by_key(|line| line.hash);
    lines
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;

    fn first_word(line: &[u8]) -> Option<Range<usize>> {
        Some(0..line.iter().position(|&octet| octet == b' ')?)
    }

    fn ask(text: &KeptText, key: &[u8]) -> (bool, Option<Vec<u8>>) {
        match text.now(first_word).unwrap() {
            Text::Kept(kept) => (true, kept.line(key).map(<[u8]>::to_vec)),
            Text::Read(read) => {
                let mut lines = read.split(|&octet| octet == b'\n');
                let line =
                    lines.find(|line| first_word(line).is_some_and(|word| &line[word] == key));
                (false, line.map(<[u8]>::to_vec))
            }
        }
    }

    /// A file that holds `text`, kept as soon as it did not change for so long.
    fn file(text: &str, settled_after: SettledAfter) -> (tempfile::TempDir, PathBuf, KeptText) {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("text");
        std::fs::write(&path, text).unwrap();
        let mut kept = KeptText::new(path.to_str().unwrap().into(), Moments::default());
        kept.settled_after = settled_after;
        (place, path, kept)
    }

    #[test]
    fn a_text_asked_often_is_kept_until_it_changes() {
        let content = "key first\nkey second\nother third";
        let (_place, path, text) = file(content, SettledAfter::always(Duration::ZERO));
        for _ in 0..RESIDENT_AFTER {
            assert_eq!(ask(&text, b"key"), (false, Some(b"key first".to_vec())));
        }
        assert_eq!(ask(&text, b"key"), (true, Some(b"key first".to_vec())));
        assert_eq!(ask(&text, b"OTHER"), (true, Some(b"other third".to_vec())));
        assert_eq!(ask(&text, b"none"), (true, None));
        std::fs::write(&path, "key changed").unwrap();
        assert_eq!(ask(&text, b"key").1, Some(b"key changed".to_vec()));
        std::fs::remove_file(&path).unwrap();
        assert!(text.now(first_word).is_err());
    }

    #[test]
    fn a_text_that_changed_just_now_is_not_kept() {
        // As good as now, however slow this machine is.
        let (_place, _path, text) = file("key value", SettledAfter::always(Duration::MAX));
        for _ in 0..3 * RESIDENT_AFTER {
            assert_eq!(ask(&text, b"key"), (false, Some(b"key value".to_vec())));
        }
    }
}
