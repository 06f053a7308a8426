//! Does a pattern take these tokens?
//!
//! Every wildcard first takes as little as it can and grows only when the rest
//! of the pattern fails; the last one that can grow does so first. The whole
//! input must be taken. Observed: 8.17.1.9.

use super::compile::MAX_WILDCARDS;
use crate::macros::{ClassId, Classes, MacroId};
use crate::token::buffer::{HASH_START, hash_more};
use crate::token::{AddressSyntax, Mark, Token};

/// How often wildcards may grow before places where the rest of a pattern failed are kept.
/// Ordinary rules and addresses stay below, and keep nothing.
const MAX_FORGOTTEN: u32 = 2_000;

/// Places where the rest of a pattern is known to fail.
///
/// What a pattern does from some token on depends on where it stands in both texts only,
/// not on how it came there. So no place needs a second trial, and the time a rule takes
/// grows with the product of both lengths, not with a power of the address for each wildcard.
#[derive(Default)]
struct DeadEnds {
    grown: u32,
    width: usize,
    dead: Vec<bool>,
}

impl DeadEnds {
    /// Notes that the pattern from `rule_at` on takes nothing from `input_at` on.
    fn note(&mut self, rule_at: usize, input_at: usize, pattern: usize, input: usize) {
        self.grown = self.grown.saturating_add(1);
        if self.grown < MAX_FORGOTTEN {
            return;
        }
        if self.dead.is_empty() {
            self.width = input + 1;
            self.dead = vec![false; (pattern + 1) * self.width];
        }
        if let Some(place) = self.dead.get_mut(rule_at * self.width + input_at) {
            *place = true;
        }
    }

    #[inline]
    fn has(&self, rule_at: usize, input_at: usize) -> bool {
        if self.dead.is_empty() {
            return false;
        }
        let place = self.dead.get(rule_at * self.width + input_at);
        place.copied().unwrap_or(false)
    }
}

/// Which tokens the wildcards of a pattern took.
#[derive(Debug, Clone, Default)]
pub struct Bindings {
    taken: [Binding; MAX_WILDCARDS + 1],
    count: usize,
}

/// What one wildcard took: tokens `first..last`.
#[derive(Debug, Clone, Copy, Default)]
struct Binding {
    pattern: u32,
    first: u32,
    last: u32,
}

impl Bindings {
    /// Returns which tokens the wildcard with this number, from 1 on, took.
    pub fn get(&self, number: usize) -> Option<std::ops::Range<usize>> {
        let binding = self.taken.get(..self.count)?.get(number.checked_sub(1)?)?;
        Some(binding.first as usize..binding.last as usize)
    }

    fn push(&mut self, pattern: usize, first: usize, last: usize) {
        if let Some(slot) = self.taken.get_mut(self.count) {
            *slot = Binding {
                pattern: pattern as u32,
                first: first as u32,
                last: last as u32,
            };
            self.count += 1;
        }
    }

    fn pop(&mut self) -> Option<Binding> {
        self.count = self.count.checked_sub(1)?;
        self.taken.get(self.count).copied()
    }
}

/// What matching looks at.
pub(crate) struct Matching<'t> {
    pub input: &'t [Token],
    pub address_text: &'t [u8],
    pub rules_text: &'t [u8],
    pub classes: &'t Classes,
    pub syntax: &'t AddressSyntax,
    /// The raw text of a run-time macro, or none if it is not defined.
    pub macro_text: &'t dyn Fn(MacroId) -> Option<Vec<u8>>,
}

impl Matching<'_> {
    fn bytes(&self, token: &Token) -> &[u8] {
        token.bytes_in(self.address_text, self.rules_text)
    }

    /// Says whether `pattern` takes the whole input and fills `bindings`.
    pub fn matches(&self, pattern: &[Token], bindings: &mut Bindings) -> bool {
        bindings.count = 0;
        let mut rule_at = 0;
        let mut input_at = 0;
        let mut dead_ends = DeadEnds::default();
        loop {
            let advanced = match pattern.get(rule_at) {
                _ if dead_ends.has(rule_at, input_at) => None,
                None if input_at == self.input.len() => return true,
                None => None,
                Some(token) => {
                    self.step(token, pattern.get(rule_at + 1), rule_at, input_at, bindings)
                }
            };
            match advanced {
                Some(next) => {
                    rule_at += 1;
                    input_at = next;
                }
                None => match self.back_up(pattern, bindings, &mut dead_ends) {
                    Some((rule, input)) => {
                        rule_at = rule;
                        input_at = input;
                    }
                    None => return false,
                },
            }
        }
    }

    /// Matches one pattern token at `at`; returns where the next one starts.
    #[inline]
    fn step(
        &self,
        token: &Token,
        follows: Option<&Token>,
        rule_at: usize,
        at: usize,
        bindings: &mut Bindings,
    ) -> Option<usize> {
        let here = self.input.get(at);
        match token.mark() {
            None => self.is_same_word(here?, token).then_some(at + 1),
            Some(Mark::AnyTokens) => {
                let last = self.next_place(follows, at)?;
                bindings.push(rule_at, at, last);
                Some(last)
            }
            Some(Mark::Host) => Some(at),
            Some(Mark::SomeTokens) => {
                here?;
                let last = self.next_place(follows, at + 1)?;
                bindings.push(rule_at, at, last);
                Some(last)
            }
            Some(Mark::OneToken) => {
                here?;
                bindings.push(rule_at, at, at + 1);
                Some(at + 1)
            }
            Some(Mark::NotInClass) => {
                let here = here?;
                if self.token_in_class(here, token.argument()) {
                    return None;
                }
                bindings.push(rule_at, at, at + 1);
                Some(at + 1)
            }
            Some(Mark::InClass) => {
                let last = self.extend_class(token.argument(), at, at)?;
                bindings.push(rule_at, at, last);
                Some(last)
            }
            Some(Mark::Deferred) => {
                here?;
                self.match_macro(token.argument(), at)
            }
            Some(mark) => (here?.mark() == Some(mark)).then_some(at + 1),
        }
    }

    /// Lets the last wildcard that can grow take one token more.
    fn back_up(
        &self,
        pattern: &[Token],
        bindings: &mut Bindings,
        dead_ends: &mut DeadEnds,
    ) -> Option<(usize, usize)> {
        while let Some(binding) = bindings.pop() {
            let rule_at = binding.pattern as usize;
            let (first, last) = (binding.first as usize, binding.last as usize);
            dead_ends.note(rule_at + 1, last, pattern.len(), self.input.len());
            let token = pattern.get(rule_at)?;
            let grown = match token.mark() {
                Some(Mark::InClass) => self.extend_class(token.argument(), first, last),
                Some(Mark::AnyTokens | Mark::SomeTokens) if last < self.input.len() => {
                    self.next_place(pattern.get(rule_at + 1), last + 1)
                }
                _ => None,
            };
            if let Some(last) = grown {
                bindings.push(rule_at, first, last);
                return Some((rule_at + 1, last));
            }
        }
        None
    }

    /// Finds where a wildcard that reaches to `from` or further may end: there what
    /// `follows` in the pattern must begin. The next word or symbol is looked for at once.
    #[inline(always)]
    fn next_place(&self, follows: Option<&Token>, from: usize) -> Option<usize> {
        let Some(follows) = follows else {
            return Some(self.input.len());
        };
        let rest = self.input.get(from..)?;
        let skipped = match follows.mark() {
            None => rest
                .iter()
                .position(|here| self.is_same_word(here, follows))?,
            Some(
                Mark::AnyTokens
                | Mark::SomeTokens
                | Mark::OneToken
                | Mark::InClass
                | Mark::NotInClass
                | Mark::Host
                | Mark::Deferred,
            ) => 0,
            mark => rest.iter().position(|here| here.mark() == mark)?,
        };
        Some(from + skipped)
    }

    /// Says whether a token of the address is the word `token` of the pattern.
    #[inline]
    fn is_same_word(&self, here: &Token, token: &Token) -> bool {
        here.hash == token.hash
            && here.len == token.len
            && here.mark().is_none()
            && self.bytes(here).eq_ignore_ascii_case(self.bytes(token))
    }

    fn token_in_class(&self, token: &Token, class: u16) -> bool {
        token.mark().is_none()
            && self
                .classes
                .get(ClassId(MacroId::from_number(class)))
                .is_some_and(|set| set.contains_token(token, self.bytes(token)))
    }

    /// Finds the end of the next longer phrase of a class that starts at `first`.
    ///
    /// `last` is where the phrase known so far ends; the new one ends behind that.
    fn extend_class(&self, class: u16, first: usize, last: usize) -> Option<usize> {
        let set = self.classes.get(ClassId(MacroId::from_number(class)))?;
        let mut hash = HASH_START;
        let mut length = 0;
        let mut after_word = false;
        for (index, token) in self.input.iter().enumerate().skip(first) {
            if token.mark().is_some() {
                return None;
            }
            let bytes = self.bytes(token);
            let is_word = self.is_word(bytes);
            if after_word && is_word {
                hash = hash_more(hash, &[self.syntax.space_substitute]);
                length += 1;
            }
            after_word = is_word;
            hash = hash_more(hash, bytes);
            length += bytes.len();
            if length > set.longest() {
                return None;
            }
            if index >= last
                && set.contains_hashed(hash, |member| {
                    member.len() == length && self.is_phrase(member, first, index + 1)
                })
            {
                return Some(index + 1);
            }
        }
        None
    }

    fn is_word(&self, bytes: &[u8]) -> bool {
        bytes.first().is_some_and(|&c| self.syntax.is_atom(c))
    }

    /// Compares a member with the tokens `first..last` written without blanks.
    fn is_phrase(&self, member: &[u8], first: usize, last: usize) -> bool {
        let mut rest = member;
        let mut after_word = false;
        for token in self.input.get(first..last).unwrap_or(&[]) {
            let bytes = self.bytes(token);
            let is_word = self.is_word(bytes);
            if after_word && is_word {
                rest = rest.get(1..).unwrap_or(b"");
            }
            after_word = is_word;
            match rest.get(..bytes.len()) {
                Some(head) if head.eq_ignore_ascii_case(bytes) => {
                    rest = rest.get(bytes.len()..).unwrap_or(b"");
                }
                _ => return false,
            }
        }
        rest.is_empty()
    }

    /// Matches the text of a run-time macro against as many tokens as it is long.
    fn match_macro(&self, number: u16, at: usize) -> Option<usize> {
        let Some(text) = (self.macro_text)(MacroId::from_number(number)) else {
            return Some(at);
        };
        let mut rest = text.as_slice();
        let mut at = at;
        while !rest.is_empty() {
            let token = self.input.get(at)?;
            let bytes = self.bytes(token);
            let head = rest.get(..bytes.len())?;
            if bytes.is_empty() || !head.eq_ignore_ascii_case(bytes) {
                return None;
            }
            rest = rest.get(bytes.len()..)?;
            at += 1;
        }
        Some(at)
    }
}
