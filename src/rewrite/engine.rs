//! One ruleset applied to one address.
//!
//! A rule is tried again as long as it matches, then the next one comes; `$:`
//! makes it try once, `$@` and `$#` leave the ruleset. A replacement is built in
//! the order of the guide: positions and run-time macros, then maps, then calls
//! of other rulesets from right to left.
//!
//! Source: guide 5.1.2; limits, messages and trace lines observed: 8.17.1.9.

use super::context::{RewriteContext, Telling};
use super::gate::Words;
use super::matcher::{Bindings, Matching};
use crate::macros::MacroId;
use crate::smtp::ExitStatus;
use crate::token::mark::unit_at;
use crate::token::print::{MacroNaming, print_symbol, print_word};
use crate::token::tokenizer::MAX_TOKENS;
use crate::token::{Faults, Mark, Parentheses, Reading, RulesetId, Token, TokenizeOptions};

/// Most rewrites one rule may make in a row before the ruleset is called a loop.
const MAX_RULE_REPEATS: u32 = 100;
/// Deepest nesting of ruleset calls (MaxRuleRecursion).
const MAX_NESTING: u32 = 50;

/// What terminals take for reverse video and its end (ECMA-48).
const REVERSE_VIDEO: &[u8] = b"\x1b[7m";
const USUAL_VIDEO: &[u8] = b"\x1b[0m";

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
        while let Some(rule) = rules.get(at) {
            // What has found its mailer is not touched again.
            if words.begin_with_mailer() {
                break;
            }
            let may_match = rule.gate.lets_in(&words);
            // A rule that has matched so often is told of even if it would stop now.
            if is_quiet && !may_match && repeats < MAX_RULE_REPEATS {
                at += 1;
                repeats = 0;
                continue;
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
            let matched =
                (may_match || level >= 2) && self.try_rule(pattern, tokens, &mut bindings, level);
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
                Ok(has_symbols) if has_symbols => self.look_up_and_call(&mut out, depth),
                Ok(_) => Ok(ExitStatus::Ok),
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
            words = Words::of(tokens);
            if is_observed {
                self.observe_result(Some(tokens));
            }
            if level >= 4 {
                let line = self.shown_line(b"rewritten as:", tokens);
                self.trace.write(&line);
            }
            if is_last {
                break;
            }
        }
        if shows {
            self.show_pass(ruleset, b" returns:", tokens);
        }
        if is_observed {
            self.observe_leave(tokens);
        }
        Ok(status)
    }

    fn look_up_and_call(&mut self, out: &mut Vec<Token>, depth: u32) -> Result<ExitStatus, Broken> {
        let lookups = self.look_up_all(out)?;
        let calls = self.call_all(out, depth);
        Ok(
            if lookups == ExitStatus::Ok || calls == ExitStatus::TempFail {
                calls
            } else {
                lookups
            },
        )
    }

    fn try_rule(
        &mut self,
        pattern: &[Token],
        tokens: &[Token],
        bindings: &mut Bindings,
        level: u8,
    ) -> bool {
        let shown = std::cell::RefCell::new(Vec::new());
        let macro_text = |id: MacroId| {
            let text = self.macro_plain(id);
            if level >= 2 {
                shown
                    .borrow_mut()
                    .extend_from_slice(&self.macro_line(b"LHS", id.number()));
            }
            text
        };
        let matching = Matching {
            input: tokens,
            address_text: &self.workspace.text,
            rules_text: &self.rules.text,
            classes: self.classes,
            syntax: self.syntax,
            macro_text: &macro_text,
        };
        let matched = matching.matches(pattern, bindings);
        let shown = shown.into_inner();
        if !shown.is_empty() {
            self.trace.write(&shown);
        }
        matched
    }

    /// The octets of a macro value before any expansion.
    fn macro_plain(&self, id: MacroId) -> Option<Vec<u8>> {
        let marked = self.raw_macro(id.number())?;
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

    /// Builds what stands after a match; says whether maps or calls are in it.
    fn build(
        &mut self,
        replacement: &[Token],
        tokens: &[Token],
        bindings: &Bindings,
        out: &mut Vec<Token>,
        ruleset: RulesetId,
        level: u8,
    ) -> Result<bool, Broken> {
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
                    self.push_macro(token.argument(), out, level)?;
                }
                _ => {
                    if out.len() >= MAX_TOKENS {
                        return Err(self.too_long());
                    }
                    out.push(*token);
                }
            }
        }
        Ok(out.iter().any(|token| {
            matches!(
                token.mark(),
                Some(Mark::HostBegin | Mark::LookupBegin | Mark::Call)
            )
        }))
    }

    fn push_macro(&mut self, number: u16, out: &mut Vec<Token>, level: u8) -> Result<(), Broken> {
        if level >= 2 {
            let line = self.macro_line(b"RHS", number);
            self.trace.write(&line);
        }
        let Some(text) = self.raw_macro(number) else {
            return Ok(());
        };
        if text.is_empty() {
            return Ok(());
        }
        let before = out.len();
        self.push_value(&text, VALUE, out)?;
        if level >= 19 {
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

/// What the listener sees.
impl RewriteContext<'_> {
    fn show_pass(&mut self, ruleset: RulesetId, what: &[u8], tokens: &[Token]) {
        let name = self.rules.name(ruleset);
        let name = name.get(..16).unwrap_or(&name);
        let mut line = std::mem::take(&mut self.workspace.line);
        line.clear();
        if !self.trace.shows_every_ruleset() {
            line.extend_from_slice(b"rewrite: ruleset ");
        }
        line.extend_from_slice(name);
        line.resize(line.len() + 16 - name.len(), b' ');
        line.extend_from_slice(what);
        self.push_shown(tokens, &mut line);
        self.trace.show_pass(&line);
        self.workspace.line = line;
    }

    fn show_trial(&mut self, number: u32, pattern: &[Token], level: u8) {
        let head = if level >= 15 {
            format!("-----trying rule (line {number}):")
        } else {
            "-----trying rule:".to_owned()
        };
        let line = self.shown_line(head.as_bytes(), pattern);
        self.trace.write(&line);
    }

    fn show_binding(&mut self, digit: u8, tokens: &[Token]) {
        let mut line = vec![b'$', digit, b':'];
        for token in tokens {
            let place = 0x5555_0000_0000_u64 + u64::from(token.start);
            line.extend_from_slice(format!(" {place:#x}=\"").as_bytes());
            line.extend_from_slice(self.word(token));
            line.push(b'"');
        }
        line.push(b'\n');
        self.trace.write(&line);
    }

    fn macro_line(&self, side: &[u8], number: u16) -> Vec<u8> {
        let id = MacroId::from_number(number);
        let value = self.macro_plain(id).unwrap_or_else(|| b"(NULL)".to_vec());
        [
            b"rewrite: ".as_slice(),
            side,
            b" $&{",
            &self.names.name(id),
            b"} => \"",
            &value,
            b"\"\n",
        ]
        .concat()
    }

    /// Returns `head` and the tokens as traces show them, with a line end.
    pub fn shown_line(&self, head: &[u8], tokens: &[Token]) -> Vec<u8> {
        let mut line = head.to_vec();
        self.push_shown(tokens, &mut line);
        line
    }

    /// Appends the tokens, each after a blank, and a line end.
    pub fn push_shown(&self, tokens: &[Token], line: &mut Vec<u8>) {
        let name = |number| self.names.name(MacroId::from_number(number));
        let reverses = self.trace.reverses_symbols();
        let naming = MacroNaming {
            by_number: &name,
            by_octet: &|octet| self.names.name_of_octet(octet),
        };
        for token in tokens {
            line.push(b' ');
            let word = self.word(token);
            match token.mark() {
                None if push_printable(word, line) => {}
                Some(mark) if reverses => {
                    line.extend_from_slice(REVERSE_VIDEO);
                    print_symbol(mark, token.argument(), &name, line);
                    line.extend_from_slice(USUAL_VIDEO);
                }
                Some(mark) => print_symbol(mark, token.argument(), &name, line),
                None => print_word(word, &naming, line),
            }
        }
        line.push(b'\n');
    }
}

/// Appends a word if all of it can be printed as it is.
#[inline]
fn push_printable(word: &[u8], line: &mut Vec<u8>) -> bool {
    let before = line.len();
    for &octet in word {
        if !matches!(octet, b' '..=b'~') {
            line.truncate(before);
            return false;
        }
        line.push(octet);
    }
    true
}
