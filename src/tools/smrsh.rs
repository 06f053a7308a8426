//! smrsh: a shell that runs the programs of one folder and nothing else.
//!
//! A command is taken apart first: names must be files of the folder (or `exec`,
//! `exit`, `echo`), nothing in it may have a meaning to a shell but quotes and
//! patterns, and only `||` and `&&` join commands. What is handed to `/bin/sh` is
//! put together anew from the parts, with the folder in front of each name.
//!
//! Source: smrsh(8); texts, limits and log lines observed: 8.17.1.9.

use std::io::Write;
use std::path::Path;

use crate::smtp::ExitStatus;
use crate::sys::file::{path_of, real_user_may};
use crate::sys::host::error_text;
use crate::sys::process::{real_user, replace_by};

/// The folder with the programs that may be run. Observed: 8.17.1.9 of Debian.
pub const FOLDER: &[u8] = b"/etc/mail/smrsh";
/// What the programs find in their environment, and nothing else.
const SEARCH_PATH: (&[u8], &[u8]) = (b"PATH", b"/usr/bin:/bin");
/// The shell that gets the command when it was found harmless.
const SHELL: &str = "/bin/sh";
/// Room for the command that is put together. Observed: 8.17.1.9.
const ROOM: usize = 1_000;
/// Characters with a meaning to the shell that commands may not have.
const SPECIAL: &[u8] = b"<|>^();&`$\r\n";
/// Execute permission, as access(2) counts it.
const MAY_EXECUTE: i32 = 1;

/// Why a command is not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is none.
    Nothing,
    /// It does not fit the room.
    TooLong,
    /// Nothing follows `exec`.
    NothingToExec,
    /// A character with a meaning to the shell.
    Special(u8),
    /// A name that is no program of the folder; why, and it with all behind it.
    Unavailable {
        /// The name asked for, without its folders.
        name: Vec<u8>,
        /// The name and the rest of the command.
        rest: Vec<u8>,
        /// What is wrong, as put behind the message.
        why: &'static str,
    },
}

impl Refusal {
    /// Says it to whoever called, behind the name of the program.
    fn told(&self, command: &[u8]) -> Vec<u8> {
        match self {
            Refusal::Nothing => Vec::new(),
            Refusal::TooLong => [b"command too long: ", command].concat(),
            Refusal::NothingToExec => b"missing command to exec".to_vec(),
            Refusal::Special(octet) => [b"cannot use ", &[*octet][..], b" in command"].concat(),
            Refusal::Unavailable { name, why, .. } => [
                b"\"",
                &name[..],
                b"\" not available for sendmail programs",
                why.as_bytes(),
            ]
            .concat(),
        }
    }

    /// Says it to the log.
    fn log(&self, command: &[u8]) {
        let shown = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        let uid = real_user();
        match self {
            Refusal::Nothing => log::error!("usage"),
            Refusal::TooLong => {
                let head = command.get(..LOGGED_COMMAND).unwrap_or(command);
                log::warn!("command too long: {}", shown(head));
            }
            Refusal::NothingToExec => {
                log::error!(target: "mail.crit", "uid {uid}: missing command to exec");
            }
            Refusal::Special(octet) => log::error!(
                target: "mail.crit",
                "uid {uid}: attempt to use {} in command: {}",
                char::from(*octet),
                shown(command)
            ),
            Refusal::Unavailable { rest, why, .. } => {
                log::error!(target: "mail.crit", "uid {uid}: attempt to use \"{}\"{why}", shown(rest));
            }
        }
    }
}

/// How much of an overlong command is logged. Observed: 8.17.1.9.
const LOGGED_COMMAND: usize = 40;

/// Runs smrsh; returns only if the command is not run.
pub fn run(words: &[Vec<u8>], errors: &mut dyn Write) -> ExitStatus {
    let name = words.first().map_or(&b"smrsh"[..], Vec::as_slice);
    let command = match words {
        [_, flag, command] if flag == b"-c" => command.as_slice(),
        _ => b"",
    };
    let refusal = match checked(command, FOLDER) {
        Ok(harmless) => {
            let words = [SHELL.as_bytes(), b"-c", &harmless];
            let error = replace_by(Path::new(SHELL), &words, &[SEARCH_PATH]);
            log::error!("Cannot exec {SHELL}: {}", error_text(&error));
            return ExitStatus::OsFile;
        }
        Err(refusal) => refusal,
    };
    refusal.log(command);
    let text = match refusal {
        Refusal::Nothing => [b"Usage: ", name, b" -c command\n"].concat(),
        _ => [name, b": ", &refusal.told(command), b"\n"].concat(),
    };
    // Nobody is left to be told when standard error is gone.
    let _ = errors.write_all(&text);
    match refusal {
        Refusal::Nothing => ExitStatus::Usage,
        _ => ExitStatus::Unavailable,
    }
}

/// Checks a command; what comes back is what the shell may have.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn checked(command: &[u8], folder: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut harmless = Assembly {
        text: Vec::new(),
        folder,
    };
    let mut rest = skip_space(command);
    if rest.is_empty() {
        return Err(Refusal::Nothing);
    }
    while !rest.is_empty() {
        let end = rest.iter().position(|octet| matches!(octet, b' ' | b'\t'));
        let (word, behind) = rest.split_at(end.unwrap_or(rest.len()));
        if word == b"exec" && end.is_some() {
            harmless.add(b"exec ")?;
            rest = skip_space(behind);
            if rest.is_empty() {
                return Err(Refusal::NothingToExec);
            }
            continue;
        }
        let arguments_end = find_special(behind)?;
        let arguments = behind.get(..arguments_end).unwrap_or(behind);
        if matches!(word, b"exit" | b"echo") {
            harmless.add(&[word, arguments].concat())?;
        } else {
            let name = last_part(word);
            let skipped = word.len() - name.len();
            check_program(name, rest.get(skipped..).unwrap_or(rest), folder)?;
            harmless.add_program(name, arguments)?;
        }
        let Some(operator) = behind.get(arguments_end..arguments_end + 2) else {
            break;
        };
        harmless.add(operator)?;
        rest = skip_space(behind.get(arguments_end + 2..).unwrap_or(&[]));
    }
    Ok(harmless.text)
}

/// The command put together from checked parts.
struct Assembly<'a> {
    text: Vec<u8>,
    folder: &'a [u8],
}

impl Assembly<'_> {
    fn add(&mut self, part: &[u8]) -> Result<(), Refusal> {
        // The folder's name is counted even where it is not put in front.
        if self.text.len() + part.len() + self.folder.len() + 1 > ROOM - 2 {
            return Err(Refusal::TooLong);
        }
        self.text.extend_from_slice(part);
        Ok(())
    }

    fn add_program(&mut self, name: &[u8], arguments: &[u8]) -> Result<(), Refusal> {
        let start = self.text.len();
        self.add(&[name, arguments].concat())?;
        let path = [self.folder, b"/"].concat();
        self.text.splice(start..start, path);
        Ok(())
    }
}

/// Finds where the arguments end: at `||`, at `&&` or with the text.
fn find_special(arguments: &[u8]) -> Result<usize, Refusal> {
    let Some(place) = arguments.iter().position(|octet| SPECIAL.contains(octet)) else {
        return Ok(arguments.len());
    };
    match arguments.get(place..) {
        Some([b'|', b'|', ..] | [b'&', b'&', ..]) => Ok(place),
        Some([octet, ..]) => Err(Refusal::Special(*octet)),
        _ => Ok(place),
    }
}

/// Checks that a name is a program of the folder.
fn check_program(name: &[u8], rest: &[u8], folder: &[u8]) -> Result<(), Refusal> {
    let unavailable = |why| {
        Err(Refusal::Unavailable {
            name: name.to_vec(),
            rest: rest.to_vec(),
            why,
        })
    };
    if name.len() + folder.len() + 1 > ROOM - 2 {
        return Err(Refusal::TooLong);
    }
    let path = [folder, b"/", name].concat();
    match std::fs::metadata(path_of(&path)) {
        Err(_) => return unavailable(" (stat failed)"),
        Ok(facts) if !facts.is_file() => return unavailable(" (not a file)"),
        Ok(_) => {}
    }
    if real_user_may(path_of(&path), MAY_EXECUTE).is_err() {
        return unavailable("");
    }
    // Such a file would be odd, but the shell must not see its name as a command line.
    match name.iter().find(|octet| is_odd(**octet)) {
        Some(octet) => Err(Refusal::Special(*octet)),
        None => Ok(()),
    }
}

/// Tells whether a character of a name could mean something to the shell.
fn is_odd(octet: u8) -> bool {
    SPECIAL.contains(&octet) || octet.is_ascii_whitespace() || b"'\"\\*?[#~{}!".contains(&octet)
}

fn last_part(word: &[u8]) -> &[u8] {
    word.rsplit(|&octet| octet == b'/').next().unwrap_or(word)
}

/// Skips what isspace(3) knows, line ends among it.
fn skip_space(text: &[u8]) -> &[u8] {
    let start = text
        .iter()
        .position(|octet| !matches!(octet, b' ' | 9..=13))
        .unwrap_or(text.len());
    text.get(start..).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    struct Folder {
        place: tempfile::TempDir,
    }

    impl Folder {
        fn new() -> Folder {
            let place = tempfile::tempdir().unwrap();
            for (name, mode) in [
                ("show", 0o755),
                ("fail", 0o755),
                ("text", 0o644),
                ("a;b", 0o755),
            ] {
                let path = place.path().join(name);
                std::fs::write(&path, "#!/bin/sh\n").unwrap();
                std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            }
            std::fs::create_dir(place.path().join("dir")).unwrap();
            Folder { place }
        }

        fn path(&self) -> &[u8] {
            self.place.path().as_os_str().as_encoded_bytes()
        }

        /// What the shell would get, with `@/` for the folder, or what is said instead.
        fn answer(&self, command: &str) -> String {
            match checked(command.as_bytes(), self.path()) {
                Ok(text) => String::from_utf8(text)
                    .unwrap()
                    .replace(self.place.path().to_str().unwrap(), "@"),
                Err(refusal) => String::from_utf8(refusal.told(b"...")).unwrap(),
            }
        }
    }

    #[test]
    fn commands_are_put_together_anew() {
        let folder = Folder::new();
        for (command, wanted) in [
            ("show", "@/show"),
            ("/usr/ucb/show a b", "@/show a b"),
            ("a/../show 'a b'", "@/show 'a b'"),
            (
                "  exec   show   a  \"x  y\"  ||   ./show  b  ",
                "exec @/show   a  \"x  y\"  ||@/show  b  ",
            ),
            ("show a\tb ||\n\techo    b  ", "@/show a\tb ||echo    b  "),
            ("exec fail || exit 75", "exec @/fail ||exit 75"),
            ("exec exec show", "exec exec @/show"),
            ("fail &&", "@/fail &&"),
            ("exit", "exit"),
            ("\r\n show", "@/show"),
        ] {
            assert_eq!(folder.answer(command), wanted, "{command:?}");
        }
    }

    #[test]
    fn what_a_shell_could_misuse_is_refused() {
        let folder = Folder::new();
        for octet in "<|>^();&`$\r\n".chars() {
            for command in [
                format!("show a{octet}b"),
                format!("show {octet} b"),
                format!("show {octet}"),
            ] {
                let wanted = format!("cannot use {octet} in command");
                assert_eq!(folder.answer(&command), wanted, "{command:?}");
            }
        }
        for (command, wanted) in [
            ("show ||| show", "\"|\" (stat failed)"),
            ("show &&&& show", "\"&&\" (stat failed)"),
            ("fail||show x", "\"fail||show\" (stat failed)"),
            ("$show", "\"$show\" (stat failed)"),
            ("nosuch a || show", "\"nosuch\" (stat failed)"),
            ("FOO=1 show", "\"FOO=1\" (stat failed)"),
            ("/bin/echo hi", "\"echo\" (stat failed)"),
            ("exec", "\"exec\" (stat failed)"),
            ("dir", "\"dir\" (not a file)"),
            ("..", "\"..\" (not a file)"),
            ("show/", "\"\" (not a file)"),
        ] {
            let wanted = wanted.replace(" (", " not available for sendmail programs (");
            assert_eq!(folder.answer(command), wanted, "{command:?}");
        }
        assert_eq!(folder.answer("exec "), "missing command to exec");
        assert_eq!(folder.answer("a;b"), "cannot use ; in command");
        assert_eq!(checked(b" \n", folder.path()), Err(Refusal::Nothing));
    }

    #[test]
    fn the_room_is_counted_with_the_folder() {
        let folder = Folder::new();
        // So much is left in the room of the reference, whose folder has 15 characters.
        let room = ROOM - 2 - folder.path().len() - 1;
        let fits = format!("echo {}", "n".repeat(room - 5));
        assert!(checked(fits.as_bytes(), folder.path()).is_ok());
        let too_long = format!("{fits}n");
        let refused = checked(too_long.as_bytes(), folder.path());
        assert_eq!(refused, Err(Refusal::TooLong));
        let twice = format!("show || {fits}");
        assert_eq!(
            checked(twice.as_bytes(), folder.path()),
            Err(Refusal::TooLong)
        );
    }

    /// Takes what was let through apart again, as a shell that knows no quotes would.
    fn is_harmless(text: &str, folder: &str) -> bool {
        let joined = text.replace("&&", "||");
        joined.split("||").all(|command| {
            let mut words = command.split([' ', '\t']).filter(|word| !word.is_empty());
            let mut first = words.next();
            while first == Some("exec") {
                first = words.next();
            }
            let is_known = first.is_none_or(|word| {
                matches!(word, "exit" | "echo") || [&*folder, "/show"].concat() == word
            });
            is_known && !command.bytes().any(|octet| SPECIAL.contains(&octet))
        })
    }

    #[test]
    fn nothing_but_known_programs_gets_through() {
        let folder = Folder::new();
        let place = folder.place.path().to_str().unwrap();
        let pieces = [
            "show", "exec", "echo", "exit", "sh", "../show", "a", " ", " ", " ", "\t", "||", "&&",
            "|", "&", ";", "\n", "\r", "$", "`", "(", ")", "<", ">", "^", "\\", "'", "\"", "/",
            "#",
        ];
        let (mut state, mut accepted) = (1_u64, 0);
        for _ in 0..50_000 {
            let mut command = String::from("show ");
            for _ in 0..6 {
                // The generator of Knuth's MMIX: any order of the pieces will do.
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let piece = usize::try_from(state >> 33).unwrap() % pieces.len();
                command.push_str(pieces[piece]);
            }
            if let Ok(text) = checked(command.as_bytes(), folder.path()) {
                let text = String::from_utf8(text).unwrap();
                assert!(is_harmless(&text, place), "{command:?} became {text:?}");
                accepted += 1;
            }
        }
        assert!(accepted > 1_000, "only {accepted}");
    }

    #[test]
    fn a_file_that_cannot_be_executed_is_no_program() {
        let folder = Folder::new();
        let said = folder.answer("text");
        assert_eq!(said, "\"text\" not available for sendmail programs");
    }
}
