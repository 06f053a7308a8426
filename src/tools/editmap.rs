//! editmap: asks for, changes or removes one key of a map file.
//!
//! Source: editmap(8); texts and exit statuses observed: 8.17.1.9.

use std::io::Write;

use super::database_tool::{
    Flags, Settings, cannot_open, check_target, class_of, complain, find, load, warn_of_directories,
};
use crate::map::berkeley::Repeated;
use crate::smtp::ExitStatus;
use crate::sys::identity::UserDatabase;

const PROGRAM: &str = "editmap";
const USAGE: &str =
    "Usage: editmap [-C cffile] [-N] [-f] [-q|-u|-x] maptype mapname key [ \"value ...\" ]\n";

/// Runs editmap; `arguments` come without the program's name.
pub fn run(
    arguments: &[Vec<u8>],
    users: &dyn UserDatabase,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> ExitStatus {
    let flags = match Flags::parse(arguments, b"C:fquxN") {
        Ok(flags) => flags,
        Err(text) => {
            complain(errors, PROGRAM, &[text.as_bytes()]);
            return usage(errors);
        }
    };
    let tasks: Vec<u8> = b"qux"
        .iter()
        .copied()
        .filter(|&task| flags.has(task))
        .collect();
    let [task] = *tasks else { return usage(errors) };
    let (word, map, key, values) = match flags.operands.as_slice() {
        [word, map, key] if task != b'u' => (word, map, key, &[][..]),
        [word, map, key, values @ ..] if task == b'u' && !values.is_empty() => {
            (word, map, key, values)
        }
        _ => return usage(errors),
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
    let key = if flags.has(b'f') {
        key.clone()
    } else {
        key.to_ascii_lowercase()
    };
    let mut stored_key = key.clone();
    if flags.has(b'N') {
        stored_key.push(0);
    }
    if task == b'q' {
        return match find(class, map, &stored_key) {
            Ok(Some(value)) => {
                let value = value.strip_suffix(b"\0").unwrap_or(&value);
                let _ = out.write_all(&[value, b"\n"].concat());
                ExitStatus::Ok
            }
            Ok(None) => {
                complain(
                    errors,
                    PROGRAM,
                    &[b"couldn't find key ", &key, b" in map ", map],
                );
                ExitStatus::Unavailable
            }
            Err(reason) => {
                cannot_open(PROGRAM, word, map, &reason, errors);
                ExitStatus::CantCreate
            }
        };
    }
    let mut database =
        match check_target(class, map, &settings).and_then(|()| load(class, map, false)) {
            Ok(database) => database,
            Err(reason) => {
                cannot_open(PROGRAM, word, map, &reason, errors);
                return ExitStatus::CantCreate;
            }
        };
    if task == b'x' {
        if !database.table().remove(&stored_key) {
            complain(
                errors,
                PROGRAM,
                &[b"key ", &key, b" doesn't exist in map ", map],
            );
        }
    } else {
        // What follows the first value is taken for nothing. Observed: 8.17.1.9.
        let mut value = values.first().cloned().unwrap_or_default();
        if flags.has(b'N') {
            value.push(0);
        }
        database.insert(stored_key, value, Repeated::Replace);
    }
    match database.commit(settings.owner()) {
        Ok(()) => ExitStatus::Ok,
        Err(fault) => {
            cannot_open(PROGRAM, word, map, &fault.to_string(), errors);
            ExitStatus::CantCreate
        }
    }
}

fn usage(errors: &mut dyn Write) -> ExitStatus {
    let _ = errors.write_all(USAGE.as_bytes());
    ExitStatus::Usage
}

#[cfg(test)]
mod tests {
    use crate::sys::identity::FixedUsers;

    #[test]
    fn keys_are_changed_asked_for_and_removed() {
        let place = tempfile::tempdir().unwrap();
        let configuration = place.path().join("cf");
        std::fs::write(&configuration, "V10\n").unwrap();
        let map = place.path().join("m");
        let run = |words: &[&str]| {
            let map = map.to_str().unwrap();
            let configuration = format!("-C{}", configuration.display());
            let words = std::iter::once(configuration.as_str()).chain(words.iter().copied());
            let arguments: Vec<_> = words
                .map(|word| word.replace('@', map).into_bytes())
                .collect();
            let (mut out, mut errors) = (Vec::new(), Vec::new());
            let exit = super::run(&arguments, &FixedUsers::new(), &mut out, &mut errors);
            let text = String::from_utf8([out, errors].concat())
                .unwrap()
                .replace(map, "@");
            let text = text
                .lines()
                .filter(|line| !line.starts_with("WARNING: World"));
            (exit.number(), text.collect::<Vec<_>>().join("|"))
        };
        assert_eq!(
            run(&["-u", "hash", "@", "Key", "some words", "x"]),
            (0, String::new())
        );
        assert_eq!(
            run(&["-q", "hash", "@", "KEY"]),
            (0, "some words".to_owned())
        );
        let text = "editmap: couldn't find key key in map @".to_owned();
        assert_eq!(run(&["-N", "-q", "hash", "@", "key"]), (69, text));
        assert_eq!(run(&["-x", "hash", "@", "key"]), (0, String::new()));
        let text = "editmap: key key doesn't exist in map @".to_owned();
        assert_eq!(run(&["-x", "hash", "@", "key"]), (0, text));
        assert_eq!(run(&["-q", "-x", "hash", "@", "key"]).0, 64);
    }
}
