//! Names that rules use: rulesets, mailers and maps that nobody defines.
//!
//! Rules are looked at as the compiler left them, with the macros of their time expanded,
//! so `$#$B` is judged by what `$B` was when the line was read.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::config::Config;
use crate::config::fields::split_name;
use crate::macros::{ClassId, MacroId};
use crate::map::MapSet;
use crate::rewrite::book::Rule;
use crate::token::{Mark, RulesetId, Token};

use super::nearest::nearest;
use super::problem::{Code, Problem, Severity};
use super::report::shown;
use super::sheet::{Sheet, Statement};

/// Rulesets the program itself runs, by name.
pub(super) const HOOKS: &[&str] = &[
    "authinfo",
    "check_compat",
    "check_data",
    "check_eoh",
    "check_eom",
    "check_etrn",
    "check_expn",
    "check_mail",
    "check_rcpt",
    "check_relay",
    "check_vrfy",
    "clt_features",
    "greet_pause",
    "localaddr",
    "queuegroup",
    "srv_features",
    "tls_client",
    "tls_clt_features",
    "tls_rcpt",
    "tls_server",
    "tls_srv_features",
    "trust_auth",
    "try_tls",
];

/// Mailers that need no M line.
const BUILT_IN_MAILERS: &[&str] = &["error", "discard"];

/// What is known while the rules of one configuration are looked at.
pub(super) struct Rules<'a> {
    config: &'a Config,
    sheet: &'a Sheet,
    /// Rulesets with an S line.
    begun: BTreeSet<RulesetId>,
    /// Mailers with an M line, sound or not.
    mailers: Vec<Vec<u8>>,
    /// Maps with a K line, sound or not.
    maps: Vec<Vec<u8>>,
    /// Rulesets the program can come to.
    reached: BTreeSet<RulesetId>,
}

/// Which rulesets a right side calls.
enum Call<'a> {
    /// One, by a name that stands in the rule.
    Named(&'a [u8]),
    /// One whose name is a word of a class.
    OneOf(Vec<&'a [u8]>),
    /// One whose name is known only when it runs.
    Any,
}

impl<'a> Rules<'a> {
    /// Collects what the file defines.
    pub fn new(config: &'a Config, sheet: &'a Sheet) -> Self {
        let begun = sheet
            .of(b'S')
            .filter_map(|line| ruleset_of(config, line.rest()))
            .collect();
        let names = |letter: u8| {
            sheet
                .of(letter)
                .map(|line| split_name(line.rest()).0.to_vec())
                .collect::<Vec<_>>()
        };
        let mut mailers = names(b'M');
        mailers.extend(config.mailers.iter().map(|(_, mailer)| mailer.name.clone()));
        let mut maps: Vec<Vec<u8>> = names(b'K');
        maps.extend(config.maps.iter().map(|map| map.name.clone()));
        let mut rules = Rules {
            config,
            sheet,
            begun,
            mailers,
            maps,
            reached: BTreeSet::new(),
        };
        rules.reached = rules.reached();
        rules
    }

    /// Returns all problems of this kind.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let routing = self.routing();
        for id in all_rulesets() {
            for rule in self.config.rules.rules(id) {
                let Some(line) = self.sheet.statement(rule.line) else {
                    continue;
                };
                let before = problems.len();
                self.check_calls(rule, line, &mut problems);
                self.check_maps(rule, line, &mut problems);
                if !self.reached.contains(&id) {
                    for problem in problems.iter_mut().skip(before) {
                        problem.severity = Severity::Hint;
                        problem.message.push_str(", but nothing calls this ruleset");
                    }
                }
                if routing.contains(&id) {
                    self.check_mailer(rule, line, &mut problems);
                }
            }
        }
        self.check_mailer_rulesets(&mut problems);
        self.check_headers(&mut problems);
        self.check_hooks(&mut problems);
        problems
    }

    fn word(&self, token: &Token) -> &'a [u8] {
        self.config.rules.word(token)
    }

    fn right(&self, rule: &Rule) -> &'a [Token] {
        rule.replacement_tokens(&self.config.rules)
    }

    /// Goes through the calls of a rule.
    fn calls(&self, rule: &Rule) -> Vec<Call<'a>> {
        let tokens = self.right(rule);
        let after = tokens.iter().skip(1);
        tokens
            .iter()
            .zip(after)
            .filter(|(token, _)| token.mark() == Some(Mark::Call))
            .map(|(_, name)| match name.mark() {
                None => Call::Named(self.word(name)),
                Some(Mark::Position) => self.computed(rule, name.argument()),
                Some(_) => Call::Any,
            })
            .collect()
    }

    /// A call by what a wildcard took: a wildcard of a class leaves few possibilities.
    fn computed(&self, rule: &Rule, digit: u16) -> Call<'a> {
        let is_wildcard = |token: &&Token| {
            use Mark::{AnyTokens, InClass, NotInClass, OneToken, SomeTokens};
            let mark = token.mark();
            mark.is_some_and(|m| {
                [AnyTokens, SomeTokens, OneToken, InClass, NotInClass].contains(&m)
            })
        };
        let mut wildcards = rule
            .pattern_tokens(&self.config.rules)
            .iter()
            .filter(is_wildcard);
        let index = usize::from(digit.saturating_sub(u16::from(b'1')));
        match wildcards.nth(index) {
            Some(token) if token.mark() == Some(Mark::InClass) => {
                let class = ClassId(MacroId::from_number(token.argument()));
                let set = self.config.classes.get(class);
                Call::OneOf(set.into_iter().flat_map(|set| set.iter()).collect())
            }
            _ => Call::Any,
        }
    }

    /// The rulesets that `roots` lead to; none when a call may lead anywhere.
    fn reached_from(&self, roots: Vec<RulesetId>) -> Option<BTreeSet<RulesetId>> {
        let find = |name: &[u8]| self.config.rules.find(name);
        let mut found = BTreeSet::new();
        let mut open = roots;
        while let Some(id) = open.pop() {
            if !found.insert(id) {
                continue;
            }
            for rule in self.config.rules.rules(id) {
                for call in self.calls(rule) {
                    match call {
                        Call::Named(name) => open.extend(find(name)),
                        Call::OneOf(names) => open.extend(names.into_iter().filter_map(find)),
                        Call::Any => return None,
                    }
                }
            }
        }
        Some(found)
    }

    /// The rulesets the program can come to.
    fn reached(&self) -> BTreeSet<RulesetId> {
        let rules = &self.config.rules;
        let mut roots: Vec<RulesetId> = (0..=RulesetId::LOCAL_ADDRESS.number())
            .filter_map(RulesetId::new)
            .collect();
        roots.extend(HOOKS.iter().filter_map(|hook| rules.find(hook.as_bytes())));
        let checks = self.config.headers.iter().filter_map(|rule| rule.check);
        roots.extend(checks.map(|check| check.ruleset));
        for (_, mailer) in self.config.mailers.iter() {
            for pair in [mailer.sender_rewriting, mailer.recipient_rewriting] {
                roots.extend(pair.envelope);
                roots.extend(pair.header);
            }
        }
        self.reached_from(roots)
            .unwrap_or_else(|| all_rulesets().collect())
    }

    /// Lines of rules that nothing leads to; what is wrong there does no harm.
    pub fn idle_lines(&self) -> BTreeSet<u32> {
        all_rulesets()
            .filter(|id| !self.reached.contains(id))
            .flat_map(|id| self.config.rules.rules(id))
            .map(|rule| rule.line)
            .collect()
    }

    fn check_calls(&self, rule: &Rule, line: &Statement, problems: &mut Vec<Problem>) {
        for call in self.calls(rule) {
            let Call::Named(name) = call else { continue };
            let unquoted: Vec<u8> = name.iter().copied().filter(|b| *b != b'"').collect();
            let found = self.config.rules.find(&unquoted);
            if found.is_some_and(|id| self.begun.contains(&id)) {
                continue;
            }
            let place = line.find_behind(b"$>", name);
            // A ruleset without rules is passed over; one nobody named fails the address.
            let problem = undefined_ruleset(place, &unquoted, self.proposal(&unquoted));
            problems.push(match found {
                Some(_) => problem.severity(Severity::Warning),
                None => problem,
            });
        }
    }

    fn proposal(&self, name: &[u8]) -> Option<String> {
        let begun = self.begun.iter().map(|id| self.config.rules.name(*id));
        let known: Vec<Cow<'_, [u8]>> = begun.collect();
        nearest(name, known.iter().map(AsRef::as_ref)).map(shown)
    }

    fn check_maps(&self, rule: &Rule, line: &Statement, problems: &mut Vec<Problem>) {
        let tokens = self.right(rule);
        for (token, name) in tokens.iter().zip(tokens.iter().skip(1)) {
            if token.mark() != Some(Mark::LookupBegin) || name.mark().is_some() {
                continue;
            }
            let name = self.word(name);
            let is_known = MapSet::is_built_in(name)
                || self.maps.iter().any(|map| map.eq_ignore_ascii_case(name));
            if is_known {
                continue;
            }
            let near = nearest(name, self.maps.iter().map(Vec::as_slice));
            let help = match near {
                Some(near) => format!("did you mean {}?", shown(near)),
                None => format!("define it before the rules: K{} class file", shown(name)),
            };
            let place = line.find_behind(b"$(", name);
            let text = format!("map {} is not defined", shown(name));
            problems.push(Problem::new(Code::UndefinedMap, place, text).help(help));
        }
    }

    fn check_mailer(&self, rule: &Rule, line: &Statement, problems: &mut Vec<Problem>) {
        let [first, name, ..] = self.right(rule) else {
            return;
        };
        if first.mark() != Some(Mark::Mailer) || name.mark().is_some() {
            return;
        }
        let name = self.word(name);
        let unquoted: Vec<u8> = name.iter().copied().filter(|b| *b != b'"').collect();
        let built_in = BUILT_IN_MAILERS.iter().map(|name| name.as_bytes());
        let known: Vec<&[u8]> = built_in
            .chain(self.mailers.iter().map(Vec::as_slice))
            .collect();
        // That there is no local mailer is told anyway.
        let is_local = unquoted.eq_ignore_ascii_case(b"local");
        if is_local || known.iter().any(|one| one.eq_ignore_ascii_case(&unquoted)) {
            return;
        }
        let help = match nearest(&unquoted, known) {
            Some(near) => format!("did you mean {}?", shown(near)),
            None => format!("define it: M{}, P=path, F=flags, A=words", shown(&unquoted)),
        };
        let place = line.find_behind(b"$#", name);
        let text = format!("mailer {} is not defined", shown(&unquoted));
        problems.push(Problem::new(Code::UndefinedMailer, place, text).help(help));
    }

    /// The rulesets that decide about mailers: 0, 5 and what they call by name.
    ///
    /// Elsewhere `$#OK` and its like are answers and no mailers.
    fn routing(&self) -> BTreeSet<RulesetId> {
        let roots = [RulesetId::PARSE, RulesetId::LOCAL_ADDRESS];
        self.reached_from(roots.to_vec())
            .unwrap_or_else(|| roots.into_iter().collect())
    }

    /// `S=` and `R=` of mailers.
    fn check_mailer_rulesets(&self, problems: &mut Vec<Problem>) {
        for line in self.sheet.of(b'M') {
            for field in crate::config::fields::Fields::new(split_name(line.rest()).1) {
                let Ok(field) = field else { break };
                if !matches!(field.letter, b'S' | b'R') {
                    continue;
                }
                for name in field.value.split(|&byte| byte == b'/') {
                    self.check_named(name.trim_ascii(), b"=", line, problems);
                }
            }
        }
    }

    /// Checks of header fields, `HName: $>ruleset`.
    fn check_headers(&self, problems: &mut Vec<Problem>) {
        for line in self.sheet.of(b'H') {
            let Some((_, value)) = crate::text::bytes::split_once(line.rest(), b':') else {
                continue;
            };
            let Some(call) = value.trim_ascii_start().strip_prefix(b"$>") else {
                continue;
            };
            let call = call.trim_ascii_start();
            let call = call.strip_prefix(b"+").unwrap_or(call).trim_ascii_start();
            let end = call
                .iter()
                .position(|b| !b.is_ascii_alphanumeric() && *b != b'_')
                .unwrap_or(call.len());
            self.check_named(call.get(..end).unwrap_or(call), b"$>", line, problems);
        }
    }

    /// Reports a ruleset that a mailer or a header names and no S line begins.
    fn check_named(&self, name: &[u8], lead: &[u8], line: &Statement, problems: &mut Vec<Problem>) {
        // Ruleset zero stands for none there.
        let Some(id) = self.config.rules.find(name).filter(|id| id.number() != 0) else {
            return;
        };
        if self.begun.contains(&id) {
            return;
        }
        let place = line.find_behind(lead, name);
        let problem = undefined_ruleset(place, name, self.proposal(name));
        problems.push(problem.severity(Severity::Warning));
    }

    /// Rulesets that nobody calls and that are named nearly as a hook.
    fn check_hooks(&self, problems: &mut Vec<Problem>) {
        for line in self.sheet.of(b'S') {
            let Some(id) = ruleset_of(self.config, line.rest()) else {
                continue;
            };
            let name = self.config.rules.name(id);
            let is_hook = HOOKS.iter().any(|hook| hook.as_bytes() == &*name);
            if is_hook || self.reached.contains(&id) {
                continue;
            }
            let Some(near) = nearest(&name, HOOKS.iter().map(|hook| hook.as_bytes())) else {
                continue;
            };
            let text = format!("nothing calls ruleset {}", shown(&name));
            let help = format!("the program calls {}: did you mean that?", shown(near));
            let place = line.find(&name);
            problems.push(Problem::new(Code::MisspeltHook, place, text).help(help));
        }
    }
}

/// Tells whether the m4 library made the file: it asks for classes and macros of its own
/// that stay empty unless a feature fills them.
pub(super) fn is_made_by_m4(config: &Config) -> bool {
    let has = |name: &str| config.rules.find_defined(name.as_bytes()).is_some();
    has("MailerToTriple") && has("CanonLocal") && has("Parse1")
}

/// Goes through all rulesets there can be.
pub(super) fn all_rulesets() -> impl Iterator<Item = RulesetId> {
    (0..RulesetId::LIMIT).filter_map(RulesetId::new)
}

/// Finds the ruleset of an S line; macros in its name are not looked into.
fn ruleset_of(config: &Config, rest: &[u8]) -> Option<RulesetId> {
    let name = rest.trim_ascii();
    let end = name
        .iter()
        .position(|b| !b.is_ascii_alphanumeric() && *b != b'_')
        .unwrap_or(name.len());
    config.rules.find(name.get(..end)?)
}

fn undefined_ruleset(place: super::problem::Place, name: &[u8], near: Option<String>) -> Problem {
    let help = match near {
        Some(near) => format!("did you mean {near}?"),
        None => format!("define it: S{}", shown(name)),
    };
    let text = format!("ruleset {} is not defined", shown(name));
    Problem::new(Code::UndefinedRuleset, place, text).help(help)
}
