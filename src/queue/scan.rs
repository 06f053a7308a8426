//! Looking through the queue: list, select, order.
//!
//! A scan reads the beginning of every control file once, without locks, keeps the little
//! that decides about the order, and forgets the rest. What is selected is locked
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
use super::summary::{Summary, Wanted};
use super::take::Complaint;
use crate::config::options::QueueSortOrder;
use crate::envelope::QueueId;
use crate::sys::clock::Timestamp;
use crate::text::bytes::find;

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
    /// The text; letter case is regarded in identifiers only.
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

    /// Tells how much of each control file must be read for the selection and an order.
    pub(super) fn wants(&self, order: QueueSortOrder) -> Wanted {
        let looks_at = |field| self.matches.iter().any(|one| one.field == field);
        Wanted {
            sender: looks_at(MatchField::Sender) || looks_at(MatchField::Quarantine),
            first_recipient: matches!(order, QueueSortOrder::Host | QueueSortOrder::Shuffle),
            recipients: looks_at(MatchField::Recipient),
        }
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
            // Observed: 8.17.1.9 regards the case of letters here, where it tells entries apart.
            MatchField::Id => find(id.as_bytes(), &self.text).is_some() != self.negated,
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
    pub fn is_too_young(&self, rank: &Rank, now: Timestamp) -> bool {
        let Some(tried) = rank.last_attempt else {
            return false;
        };
        let mut interval = self.min_age;
        if !self.max_age.is_zero() {
            interval = interval.max(tried.since(rank.created)).min(self.max_age);
        }
        !interval.is_zero() && now < tried + interval
    }

    /// Tells whether no more entries are looked at.
    pub(super) fn are_reached(&self, looked_at: usize) -> bool {
        self.max_entries > 0 && looked_at >= self.max_entries
    }
}

/// What decides when an entry's turn comes; there may be hundreds of thousands in memory.
#[derive(Debug, Clone, Default)]
pub struct Rank {
    /// Its priority; the greater the later.
    pub priority: i64,
    /// When the message came.
    pub created: Timestamp,
    /// When it was tried last.
    pub last_attempt: Option<Timestamp>,
    /// When its control file was last changed, if the order asks for that.
    modified: Timestamp,
    /// What the order `host` compares, if it is the order.
    host: Box<[u8]>,
}

impl Rank {
    /// Tells whether an entry goes to the same host, if the order looks at hosts.
    pub fn shares_host_with(&self, other: &Rank) -> bool {
        !self.host.is_empty() && self.host == other.host
    }

    /// Takes what an order needs.
    pub(super) fn new(name: &EntryName, summary: &Summary, order: QueueSortOrder) -> Self {
        Rank {
            priority: summary.priority,
            created: summary.created,
            last_attempt: summary.last_attempt,
            modified: match order {
                QueueSortOrder::Modification => name
                    .facts()
                    .map_or_else(|_| Timestamp::default(), |facts| facts.modified),
                _ => Timestamp::default(),
            },
            host: match order {
                QueueSortOrder::Host | QueueSortOrder::Shuffle => {
                    summary.host_key().into_boxed_slice()
                }
                _ => Box::default(),
            },
        }
    }
}

/// Something with a place in the order of a queue run.
pub(super) trait Ranked {
    /// Gives what decides about the place.
    fn rank(&self) -> &Rank;
    /// Gives the identifier.
    fn id(&self) -> &QueueId;
}

/// Puts entries in the order of a queue run; equals stay as the system listed them.
///
/// `chance` shuffles the order `random`. Observed: 8.17.1.9, which never asks which of two
/// equals came first.
pub(super) fn sort<T: Ranked>(entries: &mut [T], order: QueueSortOrder, chance: u64) {
    match order {
        QueueSortOrder::Priority => entries.sort_by_key(|e| e.rank().priority),
        QueueSortOrder::Host => entries.sort_by(|one, other| {
            let (one, other) = (one.rank(), other.rank());
            let hosts = one.host.cmp(&other.host);
            hosts.then_with(|| one.priority.cmp(&other.priority))
        }),
        QueueSortOrder::Shuffle => entries.sort_by_cached_key(|e| {
            let rank = e.rank();
            (mixed(&rank.host, chance), rank.host.clone(), rank.priority)
        }),
        QueueSortOrder::FileName => entries.sort_by(|a, b| a.id().cmp(b.id())),
        QueueSortOrder::Time => entries.sort_by_key(|e| e.rank().created),
        QueueSortOrder::Modification => entries.sort_by_key(|e| e.rank().modified),
        QueueSortOrder::Random => {
            entries.sort_by_cached_key(|e| mixed(e.id().as_bytes(), chance));
        }
        QueueSortOrder::None => {}
    }
}

/// An entry found by a scan.
#[derive(Debug)]
pub struct Candidate {
    /// Its name.
    pub name: EntryName,
    /// What decides when its turn comes.
    pub rank: Rank,
}

impl Ranked for Candidate {
    fn rank(&self) -> &Rank {
        &self.rank
    }

    fn id(&self) -> &QueueId {
        &self.name.id
    }
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
    /// What is wrong with the directories, for the log.
    pub complaints: Vec<Complaint>,
}

impl Scan {
    /// Looks through directories for the entries of a selection, which are to be put in an order.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn of(
        directories: &[Arc<QueueDirectory>],
        selection: &Selection,
        limits: &ScanLimits,
        order: QueueSortOrder,
    ) -> io::Result<Scan> {
        let mut scan = Scan::default();
        let mut buffer = Vec::new();
        let wanted = selection.wants(order);
        for directory in directories {
            for name in names(directory, selection, &mut scan.complaints)? {
                scan.found += 1;
                if limits.are_reached(scan.candidates.len()) {
                    scan.is_cut = true;
                    continue;
                }
                // A file that cannot be read now is somebody else's work or damage: the one
                // who takes it finds out.
                let summary = Summary::read(&name, wanted, &mut buffer).unwrap_or_default();
                if selection.accepts(&name.id, &summary) {
                    let rank = Rank::new(&name, &summary, order);
                    scan.candidates.push(Candidate { name, rank });
                }
            }
        }
        Ok(scan)
    }

    /// Puts the candidates in the order of a queue run; see [`sort`].
    pub fn sort(&mut self, order: QueueSortOrder, chance: u64) {
        sort(&mut self.candidates, order, chance);
    }
}

/// Lists the entries of a directory that a selection may be about, as the system lists them.
///
/// What has the name of one and is no file is told. Observed: 8.17.1.9.
///
/// # Errors
/// When the directory cannot be read.
pub(super) fn names(
    directory: &Arc<QueueDirectory>,
    selection: &Selection,
    complaints: &mut Vec<Complaint>,
) -> io::Result<impl Iterator<Item = EntryName> + use<>> {
    let wanted = selection.kind;
    let mut other = |kind, id: &QueueId| {
        let path = directory.path_of(kind, id);
        // A link to nothing counts as nothing. Observed: 8.17.1.9.
        if kind == wanted && path.exists() {
            let text = format!("gatherq: {} is not a regular file", path.display());
            complaints.push(Complaint::General(text));
        }
    };
    let entries = directory.entries_and_others(&mut other)?;
    let directory = Arc::clone(directory);
    let of_kind = entries.into_iter().filter(move |(kind, _)| *kind == wanted);
    Ok(of_kind.map(move |(kind, id)| EntryName {
        directory: Arc::clone(&directory),
        id,
        kind,
    }))
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
            (&[(Id, false, "M56R")], true),
            (&[(Id, false, "m56r")], false),
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
        let mut entry = Rank::default();
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
        let mut entry = Rank {
            created: Timestamp::from_seconds(0),
            last_attempt: Some(Timestamp::from_seconds(300)),
            ..Rank::default()
        };
        assert!(limits.is_too_young(&entry, Timestamp::from_seconds(599)));
        assert!(!limits.is_too_young(&entry, Timestamp::from_seconds(600)));
        entry.last_attempt = Some(Timestamp::from_seconds(10_000));
        assert!(!limits.is_too_young(&entry, Timestamp::from_seconds(10_600)));
    }

    struct Waiting(QueueId, Rank);

    impl Ranked for Waiting {
        fn rank(&self) -> &Rank {
            &self.1
        }
        fn id(&self) -> &QueueId {
            &self.0
        }
    }

    #[test]
    fn shuffled_hosts_stay_together() {
        let mut seen = std::collections::BTreeSet::new();
        for chance in 0..64_u64 {
            let listed = [
                (b"a", "x.test", 2),
                (b"b", "y.test", 9),
                (b"c", "x.test", 1),
            ];
            let mut entries = listed.map(|(id, host, priority)| {
                let rank = Rank {
                    priority,
                    host: host.as_bytes().into(),
                    ..Rank::default()
                };
                Waiting(QueueId::parse(id).unwrap(), rank)
            });
            sort(&mut entries, QueueSortOrder::Shuffle, chance);
            let order: Vec<_> = entries.iter().map(|it| it.0.as_bytes().to_vec()).collect();
            seen.insert(order.concat());
        }
        let orders: Vec<_> = seen.iter().map(Vec::as_slice).collect();
        assert_eq!(orders, [b"bca", b"cab"]);
    }

    #[test]
    fn equals_stay_as_listed_though_one_is_older() {
        for order in [QueueSortOrder::Priority, QueueSortOrder::Host] {
            let listed = [(b"a", 30_019, 7), (b"b", 30_019, 5), (b"c", 30_000, 9)];
            let mut entries = listed.map(|(id, priority, second)| {
                let rank = Rank {
                    priority,
                    created: Timestamp::from_seconds(second),
                    ..Rank::default()
                };
                Waiting(QueueId::parse(id).unwrap(), rank)
            });
            sort(&mut entries, order, 0);
            let order: Vec<_> = entries.iter().map(|entry| entry.0.as_bytes()).collect();
            assert_eq!(order, [b"c", b"a", b"b"]);
        }
    }
}
