//! One ruleset applied to one address.
//!
//! A rule is tried again as long as it matches, then the next one comes; `$:`
//! makes it try once, `$@` and `$#` leave the ruleset. A replacement is built in
//! the order of the guide: positions and run-time macros, then maps, then calls
//! of other rulesets from right to left.
//!
//! Source: guide 5.1.2; limits, messages and trace lines observed: 8.17.1.9.

use std::cell::RefCell;

use super::book::{Found, Rule};
use super::context::{RewriteContext, Telling};
use super::gate::Words;
use super::matcher::{Bindings, MacroTexts, Matching};
use crate::macros::MacroId;
use crate::smtp::ExitStatus;
use crate::token::mark::unit_at;
use crate::token::tokenizer::MAX_TOKENS;
use crate::token::{
    ClassSet, Faults, Mark, Parentheses, Reading, RulesetId, Token, TokenizeOptions,
};

/// Most rewrites one rule may make in a row before the ruleset is called a loop.
const MAX_RULE_REPEATS: u32 = 100;
/// Deepest nesting of ruleset calls (MaxRuleRecursion).
const MAX_NESTING: u32 = 50;

/// How values of macros and maps are cut.
pub(super) const VALUE: TokenizeOptions = TokenizeOptions {
    delimiter: None,
    reading: Reading::Value,
    parentheses: Parentheses::Comments,
    faults: Faults::Repair,
};

/// Why a replacement could not be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// The value of a macro or a map has no tokens.
    NoTokens,
    /// Something that was complained about.
    Fault(ExitStatus),
}

impl Broken {
    pub(super) fn status(self) -> ExitStatus {
        match self {
            Broken::NoTokens => ExitStatus::DataError,
            Broken::Fault(status) => status,
        }
    }
}

impl MacroTexts for RewriteContext<'_> {
    fn text_of(&self, id: MacroId) -> Option<Vec<u8>> {
        self.macro_plain(id)
    }

    fn names_of_peer(&self) -> Option<&ClassSet> {
        self.macros.names_of_peer()
    }
}

/// Macros of a pattern, and what is told of those that were asked for.
struct Told<'t, 'a> {
    context: &'t RewriteContext<'a>,
    lines: RefCell<Vec<u8>>,
}

impl MacroTexts for Told<'_, '_> {
    fn text_of(&self, id: MacroId) -> Option<Vec<u8>> {
        let line = self.context.macro_line(b"LHS", id.number());
        self.lines.borrow_mut().extend_from_slice(&line);
        self.context.macro_plain(id)
    }

    fn names_of_peer(&self) -> Option<&ClassSet> {
        self.context.macros.names_of_peer()
    }
}

impl RewriteContext<'_> {
    /// Applies a ruleset to `tokens`.
    ///
    /// Returns [`ExitStatus::Ok`], or what went wrong on the way: `TempFail` after a
    /// map that could not answer now, `Config` for faults of the rules.
    pub fn rewrite(&mut self, tokens: &mut Vec<Token>, ruleset: RulesetId) -> ExitStatus {
        self.apply(tokens, ruleset, 0).unwrap_or_else(|broken| {
            // A value without tokens takes the whole address with it, but not through a call.
            // Observed: 8.17.1.9.
            if broken == Broken::NoTokens {
                tokens.clear();
            }
            broken.status()
        })
    }

    /// Rewrites a part of what a ruleset returned: it stays when a rule cannot be carried out.
    pub(super) fn rewrite_part(&mut self, tokens: &mut Vec<Token>, ruleset: RulesetId) {
        // What went wrong was told.
        let _ = self.apply(tokens, ruleset, 0);
    }

    pub(super) fn apply(
        &mut self,
        tokens: &mut Vec<Token>,
        ruleset: RulesetId,
        depth: u32,
    ) -> Result<ExitStatus, Broken> {
        let book = self.rules;
        let level = self.trace.level(21);
        let shows = level >= 1 || self.trace.shows_every_ruleset();
        if shows {
            self.show_pass(ruleset, b"   input:", tokens);
        }
        if depth > MAX_NESTING {
            let name = book.name(ruleset);
            self.complain(
                [
                    format!("554 5.3.5 rewrite: excessive recursion (max {MAX_NESTING}), ruleset ")
                        .as_bytes(),
                    &name,
                ]
                .concat(),
            );
            return Ok(ExitStatus::Config);
        }
        let is_observed = self.trace.observer().is_some();
        if is_observed {
            self.observe_enter(ruleset, tokens);
        }
        let mut status = ExitStatus::Ok;
        let mut bindings = Bindings::default();
        let mut words = Words::of(tokens);
        let mut at = 0;
        let mut repeats = 0;
        let rules = book.rules(ruleset);
        // What traces and observers are told of, the gate must not hide.
        let is_quiet = level < 2 && !is_observed;
        // What has found its mailer is not touched again.
        while !words.begin_with_mailer() {
            // A rule that has matched so often is told of even if it would stop now.
            let found = match is_quiet && repeats < MAX_RULE_REPEATS {
                true => next_worth_trying(rules, at, &words),
                false => rules.get(at).map(|rule| (at, rule)),
            };
            let Some((here, rule)) = found else {
                break;
            };
            if here > at {
                at = here;
                repeats = 0;
            }
            let pattern = book.pattern(rule);
            if level >= 12 {
                self.show_trial(rule.line, pattern, level);
            }
            repeats += 1;
            if repeats > MAX_RULE_REPEATS {
                self.tell_of_loop(ruleset, at + 1, tokens, level);
                break;
            }
            let matched = match level {
                ..2 => self.try_rule(pattern, tokens, &mut bindings),
                2.. => self.try_rule_aloud(pattern, tokens, &mut bindings),
            };
            if !matched {
                if level >= 10 {
                    self.trace.write(b"----- rule fails\n");
                }
                if is_observed {
                    self.observe_failure(rule);
                }
                at += 1;
                repeats = 0;
                continue;
            }
            if is_observed {
                self.observe_match(rule);
            }
            let mut replacement = book.replacement(rule);
            if level >= 12 {
                let line = self.shown_line(b"-----rule matches:", replacement);
                self.trace.write(&line);
            }
            let mut is_last = false;
            match replacement.first().and_then(Token::mark) {
                Some(Mark::User) => {
                    replacement = replacement.get(1..).unwrap_or(&[]);
                    at += 1;
                    repeats = 0;
                }
                Some(Mark::Host) => {
                    replacement = replacement.get(1..).unwrap_or(&[]);
                    is_last = true;
                }
                Some(Mark::Mailer) => is_last = true,
                _ => {}
            }
            let mut out = self.workspace.list();
            let built = self.build(replacement, tokens, &bindings, &mut out, ruleset, level);
            let outcome = match built {
                Ok(of_macros) => {
                    // What was bound may hold symbols too.
                    let found = match words.may_hold_symbols() {
                        true => Found::of(&out),
                        false => rule.found.and(of_macros),
                    };
                    self.look_up_and_call(&mut out, found, depth)
                }
                Err(status) => Err(status),
            };
            match outcome {
                Err(broken) => {
                    self.workspace.give_back(out);
                    if is_observed {
                        self.observe_result(None);
                        self.observe_leave(tokens);
                    }
                    return Err(broken);
                }
                Ok(ExitStatus::Ok) => {}
                Ok(worse) => {
                    if status == ExitStatus::Ok || worse == ExitStatus::TempFail {
                        status = worse;
                    }
                }
            }
            std::mem::swap(tokens, &mut out);
            self.workspace.give_back(out);
            if is_observed {
                self.observe_result(Some(tokens));
            }
            if level >= 4 {
                let line = self.shown_line(b"rewritten as:", tokens);
                self.trace.write(&line);
            }
            if is_last || at >= rules.len() {
                break;
            }
            words = Words::of(tokens);
        }
        if shows {
            self.show_pass(ruleset, b" returns:", tokens);
        }
        if is_observed {
            self.observe_leave(tokens);
        }
        Ok(status)
    }

    fn look_up_and_call(
        &mut self,
        out: &mut Vec<Token>,
        found: Found,
        depth: u32,
    ) -> Result<ExitStatus, Broken> {
        let mut status = ExitStatus::Ok;
        if found.lookups {
            status = self.look_up_all(out)?;
        }
        // The default of a lookup may be a call.
        if found.calls || found.lookups {
            let calls = self.call_all(out, depth);
            if status == ExitStatus::Ok || calls == ExitStatus::TempFail {
                status = calls;
            }
        }
        Ok(status)
    }

    #[inline(always)]
    fn try_rule(&self, pattern: &[Token], tokens: &[Token], bindings: &mut Bindings) -> bool {
        self.matching(tokens, self).matches(pattern, bindings)
    }

    /// Tries a rule and tells of the macros its pattern asks for.
    #[cold]
    #[inline(never)]
    fn try_rule_aloud(
        &mut self,
        pattern: &[Token],
        tokens: &[Token],
        bindings: &mut Bindings,
    ) -> bool {
        let told = Told {
            context: self,
            lines: RefCell::default(),
        };
        let matched = self.matching(tokens, &told).matches(pattern, bindings);
        let lines = told.lines.into_inner();
        if !lines.is_empty() {
            self.trace.write(&lines);
        }
        matched
    }

    #[inline(always)]
    fn matching<'t>(&'t self, input: &'t [Token], macros: &'t dyn MacroTexts) -> Matching<'t> {
        Matching {
            input,
            address_text: &self.workspace.text,
            rules_text: &self.rules.text,
            classes: self.classes,
            syntax: self.syntax,
            macros,
        }
    }

    /// The octets of a macro value before any expansion.
    pub(super) fn macro_plain(&self, id: MacroId) -> Option<Vec<u8>> {
        let mut marked = Vec::new();
        if !self.raw_macro(id.number(), &mut marked) {
            return None;
        }
        let mut out = Vec::new();
        let mut at = 0;
        while let Some((unit, next)) = unit_at(&marked, at) {
            match unit {
                crate::token::mark::Unit::Octet(octet) => out.push(octet),
                crate::token::mark::Unit::Symbol(mark, argument) => {
                    out.push(mark.octet());
                    if let (true, Ok(letter)) = (mark.has_argument(), u8::try_from(argument)) {
                        out.push(letter);
                    }
                }
            }
            at = next;
        }
        Some(out)
    }

    /// Builds what stands after a match; returns what the values of macros in it hold.
    fn build(
        &mut self,
        replacement: &[Token],
        tokens: &[Token],
        bindings: &Bindings,
        out: &mut Vec<Token>,
        ruleset: RulesetId,
        level: u8,
    ) -> Result<Found, Broken> {
        let mut found = Found::default();
        for token in replacement {
            match token.mark() {
                Some(Mark::Position) => {
                    let digit = u8::try_from(token.argument()).unwrap_or(b'0');
                    let number = usize::from(digit.wrapping_sub(b'0'));
                    let Some(range) = bindings.get(number) else {
                        let name = self.rules.name(ruleset);
                        self.complain(
                            [
                                b"554 5.3.5 rewrite: ruleset ".as_slice(),
                                &name,
                                b": replacement $",
                                &[digit],
                                b" out of bounds",
                            ]
                            .concat(),
                        );
                        return Err(Broken::Fault(ExitStatus::Config));
                    };
                    let bound = tokens.get(range).unwrap_or(&[]);
                    if level >= 15 {
                        self.show_binding(digit, bound);
                    }
                    if out.len() + bound.len() > MAX_TOKENS {
                        return Err(self.too_long());
                    }
                    out.extend_from_slice(bound);
                }
                Some(Mark::Deferred) => {
                    if out.len() >= MAX_TOKENS {
                        return Err(self.too_long());
                    }
                    let before = out.len();
                    self.push_macro(token.argument(), out, level)?;
                    found = found.and(Found::of(out.get(before..).unwrap_or_default()));
                }
                _ => {
                    if out.len() >= MAX_TOKENS {
                        return Err(self.too_long());
                    }
                    out.push(*token);
                }
            }
        }
        Ok(found)
    }

    fn push_macro(&mut self, number: u16, out: &mut Vec<Token>, level: u8) -> Result<(), Broken> {
        if level >= 2 {
            let line = self.macro_line(b"RHS", number);
            self.trace.write(&line);
        }
        let mut text = std::mem::take(&mut self.workspace.value);
        let before = out.len();
        let pushed = match self.raw_macro(number, &mut text) && !text.is_empty() {
            true => self.push_value(&text, VALUE, out),
            false => Ok(()),
        };
        let is_told = level >= 19 && !text.is_empty();
        self.workspace.value = text;
        pushed?;
        if is_told {
            for token in out.get(before..).unwrap_or_default() {
                let line = [b" ... ".as_slice(), self.word(token), b"\n"].concat();
                self.trace.write(&line);
            }
            self.trace.write(b" ... DONE\n");
        }
        Ok(())
    }

    /// Cuts a value and appends its tokens.
    pub(super) fn push_value(
        &mut self,
        marked: &[u8],
        options: TokenizeOptions,
        out: &mut Vec<Token>,
    ) -> Result<(), Broken> {
        let (_, cut, is_too_long) = self.cut(marked, options, Telling::Aloud);
        let Ok(tokens) = cut else {
            return Err(if is_too_long {
                Broken::Fault(ExitStatus::DataError)
            } else {
                Broken::NoTokens
            });
        };
        let too_many = out.len() + tokens.len() > MAX_TOKENS;
        if !too_many {
            out.extend_from_slice(&tokens);
        }
        self.workspace.give_back(tokens);
        if too_many {
            return Err(self.too_long());
        }
        Ok(())
    }

    pub(super) fn too_long(&mut self) -> Broken {
        self.complain(b"554 5.3.0 rewrite: expansion too long".to_vec());
        Broken::Fault(ExitStatus::DataError)
    }

    fn tell_of_loop(&mut self, ruleset: RulesetId, number: usize, tokens: &[Token], level: u8) {
        let name = self.rules.name(ruleset);
        self.complain(
            [
                b"554 5.3.5 Infinite loop in ruleset ".as_slice(),
                &name,
                format!(", rule {number}").as_bytes(),
            ]
            .concat(),
        );
        if level >= 1 {
            let line = self.shown_line(b"workspace: ", tokens);
            self.trace.write(&line);
        }
    }
}

/// Finds the next rule from `at` on that is worth trying.
#[inline]
fn next_worth_trying<'r>(rules: &'r [Rule], at: usize, words: &Words) -> Option<(usize, &'r Rule)> {
    let mut rest = rules.iter().enumerate().skip(at);
    rest.find(|(_, rule)| rule.gate.lets_in(words))
}
