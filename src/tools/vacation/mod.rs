//! vacation: answers mail while somebody is away.
//!
//! - this file: the command line, and the answer;
//! - [`message`]: what is read of a message, and who gets no answer;
//! - [`memory`]: whom it answered when.
//!
//! It runs out of a `.forward` file, as its user, and must never fail because of what a
//! message holds: whoever gets no answer is passed over in silence.
//!
//! Source: vacation(1); texts and exit statuses observed: 8.17.1.9.

pub mod memory;
pub mod message;

use std::fs::File;
use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::database_tool::Flags;
use crate::smtp::ExitStatus;
use crate::sys::clock::Timestamp;
use crate::sys::file::{copy_of, path_buf_of};
use crate::sys::identity::{User, UserDatabase};
use crate::sys::privilege::Privileged;
use crate::sys::process::{change_directory, real_user};
use crate::sys::spawn::{SpawnPlan, Stdio};
use crate::text::bytes::printable;
use crate::text::date::ctime_date;

use memory::{Answered, Memory};
use message::{HeaderFault, Incoming};

const SENDMAIL: &str = "/usr/sbin/sendmail";
/// The memory, in the user's home, without its extension.
const MEMORY: &[u8] = b".vacation";
/// The answer, in the user's home.
const ANSWER: &[u8] = b".vacation.msg";
const USAGE: &str = "usage: vacation [-a alias] [-C cfpath] [-d] [-f db] [-i] [-j] [-l] \
[-m msg] [-R returnaddr] [-r interval] [-s sender] [-t time] [-U] [-x] [-z] login";
const SECONDS_OF_A_DAY: u64 = 86_400;

/// What the program gets from outside.
pub struct Surroundings<'a> {
    /// Where users are looked up.
    pub users: &'a dyn UserDatabase,
    /// Starts sendmail.
    pub privileged: &'a dyn Privileged,
    /// What sendmail finds in its environment.
    pub environment: Vec<(Vec<u8>, Vec<u8>)>,
    /// The time.
    pub now: Timestamp,
}

/// Why the program ends early; an empty text says nothing to anybody.
struct Fault {
    status: ExitStatus,
    text: String,
}

fn fault(status: ExitStatus, text: impl Into<String>) -> Fault {
    Fault {
        status,
        text: text.into(),
    }
}

/// Runs vacation; `words` begin with its name.
pub fn run(
    words: &[Vec<u8>],
    surroundings: Surroundings<'_>,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> ExitStatus {
    let flags = Flags::parse(words.get(1..).unwrap_or(&[]), LETTERS);
    let has = |letter| match &flags {
        Ok(flags) => flags.has(letter),
        Err(_) => words.iter().any(|word| word == b"-d"),
    };
    let on_terminal = has(b'd');
    let done = match &flags {
        Err(_) => Err(usage()),
        Ok(flags) => away(flags, surroundings, input, out, &mut |text| {
            tell(on_terminal, ExitStatus::Ok, text, errors);
        }),
    };
    match done {
        Ok(()) => ExitStatus::Ok,
        Err(fault) => {
            tell(on_terminal, fault.status, &fault.text, errors);
            fault.status
        }
    }
}

const LETTERS: &[u8] = b"a:C:df:Iijlm:R:r:s:t:Uxz";

fn usage() -> Fault {
    fault(ExitStatus::Usage, format!("uid {}: {USAGE}", real_user()))
}

fn tell(on_terminal: bool, status: ExitStatus, text: &str, errors: &mut dyn Write) {
    if text.is_empty() {
    } else if on_terminal {
        // Nobody is left to be told when standard error is gone.
        let _ = writeln!(errors, "{text}");
    } else if status == ExitStatus::NoUser {
        log::error!("{text}");
    } else {
        log::info!(target: "mail.notice", "{text}");
    }
}

/// Whose absence it is.
struct Account {
    /// The name, as given or as the system knows it.
    name: Vec<u8>,
    /// The home, unless nobody was looked up (`-U`).
    home: Option<PathBuf>,
}

impl Account {
    fn find(flags: &Flags, users: &dyn UserDatabase) -> Result<Account, Fault> {
        let only_memory = [b'i', b'I', b'l', b'x']
            .iter()
            .any(|&letter| flags.has(letter));
        let (user, wanted) = match flags.operands.as_slice() {
            [name] if flags.has(b'U') => {
                if flags.value(b'f').is_none() || flags.value(b'm').is_none() {
                    let text = "vacation: -U requires setting both -f and -m";
                    return Err(fault(ExitStatus::NoInput, text));
                }
                return Ok(Account {
                    name: name.clone(),
                    home: None,
                });
            }
            [name] => (users.user_by_name(name), printable(name)),
            [] if only_memory => {
                let uid = real_user();
                (users.user_by_uid(uid), format!("uid {uid}"))
            }
            _ => return Err(usage()),
        };
        match user {
            Ok(Some(User { name, home, .. })) => Ok(Account {
                name,
                home: Some(home),
            }),
            Ok(None) => {
                let text = format!("vacation: no such user {wanted}.");
                Err(fault(ExitStatus::NoUser, text))
            }
            Err(error) => {
                let text = format!("vacation: can't read mailbox database: {error}.");
                Err(fault(ExitStatus::TempFail, text))
            }
        }
    }
}

fn away(
    flags: &Flags,
    surroundings: Surroundings<'_>,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    tell: &mut dyn FnMut(&str),
) -> Result<(), Fault> {
    let account = Account::find(flags, surroundings.users)?;
    if let Some(home) = &account.home {
        change_directory(home).map_err(|_| {
            let text = format!("vacation: no such directory {}.", home.display());
            fault(ExitStatus::NoInput, text)
        })?;
    }
    let name = flags.value(b'f').unwrap_or(MEMORY);
    let unusable = |reason: String| {
        let text = format!("vacation: {}: {reason}", printable(name));
        fault(ExitStatus::DataError, text)
    };
    let begins_anew = flags.has(b'i') || flags.has(b'I');
    if begins_anew || flags.has(b'r') || flags.has(b'x') {
        let memory = match begins_anew {
            true => Memory::forget_all(name),
            false => Memory::open(name),
        };
        let mut memory = memory.map_err(unusable)?;
        if let Some(interval) = flags.value(b'r') {
            memory.set_interval(interval_of(interval));
        }
        if flags.has(b'x') {
            exclude(&mut memory, input);
        }
        memory.store().map_err(unusable)?;
    }
    if flags.has(b'l') {
        list(name, out, tell).map_err(unusable)?;
    }
    if begins_anew || flags.has(b'x') || flags.has(b'l') {
        return Ok(());
    }
    answer(flags, &account, surroundings, input, &unusable)
}

/// Reads days; what is no number is for ever.
fn interval_of(text: &[u8]) -> Option<Duration> {
    let end = text.iter().position(|octet| !octet.is_ascii_digit());
    let digits = text.get(..end.unwrap_or(text.len()))?;
    let days: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let seconds = days.saturating_mul(SECONDS_OF_A_DAY);
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// Excludes an address or a `@domain` for each line.
fn exclude(memory: &mut Memory, input: &mut dyn BufRead) {
    let lines = io::BufRead::split(input, b'\n');
    for line in lines.map_while(Result::ok) {
        let address = line.strip_suffix(b"\r").unwrap_or(&line);
        if !address.is_empty() {
            memory.exclude(address);
        }
    }
}

fn list(name: &[u8], out: &mut dyn Write, tell: &mut dyn FnMut(&str)) -> Result<(), String> {
    for entry in memory::entries(name)? {
        let address = printable(&entry.address);
        let when = match entry.answered {
            Answered::At(time) => ctime_date(time),
            Answered::Excluded => "(exclusion)".to_owned(),
            Answered::Unreadable => {
                tell(&format!("vacation: {address} invalid time stamp"));
                continue;
            }
        };
        writeln!(out, "{address:<40} {when:<10}").map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Reads a message and answers it, if it is to be answered.
fn answer(
    flags: &Flags,
    account: &Account,
    surroundings: Surroundings<'_>,
    input: &mut dyn BufRead,
    unusable: &dyn Fn(String) -> Fault,
) -> Result<(), Fault> {
    let aliases = flags.given.iter().filter(|(letter, _)| *letter == b'a');
    let mut names: Vec<Vec<u8>> = aliases.map(|(_, alias)| alias.clone()).collect();
    names.push(account.name.clone());
    let incoming = Incoming::read(input, &names).map_err(|error| match error {
        HeaderFault::BadSender => {
            let text = "vacation: badly formatted \"From \" line.";
            fault(ExitStatus::DataError, text)
        }
        HeaderFault::Io(error) => fault(ExitStatus::IoError, format!("vacation: {error}")),
    })?;
    if incoming.is_automatic || !(incoming.names_us || flags.has(b'j')) {
        return Ok(());
    }
    if incoming.sender.is_empty() {
        let text = "vacation: no initial \"From \" line.";
        return Err(fault(ExitStatus::DataError, text));
    }
    let recipient = flags.value(b's').unwrap_or(&incoming.sender);
    let name = flags.value(b'f').unwrap_or(MEMORY);
    let mut memory = Memory::open(name).map_err(unusable)?;
    if memory.is_silent_for(recipient, surroundings.now) {
        return Ok(());
    }
    let text = open_answer(flags, account)?;
    // Noted first: a memory that cannot be written must not lead to an answer each time.
    memory.note(recipient, surroundings.now);
    memory.store().map_err(unusable)?;
    let sender = match flags.value(b'R') {
        _ if flags.has(b'z') => b"<>",
        Some(address) => address,
        None => &account.name,
    };
    send(sender, recipient, text, surroundings)
}

fn open_answer(flags: &Flags, account: &Account) -> Result<File, Fault> {
    let path = flags.value(b'm').unwrap_or(ANSWER);
    File::open(path_buf_of(path.to_vec())).map_err(|_| {
        let path = printable(path);
        let text = match account.home.is_none() || path.starts_with('/') {
            true => format!("vacation: no {path} file."),
            false => format!("vacation: no ~{}/{path} file.", printable(&account.name)),
        };
        fault(ExitStatus::NoInput, text)
    })
}

fn send(
    sender: &[u8],
    recipient: &[u8],
    mut text: File,
    surroundings: Surroundings<'_>,
) -> Result<(), Fault> {
    let cannot = |error: io::Error| {
        let text = format!("vacation: can't exec {SENDMAIL}: {error}");
        fault(ExitStatus::OsError, text)
    };
    let words = [SENDMAIL.as_bytes(), b"-oi", b"-f", sender, b"--", recipient];
    let plan = SpawnPlan {
        environment: surroundings.environment,
        stdin: Stdio::Pipe,
        stdout: Stdio::File(copy_of(&io::stdout()).map_err(cannot)?.into()),
        stderr: Stdio::File(copy_of(&io::stderr()).map_err(cannot)?.into()),
        ..SpawnPlan::new(SENDMAIL, words.map(<[u8]>::to_vec).into())
    };
    let mut child = surroundings.privileged.spawn(plan).map_err(cannot)?;
    if let Some(mut pipe) = child.stdin() {
        let head = [b"To: ", recipient, b"\nAuto-Submitted: auto-replied\n"].concat();
        // Sendmail tells the sender of the answer if it does not like it; nobody waits for it.
        let _ = pipe
            .write_all(&head)
            .and_then(|()| io::copy(&mut text, &mut pipe));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::identity::FixedUsers;
    use crate::sys::privilege::Unprivileged;

    /// Runs it with a memory and an answer in a folder; `@` stands for the folder.
    fn said(place: &tempfile::TempDir, words: &[&str], input: &str) -> (u8, String) {
        let folder = place.path().to_str().unwrap();
        let words: Vec<Vec<u8>> = std::iter::once(&"vacation")
            .chain(words)
            .map(|word| word.replace('@', folder).into_bytes())
            .collect();
        let surroundings = Surroundings {
            users: &FixedUsers::new(),
            privileged: &Unprivileged,
            environment: Vec::new(),
            now: Timestamp::from_seconds(1_800_000_000),
        };
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        let mut input = input.as_bytes();
        let status = run(&words, surroundings, &mut input, &mut out, &mut errors);
        let text = String::from_utf8([out, errors].concat()).unwrap();
        let text = text.replace(folder, "@").replace(USAGE, "usage");
        (status.number(), text)
    }

    #[test]
    fn command_lines_that_are_wrong_are_told() {
        let place = tempfile::tempdir().unwrap();
        let usage = format!("uid {}: usage\n", real_user());
        for (words, status, wanted) in [
            (&["-d"][..], 64, usage.as_str()),
            (&["-d", "a", "b"], 64, &usage),
            (&["-d", "-q", "a"], 64, &usage),
            (&["-d", "nosuch"], 67, "vacation: no such user nosuch.\n"),
            (
                &["-d", "-U", "-f", "x", "me"],
                66,
                "vacation: -U requires setting both -f and -m\n",
            ),
            (&["nosuch"], 67, ""),
        ] {
            let wanted = (status, wanted.to_owned());
            assert_eq!(said(&place, words, ""), wanted, "{words:?}");
        }
    }

    #[test]
    fn the_memory_is_kept_by_the_command_line() {
        let place = tempfile::tempdir().unwrap();
        let me = ["-d", "-U", "-f", "@/db", "-m", "@/msg", "me"];
        let with = |more: &[&'static str]| [more, &me[..]].concat();
        let nothing = (0, String::new());
        assert_eq!(said(&place, &with(&["-x"]), "a@b\n\n@c\r\n"), nothing);
        let (status, listed) = said(&place, &with(&["-l"]), "");
        let mut lines: Vec<&str> = listed.lines().collect();
        lines.sort_unstable();
        let line = |address: &str| format!("{address:<40} (exclusion)");
        assert_eq!((status, lines), (0, vec![&*line("@c"), &*line("a@b")]));
        let mail = "From a@b Mon\nTo: me\n\n";
        assert_eq!(said(&place, &me, mail), nothing);
        assert_eq!(said(&place, &with(&["-i"]), ""), nothing);
        assert_eq!(said(&place, &with(&["-l"]), ""), nothing);
        let no_answer = (66, "vacation: no @/msg file.\n".to_owned());
        assert_eq!(said(&place, &me, mail), no_answer);
        assert_eq!(said(&place, &me, "From a@b Mon\nTo: other\n\n"), nothing);
        let no_sender = (65, "vacation: no initial \"From \" line.\n".to_owned());
        assert_eq!(said(&place, &me, "To: me\n\n"), no_sender);
    }

    #[test]
    fn intervals_are_days() {
        let days = |days: u64| Some(Duration::from_secs(days * SECONDS_OF_A_DAY));
        for (text, wanted) in [
            ("2", days(2)),
            ("3x", days(3)),
            ("0", None),
            ("0.5", None),
            ("-1", None),
            ("infinite", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(interval_of(text.as_bytes()), wanted, "{text}");
        }
    }
}
