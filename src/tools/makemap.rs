//! makemap: builds a map file out of lines `key value`.
//!
//! Source: makemap(8); texts and exit statuses observed: 8.17.1.9.

use std::io::{Read, Write};

use super::database_tool::{
    Flags, Settings, cannot_open, check_target, class_of, complain, each_pair, load,
    warn_of_directories,
};
use crate::map::berkeley::{Inserted, Repeated, WriteFault};
use crate::map::build::NewDatabase;
use crate::smtp::ExitStatus;
use crate::sys::host::error_text;
use crate::sys::identity::UserDatabase;

const PROGRAM: &str = "makemap";
const USAGE: &str = "Usage: makemap [-C cffile] [-N] [-c cachesize] [-D commentchar]
               [-d] [-e] [-f] [-i type] [-l] [-o] [-r] [-s] [-t delimiter]
               [-u] [-v] type mapname\n";
/// Room for one line of input with its end and a closing NUL. Observed: 8.17.1.9.
const LINE_ROOM: usize = 1_024;

/// Runs makemap; `arguments` come without the program's name.
pub fn run(
    arguments: &[Vec<u8>],
    users: &dyn UserDatabase,
    input: &mut dyn Read,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> ExitStatus {
    let flags = match Flags::parse(arguments, b"C:Nc:D:defi:lorst:uvx") {
        Ok(flags) => flags,
        Err(text) => {
            complain(errors, PROGRAM, &[text.as_bytes()]);
            return usage(errors);
        }
    };
    if flags.has(b'l') {
        let _ = out.write_all(b"hash\nbtree\nimplicit\n");
        return ExitStatus::Ok;
    }
    if flags.has(b'x') {
        let _ = out.write_all(b"hash:db\nbtree:db\nimplicit:\n");
        return ExitStatus::Ok;
    }
    let [word, map] = flags.operands.as_slice() else {
        return usage(errors);
    };
    let settings = match Settings::read(PROGRAM, &flags, users, errors) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    let class = match class_of(PROGRAM, word, map, errors) {
        Ok(class) => class,
        Err(exit) => return exit,
    };
    warn_of_directories(map, errors);
    if flags.has(b'u') {
        let separator = flags.value(b't').and_then(|value| value.first()).copied();
        let printed = each_pair(class, map, &mut |key, value| {
            let line = [
                trimmed(key),
                &[separator.unwrap_or(b'\t')],
                trimmed(value),
                b"\n",
            ];
            out.write_all(&line.concat()).is_ok()
        });
        return match printed {
            Ok(()) => ExitStatus::Ok,
            Err(reason) => {
                cannot_open(PROGRAM, word, map, &reason, errors);
                ExitStatus::CantCreate
            }
        };
    }
    let loaded = check_target(class, map, &settings).and_then(|()| {
        if flags.has(b'o') {
            load(class, map, flags.has(b'd'))
        } else {
            NewDatabase::new(class, map, flags.has(b'd')).ok_or("Invalid argument".to_owned())
        }
    });
    let mut database = match loaded {
        Ok(database) => database,
        Err(reason) => {
            cannot_open(PROGRAM, word, map, &reason, errors);
            return ExitStatus::CantCreate;
        }
    };
    let mut text = Vec::new();
    if let Err(error) = input.read_to_end(&mut text) {
        complain(errors, PROGRAM, &[error_text(&error).as_bytes()]);
        return ExitStatus::IoError;
    }
    let exit = read_lines(&text, map, &flags, &mut database, out, errors);
    if let Err(fault) = database.commit(settings.owner()) {
        let reason = match &fault {
            WriteFault::Io(error) => error_text(error),
            other => other.to_string(),
        };
        cannot_open(PROGRAM, word, map, &reason, errors);
        return ExitStatus::CantCreate;
    }
    exit
}

fn usage(errors: &mut dyn Write) -> ExitStatus {
    let _ = errors.write_all(USAGE.as_bytes());
    ExitStatus::Usage
}

fn trimmed(stored: &[u8]) -> &[u8] {
    stored.strip_suffix(b"\0").unwrap_or(stored)
}

/// Puts every line into the database; lines with faults are told and left out.
fn read_lines(
    text: &[u8],
    map: &[u8],
    flags: &Flags,
    database: &mut NewDatabase,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> ExitStatus {
    let comment = flags
        .value(b'D')
        .and_then(|value| value.first())
        .copied()
        .unwrap_or(b'#');
    let separator = flags.value(b't').and_then(|value| value.first()).copied();
    let repeated = match (flags.has(b'd'), flags.has(b'r')) {
        (true, _) => Repeated::Keep,
        (false, true) => Repeated::Replace,
        (false, false) => Repeated::Refuse,
    };
    let mut exit = ExitStatus::Ok;
    let mut rest = text;
    let mut number = 0_usize;
    while !rest.is_empty() {
        number += 1;
        let mut fault = |text: &[&[u8]]| {
            let place = format!(": line {number}: ");
            complain(errors, PROGRAM, &[map, place.as_bytes(), &text.concat()]);
            exit = ExitStatus::DataError;
        };
        let (line, after) = match next_line(rest) {
            Line::Whole(line, after) => (line, after),
            Line::TooLong(after) => {
                rest = after;
                fault(&[format!("line too long ({LINE_ROOM} bytes max)").as_bytes()]);
                continue;
            }
        };
        rest = after;
        match line.first() {
            None => continue,
            Some(&first) if first == comment => continue,
            Some(first) if first.is_ascii_whitespace() => {
                fault(&[b"syntax error (leading space)"]);
                continue;
            }
            Some(_) => {}
        }
        let is_separator = |octet: &u8| match separator {
            Some(separator) => *octet == separator,
            None => octet.is_ascii_whitespace(),
        };
        let key_end = line.iter().position(is_separator).unwrap_or(line.len());
        let (key, tail) = line.split_at(key_end);
        let value_start = tail.iter().position(|octet| !is_separator(octet));
        let value = value_start
            .and_then(|start| tail.get(start..))
            .unwrap_or(&[]);
        let key = if flags.has(b'f') {
            key.to_vec()
        } else {
            key.to_ascii_lowercase()
        };
        if value.is_empty() && !flags.has(b'e') {
            fault(&[b"no RHS for LHS ", &key]);
            continue;
        }
        let (mut stored_key, mut stored_value) = (key.clone(), value.to_vec());
        if flags.has(b'N') {
            stored_key.push(0);
            stored_value.push(0);
        }
        if flags.has(b'v') {
            let _ = out.write_all(&[b"key=`", &*key, b"', val=`", value, b"'\n"].concat());
        }
        if database.insert(stored_key, stored_value, repeated) == Inserted::Refused {
            fault(&[b"key ", &key, b": duplicate key"]);
        }
    }
    exit
}

enum Line<'a> {
    Whole(&'a [u8], &'a [u8]),
    TooLong(&'a [u8]),
}

/// Reads as much as the room allows; what is left over counts as the next line.
fn next_line(text: &[u8]) -> Line<'_> {
    let window = text.get(..LINE_ROOM - 1).unwrap_or(text);
    match window.iter().position(|&octet| octet == b'\n') {
        Some(end) => Line::Whole(
            text.get(..end).unwrap_or(&[]),
            text.get(end + 1..).unwrap_or(&[]),
        ),
        None if window.len() == text.len() => Line::Whole(text, &[]),
        None => Line::TooLong(text.get(window.len()..).unwrap_or(&[])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::identity::FixedUsers;

    struct Bench {
        place: tempfile::TempDir,
    }

    impl Bench {
        fn new() -> Bench {
            let place = tempfile::tempdir().unwrap();
            std::fs::write(place.path().join("cf"), "V10\n").unwrap();
            Bench { place }
        }

        fn run(&self, words: &[&str], input: &str) -> (u8, String, String) {
            let configuration = format!("-C{}", self.place.path().join("cf").display());
            let map = self.place.path().join("m");
            let map = map.to_str().unwrap();
            let words = std::iter::once(configuration.as_str()).chain(words.iter().copied());
            let arguments: Vec<_> = words
                .map(|word| word.replace('@', map).into_bytes())
                .collect();
            let (mut out, mut errors) = (Vec::new(), Vec::new());
            let users = FixedUsers::new();
            let mut input = input.as_bytes();
            let exit = run(&arguments, &users, &mut input, &mut out, &mut errors);
            let shown = |text: Vec<u8>| {
                let text = String::from_utf8(text).unwrap().replace(map, "@");
                let lines = text
                    .lines()
                    .filter(|line| !line.starts_with("WARNING: World"));
                lines.collect::<Vec<_>>().join("|")
            };
            (exit.number(), shown(out), shown(errors))
        }

        fn dump(&self, class: &str) -> String {
            let (_, out, _) = self.run(&["-u", class, "@"], "");
            let mut lines: Vec<_> = out.split('|').collect();
            lines.sort_unstable();
            lines.join("|")
        }
    }

    #[test]
    fn lines_become_pairs_and_faults_are_told() {
        let bench = Bench::new();
        let input = "a b\nA c\n# c\n\nnoval\n  lead  space\nk\tt1 t2\nlast x";
        let (exit, _, errors) = bench.run(&["hash", "@"], input);
        assert_eq!(exit, 65);
        assert_eq!(
            errors,
            "makemap: @: line 2: key a: duplicate key|makemap: @: line 5: no RHS for LHS noval|\
             makemap: @: line 6: syntax error (leading space)"
        );
        assert_eq!(bench.dump("hash"), "a\tb|k\tt1 t2|last\tx");
    }

    #[test]
    fn flags_change_what_is_stored() {
        for (words, input, wanted) in [
            (&["-f", "hash", "@"][..], "A b\n", "A\tb"),
            (&["-r", "btree", "@"], "a b\na c\n", "a\tc"),
            (&["-d", "btree", "@"], "a b\na c\n", "a\tb|a\tc"),
            (&["-e", "hash", "@"], "a\n", "a\t"),
            (&["-N", "hash", "@"], "a b\n", "a\tb"),
            (&["-t:", "hash", "@"], "a c:d e\n", "a c\td e"),
            (&["-D;", "hash", "@"], "; x\n# y\n", "#\ty"),
        ] {
            let bench = Bench::new();
            assert_eq!(bench.run(words, input).0, 0, "{words:?}");
            let class = if words.contains(&"btree") {
                "btree"
            } else {
                "hash"
            };
            assert_eq!(bench.dump(class), wanted, "{words:?}");
        }
    }

    #[test]
    fn appending_keeps_what_was_there() {
        let bench = Bench::new();
        bench.run(&["hash", "@"], "a b\n");
        assert_eq!(bench.run(&["-o", "hash", "@"], "c d\n").0, 0);
        assert_eq!(bench.dump("hash"), "a\tb|c\td");
    }

    #[test]
    fn what_cannot_be_is_refused_in_the_words_of_the_reference() {
        let bench = Bench::new();
        assert_eq!(bench.run(&["hash"], "").0, 64);
        let (exit, _, errors) = bench.run(&["bogus", "@"], "");
        assert_eq!(exit, 73);
        assert_eq!(
            errors,
            "makemap: error opening type bogus map @: Unknown database type"
        );
        let (exit, _, errors) = bench.run(&["-u", "hash", "@"], "");
        assert_eq!(exit, 73);
        assert_eq!(
            errors,
            "makemap: error opening type hash map @: No such file or directory"
        );
        let long = "x".repeat(2_000);
        let (exit, _, errors) = bench.run(&["hash", "@"], &long);
        assert_eq!(exit, 65);
        assert!(errors.starts_with("makemap: @: line 1: line too long (1024 bytes max)|"));
    }
}
