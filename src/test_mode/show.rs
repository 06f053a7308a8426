//! What is printed about mailers, rules, classes and macros.
//!
//! Observed: 8.17.1.9.

use super::session::TestMode;
use crate::config::shown::mailer_line;
use crate::macros::{ClassId, MacroId};
use crate::token::Mark;
use crate::token::print::print_symbol;

impl TestMode<'_> {
    /// Prints one line for each mailer.
    pub(super) fn show_mailers(&mut self) {
        let lines: Vec<Vec<u8>> = self
            .config
            .mailers
            .iter()
            .map(|(id, mailer)| mailer_line(&self.config, id, mailer))
            .collect();
        for line in lines {
            self.printed.line(&line);
        }
    }

    /// Prints the rules of a ruleset.
    pub(super) fn show_rules(&mut self, name: &[u8]) {
        let mut errors = Vec::new();
        let found = self.config.rules.find_reporting(name, &mut errors);
        for text in errors {
            self.printed.fault(&text);
        }
        let Some(id) = found else {
            self.printed
                .line(&[b"Undefined ruleset ".as_slice(), name].concat());
            return;
        };
        let mut text = Vec::new();
        let book = &self.config.rules;
        for rule in book.rules(id) {
            text.push(b'R');
            book.print_side(rule.pattern_tokens(book), &self.config.names, &mut text);
            text.extend_from_slice(b"\t\t");
            book.print_side(rule.replacement_tokens(book), &self.config.names, &mut text);
            text.push(b'\n');
        }
        self.printed.out.extend_from_slice(&text);
    }

    /// Prints the members of a class.
    pub(super) fn show_class(&mut self, name: &[u8]) {
        let Some(id) = self.name_of(name) else {
            return;
        };
        let members: Vec<Vec<u8>> = self
            .config
            .classes
            .get(ClassId(id))
            .map(|set| set.iter().map(<[u8]>::to_vec).collect())
            .unwrap_or_default();
        for member in members {
            self.printed.line(&member);
        }
    }

    /// Prints the value of a macro.
    pub(super) fn show_macro(&mut self, name: &[u8]) {
        let Some(id) = self.name_of(name) else {
            return;
        };
        let mut text = Vec::new();
        let symbol = u8::try_from(id.number())
            .ok()
            .and_then(|letter| match letter {
                b'0'..=b'9' => Some((Mark::Position, u16::from(letter))),
                _ => Mark::from_character(letter).map(|mark| (mark, 0)),
            });
        match (self.macro_value(id), symbol) {
            (Some(value), _) => value.print(&self.config.names, &mut text),
            (None, Some((Mark::Position, digit))) => {
                print_symbol(Mark::Position, digit, &self.config.names, &mut text);
            }
            (None, Some((mark, _))) => text.extend_from_slice(&[b'$', mark.character()]),
            (None, None) => text.extend_from_slice(b"Undefined"),
        }
        self.printed.line(&text);
    }

    /// Reads the name of a macro or class; a bad one is reported.
    pub(super) fn name_of(&mut self, text: &[u8]) -> Option<MacroId> {
        let mut errors = Vec::new();
        let (id, _) = self.config.names.parse(text, &mut errors);
        for text in errors {
            self.printed.fault(&text);
        }
        id
    }
}
