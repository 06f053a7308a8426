//! Names of macros and classes.
//!
//! Names of one character are their own numbers; longer ones are written in
//! braces. Source: guide 5.2; messages observed: 8.17.1.9.

use std::collections::HashMap;

use super::id::{FIRST_LONG, MacroId, WELL_KNOWN};

/// Longest name in characters.
const MAX_NAME: usize = 25;
/// Most long names, the program's own included.
const MAX_LONG_NAMES: usize = 4_096;

/// The table of names; grows while a configuration is read.
#[derive(Debug, Clone)]
pub struct MacroNames {
    long: Vec<Vec<u8>>,
    by_name: HashMap<Vec<u8>, u16>,
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
            by_name: HashMap::new(),
        };
        for name in WELL_KNOWN {
            names.intern(name.as_bytes());
        }
        names
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
        let mut name = Vec::new();
        let mut at = 0;
        let fault = loop {
            match rest.get(at) {
                None | Some(0) => break Some([b"Unbalanced { on ", name.as_slice()].concat()),
                Some(b'}') => break None,
                Some(_) if name.len() >= MAX_NAME => {
                    let text = format!(
                        "Macro/class name ({{{}}}) too long ({MAX_NAME} chars max)",
                        String::from_utf8_lossy(&name)
                    );
                    break Some(text.into_bytes());
                }
                Some(&c) if c.is_ascii_alphanumeric() || c == b'_' => name.push(c),
                Some(&c) => {
                    errors.push([b"Invalid macro/class character ".as_slice(), &[c]].concat())
                }
            }
            at += 1;
        };
        if let Some(text) = fault {
            errors.push(text);
            errors.push(b"Unable to assign macro/class ID (mid = 0xffffffff)".to_vec());
            return (None, at + 1);
        }
        // A name that lost all its characters is still a name: the empty one.
        let id = if name.is_empty() {
            MacroId::from_number(0)
        } else {
            self.intern(&name)
        };
        (Some(id), at + 2)
    }
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
