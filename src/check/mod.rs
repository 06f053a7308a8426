//! `--check`: everything that is wrong with a configuration, with line, column and remedy.
//!
//! The configuration is read by the reader every run uses; what it says becomes problems,
//! and what it takes without a word is looked at again here. Nothing is changed, nothing
//! is delivered, no name server is asked but for what the reader itself asks.
//!
//! Reading order:
//!
//! - [`problem`]: [`Problem`], its [`Severity`] and the [`Code`]s.
//! - [`sheet`]: the lines of the file and places in them.
//! - [`said`]: what the reader says, as problems.
//! - `rules`: rulesets, mailers and maps nobody defines; `dead`: rules that never match, or
//!   never stop; `names`: macros and classes nobody sets, definitions in vain.
//! - `mailers`: M lines; `features`: what this program does not do; `files`: what is missing,
//!   outdated or open to others; [`nearest`]: which name was perhaps meant.
//! - [`report`]: the report for people and for programs.

mod dead;
mod features;
mod files;
mod mailers;
mod names;
pub mod nearest;
pub mod problem;
pub mod report;
mod rules;
pub mod said;
pub mod sheet;

#[cfg(test)]
mod tests;

pub use problem::{Code, Problem, Severity};
pub use report::Report;

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::config::source::FileSource;
use crate::config::{Config, Diagnostics, Overrides};
use crate::text::bytes::printable;

use problem::Place;
use sheet::Sheet;

/// Checks one configuration file; `parts` is what the program can do (`-d0.1`).
pub fn check(path: &Path, source: &mut dyn FileSource, parts: &[&str]) -> Report {
    let mut sheet = Sheet::default();
    let overrides = Overrides::only_file(path);
    let mut problems = match Config::load_watched(&overrides, source, &mut sheet) {
        Ok(config) => {
            let mut problems = said(&config.diagnostics, &sheet, Some(&config));
            problems.extend(found(&config, &sheet, parts));
            problems
        }
        // A value the reader refuses to go on with: there is no configuration to look at.
        Err(failure) => said(&failure.diagnostics, &sheet, None),
    };
    problems.sort_by_key(|problem| (problem.line, problem.column, problem.severity));
    problems.dedup();
    // An unsafe file tells more than that it could not be read.
    let unsafe_places: Vec<(u32, u32)> = problems
        .iter()
        .filter(|problem| problem.code == Code::UnsafeFile)
        .map(|problem| (problem.line, problem.column))
        .collect();
    problems.retain(|problem| {
        problem.code != Code::ClassSource
            || !unsafe_places.contains(&(problem.line, problem.column))
    });
    // Of one interval every wrong letter is told; the problem with the best place is enough.
    problems.reverse();
    let mut told = std::collections::BTreeSet::new();
    problems.retain(|problem| problem.code != Code::BadInterval || told.insert(problem.line));
    problems.reverse();
    Report {
        file: printable(path.as_os_str().as_bytes()),
        problems,
        sheet,
    }
}

fn said(diagnostics: &Diagnostics, sheet: &Sheet, config: Option<&Config>) -> Vec<Problem> {
    let messages = diagnostics.messages().iter();
    let mut problems: Vec<Problem> = messages
        .filter_map(|message| said::problem(message, sheet, config))
        .collect();
    let doubts = diagnostics.doubts().iter();
    problems.extend(doubts.map(|doubt| said::doubted(doubt, sheet)));
    problems
}

fn found(config: &Config, sheet: &Sheet, parts: &[&str]) -> Vec<Problem> {
    let rules = rules::Rules::new(config, sheet);
    let idle = rules.idle_lines();
    let mut problems = rules.problems();
    problems.extend(dead::problems(config, sheet, &idle));
    problems.extend(names::undefined_macros(config, sheet, &idle));
    problems.extend(names::empty_classes(config, sheet, &idle));
    problems.extend(names::redefinitions(config, sheet));
    problems.extend(mailers::problems(config, sheet));
    problems.extend(features::problems(config, sheet, parts));
    problems.extend(files::problems(config, sheet));
    if config.level == 0 {
        let text = "there is no V line: the file counts as one of the oldest kind";
        let problem = Problem::new(Code::VersionMissing, Place::FILE, text);
        problems.push(problem.help("write V10/Berkeley in its first line"));
    }
    problems
}
