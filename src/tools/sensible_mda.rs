//! sensible-mda: hands a message to whichever local delivery program there is.
//!
//! Debian's own configuration names it as the local mailer, with the sender, the user,
//! the detail of his address and the client's address. The first of procmail, maildrop,
//! deliver and mail.local in the folder of smrsh gets the message; if there is none, our
//! own mail.local does. maildrop and deliver run as the user, the others as whoever calls.
//!
//! Source: sensible-mda(8); arguments, order and exit statuses observed: 8.17.1.9 of
//! Debian, which forgets the user of procmail where there is no detail.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::smrsh;
use crate::smtp::ExitStatus;
use crate::sys::host::error_text;
use crate::sys::identity::{Credentials, User, UserDatabase};
use crate::sys::process::{become_user, effective_user, replace_by};

const PROGRAM: &str = "sensible-mda";
/// What gets the message where nothing else is there.
const OWN_MAIL_LOCAL: &str = "/usr/libexec/sendmail/mail.local";

/// A delivery program that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Agent {
    Procmail,
    Maildrop,
    Deliver,
    MailLocal,
}

/// All of them, the preferred first.
const AGENTS: [(Agent, &str); 4] = [
    (Agent::Procmail, "procmail"),
    (Agent::Maildrop, "maildrop"),
    (Agent::Deliver, "deliver"),
    (Agent::MailLocal, "mail.local"),
];

impl Agent {
    /// The words behind the name of the program.
    fn words<'a>(self, from: &'a [u8], to: &'a [u8], detail: Option<&'a [u8]>) -> Vec<&'a [u8]> {
        match (self, detail) {
            (Agent::Procmail, Some(detail)) => vec![b"-t", b"-f", from, b"-a", detail, b"-d", to],
            (Agent::Procmail, None) => vec![b"-t", b"-f", from, b"-d", to],
            (Agent::Maildrop, Some(detail)) => vec![b"-f", from, b"-d", to, detail],
            (Agent::Maildrop, None) => vec![b"-f", from, b"-d", to],
            (Agent::Deliver, _) => vec![b"-r", from, to],
            (Agent::MailLocal, _) => vec![b"-f", from, to],
        }
    }

    /// Whether it runs as the user; the others see to that themselves.
    fn runs_as_user(self) -> bool {
        matches!(self, Agent::Maildrop | Agent::Deliver)
    }
}

/// Runs the program; comes back only with the reason why nobody has the message.
///
/// `words` begin with its name, `environment` is what the delivery program gets.
pub fn run(
    words: &[Vec<u8>],
    users: &dyn UserDatabase,
    environment: &[(Vec<u8>, Vec<u8>)],
    errors: &mut dyn Write,
) -> ExitStatus {
    let (status, text) = match deliver(words, users, environment) {
        Ok(never) => never,
        Err(fault) => fault,
    };
    log::error!(target: "mail.err", "{text}");
    let _ = writeln!(errors, "{PROGRAM}: {text}");
    status
}

type Fault = (ExitStatus, String);

fn deliver(
    words: &[Vec<u8>],
    users: &dyn UserDatabase,
    environment: &[(Vec<u8>, Vec<u8>)],
) -> Result<Fault, Fault> {
    let (from, to, detail) = match words {
        [_, from, to, rest @ ..] => (from, to, rest.first().map(Vec::as_slice)),
        _ => return Err((ExitStatus::Usage, "Required parameters elided.".to_owned())),
    };
    let shown = String::from_utf8_lossy(to).into_owned();
    let missing = || {
        let text = format!("User({shown}) does not exist!");
        (ExitStatus::TempFail, text)
    };
    let user = users.user_by_name(to).ok().flatten().ok_or_else(missing)?;
    let folder = Path::new(OsStr::from_bytes(smrsh::FOLDER));
    let (agent, path) = find(folder, Path::new(OWN_MAIL_LOCAL)).ok_or_else(|| {
        let names = AGENTS.map(|(_, name)| name).join(", ");
        let text = format!("No MDA was found! Tried: {names}.");
        (ExitStatus::TempFail, text)
    })?;
    if agent.runs_as_user() && effective_user() == 0 {
        become_user(&plain(&user)).map_err(|error| {
            let text = format!("cannot become {shown}: {}", error_text(&error));
            (ExitStatus::TempFail, text)
        })?;
    }
    let mut all = vec![path.as_os_str().as_bytes()];
    all.extend(agent.words(from, to, detail));
    let environment: Vec<(&[u8], &[u8])> = environment
        .iter()
        .map(|(name, value)| (name.as_slice(), value.as_slice()))
        .collect();
    let error = replace_by(&path, &all, &environment);
    let text = format!("{}: {}", path.display(), error_text(&error));
    Ok((ExitStatus::TempFail, text))
}

fn plain(user: &User) -> Credentials {
    Credentials::plain(user.uid, user.gid)
}

/// Finds the preferred program of a folder, else our own.
fn find(folder: &Path, own: &Path) -> Option<(Agent, PathBuf)> {
    let known = AGENTS.map(|(agent, name)| (agent, folder.join(name)));
    let all = known
        .into_iter()
        .chain([(Agent::MailLocal, own.to_path_buf())]);
    all.into_iter().find(|(_, path)| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::identity::FixedUsers;

    #[test]
    fn the_preferred_program_of_those_that_are_there_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("own");
        assert_eq!(find(folder.path(), &own), None);
        std::fs::write(&own, "").unwrap();
        let found = |agent, name: &str| Some((agent, folder.path().join(name)));
        assert_eq!(find(folder.path(), &own), found(Agent::MailLocal, "own"));
        for (agent, name) in AGENTS.into_iter().rev() {
            std::fs::write(folder.path().join(name), "").unwrap();
            assert_eq!(find(folder.path(), &own), found(agent, name));
        }
    }

    #[test]
    fn each_program_is_called_in_its_own_way() {
        for (agent, with, without) in [
            (Agent::Procmail, "-t -f ann -a x -d bob", "-t -f ann -d bob"),
            (Agent::Maildrop, "-f ann -d bob x", "-f ann -d bob"),
            (Agent::Deliver, "-r ann bob", "-r ann bob"),
            (Agent::MailLocal, "-f ann bob", "-f ann bob"),
        ] {
            let line = |detail| agent.words(b"ann", b"bob", detail).join(&b' ');
            assert_eq!(line(Some(b"x")), with.as_bytes());
            assert_eq!(line(None), without.as_bytes());
        }
    }

    #[test]
    fn too_few_words_are_a_usage_error_and_strangers_wait() {
        let users = FixedUsers::default();
        let mut errors = Vec::new();
        let words = |text: &str| -> Vec<Vec<u8>> { text.split(' ').map(|w| w.into()).collect() };
        let status = run(&words("sensible-mda ann"), &users, &[], &mut errors);
        assert_eq!(status, ExitStatus::Usage);
        let status = run(&words("sensible-mda ann nosuch"), &users, &[], &mut errors);
        assert_eq!(status, ExitStatus::TempFail);
        let text = String::from_utf8(errors).unwrap();
        assert!(text.ends_with("sensible-mda: User(nosuch) does not exist!\n"));
    }
}
