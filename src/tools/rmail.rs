//! rmail: takes mail from UUCP and hands it to sendmail.
//!
//! A message from UUCP begins with one line `From user date remote from system` for
//! each system on its way; together they make the sender `system!system!user`.
//!
//! Source: rmail(8); texts, arguments and limits observed: 8.17.1.9. That program ends
//! with 0 when sendmail failed; here the status of sendmail is passed on.

use std::fs::File;
use std::io::{self, BufRead, Read, Write};

use super::database_tool::Flags;
use crate::smtp::ExitStatus;
use crate::sys::privilege::Privileged;
use crate::sys::spawn::{Ended, SpawnPlan, Stdio};

const PROGRAM: &str = "rmail";
const USAGE: &str = "usage: rmail [-T] [-D domain] user ...\n";
/// What gets the message.
const SENDMAIL: &str = "/usr/sbin/sendmail";
/// What stands between date and system.
const REMOTE: &[u8] = b" remote from ";
/// The domain of systems without one.
const DOMAIN: &[u8] = b"UUCP";
/// Room for a line of the head, its end and a closing NUL. Observed: 8.17.1.9.
const LINE_ROOM: usize = 2_048;
/// Most lines of the way: each costs memory and makes the sender longer.
const MAX_SYSTEMS: usize = 100;

/// Why there is nothing to hand on.
type Fault = (ExitStatus, Vec<u8>);

fn data_fault(text: &str, line: &[u8]) -> Fault {
    let text = [text.as_bytes(), line].concat();
    (ExitStatus::DataError, text)
}

/// Runs rmail; `words` begin with its name.
pub fn run(
    words: &[Vec<u8>],
    privileged: &dyn Privileged,
    environment: Vec<(Vec<u8>, Vec<u8>)>,
    input: &mut dyn BufRead,
    errors: &mut dyn Write,
) -> ExitStatus {
    let flags = match Flags::parse(words.get(1..).unwrap_or(&[]), b"D:T") {
        Ok(flags) if !flags.operands.is_empty() => flags,
        other => {
            let name = words.first().map_or(&b"rmail"[..], Vec::as_slice);
            if let Err(text) = other {
                let _ = errors.write_all(&[name, b": ", text.as_bytes(), b"\n"].concat());
            }
            let _ = errors.write_all(USAGE.as_bytes());
            return ExitStatus::Usage;
        }
    };
    let mut trace = |text: &[&[u8]]| {
        if flags.has(b'T') {
            let _ = errors.write_all(&[&text.concat()[..], b"\n"].concat());
        }
    };
    let domain = flags.value(b'D').unwrap_or(DOMAIN);
    let prepared = read_head(input, &mut trace).and_then(|(way, first)| {
        let arguments = way.arguments(domain, &flags.operands)?;
        Ok((arguments, first))
    });
    let handed_on = prepared.and_then(|(arguments, first)| {
        trace(&[b"Sendmail arguments:"]);
        arguments
            .iter()
            .for_each(|argument| trace(&[b"\t", argument]));
        hand_on(arguments, environment, privileged, &first, input)
    });
    match handed_on {
        Ok(()) => ExitStatus::Ok,
        Err((status, text)) => {
            let text = [PROGRAM.as_bytes(), b": ", &text, b"\n"].concat();
            let _ = errors.write_all(&text);
            status
        }
    }
}

/// The way a message came.
#[derive(Debug, Default, PartialEq, Eq)]
struct Way {
    /// The system that gave it to us.
    system: Option<Vec<u8>>,
    /// All systems, each with `!` behind it.
    path: Vec<u8>,
    user: Vec<u8>,
}

/// Reads the lines of the way, and the first line of the message behind them.
fn read_head(
    input: &mut dyn BufRead,
    trace: &mut dyn FnMut(&[&[u8]]),
) -> Result<(Way, Vec<u8>), Fault> {
    let mut way = Way::default();
    for number in 0..=MAX_SYSTEMS {
        let line = read_line(input)?;
        let rest = line.strip_prefix(b">").unwrap_or(&line);
        let Some(rest) = rest.strip_prefix(b"From ") else {
            if number == 0 {
                return Err(data_fault("missing or empty From line: ", &line));
            }
            return Ok((way, [&line[..], b"\n"].concat()));
        };
        way.add(rest, &line, trace)?;
    }
    Err(data_fault("too many From lines", b""))
}

fn read_line(input: &mut dyn BufRead) -> Result<Vec<u8>, Fault> {
    let mut line = Vec::new();
    let room = LINE_ROOM as u64 - 1;
    let length = Read::take(&mut *input, room)
        .read_until(b'\n', &mut line)
        .map_err(|error| (ExitStatus::IoError, format!("stdin: {error}").into_bytes()))?;
    match (length, line.pop_if(|last| *last == b'\n')) {
        (0, _) => Err(data_fault("no data", b"")),
        (_, None) => Err(data_fault("line too long", b"")),
        (_, Some(_)) => Ok(line),
    }
}

impl Way {
    /// Adds what one line tells; `rest` is what stands behind `From `.
    fn add(
        &mut self,
        rest: &[u8],
        line: &[u8],
        trace: &mut dyn FnMut(&[&[u8]]),
    ) -> Result<(), Fault> {
        if rest.is_empty() {
            return Err(data_fault("corrupted From line: ", line));
        }
        let end = rest.iter().position(|octet| octet.is_ascii_whitespace());
        let address = rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest);
        let remote = crate::text::bytes::find(rest, REMOTE);
        let system = match remote {
            Some(at) => {
                let system = rest.get(at + REMOTE.len()..).unwrap_or(&[]);
                let end = system.iter().position(|octet| octet.is_ascii_whitespace());
                let system = system.get(..end.unwrap_or(system.len())).unwrap_or(system);
                trace(&[b"remote from: ", system]);
                self.user = address.to_vec();
                Some(system)
            }
            None => {
                let bang = address.iter().rposition(|&octet| octet == b'!');
                if bang == Some(0) {
                    return Err(data_fault("bang starts address: ", rest));
                }
                let (system, user) = match bang {
                    Some(at) => {
                        let (system, user) = address.split_at(at);
                        trace(&[b"bang: ", system]);
                        (Some(system), user.get(1..).unwrap_or(&[]))
                    }
                    None => (None, address),
                };
                self.user = user.to_vec();
                system
            }
        };
        if self.user.is_empty() {
            self.user = b"<>".to_vec();
        }
        if let Some(system) = system {
            if self.system.is_none() {
                trace(&[b"from_sys: ", system]);
                self.system = Some(system.to_vec());
            }
            self.path.extend_from_slice(system);
            self.path.push(b'!');
        }
        if !self.path.is_empty() {
            trace(&[b"from_path: ", &self.path]);
        }
        trace(&[b"from_user: ", &self.user]);
        Ok(())
    }

    /// The command line of sendmail.
    fn arguments(&self, domain: &[u8], users: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Fault> {
        let mut arguments: Vec<Vec<u8>> = [SENDMAIL, "-G", "-oee", "-odi", "-oi"]
            .map(|word| word.as_bytes().to_vec())
            .into();
        arguments.push(match &self.system {
            None => [b"-p", domain].concat(),
            Some(system) if system.contains(&b'.') => [b"-p", domain, b":", system].concat(),
            Some(system) => [b"-p", domain, b":", system, b".", domain].concat(),
        });
        arguments.push([b"-f", &self.path[..], &self.user].concat());
        for user in users {
            if user.starts_with(b"-") {
                let text = [b"dash precedes argument: ", &user[..]].concat();
                return Err((ExitStatus::Usage, text));
            }
            // A comma would make two addresses of one.
            let is_bare = user.contains(&b',') && !user.contains(&b'<');
            arguments.push(match is_bare {
                true => [b"<", &user[..], b">"].concat(),
                false => user.clone(),
            });
        }
        Ok(arguments)
    }
}

fn hand_on(
    arguments: Vec<Vec<u8>>,
    environment: Vec<(Vec<u8>, Vec<u8>)>,
    privileged: &dyn Privileged,
    first: &[u8],
    input: &mut dyn BufRead,
) -> Result<(), Fault> {
    let failed = |status: ExitStatus, text: String| (status, text.into_bytes());
    let own = |file: io::Result<File>| {
        let file = file.map_err(|error| failed(ExitStatus::OsError, error.to_string()));
        file.map(|file| Stdio::File(file.into()))
    };
    let plan = SpawnPlan {
        environment,
        stdin: Stdio::Pipe,
        stdout: own(crate::sys::file::copy_of(&io::stdout()))?,
        stderr: own(crate::sys::file::copy_of(&io::stderr()))?,
        ..SpawnPlan::new(SENDMAIL, arguments)
    };
    let mut child = privileged
        .spawn(plan)
        .map_err(|_| failed(ExitStatus::Unavailable, SENDMAIL.to_owned()))?;
    if let Some(mut pipe) = child.stdin() {
        // Whether sendmail wanted all of it is told by its status.
        let _ = pipe
            .write_all(first)
            .and_then(|()| io::copy(input, &mut pipe));
    }
    match child.wait(None) {
        Ok(Ended::Exited(0)) => Ok(()),
        Ok(Ended::Exited(status)) => {
            let text = format!("{SENDMAIL}: terminated with {status} (non-zero) status");
            let status = u8::try_from(status).map_or(ExitStatus::Software, ExitStatus::from_number);
            Err(failed(status, text))
        }
        Ok(Ended::Signaled(_) | Ended::StillRunning) | Err(_) => {
            let text = format!("{SENDMAIL}: did not terminate normally");
            Err(failed(ExitStatus::OsError, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives sender and protocol for a head, or what is said about it.
    fn way(head: &str) -> String {
        let text = format!("{head}S: x\n");
        let read = read_head(&mut text.as_bytes(), &mut |_| {});
        match read.and_then(|(way, first)| {
            assert_eq!(first, b"S: x\n");
            way.arguments(DOMAIN, &[])
        }) {
            Ok(arguments) => arguments[5..]
                .iter()
                .map(|argument| String::from_utf8_lossy(argument).into_owned())
                .collect::<Vec<_>>()
                .join(" "),
            Err((_, text)) => String::from_utf8(text).unwrap(),
        }
    }

    #[test]
    fn lines_of_the_way_make_one_sender() {
        for (head, wanted) in [
            (
                "From ann Mon remote from hosta\n",
                "-pUUCP:hosta.UUCP -fhosta!ann",
            ),
            (
                "From ann Mon remote from hosta\n>From z Mon\n",
                "-pUUCP:hosta.UUCP -fhosta!z",
            ),
            (
                "From c!ann Mon remote from hostb\n>From ann Mon remote from hosta\n",
                "-pUUCP:hostb.UUCP -fhostb!hosta!ann",
            ),
            ("From ann@x.test Mon\n", "-pUUCP -fann@x.test"),
            ("From a!b!ann Mon\n", "-pUUCP:a!b.UUCP -fa!b!ann"),
            (
                "From c!d!ann Mon\n>From e!f!g Mon remote from h\n",
                "-pUUCP:c!d.UUCP -fc!d!h!e!f!g",
            ),
            (
                "From ann remote from a.test\n",
                "-pUUCP:a.test -fa.test!ann",
            ),
            ("From x! Mon\n", "-pUUCP:x.UUCP -fx!<>"),
            ("From  ann Mon\n", "-pUUCP -f<>"),
            (
                "From ann Mon remote from hosta\tx\n",
                "-pUUCP:hosta.UUCP -fhosta!ann",
            ),
            ("From a remote fromx\n", "-pUUCP -fa"),
            ("From ann Mon remote from x\r\n", "-pUUCP:x.UUCP -fx!ann"),
        ] {
            assert_eq!(way(head), wanted, "{head:?}");
        }
    }

    #[test]
    fn heads_that_are_wrong_are_told() {
        let long = format!("From {} x\n", "m".repeat(LINE_ROOM));
        for (head, wanted) in [
            ("From \n", "corrupted From line: From "),
            ("From\n", "missing or empty From line: From"),
            ("", "missing or empty From line: S: x"),
            ("From !x Mon\n", "bang starts address: !x Mon"),
            (&long, "line too long"),
        ] {
            assert_eq!(way(head), wanted, "{head:?}");
        }
        let cut_off = |text: &str| read_head(&mut text.as_bytes(), &mut |_| {}).unwrap_err().1;
        assert_eq!(cut_off("From a Mon\n"), b"no data");
        assert_eq!(cut_off("From a Mon\nS: x"), b"line too long");
        assert_eq!(
            cut_off(&"From a Mon\n".repeat(1_000)),
            b"too many From lines"
        );
    }

    #[test]
    fn users_cannot_become_flags_or_several() {
        let arguments = |users: &[&str]| {
            let users: Vec<_> = users.iter().map(|user| user.as_bytes().to_vec()).collect();
            let made = Way::default().arguments(DOMAIN, &users);
            made.map(|arguments| arguments[7..].to_vec())
        };
        let made = arguments(&["a,b", "<c,d>", "(c)"]).unwrap();
        assert_eq!(made, [&b"<a,b>"[..], b"<c,d>", b"(c)"]);
        let text = b"dash precedes argument: -bob".to_vec();
        assert_eq!(arguments(&["-bob"]), Err((ExitStatus::Usage, text)));
    }

    #[test]
    fn the_head_is_traced_when_asked() {
        let mut lines = Vec::new();
        let head = b"From c!d!ann Mon\n>From g Mon remote from h\n\n";
        read_head(&mut &head[..], &mut |line| {
            lines.push(String::from_utf8(line.concat()).unwrap());
        })
        .unwrap();
        assert_eq!(
            lines.join("|"),
            "bang: c!d|from_sys: c!d|from_path: c!d!|from_user: ann|\
             remote from: h|from_path: c!d!h!|from_user: g"
        );
    }
}
