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
use crate::dns::resolver::RecordType;
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
    Syslog(log::Level),
}

/// A compiled pattern and what to do with its substrings.
#[derive(Debug, Clone)]
pub struct RegexDetails {
    /// The pattern.
    pub regex: Arc<PosixRegex>,
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
}

impl DefinitionError {
    pub(super) fn new(text: impl Into<Vec<u8>>) -> Self {
        DefinitionError { text: text.into() }
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
        Some(MapDefinition::of_class(
            name, class, arguments, known, errors,
        ))
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
        let mut flags = RegexFlags {
            ignore_case: true,
            ..RegexFlags::default()
        };
        let mut inverted = false;
        let mut wanted = None;
        // Unless told otherwise, the mark that separates the arguments of a check ruleset.
        let mut delimiter = vec![Mark::Else.octet()];
        let mut rest = skip_spaces(arguments);
        while let Some((b'-', letter_on)) = rest.split_first() {
            let Some((&letter, value)) = letter_on.split_first() else {
                break;
            };
            let (value, after) = split_word(value);
            match letter {
                b'n' => inverted = true,
                b'f' => flags.ignore_case = false,
                b'b' => flags.basic = true,
                b's' => wanted = Some(value.to_vec()),
                b'd' => {
                    if let Some(&octet) = letter_on.get(1) {
                        delimiter = vec![octet];
                    }
                }
                b'a' => self.flags.suffix = value.to_vec(),
                b'm' => self.flags.match_only = true,
                b'q' => self.flags.keep_quotes = true,
                b'S' => self.flags.space = value.first().copied(),
                b'T' => self.flags.failure_suffix = Some(value.to_vec()),
                b'D' => self.flags.not_when_deferred = true,
                _ => {}
            }
            rest = skip_spaces(after);
        }
        let regex = match PosixRegex::compile(rest, flags) {
            Ok(regex) => regex,
            Err(error) => {
                errors.push(DefinitionError::new(format!(
                    "pattern-compile-error: {error}"
                )));
                self.valid = false;
                return;
            }
        };
        let count = group_count(rest, flags.basic) + 1;
        let substrings = match wanted {
            None => None,
            Some(list) => match substring_list(&list, count) {
                Ok(substrings) => Some(substrings),
                Err(field) => {
                    errors.push(DefinitionError::new(format!(
                        "field ({field}) out of range, only {count} substrings in pattern"
                    )));
                    self.valid = false;
                    return;
                }
            },
        };
        let regex = Arc::new(regex);
        self.details = Details::Regex(RegexDetails {
            regex,
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
        let mut level = log::Level::Info;
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
            self.flags.set(letter, value);
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
            b's' | b'S' => self.flags.separator = value.first().copied(),
            _ => {}
        }
    }

    fn read_ldap(&mut self, arguments: &[u8], errors: &mut Vec<DefinitionError>) {
        let mut rest = skip_spaces(arguments);
        while let Some((b'-', letter_on)) = rest.split_first() {
            let Some((&letter, value)) = letter_on.split_first() else {
                break;
            };
            let (value, after) = split_word(skip_spaces(value));
            match letter {
                b'k' => self.flags.key_column = Some(value.to_vec()),
                b'o' => self.flags.optional = true,
                b't' => self.flags.never_defers = true,
                b'T' => self.flags.failure_suffix = Some(value.to_vec()),
                _ => {}
            }
            rest = skip_spaces(after);
        }
        if self.flags.key_column.is_none() {
            let text = [b"No filter given in map ", &*self.name].concat();
            errors.push(DefinitionError::new(text));
            self.valid = false;
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
fn substring_list(list: &[u8], count: usize) -> Result<Vec<usize>, usize> {
    if list.is_empty() {
        return Ok((0..count).collect());
    }
    let mut fields = Vec::new();
    for word in list.split(|&octet| octet == b',') {
        let digits = count_while(word, u8::is_ascii_digit);
        let field = word
            .get(..digits)
            .and_then(parse_decimal::<usize>)
            .unwrap_or(0);
        if field >= count {
            return Err(field);
        }
        if fields.len() < count {
            fields.push(field);
        }
    }
    Ok(fields)
}

fn record_type(name: &[u8]) -> Option<RecordType> {
    RecordType::from_name(name).filter(|kind| *kind != RecordType::Any)
}

fn priority(name: &[u8]) -> Option<log::Level> {
    let name = name
        .strip_prefix(b"LOG_")
        .unwrap_or(name)
        .to_ascii_uppercase();
    match &*name {
        b"EMERG" | b"ALERT" | b"CRIT" | b"ERR" => Some(log::Level::Error),
        b"WARNING" => Some(log::Level::Warn),
        b"NOTICE" | b"INFO" => Some(log::Level::Info),
        b"DEBUG" => Some(log::Level::Debug),
        _ => None,
    }
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
