//! mailstats: what was counted by mailer.
//!
//! Reads only two things of a configuration file: where the statistics are and what
//! the mailers are called; nothing else of it needs to be right.
//!
//! Source: mailstats(8); columns, messages and exit statuses observed: 8.17.1.9.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::logging::statistics::{self, MailerCounters, Statistics, StatisticsFault};
use crate::smtp::ExitStatus;
use crate::sys::clock::Timestamp;
use crate::text::date::ctime_date;

/// The configuration file read without `-C` and `-c`.
const DEFAULT_CONFIGURATION: &str = "/etc/mail/sendmail.cf";
/// The configuration file read with `-c`.
const SUBMIT_CONFIGURATION: &str = "/etc/mail/submit.cf";
/// How it is called.
const USAGE: &str = "usage: mailstats [-C cffile] [-c] [-P] [-f stfile] [-o] [-p]";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    configuration: PathBuf,
    statistics: Option<PathBuf>,
    shows_names: bool,
    form: Form,
    clears: bool,
}

/// For people or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    People,
    Programs,
}

/// Runs the program; `arguments` are without its name.
pub fn run(
    arguments: &[&[u8]],
    now: Timestamp,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> ExitStatus {
    match show(arguments, now, out) {
        Ok(()) => ExitStatus::Ok,
        Err((status, message)) => {
            let _ = writeln!(errors, "{message}");
            status
        }
    }
}

type Failure = (ExitStatus, String);

fn show(arguments: &[&[u8]], now: Timestamp, out: &mut dyn Write) -> Result<(), Failure> {
    let request = Request::parse(arguments)?;
    let (names, configured) = read_configuration(&request.configuration)?;
    let path = request.statistics.or(configured).ok_or_else(|| {
        (
            ExitStatus::OsFile,
            "mailstats: no statistics file located".to_owned(),
        )
    })?;
    let statistics = statistics::read(&path, now).map_err(|fault| unusable(&path, &fault))?;
    let names = request.shows_names.then_some(names.as_slice());
    let printed = match request.form {
        Form::People => print_for_people(&statistics, names, out),
        Form::Programs => print_for_programs(&statistics, names, now, out),
    };
    printed
        .and_then(|()| out.flush())
        .map_err(|error| (ExitStatus::IoError, error.to_string()))?;
    if request.clears {
        statistics::clear(&path).map_err(|error| no_input(&path, &error))?;
    }
    Ok(())
}

impl Request {
    fn parse(arguments: &[&[u8]]) -> Result<Request, Failure> {
        let mut request = Request {
            configuration: DEFAULT_CONFIGURATION.into(),
            statistics: None,
            shows_names: true,
            form: Form::People,
            clears: false,
        };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let Some(mut letters) = word.strip_prefix(b"-").filter(|rest| !rest.is_empty()) else {
                return Err(usage(None));
            };
            if letters == b"-" {
                break;
            }
            while let Some((&letter, rest)) = letters.split_first() {
                letters = rest;
                match letter {
                    b'c' => request.configuration = SUBMIT_CONFIGURATION.into(),
                    b'o' => request.shows_names = false,
                    b'P' => request.form = Form::Programs,
                    b'p' => {
                        request.form = Form::Programs;
                        request.clears = true;
                    }
                    b'C' | b'f' => {
                        let next = (!rest.is_empty()).then_some(rest);
                        let value = next.or_else(|| words.next().copied());
                        let path = PathBuf::from(OsStr::from_bytes(value.ok_or_else(|| {
                            usage(Some(("option requires an argument", letter)))
                        })?));
                        match letter {
                            b'C' => request.configuration = path,
                            _ => request.statistics = Some(path),
                        }
                        letters = b"";
                    }
                    _ => return Err(usage(Some(("invalid option", letter)))),
                }
            }
        }
        if words.next().is_some() {
            return Err(usage(None));
        }
        Ok(request)
    }
}

fn usage(complaint: Option<(&str, u8)>) -> Failure {
    let text = match complaint {
        Some((text, letter)) => {
            format!("mailstats: {text} -- '{}'\n{USAGE}", char::from(letter))
        }
        None => USAGE.to_owned(),
    };
    (ExitStatus::Usage, text)
}

fn no_input(path: &Path, error: &io::Error) -> Failure {
    let text = error.to_string();
    let text = text.split(" (os error ").next().unwrap_or_default();
    (
        ExitStatus::NoInput,
        format!("mailstats: {}: {text}", path.display()),
    )
}

fn unusable(path: &Path, fault: &StatisticsFault) -> Failure {
    let text = match fault {
        StatisticsFault::Io(error) => return no_input(path, error),
        StatisticsFault::Magic => format!("mailstats: {fault} in {}", path.display()),
        StatisticsFault::Version(version) => format!(
            "mailstats version (4) incompatible with {} version ({version})",
            path.display()
        ),
        StatisticsFault::Locked | StatisticsFault::Size => format!("mailstats: {fault}"),
    };
    (ExitStatus::OsError, text)
}

/// Reads the names of mailers, in the order of their numbers, and the StatusFile option.
fn read_configuration(path: &Path) -> Result<(Vec<Vec<u8>>, Option<PathBuf>), Failure> {
    let text = std::fs::read(path).map_err(|error| no_input(path, &error))?;
    let mut names: Vec<Vec<u8>> = [&b"prog"[..], b"*file*", b"*include*"]
        .map(<[u8]>::to_vec)
        .to_vec();
    let mut statistics = None;
    for line in text.split(|&b| b == b'\n') {
        match line.split_first() {
            Some((b'M', rest)) => {
                let end = rest
                    .iter()
                    .position(|b| *b == b',' || b.is_ascii_whitespace());
                let name = rest
                    .get(..end.unwrap_or(rest.len()))
                    .unwrap_or_default()
                    .to_vec();
                if !name.is_empty() && !names.contains(&name) {
                    names.push(name);
                }
            }
            Some((b'O', rest)) => statistics = status_file(rest).or(statistics),
            _ => {}
        }
    }
    Ok((names, statistics))
}

/// Reads `S/path` or ` StatusFile=/path`.
fn status_file(option: &[u8]) -> Option<PathBuf> {
    let value = match option.split_first()? {
        (b'S', value) => value,
        (b' ', named) => {
            let equals = memchr::memchr(b'=', named)?;
            let (name, value) = named.split_at(equals);
            if !name.trim_ascii().eq_ignore_ascii_case(b"statusfile") {
                return None;
            }
            value.get(1..)?
        }
        _ => return None,
    };
    let value = value.trim_ascii();
    (!value.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(value)))
}

fn totals(statistics: &Statistics) -> MailerCounters {
    statistics
        .mailers
        .iter()
        .fold(MailerCounters::default(), |sum, mailer| MailerCounters {
            messages_from: sum.messages_from.saturating_add(mailer.messages_from),
            kilobytes_from: sum.kilobytes_from.saturating_add(mailer.kilobytes_from),
            messages_to: sum.messages_to.saturating_add(mailer.messages_to),
            kilobytes_to: sum.kilobytes_to.saturating_add(mailer.kilobytes_to),
            rejected: sum.rejected.saturating_add(mailer.rejected),
            discarded: sum.discarded.saturating_add(mailer.discarded),
            quarantined: sum.quarantined.saturating_add(mailer.quarantined),
        })
}

/// Gives the mailers something was counted for, with the text behind their row.
fn rows<'s>(
    statistics: &'s Statistics,
    names: Option<&'s [Vec<u8>]>,
) -> impl Iterator<Item = (usize, &'s MailerCounters, String)> {
    let all = statistics.mailers.iter().enumerate();
    let counted = all.filter(|(_, mailer)| **mailer != MailerCounters::default());
    counted.map(move |(number, mailer)| {
        let name = names.map_or(String::new(), |names| {
            let name = names.get(number).map(Vec::as_slice).unwrap_or_default();
            format!("  {}", String::from_utf8_lossy(name))
        });
        (number, mailer, name)
    })
}

fn print_for_people(
    statistics: &Statistics,
    names: Option<&[Vec<u8>]>,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "Statistics from {}", ctime_date(statistics.since))?;
    let title = if names.is_some() { "  Mailer" } else { "" };
    writeln!(
        out,
        " M   msgsfr  bytes_from   msgsto    bytes_to  msgsrej msgsdis msgsqur{title}"
    )?;
    for (number, mailer, name) in rows(statistics, names) {
        writeln!(out, "{number:2}{}{name}", people_columns(mailer))?;
    }
    writeln!(out, "{}", "=".repeat(69))?;
    writeln!(out, " T{}", people_columns(&totals(statistics)))?;
    writeln!(
        out,
        " C {:8} {:>20} {:>20}",
        statistics.connections_from, statistics.connections_to, statistics.connections_rejected
    )
}

fn people_columns(mailer: &MailerCounters) -> String {
    format!(
        " {:8} {:10}K {:8} {:10}K   {:6}  {:6}  {:6}",
        mailer.messages_from,
        mailer.kilobytes_from,
        mailer.messages_to,
        mailer.kilobytes_to,
        mailer.rejected,
        mailer.discarded,
        mailer.quarantined
    )
}

fn print_for_programs(
    statistics: &Statistics,
    names: Option<&[Vec<u8>]>,
    now: Timestamp,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "{} {}", statistics.since.seconds(), now.seconds())?;
    for (number, mailer, name) in rows(statistics, names) {
        writeln!(out, "{number:2}{}{name}", program_columns(mailer))?;
    }
    writeln!(out, " T{}", program_columns(&totals(statistics)))?;
    writeln!(
        out,
        " C {:8} {:8} {:6}",
        statistics.connections_from, statistics.connections_to, statistics.connections_rejected
    )
}

fn program_columns(mailer: &MailerCounters) -> String {
    people_columns(mailer).replace('K', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(configuration: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let statistics = folder.path().join("st").display().to_string();
        let text = configuration.replace("ST", &statistics);
        std::fs::write(folder.path().join("cf"), text).unwrap();
        let mut counters = Statistics::new(Timestamp::from_seconds(1_795_333_114));
        counters.connections_from = 7;
        counters.connections_to = 8;
        counters.connections_rejected = 9;
        counters.mailers[0].rejected = 3;
        counters.mailers[3].messages_from = 2;
        counters.mailers[3].kilobytes_from = 1_000_000;
        std::fs::write(&statistics, counters.to_bytes()).unwrap();
        (folder, statistics)
    }

    fn run_on(folder: &tempfile::TempDir, more: &[&str]) -> (ExitStatus, String, String) {
        let cf = folder.path().join("cf").display().to_string();
        let mut arguments: Vec<&[u8]> = vec![b"-C", cf.as_bytes()];
        arguments.extend(more.iter().map(|word| word.as_bytes()));
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        let now = Timestamp::from_seconds(1_795_333_167);
        let status = run(&arguments, now, &mut out, &mut errors);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (status, text(out), text(errors))
    }

    #[test]
    fn both_forms_as_observed() {
        let (folder, statistics) = site("Mfoo, P=/bin/x\nMprog, P=/bin/sh\nO StatusFile=ST\n");
        let (status, out, _) = run_on(&folder, &[]);
        let since = ctime_date(Timestamp::from_seconds(1_795_333_114));
        let expected = format!(
            "Statistics from {since}\n \
             M   msgsfr  bytes_from   msgsto    bytes_to  msgsrej msgsdis msgsqur  Mailer\n \
             0        0          0K        0          0K        3       0       0  prog\n \
             3        2    1000000K        0          0K        0       0       0  foo\n\
             =====================================================================\n \
             T        2    1000000K        0          0K        3       0       0\n \
             C        7                    8                    9\n"
        );
        assert_eq!((status, out), (ExitStatus::Ok, expected));
        let (_, out, _) = run_on(&folder, &["-po"]);
        let expected = "1795333114 1795333167\n \
             0        0          0        0          0        3       0       0\n \
             3        2    1000000        0          0        0       0       0\n \
             T        2    1000000        0          0        3       0       0\n \
             C        7        8      9\n";
        assert_eq!(out, expected);
        assert_eq!(std::fs::read(statistics).unwrap(), b"");
    }

    #[test]
    fn failures_have_their_own_status() {
        let (folder, statistics) = site("Mfoo, P=/bin/x\n");
        let (status, _, errors) = run_on(&folder, &[]);
        assert_eq!(status, ExitStatus::OsFile);
        assert_eq!(errors, "mailstats: no statistics file located\n");
        let (status, _, errors) = run_on(&folder, &["-f", "/nonexistent/st"]);
        assert_eq!(status, ExitStatus::NoInput);
        assert_eq!(
            errors,
            "mailstats: /nonexistent/st: No such file or directory\n"
        );
        std::fs::write(&statistics, [0; 1_448]).unwrap();
        let (status, _, errors) = run_on(&folder, &["-f", &statistics]);
        assert_eq!(status, ExitStatus::OsError);
        assert_eq!(
            errors,
            format!("mailstats: incorrect magic number in {statistics}\n")
        );
        assert_eq!(run_on(&folder, &["x"]).0, ExitStatus::Usage);
        assert!(
            run_on(&folder, &["-x"])
                .2
                .starts_with("mailstats: invalid option -- 'x'\nusage")
        );
    }

    #[test]
    fn both_spellings_of_the_option_are_read() {
        for (line, expected) in [
            (&b"S/a"[..], Some("/a")),
            (b" StatusFile = /b ", Some("/b")),
            (b" statusfile=/c", Some("/c")),
            (b" SuperSafe=True", None),
            (b"", None),
        ] {
            assert_eq!(status_file(line), expected.map(PathBuf::from));
        }
    }
}
