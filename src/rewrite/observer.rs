//! Who wants to see each step of rewriting as values and not as lines of a trace.
//!
//! Steps nest: between [`Observer::begin_rule`] and [`Observer::end_rule`] come the maps the
//! rule asks and the rulesets it calls. Addresses are shown as test mode shows them, a
//! blank between tokens.

use super::book::Rule;
use super::context::RewriteContext;
use crate::smtp::ExitStatus;
use crate::token::{RulesetId, Token};

/// One question to a map and its answer.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// The map; it need not exist.
    pub map: &'q [u8],
    /// The key.
    pub key: &'q [u8],
    /// Further arguments.
    pub arguments: &'q [Vec<u8>],
    /// What the map found.
    pub answer: Option<&'q [u8]>,
    /// Whether the map exists.
    pub exists: bool,
    /// Whether it could answer.
    pub status: ExitStatus,
}

/// Takes each step of rewriting.
pub trait Observer {
    /// Says whether rules that did not match are wanted as well.
    fn wants_failures(&self) -> bool {
        false
    }

    /// A ruleset begins.
    fn enter(&mut self, name: &[u8], number: u16, input: &[u8]);

    /// It ends.
    fn leave(&mut self, output: &[u8]);

    /// A rule matched.
    fn begin_rule(&mut self, line: u32, pattern: &[u8], replacement: &[u8]);

    /// It made this of the address; none when it failed on the way.
    fn end_rule(&mut self, result: Option<&[u8]>);

    /// A rule did not match.
    fn fail_rule(&mut self, line: u32, pattern: &[u8]);

    /// A map was asked.
    fn ask(&mut self, question: Question<'_>);
}

/// What the observer is told.
impl RewriteContext<'_> {
    fn words_of(&self, tokens: &[Token]) -> Vec<u8> {
        self.shown_line(b"", tokens).trim_ascii().to_vec()
    }

    fn side(&self, side: &[Token]) -> Vec<u8> {
        let mut out = Vec::new();
        self.rules.print_side(side, self.names, &mut out);
        out.trim_ascii().to_vec()
    }

    pub(super) fn observe_enter(&mut self, ruleset: RulesetId, tokens: &[Token]) {
        let input = self.words_of(tokens);
        let name = self.rules.name(ruleset);
        if let Some(observer) = self.trace.observer() {
            observer.enter(&name, ruleset.number(), &input);
        }
    }

    pub(super) fn observe_leave(&mut self, tokens: &[Token]) {
        let output = self.words_of(tokens);
        if let Some(observer) = self.trace.observer() {
            observer.leave(&output);
        }
    }

    pub(super) fn observe_match(&mut self, rule: &Rule) {
        let pattern = self.side(self.rules.pattern(rule));
        let replacement = self.side(self.rules.replacement(rule));
        if let Some(observer) = self.trace.observer() {
            observer.begin_rule(rule.line, &pattern, &replacement);
        }
    }

    pub(super) fn observe_result(&mut self, tokens: Option<&[Token]>) {
        let result = tokens.map(|tokens| self.words_of(tokens));
        if let Some(observer) = self.trace.observer() {
            observer.end_rule(result.as_deref());
        }
    }

    pub(super) fn observe_failure(&mut self, rule: &Rule) {
        let wanted = self
            .trace
            .observer()
            .is_some_and(|observer| observer.wants_failures());
        if wanted {
            let pattern = self.side(self.rules.pattern(rule));
            if let Some(observer) = self.trace.observer() {
                observer.fail_rule(rule.line, &pattern);
            }
        }
    }
}
