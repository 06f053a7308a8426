//! H lines: header fields to add, and rulesets that check header fields.
//!
//! Source: guide 5.5.

use crate::macros::{MacroNames, Template};
use crate::message::{FlagLetters, HeaderConditions};
use crate::rewrite::RuleBook;
use crate::token::RulesetId;

use super::diagnostics::Diagnostics;

/// A ruleset that checks a header field of incoming messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderCheck {
    /// The ruleset.
    pub ruleset: RulesetId,
    /// The field is handed over with its comments (`$>+`).
    pub keep_comments: bool,
}

/// One H line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderRule {
    /// Name of the field; `*` stands for every field without a rule of its own.
    pub name: Vec<u8>,
    /// Under which conditions the field is sent.
    pub conditions: HeaderConditions,
    /// Value to add when the message has no such field; `None` when the line only names a check.
    pub template: Option<Template>,
    /// Check of incoming fields.
    pub check: Option<HeaderCheck>,
}

/// What an H line is read with.
pub struct HeaderLine<'a> {
    /// Names of macros.
    pub names: &'a mut MacroNames,
    /// Rulesets, to which a check may add a name.
    pub rules: &'a mut RuleBook,
    /// Where complaints go.
    pub out: &'a mut Diagnostics,
}

impl HeaderLine<'_> {
    /// Reads the text behind the letter `H`; `None` when it is no header field.
    pub fn read(&mut self, line: &[u8]) -> Option<HeaderRule> {
        let (conditions, rest) = match line.strip_prefix(b"?") {
            None => (HeaderConditions::default(), line),
            Some(conditional) => {
                let Some((condition, rest)) = split_condition(conditional) else {
                    return self.syntax_error(line);
                };
                let Some(conditions) = self.conditions(condition) else {
                    return self.syntax_error(line);
                };
                (conditions, rest)
            }
        };
        let length = rest
            .iter()
            .take_while(|b| b.is_ascii_graphic() && !matches!(b, b':' | b'$'))
            .count();
        let (name, after) = rest.split_at(length);
        let Some(value) = after
            .trim_ascii_start()
            .strip_prefix(b":")
            .filter(|_| length > 0)
        else {
            // The reference has cut the line at the second question mark by then.
            let cut = match line.len() - rest.len() {
                0 => line,
                condition => &line[..condition - 1],
            };
            return self.syntax_error(cut);
        };
        let rule = HeaderRule {
            name: name.to_vec(),
            conditions,
            template: None,
            check: None,
        };
        match value.trim_ascii_start().strip_prefix(b"$>") {
            Some(call) => {
                let check = self.check(call)?;
                Some(HeaderRule {
                    check: Some(check),
                    ..rule
                })
            }
            None => Some(HeaderRule {
                template: Some(Template::parse(value, self.names)),
                ..rule
            }),
        }
    }

    fn syntax_error(&mut self, line: &[u8]) -> Option<HeaderRule> {
        let text = [
            b"header syntax error, line \"".as_slice(),
            &self.names.told(line),
            b"\"",
        ]
        .concat();
        self.out.error(text);
        None
    }

    /// Reads what stands between the question marks: flags, or one macro.
    fn conditions(&mut self, text: &[u8]) -> Option<HeaderConditions> {
        let Some(name) = text.strip_prefix(b"$").filter(|_| text != b"$$") else {
            let are_flags = text.is_ascii() && !text.contains(&b'$');
            return are_flags.then(|| HeaderConditions {
                flags: FlagLetters::from_bytes(text),
                macro_name: None,
            });
        };
        let (id, taken) = self.names.parse(name, &mut Vec::new());
        let id = id.filter(|_| taken == name.len())?;
        Some(HeaderConditions {
            flags: FlagLetters::EMPTY,
            macro_name: Some(self.names.name(id)),
        })
    }

    /// Reads the ruleset of a check, `+` in front keeping comments.
    fn check(&mut self, call: &[u8]) -> Option<HeaderCheck> {
        let (keep_comments, name) = match call.strip_prefix(b"+") {
            Some(name) => (true, name),
            None => (false, call),
        };
        let mut errors = Vec::new();
        let ruleset = self.rules.enter(name, &mut errors);
        errors.iter().for_each(|error| self.out.error(error));
        Some(HeaderCheck {
            ruleset: ruleset?.id,
            keep_comments,
        })
    }
}

/// Cuts a condition off at its closing question mark.
fn split_condition(text: &[u8]) -> Option<(&[u8], &[u8])> {
    crate::text::bytes::split_once(text, b'?')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> (Option<HeaderRule>, String) {
        let mut out = Diagnostics::default();
        let rule = HeaderLine {
            names: &mut MacroNames::new(),
            rules: &mut RuleBook::new(),
            out: &mut out,
        }
        .read(line.as_bytes());
        (rule, String::from_utf8(out.printed(false)).unwrap())
    }

    #[test]
    fn bad_lines_are_told_in_the_words_of_the_reference() {
        for (line, shown) in [
            ("", ""),
            (":", ":"),
            ("X", "X"),
            ("X Y: z", "X Y: z"),
            ("?", "?"),
            ("?D", "?D"),
            ("?D?", "?D"),
            ("?D?X", "?D"),
            ("?$xy?X: a", "?\u{1}xy?X: a"),
        ] {
            let text = format!("header syntax error, line \"{shown}\"\n");
            assert_eq!(read(line), (None, text), "{line}");
        }
    }

    #[test]
    fn conditions_are_flags_or_a_macro() {
        let rule = read("?DM?Date: $a").0.unwrap();
        assert!(rule.conditions.flags.contains(b'M'));
        assert_eq!(rule.template.unwrap().source(), b" $a");
        let rule = read("?${z_z}?X-Z: ${z_z}").0.unwrap();
        assert_eq!(rule.conditions.macro_name.unwrap(), b"z_z");
    }

    #[test]
    fn checks_name_a_ruleset() {
        let check = read("Subject: $>+CheckSubject").0.unwrap().check.unwrap();
        assert!(check.keep_comments);
        assert_eq!(read("X: $>").1, "invalid ruleset name: \"\"\n");
    }
}
