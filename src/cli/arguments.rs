//! The command line of `sendmail`: words in, typed [`Arguments`] out.
//!
//! A pass over the words first gives every option that may stand alone the value
//! the reference gives it (`-q`, `-C`, `-d`, `-Q`, `-b`); the crate getopts does
//! the rest. Words are octets: each octet becomes one character for getopts and
//! comes back as the same octet.
//!
//! Options end at the first word that is none. Options are told apart from
//! recipients exactly as the reference does, which includes that `-q word` takes
//! the word for an interval.
//!
//! Source: sendmail(8); guide appendix A; texts and order observed: 8.17.1.9.

use std::time::Duration;

use crate::config::OverrideSetting;
use crate::config::options::value::{self, Interval};
use crate::envelope::{Notify, Return};
use crate::message::BodyType;
use crate::queue::{FileKind, Match, MatchField, Selection};
use crate::smtp::ExitStatus;
use crate::smtp::xtext::is_xtext;
use crate::text::interval::IntervalUnit;
use crate::tools::postmaster::Request;

use super::mode::OperationMode;
use super::queue_command::ListingStyle;

/// Which configuration file to read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ConfigurationChoice {
    /// submit.cf for submission if it is there, else sendmail.cf.
    #[default]
    ByMode,
    /// submit.cf (`-Ac`).
    Submission,
    /// sendmail.cf (`-Am`).
    Transfer,
    /// This file (`-C`).
    File(Vec<u8>),
}

/// How the queue is run (`-q`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRunArguments {
    /// Time between two runs; `None` runs once.
    pub interval: Option<Duration>,
    /// Runners stay and sleep for the interval between runs (`-qp`).
    pub persistent: bool,
    /// The run is not put in the background (`-qf`).
    pub foreground: bool,
    /// Which entries (`-qI`, `-qR`, `-qS`, `-qQ`, `-qL`, `-qG`).
    pub selection: Selection,
}

/// What `-Q` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuarantineRequest {
    /// Put entries in quarantine with this reason.
    Hold(Vec<u8>),
    /// Let entries go.
    Release,
}

/// Sender given with `-f` or `-r`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderArgument {
    /// The address; empty is the null sender.
    pub address: Vec<u8>,
    /// The option letter.
    pub flag: u8,
}

/// A command line, understood.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    /// The word the program was called with.
    pub program: Vec<u8>,
    /// What to do.
    pub mode: OperationMode,
    /// Which configuration file (`-A`, `-C`).
    pub configuration: ConfigurationChoice,
    /// Operands.
    pub recipients: Vec<Vec<u8>>,
    /// Take recipients from the header (`-t`).
    pub recipients_from_header: bool,
    /// Sender (`-f`, `-r`).
    pub sender: Option<SenderArgument>,
    /// Full name (`-F`).
    pub full_name: Option<Vec<u8>>,
    /// Type of the body (`-B`).
    pub body_type: Option<BodyType>,
    /// The message may need SMTPUTF8 (`-U`); refused later where that is not spoken.
    pub smtp_utf8: bool,
    /// Where the hop count starts (`-h`).
    pub hop_count: Option<u32>,
    /// What a bounce returns (`-R`).
    pub dsn_return: Option<Return>,
    /// The same as it was written.
    pub dsn_return_text: Option<Vec<u8>>,
    /// Which notices are wanted (`-N`).
    pub notify: Notify,
    /// The same as it was written.
    pub notify_text: Option<Vec<u8>>,
    /// Envelope id (`-V`), in xtext.
    pub envelope_id: Option<Vec<u8>>,
    /// A lone dot does not end the message (`-i`).
    pub ignore_dots: bool,
    /// No aliases (`-n`).
    pub no_alias: bool,
    /// Say each step (`-v`).
    pub verbose: bool,
    /// Relay submission (`-G`).
    pub relay: bool,
    /// Protocol and host the message came with (`-p`).
    pub protocol: Option<(Vec<u8>, Option<Vec<u8>>)>,
    /// Options and macros in their order (`-o -O -M -c -e -i -m -s -T -v`).
    pub settings: Vec<OverrideSetting>,
    /// Options that come after the configuration file (`-v` and `-bt` deliver at once).
    pub afterwards: Vec<OverrideSetting>,
    /// Queue run (`-q`).
    pub queue_run: Option<QueueRunArguments>,
    /// Quarantine (`-Q`).
    pub quarantine: Option<QuarantineRequest>,
    /// What is to be done to the queue by hand (`--queue`).
    pub by_hand: Option<Request>,
    /// How the queue is listed (`--json`, `--watch` of mailq).
    pub listing: ListingStyle,
    /// Debug flags in their order (`-d`).
    pub debug: Vec<Vec<u8>>,
    /// Where debug output goes (`-D`).
    pub debug_file: Option<Vec<u8>>,
    /// `-D` came behind `-d`, which is a fault; there is no such file then.
    pub debug_file_is_late: bool,
    /// Traffic log (`-X`).
    pub traffic_log: Option<Vec<u8>>,
    /// Name in the system log (`-L`).
    pub syslog_tag: Option<Vec<u8>>,
    /// What is told although the run goes on, each with the exit status 64.
    pub complaints: Vec<Vec<u8>>,
    /// Values that had line ends, which are spaces now; the log tells of them.
    pub attacks: Vec<Vec<u8>>,
}

/// Where the text about a refused command line goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Standard,
    /// Standard error.
    Error,
}

/// Why a command line was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What was complained of before, on standard output.
    pub complaints: Vec<&'static str>,
    /// Text without line end; may be empty.
    pub text: Vec<u8>,
    /// Where it goes.
    pub output: Output,
    /// Exit status.
    pub status: ExitStatus,
}

/// Said once for the warning and once for the return, which `-T` would set.
const BAD_TIME_UNIT: &str = "Invalid time unit `T'";

impl Refusal {
    fn usage(text: impl AsRef<[u8]>) -> Self {
        Self {
            complaints: Vec::new(),
            text: text.as_ref().to_vec(),
            output: Output::Standard,
            status: ExitStatus::Usage,
        }
    }

    fn from_getopt(program: &[u8], text: &str) -> Self {
        Self {
            complaints: Vec::new(),
            text: [program, b": ", text.as_bytes()].concat(),
            output: Output::Error,
            status: ExitStatus::Usage,
        }
    }
}

/// Options without a value.
const FLAGS: &[u8] = b"cGIimnsTtUv";

/// Options with a value.
const VALUED: &[u8] = b"ABbCDdeFfhLMNOopQqRrVX";

/// Options whose value ends up in mail and logs and is told there if it has line ends.
const ONE_LINE: &[u8] = b"Ffpr";

/// One option in its place on the command line.
struct Given {
    letter: u8,
    value: Vec<u8>,
}

/// Reads a command line; `mode` is the one the program's name stands for.
///
/// # Errors
/// The command line is wrong: the program says why and ends.
pub fn parse(argv: &[Vec<u8>], mode: OperationMode) -> Result<Arguments, Refusal> {
    let program = argv
        .first()
        .cloned()
        .unwrap_or_else(|| b"sendmail".to_vec());
    let words = complete(argv.get(1..).unwrap_or_default())?;
    let (given, recipients) = split(&program, &words)?;
    let mut arguments = Arguments {
        program,
        mode,
        recipients,
        ..Arguments::default()
    };
    // The reference goes through the options twice: these first.
    for option in &given {
        arguments.set_early(option)?;
    }
    let mut refusals = Vec::new();
    for mut option in given {
        if ONE_LINE.contains(&option.letter) && option.value.contains(&b'\n') {
            option.value = one_line(&option.value);
            arguments.attacks.push(option.value.clone());
        }
        // Whatever is wrong with one option, the others are looked at, too.
        if let Err(refusal) = arguments.set(option) {
            refusals.push(refusal);
        }
    }
    if let Some(refusal) = united(refusals) {
        return Err(refusal);
    }
    arguments.finish()?;
    Ok(arguments)
}

/// Makes one refusal of all, which tells each on a line of its own. Observed: 8.17.1.9.
fn united(refusals: Vec<Refusal>) -> Option<Refusal> {
    refusals.into_iter().reduce(|mut all, next| {
        all.text.push(b'\n');
        all.text.extend(next.text);
        all
    })
}

/// Gives options that may stand alone their value, and unites `--` words.
fn complete(words: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Refusal> {
    let mut out = Vec::with_capacity(words.len());
    let mut rest = words.iter().map(Vec::as_slice).peekable();
    while let Some(word) = rest.next() {
        let Some((&letter, glued)) = word.strip_prefix(b"-").and_then(<[u8]>::split_first) else {
            out.push(word.to_vec());
            break;
        };
        if letter == b'-' {
            out.push(b"--".to_vec());
            break;
        }
        let next = rest.peek().copied();
        if letter == b'Q' && (glued == b"." || (glued.is_empty() && next == Some(b"."))) {
            return Err(Refusal::usage("Can not use -Q."));
        }
        let next_is_value = next.is_some_and(|next| next.first() != Some(&b'-'));
        let default: &[u8] = match letter {
            b'C' => b"sendmail.cf",
            b'q' => b"0",
            b'Q' => b".",
            b'd' => b"0-99.1",
            b'b' => b" ",
            _ => b"",
        };
        let stands_alone = match letter {
            b'd' => true,
            b'b' => next.is_none(),
            _ => !default.is_empty() && !next_is_value,
        };
        if glued.is_empty() && stands_alone {
            out.push([b"-", [letter].as_slice(), default].concat());
            continue;
        }
        out.push(word.to_vec());
        // The value of an option is not looked at as a word of its own.
        let wants_value = wants_separate_value(word);
        if wants_value && let Some(value) = rest.next() {
            out.push(value.to_vec());
        }
    }
    out.extend(rest.map(<[u8]>::to_vec));
    Ok(out)
}

/// Tells whether the last option of a word takes the next word as its value.
fn wants_separate_value(word: &[u8]) -> bool {
    let letters = word.get(1..).unwrap_or_default();
    let first_valued = letters.iter().position(|letter| VALUED.contains(letter));
    first_valued.is_some_and(|at| at + 1 == letters.len())
}

/// Lets getopts cut the words into options and operands.
fn split(program: &[u8], words: &[Vec<u8>]) -> Result<(Vec<Given>, Vec<Vec<u8>>), Refusal> {
    let mut options = getopts::Options::new();
    options.parsing_style(getopts::ParsingStyle::StopAtFirstFree);
    let name = |letter: u8| char::from(letter).to_string();
    for &letter in FLAGS {
        options.optflagmulti(&name(letter), "", "");
    }
    for &letter in VALUED {
        options.optmulti(&name(letter), "", "", "");
    }
    let texts: Vec<String> = words.iter().map(|word| to_text(word)).collect();
    let matches = options.parse(&texts).map_err(|fail| match fail {
        getopts::Fail::ArgumentMissing(option) if option == "L" => {
            Refusal::usage(format!("option requires an argument -- '{option}'"))
        }
        getopts::Fail::ArgumentMissing(option) => {
            Refusal::from_getopt(program, &format!("option requires an argument -- {option}"))
        }
        getopts::Fail::UnrecognizedOption(option) => Refusal {
            complaints: complaints_before(words, &option),
            ..Refusal::from_getopt(program, &format!("illegal option -- {option}"))
        },
        other => Refusal::from_getopt(program, &other.to_string()),
    })?;
    let mut given: Vec<(usize, Given)> = Vec::new();
    for &letter in FLAGS {
        for at in matches.opt_positions(&name(letter)) {
            let value = Vec::new();
            given.push((at, Given { letter, value }));
        }
    }
    for &letter in VALUED {
        for (at, value) in matches.opt_strs_pos(&name(letter)) {
            let value = to_octets(&value);
            given.push((at, Given { letter, value }));
        }
    }
    given.sort_by_key(|(at, _)| *at);
    let recipients = matches.free.iter().map(|word| to_octets(word)).collect();
    Ok((
        given.into_iter().map(|(_, given)| given).collect(),
        recipients,
    ))
}

/// Gives what is said of `-T`, which sets no time any more, before an option nobody knows.
///
/// Observed: 8.17.1.9 (`-T3d`).
fn complaints_before(words: &[Vec<u8>], unknown: &str) -> Vec<&'static str> {
    let mut complaints = Vec::new();
    for word in words.iter().filter_map(|word| word.strip_prefix(b"-")) {
        for letter in word {
            if unknown.as_bytes() == [*letter] || VALUED.contains(letter) {
                break;
            }
            if *letter == b'T' {
                complaints.extend([BAD_TIME_UNIT; 2]);
            }
        }
    }
    complaints
}

fn to_text(word: &[u8]) -> String {
    word.iter().copied().map(char::from).collect()
}

fn to_octets(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| u8::try_from(c).unwrap_or(b'?'))
        .collect()
}

impl Arguments {
    /// Takes what the reference takes in its first pass.
    fn set_early(&mut self, option: &Given) -> Result<(), Refusal> {
        match option.letter {
            b'b' => {
                let letter = *option.value.first().unwrap_or(&0);
                if letter == b'z' {
                    return Err(Refusal::usage("Frozen configurations unsupported"));
                }
                self.mode = OperationMode::from_letter(letter).ok_or_else(|| {
                    Refusal::usage([b"Invalid operation mode ".as_slice(), &[letter]].concat())
                })?;
            }
            b'D' if !self.debug.is_empty() => self.debug_file_is_late = true,
            b'D' => self.debug_file = Some(option.value.clone()),
            b'd' => self.debug.push(option.value.clone()),
            b'L' => self.syslog_tag = Some(option.value.clone()),
            // Ended without a word in the reference.
            b'I' => return Err(Refusal::usage("")),
            _ => {}
        }
        Ok(())
    }

    /// Takes everything else.
    fn set(&mut self, option: Given) -> Result<(), Refusal> {
        let Given { letter, value } = option;
        match letter {
            b'A' => match value.first() {
                Some(b'c') => self.choose(ConfigurationChoice::Submission),
                Some(b'm') => self.choose(ConfigurationChoice::Transfer),
                _ => {}
            },
            b'B' => self.set_body_type(&value),
            b'U' => self.smtp_utf8 = true,
            b'C' => self.configuration = ConfigurationChoice::File(value),
            b'F' => self.full_name = Some(value),
            b'f' | b'r' => {
                if self.sender.is_some() {
                    return Err(Refusal::usage("More than one \"from\" person"));
                }
                self.sender = Some(SenderArgument {
                    address: if value == b"<>" { Vec::new() } else { value },
                    flag: letter,
                });
            }
            b'G' => self.relay = true,
            b'h' => self.hop_count = Some(hop_count(&value)?),
            b'M' => self.settings.push(OverrideSetting::Macro(one_line(&value))),
            b'N' => {
                self.notify =
                    Notify::parse(&value).ok_or_else(|| Refusal::usage("Invalid -N argument"))?;
                self.notify_text = Some(value);
            }
            b'n' => self.no_alias = true,
            b'O' => self.settings.push(OverrideSetting::Named(value)),
            b'o' => {
                let (letter, value) = value.split_first().unwrap_or((&0, b""));
                self.set_option(*letter, value);
            }
            b'e' => self.set_option(b'e', &value),
            b'i' => self.set_option(b'i', b"T"),
            b'c' | b'm' | b'T' | b'v' => self.set_option(letter, b"T"),
            b's' => self.set_option(b'f', b"T"),
            b'p' => {
                self.protocol = Some(match crate::text::bytes::split_once(&value, b':') {
                    Some((protocol, host)) => (token_of(protocol), Some(token_of(host))),
                    None => (token_of(&value), None),
                });
            }
            b'Q' => {
                self.quarantine = Some(match value.as_slice() {
                    b"." => QuarantineRequest::Release,
                    _ => QuarantineRequest::Hold(value),
                });
            }
            b'q' => self.set_queue_run(&value)?,
            b'R' => {
                if self.dsn_return_text.is_some() {
                    return Err(Refusal::usage("Duplicate -R flag"));
                }
                self.dsn_return = match value.to_ascii_lowercase().as_slice() {
                    b"full" => Some(Return::Full),
                    b"hdrs" => Some(Return::Headers),
                    _ => {
                        self.dsn_return_text = Some(value);
                        return Err(Refusal::usage("Invalid -R value"));
                    }
                };
                self.dsn_return_text = Some(value);
            }
            b't' => self.recipients_from_header = true,
            b'V' => {
                if !is_xtext(&value) {
                    return Err(Refusal::usage("Invalid syntax in -V flag"));
                }
                self.envelope_id = Some(value);
            }
            b'X' => self.traffic_log = Some(value),
            _ => {}
        }
        Ok(())
    }

    fn choose(&mut self, choice: ConfigurationChoice) {
        if !matches!(self.configuration, ConfigurationChoice::File(_)) {
            self.configuration = choice;
        }
    }

    /// Notes an option by letter, and what it means outside of the configuration.
    fn set_option(&mut self, letter: u8, value: &[u8]) {
        match letter {
            b'i' => self.ignore_dots = value::truth(value),
            b'v' => self.verbose = value::truth(value),
            _ => {}
        }
        self.settings
            .push(OverrideSetting::Letter(letter, value.to_vec()));
    }

    fn set_body_type(&mut self, value: &[u8]) {
        self.body_type = BodyType::parse(value);
        if self.body_type.is_none() {
            self.complaints
                .push([b"Illegal body type ".as_slice(), value].concat());
        }
    }

    /// Adds one `-q`.
    fn set_queue_run(&mut self, text: &[u8]) -> Result<(), Refusal> {
        let run = self.queue_run.get_or_insert_with(|| QueueRunArguments {
            interval: None,
            persistent: false,
            foreground: false,
            selection: Selection::default(),
        });
        let (negated, subset) = match text.split_first() {
            Some((b'!', rest)) => (true, rest),
            _ => (false, text),
        };
        let (kind, operand) = subset.split_first().unwrap_or((&0, b""));
        let mut select = |field| {
            run.selection.matches.push(Match {
                field,
                negated,
                text: operand.to_vec(),
            });
        };
        match kind {
            b'G' if negated => return Err(Refusal::usage("Can not use -q!G")),
            b'G' => run.selection.group = Some(operand.to_vec()),
            b'I' => select(MatchField::Id),
            b'R' => select(MatchField::Recipient),
            b'S' => select(MatchField::Sender),
            b'Q' => {
                if !operand.is_empty() {
                    select(MatchField::Quarantine);
                }
                run.selection.kind = FileKind::Quarantined;
            }
            b'L' => run.selection.kind = FileKind::Lost,
            b'f' => run.foreground = true,
            b'p' => {
                run.persistent = true;
                // Without a time, persistent runners sleep for one second.
                let text = if operand.is_empty() { b"1s" } else { operand };
                run.interval = Some(queue_interval(text)?);
            }
            _ => {
                let interval = queue_interval(subset)?;
                if !interval.is_zero() {
                    run.interval = Some(interval);
                }
            }
        }
        Ok(())
    }

    /// Checks what options together mean.
    fn finish(&mut self) -> Result<(), Refusal> {
        let forbidden = if self.quarantine.is_some() && self.mode != OperationMode::Deliver {
            Some(b'Q')
        } else if self.queue_run.is_some() && !self.mode.runs_queue() {
            Some(b'q')
        } else {
            None
        };
        if let Some(letter) = forbidden {
            let (code, end): (&[u8], &[u8]) = match self.mode.speaks_smtp() {
                true => (b"550 ", b"\r"),
                false => (b"", b""),
            };
            let text = [
                code,
                b"Can not use -",
                &[letter],
                b" with -b",
                &[self.mode.letter()],
                end,
            ]
            .concat();
            if self.mode != OperationMode::Test {
                return Err(Refusal::usage(text));
            }
            self.complaints.push(text);
        }
        // What is told step by step is delivered at once, expensive mailers or not.
        if self.verbose || self.mode == OperationMode::Test {
            self.afterwards = vec![
                OverrideSetting::Letter(b'c', b"F".to_vec()),
                OverrideSetting::Letter(b'd', Vec::new()),
            ];
        }
        Ok(())
    }
}

/// Puts spaces in the place of line ends.
fn one_line(text: &[u8]) -> Vec<u8> {
    let is_end = |byte: u8| matches!(byte, b'\r' | b'\n');
    (text
        .iter()
        .map(|&byte| if is_end(byte) { b' ' } else { byte }))
    .collect()
}

/// Leaves out what a protocol or a host cannot have (`-p`): all but RFC 2045 tokens and slashes.
fn token_of(text: &[u8]) -> Vec<u8> {
    let is_left = |byte: &u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"[]?=".contains(byte);
    text.iter().copied().filter(is_left).collect()
}

/// Reads the number of `-h`: decimal, nothing behind it.
fn hop_count(text: &[u8]) -> Result<u32, Refusal> {
    let digits = text.trim_ascii_start();
    let digits = digits
        .strip_prefix(b"+")
        .or(digits.strip_prefix(b"-"))
        .unwrap_or(digits);
    if digits.iter().all(u8::is_ascii_digit) {
        Ok(value::count(text))
    } else {
        Err(Refusal::usage(
            [b"Bad hop count (".as_slice(), text, b")"].concat(),
        ))
    }
}

/// Reads the interval of `-q`; a bare number is in minutes.
fn queue_interval(text: &[u8]) -> Result<Duration, Refusal> {
    let mut bad = Vec::new();
    let interval = value::interval(text, IntervalUnit::Minutes, &mut |letter| bad.push(letter));
    if !bad.is_empty() {
        let lines: Vec<Vec<u8>> = bad
            .iter()
            .map(|&letter| [b"Invalid time unit `".as_slice(), &[letter], b"'"].concat())
            .collect();
        return Err(Refusal::usage(lines.join(&b'\n')));
    }
    match interval {
        Interval::Seconds(seconds) if seconds >= 0 => Ok(interval.duration()),
        Interval::Seconds(_) | Interval::Now => Err(Refusal::usage("Invalid -q value")),
    }
}
