//! The table of rows: what the program does, and which test holds it to that.
//!
//! `tests/coverage.tsv` has one line for each row: its key, the behaviour in short,
//! how much depends on it (1 to 3), and its test. A test is
//!
//! - a unit test by its full name (`config::options::tests::name`),
//! - `case NAME`: one of `tests/cases`, which the scenario `cases` runs, or of
//!   `tests/directory`, which the scenario `ldap` runs,
//! - `scenario NAME`: a file of `tests/scenarios`, run by `tests/main.rs`.
//!
//! What is here fails when a row names a test that is not there, or a test nobody runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// One line of the table.
struct Row {
    key: String,
    behaviour: String,
    tier: String,
    tests: Vec<String>,
}

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text_of(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    String::from_utf8_lossy(&bytes).into_owned()
}

fn rows() -> Vec<Row> {
    let rows: Vec<Row> = text_of(&project("tests/coverage.tsv"))
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [key, behaviour, tier, tests] = fields[..] else {
                panic!("not four fields: {line:?}");
            };
            Row {
                key: key.to_owned(),
                behaviour: behaviour.to_owned(),
                tier: tier.to_owned(),
                tests: tests.split(", ").map(str::to_owned).collect(),
            }
        })
        .collect();
    assert!(rows.len() > 500, "only {} rows", rows.len());
    rows
}

/// The files a module may be written in, for the longest part of its path that has one.
fn module_text(path: &[&str]) -> Option<String> {
    (1..=path.len()).rev().find_map(|length| {
        let name = path.get(..length)?.join("/");
        [format!("src/{name}.rs"), format!("src/{name}/mod.rs")]
            .iter()
            .map(|file| project(file))
            .find(|file| file.is_file())
            .filter(|_| {
                path[length..].iter().all(|rest| *rest == "tests") && path.len() - length <= 1
            })
            .map(|file| text_of(&file))
    })
}

/// Tells whether a unit test of this full name is in the sources.
fn has_unit_test(name: &str) -> bool {
    let parts: Vec<&str> = name.split("::").collect();
    let Some((function, module)) = parts.split_last() else {
        return false;
    };
    let head = format!("fn {function}(");
    module_text(module).is_some_and(|text| {
        let mut before = "";
        text.lines().map(str::trim).any(|line| {
            let found = line.starts_with(&head) && before == "#[test]";
            before = line;
            found
        })
    })
}

/// The names of all cases; each has an answer, and no name comes twice.
fn cases() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let folders = ["tests/cases", "tests/directory"].map(|folder| {
        let entries = fs::read_dir(project(folder)).expect("the folder is readable");
        entries.map(|entry| entry.expect("an entry").path())
    });
    for path in folders.into_iter().flatten() {
        let text = text_of(&path);
        for case in text
            .split("\n=== ")
            .flat_map(|t| t.strip_prefix("=== ").or(Some(t)))
        {
            let name = case.lines().next().unwrap_or_default().trim();
            assert!(names.insert(name.to_owned()), "case {name} comes twice");
            assert!(case.contains("out:\n"), "case {name} has no answer");
        }
    }
    names
}

#[test]
fn every_row_names_a_test_that_is_run() {
    let cases = cases();
    let runner = text_of(&project("tests/main.rs"));
    let is_run = |scenario: &str| {
        project(&format!("tests/scenarios/{scenario}.py")).is_file()
            && runner.contains(&format!(": \"{scenario}\""))
    };
    assert!(is_run("cases") && is_run("ldap"));
    let mut faults = Vec::new();
    for row in rows() {
        for test in &row.tests {
            let exists = match test.split_once(' ') {
                Some(("case", name)) => cases.contains(name),
                Some(("scenario", name)) => is_run(name),
                _ => has_unit_test(test),
            };
            if !exists {
                faults.push(format!("{}: no test {test:?}", row.key));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn rows_are_distinct_and_complete() {
    let mut seen = BTreeMap::new();
    for row in rows() {
        let first = seen.insert(row.key.clone(), row.behaviour.clone());
        assert!(first.is_none(), "{} comes twice", row.key);
        assert!(!row.behaviour.is_empty(), "{}: no behaviour", row.key);
        assert!(
            matches!(row.tier.as_str(), "1" | "2" | "3"),
            "{}: tier {}",
            row.key,
            row.tier
        );
    }
}

#[test]
fn every_option_of_the_table_has_a_row() {
    let keys: BTreeSet<String> = rows().into_iter().map(|row| row.key).collect();
    let table = text_of(&project("src/config/options/table.rs"));
    let pieces: Vec<&str> = table.split('"').collect();
    let names: Vec<&str> = pieces
        .chunks_exact(2)
        .filter(|pair| !pair[0].ends_with('b'))
        .map(|pair| pair[1])
        .filter(|text| text.len() > 2 && text.starts_with(|c: char| c.is_ascii_uppercase()))
        .filter(|text| text.bytes().all(|c| c.is_ascii_alphanumeric()))
        .collect();
    assert!(names.len() > 130, "{names:?}");
    let missing: Vec<&&str> = names
        .iter()
        .filter(|name| !keys.contains(&format!("option:{name}")))
        .collect();
    assert!(missing.is_empty(), "options without a row: {missing:?}");
}
