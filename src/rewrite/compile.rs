//! One R line to a rule.
//!
//! Both sides have their macros expanded now and are cut into tokens; what may
//! change later stays as `$&x`. A side that is wrong is reported in the
//! reference's words and replaced by nothing, so that the rest of the file can
//! still be read. Source: guide 5.1; messages observed: 8.17.1.9.

use super::book::{Found, Rule, RuleBook};
use super::gate::Gate;
use crate::macros::{MacroNames, Macros, Template};
use crate::smtp::Reply;
use crate::text::bytes::shorten;
use crate::token::mark::end_after;
use crate::token::tokenizer::MAX_RULE_SIDE;
use crate::token::{
    AddressSyntax, Faults, Mark, Parentheses, Reading, RulesetId, Token, TokenizeOptions,
    print_marked, tokenize_into,
};

/// Most wildcards of one pattern (MAXMATCH).
pub(crate) const MAX_WILDCARDS: usize = 9;
/// Most arguments of one map lookup, the key included (MAX_MAP_ARGS).
pub(crate) const MAX_MAP_ARGUMENTS: usize = 10;
/// Longest text shown in front of a message; longer ones lose their middle.
const MAX_SHOWN: usize = 203;
/// First level of configuration files whose rules keep parentheses.
const PARENTHESES_LEVEL: u8 = 9;

/// What the reader of a configuration knows while it compiles a rule.
pub struct RuleSource<'a, 'm> {
    /// Values for the macros expanded now.
    pub macros: &'a Macros<'m>,
    /// Names, to which new ones are added.
    pub names: &'a mut MacroNames,
    /// Operators in force at this line.
    pub syntax: &'a AddressSyntax,
    /// Line number in the file.
    pub line: u32,
    /// Debug level of [`CUTTING_CATEGORY`].
    pub trace_level: u8,
}

/// The debug category that tells how text is cut into tokens.
pub const CUTTING_CATEGORY: u8 = 22;
/// Level from which the text to be cut is shown, and level from which its tokens are.
pub(crate) const CUTTING_TEXT: u8 = 11;
pub(crate) const CUTTING_TOKENS: u8 = 12;

/// What is to be told about a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// Something is wrong with it.
    Fault(Vec<u8>),
    /// A line of a trace.
    Trace(Vec<u8>),
}

/// Makes faults of texts.
fn add_faults(remarks: &mut Vec<Remark>, texts: Vec<Vec<u8>>) {
    remarks.extend(texts.into_iter().map(Remark::Fault));
}

impl RuleBook {
    /// Adds the rule of an R line, given without its `R`, to a ruleset.
    ///
    /// Messages and traces go to `remarks`, without file and line.
    pub fn add_rule(
        &mut self,
        ruleset: RulesetId,
        text: &[u8],
        source: &mut RuleSource<'_, '_>,
        remarks: &mut Vec<Remark>,
    ) {
        let mut errors = Vec::new();
        let tab = text.iter().position(|&c| c == b'\t');
        let broken = unclosed_name(text, tab.unwrap_or(text.len()));
        let Some(tab) = tab.filter(|_| broken.is_none()) else {
            if broken.is_none() {
                Template::check_names(text, source.names, &mut errors);
            }
            let mut shown = source.names.told(text);
            if let Some(brace) = broken {
                let dollar = text
                    .get(..brace)
                    .and_then(|head| head.iter().rposition(|&c| c == b'$'))
                    .unwrap_or(0);
                let rest = text.get(dollar..).unwrap_or(b"");
                Template::check_names(rest, source.names, &mut errors);
                shown = source.names.told(text.get(..=brace).unwrap_or(text));
            }
            errors.push(
                [
                    b"invalid rewrite line \"R".as_slice(),
                    &shown,
                    b"\" (tab expected)",
                ]
                .concat(),
            );
            add_faults(remarks, errors);
            return;
        };
        let rest = text.get(tab..).unwrap_or_default();
        let right_start = rest.iter().take_while(|&&c| c == b'\t').count();
        let right = rest.get(right_start..).unwrap_or(b"");
        let has_remark = right.contains(&b'\t');
        let right = up_to_tab(right);
        let left = up_to_tab(text);

        // Names are read in the whole line before either side is cut.
        let mut left_errors = Vec::new();
        let left_text = expanded(left, source, &mut left_errors);
        // The tab that ends a side would have been the name.
        let mut right_errors = Vec::new();
        let right_text = expanded(right, source, &mut right_errors);
        let sides = [(left, left_errors, true), (right, right_errors, has_remark)];
        for (side, mut found, ends_in_tab) in sides {
            if ends_in_tab && wants_name(side) {
                found.retain(|text| text != b"Name required for macro/class");
            }
            errors.append(&mut found);
        }
        add_faults(remarks, std::mem::take(&mut errors));
        know_stored_names(&right_text, source.names);
        let pattern = self.cut(&left_text, source, &mut errors, remarks);
        let mut wildcards = 0;
        match &pattern {
            Some(range) => {
                wildcards = check_pattern(self.slice(range), &mut errors);
                if wildcards > MAX_WILDCARDS {
                    errors.push(b"R line: too many wildcards".to_vec());
                }
            }
            None => errors.push(b"R line: null LHS".to_vec()),
        }
        let empty = 0..0;
        let pattern = match pattern {
            Some(range) if wildcards <= MAX_WILDCARDS => range,
            _ => empty.clone(),
        };
        add_faults(remarks, std::mem::take(&mut errors));
        let replacement = self.cut(&right_text, source, &mut errors, remarks);
        match &replacement {
            Some(range) => check_replacement(self.slice(range), wildcards, &mut errors),
            None => errors.push(b"R line: null RHS".to_vec()),
        }
        add_faults(remarks, errors);
        let replacement = replacement.unwrap_or(empty);
        let rule = Rule {
            gate: Gate::of(self.slice(&pattern)),
            found: Found::of(self.slice(&replacement)),
            pattern,
            replacement,
            line: source.line,
        };
        self.push_rule(ruleset, rule);
    }

    fn slice(&self, range: &std::ops::Range<u32>) -> &[Token] {
        self.tokens
            .get(range.start as usize..range.end as usize)
            .unwrap_or(&[])
    }

    fn tokens_line(&self, side: &[Token], names: &MacroNames) -> Vec<u8> {
        let mut line = b"prescan==> ".to_vec();
        self.print_side(side, names, &mut line);
        // Each token has its blank in front in traces, and behind it in listings.
        line.pop();
        line
    }

    /// Cuts one side; `None` when no token is left.
    fn cut(
        &mut self,
        marked: &[u8],
        source: &mut RuleSource<'_, '_>,
        errors: &mut Vec<Vec<u8>>,
        remarks: &mut Vec<Remark>,
    ) -> Option<std::ops::Range<u32>> {
        let options = TokenizeOptions {
            delimiter: Some(b'\t'),
            reading: Reading::Marked,
            parentheses: if source.syntax.level >= PARENTHESES_LEVEL {
                Parentheses::Operators
            } else {
                Parentheses::Comments
            },
            faults: Faults::Ignore,
        };
        if source.trace_level >= CUTTING_TEXT {
            remarks.push(Remark::Trace(text_line(marked, source.names)));
        }
        let first = self.tokens.len();
        let mut complaints = Vec::new();
        let (_, result) = tokenize_into(
            marked,
            options,
            source.syntax,
            &mut self.text,
            &mut self.tokens,
            &mut complaints,
        );
        for complaint in complaints {
            // Whoever reads it is shown the text, not a reply code.
            let mut about = shorten(&complaint.about, MAX_SHOWN);
            about.iter_mut().for_each(|octet| *octet &= 0x7f);
            let words = Reply::from_text(&complaint.text);
            let words = words.map_or(complaint.text, |reply| reply.text().to_vec());
            errors.push([&about, b"... ".as_slice(), &words].concat());
        }
        for token in self.tokens.iter_mut().skip(first) {
            *token = token.in_rules();
        }
        if source.trace_level >= CUTTING_TOKENS {
            let tokens = self.tokens.get(first..).unwrap_or(&[]);
            remarks.push(Remark::Trace(self.tokens_line(tokens, source.names)));
        }
        if source.trace_level > 0 && self.tokens.len() == first {
            remarks.push(Remark::Trace(NULL_TOKEN.to_vec()));
        }
        if result.is_err() {
            self.tokens.truncate(first);
            return None;
        }
        let first = u32::try_from(first).ok()?;
        let last = u32::try_from(self.tokens.len()).ok()?;
        Some(first..last)
    }
}

/// Expands the macros of one side as far as they are known now.
fn expanded(text: &[u8], source: &mut RuleSource<'_, '_>, errors: &mut Vec<Vec<u8>>) -> Vec<u8> {
    let mut marked = Vec::with_capacity(text.len());
    let done = Template::expand_source(text, source.macros, source.names, errors, &mut marked);
    if let Err(fault) = done {
        errors.push(fault.to_string().into_bytes());
    }
    marked.truncate(end_after(&marked, MAX_RULE_SIDE));
    marked
}

/// Makes known the names a map of class `macro` may be handed: they can be asked for later.
fn know_stored_names(text: &[u8], names: &mut MacroNames) {
    for part in text.split(|&c| c == b'{').skip(1) {
        let length = part
            .iter()
            .take_while(|c| c.is_ascii_alphanumeric() || **c == b'_')
            .count();
        let (name, rest) = part.split_at(length);
        if name.len() > 1 && rest.first() == Some(&b'}') {
            names.intern(name);
        }
    }
}

/// Told of text without any token.
pub(crate) const NULL_TOKEN: &[u8] = b"prescan: null leading token";

/// Gives the line that shows marked text before it is cut.
///
/// Observed: 8.17.1.9 (`prescan: $* <@>`).
pub(crate) fn text_line(marked: &[u8], names: &MacroNames) -> Vec<u8> {
    let mut line = b"prescan: ".to_vec();
    print_marked(marked, names, &mut line);
    line
}

/// Finds a name in braces that is still open at `end`; returns where its brace is.
fn unclosed_name(text: &[u8], end: usize) -> Option<usize> {
    let head = text.get(..end)?;
    let open = head.iter().rposition(|&c| c == b'{')?;
    let is_name = matches!(
        head.get(..open)?,
        [.., b'$'] | [.., b'$', b'=' | b'~' | b'&' | b'?']
    );
    (is_name && !head.get(open..)?.contains(&b'}')).then_some(open)
}

/// Cuts at the first tab.
///
/// A dollar sign in front of it takes the tab for its name, and is nothing without it.
/// Observed: 8.17.1.9.
fn up_to_tab(text: &[u8]) -> &[u8] {
    let Some(tab) = memchr::memchr(b'\t', text) else {
        return text;
    };
    let side = text.get(..tab).unwrap_or_default();
    let dollars = side.iter().rev().take_while(|&&c| c == b'$').count();
    side.get(..side.len() - dollars % 2).unwrap_or_default()
}

/// Says whether a side ends in a symbol that wants a name.
fn wants_name(side: &[u8]) -> bool {
    matches!(side, [.., b'$', b'=' | b'~' | b'&'])
}

/// Counts the wildcards of a pattern and reports what has no place there.
fn check_pattern(tokens: &[Token], errors: &mut Vec<Vec<u8>>) -> usize {
    let mut wildcards = 0;
    for token in tokens {
        let misplaced = match token.mark() {
            Some(
                Mark::AnyTokens
                | Mark::SomeTokens
                | Mark::OneToken
                | Mark::InClass
                | Mark::NotInClass,
            ) => {
                wildcards += 1;
                None
            }
            Some(Mark::Position) => Some("$1-$9"),
            Some(Mark::User) => Some("$:"),
            Some(Mark::Call) => Some("$>"),
            Some(Mark::If) => Some("$?"),
            Some(Mark::EndIf) => Some("$."),
            Some(Mark::HostBegin) => Some("$["),
            Some(Mark::HostEnd) => Some("$]"),
            Some(Mark::LookupBegin) => Some("$("),
            Some(Mark::LookupEnd) => Some("$)"),
            Some(Mark::Mailer | Mark::Host | Mark::Else | Mark::Deferred | Mark::Macro) | None => {
                None
            }
        };
        if let Some(symbol) = misplaced {
            errors.push(format!("Inappropriate use of {symbol} on LHS").into_bytes());
        }
    }
    wildcards
}

/// Reports what is wrong with a replacement.
fn check_replacement(tokens: &[Token], wildcards: usize, errors: &mut Vec<Vec<u8>>) {
    let mut closing = None;
    let mut arguments = 0;
    for token in tokens {
        let misplaced = match token.mark() {
            Some(Mark::Position) => {
                let digit = u8::try_from(token.argument()).unwrap_or(b'0');
                if digit <= b'0' || usize::from(digit - b'0') > wildcards {
                    errors.push(
                        format!("replacement ${} out of bounds", char::from(digit)).into_bytes(),
                    );
                }
                None
            }
            Some(Mark::AnyTokens) => Some("$*"),
            Some(Mark::SomeTokens) => Some("$+"),
            Some(Mark::OneToken) => Some("$-"),
            Some(Mark::InClass) => Some("$="),
            Some(Mark::NotInClass) => Some("$~"),
            Some(Mark::Host) => {
                if closing.is_some() {
                    arguments += 1;
                    if arguments >= MAX_MAP_ARGUMENTS {
                        errors.push(b"too many arguments for map lookup".to_vec());
                    }
                }
                None
            }
            Some(open @ (Mark::HostBegin | Mark::LookupBegin)) => {
                if closing.is_some() {
                    errors.push(b"cannot nest map lookups".to_vec());
                }
                closing = Some(match open {
                    Mark::HostBegin => Mark::HostEnd,
                    _ => Mark::LookupEnd,
                });
                arguments = 0;
                None
            }
            Some(close @ (Mark::HostEnd | Mark::LookupEnd)) => {
                if closing == Some(close) {
                    closing = None;
                }
                None
            }
            Some(
                Mark::Mailer
                | Mark::User
                | Mark::Call
                | Mark::If
                | Mark::Else
                | Mark::EndIf
                | Mark::Deferred
                | Mark::Macro,
            )
            | None => None,
        };
        if let Some(symbol) = misplaced {
            errors.push(format!("Inappropriate use of {symbol} on RHS").into_bytes());
        }
    }
    if closing.is_some() {
        errors.push(b"missing map closing token".to_vec());
    }
}
