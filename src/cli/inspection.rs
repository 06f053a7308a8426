//! `--check` and `--explain`: programs that look and change nothing.
//!
//! They are asked for by the first word behind the program's name, so that no command line
//! of the reference means anything else here. Set-id rights are given up first: both read
//! files the caller names.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use crate::check::check;
use crate::config::identity::FEATURES;
use crate::config::source::SystemSource;
use crate::config::{Config, Overrides};
use crate::explain::{self, Question, explain};
use crate::mta::open::Listeners;
use crate::mta::{Lifetime, Mta, Workspace};
use crate::queue::Queue;
use crate::smtp::ExitStatus;
use crate::sys::file::path_buf_of;
use crate::sys::process;
use crate::text::bytes::printable;

use super::start::{self, MAIN_CONFIG, SUBMIT_CONFIG};

/// What is said to a wrong command line.
const CHECK_USAGE: &str = "usage: sendmail --check [-C file | -Ac | -Am] [--json]";

const EXPLAIN_USAGE: &str =
    "usage: sendmail --explain address [-f sender] [-C file | -Ac | -Am] [-v] [--json]";

/// A command line that begins with `--check`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Check {
    file: PathBuf,
    json: bool,
}

/// A command line that begins with `--explain`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Explain {
    file: PathBuf,
    address: Vec<u8>,
    sender: Option<Vec<u8>>,
    with_failures: bool,
    json: bool,
}

/// Runs `--check` or `--explain`; `None` when the command line asks for neither.
pub fn run(words: &[Vec<u8>]) -> Option<ExitStatus> {
    let (first, rest) = words.get(1..)?.split_first()?;
    let status = match first.as_slice() {
        b"--check" => match Check::parse(rest) {
            Ok(request) => prepared(|| run_check(&request)),
            Err(fault) => usage(&fault, CHECK_USAGE),
        },
        b"--explain" => match Explain::parse(rest) {
            Ok(request) => prepared(|| run_explain(&request)),
            Err(fault) => usage(&fault, EXPLAIN_USAGE),
        },
        _ => return None,
    };
    Some(status)
}

fn usage(fault: &str, usage: &str) -> ExitStatus {
    eprintln!("sendmail: {fault}\n{usage}");
    ExitStatus::Usage
}

/// Makes the process harmless, then does the work.
fn prepared(work: impl FnOnce() -> io::Result<ExitStatus>) -> ExitStatus {
    let ready = process::fill_standard_descriptors().and_then(|()| process::drop_set_ids());
    match ready.and_then(|()| work()) {
        Ok(status) => status,
        // Whoever reads the report has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitStatus::Ok,
        Err(error) => {
            eprintln!("sendmail: {error}");
            ExitStatus::OsError
        }
    }
}

fn run_check(request: &Check) -> io::Result<ExitStatus> {
    let report = check(&request.file, &mut SystemSource::default(), FEATURES);
    let text = match request.json {
        true => report.for_programs(),
        false => report.for_people(),
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(report.status())
}

fn run_explain(request: &Explain) -> io::Result<ExitStatus> {
    let overrides = Overrides::only_file(&request.file);
    let config = match Config::load(&overrides, &mut SystemSource::default()) {
        Ok(mut config) => {
            // Who only asks rebuilds nothing.
            config.options.delivering.auto_rebuild_aliases = false;
            config
        }
        Err(failure) => {
            eprintln!("{failure}");
            return Ok(failure.status());
        }
    };
    // A faulty file explains as far as it goes; --check tells more.
    let said = config.diagnostics.printed_with_hints(false, false);
    eprint!("{}", String::from_utf8_lossy(&said));
    let lifetime = Arc::new(Lifetime::new(start::direct_privileges()));
    let queue = Queue::without_directories(Arc::clone(&lifetime.queue_ids));
    let mta = Mta::with_queue(Arc::new(config), lifetime, &Listeners::default(), queue);
    let mut workspace = Workspace::new(&mta.config.options);
    let question = Question {
        address: request.address.clone(),
        sender: request.sender.clone(),
        uid: process::real_user(),
        with_failures: request.with_failures,
    };
    let explanation = explain(&mta, &mut workspace, &question);
    let text = match request.json {
        true => format!("{}\n", explain::json::for_programs(&explanation)),
        false => explain::tree::for_people(&explanation),
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(explanation.status)
}

/// Goes through words of which some take a value, glued to them or in the next word.
struct Words<'a> {
    rest: std::slice::Iter<'a, Vec<u8>>,
}

impl<'a> Words<'a> {
    fn of(words: &'a [Vec<u8>]) -> Self {
        Words { rest: words.iter() }
    }

    fn next(&mut self) -> Option<&'a [u8]> {
        self.rest.next().map(Vec::as_slice)
    }

    /// Returns the value of an option whose word is `-X` or `-Xvalue`.
    fn value(&mut self, word: &'a [u8]) -> Result<&'a [u8], String> {
        match word.get(2..) {
            Some(glued) if !glued.is_empty() => Ok(glued),
            _ => self
                .next()
                .ok_or_else(|| format!("{} wants a value", printable(word))),
        }
    }
}

/// Chooses the file `-C`, `-Ac` or `-Am` names; `None` when the word is none of them.
fn chosen_file<'a>(word: &'a [u8], words: &mut Words<'a>) -> Result<Option<PathBuf>, String> {
    Ok(Some(match word {
        b"-Ac" => PathBuf::from(SUBMIT_CONFIG),
        b"-Am" => PathBuf::from(MAIN_CONFIG),
        _ if word.starts_with(b"-C") => path_buf_of(words.value(word)?.to_vec()),
        _ => return Ok(None),
    }))
}

impl Check {
    fn parse(words: &[Vec<u8>]) -> Result<Check, String> {
        let mut request = Check {
            file: PathBuf::from(MAIN_CONFIG),
            json: false,
        };
        let mut words = Words::of(words);
        while let Some(word) = words.next() {
            if word == b"--json" {
                request.json = true;
            } else if let Some(file) = chosen_file(word, &mut words)? {
                request.file = file;
            } else {
                return Err(format!("--check does not know {}", printable(word)));
            }
        }
        Ok(request)
    }
}

impl Explain {
    fn parse(words: &[Vec<u8>]) -> Result<Explain, String> {
        let mut request = Explain {
            file: PathBuf::from(MAIN_CONFIG),
            address: Vec::new(),
            sender: None,
            with_failures: false,
            json: false,
        };
        let mut addresses = Vec::new();
        let mut words = Words::of(words);
        while let Some(word) = words.next() {
            if word == b"--json" {
                request.json = true;
            } else if word == b"-v" {
                request.with_failures = true;
            } else if word.starts_with(b"-f") {
                request.sender = Some(words.value(word)?.to_vec());
            } else if let Some(file) = chosen_file(word, &mut words)? {
                request.file = file;
            } else if word.starts_with(b"-") {
                return Err(format!("--explain does not know {}", printable(word)));
            } else {
                addresses.push(word);
            }
        }
        match addresses.as_slice() {
            [] => Err("--explain wants an address".to_owned()),
            [b""] => Err("the address is empty".to_owned()),
            [address] => {
                request.address = address.to_vec();
                Ok(request)
            }
            _ => Err("--explain takes one address; write a list with commas".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<Vec<u8>> {
        line.split_whitespace().map(|word| word.into()).collect()
    }

    #[test]
    fn check_takes_a_file_and_a_form() {
        for (line, file, json) in [
            ("", MAIN_CONFIG, false),
            ("-C /x.cf", "/x.cf", false),
            ("-C/x.cf --json", "/x.cf", true),
            ("--json -Ac", SUBMIT_CONFIG, true),
        ] {
            let expected = Check {
                file: file.into(),
                json,
            };
            assert_eq!(Check::parse(&words(line)), Ok(expected), "{line}");
        }
        for line in ["-C", "file", "--jso", "-v"] {
            assert!(Check::parse(&words(line)).is_err(), "{line}");
        }
    }

    #[test]
    fn explain_takes_an_address_and_what_belongs_to_it() {
        let request = Explain::parse(&words("joe@x -f ann -C/x.cf -v --json")).unwrap();
        assert_eq!(request.address, b"joe@x");
        assert_eq!(request.sender.as_deref(), Some(b"ann".as_slice()));
        assert_eq!(request.file, PathBuf::from("/x.cf"));
        assert!(request.with_failures && request.json);
        for line in ["", "a b", "a -f", "a -x", "a --jsn"] {
            assert!(Explain::parse(&words(line)).is_err(), "{line}");
        }
    }

    #[test]
    fn only_the_first_word_asks_for_an_inspection() {
        assert_eq!(run(&words("sendmail -bv --check")), None);
        assert_eq!(run(&words("sendmail")), None);
        assert_eq!(
            run(&words("sendmail --check nonsense")),
            Some(ExitStatus::Usage)
        );
    }
}
