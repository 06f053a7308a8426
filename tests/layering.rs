//! The rooms of the house: who may use whom.
//!
//! Holds the order of the rooms as data, reads every `crate::room` in `src/`
//! and fails on an edge that points downwards. Also holds the house rules that
//! a reader relies on: system calls in one room, no file too long to read.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the ground up; a room may use those before it.
const ROOMS: &[&str] = &[
    "sys",
    "text",
    "logging",
    "smtp",
    "message",
    "token",
    "macros",
    "mailer",
    "dns",
    "safefile",
    "ldap",
    "map",
    "rewrite",
    "config",
    "envelope",
    "alias",
    "queue",
    "tls",
    "milter",
    "auth",
    "client",
    "host_status",
    "mta",
    "bounce",
    "delivery",
    "server",
    "submit",
    "daemon",
    "test_mode",
    "check",
    "explain",
    "tools",
    "cli",
];

/// Longest source file, in lines, that may stand.
const MAX_FILE_LINES: usize = 800;

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).expect("src is readable") {
            let path = entry.expect("an entry of src").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).expect("source is UTF-8");
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    walk(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut found,
    );
    assert!(found.len() > ROOMS.len(), "no sources found");
    found
}

fn room_of(path: &Path) -> Option<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let first = path.strip_prefix(source).ok()?.iter().next()?.to_str()?;
    Some(first.trim_end_matches(".rs").to_owned())
}

/// The names that follow `crate::` in a line, `{a, b::c}` lists included.
fn rooms_named(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or("");
    let mut named = Vec::new();
    for tail in code.split("crate::").skip(1) {
        let names: Vec<&str> = match tail.strip_prefix('{') {
            Some(list) => list.split(',').collect(),
            None => vec![tail],
        };
        for name in names {
            let word: String = name
                .trim()
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            if !word.is_empty() {
                named.push(word);
            }
        }
    }
    named
}

#[test]
fn rooms_use_only_rooms_above_them() {
    let rank: BTreeMap<&str, usize> = ROOMS.iter().enumerate().map(|(i, r)| (*r, i)).collect();
    let mut faults = Vec::new();
    for (path, text) in sources() {
        let room = room_of(&path).expect("a path below src");
        if room == "lib" || room == "main" {
            continue;
        }
        let own = *rank
            .get(room.as_str())
            .unwrap_or_else(|| panic!("room {room} is not in the list of rooms"));
        for (number, line) in text.lines().enumerate() {
            for used in rooms_named(line) {
                if rank.get(used.as_str()).is_some_and(|r| *r > own) {
                    faults.push(format!(
                        "{}:{}: {room} uses {used}",
                        path.display(),
                        number + 1
                    ));
                }
            }
        }
    }
    assert!(faults.is_empty(), "upward edges:\n{}", faults.join("\n"));
}

#[test]
fn system_calls_live_in_one_room() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        if room_of(&path).as_deref() == Some("sys") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            let code = code.replace("unix::", "");
            let names_one = ["libc::", "nix::", "unsafe {", "unsafe fn", "unsafe impl"]
                .iter()
                .any(|word| code.contains(word));
            if names_one && !code.contains("unsafe_code") {
                faults.push(format!("{}:{}", path.display(), number + 1));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "system calls outside src/sys:\n{}",
        faults.join("\n")
    );
}

#[test]
fn the_named_crates_are_direct_dependencies_and_used() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let manifest = fs::read_to_string(manifest).expect("Cargo.toml is readable");
    let sources = sources();
    for name in [
        "crossbeam-channel",
        "mio",
        "getopts",
        "log",
        "env_logger",
        "libc",
        "nix",
    ] {
        let declared = manifest.lines().any(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.trim_start().starts_with('='))
        });
        assert!(declared, "{name} is not in Cargo.toml");
        let used = format!("{}::", name.replace('-', "_"));
        assert!(
            sources.iter().any(|(_, text)| text.contains(&used)),
            "{name} is used nowhere"
        );
    }
}

#[test]
fn no_file_is_too_long_to_read() {
    let long: Vec<String> = sources()
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_FILE_LINES)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(
        long.is_empty(),
        "longer than {MAX_FILE_LINES} lines:\n{}",
        long.join("\n")
    );
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert!(
        silent.is_empty(),
        "no opening //! text in:\n{}",
        silent.join("\n")
    );
}
