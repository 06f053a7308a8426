//! All rulesets of a configuration.
//!
//! Rulesets have numbers below 100, names, or both (`Sname=number`); a name
//! without a number gets one from 199 down. All tokens of all rules lie in one
//! vector and their bytes in one text, so that matching runs through
//! neighbouring memory.
//!
//! Source: guide 5.1; numbering and messages observed: 8.17.1.9.

use std::borrow::Cow;
use std::collections::HashMap;

use super::gate::Gate;
use crate::macros::MacroNames;
use crate::text::quoted::strip_quotes;
use crate::token::print::{print_symbol, print_word};
use crate::token::{Mark, RulesetId, Token};

/// First number that only named rulesets get.
const FIRST_NAMED: u16 = RulesetId::LIMIT / 2;

/// One compiled R line.
#[derive(Debug, Clone)]
pub struct Rule {
    pub(crate) pattern: std::ops::Range<u32>,
    pub(crate) replacement: std::ops::Range<u32>,
    /// Line number in the configuration file.
    pub line: u32,
    /// What an address must have before it is worth trying the pattern.
    pub(super) gate: Gate,
    /// What its replacement holds.
    pub(super) found: Found,
}

/// What a replacement holds that is not text yet.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Found {
    pub lookups: bool,
    pub calls: bool,
}

impl Found {
    /// Returns what both hold.
    pub fn and(self, other: Found) -> Found {
        Found {
            lookups: self.lookups || other.lookups,
            calls: self.calls || other.calls,
        }
    }

    /// Returns what `tokens` hold.
    pub fn of(tokens: &[Token]) -> Found {
        let mut found = Found::default();
        for token in tokens {
            match token.mark() {
                Some(Mark::HostBegin | Mark::LookupBegin) => found.lookups = true,
                Some(Mark::Call) => found.calls = true,
                _ => {}
            }
        }
        found
    }
}

/// What a ruleset name in a line of the configuration turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RulesetName {
    /// The ruleset.
    pub id: RulesetId,
    /// How many octets of the text the name took.
    pub taken: usize,
    /// Whether it has rules already.
    pub is_defined: bool,
}

/// As wide as traces show the name of a ruleset.
pub(super) const NAME_WIDTH: usize = 16;

/// The name of a ruleset.
#[derive(Debug, Clone)]
struct Name {
    whole: Vec<u8>,
    /// Cut or filled with blanks.
    padded: [u8; NAME_WIDTH],
}

impl Name {
    fn new(whole: Vec<u8>) -> Name {
        let mut padded = [b' '; NAME_WIDTH];
        for (place, octet) in padded.iter_mut().zip(&whole) {
            *place = *octet;
        }
        Name { whole, padded }
    }
}

/// All rulesets of a configuration.
#[derive(Debug, Clone)]
pub struct RuleBook {
    rulesets: Vec<Vec<Rule>>,
    names: Vec<Option<Name>>,
    by_name: HashMap<Vec<u8>, Option<RulesetId>>,
    /// Names an S line left without a number, in the order of the lines.
    unnumbered: Vec<Vec<u8>>,
    next_named: u16,
    pub(crate) tokens: Vec<Token>,
    pub(crate) text: Vec<u8>,
}

impl Default for RuleBook {
    fn default() -> Self {
        RuleBook::new()
    }
}

impl RuleBook {
    /// Makes a book without rules.
    pub fn new() -> RuleBook {
        let count = usize::from(RulesetId::LIMIT);
        RuleBook {
            rulesets: vec![Vec::new(); count],
            names: vec![None; count],
            by_name: HashMap::new(),
            unnumbered: Vec::new(),
            next_named: RulesetId::LIMIT,
            tokens: Vec::new(),
            text: Vec::new(),
        }
    }

    /// Returns the rules of a ruleset in order.
    pub fn rules(&self, id: RulesetId) -> &[Rule] {
        self.rulesets
            .get(usize::from(id.number()))
            .map_or(&[], Vec::as_slice)
    }

    pub(crate) fn push_rule(&mut self, id: RulesetId, rule: Rule) {
        if let Some(rules) = self.rulesets.get_mut(usize::from(id.number())) {
            rules.push(rule);
        }
    }

    pub(crate) fn pattern(&self, rule: &Rule) -> &[Token] {
        self.range(&rule.pattern)
    }

    pub(crate) fn replacement(&self, rule: &Rule) -> &[Token] {
        self.range(&rule.replacement)
    }

    fn range(&self, range: &std::ops::Range<u32>) -> &[Token] {
        self.tokens
            .get(range.start as usize..range.end as usize)
            .unwrap_or(&[])
    }

    /// Returns the name of a ruleset, or its number if it has none.
    pub fn name(&self, id: RulesetId) -> Cow<'_, [u8]> {
        match self.names.get(usize::from(id.number())) {
            Some(Some(name)) => Cow::Borrowed(&name.whole),
            _ => Cow::Owned(id.number().to_string().into_bytes()),
        }
    }

    /// Returns the name of a ruleset as traces show it.
    pub(super) fn padded_name(&self, id: RulesetId) -> [u8; NAME_WIDTH] {
        match self.names.get(usize::from(id.number())) {
            Some(Some(name)) => name.padded,
            _ => Name::new(self.name(id).into_owned()).padded,
        }
    }

    /// Finds a ruleset by name or number for running it; messages about bad names go to `errors`.
    ///
    /// `name` may be followed by other text, as in `3,0`.
    pub fn find_reporting(&self, name: &[u8], errors: &mut Vec<Vec<u8>>) -> Option<RulesetId> {
        let name = name.trim_ascii_start();
        match name.first() {
            Some(c) if c.is_ascii_digit() => number_of(name, errors).map(|(id, _)| id),
            _ => {
                let length = name_length(name, errors)?;
                *self.by_name.get(name.get(..length)?)?
            }
        }
    }

    /// Finds a ruleset by its name or number.
    pub fn find(&self, name: &[u8]) -> Option<RulesetId> {
        self.find_reporting(name, &mut Vec::new())
    }

    /// Finds a ruleset that has rules.
    pub fn find_defined(&self, name: &[u8]) -> Option<RulesetId> {
        self.find(name).filter(|id| !self.rules(*id).is_empty())
    }

    /// Finds or makes a ruleset from the text of an S line or an `S=` field of a mailer.
    pub fn enter(&mut self, text: &[u8], errors: &mut Vec<Vec<u8>>) -> Option<RulesetName> {
        let blanks = text.len() - text.trim_ascii_start().len();
        let text = text.get(blanks..)?;
        let (id, taken) = match text.first() {
            Some(c) if c.is_ascii_digit() => number_of(text, errors)?,
            _ => self.enter_name(text, errors)?,
        };
        Some(RulesetName {
            id,
            taken: taken + blanks,
            is_defined: !self.rules(id).is_empty(),
        })
    }

    fn enter_name(&mut self, text: &[u8], errors: &mut Vec<Vec<u8>>) -> Option<(RulesetId, usize)> {
        let length = name_length(text, errors)?;
        let name = text.get(..length)?.to_vec();
        let rest = text.get(length..)?;
        let blanks = rest.len() - rest.trim_ascii_start().len();
        let known = self
            .by_name
            .entry(name.clone())
            .or_insert(None)
            .as_ref()
            .copied();
        let mut taken = length + blanks;
        let wanted = match rest.get(blanks) {
            Some(b'=') => {
                let assigned = assigned_number(text, rest.get(blanks + 1..)?, errors);
                if assigned.is_none() && known.is_none() {
                    self.unnumbered.push(name.clone());
                }
                let (id, length) = assigned?;
                taken += 1 + length;
                if let Some(old) = known
                    && old != id
                {
                    errors.push(
                        [
                            text,
                            format!(
                                ": ruleset changed value (old {}, new {})",
                                old.number(),
                                id.number()
                            )
                            .as_bytes(),
                        ]
                        .concat(),
                    );
                    return Some((old, taken));
                }
                id
            }
            _ => match known {
                Some(id) => id,
                None => self.next_number(&name, errors)?,
            },
        };
        // What follows the name cuts it where it occurs first. Observed: 8.17.1.9.
        let shown = match rest.get(blanks) {
            Some(follower) => name.split(|octet| octet == follower).next(),
            None => Some(name.as_slice()),
        };
        let shown = shown.unwrap_or(&name).to_vec();
        self.by_name.insert(name, Some(wanted));
        if let Some(slot) = self.names.get_mut(usize::from(wanted.number())) {
            *slot = Some(Name::new(shown));
        }
        Some((wanted, taken))
    }

    fn next_number(&mut self, name: &[u8], errors: &mut Vec<Vec<u8>>) -> Option<RulesetId> {
        let next = self.next_named.saturating_sub(1);
        self.next_named = next;
        if next < FIRST_NAMED {
            errors.push(
                [
                    name,
                    format!(": too many named rulesets ({FIRST_NAMED} max)").as_bytes(),
                ]
                .concat(),
            );
            return None;
        }
        RulesetId::new(next)
    }
}

impl RuleBook {
    /// Looks the names of all called rulesets up, as far as they are written out in the rules.
    ///
    /// Call this when all rulesets are there; until then names are looked up when they are needed.
    pub fn link(&mut self) {
        self.number_the_rest();
        for rule in self.rulesets.iter().flatten() {
            let range = rule.replacement.start as usize..rule.replacement.end as usize;
            let Some(side) = self.tokens.get(range.clone()) else {
                continue;
            };
            let links: Vec<(usize, u16)> = side
                .windows(2)
                .enumerate()
                .filter(|(_, pair)| pair[0].mark() == Some(Mark::Call) && pair[1].mark().is_none())
                .filter_map(|(at, pair)| {
                    let name = strip_quotes(pair[1].bytes_in(b"", &self.text));
                    Some((at, self.find(&name)?.number() + 1))
                })
                .collect();
            for (at, link) in links {
                if let Some(call) = self.tokens.get_mut(range.start + at) {
                    call.argument = link;
                }
            }
        }
    }

    /// Gives the next numbers to names an S line left without one.
    ///
    /// The reference does that when such a name is first called, and shows the number only.
    /// Observed: 8.17.1.9.
    fn number_the_rest(&mut self) {
        for name in std::mem::take(&mut self.unnumbered) {
            if !matches!(self.by_name.get(&name), Some(Some(_))) {
                let id = self.next_number(&name, &mut Vec::new());
                self.by_name.insert(name, id);
            }
        }
    }

    /// Returns the ruleset a call was linked to.
    pub(super) fn linked(call: &Token) -> Option<RulesetId> {
        RulesetId::new(call.argument().checked_sub(1)?)
    }
}

impl Rule {
    /// Returns the left side.
    pub fn pattern_tokens<'b>(&self, book: &'b RuleBook) -> &'b [Token] {
        book.pattern(self)
    }

    /// Returns the right side.
    pub fn replacement_tokens<'b>(&self, book: &'b RuleBook) -> &'b [Token] {
        book.replacement(self)
    }
}

impl RuleBook {
    /// Returns the bytes of a word of a rule; empty for a symbol.
    pub fn word(&self, token: &Token) -> &[u8] {
        token.bytes_in(b"", &self.text)
    }

    /// Appends one side of a rule as test mode shows it: a blank behind each token.
    pub fn print_side(&self, side: &[Token], names: &MacroNames, out: &mut Vec<u8>) {
        for token in side {
            match token.mark() {
                Some(mark) => print_symbol(mark, token.argument(), names, out),
                None => print_word(token.bytes_in(b"", &self.text), names, out),
            }
            out.push(b' ');
        }
    }
}

fn digits(text: &[u8]) -> (u64, usize) {
    let length = text.iter().take_while(|c| c.is_ascii_digit()).count();
    let value = text.iter().take(length).fold(0_u64, |n, c| {
        n.saturating_mul(10).saturating_add(u64::from(c - b'0'))
    });
    (value, length)
}

/// Makes an `int` of a number as C does. Observed: 8.17.1.9 (ruleset 4294967296 is ruleset 0).
fn as_int(number: u64) -> i32 {
    let number = number.min(i64::MAX.unsigned_abs()) & u64::from(u32::MAX);
    u32::try_from(number).unwrap_or_default().cast_signed()
}

fn number_of(text: &[u8], errors: &mut Vec<Vec<u8>>) -> Option<(RulesetId, usize)> {
    let (number, length) = digits(text);
    let number = as_int(number);
    match u16::try_from(number) {
        Ok(number) if number < FIRST_NAMED => RulesetId::new(number).map(|id| (id, length)),
        _ => {
            errors.push(format!("bad ruleset {number} ({FIRST_NAMED} max)").into_bytes());
            None
        }
    }
}

/// Reads the number behind `Sname=`; `whole` is the text from the name on, for messages.
fn assigned_number(
    whole: &[u8],
    text: &[u8],
    errors: &mut Vec<Vec<u8>>,
) -> Option<(RulesetId, usize)> {
    let blanks = text.len() - text.trim_ascii_start().len();
    let (number, length) = digits(text.get(blanks..)?);
    let message = if length == 0 {
        [
            b"bad ruleset definition \"".as_slice(),
            whole,
            b"\" (number required after `=')",
        ]
        .concat()
    } else {
        match u16::try_from(as_int(number)) {
            Ok(number) if number < FIRST_NAMED => {
                return RulesetId::new(number).map(|id| (id, blanks + length));
            }
            _ => [
                format!("bad ruleset number {} in \"", as_int(number)).as_bytes(),
                whole,
                format!("\" ({FIRST_NAMED} max)").as_bytes(),
            ]
            .concat(),
        }
    };
    errors.push(message);
    None
}

/// Returns the length of the name at the start of `text`.
fn name_length(text: &[u8], errors: &mut Vec<Vec<u8>>) -> Option<usize> {
    let length = text
        .iter()
        .take_while(|c| c.is_ascii_alphanumeric() || **c == b'_')
        .count();
    if length == 0 || !text.first().is_some_and(u8::is_ascii_alphabetic) {
        let shown = text.get(..20).unwrap_or(text);
        errors.push([b"invalid ruleset name: \"".as_slice(), shown, b"\""].concat());
        return None;
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_numbers_count_down() {
        let mut book = RuleBook::new();
        let mut errors = Vec::new();
        let mut number = |text: &str| {
            book.enter(text.as_bytes(), &mut errors)
                .map(|name| name.id.number())
        };
        assert_eq!(number("Sub"), Some(199));
        assert_eq!(number("Main rest"), Some(198));
        assert_eq!(number("canonify=3"), Some(3));
        assert_eq!(number("3"), Some(3));
        assert_eq!(number("Sub=7"), Some(199));
        assert_eq!(number("100"), None);
        assert_eq!(errors[0], b"Sub=7: ruleset changed value (old 199, new 7)");
        assert_eq!(errors[1], b"bad ruleset 100 (100 max)");
        assert_eq!(*book.name(RulesetId::CANONIFY), *b"canonify");
        assert_eq!(book.find(b"sub"), None);
        book.enter(b"canonify no more", &mut errors);
        assert_eq!(&*book.name(RulesetId::CANONIFY), b"ca");
        assert_eq!(book.find(b"canonify"), Some(RulesetId::CANONIFY));
    }
}
