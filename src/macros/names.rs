//! Names of macros and classes.
//!
//! Names of one character are their own numbers; longer ones are written in
//! braces. Source: guide 5.2; messages observed: 8.17.1.9.

use std::collections::HashMap;

use super::id::{FIRST_LONG, MacroId, WELL_KNOWN};
use super::told::{LineSymbols, told, told_marked};
use crate::token::SymbolNames;
use crate::token::mark::is_special;

/// Longest name in characters.
const MAX_NAME: usize = 25;
/// Most long names, the program's own included.
const MAX_LONG_NAMES: usize = 4_096;

/// First octet that stands for a long name inside of text (observed: 8.17.1.9).
const FIRST_OCTET: u8 = 0xa0;

/// Names the program mentions before it reads a configuration. Observed: 8.17.1.9.
const MENTIONED_FIRST: &[MacroId] = &[MacroId::DELIVERY_MODE, MacroId::LOAD_AVG];

/// The table of names; grows while a configuration is read.
#[derive(Debug, Clone)]
pub struct MacroNames {
    long: Vec<Vec<u8>>,
    /// Long names in the order in which they were met, the program's own not before their time.
    met: Vec<MacroId>,
    by_name: HashMap<Vec<u8>, u16>,
    shows_octets: bool,
}

impl SymbolNames for MacroNames {
    fn name_of_number(&self, number: u16) -> Vec<u8> {
        self.name(MacroId::from_number(number))
    }

    fn name_of_octet(&self, octet: u8) -> Vec<u8> {
        MacroNames::name_of_octet(self, octet)
    }

    fn octet_of_number(&self, number: u16) -> u8 {
        self.octet_of(MacroId::from_number(number))
    }

    fn shows_octets(&self) -> bool {
        self.shows_octets
    }
}

impl Default for MacroNames {
    fn default() -> Self {
        MacroNames::new()
    }
}

impl MacroNames {
    /// Makes a table that knows the program's own names.
    pub fn new() -> MacroNames {
        let mut names = MacroNames {
            long: Vec::new(),
            met: Vec::new(),
            by_name: HashMap::new(),
            shows_octets: false,
        };
        for name in WELL_KNOWN {
            names.intern(name.as_bytes());
        }
        for id in MENTIONED_FIRST {
            names.meet(*id);
        }
        names
    }

    /// Shows symbols as the octets that stand for them, or not. Observed: 8.17.1.9 (`-d84.1`).
    pub fn show_octets(&mut self, shows: bool) {
        self.shows_octets = shows;
    }

    /// Returns the number of a name written without braces, and makes one if it is new.
    ///
    /// When there are too many names the number is that of a name nobody can write.
    pub fn intern(&mut self, name: &[u8]) -> MacroId {
        if let Some(id) = self.find(name) {
            return id;
        }
        if self.long.len() >= MAX_LONG_NAMES {
            return MacroId::from_number(0);
        }
        let number = FIRST_LONG + u16::try_from(self.long.len()).unwrap_or(0);
        self.long.push(name.to_vec());
        self.by_name.insert(name.to_vec(), number);
        MacroId::from_number(number)
    }

    /// Finds the number of a name written without braces.
    pub fn find(&self, name: &[u8]) -> Option<MacroId> {
        match name {
            [] => None,
            [letter] => Some(MacroId::letter(*letter)),
            _ => self.by_name.get(name).map(|&n| MacroId::from_number(n)),
        }
    }

    /// Returns the name of a macro without braces.
    pub fn name(&self, id: MacroId) -> Vec<u8> {
        match u8::try_from(id.number()) {
            Ok(letter) => vec![letter],
            Err(_) => self
                .long
                .get(usize::from(id.number() - FIRST_LONG))
                .cloned()
                .unwrap_or_default(),
        }
    }

    /// Notes that a long name was mentioned; the first mention counts.
    pub(crate) fn meet(&mut self, id: MacroId) {
        let has_octets = self.met.len() < usize::from(u8::MAX - FIRST_OCTET) + 1;
        if has_octets && id.number() >= FIRST_LONG && !self.met.contains(&id) {
            self.met.push(id);
        }
    }

    /// Returns the octet that stands for a long name inside of text.
    pub(crate) fn octet_of(&self, id: MacroId) -> u8 {
        let index = self.met.iter().position(|met| *met == id);
        let index = index.and_then(|index| u8::try_from(index).ok());
        FIRST_OCTET.saturating_add(index.unwrap_or(0))
    }

    /// Returns what is to be known to show texts of a line; none for a line without any symbol.
    pub(crate) fn symbols_in(&self, line: &[u8]) -> Option<LineSymbols> {
        if !line.iter().any(|&octet| octet == b'$' || is_special(octet)) {
            return None;
        }
        let braces = memchr::memchr_iter(b'{', line);
        let names = braces.filter_map(|at| read_name(line.get(at..)?, &mut Vec::new()));
        let known = names.filter_map(|name| {
            let id = self.find(&name)?;
            Some((name, self.octet_of(id)))
        });
        Some(LineSymbols {
            long_names: known.collect(),
            ends_in_dollar: line.ends_with(b"$"),
        })
    }

    /// Shows a line of the configuration as messages do, see [`told`].
    pub(crate) fn told(&self, line: &[u8]) -> Vec<u8> {
        told(line, &|name| {
            self.find(name).map_or(FIRST_OCTET, |id| self.octet_of(id))
        })
    }

    /// Shows marked text as messages do, see [`told_marked`].
    pub(crate) fn told_marked(&self, marked: &[u8]) -> Vec<u8> {
        told_marked(marked, &|number| {
            self.octet_of(MacroId::from_number(number))
        })
    }

    /// Returns the name of the macro that an octet behind an in-band symbol stands for.
    ///
    /// Observed: 8.17.1.9 numbers long names from 0xA0 up as it meets them.
    pub(crate) fn name_of_octet(&self, octet: u8) -> Vec<u8> {
        match octet {
            0..0x80 => vec![octet],
            _ => octet
                .checked_sub(FIRST_OCTET)
                .and_then(|index| self.met.get(usize::from(index)))
                .map_or_else(|| b"***UNDEFINED MACRO***".to_vec(), |id| self.name(*id)),
        }
    }

    /// Returns the name as a configuration writes it: `x` or `{name}`.
    pub fn written(&self, id: MacroId) -> Vec<u8> {
        let name = self.name(id);
        if id.number() < FIRST_LONG {
            return name;
        }
        [b"{".as_slice(), &name, b"}"].concat()
    }

    /// Reads a name, `x` or `{name}`, at the start of `text`.
    ///
    /// Returns the macro and how many octets the name takes; what is wrong with it goes to `errors`.
    pub fn parse(&mut self, text: &[u8], errors: &mut Vec<Vec<u8>>) -> (Option<MacroId>, usize) {
        match text {
            [] => {
                errors.push(b"Name required for macro/class".to_vec());
                (None, 0)
            }
            [b'{', b'}', ..] => {
                errors.push(b"Name required for macro/class".to_vec());
                (None, 0)
            }
            [b'{', rest @ ..] => self.parse_long(rest, errors),
            [letter, ..] => (Some(MacroId::letter(*letter)), 1),
        }
    }

    fn parse_long(&mut self, rest: &[u8], errors: &mut Vec<Vec<u8>>) -> (Option<MacroId>, usize) {
        let (name, end) = read_long(rest, errors);
        let Some(name) = name else {
            return (None, end + 1);
        };
        // A name that lost all its characters is still a name: the empty one.
        let id = if name.is_empty() {
            MacroId::from_number(0)
        } else {
            self.intern(&name)
        };
        self.meet(id);
        (Some(id), end + 2)
    }
}

/// Reads the name, `x` or `{name}`, at the start of `text` without its braces.
///
/// `None` is no name at all; what is wrong with it goes to `errors`.
pub(crate) fn read_name(text: &[u8], errors: &mut Vec<Vec<u8>>) -> Option<Vec<u8>> {
    match text {
        [] | [b'{', b'}', ..] => {
            errors.push(b"Name required for macro/class".to_vec());
            None
        }
        [b'{', rest @ ..] => read_long(rest, errors).0,
        [letter, ..] => Some(vec![*letter]),
    }
}

/// Reads a name up to its closing brace, and returns where that or the fault is.
fn read_long(rest: &[u8], errors: &mut Vec<Vec<u8>>) -> (Option<Vec<u8>>, usize) {
    let mut name = Vec::new();
    let mut at = 0;
    let fault = loop {
        match rest.get(at) {
            None | Some(0) => break [b"Unbalanced { on ", name.as_slice()].concat(),
            Some(b'}') => return (Some(name), at),
            Some(_) if name.len() >= MAX_NAME => {
                let text = format!(
                    "Macro/class name ({{{}}}) too long ({MAX_NAME} chars max)",
                    String::from_utf8_lossy(&name)
                );
                break text.into_bytes();
            }
            Some(&c) if c.is_ascii_alphanumeric() || c == b'_' => name.push(c),
            Some(&c) => errors.push([b"Invalid macro/class character ".as_slice(), &[c]].concat()),
        }
        at += 1;
    };
    errors.push(fault);
    errors.push(b"Unable to assign macro/class ID (mid = 0xffffffff)".to_vec());
    (None, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_in_braces_is_the_letter() {
        let mut names = MacroNames::new();
        let mut errors = Vec::new();
        assert_eq!(names.parse(b"{x}y", &mut errors), (Some(MacroId::X), 3));
        assert_eq!(names.parse(b"xy", &mut errors), (Some(MacroId::X), 1));
        let (id, taken) = names.parse(b"{client_addr}", &mut errors);
        assert_eq!((id, taken), (Some(MacroId::CLIENT_ADDR), 13));
        assert!(errors.is_empty());
        assert_eq!(names.written(MacroId::CLIENT_ADDR), b"{client_addr}");
    }

    #[test]
    fn octets_stand_for_long_names_in_the_order_they_are_met() {
        let mut names = MacroNames::new();
        names.parse(b"{verify}", &mut Vec::new());
        names.parse(b"{my_own}", &mut Vec::new());
        names.parse(b"{verify}", &mut Vec::new());
        for (octet, name) in [
            (b'x', "x"),
            (0xa0, "deliveryMode"),
            (0xa1, "load_avg"),
            (0xa2, "verify"),
            (0xa3, "my_own"),
            (0xa4, "***UNDEFINED MACRO***"),
            (0x90, "***UNDEFINED MACRO***"),
        ] {
            assert_eq!(names.name_of_octet(octet), name.as_bytes(), "{octet:#x}");
        }
    }

    #[test]
    fn bad_names_are_told() {
        let mut names = MacroNames::new();
        for (text, message) in [
            ("", "Name required for macro/class"),
            ("{}", "Name required for macro/class"),
            ("{abc", "Unbalanced { on abc"),
            (
                "{abcdefghijklmnopqrstuvwxyz}",
                "Macro/class name ({abcdefghijklmnopqrstuvwxy}) too long (25 chars max)",
            ),
            ("{a-b}", "Invalid macro/class character -"),
        ] {
            let mut errors = Vec::new();
            names.parse(text.as_bytes(), &mut errors);
            assert_eq!(errors[0], message.as_bytes(), "{text}");
        }
    }
}
