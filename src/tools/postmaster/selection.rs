//! Which entries a request is about.
//!
//! Words of one kind are alternatives, different kinds add up. Addresses are compared
//! whole, letter case not regarded: who deletes what `ann` sent must not lose the mail of
//! `joanna`; a `*` in a pattern stands for anything.

use std::io;
use std::time::Duration;

use crate::envelope::QueueId;
use crate::mta::Mta;
use crate::queue::{EntryName, FileKind, QueueGroup, Record};
use crate::sys::clock::Timestamp;
use crate::text::bytes::find_folded;

/// A text to compare whole, in which `*` stands for anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// What must be there in this order; between two pieces anything may be.
    pieces: Vec<Vec<u8>>,
}

impl Pattern {
    /// Takes a pattern; angle brackets around an address say nothing.
    pub fn new(text: &[u8]) -> Pattern {
        let inner = text.strip_prefix(b"<").unwrap_or(text);
        let inner = inner.strip_suffix(b">").unwrap_or(inner);
        Pattern {
            pieces: inner.split(|&b| b == b'*').map(<[u8]>::to_vec).collect(),
        }
    }

    /// Compares, letter case not regarded.
    pub fn fits(&self, text: &[u8]) -> bool {
        let Some((first, rest)) = self.pieces.split_first() else {
            return text.is_empty();
        };
        let Some((last, middle)) = rest.split_last() else {
            return text.eq_ignore_ascii_case(first);
        };
        let begins = text
            .get(..first.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(first));
        let mut left = match text.get(first.len()..) {
            Some(left) if begins => left,
            _ => return false,
        };
        for piece in middle {
            match find_folded(left, piece).and_then(|at| left.get(at + piece.len()..)) {
                Some(behind) => left = behind,
                None => return false,
            }
        }
        let end = left.len().checked_sub(last.len());
        end.and_then(|at| left.get(at..))
            .is_some_and(|end| end.eq_ignore_ascii_case(last))
    }
}

/// What the entries of a request have in common.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Kinds of control files; none only while the command line is read.
    pub kinds: Vec<FileKind>,
    /// Identifiers, whole.
    pub ids: Vec<QueueId>,
    /// Senders.
    pub senders: Vec<Pattern>,
    /// Recipients; any of a message's may fit.
    pub recipients: Vec<Pattern>,
    /// Hosts of recipients, what stands behind the last `@`.
    pub hosts: Vec<Pattern>,
    /// Pieces of the status, of the message or of a recipient.
    pub statuses: Vec<Vec<u8>>,
    /// In the queue longer than this.
    pub older: Option<Duration>,
    /// In the queue for less than this.
    pub newer: Option<Duration>,
    /// The queue group.
    pub group: Option<Vec<u8>>,
}

impl Filter {
    /// Tells whether it leaves the choice open.
    pub fn is_empty(&self) -> bool {
        let Filter {
            kinds: _,
            ids,
            senders,
            recipients,
            hosts,
            statuses,
            older,
            newer,
            group,
        } = self;
        ids.is_empty()
            && [senders, recipients, hosts].into_iter().all(Vec::is_empty)
            && statuses.is_empty()
            && (older.is_none() && newer.is_none() && group.is_none())
    }

    /// Tells whether the content of an entry decides, so that it must be read.
    fn reads(&self) -> bool {
        let by_name = Filter {
            ids: Vec::new(),
            group: None,
            ..self.clone()
        };
        !by_name.is_empty()
    }

    /// Tells whether what a control file says fits.
    pub fn accepts(&self, record: &Record, now: Timestamp) -> bool {
        let recipients = || record.recipients.iter();
        let mut statuses = recipients()
            .filter_map(|one| one.status.as_deref())
            .chain(record.status.as_deref());
        let age = now.since(Timestamp::from_seconds(record.created));
        any(&self.senders, std::iter::once(record.sender_address()))
            && any(
                &self.recipients,
                recipients().map(|one| one.plain_address()),
            )
            && any(&self.hosts, recipients().map(|one| one.host()))
            && (self.statuses.is_empty()
                || statuses.any(|text| {
                    let mut pieces = self.statuses.iter();
                    pieces.any(|piece| find_folded(text, piece).is_some())
                }))
            && self.older.is_none_or(|older| age > older)
            && self.newer.is_none_or(|newer| age < newer)
    }

    fn accepts_group(&self, group: &QueueGroup) -> bool {
        let name = self.group.as_deref();
        name.is_none_or(|name| name.eq_ignore_ascii_case(&group.name))
    }
}

/// Tells whether any text fits any pattern; without patterns everything does.
fn any<'t>(patterns: &[Pattern], mut texts: impl Iterator<Item = &'t [u8]>) -> bool {
    patterns.is_empty() || texts.any(|text| patterns.iter().any(|one| one.fits(text)))
}

/// Goes through the entries a filter means, in the order the system lists them.
///
/// `visit` gets the entry and the name of its queue group. What is decided by names alone
/// is not read here: whoever takes an entry in hand looks at it again.
///
/// # Errors
/// When a directory cannot be read, or what `visit` returns.
pub fn each_entry(
    mta: &Mta,
    filter: &Filter,
    visit: &mut dyn FnMut(EntryName, &QueueGroup) -> io::Result<()>,
) -> io::Result<()> {
    let now = mta.clock.now();
    let groups = mta.queue.groups().iter();
    for group in groups.filter(|group| filter.accepts_group(group)) {
        for directory in &group.directories {
            for (kind, id) in directory.entries()? {
                if !filter.kinds.contains(&kind)
                    || !(filter.ids.is_empty() || filter.ids.contains(&id))
                {
                    continue;
                }
                let directory = directory.clone();
                let name = EntryName {
                    directory,
                    id,
                    kind,
                };
                if !filter.reads() || name.observe_record().is_ok_and(|r| filter.accepts(&r, now)) {
                    visit(name, group)?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_compared_whole_and_stars_stand_for_anything() {
        for (pattern, text, fits) in [
            ("ann@x.test", "Ann@X.test", true),
            ("<ann@x.test>", "ann@x.test", true),
            ("ann", "joanna", false),
            ("*ann*", "joanna", true),
            ("*@x.test", "ann@x.test", true),
            ("*@x.test", "ann@sub.x.test", false),
            ("a*b*c", "aXbbYc", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("", "", true),
            ("", "ann", false),
            ("*", "", true),
            ("<>", "", true),
        ] {
            let pattern = Pattern::new(pattern.as_bytes());
            assert_eq!(pattern.fits(text.as_bytes()), fits, "{pattern:?} {text}");
        }
    }

    #[test]
    fn kinds_of_words_add_up_and_words_of_a_kind_are_alternatives() {
        let text = b"V8\nT1000\nMDeferred: Connection refused by a.test.\nS<ann@x.test>\n\
            RPFD:<bob@far.test>\nMOver quota\nRPFD:cid\n.\n";
        let record = Record::from_text(text);
        let now = Timestamp::from_seconds(2_000);
        let patterns = |words: &[&str]| -> Vec<Pattern> {
            words
                .iter()
                .map(|word| Pattern::new(word.as_bytes()))
                .collect()
        };
        let accepts = |change: &dyn Fn(&mut Filter)| {
            let mut filter = Filter::default();
            change(&mut filter);
            filter.accepts(&record, now)
        };
        assert!(accepts(&|_| {}));
        assert!(accepts(&|f| f.recipients = patterns(&["nobody", "cid"])));
        assert!(accepts(&|f| f.hosts = patterns(&["FAR.test"])));
        assert!(!accepts(&|f| f.hosts = patterns(&["test"])));
        assert!(accepts(&|f| f.statuses = vec![b"over QUOTA".to_vec()]));
        assert!(accepts(
            &|f| f.statuses = vec![b"connection refused".to_vec()]
        ));
        assert!(!accepts(&|f| f.statuses = vec![b"timed out".to_vec()]));
        assert!(accepts(&|f| f.older = Some(Duration::from_secs(999))));
        assert!(!accepts(&|f| f.older = Some(Duration::from_secs(1_000))));
        assert!(accepts(&|f| f.newer = Some(Duration::from_secs(1_001))));
        assert!(!accepts(&|f| {
            f.senders = patterns(&["ann@x.test"]);
            f.recipients = patterns(&["dan"]);
        }));
    }
}
