//! Rules that can never match, and rules that never stop matching.
//!
//! Only what is certain for every address is told. Both questions come down to one:
//! does a pattern take whatever another sequence may stand for? The sequence is a right
//! side with its positions replaced by what they match, or the pattern of a later rule.
//!
//! Source: guide 5.1; the order of matching observed: 8.17.1.9.

use std::collections::BTreeSet;

use crate::config::Config;
use crate::macros::{ClassId, MacroId};
use crate::rewrite::book::Rule;
use crate::token::{Mark, Token};

use super::problem::{Code, Problem, Severity};
use super::report::shown;
use super::rules::{all_rulesets, is_made_by_m4};
use super::sheet::Sheet;

/// What one token of a pattern or of a right side stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item<'a> {
    /// This word.
    Word(&'a [u8]),
    /// This symbol, such as `$|`.
    Symbol(Mark),
    /// Any number of tokens.
    Any,
    /// One token or more.
    Some,
    /// One token.
    One,
    /// A phrase of a class.
    InClass(u16),
    /// One token outside of a class.
    NotInClass(u16),
}

impl Item<'_> {
    fn may_be_nothing(self) -> bool {
        self == Item::Any
    }

    fn is_one_token(self) -> bool {
        matches!(
            self,
            Item::Word(_) | Item::Symbol(_) | Item::One | Item::NotInClass(_)
        )
    }

    fn is_wildcard(self) -> bool {
        !matches!(self, Item::Word(_) | Item::Symbol(_))
    }
}

/// Goes through all rules; `idle` are lines nothing leads to.
pub(super) fn problems(config: &Config, sheet: &Sheet, idle: &BTreeSet<u32>) -> Vec<Problem> {
    let is_m4 = is_made_by_m4(config);
    let mut problems = Vec::new();
    for id in all_rulesets() {
        let rules = config.rules.rules(id);
        let sides: Vec<Sides<'_>> = rules.iter().map(|rule| Sides::of(rule, config)).collect();
        for (at, rule) in rules.iter().enumerate() {
            let Some(line) = sheet.statement(rule.line) else {
                continue;
            };
            let place = line.whole();
            let Some(earlier) = sides.get(..=at) else {
                continue;
            };
            if let Some(reason) = Death::of(earlier) {
                let (text, help) = reason.words(rules, &shown(&config.rules.name(id)));
                let mut problem = Problem::new(Code::DeadRule, place, text).help(help);
                if is_m4 {
                    // Features leave such rules behind; nobody wrote them by hand.
                    problem = problem.severity(Severity::Hint);
                }
                problems.push(problem);
                if matches!(reason, Death::Closed(_)) {
                    // The rules behind it are as dead; one word about them is enough.
                    break;
                }
            } else if earlier.last().is_some_and(Sides::is_endless) {
                let text = "this rule always matches its own result and never ends";
                let help = "begin its right side with $: to apply it once, or with $@ to leave";
                let mut problem = Problem::new(Code::EndlessRule, place, text).help(help);
                if idle.contains(&rule.line) {
                    problem = problem.severity(Severity::Warning);
                }
                problems.push(problem);
            }
        }
    }
    problems
}

/// One token of a right side, with the number of the wildcard it repeats, from zero on.
#[derive(Debug, Clone, Copy)]
struct Part<'a> {
    item: Item<'a>,
    number: Option<usize>,
}

impl<'a> Part<'a> {
    fn fixed(item: Item<'a>) -> Self {
        Part { item, number: None }
    }
}

/// Both sides of a rule, as far as they can be judged.
struct Sides<'a> {
    /// The pattern; none when it depends on the message.
    pattern: Option<Vec<Item<'a>>>,
    right: &'a [Token],
    config: &'a Config,
}

/// Why a rule can never match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    /// It waits for `$#` in front, where rewriting has ended.
    Resolved,
    /// A rule before it takes everything and leaves the ruleset.
    Closed(usize),
    /// A rule before it takes all that it could take.
    Covered(usize),
}

impl Death {
    /// Judges the last of these rules.
    fn of(rules: &[Sides<'_>]) -> Option<Death> {
        let (last, earlier) = rules.split_last()?;
        let pattern = last.pattern.as_ref()?;
        if pattern.first() == Some(&Item::Symbol(Mark::Mailer)) {
            return Some(Death::Resolved);
        }
        if let Some(at) = earlier.iter().position(Sides::ends_everything) {
            return Some(Death::Closed(at));
        }
        // What an earlier rule leaves behind when it does not match is the same until a rule
        // in between changes it.
        for (at, rule) in earlier.iter().enumerate().rev() {
            if rule.applies_once() {
                return None;
            }
            let covers = rule
                .pattern
                .as_ref()
                .is_some_and(|earlier| takes(earlier, pattern));
            if covers {
                return Some(Death::Covered(at));
            }
            if !rule.leaves() {
                return None;
            }
        }
        None
    }

    fn words(self, rules: &[Rule], ruleset: &str) -> (String, String) {
        let line = |at: usize| rules.get(at).map_or(0, |rule| rule.line);
        match self {
            Death::Resolved => (
                "this rule can never match: it waits for $# in front".to_owned(),
                "rewriting ends as soon as $# stands in front; put something before it".to_owned(),
            ),
            Death::Closed(at) => (
                format!(
                    "this rule and those behind it in ruleset {ruleset} can never match: \
                     the rule in line {} takes everything and leaves",
                    line(at)
                ),
                "move that rule to the end of the ruleset".to_owned(),
            ),
            Death::Covered(at) => (
                format!(
                    "this rule can never match: the rule in line {} takes all that it could take",
                    line(at)
                ),
                "put the more particular rule first".to_owned(),
            ),
        }
    }
}

impl<'a> Sides<'a> {
    fn of(rule: &Rule, config: &'a Config) -> Self {
        let tokens = rule.pattern_tokens(&config.rules);
        let items = tokens
            .iter()
            .filter(|token| token.mark() != Some(Mark::Host));
        // A pattern that did not compile says nothing.
        let pattern = (!tokens.is_empty())
            .then(|| items.map(|token| item(token, config)).collect())
            .flatten();
        Sides {
            pattern,
            right: rule.replacement_tokens(&config.rules),
            config,
        }
    }

    fn leads_with(&self, mark: Mark) -> bool {
        self.right.first().and_then(Token::mark) == Some(mark)
    }

    /// Says whether a match ends the ruleset.
    fn leaves(&self) -> bool {
        self.leads_with(Mark::Host) || self.leads_with(Mark::Mailer)
    }

    fn applies_once(&self) -> bool {
        self.leads_with(Mark::User)
    }

    fn ends_everything(&self) -> bool {
        let takes_all = |pattern: &Vec<Item<'_>>| {
            !pattern.is_empty() && pattern.iter().all(|item| *item == Item::Any)
        };
        self.leaves() && self.pattern.as_ref().is_some_and(takes_all)
    }

    fn is_endless(&self) -> bool {
        if self.leaves() || self.applies_once() || self.right.is_empty() || self.cannot_match() {
            return false;
        }
        let (Some(pattern), Some(parts)) = (&self.pattern, self.result()) else {
            return false;
        };
        let result: Vec<Item<'_>> = parts.iter().map(|part| part.item).collect();
        !may_become_a_mailer(pattern, &parts) && takes(pattern, &result)
    }

    /// Says whether the pattern waits for a word of an empty class.
    fn cannot_match(&self) -> bool {
        let is_empty = |class: u16| {
            let set = self
                .config
                .classes
                .get(ClassId(MacroId::from_number(class)));
            set.is_none_or(|set| set.is_empty())
        };
        self.pattern.iter().flatten().any(|item| match item {
            Item::InClass(class) => is_empty(*class),
            _ => false,
        })
    }

    /// The right side with its positions replaced by what they stand for; none when a map,
    /// a call or a macro has a say.
    fn result(&self) -> Option<Vec<Part<'a>>> {
        let pattern = self.pattern.as_ref()?;
        let wildcards: Vec<Item<'a>> = pattern
            .iter()
            .copied()
            .filter(|item| item.is_wildcard())
            .collect();
        self.right
            .iter()
            .map(|token| match token.mark() {
                None => Some(Part::fixed(Item::Word(self.config.rules.word(token)))),
                Some(Mark::Position) => {
                    let digit = token.argument().checked_sub(u16::from(b'1'))?;
                    let number = usize::from(digit);
                    wildcards.get(number).map(|item| Part {
                        item: *item,
                        number: Some(number),
                    })
                }
                Some(mark @ (Mark::Else | Mark::Mailer | Mark::Host | Mark::User)) => {
                    Some(Part::fixed(Item::Symbol(mark)))
                }
                Some(_) => None,
            })
            .collect()
    }
}

fn item<'a>(token: &Token, config: &'a Config) -> Option<Item<'a>> {
    Some(match token.mark() {
        None => Item::Word(config.rules.word(token)),
        Some(Mark::AnyTokens) => Item::Any,
        Some(Mark::SomeTokens) => Item::Some,
        Some(Mark::OneToken) => Item::One,
        Some(Mark::InClass) => Item::InClass(token.argument()),
        Some(Mark::NotInClass) => Item::NotInClass(token.argument()),
        Some(mark @ (Mark::Else | Mark::Mailer)) => Item::Symbol(mark),
        Some(_) => return None,
    })
}

/// Says whether `$#` could come to stand in front, where it ends the ruleset.
///
/// What stood in front before was no `$#`, so a result that begins as the pattern does is safe.
fn may_become_a_mailer(pattern: &[Item<'_>], result: &[Part<'_>]) -> bool {
    // As long as only wildcards that may be nothing stand in front, both begin alike.
    for (at, part) in result.iter().enumerate() {
        match part.item {
            Item::Symbol(Mark::Mailer) => return true,
            Item::Word(_) | Item::Symbol(_) | Item::InClass(_) => return false,
            Item::Any | Item::Some | Item::One | Item::NotInClass(_) => {
                let is_alike = part.number == Some(at) && pattern.get(at) == Some(&part.item);
                if !is_alike {
                    return true;
                }
                if !part.item.may_be_nothing() {
                    return false;
                }
            }
        }
    }
    false
}

/// Says whether a pattern surely takes everything that `subject` may stand for.
fn takes(pattern: &[Item<'_>], subject: &[Item<'_>]) -> bool {
    // For each end of the subject: does the end of the pattern in hand take it?
    let mut row: Vec<bool> = (0..=subject.len()).map(|at| at == subject.len()).collect();
    for item in pattern.iter().rev() {
        row = ends_taken(*item, subject, &row);
    }
    row.first().copied().unwrap_or(false)
}

/// One more item in front of a pattern: which ends of the subject it takes now.
fn ends_taken(item: Item<'_>, subject: &[Item<'_>], behind: &[bool]) -> Vec<bool> {
    let mut row = vec![false; behind.len()];
    let is_set = |row: &[bool], at: usize| row.get(at).copied().unwrap_or(false);
    // What a wildcard without an upper limit may leave to the rest of the pattern.
    let mut any_behind = false;
    for at in (0..behind.len()).rev() {
        let next = subject.get(at).copied();
        let taken = match (item, next) {
            (Item::Any, _) => is_set(behind, at) || any_behind,
            (_, None) => false,
            (Item::Some, Some(next)) if next.may_be_nothing() => is_set(&row, at + 1),
            (Item::Some, Some(_)) => any_behind,
            (Item::One, Some(next)) => next.is_one_token() && is_set(behind, at + 1),
            (Item::Word(word), Some(Item::Word(other))) => {
                other.eq_ignore_ascii_case(word) && is_set(behind, at + 1)
            }
            (Item::Word(_), Some(_)) => false,
            (Item::Symbol(_) | Item::InClass(_) | Item::NotInClass(_), Some(next)) => {
                next == item && is_set(behind, at + 1)
            }
        };
        any_behind |= is_set(behind, at);
        if let Some(slot) = row.get_mut(at) {
            *slot = taken;
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(text: &'static str) -> Vec<Item<'static>> {
        text.split_whitespace()
            .map(|word| match word {
                "$*" => Item::Any,
                "$+" => Item::Some,
                "$-" => Item::One,
                "$=w" => Item::InClass(119),
                "$~w" => Item::NotInClass(119),
                "$|" => Item::Symbol(Mark::Else),
                "$#" => Item::Symbol(Mark::Mailer),
                word => Item::Word(word.as_bytes()),
            })
            .collect()
    }

    #[test]
    fn a_pattern_takes_what_it_surely_takes() {
        for (pattern, subject, expected) in [
            ("$*", "a $+ b", true),
            ("$+", "$*", false),
            ("$+", "$* a", true),
            ("$+", "a $*", true),
            ("$-", "$~w", true),
            ("$-", "$=w", false),
            ("$+ @ $+", "$- @ $=w", true),
            ("$+ @ $+", "$+ @ $*", false),
            ("$* < @ $* >", "$* < @ $+ . X >", true),
            ("a $*", "A b", true),
            ("$=w", "a", false),
            ("$* $| $*", "$+ $| b", true),
            ("$* a", "a $*", false),
            ("$+ $+", "$+", false),
            ("$+ $+", "$- $* $-", true),
        ] {
            assert_eq!(
                takes(&items(pattern), &items(subject)),
                expected,
                "{pattern} / {subject}"
            );
        }
    }

    #[test]
    fn a_result_that_may_begin_with_a_mailer_is_no_loop() {
        let parts = |text: &'static str, numbers: &[usize]| {
            let mut numbers = numbers.iter().copied();
            items(text)
                .into_iter()
                .map(|item| Part {
                    item,
                    number: item.is_wildcard().then(|| numbers.next().unwrap()),
                })
                .collect::<Vec<_>>()
        };
        for (pattern, result, numbers, expected) in [
            ("$* $| $*", "$* $| $*", [0, 1], false),
            ("$* $| $*", "$* $| $*", [1, 0], true),
            ("$+ $| $*", "$* $| $+", [1, 0], true),
            ("$* a", "b $*", [0, 0], false),
            ("$+", "$# $+", [0, 0], true),
        ] {
            let may = may_become_a_mailer(&items(pattern), &parts(result, &numbers));
            assert_eq!(may, expected, "{pattern} / {result} {numbers:?}");
        }
    }
}
