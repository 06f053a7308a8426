//! Text with `$x`, `$&x` and `$?x..$|..$.`.
//!
//! A line of the configuration is cut into parts once; expanding it then only
//! copies. A macro whose value is itself a template is expanded in turn, down to
//! a depth of ten. Other `$` symbols stand in the text as marks
//! ([`crate::token::mark`]), which only rules understand.
//!
//! A conditional without `$.` runs to the end of the text, and `$|` or `$.`
//! outside of one is a plain symbol (observed: 8.17.1.9).

use super::id::MacroId;
use super::names::MacroNames;
use super::table::{MacroValue, Macros};
use crate::token::mark::{Mark, QUOTE, Unit, push_plain, unit_at};

/// Deepest nesting of macros inside macros (MaxMacroRecursion).
const MAX_DEPTH: u32 = 10;
/// Longest expanded text in octets (MACBUFSIZE less its end mark).
const MAX_EXPANSION: usize = 4_095;

/// A macro that uses itself, or a nesting deeper than any sane configuration has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecursionTooDeep;

impl std::fmt::Display for RecursionTooDeep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "expand: recursion too deep ({MAX_DEPTH} max)")
    }
}

impl std::error::Error for RecursionTooDeep {}

/// Text with macros, ready to be expanded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
    source: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Plain octets.
    Text(Vec<u8>),
    /// A symbol with its argument, among them `$x`, `$?x`, `$|` and `$.`.
    Symbol(Mark, u16),
}

/// Where an expansion stands among conditionals.
#[derive(Default)]
struct Conditionals {
    depth: u32,
    skipping: bool,
    skipped_depth: i64,
}

impl Template {
    /// Cuts `source`; what is wrong with names in it goes to `errors`, in the reference's words.
    pub fn parse_reporting(
        source: &[u8],
        names: &mut MacroNames,
        errors: &mut Vec<Vec<u8>>,
    ) -> Template {
        let mut parts = Vec::new();
        let mut text = Vec::new();
        let mut at = 0;
        while let Some(&octet) = source.get(at) {
            at += 1;
            if octet != b'$' {
                text.push(octet);
                continue;
            }
            let Some(&next) = source.get(at) else {
                text.push(octet);
                continue;
            };
            if next == b'$' {
                text.push(octet);
                at += 1;
                continue;
            }
            let rest = source.get(at..).unwrap_or(b"");
            let (symbol, taken) = read_symbol(rest, names, errors);
            at += taken;
            if let Some((mark, argument)) = symbol {
                if !text.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut text)));
                }
                parts.push(Part::Symbol(mark, argument));
            }
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Template {
            parts,
            source: source.to_vec(),
        }
    }

    /// Cuts `source` and forgets what is wrong with names in it.
    pub fn parse(source: &[u8], names: &mut MacroNames) -> Template {
        Template::parse_reporting(source, names, &mut Vec::new())
    }

    /// Makes a template of text without any symbols; dollar signs mean themselves.
    pub fn plain(text: &[u8]) -> Template {
        let parts = match text {
            [] => Vec::new(),
            _ => vec![Part::Text(text.to_vec())],
        };
        Template {
            parts,
            source: text.to_vec(),
        }
    }

    /// Returns the text this was cut from.
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// Says whether there is no text at all.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Says whether the text uses `id`, as `$x` or `$&x`.
    pub fn uses(&self, id: MacroId) -> bool {
        self.parts.iter().any(|part| {
            matches!(part, Part::Symbol(Mark::Macro | Mark::Deferred, n) if *n == id.number())
        })
    }

    /// Appends the expanded text to `out`; too deep a nesting is cut off.
    pub fn expand(&self, macros: &Macros<'_>, out: &mut Vec<u8>) {
        let mut marked = Vec::new();
        let _ = self.expand_marked(macros, &mut marked);
        unmark(&marked, out);
    }

    /// Returns the expanded text.
    pub fn expanded(&self, macros: &Macros<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        self.expand(macros, &mut out);
        out
    }

    /// Appends the expanded text as marked text, for rules.
    ///
    /// # Errors
    /// [`RecursionTooDeep`]; what was expanded up to there is in `out`.
    pub fn expand_marked(
        &self,
        macros: &Macros<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), RecursionTooDeep> {
        let mut result = Ok(());
        let mut conditionals = Conditionals::default();
        let limit = out.len() + MAX_EXPANSION;
        self.expand_into(macros, 0, &mut conditionals, limit, out, &mut result);
        result
    }

    fn expand_into(
        &self,
        macros: &Macros<'_>,
        depth: u32,
        conditionals: &mut Conditionals,
        limit: usize,
        out: &mut Vec<u8>,
        result: &mut Result<(), RecursionTooDeep>,
    ) {
        for part in &self.parts {
            match part {
                Part::Text(text) => {
                    if !conditionals.skipping {
                        let room = limit.saturating_sub(out.len());
                        push_plain(text.get(..room).unwrap_or(text), out);
                    }
                }
                Part::Symbol(Mark::If, macro_number) => {
                    conditionals.depth += 1;
                    if conditionals.skipping {
                        conditionals.skipped_depth += 1;
                    } else {
                        conditionals.skipping = !macros.is_set(MacroId::from_number(*macro_number));
                    }
                }
                Part::Symbol(Mark::Else, _) if conditionals.depth > 0 => {
                    if conditionals.skipped_depth == 0 {
                        conditionals.skipping = !conditionals.skipping;
                    }
                }
                Part::Symbol(Mark::EndIf, _) if conditionals.depth > 0 => {
                    conditionals.depth -= 1;
                    if conditionals.skipped_depth == 0 {
                        conditionals.skipping = false;
                    }
                    if conditionals.skipping {
                        conditionals.skipped_depth -= 1;
                    }
                }
                Part::Symbol(Mark::Macro, macro_number) => {
                    if conditionals.skipping {
                        continue;
                    }
                    match macros.get(MacroId::from_number(*macro_number)) {
                        None => {}
                        Some(MacroValue::Text(text)) => {
                            let room = limit.saturating_sub(out.len());
                            push_plain(text.get(..room).unwrap_or(text), out);
                        }
                        Some(MacroValue::Template(template)) if depth < MAX_DEPTH => {
                            template.expand_into(
                                macros,
                                depth + 1,
                                conditionals,
                                limit,
                                out,
                                result,
                            );
                        }
                        Some(MacroValue::Template(template)) => {
                            *result = Err(RecursionTooDeep);
                            template.push_marked(out);
                        }
                    }
                }
                Part::Symbol(mark, argument) => {
                    if !conditionals.skipping && out.len() < limit {
                        mark.push(*argument, out);
                    }
                }
            }
        }
    }

    /// Appends the text unexpanded, as marked text.
    pub fn push_marked(&self, out: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                Part::Text(text) => push_plain(text, out),
                Part::Symbol(mark, argument) => mark.push(*argument, out),
            }
        }
    }
}

/// Reads what stands behind a dollar sign; returns it and how many octets it takes.
fn read_symbol(
    rest: &[u8],
    names: &mut MacroNames,
    errors: &mut Vec<Vec<u8>>,
) -> (Option<(Mark, u16)>, usize) {
    let Some(&first) = rest.first() else {
        return (None, 0);
    };
    if first.is_ascii_digit() {
        return (Some((Mark::Position, u16::from(first))), 1);
    }
    match Mark::from_character(first) {
        Some(mark @ (Mark::InClass | Mark::NotInClass | Mark::Deferred | Mark::If)) => {
            let (id, taken) = names.parse(rest.get(1..).unwrap_or(b""), errors);
            (Some((mark, id.map_or(0, MacroId::number))), taken + 1)
        }
        Some(mark) => (Some((mark, 0)), 1),
        None => {
            let (id, taken) = names.parse(rest, errors);
            (id.map(|id| (Mark::Macro, id.number())), taken)
        }
    }
}

/// Turns marked text into what the outside world sees.
fn unmark(marked: &[u8], out: &mut Vec<u8>) {
    if !marked
        .iter()
        .any(|&o| o == QUOTE || Mark::from_octet(o).is_some())
    {
        out.extend_from_slice(marked);
        return;
    }
    let mut at = 0;
    while let Some((unit, next)) = unit_at(marked, at) {
        match unit {
            Unit::Octet(octet) => out.push(octet),
            Unit::Symbol(mark, argument) => {
                out.push(b'$');
                if mark.character() != 0 {
                    out.push(mark.character());
                }
                if let (true, Ok(letter)) = (mark.has_argument(), u8::try_from(argument)) {
                    out.push(letter);
                }
            }
        }
        at = next;
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::MacroTable;
    use super::*;

    fn expand(text: &str, defined: &[(&str, &str)]) -> String {
        let mut names = MacroNames::new();
        let mut base = MacroTable::new();
        for (name, value) in defined {
            let id = names.intern(name.as_bytes());
            let template = Template::parse(value.as_bytes(), &mut names);
            base.set(id, MacroValue::Template(template));
        }
        let template = Template::parse(text.as_bytes(), &mut names);
        let mut front = MacroTable::new();
        let macros = Macros::new(&mut front, None, &base);
        String::from_utf8(template.expanded(&macros)).unwrap()
    }

    #[test]
    fn texts_expand_as_in_the_reference() {
        let defined = [
            ("x", "Full Name"),
            ("g", "u@h"),
            ("j", "$w.dom"),
            ("w", "host"),
            ("e", ""),
        ];
        for (text, expanded) in [
            ("$g$?x ($x)$.", "u@h (Full Name)"),
            ("$?x$x $.<$g>", "Full Name <u@h>"),
            ("$?y$y $.<$g>", "<u@h>"),
            ("a$?x si $| no $.B", "a si B"),
            ("a$?y si $| no $.B", "a no B"),
            ("a$?e si $| no $.B", "a no B"),
            ("$?x a $?y b $| c $. d $. e", " a  c  d  e"),
            ("$?y a $?x b $| c $. d $. e", " e"),
            ("$?x one", " one"),
            ("$?y one", ""),
            ("price $$5 $j", "price $5 host.dom"),
            ("end$", "end$"),
            ("${w}${nosuch}!", "host!"),
        ] {
            assert_eq!(expand(text, &defined), expanded, "{text}");
        }
    }

    #[test]
    fn a_macro_that_uses_itself_is_cut_off() {
        let mut names = MacroNames::new();
        let mut base = MacroTable::new();
        let template = Template::parse(b"a$x", &mut names);
        base.set(MacroId::X, MacroValue::Template(template.clone()));
        let mut front = MacroTable::new();
        let macros = Macros::new(&mut front, None, &base);
        let mut out = Vec::new();
        assert_eq!(
            template.expand_marked(&macros, &mut out),
            Err(RecursionTooDeep)
        );
    }
}
