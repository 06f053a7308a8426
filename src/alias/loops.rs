//! Loops of aliases and .forward files, and the real user at whom one ends.
//!
//! Source: guide section 2.8; lines of `-d27.1` observed: 8.17.1.9.

use super::entry::Entry;
use super::expand::{Expansion, unquoted};

/// Where a loop that an entry would close ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoopEnd {
    /// There is no loop.
    NoLoop,
    /// At no real user: it goes round until it is broken by its depth.
    Nowhere,
    /// At this entry, a real user.
    At(usize),
}

impl Expansion<'_, '_, '_> {
    /// Looks for a loop that the entry would close.
    pub(super) fn loop_end(&self, entry: &Entry) -> LoopEnd {
        let chain: Vec<usize> =
            std::iter::successors(entry.parent, |index| self.entries[*index].parent).collect();
        let Some(start) = chain
            .iter()
            .position(|index| self.same(&self.entries[*index], entry))
        else {
            return LoopEnd::NoLoop;
        };
        let mut candidates = std::iter::once(chain[start]).chain(chain[..start].iter().copied());
        let end = candidates.find(|index| {
            let candidate = &self.entries[*index];
            let (name, _) = unquoted(candidate.user());
            self.mailer_of(candidate)
                .is_some_and(|mailer| mailer.has(b'w'))
                && matches!(self.cx.users.user_by_name(&name), Ok(Some(_)))
        });
        end.map_or(LoopEnd::Nowhere, LoopEnd::At)
    }

    /// Tells whether a member of a list closes a loop.
    pub(super) fn trace_loop(&self, entry: &Entry, end: LoopEnd) {
        let address = entry.recipient.address.as_slice();
        self.trace(&[b"self_reference(", address, b")"]);
        match end {
            LoopEnd::NoLoop => self.trace(&[b"\t... no self ref"]),
            LoopEnd::Nowhere => self.trace(&[b"\t... cannot break loop for \"", address, b"\""]),
            LoopEnd::At(user) if self.traces(2) => {
                let (name, _) = unquoted(self.entries[user].user());
                self.trace(&[b"\t... getpwnam(", &name, b")... found"]);
            }
            LoopEnd::At(_) => {}
        }
    }
}
