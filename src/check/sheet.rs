//! The lines of the file under check, and places in them.
//!
//! A [`Sheet`] looks on while the reader of the configuration works and keeps its logical
//! lines. Places are found by the words a problem is about, so that a problem in the third
//! line of a continued mailer points there.

use crate::config::reader::LogicalLine;
use crate::config::{Config, Watcher};

use super::problem::Place;

/// One logical line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Number of its first physical line.
    pub first: u32,
    /// Number of its last physical line, which the reader's messages name.
    pub last: u32,
    /// As it stands in the file, line breaks included.
    pub raw: Vec<u8>,
    /// Without comments.
    pub text: Vec<u8>,
}

impl Statement {
    /// Returns the command letter.
    pub fn command(&self) -> u8 {
        self.text.first().copied().unwrap_or(0)
    }

    /// Returns what stands behind the command letter.
    pub fn rest(&self) -> &[u8] {
        self.text.get(1..).unwrap_or_default()
    }

    /// Returns the place of octets `start..start + length` of the raw text.
    pub fn at(&self, start: usize, length: usize) -> Place {
        let before = self.raw.get(..start).unwrap_or(&self.raw);
        let breaks = before.iter().filter(|&&byte| byte == b'\n').count();
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Place {
            line: self.first.saturating_add(small(breaks)),
            column: small(start.saturating_sub(line_start)).saturating_add(1),
            length: small(length),
        }
    }

    /// Returns the place of its first line.
    pub fn whole(&self) -> Place {
        let line = self.raw.split(|&byte| byte == b'\n').next();
        self.at(0, line.unwrap_or_default().trim_ascii_end().len())
    }

    /// Finds a word, letter case not regarded, from octet `from` on.
    pub fn position(&self, word: &[u8], from: usize) -> Option<usize> {
        if word.is_empty() {
            return None;
        }
        let rest = self.raw.get(from..)?;
        let found = rest
            .windows(word.len())
            .position(|piece| piece.eq_ignore_ascii_case(word));
        found.map(|at| at + from)
    }

    /// Returns the place of a word behind the command letter; the whole line without it.
    pub fn find(&self, word: &[u8]) -> Place {
        match self.position(word, 1) {
            Some(at) => self.at(at, word.len()),
            None => self.whole(),
        }
    }

    /// Returns the place of a word on the right side of a rule.
    pub fn find_on_the_right(&self, word: &[u8]) -> Place {
        let tab = memchr::memchr(b'\t', &self.raw).unwrap_or(0);
        match self.position(word, tab) {
            Some(at) => self.at(at, word.len()),
            None => self.whole(),
        }
    }

    /// Returns the place of a word that follows `lead`, blanks between them not regarded.
    pub fn find_behind(&self, lead: &[u8], word: &[u8]) -> Place {
        let mut from = 0;
        while let Some(at) = self.position(lead, from) {
            let start = at + lead.len();
            let tail = self.raw.get(start..).unwrap_or_default();
            let blanks = tail.iter().take_while(|b| b" \t\n".contains(b)).count();
            let here = tail.get(blanks..).unwrap_or_default();
            if here
                .get(..word.len())
                .is_some_and(|text| text.eq_ignore_ascii_case(word))
            {
                return self.at(start + blanks, word.len());
            }
            from = start;
        }
        self.find(word)
    }
}

/// All logical lines but blank ones and comments.
#[derive(Debug, Clone, Default)]
pub struct Sheet {
    /// The lines in their order.
    pub statements: Vec<Statement>,
}

impl Watcher for Sheet {
    fn line(&mut self, line: &LogicalLine<'_>, stripped: &[u8], _: &Config) {
        self.statements.push(Statement {
            first: line.first,
            last: line.number,
            raw: line.text.to_vec(),
            text: stripped.to_vec(),
        });
    }

    fn wants_every_line(&self) -> bool {
        true
    }
}

impl Sheet {
    /// Finds the logical line a physical one belongs to.
    pub fn statement(&self, line: u32) -> Option<&Statement> {
        let at = self
            .statements
            .partition_point(|statement| statement.last < line);
        self.statements
            .get(at)
            .filter(|statement| statement.first <= line)
    }

    /// Returns a physical line.
    pub fn physical(&self, line: u32) -> Option<&[u8]> {
        let statement = self.statement(line)?;
        let index = usize::try_from(line.checked_sub(statement.first)?).ok()?;
        statement.raw.split(|&byte| byte == b'\n').nth(index)
    }

    /// Goes through the lines of one command.
    pub fn of(&self, command: u8) -> impl Iterator<Item = &Statement> {
        self.statements
            .iter()
            .filter(move |statement| statement.command() == command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(raw: &str) -> Statement {
        Statement {
            first: 7,
            last: 7 + u32::try_from(raw.matches('\n').count()).unwrap(),
            raw: raw.into(),
            text: raw.into(),
        }
    }

    fn tuple(place: Place) -> (u32, u32, u32) {
        (place.line, place.column, place.length)
    }

    #[test]
    fn words_of_continued_lines_are_found_where_they_stand() {
        let line = statement("Mx, P=/x,\n\tF=ab,\n\tS=None, A=x $u");
        assert_eq!(tuple(line.find(b"none")), (9, 4, 4));
        assert_eq!(tuple(line.find(b"P=")), (7, 5, 2));
        assert_eq!(tuple(line.find(b"missing")), (7, 1, 9));
    }

    #[test]
    fn a_word_is_looked_for_behind_its_symbol() {
        let line = statement("RTest $*\t$: $>Test $1 $> Test");
        assert_eq!(tuple(line.find_behind(b"$>", b"Test")), (7, 15, 4));
        assert_eq!(tuple(line.find(b"Test")), (7, 2, 4));
    }

    #[test]
    fn physical_lines_belong_to_statements() {
        let mut sheet = Sheet::default();
        sheet.statements.push(statement("Da\n\tb"));
        assert_eq!(sheet.physical(8), Some(b"\tb".as_slice()));
        assert_eq!(sheet.physical(9), None);
        assert_eq!(sheet.physical(6), None);
    }
}
