//! Text with `$x`, `$&x` and `$?x..$|..$.`.
//!
//! A line of the configuration is cut into parts once; expanding it then only
//! copies. A macro whose value is itself a template is expanded in turn, down to
//! a depth of ten. Other `$` symbols stand in the text as marks
//! ([`crate::token::mark`]), which only rules understand.
//!
//! A conditional without `$.` runs to the end of the text, and `$|` or `$.`
//! outside of one is a plain symbol (observed: 8.17.1.9).

use std::ops::Range;

use super::id::MacroId;
use super::names::MacroNames;
use super::table::{MacroValue, Macros};
use crate::token::mark::{Mark, QUOTE, Unit, push_plain, unit_at};

/// Deepest nesting of macros inside macros (MaxMacroRecursion).
const MAX_DEPTH: u32 = 10;
/// Longest expanded text in octets (MACBUFSIZE less its end mark).
const MAX_EXPANSION: usize = 4_095;
/// Most macros that one expansion may look into. Macros that name each other many times make
/// exponentially many, also without any text; the reference, which goes over the whole text
/// once for each level, sees at most so many.
const MAX_LOOKS: usize = MAX_DEPTH as usize * MAX_EXPANSION;

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
    /// Plain octets: a piece of the source.
    Text(Range<u32>),
    /// A symbol with its argument, among them `$x`, `$?x`, `$|` and `$.`.
    Symbol(Mark, u16),
}

/// An expansion on its way, and where it stands among conditionals.
struct Expansion<'a, 'm> {
    macros: &'a Macros<'m>,
    out: &'a mut Vec<u8>,
    limit: usize,
    result: Result<(), RecursionTooDeep>,
    depth: u32,
    skipping: bool,
    skipped_depth: i64,
    looks_left: usize,
}

impl<'a, 'm> Expansion<'a, 'm> {
    fn new(macros: &'a Macros<'m>, out: &'a mut Vec<u8>) -> Expansion<'a, 'm> {
        Expansion {
            limit: out.len() + MAX_EXPANSION,
            macros,
            out,
            result: Ok(()),
            depth: 0,
            skipping: false,
            skipped_depth: 0,
            looks_left: MAX_LOOKS,
        }
    }

    fn template(&mut self, template: &Template, nesting: u32) {
        for part in &template.parts {
            if self.out.len() >= self.limit {
                return;
            }
            self.part(part, &template.source, nesting);
        }
    }

    fn text(&mut self, text: &[u8]) {
        let room = self.limit.saturating_sub(self.out.len());
        push_plain(text.get(..room).unwrap_or(text), self.out);
    }

    fn look_into(&mut self, template: &Template, nesting: u32) {
        let Some(left) = self.looks_left.checked_sub(1) else {
            self.result = Err(RecursionTooDeep);
            return;
        };
        self.looks_left = left;
        if nesting < MAX_DEPTH {
            self.template(template, nesting + 1);
        } else {
            self.result = Err(RecursionTooDeep);
            if self.out.len() < self.limit {
                template.push_marked(self.out);
            }
        }
    }

    fn part(&mut self, part: &Part, source: &[u8], nesting: u32) {
        match part {
            Part::Text(_) if self.skipping => {}
            Part::Text(piece) => self.text(text_of(source, piece)),
            Part::Symbol(Mark::If, macro_number) => {
                self.depth += 1;
                if self.skipping {
                    self.skipped_depth += 1;
                } else {
                    self.skipping = !self.macros.is_set(MacroId::from_number(*macro_number));
                }
            }
            Part::Symbol(Mark::Else, _) if self.depth > 0 => {
                if self.skipped_depth == 0 {
                    self.skipping = !self.skipping;
                }
            }
            Part::Symbol(Mark::EndIf, _) if self.depth > 0 => {
                self.depth -= 1;
                if self.skipped_depth == 0 {
                    self.skipping = false;
                }
                if self.skipping {
                    self.skipped_depth -= 1;
                }
            }
            Part::Symbol(..) if self.skipping => {}
            Part::Symbol(Mark::Macro, macro_number) => {
                match self.macros.get(MacroId::from_number(*macro_number)) {
                    None => {}
                    Some(MacroValue::Text(text)) => self.text(text),
                    Some(MacroValue::Template(template)) => self.look_into(template, nesting),
                }
            }
            Part::Symbol(mark, argument) => {
                if self.out.len() < self.limit {
                    mark.push(*argument, self.out);
                }
            }
        }
    }
}

impl Template {
    /// Cuts `source`; what is wrong with names in it goes to `errors`, in the reference's words.
    pub fn parse_reporting(
        source: &[u8],
        names: &mut MacroNames,
        errors: &mut Vec<Vec<u8>>,
    ) -> Template {
        let mut parts = Vec::new();
        cut(source, names, errors, &mut |part| parts.push(part));
        Template {
            parts,
            source: source.to_vec(),
        }
    }

    /// Complains about names in `source` that are none, as [`Template::parse_reporting`] does.
    pub fn check_names(source: &[u8], names: &mut MacroNames, errors: &mut Vec<Vec<u8>>) {
        cut(source, names, errors, &mut |_| ());
    }

    /// Cuts `source` and forgets what is wrong with names in it.
    pub fn parse(source: &[u8], names: &mut MacroNames) -> Template {
        Template::parse_reporting(source, names, &mut Vec::new())
    }

    /// Makes a template of text without any symbols; dollar signs mean themselves.
    pub fn plain(text: &[u8]) -> Template {
        let parts = match text {
            [] => Vec::new(),
            _ => vec![Part::Text(piece(0, text.len()))],
        };
        Template {
            parts,
            source: text.to_vec(),
        }
    }

    /// Expands `source` as [`Template::parse_reporting`] and [`Template::expand_marked`] would, in one go.
    ///
    /// # Errors
    /// [`RecursionTooDeep`]; what was expanded up to there is in `out`.
    pub fn expand_source(
        source: &[u8],
        macros: &Macros<'_>,
        names: &mut MacroNames,
        errors: &mut Vec<Vec<u8>>,
        out: &mut Vec<u8>,
    ) -> Result<(), RecursionTooDeep> {
        let mut expansion = Expansion::new(macros, out);
        cut(source, names, errors, &mut |part| {
            expansion.part(&part, source, 0);
        });
        expansion.result
    }

    /// Returns the text this was cut from.
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// Says whether there is no text at all.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Returns the symbols of the text in their order, each with its argument.
    pub fn symbols(&self) -> impl Iterator<Item = (Mark, u16)> {
        self.parts.iter().filter_map(|part| match part {
            Part::Symbol(mark, argument) => Some((*mark, *argument)),
            Part::Text(_) => None,
        })
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
        let mut expansion = Expansion::new(macros, out);
        expansion.template(self, 0);
        expansion.result
    }

    /// Appends the text unexpanded, as marked text.
    pub fn push_marked(&self, out: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                Part::Text(piece) => push_plain(text_of(&self.source, piece), out),
                Part::Symbol(mark, argument) => mark.push(*argument, out),
            }
        }
    }
}

/// A piece of a source; what lies behind four gigabytes is out of reach.
fn piece(first: usize, last: usize) -> Range<u32> {
    let number = |at| u32::try_from(at).unwrap_or(u32::MAX);
    number(first)..number(last)
}

fn text_of<'t>(source: &'t [u8], piece: &Range<u32>) -> &'t [u8] {
    source
        .get(piece.start as usize..piece.end as usize)
        .unwrap_or(b"")
}

/// Cuts `source` and hands out its parts in order.
fn cut(
    source: &[u8],
    names: &mut MacroNames,
    errors: &mut Vec<Vec<u8>>,
    each: &mut impl FnMut(Part),
) {
    let mut first = 0;
    let mut at = 0;
    while let Some(dollar) = memchr::memchr(b'$', source.get(at..).unwrap_or(b"")) {
        let dollar = at + dollar;
        at = dollar + 1;
        let rest = source.get(at..).unwrap_or(b"");
        let Some(&next) = rest.first() else {
            break;
        };
        // Two dollar signs are one that means itself.
        let plain_end = if next == b'$' { at } else { dollar };
        if plain_end > first {
            each(Part::Text(piece(first, plain_end)));
        }
        if next == b'$' {
            at += 1;
        } else {
            let (symbol, taken) = read_symbol(rest, names, errors);
            at += taken;
            if let Some((mark, argument)) = symbol {
                each(Part::Symbol(mark, argument));
            }
        }
        first = at;
    }
    if source.len() > first {
        each(Part::Text(piece(first, source.len())));
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

    #[test]
    fn macros_that_use_each_other_many_times_end_soon() {
        // Without an end to the text this would be 3^10 times the text of x.
        let text = expand("$x", &[("x", "some text $x $x $x")]);
        assert!(text.len() < MAX_EXPANSION + 100, "{}", text.len());
        // And this 40^10 times nothing at all.
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
        let values: Vec<String> = (1..=names.len())
            .map(|next| {
                names
                    .get(next)
                    .map_or(String::new(), |n| format!("${n}").repeat(40))
            })
            .collect();
        let defined: Vec<(&str, &str)> = names
            .iter()
            .zip(&values)
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        assert_eq!(expand("$a.", &defined), ".");
    }
}
