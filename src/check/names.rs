//! Macros and classes nobody sets, and definitions that take the place of earlier ones.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Config;
use crate::config::fields::split_name;
use crate::config::option_line::{Recognized, recognize};
use crate::macros::{ClassId, MacroId, MacroNames, Template};
use crate::rewrite::book::Rule;
use crate::token::Mark;

use super::nearest::nearest;
use super::problem::{Code, Problem};
use super::report::shown;
use super::rules::{all_rulesets, is_made_by_m4};
use super::sheet::{Sheet, Statement};

/// Options that add to what was said before.
const CUMULATIVE: &[&str] = &[
    "AliasFile",
    "ClientPortOptions",
    "DaemonPortOptions",
    "DontBlameSendmail",
    "PrivacyOptions",
    "ResolverOptions",
];

/// Long names of classes that the m4 library asks for and leaves empty.
const EMPTY_IN_M4: &[&str] = &[
    "Canonify",
    "LDAPRoute",
    "LDAPRouteEquiv",
    "TrustAuthMech",
    "VirtHost",
];

/// Tells whether a name is one the m4 library keeps for its features.
fn belongs_to_m4(name: &[u8]) -> bool {
    matches!(name, [letter] if letter.is_ascii_uppercase())
        || EMPTY_IN_M4.iter().any(|known| known.as_bytes() == name)
}

/// Macros that are used and never set; `idle` are lines nothing leads to.
pub(super) fn undefined_macros(
    config: &Config,
    sheet: &Sheet,
    idle: &BTreeSet<u32>,
) -> Vec<Problem> {
    let is_m4 = is_made_by_m4(config);
    let mut names = config.names.clone();
    let stored = stored_by_maps(config, sheet);
    let known: Vec<Vec<u8>> = config
        .macros
        .iter()
        .map(|(id, _)| config.names.name(id))
        .collect();
    let mut told = BTreeSet::new();
    let mut problems = Vec::new();
    for line in sheet
        .statements
        .iter()
        .filter(|line| !idle.contains(&line.last))
    {
        for id in used_in(line, &mut names) {
            let is_set = config.macros.get(id).is_some()
                || is_set_by_the_program(id, &names)
                || stored.contains(&id)
                || (is_m4 && belongs_to_m4(&names.name(id)));
            if is_set || !told.insert(id) {
                continue;
            }
            let name = names.name(id);
            let written = names.written(id);
            let place = ["$", "$&"]
                .iter()
                .map(|lead| line.find_behind(lead.as_bytes(), &written))
                .find(|place| place.length == u32::try_from(written.len()).unwrap_or(0))
                .unwrap_or_else(|| line.whole());
            let help = match nearest(&name, known.iter().map(Vec::as_slice)) {
                Some(near) => format!("did you mean ${{{}}}?", shown(near)),
                None => format!("set it: D{}value", shown(&written)),
            };
            let text = format!("macro ${} is used and never set", shown(&written));
            problems.push(Problem::new(Code::UndefinedMacro, place, text).help(help));
        }
    }
    problems
}

/// The macros whose value a line wants; those it asks for with `$?` are not counted.
fn used_in(line: &Statement, names: &mut MacroNames) -> Vec<MacroId> {
    let mut condition: &[u8] = b"";
    let text = match (line.command(), line.rest()) {
        // Between the question marks a macro is only asked for.
        (b'H', [b'?', conditional @ ..]) => match memchr::memchr(b'?', conditional) {
            Some(end) => {
                condition = conditional.get(..end).unwrap_or_default();
                conditional.get(end..).unwrap_or_default()
            }
            None => conditional,
        },
        (b'D' | b'C' | b'F', rest) => {
            let (_, taken) = names.parse(rest, &mut Vec::new());
            rest.get(taken..).unwrap_or_default()
        }
        (b'K', _) => b"",
        (_, rest) => rest,
    };
    let symbols: Vec<(Mark, u16)> = Template::parse(text, names).symbols().collect();
    let mut asked: BTreeSet<u16> = symbols
        .iter()
        .filter(|(mark, _)| *mark == Mark::If)
        .map(|(_, id)| *id)
        .collect();
    asked.extend(
        Template::parse(condition, names)
            .symbols()
            .map(|(_, id)| id),
    );
    symbols
        .into_iter()
        .filter(|(mark, id)| matches!(mark, Mark::Macro | Mark::Deferred) && !asked.contains(id))
        .map(|(_, id)| MacroId::from_number(id))
        .collect()
}

/// The program sets its own long names and reserves the small letters.
fn is_set_by_the_program(id: MacroId, names: &MacroNames) -> bool {
    match *names.name(id) {
        [] => true,
        [letter] => letter.is_ascii_lowercase() || letter == b'_' || !letter.is_ascii_alphabetic(),
        _ => MacroNames::new().find(&names.name(id)).is_some(),
    }
}

/// Macros that rules set through maps of class `macro`: `$(storage {name} $@ value $)`.
fn stored_by_maps(config: &Config, sheet: &Sheet) -> BTreeSet<MacroId> {
    let mut found = BTreeSet::new();
    for line in sheet.of(b'R') {
        let text = &line.text;
        for at in memchr::memchr_iter(b'{', text) {
            let before = text.get(..at).and_then(<[u8]>::last);
            if before.is_some_and(|byte| b"$&=~?".contains(byte)) {
                continue;
            }
            let name = text.get(at + 1..).unwrap_or_default();
            let end = memchr::memchr(b'}', name).unwrap_or(0);
            found.extend(name.get(..end).and_then(|name| config.names.find(name)));
        }
    }
    found
}

/// Classes that rules ask for and that no line fills.
pub(super) fn empty_classes(config: &Config, sheet: &Sheet, idle: &BTreeSet<u32>) -> Vec<Problem> {
    let is_m4 = is_made_by_m4(config);
    let mut names = config.names.clone();
    let mut filled: BTreeSet<MacroId> = BTreeSet::new();
    for letter in [b'C', b'F'] {
        for line in sheet.of(letter) {
            filled.extend(names.parse(line.rest(), &mut Vec::new()).0);
        }
    }
    // These the program fills, or T lines do.
    filled.extend([b'k', b'm', b't', b'w'].map(MacroId::letter));
    let known: Vec<Vec<u8>> = filled.iter().map(|id| names.name(*id)).collect();
    let mut told = BTreeSet::new();
    let mut problems = Vec::new();
    for id in all_rulesets() {
        for rule in config.rules.rules(id) {
            if idle.contains(&rule.line) {
                continue;
            }
            for class in classes_of(rule, config) {
                let has_words = config
                    .classes
                    .get(ClassId(class))
                    .is_some_and(|set| !set.is_empty());
                let is_spare = is_m4 && belongs_to_m4(&names.name(class));
                if has_words || is_spare || filled.contains(&class) || !told.insert(class) {
                    continue;
                }
                let Some(line) = sheet.statement(rule.line) else {
                    continue;
                };
                let written = names.written(class);
                let place = line.find_behind(b"$=", &written);
                let text = format!("class ${}{} is never filled", '=', shown(&written));
                let near = nearest(&names.name(class), known.iter().map(Vec::as_slice));
                let help = match near {
                    Some(near) => format!("did you mean $={{{}}}?", shown(near)),
                    None => format!(
                        "fill it with C{0} words or F{0} file; until then the rule matches nothing",
                        shown(&written)
                    ),
                };
                problems.push(Problem::new(Code::EmptyClass, place, text).help(help));
            }
        }
    }
    problems
}

fn classes_of(rule: &Rule, config: &Config) -> Vec<MacroId> {
    rule.pattern_tokens(&config.rules)
        .iter()
        .filter(|token| token.mark() == Some(Mark::InClass))
        .map(|token| MacroId::from_number(token.argument()))
        .collect()
}

/// Definitions that take the place of earlier ones and differ from them.
pub(super) fn redefinitions(config: &Config, sheet: &Sheet) -> Vec<Problem> {
    let mut names = config.names.clone();
    // Kind and name in lower case, to value and line.
    let mut earlier = BTreeMap::<(&str, Vec<u8>), (Vec<u8>, u32)>::new();
    let mut problems = Vec::new();
    for line in &sheet.statements {
        let Some((what, name, value)) = definition(line, &mut names) else {
            continue;
        };
        let key = (what, name.to_ascii_lowercase());
        let place = line.find(&name);
        match earlier.insert(key, (value.clone(), place.line)) {
            Some((old, old_line)) if old != value => {
                let text = format!(
                    "{what} {} takes the place of the one in line {old_line}",
                    shown(&name)
                );
                let help = "remove one of them";
                problems.push(Problem::new(Code::Redefined, place, text).help(help));
            }
            _ => {}
        }
    }
    problems
}

/// What a line defines: kind, name and value.
fn definition(
    line: &Statement,
    names: &mut MacroNames,
) -> Option<(&'static str, Vec<u8>, Vec<u8>)> {
    let rest = line.rest();
    let of_name = |what: &'static str, end: fn(&u8) -> bool| {
        let length = rest.iter().position(end)?;
        let (name, value) = rest.split_at(length);
        (!name.is_empty()).then(|| (what, name.to_vec(), value.to_vec()))
    };
    match line.command() {
        b'D' => {
            let (id, taken) = names.parse(rest, &mut Vec::new());
            let value = rest.get(taken..).unwrap_or_default();
            Some(("macro", names.written(id?), value.to_vec()))
        }
        b'K' => of_name("map", u8::is_ascii_whitespace),
        b'M' => {
            let (name, value) = split_name(rest);
            (!name.is_empty()).then(|| ("mailer", name.to_vec(), value.to_vec()))
        }
        b'P' => of_name("precedence", |byte| *byte == b'='),
        b'V' => Some(("level", b"V".to_vec(), rest.to_vec())),
        b'O' => {
            let Recognized {
                spec,
                suboption,
                value,
            } = recognize(rest)?;
            if CUMULATIVE.contains(&spec.name) || (spec.name == "Timeout" && suboption.is_none()) {
                return None;
            }
            let mut name = spec.name.as_bytes().to_vec();
            if let Some(suboption) = suboption {
                name.push(b'.');
                name.extend_from_slice(suboption);
            }
            Some(("option", name, value.to_vec()))
        }
        _ => None,
    }
}
