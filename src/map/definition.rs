//! One K line: name, class, and the flags of its class.
//!
//! Every complaint has the words of the reference; the caller puts file and
//! line in front. A definition that was refused by its class stays in the table:
//! rules that use it compile, and test mode says `Map named "x" not open`.
//!
//! Source: guide 5.9; texts observed: 8.17.1.9.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::class::MapClass;
use super::flags::{FlagsAndFile, MapFlags, parse_flags, skip_spaces, split_word};
use super::ldap_arguments::LdapDetails;
use crate::dns::resolver::RecordType;
use crate::logging::record::Severity;
use crate::sys::posix_regex::{PosixRegex, RegexFlags};
use crate::text::bytes::parse_decimal;
use crate::text::interval::{IntervalUnit, parse_interval};
use crate::token::Mark;

/// Most members of a sequence; further ones are not read. Source: guide 5.9.
pub(super) const MAX_MEMBERS: usize = 12;

/// One K line, read and checked.
#[derive(Debug, Clone)]
pub struct MapDefinition {
    /// The name rules use, as written.
    pub name: Vec<u8>,
    /// The class.
    pub class: MapClass,
    /// The flags.
    pub flags: MapFlags,
    /// The word behind the flags: a file, a service, a program.
    pub file: Vec<u8>,
    /// What follows that word.
    pub rest: Vec<u8>,
    /// What only one class has.
    pub details: Details,
    /// Whether the class accepted the line; if not, the map can never be opened.
    pub valid: bool,
}

/// What only one class has.
#[derive(Debug, Clone)]
pub enum Details {
    /// Nothing more.
    None,
    /// Class `sequence`.
    Members(Vec<Vec<u8>>),
    /// Class `regex`.
    Regex(RegexDetails),
    /// Class `dns`.
    Dns(DnsDetails),
    /// Class `syslog`.
    Syslog(Severity),
    /// Class `ldap`.
    Ldap(Box<LdapDetails>),
}

/// A compiled pattern and what to do with its substrings.
#[derive(Debug, Clone)]
pub struct RegexDetails {
    /// The pattern.
    pub regex: Arc<PosixRegex>,
    /// How many substrings it has, the whole match included.
    pub count: usize,
    /// `-n`: no match is a match.
    pub inverted: bool,
    /// `-s`: the substrings that make the value.
    pub substrings: Option<Vec<usize>>,
    /// `-d`: what stands between them.
    pub delimiter: Vec<u8>,
}

/// What to ask the name servers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsDetails {
    /// `-R`; none when it was wrong or missing, and then nothing is ever found.
    pub kind: Option<RecordType>,
    /// `-B`: appended to every name.
    pub base: Vec<u8>,
    /// `-Z`: most values that are joined.
    pub limit: Option<usize>,
    /// `-d`: how long to wait for one answer.
    pub retransmit: Option<Duration>,
    /// `-r`: how often to ask.
    pub retries: Option<u32>,
}

/// Why a K line was refused or doubted; `Display` is the text the reference prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionError {
    /// The text, without file and line.
    pub text: Vec<u8>,
    /// It is no complaint but a line of a trace.
    pub is_trace: bool,
}

impl DefinitionError {
    pub(super) fn new(text: impl Into<Vec<u8>>) -> Self {
        DefinitionError {
            text: text.into(),
            is_trace: false,
        }
    }

    fn trace(text: impl Into<Vec<u8>>) -> Self {
        DefinitionError {
            is_trace: true,
            ..DefinitionError::new(text)
        }
    }

    pub(super) fn illegal_option(letter: u8, name: &[u8]) -> Self {
        DefinitionError::new([b"Illegal option ", [letter].as_slice(), b" map ", name].concat())
    }
}

impl fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text))
    }
}

impl std::error::Error for DefinitionError {}

/// Levels of debug category 38 that tell the arguments of a definition, and what a
/// pattern became.
const ARGUMENTS_LEVEL: u8 = 2;
const REGEX_LEVEL: u8 = 3;

/// Gives the line that tells the arguments of a definition, for classes that have one.
///
/// Observed: 8.17.1.9 (`seq_map_parse(both, one two)`).
fn arguments_line(name: &[u8], class: MapClass, arguments: &[u8]) -> Option<Vec<u8>> {
    let (head, between, end): (&[u8], &[u8], &[u8]) = match class {
        MapClass::Sequence => (b"seq_map_parse(", b", ", b")"),
        MapClass::Regex => (b"regex_map_init: mapname '", b"', args '", b"'"),
        _ => return None,
    };
    Some([head, name, between, arguments, end].concat())
}

/// What stands in the arguments of a regex map.
struct RegexOptions<'a> {
    pattern: &'a [u8],
    flags: RegexFlags,
    inverted: bool,
    wanted: Option<&'a [u8]>,
    delimiter: Vec<u8>,
}

impl<'a> RegexOptions<'a> {
    /// Reads them; flags that all classes know go to `common`.
    fn read(arguments: &'a [u8], common: &mut MapFlags) -> RegexOptions<'a> {
        let mut options = RegexOptions {
            pattern: b"",
            flags: RegexFlags {
                ignore_case: true,
                ..RegexFlags::default()
            },
            inverted: false,
            wanted: None,
            // Unless told otherwise, the mark that separates the arguments of a check ruleset.
            delimiter: vec![Mark::Else.octet()],
        };
        let mut rest = skip_spaces(arguments);
        while let Some((b'-', letter_on)) = rest.split_first() {
            let Some((&letter, value)) = letter_on.split_first() else {
                break;
            };
            let (value, after) = split_word(value);
            match letter {
                b'n' => options.inverted = true,
                b'f' => options.flags.ignore_case = false,
                b'b' => options.flags.basic = true,
                b's' => options.wanted = Some(value),
                b'd' => options.delimiter = value.first().copied().into_iter().collect(),
                b'a' => common.suffix = value.to_vec(),
                b'm' => common.match_only = true,
                b'q' => common.keep_quotes = true,
                b'S' => common.space = value.first().copied(),
                b'T' => common.failure_suffix = Some(value.to_vec()),
                b'D' => common.not_when_deferred = true,
                _ => {}
            }
            rest = skip_spaces(after);
        }
        options.pattern = rest;
        options
    }
}

impl MapDefinition {
    /// Reads the text behind the letter `K`; `known` says which maps exist already.
    ///
    /// A definition may be usable although texts were reported: the caller prints
    /// every text in `errors` with file and line, and keeps the definition if there is one.
    pub fn parse(
        line: &[u8],
        known: &dyn Fn(&[u8]) -> bool,
        errors: &mut Vec<DefinitionError>,
    ) -> Option<MapDefinition> {
        MapDefinition::parse_traced(line, known, 0, errors)
    }

    /// As [`MapDefinition::parse`], with lines of traces among the errors: those of
    /// debug category 38 at `level`.
    pub fn parse_traced(
        line: &[u8],
        known: &dyn Fn(&[u8]) -> bool,
        level: u8,
        errors: &mut Vec<DefinitionError>,
    ) -> Option<MapDefinition> {
        let line = skip_spaces(line);
        if !line.first().is_some_and(u8::is_ascii_alphanumeric) {
            errors.push(DefinitionError::new("readcf: config K line: no map name"));
            return None;
        }
        let is_name = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'.');
        let (name, rest) = line.split_at(count_while(line, is_name));
        // Whatever octet ends the name is dropped, space or not.
        let rest = skip_spaces(rest.get(1..).unwrap_or(&[]));
        let class_length = count_while(rest, u8::is_ascii_alphanumeric);
        let (class_name, arguments) = rest.split_at(class_length);
        if class_name.is_empty() {
            let text = [b"readcf: config K line, map ", name, b": no map class"].concat();
            errors.push(DefinitionError::new(text));
            return None;
        }
        let Some(class) = MapClass::from_name(class_name) else {
            let text = [
                b"readcf: map ",
                name,
                b": class ",
                class_name,
                b" not available",
            ];
            errors.push(DefinitionError::new(text.concat()));
            return None;
        };
        let arguments = skip_spaces(arguments.get(1..).unwrap_or(&[]));
        if level >= ARGUMENTS_LEVEL {
            errors.extend(arguments_line(name, class, arguments).map(DefinitionError::trace));
        }
        let mut definition = MapDefinition::of_class(name, class, arguments, known, errors);
        if class == MapClass::Regex && level >= REGEX_LEVEL {
            definition.trace_regex(arguments, errors);
        }
        Some(definition)
    }

    /// Tells what became of a pattern, in front of what is wrong with it.
    ///
    /// Observed: 8.17.1.9.
    fn trace_regex(&mut self, arguments: &[u8], errors: &mut Vec<DefinitionError>) {
        let options = RegexOptions::read(arguments, &mut MapFlags::default());
        let pattern = options.pattern;
        let wanted = options.wanted;
        let bits = u8::from(!options.flags.basic)
            | u8::from(options.flags.ignore_case) << 1
            | u8::from(wanted.is_none()) << 3;
        let mut lines = vec![
            [
                b"regex_map_init: compile '".as_slice(),
                pattern,
                format!("' {bits:#x}").as_bytes(),
            ]
            .concat(),
        ];
        let compiles = PosixRegex::compile(pattern, options.flags).is_ok();
        if wanted.is_some() && compiles {
            let count = group_count(pattern, options.flags.basic) + 1;
            lines.push(format!("regex_map_init: nr of substrings {count}").into_bytes());
        }
        if let Details::Regex(RegexDetails {
            substrings: Some(substrings),
            ..
        }) = &self.details
        {
            let mut line = String::from("regex_map_init: subfields");
            for substring in substrings {
                line += &format!(" {substring}");
            }
            lines.push(line.into_bytes());
        }
        let at = errors
            .iter()
            .rposition(|error| error.is_trace)
            .map_or(0, |at| at + 1);
        errors.splice(at..at, lines.into_iter().map(DefinitionError::trace));
    }

    /// Reads the arguments of one class.
    pub fn of_class(
        name: &[u8],
        class: MapClass,
        arguments: &[u8],
        known: &dyn Fn(&[u8]) -> bool,
        errors: &mut Vec<DefinitionError>,
    ) -> MapDefinition {
        let mut definition = MapDefinition {
            name: name.to_vec(),
            class,
            flags: MapFlags::default(),
            file: Vec::new(),
            rest: Vec::new(),
            details: Details::None,
            valid: true,
        };
        match class {
            MapClass::Sequence => definition.read_members(arguments, known, errors),
            MapClass::Regex => definition.read_regex(arguments, errors),
            MapClass::Dns => definition.read_dns(arguments, errors),
            MapClass::Syslog => definition.read_syslog(arguments, errors),
            MapClass::Host => definition.read_host(arguments),
            MapClass::Dequote | MapClass::Arith | MapClass::Macro | MapClass::Arpa => {
                definition.read_dequote(arguments);
            }
            MapClass::Ldap => definition.read_ldap(arguments, errors),
            _ => match parse_flags(class, name, arguments, errors) {
                Some(FlagsAndFile { flags, file, rest }) => {
                    definition.flags = flags;
                    definition.file = file;
                    definition.rest = rest;
                }
                None => definition.valid = false,
            },
        }
        definition
    }

    fn read_members(
        &mut self,
        arguments: &[u8],
        known: &dyn Fn(&[u8]) -> bool,
        errors: &mut Vec<DefinitionError>,
    ) {
        let mut members = Vec::new();
        let mut rest = arguments;
        loop {
            let start = count_while(rest, |octet| !octet.is_ascii_alphanumeric());
            let word = rest.get(start..).unwrap_or(&[]);
            let is_name =
                |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'.');
            let (member, after) = word.split_at(count_while(word, is_name));
            if member.is_empty() {
                break;
            }
            if !known(member) {
                let text = [
                    b"Sequence map ",
                    &*self.name,
                    b": unknown member map ",
                    member,
                ];
                errors.push(DefinitionError::new(text.concat()));
            } else if members.len() < MAX_MEMBERS {
                members.push(member.to_vec());
            }
            rest = after;
        }
        self.details = Details::Members(members);
    }

    fn read_regex(&mut self, arguments: &[u8], errors: &mut Vec<DefinitionError>) {
        let RegexOptions {
            pattern,
            flags,
            inverted,
            wanted,
            delimiter,
        } = RegexOptions::read(arguments, &mut self.flags);
        let regex = match PosixRegex::compile(pattern, flags) {
            Ok(regex) => regex,
            Err(error) => {
                errors.push(DefinitionError::new(format!(
                    "pattern-compile-error: {error}"
                )));
                self.valid = false;
                return;
            }
        };
        let count = group_count(pattern, flags.basic) + 1;
        let substrings = match wanted {
            None => None,
            Some(list) => match all_or_some(list, count) {
                Ok(substrings) => Some(substrings),
                Err(text) => {
                    errors.push(DefinitionError::new(text));
                    self.valid = false;
                    return;
                }
            },
        };
        let regex = Arc::new(regex);
        self.details = Details::Regex(RegexDetails {
            regex,
            count,
            inverted,
            substrings,
            delimiter,
        });
    }

    fn read_dns(&mut self, arguments: &[u8], errors: &mut Vec<DefinitionError>) {
        let mut details = DnsDetails {
            kind: None,
            base: Vec::new(),
            limit: None,
            retransmit: None,
            retries: None,
        };
        let mut rest = skip_spaces(arguments);
        while let Some((b'-', letter_on)) = rest.split_first() {
            let Some((&letter, value)) = letter_on.split_first() else {
                break;
            };
            // Values of these may stand apart from the letter.
            let value = if matches!(letter, b'R' | b'B' | b'Z' | b'r' | b'd' | b'k' | b'v') {
                skip_spaces(value)
            } else {
                value
            };
            let (value, after) = split_word(value);
            match letter {
                b'R' => {
                    details.kind = record_type(value);
                    if details.kind.is_none() {
                        let text = [b"dns map ", &*self.name, b": wrong type ", value].concat();
                        errors.push(DefinitionError::new(text));
                    }
                }
                b'B' => details.base = value.to_vec(),
                b'Z' => details.limit = parse_decimal(value),
                b'r' => details.retries = parse_decimal(value),
                b'd' => details.retransmit = parse_interval(value, IntervalUnit::Seconds).ok(),
                b'k' => self.flags.key_column = Some(value.to_vec()),
                b'v' => self.flags.value_column = Some(value.to_vec()),
                _ => {
                    self.flags.set(letter, value);
                }
            }
            rest = skip_spaces(after);
        }
        if details.kind.is_none() {
            let text = [b"dns map ", &*self.name, b": missing -R type"].concat();
            errors.push(DefinitionError::new(text));
        }
        self.details = Details::Dns(details);
    }

    fn read_syslog(&mut self, arguments: &[u8], errors: &mut Vec<DefinitionError>) {
        let mut level = Severity::Info;
        let mut rest = skip_spaces(arguments);
        while let Some((b'-', letter_on)) = rest.split_first() {
            let Some((&letter, value)) = letter_on.split_first() else {
                break;
            };
            let value = if letter == b'L' {
                skip_spaces(value)
            } else {
                value
            };
            let (value, after) = split_word(value);
            match letter {
                b'D' => self.flags.not_when_deferred = true,
                b'T' => self.flags.failure_suffix = Some(value.to_vec()),
                b'L' => match priority(value) {
                    Some(found) => level = found,
                    None => {
                        let text = [b"syslog_map_parseargs: Unknown priority ", value].concat();
                        errors.push(DefinitionError::new(text));
                        self.valid = false;
                        return;
                    }
                },
                _ => errors.push(DefinitionError::illegal_option(letter, b"syslog")),
            }
            rest = skip_spaces(after);
        }
        self.details = Details::Syslog(level);
    }

    /// The host map takes letters it does not know in silence.
    fn read_host(&mut self, arguments: &[u8]) {
        let mut rest = skip_spaces(arguments);
        while let Some((b'-', letter_on)) = rest.split_first() {
            let Some((&letter, value)) = letter_on.split_first() else {
                break;
            };
            let (value, after) = split_word(value);
            // Names of hosts lose their quotes in any case. Observed: 8.17.1.9.
            if letter != b'q' {
                self.flags.set(letter, value);
            }
            rest = skip_spaces(after);
        }
        self.rest = rest.to_vec();
    }

    /// Only the first flag counts; nothing behind it is read.
    ///
    /// Observed: 8.17.1.9 takes `-aX -s_` as `-aX`.
    fn read_dequote(&mut self, arguments: &[u8]) {
        self.flags.keep_quotes = true;
        let Some((b'-', letter_on)) = skip_spaces(arguments).split_first() else {
            return;
        };
        let Some((&letter, value)) = letter_on.split_first() else {
            return;
        };
        let (word, _) = split_word(value);
        match letter {
            b'a' => self.flags.suffix = word.to_vec(),
            b'D' => self.flags.not_when_deferred = true,
            // Quoted blanks become this octet, and so do those between the words of a key.
            b's' | b'S' => {
                self.flags.separator = value.first().copied();
                self.flags.space = self.flags.separator;
            }
            _ => {}
        }
    }

    fn read_ldap(&mut self, arguments: &[u8], errors: &mut Vec<DefinitionError>) {
        let details = super::ldap_arguments::read(&self.name, arguments, &mut self.flags, errors);
        match details {
            Some(details) => self.details = Details::Ldap(Box::new(details)),
            None => self.valid = false,
        }
    }
}

fn count_while(text: &[u8], wanted: impl Fn(&u8) -> bool) -> usize {
    text.iter()
        .position(|octet| !wanted(octet))
        .unwrap_or(text.len())
}

/// Counts the groups of a pattern that compiled.
fn group_count(pattern: &[u8], basic: bool) -> usize {
    let mut count = 0;
    let mut octets = pattern.iter().peekable();
    while let Some(&octet) = octets.next() {
        match octet {
            b'\\' => count += usize::from(octets.next() == Some(&b'(') && basic),
            b'(' if !basic => count += 1,
            b'[' => {
                // A bracket right behind the start stands for itself.
                octets.next_if(|&&next| next == b'^');
                octets.next_if(|&&next| next == b']');
                while octets.next().is_some_and(|&inside| inside != b']') {}
            }
            _ => {}
        }
    }
    count
}

/// Reads the list behind `-s`; none means all substrings, the whole match first.
fn all_or_some(list: &[u8], count: usize) -> Result<Vec<usize>, String> {
    if list.is_empty() {
        return Ok((0..count).collect());
    }
    substring_list(list, count, count + 1)
}

/// Reads the numbers of substrings, at most `limit` of them, of a pattern that has `count`.
///
/// The first substring is the whole match. What is no number counts as zero.
///
/// # Errors
/// The text the reference prints.
pub(super) fn substring_list(
    list: &[u8],
    count: usize,
    limit: usize,
) -> Result<Vec<usize>, String> {
    let mut fields = Vec::new();
    for word in list.split(|&octet| octet == b',') {
        if fields.len() >= limit {
            return Err(format!("too many fields, {limit} max"));
        }
        let word = skip_spaces(word);
        let (is_negative, digits) = match word.split_first() {
            Some((b'-', rest)) => (true, rest),
            Some((b'+', rest)) => (false, rest),
            _ => (false, word),
        };
        let length = count_while(digits, u8::is_ascii_digit);
        let field = digits
            .get(..length)
            .and_then(parse_decimal::<usize>)
            .unwrap_or(0);
        if field >= count || is_negative && field > 0 {
            let sign = if is_negative { "-" } else { "" };
            return Err(format!(
                "field ({sign}{field}) out of range, only {count} substrings in pattern"
            ));
        }
        fields.push(field);
    }
    Ok(fields)
}

fn record_type(name: &[u8]) -> Option<RecordType> {
    RecordType::from_name(name).filter(|kind| *kind != RecordType::Any)
}

fn priority(name: &[u8]) -> Option<Severity> {
    let name = name
        .strip_prefix(b"LOG_")
        .unwrap_or(name)
        .to_ascii_uppercase();
    Some(match &*name {
        b"EMERG" => Severity::Emergency,
        b"ALERT" => Severity::Alert,
        b"CRIT" => Severity::Critical,
        b"ERR" => Severity::Error,
        b"WARNING" => Severity::Warning,
        b"NOTICE" => Severity::Notice,
        b"INFO" => Severity::Info,
        b"DEBUG" => Severity::Debug,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> (Vec<String>, Option<bool>) {
        let mut errors = Vec::new();
        let known = |name: &[u8]| name == b"plain";
        let definition = MapDefinition::parse(line.as_bytes(), &known, &mut errors);
        (
            errors.iter().map(ToString::to_string).collect(),
            definition.map(|d| d.valid),
        )
    }

    #[test]
    fn refusals_have_the_words_of_the_reference() {
        for (line, wanted, outcome) in [
            ("", &["readcf: config K line: no map name"][..], None),
            (
                "foo",
                &["readcf: config K line, map foo: no map class"],
                None,
            ),
            (
                "foo-bar text /x",
                &["readcf: map foo: class bar not available"],
                None,
            ),
            (
                "foo dbm /x",
                &["readcf: map foo: class dbm not available"],
                None,
            ),
            (
                "foo hash -o",
                &["No file name for hash map foo"],
                Some(false),
            ),
            ("foo text -Q /x", &["Illegal option Q map foo"], Some(true)),
            (
                "foo regex (abc",
                &["pattern-compile-error: Unmatched ( or \\("],
                Some(false),
            ),
            (
                "foo regex -s5 (a)",
                &["field (5) out of range, only 2 substrings in pattern"],
                Some(false),
            ),
            (
                "foo dns -R",
                &["dns map foo: wrong type ", "dns map foo: missing -R type"],
                Some(true),
            ),
            ("foo dns -R A", &[], Some(true)),
            (
                "foo syslog -o",
                &["Illegal option o map syslog"],
                Some(true),
            ),
            (
                "foo syslog -LFOO",
                &["syslog_map_parseargs: Unknown priority FOO"],
                Some(false),
            ),
            (
                "foo sequence bogus plain",
                &["Sequence map foo: unknown member map bogus"],
                Some(true),
            ),
            ("foo ldap", &["No filter given in map foo"], Some(false)),
            ("foo arith -Z", &[], Some(true)),
        ] {
            let (texts, valid) = texts(line);
            assert_eq!(texts, wanted, "{line}");
            assert_eq!(valid, outcome, "{line}");
        }
    }

    #[test]
    fn no_line_makes_it_panic() {
        let pieces: [&[u8]; 12] = [
            b"foo",
            b" ",
            b"-",
            b"regex",
            b"dns",
            b"-R",
            b"-s1,",
            b"(",
            b"syslog",
            b"\xff",
            b"sequence",
            b"-k",
        ];
        let mut state = 7_usize;
        for _ in 0..2_000 {
            let mut line = Vec::new();
            for _ in 0..6 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695);
                line.extend_from_slice(pieces[(state >> 33) % pieces.len()]);
            }
            MapDefinition::parse(&line, &|_| false, &mut Vec::new());
        }
    }
}
