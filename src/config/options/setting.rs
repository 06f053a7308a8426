//! One option being set: its value, and what its parser may touch.

use std::path::PathBuf;
use std::time::Duration;

use crate::macros::{MacroId, MacroNames, Template};
use crate::sys::file::path_buf_of;
use crate::text::interval::IntervalUnit;

use super::Options;
use super::value::{self, Interval};
use crate::config::diagnostics::{Diagnostics, Doubt};
use crate::config::ldap::Ownership;
use crate::config::source::FileSource;

/// Who sets an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A line of the file.
    File,
    /// The command line, which the file does not override.
    CommandLine,
}

/// One option being set.
pub struct Setting<'a> {
    /// Name as the table spells it.
    pub name: &'static str,
    /// Text behind the equal sign.
    pub value: &'a [u8],
    /// What follows the dot in the name.
    pub suboption: Option<&'a [u8]>,
    /// The options to change.
    pub options: &'a mut Options,
    /// Names, for values with macros.
    pub names: &'a mut MacroNames,
    /// The world, for users and services.
    pub source: &'a dyn FileSource,
    /// Tells which maps are defined already.
    pub known_map: &'a dyn Fn(&[u8]) -> bool,
    /// Tells which entries of a directory are of this host.
    pub ldap: &'a dyn Fn() -> Ownership,
    /// Timeouts that the command line has set; the file does not change them.
    pub fixed_timeouts: &'a mut Vec<&'static str>,
    /// Whether the command line is speaking.
    pub origin: Origin,
    /// Where complaints go.
    pub out: &'a mut Diagnostics,
}

impl Setting<'_> {
    /// The value as it is.
    pub fn text(&self) -> Vec<u8> {
        self.value.to_vec()
    }

    /// The value, `None` when it is empty.
    pub fn some_text(&self) -> Option<Vec<u8>> {
        (!self.value.is_empty()).then(|| self.text())
    }

    /// The value as a text with macros, or the path of one; `None` when it is empty.
    ///
    /// The command line has no macros: what looks like one is kept as it is.
    pub fn some_text_or_file(&self) -> Option<Vec<u8>> {
        let text = self.some_text()?;
        if self.origin == Origin::File || text.starts_with(b"/") {
            return Some(text);
        }
        let kept = text.iter().flat_map(|byte| match byte {
            b'$' => &b"$$"[..],
            other => std::slice::from_ref(other),
        });
        Some(kept.copied().collect())
    }

    /// The value as a path, `None` when it is empty.
    pub fn path(&self) -> Option<PathBuf> {
        self.some_text().map(path_buf_of)
    }

    /// The value as a path, `default` when it is empty.
    pub fn path_or(&self, default: &str) -> PathBuf {
        self.path().unwrap_or_else(|| default.into())
    }

    /// The value as a truth value.
    pub fn truth(&mut self) -> bool {
        if !value::is_truth(self.value) {
            self.out.doubt(Doubt::Truth, self.name, self.value);
        }
        value::truth(self.value)
    }

    /// The value as a number that is not negative.
    pub fn count(&mut self) -> u32 {
        self.doubt_number();
        value::count(self.value)
    }

    /// The value as a size.
    pub fn size(&mut self) -> u64 {
        self.doubt_number();
        value::size(self.value)
    }

    /// The value as any number.
    pub fn number(&mut self) -> i64 {
        self.doubt_number();
        value::number(self.value)
    }

    /// The value as an octal number.
    pub fn octal(&mut self) -> u32 {
        if !self.value.iter().all(|byte| (b'0'..=b'7').contains(byte)) {
            self.out.doubt(Doubt::Octal, self.name, self.value);
        }
        value::octal(self.value)
    }

    fn doubt_number(&mut self) {
        if !value::is_number(self.value) {
            self.out.doubt(Doubt::Number, self.name, self.value);
        }
    }

    /// The value as text with macros.
    pub fn template(&mut self) -> Template {
        self.template_of(self.value)
    }

    /// Observed: 8.17.1.9 knows macros in its file only, not on the command line.
    fn template_of(&mut self, text: &[u8]) -> Template {
        match self.origin {
            Origin::File => Template::parse(text, self.names),
            Origin::CommandLine => Template::plain(text),
        }
    }

    /// The value as text with macros, quotes and backslashes undone.
    pub fn unquoted_template(&mut self) -> Template {
        let (text, _) = value::unquote(self.value, None);
        self.template_of(&text)
    }

    /// Reads an interval and complains about letters that are no unit.
    pub fn read_interval(&mut self, text: &[u8], unit: IntervalUnit) -> Interval {
        let is_given = !text.is_empty() && !text.iter().any(u8::is_ascii_digit);
        if is_given && !text.eq_ignore_ascii_case(b"now") {
            self.out.doubt(Doubt::Interval, self.name, text);
        }
        value::interval(text, unit, &mut |letter| {
            let text = [b"Invalid time unit `".as_slice(), &[letter], b"'"].concat();
            self.out.user_error(text);
        })
    }

    /// The value as an interval.
    pub fn interval(&mut self, unit: IntervalUnit) -> Duration {
        self.read_interval(self.value, unit).duration()
    }

    /// Tells whether a timeout may be set, and notes those the command line sets.
    pub fn may_set_timeout(&mut self, name: &'static str) -> bool {
        match self.origin {
            Origin::File => !self.fixed_timeouts.contains(&name),
            Origin::CommandLine => {
                self.fixed_timeouts.push(name);
                true
            }
        }
    }

    /// Complains that a value is not known.
    pub fn unrecognized(&mut self, what: &str, word: &[u8]) {
        let text = [b"readcf: ", what.as_bytes(), word, b" unrecognized"].concat();
        self.out.error(text);
    }
}

/// The macro an `M` option names and what stands behind the name.
pub fn macro_definition(
    value: &[u8],
    names: &mut MacroNames,
    out: &mut Diagnostics,
) -> Option<(MacroId, Vec<u8>)> {
    let mut errors = Vec::new();
    let (id, taken) = names.parse(value, &mut errors);
    for error in &errors {
        out.error(error);
    }
    Some((id?, value.get(taken..).unwrap_or_default().to_vec()))
}
