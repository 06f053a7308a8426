//! What is printed about mailers, rules, classes and macros.
//!
//! Observed: 8.17.1.9.

use super::session::TestMode;
use crate::macros::{ClassId, MacroId, Template};
use crate::mailer::{Mailer, MailerId};
use crate::token::print::{print_marked, print_symbol};
use crate::token::{Mark, RulesetId};

impl TestMode<'_> {
    /// Prints one line for each mailer.
    pub(super) fn show_mailers(&mut self) {
        let lines: Vec<Vec<u8>> = self
            .config
            .mailers
            .iter()
            .map(|(id, mailer)| self.mailer_line(id, mailer))
            .collect();
        for line in lines {
            self.printed.line(&line);
        }
    }

    fn ruleset_name(&self, id: Option<RulesetId>) -> Vec<u8> {
        let id = id.unwrap_or(RulesetId::PARSE);
        self.config.rules.name(id).into_owned()
    }

    /// Returns the line of `=M` for one mailer.
    pub fn mailer_line(&self, id: MailerId, mailer: &Mailer) -> Vec<u8> {
        let mut line = format!("mailer {} (", id.index()).into_bytes();
        let pair = |envelope, header| {
            [
                self.ruleset_name(envelope),
                b"/".to_vec(),
                self.ruleset_name(header),
            ]
            .concat()
        };
        line.extend_from_slice(&mailer.name);
        line.extend_from_slice(b"): P=");
        line.extend_from_slice(&mailer.path);
        line.extend_from_slice(b" S=");
        let sender = mailer.sender_rewriting;
        line.extend(pair(sender.envelope, sender.header));
        line.extend_from_slice(b" R=");
        let recipient = mailer.recipient_rewriting;
        line.extend(pair(recipient.envelope, recipient.header));
        line.extend_from_slice(format!(" M={} U=", mailer.max_size).as_bytes());
        let identity = match mailer.identity {
            Some(identity) => format!(
                "{}:{}",
                identity.uid,
                identity
                    .gid
                    .map_or_else(|| "-1".to_owned(), |gid| gid.to_string())
            ),
            None => "-1:-1".to_owned(),
        };
        line.extend_from_slice(identity.as_bytes());
        line.extend_from_slice(b" F=");
        line.extend(mailer.flags.iter());
        line.extend_from_slice(format!(" L={} E=", mailer.line_limit).as_bytes());
        for &octet in &mailer.end_of_line {
            match octet {
                b'\n' => line.extend_from_slice(b"\\n"),
                b'\r' => line.extend_from_slice(b"\\r"),
                _ => line.push(octet),
            }
        }
        if let Some(set) = &mailer.char_set {
            line.extend_from_slice(b" C=");
            line.extend_from_slice(set);
        }
        line.extend_from_slice(b" T=");
        let types = [
            &mailer.mta_type,
            &mailer.address_type,
            &mailer.diagnostic_type,
        ];
        for (at, kind) in types.into_iter().enumerate() {
            if at > 0 {
                line.push(b'/');
            }
            line.extend_from_slice(kind.as_deref().unwrap_or(b"<undefined>"));
        }
        line.extend_from_slice(format!(" r={} A=", mailer.max_recipients).as_bytes());
        for (at, word) in mailer.argv.iter().enumerate() {
            if at > 0 {
                line.push(b' ');
            }
            self.print_template(word, &mut line);
        }
        line
    }

    /// Appends text of the configuration as the reference shows it.
    fn print_template(&self, template: &Template, out: &mut Vec<u8>) {
        let mut marked = Vec::new();
        template.push_marked(&mut marked);
        let names = &self.config.names;
        print_marked(
            &marked,
            &|number| names.name(MacroId::from_number(number)),
            out,
        );
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
                print_symbol(Mark::Position, digit, &|_| Vec::new(), &mut text);
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
