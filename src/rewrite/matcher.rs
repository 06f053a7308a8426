//! Does a pattern take these tokens?
//!
//! Every wildcard first takes as little as it can and grows only when the rest
//! of the pattern fails; the last one that can grow does so first. The whole
//! input must be taken. Observed: 8.17.1.9.

use super::compile::MAX_WILDCARDS;
use crate::macros::{ClassId, Classes, MacroId};
use crate::token::buffer::hash_more;
use crate::token::{AddressSyntax, ClassSet, Mark, Token};

/// How often wildcards may grow before places where the rest of a pattern failed are kept.
/// Ordinary rules and addresses stay below, and keep nothing.
const MAX_FORGOTTEN: u32 = 2_000;

/// What is known of places where the rest of a pattern fails.
trait Memory {
    /// Says whether the pattern from `rule_at` on is known to take nothing from `input_at` on.
    fn is_dead(&self, rule_at: usize, input_at: usize) -> bool;

    /// Notes that; says whether matching may go on.
    fn note(&mut self, rule_at: usize, input_at: usize) -> bool;
}

/// Keeps nothing, and counts how often that was so.
#[derive(Default)]
struct Forgetful(u32);

impl Memory for Forgetful {
    #[inline]
    fn is_dead(&self, _: usize, _: usize) -> bool {
        false
    }

    #[inline]
    fn note(&mut self, _: usize, _: usize) -> bool {
        self.0 = self.0.saturating_add(1);
        self.0 < MAX_FORGOTTEN
    }
}

/// Keeps every such place.
///
/// What a pattern does from some token on depends on where it stands in both texts only,
/// not on how it came there. So no place needs a second trial, and the time a rule takes
/// grows with the product of both lengths, not with a power of the address for each wildcard.
struct DeadEnds {
    width: usize,
    dead: Vec<bool>,
}

impl DeadEnds {
    fn new(pattern: &[Token], input: &[Token]) -> DeadEnds {
        let width = input.len() + 1;
        DeadEnds {
            width,
            dead: vec![false; (pattern.len() + 1) * width],
        }
    }
}

impl Memory for DeadEnds {
    fn is_dead(&self, rule_at: usize, input_at: usize) -> bool {
        let place = self.dead.get(rule_at * self.width + input_at);
        place.copied().unwrap_or(false)
    }

    fn note(&mut self, rule_at: usize, input_at: usize) -> bool {
        if let Some(place) = self.dead.get_mut(rule_at * self.width + input_at) {
            *place = true;
        }
        true
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

/// Where a pattern finds run-time macros.
pub(crate) trait MacroTexts {
    /// Returns the raw text of a macro, or none if it is not defined.
    fn text_of(&self, id: MacroId) -> Option<Vec<u8>>;

    /// Returns the class `{cert_altnames}`, if the connection has one of its own.
    fn names_of_peer(&self) -> Option<&ClassSet> {
        None
    }
}

/// What matching looks at.
pub(crate) struct Matching<'t> {
    pub input: &'t [Token],
    pub address_text: &'t [u8],
    pub rules_text: &'t [u8],
    pub classes: &'t Classes,
    pub syntax: &'t AddressSyntax,
    pub macros: &'t dyn MacroTexts,
}

impl Matching<'_> {
    fn bytes(&self, token: &Token) -> &[u8] {
        token.bytes_in(self.address_text, self.rules_text)
    }

    /// Says whether `pattern` takes the whole input and fills `bindings`.
    #[inline(always)]
    pub fn matches(&self, pattern: &[Token], bindings: &mut Bindings) -> bool {
        self.run(pattern, bindings, &mut Forgetful::default())
            .unwrap_or_else(|| self.matches_slowly(pattern, bindings))
    }

    /// Matches what has so many ways to fail that remembering them pays.
    #[cold]
    #[inline(never)]
    fn matches_slowly(&self, pattern: &[Token], bindings: &mut Bindings) -> bool {
        let mut memory = DeadEnds::new(pattern, self.input);
        self.run(pattern, bindings, &mut memory).unwrap_or(false)
    }

    /// Matches as [`Matching::matches`]; `None` when the memory wants no more.
    #[inline(always)]
    fn run(
        &self,
        pattern: &[Token],
        bindings: &mut Bindings,
        memory: &mut impl Memory,
    ) -> Option<bool> {
        bindings.count = 0;
        let mut rule_at = 0;
        let mut input_at = 0;
        loop {
            let advanced = match pattern.get(rule_at) {
                _ if memory.is_dead(rule_at, input_at) => None,
                None if input_at == self.input.len() => return Some(true),
                None => None,
                Some(token) => {
                    self.step(token, pattern.get(rule_at + 1), rule_at, input_at, bindings)
                }
            };
            if let Some(next) = advanced {
                rule_at += 1;
                input_at = next;
                continue;
            }
            loop {
                let Some(last) = bindings.pop() else {
                    return Some(false);
                };
                if !memory.note(last.pattern as usize + 1, last.last as usize) {
                    return None;
                }
                if let Some((rule, input)) = self.grow(last, pattern, bindings) {
                    rule_at = rule;
                    input_at = input;
                    break;
                }
            }
        }
    }

    /// Matches one pattern token at `at`; returns where the next one starts.
    #[inline(always)]
    fn step(
        &self,
        token: &Token,
        follows: Option<&Token>,
        rule_at: usize,
        at: usize,
        bindings: &mut Bindings,
    ) -> Option<usize> {
        let here = self.input.get(at);
        if !token.is_pattern() {
            return self.is_same(here?, token).then_some(at + 1);
        }
        match token.mark()? {
            Mark::AnyTokens => {
                let last = self.next_place(follows, at)?;
                bindings.push(rule_at, at, last);
                Some(last)
            }
            Mark::Host => Some(at),
            Mark::SomeTokens => {
                here?;
                let last = self.next_place(follows, at + 1)?;
                bindings.push(rule_at, at, last);
                Some(last)
            }
            Mark::OneToken => {
                here?;
                bindings.push(rule_at, at, at + 1);
                Some(at + 1)
            }
            Mark::NotInClass => {
                let here = here?;
                if self.token_in_class(here, token.argument()) {
                    return None;
                }
                bindings.push(rule_at, at, at + 1);
                Some(at + 1)
            }
            Mark::InClass => {
                let last = self.extend_class(token.argument(), at, at)?;
                bindings.push(rule_at, at, last);
                Some(last)
            }
            Mark::Deferred => {
                here?;
                self.match_macro(token.argument(), at)
            }
            _ => self.is_same(here?, token).then_some(at + 1),
        }
    }

    /// Lets a wildcard take one token more; returns where matching goes on.
    #[inline(always)]
    fn grow(
        &self,
        binding: Binding,
        pattern: &[Token],
        bindings: &mut Bindings,
    ) -> Option<(usize, usize)> {
        let rule_at = binding.pattern as usize;
        let (first, last) = (binding.first as usize, binding.last as usize);
        let token = pattern.get(rule_at)?;
        let last = match token.mark()? {
            Mark::InClass => self.extend_class(token.argument(), first, last)?,
            Mark::AnyTokens | Mark::SomeTokens if last < self.input.len() => {
                self.next_place(pattern.get(rule_at + 1), last + 1)?
            }
            _ => return None,
        };
        bindings.push(rule_at, first, last);
        Some((rule_at + 1, last))
    }

    /// Finds where a wildcard that reaches to `from` or further may end: there what
    /// `follows` in the pattern must begin. The next word or symbol is looked for at once.
    #[inline(always)]
    fn next_place(&self, follows: Option<&Token>, from: usize) -> Option<usize> {
        let Some(follows) = follows else {
            return Some(self.input.len());
        };
        if follows.is_pattern() {
            return Some(from);
        }
        let rest = self.input.get(from..)?;
        let skipped = if follows.is_sure() {
            rest.iter().position(|here| here.looks_like(follows))?
        } else {
            rest.iter().position(|here| self.is_same(here, follows))?
        };
        Some(from + skipped)
    }

    /// Says whether a token of the address is the word or symbol `token` of the pattern.
    #[inline]
    fn is_same(&self, here: &Token, token: &Token) -> bool {
        here.looks_like(token)
            && (token.is_sure() || self.bytes(here).eq_ignore_ascii_case(self.bytes(token)))
    }

    fn class(&self, number: u16) -> Option<&ClassSet> {
        let id = MacroId::from_number(number);
        let own = match id == MacroId::CERT_ALTNAMES {
            true => self.macros.names_of_peer(),
            false => None,
        };
        own.or_else(|| self.classes.get(ClassId(id)))
    }

    fn token_in_class(&self, token: &Token, class: u16) -> bool {
        token.mark().is_none()
            && self
                .class(class)
                .is_some_and(|set| set.contains_token(token, self.bytes(token)))
    }

    /// Finds the end of the next longer phrase of a class that starts at `first`.
    ///
    /// `last` is where the phrase known so far ends; the new one ends behind that.
    fn extend_class(&self, class: u16, first: usize, last: usize) -> Option<usize> {
        let set = self.class(class)?;
        let mut token = self.input.get(first)?;
        // An empty word takes no octet of a member.
        if token
            .first_octet()
            .is_some_and(|octet| !set.may_begin_with(octet))
        {
            return None;
        }
        let mut hash = token.hash;
        let mut length = token.len as usize;
        let mut at = first;
        loop {
            if token.mark().is_some() || length > set.longest() {
                return None;
            }
            let is_phrase =
                |member: &[u8]| member.len() == length && self.is_phrase(member, first, at + 1);
            if at >= last && set.contains_hashed(hash, is_phrase) {
                return Some(at + 1);
            }
            let before = self.bytes(token);
            at += 1;
            token = self.input.get(at)?;
            let bytes = self.bytes(token);
            if self.is_word(before) && self.is_word(bytes) {
                hash = hash_more(hash, &[self.syntax.space_substitute]);
                length += 1;
            }
            length += bytes.len();
            if length <= set.longest() {
                hash = hash_more(hash, bytes);
            }
        }
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
        let Some(text) = self.macros.text_of(MacroId::from_number(number)) else {
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
