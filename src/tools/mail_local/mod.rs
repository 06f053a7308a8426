//! mail.local: stores mail in the mailboxes of users.
//!
//! - this file: the command line; one message on standard input for users named there;
//! - [`lmtp`]: any number of messages by LMTP (`-l`);
//! - [`spool`]: the message in the form it has in a mailbox;
//! - [`mailbox`]: locking, appending, syncing.
//!
//! Source: mail.local(8); texts and exit statuses observed: 8.17.1.9.

pub mod lmtp;
pub mod mailbox;
pub mod spool;

use std::io::{self, BufRead, Write};
use std::path::Path;

use super::database_tool::Flags;
use crate::smtp::ExitStatus;
use crate::sys::clock::{Clock, SystemClock};
use crate::sys::host::{canonical_name, host_name, service_port};
use crate::sys::identity::{User, UserDatabase};
use crate::sys::process::{login_name, real_user};
use crate::text::date::ctime_date;

use mailbox::{Delivered, Failure, FailureKind, QuotaRule, Which};
use spool::{Spool, SpoolWriter};

/// Said of a place for users that is not the system's (`-D`).
const DATABASE: &[u8] = b"Can not open mailbox database ";
/// Where mailboxes are.
const FOLDER: &str = "/var/mail";
/// Where messages too long for the memory wait, in files without names.
const SPOOL_FOLDER: &str = "/tmp";
const USAGE: &str =
    "usage: mail.local [-7] [-b] [-d] [-l] [-f from|-r from] [-h filename] user ...";

/// Runs mail.local; `words` begin with its name.
pub fn run(
    words: &[Vec<u8>],
    users: &dyn UserDatabase,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> ExitStatus {
    let request = match Request::parse(words.get(1..).unwrap_or(&[])) {
        Ok(request) => request,
        Err(fault) => {
            match fault {
                Fault::Flag(text) => {
                    let name = words.first().map_or(&b"mail.local"[..], Vec::as_slice);
                    let _ = errors.write_all(&[name, b": ", text.as_bytes(), b"\n"].concat());
                    complain(errors, USAGE.as_bytes());
                }
                Fault::Senders => {
                    complain(errors, b"Multiple -f options");
                    complain(errors, USAGE.as_bytes());
                }
                Fault::Database(name) => complain(
                    errors,
                    &[DATABASE, &name, b": Service unavailable"].concat(),
                ),
            }
            return ExitStatus::Unavailable;
        }
    };
    let delivery = Delivery {
        file: request.file.as_deref(),
        quota: request.quota,
    };
    if request.speaks_lmtp {
        if !request.users.is_empty() {
            let text = "421 Users should not be specified in command line if LMTP required\r\n";
            let _ = out.write_all(text.as_bytes());
            return ExitStatus::TempFail;
        }
        let name = host_name();
        let name = canonical_name(&name).unwrap_or(name);
        let mut session = lmtp::Session::new(&name, request.body, users, &delivery);
        return match session.serve(input, out) {
            Ok(()) => ExitStatus::Ok,
            Err(_) => ExitStatus::IoError,
        };
    }
    if request.users.is_empty() {
        complain(errors, USAGE.as_bytes());
        return ExitStatus::Unavailable;
    }
    let sender = request.sender.unwrap_or_else(|| caller(users));
    let message = match take_in(&sender, input) {
        Ok(message) => message,
        Err(error) => {
            complain(
                errors,
                format!("Temporary file write error: {error}").as_bytes(),
            );
            return ExitStatus::TempFail;
        }
    };
    let mut status = ExitStatus::Ok;
    for name in &request.users {
        let failed = match users.user_by_name(name) {
            Ok(Some(user)) => delivery.deliver(&user, &message).err(),
            Ok(None) => Some(Failure {
                kind: FailureKind::Mailbox,
                text: [name, &b": User unknown"[..]].concat(),
            }),
            Err(_) => Some(Failure {
                kind: FailureKind::Temporary,
                text: [name, &b": User database failure; retry later"[..]].concat(),
            }),
        };
        if let Some(failure) = failed {
            complain(errors, &failure.text);
            status = match (status, failure.kind) {
                (ExitStatus::TempFail, _) | (_, FailureKind::Temporary) => ExitStatus::TempFail,
                _ => ExitStatus::Unavailable,
            };
        }
    }
    status
}

/// Tells the log and whoever called.
fn complain(errors: &mut dyn Write, text: &[u8]) {
    log::error!("{}", String::from_utf8_lossy(text));
    // Nobody is left to be told when standard error is gone.
    let _ = errors.write_all(&[b"mail.local: ", text, b"\n"].concat());
}

/// What is wrong with a command line.
#[derive(Debug)]
enum Fault {
    /// A letter, and what getopt(3) says about it.
    Flag(String),
    /// More than one sender.
    Senders,
    /// Users are to be looked up where we cannot.
    Database(Vec<u8>),
}

/// What the command line asks for.
#[derive(Debug)]
struct Request {
    users: Vec<Vec<u8>>,
    sender: Option<Vec<u8>>,
    file: Option<Vec<u8>>,
    quota: QuotaRule,
    body: lmtp::Offers,
    speaks_lmtp: bool,
}

impl Request {
    fn parse(arguments: &[Vec<u8>]) -> Result<Request, Fault> {
        let flags = Flags::parse(arguments, b"7bdD:f:h:r:lUV").map_err(Fault::Flag)?;
        let mut senders = flags
            .given
            .iter()
            .filter(|(letter, _)| matches!(letter, b'f' | b'r'));
        if senders.clone().count() > 1 {
            return Err(Fault::Senders);
        }
        if let Some(kind) = flags.value(b'D').filter(|kind| *kind != b"pw") {
            return Err(Fault::Database(kind.to_vec()));
        }
        let sender = senders.next_back().map(|(_, sender)| sender.clone());
        Ok(Request {
            sender,
            file: flags.value(b'h').map(<[u8]>::to_vec),
            quota: match flags.has(b'b') {
                true => QuotaRule::Bounce,
                false => QuotaRule::Defer,
            },
            body: match flags.has(b'7') {
                true => lmtp::Offers::SevenBit,
                false => lmtp::Offers::EightBit,
            },
            speaks_lmtp: flags.has(b'l'),
            users: flags.operands,
        })
    }
}

/// Where messages go, the same for every user.
#[derive(Debug)]
struct Delivery<'a> {
    file: Option<&'a [u8]>,
    quota: QuotaRule,
}

impl lmtp::Deliver for Delivery<'_> {
    fn deliver(&self, user: &User, message: &Spool) -> Result<(), Failure> {
        let which = match self.file {
            Some(file) => Which::AtHome(file),
            None => Which::In(Path::new(FOLDER)),
        };
        let done = mailbox::deliver(user, which, self.quota, message)?;
        notify(user, done);
        Ok(())
    }

    fn begin(&self, sender: &[u8]) -> SpoolWriter<'_> {
        begin(sender)
    }
}

impl Delivery<'_> {
    fn deliver(&self, user: &User, message: &Spool) -> Result<(), Failure> {
        lmtp::Deliver::deliver(self, user, message)
    }
}

fn begin<'a>(sender: &[u8]) -> SpoolWriter<'a> {
    let date = ctime_date(SystemClock.now());
    SpoolWriter::new(Path::new(SPOOL_FOLDER), sender, &date)
}

fn take_in(sender: &[u8], input: &mut dyn BufRead) -> io::Result<Spool> {
    let mut writer = begin(sender);
    loop {
        let piece = input.fill_buf()?;
        if piece.is_empty() {
            return writer.finish();
        }
        writer.feed(piece)?;
        let length = piece.len();
        input.consume(length);
    }
}

/// Who calls: the login name if it is of the same user, else the user's name.
fn caller(users: &dyn UserDatabase) -> Vec<u8> {
    let uid = real_user();
    let of_session = login_name().filter(|name| {
        let user = users.user_by_name(name).ok().flatten();
        user.is_some_and(|user| user.uid == uid)
    });
    let user = || users.user_by_uid(uid).ok().flatten();
    of_session
        .or_else(|| user().map(|user| user.name))
        .unwrap_or_else(|| b"???".to_vec())
}

/// Tells the service `biff`, where there is one, that mail came.
fn notify(user: &User, done: Delivered) {
    let Some(port) = service_port(b"biff") else {
        return;
    };
    let text = [&user.name[..], format!("@{}\n\0", done.offset).as_bytes()].concat();
    // Whether anybody listens is no matter of the delivery.
    let _ = std::net::UdpSocket::bind(("127.0.0.1", 0))
        .and_then(|socket| socket.send_to(&text, ("127.0.0.1", port)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::identity::FixedUsers;

    fn said(words: &[&str]) -> (u8, String) {
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        let users = FixedUsers::new();
        let mut input = &b"S: x\n\nbody\n"[..];
        let status = run(&words, &users, &mut input, &mut out, &mut errors);
        let text = [out, errors].concat();
        let text = String::from_utf8(text).unwrap();
        (status.number(), text.replace(USAGE, "usage"))
    }

    #[test]
    fn command_lines_that_are_wrong_are_told() {
        for (words, status, wanted) in [
            (&["m"][..], 69, "mail.local: usage\n"),
            (&["m", "-f", "s"], 69, "mail.local: usage\n"),
            (
                &["m", "-f", "a", "-r", "b", "u"],
                69,
                "mail.local: Multiple -f options\nmail.local: usage\n",
            ),
            (
                &["m", "-D", "ldap", "u"],
                69,
                "mail.local: Can not open mailbox database ldap: Service unavailable\n",
            ),
            (
                &["/x/m", "-x"],
                69,
                "/x/m: invalid option -- 'x'\nmail.local: usage\n",
            ),
            (
                &["m", "-l", "u"],
                75,
                "421 Users should not be specified in command line if LMTP required\r\n",
            ),
            (
                &["m", "nosuch", "../u"],
                69,
                "mail.local: nosuch: User unknown\nmail.local: ../u: User unknown\n",
            ),
        ] {
            assert_eq!(said(words), (status, wanted.to_owned()), "{words:?}");
        }
    }
}
