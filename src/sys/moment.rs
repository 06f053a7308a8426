//! How long a look at a file is good for.
//!
//! Files of maps may change at any time, so each is looked at before it is asked. A program that
//! answers many questions at a stretch, without waiting for anybody in between, need not look
//! twice: nobody could tell whether a change came just before or just after. [`Moments`] counts
//! these stretches; who waits for input, a program or a server ends one. Without a count every
//! look is good for itself only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The count of moments, shared by all who look and all who wait.
#[derive(Debug, Clone, Default)]
pub struct Moments(Option<Arc<AtomicU64>>);

impl Moments {
    /// Begins to count.
    pub fn counted() -> Moments {
        Moments(Some(Arc::new(AtomicU64::new(1))))
    }

    /// Ends the moment: time passes now.
    pub fn end(&self) {
        if let Some(count) = &self.0 {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn now(&self) -> Option<u64> {
        self.0.as_ref().map(|count| count.load(Ordering::Relaxed))
    }
}

/// The moment in which something was looked at.
#[derive(Debug, Default)]
pub struct LastLook {
    moments: Moments,
    /// 0: never.
    seen: AtomicU64,
}

impl LastLook {
    /// Knows of no look yet.
    pub fn new(moments: Moments) -> LastLook {
        LastLook {
            moments,
            seen: AtomicU64::new(0),
        }
    }

    /// Says whether what was noted last was seen in this moment.
    pub fn is_of_now(&self) -> bool {
        let now = self.moments.now();
        now.is_some_and(|now| self.seen.load(Ordering::Relaxed) == now)
    }

    /// Notes that it was looked at now.
    pub fn note(&self) {
        if let Some(now) = self.moments.now() {
            self.seen.store(now, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_good_until_somebody_waits() {
        let moments = Moments::counted();
        let (one, other) = (
            LastLook::new(moments.clone()),
            LastLook::new(moments.clone()),
        );
        assert!(!one.is_of_now());
        one.note();
        assert!(one.is_of_now() && !other.is_of_now());
        moments.end();
        assert!(!one.is_of_now());
        one.note();
        assert!(one.is_of_now());
    }

    #[test]
    fn without_a_count_every_look_is_for_itself() {
        let look = LastLook::default();
        look.note();
        assert!(!look.is_of_now());
    }
}
