//! Answers of name servers, kept as long as their owners allow.
//!
//! At most [`MAX_ENTRIES`] are kept: the cache saves the questions that repeat
//! within one message or one queue run, it does not replace the site's caching
//! name server. That a name does not exist is never kept; that a name has no
//! record of some type (no IPv6 address, mostly) is, for a short while.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::dns::resolver::{Answer, RecordType};

/// Most answers kept.
const MAX_ENTRIES: usize = 2_000;

/// Longest time an answer is kept, so that a wrong record heals soon after it is corrected.
const MAX_AGE: Duration = Duration::from_secs(600);

/// How long the absence of a record type is kept.
const ABSENCE_AGE: Duration = Duration::from_secs(30);

/// An answer and the moment it is too old.
type Entry = (Instant, Answer);

/// Answers by name and type.
#[derive(Debug, Default)]
pub struct AnswerCache {
    /// Held for one map operation at a time.
    entries: Mutex<HashMap<(Vec<u8>, RecordType), Entry>>,
}

impl AnswerCache {
    /// Finds an answer that is still fresh.
    pub fn find(&self, name: &[u8], kind: RecordType, now: Instant) -> Option<Answer> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let (expires, answer) = entries.get(&(name.to_ascii_lowercase(), kind))?;
        (*expires > now).then(|| answer.clone())
    }

    /// Keeps the news that a name exists without such records; it is found as an answer without records.
    pub fn keep_absence(&self, name: &[u8], kind: RecordType, now: Instant) {
        self.insert(name, kind, Answer::default(), now + ABSENCE_AGE);
    }

    /// Keeps an answer for the shortest of its records' lives.
    pub fn keep(&self, name: &[u8], kind: RecordType, answer: &Answer, now: Instant) {
        let Some(life) = answer.records.iter().map(|record| record.ttl).min() else {
            return;
        };
        if life.is_zero() {
            return;
        }
        self.insert(name, kind, answer.clone(), now + life.min(MAX_AGE));
    }

    fn insert(&self, name: &[u8], kind: RecordType, answer: Answer, expires: Instant) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MAX_ENTRIES {
            let now = Instant::now();
            entries.retain(|_, (expires, _)| *expires > now);
        }
        if entries.len() >= MAX_ENTRIES {
            entries.clear();
        }
        entries.insert((name.to_ascii_lowercase(), kind), (expires, answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::resolver::{Record, RecordData};

    fn answer(seconds: u64) -> Answer {
        Answer {
            records: vec![Record {
                name: b"a.example".to_vec(),
                ttl: Duration::from_secs(seconds),
                data: RecordData::Cname(b"b.example".to_vec()),
            }],
            authenticated: false,
        }
    }

    #[test]
    fn an_answer_lives_as_long_as_its_ttl() {
        let cache = AnswerCache::default();
        let now = Instant::now();
        cache.keep(b"A.example", RecordType::A, &answer(10), now);
        assert!(cache.find(b"a.EXAMPLE", RecordType::A, now).is_some());
        assert!(cache.find(b"a.example", RecordType::Mx, now).is_none());
        assert!(
            cache
                .find(b"a.example", RecordType::A, now + Duration::from_secs(11))
                .is_none()
        );
    }

    #[test]
    fn absence_is_kept_for_a_short_while() {
        let cache = AnswerCache::default();
        let now = Instant::now();
        cache.keep_absence(b"a.example", RecordType::Aaaa, now);
        let found = cache.find(b"a.example", RecordType::Aaaa, now).unwrap();
        assert!(found.records.is_empty());
        let later = now + ABSENCE_AGE + Duration::from_secs(1);
        assert!(cache.find(b"a.example", RecordType::Aaaa, later).is_none());
    }

    #[test]
    fn answers_without_a_life_are_not_kept() {
        let cache = AnswerCache::default();
        let now = Instant::now();
        cache.keep(b"a.example", RecordType::A, &answer(0), now);
        cache.keep(b"b.example", RecordType::A, &Answer::default(), now);
        assert!(cache.find(b"a.example", RecordType::A, now).is_none());
        assert!(cache.find(b"b.example", RecordType::A, now).is_none());
    }
}
