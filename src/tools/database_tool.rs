//! What makemap, editmap and praliases share: flags, settings, opening and writing.
//!
//! These programs read two options out of the configuration file and nothing
//! else, so a file with faults elsewhere does not stop them.
//!
//! Source: makemap(8), editmap(8), praliases(8); texts observed: 8.17.1.9.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::map::berkeley::{Database, Fault, Layout, Repeated};
use crate::map::build::{NewDatabase, Owner};
use crate::map::{MapClass, cdb};
use crate::smtp::ExitStatus;
use crate::sys::file::path_of;
use crate::sys::host::error_text;
use crate::sys::identity::UserDatabase;
use crate::sys::lock::FileLock;
use crate::sys::process::effective_user;

/// Where the options are when `-C` names no other file.
const CONFIGURATION_FILE: &str = "/etc/mail/sendmail.cf";

/// Flags of a command line in the manner of getopt(3).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Letters with their values, in order.
    pub given: Vec<(u8, Vec<u8>)>,
    /// What follows the flags.
    pub operands: Vec<Vec<u8>>,
}

impl Flags {
    /// Reads a command line; `letters` is a getopt string, without the program's name.
    ///
    /// # Errors
    /// The letter that is unknown or lacks its value, with the text getopt prints about it.
    pub fn parse(arguments: &[Vec<u8>], letters: &[u8]) -> Result<Flags, String> {
        let mut flags = Flags::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            if argument == b"--" {
                break;
            }
            let Some(cluster) = argument.strip_prefix(b"-").filter(|word| !word.is_empty()) else {
                flags.operands.push(argument.clone());
                break;
            };
            let mut cluster = cluster;
            while let Some((&letter, after)) = cluster.split_first() {
                let place = letters
                    .iter()
                    .position(|&known| known == letter && known != b':');
                let Some(place) = place else {
                    return Err(format!("invalid option -- '{}'", char::from(letter)));
                };
                if letters.get(place + 1) != Some(&b':') {
                    flags.given.push((letter, Vec::new()));
                    cluster = after;
                    continue;
                }
                let value = match (after, rest.as_slice()) {
                    ([], []) => {
                        let letter = char::from(letter);
                        return Err(format!("option requires an argument -- '{letter}'"));
                    }
                    ([], _) => rest.next().cloned().unwrap_or_default(),
                    (after, _) => after.to_vec(),
                };
                flags.given.push((letter, value));
                cluster = &[];
            }
        }
        flags.operands.extend(rest.cloned());
        Ok(flags)
    }

    /// Says whether a letter was given.
    pub fn has(&self, letter: u8) -> bool {
        self.given.iter().any(|(given, _)| *given == letter)
    }

    /// Returns the last value of a letter.
    pub fn value(&self, letter: u8) -> Option<&[u8]> {
        let mut given = self.given.iter().rev();
        given
            .find(|(given, _)| *given == letter)
            .map(|(_, value)| value.as_slice())
    }
}

/// What the configuration file says to these programs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// TrustedUser.
    pub trusted_user: Option<u32>,
    /// AliasFile, one text per option line.
    pub alias_files: Vec<Vec<u8>>,
}

impl Settings {
    /// Reads the configuration file; an unknown TrustedUser is reported and not taken.
    ///
    /// # Errors
    /// The exit status, when the file cannot be read; the reason was printed.
    pub fn read(
        program: &str,
        flags: &Flags,
        users: &dyn UserDatabase,
        errors: &mut dyn Write,
    ) -> Result<Settings, ExitStatus> {
        let file = flags.value(b'C').unwrap_or(CONFIGURATION_FILE.as_bytes());
        let text = std::fs::read(path_of(file)).map_err(|error| {
            complain(
                errors,
                program,
                &[file, b": ", error_text(&error).as_bytes()],
            );
            ExitStatus::NoInput
        })?;
        let mut settings = Settings::default();
        for line in text.split(|&octet| octet == b'\n') {
            let Some(rest) = line.strip_prefix(b"O") else {
                continue;
            };
            let Some(rest) = rest.strip_prefix(b" ") else {
                if let Some(files) = rest.strip_prefix(b"A") {
                    settings.alias_files.push(files.trim_ascii().to_vec());
                }
                continue;
            };
            let mut parts = rest.splitn(2, |&octet| octet == b'=');
            let name = parts.next().unwrap_or(&[]).trim_ascii();
            let value = parts.next().unwrap_or(&[]).trim_ascii();
            if name.eq_ignore_ascii_case(b"AliasFile") {
                settings.alias_files.push(value.to_vec());
            } else if name.eq_ignore_ascii_case(b"TrustedUser") {
                let number = std::str::from_utf8(value)
                    .ok()
                    .and_then(|text| text.parse().ok());
                let named = || {
                    users
                        .user_by_name(value)
                        .ok()
                        .flatten()
                        .map(|user| user.uid)
                };
                settings.trusted_user = number.or_else(named);
                // Others cannot give files away, so it is nothing to them.
                if settings.trusted_user.is_none() && effective_user() == 0 {
                    let text: &[u8] = b"TrustedUser: unknown user ";
                    let _ = errors.write_all(&[text, value, b"\n"].concat());
                }
            }
        }
        Ok(settings)
    }

    /// Returns who shall own what is written.
    pub fn owner(&self) -> Owner {
        self.trusted_user.map_or(Owner::AsBefore, Owner::User)
    }
}

/// Prints an error with the program's name in front.
pub fn complain(errors: &mut dyn Write, program: &str, text: &[&[u8]]) {
    let line = [program.as_bytes(), b": ", &text.concat(), b"\n"].concat();
    // Nobody is left to be told when standard error is gone.
    let _ = errors.write_all(&line);
}

/// Finds the class of a type word; what cannot be is reported.
///
/// # Errors
/// The exit status.
pub fn class_of(
    program: &str,
    word: &[u8],
    map: &[u8],
    errors: &mut dyn Write,
) -> Result<MapClass, ExitStatus> {
    match MapClass::from_name(word).filter(|class| class.is_built()) {
        Some(class) => Ok(class),
        None if word == b"dbm" => {
            let text: &[u8] = b"Need to recompile with -DNDBM for dbm support";
            complain(errors, program, &[text]);
            Err(ExitStatus::CantCreate)
        }
        None => {
            cannot_open(program, word, map, "Unknown database type", errors);
            Err(ExitStatus::CantCreate)
        }
    }
}

/// Prints that a map cannot be opened.
pub fn cannot_open(program: &str, word: &[u8], map: &[u8], reason: &str, errors: &mut dyn Write) {
    let text: [&[u8]; 6] = [
        b"error opening type ",
        word,
        b" map ",
        map,
        b": ",
        reason.as_bytes(),
    ];
    complain(errors, program, &text);
}

/// Returns the file of a map.
pub fn file_of(class: MapClass, map: &[u8]) -> Vec<u8> {
    match class {
        MapClass::Cdb => cdb::file_name(map),
        _ => crate::map::database_file::file_name(map),
    }
}

/// Hands every pair of a map to `visit` until it returns false.
///
/// # Errors
/// The reason in the words of the C library.
pub fn each_pair(
    class: MapClass,
    map: &[u8],
    visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
) -> Result<(), String> {
    let file = open_plain(path_of(&file_of(class, map)))?;
    if class == MapClass::Cdb {
        let pairs = cdb::pairs(&file).map_err(|error| error_text(&error))?;
        pairs.iter().all(|(key, value)| visit(key, value));
        return Ok(());
    }
    let database = open_database(class, file)?;
    database
        .scan(&mut |key, value| visit(key, &value))
        .map_err(|fault| words_of(&fault))
}

/// Returns the first value of a key.
///
/// # Errors
/// As for [`each_pair`].
pub fn find(class: MapClass, map: &[u8], key: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let file = open_plain(path_of(&file_of(class, map)))?;
    if class == MapClass::Cdb {
        return cdb::find(&file, key).map_err(|error| error_text(&error));
    }
    open_database(class, file)?
        .lookup(key)
        .map_err(|fault| words_of(&fault))
}

/// Starts a database with everything the old file holds, or empty where there is none.
///
/// # Errors
/// As for [`each_pair`].
pub fn load(class: MapClass, map: &[u8], duplicates: bool) -> Result<NewDatabase, String> {
    let path = file_of(class, map);
    let mut several = duplicates;
    let mut pairs = Vec::new();
    if std::fs::symlink_metadata(path_of(&path)).is_ok() {
        if class != MapClass::Cdb {
            several |= open_database(class, open_plain(path_of(&path))?)?.allows_duplicates();
        }
        each_pair(class, map, &mut |key, value| {
            pairs.push((key.to_vec(), value.to_vec()));
            true
        })?;
    }
    let mut database = NewDatabase::new(class, map, several).ok_or("Invalid argument")?;
    for (key, value) in pairs {
        database.insert(key, value, Repeated::Keep);
    }
    Ok(database)
}

/// Checks that a map may be written: a plain file of ours or of TrustedUser that can be
/// written to, or none yet.
///
/// # Errors
/// As for [`each_pair`].
pub fn check_target(class: MapClass, map: &[u8], settings: &Settings) -> Result<(), String> {
    let path = file_of(class, map);
    let path = path_of(&path);
    let owners = [Some(effective_user()), settings.trusted_user];
    match std::fs::symlink_metadata(path) {
        Ok(facts) if facts.is_symlink() => Err("Symbolic links not allowed".to_owned()),
        Ok(facts) if !facts.is_file() => Err("Regular files only".to_owned()),
        Ok(facts) if !owners.contains(&Some(facts.uid())) => Err("Permission denied".to_owned()),
        Ok(_) => std::fs::OpenOptions::new()
            .write(true)
            .custom_flags(0)
            .open(path)
            .map(drop)
            .map_err(|error| error_text(&error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty());
            let parent = std::fs::metadata(parent.unwrap_or(Path::new(".")));
            parent.map(drop).map_err(|error| error_text(&error))
        }
        Err(error) => Err(error_text(&error)),
    }
}

/// Prints which directories on the way everyone may write to.
pub fn warn_of_directories(map: &[u8], errors: &mut dyn Write) {
    let path = path_of(map);
    for directory in path.ancestors().skip(1) {
        let facts = std::fs::metadata(directory);
        if facts.is_ok_and(|facts| facts.mode() & 0o002 != 0) {
            let shown = directory.display();
            let _ = writeln!(errors, "WARNING: World writable directory {shown}");
        }
    }
}

fn open_plain(path: &Path) -> Result<File, String> {
    let file = File::open(path).map_err(|error| error_text(&error))?;
    // Somebody may be writing it in place.
    let lock = FileLock::shared(file).map_err(|(_, error)| error.to_string())?;
    Ok(lock.unlock())
}

fn open_database(class: MapClass, file: File) -> Result<Database, String> {
    let database = Database::open(file).map_err(|fault| words_of(&fault))?;
    let wanted = if class == MapClass::Btree {
        Layout::Btree
    } else {
        Layout::Hash
    };
    if database.layout() == wanted {
        Ok(database)
    } else {
        Err("Invalid argument".to_owned())
    }
}

fn words_of(fault: &Fault) -> String {
    match fault {
        Fault::Io(error) => error_text(error),
        _ => "Invalid argument".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::identity::FixedUsers;

    fn flags(words: &[&str]) -> Result<Flags, String> {
        let words: Vec<_> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        Flags::parse(&words, b"C:fNu")
    }

    #[test]
    fn flags_are_read_as_getopt_does() {
        let read = flags(&["-fN", "-Cfile", "-C", "other", "hash", "-u"]).unwrap();
        assert!(read.has(b'f') && read.has(b'N') && !read.has(b'u'));
        assert_eq!(read.value(b'C'), Some(b"other".as_slice()));
        assert_eq!(read.operands, [b"hash".to_vec(), b"-u".to_vec()]);
        assert_eq!(flags(&["-x"]).unwrap_err(), "invalid option -- 'x'");
        assert_eq!(
            flags(&["-C"]).unwrap_err(),
            "option requires an argument -- 'C'"
        );
    }

    #[test]
    fn settings_come_from_two_options_only() {
        let place = tempfile::NamedTempFile::new().unwrap();
        let text = "V10\nO TrustedUser=alice\nO TrustedUser=nobody1\nOA/etc/a\nO AliasFile=/b\nX";
        std::fs::write(place.path(), text).unwrap();
        let flags = flags(&["-C", place.path().to_str().unwrap()]).unwrap();
        let users = FixedUsers::new().user("alice", 1001);
        let mut errors = Vec::new();
        let settings = Settings::read("makemap", &flags, &users, &mut errors).unwrap();
        assert_eq!(settings.trusted_user, None);
        assert_eq!(settings.alias_files, [b"/etc/a".to_vec(), b"/b".to_vec()]);
        if effective_user() == 0 {
            assert_eq!(errors, b"TrustedUser: unknown user nobody1\n");
        }
    }
}
