//! Looking through the queue: list, select, order.
//!
//! A scan reads every control file once, without locks, keeps the little that
//! decides selection and order, and forgets the rest. What is selected is locked
//! and read again by whoever works on it.
//!
//! Source: guide 4.3, appendix A (`-qI` and the others); which entries are cut by
//! MaxQueueRunSize, and that negated recipient matches look for one recipient that
//! does not match, observed: 8.17.1.9.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::directory::{FileKind, QueueDirectory};
use super::entry::EntryName;
use super::summary::Summary;
use crate::config::options::QueueSortOrder;
use crate::envelope::QueueId;
use crate::sys::clock::Timestamp;
use crate::sys::file::{FileFacts, FileKind as SystemFileKind};

/// What a match of the command line looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchField {
    /// `-qI`: the queue identifier.
    Id,
    /// `-qR`: any recipient.
    Recipient,
    /// `-qS`: the sender.
    Sender,
    /// `-qQ`: the quarantine reason.
    Quarantine,
}

/// One match: a piece of text that must, or must not, be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Where to look.
    pub field: MatchField,
    /// Whether it must not be found (`-q!`).
    pub negated: bool,
    /// The text, letter case not regarded.
    pub text: Vec<u8>,
}

/// Which entries a run or a listing is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// `Control`, `Quarantined` (`-qQ`) or `Lost` (`-qL`).
    pub kind: FileKind,
    /// Matches; those of one field are or'ed, different fields and'ed.
    pub matches: Vec<Match>,
    /// The queue group (`-qG`); all if `None`.
    pub group: Option<Vec<u8>>,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            kind: FileKind::Control,
            matches: Vec::new(),
            group: None,
        }
    }
}

impl Selection {
    /// Tells whether entries are picked by content, which lifts MinQueueAge.
    pub fn is_subset(&self) -> bool {
        !self.matches.is_empty()
    }

    /// Tells whether an entry is selected.
    pub fn accepts(&self, id: &QueueId, summary: &Summary) -> bool {
        let fields = [
            MatchField::Id,
            MatchField::Recipient,
            MatchField::Sender,
            MatchField::Quarantine,
        ];
        fields.iter().all(|field| {
            let mut of_field = self.matches.iter().filter(|m| m.field == *field).peekable();
            of_field.peek().is_none() || of_field.any(|m| m.holds(id, summary))
        })
    }
}

impl Match {
    fn holds(&self, id: &QueueId, summary: &Summary) -> bool {
        let fits = |text: &[u8]| contains_ignoring_case(text, &self.text) != self.negated;
        match self.field {
            MatchField::Id => fits(id.as_bytes()),
            MatchField::Sender => fits(&summary.sender),
            MatchField::Recipient => summary.recipients.iter().any(|recipient| fits(recipient)),
            MatchField::Quarantine => fits(summary.quarantine.as_deref().unwrap_or_default()),
        }
    }
}

/// Finds `piece` in `text`, letter case not regarded; nothing is found everywhere.
fn contains_ignoring_case(text: &[u8], piece: &[u8]) -> bool {
    piece.is_empty()
        || text
            .windows(piece.len())
            .any(|window| window.eq_ignore_ascii_case(piece))
}

/// Limits of one scan.
#[derive(Debug, Clone, Copy, Default)]
pub struct ScanLimits {
    /// MaxQueueRunSize or the group's `J=`: most entries looked at; 0 for no limit.
    pub max_entries: usize,
    /// MinQueueAge.
    pub min_age: Duration,
    /// MaxQueueAge; zero for a constant retry interval.
    pub max_age: Duration,
}

impl ScanLimits {
    /// Tells whether an entry was tried too recently to be tried again.
    ///
    /// With MaxQueueAge the interval grows with the age of the message.
    pub fn is_too_young(&self, summary: &Summary, now: Timestamp) -> bool {
        let Some(tried) = summary.last_attempt else {
            return false;
        };
        let mut interval = self.min_age;
        if !self.max_age.is_zero() {
            interval = interval.max(tried.since(summary.created)).min(self.max_age);
        }
        !interval.is_zero() && now < tried + interval
    }
}

/// An entry found by a scan.
#[derive(Debug)]
pub struct Candidate {
    /// Its name.
    pub name: EntryName,
    /// What decides selection and order.
    pub summary: Summary,
    /// When its control file was last changed.
    pub modified: Timestamp,
}

/// What a scan found.
#[derive(Debug, Default)]
pub struct Scan {
    /// The selected entries, not yet in order.
    pub candidates: Vec<Candidate>,
    /// How many entries there are, selected or not.
    pub found: usize,
    /// Whether the limit cut the list.
    pub is_cut: bool,
}

impl Scan {
    /// Looks through directories for the entries of a selection.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn of(
        directories: &[Arc<QueueDirectory>],
        selection: &Selection,
        limits: &ScanLimits,
    ) -> io::Result<Scan> {
        let mut scan = Scan::default();
        for directory in directories {
            for name in directory.names(selection.kind)? {
                match FileKind::split_name(&name) {
                    Some((kind, id)) if kind == selection.kind => {
                        let directory = Arc::clone(directory);
                        let name = EntryName {
                            directory,
                            id,
                            kind,
                        };
                        scan.look_at(name, selection, limits);
                    }
                    _ => {}
                }
            }
        }
        Ok(scan)
    }

    fn look_at(&mut self, name: EntryName, selection: &Selection, limits: &ScanLimits) {
        let Some(facts) = plain_file(&name) else {
            return;
        };
        self.found += 1;
        if limits.max_entries > 0 && self.candidates.len() >= limits.max_entries {
            self.is_cut = true;
            return;
        }
        // A file that cannot be read now is somebody else's work or damage: the one who
        // takes it finds out.
        let summary = Summary::read(&name).unwrap_or_default();
        if selection.accepts(&name.id, &summary) {
            self.candidates.push(Candidate {
                name,
                summary,
                modified: facts.modified,
            });
        }
    }

    /// Puts the candidates in the order of a queue run; equals stay as the system listed them.
    ///
    /// `chance` shuffles the order `random`.
    pub fn sort(&mut self, order: QueueSortOrder, chance: u64) {
        let candidates = &mut self.candidates;
        let by_priority = |c: &Candidate| (c.summary.priority, c.summary.created);
        match order {
            QueueSortOrder::Priority => candidates.sort_by_key(by_priority),
            QueueSortOrder::Host => {
                candidates.sort_by_cached_key(|c| (c.summary.host_key(), by_priority(c)));
            }
            QueueSortOrder::FileName => candidates.sort_by(|a, b| a.name.id.cmp(&b.name.id)),
            QueueSortOrder::Time => candidates.sort_by_key(|c| c.summary.created),
            QueueSortOrder::Modification => candidates.sort_by_key(|c| c.modified),
            QueueSortOrder::Random => {
                candidates.sort_by_cached_key(|c| mixed(c.name.id.as_bytes(), chance));
            }
            QueueSortOrder::None => {}
        }
    }
}

fn plain_file(name: &EntryName) -> Option<FileFacts> {
    let facts = name.directory.facts(name.kind, &name.id).ok()?;
    (facts.kind == SystemFileKind::Regular).then_some(facts)
}

/// Mixes an identifier with a random number (FNV-1a).
fn mixed(id: &[u8], chance: u64) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ chance;
    id.iter().fold(start, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(sender: &str, recipients: &[&str]) -> Summary {
        Summary {
            sender: sender.into(),
            recipients: recipients.iter().map(|r| r.as_bytes().to_vec()).collect(),
            ..Summary::default()
        }
    }

    fn selection(matches: &[(MatchField, bool, &str)]) -> Selection {
        let one = |(field, negated, text): &(MatchField, bool, &str)| Match {
            field: *field,
            negated: *negated,
            text: text.as_bytes().to_vec(),
        };
        Selection {
            matches: matches.iter().map(one).collect(),
            ..Selection::default()
        }
    }

    #[test]
    fn matches_of_a_field_are_alternatives_and_fields_add_up() {
        use MatchField::{Id, Recipient, Sender};
        let id = QueueId::parse(b"6AM56R2M023828").unwrap();
        let entry = summary("ann", &["bob", "joe@Far.test"]);
        for (matches, expected) in [
            (&[][..], true),
            (&[(Recipient, false, "BOB")], true),
            (
                &[(Recipient, false, "none"), (Recipient, false, "far")],
                true,
            ),
            (&[(Recipient, false, "bob"), (Sender, false, "dan")], false),
            (&[(Recipient, true, "bob"), (Sender, false, "ann")], true),
            (&[(Recipient, true, "o")], false),
            (&[(Sender, true, "ann")], false),
            (&[(Id, false, "m56r")], true),
            (&[(Id, true, "6AM")], false),
        ] {
            assert_eq!(
                selection(matches).accepts(&id, &entry),
                expected,
                "{matches:?}"
            );
        }
    }

    #[test]
    fn an_entry_never_tried_is_never_too_young() {
        let limits = ScanLimits {
            min_age: Duration::from_secs(60),
            ..ScanLimits::default()
        };
        let now = Timestamp::from_seconds(1_000);
        let mut entry = summary("a", &["b"]);
        assert!(!limits.is_too_young(&entry, now));
        entry.last_attempt = Some(Timestamp::from_seconds(950));
        assert!(limits.is_too_young(&entry, now));
        entry.last_attempt = Some(Timestamp::from_seconds(940));
        assert!(!limits.is_too_young(&entry, now));
    }

    #[test]
    fn with_a_greatest_age_the_interval_grows_with_the_message() {
        let limits = ScanLimits {
            min_age: Duration::from_secs(60),
            max_age: Duration::from_secs(600),
            max_entries: 0,
        };
        let mut entry = summary("a", &["b"]);
        entry.created = Timestamp::from_seconds(0);
        entry.last_attempt = Some(Timestamp::from_seconds(300));
        assert!(limits.is_too_young(&entry, Timestamp::from_seconds(599)));
        assert!(!limits.is_too_young(&entry, Timestamp::from_seconds(600)));
        entry.last_attempt = Some(Timestamp::from_seconds(10_000));
        assert!(!limits.is_too_young(&entry, Timestamp::from_seconds(10_600)));
    }
}
