//! praliases: prints alias databases.
//!
//! Source: praliases(8); texts and exit statuses observed: 8.17.1.9.

use std::io::Write;

use super::database_tool::{Flags, Settings, complain, each_pair, find};
use crate::map::MapClass;
use crate::smtp::ExitStatus;
use crate::sys::identity::UserDatabase;

const PROGRAM: &str = "praliases";
const USAGE: &str = "usage: praliases [-C cffile] [-f aliasfile] [key ...]\n";

/// Runs praliases; `arguments` come without the program's name.
pub fn run(
    arguments: &[Vec<u8>],
    users: &dyn UserDatabase,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> ExitStatus {
    let flags = match Flags::parse(arguments, b"C:f:") {
        Ok(flags) => flags,
        Err(text) => {
            complain(errors, PROGRAM, &[text.as_bytes()]);
            let _ = errors.write_all(USAGE.as_bytes());
            return ExitStatus::Usage;
        }
    };
    if let Some(file) = flags.value(b'f') {
        print_specification(file, &flags.operands, out, errors);
        return ExitStatus::Ok;
    }
    match Settings::read(PROGRAM, &flags, users, errors) {
        Ok(settings) => {
            for list in &settings.alias_files {
                print_list(list, &flags.operands, out, errors);
            }
            ExitStatus::Ok
        }
        Err(exit) => exit,
    }
}

/// Prints every database of one AliasFile option.
fn print_list(list: &[u8], keys: &[Vec<u8>], out: &mut dyn Write, errors: &mut dyn Write) {
    for specification in list.split(|&octet| octet == b',').map(<[u8]>::trim_ascii) {
        if !specification.is_empty() {
            print_specification(specification, keys, out, errors);
        }
    }
}

/// Prints the database of `class: flags file`.
fn print_specification(
    specification: &[u8],
    keys: &[Vec<u8>],
    out: &mut dyn Write,
    errors: &mut dyn Write,
) {
    let (class, file) = match specification.iter().position(|&octet| octet == b':') {
        None => (None, specification),
        Some(colon) => {
            let (word, rest) = specification.split_at(colon);
            match MapClass::from_name(word) {
                Some(class @ (MapClass::Hash | MapClass::Btree | MapClass::Cdb)) => {
                    (Some(class), rest.get(1..).unwrap_or(&[]))
                }
                _ => {
                    let text: &[u8] = b"Skipping non-file based alias type ";
                    complain(errors, PROGRAM, &[text, word]);
                    return;
                }
            }
        }
    };
    let file = without_flags(file);
    if file.is_empty() {
        let text: &[u8] = b"illegal alias specification: ";
        complain(errors, PROGRAM, &[text, specification]);
        return;
    }
    print_database(class, file, keys, out, errors);
}

/// Drops flags like `-o` in front of the file.
fn without_flags(file: &[u8]) -> &[u8] {
    let mut rest = file.trim_ascii();
    while rest.starts_with(b"-") {
        let end = rest
            .iter()
            .position(u8::is_ascii_whitespace)
            .unwrap_or(rest.len());
        rest = rest.get(end..).unwrap_or(&[]).trim_ascii_start();
    }
    rest
}

/// Prints a database; without a class it may be of any, which is hash.
fn print_database(
    class: Option<MapClass>,
    file: &[u8],
    keys: &[Vec<u8>],
    out: &mut dyn Write,
    errors: &mut dyn Write,
) {
    let plain = |stored: &[u8]| stored.strip_suffix(b"\0").unwrap_or(stored).to_vec();
    let mut print = |key: &[u8], value: &[u8]| {
        out.write_all(&[&plain(key), b":".as_slice(), &plain(value), b"\n"].concat())
            .is_ok()
    };
    let wanted = class.unwrap_or(MapClass::Hash);
    let outcome = if keys.is_empty() {
        each_pair(wanted, file, &mut print)
    } else {
        keys.iter().try_for_each(|key| {
            let with_nul = find(wanted, file, &[key, b"\0".as_slice()].concat())?;
            match with_nul.map_or_else(|| find(wanted, file, key), |value| Ok(Some(value)))? {
                Some(value) => print(key, &value),
                None => out_no_key(&mut print, key),
            };
            Ok(())
        })
    };
    if let Err(reason) = outcome {
        let reason = match reason.as_str() {
            "No such file or directory" | "Invalid argument" if class.is_none() => {
                "Unknown database type"
            }
            other => other,
        };
        complain(errors, PROGRAM, &[file, b": open: ", reason.as_bytes()]);
    }
}

fn out_no_key(print: &mut dyn FnMut(&[u8], &[u8]) -> bool, key: &[u8]) -> bool {
    print(key, b" No such key")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::berkeley::Repeated;
    use crate::map::build::{NewDatabase, Owner};
    use crate::sys::identity::FixedUsers;

    #[test]
    fn databases_and_single_keys_are_printed() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("aliases");
        let name = file.as_os_str().as_encoded_bytes();
        let mut database = NewDatabase::new(MapClass::Hash, name, false).unwrap();
        for (key, value) in [("list\0", "a,b\0"), ("@\0", "@\0"), ("plain", "x")] {
            database.insert(key.into(), value.into(), Repeated::Refuse);
        }
        database.commit(Owner::AsBefore).unwrap();
        let run = |keys: &[&str]| {
            let words = ["-f", file.to_str().unwrap()];
            let words = words
                .iter()
                .chain(keys)
                .map(|word| word.as_bytes().to_vec());
            let arguments: Vec<_> = words.collect();
            let (mut out, mut errors) = (Vec::new(), Vec::new());
            super::run(&arguments, &FixedUsers::new(), &mut out, &mut errors);
            let text = String::from_utf8([out, errors].concat()).unwrap();
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(run(&[]), ["@:@", "list:a,b", "plain:x"]);
        assert_eq!(
            run(&["list", "LIST", "plain"]),
            ["LIST: No such key", "list:a,b", "plain:x"]
        );
    }

    #[test]
    fn what_is_no_file_is_skipped() {
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        print_list(b"ldap:x, /nonexistent/a", &[], &mut out, &mut errors);
        let text = String::from_utf8(errors).unwrap();
        assert_eq!(
            text,
            "praliases: Skipping non-file based alias type ldap\n\
             praliases: /nonexistent/a: open: Unknown database type\n"
        );
        let mut errors = Vec::new();
        print_list(b"hash:-o/etc/a", &[], &mut out, &mut errors);
        let text = b"praliases: illegal alias specification: hash:-o/etc/a\n";
        assert_eq!(errors, text);
    }
}
