//! Answers of name servers, kept as long as their owners allow.
//!
//! Only positive answers are kept, and at most [`MAX_ENTRIES`]: the cache saves
//! the questions that repeat within one message or one queue run, it does not
//! replace the site's caching name server.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::dns::resolver::{Answer, RecordType};

/// Most answers kept.
const MAX_ENTRIES: usize = 2_000;

/// Longest time an answer is kept, so that a wrong record heals soon after it is corrected.
const MAX_AGE: Duration = Duration::from_secs(600);

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

    /// Keeps an answer for the shortest of its records' lives.
    pub fn keep(&self, name: &[u8], kind: RecordType, answer: &Answer, now: Instant) {
        let Some(life) = answer.records.iter().map(|record| record.ttl).min() else {
            return;
        };
        if life.is_zero() {
            return;
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MAX_ENTRIES {
            entries.retain(|_, (expires, _)| *expires > now);
        }
        if entries.len() >= MAX_ENTRIES {
            entries.clear();
        }
        entries.insert(
            (name.to_ascii_lowercase(), kind),
            (now + life.min(MAX_AGE), answer.clone()),
        );
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
    fn answers_without_a_life_are_not_kept() {
        let cache = AnswerCache::default();
        let now = Instant::now();
        cache.keep(b"a.example", RecordType::A, &answer(0), now);
        cache.keep(b"b.example", RecordType::A, &Answer::default(), now);
        assert!(cache.find(b"a.example", RecordType::A, now).is_none());
        assert!(cache.find(b"b.example", RecordType::A, now).is_none());
    }
}
