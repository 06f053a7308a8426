//! The report: for people, and as JSON lines for programs.
//!
//! A problem for people is a line `file:line:column: severity: text [code]`, the line of the file
//! with a caret below, and what to do. A JSON line has the same in the fields `file`,
//! `line`, `column`, `severity`, `code`, `message` and `help`; `line` is zero for the
//! file as a whole.

use crate::smtp::ExitStatus;
use crate::text::bytes::printable;
use crate::text::json::Json;

use super::problem::{Problem, Severity};
use super::sheet::Sheet;

/// Longest line of the file that is shown in full.
const MAX_SHOWN: usize = 160;

/// All that is wrong with one file.
#[derive(Debug, Clone)]
pub struct Report {
    /// The file, as it was named.
    pub file: String,
    /// The problems by line and column.
    pub problems: Vec<Problem>,
    /// The lines of the file.
    pub sheet: Sheet,
}

impl Report {
    /// Returns how many problems of a severity there are.
    pub fn count(&self, severity: Severity) -> usize {
        let same = |problem: &&Problem| problem.severity == severity;
        self.problems.iter().filter(same).count()
    }

    /// Returns 78 if there is an error, else 0.
    pub fn status(&self) -> ExitStatus {
        match self.count(Severity::Error) {
            0 => ExitStatus::Ok,
            _ => ExitStatus::Config,
        }
    }

    /// Writes the report for people.
    pub fn for_people(&self) -> String {
        let mut out = String::new();
        for problem in &self.problems {
            self.show(problem, &mut out);
        }
        let counts = [Severity::Error, Severity::Warning, Severity::Hint].map(|severity| {
            let count = self.count(severity);
            let plural = if count == 1 { "" } else { "s" };
            format!("{count} {}{plural}", severity.word())
        });
        out.push_str(&format!("{}: {}\n", self.file, counts.join(", ")));
        out
    }

    /// Writes one JSON object for each problem, each in a line of its own.
    pub fn for_programs(&self) -> String {
        let mut out = String::new();
        for problem in &self.problems {
            Json::Object(vec![
                ("file", Json::from(self.file.as_str())),
                ("line", Json::from(problem.line)),
                ("column", Json::from(problem.column)),
                ("severity", Json::from(problem.severity.word())),
                ("code", Json::from(problem.code.slug())),
                ("message", Json::from(problem.message.as_str())),
                ("help", Json::from(problem.help.as_str())),
            ])
            .write(&mut out);
            out.push('\n');
        }
        out
    }

    fn show(&self, problem: &Problem, out: &mut String) {
        let place = match problem.line {
            0 => self.file.clone(),
            line => format!("{}:{line}:{}", self.file, problem.column),
        };
        let (word, slug) = (problem.severity.word(), problem.code.slug());
        out.push_str(&format!("{place}: {word}: {} [{slug}]\n", problem.message));
        if let Some(line) = self.sheet.physical(problem.line) {
            push_excerpt(line, problem, out);
        }
        if !problem.help.is_empty() {
            out.push_str(&format!("  help: {}\n", problem.help));
        }
    }
}

/// Shows a line of the file with a caret; tabs stay tabs in both lines, so that they fit.
fn push_excerpt(line: &[u8], problem: &Problem, out: &mut String) {
    let line = line.trim_ascii_end();
    let index = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let start = index(problem.column.saturating_sub(1)).min(line.len());
    // Of a long line the end of what is shown counts from the caret.
    let end = line.len().min(start.saturating_add(MAX_SHOWN));
    let shown = line.get(..end).unwrap_or(line);
    let mut padding = String::new();
    for chunk in String::from_utf8_lossy(shown.get(..start).unwrap_or_default()).chars() {
        padding.push(if chunk == '\t' { '\t' } else { ' ' });
    }
    let text: String = String::from_utf8_lossy(shown)
        .chars()
        .map(|c| if c == '\t' || !c.is_control() { c } else { '?' })
        .collect();
    let dots = if end < line.len() { "..." } else { "" };
    let most = shown.len().saturating_sub(start).max(1);
    let carets = "^".repeat(index(problem.length).clamp(1, most));
    out.push_str(&format!("  {text}{dots}\n  {padding}{carets}\n"));
}

/// Returns a name as messages show it.
pub(super) fn shown(name: &[u8]) -> String {
    printable(name)
}

#[cfg(test)]
mod tests {
    use super::super::problem::{Code, Place};
    use super::super::sheet::Statement;
    use super::*;

    fn report(line: &str, column: u32, length: u32) -> Report {
        let statement = Statement {
            first: 3,
            last: 3,
            raw: line.into(),
            text: line.into(),
        };
        let place = Place {
            line: 3,
            column,
            length,
        };
        Report {
            file: "/x.cf".into(),
            problems: vec![Problem::new(Code::UndefinedMap, place, "map \"a\"").help("define it")],
            sheet: Sheet {
                statements: vec![statement],
            },
        }
    }

    #[test]
    fn a_caret_stands_below_the_word_even_behind_tabs() {
        assert_eq!(
            report("R$*\t$(a $1 $)", 7, 1).for_people(),
            "/x.cf:3:7: error: map \"a\" [undefined-map]\n  R$*\t$(a $1 $)\n     \t  ^\n  \
             help: define it\n/x.cf: 1 error, 0 warnings, 0 hints\n"
        );
    }

    #[test]
    fn programs_get_one_object_in_a_line() {
        assert_eq!(
            report("R", 1, 1).for_programs(),
            "{\"file\":\"/x.cf\",\"line\":3,\"column\":1,\"severity\":\"error\",\
             \"code\":\"undefined-map\",\"message\":\"map \\\"a\\\"\",\"help\":\"define it\"}\n"
        );
    }

    #[test]
    fn places_outside_of_the_line_are_survived() {
        for (column, length) in [(0, 0), (99, 99), (u32::MAX, u32::MAX), (2, 0)] {
            assert!(
                report("R\u{e4}x", column, length)
                    .for_people()
                    .contains('^')
            );
        }
    }

    #[test]
    fn only_errors_make_the_status() {
        let mut report = report("R", 1, 1);
        assert_eq!(report.status(), ExitStatus::Config);
        report.problems[0].severity = Severity::Warning;
        assert_eq!(report.status(), ExitStatus::Ok);
    }
}
